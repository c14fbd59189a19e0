//! A hub on the loopback interface that gives one small repository, slowly enough to be disturbed.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use rtune_trainer::files::sha256_of;
use serde_json::{Value, json};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS: &str = "model.safetensors";
/// So many bytes go out at a time, and then there is a pause.
const PIECE_BYTES: usize = 1 << 14;
const PAUSE: Duration = Duration::from_millis(2);

/// Where it answers; it is started by the first who asks, and lives as long as the tests.
static ENDPOINT: LazyLock<String> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client may go away at any time.
            std::thread::spawn(move || answer(stream).is_ok());
        }
    });
    endpoint
});

/// Leads a command to this hub, with `cache` as the hub's cache.
pub(super) fn lead(command: &mut Command, cache: &str) {
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HF_HUB_OFFLINE"] {
        command.env_remove(name);
    }
    command.env("HF_ENDPOINT", ENDPOINT.as_str()).env("HF_HUB_CACHE", cache);
}

fn files() -> [(&'static str, Vec<u8>); 3] {
    let weights = (0..300_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    [("config.json", b"{}".to_vec()), ("tokenizer.json", b"{ }".to_vec()), (WEIGHTS, weights)]
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut header, mut range) = (String::new(), String::new(), None);
    reader.read_line(&mut line)?;
    while reader.read_line(&mut header)? > 2 {
        if let Some(bounds) = header.to_ascii_lowercase().strip_prefix("range: bytes=") {
            let (start, end) = bounds.trim().split_once('-').expect("a range");
            range =
                Some((start.parse::<usize>().expect("a number"), end.parse::<usize>().expect("a number")));
        }
        header.clear();
    }
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (status, headers, body) = reply(path, range);
    let head = format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    if method != "HEAD" {
        for piece in body.chunks(PIECE_BYTES) {
            std::thread::sleep(PAUSE);
            stream.write_all(piece)?;
        }
    }
    Ok(())
}

fn reply(path: &str, range: Option<(usize, usize)>) -> (u16, String, Vec<u8>) {
    let said =
        |value: Value| (200, "Content-Type: application/json\r\n".to_owned(), value.to_string().into_bytes());
    let Some(rest) = path.strip_prefix("/api/models/o/n/").or(path.strip_prefix("/o/n/")) else {
        return (404, String::new(), Vec::new());
    };
    if rest.starts_with("revision/") {
        return said(json!({"id": "o/n", "_id": "1", "sha": COMMIT}));
    }
    if rest.starts_with("tree/") {
        return said(files().iter().map(|(name, bytes)| entry(name, bytes)).collect());
    }
    let name = rest.rsplit('/').next().unwrap_or("");
    let Some((_, bytes)) = files().into_iter().find(|(file, _)| *file == name) else {
        return (404, String::new(), Vec::new());
    };
    if name == WEIGHTS && rest.starts_with("resolve/") {
        let headers = format!("X-Linked-Etag: \"{}\"\r\nLocation: /o/n/bytes/{name}\r\n", sha256_of(&bytes));
        return (302, headers, Vec::new());
    }
    let headers = format!("ETag: \"{}\"\r\nX-Repo-Commit: {COMMIT}\r\n", id(&bytes));
    match range {
        Some((start, end)) => (206, headers, bytes[start..=end.min(bytes.len() - 1)].to_vec()),
        None => (200, headers, bytes),
    }
}

/// Git's id of a content, or what stands for it here.
fn id(bytes: &[u8]) -> String {
    format!("{:040x}", bytes.len())
}

/// An entry of the file list, as the hub writes it.
fn entry(name: &str, bytes: &[u8]) -> Value {
    let mut entry = json!({"type": "file", "oid": id(bytes), "size": bytes.len(), "path": name});
    if name == WEIGHTS {
        entry["lfs"] = json!({"oid": sha256_of(bytes), "size": bytes.len(), "pointerSize": 134});
    }
    entry
}
