//! The files beside the weights: configuration, tokenizer, chat template, what ends an answer.

use std::fs;
use std::path::{Path, PathBuf};

use rtune_models::{BaseModel, ModelConfig, SpecialTokenStrings};
use serde_json::{Map, Value, json};

use crate::dtype::Dtype;
use crate::error::{At, ReleaseError};
use crate::folder::NewFolder;
use crate::links::refuse_outside;
use crate::model::Layout;

const CONFIG_FILE: &str = "config.json";
const GENERATION_FILE: &str = "generation_config.json";
const TEMPLATE_FILE: &str = "chat_template.jinja";
const TOKENIZER_FILE: &str = "tokenizer.json";
const TOKENIZER_SETTINGS_FILE: &str = "tokenizer_config.json";
const SPECIAL_TOKENS_FILE: &str = "special_tokens_map.json";

/// The files of a base's folder that are a tokenizer's.
const TOKENIZER_FILES: [&str; 7] = [
    TOKENIZER_FILE,
    SPECIAL_TOKENS_FILE,
    "added_tokens.json",
    "merges.txt",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
];
/// Files of a base's folder that are written anew, or would say something wrong of the new model: how weights were packed that
/// are packed no more, what another merge did.
const LEFT_OUT: [&str; 11] = [
    CONFIG_FILE,
    GENERATION_FILE,
    TOKENIZER_SETTINGS_FILE,
    "chat_template.json",
    "adapter_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "quantize_config.json",
    "quant_config.json",
    crate::report::FILE,
    crate::report::QUANTIZATION_FILE,
];
/// What the names of files begin with that a licence may ask to be passed on.
const LEGAL: [&str; 4] = ["LICENSE", "LICENCE", "NOTICE", "USE_POLICY"];

/// What a model says and hears besides its weights.
#[derive(Clone, Copy, Debug)]
pub struct Chat<'a> {
    /// The template it was trained with, if there is one.
    pub template: Option<&'a str>,
    /// The token that the template puts behind every answer, if it puts one there.
    pub end_of_turn: Option<u32>,
    /// Tokens that end its answers, that one among them.
    pub stop_tokens: &'a [u32],
}

/// Writes all that transformers reads beside the weights.
///
/// # Errors
/// [`ReleaseError::Io`], [`ReleaseError::Unreadable`] for a file of the base, [`ReleaseError::Outside`] for one that is a link out of
/// its folder, [`ReleaseError::Unwritable`] for a base whose configuration transformers has no keys for.
pub(crate) fn write_model(
    folder: &NewFolder,
    base: &BaseModel,
    layout: Layout,
    chat: Chat<'_>,
) -> Result<(), ReleaseError> {
    let dtype = layout.dtype;
    write_tokenizer(folder, base, chat)?;
    if let Some(from) = of_folder(base) {
        for path in others(from)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            folder.write(&name, &read_own(&path)?)?;
        }
    }
    let config = match of_folder(base) {
        Some(from) => edited_config(from, base, dtype)?,
        None => None,
    };
    let mut config = match config {
        Some(config) => config,
        None => base.config.to_json(dtype.name()).ok_or_else(|| ReleaseError::Unwritable {
            path: folder.path().join(CONFIG_FILE),
            problem: "transformers has no key for the base's rope: the divisors of `rope_freqs.weight` are not those of a \
                      Llama 3 scaling, or layers with a window have a scaling of their own"
                .to_owned(),
        })?,
    };
    if let Some(packing) = layout.packing {
        config["quantization_config"] = packing.settings(dtype);
    }
    write_json(folder, CONFIG_FILE, &config)?;
    write_generation(folder, base, chat)
}

/// Writes the files of the tokenizer and the chat template.
///
/// # Errors
/// As [`write_model`].
pub(crate) fn write_tokenizer(
    folder: &NewFolder,
    base: &BaseModel,
    chat: Chat<'_>,
) -> Result<(), ReleaseError> {
    refuse_links_out(base)?;
    match of_folder(base) {
        Some(from) => {
            if base.new_tokens.is_empty() {
                for name in TOKENIZER_FILES.iter().filter(|name| from.join(name).is_file()) {
                    folder.write(name, &read_own(&from.join(name))?)?;
                }
            } else {
                // The other files would say that there are no new tokens.
                write_own_tokenizer(folder, base)?;
            }
            if let Some(bytes) = edited_settings(&from.join(TOKENIZER_SETTINGS_FILE), chat.template)? {
                folder.write(TOKENIZER_SETTINGS_FILE, &bytes)?;
            }
        }
        None => {
            write_own_tokenizer(folder, base)?;
            write_json(folder, SPECIAL_TOKENS_FILE, &Value::Object(special_tokens(&base.special)))?;
            write_json(folder, TOKENIZER_SETTINGS_FILE, &new_settings(base))?;
        }
    }
    match chat.template {
        Some(template) => folder.write(TEMPLATE_FILE, template.as_bytes()),
        None => Ok(()),
    }
}

/// The tokenizer as it is in memory.
fn write_own_tokenizer(folder: &NewFolder, base: &BaseModel) -> Result<(), ReleaseError> {
    let json = base.tokenizer.to_string(true).map_err(|error| ReleaseError::Unwritable {
        path: folder.path().join(TOKENIZER_FILE),
        problem: error.to_string(),
    })?;
    folder.write(TOKENIZER_FILE, json.as_bytes())
}

/// The folder that the base came as; `None` for a GGUF file.
fn of_folder(base: &BaseModel) -> Option<&Path> {
    Some(base.weights.path()).filter(|path| path.is_dir())
}

/// Refuses a base of which a file whose text is passed on, by a new model's files or inside of a GGUF file, is a link out of its folder.
/// Weights may be: they are read as tensors.
///
/// # Errors
/// [`ReleaseError::Outside`], [`ReleaseError::Io`].
pub(crate) fn refuse_links_out(base: &BaseModel) -> Result<(), ReleaseError> {
    let Some(from) = of_folder(base) else { return Ok(()) };
    let named = [CONFIG_FILE, GENERATION_FILE, TOKENIZER_SETTINGS_FILE, TEMPLATE_FILE];
    let paths = named.iter().chain(&TOKENIZER_FILES).map(|name| from.join(name));
    paths.filter(|path| path.is_file()).try_for_each(|path| refuse_outside(from, &path))
}

/// How many more rows than its files say the base has for the tokens that its tokenizer got, of all that it has then; `None` where they
/// have rows for all.
///
/// # Errors
/// Those of a configuration that cannot be read.
pub(crate) fn rows_to_be(base: &BaseModel) -> Result<Option<usize>, ReleaseError> {
    let Some(from) = of_folder(base).filter(|_| !base.new_tokens.is_empty()) else { return Ok(None) };
    let had = ModelConfig::from_file(&from.join(CONFIG_FILE))?.vocab_size;
    Ok(Some(base.config.vocab_size).filter(|rows| *rows > had))
}

/// Writes the files of the base's folder that its licence may ask to be passed on.
///
/// # Errors
/// [`ReleaseError::Io`]; [`ReleaseError::Outside`] for one that is a link out of the folder.
pub fn write_legal(folder: &NewFolder, base: &BaseModel) -> Result<(), ReleaseError> {
    let Some(from) = of_folder(base) else { return Ok(()) };
    for path in others(from)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_legal(&name) {
            folder.write(&name, &read_own(&path)?)?;
        }
    }
    Ok(())
}

fn is_legal(name: &str) -> bool {
    LEGAL.iter().any(|start| name.to_ascii_uppercase().starts_with(start))
}

/// Files of a base's folder that are passed on as they are: JSON that nobody here knows, and licences.
fn others(from: &Path) -> Result<Vec<PathBuf>, ReleaseError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(from).at("read", from)? {
        let path = entry.at("read", from)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let known = LEFT_OUT.contains(&name.as_str()) || TOKENIZER_FILES.contains(&name.as_str());
        let is_json = name.ends_with(".json") && !name.ends_with(".index.json") && !name.starts_with('.');
        if path.is_file() && !known && (is_json || is_legal(&name)) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The base's configuration with the element type of the new weights, and the vocabulary where it grew. Every other key
/// stays. `None` for a model that sees besides, whose text part the new one is, and where the family has an older name.
fn edited_config(from: &Path, base: &BaseModel, dtype: Dtype) -> Result<Option<Value>, ReleaseError> {
    let mut keys = read_object(&from.join(CONFIG_FILE))?;
    // Older names of a family, which only code of the base's own repository knows, are written anew, too.
    let is_known =
        keys.get("model_type").and_then(Value::as_str) == base.config.family.model_types.first().copied();
    if keys.contains_key("text_config") || !is_known {
        return Ok(None);
    }
    keys.remove("quantization_config");
    // Code that does not go with it, and that transformers has of its own.
    keys.remove("auto_map");
    // transformers 5 writes `dtype` and reads both; older ones know the other alone.
    let present: Vec<&str> =
        ["dtype", "torch_dtype"].into_iter().filter(|key| keys.contains_key(*key)).collect();
    for key in if present.is_empty() { vec!["torch_dtype"] } else { present } {
        keys.insert(key.to_owned(), json!(dtype.name()));
    }
    if !base.new_tokens.is_empty() {
        keys.insert("vocab_size".to_owned(), json!(base.config.vocab_size));
    }
    Ok(Some(Value::Object(keys)))
}

/// The base's settings, in which a template that is not the one trained with is replaced, and so is a list of them: programs that ask
/// with tools would take another one from it. `None` if there are none.
fn edited_settings(path: &Path, template: Option<&str>) -> Result<Option<Vec<u8>>, ReleaseError> {
    if !path.is_file() {
        return Ok(None);
    }
    let mut keys = read_object(path)?;
    match (keys.get("chat_template"), template) {
        (Some(inline), Some(template)) if inline != template => {
            keys.insert("chat_template".to_owned(), json!(template));
            Ok(Some(text_of(&Value::Object(keys)).into_bytes()))
        }
        _ => Ok(Some(read_own(path)?)),
    }
}

fn special_tokens(special: &SpecialTokenStrings) -> Map<String, Value> {
    let tokens = [
        ("bos_token", &special.bos),
        ("eos_token", &special.eos),
        ("pad_token", &special.pad),
        ("unk_token", &special.unk),
    ];
    let given = tokens.into_iter().filter_map(|(key, token)| token.as_ref().map(|token| (key, token)));
    given.map(|(key, token)| (key.to_owned(), json!(token))).collect()
}

/// Settings for a tokenizer that came without: its own file says all but the names of the special tokens.
fn new_settings(base: &BaseModel) -> Value {
    let mut keys = special_tokens(&base.special);
    keys.insert("clean_up_tokenization_spaces".to_owned(), json!(false));
    keys.insert("model_max_length".to_owned(), json!(base.config.max_position_embeddings));
    keys.insert("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast"));
    Value::Object(keys)
}

/// What ends an answer: the base's tokens and those that the template ends a turn with, which a base that was never
/// taught to chat does not name.
fn write_generation(folder: &NewFolder, base: &BaseModel, chat: Chat<'_>) -> Result<(), ReleaseError> {
    let path = of_folder(base).map(|from| from.join(GENERATION_FILE)).filter(|path| path.is_file());
    let mut keys = match &path {
        Some(path) => read_object(path)?,
        None => {
            let ids =
                [("bos_token_id", base.config.bos_token_id), ("pad_token_id", base.config.pad_token_id)];
            let given = ids.into_iter().filter_map(|(key, id)| id.map(|id| (key.to_owned(), json!(id))));
            std::iter::once(("_from_model_config".to_owned(), json!(true))).chain(given).collect()
        }
    };
    let named: Vec<Value> = match keys.get("eos_token_id") {
        None | Some(Value::Null) => base.config.eos_token_ids.iter().map(|id| json!(id)).collect(),
        Some(Value::Array(ids)) => ids.clone(),
        Some(id) => vec![id.clone()],
    };
    let mut ids = named;
    for id in chat.stop_tokens {
        if !ids.contains(&json!(id)) {
            ids.push(json!(id));
        }
    }
    match ids.as_slice() {
        [] => {}
        [id] => drop(keys.insert("eos_token_id".to_owned(), id.clone())),
        _ => drop(keys.insert("eos_token_id".to_owned(), Value::Array(ids))),
    }
    write_json(folder, GENERATION_FILE, &Value::Object(keys))
}

/// A file of the base's folder, to be passed on; every read in this file is this one.
fn read_own(path: &Path) -> Result<Vec<u8>, ReleaseError> {
    refuse_outside(path.parent().unwrap_or(path), path)?;
    fs::read(path).at("read", path)
}

fn read_object(path: &Path) -> Result<Map<String, Value>, ReleaseError> {
    let bytes = read_own(path)?;
    serde_json::from_slice(&bytes).map_err(|error| ReleaseError::Unreadable {
        path: path.to_owned(),
        problem: format!("expected a JSON object: {error}"),
    })
}

pub(crate) fn write_json(folder: &NewFolder, name: &str, value: &Value) -> Result<(), ReleaseError> {
    folder.write(name, text_of(value).as_bytes())
}

fn text_of(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_something_of_other_weights_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = ["LICENSE.txt", "notes.json"];
        let left_out = [
            "config.json",
            "merge-report.json",
            "model.safetensors.index.json",
            "quant_config.json",
            "quantize_config.json",
            "tokenizer.json",
        ];
        for name in kept.iter().chain(&left_out) {
            fs::write(folder.path().join(name), "{}").expect("written");
        }
        assert_eq!(others(folder.path()).expect("read"), kept.map(|name| folder.path().join(name)));
    }

    #[test]
    fn a_link_out_of_the_folder_is_not_read() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("model");
        fs::create_dir(&folder).expect("made");
        fs::write(place.path().join("secret"), r#"{"token": "hf_x"}"#).expect("written");
        fs::write(folder.join("text"), "{}").expect("written");
        std::os::unix::fs::symlink("../secret", folder.join("NOTICE")).expect("linked");
        std::os::unix::fs::symlink("text", folder.join("LICENSE")).expect("linked");
        assert_eq!(read_own(&folder.join("LICENSE")).expect("its own"), b"{}");
        let refused = read_own(&folder.join("NOTICE"));
        assert!(matches!(refused, Err(ReleaseError::Outside { .. })), "{refused:?}");
        let refused = edited_settings(&folder.join("NOTICE"), Some("T"));
        assert!(matches!(refused, Err(ReleaseError::Outside { .. })), "{refused:?}");
    }
}
