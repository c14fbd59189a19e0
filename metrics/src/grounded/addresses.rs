//! Addresses of the web and of mail.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// With a scheme or `www.`, of mail, or a name under one of the most frequent top domains.
static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?xi)
        \b(?: (?:https?://|www\.) [^\s<>"'\]\)]+
          | [a-z0-9._%+-]+ @ [a-z0-9-]+ (?:\.[a-z0-9-]+)+
          | (?:[a-z0-9-]+\.)+ (?:com|org|net|edu|gov|io|dev|app|ai|eu|de|fr|es|it|nl|ch|at|uk|us|example|test) \b
            (?: / [^\s<>"'\]\)]* )? )"#,
    )
    .ok()
});

/// An address, made comparable.
pub(super) struct Address {
    pub(super) range: Range<usize>,
    pub(super) address: String,
}

pub(super) fn find(text: &str) -> Vec<Address> {
    let all = ADDRESS.iter().flat_map(|pattern| pattern.find_iter(text));
    let bare = |found: regex::Match<'_>| {
        let shown = found.as_str().trim_end_matches(['.', ',', ';', ':', '!', '?', '*', '`']);
        Address { range: found.start()..found.start() + shown.len(), address: comparable(shown) }
    };
    all.map(bare).collect()
}

/// Without scheme, `www.` and last slash; the host in lower case.
fn comparable(address: &str) -> String {
    let lower = address.to_lowercase();
    let skipped = ["https://", "http://"]
        .iter()
        .find(|scheme| lower.starts_with(**scheme))
        .map_or(0, |scheme| scheme.len());
    let skipped = skipped + if lower[skipped..].starts_with("www.") { 4 } else { 0 };
    let rest = address[skipped..].trim_end_matches('/');
    let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    format!("{}{}", rest[..host].to_lowercase(), &rest[host..])
}
