//! Our logits against those of transformers and peft, from the folders that `export` and `merge` write.
//!
//! `RTUNE_PEER_PYTHON` names the Python (by default `python3`); where it lacks the libraries, this is said and nothing is
//! compared. `RTUNE_PEER_RUN` names a run of one's own to be compared too, with base and data where its configuration
//! has them from the repository's root.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "figures are what this test is for")]

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use rtune_data::{Encoder, Record, TrainOn, read_file};
use rtune_models::hub::{self, HubOptions};
use rtune_models::{Decoder, Quantization};
use rtune_trainer::config::Config;
use rtune_trainer::subject::{Subject, quantization};
use safetensors::tensor::{Dtype, TensorView};

use crate::families::configurations;
use crate::gguf;
use crate::reference::{document, logits};
use crate::workplace::{Sizes, Workplace, write_base, write_biased_model, write_model};

/// Rows that are compared: each has logits of its tokens times the vocabulary on the disk.
const ROWS: usize = 4;

/// What a row of the comparison needs: its conversation and its tokens.
struct Row {
    record: Record,
    tokens: Vec<u32>,
}

pub(crate) fn python(modules: &str) -> Option<OsString> {
    let python = std::env::var_os("RTUNE_PEER_PYTHON").unwrap_or_else(|| "python3".into());
    let found = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    eprintln!("skipped: {} has no {modules}; RTUNE_PEER_PYTHON can name one that has", python.display());
    None
}

/// Writes rows, tokens and `logits` of each where the script reads them.
fn write_expected(path: &Path, rows: &[Row], logits: impl Fn(&[u32]) -> Vec<f32>) {
    let messages: Vec<_> = rows.iter().map(|row| &row.record.messages).collect();
    let metadata = HashMap::from([("messages".to_owned(), serde_json::to_string(&messages).expect("JSON"))]);
    let mut tensors = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let ids: Vec<u8> = row.tokens.iter().flat_map(|&id| i64::from(id).to_le_bytes()).collect();
        let values = logits(&row.tokens);
        let shape = vec![row.tokens.len(), values.len() / row.tokens.len()];
        let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.push((format!("{index}.tokens"), Dtype::I64, vec![row.tokens.len()], ids));
        tensors.push((format!("{index}.logits"), Dtype::F32, shape, values));
    }
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor"))
    });
    safetensors::serialize_to_file(views, Some(metadata), path).expect("written");
}

fn compare(python: &OsStr, arguments: &[&Path], flags: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/logits.py");
    let output = Command::new(python).arg(script).args(flags).args(arguments).output().expect("Python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("worst difference"), "{text}");
    print!("{text}");
}

/// What of a run is held against the peers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    /// The adapter, by another call, for which all is written.
    AdapterLater,
    AdapterAndMerged,
}

/// Adapter and merged model of `run`, on rows of `data`, written into `place` by `program`.
fn compare_run(
    python: &OsStr,
    compared: Compared,
    place: &Workplace,
    run: &Path,
    base_path: &Path,
    data: &Path,
    program: impl Fn(&[&str]),
) {
    let text = |path: &Path| path.to_str().expect("a path").to_owned();
    let [adapter, base, merged, expected] =
        ["adapter", "base", "merged", "expected.safetensors"].map(|name| place.path(name));
    let run_name = text(run);
    program(&["export", &run_name, &text(&adapter)]);
    program(&["export", &run_name, &text(&base), "--base-only", "--dtype", "float32"]);
    let all = std::fs::read_to_string(data).expect("rows");
    let few: Vec<&str> = all.lines().take(ROWS).collect();
    place.write("few.jsonl", few.join("\n"));
    let few = place.path("few.jsonl");
    program(&["merge", &run_name, &text(&merged), "--dtype", "float32", "--golden", &text(&few)]);

    let subject = Subject::find(&run_name, &[]).expect("a run");
    let opened = subject.open(base_path, &mut |_, _| {}).expect("opened");
    let template = opened.template.as_ref().expect("a template");
    let encoder = Encoder::new(template, &opened.base.tokenizer).expect("an encoder");
    let rows: Vec<Row> = read_file(&few)
        .expect("rows")
        .rows
        .into_iter()
        .map(|record| {
            let encoded = encoder.encode_record(&record, TrainOn::Last, usize::MAX).expect("encoded");
            Row { tokens: encoded[0].tokens.clone(), record }
        })
        .collect();
    let of = |decoder: &Decoder, parameters: &[f32], tokens: &[u32]| {
        logits(decoder, parameters, &document(tokens.to_vec(), vec![false; tokens.len()]))
    };
    write_expected(&expected, &rows, |tokens| of(&opened.decoder, &opened.parameters, tokens));
    if compared == Compared::AdapterLater {
        return;
    }
    match quantization(&subject.config) {
        Quantization::None => compare(python, &[&expected, &base, &adapter], &[]),
        // bitsandbytes' AVX-512 kernel dequantises rows that are no multiple of 64 long wrongly (docs/numerics.md).
        // transformers' 8-bit linears quantise their inputs too.
        Quantization::Int8 => println!("adapter on 8 bits: not compared"),
        Quantization::Nf4 { .. } if !opened.base.config.hidden_size.is_multiple_of(64) => {
            println!("adapter on NF4: not compared, since rows are no multiple of 64 long");
        }
        Quantization::Nf4 { double } => {
            let flag = if double { "--nf4-double" } else { "--nf4" };
            if let Some(python) = self::python("bitsandbytes") {
                compare(&python, &[&expected, &base, &adapter], &[flag]);
            }
        }
    }
    let files = rtune_models::open(&merged).expect("the merged model");
    let decoder = Decoder::load(&files.config, files.weights.as_ref(), Quantization::None, &mut |_, _| {})
        .expect("a decoder");
    write_expected(&expected, &rows, |tokens| of(&decoder, &[], tokens));
    compare(python, &[&expected, &merged], &[]);
}

/// A run on the tiny model, which comes as a folder, with biases, or as a GGUF file.
fn tiny(quantization: &str, base: &str, settings: &[&str]) {
    let Some(python) = python("transformers, peft") else { return };
    let place = Workplace::new();
    write_model(&place.path("model"), Sizes { hidden: 32, layers: 2 });
    gguf::write(&place.path("model"), &place.path("model.gguf"));
    write_biased_model(&place.path("biased"), Sizes { hidden: 32, layers: 2 });
    trained_and_compared(&python, Compared::AdapterAndMerged, &place, quantization, base, settings);
}

fn trained_and_compared(
    python: &OsStr,
    compared: Compared,
    place: &Workplace,
    quantization: &str,
    base: &str,
    settings: &[&str],
) {
    let (kind, base_override) = (format!("quantization.kind={quantization}"), format!("model.base={base}"));
    place.train(&[&[kind.as_str(), &base_override], settings].concat()).succeeds();
    // `Subject` reads paths from here, the program from the workplace.
    let config = place.read("run/config.toml");
    let absolute = config.replace(&format!("base = \"{base}\""), &format!("base = {:?}", place.path(base)));
    place.write("run/config.toml", absolute);
    let program = |arguments: &[&str]| place.rtune(arguments).succeeds();
    compare_run(
        python,
        compared,
        place,
        &place.path("run"),
        &place.path(base),
        &place.path("train.jsonl"),
        program,
    );
}

#[test]
fn peft_agrees_on_the_adapter_and_transformers_on_the_merged_model() {
    tiny("none", "model.gguf", &[]);
}

#[test]
fn peft_agrees_on_every_kind_of_adapter() {
    for (base, settings) in [
        ("model", &["lora.dropout=0.2", "lora.layers=[1]", "lora.targets=.*(q|v)_proj"][..]),
        ("model", &["lora.method=dora", "lora.alpha=3", "lora.rank-pattern={ q_proj = 2 }"]),
        ("biased", &["lora.bias=all"]),
        ("biased", &["lora.bias=lora-only", "lora.targets=[\"q_proj\"]"]),
        ("model", &["lora.modules-to-save=[\"embed_tokens\", \"norm\"]"]),
        ("model", &["lora.trainable-tokens=[\"a\", \"b\"]"]),
        ("model", &["lora.new-tokens=[\"<|ticket|>\"]"]),
        ("model", &["lora.init=pissa"]),
        ("biased", &["lora.init=pissa", "lora.bias=all"]),
        ("model", &["lora.init=pissa", "lora.modules-to-save=[\"embed_tokens\", \"norm\"]"]),
        ("model", &["lora.init=pissa", "lora.scaling=rank-stabilized", "lora.alpha-pattern={ v_proj = 2 }"]),
    ] {
        println!("{base} {settings:?}");
        tiny("none", base, settings);
    }
}

/// Some minutes: only where it is asked for.
#[test]
fn peft_agrees_in_every_family() {
    let Some(only) = std::env::var_os("RTUNE_PEER_FAMILIES") else {
        eprintln!("skipped: RTUNE_PEER_FAMILIES names no families (`all`, or a part of their names)");
        return;
    };
    let Some(python) = python("transformers, peft") else { return };
    let only = only.into_string().expect("a name");
    let mut places = Vec::new();
    for (name, config) in
        configurations().into_iter().filter(|(name, _)| only == "all" || name.contains(&only))
    {
        let whole = match config["model_type"].as_str() {
            Some("gpt_neox") => "lora.modules-to-save=[\"embed_in\", \"final_layer_norm\"]",
            Some("falcon" | "RefinedWeb" | "RefinedWebModel") => {
                "lora.modules-to-save=[\"word_embeddings\", \"ln_f\"]"
            }
            _ => "lora.modules-to-save=[\"embed_tokens\", \"norm\"]",
        };
        for settings in [
            &["lora.method=dora", "lora.dropout=0.2", "lora.layers=[1]"][..],
            &[whole],
            &["lora.trainable-tokens=[\"a\", \"b\"]"],
            &["lora.new-tokens=[\"<|ticket|>\"]"],
        ] {
            let place = Workplace::new();
            println!("{name} {settings:?}");
            place.write("name", format!("{name} {settings:?}"));
            std::fs::remove_dir_all(place.path("model")).expect("removed");
            write_base(&place.path("model"), config.clone());
            // The last step, though the first be the best: an adapter that does nothing shows nothing.
            let settings = [&["data.validation=0", "train.learning-rate=0.05"], settings].concat();
            trained_and_compared(&python, Compared::AdapterLater, &place, "none", "model", &settings);
            places.push(place);
        }
    }
    let folders: Vec<PathBuf> = places.iter().map(|place| place.path("")).collect();
    let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    assert!(!folders.is_empty(), "no family is called so");
    compare(&python, &folders, &["--each"]);
}

#[test]
fn transformers_agrees_on_a_model_merged_onto_dequantised_weights() {
    tiny("nf4", "model", &[]);
}

#[test]
fn peers_agree_on_a_run_of_one_s_own() {
    let Some(run) = std::env::var_os("RTUNE_PEER_RUN").map(PathBuf::from) else {
        eprintln!("skipped: RTUNE_PEER_RUN names no run");
        return;
    };
    let Some(python) = python("transformers, peft") else { return };
    let config = Config::load(&run.join("config.toml"), &[]).expect("the run's configuration");
    let base =
        hub::resolve(&config.model.base, None, &HubOptions::from_env(), &mut |_| {}).expect("the base");
    let data = config.data.golden.first().or(config.data.train.first()).expect("rows").path.clone();
    let place = Workplace::new();
    let program = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_rtune")).args(arguments).output().expect("started");
        print!("{}", String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    compare_run(&python, Compared::AdapterAndMerged, &place, &run, &base, &data, program);
}
