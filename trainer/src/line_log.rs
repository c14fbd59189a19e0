//! A file to which lines are added, each on the disk before anybody is told so.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::TrainerError;
use crate::files::{At, sync_folder_of};

/// A larger file is none that people wrote.
const MOST_BYTES: u64 = 1 << 30;
/// How every line begins that is written to such a file: by this a line that was cut off is known.
const BEGIN: &[u8] = b"{\"format\":";

/// What is wrong with a line, if something is.
pub type Check<'a> = &'a dyn Fn(&str) -> Result<(), String>;

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
    /// was kept. A last line without its end that passes `check` is one all the same, as an editor may have left it. Nothing is cut off a file
    /// with a line that does not pass, nor anything that does not begin as a line of such a file does: it is another's.
    ///
    /// # Errors
    /// [`TrainerError::Unreadable`] for a line that is none, where another process writes to the file, for other bytes than UTF-8, and for more
    /// than 1 GiB, after which the file is as it was; [`TrainerError::File`].
    pub fn open(path: &Path, check: Check<'_>) -> Result<(Self, String), TrainerError> {
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
        let text = text_of(path, &file, check)?;
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
    pub fn read(path: &Path, check: Check<'_>) -> Result<String, TrainerError> {
        text_of(path, &File::open(path).at("read", path)?, check)
    }

    /// Adds a line, which has no line break in it and begins with `{"format":`; it is on the disk when this returns.
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

/// The whole lines of a file, the last one with or without its end.
fn text_of(path: &Path, file: &File, check: Check<'_>) -> Result<String, TrainerError> {
    let unreadable = |problem: String| TrainerError::Unreadable { file: path.to_owned(), problem };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).at("read", path)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(unreadable(format!("expected at most {} GiB", MOST_BYTES >> 30)));
    }
    let rest = bytes.split_off(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        unreadable(format!("line {}: expected UTF-8", 1 + line_ends(before)))
    })?;
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        check(line).map_err(|problem| unreadable(format!("line {number}: {problem}")))?;
    }
    // What is cut off may end within a character.
    let last = std::str::from_utf8(&rest).map_err(|_| "expected UTF-8".to_owned());
    match last.and_then(|last| check(last).map(|()| last)) {
        Ok(last) => text.push_str(last),
        Err(_) if is_begun(&rest) => {}
        Err(_) if rest.trim_ascii().is_empty() => {}
        Err(problem) => {
            return Err(unreadable(format!("line {}: {problem}", 1 + line_ends(text.as_bytes()))));
        }
    }
    Ok(text)
}

/// Whether this is how a line of ours begins, and no more: what is whole JSON is another's.
fn is_begun(rest: &[u8]) -> bool {
    (rest.starts_with(BEGIN) || BEGIN.starts_with(rest))
        && serde_json::from_slice::<serde::de::IgnoredAny>(rest).is_err()
}

fn line_ends(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "{\"format\":1,\"word\":\"größe\"}";

    fn check(line: &str) -> Result<(), String> {
        (line == OURS).then_some(()).ok_or_else(|| "not ours".to_owned())
    }

    #[test]
    fn a_line_that_was_cut_off_goes_and_a_whole_one_stays() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("log");
        let lines = format!("{OURS}\n{OURS}\n");
        for cut in 1..OURS.len() {
            let mut bytes = lines.clone().into_bytes();
            bytes.extend(&OURS.as_bytes()[..cut]);
            std::fs::write(&path, bytes).expect("written");
            assert_eq!(LineLog::read(&path, &check).expect("readable"), lines, "{cut} bytes");
            let (mut log, text) = LineLog::open(&path, &check).expect("ours");
            assert_eq!(text, lines);
            log.append(OURS).expect("written");
            assert_eq!(std::fs::read_to_string(&path).expect("there"), format!("{lines}{OURS}\n"));
        }
        std::fs::write(&path, OURS).expect("written");
        let (_, text) = LineLog::open(&path, &check).expect("ours");
        assert_eq!(
            (text.as_str(), std::fs::read_to_string(&path).expect("there")),
            (OURS, format!("{OURS}\n"))
        );
    }

    /// Whoever names another file by mistake has it as it was.
    #[test]
    fn a_file_of_something_else_stays_as_it_is() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("theirs");
        for (text, said) in [
            ("{\"cases\": [1, 2]}".to_owned(), "line 1: not ours"),
            ("{\"format\":1,\"cases\":[]}".to_owned(), "line 1: not ours"),
            ("a note\n".to_owned(), "line 1: not ours"),
            (format!("{OURS}\nanother line\n{{\"format\":"), "line 2: not ours"),
            (format!("{OURS}\n\nmy note"), "line 3: not ours"),
        ] {
            std::fs::write(&path, &text).expect("written");
            for error in [
                LineLog::open(&path, &check).map(|_| ()).expect_err(&text),
                LineLog::read(&path, &check).map(|_| ()).expect_err(&text),
            ] {
                assert!(error.to_string().contains(said) && error.to_string().contains("theirs"), "{error}");
            }
            assert_eq!(std::fs::read_to_string(&path).expect("there"), text);
        }
        std::fs::write(&path, b"{\"a\": \"\xff\"}").expect("written");
        assert!(
            LineLog::open(&path, &check)
                .is_err_and(|error| error.to_string().contains("line 1: expected UTF-8"))
        );
    }
}
