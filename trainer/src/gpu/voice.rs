//! Answers on a GPU, and how likely texts are there.

use half::bf16;
use rtune_adapters::ParameterEntry;
use rtune_data::{Example, pack};
use rtune_kernels::cross_entropy::RowLoss;
use rtune_kernels::cuda::{Arena, CudaError, Device, Span};
use rtune_models::Decoder;
use rtune_models::decoder::gpu::{Embeddings, GpuError, GpuPass};
use rtune_models::generate::{
    Answer, Document, GenerateError, Go, GpuModel, Limits, Model, New, Request, generate_with,
};

use super::loss::Supervised;
use super::parameters::GpuParameters;
use super::resident::Resident;
use crate::talk::BATCH_TOKENS;

/// Keys and values of documents under way take at most this much; fewer answers are under way at once where they would take
/// more.
const CACHE_BYTES: usize = 4 << 30;

/// A decoder on a GPU, with two sets of numbers beside it: those that were trained, and those with which it is its base.
#[derive(Clone, Copy)]
pub(crate) struct Voice<'a> {
    resident: &'a Resident,
    tuned: Option<Span<'a, bf16>>,
    untrained: Option<Span<'a, bf16>>,
}

/// What a [`Voice`] of a model that was opened, and is not trained, speaks with.
pub(crate) struct GpuOpened {
    resident: Resident,
    tuned: Option<GpuParameters>,
    untrained: Option<GpuParameters>,
}

impl GpuOpened {
    /// Uploads a decoder and both sets of numbers, either of which may be empty.
    ///
    /// # Errors
    /// [`GpuError::Refused`] for what only the processor computes, and if there is not as much memory.
    pub(crate) fn new(
        device: &Device,
        decoder: &Decoder,
        entries: &[ParameterEntry],
        [tuned, untrained]: [&[f32]; 2],
    ) -> Result<Self, GpuError> {
        let (resident, layout) = Resident::new(device, decoder, entries, Embeddings::OnDevice)?;
        let upload = |values: &[f32]| match values {
            [] => Ok(None),
            values => GpuParameters::new(device, layout.clone(), values).map(Some),
        };
        Ok(Self { tuned: upload(tuned)?, untrained: upload(untrained)?, resident })
    }

    pub(crate) fn voice(&self) -> Voice<'_> {
        let [tuned, untrained] =
            [&self.tuned, &self.untrained].map(|numbers| numbers.as_ref().map(GpuParameters::shadow));
        Voice { resident: &self.resident, tuned, untrained }
    }
}

impl std::fmt::Debug for GpuOpened {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("GpuOpened").field("device", &self.resident.device).finish_non_exhaustive()
    }
}

impl<'a> Voice<'a> {
    /// Of a model that is being trained: without its numbers it is its base.
    pub(super) fn new(resident: &'a Resident, tuned: Span<'a, bf16>) -> Self {
        Self { resident, tuned: Some(tuned), untrained: None }
    }

    /// [`rtune_models::generate::generate`]; documents are not kept, since there is room for those under way alone.
    ///
    /// # Errors
    /// [`GenerateError`].
    pub(crate) fn generate(
        self,
        requests: impl IntoIterator<Item = Request>,
        limits: &Limits,
        tuned: bool,
        host: &Decoder,
        on_token: &mut dyn FnMut(usize, u32) -> Go,
    ) -> Result<Vec<Answer>, GenerateError> {
        let requests: Vec<Request> = requests.into_iter().collect();
        let longest = requests.iter().map(|request| request.prompt.len()).max().unwrap_or(0);
        let capacity = (longest + limits.max_new_tokens).min(limits.max_positions).max(1);
        let wanted = limits.batch_documents.min(requests.len());
        let batch_tokens = limits.batch_tokens.min(BATCH_TOKENS);
        let (adapters, decoder) = (self.numbers(tuned), &self.resident.decoder);
        let mut slots = (CACHE_BYTES / (capacity * self.token_bytes()).max(1)).clamp(1, wanted.max(1));
        let arena = loop {
            let tokens = batch_tokens.max(longest).max(slots * self.turned_anew(capacity));
            let arena = self.resident.room(|device, arena| {
                let model = GpuModel::new(decoder, pass(device, arena, adapters), [slots, capacity])?;
                largest_pass(&model, [slots, capacity], tokens)
            });
            match arena {
                // Fewer at once take longer, and do as well.
                Err(CudaError::OutOfMemory { .. }) if slots > 1 => slots /= 2,
                arena => break arena.map_err(GpuError::from)?,
            }
        };
        let limits = Limits { batch_documents: slots, batch_tokens, ..limits.clone() };
        let pass = pass(&self.resident.device, &arena, adapters);
        let model = GpuModel::new(decoder, pass, [slots, capacity]).map_err(GpuError::from)?;
        let fresh = |Request { prompt, sampler, .. }: Request| Request { prompt, sampler, document: None };
        let answers = generate_with(&model, requests.into_iter().map(fresh), &limits, on_token)?;
        let on_host = |Answer { tokens, end, .. }| {
            let document = Document::new(Vec::new(), host.empty_cache());
            Answer { tokens, end, document }
        };
        Ok(answers.into_iter().map(on_host).collect())
    }

    /// The losses of the supervised tokens of each text, in order; the first token is none of them. Several texts make a pass of about `pass_tokens` tokens.
    /// `go_on` is asked behind every pass, with (texts done, texts in all): where it says no, the rest has no losses.
    ///
    /// # Errors
    /// [`GpuError`].
    pub(crate) fn losses(
        self,
        texts: &[&Example],
        pass_tokens: usize,
        tuned: bool,
        go_on: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Vec<Vec<RowLoss>>, GpuError> {
        let mut all = Vec::with_capacity(texts.len());
        while all.len() < texts.len() {
            let rest = &texts[all.len()..];
            let mut tokens = 0;
            let fits = |text: &&&Example| {
                tokens += text.tokens.len();
                tokens <= pass_tokens || tokens == text.tokens.len()
            };
            let group: Vec<&Example> = rest.iter().take_while(fits).copied().collect();
            all.extend(self.losses_of_one_pass(&group, tuned)?);
            if !go_on(all.len(), texts.len()) {
                break;
            }
        }
        Ok(all)
    }

    fn losses_of_one_pass(self, texts: &[&Example], tuned: bool) -> Result<Vec<Vec<RowLoss>>, GpuError> {
        let (adapters, decoder) = (self.numbers(tuned), &self.resident.decoder);
        let mut losses = Vec::new();
        // One row, in which they stand in their order.
        for row in pack(texts, texts.iter().map(|text| text.tokens.len()).sum()) {
            let supervised = Supervised::new(&row, None);
            if supervised.is_empty() {
                continue;
            }
            let of =
                |device: &Device, arena: &Arena| supervised.evaluate(decoder, &pass(device, arena, adapters));
            let arena = self.resident.room(|device, arena| of(device, arena).map(drop))?;
            losses.extend(of(&self.resident.device, &arena)?);
        }
        let mut losses = losses.into_iter();
        let targets =
            |text: &Example| text.supervised.iter().skip(1).filter(|&&supervised| supervised).count();
        Ok(texts.iter().map(|text| losses.by_ref().take(targets(text)).collect()).collect())
    }

    fn numbers(self, tuned: bool) -> Option<Span<'a, bf16>> {
        if tuned { self.tuned } else { self.untrained }
    }

    /// Tokens of a document of up to `capacity` that one pass computes anew, since it became so long that its rope turns
    /// otherwise.
    fn turned_anew(self, capacity: usize) -> usize {
        let bounds = self.resident.decoder.spec().ropes.iter().filter_map(|rope| rope.long.as_ref());
        bounds
            .map(|(longest_short, _)| longest_short + 1)
            .filter(|&tokens| tokens <= capacity)
            .max()
            .unwrap_or(0)
    }

    /// Bytes of the keys and values of one token.
    fn token_bytes(self) -> usize {
        let spec = self.resident.decoder.spec();
        2 * spec.kv_row() * spec.blocks.len() * size_of::<bf16>()
    }
}

fn pass<'a>(device: &'a Device, arena: &'a Arena, adapters: Option<Span<'a, bf16>>) -> GpuPass<'a> {
    GpuPass { device, arena, adapters, aside: None }
}

/// Runs a pass that takes as much memory as any with `tokens` tokens of prompts, and all documents under way.
fn largest_pass(
    model: &GpuModel<'_>,
    [slots, capacity]: [usize; 2],
    mut tokens: usize,
) -> Result<(), CudaError> {
    let prompt = vec![0; capacity];
    let failed = |error| match error {
        GenerateError::Gpu(GpuError::Cuda(error)) => error,
        error => unreachable!("a dry run fails by its device alone: {error}"),
    };
    let documents = (0..slots).map(|_| model.empty()).collect::<Result<Vec<_>, _>>();
    let mut documents = documents.map_err(failed)?;
    let new = documents.iter_mut().map(|cache| {
        let length = (tokens + 1).min(capacity);
        tokens -= length - 1;
        New { tokens: &prompt[..length], cache }
    });
    model.next(new.collect(), &mut |_| Ok(())).map_err(failed)
}
