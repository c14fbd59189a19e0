//! A golden set: what the base and the tuned model answer, case by case, beside what was expected.

use rtune_data::{Example, Message, ProblemKind, Record, RowProblem, Source, TrainOn, read_golden};
use rtune_metrics::text::{self, bleu, chrf};
use rtune_models::generate::{End, Go};
use serde::Serialize;
use serde_json::{Map, Value};

use super::asking::{Asking, Question};
use super::labels::{self, Classification, Judged, LabelOptions, Labelled};
use super::wanted::Wanted;
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
    /// The same of BLEU.
    pub bleu_signature: String,
    /// The labels, where the expected answers are labels.
    pub labels: Option<Vec<String>>,
    /// What copying the label of the nearest training row would come to.
    pub nearest_row: Option<Judged>,
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
    /// The same without regard to case, ASCII punctuation and the amount of whitespace.
    pub normalised_match: f64,
    /// chrF2 of all answers as one corpus.
    pub chrf: f64,
    /// BLEU of all answers as one corpus.
    pub bleu: f64,
    /// Part of the cases with checks whose answer passes them all; `None` where no case has one.
    pub checks_passed: Option<f64>,
    /// Part of the answers that ended by themselves.
    pub ended: f64,
    /// Tokens of all answers.
    pub answer_tokens: usize,
    /// Answers as labels, where the expected ones are.
    pub classification: Option<Classification>,
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
    /// The part of the set that it belongs to.
    pub slice: Option<String>,
    /// What it says much the same with.
    pub cluster: Option<String>,
    /// How much it counts where a mean over cases is taken.
    pub weight: f64,
    /// How many checks its answers have to pass.
    pub checks: usize,
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
    /// The same without regard to case, ASCII punctuation and the amount of whitespace.
    pub normalised_match: bool,
    /// Why it fails its checks; empty where it passes them all or has none.
    pub failed_checks: Vec<String>,
    /// chrF2 against the nearest expected answer.
    pub chrf: f64,
    /// Nats of the row's own answer, under this model.
    pub nats: f64,
    /// Its tokens, with the one that ends it.
    pub tokens: u64,
    /// `e` to the nats a token.
    pub perplexity: f64,
    /// Nats of each label as the answer, where the set has labels.
    pub label_nats: Option<Vec<f64>>,
}

/// A golden row, ready to be asked.
pub(super) struct Asked {
    pub(super) record: Record,
    pub(super) wanted: Wanted,
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
    /// Whether labels are being scored, and not answers made.
    pub scoring: bool,
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
    options: &LabelOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<GoldenReport, TrainerError> {
    let (mut hashes, mut asked) = (Vec::new(), Vec::new());
    for file in sources.iter().map(read_golden).collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
        hashes.push((file.path.display().to_string(), file.hash));
        for row in file.rows {
            asked.push(ask(speaker, row.record, &row.extra)?);
        }
    }
    let has_adapter = speaker.opened().tuned;
    let labelled = labels::labelled(&asked, options)?;
    let nearest_row = match &labelled {
        Some(labelled) => labels::nearest_row(&asked, labelled, options)?,
        None => None,
    };
    let exam = Exam { speaker, asked: &asked, settings, labelled: labelled.as_ref(), options };
    let base = exam.sides(false, progress)?;
    let tuned = has_adapter.then(|| exam.sides(true, progress)).transpose()?;
    let tuned_summary = tuned.as_ref().map(|(_, summary)| summary.clone());
    let mut tuned_sides = tuned.map(|(sides, _)| sides.into_iter());
    let (base_sides, base_summary) = base;
    let cases = asked.into_iter().zip(base_sides).map(|(asked, base)| Case {
        id: asked.record.id.clone(),
        file: asked.record.origin.file.display().to_string(),
        line: asked.record.origin.line,
        prompt: asked.record.prompt().to_vec(),
        expected: asked.expected,
        slice: asked.wanted.slice,
        cluster: asked.wanted.cluster,
        weight: asked.wanted.weight,
        checks: asked.wanted.checks.len(),
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
        bleu_signature: bleu::signature(most),
        labels: labelled.map(|labelled| labelled.set.names().to_vec()),
        nearest_row,
        base: base_summary,
        tuned: tuned_summary,
        cases,
    })
}

/// Prompt and expected answer of a golden row, as tokens.
pub(super) fn ask(
    speaker: &Speaker<'_>,
    record: Record,
    extra: &Map<String, Value>,
) -> Result<Asked, TrainerError> {
    let wanted = Wanted::read(extra).map_err(|kind| problem(&record, kind))?;
    let prompt = speaker.encoder()?.record_prompt(&record).map_err(|kind| problem(&record, kind))?;
    let (scored, ended) = encoded(speaker, &record)?;
    let mut expected: Vec<String> = record.answer().map(str::to_owned).into_iter().collect();
    expected.extend(wanted.references.iter().cloned());
    Ok(Asked { record, wanted, expected, prompt, scored, ended })
}

/// The row with another answer, of which what ends it is not supervised.
pub(super) fn scored_as(
    speaker: &Speaker<'_>,
    record: &Record,
    answer: &str,
) -> Result<Example, TrainerError> {
    let mut record = record.clone();
    if let Some(last) = record.messages.iter_mut().rfind(|message| message.role == "assistant") {
        answer.clone_into(&mut last.content);
    }
    let (mut scored, ended) = encoded(speaker, &record)?;
    if let Some(last) = scored.supervised.last_mut().filter(|_| ended) {
        *last = false;
    }
    Ok(scored)
}

/// A row with its last answer supervised, and whether the last token ends it.
fn encoded(speaker: &Speaker<'_>, record: &Record) -> Result<(Example, bool), TrainerError> {
    let most = speaker.opened().base.config.max_position_embeddings;
    let rows = speaker.encoder()?.encode_record(record, TrainOn::Last, most);
    let row = rows.and_then(|rows| rows.into_iter().last().ok_or(ProblemKind::NothingSupervised));
    let row = row.map_err(|kind| problem(record, kind))?;
    if row.tokens.len() > most {
        let kind = ProblemKind::TooLong { tokens: row.tokens.len(), max_tokens: most };
        return Err(problem(record, kind));
    }
    let (id, origin) = (record.id.clone(), record.origin.clone());
    Ok((Example { id, origin, tokens: row.tokens, supervised: row.supervised }, row.ended))
}

fn problem(record: &Record, kind: ProblemKind) -> TrainerError {
    rtune_data::DataError::from(RowProblem { origin: record.origin.clone(), kind }).into()
}

/// What both models are asked, and how.
pub(super) struct Exam<'a> {
    pub(super) speaker: &'a Speaker<'a>,
    pub(super) asked: &'a [Asked],
    pub(super) settings: &'a Settings,
    pub(super) labelled: Option<&'a Labelled>,
    pub(super) options: &'a LabelOptions,
}

impl Exam<'_> {
    /// One model's answers and their scores.
    pub(super) fn sides(
        &self,
        tuned: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Vec<Side>, Summary), TrainerError> {
        let Self { speaker, asked, settings, labelled, options } = *self;
        let questions = asked.iter().map(|asked| Question { prompt: &asked.prompt, scored: &asked.scored });
        let mut asking = Asking::new(speaker, questions.collect(), settings, tuned);
        let mut begun = vec![false; asked.len()];
        let mut done = 0;
        let mut on_token = |index: usize, _| {
            done += usize::from(!std::mem::replace(&mut begun[index], true));
            progress(Progress { tuned, scoring: false, done, total: asked.len() });
            Go::On
        };
        let answers = speaker.generate(&mut asking, settings, tuned, &mut on_token)?;
        let losses = asking.losses();
        let mut tally = Tally::default();
        let mut sides = Vec::with_capacity(asked.len());
        for ((asked, answer), loss) in asked.iter().zip(answers).zip(losses) {
            let text = speaker.text(&answer.tokens)?;
            tally.answer_tokens += answer.tokens.len();
            sides.push(tally.add(asked, text, answer.end == End::Stop, loss));
        }
        let mut summary = tally.summary(asked, &sides);
        if let Some(labelled) = labelled {
            let mut on_label = |done, total| progress(Progress { tuned, scoring: true, done, total });
            let nats = labels::score(speaker, asked, &labelled.set, tuned, &mut on_label)?;
            let answers = sides.iter().map(|side| side.answer.as_str());
            summary.classification = Some(labels::classify(labelled, answers, &nats, &options.key_classes));
            for (side, nats) in sides.iter_mut().zip(nats) {
                side.label_nats = Some(nats);
            }
        }
        Ok((sides, summary))
    }
}

/// Sums over the cases of one model.
#[derive(Default)]
struct Tally {
    chrf: chrf::ChrfStatistics,
    bleu: bleu::BleuStatistics,
    loss: LossSum,
    answer_tokens: usize,
}

impl Tally {
    fn add(&mut self, asked: &Asked, answer: String, ended: bool, loss: LossSum) -> Side {
        let references: Vec<&str> = asked.expected.iter().map(String::as_str).collect();
        let statistics = chrf::statistics_of_best(&answer, &references, chrf::Kind::Plain);
        self.chrf += statistics;
        self.bleu += bleu::statistics_of_all(&answer, &references);
        self.loss += loss;
        Side {
            ended,
            exact_match: references.iter().any(|reference| text::exact_match(&answer, reference)),
            normalised_match: references.iter().any(|reference| text::normalised_match(&answer, reference)),
            failed_checks: asked
                .wanted
                .checks
                .iter()
                .filter_map(|check| check.check(&answer).err())
                .collect(),
            chrf: statistics.score(),
            nats: loss.nats,
            tokens: loss.supervised_tokens,
            perplexity: loss.perplexity(),
            label_nats: None,
            answer,
        }
    }

    fn summary(&self, asked: &[Asked], sides: &[Side]) -> Summary {
        // Shares are means over cases, each by its weight.
        let share = |among: &dyn Fn(&Asked) -> bool, counts: &dyn Fn(&Side) -> bool| {
            let cases = || asked.iter().zip(sides).filter(|(asked, _)| among(asked));
            // From zero: the sum of no numbers at all is the negative one.
            let weigh = |sum: f64, (asked, _): (&Asked, &Side)| sum + asked.wanted.weight;
            let all = cases().fold(0.0, weigh);
            cases().filter(|(_, side)| counts(side)).fold(0.0, weigh) / if all > 0.0 { all } else { 1.0 }
        };
        let all = |_: &Asked| true;
        let is_checked = |asked: &Asked| !asked.wanted.checks.is_empty();
        Summary {
            answer_perplexity: self.loss.perplexity(),
            exact_match: share(&all, &|side| side.exact_match),
            normalised_match: share(&all, &|side| side.normalised_match),
            chrf: self.chrf.score(),
            bleu: self.bleu.score(),
            checks_passed: asked
                .iter()
                .any(is_checked)
                .then(|| share(&is_checked, &|side| side.failed_checks.is_empty())),
            ended: share(&all, &|side| side.ended),
            answer_tokens: self.answer_tokens,
            classification: None,
        }
    }
}
