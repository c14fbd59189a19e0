//! What becomes of each row beside the others: duplicates, sides, leaks. A few bytes a row stand in memory.

use std::collections::BTreeMap;
use std::path::Path;

use super::Tools;
use super::intake::{Golden, Taken};
use super::spool::{Entry, Spool};
use super::together::{Part, split_apart, together};
use crate::clean::duplicates::{ConflictFinder, DuplicateFinder, canonical_row_hash};
use crate::clean::quality::{
    LabelCap, LabelCapOptions, LabelReport, Labels, PerplexityCut, PerplexityOptions, nats_per_token,
};
use crate::error::DataError;
use crate::near::{Clusters, NearFinder, NearOptions, compared};
use crate::options::{Duplicates, PrepareOptions, Validation};
use crate::record::{Form, Origin, Record};
use crate::report::{DuplicateReport, LeakReport, PairReport, Stage};
use crate::spill::Scratch;
use crate::split::place_of;

/// Pairs that the report lists.
pub(super) const MOST_LISTED: usize = 100;

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Train,
    Validation,
    /// It was dropped on its own, before it was compared with others.
    Gone,
    /// It is dropped at this stage.
    Dropped(Stage),
}

/// The fates of all rows, and the account of what decided them.
pub(super) struct Fates {
    fates: Vec<Fate>,
    /// What a dropped row resembles, for the first of them.
    details: BTreeMap<usize, String>,
    pub(super) duplicates: DuplicateReport,
    pub(super) leaks: LeakReport,
    pub(super) labels: Option<LabelReport>,
    /// Rows that the base finds incoherent.
    pub(super) incoherent: usize,
}

impl Fates {
    pub(super) fn of(&self, row: usize) -> Fate {
        self.fates[row]
    }

    /// Figures on a row that is dropped here; empty where there are none.
    pub(super) fn detail(&self, row: usize) -> String {
        self.details.get(&row).cloned().unwrap_or_default()
    }
}

/// Compares all rows of the spool with each other and with the golden ones.
///
/// # Errors
/// [`DataError::Rows`] with the leaks that the options do not accept; [`DataError::EmptySplit`] and
/// [`DataError::TooManyHeldBack`]; temporary files that cannot be used.
pub(super) fn decide(
    spool: &mut Spool,
    golden: Golden,
    taken: &Taken,
    options: &PrepareOptions,
    tools: &Tools<'_>,
    folder: &Path,
) -> Result<Fates, DataError> {
    let mut deciding = Deciding {
        spool,
        taken,
        options,
        scratch: Scratch::new(folder),
        fates: Fates {
            fates: Vec::new(),
            details: BTreeMap::new(),
            duplicates: DuplicateReport { policy: options.clean.duplicates, ..DuplicateReport::default() },
            leaks: LeakReport { accepted: options.leaks.accept, ..LeakReport::default() },
            labels: None,
            incoherent: 0,
        },
    };
    deciding.enter()?;
    if let Some(settings) = &options.filters.max_perplexity {
        deciding.incoherent_rows(settings, tools)?;
    }
    deciding.equal_rows()?;
    if let Some(similarity) = options.clean.near_duplicates {
        deciding.near_rows(similarity)?;
    }
    match options.validation {
        Validation::Fraction(fraction) => deciding.split(Part::Share(fraction))?,
        Validation::Rows(rows) => deciding.split(Part::Rows(rows))?,
        Validation::None | Validation::Files(_) => {}
    }
    if options.leaks.check {
        deciding.leaks(golden)?;
    }
    deciding.labels()?;
    Ok(deciding.fates)
}

pub(super) struct Deciding<'a> {
    spool: &'a mut Spool,
    taken: &'a Taken,
    pub(super) options: &'a PrepareOptions,
    pub(super) scratch: Scratch,
    pub(super) fates: Fates,
}

impl Deciding<'_> {
    /// Goes through the rows that are still in, with their numbers.
    pub(super) fn each(
        &mut self,
        mut each: impl FnMut(usize, Fate, &Entry, Record) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let (taken, fates) = (self.taken, &self.fates.fates);
        self.spool.for_each(|row, entry| match (fates[row], taken.record(&entry)) {
            (fate @ (Fate::Train | Fate::Validation), Some(record)) => each(row, fate, &entry, record),
            _ => Ok(()),
        })
    }

    /// The places of these rows, `file:line`.
    pub(super) fn places(
        &mut self,
        rows: impl IntoIterator<Item = usize>,
    ) -> Result<BTreeMap<usize, Origin>, DataError> {
        let mut places: BTreeMap<usize, Option<Origin>> = rows.into_iter().map(|row| (row, None)).collect();
        if places.is_empty() {
            return Ok(BTreeMap::new());
        }
        let names = &self.taken.names;
        self.spool.for_each(|row, entry| {
            if let Some(place) = places.get_mut(&row) {
                *place = Some(Origin { file: names[entry.file].clone(), line: entry.line });
            }
            Ok(())
        })?;
        Ok(places.into_iter().filter_map(|(row, place)| Some((row, place?))).collect())
    }

    /// All rows that were not dropped on their own.
    fn enter(&mut self) -> Result<(), DataError> {
        let fates = &mut self.fates.fates;
        self.spool.for_each(|_, entry| {
            fates.push(match (&entry.body, entry.held_out) {
                (None, _) => Fate::Gone,
                (Some(_), false) => Fate::Train,
                (Some(_), true) => Fate::Validation,
            });
            Ok(())
        })
    }

    /// Rows that the base finds incoherent; 8 bytes a row stand in memory.
    fn incoherent_rows(&mut self, settings: &PerplexityOptions, tools: &Tools<'_>) -> Result<(), DataError> {
        let Some(base) = tools.perplexity else { return Err(DataError::NoPerplexity) };
        let (mut rows, mut nats): (Vec<u32>, Vec<f32>) = (Vec::new(), Vec::new());
        self.each(|row, _, _, record| {
            rows.push(row as u32);
            nats.push(nats_per_token(base, &[&record])?[0] as f32);
            Ok(())
        })?;
        let cut = PerplexityCut::new(settings, &nats)?;
        for (row, nats) in rows.into_iter().zip(nats) {
            if let Some(verdict) = cut.judge(f64::from(nats)) {
                self.fates.fates[row as usize] = Fate::Dropped(Stage::Perplexity);
                self.fates.incoherent += 1;
                if self.fates.details.len() < MOST_LISTED {
                    self.fates.details.insert(row as usize, verdict.detail);
                }
            }
        }
        Ok(())
    }

    /// Exact duplicates within each set, and prompts with more than one answer.
    fn equal_rows(&mut self) -> Result<(), DataError> {
        let [mut train, mut validation] = [0; 2].map(|_| DuplicateFinder::new(&self.scratch.part(4)));
        let mut prompts = ConflictFinder::new(&self.scratch.part(4));
        self.each(|row, fate, entry, record| {
            let finder = if fate == Fate::Train { &mut train } else { &mut validation };
            finder.push(row, record.content_hash(), canonical_row_hash(&record))?;
            let record = entry.compared(record);
            if fate == Fate::Train && record.form() == Form::Conversation {
                prompts.push(row, record.prompt_hash(), record.content_hash())?;
            }
            Ok(())
        })?;
        let prompts = prompts.finish()?;
        for equal in [train.finish()?, validation.finish()?] {
            self.fates.duplicates.exact += equal.raw() + equal.canonical();
            for duplicate in equal.iter() {
                let duplicate = duplicate?;
                if self.options.clean.duplicates == Duplicates::Remove {
                    self.fates.fates[duplicate.row] = Fate::Dropped(Stage::Duplicates);
                }
            }
        }
        self.fates.duplicates.conflicting_prompts = prompts.keys;
        let places = self.places(prompts.examples.iter().flat_map(|(one, other)| [*one, *other]))?;
        let pair = |(one, other): &(usize, usize)| {
            Some([places.get(one)?.to_string(), places.get(other)?.to_string()])
        };
        self.fates.duplicates.conflicts = prompts.examples.iter().filter_map(pair).collect();
        Ok(())
    }

    /// Rows that resemble one that stays, among the training rows.
    fn near_rows(&mut self, similarity: f64) -> Result<(), DataError> {
        let keep = self.options.clean.near_duplicates_keep;
        let mut finder =
            NearFinder::new(NearOptions { similarity, keep, pairs: false, scratch: self.scratch.clone() })?;
        let mut rows: Vec<u32> = Vec::new();
        self.each(|row, fate, _, record| {
            if fate == Fate::Train {
                rows.push(row as u32);
                finder.push(&record.learnt_text())?;
            }
            Ok(())
        })?;
        let clusters = finder.finish()?;
        self.fates.duplicates.similarity = Some(similarity);
        self.fates.duplicates.near = clusters.dropped();
        let mut listed = Vec::new();
        for (index, &row) in rows.iter().enumerate() {
            if !clusters.kept(index) {
                let stays = rows[clusters.representative(index)] as usize;
                self.fates.fates[row as usize] = Fate::Dropped(Stage::NearDuplicates);
                if listed.len() < MOST_LISTED {
                    listed.push((stays, row as usize));
                }
            }
        }
        let places = self.places(listed.iter().flat_map(|(stays, row)| [*stays, *row]))?;
        for (stays, row) in listed {
            let (Some(stays), Some(place)) = (places.get(&stays), places.get(&row)) else { continue };
            self.fates.details.insert(row, format!("resembles {stays}, which stays"));
            let pair = PairReport {
                row: stays.to_string(),
                other: place.to_string(),
                kind: "near".to_owned(),
                similarity: None,
            };
            self.fates.duplicates.pairs.push(pair);
        }
        Ok(())
    }

    /// Holds back a part of the training rows, near copies together; where that cannot be, it is counted.
    fn split(&mut self, part: Part) -> Result<(), DataError> {
        let clusters = if self.options.leaks.check { Some(self.prompts_alike()?) } else { None };
        let mut places: Vec<f64> = Vec::new();
        self.each(|_, _, _, record| {
            places.push(place_of(&record));
            Ok(())
        })?;
        let apart = match &clusters {
            Some((clusters, prompts)) => together(clusters, prompts, &mut places)?,
            None => Vec::new(),
        };
        let end = part.end(&places)?;
        let resembling = split_apart(&apart, |row| places[row] < end);
        if resembling > 0 {
            self.fates.leaks.kinds.insert(LeakReport::SPLIT.to_owned(), resembling);
        }
        let mut place = places.iter();
        let mut sides = [0, 0];
        for fate in self.fates.fates.iter_mut().filter(|fate| **fate == Fate::Train) {
            let held_out = place.next().is_some_and(|place| *place < end);
            sides[usize::from(held_out)] += 1;
            if held_out {
                *fate = Fate::Validation;
            }
        }
        let rows = places.len();
        match (part, sides) {
            (Part::Share(fraction), [0, _]) => {
                Err(DataError::EmptySplit { rows, fraction, side: "training" })
            }
            (Part::Share(fraction), [_, 0]) => {
                Err(DataError::EmptySplit { rows, fraction, side: "validation" })
            }
            (Part::Rows(wanted), [0, _]) => Err(DataError::TooManyHeldBack { rows, wanted }),
            _ => Ok(()),
        }
    }

    /// Clusters of rows whose prompts are alike, and of each row a hash of its prompt.
    fn prompts_alike(&mut self) -> Result<(Clusters, Vec<u64>), DataError> {
        let similarity = self.options.leaks.similarity;
        let (keep, scratch) = (crate::near::Keep::First, self.scratch.clone());
        let mut finder = NearFinder::new(NearOptions { similarity, keep, pairs: false, scratch })?;
        let mut prompts = Vec::new();
        self.each(|_, _, entry, record| {
            let asked = entry.compared(record).users_text();
            let hash = blake3::hash(compared(&asked).as_bytes());
            prompts.push(hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)));
            finder.push(&asked)
        })?;
        Ok((finder.finish()?, prompts))
    }

    /// What the answers are as labels, and which rows of frequent ones go.
    fn labels(&mut self) -> Result<(), DataError> {
        let mut labels = Labels::new();
        self.each(|_, fate, _, record| {
            if fate == Fate::Train {
                labels.push(&record);
            }
            Ok(())
        })?;
        let options = &self.options.labels;
        if *options != LabelCapOptions::default() {
            let mut cap = LabelCap::new(&labels, options)?;
            let mut dropped: Vec<u32> = Vec::new();
            self.each(|row, fate, _, record| {
                if fate == Fate::Train && !cap.keep(&record) {
                    dropped.push(row as u32);
                }
                Ok(())
            })?;
            dropped.iter().for_each(|row| self.fates.fates[*row as usize] = Fate::Dropped(Stage::Labels));
        }
        let report = labels.report(None);
        self.fates.labels = report.classification.then_some(report);
        Ok(())
    }
}
