//! Whoever waits is told how far a preparation is.

use std::sync::{Arc, Mutex};

use super::*;
use crate::watch::Doing;

#[test]
fn a_preparation_says_how_far_it_is() {
    let files = Files::new();
    let rows: String = (0..3000).map(|number| row(&format!("question {number}"), "answer") + "\n").collect();
    let one = files.write("one.jsonl", &rows);
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let watch: Watch =
        Arc::new(move |doing, done, total| heard.lock().expect("one thread").push((doing, done, total)));
    let (template, tokenizer) = (template(PLAIN), tokenizer());
    let tools = Tools { watch: Some(&watch), ..Tools::new(&template, &tokenizer) };
    prepare(&train(&[&one]), &tools).expect("it can be used");

    let told = told.lock().expect("told");
    let of = |wanted: Doing| -> Vec<(u64, u64)> {
        told.iter().filter(|(doing, ..)| *doing == wanted).map(|(_, done, total)| (*done, *total)).collect()
    };
    let reading = of(Doing::Reading);
    let bytes = rows.len() as u64;
    // In batches of at most 1,024 rows, as the bytes of the file go; files that are not there have none.
    assert!(reading.iter().filter(|(_, total)| *total == bytes).count() >= 3, "{reading:?}");
    assert!(reading.contains(&(bytes, bytes)), "{reading:?}");
    for doing in [Doing::Comparing, Doing::Encoding] {
        let passes = of(doing);
        assert!(passes.iter().all(|(done, total)| done <= total && *total == 3000), "{passes:?}");
        assert!(passes.contains(&(3000, 3000)), "{doing:?}: {passes:?}");
    }
    assert_eq!(told.last().map(|(doing, ..)| *doing), Some(Doing::Encoding));
}
