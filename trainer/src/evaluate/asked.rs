//! A golden row, ready to be asked: its prompt, what is expected, and how an answer is read.

use rtune_data::{Example, ProblemKind, Record, RowProblem, TrainOn};
use rtune_metrics::grounded::Sources;
use rtune_metrics::text::{MOST_WORDS, count_words};
use serde_json::{Map, Value};

use super::figures::{Case, Side};
use super::wanted::Wanted;
use super::{calls, conversation, extraction, thinking};
use crate::error::TrainerError;
use crate::wording::Wording;

/// A golden row, ready to be asked.
pub(super) struct Asked {
    pub(super) record: Record,
    pub(super) wanted: Wanted,
    expected: Vec<String>,
    pub(super) prompt: Vec<u32>,
    pub(super) scored: Example,
    /// Whether the last token of [`Self::scored`] ends the answer.
    pub(super) ended: bool,
    /// The text of the tokens that are supervised there, without what ends the answer: with reasoning and calls, where the row has any.
    pub(super) own: String,
    /// Where in the record the answers stand that the model makes.
    pub(super) turns: Vec<usize>,
    /// What answers are held against, where the row has a context.
    pub(super) sources: Option<Sources>,
    /// What the last answer should be as JSON.
    pub(super) json: Option<extraction::Wanted>,
    /// Which tools the last answer should call, where it could call any.
    pub(super) calls: Option<calls::Wanted>,
    /// What ends reasoning in an answer, which is read without it; `None` where no template shows any, or an expected answer has it too.
    pub(super) thinking: Option<String>,
}

impl Asked {
    /// What is expected of turn `turn`, from 0: of the last one all that is right.
    pub(super) fn references(&self, turn: usize) -> Vec<&str> {
        match self.turns.get(turn) {
            Some(&place) if turn + 1 < self.turns.len() => vec![self.record.messages[place].content.as_str()],
            _ => self.expected.iter().map(String::as_str).collect(),
        }
    }

    /// The first text that is right as the last answer.
    pub(super) fn answer(&self) -> &str {
        self.expected.first().map_or("", String::as_str)
    }

    /// Whether answers can be held against something, and in bounded memory.
    ///
    /// # Errors
    /// [`ProblemKind::Golden`], with the row's place.
    pub(super) fn can_be_scored(&self) -> Result<(), TrainerError> {
        let wrong = |field: &str, reason: String| {
            problem(&self.record, ProblemKind::Golden { field: field.to_owned(), reason })
        };
        if self.expected.is_empty() {
            let reason = "expected a text as the last answer, found calls of tools alone".to_owned();
            return Err(wrong("messages", reason));
        }
        for text in (0..self.turns.len()).flat_map(|turn| self.references(turn)) {
            let words = count_words(text);
            if words > MOST_WORDS {
                let field = if self.wanted.references.iter().any(|own| own == text) {
                    "references"
                } else {
                    "output"
                };
                let reason = format!("expected answers of at most {MOST_WORDS} words, found {words}");
                return Err(wrong(field, reason));
            }
        }
        Ok(())
    }

    /// As a report has it, with the answers of one or two models.
    pub(super) fn case(self, base: Side, tuned: Option<Side>, has_adapter: bool) -> Case {
        let content = |&place: &usize| self.record.messages[place].content.clone();
        let several = self.turns.len() > 1;
        Case {
            id: self.record.id.clone(),
            file: self.record.origin.file.display().to_string(),
            line: self.record.origin.line,
            prompt: self.record.prompt().to_vec(),
            turns: if several { self.turns.iter().map(content).collect() } else { Vec::new() },
            expected: self.expected,
            places: if several { self.turns } else { Vec::new() },
            context: self.wanted.context,
            slice: self.wanted.slice,
            cluster: self.wanted.cluster,
            weight: self.wanted.weight,
            human: self.wanted.human.of(has_adapter),
            checks: self.wanted.checks.len(),
            checks_hash: self.wanted.checks_hash,
            variants: Vec::new(),
            base,
            tuned,
        }
    }
}

/// Prompt and expected answer of a golden row, as tokens.
pub(super) fn ask(
    wording: &Wording<'_>,
    record: Record,
    extra: &Map<String, Value>,
) -> Result<Asked, TrainerError> {
    let wanted = Wanted::read(extra).map_err(|kind| problem(&record, kind))?;
    let prompt = wording.encoder()?.record_prompt(&record).map_err(|kind| problem(&record, kind))?;
    let (scored, ended) = encoded(wording, &record)?;
    let last = record.messages.iter().rfind(|message| message.is_answer());
    let closing = wording.template().and_then(thinking::closing);
    let own_tokens = supervised(&scored, ended);
    let written = thinking::text_behind(wording, &own_tokens, closing.as_deref())?;
    let calls = calls::Wanted::new(&record, &written);
    let text = match last {
        // Calls are no text: what a model writes for them the template says, or `references`.
        Some(message) if calls::calls_alone(message) => {
            (wanted.references.is_empty() && !written.trim().is_empty()).then_some(written)
        }
        last => last.map(|message| message.content.clone()),
    };
    let expected: Vec<String> = text.into_iter().chain(wanted.references.iter().cloned()).collect();
    let turns = conversation::turns(&record, wanted.ask);
    wanted.fit(turns.len()).map_err(|kind| problem(&record, kind))?;
    let said = record.messages.iter().map(|message| message.content.as_str());
    let texts = said.chain(wanted.references.iter().chain(&wanted.context).map(String::as_str));
    let sources = (!wanted.context.is_empty()).then(|| Sources::new(&texts.collect::<Vec<_>>()));
    let of_last = wanted.checks.iter().filter(|check| check.is_of(turns.len(), turns.len()));
    let definitions = of_last.map(|check| check.checker.definition());
    let json = extraction::Wanted::new(definitions, record.answer().unwrap_or_default());
    let own = match last.is_some_and(|message| message.reasoning().is_some() || message.calls_tools()) {
        true => wording.text_with_marks(&own_tokens)?,
        false => record.answer().unwrap_or_default().to_owned(),
    };
    let said = record.messages.iter().filter(|message| message.is_answer()).map(|message| &message.content);
    let mut right = said.chain(&expected);
    let thinking = closing.filter(|closing| right.all(|text| !text.contains(closing.as_str())));
    Ok(Asked { record, wanted, expected, prompt, scored, ended, own, turns, sources, json, calls, thinking })
}

/// The tokens of the answer, without the one that ends it.
fn supervised(scored: &Example, ended: bool) -> Vec<u32> {
    let tokens = scored.tokens.iter().zip(&scored.supervised);
    let mut own: Vec<u32> = tokens.filter(|(_, supervised)| **supervised).map(|(token, _)| *token).collect();
    own.truncate(own.len() - usize::from(ended && !own.is_empty()));
    own
}

/// The row with another answer, and whether its last token ends it.
pub(super) fn scored_as(
    wording: &Wording<'_>,
    record: &Record,
    answer: &str,
) -> Result<(Example, bool), TrainerError> {
    let mut record = record.clone();
    if let Some(last) = record.messages.iter_mut().rfind(|message| message.is_answer()) {
        answer.clone_into(&mut last.content);
    }
    encoded(wording, &record)
}

/// A row with its last answer supervised, and whether the last token ends it.
fn encoded(wording: &Wording<'_>, record: &Record) -> Result<(Example, bool), TrainerError> {
    let most = wording.base().config.max_position_embeddings;
    let record = &with_last_trained(record);
    let rows = wording.encoder()?.encode_record(record, TrainOn::Last, most);
    let row = rows.and_then(|rows| rows.into_iter().last().ok_or(ProblemKind::NothingSupervised));
    let row = row.map_err(|kind| problem(record, kind))?;
    if row.tokens.len() > most {
        let kind = ProblemKind::TooLong { tokens: row.tokens.len(), max_tokens: most };
        return Err(problem(record, kind));
    }
    let (id, origin) = (record.id.clone(), record.origin.clone());
    Ok((Example { id, origin, tokens: row.tokens, supervised: row.supervised }, row.ended))
}

/// The last answer is the expected one even where nobody is to be trained on it.
fn with_last_trained(record: &Record) -> Record {
    let mut record = record.clone();
    if let Some(last) = record.messages.iter_mut().rfind(|message| message.is_answer()) {
        last.trained = true;
    }
    record
}

pub(super) fn problem(record: &Record, kind: ProblemKind) -> TrainerError {
    rtune_data::DataError::from(RowProblem { origin: record.origin.clone(), kind }).into()
}
