//! The runs of `train --seeds` beside the one that is to be promoted: the same but for the seed, and whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rtune_registry::Staged;
use rtune_trainer::checkpoint::Checkpoint;
use rtune_trainer::config::Config;
use rtune_trainer::error::TrainerError;
use rtune_trainer::manifest::Manifest;
use rtune_trainer::run::has_ended;
use rtune_trainer::verify::Verification;

use super::artefact::Artefact;
use super::candidate::Candidate;
use crate::failure::BadInput;

/// Where they are written while they are asked.
const FOLDER: &str = "seeds";
/// Keys in which they may differ: a machine may have had other memory when the next one began.
const FREE: [&str; 2] = ["train.seed", "train.save-activations"];
/// What to do about a folder that is no sibling.
const HINT: &str =
    "remove or rename the folder, or train the seeds again: `rtune train CONFIG --seeds NUMBER`";

/// Writes what would ship of each into the folder in the making.
///
/// # Errors
/// For a folder that has the name of a sibling and is none: one of another recipe, base or data, with a seed that another has, that was
/// changed, that is not there or was not trained to its end.
pub(super) fn write(candidate: &Candidate, staged: &Staged) -> anyhow::Result<Vec<Artefact>> {
    let own = Config::load(&Path::new(&candidate.run).join("config.toml"), &[])?;
    let folder = own_name(Path::new(&candidate.run))?;
    refuse_one_of_several(&folder, &own)?;
    let mut seeds = BTreeMap::from([(own.train.seed, candidate.run.clone())]);
    let mut artefacts = Vec::new();
    for (run, number) in siblings(&folder)?.into_iter().zip(1..) {
        let name = run.display().to_string();
        let seed = seed_of(candidate, &own, &run)?;
        if let Some(other) = seeds.insert(seed, name.clone()) {
            let problem = format!("`{name}` has the seed {seed}, and so has `{other}`");
            return Err(BadInput::new(problem).with_hint(HINT).into());
        }
        let place = staged.path().join(FOLDER).join(number.to_string());
        std::fs::create_dir_all(&place)?;
        let checkpoint = rtune_release::find(&run)?;
        artefacts.push(Artefact::write(&checkpoint, candidate.gate.ships, &place, staged.name())?);
    }
    Ok(artefacts)
}

/// The seed of `run`, where everything else is the candidate's.
fn seed_of(candidate: &Candidate, own: &Config, run: &Path) -> anyhow::Result<u64> {
    let no_sibling = format!("`{}` is not the same run from another seed", run.display());
    let refused = |problem: String| {
        anyhow::Error::from(BadInput::new(format!("{no_sibling}: {problem}")).with_hint(HINT))
    };
    let verification = Verification::open(run, &mut |_| {}).context(no_sibling.clone())?;
    let config = Config::load(&run.join("config.toml"), &[])?;
    if let Some(change) = config.changes(own).into_iter().find(|change| !FREE.contains(&change.key.as_str()))
    {
        return Err(refused(change.to_string()));
    }
    if let Some(problem) = other_inputs(&candidate.manifest, &verification.manifest) {
        return Err(refused(problem));
    }
    verification.outputs(&mut |_| {}).context(no_sibling.clone())?;
    let state = Checkpoint::open(&run.join("last"))?.state;
    if !has_ended(&config, &candidate.inputs.prepared.train, &state).map_err(TrainerError::from)? {
        return Err(refused(format!("it was stopped after step {}, before its end", state.step)));
    }
    Ok(config.train.seed)
}

/// What of base and data went into the second and not into the first. The candidate's own were compared with the files.
fn other_inputs(own: &Manifest, other: &Manifest) -> Option<String> {
    let lists = [
        ("base", &own.base, &other.base),
        ("data", &own.data, &other.data),
        ("initial adapter", &own.initial_adapter, &other.initial_adapter),
    ];
    for (role, own, other) in lists {
        let names: BTreeSet<&String> = own.keys().chain(other.keys()).collect();
        for name in names {
            let (expected, found) = (own.get(name), other.get(name));
            if expected != found {
                let said = |hash: Option<&String>| hash.map_or("no such file", String::as_str).to_owned();
                return Some(format!(
                    "{role}: `{name}`: expected sha256 {}, found {}",
                    said(expected),
                    said(found)
                ));
            }
        }
    }
    let hashes = [
        ("tokenizer", &own.tokenizer, &other.tokenizer),
        ("chat template", &own.template, &other.template),
        ("prepared rows", &own.prepared_rows, &other.prepared_rows),
    ];
    let differing = hashes.into_iter().find(|(_, own, other)| own != other);
    differing.map(|(role, own, other)| format!("{role}: expected sha256 {own}, found {other}"))
}

/// Removes them: their reports stay.
pub(super) fn remove(staged: &Staged) -> anyhow::Result<()> {
    let folder = staged.path().join(FOLDER);
    if folder.is_dir() {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}

/// The run by its own name: neither `.` nor a link has seeds beside it.
fn own_name(run: &Path) -> anyhow::Result<PathBuf> {
    // Without a slash at its end, behind which a link is what it leads to.
    let run: PathBuf = run.components().collect();
    Ok(if run.file_name().is_none() || run.is_symlink() { run.canonicalize()? } else { run })
}

/// Refuses `NAME-seed-N` where `NAME` is the same run from another seed: whoever promotes the best of several has chosen.
fn refuse_one_of_several(run: &Path, own: &Config) -> anyhow::Result<()> {
    let name = run.file_name().unwrap_or_default().to_string_lossy();
    let Some((first, number)) = name.rsplit_once("-seed-") else { return Ok(()) };
    let first = run.with_file_name(first);
    if number.parse::<u32>().is_err() || !first.join("config.toml").is_file() {
        return Ok(());
    }
    let Ok(config) = Config::load(&first.join("config.toml"), &[]) else { return Ok(()) };
    if config.changes(own).iter().any(|change| !FREE.contains(&change.key.as_str())) {
        return Ok(());
    }
    let (run, first) = (run.display(), first.display());
    let problem =
        format!("`{run}` is one of the seeds of `{first}`, and the best of several says too much of itself");
    Err(BadInput::new(problem).with_hint(format!("`rtune promote {first}` asks all of them")).into())
}

/// `NAME-seed-1`, `NAME-seed-2` and so on, of a folder with a name of its own.
///
/// # Errors
/// Where one is missing between them: whoever leaves out a seed that did badly has chosen.
fn siblings(run: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let begin = format!("{}-seed-", run.file_name().unwrap_or_default().to_string_lossy());
    let above = run.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |source| {
        TrainerError::from(rtune_trainer::files::FileError { action: "read", path: above.to_owned(), source })
    };
    let mut numbers = BTreeSet::new();
    for entry in std::fs::read_dir(above).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix(&begin).and_then(|number| number.parse::<u32>().ok());
        numbers.extend(number.filter(|number| format!("{begin}{number}") == name && *number > 0));
    }
    let folder = |number: u32| run.with_file_name(format!("{begin}{number}"));
    if let Some((missing, last)) = (1..).zip(&numbers).find(|(expected, number)| expected != *number) {
        let (missing, last) = (folder(missing), folder(*last));
        let problem = format!("`{}` is there, and `{}` is not", last.display(), missing.display());
        let hint = "a seed that is left out is one that was chosen against: bring the folder back, or train the seeds again";
        return Err(BadInput::new(problem).with_hint(hint).into());
    }
    Ok(numbers.into_iter().map(folder).collect())
}
