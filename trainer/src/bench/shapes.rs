//! Shapes of models that are often tuned, by name: their sizes, as the hub's `config.json` has them.

use std::path::Path;

use rtune_models::{ModelConfig, ModelError};
use serde_json::{Value, json};

/// A shape.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// What it is called here.
    pub name: &'static str,
    model_type: &'static str,
    architecture: &'static str,
    hidden: usize,
    mlp: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    head_width: usize,
    vocabulary: usize,
    is_tied: bool,
    rope_theta: f64,
    rms_epsilon: f64,
}

const LLAMA: Shape = Shape {
    name: "llama3-8b",
    model_type: "llama",
    architecture: "LlamaForCausalLM",
    hidden: 4096,
    mlp: 14_336,
    layers: 32,
    heads: 32,
    kv_heads: 8,
    head_width: 128,
    vocabulary: 128_256,
    is_tied: false,
    rope_theta: 5e5,
    rms_epsilon: 1e-5,
};

const QWEN: Shape = Shape {
    name: "qwen2.5-0.5b",
    model_type: "qwen2",
    architecture: "Qwen2ForCausalLM",
    hidden: 896,
    mlp: 4864,
    layers: 24,
    heads: 14,
    kv_heads: 2,
    head_width: 64,
    vocabulary: 151_936,
    is_tied: true,
    rope_theta: 1e6,
    rms_epsilon: 1e-6,
};

/// All shapes, the smallest first.
pub const SHAPES: [Shape; 9] = [
    Shape {
        name: "smollm2-135m",
        hidden: 576,
        mlp: 1536,
        layers: 30,
        heads: 9,
        kv_heads: 3,
        head_width: 64,
        vocabulary: 49_152,
        is_tied: true,
        rope_theta: 1e5,
        ..LLAMA
    },
    QWEN,
    Shape {
        name: "llama3.2-1b",
        hidden: 2048,
        mlp: 8192,
        layers: 16,
        head_width: 64,
        is_tied: true,
        ..LLAMA
    },
    Shape { name: "qwen2.5-1.5b", hidden: 1536, mlp: 8960, layers: 28, heads: 12, head_width: 128, ..QWEN },
    Shape { name: "llama3.2-3b", hidden: 3072, mlp: 8192, layers: 28, heads: 24, is_tied: true, ..LLAMA },
    Shape {
        name: "mistral-7b",
        model_type: "mistral",
        architecture: "MistralForCausalLM",
        vocabulary: 32_768,
        rope_theta: 1e6,
        ..LLAMA
    },
    Shape {
        name: "qwen2.5-7b",
        hidden: 3584,
        mlp: 18_944,
        layers: 28,
        heads: 28,
        kv_heads: 4,
        head_width: 128,
        vocabulary: 152_064,
        is_tied: false,
        ..QWEN
    },
    LLAMA,
    Shape { name: "llama3-70b", hidden: 8192, mlp: 28_672, layers: 80, heads: 64, ..LLAMA },
];

/// The shape of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Shape> {
    SHAPES.iter().find(|shape| shape.name == name)
}

impl Shape {
    /// What stands in its `config.json`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "architectures": [self.architecture],
            "model_type": self.model_type,
            "hidden_act": "silu",
            "hidden_size": self.hidden,
            "intermediate_size": self.mlp,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_width,
            "vocab_size": self.vocabulary,
            "tie_word_embeddings": self.is_tied,
            "rope_theta": self.rope_theta,
            "rms_norm_eps": self.rms_epsilon,
            "max_position_embeddings": 131_072,
            "bos_token_id": 1,
            "eos_token_id": 2,
        })
    }

    /// Its configuration.
    ///
    /// # Errors
    /// Those of [`ModelConfig::from_json`], never in fact.
    pub fn config(&self) -> Result<ModelConfig, ModelError> {
        ModelConfig::from_json(Path::new(self.name), self.to_json())
    }
}

#[cfg(test)]
mod tests {
    use rtune_models::DecoderSpec;

    use super::*;

    #[test]
    fn shapes_have_as_many_numbers_as_their_makers_say() {
        let millions = [
            ("smollm2-135m", 134.5),
            ("qwen2.5-0.5b", 494.0),
            ("llama3.2-1b", 1235.8),
            ("qwen2.5-1.5b", 1543.7),
            ("llama3.2-3b", 3212.7),
            ("mistral-7b", 7248.0),
            ("qwen2.5-7b", 7615.6),
            ("llama3-8b", 8030.3),
            ("llama3-70b", 70_553.7),
        ];
        assert_eq!(SHAPES.map(|shape| shape.name), millions.map(|(name, _)| name));
        for (name, expected) in millions {
            let config = by_name(name).expect("a shape").config().expect("a configuration");
            let tensors = DecoderSpec::new(&config).tensors();
            let count: usize = tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
            let found = count as f64 / 1e6;
            assert!((found - expected).abs() < 0.1, "{name}: {found}");
        }
        assert!(by_name("llama3-9b").is_none());
    }
}
