//! Files that are whole or not there: written beside, synced, renamed.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// A file operation that failed, with what was being done.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{path}`")]
pub struct FileError {
    /// A verb: `read`, `write`, `create`, ...
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Gives an [`io::Result`] the action and the path it was about.
pub(crate) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError { action, path: path.to_owned(), source })
    }
}

/// Replaces `path` by `bytes` in one go: a reader sees the old file or the new one, never a part.
///
/// # Errors
/// [`FileError`], after which the old file still stands.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let write = |beside: &Path| -> Result<_, std::convert::Infallible> {
        Ok(File::create(beside).and_then(|mut file| file.write_all(bytes)))
    };
    let Ok(done) = write_whole_by(path, write);
    done
}

/// [`write_whole`] of a file that a person named: a link is followed, and into what is no plain file, a pipe or a device, the bytes
/// are written as they are.
///
/// # Errors
/// [`FileError`].
pub fn write_named(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(&place) {
        Ok(found) if found.is_dir() => Err(io::Error::from(io::ErrorKind::IsADirectory)).at("write", path),
        Ok(found) if !found.is_file() => {
            let open = File::options().write(true).open(&place);
            open.and_then(|mut file| file.write_all(bytes)).at("write", path)
        }
        _ => write_whole(&place, bytes),
    }
}

/// [`write_whole`], where `write` writes the file that then takes the place of `path`; its own errors are handed through.
///
/// # Errors
/// Those of `write`, and within them [`FileError`]; the old file still stands after both.
pub(crate) fn write_whole_by<E>(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<io::Result<()>, E>,
) -> Result<Result<(), FileError>, E> {
    let beside = beside(path);
    // Held until the file has its place: another process that writes the same one would empty it, or carry it away.
    let _held = match hold(&beside) {
        Ok(held) => held,
        Err(source) => return Ok(Err(FileError { action: "write", path: path.to_owned(), source })),
    };
    let written = write(&beside).map(|done| done.and_then(|()| File::open(&beside)?.sync_all()));
    if !matches!(written, Ok(Ok(()))) {
        // The part that was written is of no use; the error of writing it is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    Ok(match written? {
        Ok(()) => {
            let renamed = fs::rename(&beside, path).inspect_err(|_| drop(fs::remove_file(&beside)));
            renamed.at("write", path).and_then(|()| sync_folder_of(path))
        }
        Err(source) => Err(FileError { action: "write", path: path.to_owned(), source }),
    })
}

/// The file `beside`, made where there is none, for this process alone: who else wants it waits until it is dropped, and then makes
/// one of its own, as this one has another name or none.
fn hold(beside: &Path) -> io::Result<File> {
    loop {
        let file = File::options().create(true).truncate(false).write(true).open(beside)?;
        let locked = file.lock();
        if locked.is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
            continue;
        }
        // Where the file system has no locks, one process at a time is what holds there.
        if is_at(&file, beside)? {
            return Ok(file);
        }
    }
}

/// Whether `path` still is the name of an open file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let held = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Points the relative link `path` at `target` in one go.
///
/// # Errors
/// [`FileError`], after which the old link still stands.
pub fn replace_link(path: &Path, target: &Path) -> Result<(), FileError> {
    let beside = beside(path);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).at("write", &beside),
        _ => {}
    }
    std::os::unix::fs::symlink(target, &beside).at("link", path)?;
    fs::rename(&beside, path).at("link", path)?;
    sync_folder_of(path)
}

/// Flushes every file of a folder, and the folder itself, to the disk.
///
/// # Errors
/// [`FileError`] when something cannot be opened or flushed.
pub fn sync_folder(folder: &Path) -> Result<(), FileError> {
    for entry in fs::read_dir(folder).at("read", folder)? {
        let path = entry.at("read", folder)?.path();
        File::open(&path).and_then(|file| file.sync_all()).at("write", &path)?;
    }
    File::open(folder).and_then(|file| file.sync_all()).at("write", folder)
}

/// Flushes the folder that holds `path`, so that a rename in it survives a crash.
pub(crate) fn sync_folder_of(path: &Path) -> Result<(), FileError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|file| file.sync_all()).at("write", folder)
}

/// Removes what processes that were killed had begun to write into `folder`; nothing where there is no folder, and no file that a
/// process still writes.
///
/// # Errors
/// [`FileError`] when something cannot be removed.
pub fn remove_begun(folder: &Path) -> Result<(), FileError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.at("read", folder)?,
    };
    for entry in entries {
        let path = entry.at("read", folder)?.path();
        if is_begun(path.file_name().unwrap_or_default()) {
            remove_begun_one(&path).at("remove", &path)?;
        }
    }
    Ok(())
}

fn remove_begun_one(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?.file_type(),
    };
    if kind.is_dir() {
        return fs::remove_dir_all(path);
    }
    // Held while it is removed, so that nobody begins to write what is about to go.
    let held = if kind.is_file() { File::open(path).ok() } else { None };
    if let Some(file) = &held
        && (matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || !is_at(file, path)?)
    {
        return Ok(());
    }
    fs::remove_file(path)
}

/// Whether a file of this name was begun and not ended.
#[must_use]
pub fn is_begun(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with('.') && name.ends_with(".partial")
}

/// SHA-256 of a file, in hexadecimal, read in pieces.
///
/// # Errors
/// [`FileError`] when it cannot be read.
pub fn sha256_of_file(path: &Path) -> Result<String, FileError> {
    let mut hash = Sha256::new();
    pieces(path, |piece| hash.update(piece))?;
    Ok(hex(&hash.finalize()))
}

/// SHA-256 and BLAKE3 of the same bytes of a file, in hexadecimal.
///
/// # Errors
/// [`FileError`] when it cannot be read.
pub(crate) fn hashes_of_file(path: &Path) -> Result<(String, String), FileError> {
    let (mut sha256, mut blake3) = (Sha256::new(), blake3::Hasher::new());
    pieces(path, |piece| {
        sha256.update(piece);
        blake3.update(piece);
    })?;
    Ok((hex(&sha256.finalize()), blake3.finalize().to_hex().to_string()))
}

/// Hands a file over piece by piece.
fn pieces(path: &Path, mut take: impl FnMut(&[u8])) -> Result<(), FileError> {
    /// Large enough that the system calls do not count.
    const PIECE_BYTES: usize = 1 << 20;
    let mut file = File::open(path).at("read", path)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece).at("read", path)? {
            0 => return Ok(()),
            count => take(&piece[..count]),
        }
    }
}

/// SHA-256 of bytes, in hexadecimal.
pub fn sha256_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".partial");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json");
        write_whole(&path, b"one").expect("written");
        write_whole(&path, b"two").expect("replaced");
        assert_eq!(fs::read(&path).expect("there"), b"two");
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1);
    }

    #[test]
    fn two_who_write_the_same_file_at_once_write_it_whole_each() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json");
        let texts = [vec![b'a'; 300_000], vec![b'b'; 200_000]];
        write_whole(&path, &texts[0]).expect("written");
        std::thread::scope(|scope| {
            for text in &texts {
                let path = &path;
                scope.spawn(move || (0..40).for_each(|_| write_whole(path, text).expect("written")));
            }
            for _ in 0..200 {
                let read = fs::read(&path).expect("there");
                assert!(texts.contains(&read), "{} bytes of neither or of both", read.len());
            }
        });
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1);
    }

    #[test]
    fn what_is_still_written_is_not_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json");
        let write = |beside: &Path| -> Result<_, std::convert::Infallible> {
            let written = fs::write(beside, b"whole");
            remove_begun(folder.path()).expect("removed");
            Ok(written)
        };
        let Ok(written) = write_whole_by(&path, write);
        written.expect("written");
        assert_eq!(fs::read(&path).expect("there"), b"whole");
        fs::write(beside(&path), b"of a killed process").expect("written");
        remove_begun(folder.path()).expect("removed");
        assert!(!beside(&path).exists());
    }

    #[test]
    fn a_link_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("last");
        for target in ["a", "b"] {
            replace_link(&link, Path::new(target)).expect("linked");
            assert_eq!(fs::read_link(&link).expect("a link"), Path::new(target));
        }
    }

    #[test]
    fn what_was_begun_goes_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join(".step-000001.partial")).expect("made");
        for name in [".step-000001.partial/a", ".a.json.partial", ".lock", "b.partial"] {
            fs::write(folder.path().join(name), b"").expect("written");
        }
        std::os::unix::fs::symlink("nowhere", folder.path().join(".last.partial")).expect("linked");
        remove_begun(folder.path()).expect("removed");
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).expect("there").flatten().map(|entry| entry.file_name()).collect();
        left.sort();
        assert_eq!(left, [".lock", "b.partial"]);
        remove_begun(&folder.path().join("nowhere")).expect("nothing to do");
    }

    #[test]
    fn hashes_are_sha256() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256_of(b""), empty);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        fs::write(&path, b"").expect("written");
        assert_eq!(sha256_of_file(&path).expect("read"), empty);
    }

    #[test]
    fn an_error_says_what_was_done_to_which_file() {
        let error = write_whole(Path::new("/dev/null/x"), b"").expect_err("no folder");
        assert_eq!(error.to_string(), "cannot write `/dev/null/x`");
    }
}
