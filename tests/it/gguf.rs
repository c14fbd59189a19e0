//! The tiny model as a GGUF file, the way llama.cpp's converter writes one: other names, rows of query and key
//! interleaved, linears in Q8_0, the tokenizer in the metadata.

use std::fs;
use std::path::Path;

use rtune_models::{BaseModel, TensorRole};

/// ggml's numbers of element types.
const F32: u32 = 0;
const Q8_0: u32 = 8;
/// Numbers in a block of Q8_0.
const BLOCK: usize = 32;

/// Names inside a block, transformers' and llama.cpp's.
const INNER: [(&str, &str); 9] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// Writes the model of the folder `from`, whose rows must be multiples of 32 long, as the file `to`.
pub(crate) fn write(from: &Path, to: &Path) {
    let base = rtune_models::open(from).expect("the tiny model");
    let spec = rtune_models::DecoderSpec::new(&base.config);
    let (mut list, mut data) = (Vec::new(), Vec::new());
    let tensors = spec.tensors();
    for tensor in &tensors {
        let mut values = base.weights.read(&tensor.name).expect("readable").into_f32();
        let heads = if tensor.name.contains("q_proj") {
            base.config.num_attention_heads
        } else {
            base.config.num_key_value_heads
        };
        if tensor.name.contains("q_proj") || tensor.name.contains("k_proj") {
            values = interleave(&values, tensor.shape[0], heads);
        }
        let is_linear = tensor.role == TensorRole::BlockLinear;
        string(&mut list, &name(&tensor.name));
        list.extend((tensor.shape.len() as u32).to_le_bytes());
        tensor.shape.iter().rev().for_each(|&size| list.extend((size as u64).to_le_bytes()));
        list.extend(if is_linear { Q8_0 } else { F32 }.to_le_bytes());
        list.extend((data.len() as u64).to_le_bytes());
        data.extend(if is_linear { q8_0(&values) } else { f32s(&values) });
        data.resize(data.len().next_multiple_of(32), 0);
    }
    let (entries, count) = metadata(&base);
    let mut file = b"GGUF\x03\0\0\0".to_vec();
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend((count as u64).to_le_bytes());
    file.extend(entries);
    file.extend(list);
    file.resize(file.len().next_multiple_of(32), 0);
    file.extend(data);
    fs::write(to, file).expect("written");
}

fn name(name: &str) -> String {
    match name {
        "model.embed_tokens.weight" => "token_embd.weight".to_owned(),
        "model.norm.weight" => "output_norm.weight".to_owned(),
        _ => {
            let inner = INNER.iter().find(|(part, _)| name.contains(part)).expect("a part of a block");
            name.replace("model.layers", "blk").replace(inner.0, inner.1)
        }
    }
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The scale of a block is a power of two, so that its 16-bit float is made without arithmetic.
fn q8_0(values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for block in values.chunks_exact(BLOCK) {
        let largest = block.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let exponent = (largest / 127.0).log2().ceil() as i32;
        bytes.extend((((exponent + 15) as u16) << 10).to_le_bytes());
        let scale = 2.0_f32.powi(exponent);
        bytes.extend(block.iter().map(|value| ((value / scale).round() as i8).cast_unsigned()));
    }
    bytes
}

/// `LlamaModel.permute` of llama.cpp's converter: row `s * half + j` of a head goes to row `2 j + s`.
fn interleave(values: &[f32], rows: usize, heads: usize) -> Vec<f32> {
    let (width, head_rows) = (values.len() / rows, rows / heads);
    let half = head_rows / 2;
    let mut result = vec![0.0; values.len()];
    for (row, from) in values.chunks_exact(width).enumerate() {
        let (head, inner) = (row / head_rows, row % head_rows);
        let to = head * head_rows + 2 * (inner % half) + inner / half;
        result[to * width..(to + 1) * width].copy_from_slice(from);
    }
    result
}

fn metadata(base: &BaseModel) -> (Vec<u8>, usize) {
    let config = &base.config;
    let (mut bytes, mut count) = (Vec::new(), 0);
    let mut entry = |key: &str, kind: u32, value: &[u8]| {
        string(&mut bytes, key);
        bytes.extend(kind.to_le_bytes());
        bytes.extend(value);
        count += 1;
    };
    let text = |text: &str| {
        let mut bytes = Vec::new();
        string(&mut bytes, text);
        bytes
    };
    for (key, value) in [
        ("general.architecture", "llama"),
        ("tokenizer.ggml.model", "gpt2"),
        ("tokenizer.ggml.pre", "gpt-2"),
        ("tokenizer.chat_template", base.chat_template.as_deref().expect("a template")),
    ] {
        entry(key, 8, &text(value));
    }
    for (key, value) in [
        ("llama.block_count", config.num_hidden_layers),
        ("llama.context_length", config.max_position_embeddings),
        ("llama.embedding_length", config.hidden_size),
        ("llama.feed_forward_length", config.intermediate_size),
        ("llama.attention.head_count", config.num_attention_heads),
        ("llama.attention.head_count_kv", config.num_key_value_heads),
        ("llama.attention.key_length", config.head_dim),
        ("tokenizer.ggml.bos_token_id", 256),
        ("tokenizer.ggml.eos_token_id", 257),
    ] {
        entry(key, 4, &(value as u32).to_le_bytes());
    }
    entry("llama.attention.layer_norm_rms_epsilon", 6, &1e-5_f32.to_le_bytes());
    let array = |kind: u32, count: usize, values: Vec<u8>| {
        [kind.to_le_bytes().to_vec(), (count as u64).to_le_bytes().to_vec(), values].concat()
    };
    let tokens: Vec<String> =
        (0..config.vocab_size as u32).map(|id| base.tokenizer.id_to_token(id).expect("a token")).collect();
    let types =
        tokens.iter().flat_map(|token| (if token.starts_with("<|") { 3_i32 } else { 1 }).to_le_bytes());
    entry("tokenizer.ggml.token_type", 9, &array(5, tokens.len(), types.collect()));
    let texts = tokens.iter().flat_map(|token| text(token)).collect();
    entry("tokenizer.ggml.tokens", 9, &array(8, tokens.len(), texts));
    entry("tokenizer.ggml.merges", 9, &array(8, 0, Vec::new()));
    (bytes, count)
}

fn string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}
