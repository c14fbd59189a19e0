//! The loop: steps, evaluations, checkpoints, and a stop when it is asked for.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use rtune_adapters::{Linear, LoraConfig, Parameters, peft};
use rtune_data::{Example, Examples};

use super::ahead::Ahead;
use super::best;
use super::evaluation::{Evaluated, Exam};
use super::odd::Verdict;
use super::order::Order;
use super::sums::Sums;
use super::{Ended, Event, Observer, Outcome};
use crate::checkpoint::{Checkpoints, FORMAT, Remembered, State, write_json};
use crate::config::Config;
use crate::dist::Collective;
use crate::engine::Engine;
use crate::error::TrainerError;
use crate::forgetting::Skills;
use crate::inputs::Inputs;
use crate::machine::peak_memory_bytes;
use crate::metrics::{Line, Metrics, OddLine, StepLine};
use crate::optimizer::Optimizer;
use crate::overfitting::Fit;
use crate::schedule;
use crate::{adapter, full, tensors, useless};

/// What is said of a trained number that is none.
pub(super) const BROKEN: &str = "a trained number";

/// Everything of a run that is under way.
pub(super) struct Session<'a> {
    pub(super) run: &'a Path,
    pub(super) config: &'a Config,
    /// Of the adapters; `None` where every number of the base is trained.
    pub(super) shape: Option<LoraConfig>,
    /// The adapters as they began, where that is something of the base.
    pub(super) initial: Option<Parameters<f32>>,
    pub(super) rows: &'a Examples,
    pub(super) inputs: &'a Inputs,
    pub(super) exam: Exam<'a>,
    pub(super) order: Order,
    pub(super) ahead: Ahead,
    /// Steps so far that changed the trained numbers.
    pub(super) updates: u64,
    pub(super) engine: Engine,
    pub(super) optimizer: Optimizer,
    pub(super) state: State,
    pub(super) metrics: Metrics,
    pub(super) sums: Sums,
    /// What it remembers of its steps, and which it is to leave out; what a checkpoint has of it is that of its own time.
    pub(super) remembered: Remembered,
    /// What was found odd by this try and those before it, by step.
    pub(super) odd: BTreeMap<u64, OddLine>,
    /// Whether there is a checkpoint of this very state.
    pub(super) is_saved: bool,
    pub(super) fit: Fit,
    pub(super) skills: Skills,
    pub(super) checkpoints: Checkpoints,
    pub(super) collective: &'a mut dyn Collective,
    pub(super) observer: &'a mut dyn Observer,
}

impl Session<'_> {
    /// Runs to the end, or to the first stop.
    ///
    /// Before the first step there is a checkpoint and an evaluation, so that what would fail after hours fails now.
    pub(super) fn run(&mut self) -> Result<Ended, TrainerError> {
        if self.state.step == 0 {
            self.remembered.began = Some(useless::fingerprint(self.engine.parameters()));
        }
        if !self.is_saved {
            self.save()?;
        }
        // A run that was stopped during an evaluation goes on with it.
        if self.is_due() && !self.exam.is_empty() && !self.is_evaluated() && !self.evaluate_and_save()? {
            return Ok(Ended::As(Outcome::Stopped(self.state.clone())));
        }
        while self.state.step < self.order.total {
            if best::is_over(&self.state, &self.config.eval) {
                self.observer.on(Event::Note(&best::farewell(&self.state, &self.config.eval)));
                break;
            }
            if self.observer.stop_requested() || self.observer.stops_after() == Some(self.state.step) {
                if !self.is_saved {
                    self.save()?;
                }
                return Ok(Ended::As(Outcome::Stopped(self.state.clone())));
            }
            if let Some(ended) = self.step()? {
                return Ok(ended);
            }
            if !self.evaluate_and_save()? {
                return Ok(Ended::As(Outcome::Stopped(self.state.clone())));
            }
        }
        self.conclude()?;
        Ok(Ended::As(Outcome::Complete(self.state.clone())))
    }

    /// Whether this step is one to evaluate after.
    fn is_due(&self) -> bool {
        self.state.step == self.order.total || self.state.step.is_multiple_of(self.config.eval.every)
    }

    fn is_evaluated(&self) -> bool {
        self.sums.is_done(self.state.step)
    }

    /// What follows a step: an evaluation and a checkpoint where they are due. False where a stop was asked for.
    fn evaluate_and_save(&mut self) -> Result<bool, TrainerError> {
        let evaluated = if self.is_due() { self.evaluate()? } else { Evaluated::Nothing };
        let step = self.state.step;
        let is_last = step == self.order.total;
        // Without its evaluation the step is saved too: that is done first when the run goes on.
        let is_news = evaluated == Evaluated::Stopped || evaluated == Evaluated::Done { is_best: true };
        let is_last = is_last || best::is_over(&self.state, &self.config.eval);
        if is_last && evaluated != Evaluated::Stopped {
            self.state.useless = self.useless()?;
        }
        if is_last || is_news || step.is_multiple_of(self.config.checkpoint.every) {
            self.save()?;
        }
        Ok(evaluated != Evaluated::Stopped)
    }

    /// One step: the gradient of its rows, one update, one line; something where the run is to go back in its place.
    fn step(&mut self) -> Result<Option<Ended>, TrainerError> {
        let began = Instant::now();
        let State { epoch, position, .. } = self.state;
        let (places, steps_of_epoch) = self.order.step(epoch, position);
        let read = self.ahead.rows(self.rows, places)?;
        let rows: Vec<&Example> = read.iter().map(AsRef::as_ref).collect();
        let number = self.state.step + 1;
        if number < self.order.total && self.rows.are_on_disk() {
            let next = if position + 1 == steps_of_epoch { (epoch + 1, 0) } else { (epoch, position + 1) };
            self.ahead.begin(self.rows, self.order.step(next.0, next.1).0);
        }
        if rows.is_empty() {
            // All that it had takes no part: nothing is learnt, and nothing is written of it.
            self.remembered.pass(number);
            self.advance(number, steps_of_epoch);
            return Ok(None);
        }
        if self.remembered.left_out.contains(&number) {
            self.leave_out_again(number, &rows)?;
            self.advance(number, steps_of_epoch);
            return Ok(None);
        }
        let sum = self.engine.differentiate(&rows, number, self.collective)?;
        let norm = self.engine.gradient_norm(&self.optimizer)?;
        let loss_spike = match self.look(number, &rows, &sum, norm)? {
            Verdict::Take(jumped) => jumped,
            Verdict::LeaveOut => {
                self.advance(number, steps_of_epoch);
                return Ok(None);
            }
            Verdict::Back(back) => return Ok(Some(Ended::Back(*back))),
        };
        let lr = self.learning_rate();
        // AdamW corrects its moments by how many updates there have been, as torch's does: a step that changed nothing is none.
        self.updates += 1;
        self.engine.update(&mut self.optimizer, norm, lr, self.updates)?;

        let mut tokens = [rows.iter().map(|row| row.tokens.len() as u64).sum()];
        self.collective.sum_counts(&mut tokens);
        let [tokens] = tokens;
        let epoch = self.state.epoch as f64 + (self.state.position + 1) as f64 / steps_of_epoch as f64;
        self.advance(number, steps_of_epoch);
        self.state.tokens += tokens;
        self.state.supervised_tokens += sum.supervised_tokens;
        let seconds = began.elapsed().as_secs_f64();
        self.fit.add_step(sum.mean_nats());
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
            loss_spike,
        };
        self.observer.on(Event::Step { line: &line, steps: self.order.total });
        self.metrics.add(&Line::Step(line))?;
        Ok(None)
    }

    fn advance(&mut self, number: u64, steps_of_epoch: u64) {
        self.is_saved = false;
        // Of a run that goes on nobody knows yet.
        self.state.useless = None;
        self.state.step = number;
        self.state.position += 1;
        if self.state.position == steps_of_epoch {
            (self.state.epoch, self.state.position) = (self.state.epoch + 1, 0);
        }
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

    pub(super) fn refuse_not_finite(&mut self, what: &'static str, value: f64) -> Result<(), TrainerError> {
        if value.is_finite() {
            return Ok(());
        }
        let tensor = self.engine.first_not_finite()?.unwrap_or_else(|| "none of the adapter's".to_owned());
        Err(TrainerError::NotFinite { step: self.state.step, what, value, tensor })
    }

    /// What the last update left that is no number is in no checkpoint: the one before stays the newest.
    fn refuse_broken(&mut self) -> Result<(), TrainerError> {
        let step = self.state.step;
        if let Some((tensor, value)) = self.engine.first_broken()? {
            return Err(TrainerError::NotFinite { step, what: BROKEN, value: value.into(), tensor });
        }
        let (first, second) = self.optimizer.moments();
        let broken = [first, second].into_iter().find_map(|moments| {
            let index = moments.iter().position(|number| !number.is_finite())?;
            Some((index, moments[index]))
        });
        let Some((index, value)) = broken else { return Ok(()) };
        let tensor = self.engine.parameters().name_at(index).unwrap_or_default().to_owned();
        Err(TrainerError::NotFinite { step, what: "a moment of AdamW", value: value.into(), tensor })
    }

    /// Why the adapter is of no use as it is now, if it is of none.
    fn useless(&mut self) -> Result<Option<String>, TrainerError> {
        self.engine.settle(&mut self.optimizer)?;
        let Remembered { base_nats, lowest_nats, began, .. } = &self.remembered;
        let (parameters, steps) = (self.engine.parameters(), self.state.step);
        Ok(useless::idle(parameters, self.initial.as_ref(), steps)
            .reason()
            .or_else(|| useless::unmoved(parameters, began.as_deref(), steps))
            .or_else(|| useless::no_gain(*base_nats, *lowest_nats, steps))
            .or_else(|| useless::not_better(self.state.best.as_ref(), steps)))
    }

    /// Says at the end of a run what its adapter is not. What the last checkpoint says of that is known when the run is asked for again.
    fn conclude(&mut self) -> Result<(), TrainerError> {
        let reason = self.useless()?;
        if reason != self.state.useless {
            self.state.useless = reason;
            self.save()?;
        }
        match &self.state.useless {
            Some(reason) => self.observer.on(Event::Useless(reason)),
            None => {
                let idle = useless::idle(self.engine.parameters(), self.initial.as_ref(), self.state.step);
                idle.of_experts().iter().for_each(|told| self.observer.on(Event::Warning(told)));
            }
        }
        Ok(())
    }

    /// Writes a checkpoint, and removes those that are no longer kept.
    fn save(&mut self) -> Result<(), TrainerError> {
        self.metrics.sync()?;
        self.engine.settle(&mut self.optimizer)?;
        self.refuse_broken()?;
        self.state.remembered = Some(self.remembered.clone());
        self.is_saved = true;
        let slices = self.engine.slices();
        let folder = self.checkpoints.write(&self.state, |folder| -> Result<(), TrainerError> {
            match &self.shape {
                Some(shape) => {
                    let (decoder, base) = (self.engine.decoder(), &self.config.model.base);
                    let linears: Vec<&str> = decoder.linears().map(Linear::name).collect();
                    let spec = decoder.spec();
                    let tied = spec.tied_head.then_some([spec.names.embedding, spec.names.head]);
                    peft::write(folder, shape, self.engine.parameters(), &linears, tied, base)?;
                }
                None => {
                    let path = folder.join(full::WEIGHTS_FILE);
                    tensors::write(&path, &slices, self.engine.parameters().flat())?;
                }
            }
            if let Some(initial) = &self.initial {
                tensors::write(&folder.join(adapter::INITIAL_FILE), &slices, initial.flat())?;
            }
            if !self.config.tokens.new.is_empty() {
                let tokens = adapter::NewTokens { format: FORMAT, tokens: self.config.tokens.new.clone() };
                write_json(&folder.join(adapter::NEW_TOKENS_FILE), &tokens)?;
            }
            self.optimizer.save(folder, &slices)
        })?;
        let best = self.state.best.as_ref().map(|best| best.step);
        let is_over = self.state.step >= self.order.total || best::is_over(&self.state, &self.config.eval);
        let reach = super::reach(self.config, self.state.step, &self.remembered).filter(|_| !is_over);
        let needed = reach.map(|step| self.checkpoints.needed_for(step)).unwrap_or_default();
        let kept = &self.config.checkpoint;
        self.checkpoints.prune(kept.keep, kept.every, best, &needed)?;
        self.observer.on(Event::Saved { step: self.state.step, folder: &folder });
        Ok(())
    }
}
