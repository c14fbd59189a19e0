//! What can be wrong with a registry.

use std::path::PathBuf;

use rtune_trainer::error::TrainerError;
use rtune_trainer::files::FileError;

/// Everything that keeps a registry from being read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A file of it cannot be read or written, or is not what it should be.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// There is none.
    #[error("`{folder}` is no registry: no version was ever promoted into it")]
    NoRegistry {
        /// Where it should be.
        folder: PathBuf,
    },
    /// Another process writes.
    #[error("the registry `{folder}` is in use by another process")]
    InUse {
        /// The registry.
        folder: PathBuf,
    },
    /// No version of this name.
    #[error("expected a version of `{folder}`, found `{name}`; there are {}", known.join(", "))]
    NoVersion {
        /// The registry.
        folder: PathBuf,
        /// What was asked for.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// What says of a version what it is cannot be read, so that it is none. The others are what they were.
    #[error("version {version} cannot be read: {source}")]
    Damaged {
        /// The name of its folder.
        version: String,
        /// What is wrong with its version.json.
        source: Box<TrainerError>,
    },
    /// There is nothing to go back to.
    #[error("there is no version before {current} to go back to")]
    NothingBefore {
        /// The one in use.
        current: String,
    },
    /// A folder among the versions that was never let in.
    #[error("version {version} was never in use: no move of history.json names it")]
    NeverInUse {
        /// Its name.
        version: String,
    },
    /// A version that is not what it says must not be used.
    #[error("version {version} is not what it says: {fault}")]
    Faulty {
        /// Its name.
        version: String,
        /// What differs, in words.
        fault: String,
    },
    /// What says which version is in use does not.
    #[error("expected `{link}` to be a link to the version in use, found {found}")]
    Link {
        /// The link.
        link: PathBuf,
        /// What stands there.
        found: String,
    },
    /// A rule of the gate cannot be applied.
    #[error("`gate.{key}`: {problem}")]
    Rule {
        /// The key.
        key: &'static str,
        /// Why not.
        problem: String,
    },
}

impl From<FileError> for RegistryError {
    fn from(error: FileError) -> Self {
        Self::Trainer(error.into())
    }
}

impl RegistryError {
    /// Whether what was given is at fault (exit code 2), and not the machine (1).
    #[must_use]
    pub fn is_input(&self) -> bool {
        match self {
            Self::Trainer(error) => error.is_input(),
            Self::Damaged { source, .. } => source.is_input(),
            Self::InUse { .. } => false,
            _ => true,
        }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Trainer(error) => return error.hint(),
            Self::NoRegistry { .. } => "`rtune promote RUN` makes one; `--registry FOLDER` names another",
            Self::InUse { .. } => "wait for it, or stop it: what it had begun is removed",
            Self::NoVersion { .. } => "`rtune history` lists them",
            Self::Damaged { .. } => {
                "bring its version.json back; until then `rtune rollback VERSION` puts another version in use"
            }
            Self::NothingBefore { .. } => "name a version: `rtune rollback VERSION`",
            Self::NeverInUse { .. } => "`rtune history` lists what was; a run gets in by `rtune promote RUN`",
            Self::Faulty { .. } => "bring its files back, or make it again: `rtune rebuild VERSION`",
            Self::Link { .. } => {
                "put the link back as history.json has it: `ln -sfn versions/NAME current` in the registry"
            }
            Self::Rule { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
