//! The network: candle's BERT, with a linear layer on top or without, in batches.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Module, Tensor};
use candle_nn::{Linear, VarBuilder, linear};
use candle_transformers::models::bert::{BertModel, Config};
use rayon::ThreadPoolBuilder;

use crate::ModelError;

/// Tokens of a batch, padding included: enough to keep the matrix products busy, few enough that attention's scores
/// (12 heads of 128 by 128 tokens in 16 rows) stay in the cache.
const BATCH_TOKENS: usize = 2048;

/// A BERT on the processor in 32-bit floats, and the classifier on it.
pub(super) struct Network {
    path: PathBuf,
    bert: BertModel,
    classifier: Option<Linear>,
    /// Numbers of each token: the labels, or the width of the BERT.
    columns: usize,
}

impl Network {
    /// Of tensors whose shapes were checked. Without `labels` there is no classifier, and a token's row is its vector.
    pub(super) fn new(
        path: &Path,
        config: &Config,
        labels: Option<usize>,
        tensors: HashMap<String, Tensor>,
    ) -> Result<Self, ModelError> {
        let fault = |error: candle_core::Error| ModelError::Compute {
            path: path.to_owned(),
            problem: error.to_string(),
        };
        let builder = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let bert = BertModel::load(builder.pp("bert"), config).map_err(fault)?;
        let on_top = |labels| linear(config.hidden_size, labels, builder.pp("classifier")).map_err(fault);
        let classifier = labels.map(on_top).transpose()?;
        Ok(Self { path: path.to_owned(), bert, classifier, columns: labels.unwrap_or(config.hidden_size) })
    }

    /// For each sequence of ids a row for each id: logits, or the vector where there is no classifier. Sequences of like length are computed together, a batch on one
    /// processor: splitting each of a small network's products over all of them takes longer than it saves, many times over
    /// where other programs run.
    pub(super) fn rows(&self, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>, ModelError> {
        let mut order: Vec<usize> = (0..sequences.len()).collect();
        order.sort_by_key(|&at| (sequences[at].len(), at));
        let batches = batches(&order, sequences);
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(batches.len());
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<(usize, Vec<f32>)>, ModelError> {
            let pool = ThreadPoolBuilder::new().num_threads(1).build().map_err(|error| self.fault(&error))?;
            let mut computed = Vec::new();
            while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                let rows: Vec<&[u32]> = batch.iter().map(|&at| sequences[at]).collect();
                let logits = pool.install(|| self.batch(&rows)).map_err(|error| self.fault(&error))?;
                computed.extend(batch.iter().copied().zip(logits));
            }
            Ok(computed)
        };
        let mut logits = vec![Vec::new(); sequences.len()];
        let parts: Vec<_> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            handles
                .into_iter()
                .map(|handle| handle.join().unwrap_or_else(|_| Err(self.fault(&"a thread panicked"))))
                .collect()
        });
        for part in parts {
            for (at, row) in part? {
                logits[at] = row;
            }
        }
        Ok(logits)
    }

    fn fault(&self, problem: &dyn std::fmt::Display) -> ModelError {
        ModelError::Compute { path: self.path.clone(), problem: problem.to_string() }
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
        let on_top = match &self.classifier {
            Some(classifier) => classifier.forward(&hidden)?,
            None => hidden,
        };
        let values = on_top.flatten_all()?.to_vec1::<f32>()?;
        let row = |(at, row): (usize, &&[u32])| {
            let start = at * width * self.columns;
            values[start..start + row.len() * self.columns].to_vec()
        };
        Ok(rows.iter().enumerate().map(row).collect())
    }
}

/// Cuts sequences, in the order of their lengths, into batches of at most [`BATCH_TOKENS`].
fn batches<'o>(order: &'o [usize], sequences: &[&[u32]]) -> Vec<&'o [usize]> {
    let mut batches = Vec::new();
    let mut rest = order;
    while !rest.is_empty() {
        let mut count = 1;
        while count < rest.len() && (count + 1) * sequences[rest[count]].len() <= BATCH_TOKENS {
            count += 1;
        }
        let (batch, later) = rest.split_at(count);
        batches.push(batch);
        rest = later;
    }
    batches
}
