//! Numbers of bank accounts, by ISO 13616.

use iban::Iban;

use crate::entity::Entity;
use crate::scanner::sink::Sink;
use crate::scanner::text;

/// The longest and the shortest of any country, in characters without separators (ISO 13616).
const LONGEST: usize = 34;
const SHORTEST: usize = 15;

/// Looks for an account number at `start`, where two letters and two digits stand. It may be grouped by single spaces or
/// hyphens; text behind it is left out, as its country says how long it is.
pub(crate) fn find(sink: &mut Sink<'_>, start: usize) {
    let text = sink.text;
    let bytes = text.as_bytes();
    let mut compact = [0_u8; LONGEST];
    let mut count = 0;
    let mut at = start;
    let is_upper = bytes[start].is_ascii_uppercase();
    // The number as ISO 7064 reads it, without the first four characters, modulo 97.
    let mut rest = 0;
    while count < LONGEST
        && let Some(byte) = bytes.get(at)
    {
        if matches!(byte, b' ' | b'-')
            && count >= 4
            && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
        {
            at += 1;
            continue;
        }
        let is_of_case = if is_upper { !byte.is_ascii_lowercase() } else { !byte.is_ascii_uppercase() };
        if !byte.is_ascii_alphanumeric() || !is_of_case {
            break;
        }
        compact[count] = byte.to_ascii_uppercase();
        if count >= 4 {
            rest = followed_by(rest, compact[count]);
        }
        count += 1;
        at += 1;
        if count >= SHORTEST && is_checked(rest, &compact) && text::is_free_after(text, at) {
            let number = std::str::from_utf8(&compact[..count]).unwrap_or_default();
            if number.parse::<Iban>().is_ok() || is_of_other_country(number) {
                sink.add(start, at, Entity::IbanCode, 1.0, "iban");
                return;
            }
        }
    }
}

/// Countries of the registry that the crate `iban_validate` does not know: Honduras (`4!a20!n`) and Pakistan (`4!a16!c`).
fn is_of_other_country(number: &str) -> bool {
    let bank = number.len() > 8 && number.as_bytes()[4..8].iter().all(u8::is_ascii_uppercase);
    match &number[..2] {
        "HN" => bank && number.len() == 28 && number.as_bytes()[8..].iter().all(u8::is_ascii_digit),
        "PK" => bank && number.len() == 24,
        _ => false,
    }
}

/// The remainder by 97 when `byte`, a digit or an upper-case letter, is written behind.
fn followed_by(rest: u32, byte: u8) -> u32 {
    match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    }
}

/// Whether the whole number leaves 1, `rest` being the remainder of all but its first four characters.
fn is_checked(rest: u32, compact: &[u8; LONGEST]) -> bool {
    compact[..4].iter().fold(rest, |rest, byte| followed_by(rest, *byte)) == 1
}
