//! A `config.json` for a base that came without one.

use serde_json::{Map, Value, json};

use super::{ModelConfig, Rope, RopeScaling, refuse, rope};
use crate::families::{Bias, FALCON_ONE_NORM, LayerWindows};

/// Llama 3.1's `low_freq_factor` and `high_freq_factor`: Meta and everyone since has used these. The divisors in a GGUF
/// file determine the two and the context only up to a common factor, so one of the three has to be known.
const LLAMA3_LOW: f64 = 1.0;
const LLAMA3_HIGH: f64 = 4.0;
/// Contexts of the training before the scaling that are tried, in tokens: the powers of two between.
const LLAMA3_CONTEXTS: std::ops::RangeInclusive<u32> = 2..=24;
/// How nearly the divisors must follow from the scaling: they were computed in `f64` and rounded to `f32`.
const DIVISOR_TOLERANCE: f64 = 1e-5;

/// Neighbours of a number that are tried for the one whose root is exactly what we have, to each side.
const NEIGHBOURS: i64 = 4;

impl ModelConfig {
    /// The keys of a `config.json` in the manner of transformers 4, which 5 reads too. `dtype` is one of transformers'
    /// names, as in `bfloat16`. [`Self::from_file`] reads them as the same configuration, with the family's first
    /// `model_type`.
    ///
    /// `None` for what transformers 4 has no key for: divisors of rope, which a GGUF file may carry, that are not those of a
    /// Llama 3 scaling, a scaled rope of the layers with a window, heads of Falcon and GPT-NeoX that are not the width's
    /// parts.
    #[must_use]
    pub fn to_json(&self, dtype: &str) -> Option<Value> {
        let mut writer = Writer { config: self, keys: Map::new() };
        writer.sizes(dtype);
        writer.computations();
        writer.windows();
        writer.experts();
        writer.rope()?;
        let is = |model_type: &str| self.family.model_types.contains(&model_type);
        if is("falcon") || is("gpt_neox") {
            // Their classes have no such key: Falcon's refuses it.
            writer.keys.remove("head_dim");
            if self.head_dim * self.num_attention_heads != self.hidden_size {
                return None;
            }
        }
        if is("falcon") {
            writer.falcon();
        }
        writer.keys.sort_keys();
        Some(Value::Object(writer.keys))
    }
}

struct Writer<'a> {
    config: &'a ModelConfig,
    keys: Map<String, Value>,
}

impl Writer<'_> {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.keys.insert(key.to_owned(), value.into());
    }

    /// What every family says.
    fn sizes(&mut self, dtype: &str) {
        let config = self.config;
        self.set("architectures", json!([config.family.architectures[0]]));
        self.set("attention_dropout", 0.0);
        self.set("bos_token_id", config.bos_token_id);
        self.set("eos_token_id", one_or_many(&config.eos_token_ids));
        self.set("head_dim", config.head_dim);
        self.set("hidden_size", config.hidden_size);
        self.set("intermediate_size", config.intermediate_size);
        self.set("max_position_embeddings", config.max_position_embeddings);
        self.set("model_type", config.family.model_types[0]);
        self.set("num_attention_heads", config.num_attention_heads);
        self.set("num_hidden_layers", config.num_hidden_layers);
        self.set("num_key_value_heads", config.num_key_value_heads);
        self.set("pad_token_id", config.pad_token_id);
        self.set("tie_word_embeddings", config.tie_word_embeddings);
        self.set("torch_dtype", dtype);
        self.set("use_cache", true);
        self.set("vocab_size", config.vocab_size);
    }

    /// What the family has keys for.
    fn computations(&mut self) {
        let (config, differences) = (self.config, &self.config.differences);
        let keys = &config.family.keys;
        self.set(keys.epsilon.0, config.rms_norm_eps);
        for key in keys.activation {
            self.set(key, refuse::activation_name(differences.activation));
        }
        let biases = [config.attention_bias, config.attention_bias, config.mlp_bias];
        for (bias, value) in keys.biases.into_iter().zip(biases) {
            self.flag(bias, value);
        }
        self.flag(keys.parallel, differences.parallel_residual);
        let attention = differences.attention_multiplier;
        if keys.multipliers {
            self.set("attention_multiplier", attention.unwrap_or(1.0));
            self.set("embedding_multiplier", differences.embedding_multiplier);
            self.set("logits_scaling", differences.logits_scaling);
            self.set("residual_multiplier", differences.residual_multiplier);
        }
        if let Some(attention) = attention.filter(|_| keys.query_scalar) {
            self.set("query_pre_attn_scalar", scalar_of(attention));
        }
        for (cap, value) in keys.caps.into_iter().zip([differences.attention_cap, differences.logit_cap]) {
            if let Some((key, _)) = cap {
                self.set(key, value);
            }
        }
    }

    fn flag(&mut self, bias: Bias, value: bool) {
        if let Bias::Key(key, _) = bias {
            self.set(key, value);
        }
    }

    /// Windows and rope of single layers.
    fn windows(&mut self) {
        let (config, keys) = (self.config, &self.config.family.keys);
        let layers = config.layers();
        let window = layers.iter().find_map(|layer| layer.window);
        if keys.layers_without_rope {
            let flags: Vec<u8> = layers.iter().map(|layer| u8::from(!layer.without_rope)).collect();
            self.set("no_rope_layers", flags);
        }
        if keys.windows == LayerWindows::Never {
            return;
        }
        self.set("sliding_window", window);
        let (switched, named) = match keys.windows {
            LayerWindows::Never | LayerWindows::All { .. } => (false, false),
            LayerWindows::AllSwitched => (true, false),
            LayerWindows::FromSwitched { .. } | LayerWindows::WithoutRopeSwitched => (true, window.is_some()),
            LayerWindows::AllButEvery { .. } => (false, true),
        };
        if switched {
            self.set("use_sliding_window", window.is_some());
        }
        if named {
            let name = |within| if within { "sliding_attention" } else { "full_attention" };
            let types: Vec<&str> = layers.iter().map(|layer| name(layer.window.is_some())).collect();
            self.set("layer_types", types);
        }
        if matches!(keys.windows, LayerWindows::FromSwitched { .. }) {
            let first = layers.iter().position(|layer| layer.window.is_some());
            self.set("max_window_layers", first.unwrap_or(layers.len()));
        }
    }

    fn experts(&mut self) {
        let (config, keys) = (self.config, &self.config.family.keys);
        let Some(experts) = config.differences.experts else { return };
        self.set(keys.expert_count, experts.choice.experts);
        self.set("num_experts_per_tok", experts.choice.per_token);
        self.set(keys.expert_width, experts.width);
        self.flag(keys.normalized_experts, experts.choice.normalized);
        let single = config.layers().into_iter().enumerate().filter(|(_, layer)| !layer.experts);
        let single: Vec<usize> = single.map(|(number, _)| number).collect();
        if !single.is_empty() || keys.expert_width != "intermediate_size" {
            self.set("decoder_sparse_step", 1);
            self.set("mlp_only_layers", single);
        }
    }

    fn rope(&mut self) -> Option<()> {
        let (config, keys) = (self.config, &self.config.family.keys);
        let rope = &config.rope;
        self.set(keys.theta.0, rope.theta);
        if let Some((key, _)) = keys.rotary_fraction {
            self.set(key, rope.fraction);
        } else if rope.fraction != 1.0 {
            return None;
        }
        // GPT-NeoX has older names than others for the first of them.
        for (old, new) in keys.renamed.iter().filter(|(_, new)| *new == keys.theta.0) {
            if let Some(value) = self.keys.get(*new).cloned() {
                self.set(old, value);
            }
        }
        let scaling = self.scaling()?;
        self.set("rope_scaling", scaling);
        match (&config.differences.local_rope, keys.local_theta) {
            (None, _) => Some(()),
            (Some(local), Some((key, _))) if *local == Rope::plain(local.theta) => {
                self.set(key, local.theta);
                Some(())
            }
            _ => None,
        }
    }

    fn scaling(&mut self) -> Option<Value> {
        let config = self.config;
        let positions = config.max_position_embeddings as f64;
        Some(match &config.rope.scaling {
            RopeScaling::None => Value::Null,
            RopeScaling::Linear { factor } => json!({"factor": factor, "rope_type": "linear"}),
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => json!({
                "factor": factor, "high_freq_factor": high_freq_factor, "low_freq_factor": low_freq_factor,
                "original_max_position_embeddings": original_max_position_embeddings, "rope_type": "llama3",
            }),
            RopeScaling::Divisors(divisors) => {
                let (factor, context) = llama3_of(divisors, config.rope.theta, config.head_dim)?;
                json!({
                    "factor": factor, "high_freq_factor": LLAMA3_HIGH, "low_freq_factor": LLAMA3_LOW,
                    "original_max_position_embeddings": context, "rope_type": "llama3",
                })
            }
            RopeScaling::Yarn {
                factor,
                attention_factor,
                bounds: [fast, slow],
                original_max_position_embeddings,
                truncate,
            } => {
                let mut keys = json!({
                    "beta_fast": fast, "beta_slow": slow, "factor": factor,
                    "original_max_position_embeddings": original_max_position_embeddings, "rope_type": "yarn",
                });
                if *attention_factor != rope::yarn_factor(*factor, 1.0) {
                    keys["attention_factor"] = json!(attention_factor);
                }
                if !truncate {
                    keys["truncate"] = json!(false);
                }
                keys
            }
            RopeScaling::LongRope { short, long, attention_factor, original_max_position_embeddings } => {
                let original = *original_max_position_embeddings;
                self.set("original_max_position_embeddings", original);
                // The first versions of transformers that know it refuse any other key.
                let mut keys = json!({"long_factor": long, "short_factor": short, "type": "longrope"});
                let factor = positions / original as f64;
                // A GGUF file has 32 bits of it.
                if *attention_factor as f32 != rope::longrope_factor(factor, original) as f32 {
                    keys["attention_factor"] = json!(attention_factor);
                }
                keys
            }
        })
    }

    /// What Falcon says by other means.
    fn falcon(&mut self) {
        let config = self.config;
        let one_norm = config.family == &FALCON_ONE_NORM;
        // With one key head both layouts are the same, and the older one is what every version reads.
        let new = !(one_norm && config.num_key_value_heads == 1);
        self.keys.remove("intermediate_size");
        self.keys.remove("num_key_value_heads");
        self.set("alibi", false);
        self.set("ffn_hidden_size", config.intermediate_size);
        self.set("multi_query", !new);
        self.set("new_decoder_architecture", new);
        self.set("num_kv_heads", config.num_key_value_heads);
        if new {
            self.set("num_ln_in_parallel_attn", if one_norm { 1 } else { 2 });
        }
        self.set("parallel_attn", true);
    }
}

/// The number whose power of minus one half is this; a whole one as such, since transformers wants it so.
fn scalar_of(power: f64) -> Value {
    let close = power.powi(-2);
    let gives = |number: &f64| number.powf(-0.5) == power;
    if let Some(whole) = Some(close.round()).filter(|whole| gives(whole) && *whole < f64::from(u32::MAX)) {
        return json!(whole as u32);
    }
    let neighbour = |step: i64| f64::from_bits(close.to_bits().saturating_add_signed(step));
    json!((-NEIGHBOURS..=NEIGHBOURS).map(neighbour).find(gives).unwrap_or(close))
}

/// A token id, a list of several, or null.
fn one_or_many(ids: &[u32]) -> Value {
    match ids {
        [] => Value::Null,
        [id] => json!(id),
        ids => json!(ids),
    }
}

/// Factor and context of the Llama 3 scaling that gives these divisors.
fn llama3_of(divisors: &[f32], theta: f64, head_dim: usize) -> Option<(f64, u64)> {
    let factor = f64::from(divisors.iter().copied().fold(1.0, f32::max));
    let follows = |context: f64| {
        divisors.iter().enumerate().all(|(index, &found)| {
            let wavelength = std::f64::consts::TAU * theta.powf(2.0 * index as f64 / head_dim as f64);
            let expected = llama3_divisor(wavelength, factor, context, [LLAMA3_LOW, LLAMA3_HIGH]);
            (f64::from(found) - expected).abs() <= DIVISOR_TOLERANCE * expected
        })
    };
    LLAMA3_CONTEXTS
        .map(|power| 1_u64 << power)
        .find(|&context| follows(context as f64))
        .map(|context| (factor, context))
}

/// What a frequency of this wavelength is divided by, as llama.cpp's converter computes it; `low` and `high` are
/// `low_freq_factor` and `high_freq_factor`.
pub(crate) fn llama3_divisor(wavelength: f64, factor: f64, context: f64, [low, high]: [f64; 2]) -> f64 {
    if wavelength < context / high {
        1.0
    } else if wavelength > context / low {
        factor
    } else {
        let smooth = (context / wavelength - low) / (high - low);
        1.0 / ((1.0 - smooth) / factor + smooth)
    }
}

#[cfg(test)]
mod tests;
