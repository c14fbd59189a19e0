//! Why a run cannot start or go on.

use std::path::PathBuf;

use rtune_models::decoder::gpu::GpuError;

use crate::files::FileError;
use crate::hints::is_of_the_machine;
use crate::metrics::OddLine;

/// Everything that can stop a run, besides its configuration ([`crate::config::ConfigError`]).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainerError {
    /// A file or folder of the run cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The rows cannot be used.
    #[error(transparent)]
    Data(#[from] rtune_data::DataError),
    /// The base cannot be used.
    #[error(transparent)]
    Model(#[from] rtune_models::ModelError),
    /// The adapter cannot be used.
    #[error(transparent)]
    Adapter(#[from] rtune_adapters::AdapterError),
    /// A conversation cannot be turned into a prompt.
    #[error("the conversation cannot be asked")]
    Conversation(#[from] rtune_data::ProblemKind),
    /// The GPU fails, or does not compute what is asked for.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// An answer cannot be made.
    #[error(transparent)]
    Generate(#[from] rtune_models::generate::GenerateError),
    /// The run's own configuration cannot be read.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// What is trained is not measured.
    #[error("steps are measured with new adapters alone")]
    NotMeasured,
    /// Two models were not evaluated alike.
    #[error("the two cannot be compared: {problem}")]
    NotComparable {
        /// Why not.
        problem: String,
    },
    /// A benchmark cannot be asked as it was wanted.
    #[error("`{file}`: {problem}")]
    Benchmark {
        /// The file.
        file: PathBuf,
        /// Why not.
        problem: String,
    },
    /// An answer is a program, and nobody said that it may be run.
    #[error("{place}: the answers are programs, which are run only where that is asked for")]
    CodeNotRun {
        /// What asks for it.
        place: String,
    },
    /// Programs cannot be run.
    #[error(transparent)]
    Sandbox(#[from] rtune_sandbox::SandboxError),
    /// People scored answers to other cases.
    #[error("people's scores: there is no case `{id}`, nor any other that was scored")]
    People {
        /// The first case.
        id: String,
    },
    /// Labels of a golden set are not what they should be.
    #[error("{place}: {problem}")]
    Labels {
        /// A row, or what was named.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A metric that the golden rows do not have.
    #[error("`eval.best`: the golden rows have no metric `{metric}`; they have {}", known.join(", "))]
    NoSuchMetric {
        /// As the configuration has it.
        metric: String,
        /// Those that they have.
        known: Vec<String>,
    },
    /// There is no chat template.
    #[error("the base `{base}` has no chat template")]
    NoTemplate {
        /// The base.
        base: PathBuf,
    },
    /// A half of the golden rows has none.
    #[error("the {half} half of the golden rows has no row")]
    EmptyHalf {
        /// Its name.
        half: &'static str,
    },
    /// `train.without` names a row that is not there.
    #[error("`train.without`: no training row has the id `{id}`")]
    NoSuchRow {
        /// The id.
        id: String,
    },
    /// The tokenizer gives tokens that the model does not have.
    #[error("`{base}`: the tokenizer gives token {token}, the model has {vocabulary} tokens")]
    NoSuchToken {
        /// The base.
        base: PathBuf,
        /// The largest token of the rows.
        token: u32,
        /// Rows of the embedding.
        vocabulary: usize,
    },
    /// A token of the configuration that the tokenizer does not have.
    #[error("`lora.trainable-tokens`: the tokenizer has no token `{token}`")]
    NoSuchTokenName {
        /// The token.
        token: String,
    },
    /// An adapter that a run is to begin with was trained with other new tokens.
    #[error("`{}` was trained with the new tokens {trained:?}, and `lora.new-tokens` is {asked:?}", folder.display())]
    OtherTokens {
        /// The folder of `lora.from`.
        folder: PathBuf,
        /// Those whose rows it has, in the order of their ids.
        trained: Vec<String>,
        /// As the configuration has them.
        asked: Vec<String>,
    },
    /// Another process works in the run folder.
    #[error("the run folder `{folder}` is in use by another process")]
    InUse {
        /// The run folder.
        folder: PathBuf,
    },
    /// The run folder holds files, and the run was not asked to go on.
    #[error("the run folder `{folder}` is not empty")]
    NotEmpty {
        /// The run folder.
        folder: PathBuf,
    },
    /// The folder is not there, or holds files that are not those of a run.
    #[error("`{folder}` is not a run folder: it has no config.toml")]
    NotARun {
        /// The folder.
        folder: PathBuf,
    },
    /// A run goes on with the configuration it began with.
    #[error("the run in `{folder}` began with another configuration: {differences}")]
    OtherConfig {
        /// The run folder.
        folder: PathBuf,
        /// The lines that differ.
        differences: String,
    },
    /// A run goes on with the base and the rows it began with.
    #[error("the run in `{folder}` began with another {what}: expected sha256 {expected}, found {found}")]
    OtherInput {
        /// The run folder.
        folder: PathBuf,
        /// What has changed.
        what: String,
        /// The hash in the run's manifest.
        expected: String,
        /// The hash of what is there now.
        found: String,
    },
    /// A run cannot be made shorter than it is.
    #[error("the run in `{folder}` has done {done} steps, and {asked} were asked for")]
    TooShort {
        /// The run folder.
        folder: PathBuf,
        /// Steps done.
        done: u64,
        /// Steps of the whole run, as configured now.
        asked: u64,
    },
    /// There are checkpoints, and all are damaged.
    #[error("no checkpoint of `{folder}` is whole: {problem}")]
    NoneWhole {
        /// The run folder.
        folder: PathBuf,
        /// What is wrong with the first of them.
        problem: String,
    },
    /// Something of a run is not what it was.
    #[error("{what}: expected sha256 {expected}, found {found}")]
    Differs {
        /// The part of the run and its file.
        what: String,
        /// The hash in the manifest.
        expected: String,
        /// The hash of what is there now, or why there is none.
        found: String,
    },
    /// A data file has other bytes than its rows were made of.
    #[error("`{}` changed while it was read: expected blake3 {expected}, found {found}", file.display())]
    Changed {
        /// The file.
        file: PathBuf,
        /// The hash of what was read.
        expected: String,
        /// The hash of what is there now.
        found: String,
    },
    /// An evaluation without questions.
    #[error("there are no golden rows for `{subject}`")]
    NoGolden {
        /// The run or the base.
        subject: String,
    },
    /// A base under a licence that the configuration does not accept.
    #[error("the licence of `{base}` is {found}, which `model.licences` does not accept ({})", accepted.join(", "))]
    Licence {
        /// The base, as it is named.
        base: String,
        /// Its licence.
        found: String,
        /// What is accepted.
        accepted: Vec<String>,
    },
    /// A `--set` that changes nothing for this verb.
    #[error("`--set {argument}` changes nothing here")]
    UnreadKey {
        /// As it was given.
        argument: String,
    },
    /// A folder without a manifest, or with one that names files that are not there.
    #[error("`{folder}` is not a checkpoint: {problem}")]
    NotACheckpoint {
        /// The folder.
        folder: PathBuf,
        /// What is missing.
        problem: String,
    },
    /// A file of a checkpoint is not the one that was written.
    #[error("`{file}`: expected sha256 {expected}, found {found}")]
    Altered {
        /// The file.
        file: PathBuf,
        /// The hash in the manifest.
        expected: String,
        /// The hash of the file.
        found: String,
    },
    /// A file of rtune's that cannot be understood.
    #[error("`{file}`: {problem}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What was expected and found.
        problem: String,
    },
    /// A suite of attacks that is not there.
    #[error("`{}`: no such suite of attacks", path.display())]
    NoSuite {
        /// As it was named.
        path: PathBuf,
    },
    /// An evaluation comes to a number that is none, or an update left one.
    #[error("after step {step}: {what} is {value}; the first tensor with such a value is `{tensor}`")]
    NotFinite {
        /// Steps done.
        step: u64,
        /// What was measured.
        what: &'static str,
        /// What it is.
        value: f64,
        /// The first bad tensor, in the order of the parameters.
        tensor: String,
    },
    /// A step that was not to be taken, where the run is to end.
    #[error("step {}: {}; its rows: {}", line.step, line.odd, line.rows.join(", "))]
    OddStep {
        /// The step, what is odd about it, and its rows.
        line: Box<OddLine>,
    },
}

impl TrainerError {
    /// [`Self::is_input`] of what went wrong with a base.
    pub fn is_input_to_models(error: &rtune_models::ModelError) -> bool {
        !matches!(error, rtune_models::ModelError::Io { source, .. } if is_of_the_machine(source))
    }

    /// [`Self::is_input`] of what went wrong with rows.
    pub fn is_input_to_data(error: &rtune_data::DataError) -> bool {
        use rtune_data::DataError::{Account, Spill, Unreadable};
        match error {
            Unreadable { source, .. } => !is_of_the_machine(source),
            Spill(_) | Account { .. } => false,
            _ => true,
        }
    }

    /// Whether what was given is at fault (exit code 2), and not the machine or the training (1).
    pub fn is_input(&self) -> bool {
        match self {
            Self::InUse { .. } | Self::NotFinite { .. } | Self::OddStep { .. } | Self::Sandbox(_) => false,
            Self::Generate(error) => error.is_input(),
            Self::Gpu(error) => matches!(error, GpuError::Refused { .. }),
            Self::File(error) => error.action == "read" && !is_of_the_machine(&error.source),
            Self::Adapter(rtune_adapters::AdapterError::Io { source, .. }) => !is_of_the_machine(source),
            Self::Model(error) => Self::is_input_to_models(error),
            Self::Data(error) => Self::is_input_to_data(error),
            Self::Adapter(_)
            | Self::Config(_)
            | Self::Conversation(_)
            | Self::NotMeasured
            | Self::Labels { .. }
            | Self::Benchmark { .. }
            | Self::CodeNotRun { .. }
            | Self::People { .. }
            | Self::NotComparable { .. }
            | Self::NoSuchMetric { .. }
            | Self::NoTemplate { .. }
            | Self::NoSuchRow { .. }
            | Self::NoSuchToken { .. }
            | Self::NoSuchTokenName { .. }
            | Self::OtherTokens { .. }
            | Self::NotEmpty { .. }
            | Self::NotARun { .. }
            | Self::OtherConfig { .. }
            | Self::OtherInput { .. }
            | Self::TooShort { .. }
            | Self::NoneWhole { .. }
            | Self::Differs { .. }
            | Self::Changed { .. }
            | Self::UnreadKey { .. }
            | Self::Licence { .. }
            | Self::NoGolden { .. }
            | Self::NoSuite { .. }
            | Self::EmptyHalf { .. }
            | Self::NotACheckpoint { .. }
            | Self::Altered { .. }
            | Self::Unreadable { .. } => true,
        }
    }
}
