//! The scales of a block: AWQ's search, and what it compares candidates by.

use std::collections::BTreeMap;

use rtune_adapters::merge::dense;
use rtune_models::{Readers, Staged, StagedBlock};

use super::awq;
use super::codes::Codes;
use super::folds::{Divisor, Fold, Shared, fold};
use super::gram::Gram;
use super::sample::Sample;

/// The scales of a block.
#[derive(Default)]
pub(super) struct Plan {
    /// What the columns of some linears are multiplied by.
    pub(super) columns: BTreeMap<Readers, Vec<f32>>,
    /// What rows of a linear are divided by, by its number.
    pub(super) rows: BTreeMap<usize, Divisor>,
    /// What a norm is divided by.
    pub(super) norms: BTreeMap<String, Vec<f32>>,
}

impl Plan {
    /// Scales for block `index`, by the products of what its linears read of all rows and by what it makes of the sample. The
    /// block is as it was when this returns.
    pub(super) fn new(
        staged: &Staged<'_>,
        index: usize,
        block: &mut StagedBlock,
        grams: &[Gram],
        group: usize,
        (sample, hidden): (&Sample, &[Vec<f32>]),
    ) -> Self {
        let mut plan = Self::default();
        let read = sample.read(staged, block, hidden);
        for (readers, gram) in Readers::ALL.into_iter().zip(grams) {
            let Some(fold) = fold(staged.spec(), index, block, readers) else { continue };
            let range = block.readers(readers);
            let linears = block.linears().skip(range.start).take(range.len());
            let weights: Vec<Vec<f32>> = linears.map(|linear| dense(linear.weight())).collect();
            let shared = match &fold {
                Fold::Norm(_) => None,
                Fold::Rows { shared, .. } => Some(*shared),
            };
            let norms = staged.spec().blocks[index].norms;
            let is_normed = match readers {
                Readers::Projections | Readers::Output => norms.attention_out,
                Readers::MlpInputs | Readers::Down => norms.mlp_out,
            };
            // What the last linear gives is what its half adds, unless a norm stands between.
            let scales = if shared.is_some() && !is_normed {
                let mut work = Vec::new();
                awq::scales(&weights, gram, group, shared, &mut |candidate| {
                    let pairs = weights.iter().zip(candidate);
                    pairs.map(|(weight, read)| gram.error(weight, &read, &mut work)).sum()
                })
            } else {
                let whole = read.half(staged, block, readers);
                let scales = awq::scales(&weights, gram, group, shared, &mut |candidate| {
                    set(block, range.clone(), candidate);
                    squared_error(&whole, &read.half(staged, block, readers))
                });
                set(block, range, weights);
                scales
            };
            let Some(scales) = scales else { continue };
            match fold {
                Fold::Norm(name) => drop(plan.norms.insert(name, scales.clone())),
                Fold::Rows { linear, first, shared } => {
                    let scales = by_row(&scales, shared);
                    plan.rows.insert(linear, Divisor { first, scales, less_one: false });
                }
            }
            plan.columns.insert(readers, scales);
        }
        plan
    }
}

fn set(block: &mut StagedBlock, places: std::ops::Range<usize>, weights: Vec<Vec<f32>>) {
    places.zip(weights).for_each(|(index, weight)| block.set_weight(index, weight));
}

fn squared_error(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(left, right)| f64::from(left - right).powi(2)).sum()
}

/// The scales of the rows that make some channels, from those of the channels.
fn by_row(scales: &[f32], shared: Shared) -> Vec<f32> {
    let mut rows = vec![1.0; scales.len() / shared.heads];
    scales.iter().enumerate().for_each(|(channel, scale)| rows[shared.row(channel)] = *scale);
    rows
}

/// The weight that is rounded: columns multiplied, rows divided.
pub(super) fn scaled_weight(
    weight: &[f32],
    width: usize,
    columns: Option<&[f32]>,
    rows: Option<&Divisor>,
) -> Vec<f32> {
    let mut changed = columns.map_or_else(|| weight.to_vec(), |scales| awq::multiplied(weight, scales));
    if let Some(Divisor { first, scales, .. }) = rows {
        let places = changed.chunks_exact_mut(width).skip(*first).zip(scales);
        places.for_each(|(row, scale)| row.iter_mut().for_each(|value| *value /= scale));
    }
    changed
}

/// What the codes stand for beside the model as it was: [`scaled_weight`] undone.
pub(super) fn read_weight(codes: &Codes, columns: Option<&[f32]>, rows: Option<&Divisor>) -> Vec<f32> {
    let mut read = codes.values();
    if let Some(scales) = columns {
        for row in read.chunks_exact_mut(codes.columns) {
            row.iter_mut().zip(scales).for_each(|(value, scale)| *value /= scale);
        }
    }
    if let Some(Divisor { first, scales, .. }) = rows {
        let places = read.chunks_exact_mut(codes.columns).skip(*first).zip(scales);
        places.for_each(|(row, scale)| row.iter_mut().for_each(|value| *value *= scale));
    }
    read
}

/// Products of queries and keys are not what a search over each of them sees: these are left unclipped, as in AutoAWQ.
pub(super) fn clips(readers: Readers, place: usize, block: &StagedBlock) -> bool {
    readers != Readers::Projections || (block.readers(readers).len() == 3 && place == 2)
}
