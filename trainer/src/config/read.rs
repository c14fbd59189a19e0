//! From the tree to the checked values: one function a section.

use super::problem::Problem;
use super::reader::Section;
use super::tree::{Table, Value};
use super::typed;
use super::*;
use crate::evaluate::by_name;

/// Longest row: positions of the longest published context, 10 million tokens, fit below.
pub(super) const MOST_TOKENS: u64 = 1 << 24;
/// The batches of every epoch are counted before the first step.
const MOST_EPOCHS: u64 = 100_000;
/// Steps and rows beyond this are typing errors; 2^40 steps of a millisecond are 35 years.
const MOST_COUNT: u64 = 1 << 40;
/// Checkpoints kept at once.
const MOST_KEPT: u64 = 1_000_000;
/// More answers than anyone reads; `rtune eval` answers whole files.
const MOST_SAMPLES: u64 = 100;
/// TOML's integers are signed, and the resolved configuration must be readable again.
const MOST_SEED: u64 = i64::MAX as u64;

const DEFAULT_EPOCHS: u64 = 3;
const DEFAULT_ROWS_PER_STEP: usize = 16;
/// A packed row of 2,048 tokens keeps the products large enough and the activations of small models below 3 GB.
const DEFAULT_MICRO_BATCH_TOKENS: usize = 2048;
const DEFAULT_LEARNING_RATE: f64 = 2e-4;
const DEFAULT_WARMUP: f64 = 0.05;
const DEFAULT_EVERY: u64 = 50;
const DEFAULT_KEEP: usize = 3;
/// Enough to see what the answers are like, few enough to read and to wait for.
const DEFAULT_SAMPLES: usize = 2;
const DEFAULT_SAMPLE_TOKENS: usize = 48;
/// Most answers of support and classification sets end before.
const DEFAULT_GOLDEN_TOKENS: usize = 128;

/// Reads all sections, adding to the problems `found` before.
pub(super) fn config(file: &str, document: &Table, found: Vec<Problem>) -> Result<Config, Vec<Problem>> {
    let mut problems = found;
    let mut top = Section::new("", Some(document), &mut problems);
    let names = [
        "model",
        "quantization",
        "lora",
        "data",
        "train",
        "checkpoint",
        "eval",
        "watchdog",
        "gate",
        "output",
    ];
    let [
        model_table,
        quantization_table,
        lora_table,
        data_table,
        train_table,
        checkpoint_table,
        eval_table,
        watchdog_table,
        gate_table,
        output_table,
    ] = names.map(|name| top.table(name));
    top.finish();
    let model = model(file, Section::new("model", model_table, &mut problems));
    let quantization = quantization(Section::new("quantization", quantization_table, &mut problems));
    let (lora, tokens) = read_lora::lora(
        Section::new("lora", lora_table, &mut problems),
        quantization != QuantizationSection::None,
    );
    let data = read_data::data(file, data_table, &mut problems);
    let train = train(Section::new("train", train_table, &mut problems));
    let checkpoint = checkpoint(Section::new("checkpoint", checkpoint_table, &mut problems));
    let eval = eval(Section::new("eval", eval_table, &mut problems));
    let watchdog = typed::read("watchdog", watchdog_table, &mut problems);
    let gate = gate::read(gate_table, &mut problems);
    let output = output(file, Section::new("output", output_table, &mut problems));
    let measured = data.as_ref().map(|data| (!data.golden.is_empty(), data.validation.clone()));
    if let Some((golden, validation)) = measured {
        let is_held_out = validation != Validation::None;
        unmeasured(Section::new("eval", eval_table, &mut problems), &eval, golden, is_held_out);
    }
    match (model, data, output) {
        (Some(model), Some(data), Some(output)) if problems.is_empty() => Ok(Config {
            model,
            quantization,
            lora,
            tokens,
            data,
            train,
            checkpoint,
            eval,
            watchdog,
            gate,
            output,
        }),
        _ => Err(problems),
    }
}

fn model(file: &str, mut section: Section<'_, '_>) -> Option<ModelSection> {
    let base = section.string("base");
    if !section.has("base") {
        section.missing(file, "base", "for example `base = \"smollm2-135m-instruct\"` in `[model]`");
    }
    let revision = section.string("revision");
    let licences = section.strings("licences").unwrap_or_default();
    let device =
        section.choice("device", &[("auto", Device::Auto), ("cpu", Device::Cpu), ("cuda", Device::Cuda)]);
    let embeddings = [("device", Embeddings::OnDevice), ("host", Embeddings::OnHost)];
    let embeddings = section.choice("embeddings", &embeddings).unwrap_or_default();
    let cache_quantized = section.boolean("cache-quantized").unwrap_or(false);
    section.finish();
    let device = device.unwrap_or(Device::Auto);
    Some(ModelSection { base: base?, revision, licences, device, embeddings, cache_quantized })
}

fn quantization(mut section: Section<'_, '_>) -> QuantizationSection {
    let kinds = [("nf4", "nf4"), ("int8", "int8"), ("none", "none")];
    let kind = section.choice("kind", &kinds).unwrap_or("nf4");
    let double = section.boolean("double").unwrap_or(true);
    if kind != "nf4" {
        section.contradiction(
            "double",
            &format!("`quantization.kind = \"{kind}\"`"),
            "leave out one of the two",
        );
    }
    section.finish();
    match kind {
        "nf4" => QuantizationSection::Nf4 { double },
        "int8" => QuantizationSection::Int8,
        _ => QuantizationSection::None,
    }
}

fn train(mut section: Section<'_, '_>) -> TrainSection {
    let epochs = section.integer("epochs", 1, MOST_EPOCHS);
    let steps = section.integer("steps", 1, MOST_COUNT);
    if section.has("epochs") && section.has("steps") {
        section.contradiction(
            "steps",
            "`train.epochs`",
            "a run is so many epochs or so many steps: leave out one",
        );
    }
    let rows = section.integer("rows-per-step", 1, MOST_COUNT);
    let tokens = section.integer("tokens-per-step", 1, MOST_COUNT);
    if section.has("rows-per-step") && section.has("tokens-per-step") {
        section.contradiction(
            "tokens-per-step",
            "`train.rows-per-step`",
            "a step is so many rows or so many tokens: leave out one",
        );
    }
    let micro_batch = section.integer("micro-batch-tokens", 1, MOST_TOKENS);
    let share_prefixes = section.boolean("share-prefixes").unwrap_or(true);
    let learning_rate = section.number("learning-rate", "above 0", |rate| rate > 0.0);
    let lora_plus_ratio = section.number("lora-plus-ratio", "above 0", |ratio| ratio > 0.0);
    let schedule = schedule(&mut section);
    let warmup = warmup(&mut section);
    let weight_decay = section.number("weight-decay", "from 0", |decay| decay >= 0.0);
    let beta1 = section.number("beta1", "from 0 to below 1", |beta| (0.0..1.0).contains(&beta));
    let beta2 = section.number("beta2", "from 0 to below 1", |beta| (0.0..1.0).contains(&beta));
    let epsilon = section.number("epsilon", "above 0", |epsilon| epsilon > 0.0);
    let max_grad_norm = section.number("max-grad-norm", "from 0 (no clipping)", |norm| norm >= 0.0);
    let neftune_alpha = section.number("neftune-alpha", "from 0 (no noise)", |alpha| alpha >= 0.0);
    let seed = section.integer("seed", 0, MOST_SEED);
    let save_activations = save_activations(&mut section);
    let without = section.strings("without").unwrap_or_default();
    section.finish();
    TrainSection {
        length: steps.map_or(Length::Epochs(epochs.unwrap_or(DEFAULT_EPOCHS)), Length::Steps),
        step_size: tokens.map_or(StepSize::Rows(rows.map_or(DEFAULT_ROWS_PER_STEP, |n| n as usize)), |n| {
            StepSize::Tokens(n as usize)
        }),
        micro_batch_tokens: micro_batch.map_or(DEFAULT_MICRO_BATCH_TOKENS, |n| n as usize),
        share_prefixes,
        learning_rate: learning_rate.unwrap_or(DEFAULT_LEARNING_RATE),
        lora_plus_ratio: lora_plus_ratio.unwrap_or(1.0),
        schedule,
        warmup,
        weight_decay: weight_decay.unwrap_or(0.0),
        beta1: beta1.unwrap_or(0.9),
        beta2: beta2.unwrap_or(0.999),
        epsilon: epsilon.unwrap_or(1e-8),
        max_grad_norm: max_grad_norm.unwrap_or(1.0),
        neftune_alpha: neftune_alpha.unwrap_or(0.0),
        seed: seed.unwrap_or(0),
        save_activations,
        without,
    }
}

fn schedule(section: &mut Section<'_, '_>) -> Schedule {
    let minimum =
        section.number("min-learning-rate-ratio", "from 0 to 1", |ratio| (0.0..=1.0).contains(&ratio));
    let cosine = Schedule::Cosine { minimum_ratio: minimum.unwrap_or(0.0) };
    let choices = [("linear", Schedule::Linear), ("cosine", cosine), ("constant", Schedule::Constant)];
    let schedule = section.choice("schedule", &choices).unwrap_or(Schedule::Linear);
    if !matches!(schedule, Schedule::Cosine { .. }) {
        section.contradiction(
            "min-learning-rate-ratio",
            "a schedule without a floor",
            "write `schedule = \"cosine\"` or leave it out",
        );
    }
    schedule
}

fn warmup(section: &mut Section<'_, '_>) -> Warmup {
    let Some(node) = section.any("warmup") else { return Warmup::Fraction(DEFAULT_WARMUP) };
    let found = match node.value {
        Value::Integer(steps) => {
            u64::try_from(steps).ok().filter(|steps| *steps <= MOST_COUNT).map(Warmup::Steps)
        }
        Value::Float(part) if (0.0..1.0).contains(&part) => Some(Warmup::Fraction(part)),
        _ => None,
    };
    found
        .or_else(|| {
            section.expected("warmup", node, "an integer (steps) or a fraction from 0.0 to below 1.0")
        })
        .unwrap_or(Warmup::Steps(0))
}

fn save_activations(section: &mut Section<'_, '_>) -> SaveActivations {
    const KEY: &str = "save-activations";
    let choices = [
        ("auto", SaveActivations::Auto),
        ("all", SaveActivations::All),
        ("input-only", SaveActivations::InputOnly),
        ("offloaded", SaveActivations::Offloaded),
    ];
    let is_count = matches!(section.peek(KEY), Some(Value::Integer(_)));
    let chosen = match is_count {
        true => section.integer(KEY, 0, MOST_COUNT).map(|last| SaveActivations::Last(last as usize)),
        false => section.choice(KEY, &choices),
    };
    chosen.unwrap_or(SaveActivations::Auto)
}

fn checkpoint(mut section: Section<'_, '_>) -> CheckpointSection {
    let every = section.integer("every", 1, MOST_COUNT).unwrap_or(DEFAULT_EVERY);
    let keep = section.integer("keep", 1, MOST_KEPT).map_or(DEFAULT_KEEP, |keep| keep as usize);
    section.finish();
    CheckpointSection { every, keep }
}

fn eval(mut section: Section<'_, '_>) -> EvalSection {
    let every = section.integer("every", 1, MOST_COUNT).unwrap_or(DEFAULT_EVERY);
    let samples = section.integer("samples", 0, MOST_SAMPLES).map_or(DEFAULT_SAMPLES, |count| count as usize);
    let sample_tokens = section.integer("sample-tokens", 1, MOST_TOKENS);
    let golden_rows = section.integer("golden-rows", 0, MOST_COUNT).unwrap_or(0);
    let golden_tokens = section.integer("golden-tokens", 1, MOST_TOKENS);
    let labels = section.strings("labels").unwrap_or_default();
    let general = section.boolean("general").unwrap_or(true);
    let best = best(&mut section);
    let patience = section.integer("patience", 0, MOST_COUNT).unwrap_or(0);
    let least = section.number("least-improvement", "from 0", |least| least >= 0.0);
    if golden_rows == 0 {
        let hint = "let golden rows be asked while training: `golden-rows = 32`";
        if best != by_name::VALIDATION_LOSS {
            section.contradiction("best", "a run that asks no golden rows", hint);
        }
        section.contradiction("labels", "a run that asks no golden rows", hint);
    }
    section.finish();
    EvalSection {
        every,
        samples,
        sample_tokens: sample_tokens.map_or(DEFAULT_SAMPLE_TOKENS, |n| n as usize),
        golden_rows: golden_rows as usize,
        golden_tokens: golden_tokens.map_or(DEFAULT_GOLDEN_TOKENS, |n| n as usize),
        labels,
        general,
        best,
        patience,
        least_improvement: least.unwrap_or(0.0),
    }
}

/// What is to be measured on rows that are not there.
fn unmeasured(mut section: Section<'_, '_>, eval: &EvalSection, has_golden: bool, is_held_out: bool) {
    if eval.golden_rows > 0 && !has_golden {
        let hint = "name a file by `data.golden`, or leave it out";
        section.contradiction("golden-rows", "a configuration without golden rows", hint);
    }
    if eval.patience > 0 && eval.best == by_name::VALIDATION_LOSS && !is_held_out {
        let hint =
            "hold rows out by `data.validation`, or choose by a metric of golden rows: `best = \"chrf\"`";
        section.contradiction("patience", "a run without validation rows", hint);
    }
}

fn best(section: &mut Section<'_, '_>) -> String {
    let default = || by_name::VALIDATION_LOSS.to_owned();
    let Some(node) = section.any("best") else { return default() };
    match &node.value {
        Value::String(name) if by_name::better(name).is_some() => name.clone(),
        _ => section.expected("best", node, &format!("one of {}", by_name::names())).unwrap_or_else(default),
    }
}

fn output(file: &str, mut section: Section<'_, '_>) -> Option<OutputSection> {
    let dir = section.string("dir");
    if !section.has("dir") {
        section.missing(file, "dir", "for example `dir = \"runs/support-bot\"` in `[output]`");
    }
    section.finish();
    Some(OutputSection { dir: dir?.into() })
}
