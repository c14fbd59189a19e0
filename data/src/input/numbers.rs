//! Whole numbers that the parser of JSON gives other digits: those beyond 64 bits, and `-0`.
//!
//! A number beyond 64 bits is read as a text that holds its digits behind a [`MARK`]. Where it reaches what is trained or kept
//! the row is refused; a field that nobody reads does no harm.

use std::ops::Range;

use serde_json::Value;

use super::scan::{Inside, step};
use crate::problem::ProblemKind;

/// What stands before the digits: characters that Unicode keeps for a program's own use and no text has (chapter 23.7).
const MARK: &str = "\u{fdd0}\u{fdd1}\u{fdd2}";

/// Digits of the shortest whole number that may be larger than 64 bits hold.
const LONG_DIGITS: usize = 19;

/// Digits that are shown of a number.
const SHOWN_DIGITS: usize = 40;

/// A value with every number as it is written: `-0` is 0, as in Python, and a whole number beyond 64 bits is its digits behind a mark.
///
/// # Errors
/// Those of the parser, of the text as it was given.
pub(crate) fn parse(text: &str) -> serde_json::Result<Value> {
    // First as it is given: what is no JSON is not made any.
    let read = serde_json::from_str(text)?;
    let numbers = misread(text);
    if numbers.is_empty() {
        return Ok(read);
    }
    // Each of the two may be large.
    drop(read);
    let (mut written, mut end) = (String::with_capacity(text.len() + 16 * numbers.len()), 0);
    for number in numbers {
        written.push_str(&text[end..number.start]);
        match &text[number.clone()] {
            "-0" => written.push('0'),
            digits => written.extend(["\"", MARK, digits, "\""]),
        }
        end = number.end;
    }
    written.push_str(&text[end..]);
    serde_json::from_str(&written)
}

/// The digits that [`parse`] put in the place of a number.
pub(crate) fn digits_of(text: &str) -> Option<&str> {
    text.strip_prefix(MARK).filter(|digits| is_whole(digits))
}

/// The JSON of a value, with the numbers of [`parse`] as numbers.
pub(crate) fn written(value: &Value) -> String {
    let text = value.to_string();
    let quoted = format!("\"{MARK}");
    let mut parts = text.split(quoted.as_str());
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('"').filter(|(digits, _)| is_whole(digits)) {
            Some((digits, rest)) => out.extend([digits, rest]),
            None => out.extend([quoted.as_str(), part]),
        }
    }
    out
}

/// A value with the numbers of [`parse`] as texts of their digits: for fields that are handed on and not looked into.
pub(super) fn as_texts(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(digits) = digits_of(text) {
                *text = digits.to_owned();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(as_texts),
        Value::Object(fields) => fields.values_mut().for_each(as_texts),
        _ => {}
    }
}

/// Refuses a text that a number of [`parse`] has become a part of.
pub(super) fn refuse_in_text(text: &str) -> Result<(), ProblemKind> {
    let Some((_, rest)) = text.split_once(MARK) else { return Ok(()) };
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '-').unwrap_or(rest.len());
    let mut number = rest[..end].to_owned();
    if number.len() > SHOWN_DIGITS {
        number.truncate(SHOWN_DIGITS);
        number.push('…');
    }
    Err(ProblemKind::NumberTooLarge { number })
}

/// Refuses a value that a number of [`parse`] stands in.
pub(super) fn refuse(value: &Value) -> Result<(), ProblemKind> {
    match value {
        Value::String(text) => refuse_in_text(text),
        Value::Array(items) => items.iter().try_for_each(refuse),
        Value::Object(fields) => fields.values().try_for_each(refuse),
        _ => Ok(()),
    }
}

fn is_whole(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Where whole numbers stand in a JSON text that the parser gives other digits.
fn misread(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if !has_long_run(text) && !has_negative_zero(text) {
        return found;
    }
    let (mut inside, mut depth, mut start) = (Inside::Value, 0, None);
    let in_number = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
    // What comes behind the last byte ends a number there.
    for (at, byte) in text.bytes().chain([b' ']).enumerate() {
        match (inside == Inside::Value && in_number(byte), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                let number = &text[from..at];
                // The `e` of `true` is none.
                let is_long = number.len() >= LONG_DIGITS && is_whole(number);
                let is_beyond = is_long && number.parse::<i64>().is_err() && number.parse::<u64>().is_err();
                if is_beyond || number == "-0" {
                    found.push(from..at);
                }
                start = None;
            }
            _ => {}
        }
        inside = step(inside, byte, &mut depth);
    }
    found
}

fn has_long_run(text: &str) -> bool {
    let (mut run, mut longest) = (0, 0);
    for byte in text.bytes() {
        run = if byte.is_ascii_digit() { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest >= LONG_DIGITS
}

/// Whether `-0` stands somewhere that is no part of a longer number or a date.
fn has_negative_zero(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |at: usize| !matches!(bytes.get(at), Some(b'0'..=b'9' | b'.' | b'e' | b'E'));
    text.match_indices("-0").any(|(at, found)| ends(at + found.len()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_beyond_64_bits_are_found_outside_of_texts() {
        let large = |text: &str| misread(text).into_iter().map(|at| text[at].to_owned()).collect::<Vec<_>>();
        for held in [
            "[18446744073709551615, -9223372036854775808, 9223372036854775807]",
            "[1e30, 1.5, 12345678901234567890123.0, 1234567890123456789012E5, 0.12345678901234567890123]",
            r#"{"12345678901234567890123": "a \" 12345678901234567890123", "b": true}"#,
            r#"[-0.0, -0e1, -0E1, "-0", "2026-01", {"-0": "\"-0 "}]"#,
        ] {
            assert_eq!(large(held), Vec::<String>::new(), "{held}");
        }
        let text = "{\"a\": [18446744073709551616,-9223372036854775809], \"b\": 12345678901234567890123}";
        assert_eq!(large(text), ["18446744073709551616", "-9223372036854775809", "12345678901234567890123"]);
        assert_eq!(large("99999999999999999999"), ["99999999999999999999"]);
        assert_eq!(large("[-0,{\"a\":-0}]"), ["-0", "-0"]);
    }

    #[test]
    fn numbers_keep_their_digits_and_what_is_no_json_stays_so() {
        for (text, again) in [
            ("-0", "0"),
            // What `json.loads` and `json.dumps` of Python make of them.
            ("[-0, -0.0, 1, -1, 0]", "[0,-0.0,1,-1,0]"),
            (
                r#"{"a": 12345678901234567890123, "b": "12345678901234567890123"}"#,
                r#"{"a":12345678901234567890123,"b":"12345678901234567890123"}"#,
            ),
            (
                "[-12345678901234567890, [99999999999999999999]]",
                "[-12345678901234567890,[99999999999999999999]]",
            ),
        ] {
            assert_eq!(parse(text).map(|value| written(&value)).ok().as_deref(), Some(again), "{text}");
        }
        for text in [
            "[--12345678901234567890]",
            "[01234567890123456789012]",
            "[-01234567890123456789012]",
            "[12345678901234567890-]",
            "[12345678901234567890",
            "-00",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        // A text of the user's own that has the mark and no digits behind it.
        let own = json!([format!("{MARK}a"), format!("\"{MARK}1\"")]);
        assert_eq!(written(&own), own.to_string());
    }
}
