//! Addresses of the web, with and without a scheme.

use crate::entity::Entity;
use crate::generic::domain;
use crate::scanner::sink::Sink;
use crate::scanner::text;

/// Schemes whose authority is a host.
const SCHEMES: [&str; 8] = ["http", "https", "ftp", "ftps", "sftp", "ws", "wss", "ssh"];

/// The longest address that is followed, in bytes: what browsers accept.
const LONGEST_BYTES: usize = 2048;

/// Suffixes that stand at the end of names in a text almost only as hosts. The others, many of them endings of files too
/// (`.py`, `.rs`, `.md`, `.sh`), say less.
const PLAIN_SUFFIXES: [&str; 12] =
    ["com", "org", "net", "edu", "gov", "io", "info", "biz", "mil", "eu", "co.uk", "de"];

const SCORE_SCHEME: f32 = 0.9;
const SCORE_WWW: f32 = 0.8;
const SCORE_PLAIN: f32 = 0.5;
const SCORE_BARE: f32 = 0.3;

/// Looks for an address around the `://` at byte `at`.
pub(crate) fn find_with_scheme(sink: &mut Sink<'_>, at: usize) {
    let text = sink.text;
    let letters = text.as_bytes()[..at].iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let scheme = &text[at - letters..at];
    if !SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return;
    }
    let authority = at + "://".len();
    let end = end_of_address(text, authority);
    let host_from = match text[authority..end].split(['/', '?', '#']).next().and_then(|part| part.rfind('@'))
    {
        Some(user) => authority + user + 1,
        None => authority,
    };
    if host_from < end && is_host(text, host_from, end) {
        sink.add(at - letters, end, Entity::Url, SCORE_SCHEME, "url");
    }
}

/// Looks for an address without a scheme: a name of a host at `start`, the first of its labels ending at `label_end` with a dot.
/// Returns where the dotted name ends, so that its other labels are not looked at.
pub(crate) fn find_bare(sink: &mut Sink<'_>, start: usize) -> usize {
    let text = sink.text;
    let name_end = domain::end_of_name(text, start);
    let name = &text[start..name_end];
    let follows = text.as_bytes().get(name_end);
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_name = last.len() >= 2
        && last.bytes().all(|byte| byte >= 0x80 || byte.is_ascii_alphabetic() || byte == b'-');
    // "The end.Next time": a word that starts a sentence is no suffix.
    let is_sentence = last.starts_with(char::is_uppercase) && name.starts_with(char::is_lowercase);
    if !is_name || is_sentence || matches!(follows, Some(b'@' | b'_' | b'(')) {
        return name_end;
    }
    let is_www = name.get(..4).is_some_and(|first| first.eq_ignore_ascii_case("www."));
    let known = if is_www { &name[4..] } else { name };
    if !known.contains('.') || !domain::is_public(known) || !text::is_free_after(text, name_end) {
        return name_end;
    }
    let is_plain = PLAIN_SUFFIXES.iter().any(|suffix| {
        let lower = known.len().checked_sub(suffix.len() + 1).and_then(|at| known.get(at..));
        lower.is_some_and(|tail| tail.starts_with('.') && tail[1..].eq_ignore_ascii_case(suffix))
    });
    let (end, score) = match follows {
        Some(b'/' | b'?' | b'#' | b':') => (end_of_address(text, start), SCORE_PLAIN),
        _ => (name_end, SCORE_BARE),
    };
    let end = end.max(name_end);
    let score = if is_www {
        SCORE_WWW
    } else if is_plain {
        SCORE_PLAIN
    } else {
        score
    };
    sink.add(start, end, Entity::Url, score, "url-bare");
    end
}

/// Whether a host that the public can reach starts at `from`: a registered name or an address of the network.
fn is_host(text: &str, from: usize, end: usize) -> bool {
    let bytes = text.as_bytes();
    if bytes[from] == b'[' {
        let close = text[from..end].find(']').map(|offset| from + offset);
        return close.is_some_and(|close| text[from + 1..close].parse::<std::net::Ipv6Addr>().is_ok());
    }
    let name_end = domain::end_of_name(text, from).min(end);
    let name = &text[from..name_end];
    name.parse::<std::net::Ipv4Addr>().is_ok() || domain::is_public(name)
}

/// The end of the address that starts at `from`: up to white space, quotes or angle brackets, without the punctuation of the
/// sentence, and with a closing bracket only if it was opened.
fn end_of_address(text: &str, from: usize) -> usize {
    let is_end = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '"' | '<' | '>' | '`' | '{' | '}' | '|' | '\\' | '^')
    };
    let rest = &text[from..];
    let stop = rest.char_indices().find(|(offset, c)| *offset >= LONGEST_BYTES || is_end(*c));
    let mut address = &rest[..stop.map_or(rest.len(), |(offset, _)| offset)];
    while let Some(last) = address.chars().next_back() {
        let is_surplus = match last {
            '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '*' | '_' | '’' | '”' | '»' | '…' | '。' | '，' => {
                true
            }
            ')' => address.matches(')').count() > address.matches('(').count(),
            ']' => address.matches(']').count() > address.matches('[').count(),
            _ => false,
        };
        if !is_surplus {
            break;
        }
        address = &address[..address.len() - last.len_utf8()];
    }
    from + address.len()
}
