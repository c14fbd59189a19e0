//! Where cuBLAS may lie besides the folders that the system's loader knows.

use std::path::{Path, PathBuf};

/// What the caller knows of the machine; read from the environment in one place of the program, never here.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// A CUDA toolkit: `CUDA_HOME`.
    pub cuda_home: Option<PathBuf>,
    /// Python's virtual environment: `VIRTUAL_ENV`.
    pub virtual_env: Option<PathBuf>,
    /// The user's home, under which pip installs where it may not write to the system.
    pub home: Option<PathBuf>,
}

impl Places {
    /// The folders to look into, in order; those that exist.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        if let Some(home) = &self.cuda_home {
            folders.extend(["lib64", "lib", "targets/x86_64-linux/lib"].map(|part| home.join(part)));
        }
        folders.push("/usr/local/cuda/lib64".into());
        let prefixes = [self.virtual_env.clone(), self.home.as_ref().map(|home| home.join(".local"))];
        let systems = ["/usr/local", "/usr"].map(|prefix| Some(PathBuf::from(prefix)));
        for prefix in prefixes.into_iter().chain(systems).flatten() {
            folders.extend(pip_folders(&prefix));
        }
        folders.retain(|folder| folder.is_dir());
        folders
    }
}

/// `lib/python3.*/{site,dist}-packages/nvidia/{cublas,cu13}/lib` under a prefix.
fn pip_folders(prefix: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(prefix.join("lib")) else { return Vec::new() };
    let is_python = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("python3"))
    };
    let mut pythons: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_python).collect();
    pythons.sort();
    let packages =
        |python: &PathBuf| ["site-packages", "dist-packages"].map(|kind| python.join(kind).join("nvidia"));
    let libraries = |nvidia: PathBuf| [nvidia.join("cublas/lib"), nvidia.join("cu13/lib")];
    pythons.iter().flat_map(packages).flat_map(libraries).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_a_toolkit_come_before_those_of_pip_and_only_what_exists_is_named() {
        let root = std::env::temp_dir().join(format!("rtune-places-{}", std::process::id()));
        let toolkit = root.join("toolkit/lib64");
        let pip = root.join("venv/lib/python3.12/site-packages/nvidia/cublas/lib");
        for folder in [&toolkit, &pip] {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        let places = Places {
            cuda_home: Some(root.join("toolkit")),
            virtual_env: Some(root.join("venv")),
            home: Some(root.join("nobody")),
        };
        let found: Vec<PathBuf> =
            places.folders().into_iter().filter(|folder| folder.starts_with(&root)).collect();
        std::fs::remove_dir_all(&root).expect("removed");
        assert_eq!(found, [toolkit, pip]);
    }
}
