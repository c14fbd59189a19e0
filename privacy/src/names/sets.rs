//! Lists of words as they are written here: folded, with spaces between.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Words that are looked up.
pub(super) type Set = LazyLock<HashSet<&'static str>>;

/// The words of a text.
pub(super) fn set(words: &'static str) -> HashSet<&'static str> {
    words.split(' ').collect()
}

/// The same in their order.
pub(super) fn list(words: &'static str) -> Vec<&'static str> {
    words.split(' ').collect()
}
