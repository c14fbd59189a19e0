//! A repository of the hub: its configuration, tokenizer, templates and safetensors, nothing else.

use std::path::{Path, PathBuf};

use hf_hub::repository::RepoTreeEntry;
use serde_json::Value;

use super::cache::{RepositoryCache, is_commit};
use super::download::{Client, RemoteFile};
use super::{HubError, HubOptions, Progress};

/// What a revision is when the user gives none.
pub(super) const DEFAULT_REVISION: &str = "main";
/// The weights in one file.
const SINGLE_FILE: &str = "model.safetensors";
/// The list of the weights' shards.
const INDEX_FILE: &str = "model.safetensors.index.json";
/// What a model is. It must be there, besides the weights and one of [`TOKENIZER_FILES`].
pub(super) const CONFIG_FILE: &str = "config.json";
/// Its tokenizer, or the vocabulary of which that of a BERT is made; the first that is there is fetched.
pub(super) const TOKENIZER_FILES: [&str; 2] = ["tokenizer.json", "vocab.txt"];
/// The special tokens by their names. Without them templates and texts have no beginning and no end.
const TOKENIZER_SETTINGS: &str = "tokenizer_config.json";
/// Files that are fetched if the repository has them: of the tokenizer; how answers are drawn, which a merged model hands on; and
/// how weights were packed by those who did not say it in config.json.
const OPTIONAL_FILES: &[&str] = &[
    TOKENIZER_SETTINGS,
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
    "quantize_config.json",
];
/// Files that say under which licence a model is and what it asks; they are fetched if the repository has them.
const LEGAL_FILES: &[&str] = &[
    "README.md",
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    "LICENCE",
    "NOTICE",
    "NOTICE.txt",
    "Notice",
    "USE_POLICY.md",
];
/// How many of a repository's files a message names.
const NAMED_FILES: usize = 8;

/// The snapshot of a revision that was pulled before, if it is whole.
pub(super) fn cached(
    owner: &str,
    name: &str,
    revision: Option<&str>,
    options: &HubOptions,
) -> Option<PathBuf> {
    let cache = RepositoryCache::new(&options.hub_cache, owner, name);
    let folder = cache.snapshot(&cache.commit(revision.unwrap_or(DEFAULT_REVISION))?);
    is_whole(&folder).then_some(folder)
}

/// Brings what a whole snapshot lacks of the optional files: another program fetched it, which may need less. Without a connection it
/// is as whole as can be, and so is one that the hub has no more.
pub(super) fn complete(
    owner: &str,
    name: &str,
    folder: PathBuf,
    options: &HubOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    let commit = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let cache = RepositoryCache::new(&options.hub_cache, owner, name);
    let has_settings = folder.join(TOKENIZER_SETTINGS).is_file();
    if has_settings || options.offline || cache.is_absent(&commit, TOKENIZER_SETTINGS) {
        return Ok(folder);
    }
    let client = Client::new(owner, name, options)?;
    let files = match list(&client, &commit) {
        Ok(files) => files,
        // A repository that is gone, closed or beyond reach: what is here is whole all the same.
        Err(_) => return Ok(folder),
    };
    note_absent(&client, &commit, &files);
    let listed = OPTIONAL_FILES.iter().filter_map(|name| find(&files, name));
    for file in listed.filter(|listed| !folder.join(&listed.file.path).is_file()) {
        match download(&client, &commit, file, progress) {
            // The list of a repository behind a gate is shown to all, and its files are not.
            Err(
                HubError::Gated { .. }
                | HubError::NotFound { .. }
                | HubError::Server { .. }
                | HubError::Network { .. }
                | HubError::Proxy { .. },
            ) => return Ok(folder),
            other => other?,
        };
    }
    Ok(folder)
}

/// Notes that a repository has no settings of the tokenizer, where it has none, so that they are not asked for again.
fn note_absent(client: &Client, commit: &str, files: &[Listed]) {
    if find(files, TOKENIZER_SETTINGS).is_none() {
        client.cache().note_absent(commit, TOKENIZER_SETTINGS);
    }
}

fn is_whole(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    let has_weights = || {
        has(SINGLE_FILE)
            || shards(&folder.join(INDEX_FILE)).is_some_and(|names| names.iter().all(|name| has(name)))
    };
    has(CONFIG_FILE) && TOKENIZER_FILES.into_iter().any(has) && has_weights()
}

/// The shards that an index names, if it can be read.
fn shards(index: &Path) -> Option<Vec<String>> {
    let index: Value = serde_json::from_str(&std::fs::read_to_string(index).ok()?).ok()?;
    let files = index.get("weight_map")?.as_object()?.values();
    let mut names = files.map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()?;
    names.sort_unstable();
    names.dedup();
    Some(names)
}

/// Fetches what is not here of a revision and gives the folder of its snapshot.
pub(super) fn fetch(
    owner: &str,
    name: &str,
    revision: Option<&str>,
    options: &HubOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    let here = cached(owner, name, revision, options);
    if options.offline {
        let (base, cache) = (format!("{owner}/{name}"), options.hub_cache.clone());
        return here.ok_or(HubError::Offline { base, cache });
    }
    let client = Client::new(owner, name, options)?;
    let revision = revision.unwrap_or(DEFAULT_REVISION);
    let commit = match current_commit(&client, revision) {
        // Without a connection, what was pulled before is as new as can be had.
        Err(HubError::Network { .. } | HubError::Proxy { .. }) if here.is_some() => {
            return here
                .ok_or(HubError::Offline { base: client.id().to_owned(), cache: options.hub_cache.clone() });
        }
        other => other?,
    };
    let files = list(&client, &commit)?;
    note_absent(&client, &commit, &files);
    for file in small_files(&client, &files)? {
        download(&client, &commit, file, progress)?;
    }
    for file in weight_files(&client, &commit, &files, progress)? {
        download(&client, &commit, file, progress)?;
    }
    client.cache().set_commit(revision, &commit)?;
    Ok(client.cache().snapshot(&commit))
}

pub(super) fn download(
    client: &Client,
    commit: &str,
    listed: &Listed,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    let mut file = listed.file.clone();
    if listed.is_large && file.sha256.is_none() {
        file.sha256 = client.linked_sha256(commit, &file.path)?;
    }
    if let Some(sha256) = &file.sha256 {
        file.etag.clone_from(sha256);
    }
    client.download(commit, &file, progress)
}

/// A file of a repository's list.
pub(super) struct Listed {
    pub(super) file: RemoteFile,
    /// Whether the repository has only a pointer to it (git LFS, xet).
    is_large: bool,
}

pub(super) fn current_commit(client: &Client, revision: &str) -> Result<String, HubError> {
    let what = format!("revision {revision}");
    let info = client.repository().info().revision(revision).send();
    let info = info.map_err(|error| client.explain(error, &what))?;
    info.sha.filter(|commit| is_commit(commit)).ok_or_else(|| HubError::Server {
        endpoint: client.endpoint().to_owned(),
        problem: format!("no commit for {} at {revision}", client.id()),
    })
}

/// The files at the top of a repository; folders hold other formats.
pub(super) fn list(client: &Client, commit: &str) -> Result<Vec<Listed>, HubError> {
    let tree = client.repository().list_tree().revision(commit).send();
    let tree = tree.map_err(|error| client.explain(error, &format!("commit {commit}")))?;
    let files = tree.into_iter().filter_map(|entry| match entry {
        RepoTreeEntry::File { oid, size, path, lfs, .. } => {
            let is_large = lfs.is_some();
            let sha256 = lfs.and_then(|lfs| lfs.sha256);
            Some(Listed { file: RemoteFile { path, size_bytes: size, etag: oid, sha256 }, is_large })
        }
        RepoTreeEntry::Directory { .. } => None,
    });
    // Names become paths in the cache.
    let is_plain = |Listed { file, .. }: &Listed| {
        !file.path.contains(['/', '\\'])
            && !file.path.starts_with('.')
            && !file.etag.is_empty()
            && file.etag.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    Ok(files.filter(is_plain).collect())
}

pub(super) fn find<'a>(files: &'a [Listed], name: &str) -> Option<&'a Listed> {
    files.iter().find(|listed| listed.file.path == name)
}

fn small_files<'a>(client: &Client, files: &'a [Listed]) -> Result<Vec<&'a Listed>, HubError> {
    let config = find(files, CONFIG_FILE).ok_or_else(|| missing(client, files, CONFIG_FILE))?;
    let tokenizer = tokenizer(files).ok_or_else(|| missing(client, files, TOKENIZER_FILES[0]))?;
    let mut chosen = vec![config, tokenizer];
    chosen.extend(optional_files(files));
    Ok(chosen)
}

/// The tokenizer.
pub(super) fn tokenizer(files: &[Listed]) -> Option<&Listed> {
    TOKENIZER_FILES.into_iter().find_map(|name| find(files, name))
}

/// What is fetched if it is there.
pub(super) fn optional_files(files: &[Listed]) -> impl Iterator<Item = &Listed> {
    OPTIONAL_FILES.iter().chain(LEGAL_FILES).filter_map(|name| find(files, name))
}

/// The single file, or the index, which is fetched here, and the shards that it names.
pub(super) fn weight_files<'a>(
    client: &Client,
    commit: &str,
    files: &'a [Listed],
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<&'a Listed>, HubError> {
    if let Some(file) = find(files, SINGLE_FILE) {
        return Ok(vec![file]);
    }
    let Some(index) = find(files, INDEX_FILE) else { return Err(no_weights(client, files)) };
    let path = download(client, commit, index, progress)?;
    let names = shards(&path).ok_or_else(|| HubError::Server {
        endpoint: client.endpoint().to_owned(),
        problem: format!("{INDEX_FILE} of {} is no list of shards", client.id()),
    })?;
    names.iter().map(|name| find(files, name).ok_or_else(|| missing(client, files, name))).collect()
}

pub(super) fn missing(client: &Client, files: &[Listed], name: &str) -> HubError {
    if find(files, SINGLE_FILE).or(find(files, INDEX_FILE)).is_none() {
        return no_weights(client, files);
    }
    HubError::NotFound { repository: client.id().to_owned(), what: format!("file {name}") }
}

pub(super) fn no_weights(client: &Client, files: &[Listed]) -> HubError {
    let mut found: Vec<String> = files.iter().map(|listed| listed.file.path.clone()).collect();
    // Weights first: they tell what the repository is.
    found.sort_by_key(|name| (!name.ends_with(".gguf") && !name.ends_with(".bin"), name.clone()));
    found.truncate(NAMED_FILES);
    if found.is_empty() {
        found.push("no files".to_owned());
    }
    HubError::NoWeights { repository: client.id().to_owned(), found }
}
