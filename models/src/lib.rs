//! rtune-models: base models. Everything that finds, downloads, checks and reads one.
//!
//! [`open`] reads a folder in the hub's layout or a `.gguf` file into a [`BaseModel`]: the typed
//! configuration, the tokenizer, the chat template and a [`WeightSource`] that hands out one tensor
//! at a time. [`hub::resolve`] turns what a user writes as `base` into such a path.

pub mod config;
mod error;
pub mod hub;
mod open;
mod source;
mod tokenizer;

pub use config::{ModelConfig, Rope, RopeScaling};
pub use error::ModelError;
pub use open::{BaseModel, open};
pub use source::{GgufFile, HostTensor, SafetensorsFolder, WeightSource};
pub use tokenizer::SpecialTokenStrings;
