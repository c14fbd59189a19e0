//! A golden case as a choice between two answers: the one that is expected, and the one that was given in its place.

use rtune_data::{Example, Half, Source, read_golden};
use rtune_metrics::classify::LabelSet;

use super::asked::{ask, scored_as};
use super::figures::{Case, GoldenReport, Side};
use crate::error::TrainerError;
use crate::talk::Speaker;

/// The two answers to a case, as rows whose last answer is supervised.
#[derive(Clone, Debug, PartialEq)]
pub struct Contrast {
    /// The case's id.
    pub case: String,
    /// With the expected answer.
    pub expected: Example,
    /// With the answer that one of the models gave in its place: the tuned model where it is wrong, else the base; `None` where
    /// neither says anything else.
    pub other: Option<Example>,
    /// Whether the base is right.
    pub base_is_right: bool,
    /// Whether the tuned model is.
    pub tuned_is_right: bool,
}

/// The cases of a report on a tuned model, of open rows of `sources` that ask something; `sealed` as `gate.sealed` says.
///
/// # Errors
/// Those of the files and the template; [`TrainerError::Labels`] for labels that are none.
pub fn contrasts(
    speaker: &Speaker<'_>,
    sources: &[Source],
    sealed: bool,
    report: &GoldenReport,
) -> Result<Vec<Contrast>, TrainerError> {
    let mut contrasts = Vec::new();
    for file in read_golden(sources, sealed)? {
        for row in file.rows.into_iter().filter(|row| Half::Open.has(row)) {
            let Some(case) = report.cases.iter().find(|case| case.id == row.record.id) else { continue };
            let Some(tuned) = &case.tuned else { continue };
            let asked = ask(speaker, row.record.clone(), &row.extra)?;
            let (base_is_right, tuned_is_right) =
                (is_right(report, case, &case.base), is_right(report, case, tuned));
            let given = if tuned_is_right { &case.base.answer } else { &tuned.answer };
            let says_else = given.trim() != asked.answer().trim();
            let other = says_else.then(|| scored_as(speaker, &row.record, given)).transpose()?;
            contrasts.push(Contrast {
                case: case.id.clone(),
                expected: asked.scored,
                other: other.map(|(example, _)| example),
                base_is_right,
                tuned_is_right,
            });
        }
    }
    Ok(contrasts)
}

/// Whether an answer passes the checks or, without checks, calls what is to be called, is the expected label or, without labels, an
/// expected text.
fn is_right(report: &GoldenReport, case: &Case, side: &Side) -> bool {
    if case.checks > 0 {
        return side.failed_checks.is_empty();
    }
    if let Some(called) = &side.called {
        return called.right;
    }
    let labels = report.labels.as_ref().and_then(|labels| LabelSet::new(labels.clone()).ok());
    match (labels, case.expected.first()) {
        (Some(labels), Some(expected)) => {
            let read = labels.parse(&side.answer);
            read.is_some() && read == labels.parse(expected)
        }
        _ => side.normalised_match,
    }
}
