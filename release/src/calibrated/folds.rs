//! Where the scales of channels go: into what makes these channels, so that the model stays the one it is.

use rtune_models::families::{MlpShape, NormKind};
use rtune_models::{DecoderSpec, Readers, StagedBlock};

/// What makes the channels that some linears of a block read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    /// Weight and bias of a norm, by its name in the checkpoint.
    Norm(String),
    /// Rows of another linear of the block, from `first` on.
    Rows {
        /// Its number among the linears.
        linear: usize,
        first: usize,
        shared: Shared,
    },
}

/// Which channels one row makes: a value head is read by several query heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shared {
    /// Heads that read the same.
    pub(super) heads: usize,
    /// Channels of a head.
    pub(super) width: usize,
}

impl Shared {
    /// The row that makes a channel.
    pub(super) fn row(self, channel: usize) -> usize {
        channel / (self.heads * self.width) * self.width + channel % self.width
    }
}

/// What makes the channels that `readers` of a block read, where scales can be put into it: a norm that nothing else reads, or
/// rows that become the channels by sums and products alone.
pub(super) fn fold(spec: &DecoderSpec, index: usize, block: &StagedBlock, readers: Readers) -> Option<Fold> {
    let (names, of) = (&spec.names, spec.blocks[index]);
    let alone = names.attention_norm != names.mlp_norm;
    let norm = |part: Option<&str>| {
        part.filter(|_| alone).map(|part| Fold::Norm(format!("{}.{index}.{part}", names.blocks)))
    };
    match readers {
        Readers::Projections => norm(names.attention_norm),
        Readers::MlpInputs => norm(names.mlp_norm),
        Readers::Output => {
            let values = block.readers(Readers::Projections).nth(2)?;
            let attention = of.attention;
            let heads = attention.heads / attention.kv_heads;
            let shared = Shared { heads, width: attention.head_width };
            attention.joint.is_none().then_some(Fold::Rows { linear: values, first: 0, shared })
        }
        Readers::Down => {
            let shared = Shared { heads: 1, width: of.mlp.width };
            let inputs = block.readers(Readers::MlpInputs);
            match of.mlp.shape {
                MlpShape::Gated => Some(Fold::Rows { linear: inputs.start + 1, first: 0, shared }),
                MlpShape::FusedGated => {
                    Some(Fold::Rows { linear: inputs.start, first: of.mlp.width, shared })
                }
                // What comes out of an activation has no scale that goes through it.
                MlpShape::Plain => None,
            }
        }
    }
}

/// Scales that a vector of the model is divided by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Divisor {
    /// The first element that is divided.
    pub(super) first: usize,
    pub(super) scales: Vec<f32>,
    /// Whether the vector is one less than what is divided.
    pub(super) less_one: bool,
}

impl Divisor {
    /// For the weight of a norm.
    pub(super) fn of_norm(spec: &DecoderSpec, scales: Vec<f32>) -> Self {
        Self { first: 0, scales, less_one: spec.norm == NormKind::RmsPlusOne }
    }

    pub(super) fn divide(&self, values: &mut [f32]) {
        let one = if self.less_one { 1.0 } else { 0.0 };
        let values = values[self.first..].iter_mut().zip(&self.scales);
        values.for_each(|(value, scale)| *value = (*value + one) / scale - one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_that_read_one_value_head_share_its_rows() {
        let shared = Shared { heads: 3, width: 2 };
        let rows: Vec<usize> = (0..12).map(|channel| shared.row(channel)).collect();
        assert_eq!(rows, [0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3]);
        let alone = Shared { heads: 1, width: 4 };
        assert!((0..8).all(|channel| alone.row(channel) == channel));
    }

    #[test]
    fn norms_that_are_kept_less_one_are_divided_whole() {
        let divisor = Divisor { first: 1, scales: vec![2.0, 4.0], less_one: true };
        let mut values = [5.0, 3.0, 1.0];
        divisor.divide(&mut values);
        assert_eq!(values, [5.0, 1.0, -0.5]);
    }
}
