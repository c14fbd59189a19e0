//! What a golden row says beside its conversation: other references, labels, checks, and whom it belongs to.

use rtune_data::ProblemKind;
use rtune_metrics::checks::{Check, Checker};
use serde_json::{Map, Value};

use super::people::Human;

/// Most weight of a case: beyond it one case would be the whole set.
const MOST_WEIGHT: f64 = 1e6;

/// Characters of a wrong value that a message shows.
const SHOWN_CHARACTERS: usize = 60;

/// The fields of a golden row that are read here; the others are notes.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Other answers that are right.
    pub(super) references: Vec<String>,
    /// The labels to choose from; empty where the answer is no label.
    pub(super) labels: Vec<String>,
    /// What part of the set it belongs to.
    pub(super) slice: Option<String>,
    /// What it says much the same with: a conversation, a source, paraphrases.
    pub(super) cluster: Option<String>,
    /// How much it counts.
    pub(super) weight: f64,
    /// How people like the answers.
    pub(super) human: PersonsView,
    /// What the answers must be.
    pub(super) checks: Vec<TurnCheck>,
    /// BLAKE3 of the checks as JSON, in hex, whatever the order of their keys; `None` without any.
    pub(super) checks_hash: Option<String>,
    /// Which answers of a conversation the model makes.
    pub(super) ask: Ask,
    /// What the answer may draw on: `context`, or the `input` that became part of the prompt.
    pub(super) context: Vec<String>,
}

/// How people like the answers, as a row says it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum PersonsView {
    /// Nothing.
    None,
    /// The answer of the model that is looked at: the tuned one, or the base alone.
    One(f64),
    /// Each by its name.
    Each(Human),
}

impl PersonsView {
    /// Of a base with or without a tuned model beside it.
    pub(super) fn of(self, has_tuned: bool) -> Human {
        match self {
            Self::None => Human::default(),
            Self::One(score) if has_tuned => Human { base: None, tuned: Some(score) },
            Self::One(score) => Human { base: Some(score), tuned: None },
            Self::Each(human) => human,
        }
    }
}

/// A check, and which answer it is of.
#[derive(Debug)]
pub(super) struct TurnCheck {
    pub(super) checker: Checker,
    turn: Turn,
    /// The turn that gave the fact, from 1.
    pub(super) given: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Last,
    /// From 1.
    One(usize),
    Every,
}

/// Which answers of a conversation the model makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// All, each on its own history.
    Every,
    /// The last, on the history that the row has.
    Last,
}

impl TurnCheck {
    /// Whether it is of turn `turn` of `turns`, from 1.
    pub(super) fn is_of(&self, turn: usize, turns: usize) -> bool {
        match self.turn {
            Turn::Last => turn == turns,
            Turn::One(one) => turn == one,
            Turn::Every => true,
        }
    }
}

impl Wanted {
    /// Reads them.
    ///
    /// # Errors
    /// [`ProblemKind::Golden`] for a field that is not what it should be.
    pub(super) fn read(extra: &Map<String, Value>) -> Result<Self, ProblemKind> {
        let get = |name: &str| extra.get(name).filter(|value| !value.is_null());
        let texts = |name: &str| get(name).map_or_else(|| Ok(Vec::new()), |value| texts(name, value));
        let name = |name: &str| get(name).map(|value| self::name(name, value)).transpose();
        let weight = match get("weight").map(|value| value.as_f64().ok_or(value)) {
            None => 1.0,
            Some(Ok(weight)) if weight > 0.0 && weight <= MOST_WEIGHT => weight,
            Some(Ok(weight)) => {
                return Err(problem(
                    "weight",
                    format!("expected a number above 0 and at most {MOST_WEIGHT}, found {weight}"),
                ));
            }
            Some(Err(value)) => {
                return Err(problem("weight", format!("expected a number, found {}", shown(value))));
            }
        };
        Ok(Self {
            references: texts("references")?,
            labels: texts("labels")?,
            slice: name("slice")?,
            cluster: name("cluster")?,
            weight,
            human: get("human").map_or(Ok(PersonsView::None), human)?,
            checks: get("checks").map_or_else(|| Ok(Vec::new()), checks)?,
            checks_hash: get("checks").map(hash_of),
            ask: match get("ask").map(|value| value.as_str()) {
                None | Some(Some("every")) => Ask::Every,
                Some(Some("last")) => Ask::Last,
                Some(_) => {
                    let found = get("ask").unwrap_or(&Value::Null);
                    return Err(problem(
                        "ask",
                        format!("expected \"every\" or \"last\"; found {}", shown(found)),
                    ));
                }
            },
            context: get("context").or_else(|| get("input")).map_or_else(|| Ok(Vec::new()), context)?,
        })
    }

    /// Whether the turns that checks name are there.
    ///
    /// # Errors
    /// [`ProblemKind::Golden`].
    pub(super) fn fit(&self, turns: usize) -> Result<(), ProblemKind> {
        for (check, number) in self.checks.iter().zip(1..) {
            let turn = match check.turn {
                Turn::One(turn) => turn,
                Turn::Last => turns,
                Turn::Every => 1,
            };
            if turn > turns {
                let reason = format!(
                    "check {number}: expected `turn` to be one of the {turns} that the model answers, found {turn}"
                );
                return Err(problem("checks", reason));
            }
            if let Some(given) = check.given.filter(|given| *given >= turn) {
                let reason =
                    format!("check {number}: expected `given` to be a turn before {turn}, found {given}");
                return Err(problem("checks", reason));
            }
        }
        Ok(())
    }
}

fn problem(field: &str, reason: String) -> ProblemKind {
    ProblemKind::Golden { field: field.to_owned(), reason }
}

fn texts(field: &str, value: &Value) -> Result<Vec<String>, ProblemKind> {
    let wrong = || problem(field, format!("expected a list of texts, found {}", shown(value)));
    let list = value.as_array().ok_or_else(wrong)?;
    list.iter().map(|text| text.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

/// A value as a message has it: a whole context would hide what is said of it.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A text, or a number that is meant as one.
fn name(field: &str, value: &Value) -> Result<String, ProblemKind> {
    match value {
        Value::String(name) => Ok(name.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(problem(field, format!("expected a text, found {}", shown(other)))),
    }
}

/// A number, or one of each model.
fn human(value: &Value) -> Result<PersonsView, ProblemKind> {
    let wrong = || {
        let expected = "expected a number, or an object with numbers as `base` and `tuned`";
        problem("human", format!("{expected}; found {}", shown(value)))
    };
    let number = |value: &Value| value.as_f64().filter(|score| score.is_finite());
    let Some(fields) = value.as_object() else {
        return number(value).map(PersonsView::One).ok_or_else(wrong);
    };
    if fields.is_empty() || fields.keys().any(|name| !["base", "tuned"].contains(&name.as_str())) {
        return Err(wrong());
    }
    let of = |name: &str| fields.get(name).map(|value| number(value).ok_or_else(wrong)).transpose();
    Ok(PersonsView::Each(Human { base: of("base")?, tuned: of("tuned")? }))
}

fn hash_of(checks: &Value) -> String {
    let mut checks = checks.clone();
    checks.sort_all_objects();
    blake3::hash(checks.to_string().as_bytes()).to_hex().to_string()
}

fn checks(value: &Value) -> Result<Vec<TurnCheck>, ProblemKind> {
    let wrong = || problem("checks", format!("expected a list of checks, found {}", shown(value)));
    let list = value.as_array().ok_or_else(wrong)?;
    list.iter().zip(1..).map(|(value, number)| check(value.clone(), number)).collect()
}

fn check(mut value: Value, number: usize) -> Result<TurnCheck, ProblemKind> {
    let wrong = |reason: String| problem("checks", format!("check {number}: {reason}"));
    let mut take = |name: &str| value.as_object_mut().and_then(|fields| fields.shift_remove(name));
    let count = |value: &Value| {
        value.as_u64().and_then(|number| usize::try_from(number).ok()).filter(|&number| number > 0)
    };
    let turn = match take("turn") {
        None => Turn::Last,
        Some(Value::String(all)) if all == "every" => Turn::Every,
        Some(value) => match count(&value) {
            Some(turn) => Turn::One(turn),
            None => {
                return Err(wrong(format!("`turn`: expected a number from 1, or \"every\"; found {value}")));
            }
        },
    };
    let given = match take("given") {
        None => None,
        Some(value) => match count(&value) {
            Some(_) if turn == Turn::Every => {
                return Err(wrong("`given` needs the one turn that is to know it, not \"every\"".to_owned()));
            }
            Some(given) => Some(given),
            None => return Err(wrong(format!("`given`: expected a number from 1; found {value}"))),
        },
    };
    if !value.is_object() {
        return Err(wrong(format!("expected an object with a `kind`, found {}", shown(&value))));
    }
    let check: Check = serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
    let checker = Checker::new(&check).map_err(|error| wrong(error.to_string()))?;
    Ok(TurnCheck { checker, turn, given })
}

/// One text or several.
fn context(value: &Value) -> Result<Vec<String>, ProblemKind> {
    match value {
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Array(_) => texts("context", value),
        other => {
            Err(problem("context", format!("expected a text or a list of texts, found {}", shown(other))))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Wanted, String> {
        let Value::Object(extra) = value else { panic!("an object") };
        Wanted::read(&extra).map_err(|problem| problem.to_string())
    }

    #[test]
    fn fields_are_read_and_others_are_notes() {
        let wanted = read(
            json!({"references": ["b"], "labels": ["x", "y"], "slice": "billing", "cluster": 7, "weight": 2,
            "checks": [{"kind": "contains", "text": "refund"}], "note": [1]}),
        );
        let wanted = wanted.expect("read");
        assert_eq!(wanted.references, ["b"]);
        assert_eq!(wanted.labels, ["x", "y"]);
        assert_eq!((wanted.slice.as_deref(), wanted.cluster.as_deref()), (Some("billing"), Some("7")));
        assert_eq!((wanted.weight, wanted.checks.len()), (2.0, 1));
        assert_eq!(read(json!({"weight": null})).expect("read").weight, 1.0);
        assert_eq!(wanted.human.of(true), Human::default());
        let one = read(json!({"human": 4})).expect("read").human;
        assert_eq!((one.of(true).tuned, one.of(false).base, one.of(true).base), (Some(4.0), Some(4.0), None));
        let each = read(json!({"human": {"base": 2, "tuned": 4.5}})).expect("read").human;
        assert_eq!(each.of(true), Human { base: Some(2.0), tuned: Some(4.5) });
        assert_eq!(wanted.ask, Ask::Every);
        let wanted = read(json!({"context": ["a", "b"], "input": "c", "ask": "last"})).expect("read");
        assert_eq!(
            (wanted.context.as_slice(), wanted.ask),
            (&["a".to_owned(), "b".to_owned()][..], Ask::Last)
        );
        assert_eq!(read(json!({"input": "c"})).expect("read").context, ["c"]);
    }

    #[test]
    fn other_checks_have_another_hash() {
        let hash = |checks: Value| read(json!({"checks": checks})).expect("read").checks_hash;
        let one = hash(json!([{"kind": "contains", "text": "a"}]));
        assert_eq!(one, hash(json!([{"text": "a", "kind": "contains"}])));
        assert_ne!(one, hash(json!([{"kind": "contains", "text": "b"}])));
        assert_eq!(read(json!({})).expect("read").checks_hash, None);
    }

    #[test]
    fn checks_are_of_turns() {
        let all = json!([{"kind": "contains", "text": "a", "turn": 1}, {"kind": "not-refusal", "turn": "every"},
            {"kind": "contains", "text": "b", "given": 1}]);
        let wanted = read(json!({"checks": all})).expect("read");
        let of =
            |turn: usize| -> Vec<bool> { wanted.checks.iter().map(|check| check.is_of(turn, 3)).collect() };
        assert_eq!(of(1), [true, true, false]);
        assert_eq!(of(3), [false, true, true]);
        assert_eq!(wanted.checks[2].given, Some(1));
        assert!(wanted.fit(3).is_ok());
        let reason = wanted.fit(1).expect_err("no turn before it").to_string();
        assert!(reason.contains("check 3: expected `given` to be a turn before 1, found 1"), "{reason}");
        let late = read(json!({"checks": [{"kind": "not-refusal", "turn": 4}]})).expect("read");
        let reason = late.fit(3).expect_err("no such turn").to_string();
        assert!(
            reason.contains("check 1: expected `turn` to be one of the 3 that the model answers, found 4"),
            "{reason}"
        );
    }

    #[test]
    fn what_is_not_as_it_should_be_is_named() {
        for (row, part) in [
            (
                json!({"references": "b"}),
                "the field `references` of a golden row: expected a list of texts, found \"b\"",
            ),
            (json!({"human": "good"}), "`human` of a golden row: expected a number"),
            (json!({"human": {"other": 1}}), "`human` of a golden row: expected a number, or an object"),
            (json!({"weight": 0}), "`weight` of a golden row: expected a number above 0"),
            (json!({"weight": "2"}), "expected a number, found \"2\""),
            (json!({"slice": ["a"]}), "`slice` of a golden row: expected a text"),
            (json!({"checks": [{"kind": "regex", "pattern": "("}]}), "check 1: `pattern`:"),
            (
                json!({"checks": [{"kind": "contains", "text": "a"}, {"kind": "no"}]}),
                "check 2: unknown variant `no`",
            ),
            (
                json!({"checks": [{"kind": "not-refusal", "turn": 0}]}),
                "`turn`: expected a number from 1, or \"every\"; found 0",
            ),
            (
                json!({"checks": [{"kind": "not-refusal", "turn": "every", "given": 1}]}),
                "`given` needs the one turn",
            ),
            (json!({"ask": "all"}), "`ask` of a golden row: expected \"every\" or \"last\"; found \"all\""),
            (json!({"checks": [7]}), "check 1: expected an object with a `kind`, found 7"),
            (json!({"checks": "x"}), "expected a list of checks, found \"x\""),
            (json!({"context": {"a": 1}}), "`context` of a golden row: expected a text or a list of texts"),
        ] {
            let found = read(row).expect_err("a problem");
            assert!(found.contains(part), "{found}");
        }
    }
}
