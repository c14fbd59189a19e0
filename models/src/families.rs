//! The families as data: what a checkpoint calls its tensors, and what its blocks are made of.
//!
//! One decoder serves them all; a family is a row here.

use crate::{ModelConfig, RopeScaling};

/// What a family calls the parts of its checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// The embedding, without `.weight`.
    pub embedding: &'static str,
    /// What stands before the number of a block.
    pub blocks: &'static str,
    /// The norm before attention.
    pub attention_norm: &'static str,
    /// The projections of attention: query, key, value, output.
    pub attention: [&'static str; 4],
    /// The norm before the MLP.
    pub mlp_norm: &'static str,
    /// The projections of the gated MLP: gate, up, down.
    pub mlp: [&'static str; 3],
    /// The norm behind the last block.
    pub final_norm: &'static str,
    /// The head, where it is not the embedding.
    pub head: &'static str,
    /// Ends of names that older checkpoints carry and that hold nothing to load.
    pub ignored: &'static [&'static str],
}

/// Llama 2 and 3, SmolLM 1 and 2, Yi, DeepSeek-LLM.
const LLAMA: Names = Names {
    embedding: "model.embed_tokens",
    blocks: "model.layers",
    attention_norm: "input_layernorm",
    attention: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"],
    mlp_norm: "post_attention_layernorm",
    mlp: ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"],
    final_norm: "model.norm",
    head: "lm_head",
    ignored: &[".rotary_emb.inv_freq"],
};

/// A decoder as data.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderSpec {
    /// What the checkpoint calls its parts.
    pub names: Names,
    /// Rows of the embedding.
    pub vocabulary: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Whether the head is the embedding.
    pub tied_head: bool,
    /// What every block is made of.
    pub block: BlockSpec,
    /// Radians a position, for each pair of a head's elements.
    pub rope_frequencies: Vec<f32>,
}

/// A block as data: pre-norm attention, then a pre-norm gated MLP, each added to the residual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockSpec {
    /// Width of the residual.
    pub width: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements of one head.
    pub head_width: usize,
    /// Width inside the MLP.
    pub mlp_width: usize,
    /// Added to the mean square in a norm.
    pub norm_epsilon: f64,
    /// Factor on the attention scores.
    pub attention_scale: f64,
    /// Whether the projections of attention have biases.
    pub attention_bias: bool,
    /// Whether the projections of the MLP have biases.
    pub mlp_bias: bool,
}

impl DecoderSpec {
    /// The decoder that a configuration describes; its family was checked when the configuration was read.
    #[must_use]
    pub fn new(config: &ModelConfig) -> Self {
        Self {
            names: LLAMA,
            vocabulary: config.vocab_size,
            blocks: config.num_hidden_layers,
            tied_head: config.tie_word_embeddings,
            block: BlockSpec {
                width: config.hidden_size,
                heads: config.num_attention_heads,
                kv_heads: config.num_key_value_heads,
                head_width: config.head_dim,
                mlp_width: config.intermediate_size,
                norm_epsilon: config.rms_norm_eps,
                attention_scale: (config.head_dim as f64).powf(-0.5),
                attention_bias: config.attention_bias,
                mlp_bias: config.mlp_bias,
            },
            rope_frequencies: rope_frequencies(config),
        }
    }
}

/// As transformers computes them (`modeling_rope_utils.py`), in `f32` like it.
fn rope_frequencies(config: &ModelConfig) -> Vec<f32> {
    let width = config.head_dim as f32;
    let plain =
        (0..config.head_dim / 2).map(|i| 1.0 / (config.rope.theta as f32).powf(2.0 * i as f32 / width));
    match &config.rope.scaling {
        RopeScaling::None => plain.collect(),
        RopeScaling::Linear { factor } => plain.map(|f| f / *factor as f32).collect(),
        RopeScaling::Divisors(divisors) => plain.zip(divisors).map(|(f, d)| f / d).collect(),
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        } => {
            let (factor, low, high) = (*factor as f32, *low_freq_factor as f32, *high_freq_factor as f32);
            let context = *original_max_position_embeddings as f32;
            plain.map(|f| llama3_frequency(f, factor, low, high, context)).collect()
        }
    }
}

/// Long waves are slowed by `factor`, short ones stay, those between are interpolated.
fn llama3_frequency(frequency: f32, factor: f32, low: f32, high: f32, context: f32) -> f32 {
    let wavelength = 2.0 * std::f32::consts::PI / frequency;
    if wavelength > context / low {
        frequency / factor
    } else if wavelength < context / high {
        frequency
    } else {
        let smooth = (context / wavelength - low) / (high - low);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}
