//! Rendered texts to token ids.

use std::collections::HashSet;

use rtune_tokens::encode_guarded;
use tokenizers::{PaddingParams, PostProcessorWrapper, Tokenizer, TruncationParams};

use super::spans::{self, Rendered, Talk};
use crate::error::DataError;
use crate::options::TrainOn;
use crate::problem::ProblemKind;
use crate::record::{Form, Message, Record};
use crate::template::{ChatTemplate, SpecialTokens};

/// A tokenized conversation of `T` tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids, `T`; the last one is trained.
    pub tokens: Vec<u32>,
    /// Whether a token is a target, `T`; the first never is.
    pub supervised: Vec<bool>,
    /// Whether each trained answer ends in an end-of-turn token; a model trained on answers that do not never learns to
    /// stop.
    pub ended: bool,
    /// Whether a text of the row itself holds what the tokenizer reads as a special token.
    pub special_in_text: bool,
    /// For each token the message whose content it lies in, if the prompt may be shortened there.
    pub(super) cuttable: Vec<Option<u32>>,
    /// Whether a token begins where the one before it ended; several tokens may spell one character.
    pub(super) begins: Vec<bool>,
    /// Whether the places of the contents are known.
    pub(super) located: bool,
}

/// A template and a tokenizer, ready to turn conversations into tokens.
pub struct Encoder<'a> {
    template: &'a ChatTemplate,
    pub(super) tokenizer: Tokenizer,
    pub(super) special_ids: HashSet<u32>,
    /// The texts of special tokens: what can end a turn.
    ends: Vec<String>,
    /// The token every row must begin with, if the tokenizer puts one there by itself.
    pub(super) bos: Option<u32>,
    /// The token behind a text that is trained as it stands.
    pub(super) eos: Option<u32>,
    /// The token before a text that is weighed as it stands.
    pub(super) prefix: Option<u32>,
}

impl<'a> Encoder<'a> {
    /// Keeps a copy of the tokenizer without its truncation, padding and post-processing: the first two would change
    /// rows silently, the third moves offsets and adds tokens that the template already prints.
    pub fn new(template: &'a ChatTemplate, tokenizer: &Tokenizer) -> Result<Self, DataError> {
        let mut bare = bare(tokenizer)?;
        let bos = put_first(&bare, template.special())?;
        bare.with_post_processor(None::<PostProcessorWrapper>);
        let eos = template.special().eos.as_deref().and_then(|eos| bare.token_to_id(eos));
        let prefix = template.special().bos.as_deref().and_then(|bos| bare.token_to_id(bos)).or(eos);
        let mut special_ids = HashSet::new();
        let mut ends: Vec<String> =
            template.special().eos.iter().filter(|eos| !eos.is_empty()).cloned().collect();
        for (id, token) in bare.get_added_tokens_decoder() {
            if token.special && !token.content.is_empty() {
                special_ids.insert(id);
                ends.push(token.content);
            }
        }
        ends.sort_unstable();
        ends.dedup();
        Ok(Self { template, tokenizer: bare, special_ids, ends, bos, eos, prefix })
    }

    /// The tokens a model is asked with: the conversation and the beginning of the next answer, as in training.
    pub fn prompt(&self, messages: &[Message]) -> Result<Vec<u32>, ProblemKind> {
        self.prompt_of(Talk { messages, tools: &[] })
    }

    /// The tokens a model is asked for the last answer of a row with.
    ///
    /// # Errors
    /// As [`Encoder::encode_record`]; [`ProblemKind::NothingAsked`] for a text.
    pub fn record_prompt(&self, record: &Record) -> Result<Vec<u32>, ProblemKind> {
        if record.form() == Form::Text {
            return Err(ProblemKind::NothingAsked);
        }
        self.prompt_of(Talk { messages: record.prompt(), tools: &record.tools })
    }

    fn prompt_of(&self, talk: Talk<'_>) -> Result<Vec<u32>, ProblemKind> {
        self.refuse_not_shown(talk)?;
        let text = self.template.render_conversation(talk.messages, talk.tools, true)?;
        let encoding = encode_guarded(&self.tokenizer, &text, false).map_err(refused)?;
        let mut tokens = encoding.get_ids().to_vec();
        if let Some(bos) = self.missing_bos(&tokens) {
            tokens.insert(0, bos);
        }
        Ok(tokens)
    }

    /// A row as examples: a conversation as [`Encoder::encode`] has it, a text as [`Encoder::encode_whole`].
    ///
    /// # Errors
    /// Those of the two, and [`ProblemKind::NotShown`] for tools, calls or reasoning that the template does not show.
    pub fn encode_record(
        &self,
        record: &Record,
        train_on: TrainOn,
        max_tokens: usize,
    ) -> Result<Vec<Encoded>, ProblemKind> {
        match record.form() {
            Form::Text => self.encode_whole(record.answer().unwrap_or_default(), max_tokens),
            Form::Conversation => {
                self.encode_talk(Talk { messages: &record.messages, tools: &record.tools }, train_on)
            }
        }
    }

    /// The conversation as rows to train on: one, or one for each trained answer where the template rewrites history.
    ///
    /// Trained are the answers with the end-of-turn token, which is the first special token behind an answer, or the last
    /// one of an answer that calls tools. A token that begins in the prompt belongs to the prompt. Rows end with their
    /// last trained token: the line break that many templates put behind the end-of-turn token is left out there. If the
    /// tokenizer puts a BOS token before every text and the template does not, it is put there once.
    ///
    /// # Errors
    /// [`ProblemKind::Template`], [`ProblemKind::PromptNotKept`], [`ProblemKind::Tokenizer`],
    /// [`ProblemKind::NotShown`], [`ProblemKind::QuestionNotShown`], [`ProblemKind::UntrainedNotPlaced`] and
    /// [`ProblemKind::NothingSupervised`].
    pub fn encode(&self, messages: &[Message], train_on: TrainOn) -> Result<Vec<Encoded>, ProblemKind> {
        self.encode_talk(Talk { messages, tools: &[] }, train_on)
    }

    fn encode_talk(&self, talk: Talk<'_>, train_on: TrainOn) -> Result<Vec<Encoded>, ProblemKind> {
        self.refuse_not_shown(talk)?;
        let texts = spans::render(self.template, &self.ends, talk, train_on)?;
        texts.iter().map(|rendered| self.encode_text(rendered, talk.messages)).collect()
    }

    fn refuse_not_shown(&self, talk: Talk<'_>) -> Result<(), ProblemKind> {
        match self.template.not_shown(talk.messages, talk.tools) {
            Some(field) => Err(ProblemKind::NotShown { field }),
            None => Ok(()),
        }
    }

    fn encode_text(&self, rendered: &Rendered, messages: &[Message]) -> Result<Encoded, ProblemKind> {
        let encoding = encode_guarded(&self.tokenizer, &rendered.text, false).map_err(refused)?;
        let (ids, offsets) = (encoding.get_ids(), encoding.get_offsets());
        let bos = self.missing_bos(ids);
        let mut row = Encoded {
            tokens: bos.into_iter().collect(),
            supervised: vec![false; usize::from(bos.is_some())],
            ended: rendered.ended,
            special_in_text: false,
            cuttable: vec![None; usize::from(bos.is_some())],
            begins: vec![true; usize::from(bos.is_some())],
            located: rendered.contents.is_some(),
        };
        let contents = rendered.contents.as_deref().unwrap_or_default();
        let (mut span, mut message, mut previous_end) = (0, 0, 0);
        for (&id, &(start, end)) in ids.iter().zip(offsets) {
            while rendered.trained.get(span).is_some_and(|range| range.end <= start) {
                span += 1;
            }
            while contents.get(message).is_some_and(|range| range.end <= start) {
                message += 1;
            }
            let trained = rendered.trained.get(span).is_some_and(|range| range.start <= start);
            let inside = contents.get(message).is_some_and(|range| range.start <= start && end <= range.end);
            let prompt = inside && !trained && !messages[message].is_instruction();
            row.special_in_text |= inside && self.special_ids.contains(&id);
            row.tokens.push(id);
            row.supervised.push(trained && !row.supervised.is_empty());
            row.cuttable.push(prompt.then_some(message as u32));
            row.begins.push(start >= previous_end);
            previous_end = end.max(previous_end);
        }
        if row.supervised.contains(&true) { Ok(row) } else { Err(ProblemKind::NothingSupervised) }
    }

    pub(super) fn missing_bos(&self, tokens: &[u32]) -> Option<u32> {
        self.bos.filter(|bos| tokens.first() != Some(bos))
    }
}

/// The BOS token that `tokenizer` puts before every text by itself, if it does.
///
/// # Errors
/// [`DataError::Tokenizer`] if it cannot be asked.
pub fn leading_bos(tokenizer: &Tokenizer, special: &SpecialTokens) -> Result<Option<u32>, DataError> {
    put_first(&bare(tokenizer)?, special)
}

/// The tokenizer without truncation and padding.
fn bare(tokenizer: &Tokenizer) -> Result<Tokenizer, DataError> {
    let mut bare = tokenizer.clone();
    bare.with_truncation(None::<TruncationParams>).map_err(failed)?;
    bare.with_padding(None::<PaddingParams>);
    Ok(bare)
}

fn put_first(bare: &Tokenizer, special: &SpecialTokens) -> Result<Option<u32>, DataError> {
    let alone = encode_guarded(bare, "", true).map_err(failed)?;
    let named = special.bos.as_deref().and_then(|bos| bare.token_to_id(bos));
    Ok(named.filter(|bos| alone.get_ids().first() == Some(bos)))
}

fn failed(error: tokenizers::Error) -> DataError {
    DataError::Tokenizer { reason: error.to_string() }
}

pub(super) fn refused(error: tokenizers::Error) -> ProblemKind {
    ProblemKind::Tokenizer { reason: error.to_string() }
}
