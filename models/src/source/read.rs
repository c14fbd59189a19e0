//! Reading elements that stand in a file as they stand in memory.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;

use bytemuck::{Pod, Zeroable};

use crate::ModelError;

/// Elements of a piece: 8 MB in half precision, few enough that some of them fit beside a model of any size, and
/// enough that a piece takes longer than handing it over. A multiple of every block that is quantised here.
const PIECE_ELEMENTS: usize = 1 << 22;

/// Reads `count` elements from `start_bytes` of the file straight into their vector. The caller has checked that
/// the file has them, which bounds the allocation.
pub(super) fn read_elements<T: Pod + Zeroable>(
    path: &Path,
    tensor: &str,
    start_bytes: u64,
    count: usize,
) -> Result<Vec<T>, ModelError> {
    Elements::open(path, tensor, start_bytes)?.next(count)
}

/// The same in pieces. While one is taken, the next is read.
pub(super) fn read_pieces<T: Pod + Zeroable + Send>(
    path: &Path,
    tensor: &str,
    start_bytes: u64,
    count: usize,
    take: &mut dyn FnMut(Vec<T>) -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    let mut elements = Elements::open(path, tensor, start_bytes)?;
    if count <= PIECE_ELEMENTS {
        return take(elements.next(count)?);
    }
    thread::scope(|scope| {
        // Nothing waits in the channel: one piece is taken and one is read.
        let (sender, receiver) = sync_channel(0);
        scope.spawn(move || {
            for start in (0..count).step_by(PIECE_ELEMENTS) {
                let piece = elements.next::<T>(PIECE_ELEMENTS.min(count - start));
                let failed = piece.is_err();
                // Nobody receives any more when a piece before was not right.
                if sender.send(piece).is_err() || failed {
                    return;
                }
            }
        });
        receiver.into_iter().try_for_each(|piece| take(piece?))
    })
}

/// A place in a file.
struct Elements<'a> {
    file: File,
    path: &'a Path,
    tensor: &'a str,
}

impl<'a> Elements<'a> {
    fn open(path: &'a Path, tensor: &'a str, start_bytes: u64) -> Result<Self, ModelError> {
        let mut file = File::open(path).map_err(ModelError::io(path))?;
        file.seek(SeekFrom::Start(start_bytes)).map_err(ModelError::io(path))?;
        Ok(Self { file, path, tensor })
    }

    fn next<T: Pod + Zeroable>(&mut self, count: usize) -> Result<Vec<T>, ModelError> {
        let mut values = vec![T::zeroed(); count];
        let read = self.file.read_exact(bytemuck::cast_slice_mut(&mut values));
        read.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                ModelError::tensor(self.path, self.tensor, "the file has become shorter since it was opened")
            }
            _ => ModelError::io(self.path)(error),
        })?;
        Ok(values)
    }
}
