//! What llama.cpp takes from the name of a model, `general.name`: of a Phi-3, that white space behind its special tokens is no
//! part of the text (`LLAMA_TOKEN_ATTR_RSTRIP` in llama-vocab.cpp, which nothing else of a file says).

use tokenizers::Tokenizer;

/// What such a name has in it, whatever its letters' case.
const STRIPPING: [&str; 2] = ["phi-3", "phi3"];
/// Tokens that keep what is behind them all the same.
const KEEPING: [&str; 3] = ["<unk>", "<s>", "<|endoftext|>"];

/// Whether white space behind this special token is left out in a model of this name.
pub(super) fn strips_behind(name: &str, token: &str) -> bool {
    is_stripping(name) && !KEEPING.contains(&token)
}

fn is_stripping(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    STRIPPING.iter().any(|part| name.contains(part))
}

/// The name as near as may be to `wanted` by which llama.cpp does what the tokenizer does.
pub(crate) fn fitting(wanted: &str, tokenizer: &Tokenizer) -> String {
    let strips = tokenizer.get_added_tokens_decoder().values().any(|token| token.rstrip);
    match (strips, is_stripping(wanted)) {
        (true, false) if wanted.is_empty() => "phi3".to_owned(),
        (true, false) => format!("{wanted}-phi3"),
        (false, true) => apart(wanted),
        _ => wanted.to_owned(),
    }
}

/// A name whose `phi3` and `phi-3` are `phi 3`.
fn apart(name: &str) -> String {
    let mut name = name.to_owned();
    for part in STRIPPING {
        while let Some(start) = name.to_ascii_lowercase().find(part) {
            name.replace_range(start + "phi".len()..start + part.len() - 1, " ");
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use tokenizers::{AddedToken, models::bpe::BPE};

    use super::*;

    #[test]
    fn a_name_says_what_the_tokenizer_does() {
        let with = |strips: bool| {
            let mut tokenizer = Tokenizer::new(BPE::default());
            tokenizer.add_special_tokens([AddedToken::from("<|end|>", true).rstrip(strips)]).expect("added");
            tokenizer
        };
        let (strips, keeps) = (with(true), with(false));
        for (wanted, found) in
            [("mine", "mine-phi3"), ("", "phi3"), ("My-Phi-3-mini", "My-Phi-3-mini"), ("PHI3", "PHI3")]
        {
            assert_eq!(fitting(wanted, &strips), found);
        }
        for (wanted, found) in [
            ("mine", "mine"),
            ("", ""),
            ("My-Phi-3-mini", "My-Phi 3-mini"),
            ("graphi33-PHI3-\u{e9}", "graphi 33-PHI 3-\u{e9}"),
        ] {
            assert_eq!(fitting(wanted, &keeps), found);
            assert!(!strips_behind(&fitting(wanted, &keeps), "<|end|>"));
        }
        assert!(strips_behind("a Phi-3", "<|end|>") && !strips_behind("a Phi-3", "<s>"));
    }
}
