//! Dates, as people and machines write them.

use crate::entity::Entity;
use crate::generic::months;
use crate::scanner::context::Phrases;
use crate::scanner::sink::Sink;
use crate::scanner::text::{self, digits_at};

/// Scores: of a day of a year; of a month of a year; of a day without a year; of two small numbers with a slash.
const SCORE_FULL: f32 = 0.6;
const SCORE_MONTH: f32 = 0.4;
const SCORE_DAY: f32 = 0.3;
const SCORE_SLASH: f32 = 0.1;

/// A date of birth is a full date behind a word for it.
const SCORE_BIRTH: f32 = 0.9;

/// Years that people write of.
const YEARS: std::ops::RangeInclusive<u32> = 1000..=2999;

/// A date: where it ends, and how sure it is.
struct Date {
    end: usize,
    score: f32,
}

/// Looks for a date at `start`, where digits or a month's name stand.
pub(crate) fn find(sink: &mut Sink<'_>, start: usize, birth: &Phrases) {
    let text = sink.text;
    let bytes = text.as_bytes();
    let date = match bytes[start].is_ascii_digit() {
        true => numeric(bytes, start).or_else(|| day_and_month(text, start)),
        false => month_first(text, start),
    };
    let Some(date) = date.filter(|date| text::is_free_after(text, date.end)) else { return };
    sink.add(start, date.end, Entity::DateTime, date.score, "date");
    if date.score >= SCORE_FULL && sink.wants(Entity::DateOfBirth) && sink.is_cued(start, birth) {
        sink.add(start, date.end, Entity::DateOfBirth, SCORE_BIRTH, "birth");
    }
}

/// Digits only: `2021-05-21`, `21.5.2021`, `5/20/21`, `5/2021`, `5/21`, `20240315T143000Z`.
fn numeric(bytes: &[u8], start: usize) -> Option<Date> {
    let (first, mut at) = number(bytes, start, 8)?;
    if at - start == 8 {
        let day = is_day(first / 10_000, first / 100 % 100, first % 100) && bytes.get(at) == Some(&b'T');
        return day.then(|| basic_time(bytes, at))?.map(|end| Date { end, score: SCORE_FULL });
    }
    let separator = *bytes.get(at).filter(|byte| matches!(byte, b'-' | b'/' | b'.'))?;
    let size = at - start;
    if size == 3 || size > 4 || preceded_by_number(bytes, start) {
        return None;
    }
    let second_at = at + 1;
    let (second, second_end) = number(bytes, second_at, 4)?;
    at = second_end;
    let third = match bytes.get(at) == Some(&separator) {
        true => number(bytes, at + 1, 4),
        false => None,
    };
    let (score, end) = match third {
        Some((third, end)) => {
            (three(separator, [size, second_end - second_at, end - at - 1], [first, second, third])?, end)
        }
        None if separator == b'/' && size <= 2 => (two(first, second_end - second_at, second)?, at),
        None => return None,
    };
    let goes_on = bytes.get(end) == Some(&separator) && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
    if goes_on {
        // `1/2/3/4` is no date; that of `2020-01-01.1` ends behind its day.
        return None;
    }
    let end = if score >= SCORE_FULL { with_time(bytes, end) } else { end };
    Some(Date { end, score })
}

/// Of three numbers with their sizes in digits: year, month, day, or day and month in either order and a year of four or two
/// digits. Numbers of a section or a release look like dotted days with short years.
fn three(separator: u8, sizes: [usize; 3], [first, second, third]: [u32; 3]) -> Option<f32> {
    let either = |year: u32| is_day(year, second, first) || is_day(year, first, second);
    match (sizes, separator) {
        ([4, 1..=2, 1..=2], _) if is_day(first, second, third) => Some(SCORE_FULL),
        ([1..=2, 1..=2, 4], _) if either(third) => Some(SCORE_FULL),
        // The year 2000 is a leap year, as 29 February may need one.
        ([1..=2, 1..=2, 2], b'/') if either(2000) => Some(SCORE_FULL),
        ([1..=2, 1..=2, 2], b'-') if either(2000) => Some(SCORE_MONTH),
        ([1..=2, 1..=2, 2], _) if either(2000) => Some(SCORE_DAY),
        _ => None,
    }
}

/// Of two numbers with a slash: a month of a year of four or two digits.
fn two(month: u32, second_size: usize, second: u32) -> Option<f32> {
    match second_size {
        4 if YEARS.contains(&second) && is_month(month) => Some(SCORE_DAY),
        2 if is_month(month) => Some(SCORE_SLASH),
        _ => None,
    }
}

/// `21 May 2021`, `5-May-2021`, `21-May`, `5th of May`, `15. März 1989`, `15 de marzo de 1989`.
fn day_and_month(text: &str, start: usize) -> Option<Date> {
    let bytes = text.as_bytes();
    let (day, mut at) = number(bytes, start, 2)?;
    at += match ordinal_bytes(bytes, at) {
        0 => usize::from(matches!(bytes.get(at), Some(b'.'))),
        ending => ending,
    };
    at += usize::from(matches!(bytes.get(at), Some(b' ' | b'-' | b'/')));
    at = behind_of(bytes, at);
    let month_end = months::end_at(text, at)?;
    if !(1..=31).contains(&day) || preceded_by_number(bytes, start) {
        return None;
    }
    Some(with_year(bytes, month_end, SCORE_FULL).unwrap_or(Date { end: month_end, score: SCORE_DAY }))
}

/// `May 5, 2021`, `May 5th`, `May-2021`, `May 2021`.
fn month_first(text: &str, start: usize) -> Option<Date> {
    let bytes = text.as_bytes();
    let month_end = months::end_at(text, start)?;
    if let Some(date) = with_year(bytes, month_end, SCORE_MONTH) {
        return Some(date);
    }
    let dot = usize::from(bytes.get(month_end) == Some(&b'.'));
    let at = month_end + dot + usize::from(matches!(bytes.get(month_end + dot), Some(b' ' | b'-')));
    let (day, mut end) = number(bytes, at, 2)?;
    if !(1..=31).contains(&day) {
        return None;
    }
    end += ordinal_bytes(bytes, end);
    Some(with_year(bytes, end, SCORE_FULL).unwrap_or(Date { end, score: SCORE_DAY }))
}

/// A year behind `at`: ` 2021`, `, 2021`, `-21`, ` de 1989`; with a time if there is one.
fn with_year(bytes: &[u8], at: usize, score: f32) -> Option<Date> {
    let mut from = at + usize::from(matches!(bytes.get(at), Some(b'.' | b',')));
    let separator = bytes.get(from).copied();
    from += usize::from(matches!(separator, Some(b' ' | b'-' | b'/')));
    if from == at {
        return None;
    }
    from = behind_of(bytes, from);
    let (year, end) = number(bytes, from, 4)?;
    let is_year = match end - from {
        4 => YEARS.contains(&year),
        2 => separator == Some(b'-') || separator == Some(b'/'),
        _ => false,
    };
    let end = if score >= SCORE_FULL { with_time(bytes, end) } else { end };
    is_year.then_some(Date { end, score })
}

/// How many bytes the ending of an ordinal at `at` takes: `st`, `nd`, `rd`, `th`; 0 if none stands there.
fn ordinal_bytes(bytes: &[u8], at: usize) -> usize {
    let is_ending =
        |ending: &[u8; 2]| matches!(&ending.map(|byte| byte | 0x20), b"st" | b"nd" | b"rd" | b"th");
    if bytes.get(at..).and_then(<[u8]>::first_chunk).is_some_and(is_ending) { 2 } else { 0 }
}

/// Behind `of ` or `de ` at `at`.
fn behind_of(bytes: &[u8], at: usize) -> usize {
    let is_of =
        |word: &[u8; 3]| word[2] == b' ' && matches!(&[word[0] | 0x20, word[1] | 0x20], b"of" | b"de");
    if bytes.get(at..).and_then(<[u8]>::first_chunk).is_some_and(is_of) { at + 3 } else { at }
}

/// `end`, or behind a time of day: ` 11:34:35`, `T09:15:30.500-07:00`, `T14:30Z`.
fn with_time(bytes: &[u8], end: usize) -> usize {
    if !matches!(bytes.get(end), Some(b'T' | b't' | b' ')) {
        return end;
    }
    let pair =
        |at: usize, most: u32| number(bytes, at, 2).filter(|(value, end)| *value <= most && end - at == 2);
    let Some((_, hour_end)) = pair(end + 1, 24) else { return end };
    let Some((_, minute_end)) = pair(hour_end + 1, 59).filter(|_| bytes[hour_end] == b':') else {
        return end;
    };
    let mut at = minute_end;
    if bytes.get(at) == Some(&b':')
        && let Some((_, second_end)) = pair(at + 1, 60)
    {
        at = second_end;
        let digits = digits_at(bytes, at + 1, 9);
        if matches!(bytes.get(at), Some(b'.' | b',')) && digits > 0 {
            at += 1 + digits;
        }
    }
    with_zone(bytes, at)
}

/// Behind `T143000` with a zone, of the date that ends at `at`.
fn basic_time(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = digits_at(bytes, at + 1, 7);
    matches!(digits, 4 | 6).then(|| with_zone(bytes, at + 1 + digits))
}

fn with_zone(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b'Z' | b'z') => at + 1,
        Some(b'+' | b'-') => {
            match (digits_at(bytes, at + 1, 5), bytes.get(at + 3), digits_at(bytes, at + 4, 3)) {
                (4, ..) => at + 5,
                (2, Some(b':'), 2) => at + 6,
                _ => at,
            }
        }
        _ => at,
    }
}

/// The number of `most` digits at most that starts at `at`, and its end.
fn number(bytes: &[u8], at: usize, most: usize) -> Option<(u32, usize)> {
    let digits = digits_at(bytes, at, most + 1);
    if digits == 0 || digits > most {
        return None;
    }
    let value = bytes[at..at + digits].iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some((value, at + digits))
}

/// Whether digits and a separator stand directly before: a date does not start in the middle of a longer number.
fn preceded_by_number(bytes: &[u8], start: usize) -> bool {
    start > 1 && matches!(bytes[start - 1], b'-' | b'/' | b'.' | b',') && bytes[start - 2].is_ascii_digit()
}

fn is_month(month: u32) -> bool {
    (1..=12).contains(&month)
}

fn is_day(year: u32, month: u32, day: u32) -> bool {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => 0,
    };
    YEARS.contains(&year) && (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_dates_end_where_they_should() {
        for (text, end) in [
            ("2021-05-21", 10),
            ("21.5.2021 at", 9),
            ("5-20-2021.", 9),
            ("29/02/2024", 10),
            ("2000-04-16 11:34:35 x", 19),
            ("2024-06-05T09:15:30.500-07:00 x", 29),
            ("20240315T143000Z", 16),
            ("5-MAY-2021", 10),
            ("21-May", 6),
            ("15 March 1989", 13),
            ("15 de marzo de 1989", 19),
            ("15. März 1989", 14),
            ("5th of May 2021", 15),
            ("May 5th, 2021", 13),
            ("Sept. 5, 2021", 13),
            ("May-2021", 8),
            ("5/21", 4),
            ("5/2021", 6),
        ] {
            let bytes = text.as_bytes();
            let date = match bytes[0].is_ascii_digit() {
                true => numeric(bytes, 0).or_else(|| day_and_month(text, 0)),
                false => month_first(text, 0),
            };
            assert_eq!(date.map(|date| date.end), Some(end), "{text}");
        }
    }

    #[test]
    fn what_is_no_day_is_no_date() {
        for text in
            ["2026-99-99", "29.02.2023", "1/2/3/4", "13/40", "1.2.3", "0-0-2020", "32/01/2020", "May 40"]
        {
            let bytes = text.as_bytes();
            let is_date = match bytes[0].is_ascii_digit() {
                true => numeric(bytes, 0).or_else(|| day_and_month(text, 0)).is_some(),
                false => month_first(text, 0).is_some(),
            };
            assert!(!is_date, "{text}");
        }
    }
}
