//! Dates moved by one number of days for all of a record, so that what lies between them stays.

use super::super::draw::Key;
use super::contact::put_digits;
use super::person::in_case;

/// By how much a date moves: at least a month, so that a day of the same month does not stay one; at most a year, so that ages
/// and seasons stay near.
const LEAST_DAYS: i64 = 30;
const MOST_DAYS: i64 = 365;

#[rustfmt::skip]
const MONTHS: &[[&str; 12]] = &[
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"],
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    ["Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"],
    ["janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"],
    ["enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"],
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Day {
    year: i64,
    month: i64,
    day: i64,
}

/// How many days the dates of a record, or of a set, move.
pub(super) fn shift_days(key: &Key) -> i64 {
    let mut draw = key.draw("days", "", 0);
    let days = LEAST_DAYS + draw.below((MOST_DAYS - LEAST_DAYS) as usize) as i64;
    if draw.below(2) == 0 { days } else { -days }
}

/// The first date of `text` moved by `days`, in its own writing; none where no date is read.
pub(super) fn shifted(text: &str, days: i64) -> Option<String> {
    let runs = runs(text);
    numeric(&runs, days).or_else(|| with_month(&runs, days)).or_else(|| year_only(&runs, days))
}

/// Runs of digits, of letters and of others.
fn runs(text: &str) -> Vec<&str> {
    let kind = |c: char| (c.is_alphabetic(), c.is_ascii_digit());
    let mut runs = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| kind(c) != kind(first)).unwrap_or(rest.len());
        runs.push(&rest[..end]);
        rest = &rest[end..];
    }
    runs
}

/// `2024-03-15`, `15.03.2024`, `3/15/24`.
fn numeric(runs: &[&str], days: i64) -> Option<String> {
    for at in 0..runs.len().saturating_sub(4) {
        let [one, sign, two, other, three] = runs[at..at + 5] else { continue };
        let separated = sign == other && matches!(sign, "-" | "/" | "." | ". ");
        let (Some(a), Some(b), Some(c)) = (small(one), small(two), small(three)) else { continue };
        if !separated {
            continue;
        }
        let years_first = one.len() == 4;
        let (year, month, day, order) = match (years_first, three.len()) {
            (true, 1 | 2) => (a, b, c, [0, 1, 2]),
            // The day first where it must be, and with points; else as in America.
            (false, 2 | 4) if a > 12 || sign.starts_with('.') => (century(c, three), b, a, [2, 1, 0]),
            (false, 2 | 4) => (century(c, three), a, b, [1, 2, 0]),
            _ => continue,
        };
        let Some(moved) = moved(Day { year, month, day }, days) else { continue };
        let values = order.map(|part| [moved.year, moved.month, moved.day][part]);
        let written = [written(values[0], one), written(values[1], two), written(values[2], three)];
        let mut made = runs.to_vec();
        (made[at], made[at + 2], made[at + 4]) = (&written[0], &written[1], &written[2]);
        return Some(made.concat());
    }
    None
}

/// `15 March 2024`, `March 15th, 2024`, `15. März 1990`, `March 2024`.
fn with_month(runs: &[&str], days: i64) -> Option<String> {
    let (at, names, month) = runs.iter().enumerate().find_map(|(at, run)| {
        let (names, month) = month_of(run)?;
        Some((at, names, month))
    })?;
    let numbers = |from: usize, to: usize| (from..to).filter(|&place| small(runs[place]).is_some());
    /// Runs between a month and its day or year: a space, `th`, a comma.
    const NEAR: usize = 6;
    let before = numbers(at.saturating_sub(4), at).next_back().filter(|&place| runs[place].len() <= 2);
    let mut behind = numbers(at + 1, runs.len().min(at + 1 + NEAR));
    let first = behind.next();
    let (day_at, year_at) = match (before, first) {
        (Some(day), year) => (Some(day), year),
        (None, Some(first)) if runs[first].len() <= 2 => (Some(first), behind.next()),
        (None, year) => (None, year),
    };
    let year_at = year_at.filter(|&place| matches!(runs[place].len(), 2 | 4));
    let year = year_at.and_then(|place| Some(century(small(runs[place])?, runs[place])));
    let day = day_at.and_then(|place| small(runs[place])).unwrap_or(1);
    // Without a year one that is no leap year will do.
    let moved = moved(Day { year: year.unwrap_or(2001), month, day }, days)?;
    let name = in_case(runs[at], names[(moved.month - 1) as usize]);
    let day = day_at.map(|place| written(moved.day, runs[place]));
    let year = year_at.map(|place| written(moved.year, runs[place]));
    let mut made = runs.to_vec();
    made[at] = &name;
    if let (Some(place), Some(day)) = (day_at, &day) {
        made[place] = day;
    }
    if let (Some(place), Some(year)) = (year_at, &year) {
        made[place] = year;
    }
    Some(made.concat())
}

/// `born 1984`: the year before or behind.
fn year_only(runs: &[&str], days: i64) -> Option<String> {
    let at = runs
        .iter()
        .position(|run| run.len() == 4 && small(run).is_some_and(|year| (1_850..2_100).contains(&year)))?;
    let year = written(small(runs[at])? + days.signum(), runs[at]);
    let mut made = runs.to_vec();
    made[at] = &year;
    Some(made.concat())
}

fn month_of(run: &str) -> Option<(&'static [&'static str; 12], i64)> {
    let small = run.to_lowercase();
    MONTHS.iter().find_map(|names| {
        let month = names.iter().position(|name| name.to_lowercase() == small)?;
        Some((names, month as i64 + 1))
    })
}

fn small(run: &str) -> Option<i64> {
    (run.len() <= 4).then(|| run.parse().ok()).flatten()
}

/// Years of two digits are of the hundred years around the turn of the century.
fn century(year: i64, run: &str) -> i64 {
    match (run.len(), year) {
        (4, _) => year,
        (_, 0..30) => 2000 + year,
        _ => 1900 + year,
    }
}

/// As wide as the original, with zeros before.
fn written(value: i64, like: &str) -> String {
    match like.len() {
        4 => format!("{value:04}"),
        2 => format!("{:02}", value % 100),
        _ => value.to_string(),
    }
}

/// The day so many days on; none if the calendar has no such day to begin with.
fn moved(from: Day, days: i64) -> Option<Day> {
    let day = days_of(from);
    (day_of(day) == from).then(|| day_of(day + days))
}

/// Days since 1 March of year 0, by the Gregorian calendar. Source: Hinnant, chrono-compatible low-level date algorithms.
fn days_of(day: Day) -> i64 {
    let year = day.year - i64::from(day.month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (day.month + if day.month > 2 { -3 } else { 9 }) + 2) / 5 + day.day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year
}

fn day_of(days: i64) -> Day {
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = shifted + if shifted < 10 { 3 } else { -9 };
    Day {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day: of_year - (153 * shifted + 2) / 5 + 1,
    }
}

/// Digits for digits where no date is read but some stand: a time of the day, a number of a week.
pub(super) fn digits(key: &Key, canonical: &str, text: &str, attempt: u32) -> Option<String> {
    let mut draw = key.draw("digits of a date", canonical, attempt);
    let count = text.bytes().filter(u8::is_ascii_digit).count();
    // 0 to 2: a time or a day stays one.
    let drawn: Vec<char> = (0..count).map(|_| char::from(b'0' + draw.below(3) as u8)).collect();
    (count > 0).then(|| put_digits(text, &drawn))
}
