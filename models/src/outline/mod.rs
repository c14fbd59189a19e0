//! A base before it is read: what its configuration and the headers of its weights say of its size.
//!
//! Nothing here knows a family: shapes are [`DecoderSpec`]'s, how a tensor is held is what [`crate::Decoder::load`] does with
//! it, and tests hold the bytes against decoders that were loaded.

mod answers;
mod passes;
#[cfg(test)]
mod tests;
mod trained;

use std::path::Path;

use rtune_adapters::Weight;

use crate::families::NormKind;
use crate::layout::LinearPart;
use crate::source::{Headers, Stored};
use crate::{DecoderSpec, ModelConfig, ModelError, Precision, Quantization, TensorRole, TensorSpec};

pub use answers::AnswerPass;
pub use passes::{Pass, PassElements};
pub use trained::TrainedOutline;

/// Elements of a linear that are in memory while it is quantised piece by piece: one that is taken and one that is read.
const PIECES_ELEMENTS: usize = 2 << 22;

/// A base, of which configuration and headers were read.
#[derive(Debug)]
pub struct BaseOutline {
    /// What the decoder computes.
    pub config: ModelConfig,
    /// What it is made of.
    pub spec: DecoderSpec,
    /// Whether its headers are a GGUF file's.
    pub is_gguf: bool,
    tensors: Vec<(TensorSpec, Stored)>,
}

/// Numbers of a base, by what they are for; a tied head counts once, as embedding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParameterCounts {
    /// One row a token.
    pub embedding: usize,
    /// Linears of attention.
    pub attention: usize,
    /// Linears of the MLPs of blocks that have one.
    pub mlp: usize,
    /// Linears of all experts.
    pub experts: usize,
    /// Of [`Self::experts`], those that a token goes through.
    pub active_experts: usize,
    /// What chooses among experts.
    pub routers: usize,
    /// Norms and biases.
    pub vectors: usize,
    /// The head, where it is not the embedding.
    pub head: usize,
}

/// A linear of a block, as far as adapters are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinearOutline {
    /// The name in the checkpoint, without `.weight`.
    pub name: String,
    /// Output features.
    pub outputs: usize,
    /// Input features.
    pub inputs: usize,
    /// Whether it is left out where all linears are adapted: one of many experts.
    pub only_by_name: bool,
}

impl ParameterCounts {
    /// All numbers.
    #[must_use]
    pub fn total(&self) -> usize {
        let Self { embedding, attention, mlp, experts, active_experts: _, routers, vectors, head } = *self;
        [attention, mlp, experts, routers, vectors, head].into_iter().fold(embedding, usize::saturating_add)
    }

    /// Numbers that take part in computing a token.
    #[must_use]
    pub fn active(&self) -> usize {
        self.total() - self.experts + self.active_experts
    }
}

/// Bytes of a base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldBytes {
    /// Once it is loaded.
    pub held: usize,
    /// What is in memory besides at some moment while it is loaded.
    pub loading: usize,
}

impl BaseOutline {
    /// Reads `config.json` and the headers of a folder's safetensors files, of which nothing but the headers need be there,
    /// or the header of a `.gguf` file. No tokenizer is needed.
    ///
    /// # Errors
    /// Those of [`crate::open`] that concern configuration and weights; a tensor that is missing or has another shape.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let (config, headers) = Headers::open(path)?;
        let spec = DecoderSpec::new(&config);
        let stored = spec.tensors().into_iter().map(|tensor| {
            let stored = headers.stored(&tensor)?;
            Ok((tensor, stored))
        });
        let tensors = stored.collect::<Result<_, ModelError>>()?;
        Ok(Self { tensors, spec, is_gguf: matches!(headers, Headers::Gguf(_)), config })
    }

    /// A base that is nowhere, of this configuration, with its weights kept as plain numbers of `precision`.
    #[must_use]
    pub fn of_config(config: &ModelConfig, precision: Precision) -> Self {
        let spec = DecoderSpec::new(config);
        let tensors = spec.tensors().into_iter().map(|tensor| (tensor, Stored::Plain(precision))).collect();
        Self { config: config.clone(), spec, is_gguf: false, tensors }
    }

    /// The numbers by their roles.
    #[must_use]
    pub fn parameters(&self) -> ParameterCounts {
        let mut counts = ParameterCounts::default();
        let sum = |parts: &[LinearPart]| parts.iter().map(|part| part.rows * part.columns).sum::<usize>();
        for block in &self.spec.blocks {
            counts.attention += sum(&block.attention_parts(&self.spec.names));
            match self.spec.names.experts.zip(block.mlp.experts) {
                None => counts.mlp += sum(&block.mlp_parts(&self.spec.names)),
                Some((names, experts)) => {
                    let one = sum(&block.expert_parts(&names, 0));
                    counts.experts += experts.choice.experts * one;
                    counts.active_experts += experts.choice.per_token * one;
                }
            }
        }
        for (tensor, _) in &self.tensors {
            let count = elements(tensor);
            match tensor.role {
                TensorRole::Embedding => counts.embedding += count,
                TensorRole::Head => counts.head += count,
                TensorRole::Router => counts.routers += count,
                TensorRole::Vector => counts.vectors += count,
                TensorRole::BlockLinear => {}
            }
        }
        counts
    }

    /// The linears of the blocks, in the order of [`crate::Decoder::linears`].
    #[must_use]
    pub fn linears(&self) -> Vec<LinearOutline> {
        let names = &self.spec.names;
        let mut linears = Vec::new();
        for (index, block) in self.spec.blocks.iter().enumerate() {
            let mut add = |parts: Vec<LinearPart>, only_by_name: bool| {
                linears.extend(parts.into_iter().map(|part| LinearOutline {
                    name: format!("{}.{index}.{}", names.blocks, part.name),
                    outputs: part.rows,
                    inputs: part.columns,
                    only_by_name,
                }));
            };
            add(block.attention_parts(names), false);
            match names.experts.zip(block.mlp.experts) {
                None => add(block.mlp_parts(names), false),
                Some((names, experts)) => {
                    (0..experts.choice.experts)
                        .for_each(|expert| add(block.expert_parts(&names, expert), true));
                }
            }
        }
        linears
    }

    /// What the frozen base takes in memory, held as [`crate::Decoder::load`] holds it.
    #[must_use]
    pub fn held_bytes(&self, quantization: Quantization) -> HeldBytes {
        let mut bytes = HeldBytes::default();
        for (tensor, stored) in &self.tensors {
            let HeldBytes { held, loading } = held(tensor, *stored, quantization);
            bytes.held = bytes.held.saturating_add(held);
            bytes.loading = bytes.loading.max(loading);
        }
        bytes.held += self.shared_norms() * size_of::<f32>();
        bytes
    }

    /// Numbers of norms that attention and MLP share in the checkpoint; the decoder has two of each.
    fn shared_norms(&self) -> usize {
        let names = &self.spec.names;
        if names.attention_norm.is_none() || names.attention_norm != names.mlp_norm {
            return 0;
        }
        let each = if self.spec.norm == NormKind::Layer { 2 } else { 1 };
        self.spec.blocks.iter().map(|block| each * block.width).sum()
    }

    /// Bytes of the keys and values of one token in all blocks, each element of `element_bytes`.
    #[must_use]
    pub fn cache_bytes(&self, element_bytes: usize) -> usize {
        let rows = self.spec.blocks.iter().map(|block| block.attention.kv_heads * block.attention.head_width);
        2 * element_bytes * rows.sum::<usize>()
    }
}

fn elements(tensor: &TensorSpec) -> usize {
    tensor.shape.iter().product()
}

/// What becomes of a tensor, as in `decoder/load.rs`.
fn held(tensor: &TensorSpec, stored: Stored, quantization: Quantization) -> HeldBytes {
    let count = elements(tensor);
    let plain = |precision: Precision| match precision {
        Precision::Bf16 => HeldBytes { held: 2 * count, loading: 0 },
        Precision::F16 => HeldBytes { held: 4 * count, loading: 2 * count },
        Precision::F32 | Precision::Other => HeldBytes { held: 4 * count, loading: 0 },
    };
    match (tensor.role, stored, quantization) {
        (TensorRole::Vector, ..) => HeldBytes { held: 4 * count, loading: 0 },
        (TensorRole::BlockLinear, Stored::Nf4 { size_bytes }, _) => {
            HeldBytes { held: size_bytes, loading: 0 }
        }
        (TensorRole::BlockLinear, stored, Quantization::Nf4 { double }) => HeldBytes {
            held: Weight::quantized_bytes(count, double),
            loading: match stored {
                Stored::Plain(_) => 4 * count.min(PIECES_ELEMENTS),
                _ => 4 * count,
            },
        },
        (TensorRole::BlockLinear, stored, Quantization::Int8) => HeldBytes {
            held: count + tensor.shape[0] * size_of::<f32>(),
            loading: match stored {
                Stored::Plain(precision) => plain(precision).held,
                _ => 4 * count,
            },
        },
        (_, Stored::Plain(precision), _) => plain(precision),
        (_, Stored::Packed | Stored::Nf4 { .. }, _) => plain(Precision::Other),
    }
}
