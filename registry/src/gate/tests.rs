//! The gate's own tests; what it makes of real models is tested through the program.

use rtune_metrics::compare::{Better, Cases, Comparison, Means, Settings, compare, compare_outcomes};
use rtune_trainer::config::GateSection;

use super::rules::collapsed;
use super::*;

#[test]
fn one_reason_is_enough_and_all_are_kept() {
    let mut decision = Decision::begin("run".to_owned(), "v0001".to_owned(), &GateSection::default());
    decision.add([Finding::of("leaks", "none".to_owned(), Vec::new())]);
    assert!(decision.promoted);
    decision.add([Finding::of("leaks", "rows leak".to_owned(), vec!["g-1".to_owned()])]);
    decision.add([Finding::of("slices", "none".to_owned(), Vec::new())]);
    assert!(!decision.promoted);
    assert_eq!(decision.reasons().map(Finding::line).collect::<Vec<_>>(), ["rows leak: g-1"]);
    assert_eq!((decision.findings.len(), decision.ships.as_str()), (3, "merged"));
}

#[test]
fn a_line_names_ten_cases() {
    let cases: Vec<String> = (0..12).map(|number| format!("g-{number}")).collect();
    let line = Finding::of("leaks", "rows leak".to_owned(), cases).line();
    assert!(line.starts_with("rows leak: g-0, g-1,") && line.ends_with("g-9 and 2 more"), "{line}");
}

/// `count` cases in `clusters` clusters.
fn clustered(count: usize, clusters: usize) -> Cases {
    let names: Vec<String> = (0..count).map(|case| (case % clusters).to_string()).collect();
    Cases::clustered(&names.iter().map(|name| Some(name.as_str())).collect::<Vec<_>>())
}

fn scores(better: Better, before: f64, now: f64, cases: &Cases) -> Comparison {
    let of = |score: f64| Means::weighted(vec![score; cases.count()], vec![1.0; cases.count()]);
    compare("chrf", better, &of(before), &of(now), cases, &Settings::default()).expect("comparable")
}

/// No probability can say so: with four clusters that of a test of signs is an eighth at best.
#[test]
fn a_slice_of_few_clusters_that_is_all_lost_has_collapsed() {
    let cases = clustered(20, 4);
    let lost = compare_outcomes("checks", &[true; 20], &[false; 20], &cases, &Settings::default())
        .expect("comparable");
    assert!(lost.p > 0.1 && collapsed(&lost, 0.05), "{lost:?}");
    let half: Vec<bool> = (0..20).map(|case| case % 2 == 0).collect();
    let lost =
        compare_outcomes("checks", &[true; 20], &half, &cases, &Settings::default()).expect("comparable");
    assert!(!collapsed(&lost, 0.05), "half is not more than half");
    let alone = clustered(6, 6);
    let lost = compare_outcomes("checks", &[true; 6], &[false; 6], &alone, &Settings::default())
        .expect("comparable");
    assert!(collapsed(&lost, 0.05));
}

#[test]
fn whatever_the_metric_a_small_slice_can_collapse() {
    let five = clustered(5, 5);
    assert!(collapsed(&scores(Better::Higher, 80.0, 39.0, &five), 0.05));
    assert!(!collapsed(&scores(Better::Higher, 80.0, 41.0, &five), 0.05));
    assert!(collapsed(&scores(Better::Lower, 20.0, 41.0, &five), 0.05), "less was better");
    assert!(!collapsed(&scores(Better::Lower, 20.0, 39.0, &five), 0.05));
    assert!(!collapsed(&scores(Better::Lower, 80.0, 20.0, &five), 0.05), "it is better");
    // Enough clusters speak for themselves, unless more certainty is asked of them than they can give.
    let many = clustered(24, 12);
    assert!(!collapsed(&scores(Better::Higher, 80.0, 10.0, &many), 0.05));
    assert!(collapsed(&scores(Better::Higher, 80.0, 10.0, &many), 0.0001));
}
