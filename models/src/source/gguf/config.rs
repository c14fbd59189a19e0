//! The configuration that a GGUF file's metadata and tensors say: what `config.json` would have said is gathered under its
//! keys, which the family then reads as it reads them anywhere.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::architectures::{self, Architecture, Kind};
use super::header::{Entry, Header};
use super::metadata::{self, Metadata};
use super::read_entry;
use super::rope;
use super::types::ElementType;
use crate::config::Fields;
use crate::config::bounds::{
    MAX_EPSILON, MAX_HEAD_DIM, MAX_HEADS, MAX_LAYERS, MAX_POSITIONS, MAX_VOCABULARY, MAX_WIDTH,
};
use crate::families::{self, Bias, Family, LayerWindows, NormKind, ProjectionNames};
use crate::{ModelConfig, ModelError, RopeScaling};

/// The embedding; its rows are the vocabulary.
const EMBEDDING: &str = "token_embd.weight";

/// Metadata and tensors of a file, with what is known of its architecture.
pub(super) struct Said<'a> {
    pub(super) path: &'a Path,
    pub(super) header: &'a Header,
    pub(super) architecture: &'static Architecture,
    pub(super) family: &'static Family,
}

/// Reads the configuration, and says whether the rows of queries and keys are interleaved.
pub(super) fn read(path: &Path, header: &Header) -> Result<(ModelConfig, bool), ModelError> {
    let metadata = &header.metadata;
    refuse_parts(metadata)?;
    let architecture = architectures::of(metadata)?;
    let Some(family) = families::of_model_type(architecture.model_type) else {
        return Err(metadata.unsupported("general.architecture", architecture.name, "another family"));
    };
    let said = Said { path, header, architecture, family };
    let mut keys = said.sizes()?;
    said.own_keys(&mut keys)?;
    said.biases(&mut keys)?;
    said.layers(&mut keys)?;
    let divisors = rope::read(&said, &mut keys)?;
    let mut config = ModelConfig::from_fields(Fields::new(path, Value::Object(keys))?)?;
    if let Some(divisors) = divisors {
        config.rope.scaling = RopeScaling::Divisors(divisors);
    }
    Ok((config, architecture.interleaved))
}

fn refuse_parts(metadata: &Metadata) -> Result<(), ModelError> {
    if let Some(kind) = metadata.string("general.type")?
        && kind != "model"
    {
        return Err(metadata.unsupported("general.type", format!("\"{kind}\""), "model"));
    }
    if let Some(parts) = metadata.size("split.count", usize::from(u16::MAX))?
        && parts > 1
    {
        let supported = "1: join the parts with llama.cpp's `llama-gguf-split --merge`";
        return Err(metadata.unsupported("split.count", parts.to_string(), supported));
    }
    Ok(())
}

impl Said<'_> {
    pub(super) fn metadata(&self) -> &Metadata {
        &self.header.metadata
    }

    pub(super) fn key(&self, suffix: &str) -> String {
        self.architecture.key(suffix)
    }

    pub(super) fn size(&self, suffix: &str, max: usize) -> Result<Option<usize>, ModelError> {
        self.metadata().size(&self.key(suffix), max)
    }

    fn required(&self, suffix: &str, max: usize) -> Result<usize, ModelError> {
        self.metadata().required_size(&self.key(suffix), max)
    }

    fn has(&self, tensor: &str) -> bool {
        self.header.tensors.contains_key(tensor)
    }

    /// What every architecture says.
    fn sizes(&self) -> Result<Map<String, Value>, ModelError> {
        let metadata = self.metadata();
        let heads = self.required("attention.head_count", MAX_HEADS)?;
        let key_heads = self.key_heads(heads)?;
        let vocabulary = self.vocabulary()?;
        let epsilon = match self.family.norm {
            NormKind::Layer => "attention.layer_norm_epsilon",
            _ => "attention.layer_norm_rms_epsilon",
        };
        let epsilon = self.key(epsilon);
        let epsilon = metadata
            .positive(&epsilon, MAX_EPSILON)?
            .ok_or_else(|| metadata.missing(&epsilon, "a number above 0"))?;
        let keys = json!({
            "model_type": self.architecture.model_type,
            "hidden_size": self.required("embedding_length", MAX_WIDTH)?,
            "intermediate_size": self.required("feed_forward_length", MAX_WIDTH)?,
            "num_hidden_layers": self.required("block_count", MAX_LAYERS)?,
            "num_attention_heads": heads,
            "num_key_value_heads": key_heads,
            "head_dim": self.head_dim()?,
            "vocab_size": vocabulary,
            "max_position_embeddings": self.required("context_length", MAX_POSITIONS)?,
            "tie_word_embeddings": !self.has("output.weight"),
            "bos_token_id": metadata.token_id("tokenizer.ggml.bos_token_id", vocabulary)?,
            "eos_token_id": metadata.token_id("tokenizer.ggml.eos_token_id", vocabulary)?,
            "pad_token_id": metadata.token_id("tokenizer.ggml.padding_token_id", vocabulary)?,
            (self.family.keys.epsilon.0): epsilon,
        });
        match keys {
            Value::Object(keys) => Ok(keys),
            _ => Ok(Map::new()),
        }
    }

    fn key_heads(&self, heads: usize) -> Result<usize, ModelError> {
        let suffix = "attention.head_count_kv";
        let found = self.size(suffix, MAX_HEADS)?.unwrap_or(heads);
        if heads.is_multiple_of(found) {
            return Ok(found);
        }
        let supported = format!("a divisor of the {heads} query heads");
        Err(self.metadata().unsupported(&self.key(suffix), found.to_string(), &supported))
    }

    /// Width of a head: as the key says, or the width over the heads.
    pub(super) fn head_dim(&self) -> Result<usize, ModelError> {
        let (width, heads) = (
            self.required("embedding_length", MAX_WIDTH)?,
            self.required("attention.head_count", MAX_HEADS)?,
        );
        let found = match self.size("attention.key_length", MAX_HEAD_DIM)? {
            Some(found) => found,
            None if width.is_multiple_of(heads) && width / heads <= MAX_HEAD_DIM => width / heads,
            None => {
                let supported = format!("a divisor of the embedding's {width}, by {MAX_HEAD_DIM} at most");
                let key = self.key("attention.head_count");
                return Err(self.metadata().unsupported(&key, heads.to_string(), &supported));
            }
        };
        let suffix = "attention.value_length";
        match self.size(suffix, MAX_HEAD_DIM)? {
            Some(values) if values != found => {
                let supported = format!("{found}, the width of a head");
                Err(self.metadata().unsupported(&self.key(suffix), values.to_string(), &supported))
            }
            _ => Ok(found),
        }
    }

    /// The vocabulary is as large as the embedding; the metadata may say so too.
    fn vocabulary(&self) -> Result<usize, ModelError> {
        let Some(embedding) = self.header.tensors.get(EMBEDDING) else {
            let (path, tensor) = (self.path.to_owned(), EMBEDDING.to_owned());
            return Err(ModelError::MissingTensor { path, tensor });
        };
        let rows = embedding.shape.first().copied().unwrap_or(0);
        if rows == 0 || rows > MAX_VOCABULARY {
            let problem =
                format!("expected 1 to {MAX_VOCABULARY} rows, found the shape {:?}", embedding.shape);
            return Err(ModelError::tensor(self.path, EMBEDDING, problem));
        }
        match self.size("vocab_size", MAX_VOCABULARY)? {
            Some(said) if said != rows => {
                let problem = format!("has {rows} rows, but `{}` is {said}", self.key("vocab_size"));
                Err(ModelError::tensor(self.path, EMBEDDING, problem))
            }
            _ => Ok(rows),
        }
    }

    /// What the architecture says by keys of its own, or does not say since it is always so.
    fn own_keys(&self, keys: &mut Map<String, Value>) -> Result<(), ModelError> {
        let metadata = self.metadata();
        for &(suffix, name, kind) in self.architecture.keys {
            let key = self.key(suffix);
            let is_zero = metadata.get(&key) == Some(&metadata::Value::Integer(0));
            let value = match kind {
                // A window of 0 is none, and null says so.
                Kind::Size(_) if is_zero => Some(Value::Null),
                Kind::Size(max) => metadata.size(&key, max)?.map(Value::from),
                Kind::Number(max) => metadata.positive(&key, max)?.map(Value::from),
                Kind::Switch => metadata.boolean(&key)?.map(Value::from),
            };
            keys.extend(value.map(|value| (name.to_owned(), value)));
        }
        keys.extend(self.architecture.fixed.iter().map(|&(name, value)| (name.to_owned(), value.into())));
        if self.family.keys.query_scalar {
            let blocks = self.required("block_count", MAX_LAYERS)?;
            let scalar = if self.architecture.scaled_by_width_at_blocks == Some(blocks) {
                self.required("embedding_length", MAX_WIDTH)?
                    / self.required("attention.head_count", MAX_HEADS)?
            } else {
                self.head_dim()?
            };
            keys.insert("query_pre_attn_scalar".to_owned(), scalar.into());
        }
        if self.family.model_types.contains(&"falcon") {
            let norms = 1 + usize::from(self.has("blk.0.attn_norm_2.weight"));
            keys.insert("num_ln_in_parallel_attn".to_owned(), norms.into());
        }
        Ok(())
    }

    /// Which projections of the blocks have biases: of those that share a key all, or none.
    fn biases(&self, keys: &mut Map<String, Value>) -> Result<(), ModelError> {
        let inputs: &[&str] = match self.family.names.projections {
            ProjectionNames::Split(_) => &["attn_q", "attn_k", "attn_v"],
            ProjectionNames::Fused(..) => &["attn_qkv"],
        };
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for (bias, parts) in
            self.family.keys.biases.into_iter().zip([inputs, &["attn_output"], self.mlp_parts()])
        {
            let Bias::Key(key, _) = bias else { continue };
            match groups.iter_mut().find(|group| group.0 == key) {
                Some(group) => group.1.extend(parts),
                None => groups.push((key, parts.to_vec())),
            }
        }
        for (key, parts) in groups {
            let has = |part: &&&str| self.has(&format!("blk.0.{part}.bias"));
            let count = parts.iter().filter(has).count();
            if count != 0 && count != parts.len() {
                let kind = self.architecture.model_type;
                let problem =
                    format!("biases on some of {}, where a {kind} has all or none", parts.join(", "));
                return Err(ModelError::damaged(self.path, problem));
            }
            keys.insert(key.to_owned(), (count > 0).into());
        }
        Ok(())
    }

    fn mlp_parts(&self) -> &'static [&'static str] {
        match self.family.names.mlp {
            families::MlpNames::Gated(_) => &["ffn_gate", "ffn_up", "ffn_down"],
            _ => &["ffn_up", "ffn_down"],
        }
    }

    /// Which layers have a window, where the family leaves that to the file.
    fn layers(&self, keys: &mut Map<String, Value>) -> Result<(), ModelError> {
        let blocks = self.required("block_count", MAX_LAYERS)?;
        if !matches!(self.family.keys.windows, LayerWindows::AllButEvery { .. }) {
            return Ok(());
        }
        let key = self.key("attention.sliding_window_pattern");
        match self.metadata().get(&key) {
            None => {}
            Some(metadata::Value::Array(values)) => {
                let within = values.iter().take(blocks).map(|value| match value {
                    metadata::Value::Boolean(within) => Some(*within),
                    metadata::Value::Integer(within) => Some(*within != 0),
                    _ => None,
                });
                let name = |within| if within { "sliding_attention" } else { "full_attention" };
                let kinds: Option<Vec<&str>> = within.map(|within| within.map(name)).collect();
                let kinds = kinds.filter(|kinds| kinds.len() == blocks);
                let Some(kinds) = kinds else {
                    return Err(self.metadata().missing(&key, &format!("{blocks} times true or false")));
                };
                keys.insert("layer_types".to_owned(), kinds.into());
            }
            Some(_) => {
                let every = self.metadata().required_size(&key, MAX_LAYERS)?;
                keys.insert("sliding_window_pattern".to_owned(), every.into());
            }
        }
        Ok(())
    }

    /// The numbers of a vector of `count` elements, all finite and above zero, where there is such a tensor.
    pub(super) fn divisors(&self, tensor: &str, count: usize) -> Result<Option<Vec<f32>>, ModelError> {
        self.header.tensors.get(tensor).map(|entry| divisors(self.path, tensor, entry, count)).transpose()
    }
}

fn divisors(path: &Path, tensor: &str, entry: &Entry, count: usize) -> Result<Vec<f32>, ModelError> {
    if entry.shape != [count] || entry.element_type != ElementType::F32 {
        let found = format!("the shape {:?} of {}", entry.shape, entry.element_type.name());
        let problem = format!("expected the shape [{count}] of F32, found {found}");
        return Err(ModelError::tensor(path, tensor, problem));
    }
    let values = read_entry(path, tensor, entry)?.into_f32();
    match values.iter().find(|value| !(value.is_finite() && **value > 0.0)) {
        Some(value) => Err(ModelError::tensor(path, tensor, format!("divisor {value}"))),
        None => Ok(values),
    }
}
