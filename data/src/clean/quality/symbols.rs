//! Symbols and digits in place of words.

use super::options::SymbolOptions;
use crate::clean::normalise::without_code;

/// A shorter text ("12:30", ":-)", "3.5 %") is what it is.
const MIN_CHARACTERS: usize = 24;

/// What is wrong with the shares of symbols and digits in a text.
pub(super) fn judge(text: &str, options: &SymbolOptions) -> Option<String> {
    let text = without_code(text);
    let (mut shown, mut symbols, mut digits) = (0_usize, 0_usize, 0_usize);
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        shown += 1;
        digits += usize::from(c.is_numeric());
        symbols += usize::from(!c.is_alphanumeric() && !is_part_of_word(c));
    }
    if shown < MIN_CHARACTERS {
        return None;
    }
    let share = |count: usize| count as f64 / shown as f64;
    if share(symbols) > options.max_symbols {
        return Some(format!("{:.0}% symbols of {shown} characters", share(symbols) * 100.0));
    }
    (share(digits) > options.max_digits)
        .then(|| format!("{:.0}% digits of {shown} characters", share(digits) * 100.0))
}

/// Marks that belong to the letters of their scripts, and the joiners and variation selectors of emoji.
fn is_part_of_word(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}' | '\u{590}'..='\u{5FF}' | '\u{610}'..='\u{6FF}' | '\u{900}'..='\u{109F}'
        | '\u{1780}'..='\u{17FF}' | '\u{200C}' | '\u{200D}' | '\u{FE00}'..='\u{FE0F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        let judge = |text: &str| judge(text, &SymbolOptions::default());
        assert_eq!(
            judge("$$$ !!! ### *** +++ --- === &&&  ok").as_deref(),
            Some("92% symbols of 26 characters")
        );
        assert!(
            judge("0123456789 0123456789 01234 abc")
                .is_some_and(|detail| detail.ends_with("digits of 28 characters"))
        );
        for text in [
            "An ordinary sentence, with (some) punctuation!",
            "{\"name\": \"Ann\", \"age\": 31, \"city\": \"Ulm\"}",
            "fn main() { println!(\"{}\", a[0] + b[1]); }",
            "हिन्दी में एक वाक्य जो लंबा है और ठीक है",
            "!!!???",
        ] {
            assert_eq!(judge(text), None, "{text}");
        }
    }
}
