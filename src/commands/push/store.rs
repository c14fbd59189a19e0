//! Large files, by git's LFS protocol: to addresses that the hub gives, each of which carries its own permission.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use anyhow::{Context, anyhow};
use reqwest::blocking::{Body, Response};
use serde_json::{Value, json};

use super::files::File;
use super::hub::{Hub, WAIT, value};
use crate::reporter::{Work, say};

/// The slowest line that a request with a file is waited for.
const SLOWEST_BYTES_PER_SECOND: u64 = 50_000;
const LFS_JSON: &str = "application/vnd.git-lfs+json";

impl Hub {
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
            let answer = self.send(&url, || Ok(self.question(&url, &asked, LFS_JSON)))?;
            let answer = value(self.refused(&url, answer, &format!("take `{}`", file.path))?)?;
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
                let answer = self.send(href, || Ok(self.question(href, &object, LFS_JSON)))?;
                self.refused(href, answer, &format!("verify `{}`", file.path))?;
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
        let answer = self.send(href, || Ok(self.question(href, &whole, LFS_JSON)))?;
        self.refused(href, answer, &format!("put `{}` together", file.path)).map(drop)
    }

    /// Sends bytes of a file to an address that carries its own permission: the token is not for it.
    fn put(&self, file: &File, address: &str, start: u64, bytes: u64) -> anyhow::Result<Response> {
        let answer = self.send(address, || {
            let unreadable = || format!("cannot read `{}`", file.place.display());
            let mut content = fs::File::open(&file.place).with_context(unreadable)?;
            content.seek(SeekFrom::Start(start)).with_context(unreadable)?;
            let wait = WAIT + Duration::from_secs(bytes / SLOWEST_BYTES_PER_SECOND);
            Ok(self.client.put(address).timeout(wait).body(Body::sized(content.take(bytes), bytes)))
        })?;
        self.refused(address, answer, &format!("take `{}`", file.path))
    }
}
