//! Writes small GGUF files for tests, right or wrong on purpose.

use std::path::{Path, PathBuf};

use crate::source::gguf::Value;

/// Metadata and tensors in the order of the file. Dimensions are innermost first, as in the file.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) metadata: Vec<(String, Value)>,
    pub(crate) tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)>,
    /// Replaces the offset of the tensor with this number.
    pub(crate) lying_offset: Option<(usize, u64)>,
}

impl Writer {
    /// A Llama with 1 block, width 32, 2 query heads, 1 key head, and a vocabulary of 4.
    pub(crate) fn llama() -> Self {
        let mut writer = Self { metadata: Vec::new(), tensors: Vec::new(), lying_offset: None };
        writer.set("general.architecture", Value::String("llama".to_owned()));
        for (key, value) in [
            ("llama.block_count", 1),
            ("llama.context_length", 64),
            ("llama.embedding_length", 32),
            ("llama.feed_forward_length", 32),
            ("llama.attention.head_count", 2),
            ("llama.attention.head_count_kv", 1),
        ] {
            writer.set(key, Value::Integer(value));
        }
        writer.set("llama.attention.layer_norm_rms_epsilon", Value::Float(1e-5));
        for (name, dimensions) in [
            ("token_embd.weight", &[32, 4][..]),
            ("output_norm.weight", &[32]),
            ("blk.0.attn_q.weight", &[32, 32]),
            ("blk.0.attn_k.weight", &[32, 16]),
        ] {
            let count: u64 = dimensions.iter().product();
            let data = (0..count).flat_map(|number| (number as f32).to_le_bytes()).collect();
            writer.tensors.push((name.to_owned(), dimensions.to_vec(), 0, data));
        }
        writer
    }

    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.metadata.retain(|(name, _)| name != key);
        self.metadata.push((key.to_owned(), value));
    }

    pub(crate) fn with(mut self, key: &str, value: Value) -> Self {
        self.set(key, value);
        self
    }

    pub(crate) fn with_tensor(mut self, name: &str, dimensions: &[u64], number: u32, data: Vec<u8>) -> Self {
        self.tensors.push((name.to_owned(), dimensions.to_vec(), number, data));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut file = b"GGUF\x03\0\0\0".to_vec();
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            string(&mut file, key);
            file.extend(type_number(value).to_le_bytes());
            write_value(&mut file, value);
        }
        let mut offset = 0;
        for (number, (name, dimensions, element_type, data)) in self.tensors.iter().enumerate() {
            string(&mut file, name);
            file.extend((dimensions.len() as u32).to_le_bytes());
            dimensions.iter().for_each(|size| file.extend(size.to_le_bytes()));
            file.extend(element_type.to_le_bytes());
            let written = self.lying_offset.filter(|lie| lie.0 == number).map_or(offset, |lie| lie.1);
            file.extend(written.to_le_bytes());
            offset += (data.len() as u64).next_multiple_of(32);
        }
        for (_, _, _, data) in &self.tensors {
            file.resize(file.len().next_multiple_of(32), 0);
            file.extend(data);
        }
        file
    }

    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("model.gguf");
        std::fs::write(&path, self.bytes()).expect("write");
        path
    }
}

fn string(file: &mut Vec<u8>, text: &str) {
    file.extend((text.len() as u64).to_le_bytes());
    file.extend(text.as_bytes());
}

fn type_number(value: &Value) -> u32 {
    match value {
        Value::Integer(number) if *number < 0 => 5,
        Value::Integer(_) => 4,
        Value::Float(_) => 6,
        Value::Boolean(_) => 7,
        Value::String(_) => 8,
        Value::Array(_) => 9,
    }
}

fn write_value(file: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Integer(number) => file.extend((*number as u32).to_le_bytes()),
        Value::Float(number) => file.extend((*number as f32).to_le_bytes()),
        Value::Boolean(value) => file.push(u8::from(*value)),
        Value::String(text) => string(file, text),
        Value::Array(values) => {
            file.extend(values.first().map_or(4, type_number).to_le_bytes());
            file.extend((values.len() as u64).to_le_bytes());
            values.iter().for_each(|value| write_value(file, value));
        }
    }
}
