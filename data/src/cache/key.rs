//! What decides the prepared rows, as one hash.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokenizers::Tokenizer;

use crate::input::expand;
use crate::options::{PrepareOptions, Validation};
use crate::record::hex;
use crate::template::ChatTemplate;

/// The version of all code between the bytes of a file and the tokens of a row. It goes up with every change to what
/// the same input becomes; a test holds it against the rows themselves.
pub const PREPARATION_FORMAT: u32 = 2;

/// Keeps this hash apart from every other use of the same bytes.
const CONTEXT: &str = "rtune preparation cache, format 1";

/// The hash, and the files it was made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) hash: [u8; 32],
    /// Every file in the order of reading, with BLAKE3 of its bytes in hex.
    pub(super) files: Vec<(PathBuf, String)>,
}

impl Key {
    /// The key of a preparation; `None` if a file cannot be read or the tokenizer cannot be written down.
    pub(super) fn of(
        options: &PrepareOptions,
        template: &ChatTemplate,
        tokenizer: &Tokenizer,
    ) -> Option<Self> {
        // Every field by name: one that is added and not hashed does not compile.
        let PrepareOptions { train, validation, golden, max_tokens, over_long, train_on, duplicates } =
            options;
        let mut parts = Parts(blake3::Hasher::new_derive_key(CONTEXT));
        parts.add(&PREPARATION_FORMAT.to_le_bytes());
        parts.add(tokenizer.to_string(false).ok()?.as_bytes());
        template.parts().iter().for_each(|part| parts.add(part.as_bytes()));
        let mut files = Vec::new();
        parts.files("train", train, &mut files)?;
        match validation {
            Validation::None => parts.add(b"none"),
            Validation::Fraction(fraction) => parts.add(&fraction.to_bits().to_le_bytes()),
            Validation::Files(paths) => parts.files("validation", paths, &mut files)?,
        }
        parts.files("golden", golden, &mut files)?;
        parts.add(&(*max_tokens as u64).to_le_bytes());
        parts.name(over_long)?;
        parts.name(train_on)?;
        parts.name(duplicates)?;
        Some(Self { hash: *parts.0.finalize().as_bytes(), files })
    }

    /// The hash in hex.
    pub(super) fn name(&self) -> String {
        hex(&self.hash)
    }
}

/// Lengths stand before the bytes, so that no two lists of parts run into the same bytes.
struct Parts(blake3::Hasher);

impl Parts {
    fn add(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn name(&mut self, choice: &impl Serialize) -> Option<()> {
        self.add(serde_json::to_string(choice).ok()?.as_bytes());
        Some(())
    }

    /// Names and bytes: the report and the origins of the rows hold the names.
    fn files(&mut self, role: &str, paths: &[PathBuf], files: &mut Vec<(PathBuf, String)>) -> Option<()> {
        let paths = expand(paths).ok()?;
        self.add(role.as_bytes());
        self.add(&(paths.len() as u64).to_le_bytes());
        for path in paths {
            let hash = hash_of(&path).ok()?;
            self.add(path.as_os_str().as_encoded_bytes());
            self.add(hash.as_bytes());
            // The report has names as text, and `Prepared` takes them from there.
            let shown = PathBuf::from(path.to_string_lossy().into_owned());
            files.push((shown, hash.to_hex().to_string()));
        }
        Some(())
    }
}

fn hash_of(path: &Path) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize())
}
