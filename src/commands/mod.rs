//! One file a verb.

pub(crate) mod bench;
mod calibrate;
mod card;
pub(crate) mod chat;
pub(crate) mod check;
pub(crate) mod choose;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod confined;
mod data_summary;
pub(crate) mod doctor;
pub(crate) mod eval;
mod evaluated;
pub(crate) mod export;
pub(crate) mod feedback;
pub(crate) mod generate;
pub(crate) mod gpu;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod merge;
mod next;
mod opened;
mod out;
pub(crate) mod plan;
pub(crate) mod prepare;
pub(crate) mod promote;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod rebuild;
pub(crate) mod redteam;
pub(crate) mod registry;
mod released;
pub(crate) mod report;
pub(crate) mod review;
pub(crate) mod scan;
pub(crate) mod score;
mod sealing;
pub(crate) mod train;
pub(crate) mod verify;
pub(crate) mod why;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use rtune_models::hub::{self, HubError, HubOptions, Progress};
use rtune_trainer::config::Config;
use rtune_trainer::inputs;

use crate::reporter::Transfer;

/// Where the base of a configuration is, downloaded first if need be. A licence that is not accepted is known before the
/// weights are.
fn resolve_base(config: &Config) -> anyhow::Result<PathBuf> {
    let (base, revision) = (&config.model.base, config.model.revision.as_deref());
    let options = HubOptions::from_env();
    if !config.model.licences.is_empty() {
        let place = transferred(|progress| hub::headers(base, revision, &options, progress))?;
        inputs::licence(config, &place)?;
    }
    Ok(transferred(|progress| hub::resolve(base, revision, &options, progress))?)
}

/// Shows what `fetch` fetches.
fn transferred<T>(
    fetch: impl FnOnce(&mut dyn FnMut(Progress<'_>)) -> Result<T, HubError>,
) -> Result<T, HubError> {
    let mut transfer = Transfer::new();
    let fetched = fetch(&mut |progress| transfer.show(progress));
    transfer.finish();
    fetched
}

/// The time, in seconds of Unix time.
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
