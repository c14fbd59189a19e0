//! A SentencePiece vocabulary of a GGUF file (`tokenizer.ggml.model` = `llama`) as a tokenizer.
//!
//! SentencePiece's byte-pair encoding keeps no merges: it joins those neighbours first whose token has the highest score.
//! A merge a pair of tokens, ranked by the score of what they make, is the same, and is what transformers makes of
//! such a vocabulary (`generate_merges` in tokenization_utils_base.py).

use std::cmp::Reverse;
use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::model_name::strips_behind;
use crate::ModelError;
use crate::source::gguf::Metadata;

/// What SentencePiece writes for a space.
const SPACE: &str = "\u{2581}";
/// `llama_token_type` of llama.h.
const TYPE_UNKNOWN: i128 = 2;
const TYPE_CONTROL: i128 = 3;
const TYPE_USER_DEFINED: i128 = 4;
const TYPE_UNUSED: i128 = 5;
const TYPE_BYTE: i128 = 6;

/// The `tokenizer.json` of a SentencePiece vocabulary, without its post-processor.
///
/// Errors when a list is missing or another contradicts it.
pub(super) fn tokenizer_json(
    metadata: &Metadata,
    tokens: &[&str],
    unknown: Option<u32>,
) -> Result<Value, ModelError> {
    let types = match metadata.integers("tokenizer.ggml.token_type")? {
        Some(types) => types,
        None => return Err(metadata.missing("tokenizer.ggml.token_type", "an array of whole numbers")),
    };
    let scores = match metadata.numbers("tokenizer.ggml.scores")? {
        Some(scores) => scores,
        None => return Err(metadata.missing("tokenizer.ggml.scores", "an array of numbers")),
    };
    for (what, count) in [("token types", types.len()), ("scores", scores.len())] {
        if count != tokens.len() {
            return Err(fault(metadata, format!("{} tokens, but {count} {what}", tokens.len())));
        }
    }
    let pieces: Vec<String> = tokens.iter().map(|token| spelt(token)).collect();
    let mut vocabulary = Map::with_capacity(pieces.len());
    for (id, piece) in pieces.iter().enumerate() {
        if let Some(before) = vocabulary.insert(piece.clone(), Value::from(id)) {
            return Err(fault(metadata, format!("token {id}, `{piece}`, is token {before} too")));
        }
    }
    // Gemma's files give their tokens in the order of the merges, which their scores are not.
    let in_order = metadata.string("general.architecture")?.is_some_and(|name| name.starts_with("gemma"));
    let rank = |id: usize| if in_order { -(id as f64) } else { scores[id] };
    let prefix = metadata.boolean("tokenizer.ggml.add_space_prefix")?.unwrap_or(!in_order);
    let unknown = unknown.map(|id| pieces[id as usize].as_str());
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(&pieces, &types, metadata.string("general.name")?.unwrap_or_default()),
        "normalizer": normalizer(prefix),
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": decoder(prefix),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": types.contains(&TYPE_BYTE),
            "ignore_merges": false, "vocab": vocabulary, "merges": merges(&pieces, &types, rank),
        },
    }))
}

/// llama.cpp's converter writes tokens of several spaces as such; the normaliser makes others of them.
fn spelt(token: &str) -> String {
    match token.len() > 1 && token.bytes().all(|byte| byte == b' ') {
        true => SPACE.repeat(token.len()),
        false => token.to_owned(),
    }
}

/// Tokens that are found in the text as they are.
fn added_tokens(pieces: &[String], types: &[i128], name: &str) -> Vec<Value> {
    let is_added = |piece: &str, kind: i128| match kind {
        TYPE_UNKNOWN | TYPE_CONTROL => true,
        // One of spaces alone has become a piece that merges make.
        TYPE_USER_DEFINED => !piece.contains(SPACE),
        _ => false,
    };
    let found = pieces.iter().zip(types).enumerate().filter(|(_, (piece, kind))| is_added(piece, **kind));
    found
        .map(|(id, (piece, kind))| {
            json!({"id": id, "content": piece, "single_word": false, "lstrip": false,
                "rstrip": strips_behind(name, piece), "normalized": false, "special": *kind != TYPE_USER_DEFINED})
        })
        .collect()
}

/// Every pair of tokens that makes a token, the best first. Of the pairs of one token, and of tokens with one score, the
/// one with the longer first part counts first, as in transformers.
fn merges(pieces: &[String], types: &[i128], rank: impl Fn(usize) -> f64) -> Vec<Value> {
    let is_text = |kind: i128| !matches!(kind, TYPE_UNKNOWN | TYPE_CONTROL | TYPE_UNUSED | TYPE_BYTE);
    let ids: HashMap<&str, usize> = pieces
        .iter()
        .enumerate()
        .filter(|(id, _)| is_text(types[*id]))
        .map(|(id, piece)| (piece.as_str(), id))
        .collect();
    let mut found = Vec::new();
    for (id, piece) in pieces.iter().enumerate().filter(|(id, _)| is_text(types[*id])) {
        let count = piece.chars().count();
        for (chars, (at, _)) in piece.char_indices().enumerate().skip(1) {
            if let (Some(left), Some(right)) = (ids.get(&piece[..at]), ids.get(&piece[at..])) {
                found.push((rank(id), chars, count - chars, *left, *right));
            }
        }
    }
    found.sort_by(|one, other| {
        let lengths = |pair: &(f64, usize, usize, usize, usize)| Reverse((pair.1, pair.2));
        other.0.total_cmp(&one.0).then(lengths(one).cmp(&lengths(other)))
    });
    found.into_iter().map(|(_, _, _, left, right)| json!([pieces[left], pieces[right]])).collect()
}

fn normalizer(prefix: bool) -> Value {
    let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
    match prefix {
        true => json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, spaces]}),
        false => spaces,
    }
}

fn decoder(prefix: bool) -> Value {
    let mut steps = vec![
        json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        steps.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": steps})
}

fn fault(metadata: &Metadata, problem: String) -> ModelError {
    ModelError::Tokenizer { path: metadata.path().to_owned(), problem }
}

#[cfg(test)]
mod tests;
