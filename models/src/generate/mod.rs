//! Answers: many prompts at a time, without padding.
//!
//! A pass takes one token of every answer that is under way and the whole prompts of those that begin, as one packed row;
//! an answer that ends makes room for the next prompt at once. Answers are the same for any number of threads.

mod sampling;

use std::iter::Peekable;

use rtune_kernels::arena::Arena;

use crate::Decoder;
use crate::decoder::{Fresh, KvCache, Positions};

pub use sampling::{Sampler, Sampling};

/// Why no token could be chosen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// A prompt that leaves no room for an answer.
    #[error("the prompt has {tokens} tokens, the model sees at most {longest}")]
    TooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// What the model was trained on.
        longest: usize,
    },
    /// A prompt without a token.
    #[error("the prompt has no tokens")]
    Empty,
    /// A token that the model does not have.
    #[error("the prompt has token {token}, the model has {vocabulary} tokens")]
    NoSuchToken {
        /// The token.
        token: u32,
        /// Rows of the embedding.
        vocabulary: usize,
    },
    /// The model computes something that is no number.
    #[error("the model's logits are not numbers")]
    NotFinite,
    /// The sampler failed.
    #[error("the next token cannot be sampled")]
    Sampling(#[from] candle_core::Error),
}

impl GenerateError {
    /// Whether what was given is at fault, and not the model.
    #[must_use]
    pub fn is_input(&self) -> bool {
        matches!(self, Self::TooLong { .. } | Self::Empty | Self::NoSuchToken { .. })
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::TooLong { .. } => "shorten it; in a chat, `/reset` begins anew",
            Self::NoSuchToken { .. } => "tokenizer.json and config.json are of two models",
            Self::NotFinite => "the weights are damaged, or the adapter diverged: take an earlier checkpoint",
            Self::Empty | Self::Sampling(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// A document that has been answered, ready to be gone on with.
#[derive(Clone, Debug)]
pub struct Document {
    cache: KvCache<f32>,
    /// The tokens whose keys and values the cache holds.
    tokens: Vec<u32>,
}

impl Document {
    /// Tokens whose keys and values are held in `cache`.
    ///
    /// # Panics
    /// If the cache holds another number of tokens.
    #[must_use]
    pub fn new(tokens: Vec<u32>, cache: KvCache<f32>) -> Self {
        assert_eq!(tokens.len(), cache.tokens(), "document: tokens");
        Self { cache, tokens }
    }
}

/// A prompt to be answered.
pub struct Request {
    /// Token ids, at least one.
    pub prompt: Vec<u32>,
    /// How tokens are chosen.
    pub sampler: Sampler,
    /// An earlier answer's document: what it shares with the prompt is not computed again.
    pub document: Option<Document>,
}

/// When answers end, and how many are under way at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Tokens that end an answer; they are not part of it.
    pub stop_tokens: Vec<u32>,
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Positions that the model was trained on.
    pub max_positions: usize,
    /// Answers under way at once.
    pub batch_documents: usize,
    /// Prompt tokens of one pass; a longer prompt has a pass of its own.
    pub batch_tokens: usize,
    /// What becomes of the keys and values of answers that have ended.
    pub documents: Documents,
}

/// Whether answers are gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Documents {
    /// They may be: their keys and values are kept.
    Kept,
    /// They are not: their documents are empty, and many answers take no more memory than a batch of them.
    Dropped,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a stop token.
    Stop,
    /// At its longest.
    Length,
    /// The caller had enough.
    Interrupted,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Token ids, without the stop token.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub end: End,
    /// Prompt and answer, to go on from; empty where [`Limits::documents`] says so.
    pub document: Document,
}

/// What the caller says to a new token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// Another one.
    On,
    /// End this answer here, as a stop token would, and go on with the others.
    Ended,
    /// End all answers here.
    Enough,
}

/// Answers `requests`, in their order. They are asked for one by one, when there is room for them.
///
/// `parameters`: the adapter's numbers, or empty for the base alone. `on_token` is called with (index of the request,
/// token) for every token of every answer.
///
/// # Errors
/// [`GenerateError`].
pub fn generate(
    decoder: &Decoder,
    parameters: &[f32],
    requests: impl IntoIterator<Item = Request>,
    limits: &Limits,
    arena: &Arena<f32>,
    on_token: &mut dyn FnMut(usize, u32) -> Go,
) -> Result<Vec<Answer>, GenerateError> {
    let mut batch = Batch {
        decoder,
        parameters,
        limits,
        arena,
        positions: decoder.positions(limits.max_positions),
        running: Vec::new(),
        answers: Vec::new(),
    };
    let mut waiting = requests.into_iter().peekable();
    loop {
        batch.admit(&mut waiting)?;
        if batch.running.is_empty() {
            break;
        }
        if batch.pass(on_token)? == Go::Enough {
            batch.interrupt();
            waiting.for_each(|_| batch.leave_out());
            break;
        }
        arena.give_back();
    }
    Ok(batch.answers.into_iter().flatten().collect())
}

fn check(decoder: &Decoder, request: &Request, limits: &Limits) -> Result<(), GenerateError> {
    let (vocabulary, longest) = (decoder.spec().vocabulary, limits.max_positions);
    let tokens = request.prompt.len();
    if tokens == 0 {
        return Err(GenerateError::Empty);
    }
    if tokens >= longest {
        return Err(GenerateError::TooLong { tokens, longest });
    }
    match request.prompt.iter().find(|token| **token as usize >= vocabulary) {
        Some(&token) => Err(GenerateError::NoSuchToken { token, vocabulary }),
        None => Ok(()),
    }
}

/// An answer under way.
struct Running {
    index: usize,
    document: Document,
    /// Tokens that the next pass computes: the rest of the prompt, then the newest token.
    fresh: Vec<u32>,
    sampler: Sampler,
    answer: Vec<u32>,
}

struct Batch<'a> {
    decoder: &'a Decoder,
    parameters: &'a [f32],
    limits: &'a Limits,
    arena: &'a Arena<f32>,
    positions: Positions<f32>,
    running: Vec<Running>,
    answers: Vec<Option<Answer>>,
}

impl Batch<'_> {
    /// Takes waiting prompts while there is room in the batch and in the pass.
    fn admit(&mut self, waiting: &mut Peekable<impl Iterator<Item = Request>>) -> Result<(), GenerateError> {
        let mut tokens = 0;
        while self.running.len() < self.limits.batch_documents.max(1) {
            let Some(request) = waiting.peek() else { return Ok(()) };
            check(self.decoder, request, self.limits)?;
            let kept = request.shared();
            let own = request.prompt.len() - kept;
            if tokens > 0 && tokens + own > self.limits.batch_tokens {
                return Ok(());
            }
            tokens += own;
            let Some(Request { prompt, sampler, document }) = waiting.next() else { return Ok(()) };
            let mut document = document.unwrap_or_else(|| self.empty());
            document.cache.truncate(kept);
            document.tokens.truncate(kept);
            let fresh = prompt[kept..].to_vec();
            let index = self.answers.len();
            self.answers.push(None);
            self.running.push(Running { index, document, fresh, sampler, answer: Vec::new() });
        }
        Ok(())
    }

    /// One token for every answer under way.
    fn pass(&mut self, on_token: &mut dyn FnMut(usize, u32) -> Go) -> Result<Go, GenerateError> {
        let mut last_rows = Vec::with_capacity(self.running.len());
        let mut rows = 0;
        for running in &self.running {
            rows += running.fresh.len();
            last_rows.push(rows - 1);
        }
        let documents = self.running.iter_mut();
        let documents = documents
            .map(|running| Fresh { tokens: &running.fresh, cache: &mut running.document.cache })
            .collect();
        let output = self.decoder.forward_cached(self.parameters, documents, &self.positions, self.arena);
        let head = self.decoder.head_rows(self.parameters, &output, last_rows, self.arena);
        drop(output);
        let (width, vocabulary) = (self.decoder.spec().width, self.decoder.spec().vocabulary);
        let chunk = self.decoder.head_chunk_rows();
        let mut going = Vec::with_capacity(self.running.len());
        let mut asked = std::mem::take(&mut self.running).into_iter();
        let mut go = Go::On;
        for normed_cd in head.normed_nd.chunks(chunk * width) {
            let mut logits_cv = self.arena.take(normed_cd.len() / width * vocabulary);
            self.decoder.logits(self.parameters, normed_cd, &mut logits_cv, self.arena);
            for (logits_v, running) in logits_cv.chunks_exact(vocabulary).zip(&mut asked) {
                let said = self.next(running, logits_v, on_token, &mut going)?;
                go = if said == Go::Enough { said } else { go };
            }
        }
        self.running = going;
        Ok(go)
    }

    /// Chooses a token of one answer, which then goes on or ends.
    fn next(
        &mut self,
        mut running: Running,
        logits_v: &[f32],
        on_token: &mut dyn FnMut(usize, u32) -> Go,
        going: &mut Vec<Running>,
    ) -> Result<Go, GenerateError> {
        running.document.tokens.append(&mut running.fresh);
        if self.limits.max_new_tokens == 0 {
            self.end(running, End::Length);
            return Ok(Go::On);
        }
        let token = running.sampler.choose(logits_v, &running.document.tokens)?;
        if self.limits.stop_tokens.contains(&token) {
            self.end(running, End::Stop);
            return Ok(Go::On);
        }
        running.answer.push(token);
        let go = on_token(running.index, token);
        let full = running.document.tokens.len() + 1 >= self.limits.max_positions;
        if go == Go::Ended {
            self.end(running, End::Stop);
        } else if running.answer.len() >= self.limits.max_new_tokens || full {
            self.end(running, End::Length);
        } else {
            running.fresh = vec![token];
            going.push(running);
        }
        Ok(go)
    }

    fn end(&mut self, running: Running, end: End) {
        let Running { index, document, answer, .. } = running;
        let document = match self.limits.documents {
            Documents::Kept => document,
            Documents::Dropped => self.empty(),
        };
        self.answers[index] = Some(Answer { tokens: answer, end, document });
    }

    /// Ends everything.
    fn interrupt(&mut self) {
        for running in std::mem::take(&mut self.running) {
            self.end(running, End::Interrupted);
        }
    }

    /// The empty answer to a request that was not begun.
    fn leave_out(&mut self) {
        let document = self.empty();
        self.answers.push(Some(Answer { tokens: Vec::new(), end: End::Interrupted, document }));
    }

    fn empty(&self) -> Document {
        Document { cache: self.decoder.empty_cache(), tokens: Vec::new() }
    }
}

impl Request {
    /// Tokens of the prompt that need not be computed. At least the last one is: its logits choose the first token of
    /// the answer.
    fn shared(&self) -> usize {
        let held = self.document.as_ref().map_or(&[][..], |document| &document.tokens);
        let shared = held.iter().zip(&self.prompt).take_while(|(held, new)| held == new).count();
        shared.min(self.prompt.len() - 1)
    }
}
