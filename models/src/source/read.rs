//! Reading elements that stand in a file as they stand in memory.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use bytemuck::{Pod, Zeroable};

use crate::ModelError;

/// Reads `count` elements from `start_bytes` of the file straight into their vector. The caller has checked that
/// the file has them, which bounds the allocation.
pub(super) fn read_elements<T: Pod + Zeroable>(
    path: &Path,
    tensor: &str,
    start_bytes: u64,
    count: usize,
) -> Result<Vec<T>, ModelError> {
    let mut values = vec![T::zeroed(); count];
    let mut file = File::open(path).map_err(ModelError::io(path))?;
    file.seek(SeekFrom::Start(start_bytes)).map_err(ModelError::io(path))?;
    file.read_exact(bytemuck::cast_slice_mut(&mut values)).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => {
            ModelError::tensor(path, tensor, "the file has become shorter since it was opened")
        }
        _ => ModelError::io(path)(error),
    })?;
    Ok(values)
}
