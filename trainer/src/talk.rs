//! Conversations in, texts out: the chat template and the tokenizer around the decoder's answers.

use std::cell::RefCell;
use std::ops::Deref;
use std::sync::Arc;

use rand_core::Rng;
use rtune_data::{ChatTemplate, Encoder, Message, TrainOn, stream};
use rtune_kernels::arena::Arena;
use rtune_models::generate::{
    self, Answer, Document, Documents, GenerateError, Go, Limits, Request, Sampler, Sampling,
};
use rtune_models::{BaseModel, Decoder};
use tokenizers::Tokenizer;

use crate::error::TrainerError;
use crate::gpu::{Device, GpuOpened, Voice};
use crate::machine::available_memory_bytes;
use crate::subject::Opened;
use crate::wording::Wording;

/// The part of the free memory that unpacked matrices may take where nothing is trained.
const UNPACKED_SHARE: f64 = 0.5;
/// Prompt tokens of one pass: as many as keep the products at full rate, few enough that activations stay small.
pub(crate) const BATCH_TOKENS: usize = 2048;

/// How answers are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// What draws come from.
    pub seed: u64,
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Answers under way at once.
    pub batch: usize,
}

/// A model that is talked to.
pub struct Speaker<'a> {
    model: Model<'a>,
    wording: Arc<Wording<'a>>,
    stop_tokens: Vec<u32>,
    arena: Arena<f32>,
    is_enough: Option<&'a dyn Fn() -> bool>,
}

/// What is talked to: what was opened, or a run that is under way. The fields are those of [`Opened`].
#[derive(Clone, Copy)]
pub struct Model<'a> {
    /// The base, its files and its tokenizer.
    pub base: &'a BaseModel,
    /// The chat template, if there is one.
    pub template: Option<&'a ChatTemplate>,
    /// The decoder, with the adapter's linears attached.
    pub decoder: &'a Decoder,
    /// The adapter's numbers.
    pub parameters: &'a [f32],
    /// Those with which the model is its base.
    pub untrained: &'a [f32],
    /// Whether there is something trained beside the base.
    pub tuned: bool,
    /// What answers in its place on a GPU, where it is on one.
    pub(crate) voice: Option<Voice<'a>>,
}

impl Opened {
    /// As a speaker takes it.
    pub fn model(&self) -> Model<'_> {
        Model {
            base: &self.base,
            template: self.template.as_ref(),
            decoder: &self.decoder,
            parameters: &self.parameters,
            untrained: &self.untrained,
            tuned: self.tuned,
            voice: self.gpu.as_ref().map(GpuOpened::voice),
        }
    }

    /// Has answers made on a GPU.
    ///
    /// # Errors
    /// [`TrainerError::Gpu`] for what only the processor computes, and if there is not as much memory.
    pub fn answer_on(&mut self, device: &Device) -> Result<(), TrainerError> {
        let Self { decoder, entries, parameters, untrained, .. } = self;
        self.gpu = Some(GpuOpened::new(device, decoder, entries, [parameters, untrained])?);
        Ok(())
    }

    /// Holds the matrices in `f32`, where memory allows: answers take many passes over few tokens each. The numbers stay
    /// the same to the bit.
    pub fn unpack_for_answers(&mut self) {
        if fits_unpacked(&self.decoder) {
            self.decoder.unpack();
        }
    }
}

/// Whether there is memory to hold the matrices of `decoder` in `f32`.
fn fits_unpacked(decoder: &Decoder) -> bool {
    available_memory_bytes()
        .is_none_or(|free| decoder.unpacked_bytes() as f64 <= UNPACKED_SHARE * free as f64)
}

/// The tokens that end an answer: those that the model names, and the one that the template puts behind every answer,
/// which is the one that training taught.
pub fn stop_tokens(base: &BaseModel, encoder: Option<&Encoder<'_>>) -> Vec<u32> {
    let mut tokens = base.config.eos_token_ids.clone();
    tokens.extend(base.special.eos.as_deref().and_then(|eos| base.tokenizer.token_to_id(eos)));
    tokens.extend(encoder.and_then(end_of_turn));
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

/// The text of tokens, without the special ones.
pub(crate) fn decode(tokenizer: &Tokenizer, tokens: &[u32]) -> Result<String, TrainerError> {
    let fail = |error: tokenizers::Error| rtune_data::DataError::Tokenizer { reason: error.to_string() };
    Ok(rtune_data::decode_guarded(tokenizer, tokens, true).map_err(fail)?)
}

impl<'a> Deref for Speaker<'a> {
    type Target = Wording<'a>;
    fn deref(&self) -> &Wording<'a> {
        &self.wording
    }
}

impl<'a> Speaker<'a> {
    /// Makes template and tokenizer ready.
    ///
    /// # Errors
    /// [`TrainerError::Data`] if the template or the tokenizer fails.
    pub fn new(opened: &'a Opened) -> Result<Self, TrainerError> {
        let model = opened.model();
        Ok(Self::of(model, Arc::new(Wording::new(model.base, model.template)?)))
    }

    /// [`Speaker::new`] for a model whose parts lie elsewhere, with its template and tokenizer. Who speaks again and again makes these ready
    /// once: that copies the vocabulary, and tokenizers 0.23 keeps for every copy, for as long as a thread lives, the words that the thread
    /// asked it for.
    pub(crate) fn of(model: Model<'a>, wording: Arc<Wording<'a>>) -> Self {
        let stop_tokens = wording.stop_tokens();
        Self { model, wording, stop_tokens, arena: Arena::new(), is_enough: None }
    }

    /// Ends all answers as soon as `is_enough` says so, which is asked at every token, and before every pass over expected answers and texts.
    pub(crate) fn until(self, is_enough: &'a dyn Fn() -> bool) -> Self {
        Self { is_enough: Some(is_enough), ..self }
    }

    /// Whether what is under way is to end: what is computed from here on is of no use.
    pub(crate) fn has_enough(&self) -> bool {
        self.is_enough.is_some_and(|is_enough| is_enough())
    }

    /// The model.
    pub fn opened(&self) -> Model<'a> {
        self.model
    }

    /// Answers one prompt as a text, piece by piece: `on_piece` gets what is new as soon as it is whole characters.
    /// `document` is an earlier answer's, whose beginning is not computed again.
    ///
    /// # Errors
    /// [`TrainerError::Generate`], [`TrainerError::Data`] if the tokenizer fails.
    pub fn stream(
        &self,
        prompt: Vec<u32>,
        settings: &Settings,
        tuned: bool,
        document: Option<Document>,
        on_piece: &mut dyn FnMut(&str) -> Go,
    ) -> Result<(String, Answer), TrainerError> {
        let request = self.request(0, prompt, settings, document);
        let text = RefCell::new(TextStream::new(&self.model.base.tokenizer));
        let mut on_token = |_, token| match text.borrow_mut().add(token) {
            Some(piece) => on_piece(&piece),
            None => Go::On,
        };
        let answers = self.generate([request], settings, tuned, Documents::Kept, &mut on_token)?;
        let answer = answers.into_iter().next().ok_or(GenerateError::Empty)?;
        let (whole, rest) = (self.text(&answer.tokens)?, text.into_inner().given);
        if let Some(rest) = whole.get(rest..).filter(|rest| !rest.is_empty()) {
            on_piece(rest);
        }
        Ok((whole, answer))
    }

    /// A request for the prompt `index`, with draws of its own.
    pub(crate) fn request(
        &self,
        index: usize,
        prompt: Vec<u32>,
        settings: &Settings,
        document: Option<Document>,
    ) -> Request {
        let seed = stream(settings.seed, "sampling", "", index as u64).next_u64();
        Request { prompt, sampler: Sampler::new(&settings.sampling, seed), document }
    }

    /// The adapter's numbers, or none where the base answers alone.
    pub(crate) fn parameters(&self, tuned: bool) -> &'a [f32] {
        self.model.numbers(tuned)
    }

    pub(crate) fn arena(&self) -> &Arena<f32> {
        &self.arena
    }

    /// Answers `requests`, in their order; `tuned` says whether the adapter takes part. `on_token` is called with
    /// (index of the request, token).
    ///
    /// # Errors
    /// [`TrainerError::Generate`].
    pub(crate) fn generate(
        &self,
        requests: impl IntoIterator<Item = Request>,
        settings: &Settings,
        tuned: bool,
        documents: Documents,
        on_token: &mut dyn FnMut(usize, u32) -> Go,
    ) -> Result<Vec<Answer>, TrainerError> {
        let limits = Limits {
            stop_tokens: self.stop_tokens.clone(),
            max_new_tokens: settings.max_new_tokens,
            max_positions: self.model.base.config.max_position_embeddings,
            batch_documents: settings.batch,
            batch_tokens: BATCH_TOKENS,
            documents,
        };
        let mut on_token = |index, token| match (on_token(index, token), self.is_enough) {
            (Go::On, Some(is_enough)) if is_enough() => Go::Enough,
            (go, _) => go,
        };
        Ok(self.model.generate(requests, &limits, tuned, &self.arena, &mut on_token)?)
    }
}

impl<'a> Model<'a> {
    /// The adapter's numbers, or those with which the model is its base.
    fn numbers(&self, tuned: bool) -> &'a [f32] {
        if tuned { self.parameters } else { self.untrained }
    }

    /// Answers `requests`, in their order, where the model is.
    pub(crate) fn generate(
        &self,
        requests: impl IntoIterator<Item = Request>,
        limits: &Limits,
        tuned: bool,
        arena: &Arena<f32>,
        on_token: &mut dyn FnMut(usize, u32) -> Go,
    ) -> Result<Vec<Answer>, GenerateError> {
        match self.voice {
            Some(voice) => voice.generate(requests, limits, tuned, self.decoder, on_token),
            None => generate::generate(self.decoder, self.numbers(tuned), requests, limits, arena, on_token),
        }
    }
}

/// The token that the template puts behind an answer, if it puts one there.
pub fn end_of_turn(encoder: &Encoder<'_>) -> Option<u32> {
    let conversation = [Message::new("user", "a"), Message::new("assistant", "b")];
    // A template that refuses this conversation may take others; it teaches no end by itself.
    let rows = encoder.encode(&conversation, TrainOn::Last).ok()?;
    rows.last().filter(|row| row.ended).and_then(|row| row.tokens.last().copied())
}

/// Text from tokens that come one by one: a character may take several.
struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    tokens: Vec<u32>,
    /// Bytes of the text that were given out.
    given: usize,
}

/// What an unfinished character decodes to.
const REPLACEMENT: char = '\u{FFFD}';

impl<'a> TextStream<'a> {
    fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, tokens: Vec::new(), given: 0 }
    }

    /// What can be said for certain after one more token.
    fn add(&mut self, token: u32) -> Option<String> {
        self.tokens.push(token);
        // The text is decoded whole: what a token spells depends on those around it. A failure shows at the end.
        let text = rtune_data::decode_guarded(self.tokenizer, &self.tokens, true).ok()?;
        if text.ends_with(REPLACEMENT) {
            return None;
        }
        let piece = text.get(self.given..)?.to_owned();
        self.given = text.len();
        (!piece.is_empty()).then_some(piece)
    }
}
