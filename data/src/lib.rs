//! From files to packed rows of token ids: reading, exact duplicates, leaks, splits, chat templates, the loss mask,
//! and the one source of randomness.
//!
//! This crate names no tensor, no device, no network and no clock. The way of a row:
//! file -> [`Reader`] -> [`Record`] -> [`clean`] -> [`ChatTemplate`] -> [`Example`] (tokens and loss mask) -> [`PackedRow`].
//! [`prepare`] (or [`PreparationCache::prepare`], which remembers) goes the whole way up to examples; [`steps_of_epoch`] and [`pack`] do the rest inside the training loop.

mod cache;
pub mod clean;
mod error;
mod examples;
mod golden;
mod input;
mod leak;
mod marked;
mod near;
mod options;
mod pack;
mod prepare;
mod problem;
mod record;
mod report;
mod seal;
mod spill;
mod split;
mod steps;
mod stream;
mod template;
#[cfg(test)]
mod testing;
mod tokenize;
mod watch;

pub use cache::{CacheUse, MOST_FILES, PREPARATION_FORMAT, PreparationCache};
pub use clean::CleanError;
pub use clean::normalise::NormaliseOptions;
pub use clean::quality::{FilterOptions, LabelCapOptions, Perplexity};
pub use error::{DataError, ProblemList};
pub use examples::{Examples, IN_MEMORY_BYTES};
pub use golden::{GoldenFile, GoldenRow, Half, read_golden};
pub use input::{
    DataFile, Format, ReadFile, Reader, Row, Source, check_row, expand, read_file, read_files, read_sources,
};
pub use leak::{
    Leak, LeakFinder, LeakKind, LeakOptions, LeakPair, LeakRow, LeakedSet, Leaks, conflicts, leaks,
};
pub use marked::{Piece, marked, pieces};
pub use near::{Cluster, Clusters, Keep, NearFinder, NearOptions, Pair};
pub use options::{
    BadRows, CleanOptions, Duplicates, LeakPolicy, NamesBy, OverLong, PrepareOptions, PrivacyMode,
    PrivacyOptions, PrivacyScope, TrainOn, Validation,
};
pub use pack::{PackedRow, Segment, pack, pack_shared};
pub use prepare::{
    Account, Accounts, Outline, Prepared, Side, Tools, outline, prepare, prepare_with_accounts, scrubber,
};
pub use problem::{ProblemKind, RowProblem};
pub use record::{Content, Form, Message, Origin, Record};
pub use report::{
    Bar, DataReport, DuplicateReport, FileReport, LeakReport, OverLongReport, OverLongRow, PairReport,
    PrivacyReport, SetReport, Shown, StageReport, Statistics,
};
pub use seal::{Seal, seals};
pub use spill::{Scratch, SpillError};
pub use split::held_out;
pub use steps::{StepSize, steps_of_epoch};
pub use stream::{shuffle, stream, uniform_below};
pub use template::{ChatTemplate, Date, SpecialTokens, TemplateError, settled};
pub use tokenize::{Encoded, Encoder, Example, Weighed, decode_guarded, encode_guarded, leading_bos};
pub use watch::{Doing, Watch};
