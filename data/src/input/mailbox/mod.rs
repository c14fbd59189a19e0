//! Mailboxes: mail that answers mail becomes one row.
//!
//! The file is read twice: once for its hash and for who answers whom, of which about a hundred bytes a mail are kept,
//! then thread by thread. A packed file is unpacked beside, in a file without a name.

mod cut;
mod threads;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use mail_parser::{Message as Mail, MessageParser};
use serde_json::{Map, Value};

use super::bytes::{Bytes, fault};
use super::form::{Agents, Side, dialogue};
use super::{Found, MAX_LINE_BYTES, Rows};
use crate::error::DataError;
use crate::problem::ProblemKind;
use crate::record::Message;
use cut::{Cutter, unquoted};
use threads::{Place, Threads};

/// The threads of a mailbox, in the order of their first mails.
pub(super) struct MailRows {
    path: Arc<Path>,
    file: File,
    agents: Agents,
    threads: std::vec::IntoIter<Vec<Place>>,
    hash: String,
}

impl MailRows {
    /// Reads the mailbox once.
    ///
    /// # Errors
    /// [`DataError::NoAgents`], [`DataError::Format`] for a file that is no mailbox; those of the bytes.
    pub(super) fn new(path: Arc<Path>, bytes: Bytes, agents: Agents) -> Result<Self, DataError> {
        if agents.is_empty() {
            return Err(DataError::NoAgents { path: path.to_path_buf() });
        }
        let fail = |error| fault(&path, error);
        let file = if bytes.is_plain() { File::open(&path) } else { tempfile::tempfile() }.map_err(fail)?;
        let mut cutter = Cutter::new(Tee { copy: (!bytes.is_plain()).then_some(&file), bytes });
        let mut threads = Threads::default();
        while let Some(found) = cutter.next().map_err(fail)? {
            threads.add(found.place, found.header);
        }
        let began = cutter.began();
        let hash = cutter.into_inner().bytes.hash().map_err(fail)?;
        if threads.is_empty() && began {
            let reason = "no line says `From ` as the beginning of a mail does: not a mailbox".to_owned();
            return Err(DataError::Format { path: path.to_path_buf(), reason });
        }
        Ok(Self { file, agents, threads: threads.into_lists().into_iter(), hash, path })
    }

    fn thread(&mut self, places: &[Place]) -> io::Result<Result<Vec<Message>, ProblemKind>> {
        let total: u64 = places.iter().map(|place| place.length_bytes).sum();
        if total > MAX_LINE_BYTES as u64 {
            return Ok(Err(ProblemKind::RowTooLong));
        }
        let mut subject = None;
        let mut turns = Vec::with_capacity(places.len());
        for place in places {
            let mut raw = vec![0; place.length_bytes as usize];
            self.file.seek(SeekFrom::Start(place.offset))?;
            self.file.read_exact(&mut raw)?;
            let raw = unquoted(&raw);
            // What cannot be parsed at all has no text that could be a turn.
            let Some(mail) = MessageParser::default().parse(&raw) else { continue };
            subject = subject.or_else(|| mail.thread_name().map(str::to_owned));
            turns.push((side_of(&mail, &self.agents), text_of(&mail)));
        }
        Ok(dialogue(subject.as_deref(), turns))
    }
}

impl Rows for MailRows {
    fn next(&mut self) -> Result<Option<Found>, DataError> {
        let Some(places) = self.threads.next() else { return Ok(None) };
        let line = places.iter().map(|place| place.number).min().unwrap_or(0);
        let messages = self.thread(&places).map_err(|error| fault(&self.path, error))?;
        let row = messages.map(|messages| {
            let list: Vec<Value> = messages
                .into_iter()
                .map(|message| serde_json::json!({"role": message.role, "content": message.content}))
                .collect();
            Map::from_iter([("messages".to_owned(), Value::Array(list))])
        });
        Ok(Some(Found { line, row }))
    }

    fn hash(self: Box<Self>) -> Result<String, DataError> {
        Ok(self.hash)
    }
}

fn side_of(mail: &Mail<'_>, agents: &Agents) -> Side {
    let mut from = mail.from().into_iter().flat_map(|from| from.iter()).filter_map(|one| one.address());
    if from.any(|address| agents.has(address)) { Side::Agent } else { Side::Customer }
}

/// The text parts of a mail; HTML is resolved where there is no plain text.
fn text_of(mail: &Mail<'_>) -> String {
    let parts = (0..mail.text_body_count()).filter_map(|part| mail.body_text(part));
    let parts: Vec<String> = parts.map(|part| part.replace("\r\n", "\n").trim().to_owned()).collect();
    parts.join("\n\n").trim().to_owned()
}

/// Bytes that are written beside as they are read.
struct Tee<'a> {
    bytes: Bytes,
    copy: Option<&'a File>,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        if let Some(mut copy) = self.copy {
            copy.write_all(&buffer[..count])?;
        }
        Ok(count)
    }
}

#[cfg(test)]
#[path = "../mailbox_tests.rs"]
mod tests;
