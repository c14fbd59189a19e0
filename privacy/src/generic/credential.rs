//! Names of users and passwords, where a word shows them.

use crate::entity::Entity;
use crate::generic::address::value_behind;
use crate::generic::keywords::{Found, Keyword};
use crate::scanner::sink::Sink;

/// The shortest and longest value that is taken, in bytes.
const LEAST_BYTES: usize = 3;
const MOST_BYTES: usize = 128;

/// How far behind a name the password may stand that makes `user:` more than the mark of who speaks, in bytes.
const PAIR_BYTES: usize = 96;

/// With a digit or a sign in it, a value is hardly a word of the sentence.
const SCORE_MIXED: f32 = 0.7;
const SCORE_PLAIN: f32 = 0.3;

/// What stands in the place of a value in examples and forms.
const PLACEHOLDERS: [&str; 14] = [
    "null",
    "none",
    "nil",
    "true",
    "false",
    "required",
    "string",
    "undefined",
    "password",
    "passwort",
    "empty",
    "optional",
    "your",
    "redacted",
];

/// Looks behind a keyword.
pub(crate) fn find(sink: &mut Sink<'_>, found: Found) {
    let (entity, rule) = match found.keyword {
        Keyword::User => (Entity::Username, "username"),
        Keyword::Password => (Entity::Password, "password"),
        _ => return,
    };
    let text = sink.text;
    let word = &text[found.start..found.end];
    let rest = &text[found.end..];
    let rest = [" name", " id"].iter().find_map(|more| rest.strip_prefix(more)).unwrap_or(rest);
    let Some(value) = value_behind(rest) else { return };
    let start = text.len() - value.len();
    let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '<' | '>' | '&' | '|');
    let length = value.find(is_end).unwrap_or(value.len());
    let value = value[..length].trim_end_matches(['.', ')', ']', '}', '?', '!', ':']);
    let end = start + value.len();
    let is_real = (LEAST_BYTES..=MOST_BYTES).contains(&value.len())
        && value.chars().any(char::is_alphanumeric)
        && !value.starts_with(['{', '$', '%', '[', '('])
        && !PLACEHOLDERS.iter().any(|known| value.eq_ignore_ascii_case(known));
    if !is_real {
        return;
    }
    let is_mixed = value.chars().any(|c| !c.is_alphabetic()) && value.chars().any(char::is_alphabetic);
    let is_spoken = rest.trim_start_matches(['"', '\'', ' ']).starts_with("is ");
    // "User: Hello" is a turn of a talk, "user: anna pass: x" are a name and its password.
    let is_plain_user = entity == Entity::Username
        && (is_spoken || ["user", "login"].iter().any(|plain| word.eq_ignore_ascii_case(plain)));
    if is_plain_user && !has_password_near(text, end) || is_spoken && !is_mixed {
        return;
    }
    let score =
        if is_mixed || is_plain_user || entity == Entity::Username { SCORE_MIXED } else { SCORE_PLAIN };
    sink.add(start, end, entity, score, rule);
}

fn has_password_near(text: &str, from: usize) -> bool {
    let mut to = text.len().min(from + PAIR_BYTES);
    while !text.is_char_boundary(to) {
        to -= 1;
    }
    let near = text[from..to].to_ascii_lowercase();
    near.contains("pass") || near.contains("pwd")
}
