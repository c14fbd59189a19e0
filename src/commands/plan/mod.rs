//! `rtune plan`: what a run would take, before it is begun.

mod remedy;
mod room;
mod show;

use std::path::Path;

use rtune_data::Prepared;
use rtune_models::hub::{self, HubOptions};
use rtune_models::{BaseOutline, ModelError, SavePolicy};
use rtune_trainer::config::Config;
use rtune_trainer::error::TrainerError;
use rtune_trainer::inputs::{self, Inputs};
use rtune_trainer::memory::{self, RowSizes, TrainingMemory};
use rtune_trainer::outlook::{Outlook, Probe, probe};
use rtune_trainer::{plan, run};

use super::opened::{preparation, quantized_cache};
use super::{gpu, transferred};
use crate::args::plan::PlanArgs;
use crate::failure::{BadInput, DONE};
use crate::reporter::{complain, counted};
use remedy::Remedy;
use room::Room;

/// What a run would be.
struct Plan {
    config: Config,
    memory: TrainingMemory,
    /// What the passes take where blocks keep everything, and where they keep their inputs alone.
    by_policy: [(SavePolicy, usize); 2],
    room: Room,
    /// `None` where the base's tokenizer is not here.
    outlook: Option<Outlook>,
    probe: Option<Probe>,
    price_per_hour: Option<f64>,
    remedy: Option<Remedy>,
}

impl Plan {
    /// The most that the run takes where it is.
    fn taken_bytes(&self) -> usize {
        self.room.taken_bytes(&self.memory, &self.config)
    }

    fn fits(&self) -> bool {
        self.room.fits(self.taken_bytes())
    }

    /// Seconds of the run.
    fn run_s(&self) -> Option<f64> {
        Some(self.probe?.run_s(self.outlook.as_ref()?))
    }
}

pub(crate) fn run(args: &PlanArgs) -> anyhow::Result<u8> {
    let mut config = Config::load(&args.config, &args.overrides)?;
    let (base, revision) = (&config.model.base, config.model.revision.as_deref());
    let place = transferred(|progress| hub::headers(base, revision, &HubOptions::from_env(), progress))?;
    inputs::licence(&config, &place)?;
    let outline = BaseOutline::open(&place)?;
    let room = Room::new(gpu::open(&config)?.as_ref(), args.memory_gib);
    let (threads, on_gpu) = (rayon::current_num_threads(), room.gpu.is_some());
    let mut inputs = prepared(&config, &place)?;
    let looked = |config: &Config, inputs: &Inputs| -> anyhow::Result<Outlook> {
        let shares_prefixes = !on_gpu && plan::shares_prefixes(config, &outline.spec)?;
        let Prepared { train, validation, .. } = &inputs.prepared;
        let asks = run::asks(config, inputs)?;
        let mut outlook = Outlook::of(train, validation, config, shares_prefixes, threads, asks)?;
        outlook.sizes.vocabulary = Some(inputs.base.tokenizer.get_vocab_size(true));
        Ok(outlook)
    };
    let outlook = inputs.as_ref().map(|inputs| looked(&config, inputs)).transpose()?;
    let sizes = match &outlook {
        Some(outlook) => outlook.sizes.clone(),
        None => memory::longest_rows(&outline, &config, threads),
    };
    let wished = config.train.save_activations;
    config.train.save_activations = room.choose(&outline, &config, &sizes)?;
    let policy = plan::policy(config.train.save_activations);
    let memory = memory::of_policy(&outline, &config, &sizes, policy)?;
    let passes = |policy| -> anyhow::Result<(SavePolicy, usize)> {
        Ok((policy, memory::of_policy(&outline, &config, &sizes, policy)?.passes_bytes()))
    };
    let by_policy = [passes(SavePolicy::All)?, passes(SavePolicy::InputOnly)?];
    let mut plan = Plan {
        config,
        memory,
        by_policy,
        room,
        outlook,
        probe: None,
        price_per_hour: args.price_per_hour,
        remedy: None,
    };
    if plan.fits() {
        if let (Some(inputs), Some(outlook), false) = (&mut inputs, &plan.outlook, args.no_probe) {
            plan.probe = tried(&plan, inputs, &place, outlook)?;
        }
    } else {
        let max_tokens = plan.config.data.max_tokens;
        let rows_of = |config: &Config| -> anyhow::Result<RowSizes> {
            let outlook = match &inputs {
                None => return Ok(memory::longest_rows(&outline, config, threads)),
                Some(inputs) if config.data.max_tokens == max_tokens => looked(config, inputs)?,
                // Other rows are left out, or cut.
                Some(_) => match prepared(config, &place)? {
                    Some(inputs) => looked(config, &inputs)?,
                    None => return Ok(memory::longest_rows(&outline, config, threads)),
                },
            };
            Ok(outlook.sizes)
        };
        plan.remedy = remedy::find(args, wished, &outline, &plan.room, &rows_of)?;
    }
    show::show(&plan, args.json)?;
    refuse_too_large(&plan)
}

/// The rows, where what makes tokens of them is here.
fn prepared(config: &Config, place: &Path) -> anyhow::Result<Option<Inputs>> {
    let preparation = preparation(config)?;
    let found = match &config.data.filters.max_perplexity {
        None => Inputs::of_headers(config, place, &preparation),
        // That filter asks the base itself.
        Some(_) => match Inputs::prepare(config, place, &preparation, None) {
            Err(TrainerError::Model(ModelError::MissingFile { .. })) => {
                complain(
                    "note: the weights of the base are not here: `data.filters.max-perplexity` leaves out no row",
                );
                let mut without = config.clone();
                without.data.filters.max_perplexity = None;
                Inputs::of_headers(&without, place, &preparation)
            }
            found => found,
        },
    };
    match found {
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
fn tried(plan: &Plan, inputs: &mut Inputs, place: &Path, outlook: &Outlook) -> anyhow::Result<Option<Probe>> {
    let config = &plan.config;
    if let Some(name) = &plan.room.gpu {
        complain(&format!(
            "note: no step was tried on {name}: only the processor's are, so that nothing is said of time"
        ));
        return Ok(None);
    }
    // What may be taken may be another machine's.
    if !plan.room.is_here(plan.taken_bytes()) {
        let here = plan.room.here_bytes.map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        complain(&format!(
            "note: no step was tried: the run takes {}, and this machine has {} for it, so that nothing is said of time",
            show::amount(plan.taken_bytes()),
            show::amount(here)
        ));
        return Ok(None);
    }
    let mut base = match rtune_models::open(place) {
        Ok(base) => base,
        Err(ModelError::MissingFile { .. }) => {
            complain("note: the weights of the base are not here, so that no step was tried");
            return Ok(None);
        }
        // As of a base of which headers alone were fetched; whatever it is, a plan can be made.
        Err(error) => {
            complain(&format!("note: no step was tried: {error}"));
            return Ok(None);
        }
    };
    base.add_tokens(&config.tokens.new).map_err(TrainerError::from)?;
    base.quantized = config.model.cache_quantized.then(|| quantized_cache(&HubOptions::from_env()));
    inputs.base = base;
    Ok(Some(probe(config, inputs, outlook, &mut counted("trying a step"))?))
}

fn refuse_too_large(plan: &Plan) -> anyhow::Result<u8> {
    let Some(allowed) = plan.room.allowed_bytes.filter(|_| !plan.fits()) else { return Ok(DONE) };
    let of = plan.room.gpu.as_ref().map_or_else(String::new, |name| format!(" of {name}"));
    let problem = format!(
        "the run takes {}{of}, and {} may be taken",
        show::amount(plan.taken_bytes()),
        show::amount(allowed as usize)
    );
    let hint = match &plan.remedy {
        Some(remedy) => format!("{} would fit, with {}", remedy.flags(), show::amount(remedy.peak_bytes)),
        None => "nothing that the configuration can say makes it fit: take a smaller base".to_owned(),
    };
    Err(BadInput::new(problem).with_hint(hint).into())
}
