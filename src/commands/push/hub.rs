//! The hub's interface for uploads, as the Python library `huggingface_hub` uses it: how it is asked, and what its answers mean.
//!
//! The crate `hf-hub` uploads large files by another protocol alone (xet), whose half of the program would be some MB.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, anyhow};
use reqwest::Url;
use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::Value;

use crate::failure::BadInput;

/// How often a request is made that the network or the server fails.
pub(super) const TRIALS: u32 = 5;
/// Before the second trial; it doubles from trial to trial.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(400);
/// Time for a request without a file.
pub(super) const WAIT: Duration = Duration::from_secs(300);
/// An answer is some kB; the longest lists the parts of a large file.
const MAX_ANSWER_BYTES: u64 = 16 << 20;
pub(super) const JSON: &str = "application/json";

pub(super) struct Hub {
    pub(super) client: Client,
    pub(super) endpoint: String,
    token: String,
    pub(super) owner: String,
    pub(super) name: String,
    pub(super) branch: String,
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

    /// The address of something of the repository.
    pub(super) fn api(&self, what: &str) -> String {
        format!("{}/api/models/{}/{}{what}", self.endpoint, self.owner, self.name)
    }

    pub(super) fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(&self.token)
    }

    /// Whether an address is the hub's own.
    pub(super) fn is_own(&self, url: &str) -> bool {
        url.strip_prefix(&self.endpoint).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Asks the hub, which is told the token.
    pub(super) fn ask(&self, url: &str) -> anyhow::Result<Response> {
        self.send(url, || Ok(self.authorized(self.client.get(url)).timeout(WAIT)))
    }

    /// A question of a content type; another host than the hub is not told the token.
    pub(super) fn question(&self, url: &str, asked: &Value, kind: &str) -> RequestBuilder {
        let request = self.client.post(url).timeout(WAIT).body(asked.to_string());
        let request = request.header("accept", kind).header("content-type", kind);
        if self.is_own(url) { self.authorized(request) } else { request }
    }

    /// Makes a request again where the network or the server fails it.
    pub(super) fn send(
        &self,
        url: &str,
        request: impl Fn() -> anyhow::Result<RequestBuilder>,
    ) -> anyhow::Result<Response> {
        let (mut wait, mut trials) = (FIRST_WAIT, TRIALS);
        loop {
            let answer = request()?.send();
            trials -= 1;
            if !is_failing(&answer) || trials == 0 {
                return self.came(url, answer);
            }
            std::thread::sleep(wait);
            wait *= 2;
        }
    }

    /// The answer, or who did not give one.
    pub(super) fn came(&self, url: &str, answer: reqwest::Result<Response>) -> anyhow::Result<Response> {
        // An address may carry a permission.
        let answer = answer.map_err(reqwest::Error::without_url);
        answer.with_context(|| format!("{} cannot be reached", self.host(url)))
    }

    /// Whose address it is, without what it carries.
    fn host(&self, url: &str) -> String {
        if self.is_own(url) {
            return rtune_models::hub::shown(&self.endpoint);
        }
        let store = Url::parse(url).map(|url| url.origin().ascii_serialization());
        format!(
            "the store of large files{}",
            store.map_or_else(|_| String::new(), |host| format!(" at {host}"))
        )
    }

    /// The answer, or what the hub or its store says against it.
    pub(super) fn refused(&self, url: &str, answer: Response, what: &str) -> anyhow::Result<Response> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let Self { owner, name, .. } = self;
        let host = self.host(url);
        if !self.is_own(url) {
            // The store knows no token: each address carries its own permission, which runs out.
            return Err(anyhow!(
                "`{owner}/{name}`: {host} refuses to {what} ({status}): push again, which sends only what it does not have yet"
            ));
        }
        let said = value(answer).ok().and_then(|said| said["error"].as_str().map(|said| self.hidden(said)));
        let said = said.map_or_else(String::new, |said| format!(": {said}"));
        let problem = format!("`{owner}/{name}`: {host} refuses to {what} ({status}){said}");
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
    pub(super) fn hidden(&self, said: &str) -> String {
        rtune_models::hub::without(said, &self.token)
    }
}

/// Whether the network or the server failed, and not what was asked.
pub(super) fn is_failing(answer: &reqwest::Result<Response>) -> bool {
    match answer {
        Ok(answer) => answer.status().is_server_error() || answer.status().as_u16() == 429,
        Err(_) => true,
    }
}

/// An answer as JSON.
pub(super) fn value(answer: Response) -> anyhow::Result<Value> {
    let mut text = Vec::new();
    answer.take(MAX_ANSWER_BYTES).read_to_end(&mut text).context("the hub's answer breaks off")?;
    serde_json::from_slice(&text).context("the hub's answer is no JSON")
}
