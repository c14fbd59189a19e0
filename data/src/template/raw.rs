//! `{% raw %}`: a line break behind it is printed, although the ones behind other tags are not.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// The source with each such line break as something that is printed in any place; lines stay where they are.
pub(super) fn keep_first_breaks(source: &str) -> Cow<'_, str> {
    // A comment that speaks of one holds none.
    static RAW: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?s)\{#.*?#\}|(\{%[-+]?\s*raw\s*%\})(\n.*?\{%[-+]?\s*endraw\s*[-+]?%\})").ok()
    });
    let Some(raw) = RAW.as_ref() else { return Cow::Borrowed(source) };
    raw.replace_all(source, |found: &Captures<'_>| match (found.get(1), found.get(2)) {
        (Some(begin), Some(rest)) => {
            format!("{}{{% endraw %}}{{{{ \"\\n\" }}}}{{% raw %}}{}", begin.as_str(), rest.as_str())
        }
        _ => found[0].to_owned(),
    })
}
