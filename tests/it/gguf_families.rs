//! Every family as llama.cpp's own converter writes it to GGUF in float32: the logits are those that transformers computes
//! from the folder that was converted.
//!
//! `tests/fixtures/gguf` is what `tests/peers/gguf_families.py` wrote, less the folders themselves; `RTUNE_PEER_GGUF` names
//! a folder that the script wrote, and then the weights are compared with those in safetensors too.

#![expect(clippy::print_stdout, reason = "a table of figures is what this test is for")]

use std::path::{Path, PathBuf};

use rtune_models::{
    Decoder, FAMILIES, ModelConfig, Quantization, TensorRole, WeightSource, open, open_weights,
};
use safetensors::SafeTensors;

use crate::reference::{document, logits};
use crate::reference_cases::worst;

/// Of the largest logit.
const LOGITS: f64 = 1e-4;
/// How far a weight may be from that in safetensors: a norm had one added, in float32.
const WEIGHTS: f32 = 1e-6;

/// Families whose files say so in other words: a Mistral is a `llama` of llama.cpp's, whose format has no key for its window.
const UNDER_OTHER_NAMES: &[&str] = &["mistral"];

#[test]
fn gguf_of_every_family_has_the_logits_of_its_safetensors() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf");
    let folder = std::env::var_os("RTUNE_PEER_GGUF").map_or(fixtures, PathBuf::from);
    let entries = std::fs::read_dir(&folder).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.join("model.gguf").is_file());
    paths.sort();
    let mut seen: Vec<&str> = UNDER_OTHER_NAMES.to_vec();
    println!("{:<16} {:>9}", "case", "logits");
    for path in &paths {
        seen.extend(check(path));
    }
    for family in FAMILIES {
        assert!(
            family.model_types.iter().any(|name| seen.contains(name)),
            "no file of {}",
            family.model_types[0]
        );
    }
}

/// Compares one model; gives the names of its family.
fn check(path: &Path) -> &'static [&'static str] {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let base = open(&path.join("model.gguf")).unwrap_or_else(|error| panic!("{name}: {error}"));
    let load = |config: &ModelConfig, weights: &dyn WeightSource| {
        Decoder::load(config, weights, Quantization::None, &mut |_, _| {})
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let decoder = load(&base.config, base.weights.as_ref());
    let bytes = std::fs::read(path.join("expected.safetensors")).expect("expected.safetensors");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let ids = file.tensor("input_ids").expect("ids").data().chunks_exact(8);
    let ids: Vec<u32> = ids.map(|id| u32::from_le_bytes([id[0], id[1], id[2], id[3]])).collect();
    let expected = file.tensor("logits").expect("logits").data().chunks_exact(4);
    let expected: Vec<f32> = expected.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let row = document(ids.clone(), vec![true; ids.len()]);
    let got = logits(&decoder, &[], &row);
    let error = worst(&got, &expected);
    println!("{name:<16} {error:>9.1e}");
    assert!(error < LOGITS, "{name}: logits {error:e}");
    if path.join("config.json").is_file() {
        let config = ModelConfig::from_file(&path.join("config.json")).expect("config.json");
        let (weights, _) = open_weights(path).expect("weights");
        let error = worst(&got, &logits(&load(&config, weights.as_ref()), &[], &row));
        assert!(error < LOGITS, "{name}: logits of the folder {error:e}");
        same_weights(&name, &decoder, base.weights.as_ref(), weights.as_ref());
    }
    base.config.family.model_types
}

fn same_weights(name: &str, decoder: &Decoder, ours: &dyn WeightSource, theirs: &dyn WeightSource) {
    for tensor in decoder.spec().tensors() {
        let read = |source: &dyn WeightSource| {
            source.read(&tensor.name).unwrap_or_else(|error| panic!("{name}: {error}")).into_f32()
        };
        let (ours, theirs) = (read(ours), read(theirs));
        let tolerance = if tensor.role == TensorRole::Vector { WEIGHTS } else { 0.0 };
        let same = ours.iter().zip(&theirs).all(|(one, other)| (one - other).abs() <= tolerance);
        assert!(same && ours.len() == theirs.len(), "{name}: {}", tensor.name);
    }
}
