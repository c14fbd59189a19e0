//! Files that a person named for what a command finds out: what cannot be written there is said before anything is computed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rtune_trainer::error::TrainerError;
use rtune_trainer::files::write_named;
use rtune_trainer::manifest::FILE as MANIFEST_FILE;
use rtune_trainer::metrics::METRICS_FILE;

use crate::failure::BadInput;

/// Refuses a name under which no file can be written, or none must: that of a file of `read`, which the command reads, and of what a run
/// is made of.
///
/// # Errors
/// [`BadInput`] for these, for a folder, and where nothing can be made in the one above.
pub(super) fn refuse_unwritable(path: &Path, read: &[PathBuf]) -> anyhow::Result<()> {
    refuse_precious(path, read)?;
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            let problem = format!("expected a file to write to, found the folder `{}`", path.display());
            return Err(BadInput::new(problem).with_hint("name a file in it").into());
        }
        // A pipe or a device: what it takes is seen when it is written to.
        Ok(found) if !found.is_file() => return Ok(()),
        _ => {}
    }
    refuse_unmakeable(above(path))
}

/// Refuses a name by which something would be lost: that of a file of `read`, and of what a run is made of.
///
/// # Errors
/// [`BadInput`].
pub(super) fn refuse_precious(path: &Path, read: &[PathBuf]) -> anyhow::Result<()> {
    let Ok(place) = path.canonicalize() else { return Ok(()) };
    let is_read = read.iter().any(|file| file.canonicalize().is_ok_and(|file| file == place));
    let of_run = ["config.toml", MANIFEST_FILE, METRICS_FILE];
    let is_of_run =
        place.parent().is_some_and(|folder| of_run[..2].iter().all(|name| folder.join(name).is_file()))
            && place.file_name().is_some_and(|name| of_run.iter().any(|one| name == *one));
    let why = match (is_read, is_of_run) {
        (true, _) => "which this command reads",
        (_, true) => "which a run is made of",
        _ => return Ok(()),
    };
    let problem = format!("expected a file to write to, found `{}`, {why}", path.display());
    Err(BadInput::new(problem).with_hint("name another file").into())
}

/// Refuses a folder that is not there and cannot be made, or in which nothing can be.
///
/// # Errors
/// [`BadInput`].
pub(super) fn refuse_unmakeable(folder: &Path) -> anyhow::Result<()> {
    let there = folder.ancestors().find(|above| above.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    match tempfile::tempfile_in(there) {
        Ok(_) => Ok(()),
        Err(error) => {
            let problem = format!("nothing can be written in `{}`: {error}", there.display());
            Err(BadInput::new(problem)
                .with_hint("what is found is written at the end: name another place")
                .into())
        }
    }
}

/// Writes wherever it goes: all that can be, and then the first that could not.
///
/// # Errors
/// What could not be made or written.
pub(super) fn write(places: &[PathBuf], text: &str) -> anyhow::Result<()> {
    let one = |place: &PathBuf| -> anyhow::Result<()> {
        let folder = above(place);
        fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        Ok(write_named(place, text.as_bytes()).map_err(TrainerError::from)?)
    };
    places.iter().map(one).fold(Ok(()), Result::and)
}

fn above(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_refused_and_what_can_be_is_written() {
        let place = tempfile::tempdir().expect("a folder");
        let (file, new) = (place.path().join("a.json"), place.path().join("new/b.json"));
        assert!(refuse_unwritable(&file, &[]).is_ok() && refuse_unwritable(&new, &[]).is_ok());
        assert!(refuse_unwritable(place.path(), &[]).is_err(), "a folder");
        assert_eq!(fs::read_dir(place.path()).expect("read").count(), 0, "nothing is left of the trial");
        fs::write(&file, "old").expect("written");
        assert!(refuse_unwritable(&file.join("below"), &[]).is_err(), "below a file");
        assert!(refuse_unwritable(&file, &[place.path().join("./a.json")]).is_err(), "what is read");
        fs::create_dir(place.path().join("run")).expect("made");
        let of_run =
            ["config.toml", MANIFEST_FILE, "report.html"].map(|name| place.path().join("run").join(name));
        of_run.iter().for_each(|path| fs::write(path, "x").expect("written"));
        assert_eq!(of_run.map(|path| refuse_unwritable(&path, &[]).is_err()), [true, true, false]);
        let bad = place.path().to_owned();
        assert!(write(&[bad, file.clone(), new.clone()], "text").is_err());
        assert_eq!([file, new].map(|path| fs::read_to_string(path).expect("read")), ["text"; 2]);
    }
}
