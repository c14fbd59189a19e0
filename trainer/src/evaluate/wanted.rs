//! What a golden row says beside its conversation: other references, labels, checks, and whom it belongs to.

use rtune_data::ProblemKind;
use rtune_metrics::checks::{Check, Checker};
use serde_json::{Map, Value};

/// Most weight of a case: beyond it one case would be the whole set.
const MOST_WEIGHT: f64 = 1e6;

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
    /// What the answer must be.
    pub(super) checks: Vec<Checker>,
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
            Some(Err(value)) => return Err(problem("weight", format!("expected a number, found {value}"))),
        };
        Ok(Self {
            references: texts("references")?,
            labels: texts("labels")?,
            slice: name("slice")?,
            cluster: name("cluster")?,
            weight,
            checks: get("checks").map_or_else(|| Ok(Vec::new()), checks)?,
        })
    }
}

fn problem(field: &str, reason: String) -> ProblemKind {
    ProblemKind::Golden { field: field.to_owned(), reason }
}

fn texts(field: &str, value: &Value) -> Result<Vec<String>, ProblemKind> {
    let wrong = || problem(field, "expected a list of texts".to_owned());
    let list = value.as_array().ok_or_else(wrong)?;
    list.iter().map(|text| text.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

/// A text, or a number that is meant as one.
fn name(field: &str, value: &Value) -> Result<String, ProblemKind> {
    match value {
        Value::String(name) => Ok(name.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(problem(field, format!("expected a text, found {other}"))),
    }
}

fn checks(value: &Value) -> Result<Vec<Checker>, ProblemKind> {
    let list = value.as_array().ok_or_else(|| problem("checks", "expected a list of checks".to_owned()))?;
    let made = list.iter().zip(1..).map(|(value, number)| {
        let check: Check = serde_json::from_value(value.clone())
            .map_err(|error| problem("checks", format!("check {number}: {error}")))?;
        Checker::new(&check).map_err(|error| problem("checks", format!("check {number}: {error}")))
    });
    made.collect()
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
    }

    #[test]
    fn what_is_not_as_it_should_be_is_named() {
        for (row, part) in [
            (json!({"references": "b"}), "the field `references` of a golden row: expected a list of texts"),
            (json!({"weight": 0}), "`weight` of a golden row: expected a number above 0"),
            (json!({"weight": "2"}), "expected a number, found \"2\""),
            (json!({"slice": ["a"]}), "`slice` of a golden row: expected a text"),
            (json!({"checks": [{"kind": "regex", "pattern": "("}]}), "check 1: `pattern`:"),
            (
                json!({"checks": [{"kind": "contains", "text": "a"}, {"kind": "no"}]}),
                "check 2: unknown variant `no`",
            ),
        ] {
            let found = read(row).expect_err("a problem");
            assert!(found.contains(part), "{found}");
        }
    }
}
