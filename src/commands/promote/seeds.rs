//! The runs of `train --seeds` beside the one that is to be promoted: the same but for the seed.

use std::path::{Path, PathBuf};

use rtune_registry::Staged;
use rtune_trainer::config::Config;

use super::artefact::Artefact;
use super::candidate::Candidate;
use crate::failure::BadInput;

/// Where they are written while they are asked.
const FOLDER: &str = "seeds";
/// Keys in which they may differ: a machine may have had other memory when the next one began.
const FREE: [&str; 2] = ["train.seed", "train.save-activations"];

/// Writes what would ship of each into the folder in the making.
pub(super) fn write(candidate: &Candidate, staged: &Staged) -> anyhow::Result<Vec<Artefact>> {
    let own = Config::load(&Path::new(&candidate.run).join("config.toml"), &[])?;
    let mut artefacts = Vec::new();
    for (run, number) in siblings(Path::new(&candidate.run)).into_iter().zip(1..) {
        let changes = Config::load(&run.join("config.toml"), &[])?.changes(&own);
        if let Some(change) = changes.iter().find(|change| !FREE.contains(&change.key.as_str())) {
            let problem = format!("`{}` is not the same run from another seed: {change}", run.display());
            let hint =
                "remove or rename the folder, or train the seeds again: `rtune train CONFIG --seeds NUMBER`";
            return Err(BadInput::new(problem).with_hint(hint).into());
        }
        let folder = staged.path().join(FOLDER).join(number.to_string());
        std::fs::create_dir_all(&folder)?;
        artefacts.push(Artefact::write(
            &run.display().to_string(),
            candidate.gate.ships,
            &folder,
            staged.name(),
        )?);
    }
    Ok(artefacts)
}

/// Removes them: their reports stay.
pub(super) fn remove(staged: &Staged) -> anyhow::Result<()> {
    let folder = staged.path().join(FOLDER);
    if folder.is_dir() {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}

/// `NAME-seed-1`, `NAME-seed-2` and so on, as far as they go.
fn siblings(run: &Path) -> Vec<PathBuf> {
    let name = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let sibling = |number: u32| run.with_file_name(format!("{name}-seed-{number}"));
    (1..).map(sibling).take_while(|folder| folder.join("config.toml").is_file()).collect()
}
