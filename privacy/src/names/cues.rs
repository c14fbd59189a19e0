//! What stands before a name and says that it is one. All words are folded and sorted.

use super::cue_words::{
    AGENTS, DONE_BY_PERSONS, FIELDS, GREETINGS, GROUPS, HONORIFICS, INTRODUCTIONS, PERSONS, PLACES,
    SIGN_OFFS, WEAK_FIELDS,
};
use super::fold::fold_into;

/// What the text before a word says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cue {
    /// Nothing.
    None,
    /// `Mr`, `Dr.`, `Señora`: whatever follows is a surname or a name.
    Honorific,
    /// `my name is`, `je m'appelle`: whatever follows is a name, if it is no common word.
    Introduction,
    /// `Name:`, `Directed by:`: the same.
    Field,
    /// `Dear`, `Hi`: a name if the greeting ends behind it.
    Greeting,
    /// `Regards,` and a line break: a name if the line ends behind it.
    SignOff,
    /// `said`, `married`, `my wife`: what follows is a person.
    Person,
    /// A name by a cue and a comma or `and`.
    List,
    /// `in`, `moved to`: what follows is a place, if it is one word.
    Place,
    /// `by`, `with`, `I'm`, `From:`: a person or something else.
    Agent,
}

/// Bytes before a word that are looked at: a cue of the longest kind (`Mit freundlichen Grüßen`) and some space.
const WINDOW_BYTES: usize = 48;

/// What stands before the word at `start` of `text`.
pub(super) fn before(text: &str, start: usize) -> Cue {
    let mut from = start.saturating_sub(WINDOW_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let window = &text[from..start];
    let trimmed =
        window.trim_end_matches([' ', '\t', '\n', '\r', '"', '“', '„', '«', '*', '(', '\u{a0}', '>']);
    let has_break = window[trimmed.len()..].contains('\n');
    let Some(last) = trimmed.chars().next_back() else { return Cue::None };
    if !(last.is_alphabetic() || matches!(last, ':' | '.' | ',' | '!' | '-' | '?')) {
        return Cue::None;
    }
    let mut folded = String::with_capacity(trimmed.len() + 8);
    fold_into(trimmed, &mut folded);
    match last {
        '?' if asks_for_name(trimmed) => Cue::Introduction,
        '?' => Cue::None,
        ':' => field(folded.trim_end_matches([':', ' '])),
        '.' if !has_break => of_abbreviation(folded.trim_end_matches('.')),
        ',' | '.' | '!' | '-' if has_break || last == ',' => {
            sign_off(folded.trim_end_matches([',', '.', '!', '-', ' ']))
        }
        '.' | ',' | '!' | '-' => Cue::None,
        _ if has_break => sign_off(&folded),
        _ => of_words(&folded),
    }
}

/// Whether a text ends with a question for a name, so that what follows is one.
pub(super) fn asks_for_name(text: &str) -> bool {
    let Some(question) = text.trim_end().strip_suffix('?') else { return false };
    let word = question.trim_end().rsplit(|letter: char| !letter.is_alphabetic()).next().unwrap_or_default();
    ["name", "nombre", "nom", "nome", "naam", "namn", "navn", "nimi", "heissen", "heißen", "surname"]
        .iter()
        .any(|one| word.eq_ignore_ascii_case(one))
}

fn is_in(words: &[&str], word: &str) -> bool {
    words.contains(&word)
}

/// The last two words of `text`, the last first.
fn last_words(text: &str) -> (&str, &str) {
    let is_apart = |letter: char| !(letter.is_alphanumeric() || matches!(letter, '\'' | '-'));
    let mut words = text.rsplit(is_apart).filter(|word| !word.is_empty());
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

fn field(label: &str) -> Cue {
    let (last, before) = last_words(label);
    if GROUPS.contains(last) {
        Cue::Field
    } else if FIELDS.contains(last)
        && !(last == "name"
            && is_in(&["company", "domain", "file", "host", "product", "user", "business"], before))
    {
        Cue::Field
    } else if WEAK_FIELDS.contains(last) {
        Cue::Agent
    } else {
        Cue::None
    }
}

fn of_abbreviation(text: &str) -> Cue {
    let (last, _) = last_words(text);
    // Longer words end a sentence.
    if last.len() <= 5 && HONORIFICS.contains(last) { Cue::Honorific } else { Cue::None }
}

fn sign_off(line: &str) -> Cue {
    let (last, before) = last_words(line);
    let is_thanks = last != "you" || is_in(&["thank", "thanking"], before);
    if SIGN_OFFS.contains(last) && is_thanks { Cue::SignOff } else { Cue::None }
}

fn of_words(text: &str) -> Cue {
    let (last, before) = last_words(text);
    let introduces =
        |&(word, needed): &(&str, &[&str])| word == last && (needed.is_empty() || is_in(needed, before));
    if HONORIFICS.contains(last) {
        Cue::Honorific
    } else if INTRODUCTIONS.iter().any(introduces) {
        Cue::Introduction
    } else if GREETINGS.contains(last) {
        Cue::Greeting
    } else if PERSONS.contains(last)
        || (is_in(&["with", "to"], last)
            && is_in(
                &["spoke", "speak", "speaking", "talk", "talked", "talking", "married", "engaged"],
                before,
            ))
    {
        Cue::Person
    } else if AGENTS.contains(last) {
        Cue::Agent
    } else if PLACES.iter().any(introduces) {
        Cue::Place
    } else {
        Cue::None
    }
}

/// Whether what follows a name is done by persons only.
pub(super) fn is_done_by_person(text: &str, end: usize) -> bool {
    let rest = text[end..].strip_prefix(' ').unwrap_or_default();
    let word = rest.split(|letter: char| !letter.is_ascii_lowercase()).next().unwrap_or_default();
    DONE_BY_PERSONS.contains(word)
}

#[cfg(test)]
mod tests {
    use super::{Cue, before};

    #[track_caller]
    fn assert_cue(text: &str, expected: Cue) {
        assert_eq!(before(text, text.len()), expected, "{text:?}");
    }

    #[test]
    fn cues_are_seen_in_several_languages() {
        assert_cue("Please ask Mr. ", Cue::Honorific);
        assert_cue("an Herrn ", Cue::Honorific);
        assert_cue("Estimada Sra. ", Cue::Honorific);
        assert_cue("Hello, my name is ", Cue::Introduction);
        assert_cue("Guten Tag, ich heiße ", Cue::Introduction);
        assert_cue("Je m'appelle ", Cue::Introduction);
        assert_cue("Me llamo ", Cue::Introduction);
        assert_cue("Full name: ", Cue::Field);
        assert_cue("Directed By:    ", Cue::Field);
        assert_cue("File name: ", Cue::None);
        assert_cue("From: ", Cue::Agent);
        assert_cue("Sehr geehrte ", Cue::Greeting);
        assert_cue("Best regards,\n\n", Cue::SignOff);
        assert_cue("Mit freundlichen Grüßen\n", Cue::SignOff);
        assert_cue("Thank you,\n", Cue::SignOff);
        assert_cue("I'll see you,\n", Cue::None);
        assert_cue("\"Never!\" said ", Cue::Person);
        assert_cue("a song by ", Cue::Agent);
        assert_cue("What's your last name? ", Cue::Introduction);
        assert_cue("our three founders: ", Cue::Field);
        assert_cue("She lives in ", Cue::Place);
        assert_cue("he came back to ", Cue::Place);
    }

    #[test]
    fn other_words_are_no_cues() {
        assert_cue("", Cue::None);
        assert_cue("We gave it to ", Cue::None);
        assert_cue("He is a doctor. ", Cue::None);
        assert_cue("€", Cue::None);
    }
}
