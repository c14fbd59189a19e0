//! Hashing, and writing beside and renaming.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::HubError;

/// Bytes read at a time while hashing: large enough that the calls do not count.
pub(super) const BUFFER_BYTES: usize = 1 << 20;

/// Space that is left free besides a download, in bytes, for the file system's own needs.
const SPARE_BYTES: u64 = 16 << 20;

/// The sha256 of what a reader has left, in hex, and its length.
pub(super) fn sha256(mut reader: impl Read) -> std::io::Result<(String, u64)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut length = 0;
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok((hex(&hash.finalize()), length));
        }
        hash.update(&buffer[..count]);
        length += count as u64;
    }
}

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fails unless the file at `path`, which came from `place`, has this size and, if given, this sha256.
pub(super) fn verify(
    path: &Path,
    place: &str,
    size_bytes: u64,
    expected: Option<&str>,
) -> Result<(), HubError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let wrong = |expected: String, found: String| HubError::WrongFile {
        file: name.clone(),
        place: place.to_owned(),
        expected,
        found,
    };
    let file = File::open(path).map_err(HubError::io(path, 0))?;
    let found_bytes = file.metadata().map_err(HubError::io(path, 0))?.len();
    if found_bytes != size_bytes {
        return Err(wrong(format!("{size_bytes} bytes"), format!("{found_bytes} bytes")));
    }
    let Some(expected) = expected else { return Ok(()) };
    let (found, _) = sha256(file).map_err(HubError::io(path, 0))?;
    if found != expected {
        return Err(wrong(format!("sha256 {expected}"), format!("sha256 {found}")));
    }
    Ok(())
}

/// Fails if the disk that `folder` is on has too little space for `needed_bytes` more. A system that does not say
/// is believed to have enough.
pub(super) fn check_space(folder: &Path, file: &Path, needed_bytes: u64) -> Result<(), HubError> {
    match fs4::available_space(folder) {
        Ok(available) if needed_bytes > 0 && available < needed_bytes.saturating_add(SPARE_BYTES) => {
            Err(HubError::NoSpace { path: file.to_owned(), needed_bytes, available_bytes: Some(available) })
        }
        _ => Ok(()),
    }
}

/// Creates a folder and those above it.
pub(super) fn create_folder(path: &Path) -> Result<(), HubError> {
    std::fs::create_dir_all(path).map_err(HubError::io(path, 0))
}

/// Makes a rename durable: the folder's entry is written out. Systems that cannot open folders do it themselves.
pub(super) fn sync_folder(path: &Path) {
    if let Ok(folder) = File::open(path) {
        let _ = folder.sync_all();
    }
}
