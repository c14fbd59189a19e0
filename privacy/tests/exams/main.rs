//! The scanner held against cases that others wrote. Each exam takes its file from an environment variable, or a small one of
//! our own from `tests/fixtures/exams`, and prints what it found.

#![expect(clippy::print_stdout, reason = "the tables are what an exam is read for")]

mod datafog;
mod pii;
mod synth;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The rows of the JSONL file that `variable` names, or of our own file `own`.
fn rows(variable: &str, own: &str) -> Vec<Value> {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/exams").join(own);
    let path = std::env::var_os(variable).map_or(fixture, PathBuf::from);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let rows: Vec<Value> = lines
        .map(|(index, line)| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{}:{}: {error}", path.display(), index + 1))
        })
        .collect();
    assert!(!rows.is_empty(), "{}: no cases", path.display());
    println!("{}: {} cases", path.display(), rows.len());
    rows
}

/// `part` of `whole` in percent; all of nothing.
fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 100.0 } else { 100.0 * part as f64 / whole as f64 }
}
