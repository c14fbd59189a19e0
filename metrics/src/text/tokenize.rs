//! What the words of BLEU are.

use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;

use super::{is_space, tokenize_13a};

/// sacreBLEU's tokenizers that need no dictionary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Tokenizer {
    /// Whitespace alone.
    #[serde(rename = "none")]
    Whitespace,
    /// That of mteval-v13a, for languages with spaces.
    #[default]
    #[serde(rename = "13a")]
    Mteval13a,
    /// That of mteval-v14 with `--international-tokenization`: all punctuation and symbols of Unicode.
    #[serde(rename = "intl")]
    International,
    /// Each character is a word, for languages without spaces.
    #[serde(rename = "char")]
    Characters,
}

/// Punctuation after what is no number, before what is no number, and symbols: in that order.
static INTERNATIONAL: LazyLock<[(Regex, &str); 3]> = LazyLock::new(|| {
    let rule = |pattern| Regex::new(pattern).expect("a pattern of this program");
    [
        (rule(r"(\P{N})(\p{P})"), "${1} ${2} "),
        (rule(r"(\p{P})(\P{N})"), " ${1} ${2}"),
        (rule(r"(\p{S})"), " ${1} "),
    ]
});

impl Tokenizer {
    /// The name that sacreBLEU's signatures have for it.
    #[must_use]
    pub fn signature(self) -> &'static str {
        match self {
            Self::Whitespace => "none",
            Self::Mteval13a => "13a",
            Self::International => "intl",
            Self::Characters => "char",
        }
    }

    /// `text` with its words apart by whitespace.
    pub(super) fn tokenize(self, text: &str) -> String {
        match self {
            Self::Whitespace => text.to_owned(),
            Self::Mteval13a => tokenize_13a::tokenize(text),
            Self::International => {
                let trimmed = text.trim_end_matches(is_space).to_owned();
                INTERNATIONAL
                    .iter()
                    .fold(trimmed, |text, (rule, with)| rule.replace_all(&text, *with).into_owned())
            }
            Self::Characters => text.chars().flat_map(|c| [c, ' ']).collect(),
        }
    }
}
