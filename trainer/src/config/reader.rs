//! A typed reader over one table: takes keys out, and collects what is wrong with them.

use std::collections::BTreeMap;

use super::names;
use super::problem::Problem;
use super::tree::{Node, Place, Table, Value};

/// Reads one section. Every key must be taken exactly once; [`Section::finish`] reports the rest as unknown.
pub(super) struct Section<'a, 'p> {
    path: &'static str,
    table: Option<&'a Table>,
    known: Vec<&'static str>,
    problems: &'p mut Vec<Problem>,
}

impl<'a, 'p> Section<'a, 'p> {
    /// The section `path` (empty for the document itself); `table` is `None` when it is not written.
    pub(super) fn new(path: &'static str, table: Option<&'a Table>, problems: &'p mut Vec<Problem>) -> Self {
        Self { path, table, known: Vec::new(), problems }
    }

    /// A table inside this one, or `None` when it is not there or no table (which is a problem).
    pub(super) fn table(&mut self, key: &'static str) -> Option<&'a Table> {
        let node = self.take(key)?;
        match &node.value {
            Value::Table(table) => Some(table),
            _ => self.expected(key, node, "a table"),
        }
    }

    /// Text that is not empty.
    pub(super) fn string(&mut self, key: &'static str) -> Option<String> {
        let node = self.take(key)?;
        match &node.value {
            Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
            _ => self.expected(key, node, "a string that is not empty"),
        }
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let node = self.take(key)?;
        match node.value {
            Value::Boolean(value) => Some(value),
            _ => self.expected(key, node, "`true` or `false`"),
        }
    }

    /// An integer from `least` to `most`.
    pub(super) fn integer(&mut self, key: &'static str, least: u64, most: u64) -> Option<u64> {
        let node = self.take(key)?;
        let found = match node.value {
            Value::Integer(number) => u64::try_from(number).ok().filter(|n| (least..=most).contains(n)),
            _ => None,
        };
        found.or_else(|| self.expected(key, node, &format!("an integer from {least} to {most}")))
    }

    /// A number for which `holds`; `range` says so in words.
    pub(super) fn number(&mut self, key: &'static str, range: &str, holds: fn(f64) -> bool) -> Option<f64> {
        let node = self.take(key)?;
        let found = as_number(&node.value).filter(|number| number.is_finite() && holds(*number));
        found.or_else(|| self.expected(key, node, &format!("a number {range}")))
    }

    /// One of a few strings.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let node = self.take(key)?;
        if let Value::String(text) = &node.value {
            if let Some((_, value)) = choices.iter().find(|(name, _)| name == text) {
                return Some(*value);
            }
            let hint = names::value_hint(&self.full(key), text).or_else(|| {
                let near = names::nearest(text, choices.iter().map(|(name, _)| *name))?;
                Some(format!("did you mean `{near}`?"))
            });
            self.report_expected(key, node, &one_of(choices), hint);
            return None;
        }
        self.expected(key, node, &one_of(choices))
    }

    /// The node under `key`, for a key that takes values of several types.
    pub(super) fn any(&mut self, key: &'static str) -> Option<&'a Node> {
        self.take(key)
    }

    /// Reads `node` as a list of strings with at least one entry.
    pub(super) fn strings_of(&mut self, key: &str, node: &Node, expected: &str) -> Option<Vec<String>> {
        let Value::Array(items) = &node.value else { return self.expected(key, node, expected) };
        if items.is_empty() {
            self.report(
                &node.place,
                format!("`{}`: expected {expected}, found an empty list", self.full(key)),
                None,
            );
            return None;
        }
        let before = self.problems.len();
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match &item.value {
                Value::String(text) if !text.is_empty() => texts.push(text.clone()),
                _ => self.report_expected(key, item, "a string", None),
            }
        }
        (self.problems.len() == before).then_some(texts)
    }

    /// A table from names to numbers for which `holds`, in the order of the text.
    pub(super) fn numbers(
        &mut self,
        key: &'static str,
        range: &str,
        holds: fn(f64) -> bool,
    ) -> Vec<(String, f64)> {
        let mut entries: Vec<(&String, &Node)> =
            self.table(key).into_iter().flatten().map(|(name, (_, node))| (name, node)).collect();
        entries.sort_by_key(|(_, node)| node.offset);
        let mut numbers = Vec::new();
        for (name, node) in entries {
            match as_number(&node.value).filter(|number| holds(*number)) {
                Some(number) => numbers.push((name.clone(), number)),
                None => self.report_expected(&format!("{key}.{name}"), node, range, None),
            }
        }
        numbers
    }

    /// A reader of a table inside a list of this section.
    pub(super) fn inside<'b>(&'b mut self, path: &'static str, table: &'b Table) -> Section<'b, 'b> {
        Section::new(path, Some(table), self.problems)
    }

    /// A list of at least one text.
    pub(super) fn strings(&mut self, key: &'static str) -> Option<Vec<String>> {
        let node = self.take(key)?;
        self.strings_of(key, node, "a list of strings")
    }

    /// A table from names to texts.
    pub(super) fn texts(&mut self, key: &'static str) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for (name, (_, node)) in self.table(key).into_iter().flatten() {
            match &node.value {
                Value::String(text) if !text.is_empty() => {
                    texts.insert(name.clone(), text.clone());
                }
                _ => self.report_expected(&format!("{key}.{name}"), node, "a string", None),
            }
        }
        texts
    }

    /// Where `key` is written, if it is.
    pub(super) fn place(&self, key: &str) -> Option<&'a Place> {
        self.table?.get(key).map(|(place, _)| place)
    }

    /// Whether `key` is written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.place(key).is_some()
    }

    /// The value under `key`, which is yet to be read.
    pub(super) fn peek(&self, key: &str) -> Option<&'a Value> {
        self.table?.get(key).map(|(_, node)| &node.value)
    }

    /// Reports that `key` cannot stand beside what is said elsewhere.
    pub(super) fn contradiction(&mut self, key: &str, with: &str, hint: &str) {
        if let Some(place) = self.place(key) {
            let message = format!("`{}` contradicts {with}", self.full(key));
            self.report(place, message, Some(hint.to_owned()));
        }
    }

    /// Reports that a key without a default is not there.
    pub(super) fn missing(&mut self, file: &str, key: &str, hint: &str) {
        let message = format!("expected the key `{}`, found none", self.full(key));
        self.report(&Place::from(file), message, Some(hint.to_owned()));
    }

    pub(super) fn report(&mut self, place: &Place, message: String, hint: Option<String>) {
        self.problems.push(Problem { place: place.to_string(), message, hint });
    }

    /// Reports a value of the wrong type or range, and yields `None` for the reader to return.
    pub(super) fn expected<T>(&mut self, key: &str, node: &Node, expected: &str) -> Option<T> {
        let hint = match &node.value {
            Value::String(text) => names::value_hint(&self.full(key), text),
            Value::Boolean(value) => names::value_hint(&self.full(key), &value.to_string()),
            _ => None,
        };
        self.report_expected(key, node, expected, hint);
        None
    }

    /// Reports every key that no reader took.
    pub(super) fn finish(self) {
        for (key, (place, node)) in self.table.into_iter().flatten() {
            if self.known.contains(&key.as_str()) {
                continue;
            }
            let full = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            let hint = names::hint_for(&full, &node.value, &self.known);
            self.problems.push(Problem {
                place: place.to_string(),
                message: format!("unknown key `{full}`"),
                hint,
            });
        }
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        self.table?.get(key).map(|(_, node)| node)
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn report_expected(&mut self, key: &str, node: &Node, expected: &str, hint: Option<String>) {
        let message = format!("`{}`: expected {expected}, found {}", self.full(key), node.value.describe());
        self.report(&node.place, message, hint);
    }
}

fn one_of<T>(choices: &[(&str, T)]) -> String {
    let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    names.join(" or ")
}

pub(super) fn as_number(value: &Value) -> Option<f64> {
    match value {
        // A configuration's integers are far below 2^53.
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}
