//! The families as data: what a checkpoint calls its tensors, and what its blocks are made of.
//!
//! One decoder serves them all; a family is a row of [`FAMILIES`].

mod frequencies;
mod row;
mod spec;
mod table;

pub use row::{Bias, Cap, ExpertNames, Family, Keys, LayerWindows, MlpNames, Names, ProjectionNames};
pub use spec::{
    AttentionSpec, BlockSpec, DecoderSpec, ExpertsSpec, Joint, MlpShape, MlpSpec, NormKind, NormPlaces,
    QueryKeyNorm, RopeSpec,
};
pub use table::{FALCON_ONE_NORM, FAMILIES, LLAMA};

/// The family of a `model_type`.
#[must_use]
pub fn of_model_type(model_type: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.model_types.contains(&model_type)).copied()
}
