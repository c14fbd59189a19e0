//! A written file, opened again: whoever loads it must get the model that was meant.

use std::path::Path;

use rtune_models::{BaseModel, GgufFile};
use serde_json::{Map, Value};

use crate::error::ReleaseError;

/// Keys of a configuration that say nothing of what is computed, or that a GGUF file has no place for: it names one token
/// that ends a text, and says by other means which ends a turn.
const UNSAID: [&str; 9] = [
    "architectures",
    "model_type",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "torch_dtype",
    "max_window_layers",
    "use_sliding_window",
    "layer_types",
];

/// Texts by which two tokenizers are told apart: what rules of words differ in.
const PROBES: [&str; 12] = [
    "Hello, World! It's 12345 o'clock -- isn't it?",
    "  two  spaces,\ttabs\t\tand\n\nlines\r\n ",
    "CamelCaseWords, ALLCAPS and mixedUP2 3.14159 1,000,000",
    "naïve café Ünïcödé ß ﬁ ① ½",
    "中文字符测试，日本語テスト。한국어 시험",
    "Привет, мир! שלום עולם مرحبا بالعالم",
    "🙂🚀👩‍👩‍👧‍👦 e\u{301} \u{200b}zero\u{a0}width",
    "def f(x):\n    return x**2  # comment\n",
    "https://example.org/a?b=c&d=%20 user@example.org",
    "don't DON'T we'll WE'LL I'm 'tis rock'n'roll",
    "<b>html</b> {\"json\": [1, 2.5, null]}",
    " leading and trailing ",
];

/// Opens the file at `partial` and compares configuration and tokens with the base's.
///
/// # Errors
/// [`ReleaseError::NotEqual`].
pub(super) fn refuse_other(partial: &Path, path: &Path, base: &BaseModel) -> Result<(), ReleaseError> {
    let not_equal = |problem: String| ReleaseError::NotEqual { path: path.to_owned(), problem };
    let file = GgufFile::open(partial)?;
    let json = |config: &rtune_models::ModelConfig| match config.to_json("float32") {
        Some(Value::Object(keys)) => keys,
        _ => Map::new(),
    };
    let (wanted, found) = (json(&base.config), json(file.config()));
    let said = |keys: &Map<String, Value>, key: &str| match keys.get(key) {
        None | Some(Value::Null) => "nothing".to_owned(),
        Some(value) => value.to_string(),
    };
    let keys = wanted.keys().chain(found.keys()).filter(|key| !UNSAID.contains(&key.as_str()));
    for key in keys {
        if !is_same(wanted.get(key), found.get(key)) {
            let (wanted, found) = (said(&wanted, key), said(&found, key));
            return Err(not_equal(format!("`{key}` is {wanted}, and llama.cpp would take {found}")));
        }
    }
    let windows = |config: &rtune_models::ModelConfig| {
        config.layers().iter().map(|layer| (layer.window, layer.without_rope)).collect::<Vec<_>>()
    };
    if windows(&base.config) != windows(file.config()) {
        return Err(not_equal(
            "which layers have a window, or no rope, is not what llama.cpp takes".to_owned(),
        ));
    }
    let tokenizer = rtune_models::open(partial)?.tokenizer;
    for text in PROBES {
        let ids = |tokenizer: &tokenizers::Tokenizer| {
            tokenizer.encode(text, false).map(|encoding| encoding.get_ids().to_vec())
        };
        let [wanted, found] = [ids(&base.tokenizer), ids(&tokenizer)].map(Result::unwrap_or_default);
        if wanted != found {
            return Err(not_equal(format!("{text:?} is the tokens {wanted:?}, and would be {found:?}")));
        }
    }
    Ok(())
}

/// Whether two values are the same, numbers to what 32 bits keep of them.
fn is_same(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one.unwrap_or(&Value::Null), other.unwrap_or(&Value::Null)) {
        (Value::Number(one), Value::Number(other)) => {
            let [one, other] = [one, other].map(|number| number.as_f64().unwrap_or(f64::NAN));
            (one - other).abs() <= 1e-6 * one.abs().max(other.abs())
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| is_same(Some(a), Some(b)))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.keys().chain(other.keys()).all(|key| is_same(one.get(key), other.get(key)))
        }
        (one, other) => one == other,
    }
}
