//! `rtune plan`.

use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct PlanArgs {
    /// The configuration, a TOML file
    pub(crate) config: PathBuf,
    /// Override a key of the configuration, for example train.micro-batch-tokens=512; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Memory that the run may take, in place of nine tenths of what is free here
    #[arg(long, value_name = "GIB", value_parser = above_zero)]
    pub(crate) memory_gib: Option<f64>,
    /// What the machine costs an hour, in any currency
    #[arg(long, value_name = "PRICE", value_parser = above_zero)]
    pub(crate) price_per_hour: Option<f64>,
    /// Try no step: nothing is said of time and money
    #[arg(long, conflicts_with = "price_per_hour")]
    pub(crate) no_probe: bool,
    /// Write the plan as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

fn above_zero(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| format!("expected a number above 0, found `{text}`"))
}
