//! Names of months in the languages of Europe.

/// Names and short forms in lower case, in order.
const NAMES: [&str; 115] = [
    "abr",
    "abril",
    "ago",
    "agosto",
    "août",
    "apr",
    "april",
    "aprile",
    "aug",
    "august",
    "augusti",
    "augustus",
    "avr",
    "avril",
    "czerwca",
    "dec",
    "december",
    "dezember",
    "dezembro",
    "dic",
    "dicembre",
    "diciembre",
    "déc",
    "décembre",
    "ene",
    "enero",
    "feb",
    "febbraio",
    "febr",
    "febrero",
    "februar",
    "februari",
    "february",
    "fevereiro",
    "févr",
    "février",
    "gen",
    "gennaio",
    "giu",
    "giugno",
    "grudnia",
    "jan",
    "janeiro",
    "januar",
    "januari",
    "january",
    "janv",
    "janvier",
    "juil",
    "juillet",
    "juin",
    "jul",
    "julho",
    "juli",
    "julio",
    "july",
    "jun",
    "june",
    "junho",
    "juni",
    "junio",
    "jänner",
    "kwietnia",
    "lipca",
    "listopada",
    "lug",
    "luglio",
    "lutego",
    "maart",
    "mag",
    "maggio",
    "mai",
    "maio",
    "maj",
    "maja",
    "mar",
    "marca",
    "march",
    "mars",
    "marts",
    "marzo",
    "março",
    "may",
    "mayo",
    "mei",
    "mär",
    "märz",
    "nov",
    "november",
    "novembre",
    "novembro",
    "noviembre",
    "oct",
    "october",
    "octobre",
    "octubre",
    "okt",
    "oktober",
    "ott",
    "ottobre",
    "out",
    "outubro",
    "października",
    "sep",
    "sept",
    "september",
    "septembre",
    "septiembre",
    "set",
    "setembro",
    "settembre",
    "sierpnia",
    "styczeń",
    "stycznia",
    "września",
];

/// The longest of them, in bytes.
pub(crate) const LONGEST_BYTES: usize = 13;

/// By a first letter from `a` on, the second letters there are, as bits; all where one is outside ASCII.
const SECOND_LETTERS: [u32; 26] = {
    let mut seconds = [0; 26];
    let mut index = 0;
    while index < NAMES.len() {
        let name = NAMES[index].as_bytes();
        let second = name[1];
        seconds[(name[0] - b'a') as usize] |= if second.is_ascii() { 1 << (second - b'a') } else { u32::MAX };
        index += 1;
    }
    seconds
};

/// Whether a month's name can start with these two bytes.
fn can_start(first: u8, second: u8) -> bool {
    let letter = |byte: u8| usize::from((byte | 0x20).wrapping_sub(b'a'));
    let seconds = SECOND_LETTERS.get(letter(first)).copied().unwrap_or_default();
    if second.is_ascii() {
        letter(second) < 26 && seconds >> letter(second) & 1 == 1
    } else {
        seconds == u32::MAX
    }
}

/// The end of the month's name that starts at byte `at` of `text`, a character boundary.
pub(crate) fn end_at(text: &str, at: usize) -> Option<usize> {
    let rest = &text.as_bytes()[at.min(text.len())..];
    if !matches!(rest, [first, second, ..] if can_start(*first, *second)) {
        return None;
    }
    // Letters outside ASCII count as their bytes: no name has other characters outside ASCII.
    let length = rest
        .iter()
        .take(LONGEST_BYTES + 1)
        .take_while(|byte| byte.is_ascii_alphabetic() || **byte >= 0x80)
        .count();
    if !(3..=LONGEST_BYTES).contains(&length) {
        return None;
    }
    let name = text.get(at..at + length)?;
    let mut lower = [0; LONGEST_BYTES];
    let is_known = if name.is_ascii() {
        let lower = &mut lower[..length];
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        NAMES.binary_search_by(|known| known.as_bytes().cmp(lower)).is_ok()
    } else {
        NAMES.binary_search(&name.to_lowercase().as_str()).is_ok()
    };
    is_known.then_some(at + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_found() {
        assert!(NAMES.is_sorted());
        assert_eq!(end_at("15 MARZO 1989", 3), Some(8));
        assert_eq!(end_at("Août", 0), Some(5));
        assert_eq!(end_at("Mayor 5", 0), None);
        assert_eq!(end_at("x", 9), None);
    }
}
