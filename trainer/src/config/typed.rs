//! Sections whose values are structures of another crate: read and written through serde, checked key by key.
//!
//! serde stops at the first problem and knows no places. So each key is tried on its own, where its problem has a
//! place, and what is right is read together.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::names::{self, KEYS};
use super::problem::Problem;
use super::tree::{Node, Table, Value};

/// The section at `path`; the default where it is not written. Keys that stand in `apart` are read elsewhere.
pub(super) fn read<T: DeserializeOwned + Default>(
    path: &str,
    table: Option<&Table>,
    problems: &mut Vec<Problem>,
) -> T {
    let Some(table) = table else { return T::default() };
    let before = problems.len();
    let whole = level::<T>(path, &[], table, problems);
    match serde_json::from_value(Json::Object(whole)) {
        Ok(value) => value,
        Err(error) => {
            if problems.len() == before {
                let place = table.values().next().map_or_else(String::new, |(place, _)| place.to_string());
                problems.push(Problem { place, message: format!("`{path}`: {error}"), hint: None });
            }
            T::default()
        }
    }
}

/// The keys of one level, those that are right; `inside` leads from the section to it.
fn level<T: DeserializeOwned>(
    path: &str,
    inside: &[&str],
    table: &Table,
    problems: &mut Vec<Problem>,
) -> Map<String, Json> {
    let mut read = Map::new();
    let siblings = known_inside(path);
    for (key, (place, node)) in table {
        let full = format!("{path}.{key}");
        let is_group = !KEYS.contains(&full.as_str()) && !known_inside(&full).is_empty();
        if let (true, Value::Table(group)) = (is_group, &node.value) {
            let deeper: Vec<&str> = inside.iter().copied().chain([key.as_str()]).collect();
            read.insert(key.clone(), Json::Object(level::<T>(&full, &deeper, group, problems)));
            continue;
        }
        if !KEYS.contains(&full.as_str()) {
            let (message, hint) = match is_group {
                true => (format!("`{full}`: expected a table, found {}", node.value.describe()), None),
                false => (format!("unknown key `{full}`"), names::hint_for(&full, &node.value, &siblings)),
            };
            problems.push(Problem { place: place.to_string(), message, hint });
            continue;
        }
        let value = json(node);
        let alone =
            inside.iter().rev().fold(Map::from_iter([(key.clone(), value.clone())]), |inner, group| {
                Map::from_iter([((*group).to_owned(), Json::Object(inner))])
            });
        match serde_json::from_value::<T>(Json::Object(alone)) {
            Ok(_) => {
                read.insert(key.clone(), value);
            }
            Err(error) => {
                let hint = match &node.value {
                    Value::String(text) => names::value_hint(&full, text),
                    _ => None,
                };
                let message = format!("`{full}`: {}", in_our_words(&error.to_string(), &node.value));
                problems.push(Problem { place: node.place.to_string(), message, hint });
            }
        }
    }
    read
}

/// What serde says of a value, as the other readers say it.
fn in_our_words(said: &str, value: &Value) -> String {
    const TYPES: [(&str, &str); 10] = [
        ("f64", "a number"),
        ("f32", "a number"),
        ("u64", "an integer from 0"),
        ("u32", "an integer from 0"),
        ("usize", "an integer from 0"),
        ("a sequence", "a list"),
        ("path string", "a path"),
        ("string enum", "a string"),
        ("a map", "a table"),
        ("a boolean", "`true` or `false`"),
    ];
    let Some((_, expected)) = said.split_once("expected ") else { return said.to_owned() };
    let expected = match TYPES.iter().find(|(theirs, _)| *theirs == expected) {
        Some((_, ours)) => (*ours).to_owned(),
        None => expected.strip_prefix("one of ").unwrap_or(expected).replace('`', "\""),
    };
    format!("expected {expected}, found {}", value.describe())
}

/// The names that stand directly inside `path`.
fn known_inside(path: &str) -> Vec<&'static str> {
    let inside = KEYS.iter().filter_map(|key| key.strip_prefix(path)?.strip_prefix('.'));
    let mut names: Vec<&str> = inside.map(|rest| rest.split('.').next().unwrap_or(rest)).collect();
    names.dedup();
    names
}

/// A value as JSON; what TOML has beyond it stands as its text.
pub(super) fn json(node: &Node) -> Json {
    match &node.value {
        Value::String(text) | Value::Other(text) => Json::from(text.clone()),
        Value::Integer(number) => i64::try_from(*number).map_or(Json::Null, Json::from),
        Value::Float(number) => Json::from(*number),
        Value::Boolean(value) => Json::from(*value),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Table(table) => {
            table.iter().map(|(key, (_, node))| (key.clone(), json(node))).collect::<Map<_, _>>().into()
        }
    }
}

/// The keys of a section and their values as TOML, nested keys with dots; what is not set is left out.
pub(super) fn lines<T: Serialize + Default>(path: &str, section: &T) -> Vec<(String, toml::Value)> {
    // Options are plain data: there is nothing in them that JSON cannot say.
    let json = |section: &T| serde_json::to_value(section).unwrap_or_default();
    let (Json::Object(fields), plain) = (json(section), json(&T::default())) else { return Vec::new() };
    let mut lines = Vec::new();
    flatten(path, "", fields, &plain, &mut lines);
    lines
}

fn flatten(
    section: &str,
    prefix: &str,
    fields: Map<String, Json>,
    plain: &Json,
    lines: &mut Vec<(String, toml::Value)>,
) {
    for (key, value) in fields {
        let name = format!("{prefix}{key}");
        let is_key = KEYS.contains(&format!("{section}.{name}").as_str());
        match (value, is_key) {
            (Json::Object(inner), false) => {
                let before = lines.len();
                flatten(section, &format!("{name}."), inner, &plain[&key], lines);
                // A group that is not there by default and has nothing to say is on all the same.
                if lines.len() == before && plain[&key].is_null() {
                    lines.push((name, toml::Value::Table(toml::Table::new())));
                }
            }
            (value, _) => lines.extend(toml_of(value).map(|value| (name, value))),
        }
    }
}

/// The value as TOML; nothing for null and for what is empty.
pub(super) fn toml_of(value: Json) -> Option<toml::Value> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(value) => value.into(),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => integer.into(),
            None => number.as_f64()?.into(),
        },
        Json::String(text) => text.into(),
        Json::Array(items) if items.is_empty() => return None,
        Json::Array(items) => toml::Value::Array(items.into_iter().filter_map(toml_of).collect()),
        Json::Object(fields) if fields.is_empty() => return None,
        Json::Object(fields) => toml::Value::Table(
            fields.into_iter().filter_map(|(key, value)| Some((key, toml_of(value)?))).collect(),
        ),
    })
}
