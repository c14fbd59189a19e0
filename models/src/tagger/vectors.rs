//! Texts as a vector for each token: a BERT or RoBERTa without a head, such as metrics of similarity are computed with.

use std::path::Path;

use super::config::encoder_of;
use super::network::Network;
use super::text::Encoder;
use super::{config, weights};
use crate::ModelError;

/// A BERT or RoBERTa, loaded up to one of its layers.
pub struct TextEncoder {
    encoder: Encoder,
    network: Network,
    width: usize,
    layers: usize,
    identity: String,
}

/// The tokens of a text, those of the frame (`[CLS]` and `[SEP]`, or `<s>` and `</s>`) first and last.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenVectors {
    /// Token ids, `[T]`.
    pub ids: Vec<u32>,
    /// A row for each of them, `[T, D]`.
    pub vectors_td: Vec<f32>,
}

impl TextEncoder {
    /// Reads a folder in the hub's layout: `config.json` of a BERT or a RoBERTa, `tokenizer.json` or `vocab.txt`, `model.safetensors`. `layers` is how
    /// many are computed; by default all.
    ///
    /// # Errors
    /// [`ModelError`] when a file is missing, damaged or contradicts another one, when the model is neither, and when it has fewer layers.
    pub fn open(folder: &Path, layers: Option<usize>) -> Result<Self, ModelError> {
        let path = folder.join("config.json");
        let (mut bert, kin) = encoder_of(&config::fields(&path)?)?;
        let whole = config::tensors_of(&bert);
        if let Some(layers) = layers {
            if layers == 0 || layers > bert.num_hidden_layers {
                let problem =
                    format!("expected a layer from 1 to {}, found {layers}", bert.num_hidden_layers);
                return Err(ModelError::Compute { path, problem });
            }
            bert.num_hidden_layers = layers;
        }
        let mut weights = weights::read(folder, &config::tensors_of(&bert), &whole)?;
        bert.max_position_embeddings -= kin.first_position;
        // What is left of the table is one of a BERT, whose first token has its first row.
        if let Some(positions) = weights.tensors.get_mut(config::POSITIONS) {
            let rows = positions.narrow(0, kin.first_position, bert.max_position_embeddings);
            *positions = rows
                .and_then(|rows| rows.contiguous())
                .map_err(|error| ModelError::Compute { path: path.clone(), problem: error.to_string() })?;
        }
        let encoder = Encoder::open(folder, bert.vocab_size, bert.max_position_embeddings, &kin)?;
        let name = folder.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy());
        let identity = format!("{name}@sha256:{}", weights.sha256);
        let (width, layers) = (bert.hidden_size, bert.num_hidden_layers);
        let network = Network::new(folder, &bert, None, weights.tensors)?;
        Ok(Self { encoder, network, width, layers, identity })
    }

    /// The vectors of each of `texts`, in order. Spaces around a text are left out, and so is what goes beyond the model's positions.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] and [`ModelError::Compute`] where tokenizer or network fail.
    pub fn encode(&self, texts: &[&str]) -> Result<Vec<TokenVectors>, ModelError> {
        let ids = texts.iter().map(|text| self.encoder.framed(text)).collect::<Result<Vec<_>, _>>()?;
        let sequences: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let rows = self.network.rows(&sequences)?;
        Ok(ids.into_iter().zip(rows).map(|(ids, vectors_td)| TokenVectors { ids, vectors_td }).collect())
    }

    /// Numbers of a vector.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Layers that are computed.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// The ids of the tokens that stand around every text.
    #[must_use]
    pub fn frame(&self) -> (u32, u32) {
        self.encoder.frame()
    }

    /// What decides the vectors: the folder's name and the sha256 of the weights that are used.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }
}
