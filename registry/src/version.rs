//! What a version says of itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rtune_trainer::checkpoint::{FORMAT, read_json};
use rtune_trainer::error::TrainerError;
use rtune_trainer::files::{FileError, sha256_of_file};
use serde::{Deserialize, Serialize};

use crate::error::RegistryError;

/// The file that says it, written last: a folder without one is no version.
pub(crate) const VERSION_FILE: &str = "version.json";

/// A version in its folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// Its folder.
    pub folder: PathBuf,
    /// What it is made of.
    pub lineage: Lineage,
}

/// The versions of a registry: one that is damaged keeps nobody from the others.
#[derive(Debug, Default)]
pub struct Versions {
    /// Those that say what they are, the first one first.
    pub whole: Vec<Version>,
    /// The names of the others, each with [`RegistryError::Damaged`].
    pub damaged: Vec<(String, RegistryError)>,
}

/// Where a version came from, and what it consists of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lineage {
    /// [`FORMAT`].
    pub format: u64,
    /// Its name: `v0001`, `v0002` …
    pub name: String,
    /// The version that was in use when it was promoted.
    pub parent: Option<String>,
    /// The run that it is of, as it was named.
    pub run: String,
    /// SHA-256 of the run's manifest.json.
    pub manifest: String,
    /// SHA-256 of the run's config.toml, as the manifest has it.
    pub config: String,
    /// Name of each file of the base to its SHA-256.
    pub base: BTreeMap<String, String>,
    /// Name of each data file to its SHA-256.
    pub data: BTreeMap<String, String>,
    /// Rows that trained it.
    pub rows: usize,
    /// SHA-256 of rows.jsonl, which lists them.
    pub rows_sha256: String,
    /// The step of the checkpoint that was taken.
    pub step: u64,
    /// Whether the run had not come to its end by then: it is trained again up to that step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Why it cannot be trained again to the same bytes, in words; empty where nothing stands against that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrepeatable: Vec<String>,
    /// Name of each file of that checkpoint to its SHA-256: the adapter among them.
    pub checkpoint: BTreeMap<String, String>,
    /// In which form it ships, as `gate.ships` has it.
    pub ships: String,
    /// Where the artefact lies in the version's folder.
    pub artefact: String,
    /// `--set` arguments with which the artefact is read back.
    pub read_with: Vec<String>,
    /// SHA-256 of the suite of attacks that it was asked, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub red_team: Option<String>,
    /// SHA-256 of decision.json.
    pub decision: String,
    /// When it was decided, in seconds of Unix time.
    pub decided_unix_seconds: u64,
    /// Every file of the folder but this one, by its path in it, with its SHA-256.
    pub files: BTreeMap<String, String>,
}

impl Version {
    /// Reads what the version in `folder` says of itself. Its files are not looked at.
    ///
    /// # Errors
    /// [`RegistryError::Damaged`] for a file that cannot be read or is none of ours.
    pub fn read(folder: &Path) -> Result<Self, RegistryError> {
        let damaged = |source| {
            let version = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            RegistryError::Damaged { version, source: Box::new(source) }
        };
        let lineage = lineage_in(folder).map_err(damaged)?;
        Ok(Self { folder: folder.to_owned(), lineage })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.lineage.name
    }

    /// Where what ships lies.
    #[must_use]
    pub fn artefact(&self) -> PathBuf {
        self.folder.join(&self.lineage.artefact)
    }

    /// The run's configuration and manifest.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// The report on the whole golden set, or on its open half.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.folder.join("eval").join("candidate.json")
    }
}

fn lineage_in(folder: &Path) -> Result<Lineage, TrainerError> {
    let file = folder.join(VERSION_FILE);
    let lineage: Lineage = read_json(&file)?;
    let is_named = folder.file_name().is_some_and(|name| name.to_string_lossy() == lineage.name);
    let is_inside = !lineage.artefact.contains("..") && Path::new(&lineage.artefact).is_relative();
    if folder.is_symlink() {
        let problem = "expected the folder of a version, found a link".to_owned();
        return Err(TrainerError::Unreadable { file: folder.to_owned(), problem });
    }
    if !is_named || !is_inside {
        let problem = format!("expected the version of this folder, found `{}`", lineage.name);
        return Err(TrainerError::Unreadable { file, problem });
    }
    Ok(lineage)
}

/// The name of the version with this number, from 1.
pub(crate) fn name_of(number: u64) -> String {
    format!("v{number:04}")
}

/// The number in the name of a version.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix('v')?;
    let number: u64 = digits.parse().ok()?;
    (name_of(number) == name).then_some(number)
}

/// What stands in the place of the hash of a link, a pipe and the like, which have none: what they lead to may change.
pub(crate) const NO_FILE: &str = "no plain file";

/// [`hashes_below`] of a folder that must hold plain files alone.
///
/// # Errors
/// [`RegistryError::Trainer`], for what is no plain file too.
pub(crate) fn plain_hashes_below(folder: &Path) -> Result<BTreeMap<String, String>, RegistryError> {
    let hashes = hashes_below(folder)?;
    match hashes.iter().find(|(_, hash)| *hash == NO_FILE) {
        None => Ok(hashes),
        Some((name, _)) => {
            let problem = "expected a plain file, found a link or the like".to_owned();
            Err(TrainerError::Unreadable { file: folder.join(name), problem }.into())
        }
    }
}

/// Every file below `folder`, by its path in it, with its SHA-256; [`VERSION_FILE`] of the folder itself is left out, if it is one. What
/// is no plain file has [`NO_FILE`] in the place of a hash.
///
/// # Errors
/// [`RegistryError::Trainer`] for what cannot be read.
pub fn hashes_below(folder: &Path) -> Result<BTreeMap<String, String>, RegistryError> {
    let mut hashes = BTreeMap::new();
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((place, prefix)) = folders.pop() {
        let failed = |source| FileError { action: "read", path: place.clone(), source };
        for entry in fs::read_dir(&place).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                folders.push((entry.path(), format!("{name}/")));
            } else if kind.is_file() {
                if name != VERSION_FILE {
                    hashes.insert(name, sha256_of_file(&entry.path())?);
                }
            } else {
                hashes.insert(name, NO_FILE.to_owned());
            }
        }
    }
    Ok(hashes)
}

/// The format that is written.
pub(crate) const THIS_FORMAT: u64 = FORMAT;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_numbers() {
        assert_eq!((name_of(7).as_str(), number_of("v0007")), ("v0007", Some(7)));
        assert_eq!((name_of(12345).as_str(), number_of("v12345")), ("v12345", Some(12345)));
        for wrong in ["v7", "7", "v00007", "v", "vx", ".v0001.partial", "v-001"] {
            assert_eq!(number_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn hashes_are_of_all_files_below() {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(home.path().join("a/b")).expect("made");
        for name in ["x", "a/y", "a/b/z", "version.json", "a/version.json"] {
            fs::write(home.path().join(name), name).expect("written");
        }
        let hashes = hashes_below(home.path()).expect("readable");
        assert_eq!(hashes.keys().collect::<Vec<_>>(), ["a/b/z", "a/version.json", "a/y", "x"]);
        std::os::unix::fs::symlink("x", home.path().join("link")).expect("linked");
        assert_eq!(hashes_below(home.path()).expect("readable")["link"], NO_FILE);
        let error = plain_hashes_below(home.path()).expect_err("a link").to_string();
        assert!(error.contains("link") && error.contains("expected a plain file"), "{error}");
    }
}
