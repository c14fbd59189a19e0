//! A golden set: what the base and the tuned model answer, case by case, beside what was expected.

use std::sync::Arc;

use rtune_data::{Form, GoldenRow, Half, Source, read_golden};
use rtune_models::generate::{Answer, Documents, End, Go};
use rtune_sandbox::Sandbox;

use super::asked::{Asked, ask};
use super::asking::{Asking, Question, QuestionLoss, Scope};
use super::conversation::{self, Said};
pub use super::figures::{Case, Echo, GoldenReport, Grounding, Likely, Rouge, Side, Signatures, Summary};
use super::known::{knows, recalled};
use super::labels::{self, LabelOptions, Labelled};
use super::nearest::nearest_row;
use super::plain::{self, Text};
use super::running;
use super::stability::{Member, Stability, stability};
use super::tally::{Tally, echo, signatures};
use super::thinking::text_behind;
use super::variants::{VariedAnswer, Varying};
use crate::checkpoint::FORMAT;
use crate::error::TrainerError;
use crate::talk::{Settings, Speaker};

/// What is asked of an evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExamOptions {
    /// Answers as labels.
    pub labels: LabelOptions,
    /// Whether the likelihood of prompts is taken too, which costs a product with the head for each of their tokens.
    pub all_tokens: bool,
    /// Variants of each question of one turn, with slips and in other case, that are asked too.
    pub variants: usize,
    /// Where answers that are programs are run; `None` refuses to.
    pub sandbox: Option<Sandbox>,
    /// A report on another model of the same base, asked in the same way: where its cases are these, the base is not asked again.
    pub known: Option<Arc<GoldenReport>>,
    /// Which rows are asked.
    pub half: Half,
    /// Whether golden files without a seal are taken to have one, as `gate.sealed` says.
    pub sealed: bool,
    /// Only rows with these ids are asked; all where none is named.
    pub only: Vec<String>,
}

impl ExamOptions {
    fn names(&self, row: &GoldenRow) -> bool {
        self.only.is_empty() || self.only.contains(&row.record.id)
    }
}

/// What is going on, for a bar.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Whether it is the tuned model's turn.
    pub tuned: bool,
    /// What is done.
    pub work: Work,
    /// Answers that have ended or begun.
    pub done: usize,
    /// Cases.
    pub total: usize,
}

/// What a model does with golden rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Answers.
    Answering,
    /// Says how likely labels are.
    Scoring,
    /// Says how likely texts are.
    Weighing,
}

/// Asks the base, and the tuned model if there is an adapter, every row of `sources`, and compares. Rows that are texts ask nothing: how
/// likely they are is taken.
///
/// # Errors
/// Those of the files, the template and the model; a row that is too long for the model is named.
pub fn examine(
    speaker: &Speaker<'_>,
    sources: &[Source],
    settings: &Settings,
    options: &ExamOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<GoldenReport, TrainerError> {
    let (mut hashes, mut asked, mut varying) = (Vec::new(), Vec::new(), Varying::default());
    let (mut texts, mut kept_back, mut rows) = (Vec::new(), 0, 0);
    for file in read_golden(sources, options.sealed)? {
        hashes.push((file.path.display().to_string(), file.hash));
        rows += file.rows.len();
        for row in file.rows.into_iter().filter(|row| options.names(row)) {
            if !options.half.has(&row) {
                kept_back += usize::from(row.sealed);
                continue;
            }
            if row.record.form() == Form::Text {
                texts.push(Text::read(speaker, row.record, &row.extra)?);
                continue;
            }
            let one = ask(speaker, row.record.clone(), &row.extra)?;
            one.can_be_scored()?;
            let named = &options.labels.labels;
            let labels = if named.is_empty() { &one.wanted.labels } else { named };
            varying.add(speaker, &row, (asked.len(), &one), labels, options.variants)?;
            asked.push(one);
        }
    }
    if asked.is_empty() && texts.is_empty() {
        return Err(TrainerError::EmptyHalf { half: options.half.name() });
    }
    running::may(&asked, options.sandbox.as_ref())?;
    let has_adapter = speaker.opened().tuned;
    let labelled = if asked.is_empty() { None } else { labels::labelled(&asked, &options.labels)? };
    if labelled.is_some() {
        // A label claims nothing.
        asked.iter_mut().for_each(|asked| asked.sources = None);
    }
    let mut notes = Vec::new();
    if kept_back > 0 {
        notes.push(format!("{kept_back} of {rows} golden rows are sealed, and were not asked"));
    }
    let nearest_row =
        labelled.as_ref().and_then(|labelled| nearest_row(&asked, labelled, &options.labels, &mut notes));
    let exam = Exam { speaker, asked: &asked, settings, labelled: labelled.as_ref(), options };
    let echo = if labelled.is_none() { echo(&asked) } else { None };
    let known = options.known.as_deref().filter(|known| knows(known, &asked, varying.asked.len()));
    let (base_sides, base_summary, base_varied) = match known {
        Some(known) => recalled(known),
        None => exam.with_variants(&varying, false, progress)?,
    };
    let tuned = has_adapter.then(|| exam.with_variants(&varying, true, progress)).transpose()?;
    let (tuned_sides, tuned_summary, tuned_varied) = match tuned {
        Some((sides, summary, varied)) => (Some(sides), Some(summary), varied),
        None => (None, None, Vec::new()),
    };
    let mut tuned_sides = tuned_sides.map(Vec::into_iter);
    let cases = asked
        .into_iter()
        .zip(base_sides)
        .map(|(asked, base)| asked.case(base, tuned_sides.as_mut().and_then(Iterator::next), has_adapter));
    let mut cases: Vec<Case> = cases.collect();
    varying.attach(&mut cases, base_varied, tuned_varied);
    let most = cases.iter().map(|case| case.expected.len()).max().unwrap_or(1);
    let known = options.known.as_deref().and_then(|known| known.texts.as_ref());
    let mut on_text = |tuned, done, total| progress(Progress { tuned, work: Work::Weighing, done, total });
    let texts = plain::weigh_both(speaker, &texts, known, &mut on_text)?;
    Ok(GoldenReport {
        format: FORMAT,
        files: hashes,
        max_new_tokens: settings.max_new_tokens,
        signatures: signatures(most),
        labels: labelled.map(|labelled| labelled.set.names().to_vec()),
        nearest_row,
        echo,
        notes,
        base: base_summary,
        tuned: tuned_summary,
        cases,
        texts,
    })
}

/// What both models are asked, and how.
pub(super) struct Exam<'a> {
    pub(super) speaker: &'a Speaker<'a>,
    pub(super) asked: &'a [Asked],
    pub(super) settings: &'a Settings,
    pub(super) labelled: Option<&'a Labelled>,
    pub(super) options: &'a ExamOptions,
}

impl Exam<'_> {
    /// One model's answers and their scores.
    pub(super) fn sides(
        &self,
        tuned: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Vec<Side>, Summary), TrainerError> {
        let Self { speaker, asked, labelled, options, .. } = *self;
        let scope = if options.all_tokens { Scope::Everything } else { Scope::Answer };
        let (mut sides, tally) = self.scored(tuned, scope, progress)?;
        let mut summary = tally.summary(asked, &sides, scope);
        if let Some(labelled) = labelled {
            let mut on_label = |done, total| progress(Progress { tuned, work: Work::Scoring, done, total });
            let nats = labels::score(speaker, asked, &labelled.set, tuned, &mut on_label)?;
            let answers = sides.iter().map(|side| side.answer.as_str());
            let key_classes = &options.labels.key_classes;
            summary.classification = Some(labels::classify(labelled, answers, &nats, key_classes));
            for (side, nats) in sides.iter_mut().zip(nats) {
                side.label_nats = Some(nats);
            }
        }
        summary.stability = self.stability(&sides);
        Ok((sides, summary))
    }

    /// The answers of one model, scored one by one.
    fn scored(
        &self,
        tuned: bool,
        scope: Scope,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Vec<Side>, Tally), TrainerError> {
        let Self { speaker, asked, options, .. } = *self;
        let total = asked.len();
        let mut on_begun = |done| progress(Progress { tuned, work: Work::Answering, done, total });
        let (mut said, losses) = self.answers(tuned, scope, &mut on_begun)?;
        let mut tally = Tally::default();
        let mut sides = Vec::with_capacity(total);
        for ((asked, said), loss) in asked.iter().zip(&mut said).zip(losses) {
            let marked = (scope == Scope::Everything)
                .then(|| speaker.text_with_marks(&asked.scored.tokens[1..]))
                .transpose()?;
            let said = std::mem::take(said);
            sides.push(tally.add(asked, said, &loss, marked.as_deref(), options.sandbox.as_ref())?);
        }
        Ok((sides, tally))
    }

    /// [`Exam::sides`], and the same of the variants.
    fn with_variants(
        &self,
        varying: &Varying,
        tuned: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Vec<Side>, Summary, Vec<VariedAnswer>), TrainerError> {
        let (sides, mut summary) = self.sides(tuned, progress)?;
        let exam = Exam { asked: &varying.asked, labelled: None, ..*self };
        let (varied, _) = exam.scored(tuned, Scope::Answer, progress)?;
        let read = |asked: &Asked, side: &Side| (self.label(side), self.is_right(asked, side));
        let compared = varying.compare((self.asked, &sides), &varied, &read);
        let (figures, answers) = compared.map_or((None, Vec::new()), |(one, all)| (Some(one), all));
        summary.variants = figures;
        Ok((sides, summary, answers))
    }

    /// Which label an answer is, where the set has labels; `Some(None)` is none of them.
    fn label(&self, side: &Side) -> Option<Option<usize>> {
        self.labelled.map(|labelled| labelled.set.parse(&side.answer))
    }

    /// What the model says to each case, turn by turn, and how likely the expected answers are. `on_begun` is called with how many cases
    /// have begun.
    pub(super) fn answers(
        &self,
        tuned: bool,
        scope: Scope,
        on_begun: &mut dyn FnMut(usize),
    ) -> Result<(Vec<Vec<Said>>, Vec<QuestionLoss>), TrainerError> {
        let Self { speaker, asked, settings, .. } = *self;
        let (single, several): (Vec<usize>, Vec<usize>) =
            (0..asked.len()).partition(|&index| asked[index].turns.len() == 1);
        let question =
            |&index: &usize| Question { prompt: &asked[index].prompt, scored: &asked[index].scored };
        let asking =
            |of: &[usize]| Asking::new(speaker, of.iter().map(question).collect(), settings, tuned, scope);
        let mut said = vec![Vec::new(); asked.len()];
        let mut losses = vec![QuestionLoss::default(); asked.len()];
        let mut begun = Begun { seen: vec![false; asked.len()], count: 0 };
        let mut singles = asking(&single);
        let mut on_token = |request: usize, _| {
            on_begun(begun.count_of(single[request]));
            Go::On
        };
        let answers = speaker.generate(&mut singles, settings, tuned, Documents::Dropped, &mut on_token)?;
        for ((&index, answer), loss) in single.iter().zip(answers).zip(singles.losses()?) {
            said[index] = vec![Said::of(speaker, &answer, &asked[index])?];
            losses[index] = loss;
        }
        // The expected answers stand behind the row's own history, and not behind the model's.
        let mut talks = asking(&several);
        talks.by_ref().for_each(drop);
        let conversations: Vec<&Asked> = several.iter().map(|&index| &asked[index]).collect();
        let mut on_turn = |place: usize| on_begun(begun.count_of(several[place]));
        let turns = conversation::converse(speaker, &conversations, settings, tuned, &mut on_turn)?;
        for ((&index, turns), loss) in several.iter().zip(turns).zip(talks.losses()?) {
            (said[index], losses[index]) = (turns, loss);
        }
        Ok((said, losses))
    }

    fn stability(&self, sides: &[Side]) -> Option<Stability> {
        let members: Vec<Member<'_>> = self
            .asked
            .iter()
            .zip(sides)
            .map(|(asked, side)| Member {
                cluster: asked.wanted.cluster.as_deref(),
                expected: asked.answer(),
                answer: &side.answer,
                label: self.label(side),
                right: self.is_right(asked, side),
            })
            .collect();
        stability(&members)
    }

    /// Whether the answer passes the checks or, without checks, is the expected label or, without labels, an expected text.
    fn is_right(&self, asked: &Asked, side: &Side) -> bool {
        match self.labelled {
            _ if !asked.wanted.checks.is_empty() => side.failed_checks.is_empty(),
            Some(labelled) => labelled.is_right(&side.answer, asked.answer()),
            None => side.normalised_match,
        }
    }
}

impl Said {
    pub(super) fn of(speaker: &Speaker<'_>, answer: &Answer, asked: &Asked) -> Result<Self, TrainerError> {
        let text = text_behind(speaker, &answer.tokens, asked.thinking.as_deref())?;
        Ok(Self { text, ended: answer.end == End::Stop, tokens: answer.tokens.len() })
    }
}

/// Which cases have begun.
struct Begun {
    seen: Vec<bool>,
    count: usize,
}

impl Begun {
    fn count_of(&mut self, index: usize) -> usize {
        self.count += usize::from(!std::mem::replace(&mut self.seen[index], true));
        self.count
    }
}
