//! Answers as texts: how near one is to the answer that was wanted.
//!
//! chrF and BLEU are sacreBLEU 2.6's, number for number; their signatures say how they were computed. Statistics of
//! sentences are summed and scored once, which is how a score over many sentences is meant.

pub mod bleu;
pub mod chrf;
#[cfg(test)]
mod tests;
mod tokenize_13a;

use std::collections::HashMap;
use std::hash::Hash;

/// Whether two texts are the same, whitespace around them aside.
pub fn exact_match(hypothesis: &str, reference: &str) -> bool {
    hypothesis.trim() == reference.trim()
}

/// Whether two texts are the same once both are [`normalised`].
pub fn normalised_match(hypothesis: &str, reference: &str) -> bool {
    normalised(hypothesis) == normalised(reference)
}

/// A text in lower case, without ASCII punctuation, its words apart by one space each.
///
/// What `exact_match` of HF evaluate and lm-eval does when told to ignore case and punctuation. Articles stay,
/// unlike in SQuAD's evaluation, because which words are articles is a matter of the language.
pub fn normalised(text: &str) -> String {
    let kept: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    words(&kept).collect::<Vec<_>>().join(" ")
}

/// Whitespace as Python's `str.split` has it: Unicode's, and the four separators of ASCII.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Python's `text.split()`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// How often each run of `order` neighbours occurs.
fn ngrams<T: Eq + Hash>(items: &[T], order: usize) -> HashMap<&[T], u64> {
    let mut counts = HashMap::new();
    for ngram in items.windows(order) {
        *counts.entry(ngram).or_default() += 1;
    }
    counts
}
