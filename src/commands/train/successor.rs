//! The configuration of a run that follows a version in use: its rows once more, and what people accepted since.

use std::path::{Path, PathBuf};

use rtune_data::{DataError, ProblemKind, Source};
use rtune_feedback::queue::{accepted, withdrawn};
use rtune_registry::Registry;
use rtune_trainer::config::Config;
use rtune_trainer::error::TrainerError;
use rtune_trainer::verify::{Verification, locate_base};

use crate::args::TrainArgs;
use crate::failure::BadInput;
use crate::reporter::complain;

/// What `train` was asked for, with every file that it will read by its name: nothing but the configuration that the run writes down says what
/// it was trained on, so that it can be verified, gone on with and made again.
pub(super) fn config(args: &TrainArgs) -> anyhow::Result<Config> {
    let version = args.next.from.as_ref().map(|name| version(&args.next.registry, name)).transpose()?;
    let mut config = match (&args.config, &version) {
        (Some(path), _) => Config::load(path, &args.overrides)?,
        (None, Some((name, own))) => Config::parse(name, &own.to_toml(), &args.overrides)?,
        (None, None) => {
            return Err(BadInput::new("expected a configuration, or a version: --from current").into());
        }
    };
    if let Some((name, own)) = &version {
        replay(&mut config, own, args.next.replay);
        if args.config.is_some() && config.model.base != own.model.base {
            complain(&format!(
                "note: {name} is of the base {}, and this run of {}",
                own.model.base, config.model.base
            ));
        }
    }
    for queue in &args.next.queues {
        let (files, withdrawn) = (accepted(queue)?, withdrawn(queue)?);
        for file in withdrawn.iter().filter(|file| names(&config.data.train, file)) {
            complain(&format!(
                "note: {} has a row that was rejected later: it is trained on no more, and its other rows are in a file of their own",
                file.display()
            ));
        }
        config.data.train.retain(|source| !withdrawn.iter().any(|file| same(&source.path, file)));
        if files.is_empty() && withdrawn.is_empty() {
            let problem = format!("the queue `{}` has no accepted rows", queue.display());
            let hint = format!("decide first: rtune feedback review --queue {}", queue.display());
            return Err(BadInput::new(problem).with_hint(hint).into());
        }
        let new: Vec<PathBuf> = files.into_iter().filter(|file| !names(&config.data.train, file)).collect();
        if new.is_empty() && withdrawn.is_empty() {
            complain(&format!("note: every accepted row of `{}` is trained on already", queue.display()));
        }
        config.data.train.extend(new.into_iter().map(Source::new));
    }
    Ok(config)
}

/// The version's name, and the configuration of its run with paths that lead to files from here.
fn version(registry: &Path, name: &str) -> anyhow::Result<(String, Config)> {
    let version = Registry::at(registry).find(name)?;
    let verification = Verification::open(&version.run(), &mut |_| {})?;
    let mut config = verification.config;
    locate_base(&mut config, &version.run());
    Ok((version.name().to_owned(), config))
}

/// Trains on the rows of `before` once more, each source as often as `share` says.
fn replay(config: &mut Config, before: &Config, share: f64) {
    for source in &before.data.train {
        match config.data.train.iter_mut().find(|own| same(&own.path, &source.path)) {
            Some(own) => own.weight *= share,
            None => config.data.train.push(Source { weight: source.weight * share, ..source.clone() }),
        }
    }
}

/// What to type where accepted rows resemble golden ones: a golden row may be younger than they are.
pub(super) fn advice(error: &anyhow::Error) -> Option<String> {
    let TrainerError::Data(DataError::Rows(problems)) = error.downcast_ref::<TrainerError>()? else {
        return None;
    };
    let (mut queue, mut ids) = (None, Vec::new());
    for problem in problems.shown() {
        let ProblemKind::Leak { train, .. } = &problem.kind else { continue };
        let Some(folder) = train.file.parent().filter(|folder| folder.ends_with("accepted")) else {
            continue;
        };
        let text = std::fs::read_to_string(&train.file).ok()?;
        let line = text.lines().nth(usize::try_from(train.line).ok()?.checked_sub(1)?)?;
        let id = serde_json::from_str::<serde_json::Value>(line).ok()?["id"].as_str()?.to_owned();
        if id.starts_with("fb-")
            && *queue.get_or_insert(folder.parent()) == folder.parent()
            && !ids.contains(&id)
        {
            ids.push(id);
        }
    }
    let queue = queue.flatten().filter(|_| !ids.is_empty())?;
    Some(format!(
        "accepted rows resemble golden ones: `rtune feedback review --queue {} --reject {}` takes them out of what is trained from now on",
        queue.display(),
        ids.join(" ")
    ))
}

fn names(sources: &[Source], file: &Path) -> bool {
    sources.iter().any(|source| same(&source.path, file))
}

/// Whether two paths are of one file, however they are written.
fn same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
