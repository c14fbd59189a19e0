//! Rows on their way, on disk: what is read once is gone through several times without standing in memory.

use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tempfile::{SpooledTempFile, spooled_tempfile_in};

use super::IN_MEMORY_BYTES;
use crate::error::DataError;
use crate::record::{Content, Message, Origin, Record};
use crate::spill::SpillError;
use crate::watch::{Doing, Watch};

const BUFFER_BYTES: usize = 1 << 18;

/// Bytes of entries that are parsed at once, on all threads.
const BATCH_BYTES: usize = 4 << 20;
/// Entries that a thread parses at a time.
const LEAST_ENTRIES: usize = 32;

/// Why a row goes no further, and at which stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dropped {
    pub(super) stage: String,
    pub(super) reason: String,
    /// Figures and names of rules; never the text itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) detail: String,
}

/// A row as read, and what became of it so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Number of the file in the order of reading.
    pub(super) file: usize,
    /// Number of the source among the sources of its role.
    pub(super) source: usize,
    pub(super) line: u64,
    /// Whether it comes from a validation file.
    pub(super) held_out: bool,
    /// The id; empty for a row that could not be read.
    pub(super) id: String,
    /// The stages that changed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) changed: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dropped: Option<Dropped>,
    /// The row; none if it was dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<Body>,
    /// The row with tags in place of stand-ins, where it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tagged: Option<Body>,
}

impl Entry {
    /// A row of this file and line, of which nothing else is known.
    pub(super) fn new(file: usize, line: u64) -> Self {
        Self {
            file,
            source: 0,
            line,
            held_out: false,
            id: String::new(),
            changed: Vec::new(),
            dropped: None,
            body: None,
            tagged: None,
        }
    }

    /// `record`, which is this row, as it is compared with rows of other texts: a prompt has other stand-ins in each row, and
    /// is one prompt.
    pub(super) fn compared(&self, record: Record) -> Record {
        match &self.tagged {
            Some(body) => body.clone().record(record.id, record.origin),
            None => record,
        }
    }
}

impl Entry {
    /// Bytes of its texts, and of what else its turns have.
    pub(super) fn text_bytes(&self) -> usize {
        let turns = self.body.iter().flat_map(|body| &body.turns);
        let extra = |turn: &Turn| turn.extra.values().map(|value| value.to_string().len()).sum::<usize>();
        turns.map(|turn| turn.content.len() + extra(turn)).sum()
    }
}

/// A row without its id and place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Body {
    turns: Vec<Turn>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
}

/// A message with all its fields apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Turn {
    role: String,
    content: String,
    #[serde(default)]
    written: Content,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    extra: Map<String, Value>,
    trained: bool,
}

impl Body {
    pub(super) fn of(record: Record) -> Self {
        let turn = |message: Message| {
            let Message { role, content, written, extra, trained } = message;
            Turn { role, content, written, extra, trained }
        };
        Self { turns: record.messages.into_iter().map(turn).collect(), tools: record.tools }
    }

    pub(super) fn record(self, id: String, origin: Origin) -> Record {
        let message = |turn: Turn| {
            let Turn { role, content, written, extra, trained } = turn;
            Message { role, content, written, extra, trained }
        };
        Record::with_tools(Some(id), origin, self.turns.into_iter().map(message).collect(), self.tools)
    }
}

/// A file of entries, gone when it is dropped.
pub(super) struct Spool {
    file: BufWriter<SpooledTempFile>,
    folder: PathBuf,
    /// Of each entry whether it is held out; none of one that was dropped.
    held_out: Vec<Option<bool>>,
    /// Who is told how far each pass is, and as what.
    watch: Option<(Doing, Watch)>,
}

impl Spool {
    /// An empty one in `folder`.
    pub(super) fn new(folder: &Path) -> Result<Self, DataError> {
        let file = spooled_tempfile_in(IN_MEMORY_BYTES, folder);
        let (file, folder) = (BufWriter::with_capacity(BUFFER_BYTES, file), folder.to_owned());
        Ok(Self { file, folder, held_out: Vec::new(), watch: None })
    }

    /// Lets passes from here on tell how far they are.
    pub(super) fn watch(&mut self, doing: Doing, watch: Option<&Watch>) {
        self.watch = watch.map(|watch| (doing, watch.clone()));
    }

    pub(super) fn push(&mut self, entry: &Entry) -> Result<(), DataError> {
        let written = serde_json::to_writer(&mut self.file, entry).map_err(io::Error::from);
        written.and_then(|()| self.file.write_all(b"\n")).map_err(|source| self.spill(source))?;
        self.held_out.push(entry.body.is_some().then_some(entry.held_out));
        Ok(())
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.held_out.len()
    }

    /// Of each entry whether it is held out; none of one that was dropped.
    pub(super) fn held_out(&self) -> &[Option<bool>] {
        &self.held_out
    }

    /// Goes through all entries, in the order they came.
    pub(super) fn for_each(
        &mut self,
        each: impl FnMut(usize, Entry) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        self.each_of(|_| true, |_, entry| entry, each)
    }

    /// Hands what `of` makes of each entry that is `wanted` to `each`, in the order they came; `of` runs on all threads.
    pub(super) fn each_of<T: Send>(
        &mut self,
        wanted: impl Fn(usize) -> bool,
        of: impl Fn(usize, Entry) -> T + Sync,
        mut each: impl FnMut(usize, T) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let folder = self.folder.clone();
        let spill = |source| DataError::from(SpillError::new(&folder, "use", source));
        self.file.flush().and_then(|()| self.file.get_mut().rewind()).map_err(spill)?;
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, self.file.get_mut());
        let (mut bytes, mut lines): (Vec<u8>, Vec<(usize, Range<usize>)>) = (Vec::new(), Vec::new());
        let (mut row, rows) = (0, self.held_out.len());
        while row < rows {
            bytes.clear();
            lines.clear();
            while row < rows && bytes.len() < BATCH_BYTES {
                let start = bytes.len();
                reader.read_until(b'\n', &mut bytes).map_err(spill)?;
                match wanted(row) {
                    true => lines.push((row, start..bytes.len())),
                    false => bytes.truncate(start),
                }
                row += 1;
            }
            let one = |(row, line): &(usize, Range<usize>)| {
                serde_json::from_slice(&bytes[line.clone()]).map(|entry| (*row, of(*row, entry)))
            };
            let made: Vec<_> = lines.par_iter().with_min_len(LEAST_ENTRIES).map(one).collect();
            for made in made {
                let (row, made) = made.map_err(|error| spill(io::Error::from(error)))?;
                each(row, made)?;
            }
            if let Some((doing, watch)) = &self.watch {
                watch(*doing, row as u64, rows as u64);
            }
        }
        // What comes next is written behind the last.
        self.file.get_mut().seek(SeekFrom::End(0)).map_err(spill)?;
        Ok(())
    }

    fn spill(&self, source: io::Error) -> DataError {
        SpillError::new(&self.folder, "use", source).into()
    }
}
