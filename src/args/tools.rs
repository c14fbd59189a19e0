//! The verbs around a run: before it, and beside it.

use std::path::PathBuf;

use clap::ValueEnum;

#[derive(Debug, clap::Args)]
pub(crate) struct ScoreArgs {
    /// The answers: one a line, or a .jsonl file whose rows have `answer`, `output` or `messages`
    #[arg(value_name = "SYS")]
    pub(crate) system: PathBuf,
    /// The references, line by line for the same questions; several files are several references
    #[arg(value_name = "REF", required = true)]
    pub(crate) references: Vec<PathBuf>,
    /// What to compute; may be repeated. By default everything
    #[arg(long = "metric", value_enum, value_name = "METRIC")]
    pub(crate) metrics: Vec<Metric>,
    /// Write the scores as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Metric {
    /// Part of the answers that equal a reference, whitespace around them aside
    Exact,
    /// The same without regard to case, ASCII punctuation and the amount of whitespace
    Normalised,
    /// chrF2 as sacreBLEU computes it
    Chrf,
    /// chrF2++ as sacreBLEU computes it
    #[value(name = "chrf++")]
    ChrfPlusPlus,
    /// BLEU as sacreBLEU computes it: 13a, exp
    Bleu,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PrepareArgs {
    /// The configuration, a TOML file
    pub(crate) config: PathBuf,
    /// Override a key of the configuration, for example data.privacy.mode=tag; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// The folder to write; by default prepared/NAME, by the name of the run folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Count only, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write the data report as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// The data, JSONL; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Vec<PathBuf>,
    /// What the model will do, in a word or two; by default the name of the data file
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The language of the data, such as en or de
    #[arg(long)]
    pub(crate) language: Option<String>,
    /// An alias, a Hugging Face repository, a folder or a .gguf file
    #[arg(long)]
    pub(crate) base: Option<String>,
    /// Memory that training may take, in GiB; by default what is free
    #[arg(long, value_name = "GIB")]
    pub(crate) memory: Option<f64>,
    /// Where the arithmetic is done: auto or cpu
    #[arg(long)]
    pub(crate) device: Option<String>,
    /// The folder to write into; by default one of that name
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Ask nothing: what is not given has its default
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct KeysArgs {
    /// Keys or sections, such as lora.rank or train; by default all, as docs/configuration.md
    #[arg(value_name = "KEY")]
    pub(crate) keys: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Ask the hub for an answer too; without it no network is used
    #[arg(long)]
    pub(crate) online: bool,
    /// Write what was found as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}
