//! What stands before a name and says that it is one. All words are folded and sorted.

use super::cue_words::{Classes, INTRODUCTIONS, PLACES};
use super::fold::fold;

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
    match last {
        '?' if asks_for_name(trimmed) => Cue::Introduction,
        '?' => Cue::None,
        ':' => LastWords::of(trimmed).field(),
        '.' if !has_break => LastWords::of(trimmed).abbreviation(),
        ',' | '.' | '!' | '-' if has_break || last == ',' => LastWords::of(trimmed).sign_off(),
        '.' | ',' | '!' | '-' => Cue::None,
        _ if has_break => LastWords::of(trimmed).sign_off(),
        _ => LastWords::of(trimmed).phrase(),
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

/// The last two words of what stands before a name, folded.
struct LastWords {
    last: String,
    before: String,
    classes: Classes,
}

impl LastWords {
    fn of(text: &str) -> Self {
        let is_apart = |letter: char| !(letter.is_alphanumeric() || matches!(letter, '\'' | '’' | '-'));
        let mut words = text.trim_end_matches('-').rsplit(is_apart).filter(|word| !word.is_empty());
        let last = fold(words.next().unwrap_or_default());
        let classes = Classes::of(&last);
        Self { last, classes, before: fold(words.next().unwrap_or_default()) }
    }

    fn field(&self) -> Cue {
        let of_things = ["company", "domain", "file", "host", "product", "user", "business"];
        let is_thing = self.last == "name" && is_in(&of_things, &self.before);
        if self.classes.has(Classes::GROUPS) || (self.classes.has(Classes::FIELDS) && !is_thing) {
            Cue::Field
        } else if self.classes.has(Classes::WEAK_FIELDS) {
            Cue::Agent
        } else if self.classes.has(Classes::PLACE_FIELDS) {
            Cue::Place
        } else {
            Cue::None
        }
    }

    fn abbreviation(&self) -> Cue {
        // Longer words end a sentence.
        if self.last.len() <= 5 && self.classes.has(Classes::HONORIFICS) { Cue::Honorific } else { Cue::None }
    }

    fn sign_off(&self) -> Cue {
        let is_thanks = self.last != "you" || is_in(&["thank", "thanking"], &self.before);
        if self.classes.has(Classes::SIGN_OFFS) && is_thanks { Cue::SignOff } else { Cue::None }
    }

    fn phrase(&self) -> Cue {
        let is_in_table = |table: &[(&str, &[&str])]| {
            let fits = |&(word, needed): &(&str, &[&str])| {
                word == self.last && (needed.is_empty() || is_in(needed, &self.before))
            };
            table.iter().any(fits)
        };
        let spoken = ["spoke", "speak", "speaking", "talk", "talked", "talking", "married", "engaged"];
        let is_spoken = matches!(self.last.as_str(), "with" | "to") && is_in(&spoken, &self.before);
        if self.classes.has(Classes::HONORIFICS) {
            Cue::Honorific
        } else if is_in_table(INTRODUCTIONS) {
            Cue::Introduction
        } else if self.classes.has(Classes::GREETINGS) {
            Cue::Greeting
        } else if self.classes.has(Classes::PERSONS) || is_spoken {
            Cue::Person
        } else if self.classes.has(Classes::AGENTS) {
            Cue::Agent
        } else if is_in_table(PLACES) {
            Cue::Place
        } else {
            Cue::None
        }
    }
}

/// Whether what follows a name is done by persons only.
pub(super) fn is_done_by_person(text: &str, end: usize) -> bool {
    let rest = text[end..].strip_prefix(' ').unwrap_or_default();
    let word = rest.split(|letter: char| !letter.is_ascii_lowercase()).next().unwrap_or_default();
    Classes::of(word).has(Classes::DONE_BY_PERSONS)
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
