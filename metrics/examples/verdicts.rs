//! How often verdicts are right, in simulation: `cargo run --release -p rtune-metrics --example verdicts -- [SETS] [DRAWS]`.
//!
//! Each line is one kind of golden set, drawn anew SETS times (2,000), with DRAWS draws of the bootstrap and of the
//! permutation test each (2,000). Equal models may be called different in 5% of the sets.

#![expect(clippy::print_stdout, reason = "an example shows its figures")]

use rand_core::Rng;
use rtune_metrics::classify::Confusion;
use rtune_metrics::compare::{
    Better, Cases, Comparison, Labels, Means, Settings, Verdict, compare, compare_outcomes, judge_together,
};
use rtune_metrics::stream::stream;

const CASES: usize = 180;

fn main() {
    let number =
        |index: usize| std::env::args().nth(index).and_then(|text| text.parse().ok()).unwrap_or(2000);
    let (sets, draws) = (number(1), number(2));
    let settings = Settings { draws, trials: draws, ..Settings::default() };
    println!("{sets} golden sets of {CASES} cases, {draws} draws, alpha {}", settings.alpha);
    let line = |name: &str, called: &dyn Fn(u64) -> [bool; 2]| {
        let mut counts = [0u64; 2];
        for set in 0..sets as u64 {
            for (count, hit) in counts.iter_mut().zip(called(set)) {
                *count += u64::from(hit);
            }
        }
        let [different, covered] = counts.map(|count| 100.0 * count as f64 / sets as f64);
        println!("{name:<66} called different {different:5.1}%   interval holds the truth {covered:5.1}%");
    };
    for discordant in [0.05, 0.2, 0.5] {
        let half = discordant / 2.0;
        line(&format!("equal, right or wrong, {discordant} of cases flip"), &|set| {
            read(&outcomes(set, half, half, &settings), 0.0)
        });
    }
    line("15% of cases gained, 5% lost", &|set| read(&outcomes(set, 0.15, 0.05, &settings), 0.1));
    line("equal, scores from 0 to 1", &|set| read(&scores(set, 0.0, &settings), 0.0));
    line("scores 0.02 higher", &|set| read(&scores(set, 0.02, &settings), 0.02));
    line("equal, F1 of a class of 10% of the cases", &|set| read(&labels(set, &settings), 0.0));
    line("equal, clusters of 6 alike cases, clusters known", &|set| {
        read(&clusters(set, CASES / 6, true, &settings), 0.0)
    });
    for count in [2, 3, 5, 10] {
        line(&format!("equal, no more than {count} such clusters, clusters known"), &|set| {
            read(&clusters(set, count, true, &settings), 0.0)
        });
    }
    line("equal, clusters of 6 alike cases, taken as single cases", &|set| {
        read(&clusters(set, CASES / 6, false, &settings), 0.0)
    });
    line("equal, the best of 4 metrics after Holm", &|set| {
        let mut metrics: Vec<Comparison> =
            (0..4).map(|metric| scores(4 * set + metric, 0.0, &settings)).collect();
        judge_together(&mut metrics, &settings);
        let different = metrics.iter().any(|one| read(one, 0.0)[0]);
        [different, metrics.iter().all(|one| read(one, 0.0)[1])]
    });
}

/// Whether the verdict is that they differ, and whether the interval holds the true difference.
fn read(comparison: &Comparison, truth: f64) -> [bool; 2] {
    let different = matches!(comparison.verdict, Verdict::Better | Verdict::Worse);
    let [low, high] = comparison.interval;
    [different, (low..=high).contains(&truth)]
}

/// A number from 0 up to 1.
fn uniform(random: &mut impl Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

fn outcomes(set: u64, gained: f64, lost: f64, settings: &Settings) -> Comparison {
    let mut random = stream(7, "simulation", "outcomes", set);
    let case = |_| match uniform(&mut random) {
        draw if draw < gained => (false, true),
        draw if draw < gained + lost => (true, false),
        draw if draw < 0.5 + (gained + lost) / 2.0 => (true, true),
        _ => (false, false),
    };
    let (first, second): (Vec<bool>, Vec<bool>) = (0..CASES).map(case).unzip();
    compare_outcomes("exact", &first, &second, &Cases::independent(CASES), settings).expect("comparable")
}

/// Both models find the same cases hard.
fn scores(set: u64, gain: f64, settings: &Settings) -> Comparison {
    let mut random = stream(7, "simulation", "scores", set);
    let mut case = |_| {
        let hard = uniform(&mut random);
        (0.6 * hard + 0.4 * uniform(&mut random), 0.6 * hard + 0.4 * uniform(&mut random) + gain)
    };
    let (first, second): (Vec<f64>, Vec<f64>) = (0..CASES).map(&mut case).unzip();
    let (first, second) = (Means::new(first), Means::new(second));
    compare("score", Better::Higher, &first, &second, &Cases::independent(CASES), settings)
        .expect("comparable")
}

fn labels(set: u64, settings: &Settings) -> Comparison {
    let mut random = stream(7, "simulation", "labels", set);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..CASES {
        let gold = usize::from(uniform(&mut random) < 0.1);
        for model in [&mut first, &mut second] {
            let right = uniform(&mut random) < if gold == 1 { 0.7 } else { 0.97 };
            model.push((gold, Some(if right { gold } else { 1 - gold })));
        }
    }
    let f1 = |confusion: &Confusion| confusion.f_beta(1, 1.0);
    let (first, second) = (Labels::new(2, first, f1), Labels::new(2, second, f1));
    compare("F1", Better::Higher, &first, &second, &Cases::independent(CASES), settings).expect("comparable")
}

/// In each of `count` clusters one model may have the luck.
fn clusters(set: u64, count: usize, known: bool, settings: &Settings) -> Comparison {
    let mut random = stream(7, "simulation", "clusters", set);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let keys: Vec<Option<usize>> = (0..6 * count).map(|case| Some(case / 6)).collect();
    for _ in 0..count {
        let luck = uniform(&mut random) - 0.5;
        for _ in 0..6 {
            first.push(uniform(&mut random));
            second.push(uniform(&mut random) + luck);
        }
    }
    let cases = if known { Cases::clustered(&keys) } else { Cases::independent(6 * count) };
    let (first, second) = (Means::new(first), Means::new(second));
    compare("score", Better::Higher, &first, &second, &cases, settings).expect("comparable")
}
