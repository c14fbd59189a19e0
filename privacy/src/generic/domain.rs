//! Names of hosts, by the list of public suffixes.

/// The longest name of a host, in bytes (RFC 1035).
pub(crate) const LONGEST_BYTES: usize = 253;

/// Whether `name` is a registered name under a public suffix, or below one: `a.example.co.uk`, but neither `co.uk` nor
/// `host.invalid`. A name whose owner gives out names below it (`co.com`, `github.io`) is registered itself.
pub(crate) fn is_public(name: &str) -> bool {
    if name.len() > LONGEST_BYTES
        || name.split('.').any(|label| label.starts_with('-') || label.ends_with('-'))
    {
        return false;
    }
    let lower;
    let name = match name.bytes().any(|byte| byte.is_ascii_uppercase() || byte >= 0x80) {
        true => {
            lower = name.to_lowercase();
            lower.as_str()
        }
        false => name,
    };
    addr::parse_domain_name(name)
        .is_ok_and(|name| name.has_known_suffix() && (name.root().is_some() || name.is_private()))
}

/// What hosts end in that no public list has: of a firm's network, of a house's, and reserved ones (RFC 2606, 6762, 8375).
const INTERNAL: [&str; 10] =
    ["corp", "home", "intern", "internal", "invalid", "lan", "local", "localdomain", "localhost", "test"];

/// Whether `name` is a host's within a network that is not public: `firm.local`, `db1.lan`.
pub(crate) fn is_internal(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let Some((above, last)) = name.rsplit_once('.') else { return false };
    name.len() <= LONGEST_BYTES
        && INTERNAL.iter().any(|known| known.eq_ignore_ascii_case(last))
        && above.split('.').all(is_label)
}

/// The end of the name that starts at byte `at`: letters of any script, digits, hyphens and dots, without a dot or hyphen at
/// its end.
pub(crate) fn end_of_name(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    let stop = rest
        .char_indices()
        .take_while(|(offset, _)| *offset <= LONGEST_BYTES)
        .find(|(_, c)| !(c.is_alphanumeric() || matches!(c, '-' | '.')))
        .map_or_else(|| rest.len().min(floor(rest, LONGEST_BYTES)), |(offset, _)| offset);
    at + rest[..stop].trim_end_matches(['.', '-']).len()
}

/// The largest character boundary of `text` that is no larger than `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_names_have_a_known_suffix_and_more() {
        for name in
            ["a.com", "A.Example.CO.UK", "xn--d1acufc.xn--p1ai", "bücher.de", "co.com", "президент.рф"]
        {
            assert!(is_public(name), "{name}");
        }
        for name in [
            "com",
            "co.uk",
            "host.invalid",
            "host.local",
            "a.test",
            "x.example",
            "microsoft",
            "a..com",
            "-a.com",
        ] {
            assert!(!is_public(name), "{name}");
        }
    }

    #[test]
    fn a_name_ends_before_its_last_dot() {
        assert_eq!(end_of_name("at a.b.com. So", 3), 10);
        assert_eq!(end_of_name("é.com/", 0), 6);
        let long = "é.".repeat(400);
        assert!(end_of_name(&long, 0) <= LONGEST_BYTES + 1);
    }
}
