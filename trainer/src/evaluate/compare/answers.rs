//! What two models said to the same cases, side by side.

use std::path::Path;

use serde_json::Value;

use super::{Named, Pairs, Which};
use crate::error::TrainerError;

/// A case, and both models' answers to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The row's id.
    pub id: String,
    /// What the row says before its last answer: objects with `role` and `content`.
    pub prompt: Vec<Value>,
    /// What the answer may draw on beside the prompt.
    pub context: Vec<String>,
    /// What was expected last.
    pub expected: Vec<String>,
    /// What it says much the same with.
    pub cluster: Option<String>,
    /// The first model's answers, one a turn, and the second's.
    pub answers: [Vec<String>; 2],
}

impl Answered {
    /// Cases that belong together have equal keys; a case that is in no cluster is alone with the rows of its id.
    #[must_use]
    pub fn key(&self) -> String {
        key_of(&self.id, self.cluster.as_deref())
    }
}

/// The key of a case or text: its cluster, or else its id.
pub(super) fn key_of(id: &str, cluster: Option<&str>) -> String {
    match cluster {
        Some(cluster) => format!("cluster {cluster}"),
        None => format!("case {id}"),
    }
}

/// Two models' answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// Which model of its report each is: `base` or `tuned`.
    pub models: [&'static str; 2],
    /// The cases, in the order of the first report.
    pub cases: Vec<Answered>,
}

/// The cases of two reports that ask the same.
///
/// # Errors
/// Those of [`super::compare_reports`].
pub fn answers(first: (&Path, Which), second: (&Path, Which)) -> Result<Answers, TrainerError> {
    let (first, second) = (Named::read(first)?, Named::read(second)?);
    first.has_model()?;
    second.has_model()?;
    let models = [first.model(), second.model()];
    let Pairs { cases, sides: [one, other], .. } = Pairs::new(first, second)?;
    let both = cases.into_iter().zip(one.into_iter().zip(other));
    let answered = both.map(|(case, (one, other))| Answered {
        id: case.id,
        prompt: case.prompt,
        context: case.context,
        expected: case.expected,
        cluster: case.cluster,
        answers: [one.said(), other.said()],
    });
    Ok(Answers { models, cases: answered.collect() })
}
