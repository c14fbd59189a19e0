//! A file to append to and to read anywhere, made when its buffer is first full.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::SpillError;

/// Writes are gathered to this many bytes: few calls, and small sets stay in memory.
const BUFFER_BYTES: usize = 256 << 10;

/// Bytes in a temporary file; the last ones are in a buffer.
#[derive(Debug)]
pub(crate) struct ScratchFile {
    folder: PathBuf,
    file: Option<File>,
    written_bytes: u64,
    buffer: Vec<u8>,
}

impl ScratchFile {
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), file: None, written_bytes: 0, buffer: Vec::new() }
    }

    pub(crate) fn length_bytes(&self) -> u64 {
        self.written_bytes + self.buffer.len() as u64
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), SpillError> {
        if self.buffer.len() + bytes.len() <= BUFFER_BYTES {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile_in(&self.folder)
                .map_err(|error| SpillError::new(&self.folder, "make", error))?,
        };
        let mut sink = &file;
        let written = sink.write_all(&self.buffer).and_then(|()| sink.write_all(bytes));
        written.map_err(|error| SpillError::new(&self.folder, "write", error))?;
        self.file = Some(file);
        self.written_bytes += (self.buffer.len() + bytes.len()) as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Fills `bytes` with what was appended from `offset` on.
    pub(crate) fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), SpillError> {
        let on_disk = self.written_bytes.saturating_sub(offset).min(bytes.len() as u64) as usize;
        let (front, back) = bytes.split_at_mut(on_disk);
        let failed = |error| SpillError::new(&self.folder, "read", error);
        if let Some(file) = &self.file
            && !front.is_empty()
        {
            file.read_exact_at(front, offset).map_err(failed)?;
        }
        if !back.is_empty() {
            let start = (offset + on_disk as u64 - self.written_bytes) as usize;
            let held = self.buffer.get(start..start + back.len());
            back.copy_from_slice(held.ok_or_else(|| failed(std::io::ErrorKind::UnexpectedEof.into()))?);
        }
        Ok(())
    }

    /// What was read is not what can have been written.
    pub(crate) fn spoilt(&self, reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SpillError {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, reason);
        SpillError::new(&self.folder, "read", source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_across_the_border_of_file_and_buffer() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = ScratchFile::new(folder.path());
        let bytes: Vec<u8> = (0..BUFFER_BYTES * 2 + 777).map(|index| (index % 251) as u8).collect();
        for part in bytes.chunks(1013) {
            file.append(part).expect("room");
        }
        assert_eq!(file.length_bytes(), bytes.len() as u64);
        assert!(!file.buffer.is_empty() && file.file.is_some());
        let border = file.written_bytes as usize;
        for (start, end) in
            [(0, bytes.len()), (border - 5, border + 5), (border, bytes.len()), (3, 4), (9, 9)]
        {
            let mut read = vec![0; end - start];
            file.read_at(start as u64, &mut read).expect("bytes");
            assert_eq!(read, bytes[start..end], "{start}..{end}");
        }
        assert!(file.read_at(bytes.len() as u64 - 1, &mut [0; 2]).is_err(), "nothing stands after the end");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "the file has no name");
    }

    #[test]
    fn the_folder_is_named_where_no_file_can_be() {
        let mut file = ScratchFile::new("/no such folder");
        file.append(&[0; 10]).expect("small sets need no file");
        let error = file.append(&vec![0; BUFFER_BYTES]).expect_err("there is no such folder");
        assert_eq!(error.to_string(), "/no such folder: cannot make a temporary file here");
    }
}
