//! What training disturbs its passes with: a key for every token, from which all draws for it follow.

use std::collections::BTreeMap;

use rand_core::Rng;
use rtune_data::{PackedRow, stream};
use rtune_models::RowNoise;

/// What a run's passes are disturbed with.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    /// What every draw comes from.
    pub seed: u64,
    /// Of the noise on the embeddings; 0 is none.
    pub neftune_alpha: f64,
}

/// The keys of one step's tokens. A key follows from the seed, the step, the example and the token's place in it, so that
/// neither packing nor a stop on the way changes what is drawn.
#[derive(Debug)]
pub struct StepNoise {
    noise: Noise,
    step: u64,
    /// How often an example stood in the step so far: one that counts more stands there several times.
    seen: BTreeMap<String, u64>,
}

impl StepNoise {
    /// For the update `step`, from 1.
    #[must_use]
    pub fn new(noise: Noise, step: u64) -> Self {
        Self { noise, step, seen: BTreeMap::new() }
    }

    /// The keys of a row's tokens, `[T]`.
    pub fn keys(&mut self, row: &PackedRow) -> Vec<u64> {
        let mut keys_t = Vec::with_capacity(row.tokens.len());
        for segment in &row.segments {
            let seen = self.seen.entry(segment.row_id.clone()).or_default();
            let mut random =
                stream(self.noise.seed, "noise", &format!("{seen} {}", segment.row_id), self.step);
            *seen += 1;
            keys_t.extend((segment.start..segment.end).map(|_| random.next_u64()));
        }
        keys_t
    }

    /// The noise of a row whose tokens have these keys.
    #[must_use]
    pub fn of<'a>(&self, keys_t: &'a [u64]) -> RowNoise<'a> {
        RowNoise { keys_t, neftune_alpha: self.noise.neftune_alpha }
    }
}

#[cfg(test)]
mod tests {
    use rtune_data::Segment;

    use super::*;

    fn row(ids: &[&str]) -> PackedRow {
        let segment = |(index, id): (usize, &&str)| Segment {
            start: 3 * index,
            end: 3 * index + 3,
            parent: None,
            row_id: (*id).to_owned(),
        };
        let tokens = vec![0; 3 * ids.len()];
        let (positions, supervised) = (tokens.clone(), vec![false; tokens.len()]);
        PackedRow { tokens, positions, supervised, segments: ids.iter().enumerate().map(segment).collect() }
    }

    #[test]
    fn keys_follow_an_example_and_not_its_place_in_a_row() {
        let new = |seed, step| StepNoise::new(Noise { seed, neftune_alpha: 0.0 }, step);
        let keys = new(1, 2).keys(&row(&["a", "b"]));
        let mut other = new(1, 2);
        assert_eq!(other.keys(&row(&["b"])), keys[3..]);
        assert_eq!(other.keys(&row(&["a"])), keys[..3]);
        assert_ne!(other.keys(&row(&["a"])), keys[..3], "the same example once more");
        assert_ne!(new(1, 3).keys(&row(&["a"])), keys[..3]);
        assert_ne!(new(2, 2).keys(&row(&["a"])), keys[..3]);
    }
}
