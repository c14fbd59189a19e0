//! A file to which lines are added, each on the disk before anybody is told so.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::TrainerError;
use crate::files::{At, sync_folder_of};

/// A larger file is none that people wrote.
const MOST_BYTES: u64 = 1 << 30;

/// A file of lines that one process writes to, until it is dropped.
#[derive(Debug)]
pub struct LineLog {
    file: File,
    path: PathBuf,
    /// The bytes that are whole lines.
    length: u64,
}

impl LineLog {
    /// Opens the file, or makes it; with the text that is in it. A line that a process was killed over is cut off: nobody was told that it
    /// was kept. `is_whole` says whether a last line without its end is one all the same, as an editor may have left it.
    ///
    /// # Errors
    /// [`TrainerError::Unreadable`] where another process writes to the file, for other bytes than UTF-8, and for more than 1 GiB;
    /// [`TrainerError::File`].
    pub fn open(path: &Path, is_whole: &dyn Fn(&str) -> bool) -> Result<(Self, String), TrainerError> {
        let mut options = OpenOptions::new();
        let file =
            options.create(true).truncate(false).read(true).write(true).open(path).at("write", path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let problem = "another process writes to it".to_owned();
                return Err(TrainerError::Unreadable { file: path.to_owned(), problem });
            }
            Err(TryLockError::Error(source)) => return Err(source).at("lock", path).map_err(Into::into),
        }
        sync_folder_of(path)?;
        let mut text = text_of(path, &file)?;
        text.truncate(whole_lines(&text, is_whole));
        let mut log = Self { file, path: path.to_owned(), length: text.len() as u64 };
        log.cut()?;
        if !text.is_empty() && !text.ends_with('\n') {
            log.put(b"\n")?;
        }
        Ok((log, text))
    }

    /// The lines of a file that nobody need hold, without one that was cut off.
    ///
    /// # Errors
    /// As [`Self::open`], whoever writes.
    pub fn read(path: &Path, is_whole: &dyn Fn(&str) -> bool) -> Result<String, TrainerError> {
        let mut text = text_of(path, &File::open(path).at("read", path)?)?;
        text.truncate(whole_lines(&text, is_whole));
        Ok(text)
    }

    /// Adds a line, which has no line break in it; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`TrainerError::File`], after which the file is as it was.
    pub fn append(&mut self, line: &str) -> Result<(), TrainerError> {
        self.put(format!("{line}\n").as_bytes())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), TrainerError> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            // The error of writing is the one to tell.
            let _ = self.cut();
            return Err(source).at("write", &self.path).map_err(TrainerError::from);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Takes off what is no whole line.
    fn cut(&mut self) -> Result<(), TrainerError> {
        self.file.set_len(self.length).at("write", &self.path)?;
        self.file.seek(SeekFrom::Start(self.length)).at("write", &self.path)?;
        Ok(())
    }
}

fn text_of(path: &Path, file: &File) -> Result<String, TrainerError> {
    let unreadable = |problem: String| TrainerError::Unreadable { file: path.to_owned(), problem };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).at("read", path)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(unreadable(format!("expected at most {} GiB", MOST_BYTES >> 30)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        unreadable(format!(
            "line {}: expected UTF-8",
            1 + before.iter().filter(|byte| **byte == b'\n').count()
        ))
    })
}

/// How many bytes are whole lines.
fn whole_lines(text: &str, is_whole: &dyn Fn(&str) -> bool) -> usize {
    let end = text.rfind('\n').map_or(0, |at| at + 1);
    if is_whole(&text[end..]) { text.len() } else { end }
}
