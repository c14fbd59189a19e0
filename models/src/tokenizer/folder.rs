//! The tokenizer of a folder in the hub's layout.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{SpecialTokenStrings, TokenizerParts, from_json};
use crate::ModelError;
use crate::config::{Fields, read_json, read_text};

/// Name of the template that is meant when none is named.
const DEFAULT_TEMPLATE: &str = "default";

/// Reads `tokenizer.json`; then special tokens from `tokenizer_config.json`, and of a folder that says nothing of added tokens there, as
/// transformers wrote them before autumn 2023, first from `special_tokens_map.json`; and the chat template, which is `chat_template.jinja`, or stands in
/// `tokenizer_config.json` as a string or as a list of named ones. Also gives the files that were read.
///
/// Errors when `tokenizer.json` is missing or not understood, or has not the token that ends a text. The other files may be missing.
pub(crate) fn from_folder(folder: &Path) -> Result<(TokenizerParts, Vec<PathBuf>), ModelError> {
    let path = folder.join("tokenizer.json");
    if !path.is_file() {
        let hint =
            "rtune reads tokenizer.json; if the folder has only tokenizer.model, open it with transformers' \
                    AutoTokenizer and save_pretrained, which writes tokenizer.json"
                .to_owned();
        return Err(ModelError::MissingFile { path, what: "the tokenizer", hint });
    }
    let tokenizer = from_json(&path, &read_text(&path, "the tokenizer")?)?;
    let mut files = vec![path];
    let mut optional = |name: &str| {
        let path = folder.join(name);
        path.is_file().then(|| {
            files.push(path.clone());
            path
        })
    };
    let settings = optional("tokenizer_config.json").map(|path| read_fields(&path)).transpose()?;
    let map = optional("special_tokens_map.json").map(|path| read_fields(&path)).transpose()?;
    let template_file = optional("chat_template.jinja");
    let special = |name: &str| -> Result<Option<String>, ModelError> {
        let says_added =
            settings.as_ref().is_some_and(|settings| settings.get("added_tokens_decoder").is_some());
        let order = if says_added { [&settings, &map] } else { [&map, &settings] };
        for fields in order.into_iter().flatten() {
            if let Some(text) = token_text(fields, name)? {
                return Ok(Some(text));
            }
        }
        Ok(None)
    };
    let special = SpecialTokenStrings {
        bos: special("bos_token")?,
        eos: special("eos_token")?,
        pad: special("pad_token")?,
        unk: special("unk_token")?,
    };
    if let Some(token) = special.eos.as_ref().filter(|token| !token.is_empty())
        && tokenizer.token_to_id(token).is_none()
    {
        let problem = format!(
            "`{token}` ends a text by the settings beside it (tokenizer_config.json), and is no token here: open the folder with AutoTokenizer of transformers, \
             which adds it, and save it"
        );
        return Err(ModelError::Tokenizer { path: files[0].clone(), problem });
    }
    let chat_template = match (template_file, &settings) {
        (Some(path), _) => Some(read_text(&path, "the chat template")?),
        (None, Some(settings)) => inline_template(settings)?,
        (None, None) => None,
    };
    Ok((TokenizerParts { tokenizer, special, chat_template }, files))
}

fn read_fields(path: &Path) -> Result<Fields, ModelError> {
    Fields::new(path, read_json(path, "the tokenizer's settings")?)
}

/// A special token is a string, or an object with its `content`.
fn token_text(fields: &Fields, key: &str) -> Result<Option<String>, ModelError> {
    match fields.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Object(object)) => match object.get("content") {
            Some(Value::String(text)) => Ok(Some(text.clone())),
            _ => Err(fields.missing(&format!("{key}.content"), "a string")),
        },
        Some(other) => Err(fields.wrong(key, "a string, or an object with `content`", other)),
    }
}

fn inline_template(fields: &Fields) -> Result<Option<String>, ModelError> {
    let key = "chat_template";
    match fields.get(key) {
        None => Ok(None),
        Some(Value::String(template)) => Ok(Some(template.clone())),
        Some(Value::Array(named)) => {
            let default = named.iter().find(|entry| entry["name"] == DEFAULT_TEMPLATE);
            match default.map(|entry| &entry["template"]) {
                None => Ok(None),
                Some(Value::String(template)) => Ok(Some(template.clone())),
                Some(other) => Err(fields.wrong("chat_template.default.template", "a string", other)),
            }
        }
        Some(other) => Err(fields.wrong(key, "a string, or a list of named templates", other)),
    }
}
