//! `rtune push`: a folder to a repository of a hub, as one commit.

mod files;
mod hub;

use std::path::Path;

use rtune_models::hub::HubOptions;
use rtune_release::NewFolder;

use crate::args::push::PushArgs;
use crate::commands::export;
use crate::failure::{BadInput, DONE};
use crate::reporter::{complain, say};
use files::{File, Mode};
use hub::Hub;

/// What a run's folder and a checkpoint's have, and what leaves has not.
const OF_A_RUN: [&str; 2] = ["config.toml", "optimizer.safetensors"];
const CARD: &str = "README.md";

pub(crate) fn run(args: &PushArgs) -> anyhow::Result<u8> {
    let options = HubOptions::from_env();
    let (owner, name) = &args.repository;
    if options.offline {
        let problem = format!("`{owner}/{name}` cannot be pushed to: HF_HUB_OFFLINE forbids the network");
        return Err(BadInput::new(problem).with_hint("unset HF_HUB_OFFLINE").into());
    }
    let Some(token) = options.token.clone() else {
        let problem = format!("`{owner}/{name}` cannot be pushed to without a token of the hub");
        let hint = "set HF_TOKEN to one that may write, or log in with `hf auth login`";
        return Err(BadInput::new(problem).with_hint(hint).into());
    };
    if !args.folder.is_dir() {
        return Err(BadInput::new(format!("`{}`: there is no such folder", args.folder.display())).into());
    }
    // What a run's adapter is exported to goes when this is dropped.
    let mut exported = None;
    if OF_A_RUN.iter().any(|file| args.folder.join(file).is_file()) {
        let folder = NewFolder::begin(&args.folder.join("pushed"))?;
        let run = args.folder.to_string_lossy();
        export::adapter(&run, &args.overrides, &folder.path().join("adapter"))?;
        exported = Some(folder);
    }
    let folder = exported.as_ref().map(|folder| folder.path().join("adapter"));
    push(args, folder.as_deref().unwrap_or(&args.folder), &options, token)
}

fn push(args: &PushArgs, folder: &Path, options: &HubOptions, token: String) -> anyhow::Result<u8> {
    let (owner, name) = &args.repository;
    let files = files::of(folder)?;
    if !files.iter().any(|file| file.path == CARD) {
        complain(&format!("note: `{}` has no {CARD}, the card of a model", args.folder.display()));
    }
    let hub = Hub::new(&options.endpoint, token, [owner, name], &args.branch)?;
    hub.create(args.private)?;
    let modes = hub.modes(&files)?;
    let changed: Vec<(&File, Mode)> = files
        .iter()
        .zip(modes)
        .filter(|(file, mode)| !mode.is_ignored && mode.there.as_deref() != Some(file.id(mode.mode)))
        .map(|(file, mode)| (file, mode.mode))
        .collect();
    let address = format!("{}/{owner}/{name}", options.endpoint);
    if changed.is_empty() {
        say(&format!("all {} files are there already: {address}", files.len()));
        return Ok(DONE);
    }
    let large: Vec<&File> =
        changed.iter().filter(|(_, mode)| *mode == Mode::Lfs).map(|(file, _)| *file).collect();
    hub.upload(&large)?;
    let commit = hub.commit(&args.message, &changed)?;
    say(&format!("{} of {} files -> {address}", changed.len(), files.len()));
    say(&format!("commit {commit}"));
    Ok(DONE)
}
