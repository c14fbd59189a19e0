//! Downloads from the hub: in ranges, so that a broken one goes on where it stopped, and checked at the end.

mod linked;
mod redirects;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use hf_hub::progress::{DownloadEvent, ProgressEvent, ProgressHandler};
use hf_hub::{HFClient, HFError, HFRepositorySync, RepoTypeModel};

use super::address::{chain, shown, without};
use super::cache::RepositoryCache;
use super::files::{check_space, create_folder, sync_folder, verify};
use super::{HubError, HubOptions, Progress};

/// Bytes asked for at a time. hf-hub hands a range over in memory, so this bounds the memory, and what is lost
/// when a connection breaks; a smaller one would wait more for answers than it downloads.
const RANGE_BYTES: u64 = 32 << 20;
/// A server that does not answer the first packet by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A connection that gives nothing for so long is dead.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How rtune introduces itself; there is nothing about the machine or the user in it.
const USER_AGENT: &str = concat!("rtune/", env!("CARGO_PKG_VERSION"));

/// A file of a repository, as the hub describes it.
#[derive(Debug, Clone)]
pub(super) struct RemoteFile {
    /// Its name; a plain one, without folders.
    pub(super) path: String,
    pub(super) size_bytes: u64,
    /// What the cache calls its bytes: the sha256 of a large file, git's id of a small one.
    pub(super) etag: String,
    /// The hash of a large file, where it is known.
    pub(super) sha256: Option<String>,
}

/// The status with which a server answers; redirections are not followed.
pub(super) fn head(endpoint: &str) -> Result<u16, HubError> {
    let failed = |error: reqwest::Error| HubError::Server {
        endpoint: shown(endpoint),
        problem: chain(&error.without_url()),
    };
    let connection = reqwest::blocking::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(READ_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(failed)?;
    Ok(connection.head(endpoint).send().map_err(failed)?.status().as_u16())
}

/// One repository of the hub, and its part of the cache.
pub(super) struct Client {
    repository: HFRepositorySync<RepoTypeModel>,
    cache: RepositoryCache,
    /// `owner/name`.
    id: String,
    /// Where it is asked; what the address carries goes nowhere else.
    address: String,
    /// The same for messages.
    endpoint: String,
    proxy: Option<String>,
    token: Option<String>,
    retries: usize,
}

impl Client {
    pub(super) fn new(owner: &str, name: &str, options: &HubOptions) -> Result<Self, HubError> {
        let wrong = |problem: String| HubError::Server { endpoint: shown(&options.endpoint), problem };
        let mut connection = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT);
        if options.token.is_some() {
            connection = connection.redirect(redirects::with_token());
        }
        let connection = connection.build().map_err(|error| wrong(chain(&error)))?;
        let mut builder = HFClient::builder()
            .client(connection)
            .user_agent(USER_AGENT)
            .endpoint(&options.endpoint)
            .cache_dir(&options.hub_cache)
            .retry_max_attempts(options.retries);
        if let Some(token) = &options.token {
            builder = builder.token(token);
        }
        let client = builder.build_sync().map_err(|error| wrong(chain(&error)))?;
        Ok(Self {
            repository: client.model(owner, name),
            cache: RepositoryCache::new(&options.hub_cache, owner, name),
            id: format!("{owner}/{name}"),
            address: options.endpoint.clone(),
            endpoint: shown(&options.endpoint),
            proxy: options.proxy.clone(),
            token: options.token.clone(),
            retries: options.retries,
        })
    }

    pub(super) fn repository(&self) -> &HFRepositorySync<RepoTypeModel> {
        &self.repository
    }

    pub(super) fn cache(&self) -> &RepositoryCache {
        &self.cache
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The hub's address as messages show it.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Downloads a file of a commit into the cache, unless it is there, and gives its path in the snapshot.
    pub(super) fn download(
        &self,
        commit: &str,
        file: &RemoteFile,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<PathBuf, HubError> {
        let blob = self.cache.blob(&file.etag);
        if let Some(folder) = blob.parent() {
            create_folder(folder)?;
        }
        let _lock = self.cache.lock(&file.etag)?;
        let is_here = std::fs::metadata(&blob).is_ok_and(|found| found.len() == file.size_bytes);
        if !is_here {
            let incomplete = blob.with_file_name(format!("{}.incomplete", file.etag));
            self.complete(commit, file, &incomplete, progress)?;
            if let Err(error) = verify(&incomplete, &self.endpoint, file.size_bytes, file.sha256.as_deref()) {
                std::fs::remove_file(&incomplete).map_err(HubError::io(&incomplete, 0))?;
                return Err(named(error, &file.path));
            }
            std::fs::rename(&incomplete, &blob).map_err(HubError::io(&blob, 0))?;
            blob.parent().into_iter().for_each(sync_folder);
        }
        self.cache.link(commit, &file.path, &file.etag)
    }

    /// Appends to `incomplete` until it has all bytes.
    fn complete(
        &self,
        commit: &str,
        file: &RemoteFile,
        incomplete: &Path,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), HubError> {
        let mut output = open_incomplete(incomplete, file.size_bytes)?;
        let mut done_bytes = output.metadata().map_err(HubError::io(incomplete, 0))?.len();
        check_space(incomplete.parent().unwrap_or(incomplete), incomplete, file.size_bytes - done_bytes)?;
        let mut failures = 0;
        while done_bytes < file.size_bytes {
            let end_bytes = file.size_bytes.min(done_bytes + RANGE_BYTES);
            let mut report = |count: u64| {
                let (place, total_bytes) = (self.endpoint.as_str(), file.size_bytes);
                let done_bytes = (done_bytes + count).min(total_bytes);
                progress(Progress { file: &file.path, place, done_bytes, total_bytes });
            };
            report(0);
            let bytes = match self.range(commit, &file.path, done_bytes..end_bytes, &mut report) {
                Ok(bytes) => bytes,
                // A connection that breaks while the bytes come; hf-hub repeats only those that do not start.
                Err(HFError::Request { ref source, .. })
                    if failures < self.retries && !source.is_connect() && !source.is_redirect() =>
                {
                    failures += 1;
                    continue;
                }
                Err(error) => return Err(self.explain(error, &format!("file {}", file.path))),
            };
            let is_whole_file = done_bytes == 0 && bytes.len() as u64 == file.size_bytes;
            if bytes.len() as u64 != end_bytes - done_bytes && !is_whole_file {
                let problem = format!(
                    "{} bytes of {} for bytes {done_bytes} to {end_bytes} of {}",
                    bytes.len(),
                    file.path,
                    file.size_bytes
                );
                return Err(HubError::Server { endpoint: self.endpoint.clone(), problem });
            }
            output.write_all(&bytes).map_err(HubError::io(incomplete, file.size_bytes - done_bytes))?;
            done_bytes += bytes.len() as u64;
            report_done(&self.endpoint, file, done_bytes, progress);
        }
        output.sync_all().map_err(HubError::io(incomplete, 0))
    }

    /// Some bytes of a file, held nowhere; fewer where the server has fewer.
    pub(super) fn bytes(
        &self,
        commit: &str,
        path: &str,
        range: std::ops::Range<u64>,
    ) -> Result<Vec<u8>, HubError> {
        let wanted = range.end - range.start;
        let begins_file = range.start == 0;
        let bytes = self
            .range(commit, path, range, &mut |_| {})
            .map_err(|error| self.explain(error, &format!("file {path}")))?;
        // A server without ranges gives the file from its beginning.
        if bytes.len() as u64 > wanted && !begins_file {
            let problem = format!("{} bytes of {path} where {wanted} were asked for", bytes.len());
            return Err(HubError::Server { endpoint: self.endpoint.clone(), problem });
        }
        Ok(bytes)
    }

    /// One range, on a thread of its own, so that progress arrives on this one.
    fn range(
        &self,
        commit: &str,
        path: &str,
        range: std::ops::Range<u64>,
        report: &mut dyn FnMut(u64),
    ) -> Result<Vec<u8>, HFError> {
        let (sender, receiver) = channel();
        let request = self.repository.download_file_to_bytes().filename(path).revision(commit).range(range);
        std::thread::scope(|scope| {
            let worker = scope.spawn(move || request.progress(Reporter(sender)).send());
            receiver.iter().for_each(report);
            match worker.join() {
                Ok(result) => result.map(|bytes| bytes.to_vec()),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// hf-hub's error in the user's terms; `what` was asked for.
    pub(super) fn explain(&self, error: HFError, what: &str) -> HubError {
        let not_found =
            |what: &str| HubError::NotFound { repository: self.id.clone(), what: what.to_owned() };
        match error {
            HFError::AuthRequired { context } | HFError::Forbidden { context } => HubError::Gated {
                repository: self.id.clone(),
                status: context.status.as_u16(),
                server_message: self.hidden(context.server_message.as_deref().unwrap_or_default()),
                has_token: self.token.is_some(),
            },
            HFError::RepoNotFound { .. } => not_found("such repository"),
            HFError::RevisionNotFound { revision, .. } => not_found(&format!("revision {revision}")),
            HFError::EntryNotFound { .. } => not_found(what),
            HFError::Http { context } if context.status.as_u16() == 407 => {
                self.no_connection("HTTP 407", true)
            }
            HFError::Request { source, .. } if source.is_redirect() => {
                HubError::Server { endpoint: self.endpoint.clone(), problem: chain(&source.without_url()) }
            }
            HFError::Request { source, .. } => {
                // The address that a large file's bytes come from carries the permission to fetch them.
                let text = chain(&source.without_url());
                self.no_connection(&text, text.contains("proxy") || text.contains("tunnel"))
            }
            HFError::Io(source) => HubError::Io { path: self.cache.snapshot(""), source },
            other => {
                HubError::Server { endpoint: self.endpoint.clone(), problem: self.hidden(&chain(&other)) }
            }
        }
    }

    /// What a server says, without the token, should it repeat it.
    fn hidden(&self, said: &str) -> String {
        without(said, self.token.as_deref().unwrap_or_default())
    }

    fn no_connection(&self, problem: &str, is_proxy: bool) -> HubError {
        let (endpoint, problem) = (self.endpoint.clone(), problem.to_owned());
        match (&self.proxy, is_proxy) {
            (Some(proxy), _) => HubError::Proxy { proxy: shown(proxy), endpoint, problem },
            (None, true) => HubError::Proxy { proxy: "of the system".to_owned(), endpoint, problem },
            (None, false) => HubError::Network { endpoint, problem },
        }
    }
}

fn report_done(place: &str, file: &RemoteFile, done_bytes: u64, progress: &mut dyn FnMut(Progress<'_>)) {
    progress(Progress { file: &file.path, place, done_bytes, total_bytes: file.size_bytes });
}

/// Opens what an earlier download left, or a new file; what is too long is from another file and is dropped.
fn open_incomplete(path: &Path, size_bytes: u64) -> Result<File, HubError> {
    let output =
        OpenOptions::new().create(true).append(true).open(path).map_err(HubError::io(path, size_bytes))?;
    if output.metadata().map_err(HubError::io(path, 0))?.len() > size_bytes {
        output.set_len(0).map_err(HubError::io(path, 0))?;
    }
    Ok(output)
}

/// The file's own name in the message, where the check knew only the name in the cache.
fn named(error: HubError, name: &str) -> HubError {
    match error {
        HubError::WrongFile { place, expected, found, .. } => {
            HubError::WrongFile { file: name.to_owned(), place, expected, found }
        }
        other => other,
    }
}

/// Sends the bytes of the running request to the thread that reports them.
struct Reporter(Sender<u64>);

impl ProgressHandler for Reporter {
    fn on_progress(&self, event: &ProgressEvent) {
        let ProgressEvent::Download(event) = event else { return };
        let done_bytes = match event {
            DownloadEvent::Progress { files } => files.iter().map(|file| file.bytes_completed).max(),
            DownloadEvent::AggregateProgress { bytes_completed, .. } => Some(*bytes_completed),
            _ => None,
        };
        // The receiver is gone only when the download was given up.
        if let Some(bytes) = done_bytes {
            let _ = self.0.send(bytes);
        }
    }
}
