//! Addresses of e-mail.

use crate::entity::Entity;
use crate::generic::domain;
use crate::scanner::sink::Sink;
use crate::scanner::text;

/// The longest part before the `@`, in bytes (RFC 5321).
const LONGEST_LOCAL_BYTES: usize = 64;

/// The score of an address whose host has a public suffix.
const SCORE: f32 = 0.95;

/// The score of one whose host is known within a firm or a house alone.
const INTERNAL_SCORE: f32 = 0.6;

/// Looks for an address around the `@` at byte `at`.
pub(crate) fn find(sink: &mut Sink<'_>, at: usize) {
    let text = sink.text;
    let Some(start) = start_of_local(text, at) else { return };
    let from = at + 1;
    let end = domain::end_of_name(text, from);
    if domain::is_public(&text[from..end]) {
        if text::is_free_after(text, end) {
            sink.add(start, end, Entity::EmailAddress, SCORE, "email");
        }
    } else if let Some(end) = end_before_text(text, from, end) {
        sink.add(start, end, Entity::EmailAddress, SCORE, "email");
    } else if domain::is_internal(&text[from..end]) && text::is_free_after(text, end) && !is_code(text, end) {
        sink.add(start, end, Entity::EmailAddress, INTERNAL_SCORE, "email-internal");
    }
}

/// Whether what stands behind makes of it a place to copy from (`git@host.local:path`) or a call (`@app.test("/x")`).
fn is_code(text: &str, end: usize) -> bool {
    let rest = &text[end..];
    rest.starts_with('(')
        || rest.strip_prefix(':').is_some_and(|path| path.starts_with(|c: char| !c.is_whitespace()))
}

/// The end of a host that text follows without a space: a word that starts a sentence ("a@b.com.Please reply"), or one of a script
/// without spaces.
fn end_before_text(text: &str, from: usize, end: usize) -> Option<usize> {
    let name = &text[from..end];
    let next_script =
        if name.starts_with(|c: char| c.is_ascii()) { name.find(text::has_no_spaces) } else { None };
    let next_sentence = || {
        let dot = name.rfind('.')?;
        name[dot + 1..].starts_with(char::is_uppercase).then_some(dot)
    };
    let length = next_script.or_else(next_sentence)?;
    domain::is_public(&name[..length]).then_some(from + length)
}

/// Where the part before the `@` starts: letters of any script, digits and `._%+-'`, no dot or apostrophe first, no two dots.
fn start_of_local(text: &str, at: usize) -> Option<usize> {
    let mut start = at;
    let is_ascii = text[..at].ends_with(|c: char| c.is_ascii());
    for (offset, c) in text[..at].char_indices().rev() {
        // A script without spaces may stand directly before an address, or be the address's.
        if is_ascii && text::has_no_spaces(c)
            || !(c.is_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-' | '\''))
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
