pub(crate) mod writer;

use std::path::Path;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use half::{bf16, f16};

use super::{GgufFile, Value};
use crate::{HostTensor, ModelError, RopeScaling, WeightSource};
use writer::Writer;

fn open(writer: &Writer) -> Result<GgufFile, ModelError> {
    open_bytes(&writer.bytes())
}

fn open_bytes(bytes: &[u8]) -> Result<GgufFile, ModelError> {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).expect("write");
    GgufFile::open(&path)
}

fn read(writer: &Writer, name: &str) -> Vec<f32> {
    let folder = tempfile::tempdir().expect("folder");
    GgufFile::open(&writer.write(folder.path())).expect("valid").read(name).expect("readable").into_f32()
}

fn refusal(writer: &Writer) -> String {
    open(writer).expect_err("must be refused").to_string()
}

#[test]
fn the_configuration_comes_from_metadata_and_shapes() {
    let file = open(&Writer::llama().with("tokenizer.ggml.eos_token_id", Value::Integer(3))).expect("valid");
    let config = file.config();
    assert_eq!((config.hidden_size, config.head_dim, config.vocab_size), (32, 16, 4));
    assert_eq!((config.num_attention_heads, config.num_key_value_heads), (2, 1));
    assert_eq!(config.rms_norm_eps, 1e-5);
    assert!(config.tie_word_embeddings && !config.attention_bias && !config.mlp_bias);
    assert_eq!((config.bos_token_id, &config.eos_token_ids[..]), (None, &[3][..]));
    assert_eq!((config.rope.theta, &config.rope.scaling), (10_000.0, &RopeScaling::None));
    let names = [
        "model.embed_tokens",
        "model.layers.0.self_attn.k_proj",
        "model.layers.0.self_attn.q_proj",
        "model.norm",
    ];
    assert_eq!(file.names(), names.map(|name| format!("{name}.weight")));
    assert_eq!(file.shape("model.embed_tokens.weight"), Some(vec![4, 32]));
}

#[test]
fn biases_heads_and_rope_are_found() {
    let mut writer = Writer::llama()
        .with("llama.rope.scaling.type", Value::String("linear".to_owned()))
        .with("llama.rope.scaling.factor", Value::Float(4.0))
        .with("llama.rope.freq_base", Value::Float(500_000.0))
        .with_tensor("output.weight", &[32, 4], 0, vec![0; 512]);
    for name in ["attn_q", "attn_k", "attn_v", "attn_output"] {
        let rows = if name == "attn_k" { 16 } else { 32 };
        writer = writer.with_tensor(&format!("blk.0.{name}.bias"), &[rows], 0, vec![0; rows as usize * 4]);
    }
    let config = open(&writer).expect("valid").config().clone();
    assert!(config.attention_bias && !config.mlp_bias && !config.tie_word_embeddings);
    assert_eq!((config.rope.theta, config.rope.scaling), (500_000.0, RopeScaling::Linear { factor: 4.0 }));
    let bytes = (0..8).flat_map(|number| (1.0 + number as f32).to_le_bytes()).collect();
    let config = open(&Writer::llama().with_tensor("rope_freqs.weight", &[8], 0, bytes))
        .expect("valid")
        .config()
        .clone();
    assert_eq!(config.rope.scaling, RopeScaling::Divisors((1..=8).map(|number| number as f32).collect()));
}

/// `LlamaModel.permute` of llama.cpp's convert_hf_to_gguf.py on row numbers: reshape to (heads, 2, half), swap the
/// last two.
fn converter_order(rows: usize, heads: usize) -> Vec<usize> {
    let half = rows / heads / 2;
    (0..rows)
        .map(|row| {
            let (head, pair, side) = (row / (2 * half), row % (2 * half) / 2, row % 2);
            head * 2 * half + side * half + pair
        })
        .collect()
}

#[test]
fn the_converters_permutation_is_undone() {
    for (name, rows, heads) in [("q", 32, 2), ("k", 16, 1)] {
        let data = converter_order(rows, heads)
            .into_iter()
            .flat_map(|row| vec![(row as f32).to_le_bytes(); 32])
            .flatten();
        let mut writer = Writer::llama();
        let number = if name == "q" { 2 } else { 3 };
        writer.tensors[number].3 = data.collect();
        let values = read(&writer, &format!("model.layers.0.self_attn.{name}_proj.weight"));
        let expected: Vec<f32> = (0..rows).flat_map(|row| vec![row as f32; 32]).collect();
        assert_eq!(values, expected, "{name}");
    }
}

#[test]
fn every_element_type_is_read() {
    let values: Vec<f32> = (0..512_i32).map(|number| ((number * 37 % 101) - 50) as f32 / 16.0).collect();
    let name = "model.layers.0.mlp.down_proj.weight";
    let with = |number, data| Writer::llama().with_tensor("blk.0.ffn_down.weight", &[256, 2], number, data);
    let halves = values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect();
    assert_eq!(read(&with(1, halves), name), values);
    let halves = values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect();
    assert_eq!(
        read(&with(30, halves), name),
        values.iter().map(|value| bf16::from_f32(*value).to_f32()).collect::<Vec<_>>()
    );
    let tensor = Tensor::from_slice(&values, (2, 256), &Device::Cpu).expect("tensor");
    for (number, blocks) in [
        (2, GgmlDType::Q4_0),
        (3, GgmlDType::Q4_1),
        (6, GgmlDType::Q5_0),
        (7, GgmlDType::Q5_1),
        (8, GgmlDType::Q8_0),
        (10, GgmlDType::Q2K),
        (11, GgmlDType::Q3K),
        (12, GgmlDType::Q4K),
        (13, GgmlDType::Q5K),
        (14, GgmlDType::Q6K),
    ] {
        let quantized = QTensor::quantize(&tensor, blocks).expect("quantised");
        let whole = quantized
            .dequantize(&Device::Cpu)
            .and_then(|all| all.flatten_all()?.to_vec1::<f32>())
            .expect("dequantised");
        let read = read(&with(number, quantized.data().expect("bytes").to_vec()), name);
        assert_eq!(read, whole, "{blocks:?}");
        let worst = read.iter().zip(&values).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
        assert!(worst < 1.3, "{blocks:?} is {worst} off");
    }
}

#[test]
fn q4_1_follows_the_formula_of_ggml() {
    // block_q4_1: half d, half m, 16 bytes; element i is d * (low nibble of byte i) + m, element i + 16 the high one.
    let mut data = Vec::new();
    data.extend(f16::from_f32(0.5).to_le_bytes());
    data.extend(f16::from_f32(-2.0).to_le_bytes());
    data.extend((0..16_u8).map(|number| number | (15 - number) << 4));
    let expected: Vec<f32> =
        (0..32).map(|at| 0.5 * if at < 16 { at as f32 } else { (31 - at) as f32 } - 2.0).collect();
    let writer = Writer::llama().with_tensor("blk.0.ffn_up.weight", &[32, 1], 3, data);
    assert_eq!(read(&writer, "model.layers.0.mlp.up_proj.weight"), expected);
}

#[test]
fn a_tensor_longer_than_a_chunk_is_whole() {
    let count = super::PIECE_ELEMENTS * 9 + 96;
    let block = |number: usize| {
        let mut bytes = f16::from_f32(1.0).to_le_bytes().to_vec();
        bytes.extend([(number % 100) as u8; 32]);
        bytes
    };
    let data = (0..count / 32).flat_map(block).collect();
    let writer = Writer::llama().with_tensor("blk.0.ffn_up.weight", &[32, count as u64 / 32], 8, data);
    let values = read(&writer, "model.layers.0.mlp.up_proj.weight");
    assert_eq!(values.len(), count);
    assert!(values.iter().enumerate().all(|(at, value)| *value == (at / 32 % 100) as f32));
}

#[test]
fn refuses_by_name_what_is_not_computed() {
    let text = |text: &str| Value::String(text.to_owned());
    for (key, value, expected) in [
        ("general.architecture", text("mamba"), "`general.architecture` is \"mamba\""),
        ("general.type", text("adapter"), "`general.type` is \"adapter\""),
        ("split.count", Value::Integer(3), "`split.count` is 3"),
        ("llama.expert_count", Value::Integer(8), "`num_experts_per_tok`"),
        ("llama.residual_scale", Value::Float(0.5), "`llama.residual_scale`"),
        ("llama.attention.causal", Value::Boolean(false), "`llama.attention.causal`"),
        ("llama.rope.scaling.type", text("dynamic"), "\"dynamic\""),
        ("llama.rope.dimension_count", Value::Integer(8), "`llama.rope.dimension_count` is 8"),
        ("llama.attention.key_length", Value::Integer(15), "even widths"),
        ("llama.attention.head_count_kv", Value::Integer(3), "a divisor of the 2 query heads"),
        ("llama.attention.head_count", text("2"), "expected a whole number from 1 to 4096, found \"2\""),
        ("llama.attention.layer_norm_rms_epsilon", Value::Float(-1.0), "a number above 0"),
        ("llama.vocab_size", Value::Integer(5), "has 4 rows, but `llama.vocab_size` is 5"),
        ("tokenizer.ggml.eos_token_id", Value::Integer(4), "a token id below 4"),
    ] {
        let message = refusal(&Writer::llama().with(key, value));
        assert!(message.contains(expected) && message.contains("model.gguf"), "{message}");
    }
    for (name, dimensions, number, expected) in [
        ("blk.0.ffn_gate_inp.weight", &[32_u64, 4][..], 0, "is no part of a llama"),
        (
            "output.weight",
            &[32, 4],
            16,
            "`output.weight` is IQ2_XXS, which is not supported (supported: F32, F16, Q4_0",
        ),
        // Rows that nobody could go through, in no bytes.
        ("blk.0.attn_q.weight_too", &[0, 1 << 60], 0, "one is 0"),
        ("output.weight", &[32, 4], 77, "of the unknown type 77"),
        ("output.weight", &[16, 4], 3, "rows of 16 elements, which Q4_1 packs by 32"),
        ("token_embd.weight", &[32, 4], 0, "twice"),
        ("blk.0.attn_q.bias", &[32], 0, "biases on some"),
        ("rope_freqs.weight", &[4], 0, "expected the shape [8] of F32"),
    ] {
        let message = refusal(&Writer::llama().with_tensor(name, dimensions, number, vec![0; 512]));
        assert!(message.contains(expected), "{message}");
    }
    let mut writer = Writer::llama();
    writer.tensors[3].1 = vec![32, 15];
    assert!(refusal(&writer).contains("expected a multiple of 2 rows, found the shape [15, 32]"));
    let mut writer = Writer::llama();
    writer.tensors.remove(0);
    assert!(refusal(&writer).contains("tensor `token_embd.weight` is missing"));
}

#[test]
fn lying_headers_are_named() {
    let mut writer = Writer::llama();
    for (offset, expected) in [
        (1 << 40, "after the file"),
        (u64::MAX - 31, "after the file"),
        (33, "no multiple"),
        (0, "inside tensor"),
    ] {
        writer.lying_offset = Some((1, offset));
        let message = refusal(&writer);
        assert!(message.contains(expected) && message.contains("tensor `"), "{message}");
    }
    let mut writer = Writer::llama();
    writer.tensors[1].1 = vec![u64::MAX, u64::MAX];
    assert!(refusal(&writer).contains("`output_norm.weight`: dimensions [18446744073709551615"));
    for alignment in [0, 24, -32] {
        let message = refusal(&Writer::llama().with("general.alignment", Value::Integer(alignment)));
        assert!(message.contains("`general.alignment` is"), "{message}");
    }
    let good = Writer::llama().bytes();
    let patched = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        open_bytes(&file).expect_err("must be refused").to_string()
    };
    assert!(patched(0, b"PK\x03\x04").contains("no GGUF file"));
    assert!(patched(4, &[1]).contains("`version` is 1"));
    assert!(patched(4, &[0, 0, 0, 3]).contains("`version` is big-endian"));
    assert!(
        patched(8, &u64::MAX.to_le_bytes()).contains("the list of tensors should have 18446744073709551615")
    );
    assert!(patched(16, &u64::MAX.to_le_bytes()).contains("the metadata should have"));
    assert!(patched(24, &u64::MAX.to_le_bytes()).contains("the key of metadata entry 0"));
}

/// A byte of an array takes 32 in memory: what counts is how many there are in all.
#[test]
fn arrays_are_bounded_together() {
    let elements = usize::try_from(super::metadata::MAX_ELEMENTS).expect("small") / 4;
    let file = |count: u64| {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        for number in 0..count {
            let key = format!("array {number}");
            bytes.extend((key.len() as u64).to_le_bytes());
            bytes.extend(key.as_bytes());
            // An array of `u8`.
            bytes.extend(9_u32.to_le_bytes());
            bytes.extend(0_u32.to_le_bytes());
            bytes.extend((elements as u64).to_le_bytes());
            bytes.extend(vec![1; elements]);
        }
        open_bytes(&bytes).expect_err("no model").to_string()
    };
    assert!(file(4).contains("general.architecture"), "{}", file(4));
    let refused = file(5);
    assert!(refused.contains("the value of `array 4` should have 2097152 elements"), "{refused}");
    assert!(refused.contains("and 0 are left of them"), "{refused}");
}

#[test]
fn no_cut_and_no_flipped_byte_panics() {
    let good = Writer::llama().bytes();
    let data_bytes: usize = 32 * 4 * 4 + 32 * 4 + 32 * 32 * 4 + 16 * 32 * 4;
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("model.gguf");
    for length in (0..good.len()).filter(|length| *length < good.len() - data_bytes || length % 97 == 0) {
        std::fs::write(&path, &good[..length]).expect("write");
        let error = GgufFile::open(&path).expect_err("cut");
        assert!(error.hint().is_some() && error.to_string().contains("model.gguf"), "{length}: {error}");
    }
    for at in 0..good.len() - data_bytes {
        for byte in [0, 0x7f, 0xff] {
            let mut file = good.clone();
            file[at] = byte;
            std::fs::write(&path, &file).expect("write");
            read_everything(&path);
        }
    }
}

fn read_everything(path: &Path) {
    if let Ok(file) = GgufFile::open(path) {
        for name in file.names() {
            let values = file.read(&name).map(HostTensor::into_f32).map(|values| values.len());
            let expected: usize = file.shape(&name).expect("listed").iter().product();
            assert!(values.is_ok_and(|count| count == expected), "{name}");
        }
    }
}

/// Every byte of the header changed in four ways, and the file cut at every place: numbers or an error, and no panic.
#[test]
fn altered_files_are_read_or_refused() {
    let writer = Writer::llama().with("llama.rope.scaling.type", Value::String("linear".to_owned()));
    let whole = writer.bytes();
    let data: usize = writer.tensors.iter().map(|(.., bytes)| bytes.len().next_multiple_of(32)).sum();
    let header = whole.len() - data;
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("model.gguf");
    let try_with = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("written");
        let Ok(file) = GgufFile::open(&path) else { return 0 };
        file.names().iter().filter(|name| file.read(name).is_ok()).count()
    };
    assert_eq!(try_with(&whole), writer.tensors.len());
    for place in 0..header {
        for change in [0x01_u8, 0x80, 0x0f, 0xff] {
            let mut bytes = whole.clone();
            bytes[place] ^= change;
            assert!(try_with(&bytes) <= writer.tensors.len());
        }
    }
    assert!((0..whole.len()).step_by(13).all(|end| try_with(&whole[..end]) == 0));
}
