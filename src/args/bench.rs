//! `rtune bench`.

use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// A configuration, a TOML file: its base, adapters, steps and memory are measured
    #[arg(value_name = "CONFIG", required_unless_present = "shape", conflicts_with = "shape")]
    pub(crate) config: Option<PathBuf>,
    /// A shape in place of a base, with weights made on the spot: smollm2-135m, llama3-8b and others
    #[arg(long, value_name = "NAME")]
    pub(crate) shape: Option<String>,
    /// Tokens of a row; the rows are random
    #[arg(long, value_name = "TOKENS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(2..=1 << 20))]
    pub(crate) row_tokens: u32,
    /// Rows of a step; by default as the configuration says
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    pub(crate) rows: Option<u32>,
    /// Steps that count
    #[arg(long, value_name = "STEPS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) steps: u32,
    /// Steps before them that do not
    #[arg(long, value_name = "STEPS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) warmup: u32,
    /// Override a key of the configuration, for example train.save-activations=input-only; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Write what was measured as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}
