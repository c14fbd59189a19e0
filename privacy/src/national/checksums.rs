//! The arithmetic that check digits share. Digits and letters stand as bytes: `0` is 0, `A` is 10 where letters count.

use crate::check::Check;

/// Right or wrong, with nothing between.
pub(crate) fn verdict(right: bool) -> Check {
    if right { Check::Valid } else { Check::Invalid }
}

/// Of numbers that are often written without separators and have one check digit: right is none too sure.
pub(crate) fn likely(right: bool) -> Check {
    if right { Check::Likely } else { Check::Invalid }
}

/// Right is a proof, wrong says nothing: numbers without this check digit have been issued too.
pub(crate) fn proof(right: bool) -> Check {
    if right { Check::Valid } else { Check::Unknown }
}

/// What structure alone can say: wrong drops the match, right leaves its score.
pub(crate) fn plausible(right: bool) -> Check {
    if right { Check::Unknown } else { Check::Invalid }
}

/// Plates are in capitals, or all small and in one piece, as they are typed: `on 5 May 2021` and `A4 and` are none.
pub(crate) fn is_written_as_a_plate(text: &str) -> bool {
    let has = |is: fn(&u8) -> bool| text.as_bytes().iter().any(is);
    !has(u8::is_ascii_lowercase) || !has(u8::is_ascii_uppercase) && !text.contains(' ')
}

/// What [`is_written_as_a_plate`] says as a check.
pub(crate) fn plate(text: &str) -> Check {
    plausible(is_written_as_a_plate(text))
}

/// The `N` decimal digits of `text`, whatever stands between them; none if there are more or fewer.
pub(crate) fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    exactly(text.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0'))
}

/// The `N` ASCII letters, as capitals, and digits of `text`, whatever stands between them; none if there are more or fewer.
pub(crate) fn signs<const N: usize>(text: &str) -> Option<[u8; N]> {
    exactly(text.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_uppercase()))
}

fn exactly<const N: usize>(items: impl Iterator<Item = u8>) -> Option<[u8; N]> {
    let mut found = [0; N];
    let mut count = 0;
    for item in items {
        *found.get_mut(count)? = item;
        count += 1;
    }
    (count == N).then_some(found)
}

/// What a capital letter or digit counts in base 36: `0` to `9` themselves, `A` 10, `Z` 35; anything else 0.
pub(crate) fn base_36(sign: u8) -> u32 {
    (sign as char).to_digit(36).unwrap_or(0)
}

/// Sum of products; the shorter of the two decides how many.
pub(crate) fn weighted(values: &[u8], weights: &[u32]) -> u32 {
    values.iter().zip(weights).map(|(&value, &weight)| u32::from(value) * weight).sum()
}

/// Sum of the decimal digits of each product.
pub(crate) fn weighted_digit_sums(values: &[u8], weights: &[u32]) -> u32 {
    let products = values.iter().zip(weights).map(|(&value, &weight)| u32::from(value) * weight);
    products.map(|product| product / 10 + product % 10).sum()
}

/// The digits as one number.
pub(crate) fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |sum, &digit| sum * 10 + u32::from(digit))
}

/// ISO/IEC 7812-1 annex B: from the right, every second digit doubled.
pub(crate) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits.iter().rev().enumerate().map(|(place, &digit)| doubled_in_turn(place, digit)).sum();
    sum.is_multiple_of(10)
}

fn doubled_in_turn(place: usize, digit: u8) -> u32 {
    let value = u32::from(digit) * if place.is_multiple_of(2) { 1 } else { 2 };
    value / 10 + value % 10
}

/// ISO/IEC 7064, hybrid system MOD 11,10: the last digit checks the others.
pub(crate) fn iso_7064_mod_11_10(digits: &[u8]) -> bool {
    let Some((&check, rest)) = digits.split_last() else { return false };
    let product = rest.iter().fold(10, |product, &digit| {
        let sum = (product + u32::from(digit)) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (product + u32::from(check)) % 10 == 1
}

/// ICAO Doc 9303 part 3: weights 7, 3, 1 over base 36, modulo 10.
pub(crate) fn icao_9303(signs: &[u8]) -> u32 {
    let products =
        signs.iter().zip([7, 3, 1].into_iter().cycle()).map(|(&sign, weight)| base_36(sign) * weight);
    products.sum::<u32>() % 10
}

/// Verhoeff, Error Detecting Decimal Codes, 1969: the dihedral group of order ten with a permutation by place.
pub(crate) fn verhoeff(digits: &[u8]) -> bool {
    let mut check = 0;
    for (place, &digit) in digits.iter().rev().enumerate() {
        check = dihedral(check, permuted(place % 8, digit));
    }
    check == 0
}

/// The product in the group of symmetries of a pentagon: 0 to 4 are turns, 5 to 9 are reflections.
fn dihedral(left: u8, right: u8) -> u8 {
    match (left < 5, right < 5) {
        (true, true) => (left + right) % 5,
        (true, false) => (left + right - 5) % 5 + 5,
        (false, true) => (left - right) % 5 + 5,
        (false, false) => (left + 5 - right) % 5,
    }
}

/// Verhoeff's permutation, applied `times` times.
fn permuted(times: usize, digit: u8) -> u8 {
    const ONCE: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    (0..times).fold(digit, |value, _| ONCE[usize::from(value)])
}

/// Whether the Gregorian calendar has the day.
pub(crate) fn is_date(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// Whether some century has the day, for years of two digits.
pub(crate) fn is_date_of_a_century(year_of_century: u32, month: u32, day: u32) -> bool {
    is_date(2000 + year_of_century, month, day) || is_date(1900 + year_of_century, month, day)
}

/// Whether all are equal, as in 111 111 111: typed to fill a field.
pub(crate) fn all_equal(values: &[u8]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

/// Whether one and the same sign stands between all groups: `046-454-286`, not `046-454 286`.
pub(crate) fn one_separator(text: &str) -> bool {
    let mut separators = text.bytes().filter(|byte| !byte.is_ascii_alphanumeric());
    let first = separators.next();
    separators.all(|separator| Some(separator) == first)
}
