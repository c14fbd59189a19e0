//! Golden rows and general skills while a run is under way: what the adapter would answer now, and how good that is.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rand_core::Rng;
use rtune_data::{Form, Half, Message, Origin, Record, Source, read_golden, stream};
use rtune_models::generate::Sampling;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::asked::{Asked, ask};
use super::asking::{self, Question, Scope};
use super::asks::{Ask, AskSet, Timed};
use super::by_name::{Has, available, figures};
use super::golden::{Exam, ExamOptions, Progress};
use super::labels::{self, LabelOptions, Labelled, labelled};
use super::plain::{Text, likely};
use crate::error::TrainerError;
use crate::talk::{BATCH_TOKENS, Settings, Speaker};
use crate::wording::Wording;

/// Answers under way at once. It is fixed, so that a figure is the same on every machine.
pub(super) const BATCH: usize = 32;
/// Most tokens of an answer about general skills: each can be given in a line.
pub(super) const GENERAL_TOKENS: usize = 24;
/// Texts by which the time of all is told.
const TIMED_TEXTS: usize = 4;
/// The set's name where a row has a problem.
const GENERAL_FILE: &str = "general.jsonl";
/// Arithmetic, facts, instructions, formats and language, a row each, with checks of the answer: what a base can do
/// before it is trained, and may forget.
const GENERAL: &str = include_str!("general.jsonl");

/// Rows that are asked again and again.
pub struct Watch {
    asked: Vec<Asked>,
    texts: Vec<Text>,
    labelled: Option<Labelled>,
    options: ExamOptions,
    settings: Settings,
}

/// What a model makes of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// Rows that were asked.
    pub rows: usize,
    /// Every metric of [`super::by_name`] that the rows have, by name.
    pub figures: BTreeMap<String, f64>,
}

impl Watch {
    /// A sample of `rows` of the golden rows that no seal keeps back, drawn by `seed`, in the order of the files; `None` where there is
    /// none to be asked. `sealed` is `gate.sealed`: files without a seal are taken to have one.
    ///
    /// # Errors
    /// Those of the files, the template and the labels.
    pub fn golden(
        wording: &Wording<'_>,
        (sources, sealed): (&[Source], bool),
        rows: usize,
        max_new_tokens: usize,
        labels: &[String],
        seed: u64,
    ) -> Result<Option<Self>, TrainerError> {
        if rows == 0 {
            return Ok(None);
        }
        let rows_of_all = read_golden(sources, sealed)?.into_iter().flat_map(|file| file.rows);
        // While a run is under way, nothing that a model wrote is run.
        let all: Vec<_> = rows_of_all.filter(|row| Half::Open.has(row) && !runs_code(&row.extra)).collect();
        let drawn = sample(all.iter().map(|row| row.record.id.as_str()), rows, seed);
        let (mut asked, mut texts) = (Vec::with_capacity(drawn.len()), Vec::new());
        for (index, row) in all.into_iter().enumerate() {
            if drawn.binary_search(&index).is_err() {
                continue;
            }
            if row.record.form() == Form::Text {
                texts.push(Text::read(wording, row.record, &row.extra)?);
            } else {
                let one = ask(wording, row.record, &row.extra)?;
                one.can_be_scored()?;
                asked.push(one);
            }
        }
        let labels = LabelOptions { labels: labels.to_vec(), ..LabelOptions::default() };
        let labelled = if asked.is_empty() { None } else { labelled(&asked, &labels)? };
        let options = ExamOptions { labels, ..ExamOptions::default() };
        let settings = settings(max_new_tokens);
        let any = !asked.is_empty() || !texts.is_empty();
        Ok(any.then_some(Self { asked, texts, labelled, options, settings }))
    }

    /// The general skills that come with the program.
    ///
    /// # Errors
    /// Those of the template.
    pub fn general(wording: &Wording<'_>) -> Result<Self, TrainerError> {
        let asked = general_rows().into_iter().map(|(record, extra)| ask(wording, record, &extra));
        let asked = asked.collect::<Result<_, _>>()?;
        let (labelled, options) = (None, ExamOptions::default());
        Ok(Self { asked, texts: Vec::new(), labelled, options, settings: settings(GENERAL_TOKENS) })
    }

    /// The metrics that the rows have.
    pub fn metrics(&self) -> Vec<String> {
        let has = Has {
            checks: self.asked.iter().any(|asked| !asked.wanted.checks.is_empty()),
            fields: self.asked.iter().any(|asked| asked.json.as_ref().is_some_and(|json| json.has_fields())),
            contexts: self.asked.iter().any(|asked| asked.sources.is_some()),
            calls: self.asked.iter().any(|asked| asked.calls.as_ref().is_some_and(|calls| calls.any())),
            texts: !self.texts.is_empty(),
            only_texts: self.asked.is_empty(),
        };
        available(has, self.labelled.as_ref().map(|labelled| labelled.set.names()))
    }

    /// How much is asked of a model that knows so many positions.
    #[must_use]
    pub fn asks(&self, positions: usize) -> AskSet {
        let questions = self.asked.iter().filter(|asked| asked.turns.len() == 1);
        let questions = questions.map(|asked| Question { prompt: &asked.prompt, scored: &asked.scored });
        let row = |asked: &Asked| Ask {
            prompt: asked.prompt.len(),
            whole: asked.scored.tokens.len(),
            expected: asked.scored.supervised_count(),
            turns: asked.turns.len(),
        };
        AskSet {
            is_measured: true,
            rows: self.asked.iter().map(row).collect(),
            texts: self.texts.iter().flat_map(Text::parts).map(|part| part.tokens.len()).collect(),
            shared: asking::shared(&questions.collect::<Vec<_>>()),
            labels: self.labelled.as_ref().map_or(0, |labelled| labelled.set.names().len()),
            max_new_tokens: self.settings.max_new_tokens,
            batch: self.settings.batch,
            batch_tokens: BATCH_TOKENS,
            positions,
        }
    }

    /// Asks all rows. `progress` is called with (rows begun, rows in all). What a speaker with
    /// [`Speaker::until`] cut short is of no use.
    ///
    /// # Errors
    /// [`TrainerError::Generate`].
    pub fn measure(
        &self,
        speaker: &Speaker<'_>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Watched, TrainerError> {
        let Self { asked, settings, options, .. } = self;
        let exam = Exam { speaker, asked, settings, labelled: self.labelled.as_ref(), options };
        let rows = asked.len() + self.texts.len();
        let mut of_case = |Progress { done, total, .. }| progress(done, total);
        let summary = if asked.is_empty() { None } else { Some(exam.sides(true, &mut of_case)?.1) };
        let texts = likely(speaker, &self.texts, &mut |done, _| progress(asked.len() + done, rows))?;
        Ok(Watched { rows, figures: figures(summary.as_ref(), texts.as_ref()) })
    }
}

impl Watch {
    /// Asks as many rows as are answered at once, twice: for a token each, and for some more. What is said is of no account.
    ///
    /// # Errors
    /// As [`Self::measure`].
    pub(crate) fn timed(&self, speaker: &Speaker<'_>) -> Result<Timed, TrainerError> {
        let rows = &self.asked[..self.asked.len().min(self.settings.batch)];
        let texts = &self.texts[..self.texts.len().min(TIMED_TEXTS)];
        let begun = Instant::now();
        likely(speaker, texts, &mut |_, _| {})?;
        let read: usize = texts.iter().flat_map(Text::parts).map(|part| part.tokens.len()).sum();
        let text_token_s = begun.elapsed().as_secs_f64() / read.max(1) as f64;
        let begun = Instant::now();
        if let Some(labelled) = &self.labelled {
            labels::score(speaker, rows, &labelled.set, true, &mut |_, _| {})?;
        }
        let labels_s = begun.elapsed().as_secs_f64() / rows.len().max(1) as f64;
        let mut timed = Timed::by(rows.len(), self.settings.max_new_tokens, &mut |max_new_tokens| {
            let settings = Settings { max_new_tokens, ..self.settings };
            let exam =
                Exam { speaker, asked: rows, settings: &settings, labelled: None, options: &self.options };
            let (said, _) = exam.answers(true, Scope::Answer, &mut |_| {})?;
            Ok(said.iter().flatten().map(|said| said.tokens).sum())
        })?;
        timed.question_s += labels_s;
        Ok(Timed { text_token_s, ..timed })
    }
}

/// Whether a check of the row is a program.
fn runs_code(extra: &Map<String, Value>) -> bool {
    let checks = extra.get("checks").and_then(Value::as_array);
    checks.is_some_and(|checks| checks.iter().any(|check| check["kind"] == "python"))
}

fn settings(max_new_tokens: usize) -> Settings {
    Settings { sampling: Sampling::GREEDY, seed: 0, max_new_tokens, batch: BATCH }
}

/// Bytes of each question about general skills with its answer.
pub(super) fn general_bytes() -> impl Iterator<Item = usize> {
    general_rows().into_iter().map(|(record, _)| record.messages.iter().map(|said| said.content.len()).sum())
}

/// Which of the rows with these ids are asked, ascending. Fewer rows are a part of more.
fn sample<'a>(ids: impl Iterator<Item = &'a str>, rows: usize, seed: u64) -> Vec<usize> {
    let draw = |(index, id)| (stream(seed, "golden-sample", id, index as u64).next_u64(), index);
    let mut drawn: Vec<(u64, usize)> = ids.enumerate().map(draw).collect();
    drawn.sort_unstable();
    let mut indices: Vec<usize> = drawn.into_iter().take(rows).map(|(_, index)| index).collect();
    indices.sort_unstable();
    indices
}

/// The rows of [`GENERAL`]; a test reads each of them.
fn general_rows() -> Vec<(Record, Map<String, Value>)> {
    let file: Arc<Path> = Path::new(GENERAL_FILE).into();
    let rows = GENERAL.lines().zip(1..).filter_map(|(line, number)| {
        let mut row: Map<String, Value> = serde_json::from_str(line).ok()?;
        let mut text = |name: &str| row.remove(name).and_then(|value| value.as_str().map(str::to_owned));
        let (id, asked, answer) = (text("id")?, text("instruction")?, text("output")?);
        let messages = vec![Message::new("user", &asked), Message::new("assistant", &answer)];
        let origin = Origin { file: Arc::clone(&file), line: number };
        Some((Record::new(Some(id), origin, messages), row))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::super::wanted::Wanted;
    use super::*;

    #[test]
    fn samples_are_nested_and_keyed() {
        let ids: Vec<String> = (0..100).map(|id| format!("row {id}")).collect();
        let of = |rows, seed| sample(ids.iter().map(String::as_str), rows, seed);
        let (few, more) = (of(10, 1), of(30, 1));
        assert_eq!((few.len(), more.len()), (10, 30));
        assert!(few.iter().all(|row| more.contains(row)) && few.is_sorted());
        assert_ne!(of(10, 2), few);
        assert_eq!(of(500, 1), (0..100).collect::<Vec<_>>());
    }

    /// The expected answer of every row passes its own checks, and an empty one none.
    #[test]
    fn general_rows_are_golden_rows_whose_answers_pass() {
        let rows = general_rows();
        assert_eq!(rows.len(), GENERAL.lines().count());
        assert!((40..=60).contains(&rows.len()));
        let mut ids = std::collections::BTreeSet::new();
        for (record, extra) in rows {
            assert!(ids.insert(record.id.clone()), "{} stands twice", record.id);
            let wanted = Wanted::read(&extra).unwrap_or_else(|problem| panic!("{}: {problem}", record.id));
            assert!(!wanted.checks.is_empty(), "{}", record.id);
            let failed: Vec<String> = wanted
                .checks
                .iter()
                .filter_map(|check| check.checker.check(record.answer().unwrap_or_default()).err())
                .collect();
            assert!(failed.is_empty(), "{}: {failed:?}", record.id);
            assert!(wanted.checks.iter().any(|check| check.checker.check("").is_err()), "{}", record.id);
        }
    }
}
