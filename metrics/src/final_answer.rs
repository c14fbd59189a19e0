//! The number that an answer to a sum comes to, as lm-evaluation-harness takes it for GSM8K.

use std::sync::LazyLock;

use regex::Regex;

/// What stands in for an answer without a number.
pub const INVALID: &str = "[invalid]";

/// How the number is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extract {
    /// Behind `####`, as the examples write it: `strict-match`.
    Strict,
    /// The last thing that looks like a number: `flexible-extract`.
    Flexible,
}

/// A pattern that is part of the program, and so compiles.
fn pattern(text: &str) -> Option<Regex> {
    Regex::new(text).ok()
}

static STRICT: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"#### (-?[0-9.,]+)"));
static FLEXIBLE: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"(-?[$0-9.,]{2,})|(-?[0-9]+)"));

/// The number of an answer as it is written there, or [`INVALID`].
#[must_use]
pub fn final_answer(answer: &str, how: Extract) -> String {
    let found = match how {
        Extract::Strict => STRICT.as_ref().and_then(|regex| regex.captures(answer)),
        Extract::Flexible => FLEXIBLE.as_ref().and_then(|regex| regex.captures_iter(answer).last()),
    };
    let group = found.as_ref().and_then(|found| found.iter().skip(1).flatten().next());
    group.map_or_else(|| INVALID.to_owned(), |group| group.as_str().trim().to_owned())
}

/// Whether two final answers are the same: without commas, dollar signs, what stands before `#### ` and a full stop at the end.
#[must_use]
pub fn same_final_answer(found: &str, expected: &str) -> bool {
    bare(found) == bare(expected)
}

fn bare(text: &str) -> String {
    let text = text.replace([',', '$'], "");
    let text = text.rfind("#### ").map_or(text.as_str(), |at| &text[at + "#### ".len()..]);
    // Python's `$` is also before a line break that ends the text.
    let (body, line_break) = match text.strip_suffix('\n') {
        Some(body) => (body, "\n"),
        None => (text, ""),
    };
    (body.strip_suffix('.').unwrap_or(body).to_owned() + line_break).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `re.findall` and the two filters of lm-evaluation-harness 0.4.13 give.
    #[test]
    fn numbers_are_found_as_the_filters_find_them() {
        for (answer, strict, flexible) in [
            ("3 + 4 = 7\n#### 7", "7", "7"),
            ("so it is $1,250.50.", INVALID, "$1,250.50."),
            ("#### -12,000 and 5", "-12,000", "5"),
            ("none at all", INVALID, INVALID),
            ("twice .. twice", INVALID, ".."),
            ("####7", INVALID, "7"),
            ("#### 1\n#### 2", "1", "2"),
        ] {
            assert_eq!(final_answer(answer, Extract::Strict), strict, "{answer:?}");
            assert_eq!(final_answer(answer, Extract::Flexible), flexible, "{answer:?}");
        }
    }

    #[test]
    fn signs_and_separators_do_not_count() {
        assert!(same_final_answer("$1,250.", "3 + 4\nso\n#### 1250"));
        assert!(!same_final_answer("12.50", "1250"));
        assert!(!same_final_answer(INVALID, "#### 3"));
    }
}
