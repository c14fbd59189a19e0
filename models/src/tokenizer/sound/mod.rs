//! What the library behind tokenizers takes for granted of a `tokenizer.json`, and panics without: looked at before it gets the file.
//!
//! | part | what |
//! | --- | --- |
//! | the file | JSON to its end, of which no key of ours stands twice |
//! | merges | two tokens whose join is no longer than the longest token, the second with its prefix |
//! | template of a sequence | special tokens that it describes, of one sequence |
//! | `Precompiled` | a map of characters whose every number leads into it |
//! | `FixedLength`, `Strip` | lengths that every text has |
//! | steps that replace | texts that stay within bounds |

mod charsmap;
mod growth;
mod merges;

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use merges::{Merge, Vocabulary};

/// The parts that are looked at; of the vocabulary, the length of its longest token.
#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    vocab: Vocabulary,
    #[serde(default)]
    merges: Vec<Merge>,
}

/// Gives what is wrong with the text of a `tokenizer.json`, with the path of keys that leads to it.
pub(super) fn check(json: &str) -> Result<(), String> {
    let outline: Outline = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let prefix = outline.model.continuing_subword_prefix.as_deref().unwrap_or_default();
    merges::check(&outline.model.vocab, &outline.model.merges, prefix)?;
    let Outline { normalizer, pre_tokenizer, post_processor, decoder, .. } = &outline;
    growth::check(&[("normalizer", normalizer), ("pre_tokenizer", pre_tokenizer)])?;
    growth::check(&[("decoder", decoder)])?;
    each_part("normalizer", normalizer, &check_charsmap)?;
    each_part("pre_tokenizer", pre_tokenizer, &|path, part| match part.get("length") {
        Some(length) if *length == 0 => Err(format!("`{path}.length`: expected 1 or more, found 0")),
        _ => Ok(()),
    })?;
    each_part("post_processor", post_processor, &check_template)?;
    each_part("decoder", decoder, &|path, part| match part.get("stop") {
        // From a token that is shorter, or all of whose characters go, it takes what is not there.
        Some(stop) if *stop != 0 => Err(format!("`{path}.stop`: expected 0, found {stop}")),
        _ => Ok(()),
    })
}

/// Calls `check` with each object of `part`, which stands at `path`, and its path.
fn each_part(
    path: &str,
    part: &Value,
    check: &dyn Fn(&str, &Value) -> Result<(), String>,
) -> Result<(), String> {
    match part {
        Value::Object(keys) => {
            check(path, part)?;
            keys.iter().try_for_each(|(key, value)| each_part(&format!("{path}.{key}"), value, check))
        }
        Value::Array(parts) => {
            let mut parts = parts.iter().enumerate();
            parts.try_for_each(|(index, value)| each_part(&format!("{path}[{index}]"), value, check))
        }
        _ => Ok(()),
    }
}

fn check_charsmap(path: &str, part: &Value) -> Result<(), String> {
    let found = match (part.get("precompiled_charsmap"), part.get("type")) {
        (None, Some(kind)) if kind == "Precompiled" => "found none".to_owned(),
        (None, _) => return Ok(()),
        (Some(Value::String(map)), _) => match charsmap::check(map) {
            Ok(()) => return Ok(()),
            Err(problem) => problem,
        },
        (Some(_), _) => "found no text".to_owned(),
    };
    Err(format!("`{path}.precompiled_charsmap`: expected a map of characters in base64, {found}"))
}

/// A template names special tokens, each of which the part describes, and of a single sequence that one alone.
fn check_template(path: &str, part: &Value) -> Result<(), String> {
    let (Some(single), Some(tokens)) = (part.get("single"), part.get("special_tokens")) else {
        return Ok(());
    };
    let described: HashMap<&str, &Value> =
        tokens.as_object().into_iter().flatten().map(|(name, token)| (name.as_str(), token)).collect();
    for (name, token) in &described {
        let length = |key: &str| token.get(key).and_then(Value::as_array).map(Vec::len);
        if length("ids") != length("tokens") {
            return Err(format!("`{path}.special_tokens.{name}`: expected as many `tokens` as `ids`"));
        }
    }
    for (key, template) in [("single", single), ("pair", part.get("pair").unwrap_or(&Value::Null))] {
        for piece in template.as_array().into_iter().flatten() {
            let id = |kind: &str| piece.get(kind).and_then(|piece| piece.get("id")).and_then(Value::as_str);
            if let Some(id) = id("SpecialToken").filter(|id| !described.contains_key(id)) {
                return Err(format!("`{path}.{key}`: `{id}` is not among `special_tokens`"));
            }
            if key == "single" && id("Sequence") == Some("B") {
                return Err(format!("`{path}.single`: expected the sequence A alone, found B"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
