//! Where reports go.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rtune_trainer::files::sha256_of;
use rtune_trainer::subject::Subject;
use serde::Deserialize;

/// Bytes of a name that files of all systems may have, less what else is written beside it.
const MOST_NAME_BYTES: usize = 120;
/// Digits of a hash that tell sources of one name apart.
const HASH_DIGITS: usize = 8;

/// A report's files, and hashes of their bytes.
type Files = [(String, String)];

/// Where a report goes: beside the other evaluations of a run, and where the user wants it.
pub(super) fn places(
    subject: &Subject,
    kind: &str,
    stems: &str,
    files: &Files,
    out: Option<&Path>,
) -> Vec<PathBuf> {
    let in_run = subject.run.as_ref().map(|run| in_folder(&run.join("eval"), kind, stems, files));
    in_run.into_iter().chain(out.map(Path::to_owned)).collect()
}

/// By the names of the files; with a hash of their paths, where another report has that name already, or it is too long.
fn in_folder(folder: &Path, kind: &str, stems: &str, files: &Files) -> PathBuf {
    let plain = folder.join(format!("{kind}-{stems}.json"));
    if stems.len() <= MOST_NAME_BYTES && sources_of(&plain).is_none_or(|known| known == paths(files)) {
        return plain;
    }
    let hash = sha256_of(paths(files).join("\n").as_bytes());
    let cut = stems.char_indices().take_while(|(at, c)| at + c.len_utf8() <= MOST_NAME_BYTES);
    let stems: String = cut.map(|(_, c)| c).collect();
    folder.join(format!("{kind}-{stems}-{}.json", &hash[..HASH_DIGITS.min(hash.len())]))
}

fn paths(files: &Files) -> Vec<String> {
    files.iter().map(|(path, _)| path.trim_start_matches("./").to_owned()).collect()
}

/// What the report that is there is of; `None` where there is none.
fn sources_of(report: &Path) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Known {
        files: Vec<(String, String)>,
    }
    // One that cannot be read is none that is worth keeping.
    let known: Known = serde_json::from_slice(&std::fs::read(report).ok()?).ok()?;
    Some(paths(&known.files))
}

/// A file's name without its ending.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The file beside `file` for conversations: `cases.jsonl` has `cases-conversations.jsonl`.
pub(super) fn of_conversations(file: &Path) -> PathBuf {
    let mut name: OsString = file.file_stem().unwrap_or_default().to_owned();
    name.push("-conversations");
    if let Some(extension) = file.extension() {
        name.push(".");
        name.push(extension);
    }
    file.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_other_files_is_not_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let of = |path: &str| vec![(path.to_owned(), "hash".to_owned())];
        let place = |path: &str| in_folder(folder.path(), "golden", "test", &of(path));
        let first = place("a/test.jsonl");
        assert_eq!(first, folder.path().join("golden-test.json"));
        let text = serde_json::json!({"files": of("a/test.jsonl"), "cases": [1]}).to_string();
        std::fs::write(&first, text).expect("written");
        assert_eq!(place("./a/test.jsonl"), first, "the same again");
        let other = place("b/test.jsonl");
        assert_ne!(other, first);
        assert_eq!(place("b/test.jsonl"), other);
        let long = in_folder(folder.path(), "golden", &"ü".repeat(400), &of("c"));
        assert!(long.file_name().is_some_and(|name| name.len() < 200), "{}", long.display());
    }

    #[test]
    fn conversations_have_a_file_of_their_own() {
        assert_eq!(of_conversations(Path::new("a/cases.jsonl")), Path::new("a/cases-conversations.jsonl"));
        assert_eq!(of_conversations(Path::new("cases")), Path::new("cases-conversations"));
    }
}
