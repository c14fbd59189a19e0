//! rtune-release: from a run folder to what other programs load.
//!
//! Shares nothing with the trainer but the files of a run: a checkpoint is read here as any reader must, by its
//! manifest.
//!
//! | module | what |
//! | --- | --- |
//! | `checkpoint` | a checkpoint's files, compared with their hashes |
//! | `peft` | the adapter as PEFT loads it |
//! | `fits` | whether an adapter is one of a model |
//! | `model`, `weights`, `pieces` | the base as transformers loads it, with or without the adapter in it, whole or by rows |
//! | `shards`, `dtype` | safetensors files, written one tensor at a time; what a written number is |
//! | `card` | README.md: what it was made from, and what its licence asks |
//! | `companions` | configuration, tokenizer, chat template beside the weights |
//! | `divergence`, `report` | how far one model is from another; what a merge says of itself |
//! | `gguf` | the model as one GGUF file, which is opened again and compared |
//! | `ollama` | a Modelfile beside it, with the chat template as Ollama has them |
//! | `folder` | folders and files that are whole or not there |

mod card;
mod checkpoint;
mod companions;
mod divergence;
mod dtype;
mod error;
mod fits;
mod folder;
mod gguf;
mod model;
mod ollama;
mod peft;
mod pieces;
mod plain;
mod report;
mod shards;
mod weights;

pub use card::{Card, Made};
pub use checkpoint::{VerifiedCheckpoint, find};
pub use companions::Chat;
pub use divergence::{Agreement, Divergence, Model, Probe, divergence};
pub use dtype::Dtype;
pub use error::ReleaseError;
pub use folder::{NewFolder, refuse_existing};
pub use gguf::{GgufType, WrittenGguf, write_gguf};
pub use model::{Layout, VerifiedAdapter, Written, dtype_of, is_full, write_model};
pub use ollama::{Render, Turn, Turns, modelfile};
pub use peft::export_peft;
pub use report::{Measured, MergeReport, Spread};
pub use weights::{Content, LinearFigures, Onto, Rounding};
