//! Several adapters of one base in one model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::CommandFactory;
use clap::error::ErrorKind;
use rtune_adapters::combine::Combination;
use rtune_release::{
    Card, Combined, CombinedPart, CombinedReport, CombinedRun, CombinedRuns, Content, Layout, Measured,
    NewFolder, Onto, VerifiedAdapter, Written,
};
use rtune_trainer::manifest::{Manifest, hashes_by_name};

use crate::args::Args;
use crate::args::release::{Combine, CombineArgs, MergeArgs};
use crate::commands::released::{Fetch, Released};
use crate::failure::BadInput;
use crate::reporter::complain;

/// What stays of each change where nothing is said: half, as the papers of TIES and DARE find harmless.
const DENSITY: f64 = 0.5;

/// One of the adapters.
pub(super) struct Part {
    run: String,
    weight: f64,
    checkpoint: PathBuf,
    pub(super) released: Released,
    pub(super) adapter: VerifiedAdapter,
}

impl Part {
    pub(super) fn open(run: &str, weight: f64, overrides: &[String]) -> anyhow::Result<Self> {
        let checkpoint = rtune_release::find(run.as_ref())?;
        let released = Released::open(run, overrides, Fetch::IfNeeded)?;
        let adapter = released.adapter(&checkpoint)?;
        Ok(Self { run: run.to_owned(), weight, checkpoint, released, adapter })
    }

    /// Opens another one, of the same base as `first`.
    pub(super) fn open_beside(
        first: &Self,
        run: &str,
        weight: f64,
        args: &MergeArgs,
    ) -> anyhow::Result<Self> {
        let part = Self::open(run, weight, &args.overrides)?;
        let [own, others] = [first.base_files()?, part.base_files()?];
        if own != others {
            let problem = format!("`{}` and `{run}` were not trained on the same base", first.run);
            let differing = own.iter().find(|(name, hash)| others.get(*name) != Some(hash));
            let found = differing.map_or_else(String::new, |(name, hash)| {
                let other = others.get(name).map_or("not there", String::as_str);
                format!(": `{name}` is {hash} and {other}")
            });
            let hint = "changes of two bases have no sum: train one of them anew on the other's base";
            bail!(BadInput::new(problem + &found).with_hint(hint));
        }
        if first.released.trained_on() != part.released.trained_on() && args.model.onto.is_none() {
            let problem =
                format!("`{}` and `{run}` were trained beside the same base, but not held alike", first.run);
            let hint = "say which weights they are added to: `--onto original`, or `--onto dequantized` for those of the first";
            bail!(BadInput::new(problem).with_hint(hint));
        }
        if first.template() != part.template() {
            complain(&format!(
                "note: `{run}` was trained with another chat template; the model gets that of `{}`",
                first.run
            ));
        }
        Ok(part)
    }

    fn template(&self) -> Option<&str> {
        self.released.chat().template
    }

    /// The files of the base to their SHA-256: as the run wrote them down, which opening it compared.
    fn base_files(&self) -> anyhow::Result<BTreeMap<String, String>> {
        Ok(match &self.released.subject.run {
            Some(run) => Manifest::read(run)?.base,
            None => hashes_by_name(self.released.base.files.iter())?,
        })
    }

    pub(super) fn refuse_uncombinable(&self, onto: Onto) -> anyhow::Result<()> {
        Ok(rtune_release::refuse_uncombinable(&self.adapter, &self.checkpoint, onto)?)
    }

    /// The run without its place, which says nothing elsewhere.
    fn name(&self) -> String {
        let path = Path::new(&self.run);
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        // A checkpoint is called by its run, too.
        let run =
            self.released.subject.run.as_ref().map(|run| run.canonicalize().unwrap_or_else(|_| run.clone()));
        match (run, last(&whole)) {
            (Some(run), Some(step)) if run != whole => {
                last(&run).map_or(step.clone(), |run| format!("{run}/{step}"))
            }
            (_, name) => name.unwrap_or_else(|| self.run.clone()),
        }
    }
}

/// What was asked for.
pub(super) fn combination(args: &CombineArgs) -> Combination {
    let conflict = |text: &str| Args::command().error(ErrorKind::ArgumentConflict, text).exit();
    let draws = matches!(args.combine, Combine::Dare | Combine::DareTies);
    if args.combine == Combine::Linear && args.density.is_some() {
        conflict("--density is for --combine ties, dare and dare-ties: a linear sum keeps all");
    }
    if !draws && args.seed.is_some() {
        conflict("--seed is for --combine dare and dare-ties: nothing else is drawn");
    }
    let (density, seed) = (args.density.unwrap_or(DENSITY), args.seed.unwrap_or(0));
    match args.combine {
        Combine::Linear => Combination::Linear,
        Combine::Ties => Combination::Ties { density },
        Combine::Dare => Combination::Dare { density, seed },
        Combine::DareTies => Combination::DareTies { density, seed },
    }
}

/// Writes the model with all of them in it; what lies beside the weights is that of the first.
pub(super) fn write(
    folder: &NewFolder,
    parts: &[&Part],
    combination: Combination,
    onto: Onto,
    layout: Layout,
) -> anyhow::Result<Written> {
    let adapters: Vec<_> = parts.iter().map(|part| (&part.adapter, part.weight)).collect();
    let first = &parts[0].released;
    let combined = Combined { adapters: &adapters, combination };
    let content = Content::Combined { combined, trained_on: first.trained_on(), onto };
    first.write_with(&card(parts, combination), folder, content, layout, &[])
}

/// The card of the model, with every run's part in it.
fn card(parts: &[&Part], combination: Combination) -> Card {
    let runs = parts.iter().map(|part| {
        let Card { method, training, .. } = part.released.card();
        CombinedRun { name: part.name(), weight: part.weight, method, training }
    });
    let (method, density, seed) = settings(combination);
    let mut card = parts[0].released.card();
    card.training = None;
    card.combined = Some(CombinedRuns { method, density, seed, runs: runs.collect() });
    card
}

/// The name of a method, its density and its seed.
fn settings(combination: Combination) -> (&'static str, Option<f64>, Option<u64>) {
    match combination {
        Combination::Linear => ("linear", None, None),
        Combination::Ties { density } => ("ties", Some(density), None),
        Combination::Dare { density, seed } => ("dare", Some(density), Some(seed)),
        Combination::DareTies { density, seed } => ("dare-ties", Some(density), Some(seed)),
    }
}

pub(super) fn report(combination: Combination, parts: &[&Part], measured: Vec<Measured>) -> CombinedReport {
    let (method, density, seed) = settings(combination);
    let adapters = parts.iter().zip(measured).map(|(part, measured)| CombinedPart {
        run: part.name(),
        weight: part.weight,
        checkpoint: part.adapter.files.clone(),
        measured,
    });
    CombinedReport { method, density, seed, adapters: adapters.collect() }
}
