//! chrF2 and chrF2++: F-score of character n-grams, with those of words beside (Popović 2015, 2017).
//!
//! As sacreBLEU 2.6 has it by default: whitespace is removed, precision and recall are averaged over the orders that
//! both texts have, and F comes last.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::{Add, AddAssign};

use serde::Serialize;

use super::{is_space, ngrams, words};

/// Longest n-gram of characters.
const CHARACTER_ORDERS: usize = 6;
/// Longest n-gram of words in chrF++.
const WORD_ORDERS: usize = 2;
/// Recall counts beta times as much as precision; its square.
const BETA_SQUARED: f64 = 4.0;
/// Precision and recall of an order that a text is too short for, where such orders count.
const EPSILON: f64 = 1e-16;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Characters: chrF2.
    Plain,
    /// Characters and words: chrF2++.
    PlusPlus,
}

impl Kind {
    fn orders(self) -> usize {
        CHARACTER_ORDERS + self.word_orders()
    }

    fn word_orders(self) -> usize {
        match self {
            Self::Plain => 0,
            Self::PlusPlus => WORD_ORDERS,
        }
    }
}

/// What a score is computed from, of a sentence or summed over many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChrfStatistics {
    orders: [Order; CHARACTER_ORDERS + WORD_ORDERS],
}

/// n-grams of one length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Order {
    hypothesis: u64,
    reference: u64,
    matches: u64,
}

/// The statistics of one pair.
#[must_use]
pub fn statistics(hypothesis: &str, reference: &str) -> ChrfStatistics {
    let (characters, reference_characters) = (characters(hypothesis), characters(reference));
    let (words, reference_words) = (split_words(hypothesis), split_words(reference));
    let mut statistics = ChrfStatistics::default();
    for (index, order) in statistics.orders.iter_mut().enumerate() {
        *order = if index < CHARACTER_ORDERS {
            let length = index + 1;
            compare(&ngrams(&characters, length), &ngrams(&reference_characters, length))
        } else {
            let length = index + 1 - CHARACTER_ORDERS;
            compare(&ngrams(&words, length), &ngrams(&reference_words, length))
        };
    }
    statistics
}

/// The statistics against that one of several references whose score is highest, the first of equals.
#[must_use]
pub fn statistics_of_best(hypothesis: &str, references: &[&str], kind: Kind) -> ChrfStatistics {
    let mut best = ChrfStatistics::default();
    let mut best_score = -1.0;
    for reference in references {
        let statistics = statistics(hypothesis, reference);
        let score = statistics.score_of(kind);
        if score > best_score {
            (best, best_score) = (statistics, score);
        }
    }
    best
}

/// How a score was computed, in sacreBLEU's words; `references` is the number of references a sentence has.
#[must_use]
pub fn signature(kind: Kind, references: usize) -> String {
    let (name, words) = match kind {
        Kind::Plain => ("chrF2", 0),
        Kind::PlusPlus => ("chrF2++", WORD_ORDERS),
    };
    format!("{name}|nrefs:{references}|case:mixed|eff:yes|nc:{CHARACTER_ORDERS}|nw:{words}|space:no")
}

/// The signature of [`ChrfStatistics::score_of_all_orders`].
#[must_use]
pub fn signature_of_all_orders(kind: Kind, references: usize) -> String {
    signature(kind, references).replace("|eff:yes|", "|eff:no|")
}

impl ChrfStatistics {
    /// chrF2, from 0 to 100.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.score_of(Kind::Plain)
    }

    /// chrF2 or chrF2++, from 0 to 100.
    #[must_use]
    pub fn score_of(&self, kind: Kind) -> f64 {
        let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
        for order in &self.orders[..kind.orders()] {
            // An order that one of the texts is too short for does not count: `eff:yes`.
            if order.hypothesis > 0 && order.reference > 0 {
                precision += order.matches as f64 / order.hypothesis as f64;
                recall += order.matches as f64 / order.reference as f64;
                orders += 1.0;
            }
        }
        if precision + recall == 0.0 {
            return 0.0;
        }
        let (precision, recall) = (precision / orders, recall / orders);
        100.0 * ((1.0 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall))
    }

    /// The mean of the F-scores of all orders, from 0 to 100, as Moses, NLTK and chrF++.py have it (`eff:no`).
    #[must_use]
    pub fn score_of_all_orders(&self, kind: Kind) -> f64 {
        let share = |matches: u64, of: u64| if of > 0 { matches as f64 / of as f64 } else { EPSILON };
        let score = |order: &Order| {
            let (precision, recall) =
                (share(order.matches, order.hypothesis), share(order.matches, order.reference));
            let weighted = BETA_SQUARED * precision + recall;
            if weighted > 0.0 { (1.0 + BETA_SQUARED) * precision * recall / weighted } else { EPSILON }
        };
        100.0 * self.orders[..kind.orders()].iter().map(score).sum::<f64>() / kind.orders() as f64
    }
}

impl AddAssign for ChrfStatistics {
    fn add_assign(&mut self, other: Self) {
        for (sum, order) in self.orders.iter_mut().zip(other.orders) {
            sum.hypothesis += order.hypothesis;
            sum.reference += order.reference;
            sum.matches += order.matches;
        }
    }
}

impl Add for ChrfStatistics {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl std::iter::Sum for ChrfStatistics {
    fn sum<I: Iterator<Item = Self>>(statistics: I) -> Self {
        statistics.fold(Self::default(), Add::add)
    }
}

fn characters(text: &str) -> Vec<char> {
    text.chars().filter(|&c| !is_space(c)).collect()
}

/// Words, from which one punctuation mark is split: at the end, or else at the start.
fn split_words(text: &str) -> Vec<&str> {
    let mut split = Vec::new();
    for word in words(text) {
        let (mut from_start, mut from_end) = (word.char_indices(), word.char_indices());
        let last = from_end.next_back().filter(|(at, c)| *at > 0 && c.is_ascii_punctuation());
        let second = from_start.nth(1).filter(|_| word.starts_with(|c: char| c.is_ascii_punctuation()));
        match last.or(second) {
            Some((at, _)) => split.extend([&word[..at], &word[at..]]),
            None => split.push(word),
        }
    }
    split
}

fn compare<K: Eq + Hash>(hypothesis: &HashMap<K, u64>, reference: &HashMap<K, u64>) -> Order {
    let common = |(ngram, count): (&K, &u64)| reference.get(ngram).map_or(0, |other| *count.min(other));
    Order {
        // n-grams that the reference is too short for are not held against the hypothesis.
        hypothesis: if reference.is_empty() { 0 } else { hypothesis.values().sum() },
        reference: reference.values().sum(),
        matches: hypothesis.iter().map(common).sum(),
    }
}
