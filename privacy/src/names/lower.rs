//! Names in lower case, where something else says that they are names.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::gazetteer::{Flags, Gazetteer};
use super::judge::Name;
use super::marks;

/// What a name follows. The first letter is left out where it may be a capital.
const INTRODUCTIONS: &[&str] = &[
    "ame is ",
    "ame's ",
    "ame: ",
    "ame:\t",
    "all me ",
    "alls me ",
    "appelle ",
    "e llamo ",
    "i chiamo ",
    "ch heiße ",
    "ame ist ",
    "k heet ",
    "mr. ",
    "Mr. ",
    "mrs. ",
    "Mrs. ",
    "ms. ",
    "Ms. ",
    "dr. ",
    "Dr. ",
];

/// Heeding case, so that it may search by vectors.
static FINDER: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(INTRODUCTIONS).ok());

/// Longer texts without a capital are no messages; looking up each of their words would cost more than it finds.
const MAX_SMALL_TEXT_BYTES: usize = 4000;
/// A line with a name alone is shorter.
const MAX_LINE_BYTES: usize = 48;
const MAX_NAME_WORDS: usize = 4;
/// Fewer given names with commas between them are no list of names.
const MIN_LISTED: usize = 3;

/// A small word, looked up.
#[derive(Clone, Copy)]
struct Word {
    start: usize,
    end: usize,
    flags: Flags,
}

impl Word {
    fn is_initial(&self) -> bool {
        self.end - self.start == 1
    }
}

/// Adds the names in small letters in `text`.
pub(super) fn find(gazetteer: &Gazetteer, text: &str, has_capitals: bool, out: &mut Vec<Name>) {
    let Some(finder) = FINDER.as_ref() else { return };
    for found in finder.find_iter(text) {
        // At most one letter of the same word before it: `name`, not `rename`.
        let mut before = text[..found.start()].chars().rev().take_while(|letter| letter.is_alphanumeric());
        if before.by_ref().count() > 1 {
            continue;
        }
        let end = found.end();
        let start = end + text[end..].len() - text[end..].trim_start_matches([' ', '\t']).len();
        // `call me` is more often a request than an introduction.
        let is_call = INTRODUCTIONS[found.pattern().as_usize()] == "all me ";
        let name = introduced(gazetteer, text, start);
        if let Some(name) =
            name.filter(|name| !is_call || gazetteer.flags(&text[name.start..name.end]).is_given())
        {
            out.push(name);
        }
    }
    for line in lines(text) {
        of_line(gazetteer, text, line, out);
    }
    listed(gazetteer, text, out);
    if !has_capitals && text.len() <= MAX_SMALL_TEXT_BYTES {
        pairs(gazetteer, text, out);
    }
}

/// The words in small letters from `start` on, as far as single spaces or dots behind initials join them.
fn words_from(gazetteer: &Gazetteer, text: &str, start: usize, most: usize) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut at = start;
    while words.len() < most {
        let length = word_length(&text[at..]);
        if length == 0 {
            break;
        }
        words.push(Word { start: at, end: at + length, flags: gazetteer.flags(&text[at..at + length]) });
        at += length;
        let rest = &text[at..];
        let gap = if length == 1 && rest.starts_with(". ") { 2 } else { usize::from(rest.starts_with(' ')) };
        if gap == 0 {
            break;
        }
        at += gap;
    }
    words
}

/// The length of the word in small letters at the start of `text`, without a possessive; 0 if there is none.
fn word_length(text: &str) -> usize {
    let is_part = |letter: char| letter.is_lowercase() || matches!(letter, '-' | '\'' | '’');
    let length = text.find(|letter: char| !is_part(letter)).unwrap_or(text.len());
    let is_word = text.starts_with(char::is_lowercase)
        && !text[length..].starts_with(|next: char| next.is_alphanumeric() || matches!(next, '_' | '@'));
    let word = &text[..if is_word { length } else { 0 }];
    word.strip_suffix("'s")
        .or_else(|| word.strip_suffix("’s"))
        .unwrap_or(word)
        .trim_end_matches(['\'', '’', '-'])
        .len()
}

fn is_surname(text: &str, word: &Word) -> bool {
    let flags = word.flags;
    !flags.is_dictionary()
        && (flags.is_surname()
            || (flags.is_unknown()
                && marks::is_like_surname(&super::fold::fold(&text[word.start..word.end]))))
}

/// The name that an introduction announces.
fn introduced(gazetteer: &Gazetteer, text: &str, start: usize) -> Option<Name> {
    let words = words_from(gazetteer, text, start, MAX_NAME_WORDS);
    let first = words
        .first()
        .filter(|word| !word.is_initial() && !word.flags.is_dictionary() && !word.flags.is_place())?;
    let belongs = |word: &&Word| {
        word.is_initial() && text[word.end..].starts_with('.')
            || !word.is_initial() && !word.flags.is_dictionary()
    };
    let last = words[1..].iter().take_while(belongs).last().unwrap_or(first);
    Some(Name::person(start, last.end, 0.75, "name-introduced"))
}

/// The lines of a text that are short enough to hold a name alone, as start and end.
fn lines(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', text.as_bytes()).chain(std::iter::once(text.len()));
    ends.map(move |end| {
        let line = (start, end);
        start = end + 1;
        line
    })
}

/// A line that is a name and nothing else, or that begins with the name of who speaks.
fn of_line(gazetteer: &Gazetteer, text: &str, (start, end): (usize, usize), out: &mut Vec<Name>) {
    let line = &text[start..end];
    let begins = line.trim_start_matches([' ', '>', '?', '*', '-', '\t']);
    if !begins.starts_with(char::is_lowercase) {
        return;
    }
    let from = start + line.len() - begins.len();
    let first_length = word_length(begins);
    if first_length > 0 && begins[first_length..].starts_with(':') {
        let flags = gazetteer.flags(&begins[..first_length]);
        if flags.is_surely_given() && !flags.is_dictionary() {
            out.push(Name::person(from, from + first_length, 0.6, "name-speaker"));
        }
        return;
    }
    if line.len() > MAX_LINE_BYTES {
        return;
    }
    let words = words_from(gazetteer, text, from, MAX_NAME_WORDS);
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return };
    let is_all = text[last.end..end].trim_matches([' ', ',', '\r']).is_empty();
    let is_name = words.len() > 1
        && first.flags.is_given()
        && !first.flags.is_dictionary()
        && !last.is_initial()
        && !last.flags.is_dictionary();
    let is_known = is_surname(text, last) || first.flags.is_frequent_given();
    if is_all
        && is_name
        && is_known
        && words[1..words.len() - 1].iter().all(|word| word.is_initial() || !word.flags.is_dictionary())
    {
        out.push(Name::person(first.start, last.end, 0.6, "name-line"));
    }
}

/// Given names with commas between them.
fn listed(gazetteer: &Gazetteer, text: &str, out: &mut Vec<Name>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for comma in memchr::memchr_iter(b',', bytes) {
        if comma < done || comma == 0 || !text.is_char_boundary(comma - 1) && text[..comma].is_empty() {
            continue;
        }
        let first = text[..comma]
            .rfind(|letter: char| !letter.is_lowercase())
            .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
        if first >= comma || first < done || bytes.get(comma + 1) != Some(&b' ') {
            continue;
        }
        let mut items = Vec::new();
        let mut at = first;
        while let Some(&word) = words_from(gazetteer, text, at, 1).first() {
            items.push(word);
            let rest = &text[word.end..];
            let gap = [", and ", " and ", ", ", " & "]
                .iter()
                .find(|gap| rest.starts_with(**gap))
                .map_or(0, |gap| gap.len());
            if gap == 0 {
                break;
            }
            at = word.end + gap;
        }
        done = items.last().map_or(comma + 1, |word| word.end).max(comma + 1);
        let sure = items
            .iter()
            .filter(|word| {
                word.flags.is_surely_given() && !word.flags.is_dictionary() && !word.flags.is_mostly_surname()
            })
            .count();
        if sure >= MIN_LISTED {
            let names = items.iter().filter(|word| word.flags.is_given());
            out.extend(names.map(|word| Name::person(word.start, word.end, 0.6, "name-listed")));
        }
    }
}

/// Given name and surname side by side in a text without any capital.
fn pairs(gazetteer: &Gazetteer, text: &str, out: &mut Vec<Name>) {
    let mut at = 0;
    while let Some(offset) = text[at..].find(char::is_lowercase) {
        let start = at + offset;
        let length = word_length(&text[start..]);
        let next = start + length.max(text[start..].chars().next().map_or(1, char::len_utf8));
        let is_within = text[..start]
            .ends_with(|before: char| before.is_alphanumeric() || matches!(before, '_' | '@' | '.' | '/'));
        at = next;
        if length < 3 || is_within {
            continue;
        }
        let flags = gazetteer.flags(&text[start..start + length]);
        if !flags.is_surely_given() || flags.is_dictionary() {
            continue;
        }
        let words = words_from(gazetteer, text, start, MAX_NAME_WORDS);
        if super::surroundings::is_road_before(text, start) {
            continue;
        }
        let tail = words[1..]
            .iter()
            .take_while(|word| word.is_initial() || !word.flags.is_dictionary())
            .filter(|word| is_surname(text, word))
            .last();
        if let Some(last) = tail {
            out.push(Name::person(start, last.end, 0.55, "name-small-pair"));
            at = last.end;
        }
    }
}
