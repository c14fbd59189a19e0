//! Groups of digits, as numbers are written for people.

use crate::scanner::text::digits_at;

/// Most groups and digits of one number: a telephone number in pairs, an account's in fours.
pub(crate) const MOST_GROUPS: usize = 10;
pub(crate) const MOST_DIGITS: usize = 24;

/// A number in groups.
#[derive(Debug)]
pub(crate) struct Groups {
    /// Its digits, `0`-`9` as bytes.
    digits: [u8; MOST_DIGITS],
    /// Start and end in the text, and how many digits there are up to its end.
    groups: [(usize, usize, usize); MOST_GROUPS],
    count: usize,
}

impl Groups {
    /// The groups from byte `start` on, where a digit stands; `gap` says how many bytes of separator stand at a place, 0 if none
    /// does. Ends before what is too much.
    pub(crate) fn read(bytes: &[u8], start: usize, gap: impl Fn(usize) -> usize) -> Self {
        let mut groups = Self { digits: [0; MOST_DIGITS], groups: [(0, 0, 0); MOST_GROUPS], count: 0 };
        let mut at = start;
        let mut total = 0;
        while groups.count < MOST_GROUPS {
            let length = digits_at(bytes, at, MOST_DIGITS + 1);
            if length == 0 || total + length > MOST_DIGITS {
                break;
            }
            groups.digits[total..total + length].copy_from_slice(&bytes[at..at + length]);
            total += length;
            groups.groups[groups.count] = (at, at + length, total);
            groups.count += 1;
            let skip = gap(at + length);
            if skip == 0 {
                break;
            }
            at += length + skip;
        }
        groups
    }

    /// How many groups there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The digits of the first `count` groups.
    pub(crate) fn digits(&self, count: usize) -> &[u8] {
        &self.digits[..self.groups[count - 1].2]
    }

    /// Where group `index` ends in the text.
    pub(crate) fn end(&self, index: usize) -> usize {
        self.groups[index].1
    }

    /// Where group `index` starts in the text.
    pub(crate) fn start(&self, index: usize) -> usize {
        self.groups[index].0
    }

    /// How many digits group `index` has.
    pub(crate) fn size(&self, index: usize) -> usize {
        self.groups[index].1 - self.groups[index].0
    }
}
