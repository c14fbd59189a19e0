//! One file a verb.

pub(crate) mod chat;
pub(crate) mod check;
pub(crate) mod completions;
mod data_summary;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod generate;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod merge;
mod next;
mod opened;
pub(crate) mod prepare;
pub(crate) mod pull;
mod released;
pub(crate) mod scan;
pub(crate) mod score;
pub(crate) mod train;
pub(crate) mod verify;

use std::path::PathBuf;

use rtune_models::hub::{self, HubError, HubOptions};
use rtune_trainer::config::Config;

use crate::reporter::Transfer;

/// Where the base of a configuration is, downloaded first if need be.
fn resolve_base(config: &Config) -> Result<PathBuf, HubError> {
    let mut transfer = Transfer::new();
    let revision = config.model.revision.as_deref();
    let base = hub::resolve(&config.model.base, revision, &HubOptions::from_env(), &mut |progress| {
        transfer.show(progress);
    });
    transfer.finish();
    base
}
