//! What can go wrong between a path and a model in memory.

use std::path::PathBuf;

/// Everything that reading a base model can fail with. The text says where, what was expected and what was
/// found; what the user can do about it stands apart, in [`ModelError::hint`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// What is asked to be trained does not fit the base.
    #[error(transparent)]
    Adapter(#[from] rtune_adapters::AdapterError),
    /// The operating system refused to open, read or measure a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file that must be there is not.
    #[error("{}: {what} is missing", path.display())]
    MissingFile {
        /// Where it was looked for.
        path: PathBuf,
        /// What it is, such as `the model's configuration`.
        what: &'static str,
        /// What the user can do.
        hint: String,
    },
    /// A JSON file that is not JSON.
    #[error("{}, line {line}, column {column}: {problem}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The parser's words.
        problem: String,
    },
    /// A key with a value that cannot be right.
    #[error("{}: `{key}`: expected {expected}, found {found}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key, with dots between levels.
        key: String,
        /// What may stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A value that is right but names something that rtune cannot compute.
    #[error("{}: `{key}` is {found}, which is not supported (supported: {supported})", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The key, with dots between levels.
        key: String,
        /// What stands there.
        found: String,
        /// What may stand there, separated by commas.
        supported: String,
    },
    /// A file that ends early, or whose header and length contradict each other.
    #[error("{}: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What contradicts what, in bytes.
        problem: String,
    },
    /// A tensor that the file describes wrongly or that cannot be used.
    #[error("{}: tensor `{tensor}`: {problem}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name as the file has it.
        tensor: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor that the model needs and its files do not have.
    #[error("{}: tensor `{tensor}` is missing", path.display())]
    MissingTensor {
        /// The file or folder.
        path: PathBuf,
        /// The name that was asked for.
        tensor: String,
    },
    /// A tokenizer that cannot be built.
    #[error("{}: tokenizer: {problem}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A network that the library behind it did not compute.
    #[error("{}: computing failed: {problem}", path.display())]
    Compute {
        /// The model's folder.
        path: PathBuf,
        /// The library's words.
        problem: String,
    },
}

impl ModelError {
    /// What the user can do about it, if there is something to say that the message does not say already.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Adapter(error) => error.hint(),
            Self::MissingFile { hint, .. } => Some(hint.clone()),
            Self::Damaged { .. } | Self::Tensor { .. } => Some(
                "the file is probably an incomplete or altered copy: delete it and fetch it again, and compare its \
                 length and sha256 with the publisher's"
                    .to_owned(),
            ),
            Self::Unsupported { supported, .. } => {
                Some(format!("choose a base model with one of: {supported}"))
            }
            Self::Tokenizer { .. } => Some(
                "take the tokenizer from where the weights came from: every file of a base is of one model".to_owned(),
            ),
            _ => None,
        }
    }

    /// For `map_err` on system calls that concern `path`.
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// A file whose header and bytes contradict each other.
    pub(crate) fn damaged(path: &std::path::Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), problem: problem.into() }
    }

    /// A fault of one tensor of a file.
    pub(crate) fn tensor(path: &std::path::Path, tensor: &str, problem: impl Into<String>) -> Self {
        Self::Tensor { path: path.to_owned(), tensor: tensor.to_owned(), problem: problem.into() }
    }
}
