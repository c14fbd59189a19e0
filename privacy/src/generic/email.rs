//! Addresses of e-mail.

use crate::entity::Entity;
use crate::generic::domain;
use crate::scanner::sink::Sink;
use crate::scanner::text;

/// The longest part before the `@`, in bytes (RFC 5321).
const LONGEST_LOCAL_BYTES: usize = 64;

/// The score of an address whose host has a public suffix.
const SCORE: f32 = 0.95;

/// Looks for an address around the `@` at byte `at`.
pub(crate) fn find(sink: &mut Sink<'_>, at: usize) {
    let text = sink.text;
    let Some(start) = start_of_local(text, at) else { return };
    let mut end = domain::end_of_name(text, at + 1);
    // "Write to a@b.com.Please reply": a word that starts a sentence belongs to no name.
    if !domain::is_public(&text[at + 1..end]) {
        let Some(dot) = text[at + 1..end].rfind('.') else { return };
        let is_sentence = text[at + 1 + dot + 1..end].starts_with(char::is_uppercase);
        end = at + 1 + dot;
        if !is_sentence || !domain::is_public(&text[at + 1..end]) {
            return;
        }
    } else if !text::is_free_after(text, end) {
        return;
    }
    sink.add(start, end, Entity::EmailAddress, SCORE, "email");
}

/// Where the part before the `@` starts: letters of any script, digits and `._%+-'`, no dot or apostrophe first, no two dots.
fn start_of_local(text: &str, at: usize) -> Option<usize> {
    let mut start = at;
    for (offset, c) in text[..at].char_indices().rev() {
        if !(c.is_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-' | '\''))
            || at - offset > LONGEST_LOCAL_BYTES
        {
            break;
        }
        start = offset;
    }
    let local = text[start..at].trim_start_matches(['.', '\'', '-']);
    let start = at - local.len();
    let is_name = !local.is_empty() && !local.ends_with('.') && !local.contains("..");
    // A password in an address of the web stands before an `@` too: `https://user:secret@host.org`.
    let is_in_url =
        text[..start].ends_with(':') && text[..start].rsplit(char::is_whitespace).next()?.contains("://");
    (is_name && !is_in_url).then_some(start)
}
