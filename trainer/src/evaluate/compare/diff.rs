//! Two answers, word by word: what stayed, what went, what came.

use serde::Serialize;

/// Longer answers are shown whole: time grows with the product of their words.
const MOST_WORDS: usize = 600;

/// A run of words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// In both.
    Same(String),
    /// Only in the first.
    Removed(String),
    /// Only in the second.
    Added(String),
}

/// The parts in order, by the longest common subsequence of words; `None` of long texts, and of those that have less than a third of their
/// words in common: they say other things, and a difference would hide it.
#[must_use]
pub fn diff(first: &str, second: &str) -> Option<Vec<Part>> {
    let words = |text| -> Vec<&str> { str::split_whitespace(text).collect() };
    let (one, other) = (words(first), words(second));
    if one.len() > MOST_WORDS || other.len() > MOST_WORDS {
        return None;
    }
    // How many words the rest of both have in common, from each pair of places on.
    let width = other.len() + 1;
    let mut common = vec![0_usize; (one.len() + 1) * width];
    for row in (0..one.len()).rev() {
        for column in (0..other.len()).rev() {
            common[row * width + column] = match one[row] == other[column] {
                true => common[(row + 1) * width + column + 1] + 1,
                false => common[(row + 1) * width + column].max(common[row * width + column + 1]),
            };
        }
    }
    if 3 * common[0] < one.len().max(other.len()) {
        return None;
    }
    let mut parts: Vec<Part> = Vec::new();
    let (mut row, mut column) = (0, 0);
    while row < one.len() || column < other.len() {
        let is_left = row < one.len();
        if is_left && column < other.len() && one[row] == other[column] {
            push(&mut parts, Part::Same(one[row].to_owned()));
            (row, column) = (row + 1, column + 1);
        } else if is_left
            && (column == other.len()
                || common[(row + 1) * width + column] >= common[row * width + column + 1])
        {
            push(&mut parts, Part::Removed(one[row].to_owned()));
            row += 1;
        } else {
            push(&mut parts, Part::Added(other[column].to_owned()));
            column += 1;
        }
    }
    Some(parts)
}

/// Joins a word with the run before it, where that is of the same kind.
fn push(parts: &mut Vec<Part>, word: Part) {
    match (parts.last_mut(), word) {
        (Some(Part::Same(run)), Part::Same(word))
        | (Some(Part::Removed(run)), Part::Removed(word))
        | (Some(Part::Added(run)), Part::Added(word)) => {
            run.push(' ');
            run.push_str(&word);
        }
        (_, word) => parts.push(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_go_and_come() {
        let [same, removed, added] =
            [Part::Same, Part::Removed, Part::Added].map(|kind| move |text: &str| kind(text.to_owned()));
        assert_eq!(
            diff("You get 30 days to return it.", "You get 14 days to send it."),
            Some(vec![
                same("You get"),
                removed("30"),
                added("14"),
                same("days to"),
                removed("return"),
                added("send"),
                same("it.")
            ])
        );
        assert_eq!(diff("a b", "a b"), Some(vec![same("a b")]));
        assert_eq!(diff("", ""), Some(Vec::new()));
        assert_eq!(diff("a b c d", "e f g a"), None, "one word in four");
        assert_eq!(diff(&"a ".repeat(700), "a"), None);
    }
}
