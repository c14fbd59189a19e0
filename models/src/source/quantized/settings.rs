//! What a folder says about how it was quantised: `quantization_config` of its `config.json`, or `quantize_config.json`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::ModelError;
use crate::config::bounds::MAX_WIDTH;
use crate::config::{Fields, read_json};

/// The key of `config.json`.
const KEY: &str = "quantization_config";
/// Where AutoGPTQ wrote the same keys before transformers knew of them.
const OLD_FILE: &str = "quantize_config.json";
/// What can be read, for a message.
const SUPPORTED: &str = "none, bitsandbytes, gptq, awq";

/// How the linears of a folder are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// As numbers.
    None,
    /// As bitsandbytes keeps them; its tensors say the rest.
    BitsAndBytes,
    /// Packed whole numbers with scales and zero points.
    Gptq(Gptq),
    /// The same in the order of AutoAWQ's `gemm` kernel, 4 bits each.
    Awq {
        /// Input features that share a scale; `None` for all of them.
        group: Option<usize>,
    },
}

/// What the keys of a GPTQ folder say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gptq {
    /// Of every weight; `None` where the keys give some modules a width of their own.
    pub(super) bits: Option<usize>,
    /// Input features that share a scale where no `g_idx` says it; `None` for all of them.
    pub(super) group: Option<usize>,
    /// Version 1 keeps each zero point less one.
    pub(super) zero_less_one: bool,
}

/// Reads the settings of a folder, and says which other file than `config.json` they came from.
///
/// # Errors
/// For a method or a variant of one that is not read here, and for keys that cannot be right.
pub(super) fn read(folder: &Path) -> Result<(Method, Option<PathBuf>), ModelError> {
    let config = folder.join("config.json");
    if config.is_file() {
        let fields = Fields::new(&config, read_json(&config, "the model's configuration")?)?;
        if let Some(settings) = fields.nested(KEY)? {
            return Ok((method(&settings)?, None));
        }
    }
    let old = folder.join(OLD_FILE);
    if !old.is_file() {
        return Ok((Method::None, None));
    }
    let settings = Fields::new(&old, read_json(&old, "the settings of its quantisation")?)?;
    Ok((method(&settings)?, Some(old)))
}

fn method(settings: &Fields) -> Result<Method, ModelError> {
    let bitsandbytes = settings.boolean("load_in_4bit", false)? || settings.boolean("load_in_8bit", false)?;
    // bitsandbytes before transformers 4.30 named no method, nor did AutoGPTQ in its own file.
    let name = match settings.string("quant_method")? {
        Some(name) => name.to_lowercase(),
        None if bitsandbytes => "bitsandbytes".to_owned(),
        None if settings.get("bits").is_some() => "gptq".to_owned(),
        None => return Err(settings.unsupported("quant_method", "not given".to_owned(), SUPPORTED)),
    };
    match name.as_str() {
        "bitsandbytes" => Ok(Method::BitsAndBytes),
        "gptq" => gptq(settings).map(Method::Gptq),
        "awq" => awq(settings),
        _ => Err(settings.unsupported("quant_method", format!("\"{name}\""), SUPPORTED)),
    }
}

fn gptq(settings: &Fields) -> Result<Gptq, ModelError> {
    refuse_other_words(settings)?;
    if settings.boolean("is_marlin_format", false)? {
        return Err(settings.unsupported("is_marlin_format", "true".to_owned(), "false"));
    }
    let bits = settings.required_size("bits", 8)?;
    if !matches!(bits, 2 | 3 | 4 | 8) {
        return Err(settings.unsupported("bits", bits.to_string(), "2, 3, 4, 8"));
    }
    let key = if settings.get("checkpoint_format").is_some() { "checkpoint_format" } else { "format" };
    let zero_less_one = match settings.string(key)?.map(|format| format.to_lowercase()).as_deref() {
        None | Some("gptq") => true,
        Some("gptq_v2") => false,
        Some(other) => return Err(settings.unsupported(key, format!("\"{other}\""), "gptq, gptq_v2")),
    };
    let own_widths = match settings.get("dynamic") {
        // A key that begins with `-:` leaves modules as they are, which their tensors show.
        Some(Value::Object(rules)) => rules.keys().any(|rule| !rule.starts_with("-:")),
        _ => false,
    };
    let bits = if own_widths { None } else { Some(bits) };
    Ok(Gptq { bits, group: group(settings)?, zero_less_one })
}

fn awq(settings: &Fields) -> Result<Method, ModelError> {
    refuse_other_words(settings)?;
    // AutoAWQ's own file calls them `w_bit` and `q_group_size`.
    let key = if settings.get("w_bit").is_some() { "w_bit" } else { "bits" };
    if let Some(bits) = settings.size(key, 64)?
        && bits != 4
    {
        return Err(settings.unsupported(key, bits.to_string(), "4"));
    }
    if !settings.boolean("zero_point", true)? {
        return Err(settings.unsupported("zero_point", "false".to_owned(), "true"));
    }
    let key = if settings.get("version").is_some() { "version" } else { "format" };
    match settings.string(key)?.map(|format| format.to_lowercase()).as_deref() {
        None | Some("gemm") => Ok(Method::Awq { group: group(settings)? }),
        Some(other) => Err(settings.unsupported(key, format!("\"{other}\""), "gemm")),
    }
}

/// Both formats are defined over words of 32 bits; gptqmodel can write others when it is asked to.
fn refuse_other_words(settings: &Fields) -> Result<(), ModelError> {
    match settings.string("pack_dtype")?.as_deref() {
        None | Some("int32" | "torch.int32") => Ok(()),
        Some(other) => Err(settings.unsupported("pack_dtype", format!("\"{other}\""), "int32")),
    }
}

/// Input features of a group; -1 stands for all.
fn group(settings: &Fields) -> Result<Option<usize>, ModelError> {
    let key = if settings.get("q_group_size").is_some() { "q_group_size" } else { "group_size" };
    match settings.get(key) {
        Some(value) if value.as_i64() == Some(-1) => Ok(None),
        // Both tools' default.
        None => Ok(Some(128)),
        Some(_) => settings.size(key, MAX_WIDTH),
    }
}
