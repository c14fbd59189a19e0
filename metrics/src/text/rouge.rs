//! ROUGE-1, -2, -L and -Lsum as rouge-score 0.1.2 has them (Lin 2004).
//!
//! Words are runs of `a` to `z` and digits in the text's lower case: texts in other scripts score 0, and nothing else is
//! to be had under this name. A score over many answers is the mean of theirs.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::{ngrams, porter};

/// Shorter words are not stemmed.
const SHORTEST_STEMMED_BYTES: usize = 4;

/// Precision, recall and their harmonic mean, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RougeScore {
    /// Of the answer, the part that the reference has.
    pub precision: f64,
    /// Of the reference, the part that the answer has.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
}

/// One answer's scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RougeScores {
    /// Words.
    pub rouge1: RougeScore,
    /// Pairs of words.
    pub rouge2: RougeScore,
    /// The longest common subsequence of the texts.
    #[serde(rename = "rougeL")]
    pub rouge_l: RougeScore,
    /// The union of those of lines.
    #[serde(rename = "rougeLsum")]
    pub rouge_lsum: RougeScore,
}

/// The scores of an answer; `stem` takes the endings off English words, as Porter's stemmer of NLTK does.
#[must_use]
pub fn scores(hypothesis: &str, reference: &str, stem: bool) -> RougeScores {
    let (answer, wanted) = (tokens(hypothesis, stem), tokens(reference, stem));
    RougeScores {
        rouge1: of_ngrams(&answer, &wanted, 1),
        rouge2: of_ngrams(&answer, &wanted, 2),
        rouge_l: score(longest_common(&wanted, &answer).len(), answer.len(), wanted.len()),
        rouge_lsum: of_lines(hypothesis, reference, stem),
    }
}

/// Of several references the best for each score, by its F1; the first of equals.
#[must_use]
pub fn scores_of_best(hypothesis: &str, references: &[&str], stem: bool) -> RougeScores {
    let mut all = references.iter().map(|reference| scores(hypothesis, reference, stem));
    let Some(mut best) = all.next() else { return RougeScores::default() };
    for other in all {
        let better = |best: &mut RougeScore, other: RougeScore| {
            if other.f1 > best.f1 {
                *best = other;
            }
        };
        better(&mut best.rouge1, other.rouge1);
        better(&mut best.rouge2, other.rouge2);
        better(&mut best.rouge_l, other.rouge_l);
        better(&mut best.rouge_lsum, other.rouge_lsum);
    }
    best
}

/// How scores were computed.
#[must_use]
pub fn signature(references: usize, stem: bool) -> String {
    let stemmer = if stem { "porter-nltk" } else { "no" };
    format!("ROUGE|nrefs:{references}|case:lc|tok:a-z0-9|stem:{stemmer}|like:rouge-score-0.1.2")
}

fn tokens(text: &str, stem: bool) -> Vec<String> {
    let text = text.to_lowercase();
    let words =
        text.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit()).filter(|word| !word.is_empty());
    words
        .map(|word| match stem && word.len() >= SHORTEST_STEMMED_BYTES {
            true => porter::stem(word),
            false => word.to_owned(),
        })
        .collect()
}

fn score(hits: usize, answer: usize, wanted: usize) -> RougeScore {
    let precision = hits as f64 / answer.max(1) as f64;
    let recall = hits as f64 / wanted.max(1) as f64;
    let sum = precision + recall;
    RougeScore { precision, recall, f1: if sum > 0.0 { 2.0 * precision * recall / sum } else { 0.0 } }
}

fn of_ngrams(answer: &[String], wanted: &[String], order: usize) -> RougeScore {
    let (answer, wanted) = (ngrams(answer, order), ngrams(wanted, order));
    let common = |(ngram, count): (&&[String], &u64)| answer.get(*ngram).map_or(0, |other| *count.min(other));
    let hits: u64 = wanted.iter().map(common).sum();
    let total = |counts: &HashMap<&[String], u64>| counts.values().sum::<u64>() as usize;
    score(hits as usize, total(&answer), total(&wanted))
}

/// Each line of the reference with the union of what it shares with the lines of the answer; a word counts as often as
/// both texts have it.
fn of_lines(hypothesis: &str, reference: &str, stem: bool) -> RougeScore {
    let lines = |text: &str| -> Vec<Vec<String>> {
        text.split('\n').filter(|line| !line.is_empty()).map(|line| tokens(line, stem)).collect()
    };
    let (answer, wanted) = (lines(hypothesis), lines(reference));
    let mut left_in_answer = counts(&answer);
    let mut left_in_wanted = counts(&wanted);
    let mut hits = 0;
    for line in &wanted {
        let union: BTreeSet<usize> = answer.iter().flat_map(|other| longest_common(line, other)).collect();
        for index in union {
            let word = line[index].as_str();
            let (one, other) = (left_in_answer.get_mut(word), left_in_wanted.get_mut(word));
            if let (Some(one @ 1..), Some(other @ 1..)) = (one, other) {
                hits += 1;
                *one -= 1;
                *other -= 1;
            }
        }
    }
    let length = |lines: &[Vec<String>]| lines.iter().map(Vec::len).sum();
    score(hits, length(&answer), length(&wanted))
}

fn counts(lines: &[Vec<String>]) -> HashMap<&str, u64> {
    let mut counts = HashMap::new();
    for word in lines.iter().flatten() {
        *counts.entry(word.as_str()).or_default() += 1;
    }
    counts
}

/// Which words of `wanted` make one of its longest subsequences in common with `answer`: that which rouge-score takes.
fn longest_common(wanted: &[String], answer: &[String]) -> Vec<usize> {
    let columns = answer.len() + 1;
    let mut lengths = vec![0_u32; (wanted.len() + 1) * columns];
    for row in 1..=wanted.len() {
        for column in 1..columns {
            let at = row * columns + column;
            lengths[at] = match wanted[row - 1] == answer[column - 1] {
                true => lengths[at - columns - 1] + 1,
                false => lengths[at - columns].max(lengths[at - 1]),
            };
        }
    }
    let (mut row, mut column) = (wanted.len(), answer.len());
    let mut found = Vec::new();
    while row > 0 && column > 0 {
        let at = row * columns + column;
        if wanted[row - 1] == answer[column - 1] {
            found.push(row - 1);
            (row, column) = (row - 1, column - 1);
        } else if lengths[at - 1] > lengths[at - columns] {
            column -= 1;
        } else {
            row -= 1;
        }
    }
    found
}
