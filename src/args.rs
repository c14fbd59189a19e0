//! The command line: flags say where, the configuration says how.

pub(crate) mod bench;
pub(crate) mod choose;
pub(crate) mod code;
pub(crate) mod compare;
pub(crate) mod judge;
pub(crate) mod plan;
pub(crate) mod redteam;
pub(crate) mod registry;
pub(crate) mod report;
pub(crate) mod scan;
pub(crate) mod talk;
pub(crate) mod tools;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use rtune_release::{Dtype, GgufType, Onto};

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
    /// Compute every hash of a run again, and name the first that differs
    Verify(VerifyArgs),
    /// Clean the data, and write the rows and a report of every row kept, changed or dropped
    Prepare(tools::PrepareArgs),
    /// Show what would be trained on: sample rows with their trained tokens marked, lengths, counts
    Check(CheckArgs),
    /// Compare bases before training: memory, GPUs, licences, and how likely your golden answers are to each
    Choose(choose::ChooseArgs),
    /// Say what a run would take: memory by what it is for, steps, tokens, time, money; and what would fit if it does not
    Plan(plan::PlanArgs),
    /// Measure steps on this machine: tokens a second, where the time goes, memory
    Bench(bench::BenchArgs),
    /// Download a base model ahead of training
    Pull(PullArgs),
    /// Add a run's adapter to its base and measure what that changed: a model that transformers loads
    Merge(MergeArgs),
    /// Write a run's adapter, or the model, for another program
    Export(ExportArgs),
    /// Answer one prompt
    Generate(talk::GenerateArgs),
    /// Talk with a model
    Chat(talk::ChatArgs),
    /// Examine a model on golden rows, base and tuned side by side
    Eval(Box<talk::EvalArgs>),
    /// Say whether one model is better than another, from their evaluations of the same golden rows
    Compare(compare::CompareArgs),
    /// Attack a model with a suite: refusals, injections, leaks, promises; base and tuned side by side
    Redteam(redteam::RedTeamArgs),
    /// Put a run in the place of the version in use, if it passes its gate; exit code 3 if not
    Promote(registry::PromoteArgs),
    /// Go back to a version of before
    Rollback(registry::RollbackArgs),
    /// List the versions of a registry, and when each was in use
    History(registry::HistoryArgs),
    /// Compare two versions: configuration, training rows, metrics, changed cases
    Diff(registry::DiffArgs),
    /// Train a version again from its manifest, and compare the bytes
    Rebuild(registry::RebuildArgs),
    /// Write a run as one page: curves, data, golden rows with what changed, verdicts, settings
    Report(report::ReportArgs),
    /// Score answers against references: exact match, chrF, chrF++, BLEU, TER, ROUGE
    Score(tools::ScoreArgs),
    /// Show where personal data stands in a file; changes nothing
    Scan(scan::ScanArgs),
    /// Write a configuration and golden rows for data of your own
    Init(tools::InitArgs),
    /// Explain the configuration's keys, or one of them
    Keys(tools::KeysArgs),
    /// Look at what this machine has, and at what would keep rtune from working
    Doctor(tools::DoctorArgs),
    /// Print the completions of a shell
    Completions(tools::CompletionsArgs),
    /// Confine this process and run a program in it; `eval --run-code` starts this
    #[command(hide = true)]
    Confined(code::ConfinedArgs),
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
    /// Train so many adapters, one after the other beside one base, each from another seed: `promote` then knows what the seed alone
    /// changes. The others stand beside the run, as NAME-seed-1 and so on
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) seeds: u32,
    /// Write the lines of metrics.jsonl to standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// A run folder, one of its checkpoints, or a version's folder in a registry
    pub(crate) run: PathBuf,
    /// List the rows that trained the checkpoint (the run's best, or its last without validation): file, line, id, steps
    #[arg(long)]
    pub(crate) rows: bool,
    /// Write JSON lines to standard output, and nothing else
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
pub(crate) struct MergeArgs {
    /// A run folder, whose best checkpoint is taken (or its last, without validation), or a checkpoint's folder
    pub(crate) run: String,
    /// The folder to write; it must not exist yet
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Rows to measure on, in place of the run's golden rows or, where it has none, its held-out ones; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) golden: Vec<PathBuf>,
    /// Override a key of the run's configuration, for example model.base=DIR; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

/// How a model is written.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelArgs {
    /// The weights the adapter is added to: dequantized (the NF4 weights it was trained beside; the default) or original
    /// (those of the base's files)
    #[arg(long, value_name = "BASE", value_parser = parse_onto)]
    pub(crate) onto: Option<Onto>,
    /// bfloat16, float16 or float32; by default that of the base's files, or bfloat16 where they are quantised
    #[arg(long, value_parser = parse_dtype)]
    pub(crate) dtype: Option<Dtype>,
    /// Most bytes of weights in one file, such as 5GB or 500MB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) shard_size: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// A run folder, whose best checkpoint is taken (or its last, without validation), or a checkpoint's folder; with
    /// --base-only a base model too
    pub(crate) run: String,
    /// The folder to write, or the file of a GGUF; it must not exist yet
    pub(crate) out: PathBuf,
    /// What to write [default: peft, with --base-only safetensors]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// How the GGUF file holds the matrices: f32, f16, bf16, q8_0, q6_k, q5_k_m, q4_k_m or q4_0 [default: f16]
    #[arg(long, value_name = "TYPE", value_parser = parse_gguf_type)]
    pub(crate) quantize: Option<GgufType>,
    /// Write the base alone: as safetensors, so that others load the adapter on the very weights of a GGUF file, or with
    /// --format gguf or ollama
    #[arg(long, conflicts_with = "onto")]
    pub(crate) base_only: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Override a key of the run's configuration, for example model.base=DIR; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// adapter_config.json and adapter_model.safetensors, as PEFT loads them, with the tokenizer
    Peft,
    /// The merged model, as `rtune merge` writes it, not measured
    Safetensors,
    /// The merged model as one GGUF file, for llama.cpp and what is built on it
    Gguf,
    /// A folder for Ollama: the merged model as a GGUF file, and a Modelfile with the chat template it was trained with
    Ollama,
}

/// Why there is no 4-bit output.
const NEVER_NF4: &str = "an adapter is never merged into 4 bits: rounding the sum to NF4 again would lose most of what \
    was learnt; merge into bfloat16 and quantise when it is loaded, or serve the adapter beside the NF4 base";

fn is_four_bits(text: &str) -> bool {
    ["nf4", "int4", "fp4", "4bit", "4-bit", "q4"]
        .iter()
        .any(|name| text.to_ascii_lowercase().starts_with(name))
}

fn parse_onto(text: &str) -> Result<Onto, String> {
    match text {
        "dequantized" => Ok(Onto::Dequantized),
        "original" => Ok(Onto::Original),
        other if is_four_bits(other) => Err(NEVER_NF4.to_owned()),
        _ => Err("expected dequantized or original".to_owned()),
    }
}

fn parse_gguf_type(text: &str) -> Result<GgufType, String> {
    let names = || GgufType::ALL.map(|kind| kind.name().to_ascii_lowercase()).join(", ");
    let found = GgufType::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(text));
    found.ok_or_else(|| format!("expected one of {}", names()))
}

fn parse_dtype(text: &str) -> Result<Dtype, String> {
    match Dtype::ALL.into_iter().find(|dtype| dtype.name() == text) {
        Some(dtype) => Ok(dtype),
        None if is_four_bits(text) => Err(NEVER_NF4.to_owned()),
        None => Err("expected bfloat16, float16 or float32".to_owned()),
    }
}

/// Bytes with a unit, as transformers has them: GB are powers of ten, GiB of two.
fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 7] = [
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("KB", 1_000),
        ("", 1),
    ];
    let split = UNITS.iter().find_map(|(unit, bytes)| text.strip_suffix(unit).map(|number| (number, *bytes)));
    let size = split.and_then(|(number, bytes)| number.trim().parse::<u64>().ok()?.checked_mul(bytes));
    size.filter(|size| *size > 0)
        .ok_or_else(|| "expected a number above 0 and a unit, such as 5GB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("5GB", 5_000_000_000), ("2GiB", 2 << 30), ("300 MB", 300_000_000), ("7", 7)] {
            assert_eq!(parse_size(text), Ok(bytes));
        }
        for text in ["", "GB", "0", "-1MB", "5TB", "1.5GB", "99999999999GB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn four_bits_are_refused_with_the_reason() {
        assert_eq!(parse_dtype("bfloat16"), Ok(Dtype::Bfloat16));
        assert_eq!(parse_onto("original"), Ok(Onto::Original));
        assert!(parse_dtype("nf4").expect_err("refused").contains("never merged into 4 bits"));
        assert!(parse_onto("NF4").expect_err("refused").contains("never merged into 4 bits"));
        assert!(parse_dtype("fp8").expect_err("refused").starts_with("expected bfloat16"));
    }
}
