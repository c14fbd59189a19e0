//! Typed access to one JSON object, with errors that name file, key, expectation and finding.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::ModelError;

/// Longest JSON file that is read as a whole, in bytes. The largest in use, a `tokenizer.json` of 256k entries,
/// has 34 MB; what is longer is not a model's file.
pub(crate) const MAX_JSON_BYTES: u64 = 256 << 20;

/// Longest excerpt of a value in a message, in characters.
const MAX_EXCERPT_CHARS: usize = 80;

/// Reads a whole JSON file of at most [`MAX_JSON_BYTES`]; `what` says in a message what the file is.
pub(crate) fn read_json(path: &Path, what: &'static str) -> Result<Value, ModelError> {
    let text = read_text(path, what)?;
    parse_json(path, &text)
}

/// Reads a whole UTF-8 file of at most [`MAX_JSON_BYTES`].
pub(crate) fn read_text(path: &Path, what: &'static str) -> Result<String, ModelError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let hint =
                "a base model is a folder with config.json, tokenizer.json and model.safetensors (or its \
                        index and shards), or a .gguf file"
                    .to_owned();
            return Err(ModelError::MissingFile { path: path.to_owned(), what, hint });
        }
        Err(error) => return Err(ModelError::io(path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_JSON_BYTES + 1).read_to_end(&mut bytes).map_err(ModelError::io(path))?;
    if bytes.len() as u64 > MAX_JSON_BYTES {
        let problem = format!("longer than {MAX_JSON_BYTES} bytes, so it is not {what}");
        return Err(ModelError::damaged(path, problem));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        ModelError::damaged(path, format!("not valid UTF-8 at byte {at}"))
    })
}

/// Parses JSON text that was read from `path`.
pub(crate) fn parse_json(path: &Path, text: &str) -> Result<Value, ModelError> {
    serde_json::from_str(text).map_err(|error| ModelError::Json {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
        problem: error.to_string(),
    })
}

/// A JSON value, shortened for a message.
pub(crate) fn excerpt(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_EXCERPT_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// One object of a JSON file and the keys that lead to it.
pub(crate) struct Fields {
    path: PathBuf,
    prefix: String,
    object: Map<String, Value>,
}

impl Fields {
    /// The file's outermost value, which has to be an object.
    pub(crate) fn new(path: &Path, value: Value) -> Result<Self, ModelError> {
        match value {
            Value::Object(object) => Ok(Self { path: path.to_owned(), prefix: String::new(), object }),
            other => {
                Err(ModelError::damaged(path, format!("expected a JSON object, found {}", excerpt(&other))))
            }
        }
    }

    /// The value of a key; absent and `null` are the same, as in transformers.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// Whether the key does not stand there at all: in a few places null means something else.
    pub(crate) fn is_absent(&self, key: &str) -> bool {
        !self.object.contains_key(key)
    }

    /// The keys in the order of the file.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.object.keys().map(String::as_str)
    }

    /// Writes a key, or overwrites it.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.object.insert(key.to_owned(), value);
    }

    /// Takes a key away.
    pub(crate) fn remove(&mut self, key: &str) {
        self.object.remove(key);
    }

    /// Moves what stands under older names to the newer ones, unless something stands there.
    pub(crate) fn rename(&mut self, names: &[(&str, &str)]) {
        for (old, new) in names {
            if self.get(new).is_none()
                && let Some(value) = self.object.remove(*old)
            {
                self.set(new, value);
            }
        }
    }

    /// The object under a key, if there is one.
    pub(crate) fn nested(&self, key: &str) -> Result<Option<Self>, ModelError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(object)) => {
                let prefix = format!("{}{key}.", self.prefix);
                Ok(Some(Self { path: self.path.clone(), prefix, object: object.clone() }))
            }
            Some(other) => Err(self.wrong(key, "an object", other)),
        }
    }

    pub(crate) fn string(&self, key: &str) -> Result<Option<String>, ModelError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.wrong(key, "a string", other)),
        }
    }

    pub(crate) fn required_string(&self, key: &str) -> Result<String, ModelError> {
        self.string(key)?.ok_or_else(|| self.missing(key, "a string"))
    }

    pub(crate) fn boolean(&self, key: &str, default: bool) -> Result<bool, ModelError> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => Err(self.wrong(key, "true or false", other)),
        }
    }

    /// A whole number from 1 to `max`.
    pub(crate) fn size(&self, key: &str, max: usize) -> Result<Option<usize>, ModelError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_u64().and_then(|number| usize::try_from(number).ok()) {
            Some(number) if (1..=max).contains(&number) => Ok(Some(number)),
            _ => Err(self.wrong(key, &format!("a whole number from 1 to {max}"), value)),
        }
    }

    pub(crate) fn required_size(&self, key: &str, max: usize) -> Result<usize, ModelError> {
        self.size(key, max)?.ok_or_else(|| self.missing(key, &format!("a whole number from 1 to {max}")))
    }

    /// A finite number above zero and at most `max`.
    pub(crate) fn positive(&self, key: &str, max: f64) -> Result<Option<f64>, ModelError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_f64() {
            Some(number) if number > 0.0 && number <= max => Ok(Some(number)),
            _ => Err(self.wrong(key, &format!("a number above 0 and at most {max}"), value)),
        }
    }

    pub(crate) fn required_positive(&self, key: &str, max: f64) -> Result<f64, ModelError> {
        self.positive(key, max)?
            .ok_or_else(|| self.missing(key, &format!("a number above 0 and at most {max}")))
    }

    pub(crate) fn missing(&self, key: &str, expected: &str) -> ModelError {
        self.key_error(key, expected.to_owned(), "no such key".to_owned())
    }

    pub(crate) fn wrong(&self, key: &str, expected: &str, found: &Value) -> ModelError {
        self.key_error(key, expected.to_owned(), excerpt(found))
    }

    pub(crate) fn unsupported(&self, key: &str, found: String, supported: &str) -> ModelError {
        let key = format!("{}{key}", self.prefix);
        ModelError::Unsupported { path: self.path.clone(), key, found, supported: supported.to_owned() }
    }

    fn key_error(&self, key: &str, expected: String, found: String) -> ModelError {
        ModelError::Key { path: self.path.clone(), key: format!("{}{key}", self.prefix), expected, found }
    }
}
