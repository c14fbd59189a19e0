//! How often the verdict of `rtune compare` is right, in simulation, by the function that the verb uses:
//! `cargo run --release -p rtune-trainer --example compare_verdicts -- [SETS] [DRAWS]`.
//!
//! Each line is one kind of golden set of 180 cases with a check each, drawn anew SETS times (2,000) and compared by all metrics that the verb
//! compares, with DRAWS draws of the bootstrap and of the permutation test (200: exact McNemar's, by which `checks` are judged, has none).

#![expect(clippy::print_stdout, reason = "an example shows its figures")]

use std::path::Path;

use rand_core::Rng;
use rtune_data::stream;
use rtune_metrics::compare::{Comparison, Settings, Verdict};
use rtune_trainer::error::TrainerError;
use rtune_trainer::evaluate::compare::{Which, compare_reports};
use serde_json::{Value, json};

const CASES: usize = 180;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let number = |index: usize| std::env::args().nth(index).and_then(|text| text.parse::<u64>().ok());
    let (sets, draws) = (number(1).unwrap_or(2000), number(2).unwrap_or(200));
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("report.json");
    println!("{sets} golden sets of {CASES} cases, {draws} draws, alpha {}", Settings::default().alpha);
    for (gained, lost) in [(0.025, 0.025), (0.1, 0.1), (0.25, 0.25), (0.15, 0.05)] {
        let (mut decided, mut other, mut metrics) = (0_u64, 0_u64, 0);
        for set in 0..sets {
            std::fs::write(&file, report(gained, lost, set).to_string())?;
            let compared = compared(&file, draws as usize)?;
            let differs = |one: &Comparison| matches!(one.verdict, Verdict::Better | Verdict::Worse);
            metrics = compared.len();
            decided += u64::from(compared.first().is_some_and(differs));
            other += u64::from(compared.iter().skip(1).any(differs));
        }
        let percent = |count: u64| 100.0 * count as f64 / sets as f64;
        println!(
            "{:4.1}% of cases gained, {:4.1}% lost: called different by the metric that decides {:5.1}%, by any of {} others {:5.1}%",
            100.0 * gained,
            100.0 * lost,
            percent(decided),
            metrics - 1,
            percent(other)
        );
    }
    Ok(())
}

fn compared(file: &Path, draws: usize) -> Result<Vec<Comparison>, TrainerError> {
    let settings = Settings { draws, trials: draws, ..Settings::default() };
    Ok(compare_reports((file, Which::Base), (file, Which::Tuned), None, &[], &settings)?.metrics)
}

/// A golden report in which the tuned model has some cases right that the base has wrong, and the other way round.
fn report(gained: f64, lost: f64, set: u64) -> Value {
    let mut random = stream(7, "simulation", "verb", set);
    // A number from 0 up to 1.
    let mut uniform = || (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let mut case = |index: usize| {
        let (base, tuned) = match uniform() {
            draw if draw < gained => (false, true),
            draw if draw < gained + lost => (true, false),
            draw if draw < 0.5 + (gained + lost) / 2.0 => (true, true),
            _ => (false, false),
        };
        let mut side = |right: bool| {
            let wrong = ["It is green.", "There is none.", "Ask somebody else."][(uniform() * 3.0) as usize];
            json!({
                "answer": if right { "It is red." } else { wrong },
                "exact_match": right,
                "normalised_match": right,
                "failed_checks": if right { Vec::new() } else { vec!["no"] },
                "nats": 5.0 + uniform(),
                "tokens": 4,
            })
        };
        json!({"id": index.to_string(), "prompt": [{"role": "user", "content": "Which colour?"}], "expected": ["It is red."],
            "slice": null, "cluster": null, "weight": 1.0, "checks": 1, "base": side(base), "tuned": side(tuned)})
    };
    json!({"format": 1, "labels": null, "cases": (0..CASES).map(&mut case).collect::<Vec<Value>>()})
}
