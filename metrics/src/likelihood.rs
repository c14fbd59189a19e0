//! How likely texts are, per token, word and byte.

use std::ops::AddAssign;

use serde::Serialize;

use crate::text::is_space;

/// The likelihood of a text, or of many: sums first, quotients last, so that long texts count as long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Likelihood {
    /// The negative logarithm of its probability, to the base e.
    pub nats: f64,
    /// Its tokens.
    pub tokens: u64,
    /// Its words, as [`words`] counts them.
    pub words: u64,
    /// Its bytes in UTF-8.
    pub bytes: u64,
}

impl Likelihood {
    /// That of one text.
    #[must_use]
    pub fn of(text: &str, nats: f64, tokens: u64) -> Self {
        Self { nats, tokens, words: words(text), bytes: text.len() as u64 }
    }

    /// Nats a token: the loss.
    #[must_use]
    pub fn nats_per_token(&self) -> f64 {
        self.per(self.tokens)
    }

    /// `e` to the nats a token; models with other tokenizers have other tokens, and are not to be compared by it.
    #[must_use]
    pub fn token_perplexity(&self) -> f64 {
        perplexity(self.per(self.tokens))
    }

    /// `e` to the nats a word, as lm-evaluation-harness's `word_perplexity`.
    #[must_use]
    pub fn word_perplexity(&self) -> f64 {
        perplexity(self.per(self.words))
    }

    /// `e` to the nats a byte, as its `byte_perplexity`.
    #[must_use]
    pub fn byte_perplexity(&self) -> f64 {
        perplexity(self.per(self.bytes))
    }

    /// Bits a byte, as its `bits_per_byte`.
    #[must_use]
    pub fn bits_per_byte(&self) -> f64 {
        self.per(self.bytes) / std::f64::consts::LN_2
    }

    /// 0 where there is nothing to be likely.
    fn per(&self, units: u64) -> f64 {
        if units > 0 { self.nats / units as f64 } else { 0.0 }
    }
}

impl AddAssign for Likelihood {
    fn add_assign(&mut self, other: Self) {
        self.nats += other.nats;
        self.tokens += other.tokens;
        self.words += other.words;
        self.bytes += other.bytes;
    }
}

/// `e` to the nats a unit, at most the largest number there is: reports are JSON, which knows no infinity. From 709.8 nats a unit on it is
/// that, which a word of a text without spaces soon has; the nats that stand beside it say how much. What is no number stays none.
#[must_use]
pub fn perplexity(nats_per_unit: f64) -> f64 {
    match nats_per_unit.exp() {
        f64::INFINITY => f64::MAX,
        perplexity => perplexity,
    }
}

/// A [`perplexity`] for people. Those of words are beyond all bounds where a model knows nothing of them.
#[must_use]
pub fn shown(perplexity: f64, decimals: usize) -> String {
    match perplexity {
        f64::MAX => "above 1e308".to_owned(),
        large if large >= 1e5 => format!("{large:.1e}"),
        perplexity => format!("{perplexity:.decimals$}"),
    }
}

/// Words as lm-evaluation-harness counts them, `len(re.split(r"\s+", text))`: one more than there are runs of whitespace, at
/// the ends too, and one in an empty text.
#[must_use]
pub fn words(text: &str) -> u64 {
    let mut in_space = false;
    let begins_run = |c: char| !std::mem::replace(&mut in_space, is_space(c)) && is_space(c);
    1 + text.chars().map(begins_run).filter(|&begins| begins).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_as_python_splits() {
        for (text, expected) in
            [("", 1), ("a", 1), ("a b", 2), (" a  b\n", 4), ("\u{a0}", 2), ("a\u{1c}b", 2), ("a\t \nb", 2)]
        {
            assert_eq!(words(text), expected, "{text:?}");
        }
    }

    #[test]
    fn long_texts_count_as_long() {
        let mut sum = Likelihood::of("one two", 6.0, 3);
        sum += Likelihood::of("drei", 4.0, 2);
        assert_eq!((sum.words, sum.bytes), (3, 11));
        assert!((sum.token_perplexity() - 2.0_f64.exp()).abs() < 1e-12);
        assert!((sum.word_perplexity() - (10.0_f64 / 3.0).exp()).abs() < 1e-12);
        assert!((sum.byte_perplexity().log2() - sum.bits_per_byte()).abs() < 1e-12);
        assert!((sum.bits_per_byte() - 10.0 / 11.0 / std::f64::consts::LN_2).abs() < 1e-12);
        assert_eq!(Likelihood::default().token_perplexity(), 1.0);
    }

    /// A page of Chinese is one word.
    #[test]
    fn a_perplexity_beyond_all_numbers_is_the_largest() {
        let page = Likelihood::of(&"\u{5b57}".repeat(400), 800.0, 400);
        assert_eq!((page.words, page.word_perplexity()), (1, f64::MAX));
        assert!((page.token_perplexity() - 2.0_f64.exp()).abs() < 1e-12);
        let all = Likelihood { nats: 800.0, tokens: 1, words: 1, bytes: 1 };
        assert_eq!([all.token_perplexity(), all.word_perplexity(), all.byte_perplexity()], [f64::MAX; 3]);
        assert!(perplexity(f64::NAN).is_nan(), "what is no number is not made one");
        assert_eq!(perplexity(709.0), 709.0_f64.exp());
    }

    #[test]
    fn large_perplexities_are_shown_short() {
        let found = [1.0, 99_999.0, 123_456.0, 1e300, f64::MAX].map(|value| shown(value, 2));
        assert_eq!(found, ["1.00", "99999.00", "1.2e5", "1.0e300", "above 1e308"]);
    }
}
