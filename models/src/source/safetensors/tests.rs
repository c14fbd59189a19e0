use std::path::Path;

use half::{bf16, f16};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::SafetensorsFolder;
use crate::{HostTensor, WeightSource};

fn file_bytes(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn folder_with(name: &str, bytes: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join(name), bytes).expect("write");
    folder
}

fn entry(dtype: &str, shape: &[usize], start: usize, end: usize) -> Value {
    json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]})
}

fn refusal(header: &str, data: &[u8]) -> String {
    let folder = folder_with("model.safetensors", &file_bytes(header, data));
    SafetensorsFolder::open(folder.path()).expect_err("must be refused").to_string()
}

#[test]
fn reads_the_three_types_exactly() {
    let values = [1.5_f32, -0.25, 3.0e-5];
    let mut data = Vec::new();
    values.iter().for_each(|value| data.extend(value.to_le_bytes()));
    values.iter().for_each(|value| data.extend(f16::from_f32(*value).to_le_bytes()));
    values.iter().for_each(|value| data.extend(bf16::from_f32(*value).to_le_bytes()));
    data.extend([7_u8; 3]);
    let header = json!({"__metadata__": {"format": "pt"}, "b": entry("F16", &[3], 12, 18),
        "a": entry("F32", &[3, 1], 0, 12), "c": entry("BF16", &[1, 3], 18, 24), "d": entry("U8", &[3], 24, 27)});
    let folder = folder_with("model.safetensors", &file_bytes(&header.to_string(), &data));
    let source = SafetensorsFolder::open(folder.path()).expect("valid");
    assert_eq!(source.names(), ["a", "b", "c", "d"]);
    assert_eq!((source.shape("a"), source.shape("x")), (Some(vec![3, 1]), None));
    assert_eq!(source.read("a").expect("f32"), HostTensor::F32(values.to_vec()));
    assert_eq!(source.read("b").expect("f16"), HostTensor::F16(values.map(f16::from_f32).to_vec()));
    let bf16_values = source.read("c").expect("bf16");
    assert_eq!(bf16_values.into_f32(), values.map(|value| bf16::from_f32(value).to_f32()));
    let text = source.read("d").expect_err("u8").to_string();
    assert!(text.contains("`d` is U8") && text.contains("F32, F16, BF16"), "{text}");
    assert!(source.read("x").expect_err("no such").to_string().contains("tensor `x` is missing"));
}

#[test]
fn lying_headers_are_named() {
    for (header, data_bytes, expected) in [
        (
            json!({"w": entry("F32", &[2], 0, 8)}),
            4,
            "ends at byte 8 of the data, which has 4 bytes: truncated",
        ),
        (json!({"w": entry("F32", &[3], 0, 8)}), 8, "tensor `w`: shape [3] of F32 needs 12 bytes"),
        (json!({"w": entry("F32", &[2], 8, 0)}), 8, "before its start"),
        (json!({"w": entry("F32", &[usize::MAX, 4], 0, 8)}), 8, "more elements than any file"),
        (json!({"w": entry("F32", &[2], 0, 8)}), 9, "end at byte 8 of the data, which has 9"),
        (json!({"v": entry("F32", &[1], 0, 4), "w": entry("F32", &[1], 0, 4)}), 4, "`w`: starts at byte 0"),
        (json!({"v": entry("F32", &[1], 0, 4), "w": entry("F32", &[1], 8, 12)}), 12, "`w`: starts at byte 8"),
        (json!({"w": entry("Q9", &[2], 0, 8)}), 8, "tensor `w`: header entry"),
        (json!({"w": 3}), 0, "tensor `w`: header entry 3"),
        (json!([]), 0, "not valid JSON"),
    ] {
        let text = refusal(&header.to_string(), &vec![0; data_bytes]);
        assert!(text.contains(expected) && text.contains("model.safetensors"), "{text}");
    }
    let twice = r#"{"w":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"w":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#;
    assert!(refusal(twice, &[]).contains("`w`: stands in the header twice"));
}

#[test]
fn lying_lengths_allocate_nothing() {
    for (bytes, expected) in [
        (vec![], "the file has 0 bytes"),
        (u64::MAX.to_le_bytes().to_vec(), "the header should have 18446744073709551615 bytes"),
        (file_bytes("{}", &[])[..9].to_vec(), "truncated"),
        (file_bytes("\u{0}\u{1}", &[]), "not valid JSON"),
        ([&2_u64.to_le_bytes()[..], &[0xff, 0xfe]].concat(), "not valid UTF-8"),
    ] {
        let folder = folder_with("model.safetensors", &bytes);
        let text = SafetensorsFolder::open(folder.path()).expect_err("refused").to_string();
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_file_cut_after_opening_is_an_error() {
    let bytes = file_bytes(&json!({"w": entry("F32", &[2], 0, 8)}).to_string(), &[0; 8]);
    let folder = folder_with("model.safetensors", &bytes);
    let source = SafetensorsFolder::open(folder.path()).expect("valid");
    std::fs::write(folder.path().join("model.safetensors"), &bytes[..bytes.len() - 1]).expect("write");
    assert!(source.read("w").expect_err("cut").to_string().contains("shorter since"));
}

fn shards(weight_map: Value, shards: &[(&str, &[&str])]) -> TempDir {
    let index = json!({"metadata": {"total_size": 8}, "weight_map": weight_map}).to_string();
    let folder = folder_with("model.safetensors.index.json", index.as_bytes());
    for (file, tensors) in shards {
        let mut header = json!({});
        for (number, tensor) in tensors.iter().enumerate() {
            header[*tensor] = entry("F32", &[1], number * 4, number * 4 + 4);
        }
        let data = vec![0; tensors.len() * 4];
        std::fs::write(folder.path().join(file), file_bytes(&header.to_string(), &data)).expect("write");
    }
    folder
}

fn shard_refusal(folder: &Path) -> String {
    SafetensorsFolder::open(folder).expect_err("must be refused").to_string()
}

#[test]
fn shards_are_one_checkpoint() {
    let map = json!({"v": "a.safetensors", "w": "b.safetensors"});
    let folder = shards(map, &[("a.safetensors", &["v"]), ("b.safetensors", &["w"])]);
    let source = SafetensorsFolder::open(folder.path()).expect("valid");
    assert_eq!((source.names(), source.files().len()), (vec!["v".to_owned(), "w".to_owned()], 3));
    assert_eq!(source.read("w").expect("read"), HostTensor::F32(vec![0.0]));
}

#[test]
fn an_index_that_lies_is_named() {
    let map = json!({"v": "a.safetensors", "w": "a.safetensors"});
    let text = shard_refusal(shards(map.clone(), &[("a.safetensors", &["v"])]).path());
    assert!(text.contains("tensor `w`") && text.contains("it is not there"), "{text}");
    assert!(shard_refusal(shards(map, &[]).path()).contains("a shard of the weights is missing"));
    let two: &[(&str, &[&str])] = &[("a.safetensors", &["v"]), ("b.safetensors", &["v"])];
    let text = shard_refusal(shards(json!({"v": "a.safetensors", "w": "b.safetensors"}), two).path());
    assert!(text.contains("tensor `v`: stands in"), "{text}");
    let text = shard_refusal(shards(json!({"v": "../a.safetensors"}), &[]).path());
    assert!(text.contains("`weight_map.v`: expected the name of a .safetensors file"), "{text}");
    assert!(shard_refusal(shards(json!(3), &[]).path()).contains("`weight_map`"));
    let empty = tempfile::tempdir().expect("folder");
    assert!(shard_refusal(empty.path()).contains("the model's weights is missing"));
}

#[test]
fn of_a_model_that_sees_the_text_part_is_taken() {
    let tensors = |names: &[&str]| {
        let mut header = json!({});
        for (place, name) in names.iter().enumerate() {
            header[*name] = entry("F32", &[1], 4 * place, 4 * place + 4);
        }
        let data: Vec<u8> = (0..names.len()).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let folder = folder_with("model.safetensors", &file_bytes(&header.to_string(), &data));
        let source = SafetensorsFolder::open(folder.path()).map_err(|error| error.to_string())?;
        let read = |name: &String| (name.clone(), source.read(name).expect("read").into_f32()[0]);
        Ok::<_, String>(source.names().iter().map(read).collect::<Vec<_>>())
    };
    let expected = Ok(vec![("lm_head.weight".to_owned(), 1.0), ("model.norm.weight".to_owned(), 2.0)]);
    let old = ["vision_tower.a", "language_model.lm_head.weight", "language_model.model.norm.weight"];
    let new = ["model.vision_tower.a", "lm_head.weight", "model.language_model.norm.weight"];
    assert_eq!(tensors(&old), expected);
    assert_eq!(tensors(&new), expected);
    let text = tensors(&["model.norm.weight", "model.language_model.norm.weight"]).expect_err("twice");
    assert!(text.contains("under two names"), "{text}");
    let other = ["vision_tower.a", "model.norm.weight"];
    assert_eq!(tensors(&other).expect("all").len(), 2);
}
