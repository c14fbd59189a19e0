//! Names that a model found, held against what rules know: cut to what can be a name, or dropped.

use super::capitals::{Capital, capitals};
use super::gazetteer::Gazetteer;
use super::judge::Judge;
use super::marks;
use crate::entity::Entity;
use crate::finding::Finding;

/// From this score on a model is believed a single word that is in no list.
const SURE_SCORE: f32 = 0.7;

/// Holds the persons among `findings` of `text` against the rules; the others stay as they are.
pub(super) fn confirm(gazetteer: &Gazetteer, text: &str, findings: &mut Vec<Finding>) {
    if !findings.iter().any(|finding| finding.entity == Entity::Person) {
        return;
    }
    let mut words: Vec<Capital> = Vec::new();
    capitals(text, &mut words);
    let mut judge = Judge::new(gazetteer);
    let mut kept = Vec::with_capacity(findings.len());
    for finding in findings.drain(..) {
        if finding.entity != Entity::Person {
            kept.push(finding);
            continue;
        }
        let parts = lines(text, finding.start, finding.end);
        let first_line_end = parts.first().map_or(finding.end, |part| part.1);
        for (start, end) in parts {
            let Some((start, end)) = trimmed(gazetteer, text, start, end) else { continue };
            let from = words.partition_point(|word| word.end <= start);
            let to = words.partition_point(|word| word.start < end);
            // Where a model's span runs on to the next line, that is a name only if the list says so.
            let is_sure = finding.score >= SURE_SCORE && start < first_line_end;
            let is_several = text[start..end].contains(' ');
            let is_kept = match from == to {
                true => is_sure || is_several || gazetteer.flags(&text[start..end]).is_given(),
                false => judge.may_be_person(text, &words, (from, to), is_sure),
            };
            if is_kept {
                kept.push(Finding { start, end, ..finding });
            }
        }
    }
    *findings = kept;
}

/// The parts of a span on each of its lines: a name ends with its line.
fn lines(text: &str, start: usize, end: usize) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let mut from = start;
    for line in text[start..end].split_inclusive(['\n', '\r']) {
        parts.push((from, from + line.trim_end_matches(['\n', '\r']).len()));
        from += line.len();
    }
    parts
}

/// The span without words at its ends that cannot belong to a name; nothing if no word is left.
fn trimmed(gazetteer: &Gazetteer, text: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    let span = &text[start..end];
    let mut words: Vec<(usize, &str)> = Vec::new();
    let mut at = start;
    for word in span.split([' ', '\t', '\u{a0}']) {
        if !word.is_empty() {
            words.push((at, word));
        }
        at += word.len() + text[at + word.len()..].chars().next().map_or(0, char::len_utf8);
    }
    let has_capital = words.iter().any(|(_, word)| word.starts_with(char::is_uppercase));
    // Beside capitals, small words are verbs and nouns, but for `van` and `de`; in a text of small letters, words of the
    // dictionary are those.
    let is_part = |word: &str, is_first: bool| {
        let bare = word.trim_matches(|sign: char| !sign.is_alphanumeric());
        if bare.is_empty() || bare.starts_with(|sign: char| sign.is_ascii_digit()) {
            return false;
        }
        let is_caseless = bare.chars().all(|letter| !letter.is_lowercase() && !letter.is_uppercase());
        if has_capital {
            bare.starts_with(char::is_uppercase) || (is_first && marks::are_particles(bare))
        } else if is_caseless {
            true
        } else {
            let flags = gazetteer.flags(bare);
            !flags.is_dictionary() || flags.is_given() && !flags.is_word()
        }
    };
    while words.last().is_some_and(|(_, word)| !is_part(word, false)) {
        words.pop();
    }
    let skipped = words.iter().take_while(|(_, word)| !is_part(word, true)).count();
    let (first, last) = (words.get(skipped)?, words.last()?);
    let (start, end) = (first.0, last.0 + last.1.len());
    let inner = text[start..end].trim_end_matches(|sign: char| !sign.is_alphanumeric());
    let begins = inner.trim_start_matches(|sign: char| !sign.is_alphanumeric());
    let start = start + inner.len() - begins.len();
    (!begins.is_empty()).then_some((start, start + begins.len()))
}
