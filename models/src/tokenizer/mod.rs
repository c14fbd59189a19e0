//! The tokenizer of a base model, with its special tokens and its chat template.

mod folder;
mod gguf;
pub(crate) mod model_name;
mod rules;
mod sentencepiece;
mod sound;
pub(crate) mod to_gguf;

pub(crate) use folder::from_folder;
pub(crate) use gguf::from_gguf;

use std::path::Path;

use tokenizers::Tokenizer;

use crate::ModelError;
use crate::config::bounds::MAX_VOCABULARY;

/// The texts of the special tokens, as a chat template wants them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTokenStrings {
    /// Begins a sequence.
    pub bos: Option<String>,
    /// Ends a sequence.
    pub eos: Option<String>,
    /// Pads a batch.
    pub pad: Option<String>,
    /// Stands for what the vocabulary does not have.
    pub unk: Option<String>,
}

/// A tokenizer and what belongs to it.
pub(crate) struct TokenizerParts {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) special: SpecialTokenStrings,
    pub(crate) chat_template: Option<String>,
}

/// Builds a tokenizer from the JSON of a `tokenizer.json` that belongs to `path`.
///
/// Truncation and padding, which some repositories leave switched on in the file, are switched off: rtune decides
/// about lengths itself, and says so.
///
/// Errors when the library does not understand it or would panic at it, and when a token has a number beyond the largest vocabulary: writing such
/// a tokenizer, the library would walk all numbers below.
pub(crate) fn from_json(path: &Path, json: &str) -> Result<Tokenizer, ModelError> {
    let fault = |error: tokenizers::Error| ModelError::Tokenizer {
        path: path.to_owned(),
        problem: error.to_string(),
    };
    sound::check(json).map_err(|problem| ModelError::Tokenizer { path: path.to_owned(), problem })?;
    let mut tokenizer: Tokenizer = json.parse().map_err(fault)?;
    tokenizer.with_truncation(None).map_err(fault)?;
    tokenizer.with_padding(None);
    let last = tokenizer.get_vocab(true).into_iter().max_by_key(|(_, id)| *id);
    match last.filter(|(_, id)| *id as usize >= MAX_VOCABULARY) {
        None => Ok(tokenizer),
        Some((token, id)) => {
            let token = crate::config::excerpt(&serde_json::Value::from(token));
            let problem =
                format!("expected tokens with numbers below {MAX_VOCABULARY}, found {token} with {id}");
            Err(ModelError::Tokenizer { path: path.to_owned(), problem })
        }
    }
}

#[cfg(test)]
pub(crate) mod odd_strings;
#[cfg(test)]
mod tests;
