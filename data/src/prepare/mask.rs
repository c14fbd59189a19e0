//! Examples as a report may show them: without personal data, whatever becomes of the rows.

use rtune_privacy::Scanner;

/// Characters of an example that are shown.
const MOST_CHARACTERS: usize = 200;

/// What stands in the place of a digit: even half of a number, cut off at the edge of an example, says nothing then.
const DIGIT: char = '#';

/// What stands for something left out.
const ELLIPSIS: char = '…';

/// `text`, cut to a length that is read, with everything that `scanner` finds replaced by its name, digits hidden, and words
/// that were cut in two left out.
pub(super) fn masked(scanner: &Scanner, text: &str) -> String {
    let mut out = String::new();
    let mut at = 0;
    for finding in scanner.scan(text) {
        if finding.start < at {
            continue;
        }
        out.push_str(&text[at..finding.start]);
        out.push('<');
        out.push_str(finding.entity.name());
        out.push('>');
        at = finding.end;
    }
    out.push_str(&text[at..]);
    let hidden: String = out.chars().map(|c| if c.is_ascii_digit() { DIGIT } else { c }).collect();
    without_halves(&hidden)
}

/// Without the words at the edges of a cut, which may be half of a name.
fn without_halves(text: &str) -> String {
    let mut text = text.to_owned();
    if text.chars().count() > MOST_CHARACTERS {
        text = text.chars().take(MOST_CHARACTERS).collect::<String>() + &ELLIPSIS.to_string();
    }
    if let Some(rest) = text.strip_prefix(ELLIPSIS)
        && let Some(space) = rest.find(char::is_whitespace)
    {
        text = format!("{ELLIPSIS}{}", &rest[space..]);
    }
    if let Some(rest) = text.strip_suffix(ELLIPSIS)
        && let Some(space) = rest.rfind(char::is_whitespace)
    {
        text = format!("{}{ELLIPSIS}", &rest[..=space]);
    }
    text
}
