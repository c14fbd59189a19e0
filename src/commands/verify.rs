//! `rtune verify`: whether a run is still what its manifest says, and which rows trained it.

use std::path::{Path, PathBuf};

use rtune_models::hub::{self, HubOptions};
use rtune_trainer::checkpoint::Checkpoint;
use rtune_trainer::error::TrainerError;
use rtune_trainer::inputs::Preparation;
use rtune_trainer::rows::{TrainedRow, trained_rows};
use rtune_trainer::verify::{Verification, Verified};

use crate::args::VerifyArgs;
use crate::commands::opened;
use crate::commands::train::program;
use crate::failure::DONE;
use crate::reporter::{complain, say};

pub(crate) fn run(args: &VerifyArgs) -> anyhow::Result<u8> {
    if super::registry::is_version(&args.run) {
        return super::registry::verify(&args.run, args.json);
    }
    let (run, checkpoint) = find(&args.run);
    let mut count = 0;
    // Rows are the answer there: what was verified on the way stays unsaid.
    let (json, is_silent) = (args.json, args.rows);
    let mut tell = |verified: &Verified| {
        count += 1;
        if !is_silent {
            say(&if json { json_of(verified) } else { line_of(verified) });
        } else if let Some(note) = &verified.note {
            complain(&format!("note: {note}"));
        }
    };
    let verification = Verification::open(&run, &mut tell)?;
    verification.program(&program()?, &mut tell);
    let base = base_of(&verification)?;
    // Kept rows are not what is verified.
    let preparation = Preparation { cache: None, ..opened::preparation(&verification.config)? };
    let inputs = verification.inputs(&base, &preparation, &mut tell)?;
    if args.rows {
        let checkpoint = Checkpoint::open(&checkpoint)?;
        let all = &inputs.prepared.train;
        let rows = trained_rows(all, &verification.config, &checkpoint.state).map_err(TrainerError::from)?;
        list(&rows, all.len(), checkpoint.state.step, args.json);
        return Ok(DONE);
    }
    verification.outputs(&mut tell)?;
    if !args.json {
        say(&format!("{}: {count} hashes, all as they were", run.display()));
    }
    Ok(DONE)
}

/// The run folder, and the checkpoint that is meant: the folder itself, else the best of the run, else its last.
fn find(named: &Path) -> (PathBuf, PathBuf) {
    if named.join("state.json").is_file() {
        // `best` and `last` are links: the run is above what they point at.
        let folder = named.canonicalize().unwrap_or_else(|_| named.to_owned());
        if let Some(run) = folder.parent().and_then(Path::parent) {
            return (run.to_owned(), folder);
        }
    }
    let link = ["best", "last"].map(|link| named.join(link)).into_iter().find(|link| link.is_dir());
    (named.to_owned(), link.unwrap_or_else(|| named.join("last")))
}

/// Where the run found its base, else where it would be found now; nothing is downloaded.
pub(super) fn base_of(verification: &Verification) -> anyhow::Result<PathBuf> {
    if let Some(base) = verification.base() {
        return Ok(base);
    }
    let options = HubOptions { offline: true, ..HubOptions::from_env() };
    let model = &verification.config.model;
    Ok(hub::resolve(&model.base, model.revision.as_deref(), &options, &mut |_| {})?)
}

fn line_of(verified: &Verified) -> String {
    let note = verified.note.as_ref().map_or_else(String::new, |note| format!(" (note: {note})"));
    format!("{} {}{note}", verified.sha256, verified.what)
}

fn json_of(verified: &Verified) -> String {
    let Verified { what, sha256, note } = verified;
    serde_json::json!({"what": what, "sha256": sha256, "note": note}).to_string()
}

/// One line a row that trained: where it stands, its id, and its steps.
fn list(rows: &[TrainedRow], all: usize, step: u64, json: bool) {
    for row in rows {
        if json {
            let text = serde_json::to_string(row).map_err(|error| TrainerError::Unreadable {
                file: row.file.clone(),
                problem: error.to_string(),
            });
            text.map_or_else(|error| complain(&format!("error: {error}")), |text| say(&text));
        } else {
            let steps: Vec<String> = row.steps.iter().map(u64::to_string).collect();
            say(&format!("{}:{} {} steps {}", row.file.display(), row.line, row.id, steps.join(", ")));
        }
    }
    if !json {
        say(&format!("{} of {all} rows trained the checkpoint of step {step}", rows.len()));
    }
}
