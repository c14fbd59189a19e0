//! The run's manifest: the hash of everything that went in, so that a run can be told from another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rtune_data::{DataError, Example, Prepared};
use rtune_models::Licence;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checkpoint::{FORMAT, read_json, write_json};
use crate::config::{Config, LoraSection};
use crate::device::DeviceModel;
use crate::error::TrainerError;
use crate::files;
use crate::inputs::Inputs;
use crate::run::RunOptions;

/// Its name in the run folder.
pub const FILE: &str = "manifest.json";

/// What a run was made of. Everything but `environment` is the same for the same inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`crate::checkpoint::FORMAT`].
    pub format: u64,
    /// Name of each file of the base to its SHA-256.
    pub base: BTreeMap<String, String>,
    /// What the base said of its licence; a run of an earlier version did not ask.
    #[serde(default)]
    pub licence: Licence,
    /// Whether the base is the text part of a model that sees besides; where it is not written down it is none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sees: bool,
    /// SHA-256 of the tokenizer in its serialised form, wherever it came from.
    pub tokenizer: String,
    /// SHA-256 of the chat template's source, the base's or that of the file `data.template`.
    pub template: String,
    /// Name of each data file, training, validation and golden, to its SHA-256.
    pub data: BTreeMap<String, String>,
    /// SHA-256 over tokens and supervision of all rows, training and validation.
    pub prepared_rows: String,
    /// SHA-256 over the ids of the training rows; a run of an earlier version did not write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_ids: Option<String>,
    /// SHA-256 over the hashes of the golden files that rows were read of; a run of an earlier version did not write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub golden: Option<String>,
    /// SHA-256 of data-report.json.
    pub data_report: String,
    /// The files of the adapter that the run starts from to their SHA-256; empty for fresh adapters.
    pub initial_adapter: BTreeMap<String, String>,
    /// SHA-256 of the resolved config.toml, without its `[output]`, which does not change a number.
    pub config: String,
    /// The program that began.
    pub program: Program,
    /// Version of the code that makes rows of files.
    pub preparation_format: u32,
    /// Where the arithmetic is done.
    pub device: DeviceModel,
    /// The seed of every draw.
    pub seed: u64,
    /// Name of each evaluation's file to its SHA-256, in a run of an earlier version; now they stand in `eval/SHA256SUMS`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evaluations: BTreeMap<String, String>,
    /// Where the run went on with something that was changed; see [`crate::run::CONTINUATION_RULES`].
    pub continuations: Vec<Continuation>,
    /// Time, host and paths.
    pub environment: Environment,
}

/// A change on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Continuation {
    /// Steps that were done before.
    pub step: u64,
    /// What was changed, in words.
    pub changes: Vec<String>,
    /// [`Manifest::config`] from here on.
    pub config: String,
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
    /// How the rows came about; the run fills it in.
    pub preparation: Option<PreparationRecord>,
}

/// Whether the rows were prepared or read from the preparation cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreparationRecord {
    /// The cache's key: a hash of everything that decides the rows.
    pub key: String,
    /// Whether they were read from the cache.
    pub from_cache: bool,
}

impl Manifest {
    /// What a run of `config` with these inputs is made of.
    ///
    /// # Errors
    /// [`TrainerError::File`] for a file that cannot be read, [`TrainerError::Changed`] for a data file that is no longer what the
    /// rows were made of, [`TrainerError::Unreadable`] for a tokenizer that cannot be written down.
    pub(crate) fn of(config: &Config, inputs: &Inputs, options: &RunOptions) -> Result<Self, TrainerError> {
        let used = inputs.preparation.as_ref();
        let preparation = used.map(|used| PreparationRecord { key: used.key.clone(), from_cache: used.hit });
        let rows = RowHashes::of(&inputs.prepared)?;
        let golden = inputs.prepared.report.files.iter().filter(|file| file.role == "golden");
        let golden: String = golden.map(|file| format!("{}\n", file.blake3)).collect();
        Ok(Self {
            format: FORMAT,
            base: hashes_by_name(inputs.base.files.iter())?,
            licence: Licence::of_base(&config.model.base, &inputs.base_path),
            sees: inputs.base.config.sees,
            tokenizer: hash_of_tokenizer(inputs)?,
            template: files::sha256_of(inputs.template.source().as_bytes()),
            data: hashes_of_data(&inputs.prepared.files)?,
            prepared_rows: rows.rows,
            row_ids: Some(rows.ids),
            golden: Some(files::sha256_of(golden.as_bytes())),
            data_report: files::sha256_of(&inputs.report()?),
            initial_adapter: initial_adapter(&config.lora)?,
            config: hash_of_config(config),
            program: options.program.clone(),
            preparation_format: rtune_data::PREPARATION_FORMAT,
            device: match &options.gpu {
                None => DeviceModel::of_this_machine(),
                Some(device) => DeviceModel::of_gpu(device.facts()),
            },
            seed: config.train.seed,
            evaluations: BTreeMap::new(),
            continuations: Vec::new(),
            environment: Environment { preparation, ..options.environment.clone() },
        })
    }

    /// Reads that of a run folder.
    ///
    /// # Errors
    /// [`TrainerError::File`] or [`TrainerError::Unreadable`].
    pub fn read(run: &Path) -> Result<Self, TrainerError> {
        read_json(&run.join(FILE))
    }

    /// Writes it into the run folder.
    ///
    /// # Errors
    /// [`TrainerError::File`].
    pub fn write(&self, run: &Path) -> Result<(), TrainerError> {
        write_json(&run.join(FILE), self)
    }
}

/// SHA-256 of the tokenizer in its serialised form.
///
/// # Errors
/// [`TrainerError::Unreadable`] if it cannot be written down.
pub(crate) fn hash_of_tokenizer(inputs: &Inputs) -> Result<String, TrainerError> {
    let text = inputs.base.tokenizer.to_string(false).map_err(|error| TrainerError::Unreadable {
        file: inputs.base_path.clone(),
        problem: format!("the tokenizer cannot be written down: {error}"),
    })?;
    Ok(files::sha256_of(text.as_bytes()))
}

/// SHA-256 of a configuration without its `[output]`.
pub(crate) fn hash_of_config(config: &Config) -> String {
    files::sha256_of(config.without_output().to_toml().as_bytes())
}

/// Hashes of the adapter that a run starts from; none for fresh ones.
fn initial_adapter(lora: &LoraSection) -> Result<BTreeMap<String, String>, TrainerError> {
    let LoraSection::From(folder) = lora else { return Ok(BTreeMap::new()) };
    // The adapter was copied into the first checkpoint: a run that goes on no longer needs it.
    let files = ["adapter_config.json", "adapter_model.safetensors"].map(|name| folder.join(name));
    hashes_by_name(files.iter().filter(|path| path.is_file()))
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

/// SHA-256 of each data file, by its name, of the very bytes that the rows were made of: `read` has BLAKE3 of those in hex.
///
/// # Errors
/// [`TrainerError::File`], and [`TrainerError::Changed`] for a file with other bytes.
fn hashes_of_data(read: &[(PathBuf, String)]) -> Result<BTreeMap<String, String>, TrainerError> {
    let mut hashes = BTreeMap::new();
    for (path, expected) in read {
        let (sha256, found) = files::hashes_of_file(path)?;
        if found != *expected {
            return Err(TrainerError::Changed { file: path.clone(), expected: expected.clone(), found });
        }
        hashes.insert(free_name(&hashes, path), sha256);
    }
    Ok(hashes)
}

/// The name of `file`, with a number where it is taken.
pub(crate) fn free_name(taken: &BTreeMap<String, String>, file: &Path) -> String {
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let numbered = (2..).map(|number| format!("{name} ({number})"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains_key(name)).unwrap_or(name)
}

/// What tells the prepared rows of two runs apart.
pub(crate) struct RowHashes {
    /// SHA-256 over all rows: lengths, tokens, supervision, training before validation.
    pub(crate) rows: String,
    /// SHA-256 over the ids of training rows, each behind its length.
    pub(crate) ids: String,
}

impl RowHashes {
    /// Goes through all rows once.
    ///
    /// # Errors
    /// Those of reading rows.
    pub(crate) fn of(prepared: &Prepared) -> Result<Self, DataError> {
        let (mut hash, mut ids, mut bytes) = (Sha256::new(), Sha256::new(), Vec::new());
        let mut add = |hash: &mut Sha256, row: &Example| {
            bytes.clear();
            bytes.extend((row.tokens.len() as u64).to_le_bytes());
            for (token, supervised) in row.tokens.iter().zip(&row.supervised) {
                bytes.extend(token.to_le_bytes());
                bytes.push(u8::from(*supervised));
            }
            hash.update(&bytes);
        };
        hash.update((prepared.train.len() as u64).to_le_bytes());
        for row in prepared.train.iter() {
            let row = row?;
            add(&mut hash, row.as_ref());
            ids.update((row.id.len() as u64).to_le_bytes());
            ids.update(row.id.as_bytes());
        }
        hash.update((prepared.validation.len() as u64).to_le_bytes());
        prepared.validation.iter().for_each(|row| add(&mut hash, row));
        Ok(Self { rows: files::hex(&hash.finalize()), ids: files::hex(&ids.finalize()) })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_that_grew_while_it_was_read_is_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("rows.jsonl");
        std::fs::write(&path, b"{}\n").expect("written");
        let read = [(path.clone(), blake3::hash(b"{}\n").to_hex().to_string())];
        let hashes = hashes_of_data(&read).expect("the same bytes");
        assert_eq!(hashes, BTreeMap::from([("rows.jsonl".to_owned(), files::sha256_of(b"{}\n"))]));
        File::options()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(b"{}\n"))
            .expect("written");
        let error = hashes_of_data(&read).expect_err("another file");
        let [expected, found] = [&b"{}\n"[..], b"{}\n{}\n"].map(|bytes| blake3::hash(bytes).to_hex());
        let said = format!(
            "`{}` changed while it was read: expected blake3 {expected}, found {found}",
            path.display()
        );
        assert_eq!(error.to_string(), said);
        assert!(error.hint().is_some_and(|hint| hint.contains("begin again")));
    }
}
