//! `{% raw %}`: a line break behind it is printed, although the ones behind other tags are not.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// The source with each such line break as something that is printed in any place; lines stay where they are.
pub(super) fn keep_first_breaks(source: &str) -> Cow<'_, str> {
    // What stands in a comment, or in the texts of another tag, begins nothing; and nothing in `raw` does.
    static RAW: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r#"(?xs) \{\#.*?\#\}
            | (?P<begin>\{%[-+]?\s*raw\s*-?%\})(?P<body>.*?)(?P<end>\{%(?P<sign>[-+]?)\s*endraw\s*[-+]?%\})
            | \{\{ (?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^"'])*? \}\}
            | \{%  (?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^"'])*?  %\}"#,
        )
        .ok()
    });
    let Some(raw) = RAW.as_ref().filter(|_| source.contains("endraw")) else { return Cow::Borrowed(source) };
    raw.replace_all(source, |found: &Captures<'_>| {
        let part = |name: &str| found.name(name).map_or("", |part| part.as_str());
        let (begin, body) = (part("begin"), part("body"));
        // A sign at the end takes away blanks before it, and so the break where nothing else is there.
        let is_taken = part("sign") == "-" && body.trim().is_empty();
        match body.starts_with('\n') && !begin.ends_with("-%}") && !is_taken {
            true => format!("{begin}{{% endraw %}}{{{{ \"\\n\" }}}}{{% raw %}}{body}{}", part("end")),
            false => found[0].to_owned(),
        }
    })
}
