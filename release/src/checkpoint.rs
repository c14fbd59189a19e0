//! A checkpoint as a reader sees it: files whose hashes are those of its manifest.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rtune_adapters::peft::{self, PeftAdapter};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::{At, ReleaseError};

/// The format of checkpoints that is understood.
const FORMAT: u64 = 1;
const MANIFEST_FILE: &str = "manifest.json";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u64,
    files: BTreeMap<String, String>,
}

/// The files of a checkpoint, each read once and compared with its hash.
#[derive(Debug)]
pub struct VerifiedCheckpoint {
    files: BTreeMap<String, Vec<u8>>,
    hashes: BTreeMap<String, String>,
}

impl VerifiedCheckpoint {
    /// Reads the files `wanted`; what is handed out later is what was compared.
    ///
    /// # Errors
    /// [`ReleaseError::NoCheckpoint`], [`ReleaseError::Unreadable`], [`ReleaseError::Altered`] or
    /// [`ReleaseError::Io`].
    pub fn open(folder: &Path, wanted: &[&str]) -> Result<Self, ReleaseError> {
        let manifest = read_manifest(folder)?;
        let (mut files, mut hashes) = (BTreeMap::new(), BTreeMap::new());
        for name in wanted {
            let path = folder.join(name);
            let Some(expected) = manifest.files.get(*name) else {
                let problem = format!("its manifest does not name `{name}`");
                return Err(ReleaseError::NoCheckpoint { path: folder.to_owned(), problem });
            };
            let bytes = fs::read(&path).at("read", &path)?;
            let found = hex(&Sha256::digest(&bytes));
            if found != *expected {
                return Err(ReleaseError::Altered { path, expected: expected.clone(), found });
            }
            files.insert((*name).to_owned(), bytes);
            hashes.insert((*name).to_owned(), found);
        }
        Ok(Self { files, hashes })
    }

    /// The adapter, out of the bytes that were compared; both its files were wanted. `changed_base` as
    /// [`peft::from_bytes`] has it.
    pub(crate) fn adapter(&self, folder: &Path, changed_base: bool) -> Result<PeftAdapter, ReleaseError> {
        let [settings, weights] = [peft::CONFIG_FILE, peft::WEIGHTS_FILE].map(|name| self.file(name));
        Ok(peft::from_bytes(folder, settings, weights, changed_base)?)
    }

    /// The SHA-256 of each file that was wanted, by its name.
    pub fn hashes(&self) -> BTreeMap<String, String> {
        self.hashes.clone()
    }

    /// The bytes of a file that was wanted; none of another.
    pub fn file(&self, name: &str) -> &[u8] {
        self.files.get(name).map_or(&[], Vec::as_slice)
    }

    /// Names and bytes of the files that were wanted.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }
}

/// The checkpoint that `run` means: the folder itself, or the best of a run folder, or its last. Where that is a link, the folder that it
/// points at now: `best` and `last` move while a run trains, and what is read file by file must be of one checkpoint.
///
/// # Errors
/// [`ReleaseError::NoCheckpoint`].
pub fn find(run: &Path) -> Result<PathBuf, ReleaseError> {
    let candidates = [run.join("adapter_config.json"), run.join("best"), run.join("last")];
    if candidates[0].is_file() || (crate::model::is_full(run) && run.join(MANIFEST_FILE).is_file()) {
        return Ok(pointed_at(run));
    }
    let link = candidates[1..].iter().find(|link| link.is_dir());
    link.map(|link| pointed_at(link)).ok_or_else(|| {
        let problem =
            if run.is_dir() { "neither `best` nor `last` is there" } else { "there is no such folder" };
        ReleaseError::NoCheckpoint { path: run.to_owned(), problem: problem.to_owned() }
    })
}

/// What `path` points at, if it is a link: named from where the link is named from.
fn pointed_at(path: &Path) -> PathBuf {
    // With a slash behind it a link is what it points at.
    let plain: PathBuf = path.components().collect();
    match fs::read_link(&plain) {
        Ok(target) => plain.parent().unwrap_or(Path::new("")).join(target),
        Err(_) => path.to_owned(),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_manifest(folder: &Path) -> Result<Manifest, ReleaseError> {
    let path = folder.join(MANIFEST_FILE);
    if !path.is_file() {
        let problem = format!("it has no {MANIFEST_FILE}");
        return Err(ReleaseError::NoCheckpoint { path: folder.to_owned(), problem });
    }
    let unreadable = |problem: String| ReleaseError::Unreadable { path: path.clone(), problem };
    let bytes = fs::read(&path).at("read", &path)?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if manifest.format != FORMAT {
        return Err(unreadable(format!("expected `format` {FORMAT}, found {}", manifest.format)));
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `best` moves while a run trains: what was found stays what it was.
    #[test]
    fn a_checkpoint_that_was_found_is_no_link() {
        let home = tempfile::tempdir().expect("a folder");
        for step in ["step-000002", "step-000004"] {
            let folder = home.path().join("checkpoints").join(step);
            fs::create_dir_all(&folder).expect("made");
            fs::write(folder.join("adapter_config.json"), step).expect("written");
        }
        let point = |step: &str| {
            let _ = fs::remove_file(home.path().join("best"));
            std::os::unix::fs::symlink(Path::new("checkpoints").join(step), home.path().join("best"))
                .expect("linked");
        };
        point("step-000002");
        let named = [home.path().to_owned(), home.path().join("best"), home.path().join("best/")];
        let found = named.map(|named| find(&named).expect("there"));
        point("step-000004");
        let expected = home.path().join("checkpoints/step-000002");
        assert_eq!(found, [expected.clone(), expected.clone(), expected]);
    }

    /// What is used is what was compared, whatever stands in the folder by then.
    #[test]
    fn an_adapter_is_made_of_the_bytes_that_were_compared() {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference/llama/adapter");
        let folder = tempfile::tempdir().expect("a folder");
        let mut files = BTreeMap::new();
        for name in [peft::CONFIG_FILE, peft::WEIGHTS_FILE] {
            let bytes = fs::read(fixture.join(name)).expect("read");
            fs::write(folder.path().join(name), &bytes).expect("written");
            files.insert(name, hex(&Sha256::digest(&bytes)));
        }
        let manifest = serde_json::json!({"format": 1, "files": files});
        fs::write(folder.path().join(MANIFEST_FILE), manifest.to_string()).expect("written");
        let wanted = [peft::CONFIG_FILE, peft::WEIGHTS_FILE];
        let checkpoint = VerifiedCheckpoint::open(folder.path(), &wanted).expect("whole");
        wanted.iter().for_each(|name| fs::write(folder.path().join(name), "another").expect("written"));
        let adapter = checkpoint.adapter(folder.path(), false).expect("an adapter");
        assert_eq!(adapter, peft::read(&fixture).expect("read"));
    }
}
