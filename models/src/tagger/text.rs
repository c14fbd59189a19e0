//! Texts to windows of token ids, and back to words.

use std::path::{Path, PathBuf};

use rtune_tokens::encode_guarded;
use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use super::config::Kin;
use super::labels::Word;
use super::windows::{pieces, windows};
use crate::ModelError;
use crate::config::{Fields, read_json, read_text};

/// A tokenizer with the frame of an encoder.
pub(super) struct Encoder {
    path: PathBuf,
    tokenizer: Tokenizer,
    first_id: u32,
    last_id: u32,
    /// Most tokens between the two.
    most_tokens: usize,
    /// Whether a space is thought before a framed text.
    spaced: bool,
}

/// A piece of a text as the network takes it.
pub(super) struct Window {
    /// Which of the texts.
    pub(super) text: usize,
    /// Ids with `[CLS]` and `[SEP]`.
    pub(super) ids: Vec<u32>,
    /// The words, in bytes of the whole text.
    pub(super) words: Vec<Word>,
    /// For each word its first token and one past its last, without the frame.
    tokens: Vec<(usize, usize)>,
}

impl Encoder {
    /// Reads `tokenizer.json`, or builds a tokenizer of `vocab.txt` as BERT has it.
    pub(super) fn open(
        folder: &Path,
        vocabulary: usize,
        positions: usize,
        kin: &Kin,
    ) -> Result<Self, ModelError> {
        let json = folder.join("tokenizer.json");
        let (path, tokenizer) = if json.is_file() {
            let tokenizer = crate::tokenizer::from_json(&json, &read_text(&json, "the tokenizer")?)?;
            (json, tokenizer)
        } else {
            let path = folder.join("vocab.txt");
            let tokenizer = from_vocabulary(folder, &path)?;
            (path, tokenizer)
        };
        let fault = |problem: String| ModelError::Tokenizer { path: path.clone(), problem };
        let size = tokenizer.get_vocab_size(true);
        if size > vocabulary {
            return Err(fault(format!("{size} tokens, but the model has embeddings for {vocabulary}")));
        }
        let id = |token: &str| {
            let id = tokenizer.token_to_id(token).ok_or_else(|| fault(format!("no token `{token}`")))?;
            if (id as usize) < vocabulary {
                Ok(id)
            } else {
                Err(fault(format!("`{token}` has id {id} of {vocabulary}")))
            }
        };
        let (first_id, last_id) = (id(kin.frame[0])?, id(kin.frame[1])?);
        let most_tokens = positions.saturating_sub(2).max(1);
        Ok(Self { path, tokenizer, first_id, last_id, most_tokens, spaced: kin.spaced })
    }

    /// Adds the windows of a text. Windows without a word are left out.
    pub(super) fn encode(&self, number: usize, text: &str, out: &mut Vec<Window>) -> Result<(), ModelError> {
        for (start, end) in windows(text) {
            let encoding = encode_guarded(&self.tokenizer, &text[start..end], false)
                .map_err(|error| self.fault(&error))?;
            let ids = encoding.get_ids();
            let (words, offsets) = (encoding.get_word_ids(), encoding.get_offsets());
            let is_first = |at: usize| at == 0 || words[at].is_none() || words[at] != words[at - 1];
            for (from, to) in pieces(ids.len(), self.most_tokens, is_first) {
                let mut window =
                    Window { text: number, ids: vec![self.first_id], words: Vec::new(), tokens: Vec::new() };
                window.ids.extend_from_slice(&ids[from..to]);
                window.ids.push(self.last_id);
                for (token, offset) in offsets[from..to].iter().enumerate() {
                    let goes_on = token > 0 && !is_first(from + token);
                    window.push(text, (start + offset.0, start + offset.1), token, goes_on);
                }
                out.push(window);
            }
        }
        Ok(())
    }

    /// A text in its frame, as far as there are positions; spaces around it are left out.
    pub(super) fn framed(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let text = text.trim();
        // Of an empty text nothing is left but the frame.
        let spaced = (self.spaced && !text.is_empty()).then(|| format!(" {text}"));
        let text = spaced.as_deref().unwrap_or(text);
        let encoding = encode_guarded(&self.tokenizer, text, false).map_err(|error| self.fault(&error))?;
        let kept = encoding.get_ids().iter().copied().take(self.most_tokens);
        Ok(std::iter::once(self.first_id).chain(kept).chain([self.last_id]).collect())
    }

    /// The ids of the two tokens of the frame.
    pub(super) fn frame(&self) -> (u32, u32) {
        (self.first_id, self.last_id)
    }

    fn fault(&self, error: &tokenizers::Error) -> ModelError {
        ModelError::Tokenizer { path: self.path.clone(), problem: error.to_string() }
    }
}

impl Window {
    /// Adds a token: the next piece of the last word, or a new word.
    fn push(&mut self, text: &str, (start, end): (usize, usize), token: usize, goes_on: bool) {
        // A tokenizer may cut a character into several tokens.
        let start = floor(text, start);
        let end = ceil(text, end).max(start);
        match (self.words.last_mut(), self.tokens.last_mut()) {
            (Some(word), Some(tokens)) if goes_on => {
                word.end = word.end.max(end);
                tokens.1 = token + 1;
            }
            _ => {
                self.words.push(Word { start, end });
                self.tokens.push((token, token + 1));
            }
        }
    }

    /// For each word the probabilities of the labels: the mean over its tokens of their softmax. `logits` has a row of
    /// `labels` for each id of the window.
    pub(super) fn probabilities(&self, logits: &[f32], labels: usize) -> Vec<Vec<f32>> {
        let row = |token: usize| softmax(&logits[(token + 1) * labels..(token + 2) * labels]);
        let mean = |&(from, to): &(usize, usize)| {
            let mut sum = row(from);
            for token in from + 1..to {
                for (sum, value) in sum.iter_mut().zip(row(token)) {
                    *sum += value;
                }
            }
            let count = (to - from) as f32;
            sum.iter_mut().for_each(|value| *value /= count);
            sum
        };
        self.tokens.iter().map(mean).collect()
    }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

/// Tokens of a BERT's vocabulary that no text is cut into.
const SPECIAL_TOKENS: &[&str] = &["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// WordPiece over `vocab.txt`, in lower case unless `tokenizer_config.json` says otherwise.
fn from_vocabulary(folder: &Path, path: &Path) -> Result<Tokenizer, ModelError> {
    if !path.is_file() {
        let hint = "a tagger is a folder with config.json, tokenizer.json or vocab.txt, and model.safetensors or onnx/*.onnx".to_owned();
        return Err(ModelError::MissingFile {
            path: folder.join("tokenizer.json"),
            what: "the tokenizer",
            hint,
        });
    }
    let text = read_text(path, "the vocabulary")?;
    let settings = folder.join("tokenizer_config.json");
    let given = match settings.is_file() {
        true => read_json(&settings, "the tokenizer's settings")?,
        false => json!({}),
    };
    let fields = Fields::new(&settings, given)?;
    let lower = fields.boolean("do_lower_case", true)?;
    let apart = fields.boolean("tokenize_chinese_chars", true)?;
    // Left out, accents go where letters become small ones.
    let strip = match fields.get("strip_accents").is_none() {
        true => Value::Null,
        false => fields.boolean("strip_accents", false)?.into(),
    };
    let vocabulary: Map<String, Value> =
        text.lines().enumerate().map(|(id, token)| (token.trim_end().to_owned(), Value::from(id))).collect();
    let special: Vec<Value> = SPECIAL_TOKENS
        .iter()
        .filter_map(|&token| {
            let id = vocabulary.get(token)?;
            Some(json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}))
        })
        .collect();
    let described = json!({
        "version": "1.0",
        "added_tokens": special,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": apart, "strip_accents": strip, "lowercase": lower},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    });
    crate::tokenizer::from_json(path, &described.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Held against transformers' `BertTokenizer` of such settings.
    #[test]
    fn settings_of_a_vocabulary_say_what_becomes_of_letters() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vocab.txt");
        std::fs::write(&path, "[UNK]\n[CLS]\n[SEP]\nene\nEne\nÉñé\néñé\n中\nÉñé中\n").expect("written");
        for (settings, expected) in [
            ("{}", &["ene", "中"][..]),
            (r#"{"do_lower_case": false}"#, &["Éñé", "中"]),
            (r#"{"do_lower_case": false, "strip_accents": null}"#, &["Éñé", "中"]),
            (r#"{"do_lower_case": false, "strip_accents": true}"#, &["Ene", "中"]),
            (r#"{"strip_accents": false}"#, &["éñé", "中"]),
            (r#"{"do_lower_case": false, "tokenize_chinese_chars": false}"#, &["Éñé中"]),
        ] {
            std::fs::write(folder.path().join("tokenizer_config.json"), settings).expect("written");
            let tokenizer = from_vocabulary(folder.path(), &path).expect("a tokenizer");
            let encoding = encode_guarded(&tokenizer, "Éñé中", false).expect("encoded");
            assert_eq!(encoding.get_tokens(), expected, "{settings}");
        }
    }
}
