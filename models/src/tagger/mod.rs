//! Token classifiers: a BERT that says of each word what it is, such as a name or a part of an address.
//!
//! [`Tagger::open`] reads a folder in the hub's layout: `config.json` with `id2label`, `tokenizer.json` or `vocab.txt`,
//! and `model.safetensors`; or, in place of the last one, an ONNX file, which is unpacked once.

mod config;
mod labels;
mod network;
mod onnx;
mod text;
mod vectors;
mod weights;
mod windows;

use std::path::Path;

use crate::ModelError;
use config::{BERT, TaggerConfig};
use network::Network;
use text::{Encoder, Window};
pub use vectors::{TextEncoder, TokenVectors};

/// A word is of a kind from this probability on.
const THRESHOLD: f32 = 0.5;

/// A span of a text and its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Tag {
    /// First byte; a character boundary.
    pub start: usize,
    /// One past the last byte; a character boundary.
    pub end: usize,
    /// The model's label without prefixes: `PER`, `GIVEN_NAME`.
    pub label: String,
    /// Mean probability of the label over the span's words, from 0.5 to 1.
    pub score: f32,
}

/// A token classifier, loaded.
pub struct Tagger {
    config: TaggerConfig,
    encoder: Encoder,
    network: Network,
    identity: String,
}

impl Tagger {
    /// Reads the folder; the weights are held as 32-bit floats.
    ///
    /// # Errors
    /// [`ModelError`] when a file is missing, damaged or contradicts another one, and when the model is no BERT with
    /// a token classifier.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let config = TaggerConfig::from_file(&folder.join("config.json"))?;
        let encoder =
            Encoder::open(folder, config.bert.vocab_size, config.bert.max_position_embeddings, &BERT)?;
        let tensors = config.tensors();
        let weights = weights::read(folder, &tensors, &tensors)?;
        let name = folder.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy());
        let identity = format!("{name}@sha256:{}", weights.sha256);
        let network = Network::new(folder, &config.bert, Some(config.labels.len()), weights.tensors)?;
        Ok(Self { config, encoder, network, identity })
    }

    /// The labelled spans of each of `texts`, in order, sorted by start and without overlaps.
    ///
    /// Texts are cut into windows of 480 characters, which are computed in batches of like length; what is in the texts
    /// decides the result, not what stands beside them, but for the last bits of a score.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] and [`ModelError::Compute`] where tokenizer or network fail.
    pub fn tag(&self, texts: &[&str]) -> Result<Vec<Vec<Tag>>, ModelError> {
        let mut windows: Vec<Window> = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            self.encoder.encode(number, text, &mut windows)?;
        }
        let sequences: Vec<&[u32]> = windows.iter().map(|window| window.ids.as_slice()).collect();
        let logits = self.network.rows(&sequences)?;
        let mut tags: Vec<Vec<Tag>> = vec![Vec::new(); texts.len()];
        for (window, logits) in windows.iter().zip(&logits) {
            let rows = window.probabilities(logits, self.config.labels.len());
            let found = self.config.labels.spans(texts[window.text], &window.words, &rows, THRESHOLD);
            tags[window.text].extend(found);
        }
        Ok(texts.iter().zip(tags).map(|(text, tags)| labels::united(text, tags)).collect())
    }

    /// What decides the tags: the folder's name and the sha256 of the weights.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }
}

#[cfg(test)]
mod tests;
