//! The engine on a GPU, its kernels run block by block on the processor: against the engine of the processor, which
//! is held against transformers and peft.

use std::path::Path;

use rtune_adapters::{LoraConfig, Parameters, Targets};
use rtune_data::{Example, Origin};
use rtune_kernels::cuda::emulator::{self, SCHEDULES};
use rtune_models::{Decoder, ModelConfig, Quantization, SavePolicy, open_weights};
use rtune_trainer::config::Config;
use rtune_trainer::dist::Alone;
use rtune_trainer::engine::{Engine, EngineOptions};
use rtune_trainer::gpu::Device;
use rtune_trainer::noise::Noise;
use rtune_trainer::optimizer::Optimizer;
use rtune_trainer::run::Outcome;

use serde_json::Value;

use crate::families::configurations;
use crate::training::{bytes_of, run_on};
use crate::workplace::{Workplace, write_base};

const NF4: Quantization = Quantization::Nf4 { double: true };

/// Of the mean loss: bf16 keeps eight bits of every activation, and errors of a few hundred tokens even out.
const LOSS_TOLERANCE: f64 = 4e-3;
/// Of the length of a tensor's gradient: the length of the difference.
const GRADIENT_TOLERANCE: f32 = 0.05;

fn device(schedule: u32) -> Option<Device> {
    let device = emulator::open(schedule);
    if device.is_none() {
        eprintln!("skipped: no C++ compiler to emulate kernels with");
    }
    device
}

/// A small model with adapters of which no number is zero, and rows to train it on.
struct Subject {
    name: String,
    decoder: Decoder,
    parameters: Parameters<f32>,
    rows: Vec<Example>,
}

/// The configuration with sides of matrices and heads that kernels take: some heads for tensor cores, some for strips.
fn widened(name: &str, mut config: Value) -> Value {
    config["hidden_size"] = 64.into();
    for key in ["intermediate_size", "ffn_hidden_size", "moe_intermediate_size"] {
        if config.get(key).is_some_and(Value::is_u64) {
            config[key] = 96.into();
        }
    }
    if config.get("head_dim").is_some_and(Value::is_u64) {
        config["head_dim"] = if ["gemma2", "mistral", "qwen3"].contains(&name) { 64 } else { 16 }.into();
    }
    if name.starts_with("phi3") {
        // Its lists of factors are for heads of eight.
        (config["num_attention_heads"], config["num_key_value_heads"]) = (8.into(), 4.into());
    }
    config
}

/// Documents of these lengths, of which the second half is supervised.
const LENGTHS: [usize; 3] = [5, 37, 20];

fn rows(vocabulary: usize) -> Vec<Example> {
    let row = |(index, &length): (usize, &usize)| Example {
        id: index.to_string(),
        origin: Origin { file: Path::new("a").into(), line: 1 },
        tokens: (0..length).map(|t| ((7 * index + 31 * t + t * t) % vocabulary) as u32).collect(),
        supervised: (0..length).map(|t| t > length / 2).collect(),
    };
    LENGTHS.iter().enumerate().map(row).collect()
}

fn subject(name: &str, config: &Value, lora: &LoraConfig) -> Subject {
    let folder = tempfile::tempdir().expect("a folder");
    write_base(folder.path(), config.clone());
    let config = ModelConfig::from_file(&folder.path().join("config.json")).expect("a configuration");
    let (weights, _) = open_weights(folder.path()).expect("weights");
    let mut decoder = Decoder::load(&config, weights.as_ref(), NF4, &mut |_, _| {}).expect("a decoder");
    let mut lora = lora.clone();
    if let Some(names) = decoder.spec().names.experts {
        let attention = ["q_proj", "k_proj", "v_proj", "o_proj"];
        let names = attention.iter().chain(&names.linears).map(|name| (*name).to_owned());
        lora.targets = Targets::Names(names.collect());
    }
    let mut parameters = decoder.attach_lora(&lora).expect("adapters");
    for (index, value) in parameters.flat_mut().iter_mut().enumerate() {
        *value = 0.1 * (index as f32 + 0.5).sin();
    }
    let rows = rows(decoder.spec().vocabulary);
    Subject { name: name.to_owned(), decoder, parameters, rows }
}

/// One of every family.
fn subjects(lora: &LoraConfig) -> impl Iterator<Item = Subject> {
    let lora = lora.clone();
    configurations().into_iter().map(move |(name, config)| subject(&name, &widened(&name, config), &lora))
}

/// The same twice: for the engine here and for that on a GPU.
fn pairs(lora: &LoraConfig) -> impl Iterator<Item = (Subject, Subject)> {
    subjects(lora).zip(subjects(lora))
}

fn lora() -> LoraConfig {
    LoraConfig::new(4, 8.0)
}

/// An engine here or on a GPU that packs all rows into one.
fn engine(
    decoder: Decoder,
    parameters: Parameters<f32>,
    policy: SavePolicy,
    noise: Option<Noise>,
    gpu: Option<&Device>,
) -> Engine {
    let options = EngineOptions { policy, micro_batch_tokens: 1 << 12, noise };
    let engine = Engine::new(decoder, parameters, options);
    match gpu {
        None => engine,
        Some(device) => engine.on_gpu(device, 1).expect("on the GPU"),
    }
}

/// Mean loss and gradients of a step on all rows.
fn step(
    subject: Subject,
    policy: SavePolicy,
    noise: Option<Noise>,
    gpu: Option<&Device>,
) -> (f64, Vec<f32>) {
    let Subject { decoder, parameters, rows, .. } = subject;
    let mut engine = engine(decoder, parameters, policy, noise, gpu);
    let sum = engine.differentiate(&rows.iter().collect::<Vec<_>>(), 1, &mut Alone).expect("a step");
    (sum.mean_nats(), engine.gradients().expect("gradients").to_vec())
}

fn length(numbers: impl Iterator<Item = f32>) -> f32 {
    numbers.map(|number| number * number).sum::<f32>().sqrt()
}

/// Holds a step on the GPU against one here.
#[track_caller]
fn compare(name: &str, entries: &[rtune_adapters::ParameterEntry], here: &(f64, Vec<f32>), there: &(f64, Vec<f32>)) {
    let off = (there.0 - here.0).abs() / here.0;
    // Small tensors are held against the usual one: a gradient near zero is all rounding.
    let longest = entries.iter().map(|entry| length(here.1[entry.range.clone()].iter().copied())).fold(0.0, f32::max);
    let mut worst = (0.0_f32, "");
    for entry in entries {
        let (a, b) = (&here.1[entry.range.clone()], &there.1[entry.range.clone()]);
        let difference = length(a.iter().zip(b).map(|(a, b)| a - b));
        let error = difference / length(a.iter().copied()).max(longest / 50.0);
        if error > worst.0 {
            worst = (error, &entry.name);
        }
    }
    eprintln!("{name}: loss off by {off:.1e}, gradients by at most {:.4} ({})", worst.0, worst.1);
    assert!(off < LOSS_TOLERANCE, "{name}: loss {} here, {} there", here.0, there.0);
    assert!(worst.0 < GRADIENT_TOLERANCE, "{name}: {} is off by {}", worst.1, worst.0);
}

#[test]
fn losses_and_gradients_of_every_family_agree_with_the_processor() {
    let Some(device) = device(SCHEDULES[0]) else { return };
    for (here, there) in pairs(&lora()) {
        let (name, entries) = (here.name.clone(), here.parameters.entries().to_vec());
        let here = step(here, SavePolicy::All, None, None);
        let there = step(there, SavePolicy::All, None, Some(&device));
        compare(&name, &entries, &here, &there);
    }
}

#[test]
fn neither_what_is_kept_nor_the_order_of_threads_changes_a_bit_on_the_gpu() {
    let Some(first) = device(SCHEDULES[0]) else { return };
    let Some(second) = device(SCHEDULES[1]) else { return };
    for (all, input_only) in pairs(&lora()) {
        let name = all.name.clone();
        let all = step(all, SavePolicy::All, None, Some(&first));
        let input_only = step(input_only, SavePolicy::InputOnly, None, Some(&second));
        assert_eq!(all.0.to_bits(), input_only.0.to_bits(), "{name}: the loss");
        let differ = all.1.iter().zip(&input_only.1).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        assert_eq!(differ, 0, "{name}: gradients of {} numbers", all.1.len());
    }
}

#[test]
fn dropout_and_noise_are_those_of_the_processor() {
    let Some(device) = device(SCHEDULES[0]) else { return };
    let noise = Some(Noise { seed: 3, neftune_alpha: 5.0 });
    for (here, there) in pairs(&LoraConfig { dropout: 0.25, ..lora() }) {
        let name = format!("{} with dropout", here.name);
        let entries = here.parameters.entries().to_vec();
        let here = step(here, SavePolicy::All, noise, None);
        let there = step(there, SavePolicy::All, noise, Some(&device));
        compare(&name, &entries, &here, &there);
    }
}

#[test]
fn updates_on_the_gpu_are_those_of_the_processor() {
    let Some(device) = device(SCHEDULES[0]) else { return };
    let text = "[model]\nbase='m'\n[data]\ntrain='t'\n[output]\ndir='r'\n[train]\nweight-decay = 0.1\nmax-grad-norm = 0.5\nlora-plus-ratio = 4.0\n";
    let train = Config::parse("c.toml", text, &[]).expect("valid").train;
    let (here, there) = pairs(&lora()).find(|(subject, _)| subject.name == "llama").expect("Llama");
    let rows = rows(here.decoder.spec().vocabulary);
    let rows: Vec<&Example> = rows.iter().collect();
    let began = here.parameters.flat().to_vec();
    let ended = [None, Some(&device)].into_iter().zip([here, there]).map(|(gpu, subject)| {
        let Subject { decoder, parameters, .. } = subject;
        let mut engine = engine(decoder, parameters, SavePolicy::InputOnly, None, gpu);
        let mut optimizer = Optimizer::new(&train, began.len()).by_parts(4.0, &engine.slices());
        for number in 1..=3 {
            engine.differentiate(&rows, number, &mut Alone).expect("a step");
            let norm = engine.gradient_norm(&optimizer).expect("a length");
            engine.update(&mut optimizer, norm, 1e-3, number).expect("an update");
        }
        engine.settle(&mut optimizer).expect("settled");
        let second: f32 = optimizer.moments().1.iter().sum();
        (engine.parameters().flat().to_vec(), second)
    });
    let ended: Vec<(Vec<f32>, f32)> = ended.collect();
    let moved = |index: usize| ended[index].0.iter().zip(&began).map(|(new, old)| new - old);
    let difference = length(moved(0).zip(moved(1)).map(|(a, b)| a - b));
    let error = difference / length(moved(0));
    let moments = (ended[1].1 - ended[0].1).abs() / ended[0].1;
    eprintln!("three updates: off by {error:.3}, second moments by {moments:.3}");
    // AdamW's first steps are near the signs of gradients, and the smallest of these are all rounding.
    assert!(error < 0.1 && moments < 0.05, "{error} {moments}");
}

#[test]
fn a_run_on_the_gpu_that_was_stopped_ends_in_the_bytes_of_one_that_was_not() {
    let place = Workplace::new();
    let load = |dir: &str| {
        let settings = [
            format!("output.dir={}", place.path(dir).display()),
            format!("data.train={}", place.path("train.jsonl").display()),
            "train.steps=4".to_owned(),
            "checkpoint.every=1".to_owned(),
            "checkpoint.keep=100".to_owned(),
            "lora.dropout=0.1".to_owned(),
        ];
        Config::load(&place.path("config.toml"), &settings).expect("valid")
    };
    let run = |dir: &str, step: u64, resume: bool| {
        let device = device(SCHEDULES[0])?;
        Some(run_on(Some(device), &load(dir), &place.path("model"), step, resume))
    };
    let Some(whole) = run("whole", 9, false) else { return };
    assert!(matches!(whole, Outcome::Complete(_)), "{whole:?}");
    let _ = run("parts", 2, false);
    let ended = run("parts", 9, true).expect("a device");
    assert!(matches!(ended, Outcome::Complete(_)), "{ended:?}");
    let last = "checkpoints/step-000004";
    assert_eq!(
        bytes_of(&place.path("whole").join(last)),
        bytes_of(&place.path("parts").join(last)),
        "the last checkpoint"
    );
    let manifest = std::fs::read_to_string(place.path("whole/manifest.json")).expect("a manifest");
    assert!(manifest.contains("\"cuda\"") && manifest.contains("emulator"), "{manifest}");
}

#[test]
fn what_only_the_processor_computes_is_refused_by_name() {
    let Some(device) = device(SCHEDULES[0]) else { return };
    let (name, config) = configurations().into_iter().find(|(name, _)| name == "llama").expect("Llama");
    let lora = LoraConfig { dora: true, ..lora() };
    let Subject { decoder, parameters, .. } = subject(&name, &widened(&name, config), &lora);
    let options = EngineOptions { policy: SavePolicy::All, micro_batch_tokens: 64, noise: None };
    let error = Engine::new(decoder, parameters, options).on_gpu(&device, 1).expect_err("refused");
    assert!(error.to_string().contains("DoRA runs on the CPU only"), "{error}");
    assert!(error.hint().expect("a hint").contains("device = \"cpu\""));
}
