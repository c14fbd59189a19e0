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
pub(super) const SUPPORTED: &str =
    "smollm, starcoder, llama-bpe, llama3, llama-v3, qwen2, deepseek-r1-qwen, gpt-2, default";

/// Llama 3's words.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2's words: digits one by one.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

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
        "smollm" | "starcoder" => plain(sequence(json!({"type": "Digits", "individual_digits": true}), true)),
        "llama-bpe" | "llama3" | "llama-v3" => {
            Rule { ignore_merges: true, adds_bos: true, ..plain(sequence(split(LLAMA3), false)) }
        }
        "qwen2" | "deepseek-r1-qwen" => {
            Rule { normalizer: json!({"type": "NFC"}), ..plain(sequence(split(QWEN2), false)) }
        }
        _ => return None,
    })
}

/// Bytes as printable characters; `use_regex` cuts with GPT-2's rule first.
fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

fn sequence(first: Value, use_regex: bool) -> Value {
    json!({"type": "Sequence", "pretokenizers": [first, byte_level(use_regex)]})
}

fn split(regex: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false})
}
