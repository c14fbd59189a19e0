//! Words that announce personal data: kinds of streets, "address:", "zip", "user:", "password:".
//!
//! The pass asks for every word of a text: two small tables of bits, by how a word starts and ends, let one in fifty through to be
//! compared.

use std::collections::HashMap;

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
    Address, Password, Postal, StreetBefore, StreetBehind, StreetBehindShort, StreetEnding, StreetEndingWeak, Unit, User,
};

/// Whole words, in lower case, by what they announce.
const WORDS: [(Keyword, &[&str]); 8] = [
    (
        StreetBehind,
        &[
            "street", "avenue", "boulevard", "lane", "drive", "road", "court", "terrace", "crescent", "highway", "parkway",
            "square", "circle", "gardens", "turnpike", "place", "trail", "alley", "mews", "grove", "close", "utca",
        ],
    ),
    (
        StreetBehindShort,
        &["st", "rd", "ave", "blvd", "ln", "dr", "ct", "pl", "sq", "hwy", "pkwy", "ter", "cir"],
    ),
    (
        StreetBefore,
        &[
            "rua", "calle", "via", "rue", "avenida", "av", "plaza", "piazza", "corso", "viale", "largo", "praça", "travessa",
            "estrada", "ulica", "ul", "chemin", "impasse", "allée", "quai", "carrer", "paseo", "camino", "passeig", "vicolo",
            "strada", "jalan", "jl", "rúa",
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
            "straße", "strasse", "str", "gasse", "platz", "allee", "straat", "laan", "plein", "gracht", "gatan", "vägen", "gränd",
            "veien", "vegen", "gaten", "stræde", "katu", "kuja", "polku",
        ],
    ),
    (StreetEndingWeak, &["weg", "tie", "vej", "gade", "gata", "gate", "vei", "damm", "ufer", "dijk", "kade"]),
    (Address, &["address", "adresse"]),
    (Postal, &["zipcode", "postcode", "plz"]),
    (User, &["username"]),
    (Password, &["password", "passwd", "pwd"]),
];

/// The longest word that is compared, and what of an ending tells it apart, in bytes.
const LONGEST_BYTES: usize = 40;
const TAIL_BYTES: usize = 3;

/// Bits of a table.
const BITS: usize = 4096;

/// The words and endings that are wanted.
#[derive(Debug)]
pub(crate) struct Keywords {
    words: HashMap<Vec<u8>, Keyword>,
    endings: Vec<(&'static [u8], Keyword)>,
    word_bits: Box<[u64; BITS / 64]>,
    ending_bits: Box<[u64; BITS / 64]>,
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
        let flat = |of: &[(Keyword, &'static [&'static str])]| -> Vec<(&'static [u8], Keyword)> {
            let wanted = of.iter().filter(|(keyword, _)| is_wanted(*keyword));
            wanted.flat_map(|(keyword, words)| words.iter().map(|word| (word.as_bytes(), *keyword))).collect()
        };
        let mut keywords = Self {
            words: flat(&WORDS).into_iter().map(|(word, keyword)| (word.to_vec(), keyword)).collect(),
            endings: flat(&ENDINGS),
            word_bits: Box::new([0; BITS / 64]),
            ending_bits: Box::new([0; BITS / 64]),
        };
        // The longest of two endings of one word decides.
        keywords.endings.sort_by_key(|(ending, _)| std::cmp::Reverse(ending.len()));
        for word in keywords.words.keys() {
            let bit = word_bit(word);
            keywords.word_bits[bit / 64] |= 1 << (bit % 64);
        }
        for (ending, _) in &keywords.endings {
            let bit = tail_bit(ending);
            keywords.ending_bits[bit / 64] |= 1 << (bit % 64);
        }
        (!keywords.words.is_empty()).then_some(keywords)
    }

    /// What the word at `start..end` of `bytes` announces.
    #[inline]
    pub(crate) fn at(&self, bytes: &[u8], start: usize, end: usize) -> Option<Found> {
        let word = &bytes[start..end];
        if word.len() < 2 || word.len() > LONGEST_BYTES {
            return None;
        }
        let has = |bits: &[u64; BITS / 64], bit: usize| bits[bit / 64] >> (bit % 64) & 1 == 1;
        let may_be_word = has(&self.word_bits, word_bit(word));
        let may_have_ending = word.len() >= TAIL_BYTES && has(&self.ending_bits, tail_bit(word));
        if !may_be_word && !may_have_ending {
            return None;
        }
        self.compare(bytes, start, end)
    }

    fn compare(&self, bytes: &[u8], start: usize, end: usize) -> Option<Found> {
        let mut lower = [0; LONGEST_BYTES];
        let lower = &mut lower[..end - start];
        lower.copy_from_slice(&bytes[start..end]);
        lower.make_ascii_lowercase();
        let ending = || self.endings.iter().find(|(ending, _)| lower.ends_with(ending)).map(|(_, keyword)| *keyword);
        let keyword = self.words.get(&*lower).copied().or_else(ending)?;
        let found = Found { keyword, start, end };
        found.stands_right(bytes, lower).then_some(found)
    }
}

impl Found {
    /// Whether what stands beside the word fits: some words say little without.
    fn stands_right(&self, bytes: &[u8], lower: &[u8]) -> bool {
        let before = &bytes[..self.start];
        let behind = &bytes[self.end..];
        let is_before = |words: &[&str]| words.iter().any(|word| ends_with_ignoring_case(before, word.as_bytes()));
        let is_behind = |marks: &[u8]| behind.first().is_some_and(|byte| marks.contains(byte));
        match (self.keyword, lower) {
            (StreetBehind | StreetBehindShort, _) => before.last() == Some(&b' '),
            (StreetBefore, b"av" | b"ul" | b"jl") => behind.starts_with(b". "),
            (StreetBefore, _) => is_behind(b" "),
            (StreetEnding, _) if lower.ends_with(b"str") => is_behind(b"."),
            (StreetEndingWeak, _) => lower.len() > "gate".len() && is_behind(b" "),
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
fn word_bit(word: &[u8]) -> usize {
    let low = |byte: u8| usize::from(byte | 0x20);
    (word.len() * 641 + low(word[0]) * 31 + low(word[1]) * 7 + low(word[word.len() - 1]) * 173) % BITS
}

/// An ending's place in its table: by its last three bytes, of whatever case.
fn tail_bit(word: &[u8]) -> usize {
    let low = |byte: u8| usize::from(byte | 0x20);
    let [.., a, b, c] = word else { return 0 };
    (low(*a) * 961 + low(*b) * 31 + low(*c)) % BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<Keyword> {
        let keywords = Keywords::new(|_| true).expect("keywords");
        let start = text.find('>').map_or(0, |at| at + 1);
        let length = text[start..].find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len() - start);
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
