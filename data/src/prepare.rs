//! The whole way from files to examples.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tokenizers::Tokenizer;

use crate::clean::duplicates;
use crate::error::{DataError, ProblemList};
use crate::input::read_files;
use crate::leak::{conflicts, leaks};
use crate::options::{Duplicates, OverLong, PrepareOptions, Validation};
use crate::problem::{ProblemKind, RowProblem};
use crate::record::{Form, Record};
use crate::report::{DataReport, FORMAT, FileReport, OverLongReport, OverLongRow, SetReport};
use crate::split::held_out;
use crate::template::ChatTemplate;
use crate::tokenize::{Encoded, Encoder, Example};

/// Examples, and the account of how they came about.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What is trained on, in the order of the files.
    pub train: Vec<Example>,
    /// What the run is measured on.
    pub validation: Vec<Example>,
    /// The account.
    pub report: DataReport,
    /// Every file read, golden ones too, with BLAKE3 of its bytes in hex.
    pub files: Vec<(PathBuf, String)>,
}

/// Reads, removes exact duplicates, splits, looks for leaks, renders and tokenizes.
///
/// Equal files and options give equal examples, whatever the number of threads.
///
/// # Errors
/// Problems of rows are collected: those of reading over the files of a set, then leaks, then those of rendering,
/// tokenizing and length over all rows. Everything else stops at once.
pub fn prepare(
    options: &PrepareOptions,
    template: &ChatTemplate,
    tokenizer: &Tokenizer,
) -> Result<Prepared, DataError> {
    if options.train.is_empty() {
        return Err(DataError::NoFiles);
    }
    if let Validation::Fraction(fraction) = options.validation
        && !(fraction > 0.0 && fraction < 1.0)
    {
        return Err(DataError::Fraction { fraction });
    }
    let encoder = Encoder::new(template, tokenizer)?;
    let mut files = Vec::new();
    let mut read = |paths: &[PathBuf], role, policy| read_set(paths, role, policy, &mut files);
    let all = read(&options.train, "train", options.duplicates)?;
    let from_files = match &options.validation {
        Validation::Files(paths) => read(paths, "validation", options.duplicates)?,
        _ => Vec::new(),
    };
    // Golden rows are looked at, not used: none of them is removed.
    let golden = read(&options.golden, "golden", Duplicates::Keep)?;
    let conflicting_prompts = conflicts(&all);
    let held_out_prompts_trained = refuse_leaks(&all, [&from_files, &golden])?;
    let (train, validation) = split(all, from_files, &options.validation)?;

    let mut problems = ProblemList::default();
    let mut over_long = Vec::new();
    let train = encode_set(&encoder, &train, options, &mut over_long, &mut problems);
    let validation = encode_set(&encoder, &validation, options, &mut over_long, &mut problems);
    problems.into_result(())?;
    refuse_empty(&train, &validation, options.max_tokens)?;
    let report = DataReport {
        format: FORMAT,
        duplicates: files.iter().filter(|file| file.role != "golden").map(|file| file.duplicates).sum(),
        files,
        duplicate_policy: options.duplicates,
        conflicting_prompts,
        held_out_prompts_trained,
        train: train.report,
        validation: validation.report,
        over_long: OverLongReport {
            policy: options.over_long,
            max_tokens: options.max_tokens,
            rows: over_long,
        },
    };
    let files = report.files.iter().map(|file| (PathBuf::from(&file.path), file.blake3.clone())).collect();
    Ok(Prepared { train: train.examples, validation: validation.examples, report, files })
}

fn read_set(
    paths: &[PathBuf],
    role: &str,
    policy: Duplicates,
    reports: &mut Vec<FileReport>,
) -> Result<Vec<Record>, DataError> {
    let mut seen = HashSet::new();
    let mut rows = Vec::new();
    for mut file in read_files(paths)? {
        let read = file.rows.len();
        let duplicates = duplicates::exact(&mut file.rows, &mut seen, policy);
        reports.push(FileReport {
            path: shown(&file.path),
            role: role.to_owned(),
            blake3: file.hash,
            rows: read,
            duplicates,
            unread_fields: file.unread_fields,
        });
        rows.append(&mut file.rows);
    }
    Ok(rows)
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// An error if a held-out row is trained on; else how many held-out prompts are, with another answer.
fn refuse_leaks<const SETS: usize>(
    train: &[Record],
    held_out: [&Vec<Record>; SETS],
) -> Result<usize, DataError> {
    let mut problems = ProblemList::default();
    let mut prompts = 0;
    for leak in held_out.into_iter().flat_map(|rows| leaks(train, rows)) {
        match leak.same_answer {
            true => problems
                .push(RowProblem { origin: leak.held_out, kind: ProblemKind::Leak { train: leak.train } }),
            false => prompts += 1,
        }
    }
    problems.into_result(prompts)
}

fn split(
    all: Vec<Record>,
    from_files: Vec<Record>,
    validation: &Validation,
) -> Result<(Vec<Record>, Vec<Record>), DataError> {
    let Validation::Fraction(fraction) = *validation else { return Ok((all, from_files)) };
    let rows = all.len();
    let (validation, train): (Vec<_>, Vec<_>) = all.into_iter().partition(|row| held_out(row, fraction));
    for (set, side) in [(&train, "training"), (&validation, "validation")] {
        if set.is_empty() {
            return Err(DataError::EmptySplit { rows, fraction, side });
        }
    }
    Ok((train, validation))
}

/// The examples of one set.
struct Set {
    examples: Vec<Example>,
    report: SetReport,
    shortest_dropped_tokens: Option<usize>,
}

fn encode_set(
    encoder: &Encoder<'_>,
    records: &[Record],
    options: &PrepareOptions,
    over_long: &mut Vec<OverLongRow>,
    problems: &mut ProblemList,
) -> Set {
    let encoded: Vec<_> = records
        .par_iter()
        .map(|record| encoder.encode_record(record, options.train_on, options.max_tokens))
        .collect();
    let mut report = SetReport { rows: records.len(), ..SetReport::default() };
    let mut examples = Vec::new();
    let mut shortest_dropped_tokens: Option<usize> = None;
    for (record, rows) in records.iter().zip(encoded) {
        let rows = match rows {
            Ok(rows) => rows,
            Err(kind) => {
                problems.push(RowProblem { origin: record.origin.clone(), kind });
                continue;
            }
        };
        let several = rows.len() > 1;
        report.rows_split_by_answer += usize::from(several && record.form() == Form::Conversation);
        for (index, row) in rows.into_iter().enumerate() {
            let id = if several { format!("{}#{}", record.id, index + 1) } else { record.id.clone() };
            let tokens = row.tokens.len();
            let fitted = fit(encoder, row, options);
            if tokens > options.max_tokens && fitted.is_ok() {
                let kept_tokens = fitted.as_ref().ok().and_then(|row| Some(row.as_ref()?.tokens.len()));
                let (file, line) = (shown(&record.origin.file), record.origin.line);
                over_long.push(OverLongRow { id: id.clone(), file, line, tokens, kept_tokens });
            }
            match fitted {
                Err(kind) => problems.push(RowProblem { origin: record.origin.clone(), kind }),
                Ok(None) => {
                    shortest_dropped_tokens =
                        Some(shortest_dropped_tokens.map_or(tokens, |least| least.min(tokens)));
                }
                Ok(Some(row)) => {
                    report.without_end_of_turn += usize::from(!row.ended);
                    report.special_token_in_text += usize::from(row.special_in_text);
                    let origin = record.origin.clone();
                    examples.push(Example { id, origin, tokens: row.tokens, supervised: row.supervised });
                }
            }
        }
    }
    report.measure(&examples);
    Set { examples, report, shortest_dropped_tokens }
}

fn refuse_empty(train: &Set, validation: &Set, max_tokens: usize) -> Result<(), DataError> {
    if let ([], Some(shortest_tokens)) = (train.examples.as_slice(), train.shortest_dropped_tokens) {
        return Err(DataError::AllTooLong { rows: train.report.rows, max_tokens, shortest_tokens });
    }
    if let ([], Some(shortest_tokens)) = (validation.examples.as_slice(), validation.shortest_dropped_tokens)
    {
        return Err(DataError::AllValidationTooLong {
            rows: validation.report.rows,
            max_tokens,
            shortest_tokens,
        });
    }
    Ok(())
}

/// The row within the limit, or nothing if it is dropped.
fn fit(
    encoder: &Encoder<'_>,
    row: Encoded,
    options: &PrepareOptions,
) -> Result<Option<Encoded>, ProblemKind> {
    let (tokens, max_tokens) = (row.tokens.len(), options.max_tokens);
    if tokens <= max_tokens {
        return Ok(Some(row));
    }
    match options.over_long {
        OverLong::Error => Err(ProblemKind::TooLong { tokens, max_tokens }),
        OverLong::Drop => Ok(None),
        OverLong::TruncatePrompt => encoder.shorten(row, max_tokens).map(Some),
    }
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
