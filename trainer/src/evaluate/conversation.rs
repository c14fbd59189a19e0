//! Golden rows of several turns: each is answered on the model's own history, as it would be in use.

use rtune_data::{Form, Message, ProblemKind, Record};
use rtune_metrics::grounded::Groundedness;
use rtune_models::generate::{Document, Documents, Go};
use serde::Serialize;

use super::asked::{Asked, problem};
use super::wanted::Ask;
use crate::error::TrainerError;
use crate::talk::{Settings, Speaker};

/// One turn's answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TurnSide {
    /// The greedy answer.
    pub answer: String,
    /// Whether it ended by itself, and not at its longest or for want of room.
    pub ended: bool,
    /// Whether it is what the row says there, spaces around it aside.
    pub exact_match: bool,
    /// Why it fails the checks of this turn.
    pub failed_checks: Vec<String>,
    /// What of it the sources support, where the row has a context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grounded: Option<Groundedness>,
}

/// A check of a later turn about what an earlier one gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Remembered {
    /// The turn whose answer is checked, from 1.
    pub turn: usize,
    /// The turn that gave the fact, from 1.
    pub given: usize,
    /// Whether the answer passes.
    pub passed: bool,
}

/// Cases of several turns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conversations {
    /// How many there are.
    pub cases: usize,
    /// Turns that were answered.
    pub turns: usize,
    /// Task completion: part of the conversations with checks, each by its weight, that pass all of all turns; `None` without any.
    pub completed: Option<f64>,
    /// Knowledge retention: part of the checks about an earlier turn that pass; `None` without any.
    pub retention: Option<f64>,
    /// The same by how many turns ago the fact was given.
    pub retention_by_distance: Vec<Retention>,
}

/// Checks about facts that were given as many turns ago.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Retention {
    /// How many.
    pub turns_ago: usize,
    /// Checks.
    pub checks: usize,
    /// Those that pass.
    pub passed: usize,
}

/// What was said in one turn.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) ended: bool,
    pub(super) tokens: usize,
}

/// The places in `record` of the answers that the model makes: the last one, and those before it that are neither given (untrained) nor
/// bound to what tools said.
pub(super) fn turns(record: &Record, ask: Ask) -> Vec<usize> {
    let is_answer = |&(_, message): &(usize, &Message)| message.is_answer();
    let answers: Vec<usize> =
        record.messages.iter().enumerate().filter(is_answer).map(|(index, _)| index).collect();
    let Some(&last) = answers.last() else { return Vec::new() };
    let by_tools = record.messages.iter().any(|message| message.role == "tool" || message.calls_tools());
    if ask == Ask::Last || by_tools || record.form() == Form::Text {
        return vec![last];
    }
    answers.into_iter().filter(|&index| index == last || record.messages[index].trained).collect()
}

/// Answers conversations turn by turn, as many at a time as a batch has. `on_token` is called with the place of a conversation for each
/// token.
///
/// # Errors
/// Those of the template and the model.
pub(super) fn converse(
    speaker: &Speaker<'_>,
    asked: &[&Asked],
    settings: &Settings,
    tuned: bool,
    on_token: &mut dyn FnMut(usize),
) -> Result<Vec<Vec<Said>>, TrainerError> {
    let mut all = Vec::with_capacity(asked.len());
    for group in asked.chunks(settings.batch.max(1)) {
        let begun = all.len();
        all.extend(together(speaker, group, settings, tuned, &mut |index| on_token(begun + index))?);
    }
    Ok(all)
}

fn together(
    speaker: &Speaker<'_>,
    group: &[&Asked],
    settings: &Settings,
    tuned: bool,
    on_token: &mut dyn FnMut(usize),
) -> Result<Vec<Vec<Said>>, TrainerError> {
    let most = speaker.opened().base.config.max_position_embeddings;
    let mut said: Vec<Vec<Said>> = vec![Vec::new(); group.len()];
    let mut documents: Vec<Option<Document>> = group.iter().map(|_| None).collect();
    let rounds = group.iter().map(|asked| asked.turns.len()).max().unwrap_or(0);
    for round in 0..rounds {
        let (mut open, mut requests) = (Vec::new(), Vec::new());
        for (index, asked) in group.iter().enumerate().filter(|(_, asked)| asked.turns.len() > round) {
            let prompt = prompt(speaker, asked, &said[index])?;
            if prompt.len() >= most {
                // The model's own words have filled its context: there is no room for this answer.
                said[index].push(Said { text: String::new(), ended: false, tokens: 0 });
                continue;
            }
            requests.push(speaker.request(index, prompt, settings, documents[index].take()));
            open.push(index);
        }
        let mut of_request = |request: usize, _| {
            on_token(open[request]);
            Go::On
        };
        let answers = speaker.generate(requests, settings, tuned, Documents::Kept, &mut of_request)?;
        for (index, answer) in open.into_iter().zip(answers) {
            said[index].push(Said::of(speaker, &answer, group[index])?);
            documents[index] = Some(answer.document);
        }
    }
    Ok(said)
}

/// The row up to the next answer, with the model's own answers in place of those before it.
fn prompt(speaker: &Speaker<'_>, asked: &Asked, said: &[Said]) -> Result<Vec<u32>, TrainerError> {
    let Record { id, origin, messages, tools } = &asked.record;
    let next = asked.turns[said.len()];
    let mut own: Vec<Message> = messages[..=next].to_vec();
    for (said, &place) in said.iter().zip(&asked.turns) {
        own[place] = Message::new("assistant", said.text.clone());
    }
    let record = Record { id: id.clone(), origin: origin.clone(), messages: own, tools: tools.clone() };
    let tokens: Result<Vec<u32>, ProblemKind> = speaker.encoder()?.record_prompt(&record);
    tokens.map_err(|kind| problem(&record, kind))
}

impl Conversations {
    /// `of` are, for each conversation: turns, weight, whether it has checks and passes them all, and what it remembered. `None` where
    /// there is none.
    pub(super) fn new<'a>(
        of: impl Iterator<Item = (usize, f64, Option<bool>, &'a [Remembered])>,
    ) -> Option<Self> {
        let (mut cases, mut turns) = (0, 0);
        let (mut weights, mut completed) = (0.0, 0.0);
        let mut by_distance: Vec<Retention> = Vec::new();
        for (own, weight, passed, remembered) in of {
            cases += 1;
            turns += own;
            if let Some(passed) = passed {
                weights += weight;
                completed += if passed { weight } else { 0.0 };
            }
            for one in remembered {
                let turns_ago = one.turn - one.given;
                let place = by_distance.binary_search_by_key(&turns_ago, |other| other.turns_ago);
                let place = place.unwrap_or_else(|place| {
                    by_distance.insert(place, Retention { turns_ago, checks: 0, passed: 0 });
                    place
                });
                by_distance[place].checks += 1;
                by_distance[place].passed += usize::from(one.passed);
            }
        }
        let sum = |of: fn(&Retention) -> usize| by_distance.iter().map(of).sum::<usize>();
        let (checks, passed) = (sum(|one| one.checks), sum(|one| one.passed));
        (cases > 0).then_some(Self {
            cases,
            turns,
            completed: (weights > 0.0).then(|| completed / weights),
            retention: (checks > 0).then(|| passed as f64 / checks as f64),
            retention_by_distance: by_distance,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rtune_data::Origin;

    use super::*;

    fn record(messages: Vec<Message>) -> Record {
        Record::new(None, Origin { file: Path::new("a").into(), line: 1 }, messages)
    }

    #[test]
    fn answers_that_are_given_are_not_asked_for() {
        let say = |role: &str| Message::new(role, "x");
        let given = Message { trained: false, ..say("assistant") };
        let plain = record(vec![say("system"), say("user"), say("assistant"), say("user"), say("assistant")]);
        assert_eq!(turns(&plain, Ask::Every), [2, 4]);
        assert_eq!(turns(&plain, Ask::Last), [4]);
        let shown = record(vec![say("user"), given.clone(), say("user"), say("assistant")]);
        assert_eq!(turns(&shown, Ask::Every), [3]);
        let last = record(vec![say("user"), say("assistant"), say("user"), given]);
        assert_eq!(turns(&last, Ask::Every), [1, 3]);
        let by_tools = record(vec![
            say("user"),
            say("assistant"),
            say("tool"),
            say("assistant"),
            say("user"),
            say("assistant"),
        ]);
        assert_eq!(turns(&by_tools, Ask::Every), [5]);
    }

    #[test]
    fn retention_is_counted_by_distance() {
        let of = |turn, given, passed| Remembered { turn, given, passed };
        let one = [of(3, 1, true), of(2, 1, false)];
        let other = [of(4, 2, false)];
        let all =
            [(3, 1.0, Some(false), &one[..]), (4, 3.0, Some(true), &other[..]), (2, 1.0, None, &[][..])];
        let found = Conversations::new(all.into_iter()).expect("conversations");
        assert_eq!((found.cases, found.turns, found.completed), (3, 9, Some(0.75)));
        assert!((found.retention.expect("checks") - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(
            found.retention_by_distance,
            [
                Retention { turns_ago: 1, checks: 1, passed: 0 },
                Retention { turns_ago: 2, checks: 2, passed: 1 }
            ]
        );
        assert_eq!(Conversations::new(std::iter::empty()), None);
    }
}
