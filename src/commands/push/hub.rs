//! The hub's interface for uploads, as the Python library `huggingface_hub` uses it: a repository, how each file is to come,
//! large files by git's LFS protocol, one commit.
//!
//! The crate `hf-hub` uploads large files by another protocol alone (xet), whose half of the program would be some MB.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::blocking::{Body, Client, RequestBuilder, Response};
use serde_json::{Value, json};

use super::files::{File, MAX_REGULAR_BYTES, Mode};
use crate::failure::BadInput;
use crate::reporter::{Work, say};

/// How often a request is made that the network or the server fails.
const TRIALS: u32 = 5;
/// Before the second trial; it doubles from trial to trial.
const FIRST_WAIT: Duration = Duration::from_millis(400);
/// Time for a request without a file, and the slowest line that one with a file is waited for.
const WAIT: Duration = Duration::from_secs(300);
const SLOWEST_BYTES_PER_SECOND: u64 = 50_000;
/// An answer is some kB; the longest lists the parts of a large file.
const MAX_ANSWER_BYTES: u64 = 16 << 20;
/// Files that are asked about in one request, as `huggingface_hub` does.
const FILES_AT_ONCE: usize = 256;
const JSON: &str = "application/json";
const LFS_JSON: &str = "application/vnd.git-lfs+json";

pub(super) struct Hub {
    client: Client,
    endpoint: String,
    token: String,
    owner: String,
    name: String,
    branch: String,
}

/// What the hub says of a file.
pub(super) struct Wanted {
    pub(super) mode: Mode,
    /// Whether the repository's `.gitignore` names it.
    pub(super) is_ignored: bool,
    /// What stands there already under its name.
    pub(super) there: Option<String>,
}

impl Hub {
    pub(super) fn new(
        endpoint: &str,
        token: String,
        [owner, name]: [&str; 2],
        branch: &str,
    ) -> anyhow::Result<Self> {
        // A redirection would take the token to wherever it points.
        let client = Client::builder().timeout(None).redirect(reqwest::redirect::Policy::none()).build()?;
        let [owner, name, branch, endpoint] = [owner, name, branch, endpoint].map(str::to_owned);
        Ok(Self { client, endpoint, token, owner, name, branch })
    }

    /// Creates the repository if it is not there.
    pub(super) fn create(&self, private: bool) -> anyhow::Result<()> {
        let url = format!("{}/api/repos/create", self.endpoint);
        let asked =
            json!({"type": "model", "name": self.name, "organization": self.owner, "private": private});
        let answer = self.send(|| Ok(self.question(&url, &asked, JSON)))?;
        if answer.status().as_u16() == 409 {
            return Ok(());
        }
        let answer = self.refused(answer, "create it");
        // Some tokens may write to a repository and create none: whether it is there shows next.
        match answer {
            Err(error) if error.is::<BadInput>() && self.is_there()? => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                say(&format!("created {}/{}/{}", self.endpoint, self.owner, self.name));
                Ok(())
            }
        }
    }

    fn is_there(&self) -> anyhow::Result<bool> {
        let url = format!("{}/api/models/{}/{}", self.endpoint, self.owner, self.name);
        let answer = self.send(|| Ok(self.authorized(self.client.get(&url)).timeout(WAIT)))?;
        Ok(answer.status().is_success())
    }

    /// How each file is to come, and what is there of it.
    pub(super) fn modes(&self, files: &[File]) -> anyhow::Result<Vec<Wanted>> {
        let url = self.api("preupload");
        let mut wanted = Vec::with_capacity(files.len());
        for files in files.chunks(FILES_AT_ONCE) {
            let asked: Vec<Value> = files
                .iter()
                .map(|file| {
                    let sample = BASE64.encode(&file.sample);
                    json!({"path": file.path, "size": file.size_bytes, "sample": sample})
                })
                .collect();
            let asked = json!({"files": asked});
            let answer = self.send(|| Ok(self.question(&url, &asked, JSON)))?;
            let answer = value(self.refused(answer, "say how files are to come")?)?;
            for file in files {
                let mut all = answer["files"].as_array().into_iter().flatten();
                let said = all.find(|said| said["path"] == file.path.as_str());
                let said = said.ok_or_else(|| anyhow!("the hub says nothing of `{}`", file.path))?;
                let is_lfs = said["uploadMode"] == "lfs" && file.size_bytes > 0;
                if !is_lfs && file.size_bytes > MAX_REGULAR_BYTES {
                    let most = MAX_REGULAR_BYTES >> 20;
                    return Err(anyhow!(
                        "the hub wants `{}` beside the commit's text, where at most {most} MiB go",
                        file.path
                    ));
                }
                wanted.push(Wanted {
                    mode: if is_lfs { Mode::Lfs } else { Mode::Regular },
                    is_ignored: said["shouldIgnore"] == true,
                    there: said["oid"].as_str().map(str::to_owned),
                });
            }
        }
        Ok(wanted)
    }

    /// Uploads the large files that are not there yet, under whatever name: what an interrupted push has uploaded is.
    pub(super) fn upload(&self, files: &[&File]) -> anyhow::Result<()> {
        let url = format!("{}/{}/{}.git/info/lfs/objects/batch", self.endpoint, self.owner, self.name);
        let mut work = Work::new("uploading");
        for (done, file) in files.iter().enumerate() {
            work.show(done, files.len());
            let object = json!({"oid": file.sha256, "size": file.size_bytes});
            let asked = json!({"operation": "upload", "transfers": ["basic", "multipart"], "hash_algo": "sha256",
                "ref": {"name": self.branch}, "objects": [object]});
            // One at a time: the addresses that are given are good for some hours only.
            let answer = self.send(|| Ok(self.question(&url, &asked, LFS_JSON)))?;
            let answer = value(self.refused(answer, &format!("take `{}`", file.path))?)?;
            let said = &answer["objects"][0];
            if let Some(problem) = said["error"]["message"].as_str() {
                return Err(anyhow!("the hub does not take `{}`: {}", file.path, self.hidden(problem)));
            }
            let actions = &said["actions"];
            let Some(href) = actions["upload"]["href"].as_str() else { continue };
            let header = &actions["upload"]["header"];
            let part = &header["chunk_size"];
            match part.as_u64().or_else(|| part.as_str()?.parse().ok()) {
                Some(part_bytes) => self.in_parts(file, href, header, part_bytes)?,
                None => drop(self.put(file, href, 0, file.size_bytes)?),
            }
            if let Some(href) = actions["verify"]["href"].as_str() {
                let answer = self.send(|| Ok(self.question(href, &object, LFS_JSON)))?;
                self.refused(answer, &format!("verify `{}`", file.path))?;
            }
            say(&format!("uploaded {} ({:.1} MB)", file.path, file.size_bytes as f64 / 1e6));
        }
        work.finish();
        Ok(())
    }

    /// Parts to the addresses that `header` has by number, then their tags to `href`.
    fn in_parts(&self, file: &File, href: &str, header: &Value, part_bytes: u64) -> anyhow::Result<()> {
        let wrong = || anyhow!("the hub's answer has no parts for `{}`", file.path);
        let addresses = header.as_object().ok_or_else(wrong)?.iter();
        let mut addresses: Vec<(u64, &str)> = addresses
            .filter_map(|(number, address)| Some((number.parse().ok()?, address.as_str()?)))
            .collect();
        addresses.sort_unstable();
        if part_bytes == 0 || addresses.len() as u64 != file.size_bytes.div_ceil(part_bytes) {
            return Err(wrong());
        }
        let mut parts = Vec::new();
        for (number, (_, address)) in addresses.iter().enumerate() {
            let start = number as u64 * part_bytes;
            let answer = self.put(file, address, start, part_bytes.min(file.size_bytes - start))?;
            let tag = answer.headers().get("etag").and_then(|tag| tag.to_str().ok()).ok_or_else(wrong)?;
            parts.push(json!({"partNumber": number + 1, "etag": tag}));
        }
        let whole = json!({"oid": file.sha256, "parts": parts});
        let answer = self.send(|| Ok(self.question(href, &whole, LFS_JSON)))?;
        self.refused(answer, &format!("put `{}` together", file.path)).map(drop)
    }

    /// Sends bytes of a file to an address that carries its own permission: the token is not for it.
    fn put(&self, file: &File, address: &str, start: u64, bytes: u64) -> anyhow::Result<Response> {
        let answer = self.send(|| {
            let unreadable = || format!("cannot read `{}`", file.place.display());
            let mut content = fs::File::open(&file.place).with_context(unreadable)?;
            content.seek(SeekFrom::Start(start)).with_context(unreadable)?;
            let wait = WAIT + Duration::from_secs(bytes / SLOWEST_BYTES_PER_SECOND);
            Ok(self.client.put(address).timeout(wait).body(Body::sized(content.take(bytes), bytes)))
        })?;
        self.refused(answer, &format!("take `{}`", file.path))
    }

    /// Makes one commit of all files; gives its address.
    pub(super) fn commit(&self, message: &str, files: &[(&File, Mode)]) -> anyhow::Result<String> {
        let mut lines =
            json!({"key": "header", "value": {"summary": message, "description": ""}}).to_string();
        for (file, mode) in files {
            lines.push('\n');
            let line = match mode {
                Mode::Regular => {
                    let content = fs::read(&file.place)
                        .with_context(|| format!("cannot read `{}`", file.place.display()))?;
                    json!({"key": "file", "value": {"path": file.path, "encoding": "base64",
                        "content": BASE64.encode(content)}})
                }
                Mode::Lfs => json!({"key": "lfsFile", "value": {"path": file.path, "algo": "sha256",
                    "oid": file.sha256, "size": file.size_bytes}}),
            };
            lines += &line.to_string();
        }
        let url = self.api("commit");
        let answer = self.send(|| {
            let request = self.authorized(self.client.post(&url)).timeout(WAIT);
            Ok(request.header("content-type", "application/x-ndjson").body(lines.clone()))
        })?;
        let answer = value(self.refused(answer, "commit")?)?;
        let said = answer["commitUrl"].as_str().or_else(|| answer["commitOid"].as_str());
        Ok(said.unwrap_or("without an address").to_owned())
    }

    fn api(&self, what: &str) -> String {
        format!("{}/api/models/{}/{}/{what}/{}", self.endpoint, self.owner, self.name, self.branch)
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(&self.token)
    }

    /// A question of a content type; another host than the hub is not told the token.
    fn question(&self, url: &str, asked: &Value, kind: &str) -> RequestBuilder {
        let request = self.client.post(url).timeout(WAIT).body(asked.to_string());
        let request = request.header("accept", kind).header("content-type", kind);
        let is_own = url.strip_prefix(&self.endpoint).is_some_and(|rest| rest.starts_with('/'));
        if is_own { self.authorized(request) } else { request }
    }

    /// Makes a request again where the network or the server fails it.
    fn send(&self, request: impl Fn() -> anyhow::Result<RequestBuilder>) -> anyhow::Result<Response> {
        let (mut wait, mut trials) = (FIRST_WAIT, TRIALS);
        loop {
            let answer = request()?.send();
            trials -= 1;
            let failed = match &answer {
                Ok(answer) => answer.status().is_server_error() || answer.status().as_u16() == 429,
                Err(_) => true,
            };
            if !failed || trials == 0 {
                // An address may carry a permission.
                let answer = answer.map_err(reqwest::Error::without_url);
                return answer.with_context(|| format!("{} cannot be reached", self.endpoint));
            }
            std::thread::sleep(wait);
            wait *= 2;
        }
    }

    /// The answer, or what the hub says against it.
    fn refused(&self, answer: Response, what: &str) -> anyhow::Result<Response> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let said = value(answer).ok().and_then(|said| said["error"].as_str().map(|said| self.hidden(said)));
        let said = said.map_or_else(String::new, |said| format!(": {said}"));
        let Self { endpoint, owner, name, .. } = self;
        let problem = format!("`{owner}/{name}`: {endpoint} refuses to {what} ({status}){said}");
        let hint = match status.as_u16() {
            401 => "the hub does not know the token in HF_TOKEN",
            403 => {
                "the token in HF_TOKEN may not write there: make one that may, or name a repository of your own"
            }
            404 => "there is no such owner, or no such branch",
            _ => return Err(anyhow!(problem)),
        };
        Err(BadInput::new(problem).with_hint(hint).into())
    }

    /// What the hub says, without the token, should it repeat it.
    fn hidden(&self, said: &str) -> String {
        said.replace(&self.token, "(the token)")
    }
}

/// An answer as JSON.
fn value(answer: Response) -> anyhow::Result<Value> {
    let mut text = Vec::new();
    answer.take(MAX_ANSWER_BYTES).read_to_end(&mut text).context("the hub's answer breaks off")?;
    serde_json::from_slice(&text).context("the hub's answer is no JSON")
}
