//! TensorBoard's event files, for scalars and texts.
//!
//! The records (length, checksum, payload, checksum) are those of `tensorboard-rs`; its own writer panics in a
//! thread when the disk is full, so the file and the payload are written here.
//! Source: tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tensorboard_rs::record_writer::RecordWriter;

use crate::files::{At, FileError};

/// When events were written, in seconds of Unix time, by the rest of their bytes.
pub(super) type Times = HashMap<Vec<u8>, f64>;

/// An open event file.
pub(super) struct EventFile {
    path: PathBuf,
    records: RecordWriter<File>,
    times: Times,
}

impl std::fmt::Debug for EventFile {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("EventFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl EventFile {
    /// Makes the folder and a file in it, whose name TensorBoard recognises. Events that are among the `times` keep theirs.
    pub(super) fn create(folder: &Path, times: Times) -> Result<Self, FileError> {
        fs::create_dir_all(folder).at("create", folder)?;
        let name =
            format!("events.out.tfevents.{:010}.rtune.{}.0", unix_seconds() as u64, std::process::id());
        let path = folder.join(name);
        let records = RecordWriter::new(File::create(&path).at("write", &path)?);
        let mut events = Self { path, records, times };
        events.write(&message_field(3, b"brain.Event:2"), 0)?;
        Ok(events)
    }

    /// From now on every event is of its own time.
    pub(super) fn forget_times(&mut self) {
        self.times.clear();
    }

    /// Adds one event that holds all `scalars` of a step.
    pub(super) fn add(&mut self, step: u64, scalars: &[(impl AsRef<str>, f64)]) -> Result<(), FileError> {
        let mut summary = Vec::new();
        for (tag, number) in scalars {
            let mut value = message_field(1, tag.as_ref().as_bytes());
            // Field 2, simple_value, is a 32-bit float.
            value.push(2 << 3 | 5);
            value.extend((*number as f32).to_le_bytes());
            summary.extend(message_field(1, &value));
        }
        self.write(&message_field(5, &summary), step)
    }

    /// Adds a text of a step, as TensorBoard's text plugin takes it: a tensor of one string.
    pub(super) fn add_text(&mut self, step: u64, tag: &str, text: &str) -> Result<(), FileError> {
        /// `DT_STRING` of tensorflow/core/framework/types.proto.
        const STRING: u8 = 7;
        let shape = message_field(2, &[1 << 3, 1]);
        let tensor =
            [&[1 << 3, STRING][..], &message_field(2, &shape), &message_field(8, text.as_bytes())].concat();
        let plugin = message_field(1, &message_field(1, b"text"));
        let value =
            [message_field(1, tag.as_bytes()), message_field(8, &tensor), message_field(9, &plugin)].concat();
        self.write(&message_field(5, &message_field(1, &value)), step)
    }

    fn write(&mut self, payload: &[u8], step: u64) -> Result<(), FileError> {
        // Field 1, wall_time, is a double; field 2, step, a varint.
        let rest = [&[2 << 3][..], &varint(step), payload].concat();
        let mut event = vec![WALL_TIME];
        event.extend(self.times.get(&rest).copied().unwrap_or_else(unix_seconds).to_le_bytes());
        event.extend(rest);
        self.records.write(&event).and_then(|()| self.records.flush()).at("write", &self.path)
    }
}

/// What an event begins with: field 1, of wire type 1.
const WALL_TIME: u8 = 1 << 3 | 1;

/// The times of the events in a folder. What cannot be read has none: they are for people alone.
pub(super) fn times_in(folder: &Path) -> Times {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = files.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut times = Times::new();
    for bytes in files.filter_map(|entry| fs::read(entry.path()).ok()) {
        for event in payloads(&bytes) {
            let Some(([WALL_TIME, time @ ..], rest)) = event.split_first_chunk::<9>() else { continue };
            let time = f64::from_le_bytes(*time);
            if time.is_finite() {
                times.insert(rest.to_vec(), time);
            }
        }
    }
    times
}

/// What is in the records of a file: each has a length and its checksum before it, and a checksum behind.
fn payloads(mut bytes: &[u8]) -> Vec<&[u8]> {
    /// Bytes of a checksum.
    const SUM: usize = 4;
    let mut found = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
        let length = u64::from_le_bytes(*length) as usize;
        let Some((payload, rest)) = rest.get(SUM..).and_then(|rest| rest.split_at_checked(length)) else {
            break;
        };
        found.push(payload);
        bytes = rest.get(SUM..).unwrap_or_default();
    }
    found
}

/// Field `number` of wire type 2: a length and the bytes.
fn message_field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    field.extend(varint(bytes.len() as u64));
    field.extend(bytes);
    field
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_by_hand() {
        assert_eq!(varint(1), [1]);
        assert_eq!(varint(300), [0xac, 0x02]);
    }

    #[test]
    fn records_are_framed_and_hold_the_scalars() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut events = EventFile::create(folder.path(), Times::new()).expect("created");
        events.add(300, &[("a/b", 0.5)]).expect("written");
        let bytes = fs::read(&events.path).expect("there");
        let mut rest = bytes.as_slice();
        let mut payloads = Vec::new();
        while let Some((head, tail)) = rest.split_at_checked(12) {
            let length = u64::from_le_bytes(head[..8].try_into().expect("eight bytes")) as usize;
            payloads.push(&tail[..length]);
            rest = &tail[length + 4..];
        }
        assert!(rest.is_empty());
        assert_eq!(payloads.len(), 2);
        assert!(payloads[0].ends_with(b"brain.Event:2"));
        let scalar = [&[0x2a, 12, 0x0a, 10, 0x0a, 3][..], b"a/b", &[0x15], &0.5f32.to_le_bytes()].concat();
        assert!(payloads[1].ends_with(&scalar));
        assert_eq!(payloads[1][9..12], [0x10, 0xac, 0x02]);
    }

    #[test]
    fn an_event_that_is_written_anew_keeps_its_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut events = EventFile::create(folder.path(), Times::new()).expect("created");
        events.add(1, &[("a", 0.5)]).expect("written");
        events.add_text(1, "b", "said").expect("written");
        let old = times_in(folder.path());
        assert_eq!(old.len(), 3, "the format's version is one");
        assert!(old.values().all(|time| (unix_seconds() - time).abs() < 3600.0), "{old:?}");
        // A file that ends in the middle of a record, and one that is none.
        let torn = [fs::read(&events.path).expect("there"), vec![9; 11]].concat();
        fs::write(&events.path, &torn).expect("written");
        fs::write(folder.path().join("other"), [0xff; 40]).expect("written");
        let early: Times = times_in(folder.path()).into_keys().map(|event| (event, 7.0)).collect();
        assert_eq!(early.len(), 3);
        let again = tempfile::tempdir().expect("a folder");
        let mut events = EventFile::create(again.path(), early).expect("created");
        events.add(1, &[("a", 0.5)]).expect("written");
        events.add(2, &[("a", 0.5)]).expect("written");
        let of = |step: u64| {
            let found = times_in(again.path())
                .into_iter()
                .filter(|(event, _)| event.ends_with(&0.5f32.to_le_bytes()));
            found.filter(|(event, _)| event[1] == step as u8).map(|(_, time)| time).collect::<Vec<_>>()
        };
        assert_eq!(of(1), [7.0]);
        assert!(of(2)[0] > 7.0, "that is new");
        events.forget_times();
        events.add(1, &[("a", 0.5)]).expect("written");
        assert!(of(1)[0] > 7.0, "it was done again");
        assert!(times_in(&again.path().join("nowhere")).is_empty());
    }
}
