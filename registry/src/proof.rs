//! Whether a version is what it says.

use std::fmt;

use rtune_trainer::files::sha256_of_file;
use serde::Serialize;

use crate::error::RegistryError;
use crate::place::Registry;
use crate::version::{NO_FILE, VERSION_FILE, Version, hashes_below};

/// Something of a version that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// A file, by its path in the version's folder.
    pub file: String,
    /// SHA-256 as it was written down; `None` for a file that nobody wrote down. In words where it is about no file's bytes.
    pub expected: Option<String>,
    /// What is there; `None` for a file that is gone. In words for what is no plain file.
    pub found: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |hash: &Option<String>| hash.clone().unwrap_or_else(|| "no such file".to_owned());
        write!(out, "`{}`: expected {}, found {}", self.file, said(&self.expected), said(&self.found))
    }
}

/// Every file of `version` whose hash is another, that is gone, that should not be there, or that is no plain file; empty where the version
/// is what it says. What version.json itself says is held against history.json, which must name a move to it: what was never let in is
/// no version, whatever it says of itself.
///
/// # Errors
/// [`RegistryError::Trainer`] for what cannot be read.
pub fn prove(registry: &Registry, version: &Version) -> Result<Vec<Fault>, RegistryError> {
    let (said, found) = (&version.lineage.files, hashes_below(&version.folder)?);
    let mut faults = Vec::new();
    let moves = registry.history()?;
    let file = VERSION_FILE.to_owned();
    match moves.iter().rev().find(|one| one.to == version.name()) {
        Some(written) => {
            let found = sha256_of_file(&version.folder.join(VERSION_FILE))?;
            if written.version_sha256 != found {
                faults.push(Fault {
                    file,
                    expected: Some(written.version_sha256.clone()),
                    found: Some(found),
                });
            }
        }
        None => {
            let (expected, found) = ("a move to it in history.json".to_owned(), "none".to_owned());
            faults.push(Fault { file, expected: Some(expected), found: Some(found) });
        }
    }
    let names: std::collections::BTreeSet<&String> = said.keys().chain(found.keys()).collect();
    for name in names {
        let (expected, found) = (said.get(name).cloned(), found.get(name).cloned());
        if expected != found || found.as_deref() == Some(NO_FILE) {
            faults.push(Fault { file: name.clone(), expected, found });
        }
    }
    Ok(faults)
}

/// Nothing, where `version` is what it says.
///
/// # Errors
/// [`RegistryError::Faulty`] with the first fault; those of [`prove`].
pub fn proved(registry: &Registry, version: &Version) -> Result<(), RegistryError> {
    match prove(registry, version)?.into_iter().next() {
        None => Ok(()),
        Some(fault) => {
            let (version, fault) = (version.name().to_owned(), fault.to_string());
            Err(RegistryError::Faulty { version, fault })
        }
    }
}
