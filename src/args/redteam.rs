//! `rtune redteam`.

use std::path::PathBuf;

use super::talk::SubjectArgs;

#[derive(Debug, clap::Args)]
pub(crate) struct RedTeamArgs {
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// The suite, TOML or JSONL; by default the one that comes with the program
    #[arg(long, value_name = "FILE", default_value = "starter")]
    pub(crate) suite: PathBuf,
    /// Most tokens of an answer
    #[arg(long, value_name = "TOKENS", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_new_tokens: u32,
    /// Show the answers that fail
    #[arg(long, conflicts_with = "json")]
    pub(crate) answers: bool,
    /// Write the report here; a run keeps it in its `eval` folder anyway
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write the report as JSON to standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}
