//! Why nothing was released.

use std::io::ErrorKind;
use std::path::PathBuf;

use rtune_adapters::AdapterError;
use rtune_models::ModelError;

use crate::dtype::Dtype;

/// For a disk that is full, or a limit that stands for one.
const NO_ROOM: &str = "there is no room for it: free some, or choose a folder on another disk";

/// Everything that can keep an adapter or a model from being written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// A file or folder cannot be read or written.
    #[error("cannot {action} `{path}`")]
    Io {
        /// A verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no checkpoint where one was looked for.
    #[error("`{path}` has no checkpoint: {problem}")]
    NoCheckpoint {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        problem: String,
    },
    /// A file that cannot be understood.
    #[error("`{path}`: {problem}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        problem: String,
    },
    /// A link, in a folder whose files are passed on, to something else than one of them.
    #[error("`{path}` is a link to `{target}`, and is passed on only as a file of `{folder}` itself")]
    Outside {
        /// The link.
        path: PathBuf,
        /// The folder that it is in.
        folder: PathBuf,
        /// Where it leads in the end.
        target: PathBuf,
    },
    /// A file that is not the one the run wrote.
    #[error("`{path}`: expected sha256 {expected}, found {found}")]
    Altered {
        /// The file.
        path: PathBuf,
        /// The hash in the manifest.
        expected: String,
        /// The hash of the file.
        found: String,
    },
    /// An adapter that does not change its base.
    #[error("`{path}`: `{tensor}` is all zeros, as is every other of its kind, so the adapter does nothing")]
    Untrained {
        /// The file.
        path: PathBuf,
        /// The first tensor.
        tensor: String,
    },
    /// An adapter that is more than products of two matrices.
    #[error("`{path}` cannot be {wanted}: {found}")]
    NotPlain {
        /// The checkpoint.
        path: PathBuf,
        /// What it was to be.
        wanted: &'static str,
        /// What is beside its products.
        found: &'static str,
    },
    /// An adapter on experts that PEFT would not load as it was trained.
    #[error("PEFT {problem}")]
    Experts {
        /// What it does instead, as the rest of the sentence.
        problem: String,
    },
    /// An adapter that makes up for quantisation, and is to be one of several.
    #[error(
        "`{path}` cannot be combined onto dequantised weights: it began with what quantising took from them (LoftQ)"
    )]
    Correcting {
        /// The checkpoint.
        path: PathBuf,
    },
    /// An adapter that makes up for quantisation, which nobody can tell from what it learnt.
    #[error(
        "the adapter began with what quantising took from its base (LoftQ), and what that was is not kept: a run of an earlier version"
    )]
    NoBeginning,
    /// What a linear reads of the rows of a calibration, or is to be packed as, gives no numbers.
    #[error("`{linear}` cannot be calibrated: {problem}")]
    Uncalibrated {
        /// The linear.
        linear: String,
        /// Why.
        problem: String,
    },
    /// Something that the format to be written cannot say.
    #[error("cannot write `{path}`: {problem}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What it cannot say.
        problem: String,
    },
    /// Numbers that an element type of GGUF has no place for.
    #[error("tensor `{tensor}` cannot be written: {problem}")]
    Element {
        /// llama.cpp's name of it.
        tensor: String,
        /// Why.
        problem: String,
    },
    /// A file that says something else than the model that was to be written.
    #[error("`{path}` would say something else than the model: {problem}")]
    NotEqual {
        /// The file, which was removed.
        path: PathBuf,
        /// What differs.
        problem: String,
    },
    /// A number that the element type has no place for.
    #[error(
        "cannot write `{path}`: tensor `{tensor}`: element {element} is {value}, which {dtype} cannot hold"
    )]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its place in the tensor, row-major.
        element: usize,
        /// The number.
        value: f32,
        /// The element type.
        dtype: Dtype,
    },
    /// Numbers inside the model that the element type it is to be computed in has no place for.
    #[error("{place} numbers of up to {largest}, which {dtype} cannot hold")]
    Overflow {
        /// Which part of the model, and whether it reads or gives them.
        place: String,
        /// The largest.
        largest: f32,
        /// The element type.
        dtype: Dtype,
    },
    /// The base cannot be read.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The adapter cannot be read, or belongs to another base.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// What was to be written is there already.
    #[error("`{path}` exists already")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
}

impl ReleaseError {
    /// Whether what was given is at fault (exit code 2), and not the machine (1).
    pub fn is_input(&self) -> bool {
        !matches!(
            self,
            Self::Io { .. } | Self::Model(ModelError::Io { .. }) | Self::Adapter(AdapterError::Io { .. })
        )
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Element { .. } => "write another type: `--quantize bf16`",
            Self::Uncalibrated { .. } => {
                "the weights or the rows are out of the ordinary: look at what `rtune merge RUN OUT` measures of the model first"
            }
            Self::NotEqual { .. } => {
                "llama.cpp computes something else for this model: serve it from `--format safetensors`"
            }
            Self::NoCheckpoint { .. } => {
                "give a run folder, or a checkpoint such as `runs/x/checkpoints/step-000200`"
            }
            Self::Altered { .. } => {
                "the checkpoint was changed after it was written: take another of the run"
            }
            Self::Untrained { .. } => "take a checkpoint of a later step; step 0 is the untrained adapter",
            Self::NotPlain { .. } => {
                "plain LoRA alone can be that: merge it by itself, `rtune merge RUN OUT`"
            }
            Self::Experts { .. } => "merge it: `rtune merge RUN OUT`, or `--format safetensors` or `gguf`",
            Self::Correcting { .. } => {
                "onto the original weights their changes have a sum: `--onto original`"
            }
            Self::NoBeginning => {
                "its model is that of the weights it was trained beside: `rtune merge RUN OUT --onto dequantized`, or train it anew"
            }
            Self::Exists { .. } => "remove it or choose another folder",
            Self::Outside { .. } => {
                "whoever gets what is written could read what the link leads to: remove the link, or put the file itself in its place"
            }
            Self::OutOfRange { dtype: Dtype::Float16, .. } | Self::Overflow { dtype: Dtype::Float16, .. } => {
                "bfloat16 reaches as far as float32: `--dtype bfloat16`"
            }
            Self::Io { source, .. } if source.kind() == ErrorKind::StorageFull => NO_ROOM,
            Self::Io { source, .. } if source.kind() == ErrorKind::FileTooLarge => NO_ROOM,
            Self::Model(error) => return error.hint(),
            Self::Adapter(error) => return error.hint(),
            Self::Io { .. }
            | Self::Unreadable { .. }
            | Self::Unwritable { .. }
            | Self::OutOfRange { .. }
            | Self::Overflow { .. } => {
                return None;
            }
        };
        Some(hint.to_owned())
    }
}

/// Gives an [`std::io::Result`] the action and the path it was about.
pub(crate) trait At<T> {
    fn at(self, action: &'static str, path: &std::path::Path) -> Result<T, ReleaseError>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, action: &'static str, path: &std::path::Path) -> Result<T, ReleaseError> {
        self.map_err(|source| ReleaseError::Io { action, path: path.to_owned(), source })
    }
}
