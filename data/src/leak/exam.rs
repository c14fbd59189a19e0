//! The exam: every pair of a test row and a training row of real texts that is near.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::clean::duplicates::canonical_hash;
use crate::near::exam::plain_set;
use crate::record::Message;
use crate::spill::Scratch;

const SIMILARITY: f64 = 0.7;

const TEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/leak_test.csv");
const TRAIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/leak_train.csv");

/// The texts of a file: the column `text` of a CSV file, or its lines.
fn texts(variable: &str, fallback: &str) -> Vec<String> {
    let path = std::env::var(variable).unwrap_or_else(|_| fallback.to_owned());
    let texts: Vec<String> = if Path::new(&path).extension().is_some_and(|extension| extension == "csv") {
        let mut reader = csv::Reader::from_path(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        reader.records().map(|row| row.expect("a row of CSV")[0].to_owned()).collect()
    } else {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        text.lines().map(str::to_owned).collect()
    };
    assert!(!texts.is_empty(), "{path} holds no text");
    texts
}

/// All pairs of at least this Jaccard index, by counting common 5-grams of every test row with every training row.
fn brute_force(test: &[String], train: &[String], similarity: f64) -> BTreeMap<(usize, usize), f64> {
    let train: Vec<_> = train.iter().map(|text| plain_set(text)).collect();
    let mut rows_of: HashMap<&str, Vec<usize>> = HashMap::new();
    for (row, set) in train.iter().enumerate() {
        set.iter().for_each(|shingle| rows_of.entry(shingle).or_default().push(row));
    }
    let mut pairs = BTreeMap::new();
    for (held_out, text) in test.iter().enumerate() {
        let set = plain_set(text);
        let mut both: HashMap<usize, usize> = HashMap::new();
        for row in set.iter().filter_map(|shingle| rows_of.get(shingle.as_str())).flatten() {
            *both.entry(*row).or_default() += 1;
        }
        for (row, both) in both {
            let index = both as f64 / (set.len() + train[row].len() - both) as f64;
            if index >= similarity {
                pairs.insert((held_out, row), index);
            }
        }
    }
    pairs
}

fn row(text: &str) -> LeakRow {
    let hash = canonical_hash(&[Message::new("user", text)]);
    LeakRow { content: text.to_owned(), conversation: hash, prompt: hash }
}

#[test]
#[expect(clippy::print_stdout, reason = "an exam shows its table")]
fn exam_leak() {
    let (test, train) = (texts("RTUNE_EXAM_LEAK_TEST", TEST), texts("RTUNE_EXAM_LEAK_TRAIN", TRAIN));
    let number = |value: &Value| value.as_u64().expect("a line number") as usize;
    let truth = match std::env::var("RTUNE_EXAM_LEAK") {
        Err(_) => brute_force(&test, &train, SIMILARITY),
        Ok(path) => {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            let exam: Value = serde_json::from_str(&text).expect("the exam is JSON");
            let pairs = exam["pairs"].as_array().expect("pairs").iter();
            pairs
                .map(|pair| {
                    ((number(&pair[0]), number(&pair[1])), pair[2].as_f64().expect("a Jaccard index"))
                })
                .filter(|&(_, index)| index >= SIMILARITY)
                .collect()
        }
    };
    assert!(!truth.is_empty(), "the exam holds no pair");
    let folder = tempfile::tempdir().expect("a folder");
    let options = LeakOptions {
        similarity: SIMILARITY,
        pairs_per_row: 10_000,
        ..LeakOptions::new(Scratch::new(folder.path()))
    };
    let mut finder = LeakFinder::new(options).expect("options");
    test.iter().for_each(|text| finder.held_out(0, &row(text)).expect("room"));
    train.iter().for_each(|text| finder.train(&row(text)).expect("room"));
    let leaks = finder.finish().expect("leaks");
    let found: BTreeMap<(usize, usize), LeakPair> = leaks
        .pairs()
        .map(|pair| pair.expect("a pair"))
        .map(|pair| ((pair.held_out_row, pair.train_row), pair))
        .collect();
    println!(
        "exam_leak: {} pairs of {} held-out and {} training texts",
        truth.len(),
        test.len(),
        train.len()
    );
    println!("similarity  pairs  missed  held-out rows");
    for similarity in [0.7, 0.8, 0.85, 1.0] {
        let expected: Vec<_> = truth.iter().filter(|&(_, &index)| index >= similarity).collect();
        let missed = expected.iter().filter(|(pair, _)| !found.contains_key(pair)).count();
        let mut rows: Vec<usize> = expected.iter().map(|(pair, _)| pair.0).collect();
        rows.dedup();
        println!("{similarity:<10} {:>6} {missed:>7} {:>8}", expected.len(), rows.len());
    }
    let sets = &leaks.sets()[0];
    for (kind, rows) in LeakKind::ALL.iter().zip(sets.by_kind) {
        println!("{kind:<14?} {rows:>6} held-out rows");
    }
    let others = |pair: &&LeakPair| matches!(pair.kind, LeakKind::Contained | LeakKind::Overlap);
    for pair in found.values().filter(others).take(8) {
        println!(
            "  {:?} {:.2}: {:?} in {:?}",
            pair.kind, pair.similarity, test[pair.held_out_row], train[pair.train_row]
        );
    }
    let missed: Vec<_> = truth.iter().filter(|(pair, _)| !found.contains_key(pair)).collect();
    assert!(missed.is_empty(), "{} of {} missed: {missed:?}", missed.len(), truth.len());
    let near = |kind| matches!(kind, LeakKind::Exact | LeakKind::Canonical | LeakKind::Near);
    let wrong: Vec<_> =
        found.iter().filter(|(pair, found)| near(found.kind) && !truth.contains_key(pair)).collect();
    assert!(wrong.is_empty(), "not near: {wrong:?}");
}
