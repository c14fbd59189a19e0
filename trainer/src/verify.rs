//! Whether a run is still what its manifest says: every hash computed again, from what lies on the disk now.
//!
//! | what | how |
//! | --- | --- |
//! | the program | compared, and said where it is another: a newer rtune may verify an older run |
//! | config.toml | the configuration it holds, and that it is written as a run writes it |
//! | base, tokenizer, template, data files | read anew from where the run had them |
//! | prepared rows | prepared anew, never from a cache |
//! | data-report.json, eval/ | the hashes that the run wrote down |
//! | checkpoints | every file by the checkpoint's own manifest; `best` and `last` |

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rtune_data::{Source, Validation};

use crate::checkpoint::{Checkpoint, Checkpoints};
use crate::config::{Config, LoraSection};
use crate::error::TrainerError;
use crate::evaluate::perplexity::{EVALUATIONS, file_of};
use crate::files;
use crate::inputs::{Inputs, Preparation, REPORT_FILE};
use crate::manifest::{self, Manifest, Program, RowHashes};
use crate::redteam::STARTER_NAME;
use crate::run::{CONFIG_FILE, sums};

/// Something that is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// What it is, with its file.
    pub what: String,
    /// Its SHA-256.
    pub sha256: String,
    /// What is otherwise, and no fault.
    pub note: Option<String>,
}

/// A run folder that is being verified.
#[derive(Clone, Debug)]
pub struct Verification {
    /// The run folder.
    pub run: PathBuf,
    /// What it says it was made of.
    pub manifest: Manifest,
    /// Its configuration, with paths that lead to files from here.
    pub config: Config,
}

type Tell<'a> = &'a mut dyn FnMut(&Verified);

impl Verification {
    /// Reads the manifest and the configuration of `run`.
    ///
    /// # Errors
    /// [`TrainerError::NotARun`] for another folder, [`TrainerError::Differs`] for a changed configuration, and those
    /// of files that cannot be read.
    pub fn open(run: &Path, tell: Tell<'_>) -> Result<Self, TrainerError> {
        let path = run.join(CONFIG_FILE);
        if !path.is_file() || !run.join(manifest::FILE).is_file() {
            return Err(TrainerError::NotARun { folder: run.to_owned() });
        }
        let manifest = Manifest::read(run)?;
        let config = Config::load(&path, &[])?;
        let text = fs::read(&path).unwrap_or_default();
        // A comment or another order gives the same configuration, and is not what the run wrote.
        let is_canonical = text == config.to_toml().as_bytes();
        let found = if is_canonical { manifest::hash_of_config(&config) } else { files::sha256_of(&text) };
        same(&format!("configuration: `{}`", path.display()), &manifest.config, &found, tell)?;
        let config = located(config, &manifest.environment.working_directory);
        Ok(Self { run: run.to_owned(), manifest, config })
    }

    /// Where the run found its base, if something is there still.
    pub fn base(&self) -> Option<PathBuf> {
        let environment = &self.manifest.environment;
        let path = locate(&environment.base, &environment.working_directory);
        path.exists().then_some(path)
    }

    /// Compares everything that went in: the base at `base`, tokenizer, template, data files, and the rows they give.
    ///
    /// # Errors
    /// [`TrainerError::Differs`] for the first that is another; those of [`Inputs::prepare`] for what is not there.
    pub fn inputs(
        &self,
        base: &Path,
        preparation: &Preparation,
        tell: Tell<'_>,
    ) -> Result<Inputs, TrainerError> {
        // Before the rows are prepared: a base or a file that changed is named, and not what follows from it.
        let opened = rtune_models::open(base)?;
        same_files("base", &self.manifest.base, &opened.files, tell)?;
        drop(opened);
        let named: Vec<PathBuf> = self.data_files()?;
        same_files("data", &self.manifest.data, &named, tell)?;
        if let LoraSection::From(folder) = &self.config.lora {
            for (name, expected) in &self.manifest.initial_adapter {
                let path = folder.join(name);
                // The run copied it: that it is gone is no fault of the run.
                if path.is_file() {
                    let what = format!("initial adapter: `{}`", path.display());
                    same(&what, expected, &files::sha256_of_file(&path)?, tell)?;
                }
            }
        }
        let inputs = Inputs::prepare(&self.config, base, preparation, None)?;
        same("tokenizer", &self.manifest.tokenizer, &manifest::hash_of_tokenizer(&inputs)?, tell)?;
        let template = match &self.config.data.template {
            Some(path) => format!("chat template: `{}`", path.display()),
            None => "chat template".to_owned(),
        };
        let found = files::sha256_of(inputs.template.source().as_bytes());
        same(&template, &self.manifest.template, &found, tell)?;
        let found = RowHashes::of(&inputs.prepared)?.rows;
        same("prepared rows, prepared anew", &self.manifest.prepared_rows, &found, tell)?;
        Ok(inputs)
    }

    /// Compares everything that came out: the report, the evaluations, every file of every checkpoint, the links.
    ///
    /// # Errors
    /// [`TrainerError::Differs`], [`TrainerError::Altered`] or [`TrainerError::NotACheckpoint`] for the first that is
    /// another.
    pub fn outputs(&self, tell: Tell<'_>) -> Result<(), TrainerError> {
        let path = self.run.join(REPORT_FILE);
        same_file("data report", &path, &self.manifest.data_report, tell)?;
        let evaluations = self.evaluations()?;
        for (name, expected) in &evaluations {
            same_file("evaluation", &self.run.join(EVALUATIONS).join(name), expected, tell)?;
        }
        let checkpoints = Checkpoints::of(&self.run);
        let mut last = None;
        for step in checkpoints.steps()? {
            let mut verified = |file: &Path, hash: &str| {
                let what = format!("checkpoint: `{}`", file.display());
                tell(&Verified { what, sha256: hash.to_owned(), note: None });
            };
            last = Some(Checkpoint::open_with(&checkpoints.folder(step), &mut verified)?);
        }
        let Some(last) = last else {
            let problem = "there is no checkpoint in it".to_owned();
            return Err(TrainerError::NotACheckpoint { folder: self.run.clone(), problem });
        };
        // Later ones may be there without: a process may have been killed over them.
        let known = sums::files_up_to(last.state.evaluated, &self.run)?;
        if let Some(name) = known.into_iter().find(|name| !evaluations.contains_key(name)) {
            let problem =
                format!("expected a line for `{name}`, which the last checkpoint knows of; found none");
            let file = self.run.join(EVALUATIONS).join(sums::FILE);
            return Err(TrainerError::Unreadable { file, problem });
        }
        let best = last.state.best.as_ref().map(|best| ("best", best.step));
        for (name, step) in [("last", last.state.step)].into_iter().chain(best) {
            let link = self.run.join(name);
            let expected = checkpoints.folder(step);
            let (points, wanted) = (fs::canonicalize(&link).ok(), fs::canonicalize(&expected).ok());
            if points.is_none() || points != wanted {
                let found = fs::read_link(&link).map_or("no link".to_owned(), |to| to.display().to_string());
                let problem = format!("`{name}` should point at {}, found {found}", expected.display());
                return Err(TrainerError::NotACheckpoint { folder: link, problem });
            }
        }
        Ok(())
    }

    /// Name and hash of each evaluation.
    fn evaluations(&self) -> Result<BTreeMap<String, String>, TrainerError> {
        let mut evaluations = self.manifest.evaluations.clone();
        evaluations.extend(sums::read(&self.run)?.into_iter().map(|sum| (file_of(sum.step), sum.sha256)));
        Ok(evaluations)
    }

    /// Says whether `program` is the one that ran. Another one is no fault: its numbers would be.
    pub fn program(&self, program: &Program, tell: Tell<'_>) {
        let ran = &self.manifest.program;
        let note = (ran != program).then(|| {
            format!(
                "the run is of {} {} ({:.12}), this is {} {} ({:.12})",
                ran.name, ran.version, ran.sha256, program.name, program.version, program.sha256
            )
        });
        tell(&Verified { what: "program".to_owned(), sha256: ran.sha256.clone(), note });
    }

    /// The data files in the order of a preparation; the first that is not there is the error.
    fn data_files(&self) -> Result<Vec<PathBuf>, TrainerError> {
        let data = &self.config.data;
        let validation: &[Source] = match &data.validation {
            Validation::Files(sources) => sources,
            _ => &[],
        };
        let mut files = Vec::new();
        for source in data.train.iter().chain(validation).chain(&data.golden) {
            files.extend(source.files()?);
        }
        Ok(files)
    }
}

/// The paths of a configuration as they lead to files from here: as written, else from where the run was started.
fn located(mut config: Config, working_directory: &Path) -> Config {
    let find = |path: &mut PathBuf| *path = locate(path, working_directory);
    let data = &mut config.data;
    data.train.iter_mut().chain(&mut data.golden).for_each(|source| find(&mut source.path));
    if let Validation::Files(sources) = &mut data.validation {
        sources.iter_mut().for_each(|source| find(&mut source.path));
    }
    let beside = [
        &mut data.template,
        &mut data.normalise.terminology.file,
        &mut data.normalise.spelling.dictionary,
        &mut data.privacy.salt_file,
    ];
    beside.into_iter().flatten().for_each(find);
    data.filters.refusals.iter_mut().flat_map(|refusals| &mut refusals.file).for_each(find);
    data.filters.toxicity.iter_mut().flat_map(|toxicity| &mut toxicity.file).for_each(find);
    if let LoraSection::From(folder) = &mut config.lora {
        find(folder);
    }
    // The suite that comes with the program lies nowhere.
    config.gate.red_team.iter_mut().filter(|suite| *suite != Path::new(STARTER_NAME)).for_each(find);
    config
}

/// Lets `model.base` of the configuration of `run` lead to the base from here: as written, else from where the run was started.
pub fn locate_base(config: &mut Config, run: &Path) {
    let Ok(manifest) = Manifest::read(run) else { return };
    let found = locate(Path::new(&config.model.base), &manifest.environment.working_directory);
    config.model.base = found.display().to_string();
}

/// The same of its other paths: templates, rows, lists.
pub(crate) fn locate_data(config: &mut Config, run: &Path) {
    if let Ok(manifest) = Manifest::read(run) {
        *config = located(config.clone(), &manifest.environment.working_directory);
    }
}

fn locate(path: &Path, working_directory: &Path) -> PathBuf {
    let there = working_directory.join(path);
    // What is nowhere keeps the name that the user knows it by.
    if !path.exists() && there.exists() { there } else { path.to_owned() }
}

fn same(what: &str, expected: &str, found: &str, tell: Tell<'_>) -> Result<(), TrainerError> {
    if expected != found {
        let (expected, found) = (expected.to_owned(), found.to_owned());
        return Err(TrainerError::Differs { what: what.to_owned(), expected, found });
    }
    tell(&Verified { what: what.to_owned(), sha256: found.to_owned(), note: None });
    Ok(())
}

fn same_file(role: &str, path: &Path, expected: &str, tell: Tell<'_>) -> Result<(), TrainerError> {
    let what = format!("{role}: `{}`", path.display());
    let found = match path.is_file() {
        true => files::sha256_of_file(path)?,
        false => "no such file".to_owned(),
    };
    same(&what, expected, &found, tell)
}

/// Compares files with hashes by the names that [`manifest::hashes_by_name`] gives them.
fn same_files(
    role: &str,
    expected: &BTreeMap<String, String>,
    paths: &[PathBuf],
    tell: Tell<'_>,
) -> Result<(), TrainerError> {
    let mut taken = BTreeMap::new();
    for path in paths {
        let name = manifest::free_name(&taken, path);
        let expected = expected.get(&name).map_or("no such file", String::as_str);
        same_file(role, path, expected, tell)?;
        taken.insert(name, String::new());
    }
    match expected.keys().find(|name| !taken.contains_key(*name)) {
        None => Ok(()),
        Some(name) => {
            let (expected, found) = (expected[name].clone(), "no such file".to_owned());
            Err(TrainerError::Differs { what: format!("{role}: `{name}`"), expected, found })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_from_here_or_from_where_the_run_was_started() {
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join("a.jsonl"), "x").expect("written");
        assert_eq!(locate(Path::new("a.jsonl"), home.path()), home.path().join("a.jsonl"));
        assert_eq!(locate(Path::new("b.jsonl"), home.path()), Path::new("b.jsonl"), "nowhere");
        let absolute = home.path().join("a.jsonl");
        assert_eq!(locate(&absolute, Path::new("/elsewhere")), absolute);
    }

    #[test]
    fn a_file_too_many_or_too_few_is_named() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("a");
        fs::write(&path, "x").expect("written");
        let hashes = manifest::hashes_by_name([path.clone()].iter()).expect("readable");
        let mut told = 0;
        same_files("data", &hashes, std::slice::from_ref(&path), &mut |_| told += 1).expect("the same");
        assert_eq!(told, 1);
        let error = same_files("data", &hashes, &[], &mut |_| {}).expect_err("one too few");
        assert!(error.to_string().starts_with("data: `a`: expected sha256 2d711642"), "{error}");
        let error = same_files("data", &BTreeMap::new(), &[path], &mut |_| {}).expect_err("one too many");
        assert!(error.to_string().contains("expected sha256 no such file, found 2d711642"), "{error}");
    }
}
