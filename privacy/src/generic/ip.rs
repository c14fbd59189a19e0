//! Addresses of the network and of its cards.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::entity::Entity;
use crate::scanner::sink::Sink;
use crate::scanner::text::{self, CLASSES, class, digits_at};

/// The longest IPv6 address in text, in bytes: six groups and a dotted quad.
const LONGEST_V6_BYTES: usize = 45;

/// Most digits of a prefix length: `/128`.
const MOST_PREFIX_DIGITS: usize = 3;

const SCORE: f32 = 0.6;
/// `::`, and groups of letters only, stand in source code more often than in addresses.
const SCORE_WEAK: f32 = 0.1;

/// Looks for an IPv4 address at the digits at `start`; `1.2.3.4`, with a prefix length if there is one.
pub(crate) fn find_v4(sink: &mut Sink<'_>, start: usize) {
    let text = sink.text;
    let bytes = text.as_bytes();
    if start > 1 && bytes[start - 1] == b'.' && bytes[start - 2].is_ascii_digit() {
        return;
    }
    let length = bytes[start..].iter().take("255.255.255.255.".len());
    let end = start + length.take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let quad = text[start..end].trim_end_matches('.');
    let end = start + quad.len();
    if quad.parse::<Ipv4Addr>().is_err() || !text::is_free_after(text, end) {
        return;
    }
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        return;
    }
    let end = with_prefix(text, end, 32);
    sink.add(start, end, Entity::IpAddress, SCORE, "ipv4");
}

/// Looks for an IPv6 address at `start`, where a group of hex digits or `::` starts.
pub(crate) fn find_v6(sink: &mut Sink<'_>, start: usize) {
    let text = sink.text;
    let bytes = text.as_bytes();
    if start > 0 && matches!(bytes[start - 1], b':' | b'.') {
        return;
    }
    let is_part = |byte: &u8| {
        CLASSES[usize::from(*byte)] & (class::DIGIT | class::HEX_LETTER) != 0 || matches!(byte, b':' | b'.')
    };
    let length = bytes[start..].iter().take(LONGEST_V6_BYTES + 1).take_while(|byte| is_part(byte)).count();
    let run = &text[start..start + length];
    let trimmed = run.trim_end_matches('.');
    // The colon of a sentence is not the address's; the two of `fe80::` are.
    let trimmed = match trimmed.strip_suffix(':') {
        Some(rest) if !rest.ends_with(':') => rest,
        _ => trimmed,
    };
    let Ok(address) = trimmed.parse::<Ipv6Addr>() else { return };
    let mut end = start + trimmed.len();
    if !text::is_free_after(text, end) {
        return;
    }
    if bytes.get(end) == Some(&b'%') {
        let is_zone = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let zone = bytes[end + 1..].iter().take_while(is_zone).count();
        end += if zone > 0 { 1 + zone } else { 0 };
    }
    let end = with_prefix(text, end, 128);
    let is_weak = address.is_unspecified() || !text[start..end].bytes().any(|byte| byte.is_ascii_digit());
    sink.add(start, end, Entity::IpAddress, if is_weak { SCORE_WEAK } else { SCORE }, "ipv6");
}

/// `end`, or behind a prefix length of `most` at most.
fn with_prefix(text: &str, end: usize, most: u16) -> usize {
    let bytes = text.as_bytes();
    if bytes.get(end) != Some(&b'/') {
        return end;
    }
    let digits = digits_at(bytes, end + 1, MOST_PREFIX_DIGITS + 1);
    let after = end + 1 + digits;
    let is_prefix = text[end + 1..after].parse::<u16>().is_ok_and(|prefix| prefix <= most);
    if is_prefix && digits <= MOST_PREFIX_DIGITS && text::is_free_after(text, after) { after } else { end }
}

/// Groups of hex digits in the address of a network card, and how long each is, by what separates them.
const MAC_SHAPES: [(u8, usize, usize); 3] = [(b':', 6, 2), (b'-', 6, 2), (b'.', 3, 4)];

/// Looks for the address of a network card at the hex digits at `start`, its first group being followed by `separator`.
pub(crate) fn find_mac(sink: &mut Sink<'_>, start: usize, separator: u8) {
    let text = sink.text;
    let bytes = text.as_bytes();
    let Some((_, groups, size)) = MAC_SHAPES.iter().find(|(by, ..)| *by == separator) else { return };
    if start > 0 && bytes[start - 1] == separator {
        return;
    }
    let end = start + groups * size + groups - 1;
    let Some(address) = bytes.get(start..end) else { return };
    let is_formed = address.iter().enumerate().all(|(index, byte)| match index % (size + 1) == *size {
        true => *byte == separator,
        false => byte.is_ascii_hexdigit(),
    });
    // A longer row of groups is another identifier.
    let goes_on = bytes.get(end) == Some(&separator) && bytes.get(end + 1).is_some_and(u8::is_ascii_hexdigit);
    if !is_formed || goes_on || !text::is_free_after(text, end) {
        return;
    }
    let mut hex = address.iter().filter(|byte| **byte != separator);
    let is_broadcast = hex.clone().all(|byte| byte.eq_ignore_ascii_case(&b'f'));
    if !is_broadcast && !hex.all(|byte| *byte == b'0') {
        sink.add(start, end, Entity::MacAddress, 0.8, "mac");
    }
}
