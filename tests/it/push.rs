//! Uploads to a hub: a server of the test's own with the interface of the Hugging Face hub, and another host for large files.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::workplace::{Ran, Workplace};

const TOKEN: &str = "hf_verysecret";
/// Larger files come in parts.
const PART_BYTES: usize = 9000;

/// What the hub has and was asked.
#[derive(Default)]
struct State {
    repositories: Vec<String>,
    /// Large files by their SHA-256, and parts of them by number.
    large: BTreeMap<String, Vec<u8>>,
    parts: BTreeMap<(String, usize), Vec<u8>>,
    /// The branch: a path to the id of its content, as the hub tells it, and the content of what is not large.
    files: BTreeMap<String, String>,
    texts: BTreeMap<String, Vec<u8>>,
    commits: Vec<String>,
    /// Method, path and key of each request.
    asked: Vec<(String, String)>,
    /// Paths with this in them fail, so often.
    failing: Option<(String, usize)>,
}

struct Hub {
    endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Hub {
    fn serve() -> Self {
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

    fn push(&self, place: &Workplace, arguments: &[&str]) -> Ran {
        let mut command = place.command(&[&["push"], arguments].concat());
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(name);
        }
        command.env("HF_ENDPOINT", &self.endpoint).env("HF_TOKEN", TOKEN).env_remove("HF_HUB_OFFLINE");
        let ran = Ran::of(command.output().expect("started"));
        assert!(!ran.stdout.contains(TOKEN) && !ran.stderr.contains(TOKEN), "{}{}", ran.stdout, ran.stderr);
        ran
    }

    fn with<T>(&self, of: impl FnOnce(&mut State) -> T) -> T {
        of(&mut self.state.lock().expect("the state"))
    }

    /// How many requests had this in method and path.
    fn count(&self, part: &str) -> usize {
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
        let is_there = state.repositories.contains(&name);
        state.repositories.push(name);
        return if is_there { (409, String::new(), "{}".to_owned()) } else { said(json!({})) };
    }
    let (method, path) = path.split_once(' ').expect("a path");
    match (method, path) {
        ("POST", "/api/models/me/model/preupload/main") => {
            let files = asked["files"].as_array().expect("files").iter().map(|file| {
                let path = file["path"].as_str().expect("a path");
                let mode = if path.ends_with(".safetensors") { "lfs" } else { "regular" };
                json!({"path": path, "uploadMode": mode, "shouldIgnore": path == "notes.tmp", "oid": state.files.get(path)})
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
            let summary =
                lines.next().expect("a header")["value"]["summary"].as_str().expect("text").to_owned();
            for line in lines {
                let value = &line["value"];
                let path = value["path"].as_str().expect("a path").to_owned();
                if line["key"] == "lfsFile" {
                    let id = value["oid"].as_str().expect("an id").to_owned();
                    assert!(state.large.contains_key(&id), "{path} was not uploaded");
                    state.files.insert(path, id);
                } else {
                    let content = decoded(value["content"].as_str().expect("text"));
                    state.files.insert(path.clone(), format!("git of {}", content.len()));
                    state.texts.insert(path, content);
                }
            }
            state.commits.push(summary);
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

/// A folder as `merge` writes one, its weights in two files, one of them in parts.
fn folder(place: &Workplace) {
    std::fs::create_dir_all(place.path("out/more")).expect("made");
    place.write("out/README.md", "---\nlicense: mit\n---\nÜber");
    place.write("out/config.json", "{}");
    place.write("out/more/notes.txt", "below");
    place.write("out/notes.tmp", "ignored");
    place.write("out/.hidden", "not sent");
    place.write("out/a.safetensors", [7; 5000]);
    place.write("out/b.safetensors", (0..25_000_u32).map(|at| at as u8).collect::<Vec<_>>());
}

#[test]
fn a_folder_becomes_one_commit() {
    let (place, hub) = (Workplace::new(), Hub::serve());
    folder(&place);
    let ran = hub.push(&place, &["out", "me/model", "--message", "First"]);
    ran.succeeds();
    assert!(ran.stdout.contains("5 of 6 files -> ") && ran.stdout.contains("/commit/1"), "{}", ran.stdout);
    hub.with(|state| {
        let names: Vec<&str> = state.files.keys().map(String::as_str).collect();
        assert_eq!(names, ["README.md", "a.safetensors", "b.safetensors", "config.json", "more/notes.txt"]);
        assert_eq!(state.texts["README.md"], "---\nlicense: mit\n---\nÜber".as_bytes());
        assert_eq!(state.commits, ["First"]);
        assert_eq!(state.large[&state.files["a.safetensors"]], [7; 5000]);
        assert_eq!(
            state.large[&state.files["b.safetensors"]],
            std::fs::read(place.path("out/b.safetensors")).expect("there")
        );
    });
    assert_eq!((hub.count("PUT /store/"), hub.count("/commit/")), (4, 1));
}

/// The ids that git gives are compared with the hub's, so that nothing is sent that is there.
#[test]
fn what_is_there_is_not_committed_again() {
    let (place, hub) = (Workplace::new(), Hub::serve());
    std::fs::create_dir(place.path("out")).expect("made");
    place.write("out/README.md", "hello\n");
    place.write("out/a.safetensors", "weights");
    hub.push(&place, &["out", "me/model"]).succeeds();
    let id = "ce013625030ba8dba906f756967f9e9ca394464a";
    hub.with(|state| state.files.insert("README.md".to_owned(), id.to_owned()));
    let ran = hub.push(&place, &["out", "me/model"]);
    ran.succeeds();
    assert!(ran.stdout.contains("all 2 files are there already"), "{}", ran.stdout);
    assert_eq!((hub.count("PUT /store/"), hub.count("/commit/")), (1, 1));
    place.write("out/README.md", "hello again\n");
    hub.push(&place, &["out", "me/model"]).succeeds();
    assert_eq!((hub.count("PUT /store/"), hub.count("/commit/")), (1, 2));
}

#[test]
fn an_interrupted_push_is_finished_by_the_next() {
    let (place, hub) = (Workplace::new(), Hub::serve());
    folder(&place);
    // The second large file never comes to its end.
    hub.with(|state| state.failing = Some(("/store/whole/".to_owned(), usize::MAX)));
    let ran = hub.push(&place, &["out", "me/model"]);
    ran.fails(1, &["refuses to put `b.safetensors` together (503"]);
    assert_eq!((hub.count("/commit/"), hub.count("/store/whole/")), (0, 5));
    assert!(hub.with(|state| state.files.is_empty()), "nothing half done shows");
    // A hiccup is waited out.
    hub.with(|state| state.failing = Some(("/commit/".to_owned(), 1)));
    hub.push(&place, &["out", "me/model"]).succeeds();
    let first = hub.with(|state| state.files["a.safetensors"].clone());
    assert_eq!(hub.count(&format!("PUT /store/{first}")), 1, "what was uploaded is not uploaded again");
    hub.with(|state| assert_eq!((state.files.len(), state.commits.len()), (5, 1)));
}

#[test]
fn a_run_is_pushed_as_its_adapter() {
    let (place, hub) = (Workplace::new(), Hub::serve());
    place.train(&[]).succeeds();
    hub.push(&place, &["run", "me/model"]).succeeds();
    hub.with(|state| {
        let names: Vec<&str> = state.files.keys().map(String::as_str).collect();
        for name in ["README.md", "adapter_config.json", "adapter_model.safetensors", "tokenizer.json"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("optimizer") || name.contains("state")), "{names:?}");
    });
    let left = std::fs::read_dir(place.path("run"))
        .expect("there")
        .map(|entry| entry.expect("an entry").file_name());
    assert!(
        left.into_iter().all(|name| !name.to_string_lossy().contains("pushed")),
        "what was made for it is gone"
    );
}

#[test]
fn what_cannot_be_pushed_is_said() {
    let (place, hub) = (Workplace::new(), Hub::serve());
    folder(&place);
    hub.push(&place, &["out", "stranger/model"])
        .fails(2, &["(the token) may not write there", "hint: the token in HF_TOKEN"]);
    hub.push(&place, &["nowhere", "me/model"]).fails(2, &["there is no such folder"]);
    hub.push(&place, &["out", "model"]).fails(2, &["owner/name"]);
    std::fs::create_dir(place.path("empty")).expect("made");
    hub.push(&place, &["empty", "me/model"]).fails(2, &["expected 1 to 10000 files"]);
    hub.push(&place, &["out", "me/model", "--branch", "other"]).fails(2, &["(404", "no such branch"]);
    let without =
        place.command(&["push", "out", "me/model"]).env("HF_HUB_OFFLINE", "0").output().expect("started");
    Ran::of(without).fails(2, &["without a token", "hint: set HF_TOKEN"]);
    place.rtune(&["push", "out", "me/model"]).fails(2, &["HF_HUB_OFFLINE forbids"]);
    assert_eq!(hub.count("/commit/"), 0);
}
