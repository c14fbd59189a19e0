//! The front matter of a model card, as far as it says a licence.
//!
//! It is YAML between two lines of `---`. Of YAML that much is read: keys of the first level with a plain or a quoted text, a
//! list in brackets, or a list of dashes below.

/// What a card says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Card {
    /// In small letters; the name in place of `other`.
    pub(super) ids: Vec<String>,
    pub(super) link: Option<String>,
}

/// The fence around the front matter.
const FENCE: &str = "---";

pub(super) fn front_matter(text: &str) -> Card {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    if lines.next().map(str::trim_end) != Some(FENCE) {
        return Card::default();
    }
    let lines: Vec<&str> = lines.take_while(|line| line.trim_end() != FENCE).collect();
    let one = |key: &str| values(&lines, key).into_iter().next();
    let name = one("license_name").map(|name| name.to_ascii_lowercase());
    let mut ids = Vec::new();
    for id in values(&lines, "license").into_iter().map(|id| id.to_ascii_lowercase()) {
        match (id.as_str(), &name) {
            // `other` alone says only that it is none of the hub's list.
            ("other", Some(name)) => ids.push(name.clone()),
            ("other" | "unknown", _) => {}
            _ => ids.push(id),
        }
    }
    ids.dedup();
    Card { ids, link: one("license_link") }
}

/// The values of a key of the first level.
fn values(lines: &[&str], key: &str) -> Vec<String> {
    let place = lines.iter().enumerate().find_map(|(index, line)| {
        let rest = line.strip_prefix(key)?.trim_start().strip_prefix(':')?;
        Some((index, without_comment(rest)))
    });
    let Some((index, rest)) = place else { return Vec::new() };
    if let Some(inner) = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.split(',').filter_map(plain).collect();
    }
    if !rest.is_empty() {
        return plain(rest).into_iter().collect();
    }
    let below = lines[index + 1..].iter().map(|line| line.trim());
    below.map_while(|line| line.strip_prefix("- ")).filter_map(|item| plain(without_comment(item))).collect()
}

fn without_comment(text: &str) -> &str {
    text.split_once(" #").map_or(text, |(before, _)| before).trim()
}

fn plain(text: &str) -> Option<String> {
    let text = text.trim().trim_matches(['"', '\'']).trim();
    (!text.is_empty() && text != "null" && text != "~").then(|| text.to_owned())
}
