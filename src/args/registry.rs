//! The verbs of the registry: promote, rollback, history, diff, rebuild.

use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RegistryArgs {
    /// The folder with the versions
    #[arg(long, value_name = "FOLDER", default_value = "registry")]
    pub(crate) registry: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PromoteArgs {
    /// A run folder, whose best checkpoint is taken (or its last, without validation)
    pub(crate) run: PathBuf,
    #[command(flatten)]
    pub(crate) place: RegistryArgs,
    /// Golden rows, in place of those of the run's `data.golden`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) golden: Vec<PathBuf>,
    /// Keep both models' answers to the golden rows in this folder, as candidate.json and current.json, for `rtune review`; sealed rows are
    /// not among them
    #[arg(long, value_name = "FOLDER")]
    pub(crate) answers: Option<PathBuf>,
    /// People's reviews of both models' answers, as they ship, for the rule `gate.preferred`: a file of `rtune review`
    #[arg(long, value_name = "FILE")]
    pub(crate) reviews: Option<PathBuf>,
    /// Override a key of the gate, for example gate.alpha=0.01; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Write the decision as JSON to standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArgs {
    /// The version to go back to; by default the one before the one in use
    pub(crate) version: Option<String>,
    #[command(flatten)]
    pub(crate) place: RegistryArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    pub(crate) place: RegistryArgs,
    /// Write moves and versions as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// A version, such as v0001, or `current`
    #[arg(value_name = "A")]
    pub(crate) first: String,
    /// Another one
    #[arg(value_name = "B")]
    pub(crate) second: String,
    #[command(flatten)]
    pub(crate) place: RegistryArgs,
    /// Most rows and changed cases that are shown
    #[arg(long, value_name = "ROWS", default_value_t = 10)]
    pub(crate) rows: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RebuildArgs {
    /// The version, such as v0001, or `current`
    pub(crate) version: String,
    /// The run folder to write; it must not exist yet
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) place: RegistryArgs,
}
