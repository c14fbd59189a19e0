//! Labels out of answers.

use serde::Serialize;

/// What stands where an answer is no label.
pub const UNPARSED: &str = "<unparsed>";

/// What may stand before a label, in any case.
pub const DEFAULT_PREFIXES: [&str; 4] = ["label:", "answer:", "class:", "category:"];

/// What can be wrong with a list of labels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Nothing to tell apart.
    #[error("expected at least one label; found none")]
    None,
    /// A label of spaces.
    #[error("label {position}: expected a text; found only spaces")]
    Empty {
        /// From 1.
        position: usize,
    },
    /// Two labels that differ by case or spaces around them at most: an answer could not say which it means.
    #[error("label {position}: `{label}` is the same as label {first} but for case or spaces")]
    Twice {
        /// From 1.
        position: usize,
        /// The earlier one, from 1.
        first: usize,
        /// The later one.
        label: String,
    },
}

/// The labels of a task, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabelSet {
    names: Vec<String>,
    #[serde(skip)]
    folded: Vec<String>,
    prefixes: Vec<String>,
}

impl LabelSet {
    /// Labels with [`DEFAULT_PREFIXES`].
    ///
    /// # Errors
    /// No label, an empty one, or two that an answer could not tell apart.
    pub fn new<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Result<Self, LabelError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let folded: Vec<String> = names.iter().map(|name| folded(name)).collect();
        if names.is_empty() {
            return Err(LabelError::None);
        }
        for (index, label) in folded.iter().enumerate() {
            if label.is_empty() {
                return Err(LabelError::Empty { position: index + 1 });
            }
            if let Some(first) = folded[..index].iter().position(|other| other == label) {
                let label = names[index].clone();
                return Err(LabelError::Twice { position: index + 1, first: first + 1, label });
            }
        }
        let prefixes = DEFAULT_PREFIXES.iter().map(|&prefix| prefix.to_owned()).collect();
        Ok(Self { names, folded, prefixes })
    }

    /// With other texts that may stand before a label.
    #[must_use]
    pub fn with_prefixes<T: AsRef<str>>(mut self, prefixes: impl IntoIterator<Item = T>) -> Self {
        self.prefixes = prefixes.into_iter().map(|prefix| folded(prefix.as_ref())).collect();
        self
    }

    /// The labels, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never: a set has a label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Which label an answer is: its first line that is not empty, without a prefix, spaces and case aside. A longer
    /// line that merely holds a label is none, for what a program reads must be the label.
    #[must_use]
    pub fn parse(&self, answer: &str) -> Option<usize> {
        let line = answer.lines().find(|line| !line.trim().is_empty())?;
        let line = folded(line);
        // A label may itself begin like a prefix.
        self.position(&line).or_else(|| {
            self.prefixes.iter().find_map(|prefix| self.position(line.strip_prefix(prefix.as_str())?.trim()))
        })
    }

    fn position(&self, folded: &str) -> Option<usize> {
        self.folded.iter().position(|label| label == folded)
    }
}

fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}
