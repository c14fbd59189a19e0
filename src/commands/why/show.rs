//! What was found, for people.

use super::OfCase;
use super::prove::{Proof, Rerun};
use crate::reporter::say;
use crate::table::table;

/// Characters of a text that a table shows.
const MOST_SHOWN: usize = 48;

pub(super) fn found(of_case: &OfCase) {
    let answered = &of_case.answered;
    let is = |right: bool| if right { "right" } else { "wrong" };
    say(&format!("case {}: expected {:?}", of_case.case, cut(&answered.expected, false)));
    say(&format!("  the base is {}: {:?}", is(answered.base_is_right), cut(&answered.base, false)));
    say(&format!("  the run is {}: {:?}", is(answered.tuned_is_right), cut(&answered.tuned, false)));
    let what = match (answered.base_is_right, answered.tuned_is_right) {
        (_, false) => "rows that speak against the expected answer",
        (false, true) => "rows that brought the expected answer about",
        (true, true) => "rows that speak for the expected answer, which the base gives too",
    };
    let standing = match of_case.standing_out {
        0 => "none stands out".to_owned(),
        1 => "one stands out (*)".to_owned(),
        count => format!("{count} stand out (*)"),
    };
    say(&format!("{what}, of {}; {standing}:", of_case.rows));
    let mut table = table(["row", "nats", "", "prompt", "answer"]);
    for row in &of_case.first {
        table.add_row([
            format!("{}:{} {}", row.file.display(), row.line, row.id),
            format!("{:+.4}", row.nats),
            if row.stands_out { "*" } else { "" }.to_owned(),
            cut(&row.prompt, true),
            cut(&row.answer, false),
        ]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    say(&table.to_string());
}

pub(super) fn proof(of_case: &OfCase, proof: &Proof) {
    let before = of_case.answered.tuned_is_right;
    say(&line(of_case, &proof.without, before, "without"));
    for control in &proof.controls {
        say(&line(of_case, control, before, "without as many drawn at random:"));
    }
    let changed = proof.without.answered.tuned_is_right != before;
    let by_chance = proof.controls.iter().filter(|one| one.answered.tuned_is_right != before).count();
    say(&match (changed, by_chance) {
        (true, 0) => "proved: it was these rows".to_owned(),
        (true, count) => format!(
            "not proved: {count} of {} runs without other rows changed the answer too",
            proof.controls.len()
        ),
        (false, _) => "not proved: the answer is as it was; `--prove ROWS` leaves out more".to_owned(),
    });
}

fn line(of_case: &OfCase, rerun: &Rerun, before: bool, how: &str) -> String {
    let now = rerun.answered.tuned_is_right;
    let what = match (before, now) {
        (false, true) => "passes again",
        (false, false) => "fails as before",
        (true, false) => "fails",
        (true, true) => "passes as before",
    };
    let rows = rerun.rows.join(", ");
    format!("{how} {rows}: case {} {what}: {:?}", of_case.case, cut(&rerun.answered.tuned, false))
}

/// The beginning or the end of a text, in one line, and nothing in it that a terminal obeys.
fn cut(text: &str, end: bool) -> String {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let line: Vec<char> = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().map(shown).collect();
    match line.len().checked_sub(MOST_SHOWN) {
        None | Some(0) => line.into_iter().collect(),
        Some(over) if end => format!("…{}", line[over..].iter().collect::<String>()),
        Some(_) => format!("{}…", line[..MOST_SHOWN].iter().collect::<String>()),
    }
}
