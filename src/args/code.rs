//! Programs that a model writes.

use std::ffi::OsString;

use super::talk::not_negative;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SandboxArgs {
    /// Run the programs that the model writes (HumanEval, checks of the kind `python`), each confined: no network, no files written, no
    /// other process, little time and memory
    #[arg(long)]
    pub(crate) run_code: bool,
    /// The Python that runs them
    #[arg(long, value_name = "PROGRAM", default_value = "python3", requires = "run_code")]
    pub(crate) python: OsString,
    /// Seconds of the processor that a program may take; by the clock three times as many
    #[arg(long, value_name = "SECONDS", default_value_t = 5, requires = "run_code", value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) code_seconds: u32,
    /// Memory that it may take
    #[arg(long, value_name = "MEBIBYTES", default_value_t = 1024, requires = "run_code", value_parser = clap::value_parser!(u32).range(64..))]
    pub(crate) code_memory: u32,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CodeArgs {
    #[command(flatten)]
    pub(crate) sandbox: SandboxArgs,
    /// Answers to each item of HumanEval; pass@k is shown for 1, 10 and 100, as far as there are as many
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "benchmark", requires = "run_code", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) samples: u32,
    /// What logits are divided by for several answers; without it 0.8, and 0 (the likeliest token each time) for one
    #[arg(long, requires = "samples", value_parser = not_negative)]
    pub(crate) temperature: Option<f64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConfinedArgs {
    /// What `rtune-sandbox` wrote
    pub(crate) request: String,
}
