//! Rows of the next step, read from disk while this one computes.

use std::borrow::Cow;
use std::thread::{self, JoinHandle};

use rtune_data::{DataError, Example, Examples};

/// A thread that reads rows.
type Reading = JoinHandle<Result<Vec<Example>, DataError>>;

/// At most one step's rows that somebody is reading.
#[derive(Default)]
pub(super) struct Ahead {
    next: Option<(Vec<usize>, Reading)>,
}

impl Ahead {
    /// The rows at these places, in that order: those that were read ahead, where these are the ones.
    ///
    /// # Errors
    /// Those of reading rows.
    pub(super) fn rows<'a>(
        &mut self,
        rows: &'a Examples,
        places: &[usize],
    ) -> Result<Vec<Cow<'a, Example>>, DataError> {
        match self.next.take() {
            Some((known, reading)) if known == places => match reading.join() {
                Ok(read) => Ok(read?.into_iter().map(Cow::Owned).collect()),
                Err(_) => rows.at(places),
            },
            _ => rows.at(places),
        }
    }

    /// Begins to read the rows at these places, where they stay on disk.
    pub(super) fn begin(&mut self, rows: &Examples, places: &[usize]) {
        if rows.are_on_disk() {
            let (rows, known) = (rows.clone(), places.to_vec());
            let places = known.clone();
            let read = move || rows.at(&places)?.into_iter().map(|row| Ok(row.into_owned())).collect();
            // Without a thread they are read when they are needed.
            self.next = thread::Builder::new().spawn(read).ok().map(|reading| (known, reading));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rtune_data::Origin;

    use super::*;

    #[test]
    fn rows_in_memory_are_lent_and_not_read_ahead() {
        let row = |number: usize| Example {
            id: number.to_string(),
            origin: Origin { file: Path::new("a").into(), line: 1 },
            tokens: vec![0; number],
            supervised: vec![true; number],
        };
        let rows = Examples::from((1..5).map(row).collect::<Vec<_>>());
        let mut ahead = Ahead::default();
        ahead.begin(&rows, &[2, 0]);
        assert!(ahead.next.is_none());
        let read = ahead.rows(&rows, &[2, 0]).expect("in memory");
        assert!(read.iter().all(|row| matches!(row, Cow::Borrowed(_))));
        assert_eq!(read.iter().map(|row| row.tokens.len()).collect::<Vec<_>>(), [3, 1]);
    }
}
