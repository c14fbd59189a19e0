//! The run folder: whose it is, what configuration it began with, and what may be done in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::checkpoint::{Checkpoint, Checkpoints};
use crate::config::{Config, SaveActivations};
use crate::error::TrainerError;
use crate::files::{self, At, FileError};
use crate::lock::{LOCK_FILE, RunLock};

const CONFIG_FILE: &str = "config.toml";

/// A run folder that this process holds.
#[derive(Debug)]
pub(crate) struct RunFolder {
    pub(crate) path: PathBuf,
    pub(crate) last: Option<Checkpoint>,
    _lock: RunLock,
}

/// Looks whether a run could use `folder`, before anything is downloaded or computed. Nothing is written.
///
/// # Errors
/// [`TrainerError::NotEmpty`], [`TrainerError::NotARun`], [`TrainerError::InUse`], or [`TrainerError::File`] for a
/// path that can never be a folder.
pub fn check_folder(folder: &Path, resume: bool) -> Result<(), TrainerError> {
    let existing = folder.ancestors().find(|part| part.as_os_str().is_empty() || part.exists());
    if existing.is_some_and(|part| !part.as_os_str().is_empty() && !part.is_dir()) {
        let source = io::Error::from(io::ErrorKind::NotADirectory);
        return Err(FileError { action: "create", path: folder.to_owned(), source }.into());
    }
    if folder.join(LOCK_FILE).exists() {
        RunLock::take(folder)?;
    }
    check_contents(folder, resume)
}

fn check_contents(folder: &Path, resume: bool) -> Result<(), TrainerError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.at("read", folder)?,
    };
    let names: Vec<_> = entries.collect::<io::Result<Vec<_>>>().at("read", folder)?;
    let mut names = names.iter().map(fs::DirEntry::file_name).filter(|name| !is_debris(name));
    if names.next().is_none() {
        return Ok(());
    }
    if !resume {
        return Err(TrainerError::NotEmpty { folder: folder.to_owned() });
    }
    if !folder.join(CONFIG_FILE).is_file() {
        return Err(TrainerError::NotARun { folder: folder.to_owned() });
    }
    Ok(())
}

/// The lock, and what a process that was killed had begun to write.
fn is_debris(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    name == LOCK_FILE || (name.starts_with('.') && name.ends_with(".partial"))
}

impl RunFolder {
    /// Makes and locks the folder, and finds the checkpoint to go on from, if it is to `resume`.
    ///
    /// # Errors
    /// As [`check_folder`] and [`Checkpoint::open`].
    pub(crate) fn open(path: &Path, resume: bool) -> Result<Self, TrainerError> {
        fs::create_dir_all(path).at("create", path)?;
        let lock = RunLock::take(path)?;
        check_contents(path, resume)?;
        let last = if resume { Checkpoints::of(path).last()? } else { None };
        Ok(Self { path: path.to_owned(), last, _lock: lock })
    }

    /// Removes evaluations of later steps than `step`, or all for `None`: they will be done again.
    ///
    /// # Errors
    /// [`TrainerError::File`] when a file cannot be removed.
    pub(crate) fn forget_evaluations_after(&self, step: Option<u64>) -> Result<(), TrainerError> {
        let folder = self.path.join("eval");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.at("read", &folder)?,
        };
        for entry in entries {
            let path = entry.at("read", &folder)?.path();
            let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let of: Option<u64> = name.strip_prefix("step-").and_then(|number| number.parse().ok());
            if of.is_some() && of > step {
                fs::remove_file(&path).at("remove", &path)?;
            }
        }
        Ok(())
    }

    /// The configuration to run: that of the folder where a run goes on, else `resolved`, which is written down.
    ///
    /// # Errors
    /// [`TrainerError::OtherConfig`] where a run goes on and `written`, the user's, says something else.
    pub(crate) fn settle(&self, written: &Config, resolved: Config) -> Result<Config, TrainerError> {
        let path = self.path.join(CONFIG_FILE);
        if self.last.is_none() {
            files::write_whole(&path, resolved.to_toml().as_bytes())?;
            return Ok(resolved);
        }
        let began = Config::load(&path, &[])?;
        let mut now = resolved;
        if written.train.save_activations == SaveActivations::Auto {
            // What memory happens to be free must not change a run that goes on.
            now.train.save_activations = began.train.save_activations;
        }
        let differences = now.differences(&began);
        if differences.is_empty() {
            return Ok(now);
        }
        Err(TrainerError::OtherConfig { folder: self.path.clone(), differences: differences.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(extra: &str) -> Config {
        let text = format!("[model]\nbase='m'\n[data]\ntrain='t'\n[output]\ndir='r'\n{extra}\n");
        Config::parse("c.toml", &text, &[]).expect("valid")
    }

    #[test]
    fn folders_are_refused_for_what_is_in_them() {
        let home = tempfile::tempdir().expect("a folder");
        let run = home.path().join("run");
        check_folder(&run, false).expect("is not there");
        fs::create_dir(&run).expect("made");
        check_folder(&run, false).expect("is empty");
        fs::write(run.join("notes.txt"), "x").expect("written");
        assert!(matches!(check_folder(&run, false), Err(TrainerError::NotEmpty { .. })));
        assert!(matches!(check_folder(&run, true), Err(TrainerError::NotARun { .. })));
        fs::write(run.join(CONFIG_FILE), "").expect("written");
        check_folder(&run, true).expect("a run");
        let below = run.join("notes.txt/run");
        let error = check_folder(&below, false).expect_err("below a file");
        assert_eq!(error.to_string(), format!("cannot create `{}`", below.display()));
        let _lock = RunLock::take(&run).expect("free");
        assert!(matches!(check_folder(&run, false), Err(TrainerError::InUse { .. })));
    }

    #[test]
    fn a_run_that_goes_on_keeps_its_plan_and_refuses_another() {
        let home = tempfile::tempdir().expect("a folder");
        let mut folder = RunFolder::open(home.path(), false).expect("empty");
        let begun = config("[train]\nsave-activations='input-only'");
        folder.settle(&begun, begun.clone()).expect("written");
        let state = crate::checkpoint::State::start();
        folder.last = Some(Checkpoint { folder: home.path().to_owned(), state });
        let automatic = config("");
        let resolved = config("[train]\nsave-activations='all'");
        assert_eq!(folder.settle(&automatic, resolved).expect("the same"), begun);
        let other = config("[train]\nsave-activations='input-only'\nseed=1");
        let error = folder.settle(&other, other.clone()).expect_err("another seed");
        assert!(error.to_string().ends_with("configuration: `train.seed` was 0, is 1"), "{error}");
    }
}
