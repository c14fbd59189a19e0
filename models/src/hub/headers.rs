//! A repository without its weights: the small files, and of each file of weights the header.
//!
//! They stand in rtune's own cache, one folder a commit, since in the hub's a file of weights is whole.

use std::fs;
use std::path::{Path, PathBuf};

use super::cache::RepositoryCache;
use super::download::Client;
use super::files::{create_folder, sync_folder};
use super::repository::{
    CONFIG_FILE, DEFAULT_REVISION, Listed, cached, current_commit, download, find, list, missing, no_weights,
    optional_files, tokenizer, weight_files,
};
use super::{HubError, HubOptions, Progress};

/// The folder of all of them in rtune's cache.
const FOLDER: &str = "headers";
/// Bytes asked for first: the length of the header, and most headers whole.
const FIRST_BYTES: u64 = 256 << 10;
/// Length of the number in front of a header, in bytes.
const PREFIX_BYTES: u64 = 8;
/// Longest header, in bytes: the format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The folder with what says the size and the licence of a repository: the snapshot where it was pulled, else configuration,
/// card, licence and headers, fetched where they are not here.
pub(super) fn fetch(
    owner: &str,
    name: &str,
    revision: Option<&str>,
    options: &HubOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    if let Some(folder) = cached(owner, name, revision, options) {
        return Ok(folder);
    }
    let revision = revision.unwrap_or(DEFAULT_REVISION);
    let place = options.rtune_cache.join(FOLDER).join(format!("models--{owner}--{name}"));
    // What a revision was when its headers were fetched is noted here: in the hub's cache, others would look for its weights.
    let own = RepositoryCache::new(&options.rtune_cache.join(FOLDER), owner, name);
    let known =
        [own.commit(revision), RepositoryCache::new(&options.hub_cache, owner, name).commit(revision)];
    let folders = known.into_iter().flatten().map(|commit| place.join(commit));
    if let Some(folder) = folders.into_iter().find(|folder| folder.is_dir()) {
        return Ok(folder);
    }
    if options.offline {
        return Err(HubError::Offline { base: format!("{owner}/{name}"), cache: options.hub_cache.clone() });
    }
    let client = Client::new(owner, name, options)?;
    let commit = current_commit(&client, revision)?;
    let folder = place.join(&commit);
    if !folder.is_dir() {
        create_folder(&place)?;
        let beside = tempfile::tempdir_in(&place).map_err(HubError::io(&place, 0))?;
        gather(&client, &commit, beside.path(), progress)?;
        // Another process may have been faster.
        if let Err(error) = fs::rename(beside.path(), &folder)
            && !folder.is_dir()
        {
            return Err(HubError::io(&folder, 0)(error));
        }
        sync_folder(&place);
    }
    own.set_commit(revision, &commit)?;
    Ok(folder)
}

/// Brings everything into `folder`.
fn gather(
    client: &Client,
    commit: &str,
    folder: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), HubError> {
    let files = list(client, commit)?;
    let weights = weight_files(client, commit, &files, progress)?;
    // The configuration is the first. The tokenizer says nothing of the base's size, but how long rows are.
    let config = find(&files, CONFIG_FILE).ok_or_else(|| missing(client, &files, CONFIG_FILE))?;
    let tokenizer = tokenizer(&files);
    let index = files.iter().filter(|listed| listed.file.path.ends_with(".safetensors.index.json"));
    let needed = std::iter::once(config).chain(tokenizer);
    for listed in needed.chain(index).chain(optional_files(&files)) {
        let from = download(client, commit, listed, progress)?;
        let to = folder.join(&listed.file.path);
        fs::copy(&from, &to).map_err(HubError::io(&to, listed.file.size_bytes))?;
    }
    if weights.is_empty() {
        return Err(no_weights(client, &files));
    }
    weights.into_iter().try_for_each(|listed| header(client, commit, listed, folder, progress))
}

/// Writes the header of a file of weights, with its length in front, and nothing behind.
fn header(
    client: &Client,
    commit: &str,
    listed: &Listed,
    folder: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), HubError> {
    let file = &listed.file;
    let wrong = |problem: String| HubError::Server { endpoint: client.endpoint().to_owned(), problem };
    let mut show = |done_bytes: u64, total_bytes: u64| {
        let place = client.endpoint();
        progress(Progress { file: &format!("header of {}", file.path), place, done_bytes, total_bytes });
    };
    let first = FIRST_BYTES.min(file.size_bytes);
    let mut bytes = client.bytes(commit, &file.path, 0..first)?;
    let length = bytes.first_chunk::<8>().map(|prefix| u64::from_le_bytes(*prefix));
    let fits = |length: &u64| *length <= MAX_HEADER_BYTES && *length <= file.size_bytes - PREFIX_BYTES;
    let Some(length) = length.filter(fits) else {
        return Err(wrong(format!("{} of {} begins with no header of safetensors", file.path, client.id())));
    };
    let end = PREFIX_BYTES + length;
    show(first.min(end), end);
    if end > bytes.len() as u64 {
        bytes.extend(client.bytes(commit, &file.path, first..end)?);
    }
    if (bytes.len() as u64) < end {
        return Err(wrong(format!("{} bytes of {}, whose header has {end}", bytes.len(), file.path)));
    }
    bytes.truncate(usize::try_from(end).unwrap_or(usize::MAX));
    show(end, end);
    let path = folder.join(&file.path);
    fs::write(&path, bytes).map_err(HubError::io(&path, end))
}
