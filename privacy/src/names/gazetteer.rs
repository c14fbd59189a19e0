//! What a word is known as: given name, surname, common word, place.

use std::sync::LazyLock;

use fst::{Map, Streamer};

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

    /// A word or a place, and no name.
    pub(super) fn is_no_name(self) -> bool {
        self.0 != 0 && !self.has(Self::GIVEN | Self::SURNAME)
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

/// The list, ready to be looked up.
#[derive(Clone, Copy)]
pub(super) struct Gazetteer {
    table: &'static Table,
}

impl Gazetteer {
    /// Unpacks the list that is part of the program, once.
    pub(super) fn new() -> Self {
        Self { table: &TABLE }
    }

    /// What `word` is, whatever its case and diacritics. A word with hyphens that is in no list is
    /// what its parts are.
    pub(super) fn flags(&self, word: &str) -> Flags {
        if word.len() > MAX_WORD_BYTES {
            return Flags::default();
        }
        if word.is_ascii() {
            return self.ascii(word);
        }
        let mut key = String::with_capacity(word.len() + 8);
        fold_into(word, &mut key);
        self.folded(&key)
    }

    /// Like [`Self::flags`], of a word that is folded already.
    pub(super) fn folded(&self, key: &str) -> Flags {
        if key.len() > MAX_WORD_BYTES { Flags::default() } else { self.ascii(key) }
    }

    fn ascii(&self, word: &str) -> Flags {
        if let Some(flags) = self.table.get(hash(word)) {
            return Flags(flags);
        }
        if !word.contains('-') {
            return Flags::default();
        }
        // It is a name if all of its parts are, and doubtful if one is.
        let doubts = Flags::WORD | Flags::PLACE | Flags::MOSTLY_SURNAME;
        let parts = word.split('-').map(|part| self.table.get(hash(part)).unwrap_or_default());
        Flags(parts.reduce(|all, flags| (all & flags) | ((all | flags) & doubts)).unwrap_or_default())
    }
}

/// A hash of a word, its ASCII letters in lower case (FNV-1a, whose high bits are mixed into the low ones).
pub(super) fn hash(word: &str) -> u64 {
    let step =
        |hash: u64, byte: u8| (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3);
    let hash = word.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    hash ^ (hash >> 29)
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

/// The list by 64-bit hashes: walking the automaton for each capitalised word takes ten times as long. That two of 10^6 words
/// share a hash has a chance of 10^-7.
struct Table {
    /// Open addressing; 0 is empty.
    hashes: Vec<u64>,
    flags: Vec<u8>,
}

impl Table {
    fn new() -> Self {
        // The bytes are part of the program and opened in every test.
        let map = Map::new(BYTES).expect("the embedded list of names is whole");
        // Half of the places stay free.
        let size = (map.len() * 2).next_power_of_two();
        let mut table = Self { hashes: vec![0; size], flags: vec![0; size] };
        let mut stream = map.stream();
        while let Some((key, flags)) = stream.next() {
            let hash = hash(str::from_utf8(key).unwrap_or_default());
            let place = table.place(hash);
            table.hashes[place] = hash;
            table.flags[place] = u8::try_from(flags).unwrap_or_default();
        }
        table
    }

    /// Where a hash stands, or would.
    fn place(&self, hash: u64) -> usize {
        let mask = self.hashes.len() - 1;
        let mut place = hash as usize & mask;
        while self.hashes[place] != 0 && self.hashes[place] != hash {
            place = (place + 1) & mask;
        }
        place
    }

    fn get(&self, hash: u64) -> Option<u8> {
        let place = self.place(hash);
        (self.hashes[place] == hash).then(|| self.flags[place])
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
