#![expect(
    clippy::print_stdout,
    reason = "how large the difference is, and what is skipped, is for a person to see"
)]

use std::path::{Path, PathBuf};

use super::*;
use crate::{SafetensorsFolder, WeightSource};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tagger")
}

/// Logits that another library computed, as `tests/peers/tagger.py` writes them: texts, ids and logits.
fn expected(folder: &Path) -> Vec<(String, Vec<u32>, Vec<f32>)> {
    let texts = std::fs::read_to_string(folder.join("texts.json")).expect("the texts");
    let texts: Vec<String> = serde_json::from_str(&texts).expect("a list of texts");
    let copy = tempfile::tempdir().expect("a folder");
    std::fs::copy(folder.join("expected.safetensors"), copy.path().join("model.safetensors"))
        .expect("copied");
    let tensors = SafetensorsFolder::open(copy.path()).expect("the logits");
    let read = |name: String| tensors.read(&name).expect("a tensor").into_f32();
    let row = |(number, text): (usize, String)| {
        let ids = read(format!("ids_{number}")).iter().map(|&id| id as u32).collect();
        (text, ids, read(format!("logits_{number}")))
    };
    texts.into_iter().enumerate().map(row).collect()
}

/// The largest difference between our logits, computed in batches, and those of the other library.
fn largest_difference(folder: &Path) -> f32 {
    let tagger = Tagger::open(folder).expect("opens");
    let cases = expected(folder);
    assert!(cases.len() >= 20, "{} texts", cases.len());
    let mut windows = Vec::new();
    for (number, (text, ids, _)) in cases.iter().enumerate() {
        tagger.encoder.encode(number, text, &mut windows).expect("encodes");
        let all: Vec<u32> = windows
            .iter()
            .filter(|window| window.text == number)
            .flat_map(|window| window.ids.clone())
            .collect();
        // Without a word there is no window.
        assert!(all == *ids || ids.len() == 2, "{text:?}: {all:?}, expected {ids:?}");
    }
    let sequences: Vec<&[u32]> = cases.iter().map(|(_, ids, _)| ids.as_slice()).collect();
    let logits = tagger.network.rows(&sequences).expect("computes");
    let mut largest: f32 = 0.0;
    for ((text, _, expected), found) in cases.iter().zip(&logits) {
        assert_eq!(expected.len(), found.len(), "{text:?}");
        let differences = expected.iter().zip(found).map(|(expected, found)| (expected - found).abs());
        largest = differences.fold(largest, f32::max);
    }
    largest
}

#[test]
fn logits_equal_those_of_transformers() {
    let largest = largest_difference(&fixture());
    println!("largest difference of a logit: {largest:e}");
    assert!(largest < 1e-5, "{largest}");
}

#[test]
fn logits_equal_those_of_a_peer() {
    let Some(folder) = std::env::var_os("RTUNE_TAGGER_PEER") else {
        println!("skipped: RTUNE_TAGGER_PEER is not set");
        return;
    };
    let largest = largest_difference(Path::new(&folder));
    println!("largest difference of a logit: {largest:e}");
    assert!(largest < 1e-3, "{largest}");
}

#[test]
fn spans_are_in_bytes_of_the_text_and_do_not_depend_on_their_neighbours() {
    let tagger = Tagger::open(&fixture()).expect("opens");
    let long = "Łukasz Ångström 東京 met Anna at the café. ".repeat(60);
    let texts = ["Anna Jensen", "", "  ", "東京", &long, "Σίσυφος 👩‍👩‍👧"];
    let together = tagger.tag(&texts).expect("tags");
    assert_eq!(together.len(), texts.len());
    assert!(together[1].is_empty() && together[2].is_empty());
    let mut count = 0;
    for (text, tags) in texts.iter().zip(&together) {
        let alone = tagger.tag(&[text]).expect("tags").remove(0);
        assert_eq!(alone.len(), tags.len(), "{text}");
        for (one, other) in alone.iter().zip(tags) {
            assert_eq!((one.start, one.end, &one.label), (other.start, other.end, &other.label));
            assert!((one.score - other.score).abs() < 1e-4);
        }
        for pair in tags.windows(2) {
            assert!(pair[0].end <= pair[1].start);
        }
        for tag in tags {
            assert!(
                text.is_char_boundary(tag.start) && text.is_char_boundary(tag.end) && tag.start < tag.end
            );
            assert!(tag.score >= THRESHOLD && tag.score <= 1.0);
            assert!(["GIVEN", "CITY"].contains(&tag.label.as_str()));
            count += 1;
        }
    }
    assert!(count > 20, "{count} tags: a random network tags something");
}

/// A copy of the fixture in which `change` may spoil something.
fn spoilt(change: impl FnOnce(&Path)) -> ModelError {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["config.json", "vocab.txt", "model.safetensors"] {
        std::fs::copy(fixture().join(name), folder.path().join(name)).expect("copied");
    }
    change(folder.path());
    match Tagger::open(folder.path()) {
        Ok(_) => panic!("a spoilt model opens"),
        Err(error) => error,
    }
}

fn replace(folder: &Path, from: &str, to: &str) {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).expect("read");
    assert!(text.contains(from), "{from}");
    std::fs::write(path, text.replace(from, to)).expect("written");
}

#[test]
fn what_contradicts_itself_is_refused() {
    let cases: &[(&str, &str, &str)] = &[
        ("\"model_type\": \"bert\"", "\"model_type\": \"gpt2\"", "`model_type` is gpt2"),
        ("\"hidden_size\": 32", "\"hidden_size\": 48", "asks for the shape"),
        ("\"hidden_size\": 32", "\"hidden_size\": 30", "a divisor of `hidden_size`"),
        (
            "\"num_hidden_layers\": 2",
            "\"num_hidden_layers\": 3",
            "bert.encoder.layer.2.attention.self.query.weight",
        ),
        ("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"mish\"", "`hidden_act` is mish"),
        ("\"0\": \"O\"", "\"9\": \"O\"", "`id2label`"),
        ("\"vocab_size\":", "\"vocabulary\":", "`vocab_size`"),
    ];
    for (from, to, expected) in cases {
        let error = spoilt(|folder| replace(folder, from, to)).to_string();
        assert!(error.contains(expected), "{from} -> {to}: {error}");
    }
    let error = spoilt(|folder| std::fs::remove_file(folder.join("model.safetensors")).expect("removed"));
    assert!(matches!(error, ModelError::MissingFile { .. }), "{error}");
    let error = spoilt(|folder| std::fs::remove_file(folder.join("vocab.txt")).expect("removed"));
    assert!(matches!(error, ModelError::MissingFile { .. }), "{error}");
    let error = spoilt(|folder| std::fs::write(folder.join("vocab.txt"), "[UNK]\n[SEP]\n").expect("written"));
    assert!(error.to_string().contains("no token `[CLS]`"), "{error}");
    let error = spoilt(|folder| {
        let vocabulary: String = (0..5000).map(|number| format!("w{number}\n")).collect();
        std::fs::write(folder.join("vocab.txt"), format!("[UNK]\n[CLS]\n[SEP]\n{vocabulary}"))
            .expect("written");
    });
    assert!(error.to_string().contains("the model has embeddings for"), "{error}");
}

#[test]
fn identities_follow_the_weights() {
    let tagger = Tagger::open(&fixture()).expect("opens");
    let (name, hash) = tagger.identity().split_once("@sha256:").expect("a hash");
    assert_eq!((name, hash.len()), ("tagger", 64));
}

/// At such a text the library panics: its patterns give up after ten million tries.
#[test]
fn a_text_that_the_tokenizer_panics_at_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture().join(name), folder.path().join(name)).expect("copied");
    }
    let words = std::fs::read_to_string(fixture().join("vocab.txt")).expect("the vocabulary");
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        words.lines().enumerate().map(|(id, word)| (word.to_owned(), id.into())).collect();
    let described = serde_json::json!({
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {
            "type": "Split", "pattern": {"Regex": "(?:a|a)*b"}, "behavior": "Isolated", "invert": false,
        },
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    });
    std::fs::write(folder.path().join("tokenizer.json"), described.to_string()).expect("written");
    let tagger = Tagger::open(folder.path()).expect("opens");
    tagger.tag(&["ab"]).expect("an ordinary text");
    let text = "a".repeat(60) + "cb";
    let mut windows = Vec::new();
    for error in [
        tagger.tag(&[&text]).map(drop).expect_err("tried too often"),
        tagger.encoder.encode(0, &text, &mut windows).expect_err("tried too often"),
        tagger.encoder.framed(&text).map(drop).expect_err("tried too often"),
    ] {
        let said = error.to_string();
        assert!(said.contains("tokenizer.json") && said.contains("the tokenizer cannot go on: "), "{said}");
    }
}
