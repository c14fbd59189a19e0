//! A decoder as data: what the table and a configuration say together.

use rtune_kernels::activation::Activation;
use rtune_kernels::route::Choice;

use super::frequencies;
use super::row::{Family, MlpNames, Names, ProjectionNames};
use crate::ModelConfig;

/// A decoder as data.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderSpec {
    /// What the checkpoint calls its parts.
    pub names: Names,
    /// Rows of the embedding.
    pub vocabulary: usize,
    /// Width of the residual.
    pub width: usize,
    /// What each block is made of.
    pub blocks: Vec<BlockSpec>,
    /// Whether the head is the embedding.
    pub tied_head: bool,
    /// What the norms compute.
    pub norm: NormKind,
    /// Added to the mean square in a norm.
    pub norm_epsilon: f64,
    /// Factor on the embedding.
    pub embedding_scale: f64,
    /// Factor on noise that is added to the embedding: that part of [`Self::embedding_scale`] which stands behind it in the family's
    /// own code (Granite's; Gemma's is within the embedding).
    pub noise_scale: f64,
    /// What the logits are divided by.
    pub logit_divisor: f64,
    /// Logits `z` become `cap * tanh(z / cap)`.
    pub logit_cap: Option<f64>,
    /// The rotations that blocks refer to.
    pub ropes: Vec<RopeSpec>,
}

/// What a norm computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// RMSNorm.
    Rms,
    /// RMSNorm whose weights are kept less one.
    RmsPlusOne,
    /// LayerNorm with a bias.
    Layer,
}

/// Norms on queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKeyNorm {
    /// None.
    None,
    /// Over each head.
    Head,
    /// Over all heads together.
    Whole,
}

/// How queries, keys and values stand in one matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// All queries, all keys, all values.
    Blocks,
    /// For each key-value head its queries, its key and its value.
    KeyValueHeads,
}

/// Angles a position, for each pair of a head's first elements.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeSpec {
    /// Radians a position.
    pub frequencies: Vec<f32>,
    /// Factor on cosines and sines.
    pub scale: f64,
    /// Documents of more tokens than this turn by these frequencies, all their tokens.
    pub long: Option<(usize, Vec<f32>)>,
}

/// A block as data: attention and an MLP, each added to the residual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockSpec {
    /// Width of the residual.
    pub width: usize,
    /// Where norms stand.
    pub norms: NormPlaces,
    /// Whether the MLP reads what attention read, and both are added at once.
    pub parallel: bool,
    /// Factor on what is added to the residual.
    pub residual_scale: f64,
    /// Attention.
    pub attention: AttentionSpec,
    /// The MLP.
    pub mlp: MlpSpec,
}

/// Where norms stand in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormPlaces {
    /// Before attention.
    pub attention: bool,
    /// Behind attention.
    pub attention_out: bool,
    /// Before the MLP.
    pub mlp: bool,
    /// Behind the MLP.
    pub mlp_out: bool,
}

/// Attention as data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionSpec {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements of one head.
    pub head_width: usize,
    /// Factor on the scores.
    pub scale: f64,
    /// Scores `s` become `cap * tanh(s / cap)`.
    pub cap: Option<f64>,
    /// The most tokens that one sees.
    pub window: Option<usize>,
    /// Which of the decoder's rotations; `None`: none.
    pub rope: Option<usize>,
    /// Whether queries, keys and values are one matrix.
    pub joint: Option<Joint>,
    /// Whether the projections of its input have biases.
    pub input_bias: bool,
    /// Whether the projection of its output has a bias.
    pub output_bias: bool,
    /// Norms on queries and keys.
    pub query_key_norm: QueryKeyNorm,
}

/// An MLP as data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MlpSpec {
    /// Width inside, of one expert where there are several.
    pub width: usize,
    /// How it reads its input.
    pub shape: MlpShape,
    /// What it does inside.
    pub activation: Activation,
    /// Whether its projections have biases.
    pub bias: bool,
    /// Where it is several.
    pub experts: Option<ExpertsSpec>,
}

/// How an MLP reads its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MlpShape {
    /// Through two matrices, gate and up.
    Gated,
    /// Through gate and up in one matrix.
    FusedGated,
    /// Through one matrix, without a gate.
    Plain,
}

/// Experts as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertsSpec {
    /// How many there are and how they are chosen.
    pub choice: Choice,
}

impl DecoderSpec {
    /// The decoder that a configuration describes; its family was checked when the configuration was read.
    #[must_use]
    pub fn new(config: &ModelConfig) -> Self {
        let (family, differences) = (config.family, &config.differences);
        let embedding = if family.scaled_embedding { (config.hidden_size as f64).sqrt() } else { 1.0 };
        let mut ropes = vec![frequencies::of(&config.rope, config.head_dim)];
        ropes.extend(differences.local_rope.as_ref().map(|rope| frequencies::of(rope, config.head_dim)));
        Self {
            names: family.names,
            vocabulary: config.vocab_size,
            width: config.hidden_size,
            blocks: (0..config.num_hidden_layers).map(|layer| block(config, layer)).collect(),
            tied_head: config.tie_word_embeddings,
            norm: family.norm,
            norm_epsilon: config.rms_norm_eps,
            embedding_scale: embedding * differences.embedding_multiplier,
            noise_scale: differences.embedding_multiplier,
            logit_divisor: differences.logits_scaling,
            logit_cap: differences.logit_cap,
            ropes,
        }
    }

    /// Whether documents that begin alike may share what is computed of that. Where long documents are turned otherwise from
    /// their first token on, they may not.
    #[must_use]
    pub fn shares_prefixes(&self) -> bool {
        self.ropes.iter().all(|rope| rope.long.is_none())
    }

    /// Elements of a token's keys, and of its values, in one block.
    #[must_use]
    pub fn kv_row(&self) -> usize {
        self.blocks.first().map_or(0, |block| block.attention.kv_heads * block.attention.head_width)
    }
}

fn block(config: &ModelConfig, layer: usize) -> BlockSpec {
    let (family, differences) = (config.family, &config.differences);
    let names: &Names = &family.names;
    let kind = differences.layers.get(layer).copied().unwrap_or_default();
    let local = usize::from(kind.window.is_some() && differences.local_rope.is_some());
    let experts = differences.experts.filter(|_| kind.experts);
    let shape = match names.mlp {
        MlpNames::Gated(_) => MlpShape::Gated,
        MlpNames::FusedGated(_) => MlpShape::FusedGated,
        MlpNames::Plain(_) => MlpShape::Plain,
    };
    BlockSpec {
        width: config.hidden_size,
        norms: NormPlaces {
            attention: names.attention_norm.is_some(),
            attention_out: names.attention_out_norm.is_some(),
            mlp: names.mlp_norm.is_some(),
            mlp_out: names.mlp_out_norm.is_some(),
        },
        parallel: differences.parallel_residual,
        residual_scale: differences.residual_multiplier,
        attention: AttentionSpec {
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
            head_width: config.head_dim,
            scale: differences.attention_multiplier.unwrap_or((config.head_dim as f64).powf(-0.5)),
            cap: differences.attention_cap,
            window: kind.window,
            rope: (!kind.without_rope).then_some(local),
            joint: match names.projections {
                ProjectionNames::Split(_) => None,
                ProjectionNames::Fused(_, joint) => Some(joint),
            },
            input_bias: config.attention_bias,
            output_bias: differences.output_bias.unwrap_or(config.attention_bias),
            query_key_norm: family.query_key_norm,
        },
        mlp: MlpSpec {
            width: experts.map_or(config.intermediate_size, |experts| experts.width),
            shape,
            activation: differences.activation,
            bias: config.mlp_bias,
            experts: experts.map(|experts| ExpertsSpec { choice: experts.choice }),
        },
    }
}

impl Family {
    /// Whether blocks may have several MLPs.
    #[must_use]
    pub fn has_experts(&self) -> bool {
        self.names.experts.is_some()
    }
}
