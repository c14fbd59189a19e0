//! The run's manifest: the hash of everything that went in, so that a run can be told from another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rtune_data::{Example, Prepared};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checkpoint::{read_json, write_json};
use crate::error::TrainerError;
use crate::files;

const FILE: &str = "manifest.json";

/// What a run was made of. Everything but `environment` is the same for the same inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`crate::checkpoint::FORMAT`].
    pub format: u64,
    /// Name of each file of the base to its SHA-256.
    pub base: BTreeMap<String, String>,
    /// SHA-256 of the tokenizer in its serialised form, wherever it came from.
    pub tokenizer: String,
    /// SHA-256 of the chat template's source.
    pub template: String,
    /// Name of each data file to its SHA-256.
    pub data: BTreeMap<String, String>,
    /// SHA-256 over tokens and supervision of all rows, training and validation.
    pub prepared_rows: String,
    /// The files of the adapter that the run starts from to their SHA-256; empty for fresh adapters.
    pub initial_adapter: BTreeMap<String, String>,
    /// SHA-256 of the resolved config.toml, without its `[output]`, which does not change a number.
    pub config: String,
    /// The program.
    pub program: Program,
    /// Where the arithmetic is done.
    pub device: String,
    /// The seed of every draw.
    pub seed: u64,
    /// Time, host and paths.
    pub environment: Environment,
}

/// The program that ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file.
    pub sha256: String,
}

/// What differs between two runs of the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Start, in seconds of Unix time.
    pub started_unix_seconds: u64,
    /// The machine's name, where the system tells.
    pub host: Option<String>,
    /// Operating system and architecture.
    pub platform: String,
    /// Threads that compute.
    pub threads: usize,
    /// Where the program was started.
    pub working_directory: PathBuf,
    /// Where the base was found.
    pub base: PathBuf,
}

impl Manifest {
    /// Writes it into the run folder.
    ///
    /// # Errors
    /// [`TrainerError::File`].
    pub fn write(&self, run: &Path) -> Result<(), TrainerError> {
        write_json(&run.join(FILE), self)
    }

    /// Compares the inputs of a run that goes on with those it began with.
    ///
    /// # Errors
    /// [`TrainerError::OtherInput`] for the first that differs, [`TrainerError::Unreadable`].
    pub fn check_unchanged(&self, run: &Path) -> Result<(), TrainerError> {
        let began: Self = read_json(&run.join(FILE))?;
        let joined = |files: &BTreeMap<String, String>| {
            let lines: Vec<String> = files.iter().map(|(name, hash)| format!("{name} {hash}")).collect();
            files::sha256_of(lines.join("\n").as_bytes())
        };
        let pairs = [
            ("base", joined(&began.base), joined(&self.base)),
            ("tokenizer", began.tokenizer, self.tokenizer.clone()),
            ("chat template", began.template, self.template.clone()),
            ("set of data files", joined(&began.data), joined(&self.data)),
            ("set of prepared rows", began.prepared_rows, self.prepared_rows.clone()),
        ];
        for (what, expected, found) in pairs {
            if expected != found {
                let (folder, what) = (run.to_owned(), what.to_owned());
                return Err(TrainerError::OtherInput { folder, what, expected, found });
            }
        }
        Ok(())
    }
}

/// SHA-256 of each file, by its name. Files of one name in two folders are told apart by number.
///
/// # Errors
/// [`TrainerError::File`].
pub fn hashes_by_name<'a>(
    files: impl Iterator<Item = &'a PathBuf>,
) -> Result<BTreeMap<String, String>, TrainerError> {
    let mut hashes = BTreeMap::new();
    for file in files {
        hashes.insert(free_name(&hashes, file), files::sha256_of_file(file)?);
    }
    Ok(hashes)
}

/// The name of `file`, with a number where it is taken.
pub(crate) fn free_name(taken: &BTreeMap<String, String>, file: &Path) -> String {
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let numbered = (2..).map(|number| format!("{name} ({number})"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains_key(name)).unwrap_or(name)
}

/// SHA-256 over all rows: lengths, tokens, supervision, training before validation.
pub fn hash_of_rows(prepared: &Prepared) -> String {
    let mut hash = Sha256::new();
    for rows in [&prepared.train, &prepared.validation] {
        hash.update((rows.len() as u64).to_le_bytes());
        for Example { tokens, supervised, .. } in rows {
            hash.update((tokens.len() as u64).to_le_bytes());
            for (token, supervised) in tokens.iter().zip(supervised) {
                hash.update(token.to_le_bytes());
                hash.update([u8::from(*supervised)]);
            }
        }
    }
    files::hex(&hash.finalize())
}
