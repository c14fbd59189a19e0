//! What the verbs that answer share: opening what they were pointed at, and how answers are made.

use std::sync::Arc;

use rtune_data::{NamesBy, PreparationCache, PrivacyMode};
use rtune_models::QuantizedCache;
use rtune_models::generate::Sampling;
use rtune_models::hub::{self, HubOptions};
use rtune_privacy::NameFinder;
use rtune_trainer::NameModel;
use rtune_trainer::config::Config;
use rtune_trainer::error::TrainerError;
use rtune_trainer::inputs::Preparation;
use rtune_trainer::subject::{Opened, Subject};
use rtune_trainer::talk::Settings;

use crate::args::talk::{SamplingArgs, SubjectArgs};
use crate::commands::{gpu, resolve_base};
use crate::reporter::{Transfer, Work, complain, watched};

/// Answers under way at once where a person waits for one.
const ONE: usize = 1;

/// Finds and reads a run or a base, with a bar on a terminal.
pub(crate) fn open(args: &SubjectArgs) -> anyhow::Result<(Subject, Opened)> {
    open_named(&args.subject, &args.overrides)
}

/// The same by its name.
pub(crate) fn open_named(name: &str, overrides: &[String]) -> anyhow::Result<(Subject, Opened)> {
    let mut subject = Subject::find(name, overrides)?;
    subject.quantized = Some(quantized_cache(&HubOptions::from_env()));
    let base = resolve_base(&subject.config)?;
    let mut work = Work::new("loading the base");
    let mut opened = subject.open(&base, &mut |done, total| work.show(done, total))?;
    gpu::answer(&mut opened, &subject.config, overrides)?;
    work.finish();
    if let Some(note) = &opened.note {
        complain(&format!("note: {note}"));
    }
    Ok((subject, opened))
}

/// What rows of `config` are prepared with: the cache, and the model that finds names where one is asked for.
pub(crate) fn preparation(config: &Config) -> anyhow::Result<Preparation> {
    let options = HubOptions::from_env();
    let privacy = &config.data.privacy;
    let names = match (&privacy.names, privacy.mode) {
        (_, PrivacyMode::Off) | (NamesBy::Off | NamesBy::Rules, _) => None,
        (NamesBy::Model(model), _) => Some(name_finder(model)?),
    };
    Ok(Preparation {
        names,
        examples_bytes: None,
        cache: Some(PreparationCache::new(options.rtune_cache.join("prepared"))),
        quantized: Some(quantized_cache(&options)),
        watch: Some(watched()),
    })
}

/// Where linears are kept that were quantised.
pub(crate) fn quantized_cache(options: &HubOptions) -> QuantizedCache {
    QuantizedCache::new(options.rtune_cache.join("quantized"))
}

/// The model that finds names, downloaded first if need be.
pub(crate) fn name_finder(model: &str) -> anyhow::Result<Arc<dyn NameFinder>> {
    let mut transfer = Transfer::new();
    let folder = hub::resolve(model, None, &HubOptions::from_env(), &mut |progress| transfer.show(progress));
    transfer.finish();
    Ok(Arc::new(NameModel::open(&folder?).map_err(TrainerError::from)?))
}

/// The flags as the speaker takes them.
pub(crate) fn settings(args: &SamplingArgs) -> Settings {
    Settings {
        sampling: Sampling {
            temperature: args.temperature,
            top_k: args.top_k.map(|k| k as usize),
            top_p: args.top_p,
            repetition_penalty: args.repetition_penalty,
        },
        seed: args.seed,
        max_new_tokens: args.max_new_tokens as usize,
        batch: ONE,
    }
}
