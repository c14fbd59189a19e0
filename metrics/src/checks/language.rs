//! Which language an answer is in, where that is clear.

use serde::Serialize;
use whatlang::Lang;

/// Codes of two letters for those of three.
pub const TWO_LETTERS: [(&str, &str); 66] = [
    ("af", "afr"),
    ("am", "amh"),
    ("ar", "ara"),
    ("az", "aze"),
    ("be", "bel"),
    ("bg", "bul"),
    ("bn", "ben"),
    ("ca", "cat"),
    ("cs", "ces"),
    ("cy", "cym"),
    ("da", "dan"),
    ("de", "deu"),
    ("el", "ell"),
    ("en", "eng"),
    ("eo", "epo"),
    ("es", "spa"),
    ("et", "est"),
    ("fa", "pes"),
    ("fi", "fin"),
    ("fr", "fra"),
    ("gu", "guj"),
    ("he", "heb"),
    ("hi", "hin"),
    ("hr", "hrv"),
    ("hu", "hun"),
    ("hy", "hye"),
    ("id", "ind"),
    ("it", "ita"),
    ("ja", "jpn"),
    ("jv", "jav"),
    ("ka", "kat"),
    ("km", "khm"),
    ("kn", "kan"),
    ("ko", "kor"),
    ("la", "lat"),
    ("lt", "lit"),
    ("lv", "lav"),
    ("mk", "mkd"),
    ("ml", "mal"),
    ("mr", "mar"),
    ("my", "mya"),
    ("nb", "nob"),
    ("no", "nob"),
    ("ne", "nep"),
    ("nl", "nld"),
    ("or", "ori"),
    ("pa", "pan"),
    ("pl", "pol"),
    ("pt", "por"),
    ("ro", "ron"),
    ("ru", "rus"),
    ("si", "sin"),
    ("sk", "slk"),
    ("sl", "slv"),
    ("sn", "sna"),
    ("sr", "srp"),
    ("sv", "swe"),
    ("ta", "tam"),
    ("te", "tel"),
    ("th", "tha"),
    ("tk", "tuk"),
    ("tl", "tgl"),
    ("tr", "tur"),
    ("uk", "ukr"),
    ("ur", "urd"),
    ("zh", "cmn"),
];

/// The language of a text shows in its beginning.
const MAX_BYTES: usize = 4096;
/// Fewer letters are in any language.
const MIN_LETTERS: usize = 20;
/// A guess that is less sure is none.
const MIN_CONFIDENCE: f64 = 0.5;

/// A language and how sure the guess is, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Detected {
    /// Its code of three letters.
    pub code: &'static str,
    /// How sure.
    pub confidence: f64,
}

/// The language of a text; `None` where it is too short or in doubt.
#[must_use]
pub fn language(text: &str) -> Option<Detected> {
    let text = &text[..text.floor_char_boundary(MAX_BYTES)];
    if text.chars().filter(|c| c.is_alphabetic()).count() < MIN_LETTERS {
        return None;
    }
    let found = whatlang::detect(text).filter(|found| found.confidence() >= MIN_CONFIDENCE)?;
    Some(Detected { code: found.lang().code(), confidence: found.confidence() })
}

/// The code of three letters for one of two or three, in any case; `None` for a language that cannot be told.
#[must_use]
pub fn language_code(code: &str) -> Option<&'static str> {
    let lower = code.trim().to_lowercase();
    let three = TWO_LETTERS.iter().find(|(two, _)| *two == lower).map_or(lower.as_str(), |(_, three)| *three);
    Lang::from_code(three).map(|lang| lang.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_where_they_are_clear() {
        let of = |text| language(text).map(|found| found.code);
        assert_eq!(of("Der Versand erfolgt am Montag, und die Lampe kommt in einer Schachtel."), Some("deu"));
        assert_eq!(
            of("The lamp ships on Monday, and it comes with a bulb that can be replaced."),
            Some("eng")
        );
        assert_eq!(of("ham"), None);
        assert_eq!(
            (language_code("DE"), language_code("deu"), language_code("xx")),
            (Some("deu"), Some("deu"), None)
        );
        for (two, three) in TWO_LETTERS {
            assert_eq!(language_code(two), Some(three));
        }
    }
}
