//! rtune-registry: versions of a model. Which is in use, where each came from, and the gate that lets one in.
//!
//! | module | what |
//! | --- | --- |
//! | `place` | the folder: its versions, the one in use, who may write |
//! | `version` | what a version says of itself: lineage, and the hash of each of its files |
//! | `rows` | the rows that trained a version, by hash |
//! | `moves` | how `current` moves, step by step, and what it was before |
//! | `looks` | how often the sealed half of a golden set was looked at, and what choosing alone would have gained |
//! | `proof` | whether a version is what it says |
//! | `differences` | two versions beside each other |
//! | [`gate`] | the rules of `[gate]`, and the decision |

mod differences;
mod error;
pub mod gate;
mod looks;
mod moves;
mod place;
mod proof;
mod rows;
#[cfg(test)]
mod tests;
mod version;

pub use differences::{Differences, RowsMoved, differences};
pub use error::RegistryError;
pub use looks::{Look, Looks, Sealed, gained_by_choosing};
pub use moves::{Action, Move};
pub use place::{Registry, Staged, Writer};
pub use proof::{Fault, prove, proved};
pub use rows::{Row, rows_of};
pub use version::{Lineage, Version, Versions, hashes_below};
