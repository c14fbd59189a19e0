//! Flags of the verbs that answer: generate, chat, eval.

use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct SubjectArgs {
    /// A run, one of its checkpoints, an adapter's folder, or a base as in `model.base`
    #[arg(value_name = "RUN|MODEL")]
    pub(crate) subject: String,
    /// Override a key of the configuration, for example quantization.kind=none; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SamplingArgs {
    /// What logits are divided by; 0 takes the likeliest token each time
    #[arg(long, default_value_t = 0.0, value_parser = not_negative)]
    pub(crate) temperature: f64,
    /// Draw from so many of the likeliest tokens only
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top_k: Option<u32>,
    /// Draw from the likeliest tokens that together have this probability only
    #[arg(long, value_name = "PROBABILITY", value_parser = probability)]
    pub(crate) top_p: Option<f64>,
    /// Divide the logits of tokens that are there already; 1 changes nothing
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = positive)]
    pub(crate) repetition_penalty: f64,
    /// What every draw comes from
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Most tokens of an answer
    #[arg(long, value_name = "TOKENS", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_new_tokens: u32,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// What to ask; `-` reads it from standard input
    pub(crate) prompt: String,
    /// A system message before it
    #[arg(long)]
    pub(crate) system: Option<String>,
    /// Continue the prompt as it stands, without a chat template
    #[arg(long, conflicts_with = "system")]
    pub(crate) raw: bool,
    /// Answer with the base, without the adapter
    #[arg(long)]
    pub(crate) base: bool,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    /// Write prompt, answer and token counts as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ChatArgs {
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// A system message to begin with
    #[arg(long)]
    pub(crate) system: Option<String>,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EvalArgs {
    /// Runs, checkpoints, folders of adapters, or bases as in `model.base`; several are asked the same, and shown side by side
    #[arg(value_name = "RUN|MODEL", required = true)]
    pub(crate) subjects: Vec<String>,
    /// Override a key of the configuration, for example quantization.kind=none; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Golden rows, JSONL; without it those of the run's `data.golden`
    #[arg(long, value_name = "FILE")]
    pub(crate) golden: Vec<PathBuf>,
    /// Most tokens of an answer
    #[arg(long, value_name = "TOKENS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_new_tokens: u32,
    /// Answers under way at once; by default as many as the model's size suggests, at most 128
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch: Option<u32>,
    /// Labels to choose from, with commas between, where the expected answers are labels: each is scored by its likelihood, too
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub(crate) labels: Vec<String>,
    /// A label that matters most, such as spam: its recall decides; may be repeated
    #[arg(long = "key-class", value_name = "LABEL")]
    pub(crate) key_classes: Vec<String>,
    /// Take the likelihood of prompts too, for perplexity over all tokens; reading prompts then takes about a quarter longer
    #[arg(long)]
    pub(crate) all_tokens: bool,
    /// Ask each question of one turn so many times more, with typos and in other case, and say whether the answers stay the same
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=50), conflicts_with_all = ["benchmark", "learning_curve"])]
    pub(crate) variants: u32,
    #[command(flatten)]
    pub(crate) encoder: EncoderArgs,
    /// Known limits: `classification` takes the expected answers as the labels, where none are named, and fails under 0.60 accuracy or
    /// 0.50 recall of a key class
    #[arg(long, value_enum, value_name = "PRESET")]
    pub(crate) preset: Option<Preset>,
    /// Instead of golden rows a benchmark, JSONL with the fields of MMLU, ARC, HellaSwag, PIQA, GSM8K or HumanEval, or `query`, `choices`,
    /// `gold`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["golden", "labels", "key_classes", "all_tokens", "preset"])]
    pub(crate) benchmark: Option<PathBuf>,
    /// Examples before each item of a benchmark
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "benchmark")]
    pub(crate) shots: usize,
    /// The file that examples come from, its first rows; without it the benchmark itself, without the item that is asked
    #[arg(long, value_name = "FILE", requires = "benchmark")]
    pub(crate) shots_from: Option<PathBuf>,
    /// What stands before the examples; without it, of MMLU, a line that names the subject
    #[arg(long, value_name = "TEXT", requires = "benchmark")]
    pub(crate) description: Option<String>,
    /// Write the cases with the tuned model's answers for another tool, too: deepeval or ragas, and a file; may be repeated
    #[arg(long, num_args = 2, value_names = ["TOOL", "FILE"], conflicts_with = "benchmark")]
    pub(crate) export: Vec<String>,
    /// People's scores of answers, JSONL or CSV with `id`, `score`, and if need be `model` (base or tuned) and `answer`: every metric is shown with
    /// its rank correlation with them; golden rows may have a score as `human`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["benchmark", "learning_curve"])]
    pub(crate) human: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) code: super::code::CodeArgs,
    #[command(flatten)]
    pub(crate) judge: super::judge::JudgeArgs,
    /// Train the run on a quarter and half of its rows too, and say whether more data would pay; goes on where it was stopped
    #[arg(long, conflicts_with_all = ["answers", "out", "export", "judge", "benchmark"])]
    pub(crate) learning_curve: bool,
    /// Show prompts, expected answers and answers too
    #[arg(long, conflicts_with = "json")]
    pub(crate) answers: bool,
    /// Write the report here; a run keeps it in its `eval` folder anyway. Of several models, once for each, in their order
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Vec<PathBuf>,
    /// Write the report as JSON to standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EncoderArgs {
    /// A folder with a BERT or RoBERTa, for BERTScore and for relevancy: how near an answer is to its question
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["benchmark", "learning_curve"])]
    pub(crate) encoder: Option<PathBuf>,
    /// The layer of it whose vectors are taken; by default the last
    #[arg(long, value_name = "LAYER", requires = "encoder")]
    pub(crate) encoder_layer: Option<usize>,
    /// Weigh the tokens of BERTScore by how rare they are in the expected answers
    #[arg(long, requires = "encoder")]
    pub(crate) idf: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Preset {
    /// Answers are labels
    Classification,
}

fn number(text: &str, fits: impl Fn(f64) -> bool, expected: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && fits(*number));
    number.ok_or_else(|| format!("expected {expected}, found `{text}`"))
}

pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    number(text, |n| n >= 0.0, "a number not below 0")
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, |n| n > 0.0, "a number above 0")
}

pub(super) fn probability(text: &str) -> Result<f64, String> {
    number(text, |n| n > 0.0 && n <= 1.0, "a number above 0 and at most 1")
}
