//! Conversations to token ids with a loss mask.

mod blocks;
mod encode;
mod seen;
mod shorten;
mod spans;
mod whole;

pub use encode::{Encoded, Encoder, leading_bos};
pub use rtune_tokens::{decode_guarded, encode_guarded};
pub use whole::Weighed;

use crate::record::Origin;

/// A row of `T` tokens ready to be trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The id of its record; where a record gives several examples, with `#1`, `#2` and so on behind it.
    pub id: String,
    /// Where its record stands.
    pub origin: Origin,
    /// Token ids, `T`. The last one is trained.
    pub tokens: Vec<u32>,
    /// Whether a token is a target, predicted from those before it, `T`; the first never is.
    pub supervised: Vec<bool>,
}

impl Example {
    /// How many tokens are targets.
    pub fn supervised_count(&self) -> usize {
        self.supervised.iter().filter(|&&trained| trained).count()
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod block_tests;

#[cfg(test)]
mod tool_tests;
