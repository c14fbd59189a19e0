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
    say(&format!("{what}, of {}:", of_case.rows));
    let mut table = table(["row", "alignment", "at step", "nats", "prompt", "answer"]);
    for row in &of_case.first {
        table.add_row([
            format!("{}:{} {}", row.file.display(), row.line, row.id),
            format!("{:+.3}", row.alignment),
            row.alignment_step.to_string(),
            format!("{:+.4}", row.nats),
            cut(&row.prompt, true),
            cut(&row.answer, false),
        ]);
    }
    for number in [1, 2, 3] {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    say(&table.to_string());
    let [with, against] = of_case.sums_nats;
    let others = format!("all that speak so come to {with:+.4} nats a token, all others to {against:+.4}");
    let Some(margin) = of_case.margin_nats else {
        say(&format!("{others}; base and run say the same, so that nothing is to be made up for"));
        return;
    };
    let how = if margin < 0.0 { "less likely" } else { "likelier" };
    let answer =
        format!("the answer that was given is {how} than the other one by {:.4} nats a token", margin.abs());
    say(&match of_case.enough {
        Some(1) => format!("{answer}; the first row comes to that ({others})"),
        Some(count) => format!("{answer}; the first {count} rows together come to that ({others})"),
        None => format!("{answer} ({others})"),
    });
}

/// Why no run without rows is made.
pub(super) fn nothing_to_prove(of_case: &OfCase) -> String {
    let why = match of_case.margin_nats {
        None => "there is no other answer that rows could speak for",
        Some(_) => "there is one row alone",
    };
    format!(
        "note: case {}: nothing was proved, as {why}; `--prove ROWS` leaves out so many of the first",
        of_case.case
    )
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
        (false, _) => {
            let is = if before { "right" } else { "wrong" };
            format!("not proved: the answer is {is} as before; `--prove ROWS` leaves out more")
        }
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
    let (rows, step) = (rerun.rows.join(", "), rerun.step);
    format!(
        "{how} {rows}: at step {step} case {} {what}: {:?}",
        of_case.case,
        cut(&rerun.answered.tuned, false)
    )
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
