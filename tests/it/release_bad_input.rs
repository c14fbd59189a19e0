//! What is refused where a model or an adapter leaves: with its own message and exit code, and nothing half-written.

use std::fs;
use std::process::Command;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::workplace::{CONFIG, Ran, TINY, Workplace, rows, write_model};

const VERBS: [&[&str]; 3] = [
    &["merge", "run", "out"],
    &["export", "run", "out", "--format", "safetensors"],
    &["export", "run", "out"],
];

fn trained() -> Workplace {
    let place = Workplace::new();
    place.write("config.toml", CONFIG.replace("every = 2", "every = 2\nkeep = 9"));
    place.train(&[]).succeeds();
    place
}

#[track_caller]
fn refused(place: &Workplace, ran: &Ran, code: i32, parts: &[&str]) {
    ran.fails(code, parts);
    assert!(place.begun("out").is_empty() && !place.path("out").exists(), "nothing is left");
}

#[test]
fn folders() {
    let place = trained();
    fs::create_dir(place.path("there")).expect("made");
    for verb in VERBS {
        let with = |run: &str, out: &str| place.rtune(&[&[verb[0], run, out], &verb[3..]].concat());
        with("run", "there").fails(2, &["error: `there` exists already", "hint: remove it"]);
        refused(
            &place,
            &with("nowhere", "out"),
            2,
            &["`nowhere` has no checkpoint: there is no such folder"],
        );
        refused(&place, &with("model", "out"), 2, &["`model` has no checkpoint", "hint: give a run folder"]);
        let first = with("run/checkpoints/step-000000", "out");
        refused(&place, &first, 2, &["is all zeros", "step 0 is the untrained adapter"]);
    }
    assert_eq!(fs::read_dir(place.path("there")).expect("there").count(), 0);
}

#[test]
fn command_lines() {
    let place = trained();
    let refuse = |arguments: &[&str], part: &str| {
        refused(&place, &place.rtune(&[&["merge", "run", "out"], arguments].concat()), 2, &[part]);
    };
    refuse(&["--onto", "nf4"], "an adapter is never merged into 4 bits");
    refuse(&["--dtype", "nf4"], "an adapter is never merged into 4 bits");
    refuse(&["--dtype", "float8"], "expected bfloat16, float16 or float32");
    refuse(&["--shard-size", "5 apples"], "expected a number above 0 and a unit");
    refuse(&["--golden", "none.jsonl"], "none.jsonl");
    refuse(&["--set", "train.steps=3"], "--set train.steps=3");
    refuse(&["--set", "quantization.kind=none"], "is settled\n  hint: which weights the adapter is added to");
    let export = |arguments: &[&str]| place.rtune(&[&["export", "run", "out"], arguments].concat());
    refused(&place, &export(&["--dtype", "float16"]), 2, &["--format safetensors"]);
    refused(&place, &export(&["--base-only", "--onto", "original"]), 2, &["cannot be used with"]);
    refused(&place, &export(&["--base-only", "--format", "peft"]), 2, &["cannot be used with"]);
}

#[test]
fn checkpoints_and_bases_that_are_not_those_of_the_run() {
    let place = trained();
    let adapter = place.path("run/last/adapter_model.safetensors");
    let whole = fs::read(&adapter).expect("readable");
    let mut bytes = whole.clone();
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(&adapter, bytes).expect("written");
    for verb in VERBS {
        let ran = place.rtune(&[&[verb[0], "run/last", "out"], &verb[3..]].concat());
        refused(&place, &ran, 2, &["adapter_model.safetensors`: expected sha256 ", "hint: "]);
    }
    fs::write(&adapter, whole).expect("written");

    let weights = place.path("model/model.safetensors");
    let mut bytes = fs::read(&weights).expect("readable");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(&weights, bytes).expect("written");
    for verb in &VERBS[..2] {
        refused(&place, &place.rtune(verb), 2, &["base: `model.safetensors`", "hint: "]);
    }
    // An adapter is whole without its base; that it goes alone is said.
    let ran = place.rtune(VERBS[2]);
    ran.succeeds();
    assert!(ran.stderr.contains("without tokenizer and chat template"), "{}", ran.stderr);
    fs::remove_dir_all(place.path("out")).expect("removed");

    fs::rename(place.path("model"), place.path("moved")).expect("moved");
    for verb in &VERBS[..2] {
        refused(&place, &place.rtune(verb), 2, &["unknown base model `model`"]);
    }
    write_model(&place.path("model"), TINY);
    let ran = place.rtune(&["merge", "run", "out", "--set", "model.base=moved"]);
    refused(&place, &ran, 2, &["base: `model.safetensors`"]);
    place.rtune(&["merge", "run", "out"]).succeeds();
}

/// What the weights have and the model does not compute is not lost on the way: a head that was trained apart from the embedding
/// to which the configuration still ties it, and a bias. What adds nothing may be lost.
#[test]
fn tensors_that_the_model_has_no_place_for() {
    let place = Workplace::new();
    let path = place.path("model/model.safetensors");
    let whole = fs::read(&path).expect("readable");
    let bias = "model.layers.0.mlp.up_proj.bias";
    let of_bias = |value: f32| {
        let values = [vec![0.0; 2 * TINY.hidden - 1], vec![value]].concat();
        (bias, vec![values.len()], values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
    };
    let of_head = |change: u8| {
        let tensors = SafeTensors::deserialize(&whole).expect("weights");
        let embedding = tensors.tensor("model.embed_tokens.weight").expect("there");
        assert_eq!(embedding.dtype(), Dtype::F32);
        let mut bytes = embedding.data().to_vec();
        bytes[2] ^= change;
        ("lm_head.weight", embedding.shape().to_vec(), bytes)
    };
    let formats: [(&str, &[&str]); 2] =
        [("out", &["--format", "safetensors"]), ("out.gguf", &["--format", "gguf", "--quantize", "f16"])];
    for ((name, shape, bytes), part) in [
        (of_head(0), None),
        (of_head(1), Some("`tie_word_embeddings`: expected false, as the weights have a `lm_head.weight`")),
        (of_bias(0.0), None),
        (of_bias(0.5), Some("up_proj.bias`: the configuration has no place for it")),
    ] {
        let tensors = SafeTensors::deserialize(&whole).expect("weights");
        let more = TensorView::new(Dtype::F32, shape, &bytes).expect("a tensor");
        let views = tensors.iter().map(|(name, view)| (name.to_owned(), view));
        safetensors::serialize_to_file(views.chain([(name.to_owned(), more)]), None, &path).expect("written");
        for (out, format) in formats {
            let ran = place.rtune(&[&["export", "model", out, "--base-only"], format].concat());
            if let Some(part) = part {
                refused(&place, &ran, 2, &[part]);
                assert!(place.begun(out).is_empty() && !place.path(out).exists(), "nothing is left");
                continue;
            }
            ran.succeeds();
            let written = place.path(out);
            let removed =
                if written.is_dir() { fs::remove_dir_all(written) } else { fs::remove_file(written) };
            removed.expect("removed");
        }
    }
}

/// A base that came from elsewhere may have a link to any file of the user, and what leaves is for others to read.
#[test]
fn links_out_of_the_base() {
    let place = trained();
    place.write("token", "hf_secret");
    let for_ollama: &[&str] = &["export", "run", "out", "--format", "ollama", "--quantize", "q8_0"];
    let verbs = [VERBS[0], VERBS[1], VERBS[2], for_ollama];
    let refuse = |link: &str, verbs: &[&[&str]]| {
        for verb in verbs {
            let expected = format!("{link}` is a link to `");
            refused(&place, &place.rtune(verb), 2, &[&expected, "hint: whoever gets what is written"]);
        }
    };
    let link = |to: &str, from: &str| std::os::unix::fs::symlink(to, place.path(from)).expect("linked");
    let remove = |link: &str| fs::remove_file(place.path(link)).expect("removed");
    link("../token", "model/NOTICE");
    refuse("model/NOTICE", &verbs);
    remove("model/NOTICE");
    link("../token", "model/notes.json");
    refuse("model/notes.json", &verbs[..2]);
    remove("model/notes.json");

    let settings = "model/tokenizer_config.json";
    fs::rename(place.path(settings), place.path("settings")).expect("moved");
    link("../settings", settings);
    refuse(settings, &verbs);
    // Inside of the folder a link is the file.
    remove(settings);
    fs::rename(place.path("settings"), place.path("model/settings")).expect("moved");
    link("settings", settings);
    link("settings", "model/NOTICE");
    place.rtune(VERBS[1]).succeeds();
    assert_eq!(place.read("out/NOTICE"), place.read("model/settings"));
}

#[test]
fn nothing_to_measure_on() {
    let place = Workplace::new();
    place.train(&["data.validation=0"]).succeeds();
    let ran = place.rtune(&["merge", "run", "out"]);
    refused(&place, &ran, 2, &["no row of at most 2048 tokens", "--golden FILE", "rtune export RUN OUT"]);
    place.write("golden.jsonl", rows(100..103));
    let ran = place.rtune(&["merge", "run", "out", "--golden", "golden.jsonl"]);
    ran.succeeds();
    assert!(ran.stdout.contains("over 3 rows of golden.jsonl"), "{}", ran.stdout);
}

/// A limit on the size of files stands for a full disk.
#[test]
fn a_full_disk_leaves_nothing() {
    let place = trained();
    for verb in VERBS {
        let mut command = Command::new("sh");
        place.settle(&mut command);
        let program = env!("CARGO_BIN_EXE_rtune");
        let script = format!("trap '' XFSZ; ulimit -f 4; exec '{program}' {}", verb.join(" "));
        let ran = Ran::of(command.args(["-c", &script]).output().expect("started"));
        refused(
            &place,
            &ran,
            1,
            &["error: cannot write `", "/.out.", ".partial/", "File too large", "hint: there is no room"],
        );
    }
}
