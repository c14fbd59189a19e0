//! The examples of a set: in memory where they are few, else on disk with a few bytes of each in memory.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cache::decode_row;
use crate::error::DataError;
use crate::tokenize::Example;

/// What examples may take in memory before they stay on disk, unless it is said: nobody's machine is too small for it, and most sets
/// are smaller.
pub const IN_MEMORY_BYTES: usize = 256 << 20;

/// What an example has beside its tokens: two blocks of a vector and one of its name, as an allocator has them.
const BLOCKS_BYTES: usize = 48;

/// Examples, by their places in the order of the files. Those of a large set are read from a file one by one, which nobody else
/// writes to; the bytes of each are compared with what they were when the set was opened.
#[derive(Clone, Debug)]
pub struct Examples {
    held: Held,
}

#[derive(Clone, Debug)]
enum Held {
    Memory(Vec<Example>),
    Disk(Arc<Stored>),
}

/// Examples in a file of prepared rows.
#[derive(Debug)]
struct Stored {
    file: File,
    /// The file's name, or the folder of a file without one.
    path: PathBuf,
    /// The files that the rows come from, by their numbers.
    names: Vec<Arc<Path>>,
    places: Vec<Place>,
}

/// Where an example stands in a file, and what is known of it without reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    pub(crate) tokens: u32,
    pub(crate) supervised: u32,
    /// The beginning of BLAKE3 of its bytes.
    pub(crate) check: u32,
}

impl Place {
    /// Where an example stands whose bytes begin at `offset`.
    pub(crate) fn of(bytes: &[u8], offset: u64, example: &Example) -> Self {
        // No row has 2^32 bytes: the reader of files bounds every part of it.
        Self {
            offset,
            bytes: bytes.len() as u32,
            tokens: example.tokens.len() as u32,
            supervised: example.supervised_count() as u32,
            check: check_of(bytes),
        }
    }
}

fn check_of(bytes: &[u8]) -> u32 {
    let hash = blake3::hash(bytes);
    let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash has more than four bytes");
    u32::from_le_bytes(*first)
}

impl Examples {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.held {
            Held::Memory(examples) => examples.len(),
            Held::Disk(stored) => stored.places.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens of the example at `place`, without reading it.
    ///
    /// # Panics
    /// If there is no such place.
    #[must_use]
    pub fn tokens(&self, place: usize) -> usize {
        match &self.held {
            Held::Memory(examples) => examples[place].tokens.len(),
            Held::Disk(stored) => stored.places[place].tokens as usize,
        }
    }

    /// Targets among the tokens of the example at `place`, without reading it.
    ///
    /// # Panics
    /// If there is no such place.
    #[must_use]
    pub fn supervised(&self, place: usize) -> usize {
        match &self.held {
            Held::Memory(examples) => examples[place].supervised_count(),
            Held::Disk(stored) => stored.places[place].supervised as usize,
        }
    }

    /// Tokens of the longest example.
    #[must_use]
    pub fn longest_tokens(&self) -> usize {
        (0..self.len()).map(|place| self.tokens(place)).max().unwrap_or(0)
    }

    /// The example at `place`.
    ///
    /// # Errors
    /// [`DataError::Stored`] for one on disk that cannot be read, or is not what it was.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn get(&self, place: usize) -> Result<Cow<'_, Example>, DataError> {
        match &self.held {
            Held::Memory(examples) => Ok(Cow::Borrowed(&examples[place])),
            Held::Disk(stored) => stored.read(place).map(Cow::Owned),
        }
    }

    /// The examples at these places, in that order.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn at(&self, places: &[usize]) -> Result<Vec<Cow<'_, Example>>, DataError> {
        places.iter().map(|place| self.get(*place)).collect()
    }

    /// All examples, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = Result<Cow<'_, Example>, DataError>> {
        (0..self.len()).map(|place| self.get(place))
    }

    /// All examples, in memory.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn to_vec(&self) -> Result<Vec<Example>, DataError> {
        self.iter().map(|example| example.map(Cow::into_owned)).collect()
    }

    /// Whether they are read from a file one by one.
    #[must_use]
    pub fn are_on_disk(&self) -> bool {
        matches!(self.held, Held::Disk(_))
    }

    /// Bytes of memory that they take.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        match &self.held {
            Held::Memory(examples) => examples.iter().map(Example::held_bytes).sum(),
            Held::Disk(stored) => size_of_val(stored.places.as_slice()),
        }
    }
}

impl From<Vec<Example>> for Examples {
    fn from(examples: Vec<Example>) -> Self {
        Self { held: Held::Memory(examples) }
    }
}

impl Example {
    /// Bytes of memory that it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let parts = size_of_val(self.tokens.as_slice()) + self.supervised.len() + self.id.len();
        size_of::<Self>() + parts + BLOCKS_BYTES
    }
}

impl Stored {
    fn read(&self, place: usize) -> Result<Example, DataError> {
        let Place { offset, bytes, check, .. } = self.places[place];
        let mut row = vec![0; bytes as usize];
        let failed = |problem: String| DataError::Stored { path: self.path.clone(), problem };
        self.file.read_exact_at(&mut row, offset).map_err(|error| failed(error.to_string()))?;
        let example = (check_of(&row) == check).then(|| decode_row(&row, &self.names)).flatten();
        example.ok_or_else(|| failed(format!("row {} is not what it was", place + 1)))
    }
}

/// Examples as they are read one by one from a file of prepared rows.
pub(crate) struct Gathered {
    most_bytes: usize,
    held_bytes: usize,
    /// `None` once there are too many.
    examples: Option<Vec<Example>>,
    places: Vec<Place>,
}

impl Gathered {
    /// None yet; those of more than `most_bytes` stay on disk.
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self { most_bytes, held_bytes: 0, examples: Some(Vec::new()), places: Vec::new() }
    }

    pub(crate) fn add(&mut self, example: Example, place: Place) {
        self.places.push(place);
        let Some(examples) = &mut self.examples else { return };
        self.held_bytes += example.held_bytes();
        if self.held_bytes <= self.most_bytes {
            examples.push(example);
        } else {
            self.examples = None;
        }
    }

    /// The examples; `file` gives the file that they stand in, its name and the names of the files that they come from, where they are
    /// to stay there.
    pub(crate) fn finish(
        mut self,
        file: impl FnOnce() -> io::Result<(File, PathBuf, Vec<Arc<Path>>)>,
    ) -> io::Result<Examples> {
        if let Some(examples) = self.examples {
            return Ok(examples.into());
        }
        let (file, path, names) = file()?;
        self.places.shrink_to_fit();
        let places = self.places;
        Ok(Examples { held: Held::Disk(Arc::new(Stored { file, path, names, places })) })
    }
}
