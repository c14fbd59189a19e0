//! A hub of the tests' own, with the interface of the Hugging Face hub, and another host for large files.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::workplace::{Ran, Workplace};

pub(crate) const TOKEN: &str = "hf_verysecret";
/// Larger files come in parts.
const PART_BYTES: usize = 9000;

/// What the hub has and was asked.
#[derive(Default)]
pub(crate) struct State {
    /// With whether they are private.
    pub(crate) repositories: BTreeMap<String, bool>,
    /// Large files by their SHA-256, and parts of them by number.
    pub(crate) large: BTreeMap<String, Vec<u8>>,
    parts: BTreeMap<(String, usize), Vec<u8>>,
    /// The branch: a path to the id of its content, as the hub tells it, and the content of what is not large.
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) texts: BTreeMap<String, Vec<u8>>,
    pub(crate) commits: Vec<String>,
    /// Branches besides `main`, which have its files.
    pub(crate) branches: Vec<String>,
    /// Commits that are made and whose answer is lost, so many.
    pub(crate) unanswered: usize,
    /// Whether the `.gitignore` names everything.
    pub(crate) ignores_all: bool,
    /// Method, path and key of each request.
    asked: Vec<(String, String)>,
    /// Paths with this in them fail, so often.
    pub(crate) failing: Option<(String, usize)>,
    /// The store refuses what it is sent.
    pub(crate) store_refuses: bool,
}

pub(crate) struct Hub {
    pub(crate) endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Hub {
    pub(crate) fn serve() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let bind = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let (hub, store) = (bind(), bind());
        let of = |listener: &TcpListener| format!("http://{}", listener.local_addr().expect("an address"));
        let (endpoint, storage) = (of(&hub), of(&store));
        for listener in [hub, store] {
            let (state, addresses) = (Arc::clone(&state), [endpoint.clone(), storage.clone()]);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    // A client may go away at any time.
                    let _ = answer(stream, &state, &addresses);
                }
            });
        }
        Self { endpoint, state }
    }

    pub(crate) fn push(&self, place: &Workplace, arguments: &[&str]) -> Ran {
        let mut command = place.command(&[&["push"], arguments].concat());
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(name);
        }
        command.env("HF_ENDPOINT", &self.endpoint).env("HF_TOKEN", TOKEN).env_remove("HF_HUB_OFFLINE");
        let ran = Ran::of(command.output().expect("started"));
        assert!(!ran.stdout.contains(TOKEN) && !ran.stderr.contains(TOKEN), "{}{}", ran.stdout, ran.stderr);
        ran
    }

    pub(crate) fn with<T>(&self, of: impl FnOnce(&mut State) -> T) -> T {
        of(&mut self.state.lock().expect("the state"))
    }

    /// How many requests had this in method and path.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.with(|state| state.asked.iter().filter(|(path, _)| path.contains(part)).count())
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>, addresses: &[String; 2]) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut header, mut key, mut length) = (String::new(), String::new(), String::new(), 0);
    reader.read_line(&mut line)?;
    while reader.read_line(&mut header)? > 2 {
        let lower = header.to_ascii_lowercase();
        if let Some(bytes) = lower.strip_prefix("content-length:") {
            length = bytes.trim().parse().unwrap_or(0);
        }
        if lower.starts_with("authorization:") {
            key = header["authorization:".len()..].trim().to_owned();
        }
        header.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = line.rsplit_once(' ').map_or(line.as_str(), |(path, _)| path).to_owned();
    let (status, tag, text) = {
        let mut state = state.lock().expect("the state");
        state.asked.push((path.clone(), key.clone()));
        reply(&mut state, &path, &key, &body, addresses)
    };
    let head =
        format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{tag}Content-Length: {}\r\n\r\n", text.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(text.as_bytes())
}

fn reply(
    state: &mut State,
    path: &str,
    key: &str,
    body: &[u8],
    [endpoint, storage]: &[String; 2],
) -> (u16, String, String) {
    let said = |value: Value| (200, String::new(), value.to_string());
    if let Some((part, left)) = &mut state.failing
        && path.contains(part.as_str())
        && *left > 0
    {
        *left -= 1;
        return (503, String::new(), "busy".to_owned());
    }
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(place) = path.strip_prefix("PUT /store/") {
        assert_eq!(key, "", "the token is not for the store");
        if state.store_refuses {
            return (403, String::new(), "<Error>request has expired</Error>".to_owned());
        }
        return match place.split_once('/') {
            None => {
                state.large.insert(place.to_owned(), body.to_vec());
                (200, String::new(), String::new())
            }
            Some((id, number)) => {
                let number: usize = number.parse().expect("a number");
                state.parts.insert((id.to_owned(), number), body.to_vec());
                (200, format!("ETag: \"{number}-{}\"\r\n", body.len()), String::new())
            }
        };
    }
    if let Some(id) = path.strip_prefix("POST /store/whole/") {
        assert_eq!(key, "", "the token is not for the store");
        let mut whole = Vec::new();
        for (at, part) in asked["parts"].as_array().expect("parts").iter().enumerate() {
            let bytes = &state.parts[&(id.to_owned(), at + 1)];
            assert_eq!(part["etag"], format!("\"{}-{}\"", at + 1, bytes.len()));
            whole.extend(bytes);
        }
        state.large.insert(id.to_owned(), whole);
        return said(json!({}));
    }
    if key != format!("Bearer {TOKEN}") {
        return (401, String::new(), json!({"error": format!("who is {key}?")}).to_string());
    }
    if path == "POST /api/repos/create" {
        let (owner, name) = (asked["organization"].as_str(), asked["name"].as_str());
        let name = format!("{}/{}", owner.expect("an owner"), name.expect("a name"));
        if name.starts_with("stranger/") {
            let text = json!({"error": format!("{TOKEN} may not write there")}).to_string();
            return (403, String::new(), text);
        }
        if state.repositories.contains_key(&name) {
            return (409, String::new(), "{}".to_owned());
        }
        state.repositories.insert(name, asked["private"] == true);
        return said(json!({}));
    }
    let (method, path) = path.split_once(' ').expect("a path");
    // Every branch has the files of `main`: that it is there is what counts.
    let branch = path.rsplit('/').next().unwrap_or(path).to_owned();
    let is_branch = branch == "main" || state.branches.contains(&branch);
    let path = match is_branch {
        true => path.strip_suffix(&branch).map_or(path.to_owned(), |start| format!("{start}main")),
        false => path.to_owned(),
    };
    match (method, path.as_str()) {
        ("GET", "/api/models/me/model") if state.repositories.contains_key("me/model") => {
            said(json!({"id": "me/model", "private": state.repositories["me/model"]}))
        }
        ("GET", "/api/models/me/model/revision/main") => {
            let files: Vec<Value> = state.files.keys().map(|path| json!({"rfilename": path})).collect();
            said(json!({"sha": format!("head {}", state.commits.len()), "siblings": files}))
        }
        ("POST", path) if path.starts_with("/api/models/me/model/branch/") => {
            let is_there = state.branches.contains(&branch);
            state.branches.push(branch);
            if is_there { (409, String::new(), "{}".to_owned()) } else { said(json!({})) }
        }
        ("POST", "/api/models/me/model/preupload/main") => {
            let files = asked["files"].as_array().expect("files").iter().map(|file| {
                let path = file["path"].as_str().expect("a path");
                let mode = if path.ends_with(".safetensors") { "lfs" } else { "regular" };
                json!({"path": path, "uploadMode": mode, "shouldIgnore": state.ignores_all || path == "notes.tmp", "oid": state.files.get(path)})
            });
            said(json!({"files": files.collect::<Vec<_>>()}))
        }
        ("POST", "/me/model.git/info/lfs/objects/batch") => {
            let object = &asked["objects"][0];
            let (id, size) =
                (object["oid"].as_str().expect("an id"), object["size"].as_u64().expect("a size"));
            if state.large.contains_key(id) {
                return said(json!({"objects": [{"oid": id, "size": size}]}));
            }
            let mut upload = json!({"href": format!("{storage}/store/{id}")});
            if size as usize > PART_BYTES {
                let mut header = json!({"chunk_size": PART_BYTES.to_string()});
                for number in 1..=(size as usize).div_ceil(PART_BYTES) {
                    header[format!("{number:05}")] = format!("{storage}/store/{id}/{number}").into();
                }
                upload = json!({"href": format!("{storage}/store/whole/{id}"), "header": header});
            }
            let verify = json!({"href": format!("{endpoint}/verify")});
            said(
                json!({"objects": [{"oid": id, "size": size, "actions": {"upload": upload, "verify": verify}}]}),
            )
        }
        ("POST", "/verify") => {
            let whole = &state.large[asked["oid"].as_str().expect("an id")];
            assert_eq!(asked["size"], whole.len());
            said(json!({}))
        }
        ("POST", "/api/models/me/model/commit/main") => {
            let text = std::str::from_utf8(body).expect("text");
            let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
            let header = lines.next().expect("a header")["value"].clone();
            if header["parentCommit"] != format!("head {}", state.commits.len()) {
                return (412, String::new(), json!({"error": "the branch has moved"}).to_string());
            }
            let summary = header["summary"].as_str().expect("text").to_owned();
            for line in lines {
                let value = &line["value"];
                let path = value["path"].as_str().expect("a path").to_owned();
                if line["key"] == "deletedFile" {
                    assert!(state.files.remove(&path).is_some(), "{path} is not there");
                } else if line["key"] == "lfsFile" {
                    let id = value["oid"].as_str().expect("an id").to_owned();
                    assert!(state.large.contains_key(&id), "{path} was not uploaded");
                    state.files.insert(path, id);
                } else {
                    let content = decoded(value["content"].as_str().expect("text"));
                    state.files.insert(path.clone(), git_id(&content));
                    state.texts.insert(path, content);
                }
            }
            state.commits.push(summary);
            if state.unanswered > 0 {
                state.unanswered -= 1;
                return (502, String::new(), "lost".to_owned());
            }
            said(json!({"commitUrl": format!("{endpoint}/me/model/commit/{}", state.commits.len())}))
        }
        _ => (404, String::new(), json!({"error": format!("nothing at {path}")}).to_string()),
    }
}

/// Base64 back to bytes.
fn decoded(text: &str) -> Vec<u8> {
    let of = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters: Vec<u8> = text.bytes().filter(|letter| *letter != b'=').map(of).collect();
    let bits: Vec<u8> = letters.iter().flat_map(|six| (0..6).rev().map(move |bit| six >> bit & 1)).collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit)).collect()
}

/// What git calls a content.
pub(crate) fn git_id(content: &[u8]) -> String {
    use sha1::{Digest, Sha1};
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", content.len()));
    hash.update(content);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
