//! A text with some of its ranges replaced, copied only when one is.

use std::borrow::Cow;
use std::ops::Range;

/// A text after a step, and how many places of it the step changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edited<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) changes: usize,
}

impl<'a> Edited<'a> {
    /// The text as it was.
    pub(crate) fn unchanged(text: &'a str) -> Self {
        Self { text: Cow::Borrowed(text), changes: 0 }
    }

    /// The beginning of the text, its end being cut off.
    pub(crate) fn cut(text: &'a str) -> Self {
        Self { text: Cow::Borrowed(text), changes: 1 }
    }
}

/// Collects replacements, from the left to the right.
pub(crate) struct Edit<'a> {
    text: &'a str,
    out: String,
    copied_bytes: usize,
    changes: usize,
}

impl<'a> Edit<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self { text, out: String::new(), copied_bytes: 0, changes: 0 }
    }

    /// Puts `with` where `range` stands. Ranges come in order and apart; one that begins before the end of the last is
    /// left out.
    pub(crate) fn replace(&mut self, range: Range<usize>, with: &str) {
        if range.start < self.copied_bytes || &self.text[range.clone()] == with {
            return;
        }
        if self.changes == 0 {
            self.out.reserve(self.text.len());
        }
        self.out.push_str(&self.text[self.copied_bytes..range.start]);
        self.out.push_str(with);
        self.copied_bytes = range.end;
        self.changes += 1;
    }

    pub(crate) fn remove(&mut self, range: Range<usize>) {
        self.replace(range, "");
    }

    pub(crate) fn finish(mut self) -> Edited<'a> {
        if self.changes == 0 {
            return Edited::unchanged(self.text);
        }
        self.out.push_str(&self.text[self.copied_bytes..]);
        Edited { text: Cow::Owned(self.out), changes: self.changes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_changes_is_not_copied() {
        let mut edit = Edit::of("abc");
        edit.replace(1..2, "b");
        assert!(matches!(edit.finish(), Edited { text: Cow::Borrowed("abc"), changes: 0 }));
        let mut edit = Edit::of("a-b-c");
        edit.replace(1..2, "+");
        edit.remove(3..4);
        assert_eq!(edit.finish(), Edited { text: "a+bc".into(), changes: 2 });
    }
}
