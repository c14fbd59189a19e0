//! Steps on rows that are made on the spot: how many tokens a second, where the time goes, how much memory it takes.

pub mod shapes;
pub mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_core::Rng;
use rtune_adapters::{Parameters, Start};
use rtune_data::{Example, Origin, StepSize, stream};
use rtune_kernels::cuda::{self, Device};
use rtune_kernels::gemm::{Mat, MatMut, multiply};
pub use rtune_kernels::phase::{Phase, PhaseTimes};
use rtune_models::decoder::gpu::GpuError;
use rtune_models::{BaseModel, Decoder, SavePolicy, WeightSource};

use crate::config::{Config, LoraSection};
use crate::dist::Alone;
use crate::engine::{Engine, EngineOptions, MicroBatch};
use crate::error::TrainerError;
use crate::gpu::Profile;
use crate::noise::Noise;
use crate::optimizer::Optimizer;
use crate::plan;
use crate::subject::quantization;
use crate::{adapter, init};
use work::Work;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BenchOptions {
    /// Tokens of a row.
    pub row_tokens: usize,
    /// Rows of a step.
    pub rows: usize,
    /// Steps that count.
    pub steps: usize,
    /// Steps before them, which take memory and fill caches.
    pub warmup_steps: usize,
}

/// What the decoder was loaded from: adapters may begin with something of it, and name its tokens.
#[derive(Clone, Copy)]
pub enum Of<'a> {
    /// A base.
    Base(&'a BaseModel),
    /// Weights alone, without a tokenizer.
    Shape(&'a dyn WeightSource),
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Wall time of each step.
    pub steps: Vec<Duration>,
    /// Tokens of a step.
    pub tokens: usize,
    /// Operations of a step.
    pub work: Work,
    /// Time of all steps, by phase.
    pub phases: PhaseTimes,
    /// Time of all steps in the update of the trained numbers.
    pub update: Duration,
    /// Mean loss of every step, those before the ones that count among them, in nats.
    pub losses_nats: Vec<f64>,
    /// Trained numbers.
    pub trained: usize,
    /// Bytes of the frozen base.
    pub base_bytes: usize,
    /// Most bytes of buffers that were lent at once.
    pub buffers_bytes: usize,
    /// The GPU; `None` for this machine's processor.
    pub gpu: Option<OnGpu>,
}

/// What a step takes of a GPU.
#[derive(Clone, Debug)]
pub struct OnGpu {
    /// Its name.
    pub name: String,
    /// Bytes of its memory that were held.
    pub held_bytes: usize,
    /// What one more step's time on the device went into.
    pub profile: Profile,
}

impl Measured {
    /// The median time of a step, in seconds.
    #[must_use]
    pub fn median_s(&self) -> f64 {
        let mut sorted = self.steps.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
    }

    /// Tokens a second, by the median.
    #[must_use]
    pub fn tokens_per_s(&self) -> f64 {
        self.tokens as f64 / self.median_s()
    }
}

/// Trains `decoder`, which was loaded from `of`, on random rows as `config` says of adapters, steps and memory; what is trained is
/// attached as a run attaches it. `on_step` hears of each step.
///
/// # Errors
/// [`TrainerError::Adapter`] for targets that the decoder does not have, [`TrainerError::NotMeasured`] for what is not measured
/// this way.
pub fn measure(
    mut decoder: Decoder,
    of: Of<'_>,
    config: &Config,
    options: &BenchOptions,
    gpu: Option<&Device>,
    on_step: &mut dyn FnMut(usize, usize),
) -> Result<Measured, TrainerError> {
    let LoraSection::New(lora) = &config.lora else { return Err(TrainerError::NotMeasured) };
    let mut parameters = match of {
        Of::Base(base) => adapter::attach(&mut decoder, base, config, None)?.parameters,
        Of::Shape(weights) => {
            let mut parameters = decoder.attach_lora(lora)?;
            init::draw(&mut parameters, config.train.seed);
            let draw = |name: &str, out: &mut [f32]| init::draw_start(config.train.seed, name, out);
            decoder.begin(lora.start, weights, quantization(config), &mut parameters, &draw)?;
            parameters
        }
    };
    if lora.start == Start::Drawn {
        fill_b(&mut parameters, config.train.seed);
    }
    let rows = rows(decoder.spec().vocabulary, config.train.seed, options);
    let policy = plan::policy(config.train.save_activations);
    let (seed, neftune_alpha) = (config.train.seed, config.train.neftune_alpha);
    let noise = (lora.dropout > 0.0 || neftune_alpha > 0.0).then_some(Noise { seed, neftune_alpha });
    let trained = parameters.flat().len();
    // Random rows begin alike by chance alone.
    let micro_batch = MicroBatch { tokens: config.train.micro_batch_tokens, shares_prefixes: false };
    let work = work_of(&decoder, &rows, micro_batch, policy);
    let base_bytes = decoder.size_bytes();
    let engine_options = EngineOptions { policy, micro_batch, noise };
    let mut engine = Engine::new(decoder, parameters, engine_options);
    let gpu = gpu.map(Device::watched);
    if let Some(device) = &gpu {
        engine = engine.on_gpu(device, options.row_tokens, config.model.embeddings)?;
    }
    let optimizer = Optimizer::new(&config.train, trained);
    let mut optimizer = optimizer.by_parts(config.train.lora_plus_ratio, &engine.slices());
    let rows: Vec<&Example> = rows.iter().collect();
    let mut measured = Measured {
        steps: Vec::with_capacity(options.steps),
        tokens: options.row_tokens * options.rows,
        work,
        phases: PhaseTimes::default(),
        update: Duration::ZERO,
        losses_nats: Vec::new(),
        trained,
        base_bytes,
        buffers_bytes: 0,
        gpu: None,
    };
    let mut before = engine.times();
    for step in 0..options.warmup_steps + options.steps {
        let start = Instant::now();
        let sum = engine.differentiate(&rows, step as u64 + 1, &mut Alone)?;
        let update = Instant::now();
        let norm = engine.gradient_norm(&optimizer)?;
        engine.update(&mut optimizer, norm, config.train.learning_rate, step as u64 + 1)?;
        // The time of a step ends with its work, and not with its launches.
        if let Some(device) = &gpu {
            device.synchronize().map_err(GpuError::from)?;
        }
        let end = Instant::now();
        measured.losses_nats.push(sum.mean_nats());
        if step < options.warmup_steps {
            before = engine.times();
        } else {
            measured.steps.push(end - start);
            measured.update += end - update;
        }
        on_step(step + 1, options.warmup_steps + options.steps);
    }
    measured.phases = engine.times().since(&before);
    measured.buffers_bytes = engine.usage().peak_lent_bytes;
    if let Some((device, held_bytes)) = gpu.zip(engine.gpu_bytes()) {
        let step = (options.warmup_steps + options.steps) as u64 + 1;
        device.begin_profile();
        engine.differentiate(&rows, step, &mut Alone)?;
        let norm = engine.gradient_norm(&optimizer)?;
        engine.update(&mut optimizer, norm, config.train.learning_rate, step)?;
        let profile = device.end_profile().map_err(GpuError::from)?;
        measured.gpu = Some(OnGpu { name: device.facts().name.clone(), held_bytes, profile });
    }
    Ok(measured)
}

/// With B at zero half of the products would meet nothing but zeros.
fn fill_b(parameters: &mut Parameters<f32>, seed: u64) {
    let mut random = stream(seed, "bench", "adapters", 0);
    let of_b = |name: &str| name.contains(".lora_B.");
    let places: Vec<_> = parameters.entries().iter().filter(|entry| of_b(&entry.name)).collect();
    let places: Vec<_> = places.into_iter().map(|entry| entry.range.clone()).collect();
    for place in places {
        for value in &mut parameters.flat_mut()[place] {
            *value = 0.02 * (f32::from(random.next_u32() as u16) / f32::from(u16::MAX) - 0.5);
        }
    }
}

/// Rows of random tokens, each token but the first supervised.
fn rows(vocabulary: usize, seed: u64, options: &BenchOptions) -> Vec<Example> {
    let file: Arc<std::path::Path> = Arc::from(std::path::Path::new("random"));
    let row = |number: usize| {
        let mut random = stream(seed, "bench", "rows", number as u64);
        let tokens = (0..options.row_tokens).map(|_| (random.next_u64() % vocabulary as u64) as u32);
        Example {
            id: number.to_string(),
            origin: Origin { file: Arc::clone(&file), line: number as u64 + 1 },
            tokens: tokens.collect(),
            supervised: (0..options.row_tokens).map(|at| at > 0).collect(),
        }
    };
    (0..options.rows).map(row).collect()
}

fn work_of(decoder: &Decoder, rows: &[Example], micro_batch: MicroBatch, policy: SavePolicy) -> Work {
    let rows: Vec<&Example> = rows.iter().collect();
    let mut work = Work::default();
    for row in micro_batch.pack(&rows) {
        work += work::of_row(decoder, &row, policy);
    }
    work
}

/// Side of the square matrices by which the machine's rate is told: large enough that packing does not count.
const PROBE_SIDE: usize = 1024;
const PROBE_TIMES: usize = 5;

/// Operations a second of this machine's own product of two square matrices in 32 bits: the best of some.
#[must_use]
pub fn product_rate() -> f64 {
    let count = PROBE_SIDE * PROBE_SIDE;
    let (a, b, mut c) = (vec![0.5_f32; count], vec![0.25_f32; count], vec![0.0_f32; count]);
    let mut best = f64::INFINITY;
    for _ in 0..PROBE_TIMES {
        let start = Instant::now();
        let (a, b) = (Mat::new(&a, PROBE_SIDE, PROBE_SIDE), Mat::new(&b, PROBE_SIDE, PROBE_SIDE));
        multiply(MatMut::new(&mut c, PROBE_SIDE, PROBE_SIDE), 0.0, 1.0, a, b);
        best = best.min(start.elapsed().as_secs_f64());
    }
    2.0 * (count * PROBE_SIDE) as f64 / best
}

/// Side of the square matrices on a GPU, and how many products are launched at a time, so that launches do not count.
const GPU_PROBE_SIDE: usize = 8192;
const GPU_PROBE_PRODUCTS: usize = 4;

/// Operations a second of a GPU's own product of two square matrices in bf16: the best of some.
///
/// # Errors
/// [`TrainerError::Gpu`].
pub fn product_rate_on_gpu(device: &Device) -> Result<f64, TrainerError> {
    let rate = || {
        let (side, count) = (GPU_PROBE_SIDE, GPU_PROBE_SIDE * GPU_PROBE_SIDE);
        let (a, b) = (device.zeros::<half::bf16>(count)?, device.zeros::<half::bf16>(count)?);
        let mut c = device.zeros::<half::bf16>(count)?;
        let mut best = f64::INFINITY;
        for _ in 0..PROBE_TIMES {
            device.synchronize()?;
            let start = Instant::now();
            for _ in 0..GPU_PROBE_PRODUCTS {
                let (a, b) = (a.all().matrix(side, side), b.all().matrix(side, side));
                cuda::gemm::multiply(device, c.all_mut().matrix(side, side), 0.0, 1.0, a, b)?;
            }
            device.synchronize()?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        Ok::<f64, cuda::CudaError>(2.0 * (GPU_PROBE_PRODUCTS * count * side) as f64 / best)
    };
    Ok(rate().map_err(GpuError::from)?)
}

/// Rows of a step as a configuration says it.
#[must_use]
pub fn rows_of(step_size: StepSize, row_tokens: usize) -> usize {
    match step_size {
        StepSize::Rows(rows) => rows,
        StepSize::Tokens(tokens) => (tokens / row_tokens.max(1)).max(1),
    }
}
