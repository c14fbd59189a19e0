//! The exam: near-equal pairs of real texts, found by exact comparison of all with all.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value;

use super::*;
use crate::spill::Scratch;

const PAIRS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/neardup_own.json");
const TEXTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/neardup_own.txt");

fn file(variable: &str, fallback: &str) -> (String, String) {
    let path = std::env::var(variable).unwrap_or_else(|_| fallback.to_owned());
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    (path, text)
}

/// The rule of the exam, written a second time and as plainly as can be.
pub(crate) fn plain_set(text: &str) -> HashSet<String> {
    let mut kept = String::new();
    for character in text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        if character.is_alphanumeric() || character == '_' || character == ' ' {
            kept.push(character);
        }
    }
    let characters: Vec<char> = kept.trim().chars().collect();
    match characters.len() {
        0..5 => HashSet::from([characters.iter().collect()]),
        _ => characters.windows(5).map(|window| window.iter().collect()).collect(),
    }
}

pub(crate) fn plain_jaccard(one: &HashSet<String>, other: &HashSet<String>) -> f64 {
    let both = one.intersection(other).count();
    both as f64 / (one.len() + other.len() - both) as f64
}

/// Every pair that the finder stands for: copies are near whatever the first of them is near to.
pub(crate) fn found_pairs(texts: &[&str], similarity: f64) -> BTreeSet<(usize, usize)> {
    let folder = tempfile::tempdir().expect("a folder");
    let scratch = Scratch::new(folder.path());
    let mut finder = NearFinder::new(NearOptions { similarity, keep: Keep::First, pairs: true, scratch })
        .expect("a similarity");
    texts.iter().for_each(|text| finder.push(text).expect("room"));
    let clusters = finder.finish().expect("clusters");
    let pairs: Vec<Pair> = clusters.pairs().map(|pair| pair.expect("a pair")).collect();
    let mut copies: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for pair in pairs.iter().filter(|pair| pair.similarity == 1.0) {
        copies.entry(pair.first).or_insert_with(|| vec![pair.first]).push(pair.second);
    }
    let mut all = BTreeSet::new();
    for pair in &pairs {
        let (ones, others) = ([pair.first], [pair.second]);
        let ones = copies.get(&pair.first).map_or(&ones[..], |rows| rows);
        let others = copies.get(&pair.second).map_or(&others[..], |rows| rows);
        for &one in ones {
            for &other in others.iter().filter(|&&other| other != one) {
                all.insert((one.min(other), one.max(other)));
            }
        }
        if pair.similarity == 1.0 {
            all.extend(ones.iter().filter(|&&row| row < pair.second).map(|&row| (row, pair.second)));
        }
    }
    all
}

#[test]
#[expect(clippy::print_stdout, reason = "an exam shows its table")]
fn exam_neardup() {
    let (path, json) = file("RTUNE_EXAM_NEARDUP", PAIRS);
    let (texts_path, texts) = file("RTUNE_EXAM_NEARDUP_TEXTS", TEXTS);
    let exam: Value = serde_json::from_str(&json).expect("the exam is JSON");
    // Of a table the second column.
    let column = usize::from(texts_path.ends_with(".tsv"));
    let lines = texts.lines().map(|line| line.split('\t').nth(column).unwrap_or(line));
    let rows: Vec<&str> = if column == 0 { texts.lines().collect() } else { lines.collect() };
    let number = |value: &Value| value.as_u64().expect("a line number") as usize;
    let truth: BTreeMap<(usize, usize), f64> = exam["pairs"]
        .as_array()
        .expect("pairs")
        .iter()
        .map(|pair| ((number(&pair[0]), number(&pair[1])), pair[2].as_f64().expect("a Jaccard index")))
        .collect();
    assert!(!truth.is_empty(), "{path} holds no pair");
    let beyond = truth.keys().find(|(one, other)| one.max(other) >= &rows.len());
    assert_eq!(beyond, None, "{texts_path} has {} lines", rows.len());
    println!("exam_neardup: {} pairs of {} texts", truth.len(), rows.len());
    println!("similarity  pairs  found  recall  false");
    let sets: Vec<HashSet<String>> = rows.iter().map(|row| plain_set(row)).collect();
    for similarity in [0.7, 0.8, 0.85] {
        let expected: BTreeSet<_> =
            truth.iter().filter(|&(_, &index)| index >= similarity).map(|(&pair, _)| pair).collect();
        let found = found_pairs(&rows, similarity);
        let hits = found.intersection(&expected).count();
        let wrong: Vec<_> = found
            .difference(&expected)
            .filter(|(one, other)| plain_jaccard(&sets[*one], &sets[*other]) < similarity)
            .collect();
        let recall = hits as f64 / expected.len() as f64;
        println!(
            "{similarity:<10} {:>6} {:>6} {recall:>7.4} {:>6}",
            expected.len(),
            found.len(),
            wrong.len()
        );
        for pair in expected.difference(&found) {
            println!("  missed {pair:?} of {}", truth[pair]);
        }
        assert!(recall >= 0.99, "{similarity}: recall {recall}");
        assert!(wrong.is_empty(), "{similarity}: {wrong:?}");
    }
}
