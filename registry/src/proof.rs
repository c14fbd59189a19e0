//! Whether a version is what it says.

use std::fmt;

use rtune_trainer::files::sha256_of_file;
use serde::Serialize;

use crate::error::RegistryError;
use crate::place::Registry;
use crate::version::{VERSION_FILE, Version, hashes_below};

/// Something of a version that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// A file, by its path in the version's folder.
    pub file: String,
    /// SHA-256 as it was written down; `None` for a file that nobody wrote down.
    pub expected: Option<String>,
    /// What is there; `None` for a file that is gone.
    pub found: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |hash: &Option<String>| hash.clone().unwrap_or_else(|| "no such file".to_owned());
        write!(out, "`{}`: expected {}, found {}", self.file, said(&self.expected), said(&self.found))
    }
}

/// Every file of `version` whose hash is another, that is gone, or that should not be there; empty where the version is what it says.
/// What version.json itself says is held against history.json, where the version was ever in use.
///
/// # Errors
/// [`RegistryError::Trainer`] for what cannot be read.
pub fn prove(registry: &Registry, version: &Version) -> Result<Vec<Fault>, RegistryError> {
    let (said, found) = (&version.lineage.files, hashes_below(&version.folder)?);
    let mut faults = Vec::new();
    let moves = registry.history()?;
    if let Some(written) = moves.iter().rev().find(|one| one.to == version.name()) {
        let found = sha256_of_file(&version.folder.join(VERSION_FILE))?;
        if written.version_sha256 != found {
            let expected = Some(written.version_sha256.clone());
            faults.push(Fault { file: VERSION_FILE.to_owned(), expected, found: Some(found) });
        }
    }
    let names: std::collections::BTreeSet<&String> = said.keys().chain(found.keys()).collect();
    for name in names {
        let (expected, found) = (said.get(name).cloned(), found.get(name).cloned());
        if expected != found {
            faults.push(Fault { file: name.clone(), expected, found });
        }
    }
    Ok(faults)
}
