//! A row as a person reads it, with its trained tokens marked.

use tokenizers::Tokenizer;

use crate::error::DataError;
use crate::tokenize::{Example, decode_guarded};

/// A stretch of an example's text, all of it trained or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What its tokens decode to, special tokens shown.
    pub text: String,
    /// How many tokens it has.
    pub tokens: usize,
    /// Whether they are trained.
    pub trained: bool,
}

/// The text of an example in stretches that are trained and stretches that are not, in turn.
pub fn pieces(example: &Example, tokenizer: &Tokenizer) -> Result<Vec<Piece>, DataError> {
    let decode = |tokens: &[u32]| {
        let decoded = decode_guarded(tokenizer, tokens, false);
        decoded.map_err(|error| DataError::Tokenizer { reason: error.to_string() })
    };
    let mut pieces = Vec::new();
    let (mut before, mut start) = (String::new(), 0);
    for run in example.supervised.chunk_by(|one, other| one == other) {
        let end = start + run.len();
        // Decoders look at neighbours (leading spaces, characters of several tokens): the text of a stretch is what it
        // adds to the text before it.
        let through = decode(&example.tokens[..end])?;
        let text = match through.strip_prefix(&before) {
            Some(added) => added.to_owned(),
            None => decode(&example.tokens[start..end])?,
        };
        pieces.push(Piece { text, tokens: run.len(), trained: run[0] });
        (before, start) = (through, end);
    }
    Ok(pieces)
}

/// The text of an example, each trained stretch between « and ».
pub fn marked(example: &Example, tokenizer: &Tokenizer) -> Result<String, DataError> {
    let pieces = pieces(example, tokenizer)?;
    Ok(pieces
        .into_iter()
        .map(|piece| if piece.trained { format!("«{}»", piece.text) } else { piece.text })
        .collect())
}
