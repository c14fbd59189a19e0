//! What the page asks, and what it is told: cases, and never whose answer is whose.

use std::collections::{BTreeMap, HashMap};

use rtune_data::{stream, uniform_below};
use rtune_trainer::evaluate::compare::Answered;
use rtune_trainer::evaluate::reviews::{
    Answer, Choice, FORMAT, LONGEST_TEXT, Place, Review, ReviewKey, ReviewLog, SCORES, Scores, check_name,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::page;
use crate::commands::unix_seconds;
use crate::web::{Refused, Site};

/// Two answers to one case.
pub(super) struct Pair {
    pub(super) case: Answered,
    pub(super) of: [Answer; 2],
}

/// Cases, and what was said of them.
pub(super) struct Desk {
    pairs: Vec<Pair>,
    dimensions: Vec<String>,
    /// The only one who may review, where the command line says so.
    reviewer: Option<String>,
    log: ReviewLog,
    /// The last review of each.
    reviews: HashMap<ReviewKey, Review>,
    policy: String,
    saved: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseAsked {
    reviewer: String,
    /// None for the first that is not reviewed.
    at: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Seen {
    Left,
    Right,
    Tie,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    reviewer: String,
    at: usize,
    left: BTreeMap<String, u8>,
    right: BTreeMap<String, u8>,
    preferred: Seen,
    correction: Option<String>,
    comment: Option<String>,
}

impl Desk {
    pub(super) fn new(
        pairs: Vec<Pair>,
        dimensions: Vec<String>,
        reviewer: Option<String>,
        log: ReviewLog,
        before: Vec<Review>,
    ) -> Self {
        let reviews = before.into_iter().map(|review| (review.key(), review)).collect();
        Self { pairs, dimensions, reviewer, log, reviews, policy: page::policy(), saved: 0 }
    }

    /// How many cases somebody reviewed already; anybody, where no name is given.
    pub(super) fn ready(&self, reviewer: Option<&str>) -> usize {
        let by = |pair: &Pair, name: &str| self.reviews.contains_key(&key(pair, name));
        let anybody =
            |pair: &Pair| self.reviews.values().any(|review| key(pair, &review.reviewer) == review.key());
        self.pairs.iter().filter(|pair| reviewer.map_or_else(|| anybody(pair), |name| by(pair, name))).count()
    }

    /// Reviews since the start.
    pub(super) fn saved(&self) -> usize {
        self.saved
    }

    fn session(&self) -> Value {
        json!({"reviewer": self.reviewer, "dimensions": self.dimensions, "scores": SCORES, "cases": self.pairs.len()})
    }

    /// # Errors
    /// [`Refused`] for a name that is none, or another than the one who may review.
    fn known(&self, name: &str) -> Result<(), Refused> {
        check_name(name).map_err(|problem| Refused::new(400, problem))?;
        match &self.reviewer {
            Some(only) if only != name => Err(Refused::new(403, "another name was given to rtune review")),
            _ => Ok(()),
        }
    }

    fn case(&self, asked: &CaseAsked) -> Result<Value, Refused> {
        self.known(&asked.reviewer)?;
        let of = |pair: &Pair| self.reviews.get(&key(pair, &asked.reviewer));
        let done = self.pairs.iter().filter(|pair| of(pair).is_some()).count();
        let at = asked.at.or_else(|| self.pairs.iter().position(|pair| of(pair).is_none()));
        let Some(at) = at else { return Ok(json!({"cases": self.pairs.len(), "done": done, "at": null})) };
        let pair = self.pair(at)?;
        let left = shown_left(pair, &asked.reviewer);
        let [on_left, on_right] = in_order(left, &pair.case.answers);
        let context = pair.case.context.iter().map(|text| json!({"role": "context", "content": text}));
        let review = of(pair).map(|review| as_seen(review, left));
        Ok(json!({
            "cases": self.pairs.len(),
            "done": done,
            "at": at,
            "asked": context.chain(pair.case.prompt.iter().map(turn)).collect::<Vec<_>>(),
            "expected": pair.case.expected,
            "left": on_left,
            "right": on_right,
            "review": review,
        }))
    }

    fn take(&mut self, given: Given) -> Result<Value, Refused> {
        self.known(&given.reviewer)?;
        let pair = self.pair(given.at)?;
        for side in [&given.left, &given.right] {
            if side.len() != self.dimensions.len()
                || !self.dimensions.iter().all(|name| side.contains_key(name))
            {
                let expected = self.dimensions.join(", ");
                return Err(Refused::new(400, format!("expected scores of both answers in {expected}")));
            }
        }
        let text = |text: Option<String>, what: &str| match text.filter(|text| !text.trim().is_empty()) {
            Some(text) if text.len() > LONGEST_TEXT => {
                Err(Refused::new(400, format!("expected a {what} of at most {} KiB", LONGEST_TEXT >> 10)))
            }
            text => Ok(text),
        };
        let correction = text(given.correction, "correction")?;
        let left = shown_left(pair, &given.reviewer);
        let [first, second] = in_order(left, &[given.left, given.right]).map(Clone::clone);
        let review = Review {
            format: FORMAT,
            case: pair.case.id.clone(),
            reviewer: given.reviewer,
            first: pair.of[0].clone(),
            second: pair.of[1].clone(),
            shown_left: left,
            scores: Scores { first, second },
            preferred: match (given.preferred, left) {
                (Seen::Tie, _) => Choice::Tie,
                (Seen::Left, Place::First) | (Seen::Right, Place::Second) => Choice::First,
                _ => Choice::Second,
            },
            asked: correction.as_ref().map(|_| pair.case.prompt.clone()).unwrap_or_default(),
            correction,
            comment: text(given.comment, "comment")?,
            unix_seconds: unix_seconds(),
        };
        review.check().map_err(|problem| Refused::new(400, problem))?;
        self.log.append(&review).map_err(|error| Refused::new(500, format!("nothing was saved: {error}")))?;
        self.reviews.insert(review.key(), review);
        self.saved += 1;
        Ok(json!({"saved": true}))
    }

    fn pair(&self, at: usize) -> Result<&Pair, Refused> {
        let count = self.pairs.len();
        self.pairs
            .get(at)
            .ok_or_else(|| Refused::new(400, format!("expected a case from 0 to {}, found {at}", count - 1)))
    }
}

impl Site for Desk {
    fn page(&self) -> &'static str {
        page::PAGE
    }

    fn policy(&self) -> &str {
        &self.policy
    }

    fn answer(&mut self, path: &str, question: &[u8]) -> Result<String, Refused> {
        let answer = match path {
            "/api/session" => self.session(),
            "/api/case" => self.case(&read(question)?)?,
            "/api/review" => self.take(read(question)?)?,
            _ => return Err(Refused::new(404, "there is nothing here")),
        };
        Ok(answer.to_string())
    }
}

fn read<'a, T: Deserialize<'a>>(question: &'a [u8]) -> Result<T, Refused> {
    serde_json::from_slice(question)
        .map_err(|error| Refused::new(400, format!("not what is asked here: {error}")))
}

fn key(pair: &Pair, reviewer: &str) -> ReviewKey {
    let [first, second] = &pair.of;
    (pair.case.id.clone(), reviewer.to_owned(), first.answer.clone(), second.answer.clone())
}

/// Which model stands on the left: drawn for each case and reviewer, and the same whenever it is asked.
fn shown_left(pair: &Pair, reviewer: &str) -> Place {
    let [first, second] = &pair.of;
    let name = [pair.case.id.as_str(), reviewer, &first.answer, &second.answer].join("\n");
    match uniform_below(&mut stream(0, "review", &name, 0), 2) {
        0 => Place::First,
        _ => Place::Second,
    }
}

/// The two of the models as they are shown, or the other way round: it is its own inverse.
fn in_order<T>(left: Place, both: &[T; 2]) -> [&T; 2] {
    match left {
        Place::First => [&both[0], &both[1]],
        Place::Second => [&both[1], &both[0]],
    }
}

fn as_seen(review: &Review, left: Place) -> Value {
    let both = [&review.scores.first, &review.scores.second];
    let [on_left, on_right] = in_order(left, &both);
    let preferred = match (review.preferred, left) {
        (Choice::Tie, _) => "tie",
        (Choice::First, Place::First) | (Choice::Second, Place::Second) => "left",
        _ => "right",
    };
    json!({"left": on_left, "right": on_right, "preferred": preferred, "correction": review.correction, "comment": review.comment})
}

/// What somebody said, with the calls that it makes.
fn turn(message: &Value) -> Value {
    let mut text = message["content"].as_str().unwrap_or_default().to_owned();
    if let Some(calls) = message.get("tool_calls") {
        text = format!("{text}\n{calls:#}").trim().to_owned();
    }
    json!({"role": message["role"], "content": text})
}
