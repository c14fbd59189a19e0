//! Links in folders of which files are passed on byte for byte: a folder that somebody else made may have one to any file of the user.

use std::path::{Path, PathBuf};

use crate::error::{At, ReleaseError};

/// What the folder of a model's repository begins with in a hub's cache.
const REPOSITORY: &str = "models--";

/// Refuses `file` of `folder` where it is a link, or lies behind one, and leads to no file of that folder. Hidden ones are none of
/// its files: those of git know the address that a clone came from, with its password. A snapshot in a hub's cache has its files in
/// `blobs` of the same repository.
///
/// # Errors
/// [`ReleaseError::Outside`]; [`ReleaseError::Io`] for what is not there.
pub fn refuse_outside(folder: &Path, file: &Path) -> Result<(), ReleaseError> {
    let home = folder.canonicalize().at("read", folder)?;
    let target = file.canonicalize().at("read", file)?;
    let is_own = target.strip_prefix(&home).is_ok_and(|below| !is_hidden(below));
    if is_own || blobs(&home).is_some_and(|blobs| target.starts_with(blobs)) {
        return Ok(());
    }
    Err(ReleaseError::Outside { path: file.to_owned(), folder: folder.to_owned(), target })
}

fn is_hidden(path: &Path) -> bool {
    path.iter().any(|part| part.as_encoded_bytes().starts_with(b"."))
}

/// Where a hub's cache has the files of the repository that `home` is a snapshot of, or a part of one. Not through a link: then
/// whoever made the folder would say where that is.
fn blobs(home: &Path) -> Option<PathBuf> {
    let snapshots = home.ancestors().skip(1).find(|above| above.ends_with("snapshots"))?;
    let repository = snapshots.parent()?;
    let is_repository = repository.file_name()?.as_encoded_bytes().starts_with(REPOSITORY.as_bytes());
    is_repository.then(|| repository.join("blobs"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, "x").expect("written");
    }

    #[test]
    fn a_link_is_followed_inside_of_its_folder() {
        let place = tempfile::tempdir().expect("a folder");
        let at = |path: &str| place.path().join(path);
        for path in ["model/NOTICE", "model/more/text", "model/.git/config", "model-2/text", "token"] {
            write(&at(path));
        }
        symlink("more/text", at("model/inside")).expect("linked");
        symlink("../model-2/text", at("model/beside")).expect("linked");
        symlink("../token", at("model/above")).expect("linked");
        symlink(at("token"), at("model/elsewhere")).expect("linked");
        symlink("above", at("model/twice")).expect("linked");
        symlink(".git/config", at("model/hidden")).expect("linked");
        symlink("..", at("model/up")).expect("linked");
        symlink("model", at("linked")).expect("linked");
        for folder in ["model", "linked"] {
            for own in ["NOTICE", "inside", "more/text"] {
                refuse_outside(&at(folder), &at(folder).join(own)).expect(own);
            }
            for other in ["beside", "above", "elsewhere", "twice", "hidden", "up/token"] {
                let refused = refuse_outside(&at(folder), &at(folder).join(other));
                assert!(matches!(refused, Err(ReleaseError::Outside { .. })), "{other}: {refused:?}");
            }
        }
        let message = refuse_outside(&at("model"), &at("model/twice")).expect_err("refused").to_string();
        let parts = ["model/twice` is a link to `", "/token`, and is passed on only as a file of `"];
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }

    #[test]
    fn a_snapshot_has_its_files_in_the_blobs_of_its_repository() {
        let cache = tempfile::tempdir().expect("a folder");
        let at = |path: &str| cache.path().join(path);
        let snapshot = at("models--a--b/snapshots/c0ffee");
        for path in ["models--a--b/blobs/1", "models--c--d/blobs/2", "models--a--b/refs/main", "token"] {
            write(&at(path));
        }
        write(&snapshot.join("more/README.md"));
        symlink("../../blobs/1", snapshot.join("LICENSE")).expect("linked");
        symlink("../../../blobs/1", snapshot.join("more/LICENSE")).expect("linked");
        symlink("../../../models--c--d/blobs/2", snapshot.join("NOTICE")).expect("linked");
        symlink("../../refs/main", snapshot.join("notes.json")).expect("linked");
        for folder in [&snapshot, &snapshot.join("more")] {
            refuse_outside(folder, &folder.join("LICENSE")).expect("its own");
        }
        for other in ["NOTICE", "notes.json"] {
            let refused = refuse_outside(&snapshot, &snapshot.join(other));
            assert!(matches!(refused, Err(ReleaseError::Outside { .. })), "{other}: {refused:?}");
        }
        // A folder that is laid out like a cache, and says that its blobs are everything.
        let made = at("made/models--e--f/snapshots/c0ffee");
        fs::create_dir_all(&made).expect("made");
        symlink(cache.path(), at("made/models--e--f/blobs")).expect("linked");
        symlink("../../blobs/token", made.join("NOTICE")).expect("linked");
        let refused = refuse_outside(&made, &made.join("NOTICE"));
        assert!(matches!(refused, Err(ReleaseError::Outside { .. })), "{refused:?}");
    }
}
