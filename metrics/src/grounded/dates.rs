//! Days and months, however they are written.

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Months in English, German, French, Spanish and Italian, by the beginnings that tell them apart.
const MONTHS: [&[&str]; 12] = [
    &["january", "jan", "januar", "jänner", "janvier", "enero", "gennaio"],
    &["february", "feb", "februar", "février", "febrero", "febbraio"],
    &["march", "mar", "märz", "mars", "marzo"],
    &["april", "apr", "avril", "abril", "aprile"],
    &["may", "mai", "mayo", "maggio"],
    &["june", "jun", "juni", "juin", "junio", "giugno"],
    &["july", "jul", "juli", "juillet", "julio", "luglio"],
    &["august", "aug", "août", "agosto"],
    &["september", "sep", "sept", "septembre", "septiembre", "settembre"],
    &["october", "oct", "oktober", "okt", "octobre", "octubre", "ottobre"],
    &["november", "nov", "novembre", "noviembre"],
    &["december", "dec", "dezember", "dez", "décembre", "diciembre", "dicembre"],
];
/// English months that are verbs in lower case: "plan 2 may be cancelled".
const VERBS: [&str; 2] = ["may", "march"];
/// Years of two digits are of this century.
const CENTURY: u16 = 2000;

/// A day of a month, with its year or without; or a month of a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: Option<u16>,
    pub(super) month: u8,
    pub(super) day: Option<u8>,
}

/// A date and what it may mean: 3/5/2024 is in March, or in May.
pub(super) struct Found {
    pub(super) range: Range<usize>,
    pub(super) readings: Vec<Date>,
}

type Reader = fn(&Captures<'_>) -> Vec<Date>;

/// Each way of writing, the more telling first.
static WAYS: LazyLock<Vec<(Regex, Reader)>> = LazyLock::new(|| {
    let ways: [(&str, Reader); 5] = [
        (r"\b([0-9]{4})[-/]([0-9]{1,2})[-/]([0-9]{1,2})\b", |parts| {
            date(number(parts, 1), number(parts, 2), number(parts, 3)).into_iter().collect()
        }),
        (r"\b([0-9]{1,2})([./-])([0-9]{1,2})[./-]([0-9]{4}|[0-9]{2})\b", |parts| {
            let (one, other, year) = (number(parts, 1), number(parts, 3), number(parts, 4));
            let day_first = date(year, other, one);
            let month_first = if &parts[2] == "." { None } else { date(year, one, other) };
            day_first.into_iter().chain(month_first).collect()
        }),
        (
            r"\b([0-9]{1,2})(?:st|nd|rd|th|er|\.)?\s+(?:of\s+|de\s+)?(\p{L}{3,10})\b\.?(?:,?\s+(?:de\s+)?([0-9]{4})\b)?",
            |parts| {
                // With a year behind it the month is one all the same.
                let is_verb = VERBS.contains(&&parts[2]) && parts.get(3).is_none();
                let month = if is_verb { None } else { month(&parts[2]) };
                month
                    .and_then(|month| date(number(parts, 3), Some(month), number(parts, 1)))
                    .into_iter()
                    .collect()
            },
        ),
        (r"\b(\p{Lu}\p{L}{2,9})\.?\s+([0-9]{1,2})(?:st|nd|rd|th)?\b(?:,?\s+([0-9]{4})\b)?", |parts| {
            month(&parts[1])
                .and_then(|month| date(number(parts, 3), Some(month), number(parts, 2)))
                .into_iter()
                .collect()
        }),
        (r"\b(\p{Lu}\p{L}{2,9})\s+([0-9]{4})\b", |parts| {
            let month = month(&parts[1]).and_then(|month| u8::try_from(month).ok());
            month.map(|month| Date { year: number(parts, 2), month, day: None }).into_iter().collect()
        }),
    ];
    ways.into_iter().filter_map(|(pattern, reader)| Some((Regex::new(pattern).ok()?, reader))).collect()
});

/// The dates of a text; none is part of another.
pub(super) fn find(text: &str) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for (way, reader) in WAYS.iter() {
        for parts in way.captures_iter(text) {
            let range = parts.get_match().range();
            let free =
                !found.iter().any(|other| other.range.start < range.end && range.start < other.range.end);
            let readings = reader(&parts);
            if free && !readings.is_empty() {
                found.push(Found { range, readings });
            }
        }
    }
    found
}

fn number(parts: &Captures<'_>, group: usize) -> Option<u16> {
    parts.get(group)?.as_str().parse().ok()
}

/// From 1.
fn month(name: &str) -> Option<u16> {
    let name = name.to_lowercase();
    let position = MONTHS.iter().position(|names| names.contains(&name.as_str()))?;
    u16::try_from(position + 1).ok()
}

fn date(year: Option<u16>, month: Option<u16>, day: Option<u16>) -> Option<Date> {
    let within = |value: Option<u16>, most: u8| {
        value.and_then(|value| u8::try_from(value).ok()).filter(|value| (1..=most).contains(value))
    };
    let year = year.map(|year| if year < 100 { CENTURY + year } else { year });
    Some(Date { year, month: within(month, 12)?, day: Some(within(day, 31)?) })
}
