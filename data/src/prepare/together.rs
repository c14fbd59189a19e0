//! How much a split holds back, and which rows it keeps on one side: those that ask alike.

use std::collections::HashMap;

use crate::error::DataError;
use crate::near::Clusters;

/// A cluster of near copies that is larger than this share of the rows is no few copies of one row but the pattern of the
/// whole set: a split keeps small clusters on one side and cannot keep these.
const LARGEST_CLUSTER_SHARE: f64 = 0.01;
/// So many are few copies in a small set, too.
const FEW_COPIES: usize = 16;
/// Rows on one side that are a larger share than this leave too little to the other.
const LARGEST_SHARE: f64 = 0.25;

/// How much of the training rows is held back.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// About this share.
    Share(f64),
    /// At the most so many, but for near copies that stand first and are more.
    Rows(usize),
}

impl Part {
    /// The place below which rows are held back, of rows that have these places.
    pub(super) fn end(self, places: &[f64]) -> Result<f64, DataError> {
        let wanted = match self {
            Self::Share(fraction) => return Ok(fraction),
            Self::Rows(wanted) => wanted,
        };
        let rows = places.len();
        if wanted >= rows {
            return Err(DataError::TooManyHeldBack { rows, wanted });
        }
        let mut sorted = places.to_vec();
        let (before, end, after) = sorted.select_nth_unstable_by(wanted, f64::total_cmp);
        let is_first = before.iter().all(|place| place == end);
        // Copies share a place: the first of them are all held back where they alone are more than is wanted.
        let next = after.iter().filter(|place| *place > end).copied().fold(1.0, f64::min);
        Ok(if is_first { next } else { *end })
    }
}

/// Gives the rows of each small cluster the place of its first row, and in a larger one those with one and the same prompt the
/// place of the first of them. `prompts` has a hash of each row's prompt. Gives the clusters that were not kept together, as rows.
pub(super) fn together(
    clusters: &Clusters,
    prompts: &[u64],
    places: &mut [f64],
) -> Result<Vec<Vec<u32>>, DataError> {
    let share = |share: f64| (places.len() as f64 * share) as usize;
    let most = share(LARGEST_SHARE).max(1);
    let largest = share(LARGEST_CLUSTER_SHARE).max(FEW_COPIES).min(most);
    let mut apart = Vec::new();
    for cluster in clusters.iter() {
        let rows = cluster?.rows;
        if rows.len() <= largest {
            let place = places[rows[0]];
            rows.iter().for_each(|row| places[*row] = place);
            continue;
        }
        let mut same: HashMap<u64, Vec<usize>> = HashMap::new();
        rows.iter().for_each(|row| same.entry(prompts[*row]).or_default().push(*row));
        for rows in same.values().filter(|rows| rows.len() <= most) {
            let place = places[rows[0]];
            rows.iter().for_each(|row| places[*row] = place);
        }
        apart.push(rows.into_iter().map(|row| row as u32).collect());
    }
    Ok(apart)
}

/// How many rows that are held out resemble one that is trained on: those of the clusters that were not kept together.
pub(super) fn split_apart(apart: &[Vec<u32>], is_held_out: impl Fn(usize) -> bool) -> usize {
    let counts = apart.iter().map(|rows| {
        let held_out = rows.iter().filter(|row| is_held_out(**row as usize)).count();
        if held_out < rows.len() { held_out } else { 0 }
    });
    counts.sum()
}
