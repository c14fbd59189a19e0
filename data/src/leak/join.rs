//! Keys that stand on both sides.

use std::iter::Peekable;

use crate::spill::{Fixed, Sorted, SpillError};

/// A record whose first part is what it is looked up by.
pub(super) trait Keyed: Fixed {
    type Key: Ord + Copy;

    fn key(self) -> Self::Key;
}

impl<K: Fixed> Keyed for (K, u32) {
    type Key = K;

    fn key(self) -> K {
        self.0
    }
}

impl<K: Fixed, E: Fixed> Keyed for (K, u32, E) {
    type Key = K;

    fn key(self) -> K {
        self.0
    }
}

/// The records of one key.
pub(super) struct Meeting<'a, T> {
    pub(super) held_out: &'a [T],
    /// The first of the training rows' records.
    pub(super) train: &'a [T],
    /// How many training rows' records there are.
    pub(super) train_count: usize,
}

/// Calls `meet` for every key of the held-out side, with all its records there and the first `most` of the other side.
pub(super) fn join<T: Keyed>(
    held_out: &Sorted<T>,
    train: &Sorted<T>,
    most: usize,
    mut meet: impl FnMut(Meeting<'_, T>) -> Result<(), SpillError>,
) -> Result<(), SpillError> {
    let (mut left, mut right) = (held_out.iter().peekable(), train.iter().peekable());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    while let Some(record) = left.next().transpose()? {
        let key = record.key();
        ours.clear();
        ours.push(record);
        while let Some(record) = next_if(&mut left, |other| other == key)? {
            ours.push(record);
        }
        theirs.clear();
        let mut train_count = 0;
        while next_if(&mut right, |other| other < key)?.is_some() {}
        while let Some(record) = next_if(&mut right, |other| other == key)? {
            train_count += 1;
            if theirs.len() < most {
                theirs.push(record);
            }
        }
        meet(Meeting { held_out: &ours, train: &theirs, train_count })?;
    }
    Ok(())
}

/// The next record if its key is wanted; an error wherever one stands.
fn next_if<T: Keyed>(
    records: &mut Peekable<impl Iterator<Item = Result<T, SpillError>>>,
    wanted: impl Fn(T::Key) -> bool,
) -> Result<Option<T>, SpillError> {
    let next = records.next_if(|record| record.as_ref().map_or(true, |record| wanted(record.key())));
    next.transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spill::{Scratch, Sorter};

    #[test]
    fn keys_of_the_held_out_side_meet_what_there_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let sorted = |records: &[(u64, u32)]| {
            let mut sorter = Sorter::new(&Scratch::new(folder.path()));
            records.iter().for_each(|&record| sorter.push(record).expect("room"));
            sorter.finish().expect("sorted")
        };
        let held_out = sorted(&[(5, 1), (2, 7), (5, 0), (9, 3)]);
        let train = sorted(&[(5, 3), (1, 1), (5, 9), (5, 4), (9, 2), (3, 3), (11, 1)]);
        let mut met = Vec::new();
        let joined = join(&held_out, &train, 2, |meeting| {
            let rows = |records: &[(u64, u32)]| records.iter().map(|record| record.1).collect::<Vec<_>>();
            met.push((rows(meeting.held_out), rows(meeting.train), meeting.train_count));
            Ok(())
        });
        joined.expect("joined");
        assert_eq!(met, [(vec![7], vec![], 0), (vec![0, 1], vec![3, 4], 3), (vec![3], vec![2], 1)]);
    }
}
