//! Answers that should be JSON: whether they are, whether they fit a schema, and how many fields are right.

use std::collections::BTreeMap;

use rtune_metrics::checks::Check;
use rtune_metrics::extract::{Fences, FieldCounts, FieldScores, Schema, compare_fields, parse_json};
use serde::Serialize;
use serde_json::Value;

/// What the answer to a row should be as JSON.
#[derive(Debug)]
pub(super) struct Wanted {
    fences: Fences,
    schema: Option<Schema>,
    expected: Option<Value>,
}

impl Wanted {
    /// Read off the checks of the last answer and the row's own answer; `None` where neither says JSON. A value that is neither
    /// an object nor a list is an answer like any other: `42` is not meant as JSON.
    pub(super) fn new<'c>(checks: impl Iterator<Item = &'c Check>, answer: &str) -> Option<Self> {
        let own =
            parse_json(answer, Fences::Allowed).ok().filter(|value| value.is_object() || value.is_array());
        let mut asked = own.is_some();
        // A row whose own answer is fenced may be answered so.
        let mut fences = match own.is_some() && answer.trim_start().starts_with("```") {
            true => Fences::Allowed,
            false => Fences::Refused,
        };
        let (mut schema, mut expected) = (None, own);
        for check in checks {
            let fenced = match check {
                Check::Json { fenced } => *fenced,
                Check::JsonSchema { schema: text, fenced } => {
                    schema = Schema::new(text).ok();
                    *fenced
                }
                Check::JsonFields { expected: fields, fenced, .. } => {
                    expected = Some(fields.clone());
                    *fenced
                }
                _ => continue,
            };
            asked = true;
            if fenced {
                fences = Fences::Allowed;
            }
        }
        asked.then_some(Self { fences, schema, expected })
    }

    /// Whether it should have certain fields.
    pub(super) fn has_fields(&self) -> bool {
        self.expected.is_some()
    }

    pub(super) fn extract(&self, answer: &str) -> Extracted {
        let parsed = parse_json(answer, self.fences);
        let (value, problem) = match parsed {
            Ok(value) => (Some(value), None),
            Err(problem) => (None, Some(problem.to_string())),
        };
        let fits = |schema: &Schema| value.as_ref().is_some_and(|value| schema.problems(value).is_empty());
        Extracted {
            valid: value.is_some(),
            problem,
            fits_schema: self.schema.as_ref().map(fits),
            fields: self.expected.as_ref().map(|expected| compare_fields(value.as_ref(), expected)),
        }
    }
}

/// One answer as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Extracted {
    /// Whether it is JSON.
    pub valid: bool,
    /// Why not.
    pub problem: Option<String>,
    /// Whether it fits the schema, where there is one.
    pub fits_schema: Option<bool>,
    /// Its fields beside those expected, where any are.
    pub fields: Option<FieldScores>,
}

/// Many.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Extraction {
    /// Answers that should be JSON.
    pub answers: usize,
    /// Part of them that is.
    pub valid: f64,
    /// Of the answers with a schema, the part that fits it; `None` where no answer has one.
    pub fits_schema: Option<f64>,
    /// Of the answers with expected fields, the part with all of them right and no others; `None` as before.
    pub all_right: Option<f64>,
    /// All fields of all answers; `None` as before.
    pub fields: Option<Fields>,
    /// Each field by its path: keys with dots between, `[]` for any place of a list.
    pub by_field: BTreeMap<String, Fields>,
}

/// Fields that were found beside those expected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fields {
    /// What was counted.
    #[serde(flatten)]
    pub counts: FieldCounts,
    /// Of the fields found, the part that is right.
    pub precision: f64,
    /// Of the fields expected, the part that is right.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
}

impl From<FieldCounts> for Fields {
    fn from(counts: FieldCounts) -> Self {
        Self { counts, precision: counts.precision(), recall: counts.recall(), f1: counts.f1() }
    }
}

impl Extraction {
    /// `answers` are those that should be JSON, with the weights of their cases; `None` without any. Shares are by weight, fields are counted.
    pub(super) fn of<'s>(answers: impl Iterator<Item = (&'s Extracted, f64)>) -> Option<Self> {
        let answers: Vec<(&Extracted, f64)> = answers.collect();
        if answers.is_empty() {
            return None;
        }
        let share = |outcome: &dyn Fn(&Extracted) -> Option<bool>| {
            let (mut right, mut all) = (0.0, 0.0);
            for (is_right, weight) in answers.iter().filter_map(|(one, weight)| Some((outcome(one)?, weight)))
            {
                all += weight;
                right += if is_right { *weight } else { 0.0 };
            }
            (all > 0.0).then(|| right / all)
        };
        let mut sum = FieldScores::default();
        answers.iter().filter_map(|(one, _)| one.fields.as_ref()).for_each(|one| sum += one);
        let whole = |one: &FieldScores| one.all.right == one.all.found && one.all.right == one.all.expected;
        Some(Self {
            answers: answers.len(),
            valid: share(&|one| Some(one.valid)).unwrap_or_default(),
            fits_schema: share(&|one| one.fits_schema),
            all_right: share(&|one| one.fields.as_ref().map(whole)),
            fields: answers.iter().any(|(one, _)| one.fields.is_some()).then(|| sum.all.into()),
            by_field: sum.by_field.into_iter().map(|(path, counts)| (path, counts.into())).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_say_by_checks_or_by_their_answer_that_they_mean_json() {
        assert!(Wanted::new([].iter(), "42").is_none());
        assert!(Wanted::new([].iter(), "plain words").is_none());
        assert!(Wanted::new([Check::Json { fenced: false }].iter(), "42").is_some());
        let wanted = Wanted::new([].iter(), "{\"a\": 1, \"b\": \"x\"}").expect("JSON");
        let found = wanted.extract("{\"a\": 1, \"b\": \"y\"}");
        assert_eq!((found.valid, found.fits_schema), (true, None));
        assert_eq!(found.fields.map(|fields| fields.all.right), Some(1));
        assert!(!wanted.extract("```\n{\"a\": 1}\n```").valid, "no fence was asked for");
    }

    #[test]
    fn figures_are_over_those_answers_that_have_them() {
        let schema = json!({"type": "object", "required": ["a"]});
        let with_schema =
            Wanted::new([Check::JsonSchema { schema, fenced: true }].iter(), "{\"a\": 1}").expect("JSON");
        let plain = Wanted::new([Check::Json { fenced: false }].iter(), "ok").expect("JSON");
        let answers = [
            with_schema.extract("```json\n{\"a\": 1}\n```"),
            with_schema.extract("{\"b\": 1}"),
            plain.extract("no"),
        ];
        let all = Extraction::of(answers.iter().map(|one| (one, 1.0))).expect("answers");
        assert_eq!((all.answers, all.fits_schema, all.all_right), (3, Some(0.5), Some(0.5)));
        assert!((all.valid - 2.0 / 3.0).abs() < 1e-12);
        let fields = all.fields.expect("fields");
        assert_eq!(fields.counts, FieldCounts { right: 1, found: 2, expected: 2 });
        assert_eq!(all.by_field["a"].recall, 0.5);
        assert_eq!(Extraction::of(std::iter::empty()), None);
        let weighed = Extraction::of(answers.iter().zip([3.0, 1.0, 4.0])).expect("answers");
        assert_eq!((weighed.valid, weighed.all_right, weighed.fields), (0.5, Some(0.75), all.fields));
    }
}
