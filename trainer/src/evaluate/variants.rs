//! The same questions with slips of the keyboard and in other case: whether they are answered the same.

use std::collections::BTreeMap;

use rtune_data::GoldenRow;
use rtune_metrics::text::normalised;
pub use rtune_metrics::vary::Kind;
use rtune_metrics::vary::vary;
use serde::Serialize;

use super::asked::{Asked, ask};
use super::figures::{Case, Side};
use super::stability::{Member, stability};
use crate::error::TrainerError;
use crate::talk::Speaker;

/// A varied question, and what the models answered to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Variant {
    /// How it was made.
    pub kind: Kind,
    /// What the user says in it.
    pub asked: String,
    /// The base.
    pub base: VariedAnswer,
    /// The tuned model.
    pub tuned: Option<VariedAnswer>,
}

/// An answer to a varied question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VariedAnswer {
    /// The greedy answer.
    pub answer: String,
    /// Whether it passes the checks, or without checks is an expected one.
    pub right: bool,
    /// Whether it is the answer to the question as it stands: the same label, or the same but for case, punctuation and spaces.
    pub same: bool,
}

/// Whether a model answers the same when the same is asked otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Varied {
    /// Cases that were varied.
    pub cases: usize,
    /// Their variants.
    pub variants: usize,
    /// Part of the pairs among a case and its variants with the same answer, the mean over cases.
    pub same_answer: f64,
    /// Part of the pairs that are both right or both wrong, the mean over cases.
    pub same_outcome: f64,
    /// chrF2 of the answers of pairs, each against the other, the mean over cases.
    pub similarity: f64,
    /// Part of these cases that is right as they stand.
    pub right: f64,
    /// Part of the variants that is right.
    pub right_varied: f64,
    /// The variants by kind.
    pub kinds: BTreeMap<Kind, OfKind>,
}

/// The variants of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct OfKind {
    /// How many.
    pub variants: usize,
    /// Part of them that is answered as the case is.
    pub same_answer: f64,
    /// Part of them that is right.
    pub right: f64,
}

/// The label of an answer, where the set has labels (`Some(None)` is none of them), and whether the answer is right.
type Read<'a> = &'a dyn Fn(&Asked, &Side) -> (Option<Option<usize>>, bool);

/// Varied rows, in the order of the cases.
#[derive(Default)]
pub(super) struct Varying {
    /// Which case each is of, and how it was made.
    rows: Vec<(usize, Kind)>,
    pub(super) asked: Vec<Asked>,
}

impl Varying {
    /// Adds at most `count` variants of the row of case `of`. What several turns ask stays as it is, and so do the context and `labels`.
    ///
    /// # Errors
    /// Those of the row.
    pub(super) fn add(
        &mut self,
        speaker: &Speaker<'_>,
        row: &GoldenRow,
        (of, asked): (usize, &Asked),
        labels: &[String],
        count: usize,
    ) -> Result<(), TrainerError> {
        let place = row.record.messages.iter().rposition(|message| message.role == "user");
        let Some(place) = place.filter(|_| asked.turns.len() == 1) else { return Ok(()) };
        let kept: Vec<&str> = asked.wanted.context.iter().chain(labels).map(String::as_str).collect();
        let texts = vary(&row.record.messages[place].content, &row.record.id, count, &kept);
        for ((kind, text), number) in texts.into_iter().zip(1..) {
            let mut record = row.record.clone();
            record.id = format!("{}~{number}", record.id);
            record.messages[place].content = text;
            self.rows.push((of, kind));
            self.asked.push(ask(speaker, record, &row.extra)?);
        }
        Ok(())
    }

    /// Puts the variants with their cases.
    pub(super) fn attach(self, cases: &mut [Case], base: Vec<VariedAnswer>, tuned: Vec<VariedAnswer>) {
        let mut tuned = tuned.into_iter();
        for (((of, kind), asked), base) in self.rows.into_iter().zip(self.asked).zip(base) {
            let said = asked.record.messages.iter().rfind(|message| message.role == "user");
            let asked = said.map(|message| message.content.clone()).unwrap_or_default();
            if let Some(case) = cases.get_mut(of) {
                case.variants.push(Variant { kind, asked, base, tuned: tuned.next() });
            }
        }
    }

    /// The figures of one model and its answers, in the order of the variants; `None` without variants. `asked` and `sides` are of the cases,
    /// `varied` of their variants.
    pub(super) fn compare(
        &self,
        (asked, sides): (&[Asked], &[Side]),
        varied: &[Side],
        read: Read<'_>,
    ) -> Option<(Varied, Vec<VariedAnswer>)> {
        let ids: Vec<String> = (0..asked.len()).map(|case| case.to_string()).collect();
        let mut cases: Vec<usize> = self.rows.iter().map(|(of, _)| *of).collect();
        cases.dedup();
        let member = |case: usize, asked: &Asked, side: &'_ Side| {
            let (label, right) = read(asked, side);
            (case, label, right, side.answer.clone())
        };
        let originals: Vec<_> = cases.iter().map(|&case| member(case, &asked[case], &sides[case])).collect();
        let rows = self.rows.iter().zip(&self.asked).zip(varied);
        let others: Vec<_> = rows.map(|(((of, _), asked), side)| member(*of, asked, side)).collect();
        let members: Vec<Member<'_>> = originals
            .iter()
            .chain(&others)
            .map(|(case, label, right, answer)| Member {
                cluster: Some(&ids[*case]),
                expected: asked[*case].answer(),
                answer,
                label: *label,
                right: *right,
            })
            .collect();
        let alike = stability(&members)?;
        let (mut answers, mut kinds) = (Vec::new(), BTreeMap::<Kind, OfKind>::new());
        for ((_, kind), (case, label, right, answer)) in self.rows.iter().zip(&others) {
            let (_, own, _, text) = originals.iter().find(|original| original.0 == *case)?;
            let same = match (own, label) {
                // An answer that is no label is the same as no other.
                (Some(own), Some(label)) => own.is_some() && own == label,
                _ => normalised(text) == normalised(answer),
            };
            let kind = kinds.entry(*kind).or_default();
            kind.variants += 1;
            kind.same_answer += f64::from(u8::from(same));
            kind.right += f64::from(u8::from(*right));
            answers.push(VariedAnswer { answer: answer.clone(), right: *right, same });
        }
        for kind in kinds.values_mut() {
            kind.same_answer /= kind.variants as f64;
            kind.right /= kind.variants as f64;
        }
        let part =
            |right: Vec<bool>| right.iter().filter(|&&one| one).count() as f64 / right.len().max(1) as f64;
        let figures = Varied {
            cases: cases.len(),
            variants: varied.len(),
            same_answer: alike.same_answer,
            same_outcome: alike.same_outcome,
            similarity: alike.similarity,
            right: part(originals.iter().map(|original| original.2).collect()),
            right_varied: part(others.iter().map(|other| other.2).collect()),
            kinds,
        };
        Some((figures, answers))
    }
}
