//! A tokenizer as GGUF metadata: what [`super::from_gguf`] reads, the other way round.

use std::collections::HashMap;

use rtune_tokens::encode_guarded;
use serde_json::Value;

use super::rules;
use crate::source::gguf::write::{Asked, GgufValue};
use crate::{BaseModel, ModelError};

/// `llama_token_type` of llama.h.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;
/// The score of a token that no merge makes: below every merge's rank.
const NO_MERGE: f32 = -1e9;

/// The keys of a file's tokenizer and chat template.
///
/// # Errors
/// [`ModelError::Tokenizer`] for a tokenizer that llama.cpp has no kind for.
pub(crate) fn keys(base: &BaseModel, asked: Asked<'_>) -> Result<Vec<(String, GgufValue)>, ModelError> {
    let fault = |problem: String| ModelError::Tokenizer { path: base.weights.path().to_owned(), problem };
    let text = base.tokenizer.to_string(false).map_err(|error| fault(error.to_string()))?;
    let json: Value = serde_json::from_str(&text).map_err(|error| fault(error.to_string()))?;
    let model = &json["model"];
    if model["type"] != "BPE" {
        return Err(fault(format!("expected byte-pair encoding, found {}", model["type"])));
    }
    let is_bytes = json["decoder"].to_string().contains("\"ByteLevel\"");
    let vocabulary = Vocabulary::read(base, &json).map_err(fault)?;
    let mut keys = Vec::new();
    let mut set = |name: &str, value: GgufValue| keys.push((format!("tokenizer.{name}"), value));
    if is_bytes {
        let rule = rules::name_of(&json["normalizer"], &json["pre_tokenizer"], &model["ignore_merges"]);
        let rule = rule.ok_or_else(|| {
            fault(format!(
                "no name that llama.cpp has for a rule of words is known here for this one: {}",
                json["pre_tokenizer"]
            ))
        })?;
        set("ggml.model", GgufValue::Text("gpt2".to_owned()));
        set("ggml.pre", GgufValue::Text(rule.to_owned()));
        set(
            "ggml.merges",
            GgufValue::Texts(merges(model).into_iter().map(|[a, b]| format!("{a} {b}")).collect()),
        );
    } else {
        set("ggml.model", GgufValue::Text("llama".to_owned()));
        set("ggml.pre", GgufValue::Text("default".to_owned()));
        set("ggml.scores", GgufValue::Numbers(vocabulary.scores(&merges(model))));
        let prefix = json["normalizer"].to_string().contains("\"Prepend\"")
            || json["pre_tokenizer"]["prepend_scheme"].as_str().is_some_and(|scheme| scheme != "never");
        set("ggml.add_space_prefix", GgufValue::Switch(prefix));
    }
    set("ggml.token_type", GgufValue::Integers(vocabulary.types));
    set("ggml.tokens", GgufValue::Texts(vocabulary.tokens));
    let special = &base.special;
    let id = |token: &Option<String>| token.as_deref().and_then(|token| base.tokenizer.token_to_id(token));
    let eos = id(&special.eos).or(base.config.eos_token_ids.first().copied());
    let bos = id(&special.bos).or(base.config.bos_token_id);
    let [turn, message] = ends(asked, eos, &base.config.eos_token_ids);
    let ids = [
        ("bos", bos),
        ("eos", eos),
        ("eot", turn),
        ("eom", message),
        ("padding", id(&special.pad).or(base.config.pad_token_id)),
        ("unknown", id(&special.unk)),
    ];
    for (name, id) in ids {
        if let Some(id) = id {
            set(&format!("ggml.{name}_token_id"), GgufValue::Size(id));
        }
    }
    let begun = encode_guarded(&base.tokenizer, "a", true).map_err(|error| fault(error.to_string()))?;
    let adds_bos = bos.is_some() && begun.get_ids().first().copied() == bos;
    set("ggml.add_bos_token", GgufValue::Switch(adds_bos));
    set("ggml.add_eos_token", GgufValue::Switch(false));
    if let Some(template) = asked.template {
        set("chat_template", GgufValue::Text(template.to_owned()));
    }
    Ok(keys)
}

/// The tokens that llama.cpp is told to end a turn and a message with, at both of which it stops as it does at `eos`. A turn ends
/// with what the template puts there; where that is not known, with a token that is none of the `texts`, which the base ends
/// with. Whatever else ends an answer takes the other place: there is none for a fourth.
fn ends(asked: Asked<'_>, eos: Option<u32>, texts: &[u32]) -> [Option<u32>; 2] {
    let others = || asked.stop_tokens.iter().copied().filter(move |token| Some(*token) != eos);
    let turn = asked
        .end_of_turn
        .or_else(|| others().find(|token| !texts.contains(token)))
        .or_else(|| others().next());
    [turn.filter(|token| Some(*token) != eos), others().find(|token| Some(*token) != turn)]
}

/// Pairs in the order of their rank, in either manner of `tokenizer.json`.
fn merges(model: &Value) -> Vec<[String; 2]> {
    let pairs =
        model["merges"].as_array().map_or(&[][..], Vec::as_slice).iter().filter_map(|merge| match merge {
            Value::String(pair) => pair.split_once(' ').map(|(a, b)| [a.to_owned(), b.to_owned()]),
            Value::Array(pair) => {
                Some([pair.first()?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned()])
            }
            _ => None,
        });
    pairs.collect()
}

/// Tokens by their ids, as many as the embedding has rows.
struct Vocabulary {
    tokens: Vec<String>,
    types: Vec<i32>,
}

impl Vocabulary {
    fn read(base: &BaseModel, json: &Value) -> Result<Self, String> {
        let rows = base.config.vocab_size;
        let mut tokens: Vec<Option<(String, i32)>> = vec![None; rows];
        let mut put = |token: &str, id: u64, kind: i32| {
            let place = usize::try_from(id).ok().and_then(|id| tokens.get_mut(id));
            match place {
                Some(place) => {
                    *place = Some((token.to_owned(), kind));
                    Ok(())
                }
                None => Err(format!("`{token}` is token {id}, and the model has {rows}")),
            }
        };
        // SentencePiece's own name for it, where nothing else is said.
        let unknown = json["model"]["unk_token"].as_str().unwrap_or("<unk>");
        let has_bytes = json["model"]["byte_fallback"] == true;
        for (token, id) in json["model"]["vocab"].as_object().into_iter().flatten() {
            let kind = match token.as_str() {
                token if token == unknown => UNKNOWN,
                token if has_bytes && is_byte(token) => BYTE,
                _ => NORMAL,
            };
            put(token, id.as_u64().unwrap_or(u64::MAX), kind)?;
        }
        for added in json["added_tokens"].as_array().into_iter().flatten() {
            let token = added["content"].as_str().unwrap_or_default();
            let kind = match added["special"] == true {
                _ if token == unknown => UNKNOWN,
                true => CONTROL,
                false => USER_DEFINED,
            };
            let id = added["id"].as_u64().unwrap_or(u64::MAX);
            // A special token without a row, as Gemma 3's text models have for images, is one that nothing says.
            if id < rows as u64 {
                put(token, id, kind)?;
            }
        }
        // Rows of the embedding that no token has, as llama.cpp's converter calls them.
        let named = |(id, token): (usize, Option<(String, i32)>)| {
            token.unwrap_or_else(|| (format!("[PAD{id}]"), UNUSED))
        };
        let (tokens, types) = tokens.into_iter().enumerate().map(named).unzip();
        Ok(Self { tokens, types })
    }

    /// SentencePiece's scores: the neighbours with the highest are joined first, so the rank of the first merge that makes a
    /// token, negative.
    fn scores(&self, merges: &[[String; 2]]) -> Vec<f32> {
        let mut ranks: HashMap<String, usize> = HashMap::with_capacity(merges.len());
        for (rank, [left, right]) in merges.iter().enumerate() {
            ranks.entry(format!("{left}{right}")).or_insert(rank);
        }
        let score = |(token, kind): (&String, &i32)| match (ranks.get(token), *kind) {
            (Some(rank), NORMAL) => -(*rank as f32),
            (None, NORMAL) => NO_MERGE,
            _ => 0.0,
        };
        self.tokens.iter().zip(&self.types).map(score).collect()
    }
}

/// Whether a token stands for one byte, as `<0x0A>` does.
fn is_byte(token: &str) -> bool {
    let digits = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_with_what_the_template_puts_there() {
        let ends = |end_of_turn, stop_tokens: &[u32], eos, texts: &[u32]| {
            ends(Asked { template: None, end_of_turn, stop_tokens }, Some(eos), texts)
        };
        // Of three that end an answer the template's has the highest number.
        assert_eq!(ends(Some(9), &[2, 7, 9], 2, &[2, 7]), [Some(9), Some(7)]);
        assert_eq!(ends(None, &[2, 7, 9], 2, &[2, 7]), [Some(9), Some(7)]);
        assert_eq!(ends(Some(9), &[2, 7, 9], 9, &[2, 7]), [None, Some(2)], "it is the end of a text too");
        assert_eq!(ends(None, &[2, 7], 2, &[2, 7]), [Some(7), None]);
        assert_eq!(ends(Some(2), &[2], 2, &[2]), [None, None]);
        assert_eq!(ends(None, &[], 2, &[]), [None, None]);
    }
}
