//! What one answer must be, said as data and judged without a model.

mod check;
mod language;
mod phrases;
mod refusal;
#[cfg(test)]
mod tests;

pub use check::{Check, CheckError, Checker, Unit};
pub use language::{Detected, TWO_LETTERS, language, language_code};
pub use phrases::{folded, is_whole};
pub use refusal::{OPENING_BYTES, REFUSALS, SPEAKERS, SPEAKERS_UNSPACED, refusal};
