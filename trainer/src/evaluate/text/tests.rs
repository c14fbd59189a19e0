use serde_json::Value as Json;

use super::chrf::Kind;
use super::*;

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
        println!("{name:<24} {equal:>4} of {:>4} equal, largest difference {largest:.1e}", found.len());
        self.ran += found.len();
        self.equal += equal;
    }

    /// The scores of one set, each sentence with one list of references.
    fn set(&mut self, name: &str, expected: &Json, systems: &[&str], references: &[Vec<&str>]) {
        let pairs = || systems.iter().zip(references);
        let bleu: Vec<_> = pairs().map(|(system, all)| bleu::statistics_of_all(system, all)).collect();
        let of = |kind| -> Vec<_> {
            pairs().map(|(system, all)| chrf::statistics_of_best(system, all, kind)).collect()
        };
        let (plain, plus_plus) = (of(Kind::Plain), of(Kind::PlusPlus));
        let sum = |all: &[chrf::ChrfStatistics]| all.iter().copied().sum::<chrf::ChrfStatistics>();
        let corpus = [
            ("bleu", bleu.iter().copied().sum::<bleu::BleuStatistics>().score()),
            ("chrf", sum(&plain).score()),
            ("chrfpp", sum(&plus_plus).score_of(Kind::PlusPlus)),
        ];
        for (metric, score) in corpus {
            let wanted = expected[metric]["score"].as_f64().expect("a score");
            self.line(&format!("{name}{metric}"), &[wanted], &[score]);
        }
        let sentences = [
            ("sentence_bleu", bleu.iter().map(|one| one.sentence_score()).collect::<Vec<f64>>()),
            ("sentence_chrf", plain.iter().map(|one| one.score()).collect()),
            ("sentence_chrfpp", plus_plus.iter().map(|one| one.score_of(Kind::PlusPlus)).collect()),
        ];
        for (metric, scores) in sentences {
            if let Some(wanted) = expected[metric].as_array() {
                let wanted: Vec<f64> = wanted.iter().map(|score| score.as_f64().expect("a score")).collect();
                self.line(&format!("{name}{metric}"), &wanted, &scores);
            }
        }
        let count = references.first().map_or(0, Vec::len);
        let signatures = [
            ("bleu", bleu::signature(count)),
            ("chrf", chrf::signature(Kind::Plain, count)),
            ("chrfpp", chrf::signature(Kind::PlusPlus, count)),
        ];
        for (metric, signature) in signatures {
            let (_, ours) = signature.split_once('|').expect("a name before");
            let theirs = expected[metric]["signature"].as_str().expect("a signature");
            assert_eq!(Some(ours), theirs.split_once("|version:").map(|(settings, _)| settings), "{metric}");
        }
    }
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
    let alone: Vec<Vec<&str>> = references.iter().map(|&reference| vec![reference]).collect();
    tally.set("", &exam, &systems, &alone);
    if exam["two_references"].is_object() {
        let second = texts(&exam["second_ref"]);
        let both: Vec<Vec<&str>> = references.iter().zip(second).map(|(&one, two)| vec![one, two]).collect();
        tally.set("two references: ", &exam["two_references"], &systems, &both);
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
    }
}

#[test]
fn whitespace_around_an_answer_does_not_count() {
    assert!(exact_match(" Yes.\n", "Yes."));
    assert!(!exact_match("yes.", "Yes."));
    assert!(!exact_match("Yes", "Yes."));
    assert!(exact_match("", "  "));
}

#[test]
fn case_and_punctuation_do_not_count_once_normalised() {
    assert_eq!(normalised("  It's  \u{201c}GRÜN\u{201d}, really! "), "its \u{201c}grün\u{201d} really");
    assert!(normalised_match("yes", "Yes."));
    assert!(!normalised_match("the lamp", "a lamp"));
}
