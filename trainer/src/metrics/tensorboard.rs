//! TensorBoard's event files, for scalars and texts.
//!
//! The records (length, checksum, payload, checksum) are those of `tensorboard-rs`; its own writer panics in a
//! thread when the disk is full, so the file and the payload are written here.
//! Source: tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tensorboard_rs::record_writer::RecordWriter;

use crate::files::{At, FileError};

/// An open event file.
pub(super) struct EventFile {
    path: PathBuf,
    records: RecordWriter<File>,
}

impl std::fmt::Debug for EventFile {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("EventFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl EventFile {
    /// Makes the folder and a file in it, whose name TensorBoard recognises.
    pub(super) fn create(folder: &Path) -> Result<Self, FileError> {
        fs::create_dir_all(folder).at("create", folder)?;
        let name =
            format!("events.out.tfevents.{:010}.rtune.{}.0", unix_seconds() as u64, std::process::id());
        let path = folder.join(name);
        let records = RecordWriter::new(File::create(&path).at("write", &path)?);
        let mut events = Self { path, records };
        events.write(&message_field(3, b"brain.Event:2"), 0)?;
        Ok(events)
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
        let mut event = vec![1 << 3 | 1];
        event.extend(unix_seconds().to_le_bytes());
        event.push(2 << 3);
        event.extend(varint(step));
        event.extend(payload);
        self.records.write(&event).and_then(|()| self.records.flush()).at("write", &self.path)
    }
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
        let mut events = EventFile::create(folder.path()).expect("created");
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
}
