//! Texts that both models weighed.

use std::collections::HashMap;

use rtune_metrics::compare::{Better, Cases, Comparison, Ratio, Settings, Summed, compare};
use serde::Deserialize;

use super::answers::key_of;
use super::{Named, Which, not_comparable};
use crate::error::TrainerError;
use crate::evaluate::by_name::TEXT_BITS_PER_BYTE;

/// The texts of a report.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ReportTexts {
    rows: Vec<ReportText>,
}

#[derive(Clone, Debug, Deserialize)]
struct ReportText {
    id: String,
    cluster: Option<String>,
    text_hash: String,
    bytes: u64,
    base: ReportTextSide,
    tuned: Option<ReportTextSide>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct ReportTextSide {
    nats: f64,
}

impl ReportTexts {
    /// Whether each was weighed by a tuned model.
    pub(super) fn are_tuned(&self) -> bool {
        self.rows.iter().all(|row| row.tuned.is_some())
    }
}

impl ReportText {
    fn bits(&self, which: Which) -> Ratio {
        let side = match (which, self.tuned) {
            (Which::Best | Which::Tuned, Some(tuned)) => tuned,
            _ => self.base,
        };
        Ratio { over: side.nats / std::f64::consts::LN_2, under: self.bytes as f64 }
    }
}

/// Compares both models by the texts of their reports; `None` where there are none.
///
/// # Errors
/// [`TrainerError::NotComparable`] for two reports that have not the same texts.
pub(super) fn compared(
    first: &Named,
    second: &Named,
    settings: &Settings,
) -> Result<Option<Comparison>, TrainerError> {
    let rows = |named: &Named| named.report.texts.as_ref().map_or(Vec::new(), |texts| texts.rows.clone());
    let (one, other) = (rows(first), rows(second));
    // Rows that stand twice have one id: the first is the first's, and so on.
    let mut by_id: HashMap<&str, Vec<&ReportText>> = HashMap::new();
    for row in other.iter().rev() {
        by_id.entry(row.id.as_str()).or_default().push(row);
    }
    let same =
        |row: &ReportText, other: &&ReportText| other.bytes == row.bytes && other.text_hash == row.text_hash;
    let pairs: Vec<(&ReportText, &ReportText)> = one
        .iter()
        .filter_map(|row| {
            let all = by_id.get_mut(row.id.as_str())?;
            let place = all.iter().rposition(|other| same(row, other))?;
            Some((row, all.remove(place)))
        })
        .collect();
    if pairs.len() != one.len() || one.len() != other.len() {
        return Err(not_comparable(format!(
            "{} of the {} texts of the first are in the second, which has {}",
            pairs.len(),
            one.len(),
            other.len()
        )));
    }
    if pairs.is_empty() {
        return Ok(None);
    }
    let keys: Vec<Option<String>> =
        one.iter().map(|row| Some(key_of(&row.id, row.cluster.as_deref()))).collect();
    let metric = |ratios: Vec<Ratio>| Summed::new(ratios, Ratio::value);
    let firsts = metric(pairs.iter().map(|(row, _)| row.bits(first.which)).collect());
    let seconds = metric(pairs.iter().map(|(_, row)| row.bits(second.which)).collect());
    compare(TEXT_BITS_PER_BYTE, Better::Lower, &firsts, &seconds, &Cases::clustered(&keys), settings)
        .map(Some)
        .map_err(|error| not_comparable(error.to_string()))
}
