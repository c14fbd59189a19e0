//! Values from figures, each with its reason.

use rtune_data::held_out;
use rtune_models::hub::ALIASES;

use super::Wishes;
use super::look::{Lengths, Look, Parts};

/// Longer rows than this need more memory than most machines give one: they are left out, and counted.
const MOST_TOKENS: usize = 8192;
/// `max-tokens` is rounded up to this, so that a few more words in new data do not exceed it.
const TOKENS_STEP: usize = 256;
/// About what a template adds around the turns of a row.
const TEMPLATE_TOKENS: usize = 64;
/// A step that sees more than a twentieth of the rows makes an epoch of fewer than 20 steps.
const STEPS_PER_EPOCH: usize = 20;
/// More rows in a step smooth the gradient but little.
const MOST_ROWS_PER_STEP: usize = 16;
/// A validation loss over fewer rows wavers too much to choose a checkpoint by.
const LEAST_VALIDATION_ROWS: usize = 8;
/// More rows than this cost time at every evaluation and change the third digit.
const MOST_VALIDATION_ROWS: usize = 200;
/// Evaluations and checkpoints in a run.
const LOOKS_PER_RUN: usize = 5;
/// Below this every layer keeps its input only.
const SMALL_MEMORY_GIB: f64 = 4.0;

/// The value of a key, as TOML, and why.
pub(super) struct Choice {
    pub(super) key: &'static str,
    pub(super) value: String,
    pub(super) why: String,
}

/// All choices that follow from the data and the machine.
pub(super) struct Suggestion {
    pub(super) choices: Vec<Choice>,
}

impl Suggestion {
    pub(super) fn from(look: &Look, parts: &Parts, lengths: Option<&Lengths>, wishes: &Wishes) -> Self {
        let mut choices = Vec::new();
        let mut choose = |key, value: String, why: String| choices.push(Choice { key, value, why });
        let (max_tokens, over_long, why) = limit(look, lengths);
        choose("data.max-tokens", max_tokens.to_string(), why);
        if over_long {
            let why = format!("rows of more than {max_tokens} tokens are left out and counted");
            choose("data.over-long", "\"drop\"".to_owned(), why);
        }
        let (fraction, held_back, train) = validation(look, parts);
        let why = match held_back {
            0 => format!("{train} rows are too few to hold some back"),
            rows => format!("{rows} rows to choose the best checkpoint by, {train} to learn from"),
        };
        choose("data.validation", format!("{fraction:?}"), why);

        let rows_per_step = largest_power_of_two(train / STEPS_PER_EPOCH).min(MOST_ROWS_PER_STEP);
        let per_epoch = train.div_ceil(rows_per_step).max(1);
        let (epochs, size) = match train {
            ..=1_000 => (3, "few"),
            1_001..=10_000 => (2, "some"),
            _ => (1, "many"),
        };
        let steps = epochs * per_epoch;
        choose("train.epochs", epochs.to_string(), format!("{train} rows are {size}: {steps} steps in all"));
        choose("train.rows-per-step", rows_per_step.to_string(), format!("{per_epoch} steps an epoch"));
        let memory = wishes.memory_gib;
        let micro_batch = match memory {
            Some(gib) if gib < SMALL_MEMORY_GIB / 2.0 => 512,
            Some(gib) if gib < SMALL_MEMORY_GIB * 2.0 => 1024,
            _ => 2048,
        };
        let shown = memory.map_or("unknown".to_owned(), |gib| format!("{gib:.1} GiB"));
        choose("train.micro-batch-tokens", micro_batch.to_string(), format!("memory: {shown}"));
        if memory.is_some_and(|gib| gib < SMALL_MEMORY_GIB) {
            choose("train.save-activations", "\"input-only\"".to_owned(), format!("memory: {shown}"));
        }
        if wishes.base == ALIASES[0].name {
            choose("train.learning-rate", "0.001".to_owned(), "small models bear more".to_owned());
        }
        let every = steps.div_ceil(LOOKS_PER_RUN).max(1);
        choose(
            "checkpoint.every",
            every.to_string(),
            format!("{} times in {steps} steps", steps.div_ceil(every)),
        );
        choose("eval.every", every.to_string(), "a checkpoint for every evaluation".to_owned());
        Self { choices }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Choice> {
        self.choices.iter().find(|choice| choice.key == key)
    }
}

/// `max-tokens`, and whether some row may exceed it.
fn limit(look: &Look, lengths: Option<&Lengths>) -> (usize, bool, String) {
    let (longest, most, why) = match lengths {
        Some(Lengths { longest_tokens, context_tokens, .. }) => (
            *longest_tokens,
            MOST_TOKENS.min(*context_tokens),
            format!("the longest row has {longest_tokens} tokens"),
        ),
        None => {
            let bytes = look.longest_bytes() + TEMPLATE_TOKENS;
            (bytes, MOST_TOKENS, format!("the longest row has at most {bytes} tokens"))
        }
    };
    let rounded = longest.max(1).next_multiple_of(TOKENS_STEP);
    // A limit that is only estimated may be exceeded by any tokenizer that is not byte-level.
    (rounded.min(most), longest > most, why)
}

/// The fraction, and the distinct rows that it holds back and leaves.
fn validation(look: &Look, parts: &Parts) -> (f64, usize, usize) {
    let mut seen = std::collections::HashSet::new();
    let rows: Vec<_> = parts.train.iter().map(|&index| &look.records[index]).collect();
    let rows: Vec<_> = rows.into_iter().filter(|row| seen.insert(row.content_hash())).collect();
    let count = |fraction: f64| rows.iter().filter(|row| held_out(row, fraction)).count();
    let tenth = if rows.len() / 10 > MOST_VALIDATION_ROWS {
        // Three digits are enough for a share, and leave at least one row in a hundred thousand.
        ((MOST_VALIDATION_ROWS as f64 / rows.len() as f64) * 1000.0).ceil() / 1000.0
    } else {
        0.1
    };
    let shares = [tenth, 0.15, 0.2, 0.25];
    let enough = |share: &&f64| count(**share) >= LEAST_VALIDATION_ROWS && count(**share) * 2 < rows.len();
    match shares.iter().find(enough) {
        Some(&share) => (share, count(share), rows.len() - count(share)),
        None => (0.0, 0, rows.len()),
    }
}

fn largest_power_of_two(number: usize) -> usize {
    number.checked_ilog2().map_or(1, |exponent| 1 << exponent)
}

#[cfg(test)]
mod tests {
    use super::largest_power_of_two;

    #[test]
    fn powers_of_two_below_a_number() {
        assert_eq!([0, 1, 2, 3, 15, 16, 17].map(largest_power_of_two), [1, 1, 2, 2, 8, 16, 16]);
    }
}
