//! Words that announce personal data: kinds of streets, "address:", "zip", "user:", "password:". One automaton finds them all.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::scanner::ScanError;
use crate::scanner::text;

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

/// The words, in lower case, by what they announce. Those that start with a space stand behind other words, as short ones that are
/// met all over the text must; the leftmost of two that overlap is found, so a word beside a shorter one has its space too.
const WORDS: [(Keyword, &[&str]); 10] = [
    (
        StreetBehind,
        &[
            " street",
            " avenue",
            " boulevard",
            " lane",
            " drive",
            " road",
            " court",
            " terrace",
            " crescent",
            " highway",
            " parkway",
            " square",
            " circle",
            " gardens",
            " turnpike",
            " place",
            " trail",
            " alley",
            " mews",
            " grove",
            " close",
            " utca",
        ],
    ),
    (
        StreetBehindShort,
        &[" st", " rd", " ave", " blvd", " ln", " dr", " ct", " pl", " sq", " hwy", " pkwy", " ter", " cir"],
    ),
    (
        StreetBefore,
        &[
            "rua ",
            "calle ",
            "via ",
            "rue ",
            "avenida ",
            "av. ",
            "avenue ",
            "boulevard ",
            "plaza ",
            "piazza ",
            "corso ",
            "viale ",
            "largo ",
            "praça ",
            "travessa ",
            "estrada ",
            "ulica ",
            "ul. ",
            "chemin ",
            "impasse ",
            "allée ",
            "quai ",
            "carrer ",
            "paseo ",
            "camino ",
            "passeig ",
            "vicolo ",
            "strada ",
            "jalan ",
            "jl. ",
            "rúa ",
        ],
    ),
    (
        StreetEnding,
        &[
            "straße", "strasse", "str.", "gasse", "platz", "allee", "straat", "laan", "plein", "gracht",
            "gatan", "vägen", "gränd", "veien", "vegen", "gaten", "stræde", "katu", "kuja", "polku",
            " platz", " allee", " str.", " straße", " strasse", " straat",
        ],
    ),
    (
        StreetEndingWeak,
        &["weg ", "tie ", "vej ", "gade ", "gata ", "gate ", "vei ", "damm ", "ufer ", "dijk ", "kade "],
    ),
    (
        Unit,
        &[
            "p.o. box",
            "po box",
            "p.o.box",
            "postfach",
            "apartado",
            "boîte postale",
            " apt",
            " suite",
            " unit",
        ],
    ),
    (
        Address,
        &[
            "address",
            "adresse",
            "dirección",
            "indirizzo",
            "endereço",
            "adres",
            "osoite",
            "lives at",
            "wohnhaft",
        ],
    ),
    (
        Postal,
        &[
            "zip",
            "zipcode",
            "postcode",
            "postal code",
            "postleitzahl",
            "plz",
            " plz",
            "code postal",
            "código postal",
            "postnummer",
            "postal_code",
            "zip_code",
        ],
    ),
    (
        User,
        &[
            "username",
            "user name",
            "user_name",
            "login",
            "userid",
            "user id",
            "user:",
            "user=",
            "benutzername",
            "usuario",
        ],
    ),
    (
        Password,
        &[
            "password",
            "passwd",
            "passwort",
            "passcode",
            "passphrase",
            "pwd",
            "pass:",
            "pass=",
            "contraseña",
            "mot de passe",
        ],
    ),
];

/// Finds the words.
#[derive(Debug)]
pub(crate) struct Keywords {
    automaton: AhoCorasick,
    kinds: Vec<Keyword>,
}

/// A word found: what it announces and where it stands, without the spaces it was sought with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) keyword: Keyword,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Keywords {
    /// Of those words that `is_wanted`.
    pub(crate) fn new(is_wanted: impl Fn(Keyword) -> bool) -> Result<Option<Self>, ScanError> {
        let wanted = WORDS.iter().filter(|(keyword, _)| is_wanted(*keyword));
        let (words, kinds): (Vec<&str>, Vec<Keyword>) =
            wanted.flat_map(|(keyword, words)| words.iter().map(|word| (*word, *keyword))).unzip();
        if words.is_empty() {
            return Ok(None);
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&words)
            .map_err(|source| ScanError::Forms { reason: source.to_string() })?;
        Ok(Some(Self { automaton, kinds }))
    }

    /// The words of `text`, in order.
    pub(crate) fn find(&self, text: &str, mut each: impl FnMut(Found)) {
        let bytes = text.as_bytes();
        for found in self.automaton.find_iter(text) {
            let keyword = self.kinds[found.pattern().as_usize()];
            let start = found.start() + usize::from(bytes[found.start()] == b' ');
            let end = found.end() - usize::from(bytes[found.end() - 1] == b' ');
            // Endings end words; the others are words, but that `user_password` and `billingAddress` are heard.
            let is_ending = matches!(keyword, StreetEnding | StreetEndingWeak);
            let is_name = matches!(keyword, Address | Password | User | Postal);
            let is_word = is_ending || is_name || text::is_free_before(text, start);
            if is_word
                && (text::is_free_after(text, end)
                    || is_name && bytes.get(end) == Some(&b'_')
                    || !ends_in_letter(bytes, end))
            {
                each(Found { keyword, start, end });
            }
        }
    }
}

fn ends_in_letter(bytes: &[u8], end: usize) -> bool {
    bytes[end - 1].is_ascii_alphanumeric()
}
