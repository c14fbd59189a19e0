//! Floating-point operations of a step, counted by what its products do: a multiplication with an addition is two.

use rtune_adapters::linear::Linear;
use rtune_data::PackedRow;
use rtune_models::{Decoder, Keep, SavePolicy};

/// Operations of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// What the gradients need: each product once.
    pub useful: f64,
    /// What is computed, with what is computed anew for the backward pass.
    pub executed: f64,
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.useful += other.useful;
        self.executed += other.executed;
    }
}

/// Products of attention for each pair of a query and a key: scores and sums of values forward; the gradients of queries, keys,
/// values and weights backward, for which the scores are computed anew.
const ATTENTION_FORWARD: f64 = 2.0;
const ATTENTION_BACKWARD: f64 = 4.0;
const ATTENTION_ANEW: f64 = 1.0;

/// Operations of a forward and a backward pass over a packed row.
#[must_use]
pub fn of_row(decoder: &Decoder, row: &PackedRow, policy: SavePolicy) -> Work {
    let spec = decoder.spec();
    let tokens = row.tokens.len() as f64;
    let supervised = row.supervised.iter().skip(1).filter(|supervised| **supervised).count() as f64;
    let (mut forward, mut backward) = (0.0, 0.0);
    let mut is_below_adapters = true;
    for linear in decoder.linears() {
        let share = share_of_tokens(decoder, linear);
        let sizes = (linear.in_features() + linear.out_features()) as f64;
        let matrix = (linear.in_features() * linear.out_features()) as f64;
        let rank = linear.lora.as_ref().map_or(0.0, |lora| lora.rank as f64);
        forward += share * (matrix + rank * sizes);
        // Below the first trained matrix nothing wants a gradient, and its own input does not either.
        if !is_below_adapters {
            backward += share * matrix;
        }
        is_below_adapters &= !linear.is_trained();
        backward += share * 2.0 * rank * sizes;
    }
    let (mut forward, backward) = (2.0 * tokens * forward, 2.0 * tokens * backward);
    let mut attention = 0.0;
    for block in &spec.blocks {
        let width = (block.attention.heads * block.attention.head_width) as f64;
        let seen = row.segments.iter().map(|segment| {
            let before =
                segment.parent.map_or(0, |parent| row.segments[parent].end - row.segments[parent].start);
            let window = block.attention.window;
            pairs(before + segment.end - segment.start, window) - pairs(before, window)
        });
        attention += 2.0 * width * seen.sum::<f64>();
    }
    forward += ATTENTION_FORWARD * attention;
    let head = 4.0 * supervised * (spec.vocabulary * spec.width) as f64;
    let useful = forward + backward + ATTENTION_BACKWARD * attention + head;
    let blocks = spec.blocks.len();
    let lowest = decoder.lowest_trained().unwrap_or(blocks);
    let anew = |&block: &usize| matches!(policy.keep(block, blocks, lowest), Keep::Input | Keep::InputAside);
    let again = forward * (0..blocks).filter(anew).count() as f64 / blocks.max(1) as f64;
    Work { useful, executed: useful + ATTENTION_ANEW * attention + again }
}

/// The share of all tokens that go through a linear: one of many experts sees few.
fn share_of_tokens(decoder: &Decoder, linear: &Linear) -> f64 {
    let experts = decoder.spec().blocks.iter().find_map(|block| block.mlp.experts);
    match experts.filter(|_| linear.is_only_by_name()) {
        Some(experts) => experts.choice.per_token as f64 / experts.choice.experts as f64,
        None => 1.0,
    }
}

/// Pairs of a query and a key that it sees, in a document of so many tokens.
fn pairs(tokens: usize, window: Option<usize>) -> f64 {
    let seen = window.unwrap_or(tokens).min(tokens) as f64;
    let tokens = tokens as f64;
    seen * (seen + 1.0) / 2.0 + (tokens - seen) * seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_sees_itself_and_what_is_before_it_in_its_window() {
        assert_eq!(pairs(4, None), 10.0);
        assert_eq!(pairs(4, Some(2)), 1.0 + 2.0 + 2.0 + 2.0);
        assert_eq!(pairs(3, Some(9)), 6.0);
    }
}
