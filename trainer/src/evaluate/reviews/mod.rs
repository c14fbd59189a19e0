//! People's reviews of two models' answers, side by side and blind: a JSON object a line (docs/review.md).

mod log;
mod matching;
mod sums;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use log::ReviewLog;
pub use matching::{Matched, Unmatched, matched};
pub use sums::{Agreement, Reviewed, Reviewer, sum};

use crate::error::TrainerError;
use crate::files::sha256_of;

/// The `format` of every line.
pub const FORMAT: u64 = 1;
/// The worst score and the best.
pub const SCORES: [u8; 2] = [1, 5];
/// What is scored where nobody says otherwise.
pub const DIMENSIONS: [&str; 4] = ["accuracy", "helpfulness", "tone", "factual-correctness"];
/// A longer name is no name.
pub const LONGEST_NAME: usize = 100;
/// Bytes of a correction or a comment.
pub const LONGEST_TEXT: usize = 1 << 20;

/// One of the two models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The first.
    First,
    /// The second.
    Second,
}

impl Place {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// Which answer somebody prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The first model's.
    First,
    /// The second model's.
    Second,
    /// Neither.
    Tie,
}

impl Choice {
    /// 0 for the first model, 1 for the second, 0.5 for neither.
    #[must_use]
    pub fn value(self) -> f64 {
        match self {
            Self::First => 0.0,
            Self::Tie => 0.5,
            Self::Second => 1.0,
        }
    }
}

/// Whose answer was reviewed, and which answer it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// SHA-256 of the report that it was taken from.
    pub report: String,
    /// Which model of that report: `base` or `tuned`.
    pub model: String,
    /// SHA-256 of the answer, as [`hash_of`] has it.
    pub answer: String,
}

/// What both answers were given, dimension by dimension, from 1 to 5.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// The first model's answer.
    pub first: BTreeMap<String, u8>,
    /// The second model's.
    pub second: BTreeMap<String, u8>,
}

/// What one person says of two answers to one case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// [`FORMAT`].
    pub format: u64,
    /// The golden row's id.
    pub case: String,
    /// Who.
    pub reviewer: String,
    /// One answer.
    pub first: Answer,
    /// The other.
    pub second: Answer,
    /// Which of them stood on the left.
    pub shown_left: Place,
    /// The scores.
    pub scores: Scores,
    /// The better one.
    pub preferred: Choice,
    /// What should have been answered, where somebody wrote it.
    pub correction: Option<String>,
    /// What else there is to say.
    pub comment: Option<String>,
    /// What was asked, where there is a correction: `role` and `content`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<Value>,
    /// When, in seconds of Unix time.
    pub unix_seconds: u64,
}

/// Which review a later one of the same takes the place of: case, reviewer, and both answers.
pub type ReviewKey = (String, String, String, String);

impl Review {
    /// Which review it is.
    #[must_use]
    pub fn key(&self) -> ReviewKey {
        let Self { case, reviewer, first, second, .. } = self;
        (case.clone(), reviewer.clone(), first.answer.clone(), second.answer.clone())
    }

    /// The same with the models in the other order.
    #[must_use]
    pub fn turned(self) -> Self {
        Self {
            first: self.second,
            second: self.first,
            shown_left: self.shown_left.other(),
            scores: Scores { first: self.scores.second, second: self.scores.first },
            preferred: match self.preferred {
                Choice::First => Choice::Second,
                Choice::Second => Choice::First,
                Choice::Tie => Choice::Tie,
            },
            ..self
        }
    }

    /// What is wrong with it, if something is.
    ///
    /// # Errors
    /// What was expected and found, in words.
    pub fn check(&self) -> Result<(), String> {
        let [least, most] = SCORES;
        if self.format != FORMAT {
            return Err(format!("expected `format` {FORMAT}, found {}", self.format));
        }
        if self.case.is_empty() {
            return Err("expected the id of a case in `case`, found an empty text".to_owned());
        }
        check_name(&self.reviewer)?;
        for (name, answer) in [("first", &self.first), ("second", &self.second)] {
            let hashes = [("report", &answer.report), ("answer", &answer.answer)];
            let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            if let Some((key, found)) = hashes.into_iter().find(|(_, hash)| !is_hash(hash)) {
                return Err(format!("expected SHA-256 in `{name}.{key}`, found `{found}`"));
            }
            if answer.model != "base" && answer.model != "tuned" {
                return Err(format!("expected `{name}.model` to be base or tuned, found `{}`", answer.model));
            }
        }
        let Scores { first, second } = &self.scores;
        if first.is_empty() || !first.keys().eq(second.keys()) {
            return Err("expected `scores` of both answers in the same dimensions".to_owned());
        }
        let mut all = first.iter().chain(second);
        if let Some((name, score)) = all.find(|(_, score)| !(least..=most).contains(score)) {
            return Err(format!("expected a score from {least} to {most} in `{name}`, found {score}"));
        }
        for (name, text) in [("correction", &self.correction), ("comment", &self.comment)] {
            if text.as_ref().is_some_and(|text| text.len() > LONGEST_TEXT) {
                return Err(format!("expected `{name}` of at most {} KiB", LONGEST_TEXT >> 10));
            }
        }
        Ok(())
    }
}

/// Whether somebody can be called that.
///
/// # Errors
/// What was expected and found, in words.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_name = !name.trim().is_empty()
        && name.trim() == name
        && name.len() <= LONGEST_NAME
        && !name.chars().any(char::is_control);
    if is_name { Ok(()) } else { Err(format!("expected a reviewer's name, found {name:?}")) }
}

/// SHA-256 of an answer, in hexadecimal; of several turns that of their texts as a JSON list.
#[must_use]
pub fn hash_of(turns: &[String]) -> String {
    match turns {
        [only] => sha256_of(only.as_bytes()),
        // A list of texts is always JSON.
        turns => sha256_of(serde_json::to_string(turns).unwrap_or_default().as_bytes()),
    }
}

/// The reviews of a file; of several by one person of the same two answers the last.
///
/// # Errors
/// [`TrainerError::File`] for a file that cannot be read, [`TrainerError::Unreadable`] for a line that is no review.
pub fn read(path: &Path) -> Result<Vec<Review>, TrainerError> {
    log::read(path)
}
