//! Files that are damaged, lie, or hold something else.

use std::collections::HashMap;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::*;

const A: &str = "base_model.model.m.q_proj.lora_A.weight";
const B: &str = "base_model.model.m.q_proj.lora_B.weight";
const LENGTHS: &str = "base_model.model.m.q_proj.lora_magnitude_vector";

/// Reads a folder with these bytes as weights and the settings of rank 4.
fn with_weights(bytes: &[u8]) -> Result<PeftAdapter, AdapterError> {
    let dir = TempDir::new().expect("a folder");
    fs::copy(case("llama").join("adapter").join(CONFIG_FILE), dir.path().join(CONFIG_FILE)).expect("a copy");
    fs::write(dir.path().join(WEIGHTS_FILE), bytes).expect("weights");
    read(dir.path())
}

fn file_of(tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (*name, TensorView::new(*dtype, shape.to_vec(), bytes).expect("a tensor"))
    });
    safetensors::serialize(views, None::<HashMap<String, String>>).expect("a file")
}

fn of_f32(name: &'static str, shape: &'static [usize]) -> (&'static str, Dtype, &'static [usize], Vec<u8>) {
    let count: usize = shape.iter().product();
    (name, Dtype::F32, shape, (0..count).flat_map(|i| (i as f32).to_le_bytes()).collect())
}

fn framed(header: &str, data_bytes: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data_bytes, 0);
    bytes
}

#[track_caller]
fn refused(bytes: &[u8], part: &str) {
    let text = with_weights(bytes).expect_err("refused").to_string();
    assert!(text.contains(part) && text.contains(WEIGHTS_FILE), "{text}");
}

#[test]
fn half_precision_is_widened() {
    let values = [1.5_f32, -0.25, 3.0e-5, 0.0];
    let f16s: Vec<u8> = values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
    let bf16s: Vec<u8> = values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect();
    let bytes = file_of(&[(A, Dtype::F16, &[4, 1], f16s), (B, Dtype::BF16, &[1, 4], bf16s)]);
    let adapter = with_weights(&bytes).expect("read");
    assert_eq!(names(&adapter), ["m.q_proj"]);
    let of = |name: &str| adapter.tensors[name].values.clone();
    assert_eq!(of("m.q_proj.lora_A.weight"), values.map(|v| f16::from_f32(v).to_f32()));
    assert_eq!(of("m.q_proj.lora_B.weight"), values.map(|v| bf16::from_f32(v).to_f32()));
}

#[test]
fn a_truncated_or_prolonged_file_is_refused_at_every_length() {
    let whole = file_of(&[of_f32(A, &[4, 3]), of_f32(B, &[2, 4])]);
    with_weights(&whole).expect("whole");
    for length in 0..whole.len() {
        let error = with_weights(&whole[..length]).expect_err("truncated");
        assert!(matches!(error, AdapterError::File { .. }), "{length}: {error}");
    }
    refused(&[&whole[..], &[0]].concat(), "expected 80 bytes of tensors, found 81");
}

#[test]
fn a_header_that_lies_is_refused() {
    refused(&u64::MAX.to_le_bytes(), "a header of 18446744073709551615 bytes in a file of 8");
    refused(&framed("[]", 0), "the header cannot be right");
    refused(&framed("{\"a\": \u{7}}", 0), "the header cannot be right");
    let entry = |name: &str, shape: &str, from: u64, to: u64| {
        format!(r#""{name}": {{"dtype": "F32", "shape": {shape}, "data_offsets": [{from}, {to}]}}"#)
    };
    let header = |entries: &[String]| format!("{{{}}}", entries.join(", "));
    refused(&framed(&header(&[entry(A, "[4, 1]", 0, 8)]), 8), "the header cannot be right");
    refused(&framed(&header(&[entry(A, "[4, 1]", 8, 24)]), 24), "the header cannot be right");
    refused(&framed(&header(&[entry(A, "[4, 1]", 16, 0)]), 16), "the header cannot be right");
    refused(&framed(&header(&[entry(A, "[4, 1]", 0, 16), entry(B, "[1, 4]", 8, 24)]), 24), "cannot be right");
    refused(
        &framed(&header(&[entry(A, "[4, 1]", 0, 16), entry(A, "[1, 4]", 16, 32)]), 32),
        "cannot be right",
    );
    let huge = format!("[{}, {}]", u64::MAX, u64::MAX);
    refused(&framed(&header(&[entry(A, &huge, 0, 16)]), 16), "the header cannot be right");
    // Sizes that are right one by one, and whose sum with the header's would not fit 64 bits.
    let step = 1_u64 << 60;
    let many: Vec<String> = (0..15)
        .map(|i| entry(&format!("{A}{i}"), &format!("[{}]", step / 4), i * step, (i + 1) * step))
        .collect();
    refused(&framed(&header(&many), 16), "expected 17293822569102704640 bytes of tensors, found 16");
}

#[test]
fn tensors_that_are_no_pair_of_the_rank_are_refused_by_name() {
    for (tensors, part) in [
        (vec![of_f32(A, &[4, 3])], "tensor `m.q_proj.lora_B.weight`: missing"),
        (vec![of_f32(B, &[2, 4])], "tensor `m.q_proj.lora_A.weight`: missing"),
        (
            vec![of_f32(A, &[3, 3]), of_f32(B, &[2, 4])],
            "lora_A.weight`: expected rank 4 as configured, found 3",
        ),
        (
            vec![of_f32(A, &[4, 3]), of_f32(B, &[2, 5])],
            "lora_B.weight`: expected rank 4 as configured, found 5",
        ),
        (vec![of_f32(A, &[4, 3]), of_f32(B, &[2, 2, 2])], "expected two dimensions, found shape [2, 2, 2]"),
        (vec![of_f32(A, &[4, 3]), of_f32(B, &[0, 4])], "expected elements, found shape [0, 4]"),
        (vec![of_f32("m.q_proj.lora_A.weight", &[4, 3])], "begins with `base_model.model.`"),
        (
            vec![of_f32("base_model.model.m.q_proj.lora_A.default.weight", &[4, 3])],
            "expected a name that ends",
        ),
        (vec![of_f32(LENGTHS, &[4])], "tensor `m.q_proj.lora_A.weight`: missing"),
        (
            vec![of_f32(LENGTHS, &[4, 1])],
            "lora_magnitude_vector`: expected one dimension, found shape [4, 1]",
        ),
        (
            vec![of_f32(A, &[4, 3]), of_f32(B, &[2, 4]), of_f32(LENGTHS, &[2])],
            "lora_magnitude_vector`: there, though `use_dora` is false",
        ),
        (vec![], "expected tensors of an adapter, found none"),
        (vec![(A, Dtype::F64, &[4, 1], vec![0; 32])], "expected F32, F16 or BF16, found F64"),
        (vec![(A, Dtype::F16, &[1, 2], vec![0, 0, 0, 0x7c])], "element 1 is inf, not a finite number"),
    ] {
        refused(&file_of(&tensors), part);
    }
}

#[test]
fn a_folder_without_an_adapter_is_refused() {
    let dir = TempDir::new().expect("a folder");
    let path = |name: &str| dir.path().join(name);
    let error = read(dir.path()).expect_err("empty");
    assert!(matches!(&error, AdapterError::Io { path, .. } if path.ends_with(CONFIG_FILE)), "{error}");
    for (settings, part) in
        [("", "no JSON object"), ("[]", "no JSON object"), ("{\"r\": 4,}", "no JSON"), ("{}", "peft_type")]
    {
        fs::write(path(CONFIG_FILE), settings).expect("settings");
        let text = read(dir.path()).expect_err("refused").to_string();
        assert!(text.contains(part), "{text}");
    }
    fs::copy(case("llama").join("adapter").join(CONFIG_FILE), path(CONFIG_FILE)).expect("a copy");
    let error = read(dir.path()).expect_err("no weights");
    assert!(matches!(&error, AdapterError::Io { path, .. } if path.ends_with(WEIGHTS_FILE)), "{error}");
    fs::write(path(PICKLE_FILE), b"cos\nsystem\n").expect("a pickle");
    let error = read(dir.path()).expect_err("a pickle");
    assert!(matches!(error, AdapterError::Pickle { .. }) && error.hint().is_some(), "{error}");
}

#[test]
fn a_file_beyond_the_limit_is_refused_before_it_is_read() {
    let dir = TempDir::new().expect("a folder");
    fs::copy(case("llama").join("adapter").join(CONFIG_FILE), dir.path().join(CONFIG_FILE)).expect("a copy");
    let weights = fs::File::create(dir.path().join(WEIGHTS_FILE)).expect("a file");
    weights.set_len((64 << 30) + 1).expect("a sparse file");
    let text = read(dir.path()).expect_err("too large").to_string();
    assert!(text.contains("expected at most 68719476736 bytes, found 68719476737"), "{text}");
    let settings = fs::File::create(dir.path().join(CONFIG_FILE)).expect("a file");
    settings.set_len((16 << 20) + 1).expect("a sparse file");
    let text = read(dir.path()).expect_err("too large").to_string();
    assert!(text.contains("expected at most 16777216 bytes"), "{text}");
}

/// What a run leaves is read again, whatever its size: a file that is too large to be read is not written.
#[test]
fn what_is_too_large_to_be_read_is_not_written() {
    let adapter = fixture("llama");
    let (parameters, linears) = (parameters(&adapter), names(&adapter));
    let linears: Vec<&str> = linears.iter().map(String::as_str).collect();
    let written = |most_bytes: u64| {
        let dir = TempDir::new().expect("a folder");
        let ran =
            write::write_within(dir.path(), &adapter.config, &parameters, &linears, None, "base", most_bytes);
        ran.map(|()| fs::metadata(dir.path().join(WEIGHTS_FILE)).expect("weights").len())
    };
    let bytes = written(u64::MAX).expect("written");
    assert_eq!(written(bytes).expect("as large as may be"), bytes);
    let text = written(bytes - 1).expect_err("too large").to_string();
    assert!(text.ends_with(&format!("expected at most {} bytes, found {bytes}", bytes - 1)), "{text}");
    // 8 GiB of tensors, as rank 256 on every linear of a 32B model has: the header alone is looked at.
    let header = format!(
        r#"{{"{A}": {{"dtype": "F32", "shape": [4, {}], "data_offsets": [0, {}]}}}}"#,
        1 << 29,
        8_u64 << 30
    );
    let (bytes, path) = (framed(&header, 0), Path::new(WEIGHTS_FILE));
    let file_bytes = bytes.len() as u64 + (8 << 30);
    let found = tensors::header(path, &mut bytes.as_slice(), file_bytes).expect("not too large");
    assert_eq!(found.data_len() as u64, 8 << 30);
    let most = tensors::MAX_FILE_BYTES;
    let text = tensors::header(path, &mut bytes.as_slice(), most + 1).expect_err("too large").to_string();
    assert!(text.contains(&format!("expected at most {most} bytes")), "{text}");
}
