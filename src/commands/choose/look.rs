//! One base, looked at by its configuration, its card and its headers.

use std::path::Path;

use anyhow::Context as _;
use rtune_models::hub::{self, HubOptions};
use rtune_models::outline::ParameterCounts;
use rtune_models::{BaseOutline, Licence, SavePolicy};
use rtune_trainer::config::{Config, ModelSection};
use rtune_trainer::error::TrainerError;
use rtune_trainer::evaluate::golden::Summary;
use rtune_trainer::evaluate::likelihood::RowLikelihood;
use rtune_trainer::inputs;
use rtune_trainer::memory::{self, ServingMemory, TrainingMemory};

use super::Wish;
use crate::commands::transferred;
use crate::failure::Failure;

/// A base as it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) base: String,
    pub(super) revision: Option<String>,
}

/// What was found of a base.
pub(super) struct Found {
    pub(super) candidate: Candidate,
    pub(super) licence: Option<Licence>,
    /// Why its licence stops it.
    pub(super) stopped: Option<String>,
    pub(super) size: Option<Size>,
    pub(super) likelihood: Option<Vec<RowLikelihood>>,
    pub(super) answers: Option<Summary>,
    problem: Option<Failure>,
}

/// What a base is and takes.
pub(super) struct Size {
    pub(super) family: String,
    pub(super) context: usize,
    pub(super) parameters: ParameterCounts,
    /// On this machine.
    pub(super) training: TrainingMemory,
    /// On a GPU: everything is kept for the backward pass where that fits one, else the inputs of blocks.
    pub(super) on_gpu: TrainingMemory,
    pub(super) serving: ServingMemory,
    /// Tokens of a conversation that is served.
    pub(super) served_context: usize,
}

impl Candidate {
    /// `owner/name@revision` has a revision, unless a file is called so.
    pub(super) fn named(name: &str) -> Self {
        match name.rsplit_once('@') {
            Some((base, revision))
                if !Path::new(name).exists() && !base.is_empty() && !revision.is_empty() =>
            {
                Self { base: base.to_owned(), revision: Some(revision.to_owned()) }
            }
            _ => Self { base: name.to_owned(), revision: None },
        }
    }

    pub(super) fn name(&self) -> String {
        match &self.revision {
            Some(revision) => format!("{}@{revision}", self.base),
            None => self.base.clone(),
        }
    }

    /// The configuration of a run on this base.
    pub(super) fn config(&self, wish: &Wish) -> Config {
        let Self { base, revision } = self.clone();
        let model = ModelSection { base, revision, ..wish.config.model.clone() };
        Config { model, ..wish.config.clone() }
    }
}

impl Found {
    /// Why it could not be looked at, or not to the end.
    pub(super) fn problem(&self) -> Option<&Failure> {
        self.problem.as_ref()
    }

    pub(super) fn fail(&mut self, error: anyhow::Error) {
        let about = format!("the base `{}`", self.candidate.name());
        self.problem = Some(Failure::of(&error.context(about)));
    }

    /// Whether it may be ranked.
    pub(super) fn is_left(&self) -> bool {
        self.stopped.is_none() && self.problem.is_none()
    }
}

/// Looks at a base; what is wrong with it stands in the result, so that the others are looked at all the same.
pub(super) fn look(candidate: Candidate, wish: &Wish) -> Found {
    let mut found = Found {
        candidate,
        licence: None,
        stopped: None,
        size: None,
        likelihood: None,
        answers: None,
        problem: None,
    };
    if let Err(error) = try_look(&mut found, wish) {
        found.fail(error);
    }
    found
}

fn try_look(found: &mut Found, wish: &Wish) -> anyhow::Result<()> {
    let config = found.candidate.config(wish);
    let model = &config.model;
    let (options, revision) = (HubOptions::from_env(), model.revision.as_deref());
    let place = transferred(|progress| hub::headers(&model.base, revision, &options, progress))?;
    found.licence = Some(Licence::of_base(&model.base, &place));
    match inputs::licence(&config, &place) {
        Err(error @ TrainerError::Licence { .. }) => {
            found.stopped = Some(error.to_string());
            return Ok(());
        }
        licence => drop(licence?),
    }
    let outline = BaseOutline::open(&place).map_err(TrainerError::from)?;
    let threads = rayon::current_num_threads();
    let training = memory::training(&outline, &config, threads).context("memory of training")?;
    let mut on_gpu = memory::with_policy(&outline, &config, threads, SavePolicy::All)?;
    if memory::gpus(on_gpu.step_bytes(), wish.gpu_bytes) > 1 {
        on_gpu = memory::with_policy(&outline, &config, threads, SavePolicy::InputOnly)?;
    }
    let served_context = wish.context.min(outline.config.max_position_embeddings);
    found.size = Some(Size {
        family: outline.config.model_type.clone(),
        context: outline.config.max_position_embeddings,
        parameters: outline.parameters(),
        training,
        on_gpu,
        serving: memory::serving(&outline, served_context, wish.sequences),
        served_context,
    });
    Ok(())
}
