//! `rtune rebuild`: a version made again from its manifest, to the same bytes.

pub(super) mod repeatable;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use rtune_registry::{Registry, RegistryError, hashes_below, prove};
use rtune_release::CARD_FILE;
use rtune_trainer::checkpoint::Checkpoints;
use rtune_trainer::config::{Config, OutputSection, Ships};
use rtune_trainer::inputs::Preparation;
use rtune_trainer::run::Outcome;
use rtune_trainer::verify::Verification;

use super::promote::artefact::Artefact;
use super::train::{go, go_until, listen};
use super::{opened, verify};
use crate::args::registry::RebuildArgs;
use crate::failure::{BY_SIGNAL, BadInput, DONE, FAILED};
use crate::reporter::{Lines, complain, say};

pub(crate) fn run(args: &RebuildArgs) -> anyhow::Result<u8> {
    rtune_release::refuse_existing(&args.out)?;
    let absolute = |path: &Path| {
        std::path::absolute(path).with_context(|| format!("cannot find the place of `{}`", path.display()))
    };
    let (registry, out) = (Registry::at(&absolute(&args.place.registry)?), absolute(&args.out)?);
    let version = registry.find(&args.version)?;
    // The artefact may be what was lost; what it is made from may not.
    let is_source = |file: &str| file.starts_with("run/") || file == "version.json";
    if let Some(fault) = prove(&registry, &version)?.into_iter().find(|fault| is_source(&fault.file)) {
        return Err(
            RegistryError::Faulty { version: version.name().to_owned(), fault: fault.to_string() }.into()
        );
    }
    let verification = Verification::open(&version.run(), &mut |_| {})?;
    let lineage = &version.lineage;
    // A version of an earlier time does not say it; its run does in part.
    let against = match lineage.unrepeatable.is_empty() {
        true => repeatable::changed(&verification.manifest),
        false => lineage.unrepeatable.clone(),
    };
    if !against.is_empty() {
        let (name, against) = (version.name(), against.join("; "));
        let problem = format!("{name} cannot be trained again to the same bytes: {against}");
        let hint = format!(
            "bring its files back from a copy: `rtune verify {}` proves them by their hashes",
            version.folder.display()
        );
        return Err(BadInput::new(problem).with_hint(hint).into());
    }
    let there = &verification.manifest.environment.working_directory;
    let named = Path::new(&verification.config.model.base);
    if !named.exists() && there.join(named).exists() {
        // The run that is made again is to find its base as the first one did, by the name that its files hold.
        std::env::set_current_dir(there).with_context(|| format!("cannot enter `{}`", there.display()))?;
    }
    let base = verify::base_of(&verification)?;
    let preparation = Preparation { cache: None, ..opened::preparation(&verification.config)? };
    let inputs = verification.inputs(&base, &preparation, &mut |_| {})?;
    let config = Config { output: OutputSection { dir: out.clone() }, ..verification.config.clone() };
    let signal = listen()?;
    let outcome = match lineage.stopped {
        true => go_until(&config, &inputs, lineage.step, Lines::None, &signal)?,
        false => go(&config, &inputs, false, Lines::None, &signal)?.0,
    };
    let asked = signal.load(std::sync::atomic::Ordering::SeqCst);
    if matches!(outcome, Outcome::Stopped(_)) && asked != 0 {
        complain(&format!(
            "stopped: nothing was compared; remove `{}` and run it again, which begins anew",
            args.out.display()
        ));
        return Ok(BY_SIGNAL + asked as u8);
    }
    let folder = Checkpoints::of(&out).folder(lineage.step);
    let mut differing = compared(&lineage.checkpoint, &found_of(&folder)?, "checkpoint");
    let ships: Ships = serde_json::from_value(lineage.ships.clone().into())?;
    Artefact::write(&rtune_release::find(&out)?, ships, &out, version.name())?;
    let inside =
        lineage.files.iter().filter_map(|(name, hash)| Some((name.strip_prefix("artefact/")?, hash)));
    let mut expected: BTreeMap<_, _> = inside.map(|(name, hash)| (name.to_owned(), hash.clone())).collect();
    let found = hashes_below(&out.join("artefact"))?;
    if expected.get(CARD_FILE).is_some_and(|hash| found.get(CARD_FILE) != Some(hash)) {
        expected.remove(CARD_FILE);
        complain(&format!(
            "note: {CARD_FILE} is another: it says on which machine a run was made, and what was measured of it by then"
        ));
    }
    differing.extend(compared(&expected, &found, "artefact"));
    if differing.is_empty() {
        let files = lineage.checkpoint.len() + expected.len();
        say(&format!(
            "{}: {files} files made again, each to the byte -> {}",
            version.name(),
            args.out.display()
        ));
        return Ok(DONE);
    }
    complain(&format!("error: {} could not be made again to the byte", version.name()));
    differing.iter().for_each(|line| complain(&format!("  {line}")));
    let made = &verification.manifest;
    complain(&format!("  it was made by {} {} on {}", made.program.name, made.program.version, made.device));
    for one in &made.continuations {
        one.changes.iter().for_each(|change| complain(&format!("  from step {} on: {change}", one.step)));
    }
    Ok(FAILED)
}

fn found_of(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    Ok(if folder.is_dir() { hashes_below(folder)? } else { BTreeMap::new() })
}

/// What of `expected` is there with another hash, or is not there.
fn compared(
    expected: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
    what: &str,
) -> Vec<String> {
    let differs = expected.iter().filter(|(name, hash)| found.get(*name) != Some(hash));
    differs
        .map(|(name, hash)| {
            let found = found.get(name).map_or("no such file", String::as_str);
            format!("{what}: `{name}`: expected sha256 {hash}, found {found}")
        })
        .collect()
}
