//! Adapters that make up for what quantising took from their base: beside the base as it is they must not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rtune_adapters::peft;
use rtune_trainer::files::sha256_of;
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::release::{json_of, tensors};
use crate::workplace::Workplace;

const LOFTQ: &str = "lora.init=loftq";
/// Of the configuration of the tests: alpha over rank.
const SCALE: f64 = 2.0;

/// The tensors of an adapter, by name without PEFT's prefix, each with its shape.
pub(crate) fn read(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = fs::read(path).expect("there");
    let file = SafeTensors::deserialize(&bytes).expect("tensors");
    let of = |(name, tensor): (&str, safetensors::tensor::TensorView<'_>)| {
        let values =
            tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        (name.trim_start_matches("base_model.model.").to_owned(), (tensor.shape().to_vec(), values))
    };
    file.iter().map(|(name, tensor)| of((name, tensor))).collect()
}

/// `scale · B A` of every pair of a file, by the weight that it is added to.
fn products(path: &Path, scale: f64) -> BTreeMap<String, Vec<f64>> {
    let file = read(path);
    let pair = |(name, (shape, a)): (&String, &(Vec<usize>, Vec<f32>))| {
        let linear = name.strip_suffix(".lora_A.weight")?;
        let (rows, b) = &file[&format!("{linear}.lora_B.weight")];
        let (rank, columns) = (shape[0], shape[1]);
        let of = |at: usize| {
            let (row, column) = (at / columns, at % columns);
            let terms = (0..rank).map(|k| f64::from(b[row * rank + k]) * f64::from(a[k * columns + column]));
            scale * terms.sum::<f64>()
        };
        Some((format!("{linear}.weight"), (0..rows[0] * columns).map(of).collect()))
    };
    file.iter().filter_map(pair).collect()
}

/// What a run learnt: what its adapter is less what it began as.
fn learnt(place: &Workplace, run: &str) -> BTreeMap<String, Vec<f64>> {
    let best = place.path(run).join("best");
    let now = products(&best.join("adapter_model.safetensors"), SCALE);
    let began = products(&best.join("initial.safetensors"), SCALE);
    let less = |(name, now): (String, Vec<f64>)| {
        let change: Vec<f64> = now.iter().zip(&began[&name]).map(|(now, began)| now - began).collect();
        let [size, whole] =
            [&change, &now].map(|values| values.iter().map(|value| value * value).sum::<f64>().sqrt());
        assert!(size > 0.0 && size < whole, "{name}: {size} of {whole} was learnt");
        (name, change)
    };
    now.into_iter().map(less).collect()
}

#[track_caller]
fn is_base_and(place: &Workplace, out: &str, changes: &BTreeMap<String, Vec<f64>>) {
    let (base, written) = (tensors(&place.path("model")), tensors(&place.path(out)));
    for (name, values) in &base {
        for (at, (before, after)) in values.iter().zip(&written[name]).enumerate() {
            let change = changes.get(name).map_or(0.0, |change| change[at]);
            let expected = f64::from(*before) + change;
            assert!((expected - f64::from(*after)).abs() < 1e-6, "{name} {at}: {expected} {after}");
        }
    }
}

/// The rest of the configuration, with the scale that the tests count with.
fn train(place: &Workplace, settings: &[&str]) {
    place.train(&[&[LOFTQ, "lora.alpha=8"], settings].concat()).succeeds();
}

#[test]
fn beside_the_original_weights_only_what_was_learnt_is_added() {
    let place = Workplace::new();
    train(&place, &[]);
    place.rtune(&["merge", "run", "out", "--onto", "original", "--dtype", "float32"]).succeeds();
    is_base_and(&place, "out", &learnt(&place, "run"));
    // What the run left and what was merged are as near as the adapter's rank lets it make up for.
    let own = json_of(&place.path("out/merge-report.json"))["measured"]["answers"].clone();
    place.rtune(&["merge", "run", "held", "--dtype", "float32"]).succeeds();
    let held = json_of(&place.path("held/merge-report.json"))["measured"]["answers"].clone();
    let kl = |answers: &Value| answers["kl_mean_nats"].as_f64().expect("a number");
    assert!(kl(&held) < 1e-9 && kl(&own) > kl(&held), "{own} {held}");
}

#[test]
fn servers_are_given_an_adapter_beside_the_whole_base() {
    let place = Workplace::new();
    train(&place, &[]);
    let ran = place.rtune(&["export", "run", "served", "--for", "vllm"]);
    ran.succeeds();
    assert!(ran.stdout.contains("--max-lora-rank 8 "), "{}", ran.stdout);
    let settings = json_of(&place.path("served/adapter_config.json"));
    assert_eq!(
        (&settings["r"], &settings["lora_alpha"], &settings["loftq_config"]),
        (&json!(8), &json!(16), &json!({}))
    );
    let (written, learnt) =
        (products(&place.path("served/adapter_model.safetensors"), SCALE), learnt(&place, "run"));
    for (name, values) in &learnt {
        let furthest = values.iter().zip(&written[name]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(furthest < 1e-9, "{name}: {furthest}");
    }
    // Without a server it is the adapter that was trained, for the base that it was trained beside, and says so.
    let ran = place.rtune(&["export", "run", "own"]);
    ran.succeeds();
    assert!(ran.stderr.contains("makes up for what quantising took from its base (LoftQ)"), "{}", ran.stderr);
    assert!(place.read("own/README.md").contains("load the base quantised, as it was trained beside"));
    let own = fs::read(place.path("own/adapter_model.safetensors")).expect("there");
    assert!(own == fs::read(place.path("run/best/adapter_model.safetensors")).expect("there"));
    // Whoever reads it again knows what it holds.
    let adapter = peft::read(&place.path("own")).expect("an adapter");
    assert_eq!(adapter.config.start, rtune_adapters::Start::Loftq);
}

#[test]
fn several_have_a_sum_beside_the_original_weights_alone() {
    let place = Workplace::new();
    train(&place, &[]);
    train(&place, &["output.dir=other", "train.seed=5", "lora.targets=[\"q_proj\", \"down_proj\"]"]);
    let with = ["merge", "run", "out", "--with", "other:-0.5", "--weight", "0.75", "--dtype", "float32"];
    let hint = "hint: onto the original weights their changes have a sum: `--onto original`";
    place
        .rtune(&with)
        .fails(2, &["`run/checkpoints/step-", "` cannot be combined onto dequantised weights", hint]);
    place.rtune(&["merge", "run", "out", "--weight", "0.5"]).fails(2, &["(LoftQ)", hint]);
    assert!(!place.path("out").exists() && place.begun("out").is_empty());
    place.rtune(&[&with[..], &["--onto", "original"]].concat()).succeeds();
    let mut sum = learnt(&place, "run");
    sum.values_mut().flatten().for_each(|value| *value *= 0.75);
    for (name, change) in learnt(&place, "other") {
        let places = sum.get_mut(&name).expect("adapted by both").iter_mut();
        places.zip(change).for_each(|(value, change)| *value -= 0.5 * change);
    }
    is_base_and(&place, "out", &sum);
}

/// A run that starts from such an adapter hands on what that began with.
#[test]
fn what_it_began_with_goes_on_with_the_adapter() {
    let place = Workplace::new();
    train(&place, &[]);
    let config =
        place.read("config.toml").replace("rank = 4", "from = \"run/best\"").replace("\"run\"", "\"next\"");
    place.write("next.toml", config);
    place.rtune(&["train", "next.toml"]).ends();
    let bytes = |run: &str| fs::read(place.path(run).join("best/initial.safetensors")).expect("there");
    assert!(bytes("run") == bytes("next"));
    place.rtune(&["merge", "next", "out", "--onto", "original", "--dtype", "float32"]).succeeds();
    is_base_and(&place, "out", &learnt(&place, "next"));
    place
        .rtune(&["train", "next.toml", "--set", "quantization.kind=none", "--set", "output.dir=other"])
        .fails(2, &["makes up for quantisation (LoftQ), and the base is not quantised"]);
    assert!(!place.path("other/config.toml").exists(), "the folder can be used again");
}

/// What quantising took is added to a base of which nothing, or something else, was taken.
#[test]
fn nothing_answers_beside_a_base_that_is_held_otherwise() {
    let place = Workplace::new();
    train(&place, &[]);
    place.rtune(&["export", "run", "own"]).succeeds();
    let ask = |subject: &str, settings: &[&str]| {
        let mut arguments = vec!["generate", subject, "Letter 3?", "--max-new-tokens", "2"];
        settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
        place.rtune(&arguments)
    };
    let (base, plain) = ("model.base=model", "quantization.kind=none");
    let refused = "makes up for quantisation (LoftQ), and the base is not quantised";
    ask("own", &[base]).succeeds();
    ask("own", &[base, plain]).fails(2, &[refused]);
    ask("run", &[]).succeeds();
    ask("run", &[plain]).fails(2, &[refused]);
    let other = "makes up for quantisation (LoftQ), and its run quantised the base otherwise";
    ask("run", &["quantization.kind=int8"]).fails(2, &[other]);
    ask("run", &["quantization.double=false"]).fails(2, &[other]);
}

/// What earlier versions left: no beginning, and no word of it but in the run's configuration.
#[test]
fn a_run_of_an_earlier_version_is_refused_where_its_beginning_counts() {
    let place = Workplace::new();
    train(&place, &[]);
    let step = fs::canonicalize(place.path("run/best")).expect("a checkpoint");
    fs::remove_file(step.join("initial.safetensors")).expect("removed");
    let mut settings = json_of(&step.join("adapter_config.json"));
    settings["loftq_config"] = json!({});
    let settings = settings.to_string();
    fs::write(step.join("adapter_config.json"), &settings).expect("written");
    let mut manifest = json_of(&step.join("manifest.json"));
    let files = manifest["files"].as_object_mut().expect("files");
    files.remove("initial.safetensors");
    files.insert("adapter_config.json".to_owned(), sha256_of(settings.as_bytes()).into());
    fs::write(step.join("manifest.json"), manifest.to_string()).expect("written");
    for arguments in [
        &["merge", "run", "out", "--onto", "original"][..],
        &["merge", "run", "out", "--weight", "0.5", "--onto", "original"],
        &["export", "run", "out", "--format", "safetensors", "--onto", "original"],
        &["export", "run", "out", "--format", "gptq", "--onto", "original"],
        &["export", "run", "out", "--format", "awq", "--onto", "original"],
        &["export", "run", "out", "--format", "gguf-adapter"],
        &["export", "run", "out", "--for", "vllm"],
    ] {
        let ran = place.rtune(arguments);
        ran.fails(2, &["began with what quantising took from its base (LoftQ)", "--onto dequantized"]);
        assert!(!place.path("out").exists() && place.begun("out").is_empty(), "{arguments:?}");
    }
    place.rtune(&["merge", "run", "out"]).succeeds();
}
