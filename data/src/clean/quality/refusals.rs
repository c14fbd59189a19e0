//! Answers that refuse, or that speak as a language model does of itself.

use rtune_metrics::checks::{OPENING_BYTES, REFUSALS, SPEAKERS, SPEAKERS_UNSPACED, folded};

use super::lists::{Phrases, read};
use super::options::RefusalOptions;
use crate::clean::CleanError;

/// Finds refusals.
#[derive(Clone, Debug)]
pub(super) struct Refusals {
    phrases: Phrases,
    /// The phrases in order: those of the program that count anywhere, those that count at the beginning, the user's.
    all: Vec<String>,
    opening: std::ops::Range<usize>,
}

impl Refusals {
    /// # Errors
    /// The user's file cannot be read.
    pub(super) fn new(options: &RefusalOptions) -> Result<Self, CleanError> {
        let anywhere = SPEAKERS.iter().chain(&SPEAKERS_UNSPACED);
        let mut all: Vec<String> = anywhere.chain(&REFUSALS).map(|&phrase| phrase.to_owned()).collect();
        let opening = all.len() - REFUSALS.len()..all.len();
        all.extend(options.phrases.iter().filter(|phrase| !phrase.trim().is_empty()).cloned());
        if let Some(path) = &options.file {
            all.extend(read(path)?);
        }
        Ok(Self { phrases: Phrases::new("refusals.phrases", &all)?, all, opening })
    }

    /// The phrase found, if it is one of the program's; the user's own may name what is private.
    pub(super) fn judge(&self, answer: &str) -> Option<String> {
        let folded = folded(answer);
        let mut found = self.phrases.find(folded.trim_start());
        found.find_map(|(range, phrase)| match phrase {
            _ if self.opening.contains(&phrase) && range.start > OPENING_BYTES => None,
            _ if phrase < self.opening.end => Some(format!("the answer says \"{}\"", self.all[phrase])),
            _ => Some(format!("the answer has phrase {} of the own list", phrase - self.opening.end + 1)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_and_models() {
        let refusals = Refusals::new(&RefusalOptions::default()).expect("refusals");
        for text in [
            "As an AI language model, I do not have feelings.",
            "I’m sorry, but I cannot assist with that.",
            "I'm just an AI and cannot do this.",
            "Als KI-Sprachmodell kann ich das nicht.",
            "En tant qu’IA, je ne peux pas.",
            "作为一个人工智能语言模型，我不能。",
            "As of my last update, this was so.",
            "  i CAN'T   fulfill this request.",
        ] {
            assert!(refusals.judge(text).is_some(), "{text}");
        }
        for text in [
            "I'm sorry, but we cannot refund this order.",
            "As an aid, use the table. As an AI company we know this.",
            "Unfortunately I can't help with card payments over chat; please call us.",
            "ham",
            "The report says that the assistant replied to the first three questions at length, and then, to the surprise of all, \
             it wrote: I cannot assist with this.",
        ] {
            assert_eq!(refusals.judge(text), None, "{text}");
        }
    }

    #[test]
    fn own_phrases_are_not_shown() {
        let own = RefusalOptions { phrases: vec!["Please contact Acme".into()], file: None };
        let refusals = Refusals::new(&own).expect("refusals");
        assert_eq!(
            refusals.judge("please contact ACME!").as_deref(),
            Some("the answer has phrase 1 of the own list")
        );
        assert_eq!(refusals.judge("please contact acmes"), None);
    }
}
