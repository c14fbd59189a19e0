//! From what a user writes as `base` to files on this machine.
//!
//! A base is one of four things, tried in this order:
//! 1. an alias of [`ALIASES`], which is one file pinned by sha256, or of [`BUNDLES`], which is a folder of such files;
//! 2. a path that exists: a folder in the hub's layout or a `.gguf` file;
//! 3. a path that does not exist, which is an error of its own (`./x`, `/x`, `x.gguf`);
//! 4. a repository of the hub, `owner/name`, at a revision.
//!
//! Downloads from the hub stand in the hub's own cache (`HF_HOME`), in its layout, so that other programs share
//! them; what comes from other places stands in rtune's cache (`RTUNE_CACHE`, by default `~/.cache/rtune`).

mod address;
mod alias;
mod bundle;
mod cache;
mod download;
mod error;
mod files;
mod headers;
mod options;
mod repository;
mod state;
mod wheel;

use std::path::{Path, PathBuf};

pub use address::{shown, without};
pub use alias::{ALIASES, Alias};
pub use bundle::{BUNDLES, Bundle, BundleFile};
pub use error::HubError;
pub(crate) use files::hex;
pub use options::HubOptions;
pub use state::{CacheState, cache_states, reach};

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file that is being fetched.
    pub file: &'a str,
    /// Where it comes from, such as `the hub`.
    pub place: &'a str,
    /// Bytes that are here.
    pub done_bytes: u64,
    /// Bytes of the whole file.
    pub total_bytes: u64,
}

/// What a user wrote as `base`.
#[derive(Debug)]
enum Base<'a> {
    Alias(&'static Alias),
    Bundle(&'static Bundle),
    Path(PathBuf),
    Repository { owner: &'a str, name: &'a str },
}

/// The path of a base model, which is downloaded if it is not on this machine. The network is used only if
/// nothing local will do: a repository that was pulled before is taken as it is, and completed where another program fetched
/// it without the settings of its tokenizer.
///
/// The result is for [`crate::open`]. Errors are in [`HubError`]; each kind of failure has its own.
pub fn resolve(
    base: &str,
    revision: Option<&str>,
    options: &HubOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    match classify(base, revision)? {
        Base::Path(path) => Ok(path),
        Base::Alias(alias) => alias::fetch(alias, options, progress),
        Base::Bundle(bundle) => bundle::fetch(bundle, options, progress),
        Base::Repository { owner, name } => match repository::cached(owner, name, revision, options) {
            Some(folder) => repository::complete(owner, name, folder, options, progress),
            None => repository::fetch(owner, name, revision, options, progress),
        },
    }
}

/// The path of what says the size and the licence of a base, for [`crate::BaseOutline::open`] and [`crate::Licence::of`]: for a
/// repository that was not pulled, its small files and the headers of its weights alone, some megabytes at most. An alias
/// is one file, which is fetched.
///
/// Errors as [`resolve`].
pub fn headers(
    base: &str,
    revision: Option<&str>,
    options: &HubOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    match classify(base, revision)? {
        Base::Repository { owner, name } => headers::fetch(owner, name, revision, options, progress),
        _ => resolve(base, revision, options, progress),
    }
}

/// Like [`resolve`], but asks the hub whether the revision of a repository has moved, and fetches what is new.
/// A download that was broken off goes on where it stopped.
pub fn pull(
    base: &str,
    revision: Option<&str>,
    options: &HubOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    match classify(base, revision)? {
        Base::Repository { owner, name } => repository::fetch(owner, name, revision, options, progress),
        _ => resolve(base, revision, options, progress),
    }
}

/// The repository that a base is named after, by the form of the name alone: itself, or that of an alias; `None` for a path.
/// Whether a folder of that name was meant is not seen here: [`is_of_repository`] tells by where it was found.
#[must_use]
pub fn repository_of(base: &str) -> Option<String> {
    if let Some(alias) = ALIASES.iter().find(|alias| alias.name == base) {
        return alias.repository();
    }
    if BUNDLES.iter().any(|bundle| bundle.name == base) {
        return None;
    }
    let (owner, name) = repository_id(base)?;
    Some(format!("{owner}/{name}"))
}

/// Whether `path` lies where a cache keeps what it has of the repository `owner/name`.
#[must_use]
pub fn is_of_repository(path: &Path, repository: &str) -> bool {
    let folder = format!("models--{}", repository.replace('/', "--"));
    path.components().any(|part| part.as_os_str() == folder.as_str())
}

/// The alias of which [`repository_of`] gives this repository.
#[must_use]
pub fn alias_of(repository: &str) -> Option<&'static str> {
    ALIASES.iter().find(|alias| alias.repository().as_deref() == Some(repository)).map(|alias| alias.name)
}

/// What a base that is no repository is called elsewhere: the last part of a path, which says where it lies on this machine alone.
#[must_use]
pub fn last_part(base: &str) -> &str {
    let end = base.trim_end_matches(['/', '\\']);
    let last = end.rsplit(['/', '\\']).next().unwrap_or(end);
    if matches!(last, "" | "." | ".." | "~") { "a local model" } else { last }
}

fn classify<'a>(base: &'a str, revision: Option<&str>) -> Result<Base<'a>, HubError> {
    let found = if let Some(alias) = ALIASES.iter().find(|alias| alias.name == base) {
        Base::Alias(alias)
    } else if let Some(bundle) = BUNDLES.iter().find(|bundle| bundle.name == base) {
        Base::Bundle(bundle)
    } else if Path::new(base).exists() {
        Base::Path(PathBuf::from(base))
    } else if let Some((owner, name)) = repository_id(base) {
        Base::Repository { owner, name }
    } else if looks_like_path(base) {
        return Err(HubError::NoSuchPath { path: PathBuf::from(base) });
    } else {
        return Err(HubError::UnknownBase { base: base.to_owned(), near: alias::near(base) });
    };
    match (&found, revision) {
        (Base::Repository { .. }, Some(revision)) if !is_revision(revision) => {
            Err(HubError::InvalidRevision { revision: revision.to_owned() })
        }
        (Base::Alias(_) | Base::Bundle(_) | Base::Path(_), Some(revision)) => {
            Err(HubError::RevisionWithoutRepository { base: base.to_owned(), revision: revision.to_owned() })
        }
        _ => Ok(found),
    }
}

fn looks_like_path(base: &str) -> bool {
    base.starts_with(['.', '/', '~', '\\'])
        || base.to_ascii_lowercase().ends_with(".gguf")
        || base.contains(['\\', '/'])
}

/// `owner/name` as the hub allows it: letters, digits, `-`, `_`, `.`, not a path.
fn repository_id(base: &str) -> Option<(&str, &str)> {
    let (owner, name) = base.split_once('/')?;
    let valid = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphanumeric())
            && part.chars().all(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.'))
            && !part.contains("..")
    };
    let is_file = base.to_ascii_lowercase().ends_with(".gguf");
    (valid(owner) && valid(name) && !is_file).then_some((owner, name))
}

/// A branch, a tag or a commit; it becomes part of a path in the cache.
fn is_revision(revision: &str) -> bool {
    let valid_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .chars()
                .all(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.' | '+' | '#'))
    };
    revision.split('/').all(valid_part)
}

#[cfg(test)]
mod tests;
