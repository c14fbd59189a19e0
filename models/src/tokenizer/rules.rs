//! How text is cut into words before byte-pair encoding: what `tokenizer.ggml.pre` names.
//!
//! llama.cpp keeps the name of a rule, not the rule; the rules here are those of the models' own `tokenizer.json`.

use serde_json::{Value, json};

/// What a name of a rule stands for.
pub(super) struct Rule {
    /// `normalizer` of tokenizer.json.
    pub(super) normalizer: Value,
    /// `pre_tokenizer` of tokenizer.json.
    pub(super) pre_tokenizer: Value,
    /// Whether a word that is a token needs no merges.
    pub(super) ignore_merges: bool,
    /// Whether a sequence begins with bos when the file does not say.
    pub(super) adds_bos: bool,
}

/// Names that are understood, for a message.
pub(super) const SUPPORTED: &str = "smollm, starcoder, refact, llama-bpe, llama3, llama-v3, dbrx, smaug-bpe, qwen2, deepseek-r1-qwen, tekken, gpt-4o, \
     falcon, olmo, gpt-2, default";

/// Llama 3's words.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2's words: digits one by one.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Mistral's since Nemo: words end where capitals begin again, digits one by one.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Phi-4-mini's, which is that of GPT-4o: words as in [`TEKKEN`], with what an apostrophe joins to them.
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The rule with this name. `default` is GPT-2's, as it is in transformers' reader of GGUF.
pub(super) fn by_name(name: &str) -> Option<Rule> {
    let plain = |pre_tokenizer| Rule {
        normalizer: Value::Null,
        pre_tokenizer,
        ignore_merges: false,
        adds_bos: false,
    };
    Some(match name {
        "gpt-2" | "default" => plain(byte_level(true)),
        "olmo" => Rule { normalizer: json!({"type": "NFC"}), ..plain(byte_level(true)) },
        "falcon" => plain(falcon()),
        "dbrx" | "smaug-bpe" => plain(sequence(split(LLAMA3), false)),
        "gpt-4o" => plain(sequence(split(GPT4O), false)),
        "tekken" => Rule { ignore_merges: true, adds_bos: true, ..plain(sequence(split(TEKKEN), false)) },
        "smollm" | "starcoder" | "refact" => {
            plain(sequence(json!({"type": "Digits", "individual_digits": true}), true))
        }
        "llama-bpe" | "llama3" | "llama-v3" => {
            Rule { ignore_merges: true, adds_bos: true, ..plain(sequence(split(LLAMA3), false)) }
        }
        "qwen2" | "deepseek-r1-qwen" => {
            Rule { normalizer: json!({"type": "NFC"}), ..plain(sequence(split(QWEN2), false)) }
        }
        _ => return None,
    })
}

/// The name of a rule of words, of which `tokenizer.json` has a normaliser, a pre-tokenizer, and whether words that are tokens
/// need no merges; `None` for one that llama.cpp does not know.
pub(super) fn name_of(
    normalizer: &Value,
    pre_tokenizer: &Value,
    ignore_merges: &Value,
) -> Option<&'static str> {
    let names = ["smollm", "llama-bpe", "qwen2", "tekken", "gpt-4o", "falcon", "olmo", "gpt-2", "dbrx"];
    let ignores = *ignore_merges == true;
    let wanted = plain(pre_tokenizer);
    names.into_iter().find(|name| {
        by_name(name).is_some_and(|rule| {
            rule.ignore_merges == ignores
                && plain(&rule.pre_tokenizer) == wanted
                && (rule.normalizer == *normalizer)
        })
    })
}

/// A pre-tokenizer without what does not change where words end: offsets are not used, and a sequence of one is that one.
fn plain(pre_tokenizer: &Value) -> Value {
    match pre_tokenizer {
        Value::Object(keys) => {
            if let Some([one]) = keys.get("pretokenizers").and_then(Value::as_array).map(Vec::as_slice) {
                return plain(one);
            }
            let keys = keys.iter().filter(|(key, _)| *key != "trim_offsets");
            Value::Object(keys.map(|(key, value)| (key.clone(), plain(value))).collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(plain).collect()),
        value => value.clone(),
    }
}

/// Bytes as printable characters; `use_regex` cuts with GPT-2's rule first.
fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

fn sequence(first: Value, use_regex: bool) -> Value {
    json!({"type": "Sequence", "pretokenizers": [first, byte_level(use_regex)]})
}

/// Falcon's: punctuation, then GPT-2's words, then digits by three.
fn falcon() -> Value {
    json!({"type": "Sequence", "pretokenizers": [
        {"type": "Punctuation", "behavior": "Contiguous"}, byte_level(true),
        {"type": "Digits", "individual_digits": false}, split("[0-9][0-9][0-9]"),
    ]})
}

fn split(regex: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false})
}
