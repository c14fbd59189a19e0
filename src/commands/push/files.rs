//! The files of a folder as the hub knows them.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rtune_trainer::files::sha256_of_file;
use sha1::{Digest, Sha1};

use crate::failure::BadInput;

/// Bytes from the start of a file by which the hub tells text from other things.
const SAMPLE_BYTES: u64 = 512;
/// What is not large is read whole: more than this the hub never takes beside a commit's text.
pub(super) const MAX_REGULAR_BYTES: u64 = 10 << 20;
/// Files of one commit; a model of a terabyte has a few hundred.
const MAX_FILES: usize = 10_000;

/// What else says of a model what it is.
const OF_A_MODEL: [&str; 6] = [
    "adapter_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "merge-report.json",
    "new_tokens.json",
    "quantization-report.json",
];

/// How a file gets to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Inside the commit.
    Regular,
    /// Ahead of it, to where large files are kept.
    Lfs,
}

/// A file of the folder.
pub(super) struct File {
    /// As the repository names it.
    pub(super) path: String,
    pub(super) place: PathBuf,
    pub(super) size_bytes: u64,
    pub(super) sha256: String,
    /// What git calls its content; empty for one too large to be kept in git.
    git: String,
    pub(super) sample: Vec<u8>,
}

impl File {
    /// What the hub knows the content by.
    pub(super) fn id(&self, mode: Mode) -> &str {
        match mode {
            Mode::Regular => &self.git,
            Mode::Lfs => &self.sha256,
        }
    }
}

/// All files below `folder`, by name, without those that are hidden, and the links to folders, which are not followed: what is there lies
/// elsewhere, or is above it. A link to a file is that file where it is one of the folder, or of a hub's cache that the folder is of; any
/// other is refused.
pub(super) fn of(folder: &Path) -> anyhow::Result<(Vec<File>, Vec<PathBuf>)> {
    let (mut places, mut links) = (Vec::new(), Vec::new());
    let mut folders = vec![folder.to_owned()];
    while let Some(above) = folders.pop() {
        let entries = fs::read_dir(&above).with_context(|| format!("cannot read `{}`", above.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read `{}`", above.display()))?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let path = entry.path();
            let kind = entry.file_type().with_context(|| format!("cannot read `{}`", path.display()))?;
            match (kind.is_symlink(), path.is_dir()) {
                (true, true) => links.push(path),
                (false, true) => folders.push(path),
                (is_link, false) => {
                    if is_link {
                        rtune_release::refuse_outside(folder, &path)?;
                    }
                    places.push(path);
                }
            }
        }
    }
    places.sort();
    links.sort();
    if places.is_empty() || places.len() > MAX_FILES {
        let found = places.len();
        let problem =
            format!("`{}`: expected 1 to {MAX_FILES} files to push, found {found}", folder.display());
        return Err(BadInput::new(problem).into());
    }
    let files = places.into_iter().map(|place| file(folder, place)).collect::<anyhow::Result<_>>()?;
    Ok((files, links))
}

/// What of a model stands in a repository and not in the folder that is pushed to it, and would be read beside or before what is:
/// weights of another number of files, an index of those, an adapter's settings beside whole weights, a report or a template of another
/// model. Nothing where the folder has no weights, and nothing below its top: what else is there is somebody's.
pub(super) fn shadows(there: &[String], files: &[File]) -> Vec<String> {
    if !files.iter().any(|file| is_weights(&file.path)) {
        return Vec::new();
    }
    let is_sent = |path: &String| files.iter().any(|file| file.path == *path);
    let is_of_model = |path: &&String| {
        let bare = path.strip_suffix(".index.json").unwrap_or(path);
        is_weights(bare) || OF_A_MODEL.contains(&path.as_str())
    };
    let mut shadows: Vec<String> =
        there.iter().filter(is_of_model).filter(|path| !is_sent(path)).cloned().collect();
    shadows.sort();
    shadows
}

/// Weights as transformers and PEFT name them, whole or one of several files.
fn is_weights(path: &str) -> bool {
    let Some((name, _)) = path.rsplit_once('.').filter(|(_, end)| ["safetensors", "bin"].contains(end))
    else {
        return false;
    };
    let part = |digits: &str| digits.len() == 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let whole = match name.rsplit_once("-of-") {
        Some((start, count)) if part(count) => {
            start.rsplit_once('-').filter(|(_, number)| part(number)).map(|(whole, _)| whole)
        }
        _ => Some(name),
    };
    matches!(
        (whole, path.ends_with(".bin")),
        (Some("model" | "adapter_model"), false) | (Some("pytorch_model" | "adapter_model"), true)
    )
}

fn file(folder: &Path, place: PathBuf) -> anyhow::Result<File> {
    let unreadable = || format!("cannot read `{}`", place.display());
    let size_bytes = fs::metadata(&place).with_context(unreadable)?.len();
    let sha256 = sha256_of_file(&place)?;
    let mut sample = Vec::new();
    let mut git = String::new();
    if size_bytes <= MAX_REGULAR_BYTES {
        let bytes = fs::read(&place).with_context(unreadable)?;
        git = blob(&bytes);
        sample.extend(bytes.iter().take(SAMPLE_BYTES as usize));
    } else {
        let file = fs::File::open(&place).with_context(unreadable)?;
        file.take(SAMPLE_BYTES).read_to_end(&mut sample).with_context(unreadable)?;
    }
    let path = place.strip_prefix(folder).unwrap_or(&place);
    let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
    let path = parts.map(|parts| parts.join("/"));
    let path = path.ok_or_else(|| BadInput::new(format!("`{}`: its name is no text", place.display())))?;
    Ok(File { path, place, size_bytes, sha256, git, sample })
}

/// The name that git gives to a content.
fn blob(bytes: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", bytes.len()));
    hash.update(bytes);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_a_model_are_known_by_their_names() {
        for path in [
            "model.safetensors",
            "model-00001-of-00003.safetensors",
            "adapter_model.safetensors",
            "adapter_model.bin",
            "pytorch_model-00002-of-00002.bin",
        ] {
            assert!(is_weights(path), "{path}");
        }
        for path in [
            "below/model.safetensors",
            "my-model.safetensors",
            "model.bin",
            "model-1-of-3.safetensors",
            "model-00001-of-00003-old.safetensors",
            "tokenizer.model",
            "model.gguf",
            "optimizer.safetensors",
        ] {
            assert!(!is_weights(path), "{path}");
        }
    }

    #[test]
    fn contents_have_the_names_that_git_gives_them() {
        // `git hash-object` of an empty file, and of "hello\n".
        assert_eq!(blob(b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(blob(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
    }
}
