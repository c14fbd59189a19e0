//! What decides the prepared rows, as one hash.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::DataError;
use crate::input::{Format, Source};
use crate::options::{PrepareOptions, Validation};
use crate::prepare::Tools;
use crate::record::hex;

/// The version of all code between the bytes of a file and the tokens of a row. It goes up with every change to what
/// the same input becomes; a test holds it against the rows themselves.
pub const PREPARATION_FORMAT: u32 = 5;

/// Keeps this hash apart from every other use of the same bytes.
const CONTEXT: &str = "rtune preparation cache, format 1";

/// The hash, and the files it was made of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) hash: [u8; 32],
    /// Every file in the order of reading, with BLAKE3 of its bytes in hex.
    pub(crate) files: Vec<(PathBuf, String)>,
}

impl Key {
    /// The key of a preparation.
    ///
    /// # Errors
    /// A file that is not there or cannot be read.
    pub(crate) fn of(options: &PrepareOptions, tools: &Tools<'_>) -> Result<Self, DataError> {
        // Every field by name: one that is added and not hashed does not compile.
        let PrepareOptions {
            train,
            validation,
            golden,
            bad_rows,
            normalise,
            privacy,
            filters,
            clean,
            labels,
            leaks,
            max_tokens,
            over_long,
            train_on,
        } = options;
        let Tools { template, tokenizer, names, perplexity, folder: _, in_memory_bytes: _, watch: _ } = tools;
        let mut parts = Parts(blake3::Hasher::new_derive_key(CONTEXT));
        parts.add(&PREPARATION_FORMAT.to_le_bytes());
        let tokenizer = tokenizer.to_string(false);
        parts.add(tokenizer.map_err(|error| DataError::Tokenizer { reason: error.to_string() })?.as_bytes());
        template.parts().iter().for_each(|part| parts.add(part.as_bytes()));
        parts.add(names.map_or("", |names| names.identity()).as_bytes());
        parts.add(perplexity.map_or("", |perplexity| perplexity.identity()).as_bytes());
        let mut files = Vec::new();
        parts.sources("train", train, &mut files)?;
        match validation {
            Validation::None => parts.add(b"none"),
            Validation::Fraction(fraction) => parts.add(&fraction.to_bits().to_le_bytes()),
            Validation::Rows(rows) => {
                parts.add(b"rows");
                parts.add(&(*rows as u64).to_le_bytes());
            }
            Validation::Files(sources) => parts.sources("validation", sources, &mut files)?,
        }
        parts.sources("golden", golden, &mut files)?;
        parts.add(&(*max_tokens as u64).to_le_bytes());
        parts.options(bad_rows);
        parts.options(normalise);
        parts.options(privacy);
        parts.options(filters);
        parts.options(clean);
        parts.options(labels);
        parts.options(leaks);
        parts.options(over_long);
        parts.options(train_on);
        for path in options.side_files() {
            parts.add(hash_of(&path)?.as_bytes());
        }
        Ok(Self { hash: *parts.0.finalize().as_bytes(), files })
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

    fn options(&mut self, options: &impl Serialize) {
        // Options are names and numbers: there is nothing in them that JSON cannot say.
        self.add(&serde_json::to_vec(options).unwrap_or_default());
    }

    /// Names and bytes: the report and the origins of the rows hold the names.
    fn sources(
        &mut self,
        role: &str,
        sources: &[Source],
        files: &mut Vec<(PathBuf, String)>,
    ) -> Result<(), DataError> {
        self.add(role.as_bytes());
        self.add(&(sources.len() as u64).to_le_bytes());
        for source in sources {
            let Source { path: _, format, fields, weight, share, licence, agents } = source;
            self.options(&(format.map(Format::name), fields, weight, share, licence, agents));
            for path in source.files()? {
                let hash = hash_of(&path)?;
                self.add(path.as_os_str().as_encoded_bytes());
                self.add(hash.as_bytes());
                // The report has names as text.
                let shown = PathBuf::from(path.to_string_lossy().into_owned());
                files.push((shown, hash.to_hex().to_string()));
            }
        }
        Ok(())
    }
}

fn hash_of(path: &Path) -> Result<blake3::Hash, DataError> {
    let mut hasher = blake3::Hasher::new();
    File::open(path).and_then(|file| hasher.update_reader(file).map(|_| ())).map_err(
        |source| match source.kind() {
            io::ErrorKind::NotFound => DataError::Missing { path: path.to_owned() },
            _ => DataError::Unreadable { path: path.to_owned(), source },
        },
    )?;
    Ok(hasher.finalize())
}
