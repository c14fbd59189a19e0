//! A step that is tried, so that the time of a run is known before it begins.

use std::sync::Arc;
use std::time::Instant;

use rtune_data::{Example, pack};

use super::Outlook;
use crate::adapter::{self, Attached};
use crate::config::Config;
use crate::dist::Alone;
use crate::engine::{Engine, EngineOptions, MicroBatch};
use crate::error::TrainerError;
use crate::evaluate::watch::Watch;
use crate::inputs::Inputs;
use crate::noise::Noise;
use crate::optimizer::Optimizer;
use crate::plan;
use crate::run::Exam;
use crate::subject::quantization;
use crate::talk::{Model, Speaker};

/// Tokens of rows that are tried at most: enough for the rate of products, few enough to wait for.
const MOST_TOKENS: usize = 4096;
/// How often the step is tried after one that takes memory; the median counts, as a run has quick steps and slow ones.
const TIMES: usize = 3;

/// How fast a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Seconds that reading the base took.
    pub load_s: f64,
    /// Seconds of a step's gradient for each of its tokens.
    pub token_s: f64,
    /// Seconds of a step's update, however many tokens it has.
    pub update_s: f64,
    /// Tokens of the step that was tried.
    pub step_tokens: usize,
    /// Seconds of an evaluation for each of its tokens.
    pub evaluation_token_s: f64,
    /// Seconds of the questions of an evaluation: of that before the first step, whose answers are taken to be as long as they may
    /// be, and of each later one, whose answers are taken to be as long as the expected ones.
    pub asking_s: [f64; 2],
}

impl Probe {
    /// Seconds of a whole run: the base, all steps, all evaluations with their questions. Checkpoints are not in it.
    #[must_use]
    pub fn run_s(&self, outlook: &Outlook) -> f64 {
        let gradients_s = outlook.tokens as f64 * self.token_s;
        self.load_s + gradients_s + outlook.steps as f64 * self.update_s + self.evaluations_s(outlook)
    }

    /// Tokens a second of the step that was tried.
    #[must_use]
    pub fn tokens_per_s(&self) -> f64 {
        1.0 / (self.token_s + self.update_s / self.step_tokens.max(1) as f64)
    }

    /// Seconds of all evaluations.
    #[must_use]
    pub fn evaluations_s(&self, outlook: &Outlook) -> f64 {
        let read = (outlook.evaluations * outlook.evaluation_tokens) as f64 * self.evaluation_token_s;
        let [first_s, later_s] = self.asking_s;
        match outlook.evaluations {
            0 => read,
            all => read + first_s + (all - 1) as f64 * later_s,
        }
    }
}

/// Trains on a step of a typical number of tokens, asks some questions, and forgets what it learnt. `config` is resolved; `progress` hears of the base's tensors.
///
/// # Errors
/// Those of the base and the adapters.
pub fn probe(
    config: &Config,
    inputs: &Inputs,
    outlook: &Outlook,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Probe, TrainerError> {
    let Inputs { base, prepared, .. } = inputs;
    let start = Instant::now();
    let (mut decoder, _) = base.decoder(quantization(config), progress)?;
    let Attached { shape, parameters, .. } = adapter::attach(&mut decoder, base, config, None)?;
    let load_s = start.elapsed().as_secs_f64();
    let (seed, neftune_alpha) = (config.train.seed, config.train.neftune_alpha);
    let noise = (shape.is_some_and(|shape| shape.dropout > 0.0) || neftune_alpha > 0.0)
        .then_some(Noise { seed, neftune_alpha });
    let policy = plan::policy(config.train.save_activations);
    let shares_prefixes = plan::shares_prefixes(config, decoder.spec())?;
    let micro_batch = MicroBatch { tokens: config.train.micro_batch_tokens, shares_prefixes };
    let mut engine = Engine::new(decoder, parameters, EngineOptions { policy, micro_batch, noise });
    let mut optimizer = Optimizer::new(&config.train, engine.parameters().flat().len());
    let read = prepared.train.at(&outlook.typical)?;
    let rows = within(read.iter().map(AsRef::as_ref));
    let tokens: usize = rows.iter().map(|row| row.tokens.len()).sum();
    let (mut gradients_s, mut updates_s) = (Vec::new(), Vec::new());
    for step in 0..=TIMES {
        let start = Instant::now();
        engine.differentiate(&rows, step as u64 + 1, &mut Alone)?;
        let update = Instant::now();
        let norm = engine.gradient_norm(&optimizer)?;
        engine.update(&mut optimizer, norm, config.train.learning_rate, step as u64 + 1)?;
        if step > 0 {
            gradients_s.push((update - start).as_secs_f64());
            updates_s.push(update.elapsed().as_secs_f64());
        }
    }
    let held_out = within(prepared.validation.iter());
    let start = Instant::now();
    for row in pack(&held_out, config.train.micro_batch_tokens) {
        engine.score(&row)?;
    }
    let scored: usize = held_out.iter().map(|row| row.tokens.len()).sum();
    let evaluation_token_s = start.elapsed().as_secs_f64() / scored.max(1) as f64;
    engine.rest();
    let asking_s = asking(&Exam::new(config, inputs)?, inputs, &engine)?;
    Ok(Probe {
        load_s,
        token_s: median(gradients_s) / tokens.max(1) as f64,
        update_s: median(updates_s),
        step_tokens: tokens,
        evaluation_token_s,
        asking_s,
    })
}

/// The one in the middle, of an odd number.
fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
}

/// [`Probe::asking_s`]: what a batch of every set takes.
fn asking(exam: &Exam<'_>, inputs: &Inputs, engine: &Engine) -> Result<[f64; 2], TrainerError> {
    let model = Model {
        base: &inputs.base,
        template: Some(&inputs.template),
        decoder: engine.decoder(),
        parameters: engine.parameters().flat(),
        untrained: &[],
        tuned: true,
        voice: None,
    };
    let watched: Vec<&Watch> = exam.golden.iter().chain(&exam.general).collect();
    let mut all = [0.0; 2];
    let mut add = |seconds: [f64; 2]| all.iter_mut().zip(seconds).for_each(|(all, seconds)| *all += seconds);
    let positions = inputs.base.config.max_position_embeddings;
    for watch in watched {
        let speaker = Speaker::of(model, Arc::clone(&exam.wording));
        add(watch.asks(positions).seconds(&watch.timed(&speaker)?));
    }
    if let Some(samples) = &exam.samples {
        add(samples.asks().seconds(&samples.timed(&model)?));
    }
    Ok(all)
}

/// As many as have [`MOST_TOKENS`] together, at least one.
fn within<'a>(rows: impl Iterator<Item = &'a Example>) -> Vec<&'a Example> {
    let mut tokens = 0;
    let taken = rows.take_while(|row| {
        let first = tokens == 0;
        tokens += row.tokens.len();
        first || tokens <= MOST_TOKENS
    });
    taken.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::asks::Asks;

    #[test]
    fn updates_go_by_steps_and_gradients_by_tokens() {
        assert_eq!(median(vec![5.0, 1.0, 2.0]), 2.0);
        let probe = Probe {
            load_s: 7.0,
            token_s: 0.5,
            update_s: 3.0,
            step_tokens: 6,
            evaluation_token_s: 0.25,
            asking_s: [11.0, 5.0],
        };
        let text = "[model]\nbase='m'\n[data]\ntrain='t'\n[output]\ndir='r'\n[train]\nsteps=4\nrows-per-step=2\n[eval]\nevery=2\n";
        let config = Config::parse("c.toml", text, &[]).expect("valid");
        let example = Example {
            id: String::new(),
            origin: rtune_data::Origin { file: std::path::Path::new("a").into(), line: 1 },
            tokens: vec![0; 3],
            supervised: vec![true; 3],
        };
        let held_out = std::slice::from_ref(&example);
        let outlook =
            Outlook::of(&vec![example.clone(); 2].into(), held_out, &config, false, 1, Asks::default())
                .expect("in memory");
        assert_eq!((outlook.steps, outlook.tokens, outlook.evaluations), (4, 24, 3));
        assert_eq!(probe.evaluations_s(&outlook), 3.0 * 3.0 * 0.25 + 11.0 + 2.0 * 5.0);
        assert_eq!(probe.run_s(&outlook), 7.0 + 24.0 * 0.5 + 4.0 * 3.0 + probe.evaluations_s(&outlook));
        assert_eq!(probe.tokens_per_s(), 6.0 / (6.0 * 0.5 + 3.0));
    }
}
