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
const LONGEST_BYTES: usize = 13;

/// The end of the month's name that starts at byte `at` of `text`, a character boundary.
pub(crate) fn end_at(text: &str, at: usize) -> Option<usize> {
    let rest = &text.as_bytes()[at.min(text.len())..];
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
