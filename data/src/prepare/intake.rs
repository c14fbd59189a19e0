//! The first pass: rows are read, cleaned each on its own, and put on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::Tools;
use super::spool::{Body, Dropped, Entry, Spool};
use super::wash::{Wash, Washed};
use crate::clean::duplicates::{ConflictFinder, Conflicts};
use crate::error::{DataError, ProblemList};
use crate::input::{Reader, Source};
use crate::options::{BadRows, PrepareOptions, Validation};
use crate::problem::{ProblemKind, RowProblem};
use crate::record::{Origin, Record};
use crate::report::{FileReport, PrivacyReport, Stage, Stages, shown};
use crate::spill::Scratch;
use crate::watch::{Doing, Watch};

/// Rows that are cleaned at once, on all threads.
const BATCH_ROWS: usize = 1024;

/// Characters of all rows of a batch: rows may be long.
const BATCH_BYTES: usize = 32 << 20;

/// Keeps the draw of a weighted source apart from every other use of the content.
const WEIGHT_CONTEXT: &str = "rtune source weight, format 1";

/// What the first pass found out.
pub(super) struct Taken {
    /// Every file, in the order of reading.
    pub(super) names: Vec<Arc<Path>>,
    pub(super) files: Vec<FileReport>,
    pub(super) stages: Stages,
    pub(super) privacy: PrivacyReport,
    /// How many rows each filter would drop alone.
    pub(super) filters: BTreeMap<String, usize>,
    /// Weight and share of each training source.
    weights: Vec<[f64; 2]>,
}

/// Golden rows, cleaned as training rows are, for comparison only.
pub(super) struct Golden {
    pub(super) spool: Spool,
    /// The files they stand in.
    pub(super) names: Vec<Arc<Path>>,
}

fn place(names: &[Arc<Path>], entry: &Entry) -> String {
    format!("{}:{}", names[entry.file].display(), entry.line)
}

impl Taken {
    /// The row of an entry, taken out of it; none for one that was dropped.
    pub(super) fn take_record(&self, entry: &mut Entry) -> Option<Record> {
        let origin = Origin { file: self.names[entry.file].clone(), line: entry.line };
        entry.body.take().map(|body| body.record(entry.id.clone(), origin))
    }

    /// `file:line` of an entry.
    pub(super) fn place(&self, entry: &Entry) -> String {
        place(&self.names, entry)
    }

    /// How often a row of this source counts: by the weight within the share, each decided by the row's own content.
    pub(super) fn copies(&self, source: usize, record: &Record) -> usize {
        let [weight, share] = self.weights[source];
        let mut hasher = blake3::Hasher::new_derive_key(WEIGHT_CONTEXT);
        hasher.update(&record.content_hash());
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        // The upper 53 bits are a number in [0, 1) that f64 holds exactly.
        let place = (u64::from_le_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64;
        // The place among the rows of the share.
        let place = place / share;
        if place < 1.0 { weight as usize + usize::from(place < weight.fract()) } else { 0 }
    }
}

/// Reads and cleans everything.
pub(super) fn take_in(
    options: &PrepareOptions,
    tools: &Tools<'_>,
    folder: &Path,
) -> Result<(Spool, Golden, Taken), DataError> {
    let validation: &[Source] = match &options.validation {
        Validation::Files(sources) => sources,
        _ => &[],
    };
    let wash = Wash::new(options, tools, &[&options.train, validation])?;
    let taken = Taken {
        names: Vec::new(),
        files: Vec::new(),
        stages: Stages::default(),
        privacy: PrivacyReport {
            mode: options.privacy.mode.name().to_owned(),
            names: options.privacy.names.name().to_owned(),
            ..PrivacyReport::default()
        },
        filters: options.rules().map(|rule| (rule.name().to_owned(), 0)).collect(),
        weights: options.train.iter().map(|source| [source.weight, source.share]).collect(),
    };
    let watch = tools.watch;
    let mut intake = Intake { options, wash, taken, problems: ProblemList::default(), watch };
    let mut spool = Spool::new(folder)?;
    spool.watch(Doing::Comparing, watch);
    let scratch = Scratch::new(folder);
    intake.set("train", &options.train, &scratch, &mut spool)?;
    intake.set("validation", validation, &scratch, &mut spool)?;
    let mut held = Spool::new(folder)?;
    let names = intake.golden(&options.golden, &scratch, &mut held)?;
    intake.problems.into_result(())?;
    Ok((spool, Golden { spool: held, names }, intake.taken))
}

struct Intake<'a> {
    options: &'a PrepareOptions,
    wash: Wash,
    taken: Taken,
    problems: ProblemList,
    watch: Option<&'a Watch>,
}

/// Rows that wait to be cleaned together.
#[derive(Default)]
struct Batch {
    rows: Vec<Result<Record, RowProblem>>,
    sources: Vec<usize>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, source: usize, row: Result<Record, RowProblem>) {
        if let Ok(record) = &row {
            self.bytes += record.messages.iter().map(|message| message.content.len()).sum::<usize>();
        }
        self.rows.push(row);
        self.sources.push(source);
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }
}

/// The names of files, each once, in the order of reading.
fn number(names: &mut Vec<Arc<Path>>, first: usize, file: &Arc<Path>) -> usize {
    // Rows come file by file: it is nearly always the last.
    match names[first..].iter().rposition(|name| name == file) {
        Some(index) => first + index,
        None => {
            names.push(file.clone());
            names.len() - 1
        }
    }
}

impl Intake<'_> {
    /// One set of training or validation files.
    fn set(
        &mut self,
        role: &str,
        sources: &[Source],
        scratch: &Scratch,
        spool: &mut Spool,
    ) -> Result<(), DataError> {
        let held_out = role == "validation";
        let (first, first_row) = (self.taken.names.len(), spool.len());
        let (reader, ids) = self.read(sources, scratch, &mut |intake, batch| {
            let mut entries = Vec::with_capacity(batch.rows.len());
            for (row, source) in batch.rows.iter().zip(&batch.sources) {
                let origin = match row {
                    Ok(record) => &record.origin,
                    Err(problem) => &problem.origin,
                };
                let file = number(&mut intake.taken.names, first, &origin.file);
                entries.push(Entry { source: *source, held_out, ..Entry::new(file, origin.line) });
            }
            intake.clean(batch, entries, spool)
        })?;
        self.refuse_twice(&ids, first_row, spool)?;
        self.list(role, sources, &reader);
        Ok(())
    }

    /// Golden rows: read, cleaned in the same way, but neither dropped nor counted.
    fn golden(
        &mut self,
        sources: &[Source],
        scratch: &Scratch,
        spool: &mut Spool,
    ) -> Result<Vec<Arc<Path>>, DataError> {
        let mut names = Vec::new();
        let (reader, _) = self.read(sources, scratch, &mut |intake, batch| {
            let mut records = Vec::new();
            for row in batch.rows {
                match row {
                    Ok(record) => records.push(record),
                    Err(problem) => intake.problems.push(problem),
                }
            }
            for washed in intake.wash.batch(records, &|_, _| false)? {
                let origin = &washed.record.origin;
                let file = number(&mut names, 0, &origin.file);
                let mut entry = Entry::new(file, origin.line);
                entry.id.clone_from(&washed.record.id);
                entry.body = Some(Body::of(washed.record));
                entry.tagged = washed.tagged.map(Body::of);
                spool.push(&entry)?;
            }
            Ok(())
        })?;
        self.list("golden", sources, &reader);
        Ok(names)
    }

    /// Reads all rows of `sources` and hands them on in batches.
    fn read(
        &mut self,
        sources: &[Source],
        scratch: &Scratch,
        each: &mut dyn FnMut(&mut Self, Batch) -> Result<(), DataError>,
    ) -> Result<(Reader, Conflicts), DataError> {
        let mut ids = ConflictFinder::new(scratch);
        let mut reader = Reader::open(sources)?;
        let mut batch = Batch::default();
        let mut number = 0;
        while let Some(row) = reader.next()? {
            let read = row.record.map(|(record, _)| record);
            if let (Ok(record), true) = (&read, row.own_id) {
                ids.push(number, hash(record.id.as_bytes()), record.content_hash())?;
            }
            number += 1;
            batch.push(row.source, read);
            if batch.is_full() {
                each(self, std::mem::take(&mut batch))?;
                self.tell(&reader);
            }
        }
        each(self, batch)?;
        self.tell(&reader);
        Ok((reader, ids.finish()?))
    }

    /// Says how much of the files is read.
    fn tell(&self, reader: &Reader) {
        if let Some(watch) = self.watch {
            let (done, total) = reader.progress_bytes();
            watch(Doing::Reading, done, total);
        }
    }

    /// The rows of a batch on their way: cleaned, judged, and put on disk.
    fn clean(&mut self, batch: Batch, entries: Vec<Entry>, spool: &mut Spool) -> Result<(), DataError> {
        let (mut records, mut bad) = (Vec::new(), Vec::new());
        for row in batch.rows {
            bad.push(row.as_ref().err().cloned());
            records.extend(row);
        }
        let stages = &self.taken.stages;
        let mut washed = self.wash.batch(records, &|stage, what| stages.wants(stage, what))?.into_iter();
        for (mut entry, problem) in entries.into_iter().zip(bad) {
            self.taken.stages.enter();
            match problem {
                Some(problem) => self.unreadable(&mut entry, problem),
                None => {
                    if let Some(row) = washed.next() {
                        self.account(&mut entry, row);
                    }
                }
            }
            spool.push(&entry)?;
        }
        Ok(())
    }

    fn unreadable(&mut self, entry: &mut Entry, problem: RowProblem) {
        let reason = problem.kind.name();
        entry.dropped = Some(Dropped {
            stage: Stage::Read.name().to_owned(),
            reason: reason.clone(),
            detail: String::new(),
        });
        self.taken.stages.drop_row(Stage::Read, &reason);
        if self.options.bad_rows == BadRows::Error {
            self.problems.push(problem);
        }
    }

    /// Enters what cleaning did to a row into the account, and the row into its entry.
    fn account(&mut self, entry: &mut Entry, washed: Washed) {
        let taken = &mut self.taken;
        entry.id.clone_from(&washed.record.id);
        for (stage, step) in &washed.changed {
            taken.stages.change(*stage, step);
            entry.changed.push((*step).to_owned());
        }
        for (stage, mut shown) in washed.shown {
            shown.place = taken.place(entry);
            taken.stages.show(stage, shown);
        }
        for (entity, count) in &washed.findings {
            *taken.privacy.entities.entry(entity.name().to_owned()).or_default() += count;
        }
        taken.privacy.rows += usize::from(!washed.findings.is_empty());
        for rule in &washed.rules {
            *taken.filters.entry((*rule).to_owned()).or_default() += 1;
        }
        match washed.dropped {
            Some((stage, reason, detail)) => {
                taken.stages.drop_row(stage, &reason);
                entry.dropped = Some(Dropped { stage: stage.name().to_owned(), reason, detail });
            }
            None => {
                entry.body = Some(Body::of(washed.record));
                entry.tagged = washed.tagged.map(Body::of);
            }
        }
    }

    /// An id that names two different rows of a set is a problem of the later row.
    fn refuse_twice(
        &mut self,
        ids: &Conflicts,
        first_row: usize,
        spool: &mut Spool,
    ) -> Result<(), DataError> {
        if ids.keys == 0 {
            return Ok(());
        }
        let wanted: BTreeMap<usize, usize> =
            ids.examples.iter().map(|(first, row)| (first_row + row, first_row + first)).collect();
        let mut places: BTreeMap<usize, (Origin, String)> = BTreeMap::new();
        let names = &self.taken.names;
        let rows: BTreeSet<usize> = wanted.iter().flat_map(|(row, first)| [*row, *first]).collect();
        spool.each_of(
            |row| rows.contains(&row),
            |_, entry| entry,
            |row, entry| {
                let origin = Origin { file: names[entry.file].clone(), line: entry.line };
                places.insert(row, (origin, entry.id));
                Ok(())
            },
        )?;
        for (row, first) in wanted {
            if let (Some((origin, id)), Some((first, _))) = (places.get(&row), places.get(&first)) {
                let kind = ProblemKind::DuplicateId { id: id.clone(), first: first.clone() };
                self.problems.push(RowProblem { origin: origin.clone(), kind });
            }
        }
        Ok(())
    }

    fn list(&mut self, role: &str, sources: &[Source], reader: &Reader) {
        for file in reader.files() {
            let source = &sources[file.source];
            self.taken.files.push(FileReport {
                path: shown(&file.path),
                role: role.to_owned(),
                blake3: file.hash.clone(),
                rows: file.rows + file.problems,
                weight: source.weight,
                licence: source.licence.clone(),
                unread_fields: file.unread_fields.clone(),
            });
        }
    }
}

/// BLAKE3, cut to 128 bits.
pub(super) fn hash(bytes: &[u8]) -> [u8; 16] {
    let mut hash = [0; 16];
    blake3::Hasher::new().update(bytes).finalize_xof().fill(&mut hash);
    hash
}
