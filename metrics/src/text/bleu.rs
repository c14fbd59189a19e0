//! BLEU as sacreBLEU 2.6 has it; by default with the 13a tokenizer and exponential smoothing.

use std::ops::{Add, AddAssign};

use serde::Serialize;

use super::tokenize::Tokenizer;
use super::{ngrams, words};

/// Longest n-gram.
const ORDERS: usize = 4;
/// The logarithm that sacreBLEU gives to zero: its exponential is zero whatever it is averaged with.
const LOG_OF_ZERO: f64 = -9_999_999_999.0;

/// What becomes of an order without a match (Chen and Cherry 2014).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Smoothing {
    /// Its precision is zero, and so is the score.
    None,
    /// So many matches in place of none; 0.1 is customary.
    Floor(f64),
    /// So much is added to matches and totals of all orders but the first; 1 is customary.
    AddK(f64),
    /// The k-th such order counts as 1 / 2^k matches.
    #[default]
    Exponential,
}

impl Smoothing {
    fn signature(self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Floor(value) => format!("floor[{value:.2}]"),
            Self::AddK(value) => format!("add-k[{value:.2}]"),
            Self::Exponential => "exp".to_owned(),
        }
    }
}

/// How BLEU is computed; the default is sacreBLEU's for a corpus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Settings {
    /// Whether texts are put in lower case first.
    pub lower_case: bool,
    /// What the words are.
    pub tokenizer: Tokenizer,
    /// What becomes of an order without a match.
    pub smoothing: Smoothing,
    /// Whether orders that the answer is too short for are left out, as is right for single sentences.
    pub effective_order: bool,
}

/// What a score is computed from, of a sentence or summed over many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BleuStatistics {
    hypothesis_words: u64,
    reference_words: u64,
    matches: [u64; ORDERS],
    totals: [u64; ORDERS],
}

/// The statistics of one pair.
#[must_use]
pub fn statistics(hypothesis: &str, reference: &str) -> BleuStatistics {
    statistics_of_all(hypothesis, &[reference])
}

/// The statistics against several references: an n-gram may occur as often as in the one that has most of it, and the
/// length is that of the nearest, the shorter of two as near.
#[must_use]
pub fn statistics_of_all(hypothesis: &str, references: &[&str]) -> BleuStatistics {
    statistics_with(&Settings::default(), hypothesis, references)
}

/// As [`statistics_of_all`], with the case and the tokenizer of `settings`.
#[must_use]
pub fn statistics_with(settings: &Settings, hypothesis: &str, references: &[&str]) -> BleuStatistics {
    let tokens = |text: &str| match settings.lower_case {
        true => settings.tokenizer.tokenize(&text.to_lowercase()),
        false => settings.tokenizer.tokenize(text),
    };
    let tokenized = tokens(hypothesis);
    let hypothesis: Vec<&str> = words(&tokenized).collect();
    let tokenized: Vec<String> = references.iter().map(|reference| tokens(reference)).collect();
    let references: Vec<Vec<&str>> = tokenized.iter().map(|reference| words(reference).collect()).collect();

    let nearness = |length: &usize| (length.abs_diff(hypothesis.len()), *length);
    let reference_words = references.iter().map(Vec::len).min_by_key(nearness).unwrap_or(0) as u64;
    let hypothesis_words = hypothesis.len() as u64;
    let mut statistics = BleuStatistics { hypothesis_words, reference_words, ..BleuStatistics::default() };
    for index in 0..ORDERS {
        let in_references: Vec<_> = references.iter().map(|reference| ngrams(reference, index + 1)).collect();
        for (ngram, count) in ngrams(&hypothesis, index + 1) {
            let most = in_references.iter().filter_map(|counts| counts.get(ngram)).max().unwrap_or(&0);
            statistics.totals[index] += count;
            statistics.matches[index] += count.min(*most);
        }
    }
    statistics
}

/// How a score over many sentences was computed, in sacreBLEU's words; `references` is the number of references a
/// sentence has.
#[must_use]
pub fn signature(references: usize) -> String {
    Settings::default().signature(references)
}

impl Settings {
    /// sacreBLEU's words for these settings; `references` is the number of references a sentence has.
    #[must_use]
    pub fn signature(&self, references: usize) -> String {
        let case = if self.lower_case { "lc" } else { "mixed" };
        let effective = if self.effective_order { "yes" } else { "no" };
        let (tokenizer, smoothing) = (self.tokenizer.signature(), self.smoothing.signature());
        format!("BLEU|nrefs:{references}|case:{case}|eff:{effective}|tok:{tokenizer}|smooth:{smoothing}")
    }
}

impl BleuStatistics {
    /// BLEU of many sentences, from 0 to 100.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.score_with(&Settings::default())
    }

    /// BLEU of one sentence, from 0 to 100: the orders that it is too short for do not count (`eff:yes`).
    #[must_use]
    pub fn sentence_score(&self) -> f64 {
        self.score_with(&Settings { effective_order: true, ..Settings::default() })
    }

    /// BLEU, from 0 to 100, with the smoothing and the orders of `settings`.
    #[must_use]
    pub fn score_with(&self, settings: &Settings) -> f64 {
        if self.matches.iter().all(|&matches| matches == 0) {
            return 0.0;
        }
        let mut precisions_percent = [0.0_f64; ORDERS];
        let (mut smoothing, mut orders) = (1.0, ORDERS);
        for (index, precision) in precisions_percent.iter_mut().enumerate() {
            let (mut matches, mut total) = (self.matches[index] as f64, self.totals[index] as f64);
            if let (Smoothing::AddK(value), 1..) = (settings.smoothing, index) {
                matches += value;
                total += value;
            }
            if total == 0.0 {
                break;
            }
            if settings.effective_order {
                orders = index + 1;
            }
            *precision = match settings.smoothing {
                _ if matches > 0.0 => 100.0 * matches / total,
                Smoothing::Exponential => {
                    smoothing *= 2.0;
                    100.0 / (smoothing * total)
                }
                Smoothing::Floor(value) => 100.0 * value / total,
                Smoothing::AddK(_) | Smoothing::None => 0.0,
            };
        }
        let log = |&percent: &f64| if percent == 0.0 { LOG_OF_ZERO } else { percent.ln() };
        let logs: f64 = precisions_percent[..orders].iter().map(log).sum();
        self.brevity_penalty() * (logs / orders as f64).exp()
    }

    fn brevity_penalty(&self) -> f64 {
        let (words, wanted) = (self.hypothesis_words as f64, self.reference_words as f64);
        if words >= wanted { 1.0 } else { (1.0 - wanted / words).exp() }
    }
}

impl AddAssign for BleuStatistics {
    fn add_assign(&mut self, other: Self) {
        self.hypothesis_words += other.hypothesis_words;
        self.reference_words += other.reference_words;
        for index in 0..ORDERS {
            self.matches[index] += other.matches[index];
            self.totals[index] += other.totals[index];
        }
    }
}

impl Add for BleuStatistics {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl std::iter::Sum for BleuStatistics {
    fn sum<I: Iterator<Item = Self>>(statistics: I) -> Self {
        statistics.fold(Self::default(), Add::add)
    }
}
