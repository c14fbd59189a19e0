//! The run folder: whose it is, what configuration it began with, and what may be done in it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::best::is_better;
use super::sums::{Sums, step_of};
use crate::checkpoint::{Best, Checkpoint, Checkpoints, Newest, State, read_json};
use crate::config::Config;
use crate::error::TrainerError;
use crate::evaluate::perplexity::{EVALUATIONS, Evaluation, file_of};
use crate::files::{self, At, FileError};
use crate::inputs::{Inputs, REPORT_FILE};
use crate::lock::{LOCK_FILE, RunLock};
use crate::manifest::Manifest;

/// The configuration as resolved.
pub(crate) const CONFIG_FILE: &str = "config.toml";

/// A run folder that this process holds.
#[derive(Debug)]
pub(crate) struct RunFolder {
    pub(crate) path: PathBuf,
    /// Where to go on, where the run is to be resumed.
    pub(crate) newest: Newest,
    /// Whether an earlier process had begun a run here.
    was_begun: bool,
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
    name == LOCK_FILE || files::is_begun(name)
}

impl RunFolder {
    /// Makes and locks the folder, and finds the checkpoint to go on from, if it is to `resume`: the newest that is whole, before step
    /// `before` where that is given. One that a killed process had moved aside is put back first.
    ///
    /// # Errors
    /// As [`check_folder`], [`Checkpoints::put_back`] and [`Checkpoints::newest`].
    pub(crate) fn open(path: &Path, resume: bool, before: Option<u64>) -> Result<Self, TrainerError> {
        fs::create_dir_all(path).at("create", path)?;
        let lock = RunLock::take(path)?;
        check_contents(path, resume)?;
        let (mut newest, checkpoints) = (Newest::default(), Checkpoints::of(path));
        if resume {
            checkpoints.put_back()?;
            newest = checkpoints.newest(before)?;
        }
        let was_begun = path.join(CONFIG_FILE).is_file();
        Ok(Self { path: path.to_owned(), newest, was_begun, _lock: lock })
    }

    /// Writes down what a fresh run is made of. The configuration comes first: it is what a run folder is told by.
    ///
    /// # Errors
    /// [`TrainerError::File`].
    pub(crate) fn begin(
        &self,
        config: &Config,
        manifest: &Manifest,
        inputs: &Inputs,
    ) -> Result<(), TrainerError> {
        self.write_config(config)?;
        manifest.write(&self.path)?;
        self.write_report(inputs)
    }

    /// Hands `tried` through. Where that failed and the run `is_new`, takes back what [`Self::begin`] wrote: a run that cannot be begun
    /// leaves its folder as it was, to be tried again. A run that an earlier process had begun stays one: without its configuration, what
    /// else that process left would be neither an empty folder nor a run to go on with.
    ///
    /// # Errors
    /// That of `tried`, or [`TrainerError::File`] when a file cannot be removed.
    pub(crate) fn unless_new<T, E: Into<TrainerError>>(
        &self,
        is_new: bool,
        tried: Result<T, E>,
    ) -> Result<T, TrainerError> {
        if tried.is_err() && is_new && !self.was_begun {
            self.take_back()?;
        }
        tried.map_err(Into::into)
    }

    fn take_back(&self) -> Result<(), TrainerError> {
        for name in [CONFIG_FILE, crate::manifest::FILE, REPORT_FILE] {
            let path = self.path.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.at("remove", &path)?,
            }
        }
        Ok(())
    }

    /// Writes down what the run goes on with. The configuration comes last: until it is there, the next process finds
    /// the same changes again.
    ///
    /// # Errors
    /// [`TrainerError::File`].
    pub(crate) fn go_on(
        &self,
        config: &Config,
        manifest: &Manifest,
        inputs: &Inputs,
    ) -> Result<(), TrainerError> {
        manifest.write(&self.path)?;
        self.write_report(inputs)?;
        self.write_config(config)
    }

    fn write_config(&self, config: &Config) -> Result<(), TrainerError> {
        Ok(files::write_whole(&self.path.join(CONFIG_FILE), config.to_toml().as_bytes())?)
    }

    fn write_report(&self, inputs: &Inputs) -> Result<(), TrainerError> {
        Ok(files::write_whole(&self.path.join(REPORT_FILE), &inputs.report()?)?)
    }

    /// Makes the folder what it was right after `state` was saved, as far as a killed process left it otherwise, but for checkpoints that are
    /// damaged: those go.
    ///
    /// # Errors
    /// [`TrainerError::File`] when something cannot be removed.
    pub(crate) fn restore(&self, state: &State) -> Result<(), TrainerError> {
        let checkpoints = Checkpoints::of(&self.path);
        for (step, _) in self.newest.damaged.iter().filter(|(step, _)| *step < state.step) {
            checkpoints.remove(*step)?;
        }
        checkpoints.restore(state)?;
        self.remove_begun()
    }

    /// Makes the folder what it is before the first step: nothing of a run that died before its first checkpoint stays.
    ///
    /// # Errors
    /// [`TrainerError::File`] when something cannot be removed.
    pub(crate) fn clear(&self) -> Result<(), TrainerError> {
        Checkpoints::of(&self.path).clear_after(None)?;
        self.remove_begun()
    }

    fn remove_begun(&self) -> Result<(), TrainerError> {
        files::remove_begun(&self.path)?;
        Ok(files::remove_begun(&self.path.join(EVALUATIONS))?)
    }

    /// Removes evaluations of later steps than `step`, or all for `None`: they will be done again. The hashes of the others come back;
    /// `earlier` are those that the manifest of an earlier version has.
    ///
    /// # Errors
    /// As [`Sums::up_to`], and [`TrainerError::File`] when a file cannot be removed.
    pub(crate) fn evaluations_up_to(
        &self,
        step: Option<u64>,
        earlier: BTreeMap<String, String>,
    ) -> Result<Sums, TrainerError> {
        let folder = self.path.join(EVALUATIONS);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            entries => Some(entries.at("read", &folder)?),
        };
        for entry in entries.into_iter().flatten() {
            let path = entry.at("read", &folder)?.path();
            let of = path.file_name().and_then(|name| step_of(&name.to_string_lossy()));
            if of.is_some() && of > step {
                fs::remove_file(&path).at("remove", &path)?;
            }
        }
        Sums::up_to(step, &self.path, earlier)
    }

    /// Where the best checkpoint is damaged or gone, makes the best of those that are whole the best, writes that into the checkpoint of
    /// `state`, and says so.
    ///
    /// # Errors
    /// [`TrainerError::File`] when a file cannot be read or written.
    pub(crate) fn settle_best(&self, state: &mut State) -> Result<Option<String>, TrainerError> {
        let Some(best) = &state.best else { return Ok(None) };
        let checkpoints = Checkpoints::of(&self.path);
        let problem = match Checkpoint::open(&checkpoints.folder(best.step)) {
            Ok(_) => return Ok(None),
            Err(error @ TrainerError::File(_)) => return Err(error),
            Err(error) => error,
        };
        let whole = checkpoints.whole_steps()?.into_iter().filter(|step| *step <= state.step);
        let metric = best.metric.clone();
        let measured = whole.filter_map(|step| {
            let evaluation: Evaluation = read_json(&self.path.join(EVALUATIONS).join(file_of(step))).ok()?;
            Some(Best { step, value: evaluation.value(&metric)?, metric: metric.clone() })
        });
        // Of equal ones the first, as they were measured.
        let next = measured.reduce(|best, next| match is_better(&metric, next.value, best.value) {
            true => next,
            false => best,
        });
        let instead = next.as_ref().map_or("the next evaluation decides anew".to_owned(), |next| {
            format!("that of step {} is the best now", next.step)
        });
        let said = format!(
            "the best checkpoint, of step {}, is lost: {problem}; {instead}; without the checkpoints after it the run would make it again",
            best.step
        );
        state.best = next;
        // The last checkpoint is what says which is the best.
        checkpoints.write_state(state)?;
        Ok(Some(said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::perplexity::Validated;

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

    fn refused() -> Result<(), TrainerError> {
        Err(TrainerError::NoTemplate { base: "base".into() })
    }

    #[test]
    fn what_an_earlier_process_had_begun_is_not_taken_back() {
        let home = tempfile::tempdir().expect("a folder");
        let write = |name: &str| fs::write(home.path().join(name), "x").expect("written");
        let folder = RunFolder::open(home.path(), false, None).expect("empty");
        write(CONFIG_FILE);
        write(crate::manifest::FILE);
        folder.unless_new(true, refused()).expect_err("refused");
        drop(folder);
        check_folder(home.path(), false).expect("as it was: empty");
        // Begun, and killed before there was a checkpoint: lines are there, or a folder for checkpoints.
        write(CONFIG_FILE);
        write(crate::metrics::METRICS_FILE);
        let folder = RunFolder::open(home.path(), true, None).expect("a run");
        write(crate::manifest::FILE);
        folder.unless_new(true, refused()).expect_err("refused");
        drop(folder);
        check_folder(home.path(), true).expect("it is a run still");
    }

    #[test]
    fn a_checkpoint_that_was_moved_aside_is_gone_on_from() {
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join(CONFIG_FILE), "").expect("written");
        let checkpoints = Checkpoints::of(home.path());
        let state = State { step: 4, ..State::start() };
        let folder = checkpoints.write(&state, |_| Ok::<(), TrainerError>(())).expect("written");
        fs::rename(&folder, folder.with_file_name(".step-000004.replaced.partial")).expect("moved");
        let opened = RunFolder::open(home.path(), true, None).expect("a run");
        assert_eq!(opened.newest.checkpoint.map(|newest| newest.state), Some(state));
    }

    fn of(step: u64, value: f64) -> Best {
        Best { step, metric: "validation-loss".to_owned(), value }
    }

    #[test]
    fn a_lost_best_gives_way_to_the_best_that_is_left() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::open(home.path(), false, None).expect("empty");
        let checkpoints = Checkpoints::of(home.path());
        fs::create_dir(home.path().join(EVALUATIONS)).expect("made");
        for (step, loss) in [(0, 3.0), (2, 1.0), (4, 1.5), (6, 1.25)] {
            let best = Some(of(step.min(2), loss));
            let state = State { step, best, ..State::start() };
            checkpoints.write(&state, |_| Ok::<(), TrainerError>(())).expect("written");
            let validation = Some(Validated {
                rows: 1,
                supervised_tokens: 1,
                validation_loss_nats: loss,
                perplexity: 1.0,
                token_accuracy: 0.5,
            });
            let evaluation = Evaluation { validation, ..Evaluation::after(step) };
            let path = home.path().join(EVALUATIONS).join(file_of(step));
            crate::checkpoint::write_json(&path, &evaluation).expect("written");
        }
        let best = of(2, 1.0);
        let mut state = State { step: 4, best: Some(best), ..State::start() };
        assert_eq!(folder.settle_best(&mut state).expect("readable"), None);
        fs::remove_dir_all(checkpoints.folder(2)).expect("removed");
        let said = folder.settle_best(&mut state).expect("readable").expect("lost");
        assert!(said.contains("step 2, is lost") && said.contains("step 4 is the best now"), "{said}");
        assert_eq!(state.best, Some(of(4, 1.5)), "6 is not done yet");
        assert_eq!(
            Checkpoint::open(&checkpoints.folder(4)).expect("whole").state,
            state,
            "it says so itself"
        );
        fs::remove_dir_all(home.path().join(EVALUATIONS)).expect("removed");
        let mut state = State { best: Some(of(2, 1.0)), ..state };
        folder.settle_best(&mut state).expect("readable").expect("lost again");
        assert_eq!(state.best, None);
        assert_eq!(Checkpoint::open(&checkpoints.folder(4)).expect("whole").state, state);
    }
}
