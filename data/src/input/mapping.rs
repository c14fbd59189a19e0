//! Fields that have another name with the user than with us.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::DataError;
use crate::problem::ProblemKind;

/// The fields of a row that a mapping may name, and whether a row may lack them.
const FIELDS: [(&str, bool); 18] = [
    ("id", true),
    ("instruction", false),
    ("input", true),
    ("output", false),
    ("prompt", false),
    ("completion", false),
    ("chosen", false),
    ("rejected", true),
    ("messages", false),
    ("conversations", false),
    ("text", false),
    ("system", true),
    ("history", true),
    ("tools", true),
    ("references", true),
    ("labels", true),
    ("checks", true),
    ("comments", false),
];

/// Their names, for a hint.
pub(crate) fn known_fields() -> String {
    FIELDS.map(|(name, _)| name).join(", ")
}

/// Whether every field that is mapped is one of ours.
pub(super) fn check(fields: &BTreeMap<String, String>) -> Result<(), DataError> {
    match fields.keys().find(|ours| !FIELDS.iter().any(|(name, _)| name == ours)) {
        Some(unknown) => Err(DataError::UnknownField { field: unknown.clone() }),
        None => Ok(()),
    }
}

/// Gives the fields of a row our names; those of ours that are in the way are left unread, and their names returned.
pub(super) fn apply(
    mapping: &BTreeMap<String, String>,
    row: &mut Map<String, Value>,
) -> Result<Vec<String>, ProblemKind> {
    let mut taken = Vec::with_capacity(mapping.len());
    // All are taken before any is put in place, so that two fields may change their names with each other.
    for (ours, theirs) in mapping {
        let value = take(row, theirs).filter(|value| !value.is_null());
        let may_lack = FIELDS.iter().any(|(name, may_lack)| name == ours && *may_lack);
        match value {
            Some(value) => taken.push((ours, value)),
            None if may_lack => {}
            None => return Err(ProblemKind::NotMapped { ours: ours.clone(), theirs: theirs.clone() }),
        }
    }
    let mut in_the_way = Vec::new();
    for (ours, value) in taken {
        if row.insert(ours.clone(), value).is_some() {
            in_the_way.push(ours.clone());
        }
    }
    Ok(in_the_way)
}

/// Takes a field by its name, or by the way that dots lead to it.
fn take(row: &mut Map<String, Value>, path: &str) -> Option<Value> {
    if row.contains_key(path) {
        return row.remove(path);
    }
    let (first, rest) = path.split_once('.')?;
    let mut place = row.get_mut(first)?;
    for step in rest.split('.') {
        place = match place {
            Value::Object(fields) => fields.get_mut(step)?,
            Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(place.take())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mapped(mapping: &[(&str, &str)], row: Value) -> Result<(Value, Vec<String>), ProblemKind> {
        let mapping = mapping.iter().map(|(ours, theirs)| (ours.to_string(), theirs.to_string())).collect();
        let mut row = row.as_object().expect("an object").clone();
        let in_the_way = apply(&mapping, &mut row)?;
        Ok((Value::Object(row), in_the_way))
    }

    #[test]
    fn fields_are_taken_by_name_and_by_way() {
        let row = json!({"a.b": 1, "turns": [{"text": "q"}, {"text": "x"}]});
        let (row, _) = mapped(&[("instruction", "turns.0.text"), ("output", "a.b")], row).expect("mapped");
        assert_eq!((&row["instruction"], &row["output"]), (&json!("q"), &json!(1)));
        assert_eq!(row["turns"], json!([{"text": null}, {"text": "x"}]));
    }

    #[test]
    fn names_may_be_exchanged_and_what_is_in_the_way_is_named() {
        let (row, way) =
            mapped(&[("input", "output"), ("output", "input")], json!({"input": "i", "output": "o"}))
                .expect("mapped");
        assert_eq!((row, way.len()), (json!({"input": "o", "output": "i"}), 0));
        let (row, way) =
            mapped(&[("output", "label")], json!({"output": "o", "label": "l"})).expect("mapped");
        assert_eq!((row, way), (json!({"output": "l"}), vec!["output".to_owned()]));
    }

    #[test]
    fn a_field_that_must_be_there_is_named_if_it_is_not() {
        assert!(mapped(&[("input", "x"), ("system", "y.z")], json!({})).is_ok());
        let kind = mapped(&[("output", "label")], json!({"label": null})).expect_err("it is null");
        assert_eq!(kind.to_string(), "the row has no field `label`, which `output` is taken from");
    }

    #[test]
    fn only_our_fields_can_be_mapped() {
        let mapping = BTreeMap::from([("instuction".to_owned(), "q".to_owned())]);
        let error = check(&mapping).expect_err("misspelt");
        assert_eq!(error.to_string(), "`fields` maps `instuction`, which is no field of a row");
        assert!(error.hint().is_some_and(|hint| hint.contains("instruction")));
    }
}
