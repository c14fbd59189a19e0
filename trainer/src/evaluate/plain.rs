//! Golden rows that are a text and ask nothing: how likely they are to a model is all there is to know of them.

use rtune_data::{Example, ProblemKind, Record};
use rtune_metrics::likelihood::Likelihood;
use rtune_models::generate::Sampling;
use serde::Serialize;
use serde_json::{Map, Value};

use super::asked::problem;
use super::asking::{Asking, Question, Scope};
use super::figures::Likely;
use super::wanted::Wanted;
use crate::error::TrainerError;
use crate::loss::LossSum;
use crate::talk::{Settings, Speaker};
use crate::wording::Wording;

/// A text, ready to be weighed.
pub(super) struct Text {
    record: Record,
    slice: Option<String>,
    cluster: Option<String>,
    /// Its parts, each no longer than the model reads; what is predicted is supervised.
    parts: Vec<Example>,
}

/// How likely one text is to one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TextSide {
    /// The negative logarithm of its probability, to the base e.
    pub nats: f64,
    /// Those of its tokens that the model holds for the likeliest.
    pub correct_tokens: u64,
}

/// A text and how likely it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlainText {
    /// The row's id.
    pub id: String,
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: u64,
    /// The part of the set that it belongs to.
    pub slice: Option<String>,
    /// What it belongs together with.
    pub cluster: Option<String>,
    /// What of the text two reports are matched by: the hash of the row's content.
    pub text_hash: String,
    /// Tokens that are predicted: all of them, behind BOS or EOS.
    pub tokens: u64,
    /// Words, as lm-evaluation-harness counts them.
    pub words: u64,
    /// Bytes in UTF-8.
    pub bytes: u64,
    /// The base.
    pub base: TextSide,
    /// The tuned model; `None` where there is no adapter.
    pub tuned: Option<TextSide>,
}

/// All texts of a golden set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlainTexts {
    /// The base over all of them.
    pub base: Likely,
    /// The tuned model over all of them.
    pub tuned: Option<Likely>,
    /// One for each row, in order.
    pub rows: Vec<PlainText>,
}

impl PlainTexts {
    /// Of one model: `of` takes its side of a text.
    fn likely(rows: &[PlainText], of: impl Fn(&PlainText) -> TextSide) -> Likely {
        let (mut tokens, mut text) = (LossSum::default(), Likelihood::default());
        for row in rows {
            let side = of(row);
            tokens += LossSum {
                nats: side.nats,
                supervised_tokens: row.tokens,
                correct_tokens: side.correct_tokens,
            };
            text += Likelihood { nats: side.nats, tokens: row.tokens, words: row.words, bytes: row.bytes };
        }
        Likely::new(tokens, text)
    }
}

impl Text {
    /// # Errors
    /// [`ProblemKind::Golden`] for fields that only an answer can have, and those of the tokenizer.
    pub(super) fn read(
        wording: &Wording<'_>,
        record: Record,
        extra: &Map<String, Value>,
    ) -> Result<Self, TrainerError> {
        let wanted = Wanted::read(extra).map_err(|kind| problem(&record, kind))?;
        for field in ["references", "labels", "checks"] {
            if extra.get(field).is_some_and(|value| !value.is_null()) {
                let reason = "expected none beside a `text`, which asks nothing".to_owned();
                return Err(problem(&record, ProblemKind::Golden { field: field.to_owned(), reason }));
            }
        }
        let most = wording.base().config.max_position_embeddings;
        let text = record.answer().unwrap_or_default();
        let parts = wording.encoder()?.weigh_whole(text, most).map_err(|kind| problem(&record, kind))?;
        let example = |part: rtune_data::Weighed| Example {
            id: record.id.clone(),
            origin: record.origin.clone(),
            supervised: (0..part.tokens.len()).map(|at| at >= part.given).collect(),
            tokens: part.tokens,
        };
        let parts = parts.into_iter().map(example).collect();
        Ok(Self { slice: wanted.slice, cluster: wanted.cluster, record, parts })
    }

    /// Its parts, each no longer than the model reads.
    pub(super) fn parts(&self) -> &[Example] {
        &self.parts
    }

    fn tokens(&self) -> u64 {
        self.parts.iter().map(|part| part.supervised_count() as u64).sum()
    }

    fn weighed(&self, base: TextSide, tuned: Option<TextSide>) -> PlainText {
        let text = Likelihood::of(self.record.answer().unwrap_or_default(), 0.0, self.tokens());
        PlainText {
            id: self.record.id.clone(),
            file: self.record.origin.file.display().to_string(),
            line: self.record.origin.line,
            slice: self.slice.clone(),
            cluster: self.cluster.clone(),
            text_hash: self.record.content_hash().iter().map(|byte| format!("{byte:02x}")).collect(),
            tokens: text.tokens,
            words: text.words,
            bytes: text.bytes,
            base,
            tuned,
        }
    }
}

/// Weighs `texts` by one model. `progress` is called with (texts done, texts in all). What a speaker with [`Speaker::until`] cut short is
/// of no use.
///
/// # Errors
/// [`TrainerError::Gpu`].
pub(super) fn weigh(
    speaker: &Speaker<'_>,
    texts: &[Text],
    tuned: bool,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<TextSide>, TrainerError> {
    // Nothing is generated.
    let settings = Settings { sampling: Sampling::GREEDY, seed: 0, max_new_tokens: 1, batch: 1 };
    let parts: Vec<(usize, &Example)> = texts
        .iter()
        .enumerate()
        .flat_map(|(text, all)| all.parts.iter().map(move |part| (text, part)))
        .collect();
    let questions = parts.iter().map(|(_, part)| Question { prompt: &part.tokens[..1], scored: part });
    let mut asking = Asking::new(speaker, questions.collect(), &settings, tuned, Scope::Answer);
    let mut done = 0;
    while !speaker.has_enough() && asking.next().is_some() {
        progress(parts[done].0, texts.len());
        done += 1;
    }
    let mut sides = vec![TextSide::default(); texts.len()];
    for ((text, _), loss) in parts.iter().zip(asking.losses()?) {
        let LossSum { nats, correct_tokens, .. } = loss.of_answer();
        sides[*text].nats += nats;
        sides[*text].correct_tokens += correct_tokens;
    }
    Ok(sides)
}

/// Weighs `texts` by the base and, where there is an adapter, by the tuned model; `None` without texts. `known` is a report on another
/// model of the same base: where its texts are these, the base is not asked again.
///
/// # Errors
/// [`TrainerError::Gpu`].
pub(super) fn weigh_both(
    speaker: &Speaker<'_>,
    texts: &[Text],
    known: Option<&PlainTexts>,
    progress: &mut dyn FnMut(bool, usize, usize),
) -> Result<Option<PlainTexts>, TrainerError> {
    if texts.is_empty() {
        return Ok(None);
    }
    let is_same = |(row, text): (&PlainText, &Text)| row.id == text.record.id && row.tokens == text.tokens();
    let known = known
        .filter(|known| known.rows.len() == texts.len() && known.rows.iter().zip(texts).all(is_same))
        .map(|known| known.rows.iter().map(|row| row.base).collect::<Vec<_>>());
    let base = match known {
        Some(known) => known,
        None => weigh(speaker, texts, false, &mut |done, all| progress(false, done, all))?,
    };
    let tuned = speaker
        .opened()
        .tuned
        .then(|| weigh(speaker, texts, true, &mut |done, all| progress(true, done, all)))
        .transpose()?;
    let side = |index: usize| tuned.as_ref().map(|sides| sides[index]);
    let rows = texts.iter().zip(base).enumerate();
    let rows: Vec<PlainText> = rows.map(|(index, (text, base))| text.weighed(base, side(index))).collect();
    let of_tuned = tuned.is_some().then(|| PlainTexts::likely(&rows, |row| row.tuned.unwrap_or_default()));
    Ok(Some(PlainTexts { base: PlainTexts::likely(&rows, |row| row.base), tuned: of_tuned, rows }))
}

/// How likely all texts are to the tuned model; `None` without texts. The rest as [`weigh`].
///
/// # Errors
/// [`TrainerError::Gpu`].
pub(super) fn likely(
    speaker: &Speaker<'_>,
    texts: &[Text],
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Option<Likely>, TrainerError> {
    if texts.is_empty() {
        return Ok(None);
    }
    let sides = weigh(speaker, texts, true, progress)?;
    let rows: Vec<PlainText> = texts.iter().zip(sides).map(|(text, side)| text.weighed(side, None)).collect();
    Ok(Some(PlainTexts::likely(&rows, |row| row.base)))
}
