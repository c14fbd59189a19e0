//! The network: candle's BERT with a linear layer on top, in batches.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Module, Tensor};
use candle_nn::{Linear, VarBuilder, linear};
use candle_transformers::models::bert::BertModel;

use super::config::TaggerConfig;
use crate::ModelError;

/// Tokens of a batch, padding included: enough to keep the matrix products busy, few enough that attention's scores
/// (12 heads of 128 by 128 tokens in 16 rows) stay in the cache.
const BATCH_TOKENS: usize = 2048;

/// A classifier on the processor in 32-bit floats.
pub(super) struct Network {
    path: PathBuf,
    bert: BertModel,
    classifier: Linear,
    labels: usize,
}

impl Network {
    /// Of tensors whose shapes were checked.
    pub(super) fn new(
        path: &Path,
        config: &TaggerConfig,
        tensors: HashMap<String, Tensor>,
    ) -> Result<Self, ModelError> {
        let fault = |error: candle_core::Error| ModelError::Compute {
            path: path.to_owned(),
            problem: error.to_string(),
        };
        let builder = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let bert = BertModel::load(builder.pp("bert"), &config.bert).map_err(fault)?;
        let labels = config.labels.len();
        let classifier = linear(config.bert.hidden_size, labels, builder.pp("classifier")).map_err(fault)?;
        Ok(Self { path: path.to_owned(), bert, classifier, labels })
    }

    /// For each sequence of ids a row of logits for each id. Sequences of like length are computed together.
    pub(super) fn logits(&self, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>, ModelError> {
        let mut order: Vec<usize> = (0..sequences.len()).collect();
        order.sort_by_key(|&at| (sequences[at].len(), at));
        let mut logits = vec![Vec::new(); sequences.len()];
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let mut count = 1;
            while count < rest.len() && (count + 1) * sequences[rest[count]].len() <= BATCH_TOKENS {
                count += 1;
            }
            let (batch, later) = rest.split_at(count);
            let rows: Vec<&[u32]> = batch.iter().map(|&at| sequences[at]).collect();
            let computed = self.batch(&rows).map_err(|error| ModelError::Compute {
                path: self.path.clone(),
                problem: error.to_string(),
            })?;
            for (&at, row) in batch.iter().zip(computed) {
                logits[at] = row;
            }
            rest = later;
        }
        Ok(logits)
    }

    /// Pads to the longest row; what is padded is masked in attention and left out of the result.
    fn batch(&self, rows: &[&[u32]]) -> candle_core::Result<Vec<Vec<f32>>> {
        let width = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let shape = (rows.len(), width);
        let (mut ids, mut mask) = (vec![0_u32; rows.len() * width], vec![0_u32; rows.len() * width]);
        for (row, at) in rows.iter().zip((0..).step_by(width.max(1))) {
            ids[at..at + row.len()].copy_from_slice(row);
            mask[at..at + row.len()].fill(1);
        }
        let ids = Tensor::from_vec(ids, shape, &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, shape, &Device::Cpu)?;
        let hidden = self.bert.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let logits = self.classifier.forward(&hidden)?.flatten_all()?.to_vec1::<f32>()?;
        let row = |(at, row): (usize, &&[u32])| {
            let start = at * width * self.labels;
            logits[start..start + row.len() * self.labels].to_vec()
        };
        Ok(rows.iter().enumerate().map(row).collect())
    }
}
