//! Addresses as messages and reports show them: without what they carry.

/// What stands between scheme and the rest of an address.
const AFTER_SCHEME: &str = "://";

/// An address without the user's name and password, and without what follows its path: both may be a permission.
pub fn shown(address: &str) -> String {
    let (scheme, rest) = match address.split_once(AFTER_SCHEME) {
        Some((scheme, rest)) => (format!("{scheme}{AFTER_SCHEME}"), rest),
        None => (String::new(), address),
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    // A password that is not written as it should be can hold a slash: the last @ ends it.
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}{host}")
}

/// A text in which every address is [`shown`].
pub(super) fn shown_in(text: &str) -> String {
    /// What ends a sentence or a bracket, and no address.
    const BEHIND: [char; 8] = [')', ']', '"', '\'', '`', ',', ';', ':'];
    let words = text.split_inclusive(char::is_whitespace).map(|word| {
        let Some(at) = word.find(AFTER_SCHEME) else { return word.to_owned() };
        let begins =
            word[..at].rfind(|letter: char| !letter.is_ascii_alphanumeric()).map_or(0, |before| before + 1);
        let ends = word.trim_end().trim_end_matches(BEHIND).len();
        if ends <= begins {
            return word.to_owned();
        }
        format!("{}{}{}", &word[..begins], shown(&word[begins..ends]), &word[ends..])
    });
    words.collect()
}

/// What a server says without a secret that it was told, should it repeat it; nothing is hidden by an empty one.
#[must_use]
pub fn without(said: &str, secret: &str) -> String {
    if secret.is_empty() { said.to_owned() } else { said.replace(secret, "(the token)") }
}

/// An error and its causes in one line, without what their addresses carry.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    shown_in(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_what_they_carry() {
        for (address, expected) in [
            ("https://huggingface.co", "https://huggingface.co"),
            ("http://me:secret@proxy:1", "http://proxy:1"),
            ("me:secret@proxy:1", "proxy:1"),
            ("http://me:sec/ret@mirror/hub", "http://mirror/hub"),
            ("https://store/a/b?X-Amz-Signature=secret#secret", "https://store/a/b"),
            ("https://token@judge/v1?key=secret", "https://judge/v1"),
            ("", ""),
        ] {
            assert_eq!(shown(address), expected);
        }
        for (text, expected) in [
            ("no address: at all", "no address: at all"),
            (
                "error sending request for url (https://s/a?Signature=secret): timed out",
                "error sending request for url (https://s/a): timed out",
            ),
            ("from http://me:secret@a/b, then\n`https://c?secret`", "from http://a/b, then\n`https://c`"),
            ("odd ://", "odd ://"),
        ] {
            assert_eq!(shown_in(text), expected);
        }
    }
}
