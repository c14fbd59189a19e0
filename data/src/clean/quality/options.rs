//! Which rules are on, and their thresholds.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Which rows are dropped. By default none: a rule is on when its setting is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FilterOptions {
    /// Rows whose answer shows nothing.
    pub empty_answer: bool,
    /// Rows whose prompt (all turns before the last answer) has fewer characters.
    pub min_prompt_characters: Option<usize>,
    /// Or more.
    pub max_prompt_characters: Option<usize>,
    /// Rows whose last answer has fewer characters.
    pub min_answer_characters: Option<usize>,
    /// Or more.
    pub max_answer_characters: Option<usize>,
    /// Rows with text of which so many places are UTF-8 read as Latin-1 or Windows-1252, or lost (U+FFFD).
    pub mojibake: Option<usize>,
    /// Rows with too many symbols or digits.
    pub symbols: Option<SymbolOptions>,
    /// Rows that say the same again and again.
    pub repetition: Option<RepetitionOptions>,
    /// Rows in other languages.
    pub languages: Option<LanguageOptions>,
    /// Rows whose answer is the prompt: from this likeness on (0 to 1; 1 is equal but for case, spaces and punctuation).
    pub copied_answer: Option<f64>,
    /// Rows that answer with a refusal, or speak as a language model.
    pub refusals: Option<RefusalOptions>,
    /// Rows with words of a list.
    pub toxicity: Option<ToxicityOptions>,
    /// Rows that the base finds incoherent; see [`super::PerplexityCut`].
    pub max_perplexity: Option<PerplexityOptions>,
}

/// Settings of the rule `symbols`, for texts of at least 24 characters that are not white space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SymbolOptions {
    /// The most characters that are neither letters nor digits, as a share of those that are not white space.
    pub max_symbols: f64,
    /// The most digits.
    pub max_digits: f64,
}

impl Default for SymbolOptions {
    fn default() -> Self {
        Self { max_symbols: 0.6, max_digits: 0.6 }
    }
}

/// Settings of the rule `repetition`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RepetitionOptions {
    /// The most of the characters of lines that may stand in lines which stood before, from five lines on.
    pub max_duplicate_lines: f64,
    /// The most of the characters of words that one group of 2 words may make up, from 50 words on; groups of 3 and 4 words
    /// may make up 0.02 and 0.04 less.
    pub max_top_words: f64,
    /// The most of the words that may stand in groups of 5 which stood before, from 60 words on.
    pub max_duplicate_words: f64,
    /// The most of the characters that one character in a row, or one word in a row, may make up.
    pub max_run: f64,
}

impl Default for RepetitionOptions {
    fn default() -> Self {
        Self { max_duplicate_lines: 0.3, max_top_words: 0.25, max_duplicate_words: 0.5, max_run: 0.4 }
    }
}

/// Settings of the rule `languages`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LanguageOptions {
    /// The languages that may stay, by their codes of two (ISO 639-1) or three letters (ISO 639-3).
    pub allowed: Vec<String>,
    /// A text of fewer letters is undecided and stays.
    pub min_letters: usize,
    /// So is one whose language is less sure (0 to 1).
    pub min_confidence: f64,
}

impl Default for LanguageOptions {
    fn default() -> Self {
        Self { allowed: Vec::new(), min_letters: 60, min_confidence: 0.9 }
    }
}

/// Settings of the rule `refusals`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RefusalOptions {
    /// The user's own phrases, looked for as whole words anywhere in an answer, in any case.
    pub phrases: Vec<String>,
    /// A file with such phrases, one a line.
    pub file: Option<PathBuf>,
}

/// Settings of the rule `toxicity`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ToxicityOptions {
    /// Whether the short list of slurs that comes with the program is used.
    pub built_in: bool,
    /// A file with words or phrases, one a line.
    pub file: Option<PathBuf>,
    /// So many of the words in one row drop it.
    pub min_words: usize,
    /// Whether what users write counts as well; a model learns its answers from the answers.
    pub prompts: bool,
}

impl Default for ToxicityOptions {
    fn default() -> Self {
        Self { built_in: true, file: None, min_words: 1, prompts: true }
    }
}

/// Settings of the rule `max-perplexity`: one of the two, or both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PerplexityOptions {
    /// The most the base's perplexity may be.
    pub above: Option<f64>,
    /// Of all rows, the percentage (0 to 100) with the least perplexity stays.
    pub percentile: Option<f64>,
}
