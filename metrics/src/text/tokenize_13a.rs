//! The tokenizer of mteval-v13a as sacreBLEU has it: four replacements, each over what the one before left.

use super::is_space;

/// What a replacement makes of a pair of neighbours; `None` leaves the first as it is and goes on with the second.
type Rule = fn(char, char) -> Option<[char; 4]>;

/// `text` with its tokens apart by whitespace.
pub(super) fn tokenize(text: &str) -> String {
    let text = text.trim_end_matches(is_space);
    let text = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    let text = text.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    let mut characters = vec![' '];
    for c in text.chars() {
        if stands_alone(c) { characters.extend([' ', c, ' ']) } else { characters.push(c) }
    }
    characters.push(' ');
    let rules: [Rule; 3] = [
        // A period or comma after anything but a digit,
        |a, b| (!a.is_ascii_digit() && is_mark(b)).then_some([a, ' ', b, ' ']),
        // and before anything but a digit.
        |a, b| (is_mark(a) && !b.is_ascii_digit()).then_some([' ', a, ' ', b]),
        // A dash after a digit.
        |a, b| (a.is_ascii_digit() && b == '-').then_some([a, ' ', b, ' ']),
    ];
    rules.into_iter().fold(characters, replace_pairs).into_iter().collect()
}

/// `[\{-\~\[-\` -\&\(-\+\:-\@\/]`: ASCII punctuation but for `'`, `,`, `-` and `.`, and the space.
fn stands_alone(c: char) -> bool {
    matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/')
}

fn is_mark(c: char) -> bool {
    c == '.' || c == ','
}

/// From left to right, and what was replaced is not looked at again: as a regular expression does it.
fn replace_pairs(characters: Vec<char>, rule: Rule) -> Vec<char> {
    let mut replaced = Vec::with_capacity(characters.len());
    let mut at = 0;
    while let Some(&first) = characters.get(at) {
        match characters.get(at + 1).and_then(|&second| rule(first, second)) {
            Some(pair) => {
                replaced.extend(pair);
                at += 2;
            }
            None => {
                replaced.push(first);
                at += 1;
            }
        }
    }
    replaced
}
