//! Bases that others have quantised: numbers, logits and the losses of 20 steps are those that the peers compute.
//!
//! `tests/peers/quantized_bases.py` writes the folders, with the Python that `RTUNE_PEER_PYTHON` names (by default
//! `python3`); where it lacks the libraries, this is said and nothing is compared. `RTUNE_PEER_BASES` names a folder that
//! the script has written before.

#![expect(clippy::print_stdout, reason = "a table of figures is what this test is for")]

use std::path::{Path, PathBuf};
use std::process::Command;

use half::{bf16, f16};
use rtune_models::{Precision, Quantization, WeightSource, open_weights};

use crate::reference::Case;
use crate::reference_cases::{adamw_losses, worst};
use crate::release_peers::python;

/// Of the largest logit.
const LOGITS: f64 = 1e-5;
/// Nats; a hundredth of a loss, which is more, would be allowed.
const LOSSES: f64 = 1e-3;

/// What the script's AdamW takes.
const LEARNING_RATE: f64 = 1e-3;

#[test]
fn quantized_bases_are_what_the_peers_take_them_for() {
    let written = std::env::var_os("RTUNE_PEER_BASES").map(PathBuf::from);
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = match written {
        Some(folder) => folder,
        None => {
            let Some(python) = python("bitsandbytes, transformers, peft") else { return };
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/quantized_bases.py");
            let output =
                Command::new(python).arg(script).arg(temporary.path()).output().expect("Python runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            temporary.path().to_owned()
        }
    };
    let entries = std::fs::read_dir(&folder).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.join("expected.safetensors").is_file());
    paths.sort();
    println!("{:<18} {:>6} {:>9} {:>9}", "case", "same", "logits", "20 losses");
    for path in &paths {
        check(path);
    }
    assert!(paths.len() >= 21, "{} cases", paths.len());
}

fn check(path: &Path) {
    let (weights, _) = open_weights(path).expect("weights");
    // What came in NF4 stays as it came, whatever is asked for; the rest is left as it is here and there.
    let mut case = Case::open(path, Quantization::None);
    let same = same_bits(&case, weights.as_ref());
    let got: Vec<f32> = case.rows().iter().flat_map(|row| case.logits(row)).collect();
    let logits = worst(&got, &case.floats("logits"));
    let losses = adamw_losses(&mut case, LEARNING_RATE);
    println!("{:<18} {same:>6} {logits:>9.1e} {losses:>9.1e}", case.name);
    assert!(logits < LOGITS, "{}: logits {logits:e}", case.name);
    assert!(losses < LOSSES, "{}: losses {losses:e}", case.name);
    if case.name.starts_with("nf4") && case.name != "nf4_skipped" {
        let again = Case::open(path, Quantization::Nf4 { double: false });
        let again: Vec<f32> = again.rows().iter().flat_map(|row| again.logits(row)).collect();
        assert!(got == again, "{}: quantised again", case.name);
    }
}

/// How many weights have the peer's very bits, which all must.
fn same_bits(case: &Case, weights: &dyn WeightSource) -> usize {
    let names: Vec<String> =
        case.names().iter().filter_map(|name| name.strip_prefix("dequantized.").map(str::to_owned)).collect();
    assert!(!names.is_empty(), "{}: nothing is quantised", case.name);
    for name in &names {
        let ours = weights.read(name).expect("read").into_f32();
        let round = |value: &f32| match weights.precision(name) {
            _ if !weights.is_nf4(name) => *value,
            Some(Precision::Bf16) => bf16::from_f32(*value).to_f32(),
            Some(Precision::F16) => f16::from_f32(*value).to_f32(),
            _ => *value,
        };
        let ours: Vec<u32> = ours.iter().map(|value| round(value).to_bits()).collect();
        let theirs: Vec<u32> =
            case.floats(&format!("dequantized.{name}")).iter().map(|v| v.to_bits()).collect();
        let differing = ours.iter().zip(&theirs).filter(|(a, b)| a != b).count();
        assert!(ours.len() == theirs.len() && differing == 0, "{}: {name}: {differing} differ", case.name);
    }
    names.len()
}
