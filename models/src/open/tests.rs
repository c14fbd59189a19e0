use std::path::{Path, PathBuf};

use half::bf16;

use super::open;
use crate::tokenizer::odd_strings::odd_strings;

/// The folder that holds SmolLM2-135M-Instruct as GGUF, and in `hf/` as the hub has it; `None` after saying so
/// where the variable is not set.
fn smollm2() -> Option<(PathBuf, PathBuf)> {
    let Some(folder) = std::env::var_os("RTUNE_MODEL_SMOLLM2").map(PathBuf::from) else {
        let mut out = std::io::stderr();
        let _ = std::io::Write::write_all(&mut out, b"skipped: RTUNE_MODEL_SMOLLM2 names no folder\n");
        return None;
    };
    Some((folder.join("SmolLM2-135M-Instruct.Q4_1.gguf"), folder.join("hf")))
}

#[test]
fn smollm2_tokenizes_from_gguf_as_from_its_folder() {
    let Some((gguf, folder)) = smollm2() else { return };
    let (one, other) = (open(&gguf).expect("GGUF"), open(&folder).expect("folder"));
    let strings = odd_strings();
    assert!(strings.len() >= 1000, "{} strings", strings.len());
    for text in &strings {
        for special in [false, true] {
            let ids = |tokenizer: &tokenizers::Tokenizer| {
                tokenizer.encode(text.as_str(), special).expect("encoded").get_ids().to_vec()
            };
            assert_eq!(ids(&one.tokenizer), ids(&other.tokenizer), "{text:?}");
            let ids = ids(&one.tokenizer);
            for skip in [false, true] {
                assert_eq!(
                    one.tokenizer.decode(&ids, skip).ok(),
                    other.tokenizer.decode(&ids, skip).ok(),
                    "{text:?}"
                );
            }
        }
    }
    assert_eq!(one.special, other.special);
    assert_eq!(one.chat_template, other.chat_template);
}

#[test]
fn smollm2_has_the_same_weights_and_configuration_in_both_forms() {
    let Some((gguf, folder)) = smollm2() else { return };
    let (one, other) = (open(&gguf).expect("GGUF"), open(&folder).expect("folder"));
    assert_eq!(one.config, other.config);
    assert_eq!(one.weights.names(), other.weights.names());
    for name in one.weights.names() {
        assert_eq!(one.weights.shape(&name), other.weights.shape(&name), "{name}");
        let dequantised = one.weights.read(&name).expect("GGUF").into_f32();
        let rounded: Vec<f32> = dequantised.into_iter().map(|value| bf16::from_f32(value).to_f32()).collect();
        assert!(rounded == other.weights.read(&name).expect("folder").into_f32(), "{name}");
    }
}

#[test]
fn paths_that_are_no_model_say_what_is_one() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("weights.bin");
    std::fs::write(&file, b"x").expect("write");
    for path in [Path::new("no-such-folder"), &file] {
        let error = open(path).err().expect("refused");
        assert!(error.to_string().contains("base model"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains(".gguf")));
    }
    let error = open(folder.path()).err().expect("refused").to_string();
    assert!(error.contains("config.json") && error.contains("missing"), "{error}");
}

/// The library counts the vocabulary, of which numbers may be left out for tokens that stand beside it.
#[test]
fn new_tokens_take_no_number_of_another() {
    let json = |vocab: serde_json::Value| {
        serde_json::json!({"version": "1.0", "truncation": null, "padding": null, "normalizer": null, "pre_tokenizer": null,
            "post_processor": null, "decoder": null, "model": {"type": "BPE", "vocab": vocab, "merges": []}, "added_tokens": []})
    };
    let of = |vocab| tokenizers::Tokenizer::from_bytes(json(vocab).to_string()).expect("a tokenizer");
    let new = ["<new>".to_owned()];
    let whole = serde_json::json!({"a": 0, "b": 1, "c": 2});
    assert_eq!(super::added(&mut of(whole), &new), Ok(vec![3]));
    let holes = serde_json::json!({"a": 0, "b": 2, "c": 3});
    let problem = super::added(&mut of(holes), &new).expect_err("taken");
    assert!(problem.contains("`<new>` would be token 3, which is another one"), "{problem}");
}
