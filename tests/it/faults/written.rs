//! What a verb wrote, as far as two that were left alone write the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::verbs::{PROMOTE, Verb};
use crate::training::bytes_of;
use crate::workplace::Workplace;

/// Bytes by name.
pub(super) type Written = BTreeMap<PathBuf, Vec<u8>>;

/// Everything that a verb wrote; a file has one entry, without a name, and a registry those of what is in use.
pub(super) fn written(place: &Workplace, verb: &Verb) -> Written {
    let out = place.path(verb.out);
    if verb.name == PROMOTE {
        return in_use(&out);
    }
    match out.is_dir() {
        true => named(bytes_of(&out)),
        false => Written::from([(PathBuf::new(), fs::read(&out).unwrap_or_default())]),
    }
}

fn named(files: BTreeMap<String, Vec<u8>>) -> Written {
    files.into_iter().map(|(name, bytes)| (PathBuf::from(name), bytes)).collect()
}

/// The version in use, and how it came to be. A process that ends between the name of a version and the link leaves a folder that was never
/// in use, and its number is not given again: so the name of the version is left out. What was decided against another candidate moves
/// nothing.
fn in_use(registry: &Path) -> Written {
    let Ok(link) = fs::read_link(registry.join("current")) else { return Written::new() };
    let version = link.file_name().expect("a version").to_string_lossy().into_owned();
    let mut files = named(bytes_of(&registry.join(&link)));
    for (name, bytes) in &mut files {
        if ["decision.json", "version.json"].iter().any(|of_clocks| name == Path::new(of_clocks)) {
            *bytes = without_clocks(bytes, &version);
        }
    }
    let history = fs::read(registry.join("history.json")).expect("there is one where there is a link");
    files.insert("history.json".into(), without_clocks(&history, &version));
    files
}

fn without_clocks(json: &[u8], version: &str) -> Vec<u8> {
    let mut value = serde_json::from_slice(json).expect("JSON");
    forget_clocks(&mut value);
    value.to_string().replace(version, "this version").into_bytes()
}

/// When it was decided stands in decision.json, whose hash stands in version.json, whose hash stands in history.json. That they are the
/// right ones `rtune verify` says.
fn forget_clocks(value: &mut Value) {
    const HASHES: [&str; 3] = ["decision", "decision.json", "version_sha256"];
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !(name.ends_with("unix_seconds") || HASHES.contains(&name.as_str())));
            fields.values_mut().for_each(forget_clocks);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_clocks),
        _ => {}
    }
}

/// The names of what is not the same in both.
pub(super) fn differing(one: &Written, other: &Written) -> Vec<PathBuf> {
    let names: BTreeSet<&PathBuf> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

/// Takes it away.
pub(super) fn remove(place: &Workplace, verb: &Verb) {
    let out = place.path(verb.out);
    let removed = if out.is_dir() { fs::remove_dir_all(&out) } else { fs::remove_file(&out) };
    removed.unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}
