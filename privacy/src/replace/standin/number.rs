//! Numbers and codes in the form of the original that are nobody's: a check digit is wrong, or the number is one that is not
//! given out.

use super::super::draw::{Draw, Key};
use super::contact::put_digits;
use crate::check::Check;
use crate::entity::Entity;
use crate::national;

/// Fewer than one number in a thousand million passes a check of one in ten as often as this.
const TRIES: u32 = 64;

/// Same signs at the same places, digits for digits and letters for letters; the first digit stays 0 or other than 0.
pub(super) fn like(draw: &mut Draw, text: &str) -> String {
    let mut first = true;
    let drawn = text.chars().map(|c| {
        if c.is_ascii_digit() {
            let digit = if first && c != '0' { char::from(b'1' + draw.below(9) as u8) } else { draw.digit() };
            first = false;
            return digit;
        }
        if c.is_ascii_alphabetic() { draw.letter(c) } else { c }
    });
    drawn.collect()
}

/// A card of the same brand and length whose Luhn digit is wrong.
pub(super) fn card(mut draw: Draw, text: &str) -> String {
    let digits: Vec<char> = text.chars().filter(char::is_ascii_digit).collect();
    let mut drawn: Vec<char> = digits.iter().map(|_| draw.digit()).collect();
    if let (Some(first), Some(brand)) = (drawn.first_mut(), digits.first()) {
        *first = *brand;
    }
    let values = |drawn: &[char]| drawn.iter().map(|&digit| digit as u8 - b'0').collect::<Vec<u8>>();
    if national::checksums::luhn(&values(&drawn))
        && let Some(last) = drawn.last_mut()
    {
        *last = char::from(b'0' + (*last as u8 - b'0' + 1) % 10);
    }
    put_digits(text, &drawn)
}

/// The country stays; the check digits are 00, which ISO 13616 never yields.
pub(super) fn iban(mut draw: Draw, text: &str) -> String {
    let mut place = 0;
    let drawn = text.chars().map(|c| {
        if !c.is_ascii_alphanumeric() {
            return c;
        }
        place += 1;
        match place {
            1 | 2 => c,
            3 | 4 => '0',
            _ if c.is_ascii_digit() => draw.digit(),
            _ => draw.letter(c),
        }
    });
    drawn.collect()
}

/// The first signs say which chain and stay; the rest is drawn, so that the checksum is wrong but once in 2³².
pub(super) fn wallet(mut draw: Draw, text: &str) -> String {
    let kept =
        ["bc1", "tb1", "0x"].iter().find(|front| text.starts_with(**front)).map_or(1, |front| front.len());
    let (front, rest) = text.split_at(text.ceil_char_boundary(kept));
    format!("{front}{}", like(&mut draw, rest))
}

/// An identifier that its own check refuses. Where there is no check, the first half of its digits are zeros: such low numbers
/// are specimens or long expired.
pub(super) fn identifier(key: &Key, entity: Entity, canonical: &str, text: &str, attempt: u32) -> String {
    let kept = front(entity, text);
    let (front, rest) = text.split_at(kept);
    let mut draw = key.draw(entity.name(), canonical, attempt);
    for _ in 0..TRIES {
        let made = format!("{front}{}", like(&mut draw, rest));
        if is_refused(entity, &made) {
            return made;
        }
    }
    let mut made = String::new();
    for _ in 0..TRIES {
        made = format!("{front}{}", low(&mut draw, rest));
        if !is_proved(entity, &made) {
            break;
        }
    }
    made
}

/// Drawn letters and digits, but zeros for the first half of the digits.
fn low(draw: &mut Draw, text: &str) -> String {
    let count = text.chars().filter(char::is_ascii_digit).count();
    let digits: Vec<char> =
        (0..count).map(|place| if place < count.div_ceil(2) { '0' } else { draw.digit() }).collect();
    put_digits(&like(draw, text), &digits)
}

/// How many bytes are the country's or the register's, not the holder's.
fn front(entity: Entity, text: &str) -> usize {
    match entity {
        Entity::DeVatId | Entity::DeHandelsregister | Entity::ItVatCode => {
            text.bytes().take_while(u8::is_ascii_alphabetic).count()
        }
        _ => 0,
    }
}

/// Whether the entity has checks and each of them refuses the text.
fn is_refused(entity: Entity, text: &str) -> bool {
    let mut checks = national::forms().filter(|form| form.entity == entity).map(|form| form.check);
    let mut any = false;
    let refused = checks.all(|check| {
        any = true;
        check.is_some_and(|check| check(text) == Check::Invalid)
    });
    any && refused
}

/// Whether some check of the entity takes the text for sure.
fn is_proved(entity: Entity, text: &str) -> bool {
    let mut checks = national::forms().filter(|form| form.entity == entity).filter_map(|form| form.check);
    checks.any(|check| check(text).is_right())
}
