//! The proof: the run again without the rows, all else as it was, and the case asked again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rtune_data::{stream, uniform_below};
use rtune_trainer::checkpoint::Checkpoints;
use rtune_trainer::config::Config;
use rtune_trainer::files::sha256_of;
use rtune_trainer::influence::Traced;
use rtune_trainer::inputs::Inputs;
use rtune_trainer::run::Outcome;
use serde::Serialize;

use super::answer::{Answered, answers};
use super::{Asked, OfCase};
use crate::commands::train;
use crate::failure::BadInput;
use crate::reporter::{Lines, complain, say};

/// What training without rows came to.
#[derive(Serialize)]
pub(super) struct Proof {
    /// Without the rows that were found.
    pub(super) without: Rerun,
    /// Without as many others, drawn at random.
    pub(super) controls: Vec<Rerun>,
}

/// A run without some rows.
#[derive(Serialize)]
pub(super) struct Rerun {
    /// Where it is.
    pub(super) run: PathBuf,
    /// The rows that it did not see.
    pub(super) rows: Vec<String>,
    /// The step that was asked, as of the run itself.
    pub(super) step: u64,
    /// What it answers to the case.
    #[serde(flatten)]
    pub(super) answered: Answered,
}

/// Refuses to leave out so many of `rows` that there are not as many others.
pub(super) fn refuse_most(asked: usize, rows: usize) -> anyhow::Result<()> {
    let most = rows / 2;
    if asked <= most {
        return Ok(());
    }
    let problem = format!("`--prove`: expected at most {most} of {rows} rows, found {asked}");
    let hint = "as many others are left out in the run that it is held against";
    Err(BadInput::new(problem).with_hint(hint).into())
}

/// How many of the first rows are to be left out at first: so many as were asked for, or as come to the margin, or a few where all come to
/// less. `None` where there is no other answer that rows could speak for, and where there are not as many others beside them.
pub(super) fn how_many(of_case: &OfCase, asked: usize) -> anyhow::Result<Option<usize>> {
    refuse_most(asked, of_case.rows)?;
    if asked > 0 {
        return Ok(Some(asked));
    }
    let count = of_case.enough.unwrap_or(FEW).min(of_case.rows / 2);
    Ok(of_case.margin_nats.and(Some(count)).filter(|count| *count > 0))
}

/// Rows that are left out at first where all rows together come to less than the margin.
const FEW: usize = 2;
/// How often twice as many rows are left out, where no number was asked for and the answer is as before: what a sum of the first order
/// makes of a row does not know that others say the same.
const MOST_DOUBLINGS: u32 = 4;

/// The most rows of all that [`prove`] may leave out.
pub(super) fn most(rows: usize, enough: Option<usize>, asked: usize) -> usize {
    if asked > 0 { asked } else { (enough.unwrap_or(FEW) << MOST_DOUBLINGS).min(rows / 2) }
}

/// Trains without the first `count` rows of the case, or without more where none were asked for, and without as many others for each
/// control. `None` if it was stopped.
pub(super) fn prove(
    asked: &Asked<'_>,
    inputs: &Inputs,
    traced: &Traced<'_>,
    of_case: &OfCase,
    count: usize,
    signal: &Arc<AtomicUsize>,
) -> anyhow::Result<Option<Proof>> {
    let most = most(of_case.rows, of_case.enough, asked.args.prove.unwrap_or(0) as usize);
    let mut count = count;
    let (found, without) = loop {
        let found: Vec<String> = of_case.first.iter().take(count).map(|row| row.id.clone()).collect();
        let Some(without) = rerun(asked, inputs, &of_case.case, found.clone(), signal)? else {
            return Ok(None);
        };
        let changed = without.answered.tuned_is_right != of_case.answered.tuned_is_right;
        if changed || 2 * count > most {
            break (found, without);
        }
        if !asked.args.json {
            say(&format!("the answer is as before; without {} rows:", 2 * count));
        }
        count *= 2;
    };
    let mut controls = Vec::new();
    for number in 0..asked.args.controls {
        let others: Vec<&str> = traced
            .rows
            .iter()
            .map(|one| one.row.id.as_str())
            .filter(|id| !found.iter().any(|row| row == id))
            .collect();
        let rows = drawn(others, found.len(), asked.config.train.seed, &of_case.case, number);
        let Some(control) = rerun(asked, inputs, &of_case.case, rows, signal)? else { return Ok(None) };
        controls.push(control);
    }
    Ok(Some(Proof { without, controls }))
}

/// So many of the rows, by a draw of the seed, the case and the number.
fn drawn(mut rows: Vec<&str>, count: usize, seed: u64, case: &str, number: u32) -> Vec<String> {
    let mut random = stream(seed, "why", case, u64::from(number));
    let mut drawn = Vec::new();
    while drawn.len() < count && !rows.is_empty() {
        let place = uniform_below(&mut random, rows.len() as u64) as usize;
        drawn.push(rows.swap_remove(place).to_owned());
    }
    drawn.sort_unstable();
    drawn
}

fn rerun(
    asked: &Asked<'_>,
    inputs: &Inputs,
    case: &str,
    rows: Vec<String>,
    signal: &Arc<AtomicUsize>,
) -> anyhow::Result<Option<Rerun>> {
    let mut config: Config = asked.config.clone();
    config.train.without.extend(rows.iter().cloned());
    config.train.without.sort_unstable();
    config.train.without.dedup();
    let name = sha256_of(config.train.without.join("\n").as_bytes());
    config.output.dir = asked.args.run.join("why").join(format!("without-{}", &name[..16]));
    if !asked.args.json && !config.output.dir.exists() {
        say(&format!("training without {} rows: {}", rows.len(), config.output.dir.display()));
    }
    // The checkpoint of the step that answered is asked, whichever is the best there.
    config.eval.patience = 0;
    let checkpoints = Checkpoints::of(&config.output.dir);
    if !checkpoints.whole_steps()?.contains(&asked.step) {
        let lines = if asked.args.json { Lines::None } else { Lines::People };
        let outcome = train::go_until(&config, inputs, asked.step, lines, signal)?;
        if let (Outcome::Stopped(state), true) = (outcome, signal.load(Ordering::SeqCst) != 0) {
            complain(&format!("stopped at step {}; the same command goes on there", state.step));
            return Ok(None);
        }
    }
    if !checkpoints.folder(asked.step).is_dir() {
        let problem = format!(
            "{}: step {} is passed, and its checkpoint gone",
            config.output.dir.display(),
            asked.step
        );
        return Err(BadInput::new(problem).with_hint("remove that folder: it is trained again").into());
    }
    let answered = answers(asked, &checkpoints.folder(asked.step).display().to_string())?;
    let answered = answered.into_iter().find(|(contrast, _)| contrast.case == case);
    let Some((_, answered)) = answered else { anyhow::bail!("the case `{case}` is gone") };
    Ok(Some(Rerun { run: config.output.dir, rows, step: asked.step, answered }))
}
