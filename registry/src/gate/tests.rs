//! The gate's own tests; what it makes of real models is tested through the program.

use rtune_trainer::config::GateSection;

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
