//! The date a template may print. It is given, never read from the clock.

use std::fmt::Write;
use std::str::FromStr;

use minijinja::{Error, ErrorKind};

use super::error::TemplateError;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A day of the Gregorian calendar; parsed from `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl FromStr for Date {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let parse = || {
            let digits = |range: std::ops::Range<usize>| {
                let part = text.get(range)?;
                part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u16>().ok())?
            };
            let dashes = text.get(4..5)? == "-" && text.get(7..8)? == "-" && text.len() == 10;
            let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
            let real = dashes && (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
            real.then_some(Self { year, month: month as u8, day: day as u8 })
        };
        parse().ok_or_else(|| TemplateError::Date { found: text.to_owned() })
    }
}

fn days_in(year: u16, month: u16) -> u16 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u16::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Date {
    /// Python's `strftime` at midnight; `-` after `%` drops leading zeros, as glibc does.
    pub(super) fn format(self, format: &str) -> Result<String, Error> {
        let mut out = String::new();
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                out.push(character);
                continue;
            }
            let mut code = characters.next();
            let padded = code != Some('-');
            if !padded {
                code = characters.next();
            }
            self.write_field(&mut out, code.unwrap_or('%'), padded)?;
        }
        Ok(out)
    }

    fn write_field(self, out: &mut String, code: char, padded: bool) -> Result<(), Error> {
        let month = MONTHS[usize::from(self.month - 1)];
        let weekday = self.weekday();
        let mut number = |value: u16, width: usize| {
            let width = if padded { width } else { 0 };
            // Writing to a String cannot fail.
            let _ = write!(out, "{value:0width$}");
        };
        match code {
            'Y' => number(self.year, 4),
            'y' => number(self.year % 100, 2),
            'm' => number(self.month.into(), 2),
            'd' => number(self.day.into(), 2),
            'j' => number(self.day_of_year(), 3),
            'H' | 'M' | 'S' => number(0, 2),
            'I' => number(12, 2),
            'w' => number(weekday as u16, 1),
            'u' => number(if weekday == 0 { 7 } else { weekday as u16 }, 1),
            'e' if padded => out.push_str(&format!("{:2}", self.day)),
            'e' => out.push_str(&self.day.to_string()),
            'B' => out.push_str(month),
            'b' | 'h' => out.push_str(&month[..3]),
            'A' => out.push_str(WEEKDAYS[weekday]),
            'a' => out.push_str(&WEEKDAYS[weekday][..3]),
            'p' => out.push_str("AM"),
            'F' => out.push_str(&self.format("%Y-%m-%d")?),
            'D' | 'x' => out.push_str(&self.format("%m/%d/%y")?),
            'T' | 'X' => out.push_str("00:00:00"),
            'R' => out.push_str("00:00"),
            '%' => out.push('%'),
            other => {
                let message = format!("strftime_now: the code %{other} is not known");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
        }
        Ok(())
    }

    fn day_of_year(self) -> u16 {
        (1..u16::from(self.month)).map(|month| days_in(self.year, month)).sum::<u16>() + u16::from(self.day)
    }

    /// 0 is Sunday. Source: Sakamoto's method.
    fn weekday(self) -> usize {
        const OFFSETS: [usize; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
        // One cycle of 400 years keeps the weekday and keeps year 0 from going under.
        let year = usize::from(self.year) + 400 - usize::from(self.month < 3);
        (year + year / 4 - year / 100
            + year / 400
            + OFFSETS[usize::from(self.month - 1)]
            + usize::from(self.day))
            % 7
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_python_writes_them() {
        let date: Date = "2024-07-06".parse().expect("a date");
        let cases = [
            ("%d %b %Y", "06 Jul 2024"),
            ("%B %-d, %Y", "July 6, 2024"),
            ("%A %a %w %u %j", "Saturday Sat 6 6 188"),
            ("%F %T %H:%M %e %y %%", "2024-07-06 00:00:00 00:00  6 24 %"),
        ];
        for (format, expected) in cases {
            assert_eq!(date.format(format).expect("a format"), expected);
        }
        assert!(date.format("%Q").is_err());
        let weekday = |text: &str| WEEKDAYS[text.parse::<Date>().expect("a date").weekday()];
        assert_eq!(
            ["2000-02-29", "1900-01-01", "2026-01-31"].map(weekday),
            ["Tuesday", "Monday", "Saturday"]
        );
    }

    #[test]
    fn a_date_that_is_none_is_refused() {
        for text in
            ["2024-02-30", "2023-02-29", "24-01-01", "2024/01/01", "2024-13-01", "2024-1-1", "+024-01-01", ""]
        {
            let error = text.parse::<Date>().expect_err("no date");
            assert_eq!(error.to_string(), format!("expected a date as YYYY-MM-DD, found `{text}`"));
        }
    }
}
