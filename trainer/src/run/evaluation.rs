//! An evaluation on the way: held-out rows, golden rows, general skills, and what they come to.

use std::cell::RefCell;
use std::sync::Arc;

use rtune_models::Decoder;

use super::Event;
use super::best;
use super::session::Session;
use super::sums::Sum;
use crate::checkpoint::to_json;
use crate::config::Config;
use crate::engine::Engine;
use crate::error::TrainerError;
use crate::evaluate::asks::Asks;
use crate::evaluate::by_name::VALIDATION_LOSS;
use crate::evaluate::perplexity::{EVALUATIONS, Evaluation, ValidationSet, file_of};
use crate::evaluate::samples::Samples;
use crate::evaluate::watch::{Watch, Watched};
use crate::files::{self, At};
use crate::inputs::Inputs;
use crate::metrics::Line;
use crate::talk::{Model, Speaker};
use crate::wording::Wording;

/// What a run is measured on.
pub(crate) struct Exam<'a> {
    /// How models are asked.
    pub(crate) wording: Arc<Wording<'a>>,
    validation: Option<ValidationSet>,
    pub(crate) golden: Option<Watch>,
    pub(crate) general: Option<Watch>,
    pub(crate) samples: Option<Samples>,
}

/// How an evaluation ended.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Evaluated {
    /// There is nothing to evaluate on.
    Nothing,
    /// It is done; whether it is the best so far.
    Done {
        /// Whether it is.
        is_best: bool,
    },
    /// A stop was asked for on the way.
    Stopped,
}

impl<'a> Exam<'a> {
    /// Makes the questions ready; a golden row that cannot be asked is an error now, and not after the first step.
    pub(crate) fn new(config: &Config, inputs: &'a Inputs) -> Result<Self, TrainerError> {
        let eval = &config.eval;
        let held_out = &inputs.prepared.validation;
        let wording = Wording::new(&inputs.base, Some(&inputs.template))?;
        let stop_tokens = wording.stop_tokens();
        let sources = (config.data.golden.as_slice(), config.gate.sealed);
        let seed = config.train.seed;
        let (rows, tokens) = (eval.golden_rows, eval.golden_tokens);
        let golden = Watch::golden(&wording, sources, rows, tokens, &eval.labels, seed)?;
        if let Some(golden) = golden.as_ref().filter(|_| eval.best != VALIDATION_LOSS) {
            let (metric, known) = (eval.best.clone(), golden.metrics());
            if !known.contains(&metric) {
                return Err(TrainerError::NoSuchMetric { metric, known });
            }
        }
        Ok(Self {
            validation: ValidationSet::new(held_out, config.train.micro_batch_tokens),
            golden,
            general: eval.general.then(|| Watch::general(&wording)).transpose()?,
            samples: Samples::new(held_out, eval.samples, eval.sample_tokens, &inputs.base, stop_tokens)?,
            wording: Arc::new(wording),
        })
    }

    /// How much is asked, by the base of `inputs`.
    pub(crate) fn asks(&self, inputs: &Inputs) -> Asks {
        let positions = inputs.base.config.max_position_embeddings;
        let watched = [&self.golden, &self.general].into_iter().flatten().map(|watch| watch.asks(positions));
        Asks { sets: watched.chain(self.samples.iter().map(Samples::asks)).collect() }
    }

    /// Whether there is nothing to measure on.
    pub(super) fn is_empty(&self) -> bool {
        self.validation.is_none() && self.golden.is_none() && self.general.is_none()
    }
}

/// How much the evaluations of a run of `config` ask; nothing of the base need be there but its tokenizer.
///
/// # Errors
/// Those of the golden rows, the template and the labels.
pub fn asks(config: &Config, inputs: &Inputs) -> Result<Asks, TrainerError> {
    Ok(Exam::new(config, inputs)?.asks(inputs))
}

/// The run as it is talked to.
fn model<'a>(inputs: &'a Inputs, decoder: &'a Decoder, parameters: &'a [f32]) -> Model<'a> {
    let (base, template) = (&inputs.base, Some(&inputs.template));
    Model { base, template, decoder, parameters, untrained: &[], tuned: true, voice: None }
}

/// The same with what was trained so far, where that is.
fn trained<'a>(inputs: &'a Inputs, engine: &'a Engine) -> Model<'a> {
    Model { voice: engine.voice(), ..model(inputs, engine.decoder(), engine.parameters().flat()) }
}

impl Session<'_> {
    /// Evaluates, if there is anything to evaluate on.
    pub(super) fn evaluate(&mut self) -> Result<Evaluated, TrainerError> {
        if self.exam.is_empty() {
            return Ok(Evaluated::Nothing);
        }
        let Some(evaluation) = self.measure()? else { return Ok(Evaluated::Stopped) };
        if self.exam.samples.is_some() && self.observer.stop_requested() {
            // Nobody who asked for a stop waits for the answers; evaluation and answers come when the run goes on.
            return Ok(Evaluated::Stopped);
        }
        let step = self.state.step;
        let value = evaluation.value(&self.config.eval.best);
        for (what, value) in
            [("the validation loss", evaluation.value(VALIDATION_LOSS)), ("the metric `eval.best`", value)]
        {
            value.map_or(Ok(()), |value| self.refuse_not_finite(what, value))?;
        }
        let folder = self.run.join(EVALUATIONS);
        std::fs::create_dir_all(&folder).at("create", &folder)?;
        let path = folder.join(file_of(step));
        let bytes = to_json(&path, &evaluation)?;
        files::write_whole(&path, &bytes)?;
        self.sums.add(&Sum { step, sha256: files::sha256_of(&bytes) })?;
        for line in evaluation.lines() {
            self.tell(line)?;
        }
        self.state.evaluated = Some(step);
        self.is_saved = false;
        let is_best = value.is_some_and(|value| best::take(&mut self.state, &self.config.eval, value));
        self.answer_samples()?;
        Ok(Evaluated::Done { is_best })
    }

    /// The figures of this moment; `None` where a stop was asked for.
    fn measure(&mut self) -> Result<Option<Evaluation>, TrainerError> {
        let mut evaluation = Evaluation::after(self.state.step);
        let observer = RefCell::new(&mut *self.observer);
        let is_enough = || observer.borrow().stop_requested();
        if let Some(validation) = &self.exam.validation {
            let mut go_on = |done, total| {
                observer.borrow_mut().on(Event::Evaluating { done, total });
                !is_enough()
            };
            let Some(validated) = validation.evaluate(&mut self.engine, &mut go_on)? else {
                return Ok(None);
            };
            evaluation.validation = Some(validated);
        }
        self.engine.settle(&mut self.optimizer)?;
        let is_watched = self.exam.golden.is_some() || self.exam.general.is_some();
        if is_watched {
            self.engine.rest();
        }
        let model = trained(self.inputs, &self.engine);
        let speaker = Speaker::of(model, Arc::clone(&self.exam.wording)).until(&is_enough);
        let ask = |watch: &Option<Watch>| -> Result<Option<Watched>, TrainerError> {
            let Some(watch) = watch else { return Ok(None) };
            let mut progress = |done, total| observer.borrow_mut().on(Event::Evaluating { done, total });
            watch.measure(&speaker, &mut progress).map(Some)
        };
        evaluation.golden = ask(&self.exam.golden)?;
        evaluation.general = if is_enough() { None } else { ask(&self.exam.general)? };
        // What was cut short is measured whole when the run goes on.
        Ok((!is_enough() || !is_watched).then_some(evaluation))
    }

    /// Tells of a line of an evaluation, and of what it warns of.
    fn tell(&mut self, line: Line) -> Result<(), TrainerError> {
        let warning = match &line {
            Line::Evaluation(line) => {
                self.observer.on(Event::Evaluation(line));
                self.remembered.add_evaluation(line.step, line.validation_loss_nats);
                self.fit.add_evaluation(line.step, line.validation_loss_nats).map(|told| told.to_string())
            }
            Line::Golden(line) => {
                self.observer.on(Event::Golden(line));
                None
            }
            Line::General(line) => {
                self.observer.on(Event::General(line));
                self.skills.add(line).map(|told| told.to_string())
            }
            Line::Step(_) | Line::Sample(_) | Line::Odd(_) => None,
        };
        if let Some(warning) = warning {
            self.observer.on(Event::Warning(&format!("step {}: {warning}", self.state.step)));
        }
        Ok(self.metrics.add(&line)?)
    }

    /// What the adapter would say now.
    fn answer_samples(&mut self) -> Result<(), TrainerError> {
        let Some(samples) = &self.exam.samples else { return Ok(()) };
        self.engine.settle(&mut self.optimizer)?;
        self.engine.rest();
        let model = trained(self.inputs, &self.engine);
        for line in samples.answer(&model, self.state.step)? {
            self.observer.on(Event::Sample(&line));
            self.metrics.add(&Line::Sample(line))?;
        }
        Ok(())
    }
}
