//! What crates above call with numbers one by one, compiled in this crate, once for each element type.
//!
//! A generic function is compiled where it is called, with that crate's settings: one that asks for small code, or that is cut into
//! pieces, would have these loops without vectors.

use crate::adamw::{self, Update};
use crate::cross_entropy::{self, RowLoss};

/// The arithmetic of the functions that are named, for one element type.
pub trait Compiled: Sized {
    /// See [`cross_entropy::evaluate`].
    #[doc(hidden)]
    fn losses(logits_nv: &[Self], targets_n: &[u32], losses_n: &mut [RowLoss]);

    /// See [`cross_entropy::evaluate_and_differentiate`].
    #[doc(hidden)]
    fn losses_and_gradients(logits_nv: &mut [Self], targets_n: &[u32], scale: f64, losses_n: &mut [RowLoss]);

    /// See [`adamw::update`].
    #[doc(hidden)]
    fn update(
        parameters: &mut [Self],
        gradients: &[Self],
        first: &mut [Self],
        second: &mut [Self],
        with: &Update,
    );

    /// See [`adamw::norm`].
    #[doc(hidden)]
    fn norm(gradients: &[Self]) -> f64;
}

macro_rules! compiled {
    ($element:ty) => {
        impl Compiled for $element {
            fn losses(logits_nv: &[Self], targets_n: &[u32], losses_n: &mut [RowLoss]) {
                cross_entropy::losses(logits_nv, targets_n, losses_n);
            }
            fn losses_and_gradients(
                logits_nv: &mut [Self],
                targets_n: &[u32],
                scale: f64,
                losses_n: &mut [RowLoss],
            ) {
                cross_entropy::losses_and_gradients(logits_nv, targets_n, scale, losses_n);
            }
            fn update(
                parameters: &mut [Self],
                gradients: &[Self],
                first: &mut [Self],
                second: &mut [Self],
                with: &Update,
            ) {
                adamw::update_all(parameters, gradients, first, second, with);
            }
            fn norm(gradients: &[Self]) -> f64 {
                adamw::norm_of(gradients)
            }
        }
    };
}

compiled!(f32);
compiled!(f64);
