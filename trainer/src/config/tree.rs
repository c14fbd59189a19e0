//! A TOML document as a tree in which every value knows where it was written.
//!
//! serde stops at the first problem; a user wants all of them. So the document is read once into this tree, the
//! `--set` overrides are laid over it, and typed readers walk it and collect what they find.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::format;
use super::problem::Problem;
use super::read_lora::OF_ADAPTERS;

/// What the places of overrides begin with.
const OVERRIDE: &str = "--set ";

/// Keys of which one stands in the place of the other: an override of one takes back what the file says of the other.
const EITHER_OR: &[(&str, &str)] =
    &[("train.epochs", "train.steps"), ("train.rows-per-step", "train.tokens-per-step")];

/// Where a value was written: `file:line:column` or `--set key=value`.
pub(super) type Place = std::sync::Arc<str>;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    /// Byte offset in its text, which tells the order of a table's entries.
    pub(super) offset: usize,
    pub(super) value: Value,
}

/// The values a configuration can hold.
#[derive(Clone, Debug)]
pub(super) enum Value {
    String(String),
    Integer(i128),
    Float(f64),
    Boolean(bool),
    Array(Vec<Node>),
    Table(Table),
    /// A TOML value that no key takes: a date, or a number beyond 128 bits.
    Other(String),
}

/// Keys with the place of the key itself, and their values.
pub(super) type Table = BTreeMap<String, (Place, Node)>;

impl Value {
    /// What was found, for a message.
    pub(super) fn describe(&self) -> String {
        match self {
            Value::String(text) => format!("the string {text:?}"),
            Value::Integer(number) => format!("the integer {number}"),
            Value::Float(number) => format!("the number {number:?}"),
            Value::Boolean(value) => format!("the boolean {value}"),
            Value::Array(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
            Value::Other(text) => format!("`{text}`"),
        }
    }
}

/// Parses the text of a file. `name` is what the places are called by.
///
/// # Errors
/// Every syntax error of the document, not only the first.
pub(super) fn parse(name: &str, text: &str) -> Result<Table, Vec<Problem>> {
    let place_of = |offset: usize| -> Place { line_and_column(name, text, offset).into() };
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        if let Some(other) = format::recognise(name, text) {
            return Err(vec![other]);
        }
        let problem = |error: &toml::de::Error| Problem {
            place: place_of(error.span().map_or(0, |span| span.start)).to_string(),
            message: format!("not valid TOML: {}", error.message().replace('\n', ", ")),
            hint: None,
        };
        return Err(errors.iter().map(problem).collect());
    }
    Ok(table_of(table.get_ref(), &place_of))
}

/// Lays one `--set key=value` over the tree. A value that is not TOML is taken as a string, so that
/// `--set model.base=folder/name` needs no quotes inside quotes.
///
/// # Errors
/// When the argument has no `=`, an empty key, or a key that goes through a value that is no table.
pub(super) fn lay_over(table: &mut Table, argument: &str) -> Result<(), Problem> {
    let place: Place = format!("{OVERRIDE}{argument}").into();
    let problem = |message: String, hint: &str| Problem {
        place: place.to_string(),
        message,
        hint: Some(hint.to_owned()),
    };
    let Some((key, text)) = argument.split_once('=') else {
        return Err(problem(
            "expected `key=value`, found no `=`".to_owned(),
            "for example `--set train.steps=20`",
        ));
    };
    if key.trim().split('.').any(str::is_empty) {
        let message = format!("expected a key such as `train.steps`, found `{}`", key.trim());
        return Err(problem(message, "name the section and the key, with a dot between"));
    }
    let value = match DeValue::parse(text.trim()) {
        Ok(value) => value_of(value.get_ref(), &|_| place.clone()),
        Err(_) => Value::String(text.trim().to_owned()),
    };
    let (sections, last) = match key.trim().rsplit_once('.') {
        Some((sections, last)) => (sections.split('.').collect(), last),
        None => (Vec::new(), key.trim()),
    };
    let mut here = table;
    for section in sections {
        let empty =
            || (place.clone(), Node { place: place.clone(), offset: 0, value: Value::Table(Table::new()) });
        let (_, node) = here.entry(section.to_owned()).or_insert_with(empty);
        match &mut node.value {
            Value::Table(inner) => here = inner,
            other => {
                let message = format!("`{section}` is {}, expected a table", other.describe());
                return Err(problem(message, "leave out what follows the last dot"));
            }
        }
    }
    for rival in taken_back(key.trim(), &value) {
        if here.get(rival).is_some_and(|(place, _)| !place.starts_with(OVERRIDE)) {
            here.remove(rival);
        }
    }
    here.insert(last.to_owned(), (place.clone(), Node { place: place.clone(), offset: 0, value }));
    Ok(())
}

/// The keys beside `key`, in its section, that have no meaning once it has `value`: an override takes back what the file says of them. What a
/// run wrote says every key, and nobody can take one out of it.
fn taken_back(key: &str, value: &Value) -> Vec<&'static str> {
    let is = |text: &str| matches!(value, Value::String(found) if found == text);
    let rivals = EITHER_OR.iter().filter_map(|(one, other)| match key {
        key if key == *one => Some(*other),
        key if key == *other => Some(*one),
        _ => None,
    });
    match key {
        "quantization.kind" if !is("nf4") => vec!["double"],
        "train.schedule" if !is("cosine") => vec!["min-learning-rate-ratio"],
        "lora.from" => OF_ADAPTERS.into_iter().chain(["method"]).collect(),
        "lora.method" if is("full") => OF_ADAPTERS.to_vec(),
        _ => rivals.filter_map(|rival| rival.rsplit('.').next()).collect(),
    }
}

fn table_of(table: &DeTable<'_>, place_of: &dyn Fn(usize) -> Place) -> Table {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        (name.to_string(), (place_of(key.span().start), node_of(value, place_of)))
    };
    table.iter().map(entry).collect()
}

fn node_of(value: &toml::Spanned<DeValue<'_>>, place_of: &dyn Fn(usize) -> Place) -> Node {
    let offset = value.span().start;
    Node { place: place_of(offset), offset, value: value_of(value.get_ref(), place_of) }
}

fn value_of(value: &DeValue<'_>, place_of: &dyn Fn(usize) -> Place) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other(number.to_string()),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Value::Float(number),
            Err(_) => Value::Other(number.to_string()),
        },
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(date) => Value::Other(date.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| node_of(item, place_of)).collect()),
        DeValue::Table(table) => Value::Table(table_of(table, place_of)),
    }
}

/// Lines and columns count from 1; a column is a character, as editors count.
fn line_and_column(name: &str, text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    format!("{name}:{line}:{column}")
}
