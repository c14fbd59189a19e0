//! The page: one file in the program, which may run its own script and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rtune_trainer::files::sha256_of;

/// As the browser gets it.
pub(super) const PAGE: &str = include_str!("page.html");

/// `Content-Security-Policy`: the script and the style of the page by their hashes, questions to where it came from, and nothing else. No text
/// can be made into elements, whoever wrote it.
pub(super) fn policy() -> String {
    let hash = |tag: &str| format!("'sha256-{}'", STANDARD.encode(digest(inside(tag))));
    format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors \
         'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        hash("script"),
        hash("style")
    )
}

/// What stands between `<tag>` and `</tag>` of the page.
fn inside(tag: &str) -> &'static str {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let begin = PAGE.find(&open).map_or(PAGE.len(), |at| at + open.len());
    let end = PAGE[begin..].find(&close).map_or(PAGE.len(), |at| begin + at);
    &PAGE[begin..end]
}

fn digest(text: &str) -> Vec<u8> {
    let hex = sha256_of(text.as_bytes());
    (0..hex.len() / 2).filter_map(|byte| u8::from_str_radix(&hex[2 * byte..2 * byte + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_page_as_it_is() {
        for tag in ["script", "style"] {
            assert!(inside(tag).len() > 500, "{tag}");
            assert_eq!(PAGE.matches(&format!("<{tag}")).count(), 1, "one {tag}, without attributes");
        }
        assert_eq!(STANDARD.encode(digest("")), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        let policy = policy();
        assert!(policy.matches("'sha256-").count() == 2 && !policy.contains("unsafe"), "{policy}");
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "http:",
            "https:",
            " src=",
            "style=",
        ] {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
    }
}
