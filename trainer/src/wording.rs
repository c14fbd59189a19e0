//! Conversations as tokens and tokens as texts: a model's tokenizer and chat template, of which no weight is needed.

use rtune_data::{ChatTemplate, Encoder, Message};
use rtune_models::BaseModel;

use crate::error::TrainerError;
use crate::talk::decode;

/// A tokenizer with a template around it.
pub struct Wording<'a> {
    base: &'a BaseModel,
    template: Option<&'a ChatTemplate>,
    encoder: Option<Encoder<'a>>,
}

impl<'a> Wording<'a> {
    /// Makes template and tokenizer ready.
    ///
    /// # Errors
    /// [`TrainerError::Data`] if the template or the tokenizer fails.
    pub fn new(base: &'a BaseModel, template: Option<&'a ChatTemplate>) -> Result<Self, TrainerError> {
        let encoder = template.map(|template| Encoder::new(template, &base.tokenizer)).transpose()?;
        Ok(Self { base, template, encoder })
    }

    /// The base, its files and its tokenizer.
    pub(crate) fn base(&self) -> &'a BaseModel {
        self.base
    }

    /// The chat template, if there is one.
    pub(crate) fn template(&self) -> Option<&'a ChatTemplate> {
        self.template
    }

    /// The tokens that end an answer.
    pub(crate) fn stop_tokens(&self) -> Vec<u32> {
        crate::talk::stop_tokens(self.base, self.encoder.as_ref())
    }

    /// The template and the tokenizer.
    ///
    /// # Errors
    /// [`TrainerError::NoTemplate`].
    pub fn encoder(&self) -> Result<&Encoder<'a>, TrainerError> {
        let base = || self.base.files.first().cloned().unwrap_or_default();
        self.encoder.as_ref().ok_or_else(|| TrainerError::NoTemplate { base: base() })
    }

    /// The tokens a conversation is answered from.
    ///
    /// # Errors
    /// [`TrainerError::NoTemplate`], [`TrainerError::Conversation`] if the template refuses it.
    pub fn prompt(&self, messages: &[Message]) -> Result<Vec<u32>, TrainerError> {
        Ok(self.encoder()?.prompt(messages)?)
    }

    /// The tokens of a text that is to be continued as it stands, without a template.
    ///
    /// # Errors
    /// [`TrainerError::Data`] if the tokenizer fails.
    pub fn continued(&self, text: &str) -> Result<Vec<u32>, TrainerError> {
        let encoding = rtune_data::encode_guarded(&self.base.tokenizer, text, true);
        let fail = |error: tokenizers::Error| rtune_data::DataError::Tokenizer { reason: error.to_string() };
        Ok(encoding.map_err(fail)?.get_ids().to_vec())
    }

    /// The text of an answer, without special tokens.
    ///
    /// # Errors
    /// [`TrainerError::Data`] if the tokenizer fails.
    pub fn text(&self, tokens: &[u32]) -> Result<String, TrainerError> {
        decode(&self.base.tokenizer, tokens)
    }

    /// The text of tokens as a model reads them, special tokens too.
    ///
    /// # Errors
    /// [`TrainerError::Data`] if the tokenizer fails.
    pub(crate) fn text_with_marks(&self, tokens: &[u32]) -> Result<String, TrainerError> {
        let fail = |error: tokenizers::Error| rtune_data::DataError::Tokenizer { reason: error.to_string() };
        Ok(rtune_data::decode_guarded(&self.base.tokenizer, tokens, false).map_err(fail)?)
    }
}
