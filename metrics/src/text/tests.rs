use serde_json::Value as Json;

use super::bleu::{BleuStatistics, Settings, Smoothing};
use super::chrf::{ChrfStatistics, Kind};
use super::rouge::{RougeScore, RougeScores};
use super::ter::TerStatistics;
use super::*;
use crate::stream::{stream, uniform_below};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/exams/text_metrics.json");
/// Sums in another order differ by a few units in the last place of numbers up to 100.
const TOLERANCE: f64 = 1e-10;

fn exam(path: &str) -> Json {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn texts(json: &Json) -> Vec<&str> {
    json.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text")).collect()
}

fn numbers(json: &Json) -> Option<Vec<f64>> {
    Some(json.as_array()?.iter().map(|score| score.as_f64().expect("a score")).collect())
}

/// The settings of BLEU that an exam may hold.
fn bleu_settings() -> [(&'static str, Settings); 7] {
    let base = Settings::default();
    [
        ("bleu", base),
        ("bleu_lc", Settings { lower_case: true, ..base }),
        ("bleu_floor", Settings { smoothing: Smoothing::Floor(0.1), ..base }),
        ("bleu_addk", Settings { smoothing: Smoothing::AddK(1.0), ..base }),
        ("bleu_none", Settings { smoothing: Smoothing::None, ..base }),
        ("bleu_char", Settings { tokenizer: Tokenizer::Characters, ..base }),
        ("bleu_intl", Settings { tokenizer: Tokenizer::International, ..base }),
    ]
}

/// Answers and the references of each.
struct Set<'a> {
    systems: Vec<&'a str>,
    references: Vec<Vec<&'a str>>,
}

impl Set<'_> {
    fn each<T>(&self, score: impl Fn(&str, &[&str]) -> T) -> Vec<T> {
        self.systems.iter().zip(&self.references).map(|(system, all)| score(system, all)).collect()
    }

    /// Each corpus score with its name and its signature.
    fn corpus(&self) -> Vec<(&'static str, f64, String)> {
        let count = self.references.first().map_or(0, Vec::len);
        let mut scores = Vec::new();
        for (name, settings) in bleu_settings() {
            let all = self.each(|system, all| bleu::statistics_with(&settings, system, all));
            let score = all.into_iter().sum::<BleuStatistics>().score_with(&settings);
            scores.push((name, score, settings.signature(count)));
        }
        let sum = |kind| -> ChrfStatistics {
            self.each(|system, all| chrf::statistics_of_best(system, all, kind)).into_iter().sum()
        };
        for (name, kind) in [("chrf", Kind::Plain), ("chrfpp", Kind::PlusPlus)] {
            scores.push((name, sum(kind).score_of(kind), chrf::signature(kind, count)));
        }
        if count == 1 {
            let score = sum(Kind::Plain).score_of_all_orders(Kind::Plain);
            scores.push(("chrf_eps", score, chrf::signature_of_all_orders(Kind::Plain, count)));
        }
        let edits: TerStatistics = self.each(ter::statistics_of_all).into_iter().sum();
        scores.push(("ter", edits.score(), ter::signature(count)));
        scores
    }

    /// The scores of sentences, by name.
    fn sentences(&self) -> Vec<(&'static str, Vec<f64>)> {
        let of = |kind| self.each(|system, all| chrf::statistics_of_best(system, all, kind).score_of(kind));
        vec![
            ("sentence_bleu", self.each(|system, all| bleu::statistics_of_all(system, all).sentence_score())),
            ("sentence_chrf", of(Kind::Plain)),
            ("sentence_chrfpp", of(Kind::PlusPlus)),
            ("sentence_ter", self.each(|system, all| ter::statistics_of_all(system, all).score())),
        ]
    }
}

/// How many comparisons were made, and how many were equal.
#[derive(Default)]
struct Tally {
    ran: usize,
    equal: usize,
}

impl Tally {
    #[expect(clippy::print_stdout, reason = "an exam shows its table")]
    fn line(&mut self, name: &str, expected: &[f64], found: &[f64]) {
        assert_eq!(expected.len(), found.len(), "{name}");
        let differences: Vec<f64> = expected.iter().zip(found).map(|(a, b)| (a - b).abs()).collect();
        let equal = differences.iter().filter(|&&difference| difference <= TOLERANCE).count();
        let largest = differences.iter().fold(0.0_f64, |largest, &difference| largest.max(difference));
        println!("{name:<32} {equal:>4} of {:>4} equal, largest difference {largest:.1e}", found.len());
        self.ran += found.len();
        self.equal += equal;
    }

    /// Every score of one set that the exam has.
    fn set(&mut self, name: &str, expected: &Json, set: &Set<'_>) {
        for (metric, score, signature) in set.corpus() {
            let Some(wanted) = expected[metric]["score"].as_f64() else { continue };
            self.line(&format!("{name}{metric}"), &[wanted], &[score]);
            let (_, ours) = signature.split_once('|').expect("a name before");
            let theirs = expected[metric]["signature"].as_str().expect("a signature");
            assert_eq!(Some(ours), theirs.split_once("|version:").map(|(settings, _)| settings), "{metric}");
        }
        for (metric, scores) in set.sentences() {
            if let Some(wanted) = numbers(&expected[metric]) {
                self.line(&format!("{name}{metric}"), &wanted, &scores);
            }
        }
        for (metric, stem) in [("rouge", false), ("rouge_stem", true)] {
            let Some(wanted) = expected[metric].as_array() else { continue };
            let ours = set.each(|system, all| rouge::scores_of_best(system, all, stem));
            for (index, kind) in ["rouge1", "rouge2", "rougeL", "rougeLsum"].into_iter().enumerate() {
                let wanted: Vec<f64> =
                    wanted.iter().flat_map(|scores| numbers(&scores[kind]).expect("three scores")).collect();
                let found: Vec<f64> = ours.iter().flat_map(|scores| three(kinds(scores)[index])).collect();
                self.line(&format!("{name}{metric} {kind}"), &wanted, &found);
            }
        }
    }
}

fn kinds(scores: &RougeScores) -> [RougeScore; 4] {
    [scores.rouge1, scores.rouge2, scores.rouge_l, scores.rouge_lsum]
}

fn three(score: RougeScore) -> [f64; 3] {
    [score.precision, score.recall, score.f1]
}

#[test]
#[expect(clippy::print_stdout, reason = "an exam shows its table")]
fn exam_text_metrics() {
    let path = std::env::var("RTUNE_EXAM_TEXT_METRICS").unwrap_or_else(|_| FIXTURE.to_owned());
    let exam = exam(&path);
    let (systems, references) = (texts(&exam["sys"]), texts(&exam["ref"]));
    assert!(!systems.is_empty(), "{path} holds no case");
    assert_eq!(systems.len(), references.len(), "{path}");
    let mut tally = Tally::default();
    let alone = references.iter().map(|&reference| vec![reference]).collect();
    tally.set("", &exam, &Set { systems: systems.clone(), references: alone });
    if exam["two_references"].is_object() {
        let second = texts(&exam["second_ref"]);
        let both = references.iter().zip(second).map(|(&one, two)| vec![one, two]).collect();
        tally.set("two: ", &exam["two_references"], &Set { systems: systems.clone(), references: both });
    }
    for case in exam["classification"].as_array().into_iter().flatten() {
        for (name, expected, found) in crate::classify::tests::beside_peer(case) {
            tally.line(&format!("classification: {name}"), &expected, &found);
        }
    }
    let Tally { ran, equal } = tally;
    println!("exam_text_metrics: {} pairs; {equal} of {ran} scores equal", systems.len());
    assert!(ran >= 3, "{path}: nothing was compared");
    assert_eq!(equal, ran);
}

#[test]
fn one_reference_is_a_list_of_one() {
    let exam = exam(FIXTURE);
    for (system, reference) in texts(&exam["sys"]).into_iter().zip(texts(&exam["ref"])) {
        let statistics = chrf::statistics(system, reference);
        for kind in [Kind::Plain, Kind::PlusPlus] {
            let listed = chrf::statistics_of_best(system, &[reference], kind);
            assert_eq!(statistics.score_of(kind).to_bits(), listed.score_of(kind).to_bits());
        }
        assert_eq!(bleu::statistics(system, reference), bleu::statistics_of_all(system, &[reference]));
        assert_eq!(ter::statistics(system, reference), ter::statistics_of_all(system, &[reference]));
        assert_eq!(rouge::scores(system, reference, true), rouge::scores_of_best(system, &[reference], true));
    }
}

#[test]
fn a_shifted_run_of_words_is_one_edit() {
    let score = |system: &str, reference: &str| ter::statistics(system, reference).score();
    assert_eq!(score("c d a b", "a b c d"), 25.0);
    assert_eq!(score("A b  c d", "a b c d"), 0.0);
    assert_eq!(score("", ""), 0.0);
    assert_eq!(score("a", ""), 100.0);
    assert_eq!(score("", "a b"), 100.0);
    assert_eq!(score("x y z u v", "a b"), 250.0);
}

/// Far from the diagonal nothing is computed, and what an earlier try left there must not be read.
#[test]
fn long_texts_are_edited_around_the_diagonal() {
    let mut random = stream(5, "test", "ter", 0);
    let mut scores = Vec::new();
    for (answer, wanted) in [(200, 90), (90, 200), (150, 160), (5, 300)] {
        let words: Vec<String> =
            (0..answer.max(wanted)).map(|_| format!("w{}", uniform_below(&mut random, 60))).collect();
        let mut moved = words.clone();
        for _ in 0..10 {
            let from = uniform_below(&mut random, (moved.len() - 6) as u32) as usize;
            let run: Vec<String> = moved.drain(from..from + 6).collect();
            let to = uniform_below(&mut random, moved.len() as u32) as usize;
            moved.splice(to..to, run);
        }
        let reference = words[words.len() - wanted..].join(" ");
        scores.push(ter::statistics(&moved[..answer].join(" "), &reference).score());
    }
    // What sacreBLEU 2.6.0 says of the same texts.
    assert_eq!(scores, [145.55555555555554, 82.5, 36.875, 99.0]);
}

#[test]
fn endings_go_as_in_nltk() {
    for (word, stem) in [
        ("relational", "relat"),
        ("generalizations", "gener"),
        ("ties", "tie"),
        ("skies", "sky"),
        ("hopping", "hop"),
        ("falling", "fall"),
        ("filing", "file"),
        ("happy", "happi"),
        ("enjoy", "enjoy"),
        ("controll", "control"),
        ("adoption", "adopt"),
        ("apology", "apolog"),
        ("agreed", "agre"),
    ] {
        assert_eq!(porter::stem(word), stem, "{word}");
    }
}
