//! The command line: flags say where, the configuration says how.

mod tools;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

pub(crate) use tools::{CompletionsArgs, DoctorArgs, InitArgs, KeysArgs, Metric, ScoreArgs};

/// QLoRA fine-tuning in one program: clean data in, a measurably better model out.
#[derive(Debug, Parser)]
#[command(name = "rtune", version, about)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Train a LoRA adapter as a configuration says
    Train(TrainArgs),
    /// Show what would be trained on: sample rows with their trained tokens marked, lengths, counts
    Check(CheckArgs),
    /// Download a base model ahead of training
    Pull(PullArgs),
    /// Write a run's adapter for another program
    Export(ExportArgs),
    /// Score answers against references: exact match, chrF, BLEU
    Score(ScoreArgs),
    /// Write a configuration and golden rows for data of your own
    Init(InitArgs),
    /// Explain the configuration's keys, or one of them
    Keys(KeysArgs),
    /// Look at what this machine has, and at what would keep rtune from working
    Doctor(DoctorArgs),
    /// Print the completions of a shell
    Completions(CompletionsArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct TrainArgs {
    /// The configuration, a TOML file
    pub(crate) config: PathBuf,
    /// Go on from the last checkpoint if there is one, else start
    #[arg(long)]
    pub(crate) resume: bool,
    /// Override a key of the configuration, for example train.epochs=1; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Write the lines of metrics.jsonl to standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The configuration, a TOML file
    pub(crate) config: PathBuf,
    /// Override a key of the configuration, for example data.max-tokens=512; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// How many rows to show
    #[arg(long, value_name = "ROWS", default_value_t = 3)]
    pub(crate) sample: usize,
    /// Write the data report as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PullArgs {
    /// An alias such as smollm2-135m-instruct, or a Hugging Face repository
    pub(crate) name: String,
    /// Branch, tag or commit of a repository
    #[arg(long)]
    pub(crate) revision: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// A run folder, whose best checkpoint is taken (or its last, without validation), or a checkpoint's folder
    pub(crate) run: PathBuf,
    /// The folder to write; it must not exist yet
    pub(crate) out: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Peft)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// adapter_config.json and adapter_model.safetensors, as PEFT loads them
    Peft,
}
