use super::*;
use crate::testing::{record, talk};

fn rows(counts: &[(&str, usize)]) -> Vec<Record> {
    let rows = |&(label, count): &(&str, usize)| {
        let label = label.to_owned();
        (0..count).map(move |row| record(talk(&[&format!("question {row} of {label}"), &label])))
    };
    counts.iter().flat_map(rows).collect()
}

fn labels(rows: &[Record]) -> Labels {
    let mut labels = Labels::new();
    rows.iter().for_each(|row| labels.push(row));
    labels
}

#[test]
fn a_set_of_labels() {
    let report = labels(&rows(&[
        ("ham", 300),
        ("spam", 60),
        ("Spam ", 5),
        ("lost_card", 100),
        ("lost_carrd", 2),
        ("card_1", 40),
        ("card_2", 1),
    ]))
    .report(None);
    assert!(report.classification);
    assert_eq!((report.rows, report.labelled_rows, report.labels.len()), (508, 508, 7));
    assert_eq!((report.labels[0].label.as_str(), report.labels[0].rows), ("ham", 300));
    assert!((report.labels.iter().map(|label| label.share).sum::<f64>() - 1.0).abs() < 1e-9);
    assert_eq!(report.imbalance, 300.0);
    assert_eq!(report.rare, ["Spam ", "lost_carrd", "card_2"]);
    assert_eq!(report.alike, [["lost_card", "lost_carrd"], ["spam", "Spam "]]);
}

#[test]
fn other_sets_are_none() {
    let texts: Vec<Record> =
        (0..100).map(|row| record(talk(&["question", &format!("answer number {row}")]))).collect();
    assert!(!labels(&texts).report(None).classification);
    let one = labels(&rows(&[("ham", 50)])).report(None);
    assert!(!one.classification && one.labels.is_empty());
    let many: Vec<Record> =
        (0..2 * MAX_LABELS).map(|row| record(talk(&["question", &format!("{row}")]))).collect();
    assert!(!labels(&many).report(None).classification);
    assert!(!labels(&[]).report(None).classification);
}

fn kept(rows: &[Record], options: LabelCapOptions) -> Vec<(String, usize)> {
    let mut cap = LabelCap::new(&labels(rows), &options).expect("a cap");
    let kept = rows.iter().filter(|row| cap.keep(row)).cloned().collect::<Vec<_>>();
    let mut counts: Vec<(String, usize)> = Vec::new();
    for label in kept.iter().filter_map(Record::answer) {
        match counts.iter_mut().find(|(other, _)| other == label) {
            Some((_, count)) => *count += 1,
            None => counts.push((label.to_owned(), 1)),
        }
    }
    counts
}

#[test]
fn caps_are_kept_exactly() {
    let rows = rows(&[("ham", 900), ("spam", 100), ("other", 30)]);
    let counts = |options| kept(&rows, options).into_iter().map(|(_, count)| count).collect::<Vec<_>>();
    let rows_each = LabelCapOptions { max_rows_per_label: Some(77), ..LabelCapOptions::default() };
    assert_eq!(counts(rows_each.clone()), [77, 77, 30]);
    let half = LabelCapOptions { max_share: Some(0.5), ..LabelCapOptions::default() };
    assert_eq!(counts(half), [130, 100, 30]);
    let both = LabelCapOptions { max_share: Some(0.4), ..rows_each };
    assert_eq!(counts(both), [60, 60, 30].map(|count: usize| count.min(77)));
    let loose = LabelCapOptions { max_share: Some(1.0), ..LabelCapOptions::default() };
    assert_eq!(counts(loose), [900, 100, 30]);
}

#[test]
fn which_rows_stay_hardly_depends_on_their_order() {
    let rows = rows(&[("ham", 2_000), ("spam", 2_000)]);
    let options = LabelCapOptions { max_rows_per_label: Some(500), ..LabelCapOptions::default() };
    let stay = |rows: &[Record]| {
        let mut cap = LabelCap::new(&labels(rows), &options).expect("a cap");
        let mut ids: Vec<String> =
            rows.iter().filter(|row| cap.keep(row)).map(|row| row.id.clone()).collect();
        ids.sort();
        ids
    };
    let (forward, backward) = (stay(&rows), stay(&rows.iter().rev().cloned().collect::<Vec<_>>()));
    assert_eq!((forward.len(), backward.len()), (1_000, 1_000));
    let same = forward.iter().filter(|id| backward.binary_search(id).is_ok()).count();
    assert!(same >= 970, "{same} of 1000 rows are the same");
}

#[test]
fn impossible_caps_are_mistakes() {
    let labels = labels(&rows(&[("ham", 50), ("spam", 50)]));
    for options in [
        LabelCapOptions::default(),
        LabelCapOptions { max_share: Some(0.3), ..LabelCapOptions::default() },
        LabelCapOptions { max_share: Some(1.5), ..LabelCapOptions::default() },
        LabelCapOptions { max_rows_per_label: Some(0), ..LabelCapOptions::default() },
    ] {
        assert!(LabelCap::new(&labels, &options).is_err(), "{options:?}");
    }
}
