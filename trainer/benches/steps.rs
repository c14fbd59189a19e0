//! QLoRA steps on random tokens, to stand beside `tests/peers`: tokens a second, loss and peak memory as one JSON line.
//!
//!     cargo bench -p rtune-trainer --bench steps -- MODEL [--batch 4] [--seq 256] [--steps 6] [--warmup 2] [--rank 16] [--input-only]

use std::path::Path;
use std::time::Instant;

use rtune_adapters::{LoraConfig, Parameters};
use rtune_data::{PackedRow, Segment};
use rtune_kernels::adamw::{self, Update};
use rtune_kernels::arena::Arena;
use rtune_models::{Decoder, Quantization, SavePolicy};
use rtune_trainer::loss;

struct Settings {
    model: String,
    batch: usize,
    sequence_tokens: usize,
    steps: usize,
    warmup: usize,
    rank: usize,
    policy: SavePolicy,
}

fn settings() -> Settings {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|i| arguments.get(i + 1)).map_or(default, |v| v.parse().expect("a number"))
    };
    let input_only = arguments.iter().any(|a| a == "--input-only");
    Settings {
        model: arguments.first().expect("the model's folder or .gguf file").clone(),
        batch: number("--batch", 4),
        sequence_tokens: number("--seq", 256),
        steps: number("--steps", 6),
        warmup: number("--warmup", 2),
        rank: number("--rank", 16),
        policy: if input_only { SavePolicy::InputOnly } else { SavePolicy::All },
    }
}

/// `batch` documents of random tokens in one packed row, every token but the first supervised.
fn random_row(vocabulary: usize, settings: &Settings) -> PackedRow {
    let length = settings.sequence_tokens;
    let tokens = settings.batch * length;
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % vocabulary as u64) as u32
    };
    PackedRow {
        tokens: (0..tokens).map(|_| next()).collect(),
        positions: (0..tokens).map(|t| (t % length) as u32).collect(),
        supervised: (0..tokens).map(|t| t % length > 0).collect(),
        segments: (0..settings.batch)
            .map(|i| Segment {
                start: i * length,
                end: (i + 1) * length,
                parent: None,
                row_id: i.to_string(),
            })
            .collect(),
    }
}

fn peak_resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn main() {
    let settings = settings();
    let base = rtune_models::open(Path::new(&settings.model)).expect("a base model");
    let quantization = Quantization::Nf4 { double: true };
    let mut decoder =
        Decoder::load(&base.config, &*base.weights, quantization, &mut |_, _| {}).expect("a decoder");
    let config = LoraConfig::new(settings.rank, 2.0 * settings.rank as f64);
    let mut parameters: Parameters<f32> = decoder.attach_lora(&config).expect("adapters");
    let mut index = 0_u32;
    for value in parameters.flat_mut() {
        index = index.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value = (index >> 8) as f32 / (1 << 24) as f32 * 0.02 - 0.01;
    }
    let row = random_row(decoder.spec().vocabulary, &settings);
    let (arena, count) = (Arena::new(), parameters.flat().len());
    let (mut first, mut second) = (vec![0.0; count], vec![0.0; count]);
    let scale = 1.0 / (settings.batch * (settings.sequence_tokens - 1)) as f64;
    let (mut seconds, mut losses) = (Vec::new(), Vec::new());
    for step in 0..settings.warmup + settings.steps {
        let start = Instant::now();
        let mut gradients = vec![0.0; count];
        let flat = parameters.flat();
        let sum =
            loss::accumulate(&decoder, flat, &row, None, scale, settings.policy, &mut gradients, &arena);
        let with = Update {
            learning_rate: 2e-4,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
            step: step as u64 + 1,
            gradient_factor: 1.0,
        };
        adamw::update(parameters.flat_mut(), &gradients, &mut first, &mut second, &with);
        losses.push(sum.mean_nats());
        if step >= settings.warmup {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let tokens = (settings.batch * settings.sequence_tokens) as f64;
    let line = serde_json::json!({
        "tokens_per_s": tokens / median, "step_s": median, "loss_first": losses.first(), "loss_last": losses.last(),
        "peak_rss_mib": peak_resident_mib(), "batch": settings.batch, "seq": settings.sequence_tokens,
        "arena": format!("{:?}", arena.usage()),
    });
    let mut out = std::io::stdout();
    std::io::Write::write_all(&mut out, format!("{line}\n").as_bytes()).expect("standard output");
}
