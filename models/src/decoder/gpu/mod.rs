//! The decoder on a GPU: the same blocks in the same order, activations in bf16, forward and backward by hand.
//!
//! Every matrix of activations comes from an arena that is made once; what a pass takes follows from its row alone, so a
//! dry run on [`Device::dry`] says how large the arena must be.
//!
//! Legend: T tokens, D width, H query heads, K key-value heads, E head width, F width of the MLP, V vocabulary, N chosen
//! rows, R ranks of the adapters beside linears that read the same.

mod attention;
mod block;
mod cache;
mod context;
mod experts;
mod group;
mod head;
mod mlp;
mod norm;
mod ropes;

use std::cell::RefCell;
use std::rc::Rc;

use half::bf16;
use rtune_adapters::PaddedLayout;
use rtune_kernels::cuda::noise::Draw;
use rtune_kernels::cuda::{Arena, Aside, Buffer, Coming, CudaError, Device, Leaving, Span, SpanMut, rows};
use rtune_kernels::noise::stream_of;

use super::{Decoder, Keep, RowView, SavePolicy};
use crate::DecoderSpec;
use block::{GpuBlock, Inner};
use context::{Context, Row, Rows};
use norm::GpuNorm;
use ropes::GpuRopes;

pub use cache::{GpuCache, GpuDocument, GpuFresh};
pub use head::{GpuHeadRows, Logits, NormedGradient, OutputGradient};

/// Why a decoder is not on the GPU.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// Something of the model, or of what is trained of it, that only the CPU computes.
    #[error("`{name}`: {problem}")]
    Refused {
        /// Which part.
        name: String,
        /// What about it.
        problem: String,
    },
    /// The GPU failed.
    #[error(transparent)]
    Cuda(#[from] CudaError),
}

impl GpuError {
    /// What to do about it, where there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Refused { .. } => Some("train on the CPU: device = \"cpu\""),
            Self::Cuda(error) => error.hint(),
        }
    }
}

/// A decoder in the memory of a GPU.
pub struct GpuDecoder {
    device: Device,
    spec: DecoderSpec,
    /// `[V, D]`.
    embedding: Table,
    blocks: Vec<GpuBlock>,
    final_norm: GpuNorm,
    /// `[V, D]`; `None` where the head is the embedding.
    head: Option<Buffer<bf16>>,
    ropes: RefCell<Rc<GpuRopes>>,
}

/// What a pass is given.
#[derive(Clone, Copy)]
pub struct GpuPass<'a> {
    /// Where it runs: where the decoder is, or on [`Device::dry`] to see what it takes.
    pub device: &'a Device,
    /// Where activations live.
    pub arena: &'a Arena,
    /// The shadow of the trained numbers, laid out by [`PaddedLayout`]; `None` for the base alone.
    pub adapters: Option<Span<'a, bf16>>,
    /// Where inputs of blocks go that [`SavePolicy::Offloaded`] keeps.
    pub aside: Option<&'a Aside>,
}

/// What [`GpuDecoder::forward`] gives.
pub struct GpuForward {
    /// The output of the last block, before the final norm, `[T, D]`.
    output: Rows,
    saved: Vec<Saved>,
    row: Row,
    ropes: Rc<GpuRopes>,
}

/// Where the rows of the embedding are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Embeddings {
    /// In the GPU's memory.
    #[default]
    OnDevice,
    /// In the host's, of which each pass gets those of its tokens; an embedding that is the head too is on the device all
    /// the same.
    OnHost,
}

enum Table {
    Device(Buffer<bf16>),
    Host(Vec<bf16>),
}

/// What is kept of a block.
enum Saved {
    Nothing,
    /// Its input, and what else is dear to compute again.
    Here(Rows, Option<Box<Inner>>),
    /// Its input, in the host's memory.
    Aside,
}

impl GpuDecoder {
    /// Uploads a decoder with the adapters that were put beside its linears; `layout` is that of the trained numbers.
    ///
    /// # Errors
    /// [`GpuError::Refused`] for what is trained beside LoRA, and for matrices whose sides are no multiples of 8; those of
    /// the GPU.
    pub fn upload(
        device: &Device,
        decoder: &Decoder,
        layout: &PaddedLayout,
        embeddings: Embeddings,
    ) -> Result<Self, GpuError> {
        let spec = decoder.spec.clone();
        let refused = |name: &str, problem: &str| {
            Err(GpuError::Refused { name: name.to_owned(), problem: problem.to_owned() })
        };
        if let Some(norm) = decoder.norms().find(|norm| norm.is_trained()) {
            return refused(&norm.name, "norms are trained on the CPU only");
        }
        let tables = std::iter::once(&decoder.embedding).chain(&decoder.head);
        if let Some(table) = tables.into_iter().find(|table| table.is_trained()) {
            return refused(table.name(), "embedding and head are trained on the CPU only");
        }
        if !spec.width.is_multiple_of(8) {
            return refused(spec.names.embedding, &format!("a width of {}: no multiple of 8", spec.width));
        }
        let head = decoder.head.as_ref().map(|head| group::dense(device, &head.weight)).transpose()?;
        let blocks = decoder.blocks.iter().map(|block| GpuBlock::upload(device, block, layout));
        Ok(Self {
            embedding: match embeddings {
                Embeddings::OnHost if head.is_some() => Table::Host(group::narrow(&decoder.embedding.weight)),
                _ => Table::Device(group::dense(device, &decoder.embedding.weight)?),
            },
            blocks: blocks.collect::<Result<_, _>>()?,
            final_norm: GpuNorm::upload(device, &decoder.final_norm)?,
            head,
            ropes: RefCell::new(Rc::new(GpuRopes::new(device, &spec, 1)?)),
            device: device.clone(),
            spec,
        })
    }

    /// What the decoder is made of.
    #[must_use]
    pub fn spec(&self) -> &DecoderSpec {
        &self.spec
    }

    /// Where it is.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The rotations of positions below `positions`, made anew where there are not as many.
    fn ropes(&self, positions: usize) -> Result<Rc<GpuRopes>, CudaError> {
        let mut ropes = self.ropes.borrow_mut();
        if ropes.positions() < positions {
            *ropes = Rc::new(GpuRopes::new(&self.device, &self.spec, positions)?);
        }
        Ok(Rc::clone(&ropes))
    }

    fn context<'a>(&'a self, pass: &GpuPass<'a>, forward: &'a GpuForward) -> Context<'a> {
        self.context_of(pass, &forward.row, &forward.ropes)
    }

    fn context_of<'a>(&'a self, pass: &GpuPass<'a>, row: &'a Row, ropes: &'a GpuRopes) -> Context<'a> {
        let GpuPass { device, arena, adapters, .. } = *pass;
        Context { device, arena, adapters, row, ropes, keys: row.keys() }
    }

    /// Runs the blocks over one packed row.
    ///
    /// # Errors
    /// If the arena is too small or a launch fails.
    ///
    /// # Panics
    /// As [`Decoder::forward`].
    pub fn forward(
        &self,
        pass: &GpuPass<'_>,
        row: &RowView<'_>,
        policy: SavePolicy,
    ) -> Result<GpuForward, CudaError> {
        assert!(row.positions.len() == row.tokens.len(), "row: one position a token");
        assert_eq!(row.bounds.last(), Some(&row.tokens.len()), "row: bounds");
        let ropes = self.ropes(row.positions.iter().max().map_or(0, |&last| last as usize + 1))?;
        let on_device = Row::new(pass.device, pass.arena, &self.spec, &ropes, row)?;
        let c = self.context_of(pass, &on_device, &ropes);
        let mut x = self.embed(&c, row)?;
        let blocks = self.blocks.len();
        let lowest = self.lowest_trained().unwrap_or(blocks);
        let mut saved = Vec::with_capacity(blocks);
        for (index, block) in self.blocks.iter().enumerate() {
            let keep = policy.keep(index, blocks, lowest);
            // The copy goes on beside the block, which reads the same; what comes behind the block waits for it.
            let leaving = match keep {
                Keep::InputAside => Some(aside_of(pass).put(index, x.part())?),
                _ => None,
            };
            let (y, inner) = block.forward(&c, &x)?;
            leaving.map_or(Ok(()), Leaving::join)?;
            saved.push(match keep {
                Keep::Nothing => Saved::Nothing,
                Keep::InputAside => Saved::Aside,
                Keep::Input => Saved::Here(x, None),
                Keep::All => Saved::Here(x, Some(Box::new(inner))),
            });
            x = y;
        }
        Ok(GpuForward { output: x, saved, row: on_device, ropes })
    }

    fn embed(&self, c: &Context<'_>, row: &RowView<'_>) -> Result<Rows, CudaError> {
        let (tokens, width) = (row.tokens.len(), self.spec.width);
        let scale = self.spec.embedding_scale as f32;
        let mut x = match &self.embedding {
            Table::Device(table) => {
                let mut x = Rows::new(c.arena, tokens, width)?;
                let table = table.all().matrix(self.spec.vocabulary, width);
                rows::gather(c.device, table, c.row.tokens.all(), scale, x.all_mut())?;
                x
            }
            Table::Host(table) => {
                let of = |token: &u32| &table[*token as usize * width..][..width];
                let scaled = |value: &bf16| bf16::from_f32(value.to_f32() * scale);
                let values: Vec<bf16> = row.tokens.iter().flat_map(of).map(scaled).collect();
                Rows::of(c.arena.upload(c.device, &values)?, tokens, width)
            }
        };
        let Some((noise, keys)) = row.noise.filter(|noise| noise.neftune_alpha > 0.0).zip(c.keys) else {
            return Ok(x);
        };
        for ends in row.bounds.windows(2).filter(|ends| ends[0] < ends[1]) {
            let bound = noise.neftune_alpha / (((ends[1] - ends[0]) * width) as f64).sqrt();
            let bound = self.spec.noise_scale * bound;
            let draw = Draw { keys: keys.slice(ends[0]..ends[1]), stream: stream_of("embeddings") };
            draw.add_uniform(c.device, bound, x.all_mut().rows(ends[0]..ends[1]))?;
        }
        Ok(x)
    }

    /// Adds the gradients of all adapters to `gradients`, laid out as the shadow; blocks below the lowest adapter are not
    /// walked.
    ///
    /// # Errors
    /// If the arena is too small or a launch fails.
    ///
    /// # Panics
    /// If the forward pass saved nothing.
    pub fn backward(
        &self,
        pass: &GpuPass<'_>,
        forward: GpuForward,
        d_output: OutputGradient,
        mut gradients: SpanMut<'_, f32>,
    ) -> Result<(), CudaError> {
        let Some(lowest) = self.lowest_trained() else { return Ok(()) };
        let GpuForward { output, mut saved, row, ropes } = forward;
        drop(output);
        let c = self.context_of(pass, &row, &ropes);
        let mut dr = d_output.0;
        let elements = row.count() * self.spec.width;
        let bring = |index: usize| aside_of(pass).take(index, elements, pass.arena).map(Some);
        let mut coming: Option<Coming<bf16>> = None;
        for (index, block) in self.blocks.iter().enumerate().skip(lowest).rev() {
            let (x, inner) = match saved.pop().filter(|_| saved.len() == index) {
                Some(Saved::Here(x, inner)) => (x, inner),
                Some(Saved::Aside) => {
                    let came = match coming.take() {
                        Some(coming) => Some(coming),
                        None => bring(index)?,
                    };
                    let part = came.map(Coming::join).transpose()?.expect("what was asked for");
                    if index > lowest {
                        // On its way while this block is computed.
                        coming = bring(index - 1)?;
                    }
                    (Rows::of(part, row.count(), self.spec.width), None)
                }
                Some(Saved::Nothing) | None => panic!("backward: the forward pass saved its inputs"),
            };
            let inner = match inner {
                Some(inner) => *inner,
                None => block.forward(&c, &x)?.1,
            };
            block.backward(&c, &x, inner, &mut dr, index > lowest, &mut gradients)?;
        }
        Ok(())
    }

    /// The first block that the gradient goes through; `None` where nothing is trained.
    fn lowest_trained(&self) -> Option<usize> {
        self.blocks.iter().position(GpuBlock::is_trained)
    }
}

/// Where inputs of blocks are kept in the host's memory.
fn aside_of<'a>(pass: &GpuPass<'a>) -> &'a Aside {
    pass.aside.expect("a pass whose inputs are offloaded is told where to")
}
