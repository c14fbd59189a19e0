use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use tokenizers::Tokenizer;

use super::odd_strings::odd_strings;
use super::{SpecialTokenStrings, from_folder, from_gguf};
use crate::source::gguf::Value;
use crate::source::gguf::tests::writer::Writer;
use crate::{GgufFile, ModelError};

/// GPT-2's byte alphabet: printable bytes stand for themselves, the others for characters from 256 on.
fn byte_tokens() -> Vec<String> {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let others: Vec<u8> = (0..=255).filter(|byte| !printable(*byte)).collect();
    let character = |byte: u8| match others.iter().position(|other| *other == byte) {
        Some(place) => char::from_u32(256 + place as u32).expect("a character"),
        None => char::from(byte),
    };
    (0..=255).map(|byte| character(byte).to_string()).collect()
}

fn strings(values: &[String]) -> Value {
    Value::Array(values.iter().map(|text| Value::String(text.clone())).collect())
}

/// Bytes, then merges of digits, letters and spaces, then two control tokens and one that was added.
fn writer(rule: &str) -> (Writer, usize) {
    let mut tokens = byte_tokens();
    let merges = ["1 2", "12 3", "123 4", "a b", "Ġ ab", "Ġ Ġ", "ab c", "x y"];
    tokens.extend(merges.iter().map(|merge| merge.replace(' ', "")));
    let plain = tokens.len();
    tokens.extend(["<|bos|>", "<|eos|>", "<added>", "<unused>"].map(str::to_owned));
    let kinds =
        (0..tokens.len()).map(|id| Value::Integer([1, 3, 3, 4, 5][(id + 1).saturating_sub(plain)])).collect();
    let mut writer = Writer::llama()
        .with("tokenizer.ggml.model", Value::String("gpt2".to_owned()))
        .with("tokenizer.ggml.pre", Value::String(rule.to_owned()))
        .with("tokenizer.ggml.tokens", strings(&tokens))
        .with("tokenizer.ggml.merges", strings(&merges.map(str::to_owned)))
        .with("tokenizer.ggml.token_type", Value::Array(kinds))
        .with("tokenizer.ggml.bos_token_id", Value::Integer(plain as i128))
        .with("tokenizer.ggml.eos_token_id", Value::Integer(plain as i128 + 1))
        .with("tokenizer.chat_template", Value::String("{{ messages }}".to_owned()));
    writer.tensors[0].1 = vec![32, tokens.len() as u64];
    writer.tensors[0].3 = vec![0; 32 * 4 * tokens.len()];
    (writer, plain)
}

fn build(writer: &Writer) -> Result<super::TokenizerParts, ModelError> {
    let folder = tempfile::tempdir().expect("folder");
    from_gguf(GgufFile::open(&writer.write(folder.path())).expect("valid").metadata())
}

fn pieces(tokenizer: &Tokenizer, text: &str, special: bool) -> Vec<String> {
    tokenizer.encode(text, special).expect("encoded").get_tokens().to_vec()
}

#[test]
fn each_rule_cuts_as_its_models_do() {
    for (rule, text, expected) in [
        ("smollm", "1234 ab", &["1", "2", "3", "4", "Ġab"][..]),
        ("starcoder", "12abc", &["1", "2", "abc"]),
        ("gpt-2", "1234 ab", &["1234", "Ġab"]),
        ("default", "a1234", &["a", "1234"]),
        ("llama-bpe", "1234  ab", &["123", "4", "Ġ", "Ġab"]),
        ("qwen2", "1234 ab", &["1", "2", "3", "4", "Ġab"]),
        (
            "smollm",
            "ab<|eos|>ab<added>ab<unused>",
            &["ab", "<|eos|>", "ab", "<added>", "ab", "<", "u", "n", "u", "s", "e", "d", ">"],
        ),
    ] {
        let parts = build(&writer(rule).0).expect("valid");
        assert_eq!(pieces(&parts.tokenizer, text, false), expected, "{rule}");
    }
    let qwen = build(&writer("qwen2").0).expect("valid").tokenizer;
    assert_eq!(pieces(&qwen, "e\u{301}", false), pieces(&qwen, "é", false));
}

#[test]
fn bos_is_added_when_the_file_or_the_rule_says_so() {
    for (rule, said, expected) in [
        ("smollm", None, false),
        ("smollm", Some(true), true),
        ("llama-bpe", None, true),
        ("llama-bpe", Some(false), false),
    ] {
        let (mut writer, bos) = writer(rule);
        if let Some(said) = said {
            writer.set("tokenizer.ggml.add_bos_token", Value::Boolean(said));
        }
        let tokenizer = build(&writer).expect("valid").tokenizer;
        let ids = tokenizer.encode("a", true).expect("encoded").get_ids().to_vec();
        assert_eq!(ids.first() == Some(&(bos as u32)), expected, "{rule} {said:?}");
        assert_eq!(tokenizer.encode("a", false).expect("encoded").len(), 1);
    }
}

#[test]
fn special_tokens_template_and_round_trips() {
    let parts = build(&writer("smollm").0).expect("valid");
    let expected = SpecialTokenStrings {
        bos: Some("<|bos|>".to_owned()),
        eos: Some("<|eos|>".to_owned()),
        pad: None,
        unk: None,
    };
    assert_eq!((parts.special, parts.chat_template.as_deref()), (expected, Some("{{ messages }}")));
    for text in odd_strings() {
        let ids = parts.tokenizer.encode(text.as_str(), false).expect("encoded").get_ids().to_vec();
        assert_eq!(parts.tokenizer.decode(&ids, false).expect("decoded"), text);
    }
}

#[test]
fn vocabularies_that_cannot_be_are_named() {
    let text = |text: &str| Value::String(text.to_owned());
    for (key, value, expected) in [
        ("tokenizer.ggml.model", text("t5"), "`tokenizer.ggml.model` is \"t5\""),
        (
            "tokenizer.ggml.pre",
            text("deepseek-llm"),
            "`tokenizer.ggml.pre` is \"deepseek-llm\", which is not supported (supported: smollm",
        ),
        ("tokenizer.ggml.tokens", text("x"), "an array of strings"),
        ("tokenizer.ggml.tokens", Value::Array(vec![text("a"), text("a")]), "token 1, `a`, is token 0 too"),
        ("tokenizer.ggml.merges", Value::Array(vec![text("ab")]), "merge 0, `ab`, is not two tokens"),
        ("tokenizer.ggml.merges", Value::Array(vec![text("q q")]), "tokenizer: "),
        ("tokenizer.ggml.token_type", Value::Array(vec![Value::Integer(1)]), "but 1 token types"),
    ] {
        let mut writer = writer("smollm").0;
        writer.metadata.retain(|(name, _)| !name.ends_with("_token_id"));
        let message = build(&writer.with(key, value)).err().expect("must be refused").to_string();
        assert!(message.contains(expected) && message.contains("model.gguf"), "{message}");
    }
    let mut writer = writer("smollm").0;
    writer.metadata.retain(|(name, _)| name != "tokenizer.ggml.pre");
    assert!(build(&writer).err().expect("refused").to_string().contains("`tokenizer.ggml.pre` is not given"));
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("folder");
    let tokenizer = json!({"version": "1.0", "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "a"},
        "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}});
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).expect("write");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("write");
    }
    folder
}

#[test]
fn folders_in_all_their_forms() {
    let plain = folder(&[]);
    let (parts, files) = from_folder(plain.path()).expect("valid");
    assert_eq!(parts.tokenizer.encode("abab", true).expect("encoded").get_ids(), [0, 1, 0, 1]);
    assert_eq!((parts.chat_template, parts.special, files.len()), (None, SpecialTokenStrings::default(), 1));

    let settings =
        json!({"bos_token": "<s>", "eos_token": {"content": "b", "lstrip": false}, "pad_token": null, "added_tokens_decoder": {},
        "chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})
        .to_string();
    let map = json!({"eos_token": "a", "unk_token": {"content": "<unk>"}}).to_string();
    let listed = folder(&[("tokenizer_config.json", &settings), ("special_tokens_map.json", &map)]);
    let (parts, files) = from_folder(listed.path()).expect("valid");
    let expected = ["<s>", "b", "<unk>"].map(|text| Some(text.to_owned()));
    assert_eq!([parts.special.bos, parts.special.eos, parts.special.unk], expected);
    assert_eq!((parts.special.pad, parts.chat_template.as_deref(), files.len()), (None, Some("D"), 3));

    // As transformers reads what it wrote before it wrote added tokens there.
    let old = settings.replace("\"added_tokens_decoder\":{},", "");
    let listed_of_old = folder(&[("tokenizer_config.json", &old), ("special_tokens_map.json", &map)]);
    assert_ne!(old, settings);
    assert_eq!(from_folder(listed_of_old.path()).expect("valid").0.special.eos.as_deref(), Some("a"));

    std::fs::write(listed.path().join("chat_template.jinja"), "J").expect("write");
    assert_eq!(from_folder(listed.path()).expect("valid").0.chat_template.as_deref(), Some("J"));
    let inline = folder(&[("tokenizer_config.json", r#"{"chat_template": "I"}"#)]);
    assert_eq!(from_folder(inline.path()).expect("valid").0.chat_template.as_deref(), Some("I"));
}

#[test]
fn folders_that_cannot_be_are_named() {
    let refusal = |folder: &Path| from_folder(folder).err().expect("must be refused").to_string();
    let empty = tempfile::tempdir().expect("folder");
    assert!(refusal(empty.path()).contains("the tokenizer is missing"));
    assert!(refusal(folder(&[("tokenizer.json", "{}")]).path()).contains("tokenizer.json: tokenizer: "));
    for (settings, expected) in [
        (r#"{"eos_token": 3}"#, "`eos_token`: expected a string, or an object with `content`, found 3"),
        (r#"{"eos_token": {}}"#, "`eos_token.content`"),
        (r#"{"chat_template": {}}"#, "`chat_template`: expected a string, or a list"),
        ("[", "line 1, column 1"),
        // The name of that file stands in the message for what it says.
        (r#"{"eos_token": "</s>"}"#, "`</s>` ends a text by the settings beside it (tokenizer_config.json)"),
    ] {
        let message = refusal(folder(&[("tokenizer_config.json", settings)]).path());
        assert!(message.contains(expected) && message.contains("tokenizer_config.json"), "{message}");
    }
}

/// Writing a tokenizer, the library walks every number up to the largest.
#[test]
fn numbers_beyond_any_vocabulary_are_refused() {
    let with = |id: u32| {
        let json = json!({"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
            "post_processor": null, "decoder": null, "truncation": null, "padding": null,
            "model": {"type": "BPE", "vocab": {"a": 0, "b": id}, "merges": []}});
        super::from_json(Path::new("tokenizer.json"), &json.to_string())
    };
    assert_eq!(with((1 << 24) - 1).expect("read").token_to_id("b"), Some((1 << 24) - 1));
    let error = with(4_294_967_294).expect_err("refused").to_string();
    assert!(
        error.starts_with("tokenizer.json: ") && error.contains("found \"b\" with 4294967294"),
        "{error}"
    );
}

/// llama.cpp lets special tokens of a Phi-3, by its name, swallow white space behind them.
#[test]
fn a_phi_3_swallows_white_space_behind_its_tokens() {
    let (plain, bos) = writer("llama-bpe");
    let ids = |name: &str, text: &str| {
        let writer = plain.clone().with("general.name", Value::String(name.to_owned()));
        let tokenizer = build(&writer).expect("a tokenizer").tokenizer;
        tokenizer.encode(text, false).expect("encoded").get_ids().to_vec()
    };
    let (spaced, close) = ("<|eos|> \n1", "<|eos|>1");
    assert_ne!(ids("Llama", spaced), ids("Llama", close));
    assert_eq!(ids("my PHI-3", spaced), ids("Llama", close));
    assert_eq!(ids("my PHI-3", close)[0], bos as u32 + 1);
}
