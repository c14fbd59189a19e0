//! What stands under a mail.

use super::edit::Edited;
use super::lines::{Line, lines};
use super::phrases::{CLOSINGS, SENT_FROM};

/// A signature under `-- ` has no more lines; RFC 3676 (4.3) speaks of four, companies of more.
const MAX_SIGNATURE_LINES: usize = 20;
/// A block of name, company and telephone under a closing formula has no more lines.
const MAX_NAME_LINES: usize = 8;
/// Its lines are no longer.
const MAX_NAME_CHARACTERS: usize = 64;
/// A name has no more words.
const MAX_NAME_WORDS: usize = 5;
/// The line "Sent from my ..." is no longer.
const MAX_SENT_FROM_CHARACTERS: usize = 80;
/// So many underscores rule off what a mailing list adds.
const MIN_RULE: usize = 20;
/// What a mailing list adds has no more lines.
const MAX_FOOTER_LINES: usize = 12;

/// Cuts off what follows the signature mark `-- `, "Sent from my ...", the footer of a mailing list, and a closing
/// formula with a name under it. Always from there to the end, and only if something is left.
pub(crate) fn cut(text: &str) -> Edited<'_> {
    if !text.contains('\n') {
        return Edited::unchanged(text);
    }
    let all: Vec<Line<'_>> = lines(text).collect();
    let first = all.iter().position(|line| !line.is_blank()).unwrap_or(all.len());
    let mut end = all.len();
    while let Some(shorter) = shorten(&all[..end]) {
        if shorter <= first {
            break;
        }
        end = shorter;
    }
    match all[..end].iter().rposition(|line| !line.is_blank()) {
        Some(last) if end < all.len() => Edited::cut(&text[..all[last].end()]),
        _ => Edited::unchanged(text),
    }
}

/// How many of the lines stand before the last thing that is a signature.
fn shorten(lines: &[Line<'_>]) -> Option<usize> {
    let shown = lines.iter().rposition(|line| !line.is_blank())? + 1;
    let lines = &lines[..shown];
    let last = lines[shown - 1];
    if last.code {
        return None;
    }
    if is_sent_from(last.text) {
        return Some(shown - 1);
    }
    let from = shown.saturating_sub(MAX_SIGNATURE_LINES + 1);
    let tail = (from..shown).rev().take_while(|&at| !lines[at].code);
    for at in tail {
        let below = &lines[at + 1..];
        let signed = is_mark(lines[at].text, below)
            || is_footer(lines[at].text, below)
            || is_closing(lines[at].text, below);
        if signed && at > 0 {
            return Some(at);
        }
    }
    None
}

fn is_sent_from(line: &str) -> bool {
    let line = line.trim().trim_matches(['*', '_', '(', ')', '[', ']']);
    let lower = line.to_lowercase();
    line.chars().count() <= MAX_SENT_FROM_CHARACTERS
        && SENT_FROM.iter().any(|phrase| lower.starts_with(phrase))
        && !line.ends_with('?')
}

/// `-- `, or two hyphens whose space was trimmed, with not too much below.
fn is_mark(line: &str, below: &[Line<'_>]) -> bool {
    let code = |line: &Line<'_>| line.text.trim_end().ends_with([';', '{', '}']);
    matches!(line, "-- " | "--")
        && (1..=MAX_SIGNATURE_LINES).contains(&below.len())
        && (line.ends_with(' ') || !below.iter().any(code))
}

/// A rule of underscores, and what lists write under it.
fn is_footer(line: &str, below: &[Line<'_>]) -> bool {
    let line = line.trim();
    let ruled = line.len() >= MIN_RULE && line.bytes().all(|byte| matches!(byte, b'_' | b'-' | b'='));
    let about_list = |line: &Line<'_>| {
        let lower = line.text.to_lowercase();
        ["mailing list", "unsubscribe", "/listinfo/", "subscription"].iter().any(|word| lower.contains(word))
    };
    ruled && below.len() <= MAX_FOOTER_LINES && below.iter().any(about_list)
}

/// A closing formula alone on its line, and a name and nothing but such lines under it.
fn is_closing(line: &str, below: &[Line<'_>]) -> bool {
    let formula = line.trim().trim_end_matches([',', '.', '!', ';', ' ', '-']).to_lowercase();
    let mut shown = below.iter().filter(|line| !line.is_blank());
    CLOSINGS.contains(&&*formula)
        && shown.next().is_some_and(|line| is_name(line.text))
        && shown.clone().count() < MAX_NAME_LINES
        && shown.all(|line| !line.code && is_of_a_block(line.text))
}

/// A few words that begin with capitals, or one word.
fn is_name(line: &str) -> bool {
    let line =
        line.trim().trim_start_matches(['-', '~', '*', '_', ' ']).trim_end_matches([',', '.', '*', '_']);
    let words: Vec<&str> = line.split_whitespace().collect();
    let capital = |word: &&str| word.chars().next().is_some_and(char::is_uppercase);
    let letters = |word: &&str| {
        word.chars().all(|c| c.is_alphabetic() || matches!(c, '.' | '-' | '\'' | '’' | ',' | '(' | ')' | '/'))
    };
    (1..=MAX_NAME_WORDS).contains(&words.len())
        && words.iter().all(letters)
        && (words.len() == 1 || words.iter().filter(|word| capital(word)).count() * 2 > words.len())
}

/// A line as such blocks have them: short, and no sentence.
fn is_of_a_block(line: &str) -> bool {
    let line = line.trim();
    let words = line.split_whitespace().count();
    let sentence = line.ends_with(['.', '?', '!', ':']) && words > MAX_NAME_WORDS;
    line.chars().count() <= MAX_NAME_CHARACTERS && !sentence && !line.ends_with('?')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_go() {
        for (text, expected) in [
            ("Help!\n-- \nAnn Example\nAcme Ltd", "Help!"),
            ("Help!\n\n--\nAnn", "Help!"),
            ("Where is it?\n\nSent from my iPhone", "Where is it?"),
            ("Wo ist es?\n\nVon meinem iPhone gesendet", "Wo ist es?"),
            (
                "My card is lost.\n\nBest regards,\nAnn Example\nHead of Sales\nAcme Ltd.\n+44 20 7946 0000",
                "My card is lost.",
            ),
            ("Karte weg.\n\nMit freundlichen Grüßen\n\nAnn Beispiel", "Karte weg."),
            ("It is.\n\nThanks,\nann\n\nSent from my phone", "It is."),
            (
                "See above.\n____________________________\nUsers mailing list\nUsers@x.example\nhttp://x.example/listinfo/u",
                "See above.",
            ),
        ] {
            let edited = cut(text);
            assert_eq!(edited.text, expected, "{text}");
            assert_eq!(cut(expected).changes, 0);
        }
    }

    #[test]
    fn what_is_no_signature_stays() {
        for text in [
            "Thanks",
            "It works now.\nThanks!",
            "Thanks,\nI tried that and it did not help.",
            "Best\nworst\nmiddle: which of these words is an adjective?",
            "-- \nnothing before",
            "Thank you\nAnn",
            "What does this mean?\nSent from my heart, is it a song?",
            "a\n```\nselect 1;\n--\nselect 2;\n```",
            "one\n--\ntwo\n\n```\ncode\n```",
            "create it:\n--\nselect 2;",
            "Title\n____________________\ntext of a form",
        ] {
            assert_eq!(cut(text), Edited::unchanged(text));
        }
    }
}
