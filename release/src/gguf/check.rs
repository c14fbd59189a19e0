//! A written file, opened again: whoever loads it must get the model that was meant.

use std::path::Path;

use rtune_models::{BaseModel, DecoderSpec, GgufFile, ModelConfig, ModelError, WeightSource};
use rtune_tokens::encode_guarded;
use serde_json::{Map, Value};
use tokenizers::Tokenizer;

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

/// Families with windows that llama.cpp does not compute ("Phi SWA is currently disabled"), though it reads their size.
const WITHOUT_WINDOWS: [&str; 1] = ["phi3"];

/// Opens the file at `partial`, which is to stand at `path`, and compares configuration, tensors and tokens with the base's. With
/// `repeats_embedding` the embedding stands in it a second time, as a head.
///
/// # Errors
/// [`ReleaseError::NotEqual`], also for a file that cannot be read; [`ReleaseError::Io`].
pub(super) fn refuse_other(
    partial: &Path,
    path: &Path,
    base: &BaseModel,
    repeats_embedding: bool,
) -> Result<(), ReleaseError> {
    let not_equal = |problem: String| ReleaseError::NotEqual { path: path.to_owned(), problem };
    let unreadable = |error: ModelError| match error {
        ModelError::Io { source, .. } => ReleaseError::Io { action: "read", path: path.to_owned(), source },
        // The other name is gone when this is read.
        error => {
            let [partial, path] = [partial, path].map(|path| path.display().to_string());
            not_equal(format!("it cannot be read: {}", error.to_string().replace(&partial, &path)))
        }
    };
    let file = GgufFile::open(partial).map_err(unreadable)?;
    // The model that is the same, with a head of its own.
    let mut wanted = base.config.clone();
    wanted.tie_word_embeddings &= !repeats_embedding;
    same_configuration(&wanted, file.config()).map_err(not_equal)?;
    same_tensors(&wanted, &file).map_err(not_equal)?;
    let tokenizer = rtune_models::open(partial).map_err(unreadable)?.tokenizer;
    same_tokens(&base.tokenizer, &tokenizer, base.config.vocab_size).map_err(not_equal)
}

fn same_configuration(base: &ModelConfig, file: &ModelConfig) -> Result<(), String> {
    let context = base.max_position_embeddings;
    let window = base.layers().iter().filter_map(|layer| layer.window).find(|window| *window < context);
    if let Some(window) = window.filter(|_| WITHOUT_WINDOWS.contains(&base.model_type.as_str())) {
        return Err(format!(
            "llama.cpp computes {} without its window of {window} tokens, which is another model from there to {context}; with \
             `sliding_window` null and `max_position_embeddings` {window} in the base's config.json it is the same one, of so many tokens",
            base.model_type
        ));
    }
    let json = |config: &ModelConfig| match config.to_json("float32") {
        Some(Value::Object(keys)) => keys,
        _ => Map::new(),
    };
    let (wanted, found) = (json(base), json(file));
    let said = |keys: &Map<String, Value>, key: &str| match keys.get(key) {
        None | Some(Value::Null) => "nothing".to_owned(),
        Some(value) => value.to_string(),
    };
    let keys = wanted.keys().chain(found.keys()).filter(|key| !UNSAID.contains(&key.as_str()));
    for key in keys {
        if !is_same(wanted.get(key), found.get(key)) {
            let (wanted, found) = (said(&wanted, key), said(&found, key));
            return Err(format!("`{key}` is {wanted}, and llama.cpp would take {found}"));
        }
    }
    let windows = |config: &ModelConfig| {
        config.layers().iter().map(|layer| (layer.window, layer.without_rope)).collect::<Vec<_>>()
    };
    if windows(base) != windows(file) {
        return Err("which layers have a window, or no rope, is not what llama.cpp takes".to_owned());
    }
    Ok(())
}

/// The tensors of the decoder are there with their shapes, and no others.
pub(super) fn same_tensors(config: &ModelConfig, file: &dyn WeightSource) -> Result<(), String> {
    let wanted = DecoderSpec::new(config).tensors();
    for tensor in &wanted {
        match file.shape(&tensor.name) {
            Some(shape) if shape == tensor.shape => {}
            Some(shape) => {
                let expected = &tensor.shape;
                return Err(format!("`{}` has the shape {shape:?}, not {expected:?}", tensor.name));
            }
            None => return Err(format!("`{}` is missing", tensor.name)),
        }
    }
    let known = |name: &String| wanted.iter().any(|tensor| tensor.name == *name);
    match file.names().into_iter().find(|name| !known(name)) {
        Some(name) => Err(format!("`{name}` is in it, and the model has no place for it")),
        None => Ok(()),
    }
}

/// Texts and added tokens, but for those beyond the rows, are the same tokens.
fn same_tokens(base: &Tokenizer, file: &Tokenizer, rows: usize) -> Result<(), String> {
    let ids = |tokenizer: &Tokenizer, text: &str| {
        let encoding = encode_guarded(tokenizer, text, false);
        encoding.map(|encoding| encoding.get_ids().to_vec()).map_err(|error| format!("{text:?}: {error}"))
    };
    let added = base.get_added_tokens_decoder().into_iter().filter(|(id, _)| (*id as usize) < rows);
    let added = added.filter_map(|(_, token)| around(&token.content));
    for text in PROBES.map(str::to_owned).into_iter().chain(added) {
        let (wanted, found) = (ids(base, &text)?, ids(file, &text)?);
        if wanted != found {
            return Err(format!("{text:?} is the tokens {wanted:?}, and would be {found:?}"));
        }
    }
    Ok(())
}

/// A text in which a token has white space before and behind it, which some swallow; `None` for one that is white space
/// itself, or what SentencePiece writes for it.
fn around(token: &str) -> Option<String> {
    let is_space = token.chars().all(|character| character.is_whitespace() || character == '\u{2581}');
    (!is_space).then(|| format!("a {token} b\n{token}\nc  {token}  d{token}e"))
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

#[cfg(test)]
mod tests {
    use tokenizers::models::wordlevel::WordLevel;
    use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
    use tokenizers::tokenizer::SplitDelimiterBehavior;

    use super::*;

    fn tokenizer(pattern: &str) -> Tokenizer {
        let vocabulary = [("?".to_owned(), 0)].into_iter().collect();
        let words =
            WordLevel::builder().vocab(vocabulary).unk_token("?".to_owned()).build().expect("a model");
        let mut tokenizer = Tokenizer::new(words);
        let pattern = SplitPattern::Regex(pattern.to_owned());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).expect("a pattern");
        tokenizer.with_pre_tokenizer(Some(split));
        tokenizer
    }

    #[test]
    fn a_probe_that_a_tokenizer_panics_at_is_an_error() {
        let (plain, odd) = (tokenizer(r"\s+"), tokenizer(r"(?:.|.)*\d!"));
        assert_eq!(same_tokens(&plain, &plain, 1), Ok(()));
        for error in [same_tokens(&plain, &odd, 1), same_tokens(&odd, &plain, 1)] {
            let said = error.expect_err("tried too often");
            assert!(
                said.contains("Hello, World!") && said.contains("the tokenizer cannot go on: "),
                "{said}"
            );
        }
    }
}
