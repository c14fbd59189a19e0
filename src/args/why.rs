//! `rtune why`.

use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct WhyArgs {
    /// A run folder, whose best checkpoint is asked (or its last, without validation)
    pub(crate) run: PathBuf,
    /// The golden cases, by their ids
    #[arg(required = true, value_name = "CASE")]
    pub(crate) cases: Vec<String>,
    /// Golden rows, in place of those of the run's `data.golden`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) golden: Vec<PathBuf>,
    /// Most rows that are shown
    #[arg(long, value_name = "ROWS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) top: u32,
    /// Most checkpoints whose gradients are taken, evenly from the first to the one that answered: each costs a forward and a backward
    /// pass over all rows
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) checkpoints: u32,
    /// Train the run again without the first rows that together come to the case's margin, and without twice as many until the answer
    /// changes (4 times at most), or without so many of the first, and ask the case again; goes on where it was stopped
    #[arg(long, value_name = "ROWS", num_args = 0..=1, default_missing_value = "0")]
    pub(crate) prove: Option<u32>,
    /// With `--prove`: train so often without as many rows drawn at random, too, which should change nothing
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "prove", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) controls: u32,
    /// Most tokens of an answer
    #[arg(long, value_name = "TOKENS", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_new_tokens: u32,
    #[command(flatten)]
    pub(crate) sandbox: super::code::SandboxArgs,
    /// Write what was found as JSON here
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write what was found as JSON to standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}
