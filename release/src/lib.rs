//! rtune-release: from a run folder to what other programs load.
//!
//! Shares nothing with the trainer but the files of a run: a checkpoint is read here as any reader must, by its
//! manifest.
//!
//! | module | what |
//! | --- | --- |
//! | `checkpoint` | a checkpoint's files, compared with their hashes |
//! | `peft` | the adapter as PEFT loads it |
//! | `settings`, `plain` | its settings as others read them; one beside what is left of a base as one beside the whole base |
//! | `fits` | whether an adapter is one of a model |
//! | `change` | what an adapter adds to a weight, or several made one |
//! | `model`, `weights`, `pieces` | the base as transformers loads it, with or without the adapter in it, whole or by rows |
//! | `four_bits`, `packing` | linears as bitsandbytes keeps them; how linears are quantised |
//! | `calibrated` | linears as GPTQ and AWQ pack them, by what they read of some rows |
//! | `summed`, `passed` | a model as it is written, as a checkpoint; conversations that went through one block by block |
//! | `shards`, `dtype` | safetensors files, written one tensor at a time; what a written number is |
//! | `card` | README.md: what it was made from, how it was trained, what it came to, and what its licence asks |
//! | `companions` | configuration, tokenizer, chat template beside the weights |
//! | `links` | links in folders of which files are passed on |
//! | `divergence`, `report` | how far one model is from another; what a merge says of itself |
//! | `gguf` | the model as one GGUF file, which is opened again and compared; an adapter as one |
//! | `ollama` | a Modelfile beside it, with the chat template as Ollama has them |
//! | `serve` | servers: what each of them loads, and by which command |
//! | `folder` | folders and files that are whole or not there |

mod calibrated;
mod card;
mod change;
mod checkpoint;
mod companions;
mod divergence;
mod dtype;
mod error;
mod fits;
mod folder;
mod four_bits;
mod gguf;
mod links;
mod model;
mod ollama;
mod packing;
mod passed;
mod peft;
mod pieces;
mod plain;
mod report;
mod serve;
mod settings;
mod shards;
mod summed;
mod weights;

pub use calibrated::{Calibrated, CalibrationRow, Method as CalibrationMethod, RoundingError};
pub use card::{
    CARD_FILE, Card, CombinedRun, CombinedRuns, DataFile, Evaluation, Figure, Made, Method, Training,
};
pub use change::{Combined, refuse_uncombinable};
pub use checkpoint::{VerifiedCheckpoint, find};
pub use companions::{Chat, write_legal};
pub use divergence::{Agreement, Divergence, Model, Probe, Side, divergence};
pub use dtype::Dtype;
pub use error::ReleaseError;
pub use folder::{NewFolder, refuse_existing};
pub use four_bits::Quantized;
pub use gguf::{About, GgufType, WrittenGguf, write_gguf, write_gguf_adapter, write_gguf_calibrated};
pub use links::refuse_outside;
pub use model::{Layout, VerifiedAdapter, Written, dtype_of, is_full, write_model};
pub use ollama::{Render, Turn, Turns, modelfile};
pub use packing::Packing;
pub use passed::Passed;
pub use peft::{export_peft, notes};
pub use report::{
    CalibrationReport, CombinedPart, CombinedReport, Measured, MergeReport, QuantizationReport, Spread,
};
pub use serve::{Form, Misfit, Place, Server, command, for_shell, misfits};
pub use weights::{Content, LinearFigures, Onto, Rounding};
