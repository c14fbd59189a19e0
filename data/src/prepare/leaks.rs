//! Rows on both sides of the examination: training rows beside golden rows, and beside validation rows from files.

use super::fates::{Deciding, Fate, MOST_LISTED};
use super::intake::Golden;
use crate::error::{DataError, ProblemList};
use crate::leak::{LeakFinder, LeakKind, LeakOptions, LeakRow, Leaks};
use crate::options::Validation;
use crate::problem::{ProblemKind, RowProblem};
use crate::record::Origin;
use crate::report::PairReport;

/// The numbers of the held-out sets.
const VALIDATION: usize = 0;
const GOLDEN: usize = 1;

impl Deciding<'_> {
    /// Held-out rows that are trained on.
    pub(super) fn leaks(&mut self, mut golden: Golden) -> Result<(), DataError> {
        let similarity = self.options.leaks.similarity;
        let options = LeakOptions { similarity, ..LeakOptions::new(self.scratch.clone()) };
        let mut finder = LeakFinder::new(options)?;
        let from_files = matches!(self.options.validation, Validation::Files(_));
        if !from_files && golden.spool.len() == 0 {
            // Nothing is held out but what a split keeps apart by itself: training rows need not be looked at for that.
            self.fates.leaks.similarity = Some(self.options.leaks.similarity);
            return Ok(());
        }
        let (mut train, mut held_out): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
        self.each(
            |fate, entry, record| {
                (fate == Fate::Train || from_files).then(|| LeakRow::of(&entry.compared(record)))
            },
            |row, fate, compared| match (fate, compared) {
                (_, None) => Ok(()),
                (Fate::Train, Some(compared)) => {
                    train.push(row as u32);
                    finder.train(&compared)
                }
                (_, Some(compared)) => {
                    held_out.push(row as u32);
                    finder.held_out(VALIDATION, &compared)
                }
            },
        )?;
        let mut places = Vec::new();
        let names = golden.names.clone();
        golden.spool.for_each(|_, entry| {
            let origin = Origin { file: names[entry.file].clone(), line: entry.line };
            let Some(body) = entry.tagged.or(entry.body) else { return Ok(()) };
            let record = body.record(entry.id, origin.clone());
            places.push(origin);
            finder.held_out(GOLDEN, &LeakRow::of(&record))
        })?;
        let leaks = finder.finish()?;
        self.report_leaks(&leaks, &train, &held_out, &places)
    }

    /// Enters the leaks into the report; an error if there are more than the options accept.
    fn report_leaks(
        &mut self,
        leaks: &Leaks,
        train: &[u32],
        held_out: &[u32],
        golden: &[Origin],
    ) -> Result<(), DataError> {
        let mut listed = Vec::new();
        let mut last = None;
        for pair in leaks.pairs() {
            let pair = pair?;
            // Of each held-out row the plainest and nearest.
            if last.replace((pair.set, pair.held_out_row)) != Some((pair.set, pair.held_out_row)) {
                listed.push(pair);
            }
            if listed.len() == MOST_LISTED {
                break;
            }
        }
        let rows = listed.iter().flat_map(|pair| {
            let other = (pair.set == VALIDATION).then(|| held_out[pair.held_out_row] as usize);
            other.into_iter().chain([train[pair.train_row] as usize])
        });
        let places = self.places(rows.collect::<Vec<_>>())?;
        let mut problems = ProblemList::default();
        let report = &mut self.fates.leaks;
        report.similarity = Some(self.options.leaks.similarity);
        report.held_out_rows = leaks.leaked();
        for set in leaks.sets() {
            for (kind, rows) in LeakKind::ALL.iter().zip(set.by_kind).filter(|(_, rows)| *rows > 0) {
                *report.kinds.entry(kind.name().to_owned()).or_default() += rows;
            }
        }
        for pair in listed {
            let other = match pair.set {
                VALIDATION => places.get(&(held_out[pair.held_out_row] as usize)),
                _ => golden.get(pair.held_out_row),
            };
            let (Some(row), Some(other)) = (places.get(&(train[pair.train_row] as usize)), other) else {
                continue;
            };
            let (kind, similarity) = (pair.kind.name(), pair.similarity);
            report.pairs.push(PairReport {
                row: row.to_string(),
                other: other.to_string(),
                kind: kind.to_owned(),
                similarity: Some(similarity),
            });
            let kind = ProblemKind::Leak { train: row.clone(), kind, similarity };
            problems.push(RowProblem { origin: other.clone(), kind });
        }
        if leaks.leaked() <= self.options.leaks.accept {
            return Ok(());
        }
        problems.and_more(leaks.leaked());
        problems.into_result(())
    }
}
