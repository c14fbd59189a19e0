//! `rtune push`: a folder to a repository of a hub, as one commit.

mod files;
mod hub;
mod repository;
mod store;

use std::path::Path;

use rtune_models::hub::{HubOptions, shown};
use rtune_release::NewFolder;

use crate::args::push::PushArgs;
use crate::commands::export;
use crate::failure::{BadInput, DONE};
use crate::reporter::{complain, say};
use files::{File, Mode};
use hub::Hub;
use repository::Change;

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
        export::adapter(&run, &args.overrides, &folder.path().join("adapter"), None)?;
        exported = Some(folder);
    } else if let Some(argument) = args.overrides.first() {
        let problem =
            format!("`--set {argument}`: `{}` is no run, and is pushed as it is", args.folder.display());
        return Err(BadInput::new(problem).into());
    }
    let folder = exported.as_ref().map(|folder| folder.path().join("adapter"));
    push(args, folder.as_deref().unwrap_or(&args.folder), &options, token)
}

fn push(args: &PushArgs, folder: &Path, options: &HubOptions, token: String) -> anyhow::Result<u8> {
    let (owner, name) = &args.repository;
    let (files, links) = files::of(folder)?;
    for link in links {
        complain(&format!("note: `{}` is a link to a folder, and is left out", link.display()));
    }
    if !files.iter().any(|file| file.path == CARD) {
        complain(&format!("note: `{}` has no {CARD}, the card of a model", args.folder.display()));
    }
    let hub = Hub::new(&options.endpoint, token, [owner, name], &args.branch)?;
    hub.be_there(args.private)?;
    let head = hub.begin()?;
    let modes = hub.modes(&files)?;
    let ignored = modes.iter().filter(|wanted| wanted.is_ignored).count();
    if ignored == files.len() {
        let problem =
            format!("`{owner}/{name}`: its `.gitignore` names all {ignored} files that were to be pushed");
        return Err(BadInput::new(problem).with_hint("change `.gitignore` on the hub").into());
    }
    let changed: Vec<(&File, Mode)> = files
        .iter()
        .zip(&modes)
        .filter(|(file, wanted)| !wanted.is_settled(file))
        .map(|(file, wanted)| (file, wanted.mode))
        .collect();
    let removed = files::shadows(&head.files, &files);
    let address = format!("{}/{owner}/{name}", shown(&options.endpoint));
    if ignored > 0 {
        say(&format!(
            "{ignored} of {} files are named by the repository's .gitignore and left out",
            files.len()
        ));
    }
    if changed.is_empty() && removed.is_empty() {
        say(&format!("all {} files are there already: {address}", files.len() - ignored));
        return Ok(DONE);
    }
    let large: Vec<&File> =
        changed.iter().filter(|(_, mode)| *mode == Mode::Lfs).map(|(file, _)| *file).collect();
    hub.upload(&large)?;
    let change = Change { message: &args.message, files: &changed, removed: &removed };
    let commit = hub.commit(&change, &head, &files)?;
    say(&format!("{} of {} files -> {address}", changed.len(), files.len()));
    for path in &removed {
        say(&format!(
            "removed {path}: it was of an earlier push, and would be read beside or before the new files"
        ));
    }
    say(&format!("commit {commit}"));
    Ok(DONE)
}
