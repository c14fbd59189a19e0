//! The kernels' PTX, compiled by `scripts/kernels`, kept beside the sources, and packed by `build.rs`.

use std::io::Read;

use flate2::read::ZlibDecoder;

macro_rules! sources {
    ($($name:literal),* $(,)?) => {
        /// The sources' names, in the order of the alphabet.
        #[cfg(test)]
        pub(super) const NAMES: &[&str] = &[$($name),*];

        fn packed(name: &str) -> &'static [u8] {
            match name {
                $($name => include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".ptx")),)*
                _ => &[],
            }
        }
    };
}

/// The PTX of a source; nothing for a name that is none.
pub(super) fn ptx(name: &str) -> String {
    let mut text = String::new();
    // What was packed beside this program can be unpacked; a test does it.
    let _ = ZlibDecoder::new(packed(name)).read_to_string(&mut text);
    text
}

sources!(
    "activation",
    "adamw",
    "cached",
    "cross_entropy",
    "elementwise",
    "flash_backward",
    "flash_forward",
    "nf4",
    "noise",
    "norm",
    "rope",
    "route",
    "rows",
    "softmax",
);

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::PathBuf;

    use sha2::{Digest, Sha256};

    use super::*;

    fn folder() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cuda")
    }

    /// As `scripts/kernels` takes it: of the source and the headers it includes.
    fn hash_of(name: &str) -> String {
        let source = std::fs::read_to_string(folder().join(format!("{name}.cu"))).expect("a source");
        let mut digest = Sha256::new();
        digest.update(&source);
        for line in source.lines() {
            let header = line.strip_prefix("#include \"").and_then(|rest| rest.strip_suffix(".cuh\""));
            if let Some(header) = header {
                digest.update(std::fs::read(folder().join(format!("{header}.cuh"))).expect("a header"));
            }
        }
        digest.finalize().iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string grows");
            text
        })
    }

    #[test]
    fn every_source_is_embedded_and_its_ptx_was_made_from_it() {
        let mut kept: Vec<String> = std::fs::read_dir(folder())
            .expect("the folder of sources")
            .filter_map(|entry| {
                entry.expect("an entry").path().to_str()?.strip_suffix(".cu").map(str::to_owned)
            })
            .filter_map(|path| path.rsplit('/').next().map(str::to_owned))
            .collect();
        kept.sort();
        assert_eq!(kept, NAMES);
        for name in NAMES {
            let text = ptx(name);
            let first = text.lines().next().unwrap_or_default();
            assert_eq!(
                first,
                format!("// sha256 of the source: {}", hash_of(name)),
                "{name}: run scripts/kernels"
            );
        }
    }
}
