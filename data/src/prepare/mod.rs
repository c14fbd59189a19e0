//! The whole way from files to examples, in stages that rows pass one by one.
//!
//! | stage | what it does |
//! | --- | --- |
//! | read | a line to a row; rows that cannot be read are an error or are dropped |
//! | normalise, privacy, filters | each row on its own: changed texts, personal data, rows too poor |
//! | duplicates, near-duplicates | rows that equal or resemble one that stays |
//! | leaks | rows on both sides of the examination |
//! | labels | more rows of a label than wanted |
//! | length | rows that are too long |
//!
//! Rows are read once and wait on disk; what stands in memory is a few bytes a row. Each row is accounted for: rows in are
//! rows out and rows dropped, with a reason, at every stage.

mod account;
mod encode;
mod fates;
mod intake;
mod leaks;
mod mask;
mod spool;
#[cfg(test)]
mod tests;
mod together;
mod wash;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::spooled_tempfile_in;
use tokenizers::Tokenizer;

use crate::cache::{FromRows, Key, RowsFile, Writer};
use crate::clean::quality::Perplexity;
use crate::error::DataError;
use crate::examples::{Examples, IN_MEMORY_BYTES as EXAMPLES_BYTES};
use crate::options::{PrepareOptions, Validation};
use crate::report::DataReport;
use crate::spill::SpillError;
use crate::template::ChatTemplate;
use crate::tokenize::{Encoder, Example};
use crate::watch::{Doing, Watch};
use rtune_privacy::NameFinder;

pub use account::{Account, Accounts};
pub use wash::scrubber;

/// Rows that are on their way stay in memory up to this size: small sets need no disk.
const IN_MEMORY_BYTES: usize = 16 << 20;

/// The set a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Trained on.
    Train,
    /// Measured on.
    Validation,
}

/// Examples, and the account of how they came about.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What is trained on, in the order of the files.
    pub train: Examples,
    /// What the run is measured on.
    pub validation: Vec<Example>,
    /// The largest id of a token.
    pub largest_token: Option<u32>,
    /// The account.
    pub report: DataReport,
    /// Every file read, golden ones too, with BLAKE3 of its bytes in hex.
    pub files: Vec<(PathBuf, String)>,
}

/// What there is to say of prepared rows without having them.
#[derive(Clone, Debug)]
pub struct Outline {
    /// The account.
    pub report: DataReport,
    /// The largest id of a token; none where there are no rows.
    pub largest_token: Option<u32>,
}

/// What rows are prepared with, beside the options.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// Renders conversations.
    pub template: &'a ChatTemplate,
    /// Makes tokens of them.
    pub tokenizer: &'a Tokenizer,
    /// The model that finds names, where the options ask for one.
    pub names: Option<&'a Arc<dyn NameFinder>>,
    /// The base's perplexity, where the options ask for it.
    pub perplexity: Option<&'a dyn Perplexity>,
    /// The folder for temporary files; by default the system's.
    pub folder: Option<&'a Path>,
    /// What training examples may take in memory; those of a larger set stay on disk.
    pub in_memory_bytes: usize,
    /// Who is told how far it is.
    pub watch: Option<&'a Watch>,
}

impl<'a> Tools<'a> {
    /// A template and a tokenizer, and nothing else.
    pub fn new(template: &'a ChatTemplate, tokenizer: &'a Tokenizer) -> Self {
        let in_memory_bytes = EXAMPLES_BYTES;
        Self {
            template,
            tokenizer,
            names: None,
            perplexity: None,
            folder: None,
            in_memory_bytes,
            watch: None,
        }
    }
}

/// Takes rows all the way; see the table above.
///
/// Equal files and options give equal examples, whatever the number of threads.
///
/// # Errors
/// Problems of rows are collected: those of reading, then leaks, then those of rendering, tokenizing and length. Everything
/// else stops at once.
pub fn prepare(options: &PrepareOptions, tools: &Tools<'_>) -> Result<Prepared, DataError> {
    prepare_with_accounts(options, tools, None)
}

/// [`prepare`], telling `accounts` of every row that was read.
///
/// # Errors
/// Those of [`prepare`]; [`DataError::Account`] where `accounts` cannot take a row.
pub fn prepare_with_accounts(
    options: &PrepareOptions,
    tools: &Tools<'_>,
    accounts: Option<&mut dyn Accounts>,
) -> Result<Prepared, DataError> {
    of_rows(options, tools, accounts)
}

/// [`prepare_with_accounts`] without the examples: what stands in memory is a few bytes a row.
///
/// # Errors
/// Those of [`prepare_with_accounts`].
pub fn outline(
    options: &PrepareOptions,
    tools: &Tools<'_>,
    accounts: Option<&mut dyn Accounts>,
) -> Result<Outline, DataError> {
    of_rows(options, tools, accounts)
}

fn of_rows<T: FromRows>(
    options: &PrepareOptions,
    tools: &Tools<'_>,
    accounts: Option<&mut dyn Accounts>,
) -> Result<T, DataError> {
    let key = Key::of(options, tools)?;
    let (rows, _) = prepare_rows(&key, options, tools, accounts)?;
    let place = temporary(tools);
    let failed = |problem| SpillError::new(&place, "read", std::io::Error::other(problem)).into();
    T::read(rows, &key, tools.in_memory_bytes).map_err(failed)
}

/// The rows of `key` in a temporary file, or in memory where they are few; and the account of them.
pub(crate) fn prepare_rows(
    key: &Key,
    options: &PrepareOptions,
    tools: &Tools<'_>,
    accounts: Option<&mut dyn Accounts>,
) -> Result<(RowsFile, DataReport), DataError> {
    let folder = scratch_folder(tools)?;
    let mut file = spooled_tempfile_in(IN_MEMORY_BYTES, folder.path());
    let report = prepare_into(&mut file, key, options, tools, folder.path(), accounts)?;
    Ok((RowsFile::temporary(file, &temporary(tools)), report))
}

/// Where temporary files are made.
fn temporary(tools: &Tools<'_>) -> PathBuf {
    tools.folder.map_or_else(std::env::temp_dir, Path::to_owned)
}

/// A folder for temporary files, gone with it.
fn scratch_folder(tools: &Tools<'_>) -> Result<tempfile::TempDir, DataError> {
    let place = temporary(tools);
    tempfile::tempdir_in(&place).map_err(|source| SpillError::new(&place, "make", source).into())
}

/// Prepares the rows of `key` and writes them to `file`; nothing but a few bytes a row stands in memory.
fn prepare_into(
    file: &mut impl Write,
    key: &Key,
    options: &PrepareOptions,
    tools: &Tools<'_>,
    folder: &Path,
    accounts: Option<&mut dyn Accounts>,
) -> Result<DataReport, DataError> {
    if options.train.is_empty() {
        return Err(DataError::NoFiles);
    }
    if let Validation::Fraction(fraction) = options.validation
        && !(fraction > 0.0 && fraction < 1.0)
    {
        return Err(DataError::Fraction { fraction });
    }
    if options.validation == Validation::Rows(0) {
        return Err(DataError::NoValidationRows);
    }
    let encoder = Encoder::new(tools.template, tools.tokenizer)?;
    let (mut spool, golden, mut taken) = intake::take_in(options, tools, folder)?;
    let fates = fates::decide(&mut spool, golden, &taken, options, tools, folder)?;
    let spill = |source| DataError::from(SpillError::new(folder, "write", source));
    let mut writer = Writer::new(file, key).map_err(spill)?;
    let mut last = account::Last::new(options, encode::Encoding::new(encoder, options), accounts);
    spool.watch(Doing::Encoding, tools.watch);
    last.rows(&mut spool, &mut taken, &fates, &mut |side, example| writer.row(side, example).map_err(spill))?;
    let report = last.finish(taken, fates)?;
    writer.finish(&report).map_err(spill)?;
    Ok(report)
}
