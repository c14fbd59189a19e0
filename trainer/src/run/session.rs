//! The loop: steps, evaluations, checkpoints, and a stop when it is asked for.

use std::path::Path;
use std::time::Instant;

use rtune_adapters::{Linear, LoraConfig, peft};
use rtune_data::Example;
use rtune_kernels::adamw;

use super::order::Order;
use super::{Event, Observer, Outcome};
use crate::checkpoint::{Best, Checkpoints, State, write_json};
use crate::config::Config;
use crate::dist::Collective;
use crate::engine::Engine;
use crate::error::TrainerError;
use crate::evaluate::perplexity::ValidationSet;
use crate::files::At;
use crate::metrics::{Line, Metrics, StepLine, peak_memory_bytes};
use crate::optimizer::Optimizer;
use crate::schedule;

/// Everything of a run that is under way.
pub(super) struct Session<'a> {
    pub(super) run: &'a Path,
    pub(super) config: &'a Config,
    pub(super) shape: LoraConfig,
    pub(super) rows: &'a [Example],
    pub(super) validation: Option<ValidationSet>,
    pub(super) order: Order,
    pub(super) engine: Engine,
    pub(super) optimizer: Optimizer,
    pub(super) state: State,
    pub(super) metrics: Metrics,
    pub(super) checkpoints: Checkpoints,
    pub(super) collective: &'a mut dyn Collective,
    pub(super) observer: &'a mut dyn Observer,
}

impl Session<'_> {
    /// Runs to the end, or to the first stop.
    ///
    /// Before the first step there is a checkpoint and an evaluation, so that what would fail after hours fails now.
    pub(super) fn run(mut self) -> Result<Outcome, TrainerError> {
        if self.state.step == 0 && self.state.best.is_none() {
            self.save()?;
            if self.evaluate()? {
                self.save()?;
            }
        }
        while self.state.step < self.order.total {
            if self.observer.stop_requested() {
                self.save()?;
                return Ok(Outcome::Stopped(self.state));
            }
            self.step()?;
            let step = self.state.step;
            let is_last = step == self.order.total;
            let evaluated = is_last || step.is_multiple_of(self.config.eval.every);
            let is_best = evaluated && self.evaluate()?;
            if is_last || is_best || step.is_multiple_of(self.config.checkpoint.every) {
                self.save()?;
            }
        }
        Ok(Outcome::Complete(self.state))
    }

    /// One step: the gradient of its rows, one update, one line.
    fn step(&mut self) -> Result<(), TrainerError> {
        let began = Instant::now();
        let (indices, steps_of_epoch) = self.order.step(self.state.epoch, self.state.position);
        let rows: Vec<&Example> = indices.iter().map(|index| &self.rows[*index]).collect();
        let sum = self.engine.differentiate(&rows, self.collective);
        let norm = adamw::norm(self.engine.parameters_and_gradients().1);
        self.refuse_not_finite("the loss", sum.mean_nats())?;
        self.refuse_not_finite("the length of the gradient", norm)?;
        let lr = self.learning_rate();
        let number = self.state.step + 1;
        let (parameters, gradients) = self.engine.parameters_and_gradients();
        self.optimizer.update(parameters, gradients, norm, lr, number);

        let mut tokens = [rows.iter().map(|row| row.tokens.len() as u64).sum()];
        self.collective.sum_counts(&mut tokens);
        let [tokens] = tokens;
        let epoch = self.state.epoch as f64 + (self.state.position + 1) as f64 / steps_of_epoch as f64;
        self.state.step = number;
        self.state.position += 1;
        if self.state.position == steps_of_epoch {
            (self.state.epoch, self.state.position) = (self.state.epoch + 1, 0);
        }
        self.state.tokens += tokens;
        self.state.supervised_tokens += sum.supervised_tokens;
        let seconds = began.elapsed().as_secs_f64();
        let line = StepLine {
            step: number,
            epoch,
            train_loss_nats: sum.mean_nats(),
            grad_norm: norm,
            lr,
            tokens,
            supervised_tokens: sum.supervised_tokens,
            tokens_per_second: tokens as f64 / seconds,
            peak_memory_bytes: peak_memory_bytes(),
            seconds,
        };
        self.observer.on(Event::Step { line: &line, steps: self.order.total });
        Ok(self.metrics.add(&Line::Step(line))?)
    }

    fn learning_rate(&self) -> f64 {
        let train = &self.config.train;
        let warmup = schedule::warmup_steps(train.warmup, self.order.total);
        schedule::learning_rate(
            train.learning_rate,
            train.schedule,
            warmup,
            self.order.total,
            self.state.step,
        )
    }

    fn refuse_not_finite(&self, what: &'static str, value: f64) -> Result<(), TrainerError> {
        if value.is_finite() {
            return Ok(());
        }
        let tensor = self.engine.first_not_finite().unwrap_or_else(|| "none of the adapter's".to_owned());
        Err(TrainerError::NotFinite { step: self.state.step + 1, what, value, tensor })
    }

    /// Evaluates, if there is anything to evaluate on; whether it is the best so far.
    fn evaluate(&mut self) -> Result<bool, TrainerError> {
        let Some(validation) = &self.validation else { return Ok(false) };
        let step = self.state.step;
        let observer = &mut *self.observer;
        let mut progress = |done, total| observer.on(Event::Evaluating { done, total });
        let evaluation = validation.evaluate(&self.engine, step, &mut progress);
        let loss = evaluation.validation_loss_nats;
        self.refuse_not_finite("the validation loss", loss)?;
        let folder = self.run.join("eval");
        std::fs::create_dir_all(&folder).at("create", &folder)?;
        write_json(&folder.join(format!("step-{step:06}.json")), &evaluation)?;
        let line = evaluation.line();
        self.observer.on(Event::Evaluation(&line));
        self.metrics.add(&Line::Evaluation(line))?;
        let is_best = self.state.best.as_ref().is_none_or(|best| loss < best.validation_loss_nats);
        if is_best {
            self.state.best = Some(Best { step, validation_loss_nats: loss });
        }
        Ok(is_best)
    }

    /// Writes a checkpoint, and removes those that are no longer kept.
    fn save(&mut self) -> Result<(), TrainerError> {
        let slices = self.engine.slices();
        let folder = self.checkpoints.write(&self.state, |folder| -> Result<(), TrainerError> {
            let linears: Vec<&str> = self.engine.decoder().linears().map(Linear::name).collect();
            peft::write(folder, &self.shape, self.engine.parameters(), &linears, &self.config.model.base)?;
            self.optimizer.save(folder, &slices)
        })?;
        let best = self.state.best.as_ref().map(|best| best.step);
        self.checkpoints.prune(self.config.checkpoint.keep, best)?;
        self.observer.on(Event::Saved { step: self.state.step, folder: &folder });
        Ok(())
    }
}
