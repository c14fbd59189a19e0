//! One file a verb.

pub(crate) mod chat;
pub(crate) mod check;
pub(crate) mod eval;
pub(crate) mod export;
<<<<<<< HEAD
pub(crate) mod generate;
mod opened;
=======
pub(crate) mod merge;
>>>>>>> release
pub(crate) mod pull;
mod released;
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
