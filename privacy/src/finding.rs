//! A span of a text and what it is.

use crate::entity::Entity;

/// A span that holds personal data or a secret.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// First byte of the span; a character boundary.
    pub start: usize,
    /// One past its last byte; a character boundary.
    pub end: usize,
    /// What it is.
    pub entity: Entity,
    /// How sure, from 0 to 1; 1 where a checksum is right.
    pub score: f32,
    /// The rule that found it, for the report.
    pub rule: &'static str,
}

impl Finding {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether the span is empty; no finding of this crate is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether the two spans share a byte.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// The span in code points of `text`, as other tools count: start, and end exclusive.
#[must_use]
pub fn code_points(text: &str, finding: &Finding) -> (usize, usize) {
    let start = text[..finding.start].chars().count();
    (start, start + text[finding.start..finding.end].chars().count())
}
