//! Sample answers while a run is under way: what the adapter would say now to a few held-out prompts.

use rtune_data::Example;
use rtune_kernels::arena::Arena;
use rtune_models::BaseModel;
use rtune_models::generate::{Answer, Documents, Go, Limits, Request, Sampler, Sampling};
use tokenizers::Tokenizer;

use super::asks::{Ask, AskSet, Timed};
use crate::error::TrainerError;
use crate::metrics::SampleLine;
use crate::talk::{self, Model};

/// Held-out prompts that are answered again and again.
#[derive(Clone, Debug)]
pub struct Samples {
    prompts: Vec<Prompt>,
    limits: Limits,
}

#[derive(Clone, Debug)]
struct Prompt {
    id: String,
    tokens: Vec<u32>,
    question: String,
    expected: String,
    expected_tokens: usize,
}

impl Samples {
    /// Takes `count` of the held-out rows, evenly from the first to the last; `None` where there is nothing to ask.
    ///
    /// `stop_tokens` as [`talk::stop_tokens`] finds them.
    ///
    /// # Errors
    /// [`TrainerError::Data`] if the tokenizer fails.
    pub fn new(
        held_out: &[Example],
        count: usize,
        max_new_tokens: usize,
        base: &BaseModel,
        stop_tokens: Vec<u32>,
    ) -> Result<Option<Self>, TrainerError> {
        let max_positions = base.config.max_position_embeddings;
        let fitting: Vec<&Example> =
            held_out.iter().filter(|row| split(row).is_some_and(|at| at > 0 && at < max_positions)).collect();
        let count = count.min(fitting.len());
        let chosen = (0..count).map(|index| fitting[index * (fitting.len() - 1) / (count - 1).max(1)]);
        let prompts: Vec<Prompt> =
            chosen.map(|row| Prompt::of(row, &base.tokenizer)).collect::<Result<_, _>>()?;
        let limits = Limits {
            stop_tokens,
            max_new_tokens,
            max_positions,
            batch_documents: count,
            batch_tokens: max_positions,
            documents: Documents::Dropped,
        };
        Ok((!prompts.is_empty()).then_some(Self { prompts, limits }))
    }

    /// How much is asked.
    #[must_use]
    pub fn asks(&self) -> AskSet {
        let row = |prompt: &Prompt| {
            let tokens = prompt.tokens.len();
            Ask { prompt: tokens, whole: tokens, expected: prompt.expected_tokens, turns: 1 }
        };
        AskSet {
            rows: self.prompts.iter().map(row).collect(),
            max_new_tokens: self.limits.max_new_tokens,
            batch: self.limits.batch_documents,
            batch_tokens: self.limits.batch_tokens,
            positions: self.limits.max_positions,
            ..AskSet::default()
        }
    }

    /// Answers all prompts with the trained model.
    ///
    /// # Errors
    /// [`TrainerError::Generate`]; [`TrainerError::Data`] if the tokenizer fails.
    pub fn answer(&self, model: &Model<'_>, step: u64) -> Result<Vec<SampleLine>, TrainerError> {
        let tokenizer = &model.base.tokenizer;
        let answers = self.ask(model, &self.limits)?;
        let lines = self.prompts.iter().zip(answers).map(|(prompt, answer)| {
            let answer = talk::decode(tokenizer, &answer.tokens)?;
            let Prompt { id, question, expected, .. } = prompt.clone();
            Ok(SampleLine { step, sample_id: id, prompt: question, expected, answer })
        });
        lines.collect()
    }

    fn ask(&self, model: &Model<'_>, limits: &Limits) -> Result<Vec<Answer>, TrainerError> {
        let request = |prompt: &Prompt| Request {
            prompt: prompt.tokens.clone(),
            sampler: Sampler::new(&Sampling::GREEDY, 0),
            document: None,
        };
        let requests = self.prompts.iter().map(request);
        Ok(model.generate(requests, limits, true, &Arena::new(), &mut |_, _| Go::On)?)
    }

    /// How long questions and answers take.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub(crate) fn timed(&self, model: &Model<'_>) -> Result<Timed, TrainerError> {
        Timed::by(self.prompts.len(), self.limits.max_new_tokens, &mut |max_new_tokens| {
            let answers = self.ask(model, &Limits { max_new_tokens, ..self.limits.clone() })?;
            Ok(answers.iter().map(|answer| answer.tokens.len()).sum())
        })
    }
}

impl Prompt {
    fn of(row: &Example, tokenizer: &Tokenizer) -> Result<Self, TrainerError> {
        let (asked, answer) = row.tokens.split_at(split(row).unwrap_or(row.tokens.len()));
        Ok(Self {
            id: row.id.clone(),
            tokens: asked.to_vec(),
            question: talk::decode(tokenizer, asked)?,
            expected: talk::decode(tokenizer, answer)?,
            expected_tokens: answer.len(),
        })
    }
}

/// Where the last answer of a row begins.
fn split(row: &Example) -> Option<usize> {
    let last = row.supervised.iter().rposition(|&supervised| supervised)?;
    Some(row.supervised[..last].iter().rposition(|&supervised| !supervised).map_or(0, |before| before + 1))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rtune_data::Origin;

    use super::*;

    #[test]
    fn the_prompt_ends_where_the_last_answer_begins() {
        let origin = Origin { file: Path::new("a").into(), line: 1 };
        let supervised = [false, false, true, true, false, true, true].to_vec();
        let row = Example { id: "a".into(), origin, tokens: (0..7).collect(), supervised };
        assert_eq!(split(&row), Some(5));
        let none = Example { supervised: vec![false; 7], ..row };
        assert_eq!(split(&none), None);
    }
}
