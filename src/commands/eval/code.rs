//! Where programs that a model writes are run, if they are.

use anyhow::Context;
use rtune_models::generate::Sampling;
use rtune_sandbox::{Limits, Sandbox};
use rtune_trainer::error::TrainerError;
use rtune_trainer::evaluate::benchmark::Programs;

use crate::args::code::{CodeArgs, SandboxArgs};

/// What draws several answers that differ: pass@100 is at its best there (Chen et al. 2021).
const TEMPERATURE: f64 = 0.8;
/// Bytes of a mebibyte.
const MEBIBYTE: u64 = 1 << 20;

/// The sandbox, where it was asked for and the machine has one.
pub(crate) fn sandbox(args: &SandboxArgs) -> anyhow::Result<Option<Sandbox>> {
    if !args.run_code {
        return Ok(None);
    }
    let itself = std::env::current_exe().context("this program cannot be found")?;
    let limits =
        Limits { processor_seconds: args.code_seconds, memory_bytes: u64::from(args.code_memory) * MEBIBYTE };
    let sandbox = Sandbox::new(itself, &["confined"], &args.python, limits).map_err(TrainerError::from)?;
    Ok(Some(sandbox))
}

/// The same for a benchmark, with the answers to each item.
pub(super) fn programs(args: &CodeArgs) -> anyhow::Result<Option<Programs>> {
    let temperature = args.temperature.unwrap_or(if args.samples > 1 { TEMPERATURE } else { 0.0 });
    let sampling = Sampling { temperature, ..Sampling::GREEDY };
    let samples = args.samples as usize;
    Ok(sandbox(&args.sandbox)?.map(|sandbox| Programs { sandbox, samples, sampling }))
}
