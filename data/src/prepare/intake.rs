//! The first pass: rows are read, cleaned each on its own, and put on disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::Tools;
use super::spool::{Dropped, Entry, Spool};
use super::wash::{Wash, Washed};
use crate::clean::duplicates::{IdFinder, Ids};
use crate::error::{DataError, ProblemList};
use crate::input::{Reader, Row, Source};
use crate::options::{BadRows, PrepareOptions, Validation};
use crate::problem::{ProblemKind, RowProblem};
use crate::record::{Origin, Record};
use crate::report::{FileReport, PrivacyReport, Shown, Stage, Stages, shown};
use crate::spill::Scratch;

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
    /// How often rows of each training source count.
    weights: Vec<f64>,
}

/// Golden rows, cleaned as training rows are, for comparison only.
pub(super) struct Golden {
    pub(super) spool: Spool,
    /// The files they stand in.
    pub(super) names: Vec<Arc<Path>>,
}

impl Taken {
    /// The row of an entry; none for one that was dropped.
    pub(super) fn record(&self, entry: &Entry) -> Option<Record> {
        let origin = Origin { file: self.names[entry.file].clone(), line: entry.line };
        entry.body.clone().map(|body| body.record(entry.id.clone(), origin))
    }

    /// How often a row of this source counts: the weight, its fraction decided by the row's own content.
    pub(super) fn copies(&self, source: usize, record: &Record) -> usize {
        let weight = self.weights[source];
        let fraction = weight.fract();
        let mut hasher = blake3::Hasher::new_derive_key(WEIGHT_CONTEXT);
        hasher.update(&record.content_hash());
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        // The upper 53 bits are a number in [0, 1) that f64 holds exactly.
        let place = (u64::from_le_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64;
        weight as usize + usize::from(place < fraction)
    }
}

/// Reads and cleans everything.
pub(super) fn take_in(
    options: &PrepareOptions,
    tools: &Tools<'_>,
    folder: &Path,
) -> Result<(Spool, Golden, Taken), DataError> {
    let wash = Wash::new(options, tools)?;
    let validation: &[Source] = match &options.validation {
        Validation::Files(sources) => sources,
        _ => &[],
    };
    let taken = Taken {
        names: Vec::new(),
        files: Vec::new(),
        stages: Stages::default(),
        privacy: PrivacyReport {
            mode: options.privacy.mode.name().to_owned(),
            names: options.privacy.names.name().to_owned(),
            ..PrivacyReport::default()
        },
        filters: wash.rules().map(|rule| (rule.to_owned(), 0)).collect(),
        weights: options.train.iter().map(|source| source.weight).collect(),
    };
    let mut intake = Intake { options, wash, taken, problems: ProblemList::default() };
    let mut spool = Spool::new(folder)?;
    let scratch = Scratch::new(folder);
    for (role, sources) in [("train", options.train.as_slice()), ("validation", validation)] {
        intake.set(role, sources, &scratch, &mut spool)?;
    }
    let golden = intake.golden(folder)?;
    intake.problems.into_result(())?;
    Ok((spool, golden, intake.taken))
}

struct Intake<'a> {
    options: &'a PrepareOptions,
    wash: Wash<'a>,
    taken: Taken,
    problems: ProblemList,
}

/// A row that waits to be cleaned, or what is wrong with it.
struct Waiting {
    file: usize,
    source: usize,
    origin: Origin,
    read: Result<Record, ProblemKind>,
}

impl Intake<'_> {
    /// One set of files.
    fn set(
        &mut self,
        role: &str,
        sources: &[Source],
        scratch: &Scratch,
        spool: &mut Spool,
    ) -> Result<(), DataError> {
        if sources.is_empty() {
            return Ok(());
        }
        let first_file = self.taken.names.len();
        let mut ids = IdFinder::new(scratch);
        self.wash.learn(sources)?;
        let mut rows = 0u64;
        let mut each = |intake: &mut Self, batch: Vec<Waiting>| {
            for waiting in &batch {
                if let Ok(record) = &waiting.read {
                    ids.push(&record.id, &record.content_hash(), rows)?;
                }
                rows += 1;
            }
            intake.clean(role == "validation", batch, spool)
        };
        let reader = self.read(sources, &mut each)?;
        for file in reader.files() {
            let source = &sources[file.source];
            self.taken.files.push(FileReport {
                path: shown(&file.path),
                role: role.to_owned(),
                blake3: file.hash.clone(),
                rows: file.rows,
                weight: source.weight,
                licence: source.licence.clone(),
                unread_fields: file.unread_fields.clone(),
            });
        }
        let _ = first_file;
        Ok(())
    }
}
