//! What would make a run fit that does not.

use rtune_data::OverLong;
use rtune_models::BaseOutline;
use rtune_trainer::config::{Config, LoraSection, QuantizationSection, SaveActivations};
use rtune_trainer::memory::{self, RowSizes};
use rtune_trainer::plan;

use super::room::Room;
use crate::args::plan::PlanArgs;

/// The rank below which there is little left to learn with, and little left to save.
const LEAST_RANK: usize = 8;
/// The shortest rows and micro-batches that are proposed, in tokens.
const LEAST_TOKENS: usize = 128;

/// Keys that make a run fit.
#[derive(Debug)]
pub(super) struct Remedy {
    /// `KEY=VALUE` each.
    pub(super) overrides: Vec<String>,
    /// What the run takes with them.
    pub(super) peak_bytes: usize,
}

impl Remedy {
    /// As they are given to a verb.
    pub(super) fn flags(&self) -> String {
        let flags: Vec<String> = self.overrides.iter().map(|one| format!("--set {one}")).collect();
        flags.join(" ")
    }
}

/// The first of some changes, each on top of those before it, with which the run fits: what costs nothing but time comes
/// first, then precision, then what changes what is learnt. One that saves nothing is left out.
pub(super) fn find(
    args: &PlanArgs,
    wished: SaveActivations,
    outline: &BaseOutline,
    room: &Room,
    rows_of: &dyn Fn(&Config) -> anyhow::Result<RowSizes>,
) -> anyhow::Result<Option<Remedy>> {
    let peak = |taken: &[String]| -> anyhow::Result<(Config, usize)> {
        let overrides = [args.overrides.as_slice(), taken].concat();
        let config = Config::load(&args.config, &overrides)?;
        let rows = rows_of(&config)?;
        let choice = room.choose(outline, &config, &rows)?;
        let memory = memory::of_policy(outline, &config, &rows, plan::policy(choice))?;
        let taken_bytes = room.taken_bytes(&memory, &config);
        Ok((config, taken_bytes))
    };
    let mut taken: Vec<String> = Vec::new();
    let (config, mut peak_bytes) = peak(&taken)?;
    for change in changes(&config, wished) {
        let with: Vec<String> = [taken.as_slice(), &change].concat();
        // With shorter rows there may be none left: then that is no remedy.
        let Ok((_, changed_bytes)) = peak(&with) else { continue };
        if changed_bytes >= peak_bytes {
            continue;
        }
        // A later value of the same key takes the place of the earlier one.
        let key = |one: &str| one.split('=').next().unwrap_or_default().to_owned();
        taken.retain(|one| change.iter().all(|new| key(one) != key(new)));
        taken.extend(change);
        peak_bytes = changed_bytes;
        if room.fits(peak_bytes) {
            return Ok(Some(Remedy { overrides: taken, peak_bytes }));
        }
    }
    Ok(None)
}

/// Each one or several keys that belong together.
fn changes(config: &Config, wished: SaveActivations) -> Vec<Vec<String>> {
    let halves = |from: usize| {
        std::iter::successors(Some(from / 2), |tokens| Some(tokens / 2)).take_while(|&t| t >= LEAST_TOKENS)
    };
    let mut changes = Vec::new();
    if matches!(wished, SaveActivations::All | SaveActivations::Last(1..)) {
        changes.push(vec!["train.save-activations=input-only".to_owned()]);
    }
    let micro = config.train.micro_batch_tokens;
    changes.extend(halves(micro).map(|tokens| vec![format!("train.micro-batch-tokens={tokens}")]));
    // What is not asked is not known, but nothing that is learnt changes.
    if config.eval.general {
        changes.push(vec!["eval.general=false".to_owned()]);
    }
    if config.quantization != (QuantizationSection::Nf4 { double: true }) && config.lora != LoraSection::Full
    {
        changes.push(vec!["quantization.kind=nf4".to_owned(), "quantization.double=true".to_owned()]);
    }
    if let LoraSection::New(lora) = &config.lora
        && lora.rank > LEAST_RANK
    {
        changes.push(vec![format!("lora.rank={LEAST_RANK}")]);
    }
    // Where longer rows end a run, they are to be left out.
    let left_out = (config.data.over_long == OverLong::Error).then(|| "data.over-long=drop".to_owned());
    changes.extend(halves(config.data.max_tokens).map(|tokens| {
        std::iter::once(format!("data.max-tokens={tokens}")).chain(left_out.clone()).collect()
    }));
    changes
}
