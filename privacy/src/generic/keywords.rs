//! Words that announce personal data: kinds of streets, "address:", "zip", "user:", "password:".

use crate::scanner::text::{self, CLASSES, class};

/// What a word announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyword {
    /// Stands behind the name of a street: `Baker Street`.
    StreetBehind,
    /// Short for one: `Baker St`. Looked for behind numbers only.
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
    Address, Password, Postal, StreetBefore, StreetBehind, StreetEnding, StreetEndingWeak, Unit, User,
};

/// Whole words, in lower case, by what they announce.
const WORDS: [(Keyword, &[&str]); 7] = [
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
        StreetBefore,
        &[
            "rua", "calle", "via", "rue", "avenida", "av.", "plaza", "piazza", "corso", "viale", "largo",
            "praça", "travessa", "estrada", "ulica", "ul.", "chemin", "impasse", "allée", "quai", "carrer",
            "paseo", "camino", "passeig", "vicolo", "strada", "jalan", "jl.", "rúa",
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
            "straße", "strasse", "str.", "gasse", "platz", "allee", "straat", "laan", "plein", "gracht",
            "gatan", "vägen", "gränd", "veien", "vegen", "gaten", "stræde", "katu", "kuja", "polku",
        ],
    ),
    (StreetEndingWeak, &["weg", "tie", "vej", "gade", "gata", "gate", "vei", "damm", "ufer", "dijk", "kade"]),
    (Address, &["address", "adresse"]),
    (Postal, &["zipcode", "postcode", "plz"]),
    (User, &["username"]),
    (Password, &["password", "passwd", "pwd"]),
];

/// A word found: what it announces and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) keyword: Keyword,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A word that is sought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sought {
    keyword: Keyword,
    /// As it is written in the lists above.
    pub(crate) word: &'static str,
    is_ending: bool,
}

/// The words that `is_wanted`.
pub(crate) fn sought(is_wanted: impl Fn(Keyword) -> bool) -> Vec<Sought> {
    let whole = WORDS.iter().map(|(keyword, words)| (*keyword, *words, false));
    let endings = ENDINGS.iter().map(|(keyword, words)| (*keyword, *words, true));
    let wanted = whole.chain(endings).filter(|(keyword, ..)| is_wanted(*keyword));
    wanted
        .flat_map(|(keyword, words, is_ending)| {
            words.iter().map(move |word| Sought { keyword, word, is_ending })
        })
        .collect()
}

impl Sought {
    /// What it announces where it stands at `start..end` of `text`, if what stands beside it lets it.
    pub(crate) fn at(&self, text: &str, start: usize, end: usize) -> Option<Found> {
        let bytes = text.as_bytes();
        let is_joined = |at: Option<usize>| {
            let byte = at.and_then(|at| bytes.get(at));
            byte.is_some_and(|byte| CLASSES[usize::from(*byte)] & (class::WORD | class::WIDE) != 0)
        };
        // Fields are called `user_password` and `zip_code_2`.
        let is_field = matches!(self.keyword, Address | Password | User | Postal);
        let ends_in_letter = CLASSES[usize::from(bytes[end - 1])] & class::WORD != 0;
        let is_field_before = is_field && start > 0 && bytes[start - 1] == b'_';
        if !self.is_ending
            && is_joined(start.checked_sub(1))
            && !is_field_before
            && !text::is_free_before(text, start)
        {
            return None;
        }
        if ends_in_letter && !text::is_free_after(text, end) && !(is_field && bytes[end] == b'_') {
            return None;
        }
        let found = Found { keyword: self.keyword, start, end };
        self.stands_right(bytes, found).then_some(found)
    }

    /// Some words say little without what stands beside them.
    fn stands_right(&self, bytes: &[u8], found: Found) -> bool {
        let before = &bytes[..found.start];
        let behind = &bytes[found.end..];
        let is_before =
            |words: &[&str]| words.iter().any(|word| ends_with_ignoring_case(before, word.as_bytes()));
        let is_behind = |marks: &[u8]| behind.first().is_some_and(|byte| marks.contains(byte));
        match (self.keyword, self.word) {
            (StreetBehind, _) => before.last() == Some(&b' '),
            (StreetBefore, _) => is_behind(b" "),
            (StreetEndingWeak, _) => {
                is_behind(b" ")
                    && before.last().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80)
            }
            (Unit, "box") => is_before(&["po ", "p.o. ", "p.o.", "p. o. ", "post office "]),
            (Unit, "apt" | "suite" | "unit") => is_behind(b" .#"),
            (Address, "lives") => behind.starts_with(b" at"),
            (Postal, "cap") => is_behind(b": "),
            (User, "user") => is_behind(b":=") || behind.starts_with(b" name") || behind.starts_with(b" id"),
            (Password, "pass") => is_behind(b":="),
            (Password, "passe") => is_before(&["mot de "]),
            _ => true,
        }
    }
}

fn ends_with_ignoring_case(bytes: &[u8], end: &[u8]) -> bool {
    bytes.len() >= end.len() && bytes[bytes.len() - end.len()..].eq_ignore_ascii_case(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scanner::heads::Heads;

    fn in_text(text: &str) -> Vec<Keyword> {
        let sought = sought(|_| true);
        let mut found = Vec::new();
        Heads::new(sought.iter().map(|sought| sought.word)).find(text, |index, start, end| {
            found.extend(sought[index].at(text, start, end).map(|found| found.keyword))
        });
        found
    }

    #[test]
    fn words_and_endings_are_heard_where_they_fit() {
        assert_eq!(in_text("Hauptstraße 5"), [StreetEnding]);
        assert_eq!(in_text("HAUPTSTRASSE 5"), [StreetEnding]);
        assert_eq!(in_text("Hauptstr. 5"), [StreetEnding]);
        assert_eq!(in_text("Puruntie 82"), [StreetEndingWeak]);
        assert_eq!(in_text("Rua do"), [StreetBefore]);
        assert_eq!(in_text("Elm Street"), [StreetBehind]);
        assert_eq!(in_text("billingAddress"), [Address]);
        assert_eq!(in_text("user_password="), [Password]);
        assert_eq!(in_text("user: x"), [User]);
        for text in ["user said", "Hauptstr", "rue.", "pass the", "weg ", "x", "", "true "] {
            assert_eq!(in_text(text), [], "{text}");
        }
    }
}
