//! What a checksum says of a match.

/// The verdict of a check on a text that has the right form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The checksum or structure is right: the score becomes 1.
    Valid,
    /// It is right, and one of ten or eleven numbers of this length has it: of plain digits the score becomes 1 where words before say
    /// what they are, else it stays low. Order numbers and times of logs have such lengths.
    Likely,
    /// It is wrong: the match is dropped.
    Invalid,
    /// There is nothing to check by: the score of the form stands.
    Unknown,
}

impl Check {
    /// Whether the checksum is right.
    #[must_use]
    pub fn is_right(self) -> bool {
        matches!(self, Self::Valid | Self::Likely)
    }
}
