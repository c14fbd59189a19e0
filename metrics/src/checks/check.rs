//! Checks as a golden row has them.

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::language::{language, language_code};
use super::refusal::refusal;
use crate::extract::{Fences, Schema, compare_fields, parse_json};
use crate::text::{Normaliser, normalise};

/// A larger automaton is a mistake, or an attack.
const MOST_REGEX_BYTES: usize = 1 << 22;
/// Longer pieces of an answer are cut where they are shown.
const MOST_SHOWN_CHARACTERS: usize = 80;

/// What an answer must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Check {
    /// The same as a text, after normalisers; without them, spaces around it aside.
    Equals {
        /// The text.
        text: String,
        /// What does not count.
        #[serde(default)]
        normalise: Vec<Normaliser>,
    },
    /// With a text somewhere.
    Contains {
        /// The text.
        text: String,
        /// Whether case does not count.
        #[serde(default)]
        any_case: bool,
    },
    /// Without a text.
    NotContains {
        /// The text.
        text: String,
        /// Whether case does not count.
        #[serde(default)]
        any_case: bool,
    },
    /// With a match of a regular expression somewhere.
    Regex {
        /// In the syntax of the `regex` crate, which has no look-around and no back-references.
        pattern: String,
    },
    /// Without such a match.
    NotRegex {
        /// As before.
        pattern: String,
    },
    /// Of a length.
    Length {
        /// What is counted.
        unit: Unit,
        /// No fewer.
        #[serde(default)]
        least: Option<usize>,
        /// No more.
        #[serde(default)]
        most: Option<usize>,
    },
    /// In a language; an answer whose language is in doubt passes.
    Language {
        /// Its code of two or three letters.
        code: String,
    },
    /// A refusal.
    Refusal {},
    /// No refusal.
    NotRefusal {},
    /// JSON.
    Json {
        /// Whether it may stand in a fence of Markdown.
        #[serde(default)]
        fenced: bool,
    },
    /// JSON that fits a schema.
    JsonSchema {
        /// The schema.
        schema: Value,
        /// Whether it may stand in a fence of Markdown.
        #[serde(default)]
        fenced: bool,
    },
    /// A program of Python, in a fence of Markdown or without one, that a test does not fault. It is not run here.
    Python {
        /// What is run behind it, such as `assert add(1, 2) == 3`.
        test: String,
    },
    /// JSON with the fields of another.
    JsonFields {
        /// The other.
        expected: Value,
        /// The least F1 over fields that passes; 1 if not said.
        #[serde(default)]
        least_f1: Option<f64>,
        /// Whether it may stand in a fence of Markdown.
        #[serde(default)]
        fenced: bool,
    },
}

/// What a length is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Characters of Unicode.
    Characters,
    /// Runs of characters between spaces.
    Words,
    /// Sentences that end in `.`, `!`, `?` or their like, or with a line.
    Sentences,
    /// Lines that are not empty.
    Lines,
    /// Bytes in UTF-8.
    Bytes,
}

/// Why a check cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CheckError {
    /// The pattern is no regular expression.
    #[error("`pattern`: {reason}")]
    Pattern {
        /// The engine's words.
        reason: String,
    },
    /// The schema is none.
    #[error("`schema`: {0}")]
    Schema(#[from] crate::extract::SchemaProblem),
    /// No language, or one that cannot be told.
    #[error("`code`: expected the code of a language, such as \"en\" or \"deu\"; found \"{found}\"")]
    Language {
        /// What is there.
        found: String,
    },
    /// No limit, or limits that nothing meets.
    #[error("`length`: expected `least` or `most`, and `least` no more than `most`")]
    Length,
    /// A text that every answer contains.
    #[error("`text`: expected a text to look for; found an empty one")]
    Empty,
    /// A test that every program passes.
    #[error("`test`: expected lines of Python that run behind the answer; found none")]
    NoTest,
    /// Not a part.
    #[error("`least-f1`: expected a number from 0 to 1; found {found}")]
    LeastF1 {
        /// What is there.
        found: f64,
    },
}

/// A check, ready to be made of many answers.
#[derive(Debug)]
pub struct Checker {
    check: Check,
    regex: Option<Regex>,
    schema: Option<Schema>,
    language: Option<&'static str>,
}

impl Checker {
    /// # Errors
    /// The check makes no sense.
    pub fn new(check: &Check) -> Result<Self, CheckError> {
        let mut checker = Self { check: check.clone(), regex: None, schema: None, language: None };
        match check {
            Check::Regex { pattern } | Check::NotRegex { pattern } => {
                let built = RegexBuilder::new(pattern).size_limit(MOST_REGEX_BYTES).build();
                checker.regex =
                    Some(built.map_err(|error| CheckError::Pattern { reason: error.to_string() })?);
            }
            Check::JsonSchema { schema, .. } => checker.schema = Some(Schema::new(schema)?),
            Check::Language { code } => {
                let unknown = || CheckError::Language { found: code.clone() };
                checker.language = Some(language_code(code).ok_or_else(unknown)?);
            }
            Check::Contains { text, .. } | Check::NotContains { text, .. } if text.is_empty() => {
                return Err(CheckError::Empty);
            }
            Check::Python { test } if test.trim().is_empty() => return Err(CheckError::NoTest),
            Check::Length { least, most, .. } => match (least, most) {
                (None, None) => return Err(CheckError::Length),
                (Some(least), Some(most)) if least > most => return Err(CheckError::Length),
                _ => {}
            },
            Check::JsonFields { least_f1: Some(found), .. } if !(0.0..=1.0).contains(found) => {
                return Err(CheckError::LeastF1 { found: *found });
            }
            _ => {}
        }
        Ok(checker)
    }

    /// What is checked.
    #[must_use]
    pub fn definition(&self) -> &Check {
        &self.check
    }

    /// What has to be run to make the check: the answer's program and the test behind it; `None` where nothing has.
    #[must_use]
    pub fn program(&self, answer: &str) -> Option<String> {
        match &self.check {
            Check::Python { test } => Some(format!("{}\n{test}\n", python(answer))),
            _ => None,
        }
    }

    /// Makes the check, where nothing has to be run.
    ///
    /// # Errors
    /// Why the answer does not pass, in words for a report.
    pub fn check(&self, answer: &str) -> Result<(), String> {
        let passes = |passes: bool, why: &dyn Fn() -> String| if passes { Ok(()) } else { Err(why()) };
        match &self.check {
            Check::Equals { text, normalise: normalisers } => {
                let trim = [Normaliser::Trim];
                let normalisers = if normalisers.is_empty() { trim.as_slice() } else { normalisers };
                let (found, expected) = (normalise(answer, normalisers), normalise(text, normalisers));
                passes(found == expected, &|| {
                    format!("expected {}; found {}", shown(&expected), shown(&found))
                })
            }
            Check::Contains { text, any_case } => {
                passes(contains(answer, text, *any_case), &|| format!("{} is missing", shown(text)))
            }
            Check::NotContains { text, any_case } => {
                passes(!contains(answer, text, *any_case), &|| format!("{} must not be there", shown(text)))
            }
            Check::Regex { pattern } => {
                passes(self.found(answer).is_some(), &|| format!("nothing matches `{pattern}`"))
            }
            Check::NotRegex { pattern } => match self.found(answer) {
                Some(found) => Err(format!("{} matches `{pattern}`", shown(found))),
                None => Ok(()),
            },
            Check::Length { unit, least, most } => {
                let length = unit.count(answer);
                let within =
                    least.is_none_or(|least| length >= least) && most.is_none_or(|most| length <= most);
                passes(within, &|| length_problem(*unit, length, *least, *most))
            }
            Check::Language { .. } => match language(answer) {
                Some(found) if Some(found.code) != self.language => {
                    let wanted = self.language.unwrap_or_default();
                    Err(format!(
                        "expected language {wanted}; found {} at {:.2}",
                        found.code, found.confidence
                    ))
                }
                _ => Ok(()),
            },
            Check::Refusal {} => passes(refusal(answer).is_some(), &|| "the answer is no refusal".to_owned()),
            Check::NotRefusal {} => match refusal(answer) {
                Some(phrase) => Err(format!("the answer says \"{phrase}\"")),
                None => Ok(()),
            },
            Check::Json { fenced } => json(answer, *fenced).map(drop),
            Check::Python { .. } => Err("the program was not run".to_owned()),
            Check::JsonSchema { fenced, .. } => {
                let value = json(answer, *fenced)?;
                let problems = self.schema.as_ref().map(|schema| schema.problems(&value)).unwrap_or_default();
                passes(problems.is_empty(), &|| problems.join("; "))
            }
            Check::JsonFields { expected, least_f1, fenced } => {
                let counts = compare_fields(Some(&json(answer, *fenced)?), expected).all;
                passes(counts.f1() >= least_f1.unwrap_or(1.0), &|| {
                    format!(
                        "{} of {} fields are right, {} were found",
                        counts.right, counts.expected, counts.found
                    )
                })
            }
        }
    }

    fn found<'a>(&self, answer: &'a str) -> Option<&'a str> {
        self.regex.as_ref()?.find(answer).map(|found| found.as_str())
    }
}

impl Unit {
    /// How long a text is.
    #[must_use]
    pub fn count(self, text: &str) -> usize {
        match self {
            Self::Characters => text.chars().count(),
            Self::Words => text.split_whitespace().count(),
            Self::Sentences => crate::grounded::sentences(text).len(),
            Self::Lines => text.lines().filter(|line| !line.trim().is_empty()).count(),
            Self::Bytes => text.len(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Characters => "characters",
            Self::Words => "words",
            Self::Sentences => "sentences",
            Self::Lines => "lines",
            Self::Bytes => "bytes",
        }
    }
}

fn length_problem(unit: Unit, length: usize, least: Option<usize>, most: Option<usize>) -> String {
    let limits = match (least, most) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("at least {least}"),
        (None, most) => format!("at most {}", most.unwrap_or_default()),
    };
    format!("expected {limits} {}; found {length}", unit.name())
}

fn contains(answer: &str, text: &str, any_case: bool) -> bool {
    if any_case { answer.to_lowercase().contains(&text.to_lowercase()) } else { answer.contains(text) }
}

fn json(answer: &str, fenced: bool) -> Result<Value, String> {
    parse_json(answer, if fenced { Fences::Allowed } else { Fences::Refused })
        .map_err(|problem| problem.to_string())
}

/// The first fence of Python or of nothing named; without one the whole answer.
fn python(answer: &str) -> &str {
    // Where the fence that is open began, and whether it is one of these.
    let mut open: Option<(usize, bool)> = None;
    let mut at = 0;
    for line in answer.split_inclusive('\n') {
        let end = at + line.len();
        if let Some(label) = line.trim().strip_prefix("```") {
            open = match open {
                Some((from, true)) => return &answer[from..at],
                Some(_) => None,
                None => {
                    let label = label.trim().to_lowercase();
                    Some((end, ["", "python", "python3", "py"].contains(&label.as_str())))
                }
            };
        }
        at = end;
    }
    match open {
        Some((from, true)) => &answer[from..],
        _ => answer,
    }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(MOST_SHOWN_CHARACTERS) {
        Some((at, _)) => format!("{:?}…", &text[..at]),
        None => format!("{text:?}"),
    }
}
