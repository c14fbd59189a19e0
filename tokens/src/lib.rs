//! rtune-tokens: texts to tokens and back. Texts and tokenizers come from anywhere, and at some of them the tokenizers library panics: here that is an
//! error. Every other crate encodes and decodes by these two functions alone.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokenizers::{Encoding, Error, Tokenizer};

/// The longest stretch of a text without white space, or of white space alone, in characters. Patterns of tokenizers try every
/// end of a stretch before they let it go, and the library gives up, with a panic, after ten million tries: this leaves some for each of a
/// pattern's parts.
const LONGEST_STRETCH: usize = 1 << 20;

/// The tokens of a text; `with_special`: with those that the tokenizer puts around it.
///
/// # Errors
/// Those of the tokenizer, its panics among them, and a text with a longer stretch without white space, or of it alone, than patterns are
/// made for.
pub fn encode_guarded(tokenizer: &Tokenizer, text: &str, with_special: bool) -> Result<Encoding, Error> {
    let stretch = longest_stretch(text);
    if stretch > LONGEST_STRETCH {
        return Err(format!(
            "expected at most {LONGEST_STRETCH} characters without white space, or of white space alone, found {stretch}"
        )
        .into());
    }
    caught(|| tokenizer.encode(text, with_special))
}

/// The text of tokens; `without_special`: without what special tokens stand for.
///
/// # Errors
/// Those of the tokenizer, its panics among them.
pub fn decode_guarded(tokenizer: &Tokenizer, tokens: &[u32], without_special: bool) -> Result<String, Error> {
    caught(|| tokenizer.decode(tokens, without_special))
}

/// At most the length of the text, where that is short enough.
fn longest_stretch(text: &str) -> usize {
    if text.len() <= LONGEST_STRETCH {
        return text.len();
    }
    let (mut longest, mut length, mut white) = (0, 0, false);
    for character in text.chars() {
        if character.is_whitespace() != white {
            (length, white) = (0, !white);
        }
        length += 1;
        longest = longest.max(length);
    }
    longest
}

/// A tokenizer has nothing that a panic could leave half done: its caches are behind locks.
fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let said =
            text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it does not say at what");
        Err(format!("the tokenizer cannot go on: {said}").into())
    })
}

#[cfg(test)]
mod tests {
    use tokenizers::models::wordlevel::WordLevel;
    use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
    use tokenizers::tokenizer::SplitDelimiterBehavior;

    use super::*;

    fn tokenizer(pattern: &str) -> Tokenizer {
        let vocabulary = [("a".to_owned(), 0), ("?".to_owned(), 1)].into_iter().collect();
        let words =
            WordLevel::builder().vocab(vocabulary).unk_token("?".to_owned()).build().expect("a model");
        let mut tokenizer = Tokenizer::new(words);
        let pattern = SplitPattern::Regex(pattern.to_owned());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).expect("a pattern");
        tokenizer.with_pre_tokenizer(Some(split));
        tokenizer
    }

    /// As the patterns of Llama 3 and Qwen end.
    const LINES: &str = r"\s*[\r\n]+|\s+(?!\S)|\s+";

    #[test]
    fn a_stretch_that_patterns_are_not_made_for_is_refused() {
        let tokenizer = tokenizer(LINES);
        let text = |length: usize| format!("a{}a", " ".repeat(length));
        assert_eq!(encode_guarded(&tokenizer, &text(LONGEST_STRETCH), false).expect("encoded").len(), 3 + 1);
        for text in [text(LONGEST_STRETCH + 1), "\u{e9}".repeat(LONGEST_STRETCH + 1)] {
            let error = encode_guarded(&tokenizer, &text, false).expect_err("too long").to_string();
            assert!(error.ends_with("found 1048577"), "{error}");
        }
        let word = "\u{e9}".repeat(LONGEST_STRETCH);
        let encoded = encode_guarded(&tokenizer, &format!("{word} {word}"), false).expect("encoded");
        assert_eq!(encoded.len(), 3);
    }

    #[test]
    fn a_pattern_that_tries_too_much_is_an_error() {
        let tokenizer = tokenizer("(?:a|a)*b");
        let error = encode_guarded(&tokenizer, &("a".repeat(60) + "cb"), false)
            .expect_err("tried too often")
            .to_string();
        assert!(error.starts_with("the tokenizer cannot go on: "), "{error}");
        assert_eq!(encode_guarded(&tokenizer, "a", false).expect("encoded").get_ids(), [0]);
        assert_eq!(decode_guarded(&tokenizer, &[0, 1], false).expect("decoded"), "a ?");
    }
}
