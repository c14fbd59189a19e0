//! The hash of a large file, which the hub says where it redirects to the file's bytes.

use std::time::Duration;

use super::{CONNECT_TIMEOUT, Client, READ_TIMEOUT, USER_AGENT};
use crate::hub::HubError;

/// The hub's name for the sha256 of a large file, in the answer that redirects to its bytes.
const LINKED_ETAG: &str = "x-linked-etag";
/// Redirections to another name of a repository that are followed; more are a circle.
const MAX_MOVES: usize = 10;
/// The wait before the first repetition of a request, which doubles with each, as hf-hub's do.
const FIRST_WAIT: Duration = Duration::from_millis(200);

impl Client {
    /// The sha256 of a large file, which the hub says in the redirection to its bytes; `None` if it does not. A repository that was
    /// renamed is followed to its new name, which says it.
    ///
    /// hf-hub cannot tell: its reader of the file list expects the hash under another key than the hub writes
    /// (`lfs.oid`), and its question about one file follows the redirection and so loses the answer.
    pub(in crate::hub) fn linked_sha256(&self, commit: &str, path: &str) -> Result<Option<String>, HubError> {
        let mut url = format!("{}/{}/resolve/{commit}/{path}", self.address, self.id);
        let connection = reqwest::blocking::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(READ_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| self.explain(error.into(), path))?;
        for _ in 0..=MAX_MOVES {
            let answer = self.asked(&connection, &url, path)?;
            let is_sha256 =
                |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let hash = header(&answer, LINKED_ETAG).map(|etag| etag.trim_matches('"').to_owned());
            match (hash.filter(is_sha256), next_name(&url, &answer)) {
                (None, Some(next)) => url = next,
                (hash, _) => return Ok(hash),
            }
        }
        let problem = format!("{path} of {}: more than {MAX_MOVES} redirections", self.id);
        Err(HubError::Server { endpoint: self.endpoint.clone(), problem })
    }

    /// The answer to a question about a file, which is there or elsewhere; one that fails for now is repeated.
    fn asked(
        &self,
        connection: &reqwest::blocking::Client,
        url: &str,
        path: &str,
    ) -> Result<reqwest::blocking::Response, HubError> {
        let (mut failures, mut wait) = (0, FIRST_WAIT);
        loop {
            let request = connection.head(url);
            let request = match &self.token {
                Some(token) => request.bearer_auth(token),
                None => request,
            };
            let answer = request.send();
            let is_passing = match &answer {
                Ok(answer) => answer.status().is_server_error() || answer.status().as_u16() == 429,
                Err(error) => !error.is_builder(),
            };
            if is_passing && failures < self.retries {
                std::thread::sleep(wait);
                (failures, wait) = (failures + 1, wait.saturating_mul(2));
                continue;
            }
            let answer = answer.map_err(|error| self.explain(error.into(), path))?;
            let status = answer.status();
            if status.is_success() || status.is_redirection() {
                return Ok(answer);
            }
            return Err(match status.as_u16() {
                status @ (401 | 403) => HubError::Gated {
                    repository: self.id.clone(),
                    status,
                    server_message: self.hidden(&header(&answer, "x-error-message").unwrap_or_default()),
                    has_token: self.token.is_some(),
                },
                404 => HubError::NotFound { repository: self.id.clone(), what: format!("file {path}") },
                407 => self.no_connection("HTTP 407", true),
                status => {
                    let problem = format!("HTTP {status} for the hash of {path} of {}", self.id);
                    HubError::Server { endpoint: self.endpoint.clone(), problem }
                }
            });
        }
    }
}

fn header(answer: &reqwest::blocking::Response, name: &str) -> Option<String> {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The place on the same server that a redirection names; the bytes of files lie on others.
fn next_name(asked: &str, answer: &reqwest::blocking::Response) -> Option<String> {
    let location = header(answer, "location").filter(|_| answer.status().is_redirection())?;
    let asked = reqwest::Url::parse(asked).ok()?;
    let mut next = asked.join(&location).ok()?;
    if next.origin() != asked.origin() {
        return None;
    }
    // What the address carries goes along; an address of a hub has a host, without which this would fail.
    let _ = next.set_username(asked.username());
    let _ = next.set_password(asked.password());
    Some(next.into())
}
