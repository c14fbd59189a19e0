//! The configuration of a run: TOML in, checked values out, and TOML again.
//!
//! Every problem is reported at once, each with file, line and column. Keys are the list [`KEYS`]; there is no key
//! that nothing reads. Paths are relative to the working directory.

mod change;
mod elsewhere;
mod format;
mod gate;
mod meanings;
mod meanings_data;
mod names;
mod problem;
mod read;
mod read_data;
mod read_lora;
mod reader;
mod reference;
#[cfg(test)]
mod tests;
mod tree;
mod typed;
mod watchdog;
mod write;

use std::path::{Path, PathBuf};

pub use change::Change;
pub use gate::{GateSection, LIKELIHOODS, Ships};
pub use meanings::meaning;
pub use names::KEYS;
pub use problem::{ConfigError, Problem, Problems};
pub use reference::{default, describe, hint, reference};
pub use rtune_adapters::{LoraConfig, Scaling, Targets};
pub use rtune_data::{
    BadRows, CleanOptions, Duplicates, FilterOptions, LabelCapOptions, LeakPolicy, NormaliseOptions,
    OverLong, PrivacyOptions, Source, StepSize, TrainOn, Validation,
};
pub use rtune_models::decoder::gpu::Embeddings;
pub use watchdog::{OnNotFinite, OnSpike, WatchdogSection};

/// A checked configuration in which every default is filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[model]`
    pub model: ModelSection,
    /// `[quantization]`
    pub quantization: QuantizationSection,
    /// `[lora]`
    pub lora: LoraSection,
    /// The tokens of `[lora]`
    pub tokens: TokensSection,
    /// `[data]`
    pub data: DataSection,
    /// `[train]`
    pub train: TrainSection,
    /// `[checkpoint]`
    pub checkpoint: CheckpointSection,
    /// `[eval]`
    pub eval: EvalSection,
    /// `[watchdog]`
    pub watchdog: WatchdogSection,
    /// `[gate]`
    pub gate: GateSection,
    /// `[output]`
    pub output: OutputSection,
}

/// What is trained on.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSection {
    /// An alias, a hub repository id, a folder in the hub's layout or a `.gguf` file.
    pub base: String,
    /// Branch, tag or commit of a hub repository.
    pub revision: Option<String>,
    /// The licences that a base may have; empty for any, and for none.
    pub licences: Vec<String>,
    /// Where the arithmetic is done.
    pub device: Device,
    /// Where the embedding's rows are while a GPU computes.
    pub embeddings: Embeddings,
    /// Whether linears in NF4 are kept for the next run.
    pub cache_quantized: bool,
}

/// Where the arithmetic is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The best device this machine has.
    Auto,
    /// The processor.
    Cpu,
    /// The first NVIDIA GPU.
    Cuda,
}

/// How the frozen weights are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantizationSection {
    /// As they are in the file.
    None,
    /// Eight bits a weight and a scale a row.
    Int8,
    /// 4-bit NF4; `double` also quantises the scales.
    Nf4 {
        /// Whether the scales are quantised too.
        double: bool,
    },
}

/// The trained matrices: new ones, or those of an adapter folder that `peft` can read.
#[derive(Clone, Debug, PartialEq)]
pub enum LoraSection {
    /// Start from fresh matrices.
    New(LoraConfig),
    /// Start from this folder, which also says rank, scale and targets.
    From(PathBuf),
    /// No matrices: every number of the base is trained.
    Full,
}

/// Tokens whose rows of embedding and head are trained, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokensSection {
    /// Those that the tokenizer has.
    pub trainable: Vec<String>,
    /// Those that it gets.
    pub new: Vec<String>,
}

/// What is learnt and what is held back.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSection {
    /// Training rows.
    pub train: Vec<Source>,
    /// Rows that must not be among the training rows.
    pub golden: Vec<Source>,
    /// What the loss is measured on.
    pub validation: Validation,
    /// A chat template in place of the base's own.
    pub template: Option<PathBuf>,
    /// What a template that asks for the date prints, as `YYYY-MM-DD`; without it such templates fall back on their own.
    pub template_date: Option<String>,
    /// Longest row.
    pub max_tokens: usize,
    /// What happens to longer ones.
    pub over_long: OverLong,
    /// Which answers carry loss.
    pub train_on: TrainOn,
    /// Whether each epoch has an order of its own.
    pub shuffle: bool,
    /// What becomes of rows that cannot be read.
    pub bad_rows: BadRows,
    /// `[data.normalise]`
    pub normalise: NormaliseOptions,
    /// `[data.privacy]`
    pub privacy: PrivacyOptions,
    /// `[data.filters]`
    pub filters: FilterOptions,
    /// `[data.clean]`
    pub clean: CleanOptions,
    /// `[data.labels]`
    pub labels: LabelCapOptions,
    /// `[data.leaks]`
    pub leaks: LeakPolicy,
}

/// The steps.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainSection {
    /// How long the run is.
    pub length: Length,
    /// What one step is.
    pub step_size: StepSize,
    /// Most tokens that are in memory at once.
    pub micro_batch_tokens: usize,
    /// Whether examples of a step that begin alike share what is computed of that.
    pub share_prefixes: bool,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// That of the matrices B over it.
    pub lora_plus_ratio: f64,
    /// How it falls.
    pub schedule: Schedule,
    /// How it rises before.
    pub warmup: Warmup,
    /// Decoupled decay of AdamW.
    pub weight_decay: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Longest gradient; 0 does not clip.
    pub max_grad_norm: f64,
    /// Noise on the embeddings; 0 is none.
    pub neftune_alpha: f64,
    /// What every random draw comes from.
    pub seed: u64,
    /// What a layer keeps for its backward.
    pub save_activations: SaveActivations,
    /// Ids of training rows that take no part.
    pub without: Vec<String>,
}

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many times through the rows.
    Epochs(u64),
    /// So many steps.
    Steps(u64),
}

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// In a line, to zero.
    Linear,
    /// As half a cosine, to this part of the highest.
    Cosine {
        /// Last learning rate over the highest.
        minimum_ratio: f64,
    },
    /// Not at all.
    Constant,
}

/// How long the learning rate rises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warmup {
    /// So many steps.
    Steps(u64),
    /// This part of all steps, rounded up.
    Fraction(f64),
}

/// What a layer keeps for its backward; gradients are the same for every choice, bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveActivations {
    /// Chosen from the memory there is, and written into the resolved configuration.
    Auto,
    /// Everything: fastest.
    All,
    /// The layer's input: less memory, one forward more.
    InputOnly,
    /// The same, in the host's memory where a GPU computes: least of its own.
    Offloaded,
    /// Everything of so many of the last layers, of the others their input.
    Last(usize),
}

/// `[checkpoint]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointSection {
    /// Steps between checkpoints.
    pub every: u64,
    /// Checkpoints kept besides the best.
    pub keep: usize,
}

/// `[eval]`
#[derive(Clone, Debug, PartialEq)]
pub struct EvalSection {
    /// Steps between evaluations.
    pub every: u64,
    /// Held-out prompts answered at every evaluation.
    pub samples: usize,
    /// Most tokens of such an answer.
    pub sample_tokens: usize,
    /// Golden rows asked at every evaluation.
    pub golden_rows: usize,
    /// Most tokens of their answers.
    pub golden_tokens: usize,
    /// The labels that those answers are chosen from; none where the rows say them, or the answers are none.
    pub labels: Vec<String>,
    /// Whether general skills are measured.
    pub general: bool,
    /// The metric that chooses the best checkpoint, a name of [`crate::evaluate::by_name`].
    pub best: String,
    /// Evaluations without improvement after which the run ends; 0 for never.
    pub patience: u64,
    /// The least that counts as an improvement, in the metric's unit.
    pub least_improvement: f64,
}

/// `[output]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSection {
    /// The run folder.
    pub dir: PathBuf,
}

impl Config {
    /// Reads a file and lays the `--set` arguments over it.
    ///
    /// # Errors
    /// [`ConfigError::Read`] and [`ConfigError::NotText`] for the file, [`ConfigError::Problems`] for what stands
    /// in it: all syntax errors, or else all unknown keys, wrong types, values out of range and contradictions.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        let bytes =
            std::fs::read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|error| ConfigError::NotText { path: path.to_owned(), offset: error.valid_up_to() })?;
        Self::parse(&path.display().to_string(), text, overrides)
    }

    /// Reads the text of a file called `name` and lays the `--set` arguments over it.
    ///
    /// # Errors
    /// [`ConfigError::Problems`], as [`Config::load`].
    pub fn parse(name: &str, text: &str, overrides: &[String]) -> Result<Self, ConfigError> {
        let problems = |found| ConfigError::Problems(Problems(found));
        let mut table = tree::parse(name, text).map_err(problems)?;
        let laid: Vec<Problem> =
            overrides.iter().filter_map(|argument| tree::lay_over(&mut table, argument).err()).collect();
        read::config(name, &table, laid).map_err(problems)
    }

    /// A configuration that names a base and trains nothing, for verbs that take a base alone.
    ///
    /// # Errors
    /// [`ConfigError::Problems`] for the overrides.
    pub fn of_base(base: &str, overrides: &[String]) -> Result<Self, ConfigError> {
        let base = toml::Value::String(base.to_owned());
        // What is required of a training run is filled in and read by nobody.
        let text = format!("[model]\nbase = {base}\n[data]\ntrain = \"none\"\n[output]\ndir = \"none\"\n");
        Self::parse("the command line", &text, overrides)
    }

    /// The whole configuration as TOML, every default spelled out; [`Config::parse`] reads the same value again.
    pub fn to_toml(&self) -> String {
        write::to_toml(self)
    }

    /// What differs from `began`, in words, whatever `[output]` says.
    pub fn differences(&self, began: &Self) -> Vec<String> {
        self.changes(began).iter().map(ToString::to_string).collect()
    }

    /// The configuration with an empty `output.dir`: all that can change a number.
    pub fn without_output(&self) -> Self {
        Self { output: OutputSection { dir: PathBuf::new() }, ..self.clone() }
    }
}

/// A TOML text as JSON: what other files of the program than configurations are read from. `name` is the file's, for its problems.
///
/// # Errors
/// [`ConfigError::Problems`]: all syntax errors, with their places.
pub(crate) fn toml_as_json(name: &str, text: &str) -> Result<serde_json::Value, ConfigError> {
    let table = tree::parse(name, text).map_err(|found| ConfigError::Problems(Problems(found)))?;
    let entries = table.iter().map(|(key, (_, node))| (key.clone(), typed::json(node)));
    Ok(serde_json::Value::Object(entries.collect()))
}
