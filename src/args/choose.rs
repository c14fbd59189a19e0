//! The verb that compares bases.

use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct ChooseArgs {
    /// Bases as in `model.base`: aliases, hub repositories (owner/name, or owner/name@revision), folders, .gguf files; by
    /// default that of --config
    #[arg(value_name = "BASE", required_unless_present = "config")]
    pub(crate) bases: Vec<String>,
    /// The configuration a run would have; without it every key has its default
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Override a key of the configuration, for example lora.rank=8; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Rank by these golden rows: every base is loaded, one after the other, and downloaded first if need be; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) golden: Vec<PathBuf>,
    /// Rank by the golden rows of the configuration, `data.golden`
    #[arg(long, requires = "config", conflicts_with = "golden")]
    pub(crate) rank: bool,
    /// Have every base answer the golden rows too, and score its answers
    #[arg(long)]
    pub(crate) answers: bool,
    /// Most tokens of an answer
    #[arg(long, value_name = "TOKENS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_new_tokens: u32,
    /// Memory of one GPU, for the number of them
    #[arg(long, value_name = "GIB", default_value_t = 80.0, value_parser = gibibytes)]
    pub(crate) gpu_memory_gib: f64,
    /// Tokens of each conversation that is served, for keys and values; at most what the base was trained for
    #[arg(long, value_name = "TOKENS", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) context: u32,
    /// Conversations that are served at once
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) sequences: u32,
    /// Write the report as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

fn gibibytes(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| format!("expected GiB above 0, found `{text}`"))
}
