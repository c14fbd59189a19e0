//! `rtune bench`: how fast steps are on this machine, and what they take.

use std::collections::BTreeMap;

use comfy_table::Table;
use rtune_models::outline::Pass;
use rtune_models::{BaseModel, BaseOutline, Decoder, DecoderSpec, Precision, Quantization, RandomWeights};
use rtune_trainer::bench::{self, BenchOptions, Measured, Of, OnGpu, Phase, shapes};
use rtune_trainer::config::Config;
use rtune_trainer::error::TrainerError;
use rtune_trainer::gpu::{Device, Launches, Profile};
use rtune_trainer::inputs;
use rtune_trainer::machine::peak_memory_bytes;
use rtune_trainer::memory::RowSizes;
use rtune_trainer::plan;
use rtune_trainer::subject::quantization;
use serde_json::{Value, json};

use crate::args::bench::BenchArgs;
use crate::commands::{gpu, resolve_base};
use crate::failure::{BadInput, DONE};
use crate::reporter::{counted, say};
use crate::table::{align_right, table};

const MEBIBYTE: f64 = (1 << 20) as f64;
/// The part of a step from which a kernel is shown by itself.
const SHOWN_SHARE: f64 = 0.005;
/// What is left of a step where the device has nothing to do.
const NO_LAUNCH: &str = "waiting for launches";

/// What is measured, and how it is called.
struct Subject {
    name: String,
    config: Config,
    options: BenchOptions,
}

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<u8> {
    let (subject, decoder, source, gpu) = match &args.shape {
        Some(name) => of_shape(name, args)?,
        None => of_config(args)?,
    };
    let of = match &source {
        Source::Base(base) => Of::Base(base),
        Source::Shape(weights) => Of::Shape(weights),
    };
    let rate = match &gpu {
        None => bench::product_rate(),
        Some(device) => bench::product_rate_on_gpu(device)?,
    };
    let mut on_step = counted("measuring");
    let measured =
        bench::measure(decoder, of, &subject.config, &subject.options, gpu.as_ref(), &mut on_step)?;
    if args.json {
        say(&serde_json::to_string_pretty(&to_json(&subject, &measured, rate))?);
    } else {
        show(&subject, &measured, rate);
    }
    Ok(DONE)
}

/// What the decoder is of.
enum Source {
    Base(Box<BaseModel>),
    Shape(RandomWeights),
}

/// What is measured and how, with its decoder and what that was loaded from, and the GPU.
type Made = (Subject, Decoder, Source, Option<Device>);

fn of_shape(name: &str, args: &BenchArgs) -> anyhow::Result<Made> {
    let Some(shape) = shapes::by_name(name) else {
        let known = shapes::SHAPES.map(|shape| shape.name).join(", ");
        return Err(BadInput::new(format!("no shape `{name}`"))
            .with_hint(format!("known are {known}"))
            .into());
    };
    let model = shape.config()?;
    let config = Config::of_base(name, &args.overrides)?;
    if !config.tokens.trainable.is_empty() || !config.tokens.new.is_empty() {
        let problem =
            "`lora.trainable-tokens` and `lora.new-tokens` name tokens, and a shape has no tokenizer";
        return Err(BadInput::new(problem.to_owned())
            .with_hint("measure a configuration in place of the shape")
            .into());
    }
    let gpu = gpu::open(&config)?;
    let outline = BaseOutline::of_config(&model, Precision::F32);
    let subject = subject(name.to_owned(), config, &outline, args, gpu.as_ref())?;
    let weights = RandomWeights::new(name, &DecoderSpec::new(&model));
    let decoder =
        Decoder::load(&model, &weights, quantization(&subject.config), &mut counted("making weights"))?;
    Ok((subject, decoder, Source::Shape(weights), gpu))
}

fn of_config(args: &BenchArgs) -> anyhow::Result<Made> {
    let path = args.config.clone().unwrap_or_default();
    let config = Config::load(&path, &args.overrides)?;
    let place = resolve_base(&config)?;
    inputs::licence(&config, &place)?;
    let mut base = rtune_models::open(&place)?;
    base.add_tokens(&config.tokens.new).map_err(TrainerError::from)?;
    let gpu = gpu::open(&config)?;
    let subject =
        subject(config.model.base.clone(), config, &BaseOutline::open(&place)?, args, gpu.as_ref())?;
    let (decoder, _) = base.decoder(quantization(&subject.config), &mut counted("loading"))?;
    Ok((subject, decoder, Source::Base(Box::new(base)), gpu))
}

fn subject(
    name: String,
    config: Config,
    outline: &BaseOutline,
    args: &BenchArgs,
    gpu: Option<&Device>,
) -> anyhow::Result<Subject> {
    let (row_tokens, longest) = (args.row_tokens as usize, outline.config.max_position_embeddings);
    if row_tokens > longest {
        let problem =
            format!("--row-tokens: expected at most {longest}, as `{name}` was made for, found {row_tokens}");
        return Err(BadInput::new(problem).with_hint(format!("--row-tokens {longest}")).into());
    }
    let rows =
        args.rows.map_or_else(|| bench::rows_of(config.train.step_size, row_tokens), |rows| rows as usize);
    let threads = rayon::current_num_threads();
    let tokens = config.train.micro_batch_tokens.max(row_tokens).min(rows.saturating_mul(row_tokens));
    let pass = Pass { tokens, supervised: tokens, longest: row_tokens, prefix_sums: 0, threads };
    let sizes = RowSizes { training: vec![pass], ..RowSizes::default() };
    let config = match gpu {
        None => plan::resolve(&config, plan::choose(outline, &config, &sizes, plan::free_bytes())?),
        Some(device) => {
            let memory_bytes = device.facts().room_bytes();
            plan::resolve_on_gpu(&config, plan::choose_on_gpu(outline, &config, &sizes, memory_bytes)?)
        }
    };
    let (steps, warmup_steps) = (args.steps as usize, args.warmup as usize);
    Ok(Subject { name, options: BenchOptions { row_tokens, rows, steps, warmup_steps }, config })
}

fn gpu_json(gpu: &OnGpu) -> Value {
    let kernels = gpu.profile.iter().map(|((source, kernel), of)| {
        json!({"source": source, "kernel": kernel, "launches": of.count, "seconds": of.seconds})
    });
    json!({"name": gpu.name, "held_bytes": gpu.held_bytes, "kernels": kernels.collect::<Vec<_>>()})
}

/// Seconds of a step by what they went into; the last is all that is no product, no attention and no loss, or on a GPU what
/// is no kernel.
fn phases(measured: &Measured) -> Vec<(&'static str, f64)> {
    if let Some(OnGpu { profile, .. }) = &measured.gpu {
        let mut parts: Vec<(&str, f64)> =
            by_source(profile).into_iter().map(|(source, of)| (source, of.seconds)).collect();
        let busy: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
        parts.push((NO_LAUNCH, (measured.median_s() - busy).max(0.0)));
        return parts;
    }
    let steps = measured.steps.len() as f64;
    let whole = measured.steps.iter().sum::<std::time::Duration>().as_secs_f64() / steps;
    let mut parts: Vec<(&str, f64)> =
        Phase::ALL.map(|phase| (phase.name(), measured.phases.of(phase).as_secs_f64() / steps)).to_vec();
    parts.push(("update", measured.update.as_secs_f64() / steps));
    let rest = whole - parts.iter().map(|(_, seconds)| seconds).sum::<f64>();
    parts.push(("all else", rest.max(0.0)));
    parts
}

/// Operations a second over those of the machine's own product: of the useful ones, and of all that were executed.
fn utilisation(measured: &Measured, rate: f64) -> [f64; 2] {
    [measured.work.useful, measured.work.executed].map(|work| work / measured.median_s() / rate)
}

fn held(config: &Config) -> &'static str {
    match quantization(config) {
        Quantization::Nf4 { double: true } => "NF4, doubly quantised",
        Quantization::Nf4 { double: false } => "NF4",
        Quantization::Int8 => "8 bits",
        Quantization::None => "not quantised",
    }
}

fn show(subject: &Subject, measured: &Measured, rate: f64) {
    let Subject { name, config, options } = subject;
    say(&format!(
        "{name}: {}, {} trained numbers; {} x {} tokens a step, activations: {}",
        held(config),
        measured.trained,
        options.rows,
        options.row_tokens,
        plan::policy(config.train.save_activations),
    ));
    let (first, last) = (measured.losses_nats.first(), measured.losses_nats.last());
    let [first, last] = [first, last].map(|loss| loss.copied().unwrap_or(f64::NAN));
    let of = |time: &std::time::Duration| measured.tokens as f64 / time.as_secs_f64();
    let rates = || measured.steps.iter().map(of);
    let (slowest, fastest) = (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max));
    say(&format!(
        "{:.1} tokens/s, the median of {} steps ({slowest:.1} to {fastest:.1}); {:.3} s a step; loss {:.4} -> {:.4} nats",
        measured.tokens_per_s(),
        measured.steps.len(),
        measured.median_s(),
        first,
        last,
    ));
    let [useful, executed] = utilisation(measured, rate);
    say(&format!(
        "{:.1}% of this machine's own matrix product ({:.1} GFLOP/s), {:.1}% with what is computed anew",
        100.0 * useful,
        rate / 1e9,
        100.0 * executed,
    ));
    if let Some(OnGpu { name, held_bytes, .. }) = &measured.gpu {
        say(&format!("on {name}: {:.0} MiB of its memory are held", *held_bytes as f64 / MEBIBYTE));
    }
    let peak = peak_memory_bytes().map_or_else(String::new, |bytes| {
        format!("; {:.0} MiB at the most, loading and all", bytes as f64 / MEBIBYTE)
    });
    say(&format!(
        "base {:.0} MiB, buffers {:.0} MiB, trained numbers with gradients and moments {:.0} MiB{peak}\n",
        measured.base_bytes as f64 / MEBIBYTE,
        measured.buffers_bytes as f64 / MEBIBYTE,
        (4 * size_of::<f32>() * measured.trained) as f64 / MEBIBYTE,
    ));
    if let Some(OnGpu { profile, .. }) = &measured.gpu {
        say(&profile_table(profile, measured.median_s()).to_string());
        return;
    }
    let mut table = table(["phase", "seconds", "share"]);
    let parts = phases(measured);
    let whole: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
    for (phase, seconds) in parts {
        table.add_row([
            phase.to_owned(),
            format!("{seconds:.3}"),
            format!("{:.1}%", 100.0 * seconds / whole),
        ]);
    }
    align_right(&mut table, 1);
    say(&table.to_string());
}

/// What a step's time on a GPU goes into: by the file of the kernels, and by each of them that takes a noticeable part.
fn profile_table(profile: &Profile, step_s: f64) -> Table {
    let mut table = table(["on the device", "launches", "seconds", "share of a step"]);
    let row = |name: &str, count: usize, seconds: f64| {
        [
            name.to_owned(),
            count.to_string(),
            format!("{seconds:.4}"),
            format!("{:.1}%", 100.0 * seconds / step_s),
        ]
    };
    let mut phases: Vec<(&str, Launches)> = by_source(profile).into_iter().collect();
    phases.sort_by(|(_, a), (_, b)| b.seconds.total_cmp(&a.seconds));
    for (source, of) in phases {
        table.add_row(row(source, of.count, of.seconds));
        let mut kernels: Vec<_> = profile.iter().filter(|((of, _), _)| *of == source).collect();
        kernels.sort_by(|(_, a), (_, b)| b.seconds.total_cmp(&a.seconds));
        for ((_, kernel), of) in kernels.into_iter().filter(|(_, of)| of.seconds > SHOWN_SHARE * step_s) {
            table.add_row(row(&format!("  {kernel}"), of.count, of.seconds));
        }
    }
    let busy: f64 = profile.values().map(|of| of.seconds).sum();
    table.add_row(row(NO_LAUNCH, 0, (step_s - busy).max(0.0)));
    align_right(&mut table, 1);
    table
}

fn by_source(profile: &Profile) -> BTreeMap<&'static str, Launches> {
    let mut phases = BTreeMap::new();
    for ((source, _), of) in profile {
        let phase: &mut Launches = phases.entry(*source).or_default();
        phase.count += of.count;
        phase.seconds += of.seconds;
    }
    phases
}

fn to_json(subject: &Subject, measured: &Measured, rate: f64) -> Value {
    let Subject { name, config, options } = subject;
    let [useful, executed] = utilisation(measured, rate);
    let phases: serde_json::Map<String, Value> =
        phases(measured).into_iter().map(|(name, seconds)| (name.to_owned(), json!(seconds))).collect();
    json!({
        "base": name,
        "quantization": held(config),
        "row_tokens": options.row_tokens,
        "rows": options.rows,
        "micro_batch_tokens": config.train.micro_batch_tokens,
        "save_activations": plan::policy(config.train.save_activations).to_string(),
        "trained": measured.trained,
        "tokens_per_s": measured.tokens_per_s(),
        "step_s": measured.median_s(),
        "steps_s": measured.steps.iter().map(std::time::Duration::as_secs_f64).collect::<Vec<f64>>(),
        "losses_nats": measured.losses_nats,
        "useful_operations": measured.work.useful,
        "executed_operations": measured.work.executed,
        "product_operations_per_s": rate,
        "utilisation_useful": useful,
        "utilisation_executed": executed,
        "base_bytes": measured.base_bytes,
        "buffers_bytes": measured.buffers_bytes,
        "peak_bytes": peak_memory_bytes(),
        "gpu": measured.gpu.as_ref().map(gpu_json),
        "phases_s": phases,
    })
}
