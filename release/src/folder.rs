//! Folders and files that are whole or not there: written beside, synced, renamed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use crate::error::{At, ReleaseError};

/// What anybody may do with a new folder and a new file, less what the process's mask takes away: what leaves is for others
/// to read.
const FOLDER_MODE: u32 = 0o777;
const FILE_MODE: u32 = 0o666;

/// How the name of a folder in the making ends, and that of one that is being replaced; both begin with a dot, and the same drawn
/// letters stand between.
const PARTIAL: &str = ".partial";
const OLD: &str = ".old";

/// A folder in the making, beside the place where it will stand. It goes when it is dropped before [`Self::finish`].
#[derive(Debug)]
pub struct NewFolder {
    partial: TempDir,
    out: PathBuf,
    /// Whether a folder that stands at `out` gives way.
    replaces: bool,
    /// Held for as long as somebody writes here, which tells another process not to remove it.
    _lock: Option<File>,
}

impl NewFolder {
    /// Begins the folder `out`, under a name of its own: two processes with one `out` do not meet before one of them is
    /// finished. What a process that was killed had begun there is removed.
    ///
    /// # Errors
    /// [`ReleaseError::Exists`], [`ReleaseError::Io`].
    pub fn begin(out: &Path) -> Result<Self, ReleaseError> {
        refuse_existing(out)?;
        Self::beside(out, false)
    }

    /// As [`Self::begin`], but a folder that stands at `out` gives way when this one is finished; whether it may, the caller has looked at.
    ///
    /// One of the two is whole at every moment, and at `out` but for the moment between two renamings. A process that is killed in that
    /// moment leaves the old one under a name of its own beside, and the next that begins here puts it back.
    ///
    /// # Errors
    /// [`ReleaseError::Io`].
    pub fn replacing(out: &Path) -> Result<Self, ReleaseError> {
        Place::of(out, OLD, Dead::Restored)?;
        Self::beside(out, true)
    }

    fn beside(out: &Path, replaces: bool) -> Result<Self, ReleaseError> {
        let place = Place::of(out, PARTIAL, Dead::Removed)?;
        let mode = Permissions::from_mode(FOLDER_MODE);
        let partial = place.builder().permissions(mode).tempdir_in(place.above).at("create", out)?;
        let lock = locked(partial.path());
        Ok(Self { partial, out: out.to_owned(), replaces, _lock: lock })
    }

    /// Where the files are written until then.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.partial.path()
    }

    /// Writes one file and flushes it to the disk.
    ///
    /// # Errors
    /// [`ReleaseError::Io`].
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ReleaseError> {
        let path = self.path().join(name);
        let mut file = File::create(&path).at("write", &path)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).at("write", &path)
    }

    /// Puts the folder in its place.
    ///
    /// # Errors
    /// [`ReleaseError::Exists`] where another process was faster, [`ReleaseError::Io`]; after these the folder is not there.
    /// An error of flushing the folder above comes when it is in its place already, whole, and might be gone after a loss of
    /// power.
    pub fn finish(self) -> Result<(), ReleaseError> {
        let partial = self.path();
        File::open(partial).and_then(|folder| folder.sync_all()).at("write", partial)?;
        let old = self.put_aside()?;
        let renamed = fs::rename(partial, &self.out);
        if let (Err(_), Some(old)) = (&renamed, &old) {
            // Where that fails another process was faster, and its folder is the one that stays.
            let _ = fs::rename(&old.path, &self.out);
        }
        match renamed {
            // An empty folder is replaced; whatever else came meanwhile is not.
            Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory) => {
                return Err(ReleaseError::Exists { path: self.out });
            }
            renamed => renamed.at("write", &self.out)?,
        }
        let _ = self.partial.keep();
        sync_above(&self.out)?;
        // Where it cannot be removed it is in nobody's way, and the next that begins here tries again.
        old.into_iter().for_each(|old| drop(fs::remove_dir_all(old.path)));
        Ok(())
    }

    /// Gives what stands at `out` a name beside it, if it is to be replaced.
    fn put_aside(&self) -> Result<Option<Old>, ReleaseError> {
        if !self.replaces || self.out.symlink_metadata().is_err() {
            return Ok(None);
        }
        // The name was drawn with that of the partial folder.
        let path = self.path().with_extension(&OLD[1..]);
        let lock = locked(&self.out);
        fs::rename(&self.out, &path).at("replace", &self.out)?;
        Ok(Some(Old { path, _lock: lock }))
    }
}

/// A folder that another takes the place of. The lock tells another process that it is still asked for.
struct Old {
    path: PathBuf,
    _lock: Option<File>,
}

/// A file in the making, beside the place where it will stand. It goes when it is dropped before [`Self::finish`].
#[derive(Debug)]
pub(crate) struct NewFile {
    partial: NamedTempFile,
    out: PathBuf,
}

impl NewFile {
    /// Begins the file `out` as [`NewFolder::begin`] begins a folder; until it is finished its name ends with `suffix`.
    ///
    /// # Errors
    /// [`ReleaseError::Exists`], [`ReleaseError::Io`].
    pub(crate) fn begin(out: &Path, suffix: &str) -> Result<Self, ReleaseError> {
        refuse_existing(out)?;
        let place = Place::of(out, suffix, Dead::Removed)?;
        let mode = Permissions::from_mode(FILE_MODE);
        let partial = place.builder().permissions(mode).tempfile_in(place.above).at("write", out)?;
        // A system without locks leaves what killed processes began.
        let _ = partial.as_file().try_lock();
        Ok(Self { partial, out: out.to_owned() })
    }

    /// Where it is until then.
    pub(crate) fn path(&self) -> &Path {
        self.partial.path()
    }

    /// Where it will be.
    pub(crate) fn out(&self) -> &Path {
        &self.out
    }

    /// Puts the file in its place, on the disk.
    ///
    /// # Errors
    /// As [`NewFolder::finish`].
    pub(crate) fn finish(self) -> Result<(), ReleaseError> {
        self.partial.as_file().sync_all().at("write", &self.out)?;
        match self.partial.persist_noclobber(&self.out) {
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
                return Err(ReleaseError::Exists { path: self.out });
            }
            kept => drop(kept.map_err(|error| error.error).at("write", &self.out)?),
        }
        sync_above(&self.out)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.partial.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.partial.flush()
    }
}

/// What becomes of what a killed process had under way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dead {
    /// It is unfinished.
    Removed,
    /// It is whole, and stood where now nothing stands; otherwise another has taken its place.
    Restored,
}

/// Where something is made: the folder above it, which is there, and how the names of what is in the making begin and end.
struct Place<'a> {
    above: &'a Path,
    prefix: OsString,
    suffix: &'a str,
}

impl<'a> Place<'a> {
    fn of(out: &'a Path, suffix: &'a str, dead: Dead) -> Result<Self, ReleaseError> {
        let above = above(out);
        fs::create_dir_all(above).at("create", above)?;
        let mut prefix = OsString::from(".");
        prefix.push(out.file_name().unwrap_or_default());
        prefix.push(".");
        let place = Self { above, prefix, suffix };
        place.clear(out, dead);
        Ok(place)
    }

    fn builder(&self) -> tempfile::Builder<'_, '_> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(&self.prefix).suffix(self.suffix);
        builder
    }

    /// Removes what nobody holds any more, or puts it back. Where that fails, it is in nobody's way.
    fn clear(&self, out: &Path, dead: Dead) {
        for entry in fs::read_dir(self.above).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            if self.is_of(&name) && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
                if dead == Dead::Restored && out.symlink_metadata().is_err() {
                    let _ = fs::rename(&path, out);
                    continue;
                }
                let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            }
        }
    }

    fn is_of(&self, name: &OsStr) -> bool {
        let rest = name.as_encoded_bytes().strip_prefix(self.prefix.as_encoded_bytes());
        // Between them stand letters and digits alone, lest another's name be one of these.
        rest.and_then(|rest| rest.strip_suffix(self.suffix.as_bytes()))
            .is_some_and(|drawn| !drawn.is_empty() && drawn.iter().all(u8::is_ascii_alphanumeric))
    }
}

/// A lock on what stands at `path`; a system without them leaves what killed processes began.
fn locked(path: &Path) -> Option<File> {
    File::open(path).ok().filter(|file| file.try_lock().is_ok())
}

fn above(out: &Path) -> &Path {
    out.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_above(out: &Path) -> Result<(), ReleaseError> {
    File::open(above(out)).and_then(|folder| folder.sync_all()).at("write", above(out))
}

/// # Errors
/// [`ReleaseError::Exists`] for anything that stands at `out`, an empty folder too.
pub fn refuse_existing(out: &Path) -> Result<(), ReleaseError> {
    if out.symlink_metadata().is_ok() {
        return Err(ReleaseError::Exists { path: out.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).expect("there").count()
    }

    #[test]
    fn a_folder_is_whole_or_not_there() {
        let home = tempfile::tempdir().expect("a folder");
        let above = home.path().join("a");
        let out = above.join("out");
        let folder = NewFolder::begin(&out).expect("begun");
        folder.write("x", b"1").expect("written");
        assert!(!out.exists());
        drop(folder);
        assert_eq!(count(&above), 0);
        fs::create_dir_all(above.join(".out.a1B2c3.partial/of a killed process")).expect("made");
        fs::create_dir_all(above.join(".out.of another.partial")).expect("made");
        let folder = NewFolder::begin(&out).expect("begun");
        assert_eq!(count(&above), 2, "what a killed process began is gone, what another made is not");
        folder.write("x", b"2").expect("written");
        folder.finish().expect("finished");
        assert_eq!(fs::read(out.join("x")).expect("there"), b"2");
        assert_eq!(count(&out), 1);
        let mode = fs::metadata(&out).expect("there").permissions().mode();
        fs::create_dir(above.join("plain")).expect("made");
        assert_eq!(mode, fs::metadata(above.join("plain")).expect("there").permissions().mode());
        assert!(matches!(NewFolder::begin(&out), Err(ReleaseError::Exists { .. })));
    }

    #[test]
    fn a_folder_that_is_replaced_is_whole_at_every_moment() {
        let home = tempfile::tempdir().expect("a folder");
        let out = home.path().join("out");
        let made = |byte: &str| {
            let folder = NewFolder::replacing(&out).expect("begun");
            folder.write("x", byte.as_bytes()).expect("written");
            folder
        };
        let found = || fs::read(out.join("x")).expect("there");
        made("1").finish().expect("finished");
        let second = made("2");
        assert_eq!(found(), b"1", "until the other is finished it stays");
        second.finish().expect("finished");
        assert_eq!((found(), count(home.path())), (b"2".to_vec(), 1));
        drop(made("3"));
        assert_eq!((found(), count(home.path())), (b"2".to_vec(), 1));

        // Killed between the two renamings: the new one is whole, but nobody said so.
        let partial = made("4").partial.keep();
        let old = home.path().join(".out.a1B2c3.old");
        fs::rename(&out, &old).expect("put aside");
        let next = made("5");
        assert_eq!(found(), b"2", "the old one is back");
        assert!(!partial.exists());
        next.finish().expect("finished");
        assert_eq!((found(), count(home.path())), (b"5".to_vec(), 1));

        // Killed before the old one was removed.
        fs::create_dir_all(old.join("of a killed process")).expect("made");
        let next = made("6");
        assert_eq!((found(), old.exists()), (b"5".to_vec(), false));
        // Another's that is at work is left alone.
        fs::create_dir(&old).expect("made");
        let held = locked(&old).expect("a lock");
        drop(made("7"));
        assert!(old.exists());
        drop(held);
        next.finish().expect("finished");
        assert_eq!(found(), b"6");
    }

    #[test]
    fn of_two_with_one_place_the_first_stays() {
        let home = tempfile::tempdir().expect("a folder");
        let out = home.path().join("out");
        let [one, other] = [(); 2].map(|()| NewFolder::begin(&out).expect("begun"));
        one.write("x", b"one").expect("written");
        other.write("x", b"other").expect("written");
        one.finish().expect("finished");
        assert!(matches!(other.finish(), Err(ReleaseError::Exists { path }) if path == out));
        assert_eq!(fs::read(out.join("x")).expect("there"), b"one");

        let out = home.path().join("m.gguf");
        let [mut one, mut other] = [(); 2].map(|()| NewFile::begin(&out, ".partial.gguf").expect("begun"));
        // Another name that differs in its ending alone.
        let beside = NewFile::begin(&home.path().join("m.bin"), ".partial.gguf").expect("begun");
        one.write_all(b"one").expect("written");
        other.write_all(b"other").expect("written");
        one.finish().expect("finished");
        assert!(matches!(other.finish(), Err(ReleaseError::Exists { path }) if path == out));
        drop(beside);
        assert_eq!(fs::read(&out).expect("there"), b"one");
        fs::write(home.path().join("plain"), b"").expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode();
        assert_eq!(mode(&out), mode(&home.path().join("plain")));
        assert_eq!(count(home.path()), 3, "out, m.gguf, plain");
    }
}
