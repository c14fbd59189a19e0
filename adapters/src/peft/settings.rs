//! `adapter_config.json`, read strictly.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use super::RESIDUAL;
use crate::lora::MAX_RANK;
use crate::{AdapterError, Alongside, Biases, LoraConfig, Scaling, Start, Targets};

/// Largest file, in bytes. A list of every linear of 128 experts in 60 layers takes less than 2 MB.
const MAX_BYTES: u64 = 16 << 20;

/// Keys whose value says nothing about what the adapter computes: where it came from, how training drew
/// it, and which linears were wanted, which the weights' file tells better.
const HARMLESS: [&str; 12] = [
    "auto_mapping",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "loftq_config",
    "layers_pattern",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "target_modules",
];

/// Initialisations after which the base weights are as they were. PiSSA, OLoRA, CorDA, LoRA-GA and LoftQ change them,
/// so their adapters fit another base than the one on disk until PEFT has converted them, which resets the key.
const PLAIN_INITIALISATIONS: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// Reads the settings, with no targets yet and the name of the base model. `changed_base`: whether the caller knows what was
/// taken off the base.
pub(super) fn read(path: &Path, changed_base: bool) -> Result<(LoraConfig, Option<String>), AdapterError> {
    let io = |source| AdapterError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    parse(path, &bytes, changed_base)
}

/// [`read`] of a file whose bytes are at hand.
pub(super) fn parse(
    path: &Path,
    bytes: &[u8],
    changed_base: bool,
) -> Result<(LoraConfig, Option<String>), AdapterError> {
    let wrong = |problem: String| AdapterError::File { path: path.to_owned(), problem };
    if bytes.len() as u64 > MAX_BYTES {
        return Err(wrong(format!("expected at most {MAX_BYTES} bytes")));
    }
    let keys: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| wrong(format!("no JSON object: {error}")))?;
    let settings = Settings { path, keys };
    settings.check_switches(changed_base)?;
    let rank = settings.rank("r", settings.get("r"))?;
    let alpha = settings.alpha("lora_alpha", settings.get("lora_alpha"))?;
    let stabilized = settings.flag("use_rslora")?;
    let config = LoraConfig {
        rank,
        alpha,
        scaling: if stabilized { Scaling::RankStabilized } else { Scaling::Standard },
        targets: Targets::Names(Vec::new()),
        layers: settings.layers()?,
        rank_pattern: settings.pattern("rank_pattern", Settings::rank)?,
        alpha_pattern: settings.pattern("alpha_pattern", Settings::alpha)?,
        dora: settings.flag("use_dora")?,
        dropout: settings.dropout()?,
        start: settings.start(),
        alongside: Alongside {
            biases: settings.biases()?,
            modules: settings.names("modules_to_save")?,
            ..settings.tokens()?
        },
    };
    // Whether it is set says nothing: what it does to the file shows there.
    settings.flag("ensure_weight_tying")?;
    Ok((config, settings.base_model()?))
}

struct Settings<'a> {
    path: &'a Path,
    keys: Map<String, Value>,
}

impl Settings<'_> {
    /// The value of a key; absent is null, as PEFT has it.
    fn get(&self, key: &str) -> &Value {
        self.keys.get(key).unwrap_or(&Value::Null)
    }

    fn refuse(&self, key: &str, expected: &str, found: &Value) -> AdapterError {
        const SHOWN: usize = 60;
        let mut found = found.to_string();
        if let Some((end, _)) = found.char_indices().nth(SHOWN) {
            found.truncate(end);
            found.push('…');
        }
        AdapterError::Key {
            path: self.path.to_owned(),
            key: key.to_owned(),
            expected: expected.to_owned(),
            found,
        }
    }

    /// Every key that is not read elsewhere is harmless, or off.
    fn check_switches(&self, changed_base: bool) -> Result<(), AdapterError> {
        if self.get("peft_type").as_str() != Some("LORA") {
            return Err(self.refuse("peft_type", "\"LORA\"", self.get("peft_type")));
        }
        for (key, value) in &self.keys {
            let (right, expected) = match key.as_str() {
                "peft_type"
                | "r"
                | "lora_alpha"
                | "lora_dropout"
                | "layers_to_transform"
                | "bias"
                | "modules_to_save"
                | "trainable_token_indices"
                | "ensure_weight_tying"
                | "use_dora"
                | "use_rslora"
                | "rank_pattern"
                | "alpha_pattern"
                | "base_model_name_or_path" => (true, ""),
                "task_type" => {
                    (value.is_null() || value.as_str() == Some("CAUSAL_LM"), "\"CAUSAL_LM\" or null")
                }
                "init_lora_weights" => (
                    leaves_base(value) || (changed_base && value == RESIDUAL),
                    "an initialisation that leaves the base weights alone (true, false, \"gaussian\", \"eva\" or \
                     \"orthogonal\")",
                ),
                harmless if HARMLESS.contains(&harmless) => (true, ""),
                _ => (is_off(value), "null, false or nothing in it, since it is not supported"),
            };
            if !right {
                return Err(self.refuse(key, expected, value));
            }
        }
        Ok(())
    }

    /// What the adapter holds of its base, where that is known: one that makes up for quantisation says so by a setting that
    /// others pass over.
    fn start(&self) -> Start {
        match (self.get("init_lora_weights"), self.get("loftq_config")) {
            (start, _) if start == RESIDUAL => Start::Pissa,
            (_, loftq) if !is_off(loftq) => Start::Loftq,
            _ => Start::Drawn,
        }
    }

    fn rank(&self, key: &str, value: &Value) -> Result<usize, AdapterError> {
        let rank = value.as_u64().and_then(|rank| usize::try_from(rank).ok());
        rank.filter(|rank| (1..=MAX_RANK).contains(rank))
            .ok_or_else(|| self.refuse(key, &format!("a whole number from 1 to {MAX_RANK}"), value))
    }

    fn alpha(&self, key: &str, value: &Value) -> Result<f64, AdapterError> {
        let alpha = value.as_f64().filter(|alpha| alpha.is_finite() && *alpha > 0.0);
        alpha.ok_or_else(|| self.refuse(key, "a number above 0", value))
    }

    /// Numbers of blocks; an empty list is none, as in PEFT.
    fn layers(&self) -> Result<Option<Vec<usize>>, AdapterError> {
        const KEY: &str = "layers_to_transform";
        let number = |value: &Value| value.as_u64().and_then(|number| usize::try_from(number).ok());
        let layers: Option<Vec<usize>> = match self.get(KEY) {
            Value::Null => return Ok(None),
            Value::Array(layers) => layers.iter().map(number).collect(),
            layer => number(layer).map(|layer| vec![layer]),
        };
        let layers = layers.ok_or_else(|| self.refuse(KEY, "numbers of blocks, or null", self.get(KEY)))?;
        Ok((!layers.is_empty()).then_some(layers))
    }

    fn dropout(&self) -> Result<f64, AdapterError> {
        const KEY: &str = "lora_dropout";
        match self.get(KEY) {
            Value::Null => Ok(0.0),
            value => value
                .as_f64()
                .filter(|dropout| (0.0..1.0).contains(dropout))
                .ok_or_else(|| self.refuse(KEY, "a number from 0 to below 1", value)),
        }
    }

    fn biases(&self) -> Result<Biases, AdapterError> {
        match self.get("bias") {
            Value::Null => Ok(Biases::None),
            Value::String(text) if text == "none" => Ok(Biases::None),
            Value::String(text) if text == "lora_only" => Ok(Biases::Adapted),
            Value::String(text) if text == "all" => Ok(Biases::All),
            other => Err(self.refuse("bias", "\"none\", \"lora_only\" or \"all\"", other)),
        }
    }

    fn names(&self, key: &str) -> Result<Vec<String>, AdapterError> {
        let names = match self.get(key) {
            Value::Null => return Ok(Vec::new()),
            Value::Array(names) => names.iter().map(|name| name.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        names.ok_or_else(|| self.refuse(key, "a list of names, or null", self.get(key)))
    }

    /// Rows by token id: a list for the embedding alone, or one and the same list for embedding and head by name.
    fn tokens(&self) -> Result<Alongside, AdapterError> {
        const KEY: &str = "trainable_token_indices";
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids = |value: &Value| value.as_array()?.iter().map(id).collect::<Option<Vec<u32>>>();
        let found = match self.get(KEY) {
            Value::Null => return Ok(Alongside::default()),
            Value::Object(lists) => {
                let mut all = lists.values();
                let first = all.next();
                first
                    .filter(|first| all.all(|list| list == *first))
                    .and_then(ids)
                    .map(|tokens| (tokens, lists.len() > 1))
            }
            list => ids(list).map(|tokens| (tokens, false)),
        };
        let expected = "a list of token ids, or the same list for the embedding and for the head";
        let (tokens, of_head) = found
            .filter(|(tokens, _)| tokens.is_sorted_by(|a, b| a < b))
            .ok_or_else(|| self.refuse(KEY, expected, self.get(KEY)))?;
        Ok(Alongside { tokens, of_head, ..Alongside::default() })
    }

    fn flag(&self, key: &str) -> Result<bool, AdapterError> {
        match self.get(key) {
            Value::Null => Ok(false),
            Value::Bool(flag) => Ok(*flag),
            other => Err(self.refuse(key, "true or false", other)),
        }
    }

    /// A pattern in the order of the file: the first that matches counts.
    fn pattern<T>(
        &self,
        key: &str,
        read: fn(&Self, &str, &Value) -> Result<T, AdapterError>,
    ) -> Result<Vec<(String, T)>, AdapterError> {
        match self.get(key) {
            Value::Null => Ok(Vec::new()),
            Value::Object(entries) => entries
                .iter()
                .map(|(pattern, value)| {
                    Ok((pattern.clone(), read(self, &format!("{key}.{pattern}"), value)?))
                })
                .collect(),
            other => Err(self.refuse(key, "an object of patterns", other)),
        }
    }

    fn base_model(&self) -> Result<Option<String>, AdapterError> {
        const KEY: &str = "base_model_name_or_path";
        match self.get(KEY) {
            Value::Null => Ok(None),
            Value::String(name) => Ok(Some(name.clone())),
            other => Err(self.refuse(KEY, "a string or null", other)),
        }
    }
}

fn leaves_base(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => true,
        Value::String(name) => PLAIN_INITIALISATIONS.contains(&name.as_str()),
        _ => false,
    }
}

fn is_off(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
    }
}
