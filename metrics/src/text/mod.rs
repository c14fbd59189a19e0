//! Answers as texts: how near one is to the answer that was wanted.
//!
//! BERTScore ([`bert_score`]) is bert-score's, of vectors that are made elsewhere; BLEU, chrF, chrF++ and TER are sacreBLEU 2.6's, ROUGE is rouge-score 0.1.2's, number for number; signatures say how
//! they were computed. Statistics of sentences are summed and scored once, which is how a score over many sentences is
//! meant, and what lets a bootstrap draw sentences and score again.

pub mod bert_score;
pub mod bleu;
pub mod chrf;
mod matching;
mod porter;
pub mod rouge;
pub mod ter;
#[cfg(test)]
mod tests;
mod tokenize;
mod tokenize_13a;

use std::collections::HashMap;
use std::hash::Hash;

pub use matching::{Normaliser, exact_match, normalise, normalised, normalised_match};
pub(crate) use porter::stem as porter_stem;
pub use tokenize::Tokenizer;

/// What a signature ends with: whose arithmetic it was.
pub const VERSION: &str = concat!("version:rtune-", env!("CARGO_PKG_VERSION"));

/// `signature` with [`VERSION`] at its end.
#[must_use]
pub fn signed(signature: &str) -> String {
    format!("{signature}|{VERSION}")
}

/// Whitespace as Python's `str.split` has it: Unicode's, and the four separators of ASCII.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Python's `text.split()`.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// ROUGE and TER keep a table of the words of an answer by those of a reference: of so many words each it takes 800 MB.
pub const MOST_WORDS: usize = 10_000;

/// How many words a text has, as TER or as ROUGE counts them, whichever are more.
#[must_use]
pub fn count_words(text: &str) -> usize {
    let of_letters = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words(text).count().max(of_letters.count())
}

/// How often each run of `order` neighbours occurs.
fn ngrams<T: Eq + Hash>(items: &[T], order: usize) -> HashMap<&[T], u64> {
    let mut counts = HashMap::new();
    for ngram in items.windows(order) {
        *counts.entry(ngram).or_default() += 1;
    }
    counts
}
