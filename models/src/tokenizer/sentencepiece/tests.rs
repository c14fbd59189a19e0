//! Against ids of the SentencePiece library (`tests/fixtures/sentencepiece.json` at the root of the workspace).

use std::path::Path;

use serde_json::Value as Json;

use crate::source::gguf::Value;
use crate::source::gguf::tests::writer::Writer;
use crate::tokenizer::{TokenizerParts, from_gguf};
use crate::{GgufFile, ModelError};

fn fixture(name: &str) -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/sentencepiece.json");
    let text = std::fs::read_to_string(path).expect("the fixture");
    serde_json::from_str::<Json>(&text).expect("JSON")[name].take()
}

/// A file with the vocabulary of the fixture.
fn writer(vocabulary: &Json) -> Writer {
    let list = |key: &str, value: fn(&Json) -> Value| {
        Value::Array(vocabulary[key].as_array().expect("a list").iter().map(value).collect())
    };
    let integer = |value: &Json| Value::Integer(value.as_i64().expect("a number").into());
    let mut writer = Writer::llama()
        .with("tokenizer.ggml.model", Value::String("llama".to_owned()))
        .with(
            "tokenizer.ggml.tokens",
            list("pieces", |piece| Value::String(piece.as_str().expect("text").to_owned())),
        )
        .with(
            "tokenizer.ggml.scores",
            list("scores", |score| Value::Float(score.as_f64().expect("a number"))),
        )
        .with("tokenizer.ggml.token_type", list("types", integer));
    for (key, name) in [("bos", "bos"), ("eos", "eos"), ("unknown", "unknown")] {
        writer.set(&format!("tokenizer.ggml.{key}_token_id"), integer(&vocabulary[name]));
    }
    let count = vocabulary["pieces"].as_array().expect("a list").len();
    writer.tensors[0].1 = vec![32, count as u64];
    writer.tensors[0].3 = vec![0; 32 * 4 * count];
    writer
}

fn build(writer: &Writer) -> Result<TokenizerParts, ModelError> {
    let folder = tempfile::tempdir().expect("folder");
    from_gguf(GgufFile::open(&writer.write(folder.path())).expect("valid").metadata())
}

#[test]
fn ids_are_those_of_sentencepiece() {
    for (name, prefix) in [("llama", true), ("plain", false)] {
        let vocabulary = fixture(name);
        let file = writer(&vocabulary).with("tokenizer.ggml.add_space_prefix", Value::Boolean(prefix));
        let parts = build(&file).expect("a tokenizer");
        for case in vocabulary["texts"].as_array().expect("a list") {
            let text = case["text"].as_str().expect("text");
            let expected: Vec<u64> = case["ids"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|id| id.as_u64().expect("an id"))
                .collect();
            let encoded = parts.tokenizer.encode(text, false).expect("encoded");
            let found: Vec<u64> = encoded.get_ids().iter().map(|&id| id.into()).collect();
            assert_eq!(found, expected, "{name}: {text:?}: {:?}", encoded.get_tokens());
            let again = parts.tokenizer.decode(encoded.get_ids(), true).expect("decoded");
            assert_eq!(again, text.replace('\u{2581}', " "), "{name}");
        }
    }
}

#[test]
fn a_sequence_begins_with_bos_unless_the_file_says_otherwise() {
    let vocabulary = fixture("llama");
    for (says, expected) in [(None, true), (Some(true), true), (Some(false), false)] {
        let mut file = writer(&vocabulary);
        if let Some(says) = says {
            file.set("tokenizer.ggml.add_bos_token", Value::Boolean(says));
        }
        let parts = build(&file).expect("a tokenizer");
        assert_eq!(parts.special.bos.as_deref(), Some("<s>"));
        let ids = parts.tokenizer.encode("hello", true).expect("encoded").get_ids().to_vec();
        assert_eq!(ids[0] == 1, expected, "{says:?}: {ids:?}");
        assert_eq!(ids.iter().filter(|&&id| id == 1).count(), usize::from(expected));
    }
}

#[test]
fn control_tokens_and_added_ones_are_found_whole() {
    let parts = build(&writer(&fixture("plain"))).expect("a tokenizer");
    let encoded = parts.tokenizer.encode("<|turn|>he<b></s>", false).expect("encoded");
    assert_eq!(encoded.get_tokens(), ["<|turn|>", "▁he", "<b>", "</s>"]);
    let spoken = parts.tokenizer.decode(encoded.get_ids(), true).expect("decoded");
    assert_eq!(spoken, "<|turn|> he<b>", "those that were added are text, control tokens are not");
}

#[test]
fn lists_that_contradict_each_other_are_named() {
    let vocabulary = fixture("llama");
    let one = Value::Array(vec![Value::Float(0.5)]);
    for (key, value, expected) in [
        ("tokenizer.ggml.scores", one.clone(), "700 tokens, but 1 scores"),
        ("tokenizer.ggml.token_type", Value::Array(vec![Value::Integer(1)]), "700 tokens, but 1 token types"),
        ("tokenizer.ggml.scores", Value::Array(vec![Value::Float(f64::NAN)]), "an array of numbers"),
        ("tokenizer.ggml.token_type", one, "an array of whole numbers"),
    ] {
        let message = build(&writer(&vocabulary).with(key, value)).err().expect("refused").to_string();
        assert!(message.contains(expected), "{message}");
    }
    let mut without = writer(&vocabulary);
    without.metadata.retain(|(key, _)| key != "tokenizer.ggml.scores");
    assert!(build(&without).err().expect("refused").to_string().contains("no such key"));
}
