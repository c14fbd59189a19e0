use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::spans;
use crate::entity::Entity;
use crate::national::forms;

#[derive(Deserialize)]
struct Row {
    text: String,
    entity: String,
    spans: Vec<(usize, usize)>,
}

/// Cases, right ones, cases without a span, false findings among these.
#[derive(Default)]
struct Tally([usize; 4]);

/// With RTUNE_EXAM_PII, the table of the national entities of that file by the plain matcher, spans in code points.
#[test]
fn national_entities_of_the_exam() {
    let Some(path) = std::env::var_os("RTUNE_EXAM_PII") else {
        eprintln!("skipped: RTUNE_EXAM_PII names no file");
        return;
    };
    let rows = std::fs::read_to_string(Path::new(&path)).expect("the exam is readable");
    let mut table: BTreeMap<Entity, Tally> = BTreeMap::new();
    for line in rows.lines() {
        let row: Row = serde_json::from_str(line).expect("a row of the exam");
        let Ok(entity) = row.entity.parse::<Entity>() else { continue };
        if forms().all(|form| form.entity != entity) {
            continue;
        }
        let count = |byte: usize| row.text[..byte].chars().count();
        let found: Vec<(usize, usize)> =
            spans(entity, &row.text).into_iter().map(|(start, end)| (count(start), count(end))).collect();
        let right = found == row.spans;
        let Tally(tally) = table.entry(entity).or_default();
        tally[0] += 1;
        tally[1] += usize::from(right);
        tally[2] += usize::from(row.spans.is_empty());
        tally[3] += usize::from(row.spans.is_empty() && !found.is_empty());
        if !right {
            println!("{entity}: {:?}: expected {:?}, found {found:?}", row.text, row.spans);
        }
    }
    assert!(!table.is_empty(), "the exam has no national entity");
    let mut few = Vec::new();
    for (entity, Tally([cases, right, negative, wrong])) in &table {
        println!("{entity:<26} {right:>3} of {cases:>3}   false {wrong:>2} of {negative:>2}");
        if cases - right > (cases / 10).max(1) {
            few.push(entity.name());
        }
    }
    assert!(few.is_empty(), "too many misses: {few:?}");
}
