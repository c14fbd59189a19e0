//! An identifier as data: what it looks like, how it is checked, what stands around it.

use crate::check::Check;
use crate::entity::Entity;

/// One way an identifier is written.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// What it is.
    pub entity: Entity,
    /// The name of the rule, for the report: `de-tax-id`.
    pub rule: &'static str,
    /// A regular expression in the syntax of the `regex` crate, without look-around and without anchors, case-insensitive, with ASCII
    /// classes. The engine sees to it that no letter, digit or underscore stands directly before or after the match.
    pub pattern: &'static str,
    /// How sure the form alone makes, from 0 to 1.
    pub score: f32,
    /// Looks at the matched text, separators included.
    pub check: Option<fn(&str) -> Check>,
    /// Words, in lower case, that raise the score when they stand before the match.
    pub context: &'static [&'static str],
}
