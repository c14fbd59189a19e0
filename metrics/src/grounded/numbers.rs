//! Numbers, however they are written.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::words::words;

/// Numbers in words.
const IN_WORDS: [(&str, u32); 28] = [
    ("one", 1),
    ("two", 2),
    ("three", 3),
    ("four", 4),
    ("five", 5),
    ("six", 6),
    ("seven", 7),
    ("eight", 8),
    ("nine", 9),
    ("ten", 10),
    ("eleven", 11),
    ("twelve", 12),
    ("thirteen", 13),
    ("fourteen", 14),
    ("fifteen", 15),
    ("sixteen", 16),
    ("seventeen", 17),
    ("eighteen", 18),
    ("nineteen", 19),
    ("twenty", 20),
    ("thirty", 30),
    ("forty", 40),
    ("fifty", 50),
    ("sixty", 60),
    ("seventy", 70),
    ("eighty", 80),
    ("ninety", 90),
    ("hundred", 100),
];
/// What is more often a pronoun than a number: an answer does not claim it, a source may say it.
const PRONOUN: &str = "one";

/// What makes a number in words a claim.
const UNITS: [&str; 24] = [
    "second", "seconds", "minute", "minutes", "hour", "hours", "day", "days", "business", "working", "week",
    "weeks", "month", "months", "year", "years", "percent", "euro", "euros", "dollar", "dollars", "pound",
    "pounds", "times",
];

/// Digits with marks within.
static DIGITS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[0-9]+(?:[.,'’][0-9]+)*").ok());
/// What counts the items of a list.
static MARKER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?m)^[ \t]*[0-9]{1,2}[.)][ \t]").ok());

/// A number and what it may mean: 1,234 is one thousand and more, or a little over one.
pub(super) struct Number {
    pub(super) range: Range<usize>,
    pub(super) readings: Vec<String>,
}

/// The numbers that a text claims.
pub(super) fn find(text: &str) -> Vec<Number> {
    let markers: Vec<Range<usize>> =
        MARKER.iter().flat_map(|marker| marker.find_iter(text)).map(|found| found.range()).collect();
    let mut numbers: Vec<Number> = in_digits(text)
        .filter(|number| !markers.iter().any(|marker| marker.contains(&number.range.start)))
        .collect();
    let all: Vec<_> = words(text).collect();
    for pair in all.windows(2) {
        let unit = pair[1].text.to_lowercase();
        let claims = UNITS.contains(&unit.as_str()) && !pair[0].text.eq_ignore_ascii_case(PRONOUN);
        if let Some(value) = in_words(pair[0].text).filter(|_| claims) {
            numbers.push(Number { range: pair[0].start..pair[0].end(), readings: vec![value] });
        }
    }
    numbers
}

/// All that the numbers of a text may mean, in digits or words.
pub(super) fn readings_of_all(text: &str) -> impl Iterator<Item = String> + '_ {
    let words = words(text).filter_map(|word| in_words(word.text));
    in_digits(text).flat_map(|number| number.readings).chain(words)
}

/// A number of one word, or of tens and ones: "twenty-four".
fn in_words(word: &str) -> Option<String> {
    let word = word.to_lowercase();
    let value = |word: &str| IN_WORDS.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
    let together = |(tens, ones): (&str, &str)| {
        let (tens, ones) = (value(tens)?, value(ones)?);
        (tens % 10 == 0 && (20..100).contains(&tens) && ones < 10).then_some(tens + ones)
    };
    value(&word).or_else(|| word.split_once('-').and_then(together)).map(|value| value.to_string())
}

fn in_digits(text: &str) -> impl Iterator<Item = Number> + '_ {
    DIGITS
        .iter()
        .flat_map(move |digits| digits.find_iter(text))
        .map(|found| Number { range: found.range(), readings: readings(found.as_str()) })
}

/// Decimal numbers without leading zeros, or zeros at the end of a fraction.
fn readings(digits: &str) -> Vec<String> {
    let marks: Vec<char> = digits.chars().filter(|c| !c.is_ascii_digit()).collect();
    let groups: Vec<&str> = digits.split(|c: char| !c.is_ascii_digit()).collect();
    let thousands =
        groups.len() > 1 && groups[0].len() <= 3 && groups[1..].iter().all(|group| group.len() == 3);
    let same = marks.windows(2).all(|pair| pair[0] == pair[1]);
    let (whole, fraction) = groups.split_at(groups.len() - 1);
    let mut readings = Vec::new();
    if thousands && same {
        readings.push(decimal(&groups.concat(), ""));
    }
    match marks.as_slice() {
        [] => readings.push(decimal(digits, "")),
        // One mark, or another one at the end: a fraction.
        [.., last] if marks.len() == 1 || !marks[..marks.len() - 1].contains(last) => {
            readings.push(decimal(&whole.concat(), fraction[0]));
        }
        // A version, an address of a network: as it stands.
        _ => readings.push(digits.to_owned()),
    }
    readings
}

fn decimal(whole: &str, fraction: &str) -> String {
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}
