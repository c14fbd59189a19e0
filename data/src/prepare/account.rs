//! The last pass: every row is accounted for, and those that are kept become examples.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use serde_json::{Value, json};

use super::Side;
use super::encode::{Encoding, Outcome, Task};
use super::fates::{Fate, Fates};
use super::intake::Taken;
use super::spool::{Dropped, Entry, Spool};
use crate::clean::quality::{Labels, Rule};
use crate::error::DataError;
use crate::options::PrepareOptions;
use crate::record::Record;
use crate::report::{DataReport, FORMAT, Stage, shown};
use crate::tokenize::Example;

/// Rows that are encoded at once, on all threads, and bytes of their texts: rows may be long.
const BATCH_ROWS: usize = 1024;
const BATCH_BYTES: usize = 8 << 20;

/// What became of one row. As JSON it holds no text.
#[derive(Clone, Debug, Serialize)]
pub struct Account<'a> {
    /// The file, as the configuration names it.
    pub file: String,
    /// The line, counted from 1.
    pub line: u64,
    /// The id; empty for a row that could not be read.
    pub id: &'a str,
    /// `kept`, `changed` or `dropped`.
    pub fate: &'static str,
    /// `train` or `validation`; none for a dropped row.
    pub set: Option<&'static str>,
    /// The steps that changed it.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub changed: &'a [String],
    /// The stage that dropped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<&'a str>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// Figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'a str>,
    /// The set of a row that is kept.
    #[serde(skip)]
    pub side: Option<Side>,
    #[serde(skip)]
    record: Option<&'a Record>,
}

impl Account<'_> {
    /// The row as it goes into training, as a line of JSONL: `messages` (or `text`) and its id.
    pub fn row(&self) -> Option<Value> {
        self.record.filter(|_| self.side.is_some()).map(Record::to_json)
    }
}

/// Who wants to know of every row.
pub trait Accounts {
    /// A row, in the order of reading.
    ///
    /// # Errors
    /// What keeps it from being written down.
    fn row(&mut self, account: &Account<'_>) -> io::Result<()>;
}

/// The last pass.
pub(super) struct Last<'a, 'b> {
    options: &'a PrepareOptions,
    encoding: Encoding<'a>,
    accounts: Option<&'b mut dyn Accounts>,
    /// What the answers of the training rows are as labels.
    labels: Labels,
    /// Rows that wait to be encoded together: the entry, and the task where it is kept so far.
    waiting: Vec<(Entry, Option<Side>)>,
    waiting_bytes: usize,
}

impl<'a, 'b> Last<'a, 'b> {
    pub(super) fn new(
        options: &'a PrepareOptions,
        encoding: Encoding<'a>,
        accounts: Option<&'b mut dyn Accounts>,
    ) -> Self {
        Self { options, encoding, accounts, labels: Labels::new(), waiting: Vec::new(), waiting_bytes: 0 }
    }

    /// Goes through all rows; `keep` gets the examples, in order.
    pub(super) fn rows(
        &mut self,
        spool: &mut Spool,
        taken: &mut Taken,
        fates: &Fates,
        keep: &mut dyn FnMut(Side, &Example) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        spool.for_each(|row, mut entry| {
            let side = match fates.of(row) {
                Fate::Train => Some(Side::Train),
                Fate::Validation => Some(Side::Validation),
                Fate::Gone => None,
                Fate::Dropped(stage) => {
                    let detail = fates.detail(row);
                    let reason = stage.name().to_owned();
                    entry.dropped = Some(Dropped { stage: stage.name().to_owned(), reason, detail });
                    taken.stages.drop_row(stage, stage.name());
                    None
                }
            };
            self.waiting_bytes += entry.text_bytes();
            self.waiting.push((entry, side));
            match self.waiting.len() >= BATCH_ROWS || self.waiting_bytes >= BATCH_BYTES {
                true => self.flush(taken, keep),
                false => Ok(()),
            }
        })?;
        self.flush(taken, keep)
    }

    fn flush(
        &mut self,
        taken: &mut Taken,
        keep: &mut dyn FnMut(Side, &Example) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let mut waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let task = |(entry, side): &mut (Entry, Option<Side>)| {
            let (side, record) = ((*side)?, taken.take_record(entry)?);
            let copies = match side {
                Side::Train => taken.copies(entry.source, &record),
                Side::Validation => 1,
            };
            Some(Task { side, record, copies })
        };
        let tasks: Vec<Task> = waiting.iter_mut().filter_map(task).collect();
        let trained = tasks.iter().filter(|task| task.side == Side::Train);
        trained.for_each(|task| self.labels.push(&task.record));
        let mut outcomes = tasks.iter().zip(self.encoding.batch(&tasks, keep)?);
        for (mut entry, side) in waiting {
            let mut side = side;
            let encoded = side.and_then(|_| outcomes.next());
            match encoded.as_ref().map(|(_, outcome)| outcome) {
                Some(Outcome::TooLong { tokens }) => {
                    let (stage, reason) = (Stage::Length, "too-long");
                    let detail = format!("{tokens} tokens, more than {}", self.options.max_tokens);
                    taken.stages.drop_row(stage, reason);
                    entry.dropped =
                        Some(Dropped { stage: stage.name().to_owned(), reason: reason.to_owned(), detail });
                    side = None;
                }
                Some(Outcome::Shortened) => {
                    taken.stages.change(Stage::Length, "truncated-prompt");
                    entry.changed.push("truncated-prompt".to_owned());
                }
                Some(Outcome::Unweighted) => {
                    taken.stages.drop_row(Stage::Weight, "weight");
                    let (stage, reason) = (Stage::Weight.name().to_owned(), "weight".to_owned());
                    entry.dropped = Some(Dropped { stage, reason, detail: String::new() });
                    side = None;
                }
                Some(Outcome::Kept | Outcome::Refused) | None => {}
            }
            let record = encoded.map(|(task, _)| &task.record);
            self.tell(taken, &entry, side, record)?;
        }
        Ok(())
    }

    fn tell(
        &mut self,
        taken: &Taken,
        entry: &Entry,
        side: Option<Side>,
        record: Option<&Record>,
    ) -> Result<(), DataError> {
        let Some(accounts) = &mut self.accounts else { return Ok(()) };
        let dropped = entry.dropped.as_ref();
        let account = Account {
            file: shown(&taken.names[entry.file]),
            line: entry.line,
            id: &entry.id,
            fate: match (dropped, entry.changed.is_empty()) {
                (Some(_), _) => "dropped",
                (None, true) => "kept",
                (None, false) => "changed",
            },
            set: side.map(|side| if side == Side::Train { "train" } else { "validation" }),
            changed: &entry.changed,
            stage: dropped.map(|dropped| dropped.stage.as_str()),
            reason: dropped.map(|dropped| dropped.reason.as_str()),
            detail: dropped.map(|dropped| dropped.detail.as_str()).filter(|detail| !detail.is_empty()),
            side,
            record,
        };
        accounts.row(&account).map_err(|source| DataError::Account { source })
    }

    /// The report.
    pub(super) fn finish(self, taken: Taken, fates: Fates) -> Result<DataReport, DataError> {
        let (train, validation, over_long) = self.encoding.finish()?;
        let stages = taken.stages.finish();
        if train.examples == 0 {
            let mut reasons = BTreeMap::new();
            for (reason, rows) in stages.iter().flat_map(|stage| &stage.dropped) {
                *reasons.entry(reason.as_str()).or_insert(0) += rows;
            }
            let reasons: Vec<String> =
                reasons.iter().map(|(reason, rows)| format!("{reason} {rows}")).collect();
            return Err(DataError::NothingLeft { reasons: reasons.join(", ") });
        }
        let mut filters = taken.filters;
        if let Some(rows) = filters.get_mut(Rule::MaxPerplexity.name()) {
            *rows = fates.incoherent;
        }
        // Those of a set that frequent labels were dropped from, as it was before.
        let labels = fates.labels.unwrap_or(self.labels).report(None);
        Ok(DataReport {
            format: FORMAT,
            files: taken.files,
            stages,
            duplicates: fates.duplicates,
            privacy: taken.privacy,
            filters,
            labels: labels.classification.then(|| json!(labels)),
            leaks: fates.leaks,
            train,
            validation,
            over_long,
        })
    }
}
