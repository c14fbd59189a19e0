//! What stands in place of a value: how it is written, and found again.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::entity::Entity;

/// Hexadecimal digits of a hash: 32 bits. Two of 9,000 values share one with a chance of a hundredth.
const HASH_DIGITS: usize = 8;

/// No record has a million values of one kind; a longer number is the text's own.
const NUMBER_DIGITS: usize = 6;

/// The names that numbers stand behind, shorter than the entities' own.
const LABELS: &[(Entity, &str)] = &[
    (Entity::EmailAddress, "EMAIL"),
    (Entity::PhoneNumber, "PHONE"),
    (Entity::CreditCard, "CARD"),
    (Entity::IbanCode, "IBAN"),
    (Entity::IpAddress, "IP"),
    (Entity::MacAddress, "MAC"),
    (Entity::DateTime, "DATE"),
    (Entity::DateOfBirth, "BIRTH"),
    (Entity::Person, "NAME"),
    (Entity::StreetAddress, "ADDRESS"),
    (Entity::Location, "PLACE"),
    (Entity::Organization, "ORGANIZATION"),
    (Entity::PostalCode, "POSTCODE"),
];

/// `NAME` for a person, the entity's own name for what has no shorter one.
pub(super) fn label(entity: Entity) -> &'static str {
    LABELS.iter().find(|(of, _)| *of == entity).map_or(entity.name(), |(_, label)| label)
}

/// `<PERSON>`.
pub(super) fn tag(entity: Entity) -> String {
    format!("<{entity}>")
}

/// `[NAME_1]`.
pub(super) fn numbered(entity: Entity, number: usize) -> String {
    format!("[{}_{number}]", label(entity))
}

/// `<PERSON:3f9a1c2b>`.
pub(super) fn hashed(entity: Entity, hash: u32) -> String {
    format!("<{entity}:{hash:0HASH_DIGITS$x}>")
}

/// Where placeholders stand in `text`, in order. What overlaps one is no finding: it has been replaced before.
pub(super) fn spans(text: &str) -> Vec<Range<usize>> {
    let openings = memchr::memchr2_iter(b'<', b'[', text.as_bytes());
    openings.filter_map(|start| Some(start..start + length(&text[start..])?)).collect()
}

/// The highest number of each label that `text` holds already.
pub(super) fn highest_numbers(text: &str, highest: &mut BTreeMap<&'static str, usize>) {
    for span in spans(text) {
        let inside = text[span].trim_matches(['[', ']']);
        let Some((name, number)) = inside.rsplit_once('_') else { continue };
        let (Some(label), Ok(number)) = (known_label(name), number.parse::<usize>()) else { continue };
        let most = highest.entry(label).or_insert(0);
        *most = number.max(*most);
    }
}

fn known_label(name: &str) -> Option<&'static str> {
    Entity::ALL.iter().map(|&entity| label(entity)).find(|label| *label == name)
}

/// The length of the placeholder that `text` begins with.
fn length(text: &str) -> Option<usize> {
    /// Longer than any name of an entity with its number or hash.
    const MOST: usize = 64;
    let closing = if text.starts_with('<') { b'>' } else { b']' };
    let end = text.bytes().take(MOST).position(|byte| byte == closing)?;
    let inside = &text[1..end];
    let is_placeholder = if closing == b'>' {
        let (name, hash) = inside.split_once(':').map_or((inside, None), |(name, hash)| (name, Some(hash)));
        let hexadecimal =
            |hash: &str| hash.len() == HASH_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        Entity::ALL.iter().any(|entity| entity.name() == name) && hash.is_none_or(hexadecimal)
    } else {
        let (name, number) = inside.rsplit_once('_')?;
        (1..=NUMBER_DIGITS).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && known_label(name).is_some()
    };
    is_placeholder.then_some(end + 1)
}
