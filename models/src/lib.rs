//! Base models: finding, reading and computing one.
//!
//! [`open`] reads a folder in the hub's layout or a `.gguf` file into a [`BaseModel`]: the typed
//! configuration, the tokenizer, the chat template and a [`WeightSource`] that hands out one tensor
//! at a time. [`Decoder::load`] makes of it a decoder with a frozen base, beside whose linears adapters can
//! be put; it runs forward and backward over packed rows. [`generate`] answers prompts with it. [`tagger`] is the
//! other kind of model: it says of each word of a text what it is.

pub mod config;
pub mod decoder;
mod error;
pub mod families;
pub mod generate;
pub mod hub;
mod layout;
pub mod licence;
mod open;
pub mod outline;
mod quantized;
mod source;
pub mod tagger;
mod tokenizer;
mod unread;

pub use config::{Differences, ExpertsConfig, Layer, ModelConfig, Rope, RopeScaling};
pub use decoder::{
    Compiled, Decoder, Keep, Quantization, Readers, RowNoise, RowView, SavePolicy, Staged, StagedBlock, held,
};
pub use error::ModelError;
pub use families::{BlockSpec, DecoderSpec, FAMILIES, Family, Names};
pub use layout::{TensorRole, TensorSpec};
pub use licence::Licence;
pub use open::{BaseModel, MERGE_REPORT, open, open_headers};
pub use outline::BaseOutline;
pub use quantized::QuantizedCache;
pub use source::gguf::write::{Asked, GgufChange, GgufLayout, GgufSource, GgufTensor, GgufValue};
pub use source::{
    GgufFile, HostTensor, Piece, Precision, RandomWeights, SafetensorsFolder, Take, WeightSource,
    open_weights,
};
pub use tokenizer::SpecialTokenStrings;
