//! One spelling for looking up: lower case, without diacritics. `gazetteer/make.py` folds its keys in the same way.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Appends `text` folded to `out`.
pub(super) fn fold_into(text: &str, out: &mut String) {
    if text.is_ascii() {
        out.extend(text.bytes().map(|byte| char::from(byte.to_ascii_lowercase())));
        return;
    }
    for letter in text.chars().flat_map(char::to_lowercase) {
        match letter {
            'ß' => out.push_str("ss"),
            'æ' => out.push_str("ae"),
            'œ' => out.push_str("oe"),
            'þ' => out.push_str("th"),
            'ø' => out.push('o'),
            'ł' => out.push('l'),
            'đ' | 'ð' => out.push('d'),
            'ħ' => out.push('h'),
            'ı' => out.push('i'),
            '’' => out.push('\''),
            _ => out.extend(std::iter::once(letter).nfd().filter(|&part| !is_combining_mark(part))),
        }
    }
}

/// `text` folded.
pub(super) fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    fold_into(text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn case_and_diacritics_go() {
        assert_eq!(fold("O’Brien"), "o'brien");
        assert_eq!(fold("Łukasz Grünwald-Strauß"), "lukasz grunwald-strauss");
        assert_eq!(fold("Ærø ĐURIĆ Þór"), "aero duric thor");
        assert_eq!(fold("Андрей"), "андреи", "as the decomposition has it, in the list too");
    }
}
