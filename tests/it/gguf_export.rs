//! Models as GGUF files: of every family the tensors that llama.cpp's own converter wrote, to the byte, and its keys; other
//! types as far from them as their bits make it; what cannot be said is refused.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content as Gguf, Value};
use rtune_models::open;
use rtune_release::{Chat, Content, GgufType, write_gguf};

use crate::families::configurations;
use crate::workplace::{
    BYTES, CHATML, Sizes, Speech, Workplace, write_base, write_model, write_speaking_base,
};

const NO_CHAT: Chat<'static> = Chat { template: None, end_of_turn: None, stop_tokens: &[] };

fn write(base: &Path, out: &Path, kind: GgufType) -> Result<(), rtune_release::ReleaseError> {
    let base = open(base).expect("a base");
    write_gguf(out, &base, Content::Base, kind, "a name", NO_CHAT, &mut |_, _| {}).map(drop)
}

/// Header and tensors of a file, each with its type and its bytes.
pub(crate) struct Read {
    pub(crate) metadata: BTreeMap<String, Value>,
    pub(crate) tensors: BTreeMap<String, (GgmlDType, Vec<usize>, Vec<u8>)>,
}

pub(crate) fn read(path: &Path) -> Read {
    let mut file = File::open(path).expect("a file");
    let content = Gguf::read(&mut file).expect("candle reads it");
    let tensors = content.tensor_infos.iter().map(|(name, info)| {
        let tensor = info.read(&mut file, content.tensor_data_offset, &Device::Cpu).expect("a tensor");
        let bytes = tensor.data().expect("bytes").into_owned();
        (name.clone(), (tensor.dtype(), tensor.shape().dims().to_vec(), bytes))
    });
    Read { tensors: tensors.collect(), metadata: content.metadata.into_iter().collect() }
}

/// What llama.cpp's converter says of where a model comes from, and keys that say nothing of what is computed; scores of
/// tokens have another scale here and the same order.
fn is_about_something_else(key: &str) -> bool {
    key.starts_with("general.")
        // The converter writes this id for every Gemma, whatever its vocabulary.
        || key == "tokenizer.ggml.eot_token_id"
        || ["tokenizer.ggml.scores", "tokenizer.ggml.pre", "tokenizer.chat_template"].contains(&key)
}

fn same(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| {
        value.to_f32().map(f64::from).ok().or_else(|| value.to_u64().ok().map(|number| number as f64))
    };
    match (number(one), number(other)) {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-6 * one.abs(),
        _ => format!("{one:?}") == format!("{other:?}"),
    }
}

/// The case with a window that llama.cpp reads and does not compute.
const WITH_A_WINDOW: &str = "phi3";

#[test]
fn every_family_has_the_tensors_that_llama_cpp_writes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.join("model.gguf").is_file());
    paths.sort();
    assert!(paths.len() > 12, "{paths:?}");
    let place = tempfile::tempdir().expect("a folder");
    let mut wrong = Vec::new();
    for path in &paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let out = place.path().join(format!("{name}.gguf"));
        let written = write(&path.join("model.gguf"), &out, GgufType::F32);
        if name == WITH_A_WINDOW {
            let error = written.expect_err("llama.cpp computes no such window").to_string();
            assert!(error.contains("phi3 without its window of 8 tokens") && !out.exists(), "{error}");
            continue;
        }
        if let Err(error) = written {
            wrong.push(format!("{name}: {error}"));
            continue;
        }
        let (theirs, ours) = (read(&path.join("model.gguf")), read(&out));
        let names = |read: &Read| read.tensors.keys().cloned().collect::<Vec<_>>();
        if names(&theirs) != names(&ours) {
            wrong.push(format!("{name}: tensors {:?}, not {:?}", names(&ours), names(&theirs)));
            continue;
        }
        for (tensor, (_, shape, bytes)) in &theirs.tensors {
            let (_, our_shape, our_bytes) = &ours.tensors[tensor];
            if shape != our_shape || bytes != our_bytes {
                wrong.push(format!("{name}: {tensor} {our_shape:?}, not as {shape:?} of llama.cpp"));
            }
        }
        for (key, value) in theirs.metadata.iter().filter(|(key, _)| !is_about_something_else(key)) {
            match ours.metadata.get(key) {
                Some(our) if same(our, value) => {}
                our => {
                    wrong.push(format!("{name}: {key} is {our:?}, not {value:?}").chars().take(300).collect())
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn fewer_bits_lie_nearer_than_their_steps() {
    let place = tempfile::tempdir().expect("a folder");
    let model = place.path().join("model");
    write_model(&model, Sizes { hidden: 256, layers: 2 });
    let exact = place.path().join("exact.gguf");
    write(&model, &exact, GgufType::F32).expect("written");
    let exact = open(&exact).expect("read").weights;
    // Of the root of the mean square of a matrix.
    for (kind, most) in [
        (GgufType::F16, 1e-3),
        (GgufType::Bf16, 5e-3),
        (GgufType::Q8_0, 0.01),
        (GgufType::Q6K, 0.03),
        (GgufType::Q5KM, 0.06),
        (GgufType::Q4KM, 0.12),
        (GgufType::Q4_0, 0.15),
    ] {
        let out = place.path().join(format!("{}.gguf", kind.name()));
        write(&model, &out, kind).expect("written");
        let held = open(&out).expect("read").weights;
        for name in ["model.layers.0.mlp.up_proj.weight", "model.layers.1.self_attn.q_proj.weight"] {
            let [values, rounded] =
                [&exact, &held].map(|weights| weights.read(name).expect("read").into_f32());
            let square =
                |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>();
            let error = square(&mut values.iter().zip(&rounded).map(|(a, b)| a - b));
            let relative = (error / square(&mut values.iter().copied())).sqrt();
            assert!(relative < most, "{} {name}: {relative}", kind.name());
            assert!(kind == GgufType::F32 || relative > 0.0, "{}: nothing was rounded", kind.name());
        }
    }
}

/// What llama.cpp looks for: biases of the output of attention and of the MLP in Llama and Granite, in Qwen 3 of neither.
#[test]
fn biases_that_llama_cpp_has_no_place_for_are_refused() {
    let place = tempfile::tempdir().expect("a folder");
    for (name, key, fits) in [
        ("llama", "attention_bias", true),
        ("llama", "mlp_bias", true),
        ("granite", "attention_bias", true),
        ("qwen3", "attention_bias", false),
        ("smollm3", "attention_bias", false),
        ("smollm3", "mlp_bias", false),
    ] {
        let case = configurations().into_iter().find(|(known, _)| known == name);
        let (_, mut config) = case.expect("a case");
        config[key] = true.into();
        let (model, out) = ["", ".gguf"].map(|end| place.path().join(format!("{name} {key}{end}"))).into();
        write_base(&model, config);
        match write(&model, &out, GgufType::F32) {
            Ok(()) => assert!(fits, "{name} {key}"),
            Err(error) => {
                let error = error.to_string();
                assert!(
                    !fits && error.contains(key) && error.contains("no place for these biases"),
                    "{error}"
                );
                assert!(!out.exists(), "{name}");
            }
        }
    }
}

/// A base that ends texts with two tokens, one of them of a lower number than the one with which the template ends a turn.
#[test]
fn a_turn_ends_with_what_the_template_puts_behind_it() {
    let place = Workplace::new();
    std::fs::remove_dir_all(place.path("model")).expect("removed");
    let special = &["<|text|>", "<|im_start|>", "<|im_end|>", "<|eos|>"];
    let (_, config) = configurations().into_iter().find(|(name, _)| name == "llama").expect("a case");
    write_speaking_base(&place.path("model"), config, &Speech { special, eos: "<|eos|>", ..CHATML });
    let mut config: serde_json::Value = serde_json::from_str(&place.read("model/config.json")).expect("JSON");
    config["eos_token_id"] = serde_json::json!([BYTES + 3, BYTES]);
    place.write("model/config.json", config.to_string());
    place
        .rtune(&["export", "model", "out.gguf", "--base-only", "--format", "gguf", "--quantize", "f32"])
        .succeeds();
    let metadata = read(&place.path("out.gguf")).metadata;
    let id = |name: &str| metadata[&format!("tokenizer.ggml.{name}_token_id")].to_u32().expect("a number");
    assert_eq!(["eos", "eot", "eom"].map(|name| id(name) as usize), [BYTES + 3, BYTES + 2, BYTES]);
}

#[test]
fn a_run_becomes_one_file_that_answers_as_it_did() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    place.rtune(&["export", "run", "out.gguf", "--format", "gguf", "--quantize", "f32"]).succeeds();
    place.rtune(&["merge", "run", "merged", "--dtype", "float32", "--golden", "train.jsonl"]).succeeds();
    let answer = |model: &str| {
        let ran = place.rtune(&[
            "generate",
            model,
            "Letter 3?\nIt is d.",
            "--set",
            "quantization.kind=none",
            "--max-new-tokens",
            "12",
            "--json",
        ]);
        ran.succeeds();
        let value: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
        (value["prompt_token_ids"].clone(), value["token_ids"].clone(), value["answer"].clone())
    };
    assert_eq!(answer("out.gguf"), answer("merged"));
    let again = place.rtune(&["export", "run", "out.gguf", "--format", "gguf"]);
    again.fails(2, &["out.gguf"]);
    place
        .rtune(&["export", "run", "other.gguf", "--format", "gguf", "--quantize", "q3"])
        .fails(2, &["expected one of f32, f16, bf16, q8_0, q4_0, q4_k_m, q5_k_m, q6_k"]);
    let both = ["export", "run", "other.gguf", "--format", "gguf", "--dtype", "float16"];
    place.rtune(&both).fails(2, &["--quantize"]);
    assert!(!place.path("other.gguf").exists() && place.begun("other").is_empty());
}
