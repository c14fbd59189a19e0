//! Files of a run and its checkpoint, in place of the small run's own: an error, or numbers for every tensor.
//!
//! The first byte chooses a file of text and one of tensors, or a third one; what follows up to a zero byte is the first of them, the
//! rest the other. Where one of them is empty, it is as the run wrote it. The hashes of the manifest are made to fit.
#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rtune_trainer::checkpoint::{Checkpoints, NamedSlice, read_moments};
use rtune_trainer::files::sha256_of;
use rtune_trainer::subject::Subject;
use rtune_trainer::verify::Verification;

const STEP: &str = "checkpoints/step-000004";
/// In the folder of the checkpoint, unless they begin with `../../`.
const TEXTS: [&str; 6] = [
    "adapter_config.json",
    "state.json",
    "new_tokens.json",
    "../../config.toml",
    "../../manifest.json",
    "manifest.json",
];
const TENSORS: [&str; 4] =
    ["adapter_model.safetensors", "optimizer.safetensors", "initial.safetensors", "model.safetensors"];

/// The run of this process, in memory where the system has such a place.
static RUN: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let run = place.join(format!("rtune-fuzz-checkpoint-{}", std::process::id()));
    fs::create_dir_all(run.join(STEP)).expect("a folder");
    for link in ["last", "best"] {
        let _ = fs::remove_file(run.join(link));
        std::os::unix::fs::symlink(STEP, run.join(link)).expect("a link");
    }
    fs::copy(small("run/data-report.json"), run.join("data-report.json")).expect("copied");
    run
});

/// The files as the run wrote them, by the names of `TEXTS` and `TENSORS`; those that it did not write are not here.
static OWN: LazyLock<BTreeMap<&str, Vec<u8>>> = LazyLock::new(|| {
    let names = TEXTS.into_iter().chain(TENSORS);
    names.filter_map(|name| Some((name, fs::read(small("run").join(STEP).join(name)).ok()?))).collect()
});

fn small(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("small").join(name)
}

fn slice(half: &str, shape: [usize; 2], start: usize) -> NamedSlice {
    let name = format!("model.layers.0.self_attn.q_proj.lora_{half}.weight");
    NamedSlice { name, shape: shape.to_vec(), range: start..start + shape[0] * shape[1] }
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, rest)) = input.split_first() else { return };
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    let (text, tensors) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
    let mut files = OWN.clone();
    let changed = [
        (TEXTS[usize::from(choice & 7) % TEXTS.len()], text),
        (TENSORS[usize::from(choice >> 3) % TENSORS.len()], tensors),
    ];
    for (name, bytes) in changed.into_iter().filter(|(_, bytes)| !bytes.is_empty()) {
        files.insert(name, bytes.to_vec());
    }
    if !changed.iter().any(|(name, bytes)| *name == "manifest.json" && !bytes.is_empty()) {
        let inside = files.iter().filter(|(name, _)| !name.contains('/') && **name != "manifest.json");
        let hashes: BTreeMap<&str, String> = inside.map(|(name, bytes)| (*name, sha256_of(bytes))).collect();
        let manifest = serde_json::json!({"format": 1, "files": hashes});
        files.insert("manifest.json", manifest.to_string().into_bytes());
    }
    let folder = RUN.join(STEP);
    for name in TEXTS.into_iter().chain(TENSORS) {
        match files.get(name) {
            Some(bytes) => fs::write(folder.join(name), bytes).expect("written"),
            None => drop(fs::remove_file(folder.join(name))),
        }
    }
    let checkpoints = Checkpoints::of(&RUN);
    assert!(
        checkpoints.newest(None).is_ok_and(|newest| newest.damaged.is_empty())
            || checkpoints.newest(None).is_err()
    );
    let _ = checkpoints.whole_steps();
    if let Ok(verification) = Verification::open(&RUN, &mut |_| {}) {
        let _ = verification.outputs(&mut |_| {});
    }
    let slices = [slice("A", [1, 8], 0), slice("B", [8, 1], 8)];
    if let Ok((first, second)) = read_moments(&folder.join(TENSORS[1]), &slices) {
        assert_eq!((first.len(), second.len()), (16, 16));
        assert!(first.iter().all(|number| number.is_finite()));
        assert!(second.iter().all(|number| number.is_finite() && *number >= 0.0));
    }
    let Ok(subject) = Subject::find(&RUN.to_string_lossy(), &[]) else { return };
    if let Ok(opened) = subject.open(&small("model"), &mut |_, _| {}) {
        assert!(!opened.parameters.is_empty());
        assert!(opened.parameters.iter().chain(&opened.untrained).all(|number| number.is_finite()));
    }
});
