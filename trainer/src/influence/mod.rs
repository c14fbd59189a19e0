//! Which training rows made a model answer a golden case as it does.
//!
//! A step of AdamW moves the trained numbers by about `-lr P g`, where `g` is the gradient of the step's loss and `P` divides by the root
//! of the second moment. A row with `n` of a step's `N` supervised tokens therefore moves a case's margin `f` by about
//! `-lr c n/N <grad f, P grad l>`, where `l` is the row's mean loss and `c` what the step's gradient was clipped by. Summed over the steps that the row was part of, with gradients and
//! moments of the saved checkpoint that is nearest to each, this is TracIn (Pruthi et al. 2020, arXiv 2002.08484) with the optimizer's own
//! preconditioning (as in LESS, Xia et al. 2024, arXiv 2402.04333).
//!
//! Of ten copies of a row the first ones do it all: the others come when the model says it already, and their gradients are next to
//! nothing. Without the first ones they would have done the same. So rows are ranked by what a step with them would do, as a part of
//! what a step of that length could: by the cosine between the row's gradient and the case's, both measured with `P` (as RelatIF,
//! Barshan et al. 2020, arXiv 2003.11630, and LESS divide). That finds all rows that teach the same. Whether they did it, a run
//! without them shows.
//!
//! At which checkpoint rows tell themselves apart differs from run to run: an early one may give one answer to everything, so that all
//! rows with that answer pull alike; at a late one a row may be learnt, and what is left of its gradient is about something else. So
//! cosines are kept by checkpoint, and the greatest one counts.

mod enough;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

pub use enough::enough;

use rtune_data::{Example, Examples};
use rtune_kernels::adamw;
use rtune_models::SavePolicy;

use crate::adapter::{self, Attached};
use crate::checkpoint::{Checkpoint, Checkpoints, State};
use crate::config::Config;
use crate::dist::Alone;
use crate::engine::{Engine, EngineOptions, MicroBatch};
use crate::error::TrainerError;
use crate::evaluate::contrast::Contrast;
use crate::inputs::Inputs;
use crate::metrics::{Line, read_lines};
use crate::optimizer::Optimizer;
use crate::rows::{TrainedRow, trained_rows};
use crate::schedule;
use crate::subject::quantization;

/// A training row, and how much of each case's margin it is to blame for.
#[derive(Clone, Debug, PartialEq)]
pub struct Influence<'a> {
    /// The row and the steps that it was part of.
    pub row: TrainedRow,
    /// The row as it was trained on.
    pub example: Cow<'a, Example>,
    /// For each case, by how many nats a token the steps with this row moved the margin: the loss of the expected answer less that of
    /// the other one. Above zero the row speaks against the expected answer.
    pub margin_nats: Vec<f64>,
    /// For each case and, within it, each checkpoint of [`Traced::steps`], the cosine between an update with this row and the way in
    /// which the margin grows, from -1 to 1; 0 for a row without a gradient there.
    pub alignments: Vec<Vec<f64>>,
}

impl Influence<'_> {
    /// The greatest of the row's alignments with a case, and the place of its checkpoint among [`Traced::steps`]; of equal ones the
    /// first. `sign` is -1 where the margin is to shrink and 1 where it is to grow.
    ///
    /// # Panics
    /// For a case that was not traced.
    #[must_use]
    pub fn alignment(&self, case: usize, sign: f64) -> (f64, usize) {
        let signed = self.alignments[case].iter().map(|one| sign * one).zip(0..);
        signed.fold((f64::NEG_INFINITY, 0), |most, one| if one.0 > most.0 { one } else { most })
    }
}

/// What was traced.
#[derive(Clone, Debug, PartialEq)]
pub struct Traced<'a> {
    /// Every row that was part of a step, in the order of the rows.
    pub rows: Vec<Influence<'a>>,
    /// The steps of the checkpoints whose gradients were taken, ascending.
    pub steps: Vec<u64>,
    /// For each case its margin at the checkpoint that answered, in nats a token: the loss of the expected answer less that of the other
    /// one. `None` where there is no other.
    pub margins_nats: Vec<Option<f64>>,
}

/// Of which run, and how much of it is looked at.
#[derive(Clone, Copy)]
pub struct Trace<'a> {
    /// The run folder.
    pub run: &'a Path,
    /// Its configuration.
    pub config: &'a Config,
    /// Its base and rows.
    pub inputs: &'a Inputs,
    /// The step of the checkpoint that answered.
    pub step: u64,
    /// Most checkpoints whose gradients are taken.
    pub checkpoints: usize,
}

/// What is going on, for a bar: rows done of so many, over all checkpoints.
type Tell<'a> = &'a mut dyn FnMut(usize, usize);

/// The influence of every row that a step up to `trace.step` trained on, in the order of the rows; a row that counts several times is
/// there once. `None` if `tell`'s caller wanted it to stop: `is_enough` is asked between rows.
///
/// # Errors
/// [`TrainerError::NotACheckpoint`] for a run without a whole checkpoint after its first step; those of the base and the checkpoints.
pub fn influences<'a>(
    trace: &Trace<'a>,
    contrasts: &[Contrast],
    is_enough: &dyn Fn() -> bool,
    tell: Tell<'_>,
) -> Result<Option<Traced<'a>>, TrainerError> {
    let Trace { config, inputs, .. } = *trace;
    let checkpoints = Checkpoints::of(trace.run);
    let steps = chosen(&checkpoints, trace)?;
    let mut engine = Attachment::open(trace, &checkpoints.folder(steps[0]))?;
    let known = Checkpoint::open(&checkpoints.folder(trace.step))?.state;
    let rows = once(&inputs.prepared.train, config, &known)?;
    let clipped = clipped(trace.run, config)?;
    let weights = weights(&rows, &inputs.prepared.train, config, &clipped)?;
    let of_row = |(row, example)| Influence {
        row,
        example,
        margin_nats: vec![0.0; contrasts.len()],
        alignments: vec![Vec::new(); contrasts.len()],
    };
    let mut found: Vec<Influence<'a>> = rows.into_iter().map(of_row).collect();
    let total = found.len() * steps.len();
    for (place, &step) in steps.iter().enumerate() {
        engine.move_to(&checkpoints.folder(step), step)?;
        let directions: Vec<Direction> =
            contrasts.iter().map(|one| engine.direction(one)).collect::<Result<_, _>>()?;
        for (index, one) in found.iter_mut().enumerate() {
            if is_enough() {
                return Ok(None);
            }
            tell(place * weights.len() + index, total);
            let near = |at: &&(u64, f64)| nearest(&steps, at.0) == step;
            let weight: f64 = weights[index].iter().filter(near).map(|(_, weight)| weight).sum();
            let length = engine.length(&one.example)?;
            let gradient = engine.engine.gradients()?;
            for (case, direction) in directions.iter().enumerate() {
                let by = -dot(&direction.scaled, gradient);
                one.margin_nats[case] += weight * by;
                let most = length * direction.length;
                one.alignments[case].push(if most > 0.0 { by / most } else { 0.0 });
            }
        }
    }
    engine.move_to(&checkpoints.folder(trace.step), trace.step)?;
    let margins_nats = contrasts.iter().map(|one| engine.margin(one)).collect::<Result<_, _>>()?;
    Ok(Some(Traced { rows: found, steps, margins_nats }))
}

/// The way in which a case's margin grows.
struct Direction {
    /// The gradient of the margin, as an update would be divided.
    scaled: Vec<f32>,
    /// Its length, measured as an update would be divided.
    length: f64,
}

/// What the gradients of steps were multiplied by before they were taken; 1 for a step that is not there.
fn clipped(run: &Path, config: &Config) -> Result<BTreeMap<u64, f64>, TrainerError> {
    let most = config.train.max_grad_norm;
    let factor = |line: Line| match line {
        Line::Step(line) if most > 0.0 => Some((line.step, adamw::clip_factor(line.grad_norm, most))),
        _ => None,
    };
    Ok(read_lines(&run.join("metrics.jsonl"))?.lines.into_iter().filter_map(factor).collect())
}

/// The rows that were part of a step, each once.
fn once<'a>(
    rows: &'a Examples,
    config: &Config,
    state: &State,
) -> Result<Vec<(TrainedRow, Cow<'a, Example>)>, TrainerError> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut once: Vec<(TrainedRow, Cow<'a, Example>)> = Vec::new();
    for row in trained_rows(rows, config, state)? {
        match places.get(&row.id) {
            Some(&place) => once[place].0.steps.extend(row.steps),
            None => {
                places.insert(row.id.clone(), once.len());
                let example = rows.get(row.place)?;
                once.push((row, example));
            }
        }
    }
    once.iter_mut().for_each(|(row, _)| row.steps.sort_unstable());
    Ok(once)
}

/// For each row its steps, with the learning rate there times the row's part of the step's supervised tokens and what the step was clipped
/// by.
fn weights(
    rows: &[(TrainedRow, Cow<'_, Example>)],
    all: &Examples,
    config: &Config,
    clipped: &BTreeMap<u64, f64>,
) -> Result<Vec<Vec<(u64, f64)>>, TrainerError> {
    let mut supervised: BTreeMap<u64, u64> = BTreeMap::new();
    for (row, example) in rows {
        for step in &row.steps {
            *supervised.entry(*step).or_default() += example.supervised_count() as u64;
        }
    }
    let train = &config.train;
    let total = crate::run::Order::new(all, train, config.data.shuffle)?.total;
    let warmup = schedule::warmup_steps(train.warmup, total);
    let rate =
        |step: u64| schedule::learning_rate(train.learning_rate, train.schedule, warmup, total, step - 1);
    let of_row = |(row, example): &(TrainedRow, Cow<'_, Example>)| {
        let own = example.supervised_count() as f64;
        let of_step = |step: u64| {
            let clipped = clipped.get(&step).copied().unwrap_or(1.0);
            rate(step) * clipped * own / supervised[&step].max(1) as f64
        };
        row.steps.iter().map(|&step| (step, of_step(step))).collect()
    };
    Ok(rows.iter().map(of_row).collect())
}

/// The whole checkpoints between the first step and the one that answered, evenly chosen, the first one among them: what a row teaches
/// shows most clearly where it is not learnt yet.
fn chosen(checkpoints: &Checkpoints, trace: &Trace<'_>) -> Result<Vec<u64>, TrainerError> {
    let mut steps = checkpoints.whole_steps()?;
    steps.retain(|step| (1..=trace.step).contains(step));
    if steps.is_empty() {
        let problem = "expected a whole checkpoint after the first step, found none".to_owned();
        return Err(TrainerError::NotACheckpoint { folder: trace.run.to_owned(), problem });
    }
    Ok(evenly(&steps, trace.checkpoints))
}

/// At most so many of `steps`, evenly chosen, the first one among them and, of several, the last.
fn evenly(steps: &[u64], most: usize) -> Vec<u64> {
    let (last, gaps) = (steps.len() - 1, most.clamp(1, steps.len()) - 1);
    (0..=gaps).map(|number| steps[number * last / gaps.max(1)]).collect()
}

/// The checkpoint that speaks for a step; of two that are as near the later one, whose moments know of the step.
fn nearest(checkpoints: &[u64], step: u64) -> u64 {
    let far = |checkpoint: &u64| (checkpoint.abs_diff(step), *checkpoint < step);
    checkpoints.iter().copied().min_by_key(far).unwrap_or(step)
}

fn dot(one: &[f32], other: &[f32]) -> f64 {
    // Sums of a few thousand in f64: a vector of millions in one f32 would lose small rows.
    one.iter().zip(other).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum()
}

/// The engine with the numbers of one checkpoint after the other.
struct Attachment {
    engine: Engine,
    optimizer: Optimizer,
    is_full: bool,
    step: u64,
    /// Steps up to there that changed something.
    updates: u64,
    /// Room for a gradient as an update would be divided.
    scaled: Vec<f32>,
}

impl Attachment {
    fn open(trace: &Trace<'_>, folder: &Path) -> Result<Self, TrainerError> {
        let (config, base) = (trace.config, &trace.inputs.base);
        let (mut decoder, _) = base.decoder(quantization(config), &mut |_, _| {})?;
        let Attached { shape, parameters, .. } = adapter::attach(&mut decoder, base, config, Some(folder))?;
        let micro_batch = MicroBatch { tokens: config.train.micro_batch_tokens, shares_prefixes: false };
        let options = EngineOptions { policy: SavePolicy::All, micro_batch, noise: None };
        let engine = Engine::new(decoder, parameters, options);
        let optimizer = Optimizer::new(&config.train, engine.parameters().flat().len());
        let optimizer = optimizer.by_parts(config.train.lora_plus_ratio, &engine.slices());
        Ok(Self { engine, optimizer, is_full: shape.is_none(), step: 0, updates: 0, scaled: Vec::new() })
    }

    /// Takes over the numbers and the moments of a checkpoint.
    fn move_to(&mut self, folder: &Path, step: u64) -> Result<(), TrainerError> {
        let updates = Checkpoint::open(folder)?.state.updates();
        let mut parameters = self.engine.parameters().clone();
        adapter::read_again(folder, self.is_full, &mut parameters)?;
        self.engine.replace(parameters);
        self.optimizer.restore(folder, &self.engine.slices())?;
        (self.step, self.updates) = (step, updates);
        Ok(())
    }

    /// The gradient of the mean loss of one row, and that loss.
    fn gradient(&mut self, example: &Example) -> Result<(&[f32], f64), TrainerError> {
        let loss = self.engine.differentiate(&[example], self.step, &mut Alone)?;
        Ok((self.engine.gradients()?, loss.mean_nats()))
    }

    /// The length of a row's gradient, measured as an update would be divided; the gradient itself stays in the engine.
    fn length(&mut self, example: &Example) -> Result<f64, TrainerError> {
        self.gradient(example)?;
        let gradient = self.engine.gradients()?;
        self.scaled.clear();
        self.scaled.extend_from_slice(gradient);
        self.optimizer.precondition(&mut self.scaled, self.updates);
        Ok(dot(&self.scaled, gradient).max(0.0).sqrt())
    }

    /// A case's margin, in nats a token; `None` where there is no other answer.
    fn margin(&mut self, contrast: &Contrast) -> Result<Option<f64>, TrainerError> {
        let Some(other) = &contrast.other else { return Ok(None) };
        let expected_nats = self.gradient(&contrast.expected)?.1;
        Ok(Some(expected_nats - self.gradient(other)?.1))
    }

    /// The gradient of a case's margin.
    fn direction(&mut self, contrast: &Contrast) -> Result<Direction, TrainerError> {
        let (direction, _) = self.gradient(&contrast.expected)?;
        let mut direction = direction.to_vec();
        if let Some(other) = &contrast.other {
            let (other, _) = self.gradient(other)?;
            direction.iter_mut().zip(other).for_each(|(one, other)| *one -= other);
        }
        let mut scaled = direction.clone();
        self.optimizer.precondition(&mut scaled, self.updates);
        let length = dot(&scaled, &direction).max(0.0).sqrt();
        Ok(Direction { scaled, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_spoken_for_by_the_nearest_checkpoint() {
        let checkpoints = [10, 20, 40];
        let near = |step| nearest(&checkpoints, step);
        assert_eq!([1, 14, 15, 16, 30, 31, 50].map(near), [10, 10, 20, 20, 40, 40, 40]);
    }

    #[test]
    fn checkpoints_are_chosen_from_the_first_to_the_last() {
        let steps = [15, 30, 45, 60, 75];
        assert_eq!(evenly(&steps, 1), [15]);
        assert_eq!(evenly(&steps, 2), [15, 75]);
        assert_eq!(evenly(&steps, 3), [15, 45, 75]);
        assert_eq!(evenly(&steps, 9), steps);
        assert_eq!(evenly(&steps[..1], 3), [15]);
    }

    #[test]
    fn a_dot_product_keeps_small_rows() {
        let one = vec![1.0_f32; 3_000_000];
        assert!((dot(&one, &vec![1e-7; 3_000_000]) - 0.3).abs() < 1e-6);
    }
}
