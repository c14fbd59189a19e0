//! `rtune pull`: a base model, ahead of training.

use rtune_models::hub::{self, HubOptions};

use crate::args::PullArgs;
use crate::failure::DONE;
use crate::reporter::{Transfer, say};

pub(crate) fn run(args: &PullArgs) -> anyhow::Result<u8> {
    let mut transfer = Transfer::new();
    let pulled = hub::pull(&args.name, args.revision.as_deref(), &HubOptions::from_env(), &mut |progress| {
        transfer.show(progress);
    });
    transfer.finish();
    say(&pulled?.display().to_string());
    Ok(DONE)
}
