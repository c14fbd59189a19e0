//! The engine on a GPU, or with its kernels run block by block on the processor: against the engine of the processor, which
//! is held against transformers and peft.

#![expect(clippy::print_stderr, reason = "what was skipped, and figures, are what these tests are for")]

mod answers;
mod embeddings;
mod subjects;

use half::bf16;
use rtune_adapters::{LoraConfig, PaddedLayout, ParameterEntry, Parameters};
use rtune_data::Example;
use rtune_kernels::cuda::Arena as GpuArena;
use rtune_kernels::cuda::emulator::{self, SCHEDULES};
use rtune_models::decoder::gpu::{Embeddings, GpuDecoder, GpuPass};
use rtune_models::generate::{Documents, Go, GpuModel, Limits, Request, Sampler, Sampling, generate_with};
use rtune_models::hub::HubOptions;
use rtune_models::{Decoder, SavePolicy};
use rtune_trainer::config::Config;
use rtune_trainer::dist::Alone;
use rtune_trainer::engine::{Engine, EngineOptions, MicroBatch};
use rtune_trainer::gpu::Device;
use rtune_trainer::noise::Noise;
use rtune_trainer::optimizer::Optimizer;
use rtune_trainer::run::Outcome;

use crate::families::configurations;
use crate::reference::{document, logits};
use crate::training::{bytes_of, run_on};
use crate::workplace::Workplace;
use subjects::{Subject, lora, pairs, rows, subject, subjects, widened};

/// Of the mean loss: bf16 keeps eight bits of every activation, and errors of a few hundred tokens even out.
const LOSS_TOLERANCE: f64 = 4e-3;
/// Of the length of a tensor's gradient: the length of the difference. transformers in bf16 is off by 0.02 on such models, and
/// by 0.14 on the worst of them.
const GRADIENT_TOLERANCE: f32 = 0.1;

/// Two tests of one case: on the GPU, and in the emulator; each says so if it cannot run.
macro_rules! cases {
    ($($gpu:ident, $emulated:ident: $case:expr;)*) => {$(
        #[test]
        fn $gpu() {
            $case(&|_| match Device::open(0, &HubOptions::from_env().places) {
                Ok(device) => Some(device),
                Err(error) => {
                    eprintln!("skipped: {error}");
                    None
                }
            });
        }
        #[test]
        fn $emulated() {
            $case(&|schedule| {
                let device = emulator::open(schedule);
                if device.is_none() {
                    eprintln!("skipped: no C++ compiler to emulate kernels with");
                }
                device
            });
        }
    )*};
}

cases! {
    cuda_families, emulated_families: families_agree_with_the_processor;
    cuda_policies, emulated_policies: neither_what_is_kept_nor_the_order_of_threads_changes_a_bit;
    cuda_dropout, emulated_dropout: dropout_and_noise_are_those_of_the_processor;
    cuda_updates, emulated_updates: updates_are_those_of_the_processor;
    cuda_resume, emulated_resume: a_run_that_was_stopped_ends_in_the_bytes_of_one_that_was_not;
    cuda_answers, emulated_answers: answers_are_those_of_the_processor;
    cuda_golden, emulated_golden: answers::golden_rows_are_answered_and_weighed;
    cuda_watched, emulated_watched: answers::a_run_answers_where_it_trains;
    cuda_embeddings, emulated_embeddings: embeddings::the_key_says_where_they_are;
    cuda_refusals, emulated_refusals: what_only_the_processor_computes_is_refused_by_name;
}

/// The name of the emulated device.
const EMULATOR: &str = "emulator";

/// Opens the device that a case runs on, the emulated one under a schedule of its threads.
type Open<'a> = &'a dyn Fn(u32) -> Option<Device>;

/// All rows of a subject in one.
const ROW_TOKENS: usize = 64;

/// An engine here or on a GPU that packs all rows into one.
fn engine(
    decoder: Decoder,
    parameters: Parameters<f32>,
    policy: SavePolicy,
    noise: Option<Noise>,
    gpu: Option<&Device>,
) -> Engine {
    let options = EngineOptions {
        policy,
        micro_batch: MicroBatch { tokens: ROW_TOKENS, shares_prefixes: false },
        noise,
    };
    let engine = Engine::new(decoder, parameters, options);
    let offloads = policy == SavePolicy::Offloaded;
    let embeddings = if offloads { Embeddings::OnHost } else { Embeddings::OnDevice };
    match gpu {
        None => engine,
        // The embedding's rows come from the host where the inputs of blocks go there.
        Some(device) => engine.on_gpu(device, 1, embeddings).expect("on the GPU"),
    }
}

/// Mean loss and gradients of a step on all rows.
fn step(subject: Subject, policy: SavePolicy, noise: Option<Noise>, gpu: Option<&Device>) -> (f64, Vec<f32>) {
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
fn compare(
    name: &str,
    entries: &[ParameterEntry],
    here: &(f64, Vec<f32>),
    there: &(f64, Vec<f32>),
) -> Result<(), String> {
    let off = (there.0 - here.0).abs() / here.0;
    // Small tensors are held against the usual one: a gradient near zero is all rounding.
    let longest =
        entries.iter().map(|entry| length(here.1[entry.range.clone()].iter().copied())).fold(0.0, f32::max);
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
    (off < LOSS_TOLERANCE && worst.0 < GRADIENT_TOLERANCE).then_some(()).ok_or_else(|| name.to_owned())
}

fn families_agree_with_the_processor(open: Open<'_>) {
    let Some(device) = open(SCHEDULES[0]) else { return };
    let mut far = Vec::new();
    for (here, there) in pairs(&lora()) {
        let (name, entries) = (here.name.clone(), here.parameters.entries().to_vec());
        let here = step(here, SavePolicy::All, None, None);
        let there = step(there, SavePolicy::All, None, Some(&device));
        far.extend(compare(&name, &entries, &here, &there).err());
    }
    assert!(far.is_empty(), "too far from the processor: {far:?}");
}

fn neither_what_is_kept_nor_the_order_of_threads_changes_a_bit(open: Open<'_>) {
    let Some(first) = open(SCHEDULES[0]) else { return };
    let Some(second) = open(SCHEDULES[1]) else { return };
    let policies = [SavePolicy::Offloaded, SavePolicy::InputOnly, SavePolicy::Last(1)];
    for ((all, less), policy) in subjects(&lora()).zip(subjects(&lora())).zip(policies.into_iter().cycle()) {
        let name = format!("{}, {policy}", all.name);
        let all = step(all, SavePolicy::All, None, Some(&first));
        let less = step(less, policy, None, Some(&second));
        assert_eq!(all.0.to_bits(), less.0.to_bits(), "{name}: the loss");
        let differ = all.1.iter().zip(&less.1).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        assert_eq!(differ, 0, "{name}: gradients of {} numbers", all.1.len());
    }
}

fn dropout_and_noise_are_those_of_the_processor(open: Open<'_>) {
    let Some(device) = open(SCHEDULES[0]) else { return };
    let noise = Some(Noise { seed: 3, neftune_alpha: 5.0 });
    let mut far = Vec::new();
    for (here, there) in pairs(&LoraConfig { dropout: 0.25, ..lora() }) {
        let name = format!("{} with dropout", here.name);
        let entries = here.parameters.entries().to_vec();
        let here = step(here, SavePolicy::All, noise, None);
        let there = step(there, SavePolicy::All, noise, Some(&device));
        far.extend(compare(&name, &entries, &here, &there).err());
    }
    assert!(far.is_empty(), "too far from the processor: {far:?}");
}

fn updates_are_those_of_the_processor(open: Open<'_>) {
    let Some(device) = open(SCHEDULES[0]) else { return };
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

fn a_run_that_was_stopped_ends_in_the_bytes_of_one_that_was_not(open: Open<'_>) {
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
        let device = open(SCHEDULES[0])?;
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
    assert!(manifest.contains("\"cuda\"") && manifest.contains("sm_"), "{manifest}");
}

/// How far below the processor's best logit a token may be that the GPU took for the best, as a part of their spread.
const LOGIT_TOLERANCE: f32 = 0.03;

fn answers_are_those_of_the_processor(open: Open<'_>) {
    let Some(device) = open(SCHEDULES[0]) else { return };
    let limits = Limits {
        stop_tokens: Vec::new(),
        max_new_tokens: 6,
        max_positions: 64,
        batch_documents: 2,
        batch_tokens: 64,
        documents: Documents::Dropped,
    };
    for Subject { name, decoder, parameters, .. } in subjects(&lora()) {
        let layout = PaddedLayout::new(parameters.entries());
        let gpu = GpuDecoder::upload(&device, &decoder, &layout, Embeddings::OnDevice).expect("on the GPU");
        let narrow: Vec<bf16> = layout.padded(parameters.flat()).into_iter().map(bf16::from_f32).collect();
        let shadow = device.upload(&narrow).expect("memory");
        let arena = GpuArena::new(&device, 8 << 20).expect("memory");
        let prompts =
            [3, 21, 9].map(|length| (0..length).map(|t| (17 * t + length) % 200).collect::<Vec<u32>>());
        let answers = |batch_documents: usize| {
            let limits = Limits { batch_documents, ..limits.clone() };
            let sampler = || Sampler::new(&Sampling::GREEDY, 0);
            let requests =
                prompts.clone().map(|prompt| Request { prompt, sampler: sampler(), document: None });
            let pass = GpuPass { device: &device, arena: &arena, adapters: Some(shadow.all()), aside: None };
            let model = GpuModel::new(&gpu, pass, [batch_documents, 64]).expect("memory");
            let answers = generate_with(&model, requests, &limits, &mut |_, _| Go::On).expect("answers");
            answers.into_iter().map(|answer| answer.tokens).collect::<Vec<_>>()
        };
        let together = answers(2);
        let mut worst = 0.0_f32;
        for (prompt, answer) in prompts.iter().zip(&together) {
            assert_eq!(answer.len(), limits.max_new_tokens, "{name}");
            for (place, &token) in answer.iter().enumerate() {
                let tokens = [prompt.as_slice(), &answer[..place]].concat();
                let row = document(tokens.clone(), vec![false; tokens.len()]);
                let logits = logits(&decoder, parameters.flat(), &row);
                let row = logits.chunks(decoder.spec().vocabulary).next_back().expect("a last row");
                let best = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let least = row.iter().copied().fold(f32::INFINITY, f32::min);
                worst = worst.max((best - row[token as usize]) / (best - least));
            }
        }
        eprintln!(
            "{name}: the GPU's choices are at most {worst:.4} of the spread below the processor's best"
        );
        assert!(worst < LOGIT_TOLERANCE, "{name}: {worst}");
        // cuBLAS may sum otherwise where there are fewer rows; the kernels do not.
        if device.facts().name == EMULATOR {
            assert_eq!(answers(1), together, "{name}: what else is in the batch changes an answer");
        }
    }
}

fn what_only_the_processor_computes_is_refused_by_name(open: Open<'_>) {
    let Some(device) = open(SCHEDULES[0]) else { return };
    let (name, config) = configurations().into_iter().find(|(name, _)| name == "llama").expect("Llama");
    let lora = LoraConfig { dora: true, ..lora() };
    let Subject { decoder, parameters, .. } = subject(&name, &widened(&name, config), &lora);
    let options = EngineOptions {
        policy: SavePolicy::All,
        micro_batch: MicroBatch { tokens: 64, shares_prefixes: true },
        noise: None,
    };
    let error = Engine::new(decoder, parameters, options)
        .on_gpu(&device, 1, Embeddings::OnDevice)
        .expect_err("refused");
    assert!(error.to_string().contains("DoRA runs on the CPU only"), "{error}");
    assert!(error.hint().expect("a hint").contains("device = \"cpu\""));
}
