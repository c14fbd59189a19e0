//! The folder of a registry.
//!
//! ```text
//! current -> versions/v0002      what is in use, moved in one go
//! history.json  looks.json       every move; every look at sealed golden rows
//! versions/v0002/                version.json decision.json rows.jsonl run/ eval/ artefact/
//! refused/0001.json              decisions against a candidate
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use rtune_trainer::checkpoint::{read_json, to_json};
use rtune_trainer::error::TrainerError;
use rtune_trainer::files::{FileError, remove_begun, sha256_of_file, write_whole};
use rtune_trainer::lock::RunLock;

use crate::error::RegistryError;
use crate::looks::{Look, Looks, Sealed};
use crate::moves::{Action, History, Move, Step};
use crate::proof::proved;
use crate::rows::{self, Row};
use crate::version::{Lineage, VERSION_FILE, Version, Versions, name_of, number_of, plain_hashes_below};

const CURRENT: &str = "current";
const HISTORY_FILE: &str = "history.json";
const LOOKS_FILE: &str = "looks.json";
pub(crate) const ROWS_FILE: &str = "rows.jsonl";

/// A registry, to be read. Nothing in it changes but by a [`Writer`].
#[derive(Clone, Debug)]
pub struct Registry {
    folder: PathBuf,
}

impl Registry {
    /// That in `folder`, which need not exist yet.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every version, whether it was ever in use or not; those that cannot be read by name, so that whoever asks can say so.
    ///
    /// # Errors
    /// [`RegistryError::Trainer`] where the folder of versions cannot be listed.
    pub fn versions(&self) -> Result<Versions, RegistryError> {
        let mut versions = Versions::default();
        for name in self.numbers()?.into_iter().map(name_of) {
            match Version::read(&self.version_folder(&name)) {
                Ok(version) => versions.whole.push(version),
                Err(error) => versions.damaged.push((name, error)),
            }
        }
        Ok(versions)
    }

    /// The name of the version in use; `None` where none is.
    ///
    /// # Errors
    /// [`RegistryError::Link`] where something else than a link to a version stands in the link's place.
    pub fn current_name(&self) -> Result<Option<String>, RegistryError> {
        let link = self.folder.join(CURRENT);
        let wrong = |found: String| RegistryError::Link { link: link.clone(), found };
        let target = match fs::read_link(&link) {
            Ok(target) => target,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let name = target.strip_prefix("versions").ok().and_then(Path::to_str);
        match name.filter(|name| number_of(name).is_some_and(|number| name_of(number) == **name)) {
            Some(name) => Ok(Some(name.to_owned())),
            None => Err(wrong(format!("a link to `{}`", target.display()))),
        }
    }

    /// The version in use; `None` where none is.
    ///
    /// # Errors
    /// [`RegistryError::Damaged`] where the link points at no version.
    pub fn current(&self) -> Result<Option<Version>, RegistryError> {
        self.current_name()?.map(|name| Version::read(&self.version_folder(&name))).transpose()
    }

    /// The version that `name` means: `v0003`, `3`, or `current`.
    ///
    /// # Errors
    /// [`RegistryError::NoRegistry`], [`RegistryError::NoVersion`]; [`RegistryError::Damaged`] for one that cannot be read.
    pub fn find(&self, name: &str) -> Result<Version, RegistryError> {
        let numbers = self.numbers()?;
        if numbers.is_empty() {
            return Err(RegistryError::NoRegistry { folder: self.folder.clone() });
        }
        let wanted = if name == CURRENT { self.current_name()? } else { Some(name.to_owned()) };
        let number = wanted.and_then(|name| number_of(&name).or_else(|| name.parse().ok()));
        match number.filter(|number| numbers.contains(number)) {
            Some(number) => Version::read(&self.version_folder(&name_of(number))),
            None => {
                let known = numbers.into_iter().map(name_of).collect();
                Err(RegistryError::NoVersion { folder: self.folder.clone(), name: name.to_owned(), known })
            }
        }
    }

    /// Every move of `current`, the first one first.
    ///
    /// # Errors
    /// [`RegistryError::Trainer`] for a history that cannot be read.
    pub fn history(&self) -> Result<Vec<Move>, RegistryError> {
        Ok(History::seen(&self.folder, || Ok((self.read_history()?, self.current_name()?)))?.moves)
    }

    /// How often sealed golden rows were looked at.
    ///
    /// # Errors
    /// [`RegistryError::Trainer`] where that cannot be read.
    pub fn looks(&self) -> Result<Looks, RegistryError> {
        Looks::read(&self.folder.join(LOOKS_FILE))
    }

    /// Holds the registry for writing, makes it where there is none, and removes what a process that was killed had begun.
    ///
    /// # Errors
    /// [`RegistryError::InUse`], [`RegistryError::Trainer`].
    pub fn write(&self) -> Result<Writer, RegistryError> {
        let versions = self.folder.join("versions");
        let failed = |source| FileError { action: "create", path: versions.clone(), source };
        fs::create_dir_all(&versions).map_err(failed)?;
        let lock = RunLock::take(&self.folder).map_err(|error| match error {
            TrainerError::InUse { folder } => RegistryError::InUse { folder },
            other => other.into(),
        })?;
        for folder in [&self.folder, &versions, &self.folder.join("refused")] {
            remove_begun(folder)?;
        }
        let (written, current) = (self.read_history()?, self.current_name()?);
        let happened = written.clone().happened(&self.folder, current.as_deref())?;
        if happened != written {
            Step::json(&self.folder.join(HISTORY_FILE), &happened)?.perform()?;
        }
        Ok(Writer { registry: self.clone(), _lock: lock })
    }

    pub(crate) fn read_history(&self) -> Result<History, RegistryError> {
        let path = self.folder.join(HISTORY_FILE);
        if path.is_file() { Ok(read_json(&path)?) } else { Ok(History::default()) }
    }

    fn version_folder(&self, name: &str) -> PathBuf {
        self.folder.join("versions").join(name)
    }

    /// The numbers of all versions, ascending. A link is none: what it leads to may change.
    fn numbers(&self) -> Result<Vec<u64>, RegistryError> {
        let mut numbers = self.numbered(fs::FileType::is_dir)?;
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The numbers of what is `wanted` among the versions.
    fn numbered(&self, wanted: impl Fn(&fs::FileType) -> bool) -> Result<Vec<u64>, RegistryError> {
        let folder = self.folder.join("versions");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|source| FileError { action: "read", path: folder, source })?,
        };
        let found = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| wanted(&kind)));
        Ok(found.filter_map(|entry| number_of(&entry.file_name().to_string_lossy())).collect())
    }
}

/// A registry that one process writes to.
#[derive(Debug)]
pub struct Writer {
    registry: Registry,
    _lock: RunLock,
}

/// A version in the making.
#[derive(Debug)]
pub struct Staged {
    folder: PathBuf,
    name: String,
}

impl Staged {
    /// Its folder, until it has its name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Its name, once it is a version.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes a file into it, folders above it too.
    ///
    /// # Errors
    /// [`RegistryError::Trainer`].
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, RegistryError> {
        let path = self.folder.join(name);
        if let Some(above) = path.parent() {
            let failed = |source| FileError { action: "create", path: above.to_owned(), source };
            fs::create_dir_all(above).map_err(failed)?;
        }
        write_whole(&path, bytes)?;
        Ok(path)
    }

    /// Writes down the rows that trained it; with the hash of the list.
    ///
    /// # Errors
    /// [`RegistryError::Trainer`].
    pub fn write_rows(&self, rows: &[Row]) -> Result<String, RegistryError> {
        let path = self.write(ROWS_FILE, &rows::to_lines(rows)?)?;
        Ok(sha256_of_file(&path)?)
    }
}

impl Writer {
    /// What it writes to.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Begins the next version, in a folder that is none yet. No name is given twice, whatever became of the version that had it.
    ///
    /// # Errors
    /// [`RegistryError::Trainer`].
    pub fn stage(&self) -> Result<Staged, RegistryError> {
        let mut taken = self.registry.numbered(|_| true)?;
        taken.extend(self.registry.history()?.iter().filter_map(|one| number_of(&one.to)));
        let last = taken.into_iter().max().unwrap_or(0);
        let next = last.checked_add(1).ok_or_else(|| {
            let problem = format!("no number is left behind that of the version {}", name_of(last));
            TrainerError::Unreadable { file: self.registry.folder.clone(), problem }
        })?;
        let name = name_of(next);
        let folder = self.registry.version_folder(&format!(".{name}.partial"));
        let failed = |source| FileError { action: "create", path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(failed)?;
        Ok(Staged { folder, name })
    }

    /// Makes `staged` the version in use. What `lineage` says of name, parent and files is filled in here.
    ///
    /// # Errors
    /// [`RegistryError::Trainer`], after which the version that was in use still is.
    pub fn promote(&self, staged: &Staged, lineage: Lineage, reason: &str) -> Result<Version, RegistryError> {
        for step in self.promotion(staged, lineage, reason)? {
            step.perform()?;
        }
        Version::read(&self.registry.version_folder(&staged.name))
    }

    /// The steps of [`Self::promote`], in their order.
    pub(crate) fn promotion(
        &self,
        staged: &Staged,
        lineage: Lineage,
        reason: &str,
    ) -> Result<Vec<Step>, RegistryError> {
        let lineage = Lineage {
            name: staged.name.clone(),
            parent: self.registry.current_name()?,
            files: plain_hashes_below(&staged.folder)?,
            ..lineage
        };
        let file = staged.folder.join(VERSION_FILE);
        let bytes = to_json(&file, &lineage)?;
        let about = About { action: Action::Promote, unix_seconds: lineage.decided_unix_seconds, reason };
        let version_sha256 = rtune_trainer::files::sha256_of(&bytes);
        let to = self.registry.version_folder(&staged.name);
        let mut steps =
            vec![Step::Write { path: file, bytes }, Step::Settle { from: staged.folder.clone(), to }];
        steps.extend(self.moved_to(&staged.name, version_sha256, &about)?);
        Ok(steps)
    }

    /// Puts a version of before in use again, `wanted` or the parent of the one in use, after its files were compared with their
    /// hashes. What history.json names no move to was never let in, and is not gone back to. Nothing but its name is wanted of the one in use:
    /// a damaged version is what one goes back from.
    ///
    /// # Errors
    /// [`RegistryError::NothingBefore`], [`RegistryError::NeverInUse`], [`RegistryError::Faulty`], those of [`Registry::find`].
    pub fn roll_back(&self, wanted: Option<&str>, unix_seconds: u64) -> Result<Version, RegistryError> {
        let Some(current) = self.registry.current_name()? else {
            return Err(RegistryError::NoRegistry { folder: self.registry.folder.clone() });
        };
        let name = match wanted {
            Some(name) => name.to_owned(),
            None => {
                self.parent_of(&current)?.ok_or(RegistryError::NothingBefore { current: current.clone() })?
            }
        };
        let version = self.registry.find(&name)?;
        if !self.registry.history()?.iter().any(|one| one.to == version.name()) {
            return Err(RegistryError::NeverInUse { version: version.name().to_owned() });
        }
        proved(&self.registry, &version)?;
        if version.name() != current {
            let reason = format!("back from {current}");
            let about = About { action: Action::Rollback, unix_seconds, reason: &reason };
            let sha256 = sha256_of_file(&version.folder.join(VERSION_FILE))?;
            for step in self.moved_to(version.name(), sha256, &about)? {
                step.perform()?;
            }
        }
        Ok(version)
    }

    /// What was in use when `name` was promoted: by its own word, or by history.json where it cannot be read.
    fn parent_of(&self, name: &str) -> Result<Option<String>, RegistryError> {
        match Version::read(&self.registry.version_folder(name)) {
            Ok(version) => Ok(version.lineage.parent),
            Err(_) => {
                let moves = self.registry.history()?;
                let promoted = |one: &&Move| one.action == Action::Promote && one.to == name;
                Ok(moves.iter().rfind(promoted).and_then(|one| one.from.clone()))
            }
        }
    }

    /// Keeps a decision against a candidate, and removes what was made of it; where the decision is.
    ///
    /// # Errors
    /// [`RegistryError::Trainer`].
    pub fn refuse(&self, staged: Staged, decision: &[u8]) -> Result<PathBuf, RegistryError> {
        let folder = self.registry.folder.join("refused");
        let failed = |source| FileError { action: "create", path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(failed)?;
        let path = (1..).map(|number| folder.join(format!("{number:04}.json"))).find(|path| !path.exists());
        // The numbers do not end before the names do.
        let path = path.unwrap_or_else(|| folder.join("refused.json"));
        write_whole(&path, decision)?;
        self.drop_staged(staged)?;
        Ok(path)
    }

    /// Removes what was begun.
    ///
    /// # Errors
    /// [`RegistryError::Trainer`].
    pub fn drop_staged(&self, staged: Staged) -> Result<(), RegistryError> {
        let failed = |source| FileError { action: "remove", path: staged.folder.clone(), source };
        Ok(fs::remove_dir_all(&staged.folder).map_err(failed)?)
    }

    /// Counts a look at these rows; to be done before they are asked. With all looks at any of them so far, this one too.
    ///
    /// # Errors
    /// [`RegistryError::Trainer`].
    pub fn look(&self, sealed: &Sealed, look: Look) -> Result<Vec<Look>, RegistryError> {
        let mut looks = self.registry.looks()?;
        let of_set = looks.add(sealed, look);
        Step::json(&self.registry.folder.join(LOOKS_FILE), &looks)?.perform()?;
        Ok(of_set)
    }

    /// The two steps of a move.
    fn moved_to(
        &self,
        name: &str,
        version_sha256: String,
        about: &About<'_>,
    ) -> Result<[Step; 2], RegistryError> {
        let from = self.registry.current_name()?;
        let history = self.registry.read_history()?.happened(&self.registry.folder, from.as_deref())?;
        let one = Move {
            unix_seconds: about.unix_seconds,
            action: about.action,
            from,
            to: name.to_owned(),
            version_sha256,
            reason: about.reason.to_owned(),
        };
        let folder = &self.registry.folder;
        let link = Step::Link { path: folder.join(CURRENT), target: Path::new("versions").join(name) };
        Ok([history.with(&folder.join(HISTORY_FILE), one)?, link])
    }
}

/// What of a move is known beforehand.
struct About<'a> {
    action: Action,
    unix_seconds: u64,
    reason: &'a str,
}
