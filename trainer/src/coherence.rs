//! How surprising rows are to the base: what the filter `max-perplexity` asks.

use std::cell::RefCell;

use rtune_data::{ChatTemplate, Encoder, Example, Perplexity, Record, TrainOn, pack};
use rtune_kernels::arena::Arena;
use rtune_models::{BaseModel, Decoder};

use crate::config::Config;
use crate::error::TrainerError;
use crate::loss;
use crate::manifest;

/// A base in memory, with what makes tokens for it.
pub(crate) struct BasePerplexity<'a> {
    encoder: Encoder<'a>,
    decoder: Decoder,
    arena: RefCell<Arena<f32>>,
    identity: String,
    max_tokens: usize,
}

impl<'a> BasePerplexity<'a> {
    /// Reads the weights of `base`, held as the run will hold them.
    ///
    /// # Errors
    /// Those of the weights and the template.
    pub(crate) fn open(
        config: &Config,
        base: &'a BaseModel,
        template: &'a ChatTemplate,
    ) -> Result<Self, TrainerError> {
        let quantization = crate::subject::quantization(config);
        let decoder = Decoder::load(&base.config, base.weights.as_ref(), quantization, &mut |_, _| {})?;
        let hashes = manifest::hashes_by_name(base.files.iter())?;
        Ok(Self {
            encoder: Encoder::new(template, &base.tokenizer)?,
            decoder,
            arena: RefCell::new(Arena::new()),
            identity: format!("{hashes:?} {:?}", config.quantization),
            max_tokens: config.data.max_tokens,
        })
    }

    /// Nats of each token but the first, on average over the examples of a row.
    fn nats(&self, row: &Record) -> Result<f64, String> {
        let encoded = self
            .encoder
            .encode_record(row, TrainOn::All, self.max_tokens)
            .map_err(|problem| format!("{}: {problem}", row.origin))?;
        let (mut nats, mut tokens) = (0.0, 0);
        for one in encoded {
            let length = one.tokens.len().min(self.max_tokens);
            // All of the row counts, the prompt too: what is asked may be incoherent as well.
            let mut supervised = vec![true; length];
            supervised[0] = false;
            let tokens_of_row = one.tokens[..length].to_vec();
            let example =
                Example { id: row.id.clone(), origin: row.origin.clone(), tokens: tokens_of_row, supervised };
            for packed in pack(&[&example], length) {
                let arena = self.arena.borrow();
                let sum = loss::evaluate(&self.decoder, &[], &packed, &arena);
                arena.give_back();
                nats += sum.nats;
                tokens += sum.supervised_tokens;
            }
        }
        Ok(nats / tokens.max(1) as f64)
    }
}

impl Perplexity for BasePerplexity<'_> {
    fn nats_per_token(&self, rows: &[&Record]) -> Result<Vec<f64>, String> {
        rows.iter().map(|row| self.nats(row)).collect()
    }

    fn identity(&self) -> &str {
        &self.identity
    }
}
