//! Words that announce personal data: kinds of streets, "address:", "zip", "user:", "password:".
//!
//! The pass asks for every word of a text: two small tables of bits, by how a word starts and ends, let one in fifty through to be
//! compared.

/// What a word announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyword {
    /// Stands behind the name of a street: `Baker Street`.
    StreetBehind,
    /// Short for one: `Baker St`.
    StreetBehindShort,
    /// Stands before the name of a street: `Rua do Arenque`.
    StreetBefore,
    /// Ends the name of a street: `Hauptstraße`.
    StreetEnding,
    /// Ends the name of a street, and of much else: `Puruntie`.
    StreetEndingWeak,
    /// A box or a part of a house: `P.O. Box 7`, `Suite 501`.
    Unit,
    /// `address`.
    Address,
    /// `zip`, `Postleitzahl`.
    Postal,
    /// `username`.
    User,
    /// `password`.
    Password,
}

use Keyword::{
    Address, Password, Postal, StreetBefore, StreetBehind, StreetBehindShort, StreetEnding, StreetEndingWeak,
    Unit, User,
};

/// Whole words, in lower case, by what they announce.
const WORDS: [(Keyword, &[&str]); 8] = [
    (
        StreetBehind,
        &[
            "street",
            "avenue",
            "boulevard",
            "lane",
            "drive",
            "road",
            "court",
            "terrace",
            "crescent",
            "highway",
            "parkway",
            "square",
            "circle",
            "gardens",
            "turnpike",
            "place",
            "trail",
            "alley",
            "mews",
            "grove",
            "close",
            "utca",
        ],
    ),
    (
        StreetBehindShort,
        &["st", "rd", "ave", "blvd", "ln", "dr", "ct", "pl", "sq", "hwy", "pkwy", "ter", "cir"],
    ),
    (
        StreetBefore,
        &[
            "rua", "calle", "via", "rue", "avenida", "av", "plaza", "piazza", "corso", "viale", "largo",
            "praça", "travessa", "estrada", "ulica", "ul", "chemin", "impasse", "allée", "quai", "carrer",
            "paseo", "camino", "passeig", "vicolo", "strada", "jalan", "jl", "rúa",
        ],
    ),
    (Unit, &["box", "postfach", "apartado", "apt", "suite", "unit"]),
    (Address, &["dirección", "indirizzo", "endereço", "adres", "osoite", "lives", "wohnhaft"]),
    (Postal, &["postal", "postleitzahl", "postnummer", "postal_code", "zip_code", "zip", "cap"]),
    (User, &["user", "user_name", "login", "userid", "user_id", "benutzername", "usuario"]),
    (Password, &["pass", "passwort", "passcode", "passphrase", "contraseña", "passe"]),
];

/// Ends of words, in lower case: names of streets are written as one word, and names of fields are joined.
const ENDINGS: [(Keyword, &[&str]); 6] = [
    (
        StreetEnding,
        &[
            "straße", "strasse", "str", "gasse", "platz", "allee", "straat", "laan", "plein", "gracht",
            "gatan", "vägen", "gränd", "veien", "vegen", "gaten", "stræde", "katu", "kuja", "polku",
        ],
    ),
    (StreetEndingWeak, &["weg", "tie", "vej", "gade", "gata", "gate", "vei", "damm", "ufer", "dijk", "kade"]),
    (Address, &["address", "adresse"]),
    (Postal, &["zipcode", "postcode", "plz"]),
    (User, &["username"]),
    (Password, &["password", "passwd", "pwd"]),
];

/// Bits of a table.
const BITS: usize = 4096;

/// The words and endings that are wanted.
#[derive(Debug)]
pub(crate) struct Keywords {
    /// In order of their places.
    words: Vec<Word>,
    /// The longer first.
    endings: Vec<Word>,
    word_bits: Box<[u64; BITS / 64]>,
    ending_bits: Box<[u64; BITS / 64]>,
}

/// A word or an ending, and its place in its table.
#[derive(Debug)]
struct Word {
    place: usize,
    word: &'static [u8],
    keyword: Keyword,
}

/// A word found: what it announces and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) keyword: Keyword,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Keywords {
    /// Of those words that `is_wanted`.
    pub(crate) fn new(is_wanted: impl Fn(Keyword) -> bool) -> Option<Self> {
        let flat = |of: &[(Keyword, &'static [&'static str])], place: fn(&[u8]) -> usize| -> Vec<Word> {
            let wanted = of.iter().filter(|(keyword, _)| is_wanted(*keyword));
            let all =
                wanted.flat_map(|(keyword, words)| words.iter().map(|word| (word.as_bytes(), *keyword)));
            all.map(|(word, keyword)| Word { place: place(word), word, keyword }).collect()
        };
        let mut words = flat(&WORDS, word_place);
        words.sort_by_key(|word| word.place);
        let mut endings = flat(&ENDINGS, tail_place);
        // The longest of two endings of one word decides.
        endings.sort_by_key(|ending| std::cmp::Reverse(ending.word.len()));
        let bits = |words: &[Word]| {
            let mut bits = Box::new([0; BITS / 64]);
            words.iter().for_each(|word| bits[word.place / 64] |= 1 << (word.place % 64));
            bits
        };
        let (word_bits, ending_bits) = (bits(&words), bits(&endings));
        (!words.is_empty()).then_some(Self { words, endings, word_bits, ending_bits })
    }

    /// What the word at `start..end` of `bytes` announces.
    #[inline]
    pub(crate) fn at(&self, bytes: &[u8], start: usize, end: usize) -> Option<Found> {
        let word = &bytes[start..end];
        let has = |bits: &[u64; BITS / 64], place: usize| bits[place / 64] >> (place % 64) & 1 == 1;
        let (word_place, tail_place) = (word_place(word), tail_place(word));
        if !has(&self.word_bits, word_place) && !has(&self.ending_bits, tail_place) {
            return None;
        }
        self.compare(bytes, start, end, word_place, tail_place)
    }

    #[inline(never)]
    fn compare(
        &self,
        bytes: &[u8],
        start: usize,
        end: usize,
        word_place: usize,
        tail_place: usize,
    ) -> Option<Found> {
        let word = &bytes[start..end];
        let first = self.words.partition_point(|other| other.place < word_place);
        let mut of_place = self.words[first..].iter().take_while(|other| other.place == word_place);
        let is_ending =
            |ending: &&Word| ending.place == tail_place && ends_with_ignoring_case(word, ending.word);
        let known = of_place
            .find(|other| word.eq_ignore_ascii_case(other.word))
            .or_else(|| self.endings.iter().find(is_ending))?;
        let found = Found { keyword: known.keyword, start, end };
        found.stands_right(bytes, known.word).then_some(found)
    }
}

impl Found {
    /// Whether what stands beside the word, known as `known`, fits: some words say little without.
    fn stands_right(&self, bytes: &[u8], known: &[u8]) -> bool {
        let before = &bytes[..self.start];
        let behind = &bytes[self.end..];
        let is_before =
            |words: &[&str]| words.iter().any(|word| ends_with_ignoring_case(before, word.as_bytes()));
        let is_behind = |marks: &[u8]| behind.first().is_some_and(|byte| marks.contains(byte));
        match (self.keyword, known) {
            (StreetBehind | StreetBehindShort, _) => before.last() == Some(&b' '),
            (StreetBefore, b"av" | b"ul" | b"jl") => behind.starts_with(b". "),
            (StreetBefore, _) => is_behind(b" "),
            (StreetEnding, b"str") => is_behind(b"."),
            (StreetEndingWeak, _) => self.end - self.start > known.len() && is_behind(b" "),
            (Unit, b"box") => is_before(&["po ", "p.o. ", "p.o.", "p. o. ", "post office "]),
            (Unit, b"apt" | b"suite" | b"unit") => is_behind(b" .#"),
            (Address, b"lives") => behind.starts_with(b" at"),
            (Postal, b"cap") => is_behind(b": "),
            (User, b"user") => is_behind(b":=") || behind.starts_with(b" name") || behind.starts_with(b" id"),
            (Password, b"pass") => is_behind(b":="),
            (Password, b"passe") => is_before(&["mot de "]),
            _ => true,
        }
    }
}

fn ends_with_ignoring_case(bytes: &[u8], end: &[u8]) -> bool {
    bytes.len() >= end.len() && bytes[bytes.len() - end.len()..].eq_ignore_ascii_case(end)
}

/// A word's place in its table: by its length, its first two bytes and its last, of whatever case.
#[inline]
fn word_place(word: &[u8]) -> usize {
    let ([first, second, ..], [.., last]) = (word, word) else { return 0 };
    mixed([*first, *second, *last], word.len() as u8)
}

/// An ending's place in its table: by its last three bytes, of whatever case.
#[inline]
fn tail_place(word: &[u8]) -> usize {
    let [.., first, second, last] = word else { return 0 };
    mixed([*first, *second, *last], 0)
}

/// One of [`BITS`] places, by Fibonacci hashing: the highest bits of a product with a number far from any pattern.
#[inline]
fn mixed([first, second, last]: [u8; 3], length: u8) -> usize {
    let low = u32::from_le_bytes([first | 0x20, second | 0x20, last | 0x20, length]);
    (low.wrapping_mul(0x9e37_79b1) >> (u32::BITS - BITS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<Keyword> {
        let keywords = Keywords::new(|_| true).expect("keywords");
        let start = text.find('>').map_or(0, |at| at + 1);
        let length =
            text[start..].find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len() - start);
        keywords.at(text.as_bytes(), start, start + length).map(|found| found.keyword)
    }

    #[test]
    fn words_and_endings_are_heard_where_they_fit() {
        assert_eq!(at("Hauptstraße 5"), Some(StreetEnding));
        assert_eq!(at("HAUPTSTRASSE"), Some(StreetEnding));
        assert_eq!(at("Hauptstr. 5"), Some(StreetEnding));
        assert_eq!(at("Rua do"), Some(StreetBefore));
        assert_eq!(at("billingAddress"), Some(Address));
        assert_eq!(at("user_password="), Some(Password));
        assert_eq!(at("user: x"), Some(User));
        for text in ["user said", "Hauptstr", "rue.", "pass the", "weg", "x"] {
            assert_eq!(at(text), None, "{text}");
        }
    }
}
