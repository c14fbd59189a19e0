//! A hub on the loopback interface: enough of its interface for the downloads, and its failures.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::hub::files::sha256;

/// The commit that every revision is.
pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Every answer has this status.
    Status(u16),
    /// Answers to downloads have this status; the list of files is public.
    FileStatus(u16),
    /// The first download of a large file stops in the middle.
    CutOnce,
    /// Bytes are changed on the way.
    Altered,
    /// The repository has another name by now, to which downloads are redirected.
    Renamed,
    /// The same, and bytes are changed on the way.
    RenamedAltered,
    /// The first question about a large file is answered with 503.
    BusyOnce,
    /// The bytes of large files lie where nobody answers, behind an address that carries a permission.
    Elsewhere,
    /// They lie with the server of this port.
    At(u16),
    /// Downloads are redirected within this server.
    Within,
    /// Every answer has this status, and repeats what it was asked with.
    Telling(u16),
}

/// What a client is known by that was told the token of these tests.
pub(super) const BEARER: &str = "Bearer secret";

struct State {
    files: BTreeMap<String, Vec<u8>>,
    fault: Fault,
    requests: Vec<String>,
}

/// A server that lives as long as the test's process.
pub(super) struct Server {
    pub(super) endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(super) fn start(files: &[(&str, &[u8])], fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        let state = Arc::new(Mutex::new(State { files, fault, requests: Vec::new() }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client may go away at any time.
                let _ = answer(stream, &shared);
            }
        });
        Self { endpoint, state }
    }

    pub(super) fn set_fault(&self, fault: Fault) {
        self.state.lock().expect("state").fault = fault;
    }

    /// `METHOD PATH RANGE` of the requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.state.lock().expect("state").requests.clone()
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let mut range = None;
    let (mut header, mut token) = (String::new(), String::new());
    while reader.read_line(&mut header)? > 2 {
        let lower = header.to_ascii_lowercase();
        if let Some(bounds) = lower.strip_prefix("range: bytes=") {
            let (start, end) = bounds.trim().split_once('-').unwrap_or(("0", "0"));
            range = Some((start.parse().unwrap_or(0), end.parse().unwrap_or(0)));
        }
        if lower.starts_with("authorization:") {
            token = header.trim().to_owned();
        }
        header.clear();
    }
    let mut state = state.lock().expect("state");
    state.requests.push(format!("{method} {path} {range:?} {token}"));
    let (status, mut headers, body, cut) = respond(&mut state, method, path, range);
    if let Fault::Telling(_) = state.fault {
        headers.push(("X-Error-Message", format!("you said: {token}")));
    }
    let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if method != "HEAD" {
        let sent = if cut { body.len() / 2 } else { body.len() };
        stream.write_all(&body[..sent])?;
    }
    Ok(())
}

type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>, bool);

fn respond(state: &mut State, method: &str, path: &str, range: Option<(usize, usize)>) -> Answer {
    let refused = |status: u16| (status, vec![("X-Error-Message", "a test".to_owned())], Vec::new(), false);
    if let Fault::Status(status) = state.fault {
        return refused(status);
    }
    if let Fault::Telling(status) = state.fault {
        return (status, Vec::new(), format!("you said {BEARER} as well").into_bytes(), false);
    }
    let json = |value: serde_json::Value| {
        (200, vec![("Content-Type", "application/json".to_owned())], value.to_string().into_bytes(), false)
    };
    let renamed = matches!(state.fault, Fault::Renamed | Fault::RenamedAltered);
    if let Some(file) = path.strip_prefix("/o/n/resolve/").filter(|_| renamed) {
        return (307, vec![("Location", format!("/new/name/resolve/{file}"))], Vec::new(), false);
    }
    let names = ["/api/models/o/n/", "/o/n/", "/new/name/"];
    let Some(rest) = names.iter().find_map(|name| path.strip_prefix(name)) else {
        return refused(404);
    };
    if rest.starts_with("revision/missing") {
        return refused(404);
    }
    if rest.starts_with("revision/") {
        return json(json!({"id": "o/n", "_id": "1", "sha": COMMIT}));
    }
    if rest.starts_with("tree/") {
        return json(state.files.iter().map(|(name, bytes)| entry(name, bytes)).collect());
    }
    if let Some(name) = rest.strip_prefix("bytes/").filter(|_| state.fault == Fault::Within) {
        return (302, vec![("Location", format!("/o/n/within/{name}"))], Vec::new(), false);
    }
    let Some(bytes) = rest.rsplit('/').next().and_then(|name| state.files.get(name)) else {
        return refused(404);
    };
    if let Fault::FileStatus(status) = state.fault {
        return refused(status);
    }
    let mut bytes = bytes.clone();
    let hash = sha256(&bytes[..]).expect("hash").0;
    let is_large = rest.ends_with(".safetensors");
    if matches!(state.fault, Fault::Altered | Fault::RenamedAltered) {
        bytes[0] ^= 1;
    }
    if is_large && method == "HEAD" && state.fault == Fault::BusyOnce {
        state.fault = Fault::None;
        return refused(503);
    }
    let headers = match is_large && rest.starts_with("resolve/") {
        true if state.fault == Fault::Elsewhere => vec![
            ("X-Linked-Etag", format!("\"{hash}\"")),
            ("Location", "http://127.0.0.1:1/bytes?X-Amz-Signature=permission".to_owned()),
        ],
        true => {
            let elsewhere = match state.fault {
                Fault::At(port) => format!("http://127.0.0.1:{port}"),
                _ => String::new(),
            };
            let name = rest.rsplit('/').next().unwrap_or("");
            vec![
                ("X-Linked-Etag", format!("\"{hash}\"")),
                ("Location", format!("{elsewhere}/o/n/bytes/{name}")),
            ]
        }
        false => vec![("ETag", "\"e\"".to_owned()), ("X-Repo-Commit", COMMIT.to_owned())],
    };
    if headers[0].0 == "X-Linked-Etag" {
        return (302, headers, Vec::new(), false);
    }
    let cut = is_large && range.is_some() && state.fault == Fault::CutOnce;
    if cut {
        state.fault = Fault::None;
    }
    match range {
        Some((start, end)) => (206, headers, bytes[start..=end.min(bytes.len() - 1)].to_vec(), cut),
        None => (200, headers, bytes, cut),
    }
}

/// An entry of the file list, as the hub writes it.
fn entry(name: &str, bytes: &[u8]) -> serde_json::Value {
    let mut entry =
        json!({"type": "file", "oid": format!("{:040x}", bytes.len()), "size": bytes.len(), "path": name});
    if name.ends_with(".safetensors") {
        let hash = sha256(bytes).expect("hash").0;
        entry["lfs"] = json!({"oid": hash, "size": bytes.len(), "pointerSize": 134});
    }
    entry
}
