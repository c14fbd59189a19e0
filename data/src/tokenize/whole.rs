//! Texts that are trained, or weighed, as they stand.

use rtune_tokens::encode_guarded;

use super::encode::{Encoded, Encoder, refused};
use crate::problem::ProblemKind;

impl Encoder<'_> {
    /// A text as rows to train on, without a template: every token is a target but the first.
    ///
    /// The EOS token of the base stands behind the text, and the BOS token before it where the tokenizer puts one before
    /// every text. A text of more than `max_tokens` becomes several rows of at most so many: nothing is cut off, and every
    /// token of the text is a target in one of them.
    ///
    /// # Errors
    /// [`ProblemKind::Tokenizer`], and [`ProblemKind::NothingSupervised`] for a text of one token.
    pub fn encode_whole(&self, text: &str, max_tokens: usize) -> Result<Vec<Encoded>, ProblemKind> {
        let encoding = encode_guarded(&self.tokenizer, text, false).map_err(refused)?;
        let special_in_text = encoding.get_ids().iter().any(|id| self.special_ids.contains(id));
        let bos = self.missing_bos(encoding.get_ids());
        let mut tokens = encoding.get_ids().to_vec();
        tokens.extend(self.eos.filter(|eos| tokens.last() != Some(eos)));
        if tokens.len() + usize::from(bos.is_some()) < 2 {
            return Err(ProblemKind::NothingSupervised);
        }
        let row = |tokens: Vec<u32>, ended: bool| Encoded {
            supervised: (0..tokens.len()).map(|index| index > 0).collect(),
            ended,
            special_in_text,
            cuttable: vec![None; tokens.len()],
            begins: vec![true; tokens.len()],
            located: false,
            tokens,
        };
        // A row needs a token to predict from and one to predict.
        let most = max_tokens.max(2);
        let mut rows = Vec::new();
        let mut from = 0;
        loop {
            // Without a BOS token each row begins with the last token of the one before.
            let room = most - usize::from(bos.is_some());
            let to = tokens.len().min(from + room);
            let last = to == tokens.len();
            let piece = bos.into_iter().chain(tokens[from..to].iter().copied()).collect();
            rows.push(row(piece, self.eos.is_some() || !last));
            if last {
                return Ok(rows);
            }
            from = if bos.is_some() { to } else { to - 1 };
        }
    }

    /// A text as rows whose likelihood is taken, each of at most `max_tokens` tokens that a model reads and one more that it predicts.
    ///
    /// As lm-evaluation-harness cuts it: before the text stands the BOS token, or EOS where there is none, so that its first token is
    /// predicted, too; every further token is predicted once; rows behind the first begin with the last token of the one before, and the
    /// last row with as many of those as there is room for. Nothing stands behind the text.
    ///
    /// # Errors
    /// [`ProblemKind::Tokenizer`], and [`ProblemKind::NothingSupervised`] where no token is left to predict.
    pub fn weigh_whole(&self, text: &str, max_tokens: usize) -> Result<Vec<Weighed>, ProblemKind> {
        let encoding = encode_guarded(&self.tokenizer, text, false).map_err(refused)?;
        let ids = encoding.get_ids();
        let prefix = self.prefix.into_iter();
        let tokens: Vec<u32> = prefix.chain(ids.iter().copied()).collect();
        if tokens.len() < 2 {
            return Err(ProblemKind::NothingSupervised);
        }
        let most = max_tokens.max(1);
        let mut rows = Vec::new();
        let mut predicted = 1;
        while predicted < tokens.len() {
            let end = tokens.len().min(predicted + most);
            let start = if rows.is_empty() { 0 } else { end - most.min(end - 1) - 1 };
            rows.push(Weighed { tokens: tokens[start..end].to_vec(), given: predicted - start });
            predicted = end;
        }
        Ok(rows)
    }
}

/// Part of a text whose likelihood is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weighed {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// How many of them are given, at least one; the others are predicted.
    pub given: usize,
}
