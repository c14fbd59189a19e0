//! rtune-trainer: the run, from a configuration to checkpoints.
//!
//! | module | what |
//! | --- | --- |
//! | [`config`] | TOML in, checked values out, every problem at once |
//! | [`inputs`] | the base, the template and the prepared rows |
//! | [`plan`], [`memory`] | what "auto" means on this machine; what a run will take |
//! | [`outlook`] | how long a run will be, by its rows and by a step that is tried |
//! | [`run`] | the run folder, the order of the rows, the loop |
//! | [`gpu`] | the engine on a GPU |
//! | [`engine`], [`loss`] | losses and gradients of a step |
//! | [`optimizer`], [`schedule`] | AdamW and its learning rate |
//! | [`evaluate`] | loss, perplexity and accuracy on held-out rows |
//! | [`checkpoint`], [`manifest`], [`metrics`] | what a run writes |
//! | [`verify`], [`rows`] | whether a run is what its manifest says; which rows trained it |
//! | [`learning_curve`] | whether more data would pay |
//! | [`redteam`] | a suite of attacks, asked of base and tuned model |
//! | [`report`] | a run as one page, in HTML or Markdown |
//! | [`line_log`] | a file to which lines are added, each whole or not there |
//! | [`device`] | what computes, as far as it decides bits |
//! | [`spikes`], [`useless`] | losses that jump, adapters that do nothing |
//! | [`overfitting`], [`forgetting`] | rows learnt by heart, skills that are lost |
//! | [`subject`] | a run, a checkpoint, an adapter or a base, opened to be used |
//! | [`talk`], [`wording`] | conversations in, texts out; what of that needs no weight |
//! | [`NameModel`] | a token classifier that finds names for the scrubber |

mod adapter;
pub mod bench;
pub mod checkpoint;
mod coherence;
pub mod config;
pub mod device;
pub mod dist;
pub mod engine;
pub mod error;
pub mod evaluate;
pub mod files;
pub mod forgetting;
mod full;
pub mod gpu;
mod hints;
pub mod influence;
mod init;
pub mod inputs;
pub mod learning_curve;
pub mod line_log;
pub mod lock;
pub mod loss;
pub mod machine;
pub mod manifest;
pub mod memory;
pub mod metrics;
mod name_model;
pub mod noise;
pub mod optimizer;
pub mod outlook;
pub mod overfitting;
pub mod plan;
pub mod redteam;
pub mod report;
pub mod rows;
pub mod run;
pub mod schedule;
pub mod spikes;
pub mod subject;
pub mod talk;
mod tensors;
pub mod useless;
pub mod verify;
pub mod wording;

pub use name_model::NameModel;
