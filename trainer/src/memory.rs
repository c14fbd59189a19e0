//! What a run will take, before anything is read but headers: bytes by what they are for.
//!
//! The base is held as [`rtune_models::Decoder::load`] holds it, the adapters are those that [`LoraConfig`] puts beside its
//! linears, the passes take the buffers that the decoder takes. docs/log.md has measured peaks beside these figures.

mod evaluation;

pub use evaluation::EvaluationMemory;
#[cfg(doc)]
use rtune_adapters::LoraConfig;
use rtune_adapters::{Start, peft};
use rtune_data::StepSize;
use rtune_kernels::gemm;
use rtune_models::outline::{Pass, PassElements, TrainedOutline};
use rtune_models::{BaseOutline, Quantization, SavePolicy};

use crate::adapter::INITIAL_FILE;
use crate::config::{Config, LoraSection};
use crate::error::TrainerError;
use crate::evaluate::asks::Asks;
use crate::plan;
use crate::subject::quantization;

/// Bytes that the program and its threads ask for: measured, see docs/log.md.
const PROGRAM_BYTES: usize = 12 << 20;
/// Pages of the program's own file that are in memory while it trains, of some 50 MB: measured, see docs/log.md. They count as the
/// process's, and Linux takes them back where memory is short.
const PROGRAM_FILE_BYTES: usize = 30 << 20;
/// Bytes that tokenizer and template take for each of the tokenizer's tokens: measured, see docs/log.md.
const TOKEN_BYTES: usize = 550;
/// The same where they are read from a GGUF file, whose texts stay.
const GGUF_TOKEN_BYTES: usize = 1250;
/// What a checkpoint has in memory while it is written, for each trained number: the adapter's file.
const SAVED_BYTES: usize = 4;
/// The part of a GPU's memory that is counted on; the rest is for its driver, its libraries and fragments.
pub const GPU_SHARE: f64 = 0.9;

/// The rows of a run, as far as memory is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowSizes {
    /// Packed rows that are trained on, of which none is larger than another in everything.
    pub training: Vec<Pass>,
    /// Those that are evaluated on.
    pub evaluation: Vec<Pass>,
    /// What evaluations ask.
    pub asks: Asks,
    /// Bytes of all examples.
    pub bytes: usize,
    /// Tokens of the tokenizer, where it is here; else there are taken to be as many as the base has embeddings.
    pub vocabulary: Option<usize>,
}

/// Memory of a training run, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainingMemory {
    /// The frozen base.
    pub base_bytes: usize,
    /// What loading it takes besides.
    pub loading_bytes: usize,
    /// Trained numbers.
    pub trained: usize,
    /// What adapters have beside those: numbers they began with, lengths of the base's rows.
    pub beside_bytes: usize,
    /// What the forward pass keeps for the backward pass.
    pub kept_bytes: usize,
    /// What one block, or the head, works in.
    pub work_bytes: usize,
    /// The program.
    pub program_bytes: usize,
    /// The tokenizer and the template.
    pub tokenizer_bytes: usize,
    /// The examples; 0 where they are not known.
    pub rows_bytes: usize,
    /// Tokens of the packed row that was taken for the largest.
    pub tokens: usize,
    /// What blocks keep for the backward pass.
    pub policy: SavePolicy,
    /// What answers take while a run is evaluated.
    pub evaluation: EvaluationMemory,
}

impl TrainingMemory {
    /// Trained numbers, their gradients and both moments of AdamW.
    #[must_use]
    pub fn adapter_bytes(&self) -> usize {
        (4 * size_of::<f32>() * self.trained).saturating_add(self.beside_bytes)
    }

    /// Buffers of a forward and a backward pass.
    #[must_use]
    pub fn passes_bytes(&self) -> usize {
        self.kept_bytes.saturating_add(self.work_bytes)
    }

    /// Program, tokenizer and examples.
    #[must_use]
    pub fn resident_bytes(&self) -> usize {
        self.program_bytes + self.tokenizer_bytes + self.rows_bytes
    }

    /// What a step takes beside the program: all that a device would have to hold.
    #[must_use]
    pub fn step_bytes(&self) -> usize {
        self.base_bytes.saturating_add(self.adapter_bytes()).saturating_add(self.passes_bytes())
    }

    /// What writing a checkpoint takes besides.
    #[must_use]
    pub fn saving_bytes(&self) -> usize {
        SAVED_BYTES * self.trained
    }

    /// Base and adapters, which are there whatever is done with them.
    fn model_bytes(&self) -> usize {
        self.base_bytes.saturating_add(self.adapter_bytes())
    }

    /// The most while something is loaded, trained or saved, without program and rows.
    fn trained_bytes(&self) -> usize {
        let loading = self.base_bytes.saturating_add(self.loading_bytes);
        let saving = self.step_bytes().saturating_add(self.saving_bytes());
        loading.max(saving)
    }

    /// The most at any moment: while loading, while a checkpoint is written behind a step, or while answers are made.
    #[must_use]
    pub fn peak_bytes(&self) -> usize {
        let answering = self.model_bytes().saturating_add(self.evaluation.bytes());
        self.resident_bytes().saturating_add(self.trained_bytes().max(answering))
    }
}

/// What a run of `config` on this base takes with so many threads, and what its blocks keep where that is "auto". Rows are
/// taken to be as long as `data.max-tokens` allows, and every token to be supervised, so that the figure is an upper one.
///
/// # Errors
/// [`TrainerError::Adapter`] for targets that the base does not have, or an adapter that cannot be read.
pub fn training(
    outline: &BaseOutline,
    config: &Config,
    threads: usize,
) -> Result<TrainingMemory, TrainerError> {
    of_rows(outline, config, &longest_rows(outline, config, threads))
}

/// [`training`], where blocks keep what `policy` says.
///
/// # Errors
/// As [`training`].
pub fn with_policy(
    outline: &BaseOutline,
    config: &Config,
    threads: usize,
    policy: SavePolicy,
) -> Result<TrainingMemory, TrainerError> {
    of_policy(outline, config, &longest_rows(outline, config, threads), policy)
}

/// What a run of `config` on these rows takes; where `train.save-activations` is "auto", with what this machine's free memory
/// allows.
///
/// # Errors
/// As [`training`].
pub fn of_rows(
    outline: &BaseOutline,
    config: &Config,
    rows: &RowSizes,
) -> Result<TrainingMemory, TrainerError> {
    let choice = plan::choose(outline, config, rows, plan::free_bytes())?;
    of_policy(outline, config, rows, plan::policy(choice))
}

/// [`of_rows`], where blocks keep what `policy` says.
///
/// # Errors
/// As [`training`].
pub fn of_policy(
    outline: &BaseOutline,
    config: &Config,
    rows: &RowSizes,
    policy: SavePolicy,
) -> Result<TrainingMemory, TrainerError> {
    let held = quantization(config);
    let trained = trained(outline, config)?;
    let mut most = PassElements::default();
    let training = rows.training.iter().map(|pass| (policy, pass));
    let evaluation = rows.evaluation.iter().map(|pass| (SavePolicy::Nothing, pass));
    for (policy, pass) in training.chain(evaluation) {
        let elements = outline.pass_elements(&trained, policy, pass);
        if elements.total() > most.total() {
            most = elements;
        }
    }
    let base = outline.held_bytes(held);
    let threads = rows.training.iter().chain(&rows.evaluation).map(|pass| pass.threads).max().unwrap_or(1);
    let keeps_start = match &config.lora {
        LoraSection::New(lora) => lora.start != Start::Drawn,
        LoraSection::From(folder) => folder.join(INITIAL_FILE).is_file(),
        LoraSection::Full => false,
    };
    // Adapters begin when the whole base is there, with their numbers and a copy of those.
    let starting = match trained.starting_bytes {
        0 => 0,
        bytes => bytes + size_of::<f32>() * trained.numbers,
    };
    let initial = if keeps_start { size_of::<f32>() * trained.numbers } else { 0 };
    let token_bytes = if outline.is_gguf { GGUF_TOKEN_BYTES } else { TOKEN_BYTES };
    let mut memory = TrainingMemory {
        // What is trained whole stands among the trained numbers alone.
        base_bytes: base.held.saturating_sub(trained.replaced_bytes).saturating_add(trained.widened_bytes),
        loading_bytes: base.loading.saturating_add(trained.replaced_bytes).max(starting),
        trained: trained.numbers,
        beside_bytes: trained.beside_bytes + initial,
        kept_bytes: most.kept.saturating_mul(size_of::<f32>()),
        work_bytes: most.work.saturating_mul(size_of::<f32>()),
        program_bytes: PROGRAM_BYTES + PROGRAM_FILE_BYTES + gemm::kept_bytes(threads),
        tokenizer_bytes: token_bytes * rows.vocabulary.unwrap_or(outline.spec.vocabulary),
        rows_bytes: rows.bytes,
        tokens: rows.training.iter().map(|pass| pass.tokens).max().unwrap_or(0),
        policy,
        evaluation: EvaluationMemory::default(),
    };
    memory.evaluation = evaluation::of(outline, &trained, &rows.asks, threads);
    Ok(memory)
}

/// The largest packed row that `config` allows.
#[must_use]
pub fn longest_rows(outline: &BaseOutline, config: &Config, threads: usize) -> RowSizes {
    let longest = config.data.max_tokens.min(outline.config.max_position_embeddings);
    let step = match config.train.step_size {
        StepSize::Rows(rows) => rows.saturating_mul(longest),
        StepSize::Tokens(tokens) => tokens.max(longest),
    };
    let tokens = config.train.micro_batch_tokens.max(longest).min(step);
    let pass = Pass { tokens, supervised: tokens, longest, prefix_sums: 0, threads };
    let asks = Asks::unknown(config, outline.config.max_position_embeddings);
    RowSizes { training: vec![pass], asks, ..RowSizes::default() }
}

/// What a run trains.
fn trained(outline: &BaseOutline, config: &Config) -> Result<TrainedOutline, TrainerError> {
    let held = quantization(config);
    let rows = config.tokens.trainable.len() + config.tokens.new.len();
    let mut lora = match &config.lora {
        LoraSection::New(lora) => lora.clone(),
        LoraSection::From(folder) => peft::read(folder)?.config,
        LoraSection::Full => return Ok(outline.trained_in_full(held)),
    };
    lora.alongside.of_head |= rows > 0;
    if let LoraSection::From(_) = &config.lora {
        // What it began with was taken from its base when it was made.
        lora.start = Start::Drawn;
    }
    Ok(outline.trained(&lora, rows, held)?)
}

/// Memory of answering, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServingMemory {
    /// Weights with the linears of the blocks in NF4, doubly quantised.
    pub nf4_bytes: usize,
    /// All weights in 16 bits.
    pub half_bytes: usize,
    /// Keys and values of all documents in 32 bits, as they are cached here.
    pub cache_bytes: usize,
    /// The same in 16 bits, as servers on GPUs have them.
    pub half_cache_bytes: usize,
}

/// What it takes to answer `sequences` documents of `context` tokens at once.
#[must_use]
pub fn serving(outline: &BaseOutline, context: usize, sequences: usize) -> ServingMemory {
    let tokens = context.saturating_mul(sequences);
    ServingMemory {
        nf4_bytes: outline.held_bytes(Quantization::Nf4 { double: true }).held,
        half_bytes: outline.parameters().total().saturating_mul(2),
        cache_bytes: outline.cache_bytes(size_of::<f32>()).saturating_mul(tokens),
        half_cache_bytes: outline.cache_bytes(2).saturating_mul(tokens),
    }
}

/// How many GPUs of `gpu_bytes` hold `bytes`, spread evenly over them; at least one.
#[must_use]
pub fn gpus(bytes: usize, gpu_bytes: f64) -> u64 {
    (bytes as f64 / (GPU_SHARE * gpu_bytes)).ceil().max(1.0) as u64
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(extra: &str) -> Config {
        let text = format!("[model]\nbase='m'\n[data]\ntrain='t'\n[output]\ndir='r'\n{extra}\n");
        Config::parse("c.toml", &text, &[]).expect("valid")
    }

    fn outline() -> BaseOutline {
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference/llama");
        BaseOutline::open(&case).expect("a case")
    }

    #[test]
    fn more_of_anything_takes_more() {
        let outline = outline();
        let of = |extra: &str| training(&outline, &config(extra), 2).expect("an estimate");
        let plain = of("");
        assert_eq!(of("[lora]\nrank = 32").adapter_bytes(), 2 * plain.adapter_bytes());
        assert!(of("[quantization]\nkind = 'none'").base_bytes > plain.base_bytes);
        // In linears as small as these the map of nested magnitudes takes more than it saves.
        assert!(of("[quantization]\ndouble = false").base_bytes != plain.base_bytes);
        let all = of("[train]\nsave-activations = 'all'");
        let less = of("[train]\nsave-activations = 'input-only'");
        assert!(less.passes_bytes() < all.passes_bytes());
        assert!(of("[train]\nrows-per-step = 1\n").tokens <= plain.tokens);
        assert!(plain.peak_bytes() > plain.step_bytes());
        let unasked = of("[eval]\ngeneral = false\nsamples = 0");
        assert_eq!((unasked.evaluation.bytes(), unasked.step_bytes()), (0, plain.step_bytes()));
        assert!(plain.evaluation.bytes() > 0 && unasked.peak_bytes() <= plain.peak_bytes());
        // Where steps are short the answers take the most.
        let short = |more: &str| {
            let extra =
                format!("max-tokens = 16\n[train]\nrows-per-step = 1\nmicro-batch-tokens = 16\n{more}");
            let text = format!("[model]\nbase='m'\n[output]\ndir='r'\n[data]\ntrain='t'\n{extra}\n");
            let config = Config::parse("c.toml", &text, &[]).expect("valid");
            training(&outline, &config, 2).expect("an estimate").peak_bytes()
        };
        assert!(short("[eval]\ngeneral = false\nsamples = 0") < short(""));
        let wrong = training(&outline, &config("[lora]\ntargets = ['c_attn']"), 2);
        assert!(matches!(wrong, Err(TrainerError::Adapter(_))));
    }

    /// However the base is called: an alias ends in nothing.
    #[test]
    fn a_gguf_file_is_told_by_its_header() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/gguf/gemma/model.gguf");
        let gguf = BaseOutline::open(&file).expect("a file");
        for (outline, each) in [(gguf, GGUF_TOKEN_BYTES), (outline(), TOKEN_BYTES)] {
            let memory = training(&outline, &config(""), 2).expect("an estimate");
            assert_eq!(memory.tokenizer_bytes, each * outline.spec.vocabulary);
        }
    }

    #[test]
    fn a_row_is_as_long_as_the_step_allows() {
        let outline = outline();
        let tokens = |max: usize, train: &str| {
            let config = config(&format!("[train]\n{train}")).clone();
            let config = Config {
                data: crate::config::DataSection { max_tokens: max, ..config.data.clone() },
                ..config
            };
            training(&outline, &config, 1).expect("an estimate").tokens
        };
        let most = outline.config.max_position_embeddings;
        assert_eq!(tokens(16, "rows-per-step = 2"), 32.min(2 * most));
        assert_eq!(tokens(16, "rows-per-step = 1000\nmicro-batch-tokens = 64"), 64);
        assert_eq!(tokens(16, "tokens-per-step = 40\nmicro-batch-tokens = 64"), 40);
        assert_eq!(tokens(16, "micro-batch-tokens = 8"), 16, "a longer row stands alone");
    }

    #[test]
    fn devices_are_counted_up() {
        let gib = f64::from(1 << 30);
        assert_eq!(gpus(0, 80.0 * gib), 1);
        assert_eq!(gpus(72 << 30, 80.0 * gib), 1);
        assert_eq!(gpus((72 << 30) + 1, 80.0 * gib), 2);
        assert_eq!(gpus(144 << 30, 24.0 * gib), 7);
    }

    #[test]
    fn caches_grow_with_context_and_documents() {
        let outline = outline();
        let one = serving(&outline, 100, 1);
        assert_eq!(serving(&outline, 100, 8).cache_bytes, 8 * one.cache_bytes);
        assert_eq!(one.cache_bytes, 2 * one.half_cache_bytes);
        let config = &outline.config;
        let row = config.num_hidden_layers * config.num_key_value_heads * config.head_dim;
        assert_eq!(one.cache_bytes, 2 * 4 * 100 * row);
    }
}
