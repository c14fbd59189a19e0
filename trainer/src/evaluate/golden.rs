//! A golden set: what the base and the tuned model answer, case by case, beside what was expected.

use rtune_data::{Example, Message, Record, RowProblem, Source, TrainOn, read_golden};
use rtune_metrics::text::{self, chrf};
use rtune_models::generate::{End, Go};
use serde::Serialize;
use serde_json::Value;

use super::asking::{Asking, Question};
use crate::checkpoint::FORMAT;
use crate::error::TrainerError;
use crate::loss::LossSum;
use crate::talk::{Settings, Speaker};

/// What `eval/golden-NAME.json` holds. Nothing in it depends on time or place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GoldenReport {
    /// [`FORMAT`].
    pub format: u64,
    /// The golden files, as they were named, and BLAKE3 of their bytes.
    pub files: Vec<(String, String)>,
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// How chrF was computed, as sacreBLEU says it.
    pub chrf_signature: String,
    /// The base over all cases.
    pub base: Summary,
    /// The tuned model over all cases; `None` where there is no adapter.
    pub tuned: Option<Summary>,
    /// One for each golden row, in order.
    pub cases: Vec<Case>,
}

/// A model over all cases.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// `e` to the nats a token of the expected answers, over all tokens of all cases.
    pub answer_perplexity: f64,
    /// Part of the cases whose answer is an expected one.
    pub exact_match: f64,
    /// chrF2 of all answers as one corpus.
    pub chrf: f64,
    /// Part of the answers that ended by themselves.
    pub ended: f64,
    /// Tokens of all answers.
    pub answer_tokens: usize,
}

/// A golden row and its answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// The row's id.
    pub id: String,
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: u64,
    /// What was asked.
    pub prompt: Vec<Message>,
    /// What was expected: the row's answer, then its `references`.
    pub expected: Vec<String>,
    /// The base.
    pub base: Side,
    /// The tuned model.
    pub tuned: Option<Side>,
}

/// One model's answer to one case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// The greedy answer.
    pub answer: String,
    /// Whether it ended by itself, and not at its longest.
    pub ended: bool,
    /// Whether it is an expected one, spaces around it aside.
    pub exact_match: bool,
    /// chrF2 against the nearest expected answer.
    pub chrf: f64,
    /// Nats of the row's own answer, under this model.
    pub nats: f64,
    /// Its tokens, with the one that ends it.
    pub tokens: u64,
    /// `e` to the nats a token.
    pub perplexity: f64,
}

/// A golden row, ready to be asked.
pub(super) struct Asked {
    pub(super) record: Record,
    expected: Vec<String>,
    pub(super) prompt: Vec<u32>,
    pub(super) scored: Example,
    /// Whether the last token of [`Self::scored`] ends the answer.
    pub(super) ended: bool,
}

/// What is going on, for a bar.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Whether it is the tuned model's turn.
    pub tuned: bool,
    /// Answers that have ended or begun.
    pub done: usize,
    /// Cases.
    pub total: usize,
}

/// Asks the base, and the tuned model if there is an adapter, every row of `sources`, and compares.
///
/// # Errors
/// Those of the files, the template and the model; a row that is too long for the model is named.
pub fn examine(
    speaker: &Speaker<'_>,
    sources: &[Source],
    settings: &Settings,
    progress: &mut dyn FnMut(Progress),
) -> Result<GoldenReport, TrainerError> {
    let (mut hashes, mut asked) = (Vec::new(), Vec::new());
    for file in sources.iter().map(read_golden).collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
        hashes.push((file.path.display().to_string(), file.hash));
        for row in file.rows {
            asked.push(ask(speaker, row.record, row.extra.get("references"))?);
        }
    }
    let has_adapter = speaker.opened().tuned;
    let base = sides(speaker, &asked, settings, false, progress)?;
    let tuned = has_adapter.then(|| sides(speaker, &asked, settings, true, progress)).transpose()?;
    let tuned_summary = tuned.as_ref().map(|(_, summary)| summary.clone());
    let mut tuned_sides = tuned.map(|(sides, _)| sides.into_iter());
    let (base_sides, base_summary) = base;
    let cases = asked.into_iter().zip(base_sides).map(|(asked, base)| Case {
        id: asked.record.id.clone(),
        file: asked.record.origin.file.display().to_string(),
        line: asked.record.origin.line,
        prompt: asked.record.prompt().to_vec(),
        expected: asked.expected,
        base,
        tuned: tuned_sides.as_mut().and_then(Iterator::next),
    });
    let cases: Vec<Case> = cases.collect();
    let most = cases.iter().map(|case| case.expected.len()).max().unwrap_or(1);
    Ok(GoldenReport {
        format: FORMAT,
        files: hashes,
        max_new_tokens: settings.max_new_tokens,
        chrf_signature: chrf::signature(chrf::Kind::Plain, most),
        base: base_summary,
        tuned: tuned_summary,
        cases,
    })
}

/// Prompt and expected answer of a golden row, as tokens.
pub(super) fn ask(
    speaker: &Speaker<'_>,
    record: Record,
    references: Option<&Value>,
) -> Result<Asked, TrainerError> {
    let problem = |kind| -> TrainerError {
        rtune_data::DataError::from(RowProblem { origin: record.origin.clone(), kind }).into()
    };
    let encoder = speaker.encoder()?;
    let prompt = encoder.record_prompt(&record).map_err(problem)?;
    let most = speaker.opened().base.config.max_position_embeddings;
    let rows = encoder.encode_record(&record, TrainOn::Last, most).map_err(problem)?;
    let row = rows.into_iter().last().ok_or(rtune_data::ProblemKind::NothingSupervised).map_err(problem)?;
    if row.tokens.len() > most {
        let kind = rtune_data::ProblemKind::TooLong { tokens: row.tokens.len(), max_tokens: most };
        return Err(problem(kind));
    }
    let mut expected: Vec<String> = record.answer().map(str::to_owned).into_iter().collect();
    let listed = references.and_then(Value::as_array).into_iter().flatten();
    expected.extend(listed.filter_map(Value::as_str).map(str::to_owned));
    let (id, origin) = (record.id.clone(), record.origin.clone());
    let scored = Example { id, origin, tokens: row.tokens, supervised: row.supervised };
    Ok(Asked { record, expected, prompt, scored, ended: row.ended })
}

/// One model's answers and their scores.
fn sides(
    speaker: &Speaker<'_>,
    asked: &[Asked],
    settings: &Settings,
    tuned: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Vec<Side>, Summary), TrainerError> {
    let questions = asked.iter().map(|asked| Question { prompt: &asked.prompt, scored: &asked.scored });
    let mut asking = Asking::new(speaker, questions.collect(), settings, tuned);
    let mut begun = vec![false; asked.len()];
    let mut done = 0;
    let mut on_token = |index: usize, _| {
        done += usize::from(!std::mem::replace(&mut begun[index], true));
        progress(Progress { tuned, done, total: asked.len() });
        Go::On
    };
    let answers = speaker.generate(&mut asking, settings, tuned, &mut on_token)?;
    let losses = asking.losses();
    let mut corpus = chrf::ChrfStatistics::default();
    let mut total = LossSum::default();
    let mut sides = Vec::with_capacity(asked.len());
    let mut answer_tokens = 0;
    for ((asked, answer), loss) in asked.iter().zip(answers).zip(losses) {
        let text = speaker.text(&answer.tokens)?;
        let references: Vec<&str> = asked.expected.iter().map(String::as_str).collect();
        let statistics = chrf::statistics_of_best(&text, &references, chrf::Kind::Plain);
        corpus += statistics;
        total += loss;
        answer_tokens += answer.tokens.len();
        sides.push(Side {
            ended: answer.end == End::Stop,
            exact_match: references.iter().any(|reference| text::exact_match(&text, reference)),
            chrf: statistics.score(),
            nats: loss.nats,
            tokens: loss.supervised_tokens,
            perplexity: loss.perplexity(),
            answer: text,
        });
    }
    let share = |count: usize| count as f64 / sides.len().max(1) as f64;
    let summary = Summary {
        answer_perplexity: total.perplexity(),
        exact_match: share(sides.iter().filter(|side| side.exact_match).count()),
        chrf: corpus.score(),
        ended: share(sides.iter().filter(|side| side.ended).count()),
        answer_tokens,
    };
    Ok((sides, summary))
}
