//! A tokenizer rebuilt from GGUF metadata, as the `tokenizer.json` that the model's makers wrote.

use serde_json::{Map, Value, json};

use super::model_name::strips_behind;
use super::rules::{self, Rule};
use super::{SpecialTokenStrings, TokenizerParts, from_json, sentencepiece};
use crate::ModelError;
use crate::source::gguf::Metadata;

/// `llama_token_type` of llama.h: a token that marks structure and never stands for text.
const TYPE_CONTROL: i128 = 3;
/// `llama_token_type` of llama.h: a token that was added to the trained vocabulary.
const TYPE_USER_DEFINED: i128 = 4;

/// The kinds of vocabulary that are understood, for a message.
const SUPPORTED_MODELS: &str =
    "gpt2 (byte-level BPE), llama (SentencePiece); for this base take its folder with tokenizer.json instead";

/// Rebuilds tokenizer, special tokens and chat template.
///
/// Errors when there is no vocabulary, when its lists contradict each other, and when the model or the rule of
/// the words is not known here; those are named.
pub(crate) fn from_gguf(metadata: &Metadata) -> Result<TokenizerParts, ModelError> {
    let model_key = "tokenizer.ggml.model";
    let rule = match metadata.string(model_key)? {
        Some("gpt2") => Some(rule(metadata)?),
        Some("llama") => None,
        Some(other) => {
            return Err(metadata.unsupported(model_key, format!("\"{other}\""), SUPPORTED_MODELS));
        }
        None => return Err(metadata.missing(model_key, "\"gpt2\" or \"llama\"")),
    };
    let tokens_key = "tokenizer.ggml.tokens";
    let Some(tokens) = metadata.strings(tokens_key)? else {
        return Err(metadata.missing(tokens_key, "an array of strings"));
    };
    let special_id = |name: &str| metadata.token_id(&format!("tokenizer.ggml.{name}_token_id"), tokens.len());
    let text = |id: Option<u32>| id.map(|id| tokens[id as usize].to_owned());
    let (bos_id, unknown_id) = (special_id("bos")?, special_id("unknown")?);
    let special = SpecialTokenStrings {
        bos: text(bos_id),
        eos: text(special_id("eos")?),
        pad: text(special_id("padding")?),
        unk: text(unknown_id),
    };
    // A SentencePiece vocabulary begins a sequence with bos unless the file says otherwise, as in llama.cpp.
    let adds_bos = metadata
        .boolean("tokenizer.ggml.add_bos_token")?
        .unwrap_or(rule.as_ref().is_none_or(|rule| rule.adds_bos));
    let mut json = match rule {
        Some(rule) => tokenizer_json(metadata, &tokens, rule)?,
        None => sentencepiece::tokenizer_json(metadata, &tokens, unknown_id)?,
    };
    json["post_processor"] = post_processor(bos_id.filter(|_| adds_bos).zip(special.bos.as_deref()));
    let tokenizer = from_json(metadata.path(), &json.to_string())?;
    let chat_template = metadata.string("tokenizer.chat_template")?.map(str::to_owned);
    Ok(TokenizerParts { tokenizer, special, chat_template })
}

fn rule(metadata: &Metadata) -> Result<Rule, ModelError> {
    let key = "tokenizer.ggml.pre";
    let Some(name) = metadata.string(key)? else {
        return Err(metadata.unsupported(key, "not given", rules::SUPPORTED));
    };
    rules::by_name(name).ok_or_else(|| metadata.unsupported(key, format!("\"{name}\""), rules::SUPPORTED))
}

fn tokenizer_json(metadata: &Metadata, tokens: &[&str], rule: Rule) -> Result<Value, ModelError> {
    let mut vocabulary = Map::with_capacity(tokens.len());
    for (id, token) in tokens.iter().enumerate() {
        if let Some(before) = vocabulary.insert((*token).to_owned(), Value::from(id)) {
            return Err(fault(metadata, format!("token {id}, `{token}`, is token {before} too")));
        }
    }
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(metadata, tokens)?,
        "normalizer": rule.normalizer,
        "pre_tokenizer": rule.pre_tokenizer,
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": rule.ignore_merges, "vocab": vocabulary, "merges": merges(metadata)?,
        },
    }))
}

/// Tokens that are found in the text before it is cut into words.
fn added_tokens(metadata: &Metadata, tokens: &[&str]) -> Result<Vec<Value>, ModelError> {
    let Some(types) = metadata.integers("tokenizer.ggml.token_type")? else { return Ok(Vec::new()) };
    if types.len() != tokens.len() {
        return Err(fault(metadata, format!("{} tokens, but {} token types", tokens.len(), types.len())));
    }
    let name = metadata.string("general.name")?.unwrap_or_default();
    let is_added = |kind: i128| matches!(kind, TYPE_CONTROL | TYPE_USER_DEFINED);
    let added = tokens.iter().zip(types).enumerate().filter(|(_, (_, kind))| is_added(*kind));
    Ok(added
        .map(|(id, (token, kind))| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false,
                "rstrip": strips_behind(name, token), "normalized": false, "special": kind == TYPE_CONTROL})
        })
        .collect())
}

/// Pairs in the order of their rank. A token has no space in it: byte-level BPE writes one as `Ġ`.
fn merges(metadata: &Metadata) -> Result<Vec<Value>, ModelError> {
    let key = "tokenizer.ggml.merges";
    let Some(merges) = metadata.strings(key)? else {
        return Err(metadata.missing(key, "an array of strings"));
    };
    merges
        .iter()
        .enumerate()
        .map(|(rank, merge)| match merge.split_once(' ') {
            Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
                Ok(json!([left, right]))
            }
            _ => Err(fault(
                metadata,
                format!("merge {rank}, `{merge}`, is not two tokens with a space between"),
            )),
        })
        .collect()
}

fn post_processor(first: Option<(u32, &str)>) -> Value {
    let Some((id, token)) = first else { return Value::Null };
    json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": token, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}},
    })
}

fn fault(metadata: &Metadata, problem: String) -> ModelError {
    ModelError::Tokenizer { path: metadata.path().to_owned(), problem }
}
