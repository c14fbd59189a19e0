//! Rows that equal another, byte for byte or but for their writing, and keys that stand for two rows.

mod canonical;
mod conflicts;
mod finder;

use std::collections::HashSet;

use crate::options::Duplicates;
use crate::record::Record;

pub use canonical::{canonical, canonical_hash, canonical_row_hash};
pub use conflicts::{ConflictFinder, Conflicts};
pub use finder::{Duplicate, DuplicateFinder, EqualRows, Equality};

/// Removes rows whose whole content equals that of an earlier one, or only counts them; the first always stands.
///
/// `seen` carries the contents of rows met before, so that several files are compared as one. Returns how many rows of
/// `rows` are duplicates.
pub fn exact(rows: &mut Vec<Record>, seen: &mut HashSet<[u8; 16]>, policy: Duplicates) -> usize {
    let mut duplicates = 0;
    rows.retain(|row| {
        let first = seen.insert(row.content_hash());
        duplicates += usize::from(!first);
        first || policy == Duplicates::Keep
    });
    duplicates
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::record::{Message, Origin};

    fn row(line: u64, answer: &str) -> Record {
        let origin = Origin { file: Path::new("a.jsonl").into(), line };
        Record::new(None, origin, vec![Message::new("user", "question"), Message::new("assistant", answer)])
    }

    #[test]
    fn the_first_stands() {
        let all = vec![row(1, "a"), row(2, "b"), row(3, "a"), row(4, "a ")];
        let mut rows = all.clone();
        let mut seen = HashSet::new();
        assert_eq!(exact(&mut rows, &mut seen, Duplicates::Remove), 1);
        assert_eq!(rows.iter().map(|row| row.origin.line).collect::<Vec<_>>(), [1, 2, 4]);
        let mut second_file = vec![row(1, "b"), row(2, "c")];
        assert_eq!(exact(&mut second_file, &mut seen, Duplicates::Remove), 1);
        assert_eq!(second_file.len(), 1);
        let mut kept = all.clone();
        assert_eq!(exact(&mut kept, &mut HashSet::new(), Duplicates::Keep), 1);
        assert_eq!(kept, all);
    }
}
