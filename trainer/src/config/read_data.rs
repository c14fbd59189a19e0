//! `[data]` and what stands below it.

use rtune_data::{Date, Format};
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::read::MOST_TOKENS;
use super::reader::{Section, as_number};
use super::tree::{Node, Table, Value};
use super::*;

const DEFAULT_MAX_TOKENS: usize = 2048;
const DEFAULT_VALIDATION: f64 = 0.1;

/// Validation rows at the most: what f64 counts exactly, as numbers are read.
const MOST_VALIDATION_ROWS: f64 = (1u64 << 53) as f64;

/// What a source may be.
const SOURCES: &str = "a path, a table with a `path`, or a list of them";

pub(super) fn data(file: &str, table: Option<&Table>, problems: &mut Vec<Problem>) -> Option<DataSection> {
    let mut section = Section::new("data", table, problems);
    let groups =
        ["normalise", "privacy", "filters", "clean", "labels", "leaks"].map(|name| section.table(name));
    let [normalise, privacy, filters, clean, labels, leaks] = groups;
    let train = sources(&mut section, "train");
    if !section.has("train") {
        section.missing(file, "train", "for example `train = \"data/train.jsonl\"` in `[data]`");
    }
    let golden = sources(&mut section, "golden").unwrap_or_default();
    let validation = validation(&mut section);
    let template = section.string("template").map(PathBuf::from);
    let template_date = template_date(&mut section);
    let max_tokens = section.integer("max-tokens", 2, MOST_TOKENS).map_or(DEFAULT_MAX_TOKENS, |n| n as usize);
    let over_long =
        [("error", OverLong::Error), ("drop", OverLong::Drop), ("truncate-prompt", OverLong::TruncatePrompt)];
    let over_long = section.choice("over-long", &over_long).unwrap_or(OverLong::Error);
    let bad_rows = section.choice("bad-rows", &[("error", BadRows::Error), ("drop", BadRows::Drop)]);
    let train_on = section.choice("train-on", &[("all", TrainOn::All), ("last", TrainOn::Last)]);
    let train_on = train_on.unwrap_or(TrainOn::All);
    let shuffle = section.boolean("shuffle").unwrap_or(true);
    section.finish();
    let data = DataSection {
        train: train.unwrap_or_default(),
        golden,
        validation,
        template,
        template_date,
        max_tokens,
        over_long,
        train_on,
        shuffle,
        bad_rows: bad_rows.unwrap_or_default(),
        normalise: group("data.normalise", normalise, problems),
        privacy: group("data.privacy", privacy, problems),
        filters: group("data.filters", filters, problems),
        clean: group("data.clean", clean, problems),
        labels: group("data.labels", labels, problems),
        leaks: group("data.leaks", leaks, problems),
    };
    Some(data).filter(|data| !data.train.is_empty())
}

fn group<T: DeserializeOwned + Default>(path: &str, table: Option<&Table>, problems: &mut Vec<Problem>) -> T {
    typed::read(path, table, problems)
}

fn template_date(section: &mut Section<'_, '_>) -> Option<String> {
    let node = section.any("template-date")?;
    let text = match &node.value {
        Value::String(text) | Value::Other(text) => {
            Some(text).filter(|text| text.parse::<Date>().is_ok()).cloned()
        }
        _ => None,
    };
    text.or_else(|| section.expected("template-date", node, "a date such as 2026-01-31"))
}

fn validation(section: &mut Section<'_, '_>) -> Validation {
    const EXPECTED: &str = "a fraction from 0 (none) to below 1, a number of rows from 2, or a path, a table with a `path`, or a list of them";
    let Some(node) = section.any("validation") else { return Validation::Fraction(DEFAULT_VALIDATION) };
    match as_number(&node.value) {
        Some(0.0) => Validation::None,
        Some(part) if part > 0.0 && part < 1.0 => Validation::Fraction(part),
        Some(rows) if rows >= 2.0 && rows.fract() == 0.0 && rows <= MOST_VALIDATION_ROWS => {
            Validation::Rows(rows as usize)
        }
        Some(_) => section.expected("validation", node, EXPECTED).unwrap_or(Validation::None),
        None => sources_of(section, "validation", node, EXPECTED).map_or(Validation::None, Validation::Files),
    }
}

fn sources(section: &mut Section<'_, '_>, key: &'static str) -> Option<Vec<Source>> {
    let node = section.any(key)?;
    sources_of(section, key, node, SOURCES)
}

/// One source, or a list of at least one.
fn sources_of(
    section: &mut Section<'_, '_>,
    key: &'static str,
    node: &Node,
    expected: &str,
) -> Option<Vec<Source>> {
    let items = match &node.value {
        Value::Array(items) if items.is_empty() => {
            let message = format!("`data.{key}`: expected {expected}, found an empty list");
            section.report(&node.place, message, None);
            return None;
        }
        Value::Array(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let sources: Vec<Option<Source>> =
        items.iter().map(|item| source(section, key, item, expected)).collect();
    sources.into_iter().collect()
}

fn source(section: &mut Section<'_, '_>, key: &'static str, node: &Node, expected: &str) -> Option<Source> {
    let table = match &node.value {
        Value::String(path) if !path.is_empty() => return Some(Source::new(path)),
        Value::Table(table) => table,
        _ => return section.expected(key, node, expected),
    };
    let mut inner = section.inside("data.train[]", table);
    let path = inner.string("path");
    if !inner.has("path") {
        inner.report(&node.place, format!("`data.{key}`: expected a `path` in the table, found none"), None);
    }
    let format = inner.string("format");
    let format = match format.as_deref().map(str::parse::<Format>) {
        Some(Err(error)) => {
            inner.report(&node.place, format!("`data.{key}`: {error}"), error.hint());
            None
        }
        format => format.and_then(Result::ok),
    };
    let fields = inner.texts("fields");
    let weight = inner.number("weight", "above 0 and up to 1000", |weight| weight > 0.0 && weight <= 1000.0);
    let share = inner.number("share", "above 0 and up to 1", |share| share > 0.0 && share <= 1.0);
    let licence = inner.string("licence");
    let agents = inner.strings("agents").unwrap_or_default();
    inner.finish();
    let (weight, share) = (weight.unwrap_or(1.0), share.unwrap_or(1.0));
    Some(Source { path: path?.into(), format, fields, weight, share, licence, agents })
}
