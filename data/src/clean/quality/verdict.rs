//! Rules, what they say of a row, and how often.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// So many examples of each rule are kept.
const MAX_EXAMPLES: usize = 5;

/// A rule, in the order in which rules are asked: the cheap and plain ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The answer shows nothing.
    EmptyAnswer,
    /// The prompt is too short.
    MinPromptCharacters,
    /// The prompt is too long.
    MaxPromptCharacters,
    /// The answer is too short.
    MinAnswerCharacters,
    /// The answer is too long.
    MaxAnswerCharacters,
    /// Text was read in the wrong encoding.
    Mojibake,
    /// Symbols or digits in place of words.
    Symbols,
    /// The same again and again.
    Repetition,
    /// Another language.
    Languages,
    /// The answer is the prompt.
    CopiedAnswer,
    /// The answer refuses, or speaks as a language model.
    Refusals,
    /// Words of a list.
    Toxicity,
    /// Incoherent to the base.
    MaxPerplexity,
}

impl Rule {
    /// All rules, in the order in which they are asked.
    pub const ALL: [Self; 13] = [
        Self::EmptyAnswer,
        Self::MinPromptCharacters,
        Self::MaxPromptCharacters,
        Self::MinAnswerCharacters,
        Self::MaxAnswerCharacters,
        Self::Mojibake,
        Self::Symbols,
        Self::Repetition,
        Self::Languages,
        Self::CopiedAnswer,
        Self::Refusals,
        Self::Toxicity,
        Self::MaxPerplexity,
    ];

    /// The name in configurations and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::EmptyAnswer => "empty-answer",
            Self::MinPromptCharacters => "min-prompt-characters",
            Self::MaxPromptCharacters => "max-prompt-characters",
            Self::MinAnswerCharacters => "min-answer-characters",
            Self::MaxAnswerCharacters => "max-answer-characters",
            Self::Mojibake => "mojibake",
            Self::Symbols => "symbols",
            Self::Repetition => "repetition",
            Self::Languages => "languages",
            Self::CopiedAnswer => "copied-answer",
            Self::Refusals => "refusals",
            Self::Toxicity => "toxicity",
            Self::MaxPerplexity => "max-perplexity",
        }
    }
}

/// Why a row is dropped. The detail names figures, and at most a phrase of the program's own lists: nothing of the row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verdict {
    /// The rule that says so.
    pub rule: Rule,
    /// What it found.
    pub detail: String,
}

/// A row that a rule would drop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Dropped {
    /// The number of the row, as the caller counts.
    pub row: u64,
    /// What the rule found.
    pub detail: String,
}

/// What one rule said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RuleCount {
    /// Rows that it drops, no rule before it having done so: these add up to all that is dropped.
    pub dropped: u64,
    /// Rows that it would drop if it were the only one.
    pub alone: u64,
    /// The first few of these, by row.
    pub examples: Vec<Dropped>,
}

/// What all rules said of the rows, before or after anything is dropped. Several tallies of different rows merge into one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tally {
    /// Rows that were judged.
    pub rows: u64,
    /// Rows that stay.
    pub kept: u64,
    /// By rule.
    pub rules: BTreeMap<Rule, RuleCount>,
}

impl Tally {
    /// Counts a row by all verdicts on it, in the order of rules; the first one drops it. Says whether the row stays.
    pub fn count(&mut self, row: u64, verdicts: &[Verdict]) -> bool {
        self.rows += 1;
        self.kept += u64::from(verdicts.is_empty());
        for (index, verdict) in verdicts.iter().enumerate() {
            let count = self.rules.entry(verdict.rule).or_default();
            count.dropped += u64::from(index == 0);
            count.alone += 1;
            if count.examples.len() < MAX_EXAMPLES {
                count.examples.push(Dropped { row, detail: verdict.detail.clone() });
            }
        }
        verdicts.is_empty()
    }

    /// How many rows are dropped, by whatever rule.
    pub fn dropped(&self) -> u64 {
        self.rules.values().map(|count| count.dropped).sum()
    }

    /// Adds what another worker counted.
    pub fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.kept += other.kept;
        for (rule, theirs) in other.rules {
            let ours = self.rules.entry(rule).or_default();
            ours.dropped += theirs.dropped;
            ours.alone += theirs.alone;
            ours.examples.extend(theirs.examples);
            ours.examples.sort_by_key(|example| example.row);
            ours.examples.truncate(MAX_EXAMPLES);
        }
    }
}
