//! What can go wrong with adapters.

use std::path::PathBuf;

/// Everything that attaching, reading or writing an adapter can fail with; what to do about it is in [`AdapterError::hint`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// The operating system refused to read or write a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file that cannot be parsed.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, with what was expected.
        problem: String,
    },
    /// A key of `adapter_config.json` with a value that cannot be right or is not supported.
    #[error("{}: `{key}`: expected {expected}, found {found}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What may stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// Weights in Python's pickle format, which can run code while they are read.
    #[error("{}: weights in Python's pickle format are not read; expected `adapter_model.safetensors`", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
    },
    /// A tensor of an adapter file that is missing, superfluous or of another shape.
    #[error("{}: tensor `{tensor}`: {problem}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The name in the file.
        tensor: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Targets that name no linear of the model.
    #[error("no linear layer of the model is called {}", quoted(.targets))]
    NoSuchTarget {
        /// The targets that matched nothing.
        targets: Vec<String>,
        /// The last parts of the names that there are.
        available: Vec<String>,
    },
    /// A pattern that is no regular expression, or numbers that cannot be right.
    #[error("{0}")]
    Config(String),
}

fn quoted(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" (and {} more)", names.len() - SHOWN));
    }
    text
}

impl AdapterError {
    /// What the user can do, where there is something to say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchTarget { available, .. } => {
                Some(format!("the model has {}; or use targets = \"all-linear\"", available.join(", ")))
            }
            Self::Key { .. } => Some(
                "LoRA and DoRA are read: ranks, alphas, their patterns, and rank-stabilized scaling"
                    .to_owned(),
            ),
            Self::Pickle { .. } => Some(
                "load it with peft and save it with `save_pretrained(DIR, safe_serialization=True)`"
                    .to_owned(),
            ),
            Self::Tensor { .. } => {
                Some("the adapter must have been trained on this very base model".to_owned())
            }
            _ => None,
        }
    }
}
