//! Two versions beside each other.

use std::collections::HashMap;

use rtune_metrics::compare::Settings;
use rtune_trainer::config::{Change, Config};
use rtune_trainer::error::TrainerError;
use rtune_trainer::evaluate::compare::{Compared, Which, compare_reports};

use crate::error::RegistryError;
use crate::place::ROWS_FILE;
use crate::rows::{self, Row};
use crate::version::Version;

/// What the second of two versions is that the first is not.
#[derive(Clone, Debug)]
pub struct Differences {
    /// Keys of the configuration that stand otherwise.
    pub config: Vec<Change>,
    /// Files of base and data that are others: role, name, and both hashes.
    pub files: Vec<(&'static str, String, [Option<String>; 2])>,
    /// Rows that came and went.
    pub rows: RowsMoved,
    /// Metrics and flips; in words why not, where the two were asked other golden rows.
    pub compared: Result<Compared, String>,
}

/// Training rows of two versions, by the hash of what was learnt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowsMoved {
    /// Only the second was trained on them.
    pub came: Vec<Row>,
    /// Only the first was.
    pub went: Vec<Row>,
    /// How many both were.
    pub stayed: usize,
}

/// Compares `second` with `first`.
///
/// # Errors
/// [`RegistryError::Trainer`] for a version whose files cannot be read.
pub fn differences(first: &Version, second: &Version) -> Result<Differences, RegistryError> {
    let config =
        |version: &Version| Config::load(&version.run().join("config.toml"), &[]).map_err(TrainerError::from);
    let rows = |version: &Version| rows::read(&version.folder.join(ROWS_FILE));
    let mut files = Vec::new();
    let (one, other) = (&first.lineage, &second.lineage);
    for (role, one, other) in [("base", &one.base, &other.base), ("data", &one.data, &other.data)] {
        let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
        for name in names {
            let both = [one.get(name).cloned(), other.get(name).cloned()];
            if both[0] != both[1] {
                files.push((role, name.clone(), both));
            }
        }
    }
    let compared = compare_reports(
        (&first.report(), Which::Best),
        (&second.report(), Which::Best),
        None,
        &[],
        &Settings::default(),
    );
    let compared = match compared {
        Err(error @ TrainerError::NotComparable { .. }) => Err(error.to_string()),
        compared => Ok(compared?),
    };
    let config = config(second)?.changes(&config(first)?);
    Ok(Differences { config, files, rows: moved(rows(first)?, rows(second)?), compared })
}

/// Rows may stand twice: each is paired once.
fn moved(first: Vec<Row>, second: Vec<Row>) -> RowsMoved {
    let mut left: HashMap<String, usize> = HashMap::new();
    for row in &first {
        *left.entry(row.sha256.clone()).or_default() += 1;
    }
    let mut moved = RowsMoved::default();
    for row in second {
        match left.get_mut(&row.sha256).filter(|count| **count > 0) {
            Some(count) => {
                *count -= 1;
                moved.stayed += 1;
            }
            None => moved.came.push(row),
        }
    }
    for row in first.into_iter().rev() {
        if let Some(count) = left.get_mut(&row.sha256).filter(|count| **count > 0) {
            *count -= 1;
            moved.went.push(row);
        }
    }
    moved.went.reverse();
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_paired_by_what_was_learnt() {
        let row = |sha256: &str, line| Row {
            id: format!("{line}"),
            file: "a".to_owned(),
            line,
            sha256: sha256.to_owned(),
            steps: 1,
        };
        let moved = moved(
            vec![row("a", 1), row("b", 2), row("b", 3), row("c", 4)],
            vec![row("c", 1), row("b", 2), row("d", 3)],
        );
        let lines = |rows: &[Row]| rows.iter().map(|row| (row.sha256.clone(), row.line)).collect::<Vec<_>>();
        assert_eq!(moved.stayed, 2);
        assert_eq!(lines(&moved.came), [("d".to_owned(), 3)]);
        assert_eq!(lines(&moved.went), [("a".to_owned(), 1), ("b".to_owned(), 3)]);
    }
}
