//! How long a run will be and what it will take, by its rows; and how fast, by a step that is tried.

mod probe;

pub use probe::{Probe, probe};
use rayon::prelude::*;
use rtune_data::{DataError, Example, Examples, PackedRow, pack};
use rtune_kernels::attention::prefix_sums;
use rtune_models::outline::Pass;

use crate::config::Config;
use crate::engine::MicroBatch;
use crate::evaluate::asks::Asks;
use crate::memory::RowSizes;
use crate::run::Order;

/// Steps of which the packed rows are looked at one by one; a longer run takes the same rows again in other steps.
const MOST_PACKED_STEPS: u64 = 20_000;
/// Steps that one thread packs at a time.
const STEPS_TOGETHER: usize = 64;

/// A run, as far as its rows decide it.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// Examples that are trained on, and held out.
    pub examples: [usize; 2],
    /// Updates.
    pub steps: u64,
    /// Times that the examples are gone through.
    pub epochs: f64,
    /// Tokens of all steps.
    pub tokens: u64,
    /// Those that are computed: what examples of a step begin with alike is computed once.
    pub computed_tokens: u64,
    /// Those that are learnt.
    pub supervised_tokens: u64,
    /// Tokens of the longest example.
    pub longest_tokens: usize,
    /// Evaluations, that before the first step among them.
    pub evaluations: u64,
    /// Tokens of one evaluation.
    pub evaluation_tokens: u64,
    /// Packed rows and examples, as far as memory is concerned.
    pub sizes: RowSizes,
    /// The examples of the step that has the median number of tokens.
    typical: Vec<usize>,
}

impl Outlook {
    /// Looks at the examples that a run of `config` trains on and is evaluated on, with so many threads; `shares_prefixes`
    /// as [`crate::plan::shares_prefixes`] has it.
    ///
    /// # Errors
    /// Those of reading rows.
    pub fn of(
        rows: &Examples,
        held_out: &[Example],
        config: &Config,
        shares_prefixes: bool,
        threads: usize,
        asks: Asks,
    ) -> Result<Self, DataError> {
        let micro_batch = MicroBatch { tokens: config.train.micro_batch_tokens, shares_prefixes };
        let mut order = Order::new(rows, &config.train, config.data.shuffle)?;
        let (mut tokens, mut supervised_tokens, mut unseen_tokens) = (0, 0, 0_u64);
        let supervised: Vec<u64> =
            (0..rows.len()).into_par_iter().map(|row| rows.supervised(row) as u64).collect();
        let mut packed: Vec<Vec<usize>> = Vec::new();
        let mut first_steps: Vec<(usize, Vec<usize>)> = Vec::new();
        let (mut epoch, mut position, mut epochs) = (0, 0, 0.0);
        for step in 0..order.total {
            let (indices, in_epoch) = order.step(epoch, position);
            let of_step: usize = indices.iter().map(|&index| rows.tokens(index)).sum();
            tokens += of_step as u64;
            supervised_tokens += indices.iter().map(|&index| supervised[index]).sum::<u64>();
            if step < MOST_PACKED_STEPS {
                packed.push(indices.to_vec());
            } else {
                unseen_tokens += of_step as u64;
            }
            if epoch == 0 {
                first_steps.push((of_step, indices.to_vec()));
            }
            position += 1;
            epochs += 1.0 / in_epoch.max(1) as f64;
            if position >= in_epoch {
                (epoch, position) = (epoch + 1, 0);
            }
        }
        let (computed, training) = sizes_of(rows, &packed, micro_batch, threads)?;
        // Steps that were not looked at share as much as those that were.
        let seen_tokens = tokens - unseen_tokens;
        let unseen = u128::from(unseen_tokens) * u128::from(computed) / u128::from(seen_tokens.max(1));
        let computed_tokens = computed + unseen as u64;
        first_steps.sort();
        let median = first_steps.len() / 2;
        let typical = first_steps.into_iter().nth(median).map_or_else(Vec::new, |(_, indices)| indices);
        let validation: Vec<&Example> = held_out.iter().collect();
        let mut evaluation = Vec::new();
        add_passes(pack(&validation, config.train.micro_batch_tokens), threads, &mut evaluation);
        let evaluations = match validation.is_empty() && !asks.is_measured() {
            true => 0,
            false => 1 + order.total.div_ceil(config.eval.every.max(1)),
        };
        let longest_held_out = held_out.iter().map(|example| example.tokens.len()).max().unwrap_or(0);
        Ok(Self {
            examples: [rows.len(), validation.len()],
            steps: order.total,
            epochs,
            tokens,
            computed_tokens,
            supervised_tokens,
            longest_tokens: rows.longest_tokens().max(longest_held_out),
            evaluations,
            evaluation_tokens: validation.iter().map(|example| example.tokens.len() as u64).sum(),
            sizes: RowSizes {
                training,
                evaluation,
                asks,
                bytes: rows.held_bytes() + held_out.iter().map(Example::held_bytes).sum::<usize>(),
                vocabulary: None,
            },
            typical,
        })
    }
}

/// The tokens of the packed rows of steps, and those rows that none is larger than in everything.
fn sizes_of(
    rows: &Examples,
    steps: &[Vec<usize>],
    micro_batch: MicroBatch,
    threads: usize,
) -> Result<(u64, Vec<Pass>), DataError> {
    let parts = steps.par_chunks(STEPS_TOGETHER).map(|steps| {
        let (mut tokens, mut passes) = (0, Vec::new());
        for indices in steps {
            let examples = rows.at(indices)?;
            let examples: Vec<&Example> = examples.iter().map(AsRef::as_ref).collect();
            tokens += add_passes(micro_batch.pack(&examples), threads, &mut passes);
        }
        Ok((tokens, passes))
    });
    let (mut tokens, mut passes) = (0, Vec::new());
    for (of_part, found) in parts.collect::<Result<Vec<_>, DataError>>()? {
        tokens += of_part;
        found.into_iter().for_each(|pass| add_pass(pass, &mut passes));
    }
    Ok((tokens, passes))
}

/// Adds the packed rows of a step to those that none is larger than in everything; gives their tokens.
fn add_passes(rows: Vec<PackedRow>, threads: usize, passes: &mut Vec<Pass>) -> u64 {
    let mut tokens = 0;
    for row in rows {
        tokens += row.tokens.len() as u64;
        let pass = Pass {
            tokens: row.tokens.len(),
            supervised: row.supervised.iter().filter(|supervised| **supervised).count(),
            longest: row.longest(),
            prefix_sums: row
                .prefixes()
                .iter()
                .map(|(tokens, examples)| tokens * prefix_sums(*examples))
                .sum(),
            threads,
        };
        add_pass(pass, passes);
    }
    tokens
}

fn add_pass(pass: Pass, passes: &mut Vec<Pass>) {
    let covers = |one: &Pass, other: &Pass| {
        one.tokens >= other.tokens
            && one.supervised >= other.supervised
            && one.longest >= other.longest
            && one.prefix_sums >= other.prefix_sums
    };
    if !passes.iter().any(|known| covers(known, &pass)) {
        passes.retain(|known| !covers(&pass, known));
        passes.push(pass);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rtune_data::Origin;

    use super::*;
    use crate::evaluate::asks::AskSet;

    fn examples(lengths: &[usize]) -> Vec<Example> {
        let row = |(number, &length): (usize, &usize)| Example {
            id: number.to_string(),
            origin: Origin { file: Path::new("a").into(), line: number as u64 + 1 },
            tokens: vec![0; length],
            supervised: (0..length).map(|token| token + 2 >= length).collect(),
        };
        lengths.iter().enumerate().map(row).collect()
    }

    fn rows(lengths: &[usize]) -> Examples {
        examples(lengths).into()
    }

    fn config(extra: &str) -> Config {
        let text = format!("[model]\nbase='m'\n[data]\ntrain='t'\n[output]\ndir='r'\n{extra}\n");
        Config::parse("c.toml", &text, &[]).expect("valid")
    }

    #[test]
    fn steps_and_tokens_are_those_of_the_run() {
        let (rows, held_out) = (rows(&[3, 5, 7, 9, 11, 13, 40]), examples(&[4, 6]));
        let config =
            config("[train]\nepochs = 3\nrows-per-step = 2\nmicro-batch-tokens = 16\n[eval]\nevery = 5\n");
        let outlook = Outlook::of(&rows, &held_out, &config, false, 2, Asks::default()).expect("in memory");
        assert_eq!((outlook.steps, outlook.tokens), (12, 3 * 88));
        assert_eq!(outlook.supervised_tokens, 3 * 7 * 2);
        assert!((outlook.epochs - 3.0).abs() < 1e-9);
        // Before the first step, after 5 and 10, and at the end.
        assert_eq!((outlook.evaluations, outlook.evaluation_tokens), (4, 10));
        assert_eq!((outlook.examples, outlook.longest_tokens), ([7, 2], 40));
        // The longest stands alone; whatever else there is, a row of at most 16 tokens has no more supervised.
        assert_eq!(outlook.sizes.training.iter().map(|pass| pass.tokens).max(), Some(40));
        assert!(outlook.sizes.training.iter().all(|pass| pass.tokens == 40 || pass.tokens <= 16));
        assert_eq!(
            outlook.sizes.evaluation,
            [Pass { tokens: 10, supervised: 4, longest: 6, prefix_sums: 0, threads: 2 }]
        );
    }

    #[test]
    fn half_an_epoch_is_told() {
        let config = config("[train]\nsteps = 2\nrows-per-step = 2\n");
        let outlook =
            Outlook::of(&rows(&[4; 8]), &[], &config, false, 1, Asks::default()).expect("in memory");
        assert!((outlook.epochs - 0.5).abs() < 1e-9);
        assert_eq!((outlook.steps, outlook.tokens, outlook.evaluations), (2, 16, 0));
    }

    /// Without a held-out row too: questions are asked.
    #[test]
    fn questions_make_evaluations() {
        let config = config("[train]\nsteps = 2\nrows-per-step = 2\n[eval]\nevery = 1\n");
        let evaluations =
            |asks| Outlook::of(&rows(&[4; 8]), &[], &config, false, 1, asks).expect("in memory").evaluations;
        let set = |is_measured| AskSet { is_measured, ..AskSet::default() };
        assert_eq!(evaluations(Asks { sets: vec![set(true)] }), 3);
        assert_eq!(evaluations(Asks { sets: vec![set(false)] }), 0, "sample answers are no figure");
    }

    /// A second, on two cores that do other things too; only a wild figure fails.
    #[test]
    fn many_rows_are_looked_at_in_moments() {
        let lengths: Vec<usize> = (0..200_000).map(|row| 40 + row * 7919 % 200).collect();
        let rows = rows(&lengths);
        for (shares, extra) in [(false, ""), (true, "[train]\nepochs = 3\nrows-per-step = 8\n")] {
            let start = std::time::Instant::now();
            let outlook =
                Outlook::of(&rows, &[], &config(extra), shares, 2, Asks::default()).expect("in memory");
            let took = start.elapsed().as_secs_f64();
            assert!(took < 30.0, "{} steps of {} rows: {took} s", outlook.steps, rows.len());
        }
    }
}
