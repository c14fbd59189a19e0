//! What becomes of each row beside the others: duplicates, sides, leaks. A few bytes a row stand in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Tools;
use super::intake::{Golden, Taken};
use super::spool::{Entry, Spool};
use super::together::{Part, split_apart, together};
use crate::clean::duplicates::{ConflictFinder, DuplicateFinder, canonical_row_hash};
use crate::clean::quality::{
    LabelCap, LabelCapOptions, Labels, PerplexityCut, PerplexityOptions, nats_per_token,
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
    /// The labels before frequent ones were dropped, where that was asked for.
    pub(super) labels: Option<Labels>,
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
    deciding.enter();
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

/// Clusters of rows whose prompts are alike, and of each row a hash of its prompt.
type Alike = (Clusters, Vec<u64>);

pub(super) struct Deciding<'a> {
    spool: &'a mut Spool,
    taken: &'a Taken,
    pub(super) options: &'a PrepareOptions,
    pub(super) scratch: Scratch,
    pub(super) fates: Fates,
}

impl Deciding<'_> {
    /// Hands what `of` makes of each row that is still in to `each`, with its number, in order; `of` runs on all threads.
    pub(super) fn each<T: Send>(
        &mut self,
        of: impl Fn(Fate, &Entry, Record) -> T + Sync,
        mut each: impl FnMut(usize, Fate, T) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let (taken, fates) = (self.taken, &self.fates.fates);
        self.spool.each_of(
            |row| matches!(fates[row], Fate::Train | Fate::Validation),
            |row, mut entry| taken.take_record(&mut entry).map(|record| of(fates[row], &entry, record)),
            |row, made| made.map_or(Ok(()), |made| each(row, fates[row], made)),
        )
    }

    /// The places of these rows, `file:line`.
    pub(super) fn places(
        &mut self,
        rows: impl IntoIterator<Item = usize>,
    ) -> Result<BTreeMap<usize, Origin>, DataError> {
        let rows: BTreeSet<usize> = rows.into_iter().collect();
        let mut places = BTreeMap::new();
        if rows.is_empty() {
            return Ok(places);
        }
        let names = &self.taken.names;
        self.spool.each_of(
            |row| rows.contains(&row),
            |_, entry| Origin { file: names[entry.file].clone(), line: entry.line },
            |row, place| {
                places.insert(row, place);
                Ok(())
            },
        )?;
        Ok(places)
    }

    /// All rows that were not dropped on their own.
    fn enter(&mut self) {
        let fate = |held_out: &Option<bool>| match held_out {
            None => Fate::Gone,
            Some(false) => Fate::Train,
            Some(true) => Fate::Validation,
        };
        self.fates.fates = self.spool.held_out().iter().map(fate).collect();
    }

    /// Rows that the base finds incoherent; 8 bytes a row stand in memory.
    fn incoherent_rows(&mut self, settings: &PerplexityOptions, tools: &Tools<'_>) -> Result<(), DataError> {
        let Some(base) = tools.perplexity else { return Err(DataError::NoPerplexity) };
        let (mut rows, mut nats): (Vec<u32>, Vec<f32>) = (Vec::new(), Vec::new());
        self.each(
            |_, _, record| record,
            |row, _, record| {
                rows.push(row as u32);
                nats.push(nats_per_token(base, &[&record])?[0] as f32);
                Ok(())
            },
        )?;
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
        self.each(
            |fate, entry, record| {
                let row = [record.content_hash(), canonical_row_hash(&record)];
                let record = entry.compared(record);
                let asks = fate == Fate::Train && record.form() == Form::Conversation;
                (row, asks.then(|| [record.prompt_hash(), record.content_hash()]))
            },
            |row, fate, ([content, canonical], asked)| {
                let finder = if fate == Fate::Train { &mut train } else { &mut validation };
                finder.push(row, content, canonical)?;
                match asked {
                    Some([prompt, content]) => prompts.push(row, prompt, content),
                    None => Ok(()),
                }
            },
        )?;
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
        self.each(
            |fate, _, record| (fate == Fate::Train).then(|| record.learnt_text()),
            |row, _, text| {
                let Some(text) = text else { return Ok(()) };
                rows.push(row as u32);
                finder.push(&text)
            },
        )?;
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
        let (mut places, alike) = self.places_in_split()?;
        let apart = match &alike {
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
            // Why none is left says what dropped them.
            (Part::Share(_), [0, 0]) => Ok(()),
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

    /// Of each row a number from 0 to 1; where near copies stay together, also which those are.
    fn places_in_split(&mut self) -> Result<(Vec<f64>, Option<Alike>), DataError> {
        let (check, similarity) = (self.options.leaks.check, self.options.leaks.similarity);
        let (keep, scratch) = (crate::near::Keep::First, self.scratch.clone());
        let options = NearOptions { similarity, keep, pairs: false, scratch };
        let mut finder = check.then(|| NearFinder::new(options)).transpose()?;
        let (mut places, mut prompts) = (Vec::new(), Vec::new());
        self.each(
            |_, entry, record| {
                let place = place_of(&record);
                let asked = check.then(|| {
                    let asked = entry.compared(record).users_text();
                    let hash = blake3::hash(compared(&asked).as_bytes());
                    (hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)), asked)
                });
                (place, asked)
            },
            |_, _, (place, asked)| {
                places.push(place);
                match (&mut finder, asked) {
                    (Some(finder), Some((hash, asked))) => {
                        prompts.push(hash);
                        finder.push(&asked)
                    }
                    _ => Ok(()),
                }
            },
        )?;
        Ok((places, finder.map(NearFinder::finish).transpose()?.map(|clusters| (clusters, prompts))))
    }

    /// Which rows of frequent labels go, where that is asked for.
    fn labels(&mut self) -> Result<(), DataError> {
        let options = &self.options.labels;
        if *options == LabelCapOptions::default() {
            return Ok(());
        }
        let trained = |fate, record| (fate == Fate::Train).then_some(record);
        let mut labels = Labels::new();
        self.each(
            |fate, _, record| trained(fate, record),
            |_, _, record| {
                record.iter().for_each(|record| labels.push(record));
                Ok(())
            },
        )?;
        let mut cap = LabelCap::new(&labels, options)?;
        let mut dropped: Vec<u32> = Vec::new();
        self.each(
            |fate, _, record| trained(fate, record),
            |row, _, record| {
                if record.is_some_and(|record| !cap.keep(&record)) {
                    dropped.push(row as u32);
                }
                Ok(())
            },
        )?;
        dropped.iter().for_each(|row| self.fates.fates[*row as usize] = Fate::Dropped(Stage::Labels));
        self.fates.labels = Some(labels);
        Ok(())
    }
}
