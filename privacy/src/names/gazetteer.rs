//! What a word is known as: given name, surname, common word, place.

use fst::Map;

use super::fold::fold_into;

/// Made by `gazetteer/make.py` and `examples/gazetteer.rs`; `gazetteer/README.md` says from what.
static BYTES: &[u8] = include_bytes!("gazetteer.fst");

/// Longer words are no names: the longest key has fewer bytes, and a line without spaces must not be folded.
const MAX_WORD_BYTES: usize = 64;

/// What a word is known as, as bits; several may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u8);

impl Flags {
    const GIVEN: u8 = 1;
    const SURNAME: u8 = 2;
    const WORD: u8 = 4;
    const PLACE: u8 = 8;
    const FREQUENT_GIVEN: u8 = 16;
    const FREQUENT_SURNAME: u8 = 32;
    const DICTIONARY: u8 = 64;
    const MOSTLY_SURNAME: u8 = 128;

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// A given name somewhere.
    pub(super) fn is_given(self) -> bool {
        self.has(Self::GIVEN)
    }

    /// A surname somewhere.
    pub(super) fn is_surname(self) -> bool {
        self.has(Self::SURNAME)
    }

    /// Also, or only, a word that stands in texts as a capitalised one: Will, May, Grace.
    pub(super) fn is_word(self) -> bool {
        self.has(Self::WORD)
    }

    /// A place first of all: Paris, Jordan.
    pub(super) fn is_place(self) -> bool {
        self.has(Self::PLACE)
    }

    /// A given name that many bear.
    pub(super) fn is_frequent_given(self) -> bool {
        self.has(Self::FREQUENT_GIVEN)
    }

    /// A surname that many bear.
    pub(super) fn is_frequent_surname(self) -> bool {
        self.has(Self::FREQUENT_SURNAME)
    }

    /// In lower case a word of the dictionary, however rare.
    pub(super) fn is_dictionary(self) -> bool {
        self.has(Self::DICTIONARY | Self::WORD)
    }

    /// As a given name rarer than as a surname: Davis, Mitchell.
    pub(super) fn is_mostly_surname(self) -> bool {
        self.has(Self::MOSTLY_SURNAME)
    }

    /// In no list.
    pub(super) fn is_unknown(self) -> bool {
        self.0 == 0
    }

    /// A given name and nothing else.
    pub(super) fn is_surely_given(self) -> bool {
        self.is_given() && !self.has(Self::WORD | Self::PLACE)
    }

    /// A surname and no common word.
    pub(super) fn is_surely_surname(self) -> bool {
        self.is_surname() && !self.has(Self::WORD | Self::PLACE)
    }
}

/// The list, looked up without being unpacked.
pub(super) struct Gazetteer {
    map: Map<&'static [u8]>,
}

impl Gazetteer {
    /// Opens the list that is part of the program.
    pub(super) fn new() -> Self {
        // The bytes are part of the program and opened in every test.
        Self { map: Map::new(BYTES).expect("the embedded list of names is whole") }
    }

    /// What `word` is, whatever its case and diacritics. A word with hyphens that is in no list is
    /// what its parts are.
    pub(super) fn flags(&self, word: &str) -> Flags {
        if word.len() > MAX_WORD_BYTES {
            return Flags::default();
        }
        let mut key = String::with_capacity(word.len() + 8);
        fold_into(word, &mut key);
        self.folded(&key)
    }

    /// Like [`Self::flags`], of a word that is folded already.
    pub(super) fn folded(&self, key: &str) -> Flags {
        if let Some(flags) = self.map.get(key) {
            return Flags(u8::try_from(flags).unwrap_or_default());
        }
        if !key.contains('-') {
            return Flags::default();
        }
        // It is a name if all of its parts are, and doubtful if one is.
        let doubts = u64::from(Flags::WORD | Flags::PLACE | Flags::MOSTLY_SURNAME);
        let parts = key.split('-').map(|part| self.map.get(part).unwrap_or_default());
        let combined =
            parts.reduce(|all, flags| (all & flags) | ((all | flags) & doubts)).unwrap_or_default();
        Flags(u8::try_from(combined).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::Gazetteer;

    #[test]
    fn words_are_what_they_are_known_as() {
        let gazetteer = Gazetteer::new();
        let monika = gazetteer.flags("Monika");
        assert!(monika.is_surely_given() && monika.is_frequent_given() && !monika.is_word());
        assert!(gazetteer.flags("WILL").is_given() && gazetteer.flags("Will").is_word());
        assert!(gazetteer.flags("Jensen").is_surely_surname());
        assert!(gazetteer.flags("Müller").is_surname() && gazetteer.flags("muller").is_surname());
        assert!(gazetteer.flags("Paris").is_place());
        assert!(gazetteer.flags("Anne-Marie").is_given());
        assert!(gazetteer.flags("street").is_word());
        assert!(gazetteer.flags("Xqzzvb").is_unknown() && gazetteer.flags(&"a".repeat(100_000)).is_unknown());
    }
}
