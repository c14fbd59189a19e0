//! Which language a text is in, where that is clear.

use rtune_metrics::checks::TWO_LETTERS;
use whatlang::{Detector, Info, Lang};

use super::options::LanguageOptions;
use crate::clean::CleanError;
use crate::clean::normalise::without_code;

/// Words that sentences of a language are made of, and that few of its neighbours have. The detector goes by letters, and is
/// sure of itself where a text is full of names, slang or slips: these words say that it is wrong.
const WORDS: [(Lang, &[&str]); 8] = [
    (
        Lang::Eng,
        &[
            "the", "you", "your", "my", "and", "that", "this", "what", "how", "with", "are", "would",
            "could", "not", "from", "they", "there", "when", "which", "does", "did", "it", "its", "said",
            "have", "know", "but", "who", "get", "out",
        ],
    ),
    (
        Lang::Deu,
        &[
            "der", "die", "das", "und", "ich", "nicht", "ist", "mit", "für", "auf", "auch", "wie", "mir",
            "sie", "wir",
        ],
    ),
    (
        Lang::Fra,
        &[
            "le", "les", "des", "est", "que", "pas", "pour", "dans", "vous", "je", "une", "avec", "sur",
            "ce", "mon",
        ],
    ),
    (
        Lang::Spa,
        &[
            "el", "los", "las", "que", "por", "una", "con", "para", "está", "mi", "del", "pero", "como",
            "hay", "y",
        ],
    ),
    (
        Lang::Ita,
        &[
            "il", "che", "di", "per", "una", "sono", "della", "non", "con", "ho", "gli", "mia", "mio",
            "come", "anche",
        ],
    ),
    (
        Lang::Por,
        &[
            "o", "os", "que", "não", "uma", "com", "para", "meu", "minha", "por", "está", "mas", "eu", "do",
            "em",
        ],
    ),
    (
        Lang::Nld,
        &[
            "het", "een", "ik", "niet", "dat", "van", "voor", "met", "mijn", "zijn", "ook", "maar", "wat",
            "naar", "op",
        ],
    ),
    (
        Lang::Swe,
        &[
            "och", "att", "det", "jag", "inte", "är", "som", "för", "på", "med", "har", "min", "mitt", "hur",
            "kan",
        ],
    ),
];
/// The language of a text shows in its beginning.
const MAX_BYTES: usize = 4096;
/// So many such words say that the text is in the language.
const MIN_KNOWN: usize = 2;
/// If they are also so large a share of the words: half of what they are in ordinary sentences.
const MIN_KNOWN_SHARE: f64 = 0.08;

/// Says which texts are in none of the allowed languages.
#[derive(Clone, Debug)]
pub(super) struct Languages {
    allowed: Vec<Lang>,
    min_letters: usize,
    min_confidence: f64,
}

impl Languages {
    /// # Errors
    /// No language is named, or one that cannot be told.
    pub(super) fn new(options: &LanguageOptions) -> Result<Self, CleanError> {
        let unknown = |found: String| CleanError::Setting {
            setting: "languages.allowed",
            expected: "codes of languages, such as \"en\" or \"deu\"",
            found,
        };
        let lang = |code: &String| {
            let lower = code.trim().to_lowercase();
            let three =
                TWO_LETTERS.iter().find(|(two, _)| *two == lower).map_or(lower.as_str(), |(_, three)| *three);
            Lang::from_code(three).ok_or_else(|| unknown(format!("\"{code}\"")))
        };
        let allowed: Vec<Lang> = options.allowed.iter().map(lang).collect::<Result<_, _>>()?;
        match allowed.is_empty() {
            true => Err(unknown("none".to_owned())),
            false => {
                Ok(Self { allowed, min_letters: options.min_letters, min_confidence: options.min_confidence })
            }
        }
    }

    /// Short texts, and those of which it is not sure, are undecided: they stay.
    pub(super) fn judge(&self, text: &str) -> Option<String> {
        let prose = without_code(text);
        let text = &prose[..prose.floor_char_boundary(MAX_BYTES)];
        self.min_letters
            .checked_sub(1)
            .map_or(Some(()), |most| text.chars().filter(|c| c.is_alphabetic()).nth(most).map(drop))?;
        if self.has_words_of_allowed(text) {
            return None;
        }
        let found = self.other(text)?;
        let middle = text.floor_char_boundary(text.len() / 2);
        let middle = text[middle..].find(char::is_whitespace).map_or(middle, |space| middle + space);
        let halves =
            [&text[..middle], &text[middle..]].map(|half| self.other(half).map(|found| found.lang()));
        let same = halves.iter().all(|half| *half == Some(found.lang()));
        let sure = found.confidence() >= self.min_confidence && same;
        sure.then(|| format!("{} at a confidence of {:.2}", found.lang().eng_name(), found.confidence()))
    }

    /// The language of a text, if it is none of the allowed.
    fn other(&self, text: &str) -> Option<Info> {
        Detector::new().detect(text).filter(|found| !self.allowed.contains(&found.lang()))
    }

    /// Whether so many of the words are those that sentences of an allowed language are made of.
    fn has_words_of_allowed(&self, text: &str) -> bool {
        let lists = WORDS.iter().filter(|(lang, _)| self.allowed.contains(lang)).map(|(_, words)| *words);
        let lists: Vec<&[&str]> = lists.collect();
        let (mut words, mut known) = (0_usize, 0_usize);
        for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
            words += 1;
            let lower = word.to_lowercase();
            known += usize::from(lists.iter().any(|list| list.contains(&lower.as_str())));
        }
        known >= MIN_KNOWN && known as f64 >= words as f64 * MIN_KNOWN_SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn languages(allowed: &[&str]) -> Result<Languages, CleanError> {
        let allowed = allowed.iter().map(|&code| code.to_owned()).collect();
        Languages::new(&LanguageOptions { allowed, ..LanguageOptions::default() })
    }

    #[test]
    fn languages_that_are_clear() {
        let english = languages(&["en"]).expect("languages");
        let german = "Guten Tag, ich habe meine Karte verloren und möchte gerne wissen, wie ich eine neue bekommen kann.";
        assert!(english.judge(german).is_some_and(|detail| detail.starts_with("German")));
        assert_eq!(languages(&["en", "deu"]).expect("languages").judge(german), None);
        for text in [
            "Hello, I have lost my card and would like to know how I can get a new one from you.",
            "Hallo, wo ist sie?",
            "Its so common hearin How r u? Wat r u doing? How was ur day? So let me ask u something different. Did u smile?",
            "Hi, this is Ann Müller-Lüdenscheidt of the Großmarkt in Nürnberg; my card for Schönbrunn and Würzburg is lost.",
            "```\nfür wenn dann sonst und oder nicht die der das ist ein eine einer eines solange bis weiter\n```",
        ] {
            assert_eq!(english.judge(text), None, "{text}");
        }
    }

    #[test]
    fn every_code_is_known() {
        for (two, three) in TWO_LETTERS {
            assert!(languages(&[two]).is_ok() && languages(&[three]).is_ok(), "{two}");
        }
        assert!(languages(&["xx"]).is_err() && languages(&[]).is_err());
    }
}
