//! Weights that are made on the spot: for measuring a shape that is not on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{HostTensor, Piece, Precision, Take, WeightSource};
use crate::{DecoderSpec, ModelError};

/// Elements of a piece.
const PIECE: usize = 1 << 20;
/// SplitMix64's step (Steele, Lea, Flood 2014).
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// Random matrices of a decoder's shapes, with the variance of a model's start; norms are ones, biases zeros. The same spec has
/// the same weights always.
#[derive(Debug)]
pub struct RandomWeights {
    name: PathBuf,
    /// By name, the shape and a key.
    tensors: BTreeMap<String, (Vec<usize>, u64)>,
}

impl RandomWeights {
    /// Those of `spec`; `name` stands in messages.
    #[must_use]
    pub fn new(name: &str, spec: &DecoderSpec) -> Self {
        let tensors = spec.tensors().into_iter().zip(1_u64..);
        let tensors = tensors.map(|(tensor, number)| (tensor.name, (tensor.shape, mix(number)))).collect();
        Self { name: PathBuf::from(name), tensors }
    }

    fn find(&self, name: &str) -> Result<(&[usize], u64), ModelError> {
        let found = self.tensors.get(name).map(|(shape, key)| (shape.as_slice(), *key));
        found.ok_or_else(|| ModelError::damaged(&self.name, format!("there is no tensor `{name}`")))
    }
}

impl WeightSource for RandomWeights {
    fn path(&self) -> &Path {
        &self.name
    }

    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|(shape, _)| shape.clone())
    }

    fn precision(&self, name: &str) -> Option<Precision> {
        self.tensors.contains_key(name).then_some(Precision::F32)
    }

    fn read(&self, name: &str) -> Result<HostTensor, ModelError> {
        let (shape, key) = self.find(name)?;
        let mut values = vec![0.0; shape.iter().product()];
        let pieces = values.par_chunks_mut(PIECE).enumerate();
        pieces.for_each(|(piece, values)| fill(name, shape, key, piece * PIECE, values));
        Ok(HostTensor::F32(values))
    }

    fn read_pieces(&self, name: &str, take: &Take<'_>) -> Result<(), ModelError> {
        let (shape, key) = self.find(name)?;
        let count: usize = shape.iter().product();
        let pieces = (0..count.div_ceil(PIECE)).into_par_iter();
        let taken: Vec<Result<(), ModelError>> = pieces
            .map(|piece| {
                let start = piece * PIECE;
                let mut values = vec![0.0; PIECE.min(count - start)];
                fill(name, shape, key, start, &mut values);
                take(start, Piece::F32(&values))
            })
            .collect();
        taken.into_iter().collect()
    }
}

/// The elements from `start` on.
fn fill(name: &str, shape: &[usize], key: u64, start: usize, values: &mut [f32]) {
    let [_, columns] = shape else {
        return values.fill(if name.ends_with("bias") { 0.0 } else { 1.0 });
    };
    let bound = (3.0 / *columns as f32).sqrt();
    for (place, value) in (start as u64..).zip(values) {
        let bits = mix(key.wrapping_add(place.wrapping_mul(GAMMA)));
        *value = bound * ((bits >> 40) as f32 / (1_u64 << 23) as f32 - 1.0);
    }
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
