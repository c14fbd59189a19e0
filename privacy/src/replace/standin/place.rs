//! Addresses, places, organisations, names of users.

use super::super::draw::{Draw, Key};
use super::number::like;
use super::person::{Persons, Role, fold, in_case, pieces};
use super::words::{FIRMS, PLACES, STREETS};

/// Words of an address that say what it is and not which.
#[rustfmt::skip]
const KINDS: &[&str] = &[
    "street", "st", "avenue", "ave", "road", "rd", "lane", "ln", "drive", "dr", "court", "ct", "boulevard", "blvd", "way", "place",
    "pl", "square", "sq", "terrace", "crescent", "close", "highway", "hwy", "parkway", "pkwy", "circle", "cir", "trail", "suite",
    "ste", "apt", "apartment", "unit", "floor", "box", "po", "p", "o", "flat", "room", "building", "north", "south", "east", "west",
    "n", "s", "e", "w", "ne", "nw", "se", "sw", "rue", "avenida", "calle", "via", "piazza", "plaza", "straße", "strasse", "str",
    "weg", "platz", "allee", "gasse", "am", "an", "der", "den", "dem", "im", "de", "la", "le", "du", "des", "del", "di", "the", "of",
    "and", "c/o", "postfach",
];

/// Ends of German names of streets, which are written in one word.
const ENDS: &[&str] =
    &["straße", "strasse", "str", "weg", "platz", "allee", "gasse", "ring", "damm", "ufer", "markt"];

/// Forms of companies, which stay.
#[rustfmt::skip]
const FORMS: &[&str] = &[
    "inc", "llc", "ltd", "limited", "corp", "corporation", "co", "company", "plc", "gmbh", "ag", "kg", "ohg", "ug", "se", "sa", "sarl",
    "srl", "spa", "nv", "bv", "ab", "oy", "as", "group", "holding", "bank", "university", "e.v", "pty",
];

/// Numbers for numbers, other words for words; what says street, flat or side of the sky stays.
pub(super) fn address(mut draw: Draw, text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    for piece in pieces(text) {
        if !piece.starts_with(char::is_alphabetic) {
            made.push_str(&like(&mut draw, piece));
            continue;
        }
        let small = piece.to_lowercase();
        // A single letter is a side, a flat or the end of a house number.
        if KINDS.contains(&small.as_str()) || small.chars().count() == 1 {
            made.push_str(piece);
            continue;
        }
        let end = ENDS.iter().find(|end| small.ends_with(**end)).copied().unwrap_or_default();
        made.push_str(&in_case(piece, &format!("{}{end}", draw.pick(STREETS))));
    }
    made
}

pub(super) fn place(mut draw: Draw, text: &str) -> String {
    in_case(text, draw.pick(PLACES))
}

/// Another name before the same form of company.
pub(super) fn organization(mut draw: Draw, text: &str) -> String {
    let last = text.rsplit([' ', ',']).next().unwrap_or_default();
    let is_form = FORMS.contains(&last.trim_matches('.').to_lowercase().as_str()) && last.len() < text.len();
    let firm = in_case(text.split(' ').next().unwrap_or(text), draw.pick(FIRMS));
    if is_form { format!("{firm} {last}") } else { firm }
}

/// Words by the names of the record, digits for digits; signs stay.
pub(super) fn username(persons: &mut Persons, key: &Key, text: &str, attempt: u32) -> String {
    let mut draw = key.draw("user", &fold(text), attempt);
    let renamed = pieces(text).map(|piece| {
        if !piece.starts_with(char::is_alphabetic) {
            return like(&mut draw, piece);
        }
        if attempt > 0 && !persons.knows(&fold(piece)) {
            return in_case(piece, &format!("{}{}", draw.pick(STREETS), draw.below(100)));
        }
        persons.word(key, Role::Given, piece)
    });
    renamed.collect()
}
