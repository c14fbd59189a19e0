//! `rtune plan`: what a run would take, before it is begun.

mod remedy;
mod show;

use std::path::Path;

use rtune_data::Prepared;
use rtune_models::hub::{self, HubOptions};
use rtune_models::{BaseOutline, ModelError};
use rtune_trainer::config::Config;
use rtune_trainer::error::TrainerError;
use rtune_trainer::inputs::{self, Inputs};
use rtune_trainer::memory::{self, RowSizes, TrainingMemory};
use rtune_trainer::outlook::{Outlook, Probe, probe};
use rtune_trainer::plan;

use super::opened::preparation;
use super::transferred;
use crate::args::plan::PlanArgs;
use crate::failure::{BadInput, DONE};
use crate::reporter::{complain, counted};
use remedy::Remedy;

/// What a run would be.
struct Plan {
    config: Config,
    memory: TrainingMemory,
    /// What it may take; `None` where the system does not tell.
    allowed_bytes: Option<u64>,
    /// `None` where the base's tokenizer is not here.
    outlook: Option<Outlook>,
    probe: Option<Probe>,
    price_per_hour: Option<f64>,
    remedy: Option<Remedy>,
}

impl Plan {
    fn fits(&self) -> bool {
        fits(&self.memory, self.allowed_bytes)
    }

    /// Seconds of the run.
    fn run_s(&self) -> Option<f64> {
        Some(self.probe?.run_s(self.outlook.as_ref()?))
    }
}

fn fits(memory: &TrainingMemory, allowed_bytes: Option<u64>) -> bool {
    allowed_bytes.is_none_or(|allowed| memory.peak_bytes() as u64 <= allowed)
}

pub(crate) fn run(args: &PlanArgs) -> anyhow::Result<u8> {
    let mut config = Config::load(&args.config, &args.overrides)?;
    let (base, revision) = (&config.model.base, config.model.revision.as_deref());
    let place = transferred(|progress| hub::headers(base, revision, &HubOptions::from_env(), progress))?;
    inputs::licence(&config, &place)?;
    let outline = BaseOutline::open(&place)?;
    let threads = rayon::current_num_threads();
    let inputs = prepared(&config, &place)?;
    let looked = |config: &Config| -> anyhow::Result<Option<Outlook>> {
        let shares_prefixes = plan::shares_prefixes(config, &outline.spec)?;
        Ok(inputs.as_ref().map(|inputs| {
            let Prepared { train, validation, .. } = &inputs.prepared;
            Outlook::of(train, validation, config, shares_prefixes, threads)
        }))
    };
    let outlook = looked(&config)?;
    let sizes = match &outlook {
        Some(outlook) => outlook.sizes.clone(),
        None => memory::longest_rows(&outline, &config, threads),
    };
    let gibibyte = f64::from(1 << 30);
    let allowed_bytes = args.memory_gib.map_or_else(plan::free_bytes, |gib| Some((gib * gibibyte) as u64));
    let wished = config.train.save_activations;
    config.train.save_activations = plan::choose(&outline, &config, &sizes, allowed_bytes)?;
    let policy = plan::policy(config.train.save_activations);
    let memory = memory::of_policy(&outline, &config, &sizes, policy)?;
    let mut plan = Plan {
        config,
        memory,
        allowed_bytes,
        outlook,
        probe: None,
        price_per_hour: args.price_per_hour,
        remedy: None,
    };
    if plan.fits() {
        if let (Some(inputs), Some(outlook), false) = (&inputs, &plan.outlook, args.no_probe) {
            plan.probe = tried(&plan.config, &inputs.prepared, &place, outlook)?;
        }
    } else {
        let rows_of = |config: &Config| -> anyhow::Result<RowSizes> {
            let found = looked(config)?.map(|outlook| outlook.sizes);
            Ok(found.unwrap_or_else(|| memory::longest_rows(&outline, config, threads)))
        };
        plan.remedy = remedy::find(args, wished, &outline, allowed_bytes, &rows_of)?;
    }
    show::show(&plan, args.json)?;
    refuse_too_large(&plan)
}

/// The rows, where what makes tokens of them is here.
fn prepared(config: &Config, place: &Path) -> anyhow::Result<Option<Inputs>> {
    match Inputs::of_headers(config, place, &preparation(config)?) {
        Ok(inputs) => Ok(Some(inputs)),
        Err(TrainerError::Model(ModelError::MissingFile { path, .. })) => {
            complain(&format!(
                "note: `{}` is not here: rows are taken to be as long as `data.max-tokens` allows",
                path.display()
            ));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Tries a step, where the weights are here.
fn tried(config: &Config, rows: &Prepared, place: &Path, outlook: &Outlook) -> anyhow::Result<Option<Probe>> {
    let Ok(mut base) = rtune_models::open(place) else {
        complain("note: the weights of the base are not here, so that no step was tried");
        return Ok(None);
    };
    base.add_tokens(&config.tokens.new).map_err(TrainerError::from)?;
    Ok(Some(probe(config, &base, rows, outlook, &mut counted("trying a step"))?))
}

fn refuse_too_large(plan: &Plan) -> anyhow::Result<u8> {
    let Some(allowed) = plan.allowed_bytes.filter(|_| !plan.fits()) else { return Ok(DONE) };
    let problem = format!(
        "the run takes {}, and {} may be taken",
        show::amount(plan.memory.peak_bytes()),
        show::amount(allowed as usize)
    );
    let hint = match &plan.remedy {
        Some(remedy) => format!("{} would fit, with {}", remedy.flags(), show::amount(remedy.peak_bytes)),
        None => "nothing that the configuration can say makes it fit: take a smaller base".to_owned(),
    };
    Err(BadInput::new(problem).with_hint(hint).into())
}
