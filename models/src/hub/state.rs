//! What there is to download into and from: for who looks before a run.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use super::download::head;
use super::{HubError, HubOptions};

/// A folder of downloads.
#[derive(Debug)]
pub struct CacheState {
    /// The folder, which may not be there yet.
    pub folder: PathBuf,
    /// What the system said when a file was made in it, or in the nearest folder above that is there.
    pub refused: Option<io::Error>,
    /// Bytes that are free on its disk, where the system tells.
    pub free_bytes: Option<u64>,
}

/// Looks at the hub's cache and at rtune's own. A file is made and removed; no folder is.
pub fn cache_states(options: &HubOptions) -> [CacheState; 2] {
    [&options.rtune_cache, &options.hub_cache].map(|folder| state(folder))
}

/// Asks the hub for nothing but an answer; its HTTP status. Uses the network.
///
/// # Errors
/// [`HubError::Server`] where nothing answers, [`HubError::Offline`] where the network is forbidden.
pub fn reach(options: &HubOptions) -> Result<u16, HubError> {
    if options.offline {
        return Err(HubError::Offline {
            base: super::shown(&options.endpoint),
            cache: options.rtune_cache.clone(),
        });
    }
    head(&options.endpoint)
}

fn state(folder: &Path) -> CacheState {
    let there = folder.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
    let refused = match folder.ancestors().find(|path| path.exists()) {
        Some(path) if !path.is_dir() => Some(io::Error::from(io::ErrorKind::NotADirectory)),
        _ => try_file(there).err(),
    };
    CacheState { folder: folder.to_owned(), refused, free_bytes: fs4::available_space(there).ok() }
}

fn try_file(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".rtune-trial-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&path)?;
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_is_judged_by_the_one_above() {
        let place = tempfile::tempdir().expect("a folder");
        let deep = state(&place.path().join("a/b"));
        assert!(deep.refused.is_none());
        assert!(deep.free_bytes.is_some_and(|bytes| bytes > 0));
        assert_eq!(std::fs::read_dir(place.path()).expect("there").count(), 0, "nothing is left");
    }

    #[test]
    fn a_file_in_the_place_of_a_folder_is_refused() {
        let place = tempfile::tempdir().expect("a folder");
        std::fs::write(place.path().join("cache"), "").expect("written");
        assert!(state(&place.path().join("cache/models")).refused.is_some());
    }

    #[test]
    fn a_hub_that_does_not_answer_is_said() {
        let mut options = HubOptions::from_env();
        options.endpoint = "http://127.0.0.1:1".into();
        options.offline = false;
        assert!(matches!(reach(&options), Err(HubError::Server { .. })));
        options.offline = true;
        assert!(matches!(reach(&options), Err(HubError::Offline { .. })));
    }
}
