//! Contractions of English, expanded or made.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use super::edit::{Edit, Edited};
use super::lines::{Code, whole_word};
use super::options::Contractions;
use crate::clean::CleanError;

/// Words that stand for two, and the two. Only those with one reading: `'d` is had or would, `ain't` is anything.
const WORDS: [(&str, &str); 58] = [
    ("can't", "cannot"),
    ("won't", "will not"),
    ("don't", "do not"),
    ("doesn't", "does not"),
    ("didn't", "did not"),
    ("isn't", "is not"),
    ("aren't", "are not"),
    ("wasn't", "was not"),
    ("weren't", "were not"),
    ("hasn't", "has not"),
    ("haven't", "have not"),
    ("hadn't", "had not"),
    ("couldn't", "could not"),
    ("wouldn't", "would not"),
    ("shouldn't", "should not"),
    ("mustn't", "must not"),
    ("needn't", "need not"),
    ("mightn't", "might not"),
    ("i'm", "i am"),
    ("you're", "you are"),
    ("we're", "we are"),
    ("they're", "they are"),
    ("i've", "i have"),
    ("you've", "you have"),
    ("we've", "we have"),
    ("they've", "they have"),
    ("i'll", "i will"),
    ("you'll", "you will"),
    ("he'll", "he will"),
    ("she'll", "she will"),
    ("it'll", "it will"),
    ("we'll", "we will"),
    ("they'll", "they will"),
    ("that'll", "that will"),
    ("there'll", "there will"),
    ("who'll", "who will"),
    ("let's", "let us"),
    ("could've", "could have"),
    ("would've", "would have"),
    ("should've", "should have"),
    ("might've", "might have"),
    ("must've", "must have"),
    ("who've", "who have"),
    ("what're", "what are"),
    ("who're", "who are"),
    ("it's", "it is"),
    ("that's", "that is"),
    ("there's", "there is"),
    ("here's", "here is"),
    ("what's", "what is"),
    ("where's", "where is"),
    ("who's", "who is"),
    ("how's", "how is"),
    ("he's", "he is"),
    ("she's", "she is"),
    ("why's", "why is"),
    ("when's", "when is"),
    ("how're", "how are"),
];

/// Contractions that nobody minds; the others only in speech, or with two readings ("let us", "I have a card").
const MADE: usize = 18;

/// The contraction with "not" that `word` is but for its apostrophe ("couldnt"); "youre" may be "your" as well.
pub(super) fn with_apostrophe(word: &str) -> Option<&'static str> {
    let without =
        |short: &str| short.len() == word.len() + 1 && short.split('\'').collect::<String>() == word;
    WORDS.iter().map(|(short, _)| *short).find(|short| short.ends_with("n't") && without(short))
}

/// Finds the one form and puts the other in its place.
#[derive(Debug)]
pub(super) struct Contractor {
    finder: AhoCorasick,
    direction: Contractions,
}

impl Contractor {
    pub(super) fn new(direction: Contractions) -> Result<Self, CleanError> {
        let patterns: Vec<&str> = match direction {
            Contractions::Expand => WORDS.iter().map(|(short, _)| *short).collect(),
            Contractions::Contract => WORDS.iter().take(MADE).map(|(_, long)| *long).collect(),
        };
        let builder = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(patterns);
        let finder = builder.map_err(|error| CleanError::Setting {
            setting: "contractions",
            expected: "words that fit an automaton",
            found: error.to_string(),
        })?;
        Ok(Self { finder, direction })
    }

    pub(super) fn apply<'a>(&self, text: &'a str) -> Edited<'a> {
        match self.direction {
            Contractions::Expand if !text.contains(['\'', '’']) => Edited::unchanged(text),
            Contractions::Expand => self.expand(text),
            Contractions::Contract => self.contract(text),
        }
    }

    /// A curly apostrophe is read as a straight one.
    fn expand<'a>(&self, text: &'a str) -> Edited<'a> {
        let code = Code::of(text);
        let mut edit = Edit::of(text);
        for (at, _) in text.match_indices(['\'', '’']) {
            let range = word_around(text, at);
            let word = text[range.clone()].replace('’', "'");
            let found =
                self.finder.find(&word).filter(|found| found.start() == 0 && found.end() == word.len());
            let Some(found) = found else { continue };
            let (short, long) = WORDS[found.pattern().as_usize()];
            let rest = text[range.end..].trim_start();
            let had = short.ends_with("'s") && short != "let's" && is_participle(rest);
            let asks = short.ends_with("n't") && is_asked(short, &text[..range.start], rest);
            if !had && !asks && !code.contains(at) {
                edit.replace(range.clone(), &in_case_of(&word, long));
            }
        }
        edit.finish()
    }

    fn contract<'a>(&self, text: &'a str) -> Edited<'a> {
        let code = Code::of(text);
        let mut edit = Edit::of(text);
        for found in self.finder.find_iter(text) {
            let (range, pattern) = (found.range(), found.pattern().as_usize());
            let word = &text[range.clone()];
            if whole_word(text, &range)
                && !code.contains(range.start)
                && !text[range.end..].starts_with(['\'', '’'])
            {
                edit.replace(range, &in_case_of(word, WORDS[pattern].0));
            }
        }
        edit.finish()
    }
}

/// The letters on both sides of an apostrophe. No contraction has more than eight.
fn word_around(text: &str, at: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let apostrophe = if bytes[at] == b'\'' { 1 } else { '’'.len_utf8() };
    let letters = |bytes: &mut dyn Iterator<Item = &u8>| {
        bytes
            .take(9)
            .take_while(|byte| {
                byte.is_ascii_alphabetic() || byte.is_ascii_digit() || **byte == b'_' || !byte.is_ascii()
            })
            .count()
    };
    let before = letters(&mut bytes[..at].iter().rev());
    let after = letters(&mut bytes[at + apostrophe..].iter());
    text.floor_char_boundary(at - before)..text.ceil_char_boundary(at + apostrophe + after)
}

/// "didn't you", "why hasn't my card": no "did not you". What is not to be done ("don't go") is no question.
fn is_asked(short: &str, before: &str, rest: &str) -> bool {
    const SUBJECTS: [&str; 16] = [
        "i", "you", "u", "ya", "he", "she", "it", "we", "they", "this", "that", "there", "these", "those",
        "anyone", "anybody",
    ];
    let is_letter = |c: char| c.is_alphabetic();
    let next = rest.split(|c| !is_letter(c)).next().unwrap_or_default();
    let last = before.trim_end().rsplit(|c| !is_letter(c)).next().unwrap_or_default();
    let asked =
        ["why", "what", "how", "where", "when", "who"].iter().any(|word| word.eq_ignore_ascii_case(last));
    let starts = last.is_empty() && short != "don't";
    asked || starts || SUBJECTS.iter().any(|subject| subject.eq_ignore_ascii_case(next))
}

/// "it's been", "that's happened": the word after says that `'s` is has.
fn is_participle(rest: &str) -> bool {
    let word: String = rest.chars().take_while(|c| c.is_alphabetic()).collect::<String>().to_lowercase();
    let irregular = [
        "been", "got", "had", "done", "gone", "become", "come", "made", "taken", "gotten", "lost", "left",
        "sent", "not",
    ];
    irregular.contains(&&*word) || (word.len() > 4 && word.ends_with("ed")) || word.is_empty()
}

/// `with` in the case of `word`: all capitals, a capital first, or as it is.
pub(super) fn in_case_of(word: &str, with: &str) -> String {
    let letters = || word.chars().filter(|c| c.is_alphabetic());
    let upper = letters().nth(1).is_some() && letters().all(char::is_uppercase);
    if upper {
        return with.to_uppercase();
    }
    let mut rest = with.chars();
    match rest.next().filter(|_| letters().next().is_some_and(char::is_uppercase)) {
        Some(first) => first.to_uppercase().chain(rest).collect(),
        None => with.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expanded() {
        let contractor = Contractor::new(Contractions::Expand).expect("a contractor");
        for (text, expected) in [
            ("I can't and won't.", "I cannot and will not."),
            ("Don’t! I'M HERE. You're in", "Do not! I AM HERE. You are in"),
            ("Didn't you? I can't!", "Didn't you? I cannot!"),
            (
                "Why hasn't my card come? Isn't the card here?",
                "Why hasn't my card come? Isn't the card here?",
            ),
            ("it's late, it's been late", "it is late, it's been late"),
            ("the dog's bowl, he'd go, ain't it", "the dog's bowl, he'd go, ain't it"),
            ("`don't` 'don't'", "`don't` 'do not'"),
            ("who'll say what's new", "who will say what is new"),
        ] {
            assert_eq!(contractor.apply(text).text, expected);
            assert_eq!(contractor.apply(expected).changes, 0);
        }
    }

    #[test]
    fn contracted() {
        let contractor = Contractor::new(Contractions::Contract).expect("a contractor");
        for (text, expected) in [
            ("I cannot and Will not.", "I can't and Won't."),
            ("do nothing, undo not", "do nothing, undo not"),
            ("I am. I have a card", "I am. I have a card"),
        ] {
            assert_eq!(contractor.apply(text).text, expected);
            assert_eq!(contractor.apply(expected).changes, 0);
        }
    }
}
