//! GGUF files in llama.cpp itself. `RTUNE_PEER_LLAMA` names a folder in which the npm package node-llama-cpp is installed,
//! `RTUNE_PEER_GGUF_MODEL` a file of `rtune export --format gguf --quantize f16`; beside it may lie the same with other
//! types in the place of `f16`.

#![expect(clippy::print_stdout, reason = "a table of figures is what this test is for")]

use std::path::{Path, PathBuf};
use std::process::Command;

use rand_core::Rng;
use rtune_data::stream;
use rtune_kernels::arena::Arena;
use rtune_models::generate::{Documents, Go, Limits, Request, Sampler, Sampling, generate};
use rtune_models::{BaseModel, Decoder, Quantization, open};
use rtune_release::{CalibrationRow, Chat, Content, GgufType, write_gguf_calibrated};
use serde_json::{Value, json};

use crate::reference::{document, logits};
use crate::workplace::{Sizes, Workplace, write_model};

const TEXTS: usize = 500;
const NEW_TOKENS: usize = 64;
/// Where the likeliest two of our logits lie this close, another answer is as good.
const TIE: f32 = 0.05;
/// How far the nats of a type may lie from those of F16, as a part of them.
const NATS: [(&str, f64); 3] = [("f16", 1e-3), ("q8_0", 0.005), ("q4_k_m", 0.03)];

/// Pieces that tokenizers cut in different places.
const PIECES: [&str; 28] = [
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "a",
    "The",
    " the",
    "don't",
    "WE'LL",
    "'s",
    "123",
    "4567890",
    "3.14",
    "é",
    "ß",
    "中文",
    "日本",
    "한국",
    "Привет",
    "🙂",
    "👩‍👩‍👧",
    "\u{200b}",
    "\u{a0}",
    "...",
    "<|",
    "|>",
    "_x_",
];
const PROMPTS: [&str; 10] = [
    "What is the capital of France?",
    "Write a haiku about rain.",
    "List three colours.",
    "Is 17 prime?",
    "Translate to German: good morning",
    "Who wrote Hamlet?",
    "Give me a recipe for bread.",
    "spam or ham: WIN a prize now",
    "Explain gravity to a child.",
    "What comes after Monday?",
];

fn texts() -> Vec<String> {
    let mut random = stream(1, "odd texts", "", 0);
    let mut one = || {
        let count = 1 + random.next_u32() as usize % 12;
        (0..count).map(|_| PIECES[random.next_u32() as usize % PIECES.len()]).collect::<String>()
    };
    (0..TEXTS).map(|_| one()).collect()
}

fn encode(base: &BaseModel, text: &str) -> Vec<u32> {
    base.tokenizer.encode(text, false).expect("tokens").get_ids().to_vec()
}

pub(crate) fn asked_of(folder: &Path, file: &Path, asked: &Value) -> Value {
    let place = tempfile::tempdir().expect("a folder");
    let path = place.path().join("asked.json");
    std::fs::write(&path, asked.to_string()).expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/llama_cpp.mjs");
    let ran = Command::new("node")
        .arg(script)
        .args([file, &path])
        .env("NODE_LLAMA_CPP", folder)
        .output()
        .expect("node runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).expect("JSON")
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().expect("a list").iter().map(|id| id.as_u64().expect("a token") as u32).collect()
}

#[test]
fn llama_cpp_loads_what_is_exported() {
    let variables =
        ["RTUNE_PEER_LLAMA", "RTUNE_PEER_GGUF_MODEL"].map(|name| std::env::var_os(name).map(PathBuf::from));
    let [Some(folder), Some(file)] = variables else {
        println!("skipped: RTUNE_PEER_LLAMA and RTUNE_PEER_GGUF_MODEL are not set");
        return;
    };
    let base = open(&file).expect("the file");
    let decoder = Decoder::load(&base.config, base.weights.as_ref(), Quantization::None, &mut |_, _| {})
        .expect("loads");
    let prompts: Vec<Vec<u32>> = PROMPTS
        .iter()
        .map(|text| encode(&base, &format!("<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n")))
        .collect();
    let (texts, evaluated) = (texts(), &prompts);
    let asked = json!({"texts": texts, "prompts": prompts, "new_tokens": NEW_TOKENS, "evaluated": evaluated});
    let said = asked_of(&folder, &file, &asked);
    let other: Vec<&String> = texts
        .iter()
        .zip(said["tokens"].as_array().expect("lists"))
        .filter(|(text, theirs)| encode(&base, text) != ids(theirs))
        .map(|(text, _)| text)
        .collect();
    println!("tokens: {} of {TEXTS} texts differ", other.len());
    assert!(other.is_empty(), "{other:?}");
    same_answers(&base, &decoder, &prompts, &said);
    let nats = |said: &Value| {
        said["nats"].as_array().expect("numbers").iter().filter_map(Value::as_f64).sum::<f64>()
    };
    let ours: f64 = prompts.iter().map(|prompt| nats_of(&decoder, prompt)).sum();
    let f16 = nats(&said);
    println!("nats of {} prompts: {ours:.4} here, {f16:.4} by llama.cpp from F16", prompts.len());
    assert!((ours / f16 - 1.0).abs() < NATS[0].1, "{ours} {f16}");
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for (kind, most) in &NATS[1..] {
        let file = file.with_file_name(name.replace("f16", kind));
        if *kind != "f16" && name.contains("f16") && file.is_file() {
            let asked = json!({"texts": [], "prompts": [], "new_tokens": 1, "evaluated": evaluated});
            let found = nats(&asked_of(&folder, &file, &asked));
            println!("{kind}: {found:.4}, {:+.3}% of F16", 100.0 * (found / f16 - 1.0));
            assert!((found / f16 - 1.0).abs() < *most, "{kind}: {found} {f16}");
        }
    }
}

pub(crate) fn nats_of(decoder: &Decoder, tokens: &[u32]) -> f64 {
    let vocabulary = decoder.spec().vocabulary;
    let rows = logits(decoder, &[], &document(tokens.to_vec(), vec![true; tokens.len()]));
    let cost = |(row, next): (&[f32], &u32)| {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = row.iter().map(|&value| f64::from(value - most).exp()).sum();
        sum.ln() - f64::from(row[*next as usize] - most)
    };
    rows.chunks(vocabulary).zip(&tokens[1..]).map(cost).sum()
}

/// Greedy answers are the same, or part where our two best tokens are as good.
fn same_answers(base: &BaseModel, decoder: &Decoder, prompts: &[Vec<u32>], said: &Value) {
    let limits = Limits {
        stop_tokens: Vec::new(),
        max_new_tokens: NEW_TOKENS,
        max_positions: base.config.max_position_embeddings,
        batch_documents: 10,
        batch_tokens: 2048,
        documents: Documents::Dropped,
    };
    let request = |prompt: &Vec<u32>| Request {
        prompt: prompt.clone(),
        sampler: Sampler::new(&Sampling::GREEDY, 0),
        document: None,
    };
    let answers =
        generate(decoder, &[], prompts.iter().map(request), &limits, &Arena::new(), &mut |_, _| Go::On)
            .expect("answers");
    let answers: Vec<Vec<u32>> = answers.into_iter().map(|answer| answer.tokens).collect();
    part_at_ties(decoder, prompts, &answers, &answers_of(said));
}

fn answers_of(said: &Value) -> Vec<Vec<u32>> {
    said["answers"].as_array().expect("lists").iter().map(ids).collect()
}

/// The second answers are the first ones, or part from them where the logits of `decoder` are as good for both.
fn part_at_ties(decoder: &Decoder, prompts: &[Vec<u32>], first: &[Vec<u32>], second: &[Vec<u32>]) {
    let mut equal = 0;
    for ((prompt, one), other) in prompts.iter().zip(first).zip(second) {
        let Some(at) = (0..one.len().min(other.len())).find(|&at| one[at] != other[at]) else {
            equal += 1;
            continue;
        };
        let tokens = [prompt.as_slice(), &other[..at]].concat();
        let rows = logits::<f32>(decoder, &[], &document(tokens.clone(), vec![false; tokens.len()]));
        let row = rows.chunks(decoder.spec().vocabulary).next_back().expect("a row");
        let apart = (row[one[at] as usize] - row[other[at] as usize]).abs();
        println!("an answer parts at token {at}, where our logits are {apart:.4} apart");
        assert!(apart < TIE, "token {at}: {apart}");
    }
    println!("{equal} of {} greedy answers are the same to the end", prompts.len());
}

/// A base with our adapter beside it answers as the merged file does, and not as the base.
#[test]
fn llama_cpp_adds_an_exported_adapter() {
    let Some(folder) = std::env::var_os("RTUNE_PEER_LLAMA").map(PathBuf::from) else {
        println!("skipped: RTUNE_PEER_LLAMA is not set");
        return;
    };
    let place = Workplace::new();
    write_model(&place.path("model"), Sizes { hidden: 64, layers: 2 });
    let settings =
        ["lora.rank-pattern={ q_proj = 2 }", "lora.alpha-pattern={ v_proj = 3 }", "train.learning-rate=0.05"];
    place.train(&settings).succeeds();
    adapter_answers_as_merged(&folder, &place, "run");
    // A run of one's own.
    if let Some(run) = std::env::var_os("RTUNE_PEER_RUN") {
        let place = Workplace::new();
        adapter_answers_as_merged(&folder, &place, &run.to_string_lossy());
    }
}

fn adapter_answers_as_merged(folder: &Path, place: &Workplace, run: &str) {
    for (out, arguments) in [
        ("base.gguf", &["--format", "gguf", "--base-only"][..]),
        ("merged.gguf", &["--format", "gguf", "--onto", "original"]),
        ("adapter.gguf", &["--format", "gguf-adapter"]),
    ] {
        place.rtune(&[&["export", run, out], arguments].concat()).succeeds();
    }
    let base = open(&place.path("merged.gguf")).expect("the file");
    let decoder = Decoder::load(&base.config, base.weights.as_ref(), Quantization::None, &mut |_, _| {})
        .expect("loads");
    let ask =
        |text: &&str| encode(&base, &format!("<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"));
    let prompts: Vec<Vec<u32>> = PROMPTS.iter().map(ask).collect();
    let asked = json!({"texts": [], "prompts": prompts, "new_tokens": NEW_TOKENS, "evaluated": prompts});
    let mut beside = asked.clone();
    beside["lora"] = place.path("adapter.gguf").display().to_string().into();
    let [plain, beside, merged] = [("base", &asked), ("base", &beside), ("merged", &asked)]
        .map(|(file, asked)| asked_of(folder, &place.path(&format!("{file}.gguf")), asked));
    part_at_ties(&decoder, &prompts, &answers_of(&merged), &answers_of(&beside));
    let nats = |said: &Value| {
        said["nats"].as_array().expect("numbers").iter().filter_map(Value::as_f64).sum::<f64>()
    };
    let [plain, beside, merged] = [&plain, &beside, &merged].map(nats);
    println!(
        "{run}: nats of {} prompts: base {plain:.4}, with the adapter {beside:.4}, merged {merged:.4}",
        prompts.len()
    );
    assert!((beside / merged - 1.0).abs() < NATS[0].1, "{beside} {merged}");
    assert!((plain / merged - 1.0).abs() > 10.0 * NATS[0].1, "the adapter does nothing: {plain} {merged}");
}

/// Chunks of prose, and their tokens.
const CHUNKS: usize = 48;
const CHUNK_TOKENS: usize = 256;

/// How much worse files of fewer bits foretell prose, by llama.cpp, with the nearest codes and with calibrated ones, which are held to a
/// bound: the nearest ones are llama.cpp's own. llama.cpp rounds activations to 8 bits beside such weights, which costs the more the
/// less a text is like what the model has read: see docs/log.md. `RTUNE_PEER_PROSE` names a text of ordinary English prose, with empty
/// lines between paragraphs, of 25,000 tokens or more; every other paragraph of it is calibrated on. `RTUNE_MODEL_SMOLLM2` as elsewhere.
#[test]
fn perplexities_of_smaller_types_are_near_those_of_f16() {
    let variables = ["RTUNE_PEER_LLAMA", "RTUNE_MODEL_SMOLLM2", "RTUNE_PEER_PROSE"];
    let variables = variables.map(|name| std::env::var_os(name).map(PathBuf::from));
    let [Some(folder), Some(model), Some(prose)] = variables else {
        println!("skipped: RTUNE_PEER_LLAMA, RTUNE_MODEL_SMOLLM2 and RTUNE_PEER_PROSE are not set");
        return;
    };
    let base = open(&model.join("hf")).expect("the model");
    let prose = std::fs::read_to_string(prose).expect("a text");
    let paragraphs: Vec<&str> = prose.split("\n\n").map(str::trim).filter(|text| text.len() > 200).collect();
    let every_other =
        |first: usize| -> Vec<&str> { paragraphs.iter().skip(first).step_by(2).copied().collect() };
    let [tokens, others] = [0, 1].map(|first| encode(&base, &every_other(first).join("\n\n")));
    // As many as are calibrated on otherwise.
    let others = &others[..others.len().min(1 << 15)];
    let step = tokens.len() / CHUNKS;
    assert!(step >= CHUNK_TOKENS, "{} tokens are too few", tokens.len());
    let chunks: Vec<&[u32]> = tokens.chunks(step).take(CHUNKS).map(|chunk| &chunk[..CHUNK_TOKENS]).collect();
    let asked = json!({"texts": [], "prompts": [], "new_tokens": 1, "evaluated": chunks});
    let place = tempfile::tempdir().expect("a folder");
    let count = CHUNKS * (CHUNK_TOKENS - 1);
    let rows: Vec<CalibrationRow> = others
        .chunks_exact(CHUNK_TOKENS)
        .map(|tokens| CalibrationRow {
            tokens: tokens.to_vec(),
            positions: (0..CHUNK_TOKENS as u32).collect(),
            bounds: vec![0, CHUNK_TOKENS],
        })
        .collect();
    let perplexity = |kind: GgufType, rows: &[CalibrationRow]| {
        let file = place.path().join("model.gguf");
        let chat = Chat { template: None, end_of_turn: None, stop_tokens: &[] };
        write_gguf_calibrated(&file, &base, Content::Base, kind, "name", chat, rows, &mut |_, _| {})
            .expect("written");
        let said = asked_of(&folder, &file, &asked);
        std::fs::remove_file(&file).expect("removed");
        let nats: f64 = said["nats"].as_array().expect("numbers").iter().filter_map(Value::as_f64).sum();
        (nats / count as f64).exp()
    };
    let f16 = perplexity(GgufType::F16, &[]);
    println!("F16: perplexity {f16:.4} of {count} tokens");
    let mut wrong = Vec::new();
    for (kind, most) in
        [(GgufType::Q4KM, 0.03), (GgufType::Q5KM, 0.02), (GgufType::Q6K, 0.01), (GgufType::Q8_0, 0.005)]
    {
        let more = [&[][..], &rows].map(|rows| perplexity(kind, rows) / f16 - 1.0);
        let [nearest, calibrated] = more.map(|more| 100.0 * more);
        println!(
            "{}: perplexity {nearest:+.2}% with the nearest codes, {calibrated:+.2}% calibrated",
            kind.name()
        );
        if more[1].abs() > most {
            wrong.push(kind.name());
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
