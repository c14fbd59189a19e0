//! BLEU with the 13a tokenizer and exponential smoothing, as sacreBLEU 2.6 has it by default.

use std::ops::{Add, AddAssign};

use super::tokenize_13a::tokenize;
use super::{ngrams, words};

/// Longest n-gram.
const ORDERS: usize = 4;
/// The logarithm that sacreBLEU gives to zero: its exponential is zero whatever it is averaged with.
const LOG_OF_ZERO: f64 = -9_999_999_999.0;

/// What a score is computed from, of a sentence or summed over many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BleuStatistics {
    hypothesis_words: u64,
    reference_words: u64,
    matches: [u64; ORDERS],
    totals: [u64; ORDERS],
}

/// The statistics of one pair.
pub fn statistics(hypothesis: &str, reference: &str) -> BleuStatistics {
    statistics_of_all(hypothesis, &[reference])
}

/// The statistics against several references: an n-gram may occur as often as in the one that has most of it, and the
/// length is that of the nearest, the shorter of two as near.
pub fn statistics_of_all(hypothesis: &str, references: &[&str]) -> BleuStatistics {
    let tokenized = tokenize(hypothesis);
    let hypothesis: Vec<&str> = words(&tokenized).collect();
    let tokenized: Vec<String> = references.iter().map(|reference| tokenize(reference)).collect();
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
pub fn signature(references: usize) -> String {
    format!("BLEU|nrefs:{references}|case:mixed|eff:no|tok:13a|smooth:exp")
}

impl BleuStatistics {
    /// BLEU of many sentences, from 0 to 100.
    pub fn score(&self) -> f64 {
        self.compute(false)
    }

    /// BLEU of one sentence, from 0 to 100: the orders that it is too short for do not count (`eff:yes`).
    pub fn sentence_score(&self) -> f64 {
        self.compute(true)
    }

    fn compute(&self, effective_order: bool) -> f64 {
        if self.matches.iter().all(|&matches| matches == 0) {
            return 0.0;
        }
        let mut precisions_percent = [0.0_f64; ORDERS];
        let (mut smoothing, mut orders) = (1.0, ORDERS);
        for (index, precision) in precisions_percent.iter_mut().enumerate() {
            let (matches, total) = (self.matches[index] as f64, self.totals[index] as f64);
            if total == 0.0 {
                break;
            }
            if effective_order {
                orders = index + 1;
            }
            // The k-th order without a match counts as 1 / 2^k matches: `smooth:exp`.
            *precision = if matches == 0.0 {
                smoothing *= 2.0;
                100.0 / (smoothing * total)
            } else {
                100.0 * matches / total
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
