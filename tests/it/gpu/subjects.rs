//! Small models of every family, with sides of matrices that kernels take.

use std::path::Path;

use rtune_adapters::{LoraConfig, Parameters, Targets};
use rtune_data::{Example, Origin};
use rtune_models::families::NormKind;
use rtune_models::{Decoder, DecoderSpec, ModelConfig, Quantization, open_weights};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;

use crate::families::configurations;
use crate::workplace::write_base;

const NF4: Quantization = Quantization::Nf4 { double: true };

/// A small model with adapters of which no number is zero, and rows to train it on.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) decoder: Decoder,
    pub(super) parameters: Parameters<f32>,
    pub(super) rows: Vec<Example>,
}

/// The configuration with sides of matrices and heads that kernels take: some heads for tensor cores, some for strips.
pub(super) fn widened(name: &str, mut config: Value) -> Value {
    config["hidden_size"] = 64.into();
    for key in ["intermediate_size", "ffn_hidden_size", "moe_intermediate_size"] {
        if config.get(key).is_some_and(Value::is_u64) {
            config[key] = 96.into();
        }
    }
    if config.get("head_dim").is_some_and(Value::is_u64) {
        config["head_dim"] = if ["gemma2", "mistral", "qwen3"].contains(&name) { 64 } else { 16 }.into();
    }
    if name.starts_with("phi3") {
        // Its lists of factors are for heads of eight.
        (config["num_attention_heads"], config["num_key_value_heads"]) = (8.into(), 4.into());
    }
    config
}

/// Documents of these lengths, of which the second half is supervised.
const LENGTHS: [usize; 3] = [5, 37, 20];

pub(super) fn rows(vocabulary: usize) -> Vec<Example> {
    let row = |(index, &length): (usize, &usize)| Example {
        id: index.to_string(),
        origin: Origin { file: Path::new("a").into(), line: 1 },
        tokens: (0..length).map(|t| ((11 * index + 29 * t + t * t) % vocabulary) as u32).collect(),
        supervised: (0..length).map(|t| t > length / 2).collect(),
    };
    LENGTHS.iter().enumerate().map(row).collect()
}

/// Weights of norms that are kept less one: with ones, scores are so large that each token sees one other, and the gradients
/// of queries and keys are nothing but rounding.
fn ones_become_zeros(file: &Path) {
    let bytes = std::fs::read(file).expect("read");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let zeros = vec![0; bytes.len()];
    let views = tensors.tensors().into_iter().map(|(name, view)| {
        let data = if view.shape().len() == 1 { &zeros[..view.data().len()] } else { view.data() };
        let shape = view.shape().to_vec();
        (name, TensorView::new(view.dtype(), shape, data).expect("a tensor"))
    });
    let written = safetensors::serialize(views.collect::<Vec<_>>(), None).expect("a file");
    drop(tensors);
    std::fs::write(file, written).expect("written");
}

pub(super) fn subject(name: &str, config: &Value, lora: &LoraConfig) -> Subject {
    let folder = tempfile::tempdir().expect("a folder");
    write_base(folder.path(), config.clone());
    let config = ModelConfig::from_file(&folder.path().join("config.json")).expect("a configuration");
    if DecoderSpec::new(&config).norm == NormKind::RmsPlusOne {
        ones_become_zeros(&folder.path().join("model.safetensors"));
    }
    let (weights, _) = open_weights(folder.path()).expect("weights");
    let mut decoder = Decoder::load(&config, weights.as_ref(), NF4, &mut |_, _| {}).expect("a decoder");
    let mut lora = lora.clone();
    if let Some(names) = decoder.spec().names.experts {
        let attention = ["q_proj", "k_proj", "v_proj", "o_proj"];
        let names = attention.iter().chain(&names.linears).map(|name| (*name).to_owned());
        lora.targets = Targets::Names(names.collect());
    }
    let mut parameters = decoder.attach_lora(&lora).expect("adapters");
    for (index, value) in parameters.flat_mut().iter_mut().enumerate() {
        *value = 0.05 * (index as f32 + 0.5).sin();
    }
    let rows = rows(decoder.spec().vocabulary);
    Subject { name: name.to_owned(), decoder, parameters, rows }
}

/// One of every family.
pub(super) fn subjects(lora: &LoraConfig) -> impl Iterator<Item = Subject> {
    let lora = lora.clone();
    configurations().into_iter().map(move |(name, config)| subject(&name, &widened(&name, config), &lora))
}

/// The same twice, for the engine here and for that on a GPU. Each token goes through every expert: one whose next best is
/// as good to bf16 would go through another there, and which it is would decide over gradients.
pub(super) fn pairs(lora: &LoraConfig) -> impl Iterator<Item = (Subject, Subject)> {
    let lora = lora.clone();
    configurations().into_iter().map(move |(name, config)| {
        let mut config = widened(&name, config);
        for key in ["num_local_experts", "num_experts"] {
            if let Some(experts) = config.get(key).cloned() {
                config["num_experts_per_tok"] = experts;
            }
        }
        (subject(&name, &config, &lora), subject(&name, &config, &lora))
    })
}

pub(super) fn lora() -> LoraConfig {
    LoraConfig::new(4, 8.0)
}
