use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::from_json;
use super::check;

fn file(changes: &[(&str, Value)]) -> Value {
    let mut file = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "vocab": {"a": 0, "##b": 1, "ab": 2, "é": 3}, "merges": []}});
    for (path, value) in changes {
        *file.pointer_mut(path).expect("a place") = value.clone();
    }
    file
}

#[track_caller]
fn refused(changes: &[(&str, Value)], part: &str) {
    let file = file(changes);
    let error = from_json(Path::new("tokenizer.json"), &file.to_string()).expect_err(part).to_string();
    assert!(error.starts_with("tokenizer.json: tokenizer: ") && error.contains(part), "{error}");
}

#[track_caller]
fn read(changes: &[(&str, Value)]) -> tokenizers::Tokenizer {
    from_json(Path::new("tokenizer.json"), &file(changes).to_string()).expect("a tokenizer")
}

#[test]
fn merges_are_of_tokens() {
    let (merges, prefix) = ("/model/merges", "/model/continuing_subword_prefix");
    for merge in [json!(["a", "##b"]), json!("a ##b")] {
        let tokenizer = read(&[(merges, json!([merge])), (prefix, json!("##"))]);
        assert_eq!(tokenizer.encode("ab", false).expect("encoded").get_tokens(), ["ab"]);
    }
    for merge in [json!(["ab", "##b"]), json!("ab ##b")] {
        refused(
            &[(merges, json!([merge]))],
            "`model.merges[0]`: expected a token of `model.vocab`, found one of 5 bytes",
        );
    }
    refused(
        &[(merges, json!(["a ##b", "ab a"])), (prefix, json!("##"))],
        "`model.merges[1]`: expected a second token that begins",
    );
    // Half of a character is no text.
    refused(&[(merges, json!([["a", "é"]])), (prefix, json!("x"))], "found \"é\"");
    for strange in [json!([["a"]]), json!([["a", "a", "a"]]), json!([7]), json!({"a": 1})] {
        refused(&[(merges, strange)], "line 1");
    }
    // That of a Unigram model is a list.
    let unigram = json!({"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0]], "byte_fallback": false});
    assert_eq!(read(&[("/model", unigram)]).encode("a", false).expect("encoded").get_ids(), [1]);
}

#[test]
fn a_file_that_ends_early_is_no_tokenizer() {
    let text =
        file(&[("/decoder", json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}))]).to_string();
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        assert!(from_json(Path::new("tokenizer.json"), &text[..end]).is_err(), "{end}");
    }
    assert!(check(&text).is_ok());
    assert!(check(&text.replace("\"version\"", "\"decoder\": null, \"version\"")).is_err());
}

#[test]
fn lengths_are_those_that_texts_have() {
    let fixed = |length: u64| json!({"type": "Sequence", "pretokenizers": [{"type": "FixedLength", "length": length}]});
    assert_eq!(read(&[("/pre_tokenizer", fixed(1))]).encode("aa", false).expect("encoded").get_ids(), [0, 0]);
    refused(
        &[("/pre_tokenizer", fixed(0))],
        "`pre_tokenizer.pretokenizers[0].length`: expected 1 or more, found 0",
    );
    let strip = |stop: u64| json!({"type": "Strip", "content": "a", "start": 1, "stop": stop});
    assert_eq!(read(&[("/decoder", strip(0))]).decode(&[0, 2], false).expect("decoded"), "b");
    refused(&[("/decoder", strip(1))], "`decoder.stop`: expected 0, found 1");
}

#[test]
fn a_template_describes_its_tokens() {
    let template = |single: Value, tokens: Value| {
        json!({"type": "TemplateProcessing", "single": single, "special_tokens": tokens,
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]})
    };
    let (a, b) =
        (json!({"Sequence": {"id": "A", "type_id": 0}}), json!({"Sequence": {"id": "B", "type_id": 0}}));
    let special = json!({"SpecialToken": {"id": "s", "type_id": 0}});
    let described = |tokens: Value| json!({"s": {"id": "s", "ids": [2], "tokens": tokens}});
    let path = "/post_processor";
    let tokenizer = read(&[(path, template(json!([special, a]), described(json!(["s"]))))]);
    assert_eq!(tokenizer.encode("a", true).expect("encoded").get_ids(), [2, 0]);
    refused(
        &[(path, template(json!([special, a]), json!({})))],
        "`post_processor.single`: `s` is not among `special_tokens`",
    );
    refused(
        &[(path, template(json!([a, b]), json!({})))],
        "`post_processor.single`: expected the sequence A alone, found B",
    );
    let several =
        json!({"type": "Sequence", "processors": [template(json!([special, a]), described(json!([])))]});
    refused(
        &[(path, several)],
        "`post_processor.processors[0].special_tokens.s`: expected as many `tokens` as `ids`",
    );
}

/// A trie in which `a` has the value `value`, and its texts.
fn charsmap(value: u32, texts: &str, change: impl Fn(&mut Vec<u32>)) -> String {
    const BLOCK: usize = 256;
    let mut units = vec![0_u32; 2 * BLOCK];
    // The root's children are in the second block; behind `a`, which stays where it is, its value.
    units[0] = (BLOCK as u32) << 10;
    let a = BLOCK ^ usize::from(b'a');
    units[a] = 1 << 10 | 1 << 8 | u32::from(b'a');
    units[a ^ 1] = 1 << 31 | value;
    change(&mut units);
    let bytes = units.iter().flat_map(|unit| unit.to_le_bytes());
    let length = (4 * units.len() as u32).to_le_bytes();
    STANDARD.encode(length.into_iter().chain(bytes).chain(texts.bytes()).collect::<Vec<u8>>())
}

#[test]
fn a_map_of_characters_leads_into_itself() {
    let precompiled = |map: String| {
        let parts = json!([{"type": "Precompiled", "precompiled_charsmap": map}]);
        vec![("/normalizer", json!({"type": "Sequence", "normalizers": parts}))]
    };
    let tokenizer = read(&precompiled(charsmap(2, "b\0é\0", |_| {})));
    assert_eq!(tokenizer.encode("a", false).expect("encoded").get_tokens(), ["é"]);
    let place =
        "`normalizer.normalizers[0].precompiled_charsmap`: expected a map of characters in base64, found ";
    for (map, problem) in [
        (charsmap(7, "b\0ab\0", |_| {}), "a text at byte 7 of 5"),
        (charsmap(1, "é\0", |_| {}), "a text at byte 1 of 3"),
        (charsmap(0, "b\0", |units| units.truncate(400)), "a place 400 in a trie of 400"),
        (charsmap(0, "b\0", |units| units[0] = u32::MAX), "a place"),
        (charsmap(0, "b\0", |units| units.clear()), "a place 0 in a trie of 0"),
        (STANDARD.encode(u32::MAX.to_le_bytes()), "a trie of 4294967295 bytes in 4"),
        (STANDARD.encode([0; 3]), "no length"),
        (STANDARD.encode([0, 0, 0, 0, 0xff]), "texts that are none"),
        ("=".to_owned(), "another text"),
    ] {
        refused(&precompiled(map), &format!("{place}{problem}"));
    }
    refused(&[("/normalizer", json!({"type": "Precompiled"}))], "found none");
    refused(&[("/normalizer", json!({"type": "Precompiled", "precompiled_charsmap": 7}))], "found no text");
}
