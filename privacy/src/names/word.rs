//! A capitalised word and what it can be in a name.

use super::capitals::Capital;
use super::fold::fold;
use super::gazetteer::Flags;
use super::marks;

/// One capitalised word, looked up.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) capital: Capital,
    pub(super) folded: String,
    pub(super) flags: Flags,
    role: Role,
    pub(super) is_initial: bool,
}

/// What a word can be in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A given name and nothing else.
    Given,
    /// A given name that is a word or a place too: Will, Paris.
    DoubtfulGiven,
    /// A surname and no word.
    Surname,
    /// A surname that is a word or a place too: Baker, Lincoln.
    DoubtfulSurname,
    /// In no list.
    Unknown,
    /// A word or a place, and no name.
    Other,
}

impl Word {
    pub(super) fn new(text: &str, capital: Capital, flags: Flags) -> Self {
        let folded = fold(capital.of(text));
        let role = Role::new(flags, &folded);
        Self { capital, folded, flags, role, is_initial: capital.is_initial(text) }
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    pub(super) fn is_like_surname(&self) -> bool {
        self.role == Role::Surname || self.flags.is_surely_surname()
    }
}

impl Role {
    fn new(flags: Flags, folded: &str) -> Self {
        if flags.is_surely_given() {
            Role::Given
        } else if flags.is_given() && !flags.is_unknown() {
            Role::DoubtfulGiven
        } else if flags.is_surely_surname() {
            Role::Surname
        } else if flags.is_surname() {
            Role::DoubtfulSurname
        } else if !flags.is_unknown() {
            Role::Other
        } else if marks::is_like_surname(folded) {
            Role::Surname
        } else {
            Role::Unknown
        }
    }
}
