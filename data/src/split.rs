//! Which rows are held out for validation.

use crate::record::Record;

/// Keeps this draw apart from every other use of the content.
const CONTEXT: &str = "rtune validation split, format 1";

/// Whether a row of this content belongs to a validation set of about `fraction` of all rows.
///
/// Depends on nothing but the row's own content and the fraction: rows added later move no other row, duplicates fall
/// on one side, and the set of a smaller fraction lies inside that of a larger one.
pub fn held_out(record: &Record, fraction: f64) -> bool {
    place_of(record) < fraction
}

/// The place of a row among all, from 0 to below 1, by its content alone.
pub(crate) fn place_of(record: &Record) -> f64 {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&record.content_hash());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    // The upper 53 bits are a number in [0, 1) that f64 holds exactly.
    (u64::from_le_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::record::{Message, Origin};

    fn row(number: usize) -> Record {
        let origin = Origin { file: Path::new("a.jsonl").into(), line: 1 };
        let messages = vec![Message::new("user", format!("{number}")), Message::new("assistant", "yes")];
        Record::new(Some(format!("id-{number}")), origin, messages)
    }

    #[test]
    fn the_share_is_about_the_fraction() {
        let count = (0..10_000).filter(|&number| held_out(&row(number), 0.1)).count();
        // Six standard deviations of a binomial of 10,000 draws at 0.1 are 180.
        assert!(count.abs_diff(1_000) < 180, "{count}");
    }

    #[test]
    fn only_the_content_counts() {
        for number in 0..200 {
            let mut other = row(number);
            other.id = "another".into();
            other.origin.line = 77;
            assert_eq!(held_out(&row(number), 0.3), held_out(&other, 0.3));
            assert!(!held_out(&row(number), 0.1) || held_out(&row(number), 0.3));
        }
    }
}
