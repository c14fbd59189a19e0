//! Addresses of houses, and postal codes, where a word shows them.

use crate::entity::Entity;
use crate::generic::keywords::{Found, Keyword};
use crate::scanner::sink::Sink;
use crate::scanner::text::{self, digits_at};

/// Most words of a street's name, and most digits of a house's number.
const MOST_WORDS: usize = 5;
const MOST_HOUSE_DIGITS: usize = 5;

/// The longest address behind a word for it, in bytes: what fits on an envelope's lines.
const LONGEST_BYTES: usize = 120;

const SCORE: f32 = 0.7;
const SCORE_WEAK: f32 = 0.4;
const SCORE_CUED: f32 = 0.5;
const SCORE_CODE: f32 = 0.7;

/// Words within a street's name that are written small, in several languages.
const SMALL: [&str; 26] = [
    "de", "la", "le", "les", "du", "des", "do", "da", "dos", "das", "del", "della", "dei", "di", "el", "los",
    "las", "von", "der", "den", "van", "the", "of", "y", "e", "im",
];

/// Short words for streets, behind their names.
const SHORT: [&str; 13] =
    ["st", "rd", "ave", "blvd", "ln", "dr", "ct", "pl", "sq", "hwy", "pkwy", "ter", "cir"];

/// Points of the compass behind a street, the longer first.
const COMPASS: [&str; 8] = ["NW", "NE", "SW", "SE", "N", "S", "E", "W"];

/// Words for parts of a house behind a street.
const PARTS: [&str; 9] = ["apt.", "apt", "apartment", "suite", "ste.", "ste", "unit", "floor", "#"];

/// Addresses that are none of a house.
const OTHER_ADDRESSES: [&str; 12] =
    ["email", "mail", "ip", "ipv4", "ipv6", "mac", "web", "wallet", "url", "memory", "bitcoin", "hardware"];

/// Looks around a keyword.
pub(crate) fn find(sink: &mut Sink<'_>, found: Found) {
    match found.keyword {
        Keyword::StreetBehind => behind(sink, found, SCORE),
        Keyword::StreetBefore => before(sink, found),
        Keyword::StreetEnding => ending(sink, found, SCORE),
        Keyword::StreetEndingWeak => ending(sink, found, SCORE_WEAK),
        Keyword::Unit => unit(sink, found),
        Keyword::Address => announced(sink, found),
        Keyword::Postal => postal(sink, found),
        Keyword::StreetBehindShort | Keyword::User | Keyword::Password => {}
    }
}

/// Looks behind the number of a house for a street with a short word: `12 Elm St.`, `5 N Main Ave`.
pub(crate) fn behind_number(sink: &mut Sink<'_>, end: usize) {
    let text = sink.text;
    let is_name =
        text.as_bytes().get(end + 1).is_some_and(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let mut at = end;
    for _ in 0..=MOST_WORDS {
        let Some(word_end) = word_behind(text, at).filter(|_| is_name) else { return };
        let word = &text[at + 1..word_end];
        let plain = word.trim_end_matches('.');
        if SHORT.iter().any(|short| plain.eq_ignore_ascii_case(short)) && at > end {
            let start = at + 1;
            let found = Found { keyword: Keyword::StreetBehindShort, start, end: start + plain.len() };
            return behind(sink, found, SCORE_CUED);
        }
        if !is_name_word(word) {
            return;
        }
        at = word_end;
    }
}

/// `221B Baker Street`, `1600 Pennsylvania Avenue NW, Apt 5`; or `Baker Street 221`.
fn behind(sink: &mut Sink<'_>, found: Found, score: f32) {
    let text = sink.text;
    let bytes = text.as_bytes();
    let mut end = found.end;
    end += usize::from(bytes.get(end) == Some(&b'.') && found.keyword == Keyword::StreetBehindShort);
    let mut at = found.start;
    let mut first_word = None;
    for _ in 0..=MOST_WORDS {
        let Some(word_start) = word_before(text, at) else { break };
        let word = &text[word_start..].split([' ', ',']).next().unwrap_or_default();
        if first_word.is_some() && is_house(word) {
            let end = with_part(text, with_compass(text, end));
            return sink.add(word_start, end, Entity::StreetAddress, score, "street");
        }
        if !is_name_word(word) {
            break;
        }
        first_word = Some(word_start);
        at = word_start;
    }
    let is_capital = text[found.start..].starts_with(char::is_uppercase);
    if let Some(start) = first_word.filter(|_| is_capital)
        && let Some(end) = house_at(text, end)
    {
        sink.add(start, end, Entity::StreetAddress, SCORE_WEAK, "street");
    }
}

/// `Rua do Arenque 1634`, `Calle Mayor, 5`; or `12 rue de la Paix`.
fn before(sink: &mut Sink<'_>, found: Found) {
    let text = sink.text;
    let mut end = found.end;
    let mut has_name = false;
    let mut name_end = end;
    for _ in 0..MOST_WORDS {
        if has_name && let Some(house_end) = house_at(text, end) {
            return sink.add(found.start, with_part(text, house_end), Entity::StreetAddress, SCORE, "street");
        }
        let Some(word_end) = word_behind(text, end) else { break };
        let word = &text[end + 1..word_end];
        if !is_name_word(word) {
            break;
        }
        if !SMALL.contains(&word) {
            (has_name, name_end) = (true, word_end);
        }
        end = word_end;
    }
    if has_name && let Some(house_end) = house_at(text, end) {
        return sink.add(found.start, with_part(text, house_end), Entity::StreetAddress, SCORE, "street");
    }
    let house = word_before(text, found.start);
    if let Some(start) = house.filter(|_| has_name)
        && is_house(text[start..].split([' ', ',']).next().unwrap_or_default())
    {
        sink.add(start, name_end, Entity::StreetAddress, SCORE, "street");
    }
}

/// `Hauptstraße 5`, `Puruntie 82`, with a capital and a house's number.
fn ending(sink: &mut Sink<'_>, found: Found, score: f32) {
    let text = sink.text;
    let part = text[..found.start]
        .chars()
        .rev()
        .take_while(|c| c.is_alphanumeric() || *c == '-')
        .map(char::len_utf8);
    let start = found.start - part.sum::<usize>();
    let is_capital = text[start..].starts_with(char::is_uppercase);
    let Some(end) = house_at(text, found.end).filter(|_| is_capital) else { return };
    let start = match word_before(text, start) {
        Some(word) if is_whole_word(text, found) && text[word..].starts_with(char::is_uppercase) => word,
        _ => start,
    };
    sink.add(start, with_part(text, end), Entity::StreetAddress, score, "street");
}

/// `Lange Straße 5`, whose ending is a word.
fn is_whole_word(text: &str, found: Found) -> bool {
    found.end - found.start <= "strasse".len() && text[found.start..].starts_with(['S', 'P', 'A', 'G', 'W'])
}

/// `P.O. Box 7`, `Apt. 595`, `Suite 501`.
fn unit(sink: &mut Sink<'_>, found: Found) {
    let text = sink.text;
    let bytes = text.as_bytes();
    let dot = usize::from(bytes.get(found.end) == Some(&b'.'));
    let Some(end) = house_at(text, found.end + dot) else { return };
    let is_part =
        ["apt", "suite", "unit"].iter().any(|part| text[found.start..found.end].eq_ignore_ascii_case(part));
    // The letters before a box are its name's.
    let letters = text[..found.start]
        .bytes()
        .rev()
        .take(5)
        .take_while(|byte| matches!(byte, b'P' | b'p' | b'O' | b'o' | b'.' | b' '));
    let is_box = text[found.start..found.end].eq_ignore_ascii_case("box");
    let before =
        text[found.start - if is_box { letters.count() } else { 0 }..].trim_start_matches([' ', '.']);
    let score = if is_part { SCORE_CUED } else { SCORE };
    sink.add(text.len() - before.len(), end, Entity::StreetAddress, score, "street-part");
}

/// `Address: ...`, up to the end of the line.
fn announced(sink: &mut Sink<'_>, found: Found) {
    let text = sink.text;
    let before = &text[..found.start];
    let last =
        before.rsplit(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty()).unwrap_or_default();
    if OTHER_ADDRESSES.iter().any(|other| last.eq_ignore_ascii_case(other)) {
        return;
    }
    let rest = &text[found.end..];
    let value = match rest.strip_prefix(" at ") {
        Some(value) => value,
        None => match value_behind(rest) {
            Some(value) => value,
            None => return,
        },
    };
    let start = text.len() - value.len();
    let line = value.find(['\n', '\r', '"', ';', '|', '<']).unwrap_or(value.len());
    let address = value[..line].split(". ").next().unwrap_or_default().trim_end_matches([' ', '.', ',']);
    let mut words = address.split([' ', ',']);
    let begins_with_house = words.clone().next().is_some_and(is_of_address);
    let has_number = words.clone().any(is_of_address);
    // "address is sent again for 5 euros" is none: places are called by names.
    let has_name = words.any(|word| {
        let mut letters = word.chars();
        letters.next().is_some_and(|c| c.is_uppercase() || (begins_with_house && c.is_alphabetic()))
    });
    let is_other = address.contains('@') || address.contains("://") || address.starts_with("0x");
    if address.len() <= LONGEST_BYTES && has_number && has_name && address.contains(' ') && !is_other {
        sink.add(start, start + address.len(), Entity::StreetAddress, SCORE_CUED, "address");
    }
}

/// Whether a number stands in `word` that a house or a code can have: no price and no share.
fn is_of_address(word: &str) -> bool {
    let bytes = word.as_bytes();
    let has_fraction = bytes.windows(2).any(|two| two[0] == b'.' && two[1].is_ascii_digit());
    let begins_well = word.starts_with(|c: char| c.is_alphanumeric() || c == '#');
    begins_well && bytes.iter().any(u8::is_ascii_digit) && !has_fraction && !word.ends_with('%')
}

/// `ZIP 94105-1234`, `Postleitzahl: 10115`, `postcode is SW1A 1AA`.
fn postal(sink: &mut Sink<'_>, found: Found) {
    let text = sink.text;
    let rest = text[found.end..].strip_prefix(" code").unwrap_or(&text[found.end..]);
    let value = value_behind(rest).unwrap_or_else(|| rest.strip_prefix(' ').unwrap_or_default());
    let start = text.len() - value.len();
    let token = |from: usize| {
        value[from..].bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'-').count()
    };
    let first = token(0);
    let mut length = first;
    // Codes in two halves: British, Canadian, Dutch, Swedish.
    if (2..=4).contains(&first) && value.as_bytes().get(first) == Some(&b' ') {
        let second = token(first + 1);
        let has_digit = value[first + 1..first + 1 + second].bytes().any(|byte| byte.is_ascii_digit());
        length += if (2..=3).contains(&second) && has_digit { 1 + second } else { 0 };
    }
    let code = &value[..length];
    let digits = code.bytes().filter(u8::is_ascii_digit).count();
    let is_long =
        first > 5 && code.bytes().all(|byte| byte.is_ascii_digit()) && found_is_american(text, found);
    if (3..=10).contains(&length) && digits >= 2 && !is_long && text::is_free_after(text, start + length) {
        sink.add(start, start + length, Entity::PostalCode, SCORE_CODE, "postal-code");
    }
}

/// An American code has five digits, or nine with a hyphen.
fn found_is_american(text: &str, found: Found) -> bool {
    text[found.start..found.end].to_ascii_lowercase().contains("zip")
}

/// What stands behind `:`, `=` or `is` at the start of `rest`, quotes taken off.
pub(crate) fn value_behind(rest: &str) -> Option<&str> {
    let rest = rest.trim_start_matches(['"', '\'']).trim_start_matches(' ');
    let rest = rest.strip_prefix([':', '=']).or_else(|| rest.strip_prefix("is "))?;
    Some(rest.trim_start_matches([' ', '"', '\'']))
}

/// Start of the word before `at`, one space (or comma and space) between.
fn word_before(text: &str, at: usize) -> Option<usize> {
    let before = text[..at].strip_suffix(' ')?;
    let before = before.strip_suffix(',').unwrap_or(before);
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '\'' | '’' | '-' | '.' | '/');
    let word = before.chars().rev().take_while(|c| is_part(*c)).map(char::len_utf8).sum::<usize>();
    (word > 0).then(|| before.len() - word)
}

/// End of the word behind `at`, one space between.
fn word_behind(text: &str, at: usize) -> Option<usize> {
    let rest = text[at..].strip_prefix(' ')?;
    let word = rest
        .chars()
        .take_while(|c| c.is_alphanumeric() || matches!(c, '\'' | '’' | '-' | '.'))
        .map(char::len_utf8);
    let length = word.sum::<usize>();
    (length > 0).then_some(at + 1 + length)
}

/// Whether a word can be in the name of a street: with a capital, small between others, or an ordinal.
fn is_name_word(word: &str) -> bool {
    let ordinal = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_ordinal = ordinal.len() < word.len()
        && matches!(ordinal.to_ascii_lowercase().as_str(), "st" | "nd" | "rd" | "th");
    word.starts_with(char::is_uppercase) || is_ordinal || SMALL.contains(&word)
}

/// Whether a word is the number of a house: `5`, `221B`, `12-14`, `3/5`.
fn is_house(word: &str) -> bool {
    let bytes = word.as_bytes();
    let digits = digits_at(bytes, 0, MOST_HOUSE_DIGITS + 1);
    let rest = &bytes[digits..];
    let is_more = match rest {
        [] => true,
        [letter] => letter.is_ascii_alphabetic(),
        [b'-' | b'/', more @ ..] => more.len() <= 4 && more.iter().all(u8::is_ascii_alphanumeric),
        _ => false,
    };
    (1..=MOST_HOUSE_DIGITS).contains(&digits) && is_more
}

/// The end of the house's number behind `at`, a space or a comma between.
fn house_at(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let trimmed = rest.strip_prefix(',').unwrap_or(rest);
    let trimmed = trimmed.strip_prefix(' ')?;
    let trimmed = ["#", "nº ", "n° ", "no. ", "Nr. "]
        .iter()
        .find_map(|sign| trimmed.strip_prefix(sign))
        .unwrap_or(trimmed);
    let start = text.len() - trimmed.len();
    let word = trimmed
        .bytes()
        .take(12)
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/'))
        .count();
    let is_number = is_house(&trimmed[..word]) && text::is_free_after(text, start + word);
    is_number.then_some(start + word)
}

fn with_compass(text: &str, end: usize) -> usize {
    let Some(rest) = text[end..].strip_prefix(' ') else { return end };
    let point = COMPASS.iter().find(|point| rest.starts_with(**point));
    let after = point.map(|point| end + 1 + point.len());
    after.filter(|after| text::is_free_after(text, *after)).unwrap_or(end)
}

/// `end`, or behind a part of the house: `, Apt 5`, ` Suite 501`, ` #12`.
fn with_part(text: &str, end: usize) -> usize {
    let rest = text[end..].strip_prefix(',').unwrap_or(&text[end..]);
    let Some(rest) = rest.strip_prefix(' ') else { return end };
    let part = PARTS
        .iter()
        .find(|part| rest.get(..part.len()).is_some_and(|start| start.eq_ignore_ascii_case(part)));
    let Some(part) = part else { return end };
    let number = &rest[part.len()..];
    let number = number.strip_prefix(' ').unwrap_or(number);
    let length = number.bytes().take(6).take_while(u8::is_ascii_alphanumeric).count();
    let has_digit = number.as_bytes()[..length].iter().any(u8::is_ascii_digit);
    let after = text.len() - number.len() + length;
    if has_digit && text::is_free_after(text, after) { after } else { end }
}
