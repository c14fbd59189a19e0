//! What a checksum says of a match.

/// The verdict of a check on a text that has the right form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The checksum or structure is right: the score becomes 1.
    Valid,
    /// It is wrong: the match is dropped.
    Invalid,
    /// There is nothing to check by: the score of the form stands.
    Unknown,
}
