//! A file of a registry of two versions, the link in it, the name of a folder, or a seal: errors, or versions that are what they say.
//!
//! The first byte chooses what is changed, and whether the hashes around it are made to fit; the rest is what stands there then.
#![no_main]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rtune_data::Seal;
use rtune_registry::{Lineage, Look, Registry, RegistryError, Sealed, Version, differences, prove};
use rtune_trainer::files::sha256_of;
use serde_json::Value;

const FILES: [&str; 9] = [
    "history.json",
    "looks.json",
    "versions/v0001/version.json",
    "versions/v0002/version.json",
    "versions/v0002/rows.jsonl",
    "versions/v0002/eval/candidate.json",
    "versions/v0002/run/config.toml",
    "versions/v0002/run/manifest.json",
    "golden.jsonl.seal",
];
/// Behind the files: where `current` leads, the name of the first version's folder, and that of one more.
const NAMES: usize = 3;
const FITTING: u8 = 0x80;

/// The registry of this process, in memory where the system has such a place.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    place.join(format!("rtune-fuzz-registry-{}", std::process::id()))
});

/// The files of a registry into which the small version was let in twice.
static MADE: LazyLock<Vec<(PathBuf, Vec<u8>)>> = LazyLock::new(|| {
    let _ = fs::remove_dir_all(&*FOLDER);
    let writer = Registry::at(&FOLDER).write().expect("a registry");
    let lineage: Lineage = serde_json::from_slice(&small("version.json")).expect("what a version says");
    for _ in 0..2 {
        let staged = writer.stage().expect("begun");
        for name in ["rows.jsonl", "eval/candidate.json", "run/config.toml", "run/manifest.json"] {
            staged.write(name, &small(name)).expect("written");
        }
        staged.write("artefact/model", b"weights").expect("written");
        writer.promote(&staged, lineage.clone(), "passed").expect("promoted");
    }
    writer.look(&sealed(), look()).expect("counted");
    drop(writer);
    let mut files = vec![(PathBuf::from("golden.jsonl.seal"), Seal::default().to_text().into_bytes())];
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(FOLDER.join(&folder)).expect("there").flatten() {
            let (kind, path) = (entry.file_type().expect("a kind"), folder.join(entry.file_name()));
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                files.push((path, fs::read(entry.path()).expect("there")));
            }
        }
    }
    files
});

fn small(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("small/version").join(name)).expect("there")
}

fn sealed() -> Sealed {
    Sealed { rows: ["a", "b"].map(str::to_owned).into(), files: "f".to_owned() }
}

fn look() -> Look {
    Look { unix_seconds: 1, run: "run".to_owned(), candidate: "c".to_owned() }
}

/// Puts the registry there as it was made, but for what is changed.
fn lay(changed: usize, bytes: &[u8], fitting: bool) -> Option<()> {
    let name = Path::new(OsStr::from_bytes(bytes));
    let is_name = name.file_name() == Some(name.as_os_str()) && bytes.len() < 200 && !bytes.contains(&0);
    if changed >= FILES.len() && (bytes.is_empty() || bytes.contains(&0) || bytes.len() > 200) {
        return None;
    }
    let mut files = MADE.clone();
    let _ = fs::remove_dir_all(&*FOLDER);
    let path = FILES.get(changed).map_or(Path::new(""), Path::new);
    for (_, content) in files.iter_mut().filter(|(file, _)| file == path) {
        *content = bytes.to_vec();
    }
    if fitting {
        fit(&mut files, path, bytes);
    }
    for (path, content) in files {
        let path = FOLDER.join(path);
        fs::create_dir_all(path.parent().expect("above it")).expect("made");
        fs::write(path, content).expect("written");
    }
    let is_link = changed == FILES.len();
    let target = if is_link { name } else { Path::new("versions/v0002") };
    symlink(target, FOLDER.join("current")).expect("linked");
    if changed > FILES.len() && is_name {
        let (first, named) = (FOLDER.join("versions/v0001"), FOLDER.join("versions").join(name));
        // What is there already stays.
        let _ = if changed == FILES.len() + 1 { fs::rename(first, named) } else { fs::create_dir(named) };
    }
    Some(())
}

/// Writes the hash of the changed file into version.json of its version, and the hash of that into history.json.
fn fit(files: &mut [(PathBuf, Vec<u8>)], path: &Path, bytes: &[u8]) {
    for (number, folder) in ["versions/v0001", "versions/v0002"].into_iter().enumerate() {
        let Ok(inside) = path.strip_prefix(folder) else { continue };
        let version = Path::new(folder).join("version.json");
        let mut set = |file: &Path, pointer: &[&str], hash: String| -> Option<Vec<u8>> {
            let (_, content) = files.iter_mut().find(|(path, _)| path == file)?;
            let mut value: Value = serde_json::from_slice(content).ok()?;
            let mut place = &mut value;
            for key in pointer {
                place = if let Ok(index) = key.parse::<usize>() {
                    place.get_mut(index)?
                } else {
                    place.get_mut(*key)?
                };
            }
            *place = hash.into();
            *content = value.to_string().into_bytes();
            Some(content.clone())
        };
        let inside = inside.to_string_lossy();
        let said = if inside == "version.json" {
            Some(bytes.to_vec())
        } else {
            set(&version, &["files", &*inside], sha256_of(bytes))
        };
        if let Some(said) = said {
            let pointer = ["moves", &*number.to_string(), "version_sha256"];
            let _ = set(Path::new("history.json"), &pointer, sha256_of(&said));
        }
    }
}

/// What is in use is what it says.
fn whole(registry: &Registry, version: &Version) {
    assert_eq!(registry.current_name().expect("readable").as_deref(), Some(version.name()));
    assert_eq!(prove(registry, version).expect("readable"), []);
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, bytes)) = input.split_first() else { return };
    let changed = usize::from(choice & !FITTING) % (FILES.len() + NAMES);
    if lay(changed, bytes, choice & FITTING != 0).is_none() {
        return;
    }
    if let Ok(Some(seal)) = Seal::of(&FOLDER.join("golden.jsonl")) {
        fs::write(FOLDER.join("golden.jsonl.seal"), seal.to_text()).expect("written");
        assert_eq!(Seal::of(&FOLDER.join("golden.jsonl")).expect("what was written is read"), Some(seal));
    }
    let registry = Registry::at(&FOLDER);
    let versions = registry.versions().unwrap_or_default().whole;
    for version in &versions {
        let _ = prove(&registry, version);
    }
    // Their reports are compared by resampling, which takes as long as a hundred other inputs.
    if let [first, .., last] = versions.as_slice()
        && (4..7).contains(&changed)
    {
        let _ = differences(first, last);
    }
    for name in ["current", "1", "v0002", "18446744073709551615", ""] {
        let _ = registry.find(name);
    }
    let (_, _, looks) = (registry.current().is_ok(), registry.history().is_ok(), registry.looks());
    let counted = looks.as_ref().map_or(0, |looks| looks.of(&sealed()).len());
    let Ok(writer) = registry.write() else { return };
    if let Ok(all) = writer.look(&sealed(), look()) {
        assert_eq!(all.len(), counted + 1);
    }
    match writer.roll_back(None, 9) {
        Ok(version) => whole(&registry, &version),
        Err(RegistryError::Faulty { fault, .. }) => assert!(!fault.is_empty()),
        Err(_) => {}
    }
    let Ok(staged) = writer.stage() else { return };
    staged.write("artefact/model", b"more").expect("written");
    let lineage: Lineage = serde_json::from_slice(&small("version.json")).expect("what a version says");
    if let Ok(version) = writer.promote(&staged, lineage, "passed") {
        whole(&registry, &version);
    }
});
