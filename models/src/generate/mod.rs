//! Answers: many prompts at a time, without padding.
//!
//! A pass takes one token of every answer that is under way and the whole prompts of those that begin, as one packed row;
//! an answer that ends makes room for the next prompt at once. Answers are the same for any number of threads.

mod likely;
mod model;
mod sampling;

use std::iter::Peekable;

use rtune_kernels::arena::Arena;

use crate::Decoder;
use crate::decoder::KvCache;
use crate::decoder::gpu::GpuError;

pub use model::{GpuModel, HostModel, Model, New};
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
    /// More documents than the model has room for.
    #[error("there is no room for another document")]
    NoRoom,
    /// The GPU failed.
    #[error(transparent)]
    Gpu(#[from] GpuError),
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
            Self::Gpu(error) => return error.hint().map(str::to_owned),
            Self::Empty | Self::NoRoom | Self::Sampling(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// A document that has been answered, ready to be gone on with; `C` keeps its keys and values.
#[derive(Clone, Debug)]
pub struct Document<C = KvCache<f32>> {
    cache: C,
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
pub struct Request<C = KvCache<f32>> {
    /// Token ids, at least one.
    pub prompt: Vec<u32>,
    /// How tokens are chosen.
    pub sampler: Sampler,
    /// An earlier answer's document: what it shares with the prompt is not computed again.
    pub document: Option<Document<C>>,
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
pub struct Answer<C = KvCache<f32>> {
    /// Token ids, without the stop token.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub end: End,
    /// Prompt and answer, to go on from; empty where [`Limits::documents`] says so, and where the
    /// model has no room for what is over.
    pub document: Document<C>,
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
    let model = HostModel::new(decoder, parameters, limits.max_positions, arena);
    generate_with(&model, requests, limits, on_token)
}

/// [`generate`] with any model.
///
/// # Errors
/// [`GenerateError`].
pub fn generate_with<M: Model>(
    model: &M,
    requests: impl IntoIterator<Item = Request<M::Cache>>,
    limits: &Limits,
    on_token: &mut dyn FnMut(usize, u32) -> Go,
) -> Result<Vec<Answer<M::Cache>>, GenerateError> {
    let mut batch = Batch { model, limits, running: Vec::new(), answers: Vec::new() };
    let mut waiting = requests.into_iter().peekable();
    loop {
        batch.admit(&mut waiting)?;
        if batch.running.is_empty() {
            break;
        }
        if batch.pass(on_token)? == Go::Enough {
            batch.interrupt();
            for _ in waiting {
                batch.leave_out()?;
            }
            break;
        }
    }
    Ok(batch.answers.into_iter().flatten().collect())
}

fn check<C>(vocabulary: usize, request: &Request<C>, limits: &Limits) -> Result<(), GenerateError> {
    let longest = limits.max_positions;
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
struct Running<C> {
    index: usize,
    document: Document<C>,
    /// Tokens that the next pass computes: the rest of the prompt, then the newest token.
    fresh: Vec<u32>,
    sampler: Sampler,
    answer: Vec<u32>,
}

struct Batch<'a, M: Model> {
    model: &'a M,
    limits: &'a Limits,
    running: Vec<Running<M::Cache>>,
    answers: Vec<Option<Answer<M::Cache>>>,
}

impl<M: Model> Batch<'_, M> {
    /// Takes waiting prompts while there is room in the batch and in the pass.
    fn admit(
        &mut self,
        waiting: &mut Peekable<impl Iterator<Item = Request<M::Cache>>>,
    ) -> Result<(), GenerateError> {
        let mut tokens = 0;
        while self.running.len() < self.limits.batch_documents.max(1) {
            let Some(request) = waiting.peek() else { return Ok(()) };
            check(self.model.vocabulary(), request, self.limits)?;
            let kept = request.shared();
            let own = request.prompt.len() - kept;
            if tokens > 0 && tokens + own > self.limits.batch_tokens {
                return Ok(());
            }
            tokens += own;
            let Some(Request { prompt, sampler, document }) = waiting.next() else { return Ok(()) };
            let mut document = match document.filter(|document| !document.tokens.is_empty()) {
                Some(document) => document,
                None => self.empty()?,
            };
            self.model.truncate(&mut document.cache, kept);
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
        let mut asked = std::mem::take(&mut self.running);
        let fresh: Vec<Vec<u32>> =
            asked.iter_mut().map(|running| std::mem::take(&mut running.fresh)).collect();
        let (mut documents, mut choosers) =
            (Vec::with_capacity(asked.len()), Vec::with_capacity(asked.len()));
        for (running, fresh) in asked.iter_mut().zip(&fresh) {
            let Running { document: Document { cache, tokens }, sampler, .. } = running;
            tokens.extend_from_slice(fresh);
            documents.push(New { tokens: fresh, cache });
            choosers.push((sampler, tokens));
        }
        let wanted = self.limits.max_new_tokens > 0;
        let mut chosen = Vec::with_capacity(choosers.len());
        let mut choosers = choosers.into_iter();
        self.model.next(documents, &mut |logits_v| {
            let Some((sampler, tokens)) = choosers.next().filter(|_| wanted) else { return Ok(()) };
            chosen.push(sampler.choose(logits_v, tokens)?);
            Ok(())
        })?;
        drop(choosers);
        let mut go = Go::On;
        let mut chosen = chosen.into_iter();
        for running in asked {
            match chosen.next() {
                Some(token) => {
                    let said = self.next(running, token, on_token);
                    go = if said == Go::Enough { said } else { go };
                }
                None => self.end(running, End::Length),
            }
        }
        Ok(go)
    }

    /// Adds a token to one answer, which then goes on or ends.
    fn next(
        &mut self,
        mut running: Running<M::Cache>,
        token: u32,
        on_token: &mut dyn FnMut(usize, u32) -> Go,
    ) -> Go {
        if self.limits.stop_tokens.contains(&token) {
            self.end(running, End::Stop);
            return Go::On;
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
            self.running.push(running);
        }
        go
    }

    fn end(&mut self, running: Running<M::Cache>, end: End) {
        let Running { index, mut document, answer, .. } = running;
        if self.limits.documents == Documents::Dropped || !self.model.keeps() {
            self.model.forget(&mut document.cache);
            document.tokens.clear();
        }
        self.answers[index] = Some(Answer { tokens: answer, end, document });
    }

    /// Ends everything.
    fn interrupt(&mut self) {
        for running in std::mem::take(&mut self.running) {
            self.end(running, End::Interrupted);
        }
    }

    /// The empty answer to a request that was not begun.
    fn leave_out(&mut self) -> Result<(), GenerateError> {
        let mut document = self.empty()?;
        self.model.forget(&mut document.cache);
        self.answers.push(Some(Answer { tokens: Vec::new(), end: End::Interrupted, document }));
        Ok(())
    }

    fn empty(&self) -> Result<Document<M::Cache>, GenerateError> {
        Ok(Document { cache: self.model.empty()?, tokens: Vec::new() })
    }
}

impl<C> Request<C> {
    /// Tokens of the prompt that need not be computed. At least the last one is: its logits choose the first token of
    /// the answer.
    fn shared(&self) -> usize {
        let held = self.document.as_ref().map_or(&[][..], |document| &document.tokens);
        let shared = held.iter().zip(&self.prompt).take_while(|(held, new)| held == new).count();
        shared.min(self.prompt.len() - 1)
    }
}
