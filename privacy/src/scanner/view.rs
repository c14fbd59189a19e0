//! A text with plain blanks and hyphens in place of those that keep a number on one line.
//!
//! HTML mail, help desks and the typography of several languages put no-break spaces and hyphens into numbers of cards and accounts,
//! into dates and addresses; to a reader they are the same, and the rules are written for one blank and one hyphen.

use std::borrow::Cow;

use memchr::memchr2_iter;

use crate::finding::Finding;

/// The first bytes of the characters that are replaced.
const FIRST: [u8; 2] = [0xc2, 0xe2];

/// What is looked at, and where it stands in the text that it was made of.
pub(super) struct View<'t> {
    pub(super) text: Cow<'t, str>,
    /// Places in `text` of the characters that were shortened, each with the bytes that were saved up to there and by it.
    saved: Vec<(usize, usize)>,
}

impl<'t> View<'t> {
    /// The text itself, where it has none of these characters.
    pub(super) fn of(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let (mut out, mut saved) = (String::new(), Vec::new());
        let (mut from, mut total) = (0, 0);
        for at in memchr2_iter(FIRST[0], FIRST[1], bytes) {
            let Some((plain, width)) = replaced(&bytes[at..]) else { continue };
            out.push_str(&text[from..at]);
            total += width - 1;
            saved.push((out.len(), total));
            out.push(plain);
            from = at + width;
        }
        if saved.is_empty() {
            return Self { text: Cow::Borrowed(text), saved };
        }
        out.push_str(&text[from..]);
        Self { text: Cow::Owned(out), saved }
    }

    /// Findings in the view as findings in the text.
    pub(super) fn restore(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        if !self.saved.is_empty() {
            for finding in &mut findings {
                finding.start = self.place(finding.start);
                finding.end = self.place(finding.end);
            }
        }
        findings
    }

    fn place(&self, at: usize) -> usize {
        let before = self.saved.partition_point(|(place, _)| *place < at);
        at + before.checked_sub(1).map_or(0, |last| self.saved[last].1)
    }
}

/// The plain character for the one that begins here, and how many bytes that has.
fn replaced(bytes: &[u8]) -> Option<(char, usize)> {
    match bytes {
        // U+00A0.
        [0xc2, 0xa0, ..] => Some((' ', 2)),
        // U+2007, U+2009, U+202F.
        [0xe2, 0x80, 0x87 | 0x89 | 0xaf, ..] => Some((' ', 3)),
        // U+2010 to U+2012, U+2212.
        [0xe2, 0x80, 0x90..=0x92, ..] | [0xe2, 0x88, 0x92, ..] => Some(('-', 3)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Entity;

    #[test]
    fn places_are_those_of_the_text() {
        let text = "é\u{a0}“12‑34”\u{202f}x − –";
        let view = View::of(text);
        assert_eq!(view.text, "é “12-34” x - –");
        for word in ["é", "12-34", "x", "-34", "–"] {
            let start = view.text.find(word).expect("there");
            let finding =
                Finding { start, end: start + word.len(), entity: Entity::Other, score: 1.0, rule: "test" };
            let found = view.restore(vec![finding])[0];
            assert_eq!(View::of(&text[found.start..found.end]).text, word);
        }
        for text in ["", "é “x” – 1-2", "\u{a1}"] {
            let view = View::of(text);
            assert!(matches!(view.text, Cow::Borrowed(same) if same == text) && view.saved.is_empty());
        }
    }
}
