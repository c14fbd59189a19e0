//! The last part of the way: rendered, tokenized, within the limit, and written.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::Side;
use crate::error::{DataError, ProblemList};
use crate::options::{OverLong, PrepareOptions};
use crate::problem::{ProblemKind, RowProblem};
use crate::record::{Form, Record};
use crate::report::{Counts, OverLongReport, OverLongRow, SetReport, shown};
use crate::tokenize::{Encoded, Encoder, Example};

/// Rows over the limit that the report lists; all are counted.
const MOST_LISTED: usize = 1000;
/// Rows on which a template may be stopped, each after some seconds, before all others are spared that: of a million it would be weeks.
const MOST_STOPPED: usize = 16;

/// A row on its last part of the way.
pub(super) struct Task {
    pub(super) side: Side,
    pub(super) record: Record,
    /// How often it stands among the examples; see `Source::weight`.
    pub(super) copies: usize,
}

/// What became of a task.
pub(super) enum Outcome {
    Kept,
    /// It was over the limit and is left out.
    TooLong {
        tokens: usize,
    },
    /// Its prompt was cut.
    Shortened,
    /// It is among the problems.
    Refused,
    /// The weight of its source leaves it out.
    Unweighted,
}

/// Turns records into examples and keeps the account.
pub(super) struct Encoding<'a> {
    encoder: Encoder<'a>,
    options: &'a PrepareOptions,
    train: Set,
    validation: Set,
    over_long: OverLongReport,
    problems: ProblemList,
    /// Rows on which the template was stopped.
    stopped: AtomicUsize,
}

/// The account of one set.
#[derive(Default)]
struct Set {
    report: SetReport,
    tokens: Counts,
    supervised: Counts,
    shortest_dropped_tokens: Option<usize>,
    /// Rows that were to be encoded.
    rows_seen: usize,
}

impl<'a> Encoding<'a> {
    pub(super) fn new(encoder: Encoder<'a>, options: &'a PrepareOptions) -> Self {
        let over_long = OverLongReport {
            policy: options.over_long,
            max_tokens: options.max_tokens,
            total: 0,
            rows: Vec::new(),
        };
        let (train, validation) = (Set::default(), Set::default());
        let (problems, stopped) = (ProblemList::default(), AtomicUsize::new(0));
        Self { encoder, options, train, validation, over_long, problems, stopped }
    }

    /// Encodes `tasks` on all threads and hands the examples to `keep`, in order; says what became of each task.
    pub(super) fn batch(
        &mut self,
        tasks: &[Task],
        keep: &mut dyn FnMut(Side, &Example) -> Result<(), DataError>,
    ) -> Result<Vec<Outcome>, DataError> {
        let (encoder, train_on, max_tokens) = (&self.encoder, self.options.train_on, self.options.max_tokens);
        // What stands nowhere need not be rendered.
        let stopped = &self.stopped;
        let encode = |task: &Task| {
            if task.copies == 0 || stopped.load(Ordering::Relaxed) >= MOST_STOPPED {
                return None;
            }
            let rows = encoder.encode_record(&task.record, train_on, max_tokens);
            let was_stopped = matches!(&rows, Err(ProblemKind::Template(error)) if error.was_stopped());
            stopped.fetch_add(usize::from(was_stopped), Ordering::Relaxed);
            Some(rows)
        };
        let encoded: Vec<_> = tasks.par_iter().map(encode).collect();
        let rows = stopped.load(Ordering::Relaxed);
        let mut said = encoded.iter().filter_map(|rows| match rows {
            Some(Err(ProblemKind::Template(error))) if error.was_stopped() => Some(error),
            _ => None,
        });
        if let (true, Some(source)) = (rows >= MOST_STOPPED, said.next()) {
            return Err(DataError::TemplateStopped { rows, source: source.clone() });
        }
        let one = |(task, rows): (&Task, Option<_>)| match rows {
            Some(rows) => self.one(task, rows, keep),
            None => Ok(Outcome::Unweighted),
        };
        tasks.iter().zip(encoded).map(one).collect()
    }

    fn one(
        &mut self,
        task: &Task,
        rows: Result<Vec<Encoded>, ProblemKind>,
        keep: &mut dyn FnMut(Side, &Example) -> Result<(), DataError>,
    ) -> Result<Outcome, DataError> {
        let record = &task.record;
        let problem = |kind| RowProblem { origin: record.origin.clone(), kind };
        self.set(task.side).rows_seen += 1;
        let rows = match rows {
            Ok(rows) => rows,
            Err(kind) => {
                self.problems.push(problem(kind));
                return Ok(Outcome::Refused);
            }
        };
        let several = rows.len() > 1;
        let split = several && record.form() == Form::Conversation;
        self.set(task.side).report.rows_split_by_answer += usize::from(split);
        let mut outcome = Outcome::Kept;
        let mut kept = 0;
        for (index, row) in rows.into_iter().enumerate() {
            let id = if several { format!("{}#{}", record.id, index + 1) } else { record.id.clone() };
            let tokens = row.tokens.len();
            match self.fit(row) {
                Err(kind) => {
                    self.problems.push(problem(kind));
                    outcome = Outcome::Refused;
                }
                Ok(None) => {
                    self.list(record, &id, tokens, None);
                    let shortest = &mut self.set(task.side).shortest_dropped_tokens;
                    *shortest = Some(shortest.map_or(tokens, |least| least.min(tokens)));
                    if kept == 0 && !matches!(outcome, Outcome::Refused) {
                        outcome = Outcome::TooLong { tokens };
                    }
                }
                Ok(Some(row)) => {
                    if tokens > self.options.max_tokens {
                        self.list(record, &id, tokens, Some(row.tokens.len()));
                        outcome = Outcome::Shortened;
                    } else if !matches!(outcome, Outcome::Refused | Outcome::Shortened) {
                        outcome = Outcome::Kept;
                    }
                    kept += 1;
                    self.keep(task, id, row, keep)?;
                }
            }
        }
        self.set(task.side).report.rows += usize::from(kept > 0);
        Ok(outcome)
    }

    fn keep(
        &mut self,
        task: &Task,
        id: String,
        row: Encoded,
        keep: &mut dyn FnMut(Side, &Example) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let set = self.set(task.side);
        set.report.without_end_of_turn += usize::from(!row.ended);
        set.report.special_token_in_text += usize::from(row.special_in_text);
        let origin = task.record.origin.clone();
        let example = Example { id, origin, tokens: row.tokens, supervised: row.supervised };
        for _ in 0..task.copies {
            set.report.examples += 1;
            set.tokens.add(example.tokens.len());
            set.supervised.add(example.supervised_count());
            keep(task.side, &example)?;
        }
        Ok(())
    }

    /// The row within the limit, or nothing if it is dropped.
    fn fit(&self, row: Encoded) -> Result<Option<Encoded>, ProblemKind> {
        let (tokens, max_tokens) = (row.tokens.len(), self.options.max_tokens);
        if tokens <= max_tokens {
            return Ok(Some(row));
        }
        match self.options.over_long {
            OverLong::Error => Err(ProblemKind::TooLong { tokens, max_tokens }),
            OverLong::Drop => Ok(None),
            OverLong::TruncatePrompt => self.encoder.shorten(row, max_tokens).map(Some),
        }
    }

    fn list(&mut self, record: &Record, id: &str, tokens: usize, kept_tokens: Option<usize>) {
        self.over_long.total += 1;
        if self.over_long.rows.len() < MOST_LISTED {
            let (file, line) = (shown(&record.origin.file), record.origin.line);
            self.over_long.rows.push(OverLongRow { id: id.to_owned(), file, line, tokens, kept_tokens });
        }
    }

    fn set(&mut self, side: Side) -> &mut Set {
        match side {
            Side::Train => &mut self.train,
            Side::Validation => &mut self.validation,
        }
    }

    /// The account: both sets, and the rows over the limit.
    ///
    /// # Errors
    /// The problems of all rows, or a set of which nothing is left.
    pub(super) fn finish(self) -> Result<(SetReport, SetReport, OverLongReport), DataError> {
        self.problems.into_result(())?;
        let max_tokens = self.options.max_tokens;
        let (rows, shortest) = (self.train.rows_seen, self.train.shortest_dropped_tokens);
        if let (0, Some(shortest_tokens)) = (self.train.report.examples, shortest) {
            return Err(DataError::AllTooLong { rows, max_tokens, shortest_tokens });
        }
        let (rows, shortest) = (self.validation.rows_seen, self.validation.shortest_dropped_tokens);
        if let (0, Some(shortest_tokens)) = (self.validation.report.examples, shortest) {
            return Err(DataError::AllValidationTooLong { rows, max_tokens, shortest_tokens });
        }
        Ok((self.train.finish(), self.validation.finish(), self.over_long))
    }
}

impl Set {
    fn finish(mut self) -> SetReport {
        self.report.tokens = self.tokens.statistics();
        self.report.supervised = self.supervised.statistics();
        self.report.supervised_share =
            self.report.supervised.total as f64 / self.report.tokens.total.max(1) as f64;
        self.report.token_histogram = self.tokens.bars();
        self.report.supervised_histogram = self.supervised.bars();
        self.report
    }
}
