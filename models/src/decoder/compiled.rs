//! What the decoder does, compiled in this crate, once for each element type.
//!
//! A generic function is compiled where it is called, with that crate's settings: a program that asks for small code would
//! have an engine without vectors, and each crate that runs a decoder one of its own.

use rtune_kernels::arena::{Arena, Buffer};
use rtune_kernels::real::Real;

use super::{Decoder, Forward, Fresh, HeadRows, Positions, RowView, SavePolicy};

/// An element type that a decoder runs in: `f32`, and with the feature `f64` that too.
pub trait Compiled: Real {
    /// See [`Decoder::forward`].
    #[doc(hidden)]
    fn forward(
        decoder: &Decoder,
        parameters: &[Self],
        row: &RowView<'_>,
        policy: SavePolicy,
        arena: &Arena<Self>,
    ) -> Forward<Self>;

    /// See [`Decoder::backward`].
    #[doc(hidden)]
    fn backward(
        decoder: &Decoder,
        parameters: &[Self],
        row: &RowView<'_>,
        forward: Forward<Self>,
        d_output_td: Buffer<Self>,
        gradients: &mut [Self],
        arena: &Arena<Self>,
    );

    /// See [`Decoder::forward_cached`].
    #[doc(hidden)]
    fn forward_cached(
        decoder: &Decoder,
        parameters: &[Self],
        documents: Vec<Fresh<'_, Self>>,
        positions: &Positions<Self>,
        arena: &Arena<Self>,
    ) -> Buffer<Self>;

    /// See [`Decoder::head_rows`].
    #[doc(hidden)]
    fn head_rows(
        decoder: &Decoder,
        parameters: &[Self],
        output_td: &[Self],
        rows: Vec<usize>,
        arena: &Arena<Self>,
    ) -> HeadRows<Self>;

    /// See [`Decoder::logits`].
    #[doc(hidden)]
    fn logits(
        decoder: &Decoder,
        parameters: &[Self],
        normed_nd: &[Self],
        logits_nv: &mut [Self],
        arena: &Arena<Self>,
    );

    /// See [`Decoder::logit_slopes`].
    #[doc(hidden)]
    fn logit_slopes(decoder: &Decoder, logits_nv: &[Self], arena: &Arena<Self>) -> Option<Buffer<Self>>;

    /// See [`Decoder::logits_backward`].
    #[doc(hidden)]
    #[expect(clippy::too_many_arguments, reason = "what a backward pass reads, and the two places it writes")]
    fn logits_backward(
        decoder: &Decoder,
        parameters: &[Self],
        normed_nd: &[Self],
        d_logits_nv: &mut [Self],
        slopes_nv: Option<&[Self]>,
        gradients: &mut [Self],
        d_normed_nd: &mut [Self],
        arena: &Arena<Self>,
    );

    /// See [`Decoder::head_backward`].
    #[doc(hidden)]
    fn head_backward(
        decoder: &Decoder,
        parameters: &[Self],
        head: &HeadRows<Self>,
        d_normed_nd: &[Self],
        tokens: usize,
        gradients: &mut [Self],
        arena: &Arena<Self>,
    ) -> Buffer<Self>;
}

macro_rules! compiled {
    ($element:ty) => {
        impl Compiled for $element {
            fn forward(
                decoder: &Decoder,
                parameters: &[Self],
                row: &RowView<'_>,
                policy: SavePolicy,
                arena: &Arena<Self>,
            ) -> Forward<Self> {
                decoder.run_forward(parameters, row, policy, arena)
            }
            fn backward(
                decoder: &Decoder,
                parameters: &[Self],
                row: &RowView<'_>,
                forward: Forward<Self>,
                d_output_td: Buffer<Self>,
                gradients: &mut [Self],
                arena: &Arena<Self>,
            ) {
                decoder.run_backward(parameters, row, forward, d_output_td, gradients, arena);
            }
            fn forward_cached(
                decoder: &Decoder,
                parameters: &[Self],
                documents: Vec<Fresh<'_, Self>>,
                positions: &Positions<Self>,
                arena: &Arena<Self>,
            ) -> Buffer<Self> {
                decoder.run_forward_cached(parameters, documents, positions, arena)
            }
            fn head_rows(
                decoder: &Decoder,
                parameters: &[Self],
                output_td: &[Self],
                rows: Vec<usize>,
                arena: &Arena<Self>,
            ) -> HeadRows<Self> {
                decoder.run_head_rows(parameters, output_td, rows, arena)
            }
            fn logits(
                decoder: &Decoder,
                parameters: &[Self],
                normed_nd: &[Self],
                logits_nv: &mut [Self],
                arena: &Arena<Self>,
            ) {
                decoder.run_logits(parameters, normed_nd, logits_nv, arena);
            }
            fn logit_slopes(
                decoder: &Decoder,
                logits_nv: &[Self],
                arena: &Arena<Self>,
            ) -> Option<Buffer<Self>> {
                decoder.run_logit_slopes(logits_nv, arena)
            }
            fn logits_backward(
                decoder: &Decoder,
                parameters: &[Self],
                normed_nd: &[Self],
                d_logits_nv: &mut [Self],
                slopes_nv: Option<&[Self]>,
                gradients: &mut [Self],
                d_normed_nd: &mut [Self],
                arena: &Arena<Self>,
            ) {
                decoder.run_logits_backward(
                    parameters,
                    normed_nd,
                    d_logits_nv,
                    slopes_nv,
                    gradients,
                    d_normed_nd,
                    arena,
                );
            }
            fn head_backward(
                decoder: &Decoder,
                parameters: &[Self],
                head: &HeadRows<Self>,
                d_normed_nd: &[Self],
                tokens: usize,
                gradients: &mut [Self],
                arena: &Arena<Self>,
            ) -> Buffer<Self> {
                decoder.run_head_backward(parameters, head, d_normed_nd, tokens, gradients, arena)
            }
        }
    };
}

compiled!(f32);
#[cfg(feature = "f64")]
compiled!(f64);
