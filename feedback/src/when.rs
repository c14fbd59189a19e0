//! What says when something was: it is kept as it stands, so that nothing else may pass for it.

/// Seconds of Unix time from 2000 to 2100.
const SECONDS: std::ops::Range<u64> = 946_684_800..4_102_444_800;
/// Digits of a fraction of a second.
const MOST_FRACTION: usize = 9;

/// Whether a text is a date, with or without a time (`2026-11-22`, `2026-11-22T10:30:00.5+01:00`), or Unix time in seconds or milliseconds.
pub(crate) fn is_time(text: &str) -> bool {
    is_unix(text) || is_date(text)
}

fn is_unix(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_in = |number: u64| SECONDS.contains(&number) || SECONDS.contains(&(number / 1000));
    is_digits(whole)
        && is_digits(fraction)
        && fraction.len() <= MOST_FRACTION
        && whole.parse().is_ok_and(is_in)
}

fn is_date(text: &str) -> bool {
    let mut rest = text;
    let is_day = number(&mut rest, 4, 1900..=2199)
        && mark(&mut rest, "-")
        && number(&mut rest, 2, 1..=12)
        && mark(&mut rest, "-")
        && number(&mut rest, 2, 1..=31);
    is_day && (rest.is_empty() || ((mark(&mut rest, "T") || mark(&mut rest, " ")) && is_time_of_day(rest)))
}

/// Hours and minutes, with seconds, their fraction and a zone where they are there.
fn is_time_of_day(mut rest: &str) -> bool {
    let rest = &mut rest;
    if !(number(rest, 2, 0..=24) && mark(rest, ":") && number(rest, 2, 0..=59)) {
        return false;
    }
    if mark(rest, ":") && !number(rest, 2, 0..=60) {
        return false;
    }
    if mark(rest, ".") {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=MOST_FRACTION).contains(&digits) {
            return false;
        }
        *rest = &rest[digits..];
    }
    let _ = mark(rest, " ");
    if mark(rest, "+") || mark(rest, "-") {
        if !number(rest, 2, 0..=14) {
            return false;
        }
        let _ = mark(rest, ":");
        return rest.is_empty() || (number(rest, 2, 0..=59) && rest.is_empty());
    }
    let _ = mark(rest, "Z") || mark(rest, "UTC");
    rest.is_empty()
}

/// Takes a number of so many digits off the front, if it is one of these.
fn number(rest: &mut &str, digits: usize, wanted: std::ops::RangeInclusive<u32>) -> bool {
    let found = rest.get(..digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let is_one = found.and_then(|text| text.parse().ok()).is_some_and(|number| wanted.contains(&number));
    if is_one {
        *rest = &rest[digits..];
    }
    is_one
}

/// Takes this off the front, if it stands there.
fn mark(rest: &mut &str, wanted: &str) -> bool {
    let behind = rest.strip_prefix(wanted);
    if let Some(behind) = behind {
        *rest = behind;
    }
    behind.is_some()
}

#[cfg(test)]
mod tests {
    use super::is_time;

    #[test]
    fn a_time_is_one_and_a_number_to_call_is_none() {
        for text in [
            "2026-11-22",
            "2026-11-22T10:30",
            "2026-11-22 10:30:05",
            "2026-11-22T10:30:05.123456Z",
            "2026-11-22T10:30:05+01:00",
            "2026-11-22 10:30:05.5 +0100",
            "2026-11-22 10:30:05 UTC",
            "1763800000",
            "1763800000.25",
            "1763800000123",
        ] {
            assert!(is_time(text), "{text}");
        }
        for text in [
            "",
            "+49 170 1234567",
            "+491701234567",
            "0170-1234567",
            "491701234567",
            "170 1234567",
            "4111 1111 1111 1111",
            "4111111111111111",
            "2026-13-22",
            "2026-11-22T",
            "2026-11-22 0170 1234567",
            "2026-11-22T10:30:05+01:00:00",
            "1985-04-12-1234",
            "by ann@example.org",
        ] {
            assert!(!is_time(text), "{text}");
        }
    }
}
