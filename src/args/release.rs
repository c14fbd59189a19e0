//! `rtune merge` and `rtune export`.

use std::path::PathBuf;

use clap::ValueEnum;
use rtune_release::{CalibrationMethod, Dtype, GgufType, Onto, Server};

#[derive(Debug, clap::Args)]
pub(crate) struct MergeArgs {
    /// A run folder, whose best checkpoint is taken (or its last, without validation), or a checkpoint's folder
    pub(crate) run: String,
    /// The folder to write; it must not exist yet
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) combine: CombineArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// What to write
    #[arg(long, value_enum, default_value_t = MergeFormat::Safetensors)]
    pub(crate) format: MergeFormat,
    #[command(flatten)]
    pub(crate) calibration: CalibrationArgs,
    /// Rows to measure on, in place of the run's golden rows or, where it has none, its held-out ones; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) golden: Vec<PathBuf>,
    /// Override a key of the run's configuration, for example model.base=DIR; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MergeFormat {
    /// Numbers
    Safetensors,
    /// The linears in GPTQ's 4 bits, calibrated on the run's rows
    Gptq,
    /// The linears in AWQ's 4 bits, calibrated on the run's rows
    Awq,
}

impl MergeFormat {
    pub(crate) fn method(self) -> Option<CalibrationMethod> {
        match self {
            Self::Safetensors => None,
            Self::Gptq => Some(CalibrationMethod::Gptq),
            Self::Awq => Some(CalibrationMethod::Awq),
        }
    }
}

/// What codes are calibrated on.
#[derive(Debug, clap::Args)]
pub(crate) struct CalibrationArgs {
    /// For gptq and awq: input features that share a scale [default: 128, or as many fewer as leave whole groups]
    #[arg(long, value_name = "FEATURES")]
    pub(crate) group: Option<usize>,
    /// Rows to calibrate on, spread over all [default: 128, of 32,768 tokens at most; none for GGUF, unless this or --calibration is given]
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) calibration_rows: Option<u32>,
    /// Rows to calibrate gptq, awq or blocks of GGUF on, in place of the run's training rows; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) calibration: Vec<PathBuf>,
}

impl CalibrationArgs {
    pub(crate) fn is_given(&self) -> bool {
        self.group.is_some() || self.calibration_rows.is_some() || !self.calibration.is_empty()
    }
}

/// Other adapters that are merged in.
#[derive(Debug, clap::Args)]
pub(crate) struct CombineArgs {
    /// Another run of the same base, merged in with this factor, or 1; may be repeated
    #[arg(long = "with", value_name = "RUN[:FACTOR]", value_parser = parse_weighted)]
    pub(crate) with: Vec<(String, f64)>,
    /// The factor of RUN itself
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = parse_factor)]
    pub(crate) weight: f64,
    /// How several adapters become one
    #[arg(long, value_enum, default_value_t = Combine::Linear, requires = "with")]
    pub(crate) combine: Combine,
    /// The part of each change that ties and dare keep [default: 0.5]
    #[arg(long, value_parser = parse_density, requires = "with")]
    pub(crate) density: Option<f64>,
    /// What the draws of dare follow from [default: 0]
    #[arg(long, requires = "with")]
    pub(crate) seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Combine {
    /// The weighted sum of their changes (peft's cat and svd)
    Linear,
    /// Of each the largest, then those of the sign that weighs most, then their mean
    Ties,
    /// Of each some at random, enlarged, then the weighted sum
    Dare,
    /// Drawn as by dare, then decided as by ties
    DareTies,
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
    /// Look whether this server would load what is to be written, and print the command that serves it: vllm, tgi, sglang,
    /// hf-endpoints, sagemaker, tensorrt-llm, lmstudio or mlx; without --format, in the form that it loads
    #[arg(long = "for", value_name = "SERVER", value_parser = parse_server)]
    pub(crate) server: Option<Server>,
    /// How the GGUF file holds the matrices: f32, f16, bf16, q8_0, q6_k, q5_k_m, q4_k_m or q4_0 [default: f16]; an
    /// adapter f32, f16 or bf16 [default: f32]
    #[arg(long, value_name = "TYPE", value_parser = parse_gguf_type)]
    pub(crate) quantize: Option<GgufType>,
    /// Write the base alone: as safetensors, so that others load the adapter on the very weights of a GGUF file, or with
    /// --format gguf or ollama
    #[arg(long, conflicts_with = "onto")]
    pub(crate) base_only: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// With --format bnb-4bit, rows to measure on in place of the run's golden rows or, where it has none, its held-out ones;
    /// may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) golden: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) calibration: CalibrationArgs,
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
    /// The merged model in bitsandbytes' 4 bits, as transformers loads it, and what rounding it again cost; with --base-only
    /// the base alone
    #[value(name = "bnb-4bit")]
    Bnb4bit,
    /// The merged model in GPTQ's 4 bits, calibrated on the run's rows, and what that cost; with --base-only the base alone
    Gptq,
    /// The same in AWQ's 4 bits
    Awq,
    /// The merged model as one GGUF file, for llama.cpp and what is built on it
    Gguf,
    /// The adapter as a GGUF file, which llama.cpp adds to a GGUF file of its base while it runs
    GgufAdapter,
    /// A folder for Ollama: the merged model as a GGUF file, and a Modelfile with the chat template it was trained with
    Ollama,
}

impl Format {
    pub(crate) fn method(self) -> Option<CalibrationMethod> {
        match self {
            Self::Gptq => Some(CalibrationMethod::Gptq),
            Self::Awq => Some(CalibrationMethod::Awq),
            _ => None,
        }
    }
}

/// Why there is no 4-bit output.
const NEVER_NF4: &str = "an adapter is never merged into 4 bits: rounding the sum to NF4 again would lose most of what \
    was learnt; merge into bfloat16 and quantise when it is loaded, or serve the adapter beside the NF4 base";

fn is_four_bits(text: &str) -> bool {
    ["nf4", "int4", "fp4", "4bit", "4-bit", "q4"]
        .iter()
        .any(|name| text.to_ascii_lowercase().starts_with(name))
}

/// The last colon parts run and factor where what is behind it is a number: a path may have colons too.
fn parse_weighted(text: &str) -> Result<(String, f64), String> {
    match text.rsplit_once(':') {
        Some((run, factor)) if !run.is_empty() && factor.parse::<f64>().is_ok() => {
            Ok((run.to_owned(), parse_factor(factor)?))
        }
        _ => Ok((text.to_owned(), 1.0)),
    }
}

fn parse_factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor: &f64| factor.is_finite() && *factor != 0.0);
    factor.ok_or_else(|| "expected a number other than 0".to_owned())
}

fn parse_density(text: &str) -> Result<f64, String> {
    let density = text.parse().ok().filter(|density: &f64| *density > 0.0 && *density <= 1.0);
    density.ok_or_else(|| "expected a number above 0, and at most 1".to_owned())
}

fn parse_onto(text: &str) -> Result<Onto, String> {
    match text {
        "dequantized" => Ok(Onto::Dequantized),
        "original" => Ok(Onto::Original),
        other if is_four_bits(other) => Err(NEVER_NF4.to_owned()),
        _ => Err("expected dequantized or original".to_owned()),
    }
}

fn parse_server(text: &str) -> Result<Server, String> {
    let names = || Server::ALL.map(Server::name).join(", ");
    let found = Server::ALL.into_iter().find(|server| server.name() == text);
    found.ok_or_else(|| format!("expected one of {}", names()))
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
    fn runs_have_factors_behind_their_last_colon() {
        let run = |text: &str| parse_weighted(text);
        assert_eq!(run("runs/a"), Ok(("runs/a".to_owned(), 1.0)));
        assert_eq!(run("runs/a:0.5"), Ok(("runs/a".to_owned(), 0.5)));
        assert_eq!(run("c:/runs/a:-1"), Ok(("c:/runs/a".to_owned(), -1.0)));
        assert_eq!(run("c:/runs/a"), Ok(("c:/runs/a".to_owned(), 1.0)));
        assert!(run("a:0").is_err() && run("a:nan").is_err() && run("a:inf").is_err());
        assert!(["0", "1.5", "-1", "nan", "x"].iter().all(|text| parse_density(text).is_err()));
        assert_eq!(parse_density("1"), Ok(1.0));
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
