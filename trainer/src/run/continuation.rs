//! What may have changed when a run goes on, and what must not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::RunOptions;
use super::folder::CONFIG_FILE;
use super::order::Order;
use super::rules::{Rule, rule_of};
use super::sums;
use crate::checkpoint::State;
use crate::config::{Change, Config, LoraSection, SaveActivations, Schedule};
use crate::error::TrainerError;
use crate::inputs::Inputs;
use crate::manifest::{Continuation, Manifest};
use crate::schedule::{learning_rate, warmup_steps};

/// A run that goes on.
#[derive(Debug)]
pub(super) struct GoingOn {
    /// The configuration from here on.
    pub(super) config: Config,
    /// The manifest from here on.
    pub(super) manifest: Manifest,
    /// What a person should know.
    pub(super) notes: Vec<String>,
}

/// Compares what a run would go on with, `resolved` from the user's `written`, with what it began with. Writes nothing.
///
/// # Errors
/// [`TrainerError::OtherConfig`], [`TrainerError::OtherInput`] or [`TrainerError::TooShort`] where that would be
/// another run; those of reading the run folder.
pub(super) fn go_on(
    run: &Path,
    state: &State,
    written: &Config,
    resolved: Config,
    inputs: &Inputs,
    options: &RunOptions,
) -> Result<GoingOn, TrainerError> {
    let before = Config::load(&run.join(CONFIG_FILE), &[])?;
    let began = Manifest::read(run)?;
    // Of use later; what cannot be read is said before anything is written.
    sums::read(run)?;
    let mut config = resolved;
    if written.train.save_activations == SaveActivations::Auto {
        // What memory happens to be free must not change a run that goes on.
        config.train.save_activations = before.train.save_activations;
    }
    let changes = config.changes(&before);
    refuse_fixed(run, &changes)?;
    let now = Manifest::of(&config, inputs, options)?;
    refuse_other_inputs(run, &config, [&began, &now], &changes)?;
    let mut said: Vec<String> = changes.iter().map(ToString::to_string).collect();
    said.extend(other_bytes(&began, &now));
    if now.device != began.device {
        said.push(format!(
            "the device was {}, is {}: the last bits may differ from here on",
            began.device, now.device
        ));
    }
    if now.program != began.program {
        let name = |manifest: &Manifest| {
            let program = &manifest.program;
            format!("{} {} ({:.12})", program.name, program.version, program.sha256)
        };
        said.push(format!("the program was {}, is {}", name(&began), name(&now)));
    }
    let mut notes: Vec<String> =
        said.iter().map(|change| format!("going on after step {}: {change}", state.step)).collect();
    notes.extend(length_note(run, state, &before, &config, inputs)?);
    Ok(GoingOn { manifest: continued(began, now, state.step, said), config, notes })
}

/// The manifest from here on: what is now, with the history of what was.
fn continued(began: Manifest, now: Manifest, step: u64, changes: Vec<String>) -> Manifest {
    let mut continuations = began.continuations;
    let continuation = Continuation { step, changes, config: now.config.clone() };
    // A process that was killed right after it wrote this comes here again.
    if !continuation.changes.is_empty() && continuations.last() != Some(&continuation) {
        continuations.push(continuation);
    }
    let mut environment = began.environment;
    environment.base = now.environment.base;
    environment.working_directory = now.environment.working_directory;
    Manifest {
        continuations,
        environment,
        evaluations: began.evaluations,
        // It was copied into the first checkpoint, and may have gone since.
        initial_adapter: began.initial_adapter,
        ..now
    }
}

fn refuse_fixed(run: &Path, changes: &[Change]) -> Result<(), TrainerError> {
    let refused: Vec<String> = changes
        .iter()
        .filter_map(|change| match rule_of(&change.key) {
            (Rule::Fixed, reason) => Some(format!("{change} ({reason})")),
            _ => None,
        })
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(TrainerError::OtherConfig { folder: run.to_owned(), differences: refused.join(", ") })
}

fn refuse_other_inputs(
    run: &Path,
    config: &Config,
    [began, now]: [&Manifest; 2],
    changes: &[Change],
) -> Result<(), TrainerError> {
    let other = |what: String, expected: &str, found: &str| {
        let (folder, expected, found) = (run.to_owned(), expected.to_owned(), found.to_owned());
        Err(TrainerError::OtherInput { folder, what, expected, found })
    };
    if let Some((name, expected, found)) = first_difference(&began.base, &now.base) {
        return other(format!("base: `{name}`"), &expected, &found);
    }
    for (what, expected, found) in
        [("tokenizer", &began.tokenizer, &now.tokenizer), ("chat template", &began.template, &now.template)]
    {
        if expected != found {
            return other(what.to_owned(), expected, found);
        }
    }
    if began.prepared_rows == now.prepared_rows {
        // Of the same rows, what else decides numbers; a run of an earlier version did not write it down.
        let ids = [&began.row_ids, &now.row_ids];
        let golden = [&began.golden, &now.golden];
        let others = [
            (draws_by_ids(config), "set of row ids, by which dropout, noise and `train.without` go", ids),
            (config.eval.golden_rows > 0, "set of golden files, which `eval.golden-rows` asks of", golden),
        ];
        for (counts, what, hashes) in others {
            if let (true, [Some(expected), Some(found)]) = (counts && hashes[0] != hashes[1], hashes) {
                return other(what.to_owned(), expected, found);
            }
        }
        return Ok(());
    }
    let because: Vec<String> = changes
        .iter()
        .filter(|change| rule_of(&change.key).0 == Rule::Content)
        .map(ToString::to_string)
        .collect();
    if !because.is_empty() {
        let what = format!("set of rows ({})", because.join(", "));
        return other(what, &began.prepared_rows, &now.prepared_rows);
    }
    match first_difference(&began.data, &now.data) {
        Some((name, expected, found)) => other(format!("data file `{name}`"), &expected, &found),
        None => other("set of prepared rows".to_owned(), &began.prepared_rows, &now.prepared_rows),
    }
}

/// Whether the ids of rows decide what is trained, beside the rows themselves.
fn draws_by_ids(config: &Config) -> bool {
    let drops_out = matches!(&config.lora, LoraSection::New(shape) if shape.dropout > 0.0);
    // An adapter that goes on may have a dropout of its own, which its folder says.
    let may_drop_out = matches!(&config.lora, LoraSection::From(_));
    drops_out || may_drop_out || config.train.neftune_alpha > 0.0 || !config.train.without.is_empty()
}

/// The first name whose hash differs, with both; none where the same files have other names.
fn first_difference(
    began: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Option<(String, String, String)> {
    let sorted = |files: &BTreeMap<String, String>| {
        let mut hashes: Vec<String> = files.values().cloned().collect();
        hashes.sort();
        hashes
    };
    if sorted(began) == sorted(now) {
        return None;
    }
    let said = |files: &BTreeMap<String, String>, name: &str| {
        files.get(name).cloned().unwrap_or_else(|| "no such file".to_owned())
    };
    let names: BTreeSet<&String> = began.keys().chain(now.keys()).collect();
    let name = names.into_iter().find(|name| began.get(*name) != now.get(*name))?;
    Some((name.clone(), said(began, name), said(now, name)))
}

/// Data files of other bytes; the rows are known to be the same.
fn other_bytes(began: &Manifest, now: &Manifest) -> Option<String> {
    let (name, expected, found) = first_difference(&began.data, &now.data)?;
    Some(format!("the data file `{name}` was {expected:.12}, is {found:.12}; the rows are the same"))
}

/// What becomes of the schedule where the length of the run was changed.
fn length_note(
    run: &Path,
    state: &State,
    before: &Config,
    now: &Config,
    inputs: &Inputs,
) -> Result<Option<String>, TrainerError> {
    let total = |config: &Config| {
        Order::new(&inputs.prepared.train, &config.train, config.data.shuffle).map(|order| order.total)
    };
    let (was, is) = (total(before)?, total(now)?);
    if was == is {
        return Ok(None);
    }
    let done = state.step;
    if is < done {
        return Err(TrainerError::TooShort { folder: run.to_owned(), done, asked: is });
    }
    let train = &now.train;
    let rate = |total, step| {
        let warmup = warmup_steps(train.warmup, total);
        learning_rate(train.learning_rate, train.schedule, warmup, total, step)
    };
    let name = match train.schedule {
        Schedule::Linear => "linear",
        Schedule::Cosine { .. } => "cosine",
        Schedule::Constant => "constant",
    };
    let mut note = format!("the {name} schedule now spans {is} steps instead of {was}, {done} of them done");
    if (1..is).contains(&done) {
        let (next, last) = (rate(is, done), rate(was, done - 1));
        note += &format!(
            "; the learning rate goes from {last:.3e} at step {done} to {next:.3e} at step {}",
            done + 1
        );
    }
    Ok(Some(note))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;
    use crate::run::CONTINUATION_RULES;

    #[test]
    fn every_key_has_one_rule() {
        let ruled: Vec<&str> = CONTINUATION_RULES.iter().map(|(key, ..)| *key).collect();
        assert_eq!(ruled, KEYS);
        assert!(CONTINUATION_RULES.iter().all(|(.., reason)| !reason.is_empty()));
    }

    #[test]
    fn a_written_key_finds_its_rule() {
        assert_eq!(rule_of("train.seed").0, Rule::Fixed);
        assert_eq!(rule_of("train.epochs").0, Rule::Length);
        assert_eq!(rule_of("lora.rank-pattern.\"down_proj\"").0, Rule::Fixed);
        assert_eq!(rule_of("checkpoint.every").0, Rule::Free);
        assert_eq!(rule_of("checkpoint.everything"), (Rule::Fixed, "it has no rule"));
    }

    #[test]
    fn renamed_files_are_the_same_files() {
        let files = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, hash)| ((*name).to_owned(), (*hash).to_owned())).collect()
        };
        let began = files(&[("a", "1"), ("b", "2")]);
        assert_eq!(first_difference(&began, &files(&[("c", "2"), ("d", "1")])), None);
        let found = first_difference(&began, &files(&[("a", "1"), ("b", "3")]));
        assert_eq!(found, Some(("b".to_owned(), "2".to_owned(), "3".to_owned())));
        let found = first_difference(&began, &files(&[("a", "1")]));
        assert_eq!(found, Some(("b".to_owned(), "2".to_owned(), "no such file".to_owned())));
    }
}
