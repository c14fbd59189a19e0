//! What answers: the decoder on the processor, or on a GPU.

use std::rc::Rc;

use rtune_kernels::arena::Arena;
use rtune_kernels::cuda::CudaError;

use super::GenerateError;
use crate::Decoder;
use crate::decoder::gpu::{GpuCache, GpuDecoder, GpuDocument, GpuError, GpuFresh, GpuPass};
use crate::decoder::{Fresh, KvCache, Positions};

/// New tokens of one document.
pub struct New<'a, C> {
    /// Token ids, at least one.
    pub tokens: &'a [u32],
    /// What came before them; they are added.
    pub cache: &'a mut C,
}

/// A decoder that goes on documents, whose keys and values it keeps.
pub trait Model {
    /// Keys and values of a document.
    type Cache;

    /// How many tokens there are to choose from.
    fn vocabulary(&self) -> usize;

    /// Of a document without a token.
    ///
    /// # Errors
    /// If there is no room for another one.
    fn empty(&self) -> Result<Self::Cache, GenerateError>;

    /// Forgets everything behind the first `tokens` tokens.
    fn truncate(&self, cache: &mut Self::Cache, tokens: usize);

    /// Whether there is room for the keys and values of documents that are over.
    fn keeps(&self) -> bool;

    /// Makes room: nothing of this document is kept any more.
    fn forget(&self, cache: &mut Self::Cache);

    /// Computes the new tokens of several documents in one pass; `take` gets the logits behind the last token of each, in
    /// order, `[V]`.
    ///
    /// # Errors
    /// Those of `take`, and of a GPU.
    fn next(
        &self,
        documents: Vec<New<'_, Self::Cache>>,
        take: &mut dyn FnMut(&[f32]) -> Result<(), GenerateError>,
    ) -> Result<(), GenerateError>;
}

/// A decoder on the processor.
pub struct HostModel<'a> {
    decoder: &'a Decoder,
    parameters: &'a [f32],
    positions: Positions<f32>,
    arena: &'a Arena<f32>,
}

impl<'a> HostModel<'a> {
    /// `parameters`: the adapter's numbers, or empty for the base alone.
    #[must_use]
    pub fn new(
        decoder: &'a Decoder,
        parameters: &'a [f32],
        max_positions: usize,
        arena: &'a Arena<f32>,
    ) -> Self {
        Self { decoder, parameters, positions: decoder.positions(max_positions), arena }
    }
}

impl Model for HostModel<'_> {
    type Cache = KvCache<f32>;

    fn vocabulary(&self) -> usize {
        self.decoder.spec().vocabulary
    }

    fn empty(&self) -> Result<KvCache<f32>, GenerateError> {
        Ok(self.decoder.empty_cache())
    }

    fn truncate(&self, cache: &mut KvCache<f32>, tokens: usize) {
        cache.truncate(tokens);
    }

    fn keeps(&self) -> bool {
        true
    }

    fn forget(&self, cache: &mut KvCache<f32>) {
        *cache = self.decoder.empty_cache();
    }

    fn next(
        &self,
        documents: Vec<New<'_, KvCache<f32>>>,
        take: &mut dyn FnMut(&[f32]) -> Result<(), GenerateError>,
    ) -> Result<(), GenerateError> {
        let Self { decoder, parameters, positions, arena } = self;
        let ends = documents.iter().scan(0, |end, new| {
            *end += new.tokens.len();
            Some(*end - 1)
        });
        let last_rows = ends.collect();
        let fresh = documents.into_iter().map(|New { tokens, cache }| Fresh { tokens, cache }).collect();
        let output = decoder.forward_cached(parameters, fresh, positions, arena);
        let head = decoder.head_rows(parameters, &output, last_rows, arena);
        drop(output);
        let (width, vocabulary) = (decoder.spec().width, decoder.spec().vocabulary);
        for normed_cd in head.normed_nd.chunks(decoder.head_chunk_rows() * width) {
            let mut logits_cv = arena.take(normed_cd.len() / width * vocabulary);
            decoder.logits(parameters, normed_cd, &mut logits_cv, arena);
            logits_cv.chunks_exact(vocabulary).try_for_each(&mut *take)?;
        }
        drop(head);
        arena.give_back();
        Ok(())
    }
}

/// A decoder on a GPU, with room for a number of documents.
pub struct GpuModel<'a> {
    decoder: &'a GpuDecoder,
    pass: GpuPass<'a>,
    cache: Rc<GpuCache>,
}

impl<'a> GpuModel<'a> {
    /// Room for `slots` documents of at most `capacity` tokens each, in the arena of `pass`.
    ///
    /// # Errors
    /// If that is too small.
    pub fn new(
        decoder: &'a GpuDecoder,
        pass: GpuPass<'a>,
        [slots, capacity]: [usize; 2],
    ) -> Result<Self, CudaError> {
        Ok(Self { decoder, pass, cache: decoder.cache(pass.arena, slots, capacity)? })
    }
}

impl Model for GpuModel<'_> {
    type Cache = GpuDocument;

    fn vocabulary(&self) -> usize {
        self.decoder.spec().vocabulary
    }

    fn empty(&self) -> Result<GpuDocument, GenerateError> {
        self.cache.document().ok_or(GenerateError::NoRoom)
    }

    fn truncate(&self, cache: &mut GpuDocument, tokens: usize) {
        cache.truncate(tokens);
    }

    fn keeps(&self) -> bool {
        false
    }

    fn forget(&self, cache: &mut GpuDocument) {
        cache.release();
    }

    fn next(
        &self,
        documents: Vec<New<'_, GpuDocument>>,
        take: &mut dyn FnMut(&[f32]) -> Result<(), GenerateError>,
    ) -> Result<(), GenerateError> {
        let mut fresh: Vec<GpuFresh<'_>> =
            documents.into_iter().map(|New { tokens, cache }| GpuFresh { tokens, document: cache }).collect();
        let mut logits = || {
            let (forward, last) = self.decoder.forward_cached(&self.pass, &self.cache, &mut fresh)?;
            let head = self.decoder.head_rows(&self.pass, &forward, &last)?;
            drop(forward);
            self.decoder.logits_on_host(&self.pass, &head)
        };
        let (logits_nv, vocabulary) = (logits().map_err(GpuError::from)?, self.vocabulary());
        logits_nv.chunks_exact(vocabulary).try_for_each(take)
    }
}
