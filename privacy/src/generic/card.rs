//! Numbers of payment cards, by ISO 7812.

use crate::entity::Entity;
use crate::generic::groups::Groups;
use crate::scanner::sink::Sink;
use crate::scanner::text;

/// First digits from-to and the lengths that go with them, as the brands give them out: UATP; Diners Club; JCB of 15 digits;
/// American Express; JCB; Visa; Mastercard (old, new); Mir; Maestro and Discover, UnionPay, RuPay, Verve, Dankort, InstaPayment,
/// which share the fives and sixes; RuPay's eights; Troy.
const BRANDS: [(u32, u32, &[usize]); 17] = [
    (1, 1, &[15]),
    (2131, 2131, &[15]),
    (1800, 1800, &[15]),
    (300, 305, &[14, 16]),
    (309, 309, &[14, 16]),
    (36, 36, &[14, 16, 19]),
    (38, 39, &[14, 16, 19]),
    (34, 34, &[15]),
    (37, 37, &[15]),
    (3528, 3589, &[16, 17, 18, 19]),
    (4, 4, &[13, 16, 19]),
    (51, 55, &[16]),
    (2221, 2720, &[16]),
    (2200, 2204, &[16, 17, 18, 19]),
    (50, 69, &[12, 13, 14, 15, 16, 17, 18, 19]),
    (81, 82, &[16]),
    (9792, 9792, &[16]),
];

const SHORTEST: usize = 12;
const LONGEST: usize = 19;

/// A number with a right check digit that no brand is known to give out: only a word before it makes it a card's.
const SCORE_UNBRANDED: f32 = 0.3;
const UNBRANDED_LENGTHS: std::ops::RangeInclusive<usize> = 14..=16;

/// The fewest digits of a group that is not the last: `4111 1111 1111 1111`, `3782 822463 10005`.
const LEAST_GROUP: usize = 3;

/// Looks for a card's number from the digits at `start` on; the longest that fits its brand and its check digit.
pub(crate) fn find(sink: &mut Sink<'_>, start: usize) {
    let text = sink.text;
    let bytes = text.as_bytes();
    let separator = bytes.get(start + text::digits_at(bytes, start, LONGEST + 1)).copied();
    let Some(separator @ (b' ' | b'-')) = separator else { return find_plain(sink, start) };
    let groups = Groups::read(bytes, start, |at| usize::from(bytes.get(at) == Some(&separator)));
    for count in (1..=groups.count()).rev() {
        let is_grouped = (0..count - 1).all(|index| groups.size(index) >= LEAST_GROUP);
        let end = groups.end(count - 1);
        if is_grouped
            && let Some(score) = score(groups.digits(count))
            && ends_there(text, end, separator)
        {
            return sink.add(start, end, Entity::CreditCard, score, "card");
        }
    }
}

fn find_plain(sink: &mut Sink<'_>, start: usize) {
    let bytes = sink.text.as_bytes();
    let end = start + text::digits_at(bytes, start, LONGEST + 1);
    if let Some(score) = score(&bytes[start..end])
        && text::is_free_after(sink.text, end)
    {
        sink.add(start, end, Entity::CreditCard, score, "card");
    }
}

/// Whether a number in groups may end at `end`: a hyphen and more digits behind it make it a part of another number.
fn ends_there(text: &str, end: usize, separator: u8) -> bool {
    let bytes = text.as_bytes();
    let goes_on = separator == b'-'
        && bytes.get(end) == Some(&b'-')
        && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
    !goes_on && text::is_free_after(text, end)
}

/// How sure `digits` are a card's number; none where the check digit or the length is wrong.
fn score(digits: &[u8]) -> Option<f32> {
    if !(SHORTEST..=LONGEST).contains(&digits.len()) || !is_luhn(digits) {
        return None;
    }
    let is_unbranded = UNBRANDED_LENGTHS.contains(&digits.len()) && matches!(digits[0], b'3'..=b'6');
    if is_of_brand(digits) { Some(1.0) } else { is_unbranded.then_some(SCORE_UNBRANDED) }
}

fn is_of_brand(digits: &[u8]) -> bool {
    BRANDS.iter().any(|(from, to, lengths)| {
        let size = from.ilog10() as usize + 1;
        let first = digits[..size].iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        (*from..=*to).contains(&first) && lengths.contains(&digits.len())
    })
}

/// The check of ISO 7812: every second digit from the right doubled, its digits summed, the sum a multiple of ten.
fn is_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| match (index % 2, u32::from(digit - b'0')) {
            (0, digit) => digit,
            (_, digit) => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != digits[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brand_length_and_check_digit() {
        for good in
            ["4242424242424242", "378282246310005", "30569309025904", "6304000000000000", "2223003122003222"]
        {
            assert_eq!(score(good.as_bytes()), Some(1.0), "{good}");
        }
        for bad in [
            "4242424242424241",
            "42424242424242424",
            "1234567890123452",
            "0000000000000000",
            "37828224631000",
        ] {
            assert_eq!(score(bad.as_bytes()), None, "{bad}");
        }
    }
}
