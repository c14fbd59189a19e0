//! Rows that are too long, made shorter on the side of the prompt.

use super::encode::{Encoded, Encoder};
use crate::problem::ProblemKind;

impl Encoder<'_> {
    /// Shortens the prompt of a row to `max_tokens`.
    ///
    /// Cut are tokens of the contents of user turns and of answers that are not trained, oldest turn first, until the
    /// row fits: a turn loses its middle, and of what is left of it the first half and the second stand together
    /// without a mark. Never cut are the template's own text (BOS, headers, end-of-turn tokens), system turns, and
    /// trained answers. No character is cut in two, so that a row may become a few tokens shorter than asked.
    ///
    /// # Errors
    /// [`ProblemKind::AnswerTooLong`] if what may not be cut is too long by itself, [`ProblemKind::TooLong`] if the
    /// template changes the texts, so that it is unknown where they stand.
    pub fn shorten(&self, mut row: Encoded, max_tokens: usize) -> Result<Encoded, ProblemKind> {
        let tokens = row.tokens.len();
        if tokens <= max_tokens {
            return Ok(row);
        }
        if !row.located {
            return Err(ProblemKind::TooLong { tokens, max_tokens });
        }
        let fixed = row.cuttable.iter().filter(|owner| owner.is_none()).count();
        if fixed > max_tokens {
            return Err(ProblemKind::AnswerTooLong { tokens: fixed, max_tokens });
        }
        let mut keep = vec![true; tokens];
        let mut excess = tokens - max_tokens;
        let mut from = 0;
        while excess > 0 && from < tokens {
            let owner = row.cuttable[from];
            let length = row.cuttable[from..].iter().take_while(|other| **other == owner).count();
            if owner.is_some() {
                let removed = excess.min(length);
                let (cut_from, cut_to) = whole_characters(&row.begins, from, length, removed);
                keep[cut_from..cut_to].fill(false);
                excess -= excess.min(cut_to - cut_from);
            }
            from += length;
        }
        retain(&mut row.tokens, &keep);
        retain(&mut row.supervised, &keep);
        retain(&mut row.cuttable, &keep);
        retain(&mut row.begins, &keep);
        Ok(row)
    }
}

/// The middle `removed` tokens of a run, widened until no character is cut in two.
fn whole_characters(begins: &[bool], from: usize, length: usize, removed: usize) -> (usize, usize) {
    let mut cut_from = from + (length - removed).div_ceil(2);
    let mut cut_to = cut_from + removed;
    while cut_from > from && !begins[cut_from] {
        cut_from -= 1;
    }
    while cut_to < from + length && !begins[cut_to] {
        cut_to += 1;
    }
    (cut_from, cut_to)
}

fn retain<T>(items: &mut Vec<T>, keep: &[bool]) {
    let mut kept = keep.iter();
    items.retain(|_| kept.next().is_none_or(|&keep| keep));
}
