//! Words of a list.

use super::lists::{Phrases, folded, read};
use super::options::ToxicityOptions;
use crate::clean::CleanError;

/// Slurs of English, German, French and Spanish without another reading, each letter moved by 13 (ROT13), so that nobody
/// has to read them who reads the program. A plural in `s` is found as well.
const BUILT_IN: [&str; 16] = [
    "avttre",
    "avttn",
    "snttbg",
    "xvxr",
    "jrgonpx",
    "fcvp",
    "tbbx",
    "genaal",
    "gbjryurnq",
    "fnaqavttre",
    "xnanxr",
    "artre",
    "obhtabhyr",
    "znevpóa",
    "fhqnpn",
    "cvpxnavaal",
];

/// Finds the words of the lists.
#[derive(Clone, Debug)]
pub(super) struct Toxicity {
    words: Phrases,
    min_words: usize,
}

impl Toxicity {
    /// # Errors
    /// The user's file cannot be read, or there is no list at all.
    pub(super) fn new(options: &ToxicityOptions) -> Result<Self, CleanError> {
        let mut words = Vec::new();
        if options.built_in {
            for word in BUILT_IN.map(unmoved) {
                words.extend([format!("{word}s"), word]);
            }
        }
        if let Some(path) = &options.file {
            words.extend(read(path)?);
        }
        if words.is_empty() {
            return Err(CleanError::Setting {
                setting: "toxicity.built-in",
                expected: "true, where `toxicity.file` names no list",
                found: "false".to_owned(),
            });
        }
        Ok(Self { words: Phrases::new("toxicity.file", &words)?, min_words: options.min_words.max(1) })
    }

    /// How many words of the lists stand in the texts; the words themselves are not said again.
    pub(super) fn judge<'a>(&self, texts: impl Iterator<Item = &'a str>) -> Option<String> {
        let count: usize = texts.map(|text| self.words.find(&folded(text)).count()).sum();
        (count >= self.min_words).then(|| format!("{count} listed words"))
    }
}

fn unmoved(word: &str) -> String {
    let moved = |c: char| match c {
        'a'..='m' => char::from(c as u8 + 13),
        'n'..='z' => char::from(c as u8 - 13),
        _ => c,
    };
    word.chars().map(moved).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Files;

    #[test]
    fn whole_words_of_both_lists() {
        let files = Files::new();
        let file = Some(files.write("own.txt", "# ours\nblockhead\nrotten egg\n"));
        let toxicity =
            Toxicity::new(&ToxicityOptions { file, ..ToxicityOptions::default() }).expect("a list");
        let judge = |text: &str| toxicity.judge([text].into_iter());
        assert_eq!(judge("You BLOCKHEAD, you rotten  egg!").as_deref(), Some("2 listed words"));
        assert_eq!(judge(&format!("a {} here", unmoved(BUILT_IN[2]))).as_deref(), Some("1 listed words"));
        assert_eq!(
            judge(&format!("{}S", unmoved(BUILT_IN[3]).to_uppercase())).as_deref(),
            Some("1 listed words")
        );
        for text in
            ["blockheaded", "spicy food on the hike", "a despicable trick", "snigger", "the Niger river"]
        {
            assert_eq!(judge(text), None, "{text}");
        }
    }

    #[test]
    fn no_list_is_a_mistake() {
        let none = ToxicityOptions { built_in: false, ..ToxicityOptions::default() };
        assert!(Toxicity::new(&none).is_err());
    }
}
