//! Which of a text's capitalised words are persons.

use super::capitals::Capital;
use super::context::Context;
use super::cues::{self, Cue};
use super::gazetteer::{Flags, Gazetteer};
use super::marks;
use super::surroundings::{begins_sentence, is_number_before};
use super::word::{Role, Word};
use crate::entity::Entity;

/// A name of more words is a list without commas.
const MAX_NAME_WORDS: usize = 4;

/// Words of a run that are looked at beside a model's name.
const RUN_WORDS: usize = 8;

/// A name that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Name {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) entity: Entity,
    pub(super) score: f32,
    pub(super) rule: &'static str,
}

impl Name {
    pub(super) fn person(start: usize, end: usize, score: f32, rule: &'static str) -> Self {
        Self { start, end, entity: Entity::Person, score, rule }
    }
}

/// Finds names by cues and by the list.
pub(super) struct Judge<'g> {
    gazetteer: &'g Gazetteer,
    flags: Vec<Flags>,
    words: Vec<Word>,
}

impl<'g> Judge<'g> {
    pub(super) fn new(gazetteer: &'g Gazetteer) -> Self {
        Self { gazetteer, flags: Vec::new(), words: Vec::new() }
    }

    /// Adds the persons among the capitalised words of `text`.
    /// `is_asked`: the text before this one asked for a name.
    pub(super) fn judge(&mut self, text: &str, capitals: &[Capital], is_asked: bool, out: &mut Vec<Name>) {
        let mut from = 0;
        while from < capitals.len() {
            let mut to = from + 1;
            while to < capitals.len() && joins(text, &capitals[to - 1], &capitals[to]) {
                to += 1;
            }
            let run = &capitals[from..to];
            self.flags.clear();
            self.flags.extend(run.iter().map(|capital| self.gazetteer.flags(capital.of(text))));
            // Most runs are the first word of a sentence.
            if self.flags.iter().all(|flags| flags.is_no_name()) {
                from = to;
                continue;
            }
            self.words.clear();
            let words = run.iter().zip(&self.flags).map(|(&capital, &flags)| Word::new(text, capital, flags));
            self.words.extend(words);
            let is_answer = is_asked && from == 0 && capitals[0].start == 0;
            self.judge_run(text, is_answer, out);
            from = to;
        }
    }

    /// Whether nothing speaks against a model's name of the words from `from` to `to`: no firm, road or place, no part of an
    /// address. What stands behind a cue is a name whatever speaks against it.
    /// A single word in no list is one only where the model `is_sure`.
    pub(super) fn may_be_person(
        &mut self,
        text: &str,
        words: &[Capital],
        (from, to): (usize, usize),
        is_sure: bool,
    ) -> bool {
        let (mut first, mut last) = (from, to);
        while first > 0 && joins(text, &words[first - 1], &words[first]) && from - first < RUN_WORDS {
            first -= 1;
        }
        while last < words.len() && joins(text, &words[last - 1], &words[last]) && last - to < RUN_WORDS {
            last += 1;
        }
        self.words.clear();
        let looked_up = |&capital: &Capital| Word::new(text, capital, self.gazetteer.flags(capital.of(text)));
        self.words.extend(words[first..last].iter().map(looked_up));
        let (at, end) = (from - first, to - first);
        let cue = self.cue(text, at, None);
        if matches!(
            cue,
            Cue::Honorific | Cue::Introduction | Cue::Field | Cue::Greeting | Cue::SignOff | Cue::Person
        ) {
            return true;
        }
        let has_number = is_number_before(text, self.words[0].capital.start);
        // `Hania` of `Hania Bazid, 43 73313`: what follows the whole name speaks.
        let name = &self.words[at..end.max(self.extent(at, cue))];
        let context = Context::new(text, name, cue, false, has_number, at > 0);
        let is_place =
            self.words[at..end].iter().all(|word| word.flags.is_place() && word.flags.is_no_name());
        let is_doubtful = is_place
            || end - at == 1
                && !is_sure
                && !self.words[at].flags.is_given()
                && !self.words[at].flags.is_surname();
        !(is_doubtful
            || self.is_no_person(at, end, has_number)
            || context.is_in_place(name)
            || self.is_partner(text, words, from, to))
    }

    /// Whether a single surname stands in a firm's list of partners: `Davis, Reynolds and Williamson`.
    fn is_partner(&self, text: &str, words: &[Capital], from: usize, to: usize) -> bool {
        let is_list = |at: usize| {
            let Some([one, two, three]) = words.get(at..at + 3) else { return false };
            let flags = [one, two, three].map(|word| self.gazetteer.flags(word.of(text)));
            let is_mostly = flags.iter().filter(|flags| flags.is_mostly_surname()).count() >= 2;
            let is_cued = matches!(
                cues::before(text, one.start),
                Cue::Field | Cue::Honorific | Cue::Introduction | Cue::Person
            );
            let gaps = (&text[one.whole_end..two.start], &text[two.whole_end..three.start]);
            gaps == (", ", " and ") && flags.iter().all(|flags| flags.is_surname()) && is_mostly && !is_cued
        };
        to - from == 1 && (from.saturating_sub(2)..=from).any(is_list)
    }

    fn judge_run(&self, text: &str, is_answer: bool, out: &mut Vec<Name>) {
        let words = &self.words;
        let is_upper = words.iter().all(|word| word.capital.is_upper || word.is_initial);
        let mut at = 0;
        while at < words.len() {
            if words[at].role() == Role::Other {
                at += 1;
                continue;
            }
            let cue = if is_answer && at == 0 { Cue::Introduction } else { self.cue(text, at, out.last()) };
            match self.name_at(text, at, cue, is_upper) {
                Some((next, name)) => {
                    out.push(name);
                    at = next;
                }
                None => at += 1,
            }
        }
    }

    /// What stands before the word at `at`: a cue, or a name by a cue with `and` or a comma.
    fn cue(&self, text: &str, at: usize, previous: Option<&Name>) -> Cue {
        let start = self.words[at].capital.start;
        let is_list = |name: &Name| {
            let is_cued = matches!(name.rule, "name-field" | "name-honorific" | "name-list");
            is_cued
                && matches!(
                    &text[name.end..start],
                    ", " | " and " | ", and " | " & " | " und " | " y " | " et "
                )
        };
        if previous.filter(|name| name.end <= start).is_some_and(is_list) {
            return Cue::List;
        }
        let cue = cues::before(text, start);
        // `Cheriton Dr Springfield`: a drive.
        let is_drive = at > 1 && self.words[at - 1].folded == "dr" && cue == Cue::Honorific;
        if is_drive { Cue::None } else { cue }
    }

    /// The name that begins with the word at `at` of the run, and the first word behind it.
    fn name_at(&self, text: &str, at: usize, cue: Cue, is_upper: bool) -> Option<(usize, Name)> {
        let words = &self.words;
        let first = &words[at];
        let is_bare_initial = first.is_initial && !text[first.capital.end..].starts_with('.');
        if is_bare_initial || (first.is_initial && at + 1 == words.len()) {
            return None;
        }
        let end = self.extent(at, cue);
        let has_number = is_number_before(text, words[0].capital.start);
        if cue != Cue::Honorific && self.is_no_person(at, end, has_number) {
            return None;
        }
        let name = &words[at..end];
        let mut context = Context::new(text, name, cue, is_upper, has_number, at > 0);
        context.is_part_of_firm |= name.len() == 1 && self.is_list_of_surnames(text, name[0].capital.end);
        context.is_in_title = self.is_in_title(text, at, end);
        context.is_rest_of_pair = at > 0 && matches!(words[at - 1].role(), Role::Given | Role::Surname);
        let (length, score, rule) = context.verdict(name)?;
        let last = &name[length - 1];
        let span = Name::person(first.capital.start, last.capital.end, score, rule);
        Some((at + length, span))
    }

    /// One past the last word of the run that can belong to a name that begins at `at`.
    fn extent(&self, at: usize, cue: Cue) -> usize {
        let words = &self.words;
        let mut end = at + 1;
        while end < words.len() && end - at < MAX_NAME_WORDS {
            let word = &words[end];
            if marks::ends_name(&word.folded) {
                break;
            }
            if word.role() == Role::Other && !word.is_initial {
                // `Dr. Justin Beet`: a surname that only the dictionary knows.
                let is_last = end + 1 == words.len() && words[at].role() == Role::Given;
                if is_last
                    && matches!(cue, Cue::Honorific | Cue::Introduction | Cue::Field)
                    && !word.flags.is_place()
                {
                    end += 1;
                }
                break;
            }
            end += 1;
        }
        while end > at + 1 && words[end - 1].is_initial {
            end -= 1;
        }
        end
    }

    /// Whether what follows makes of the name the first of a firm's partners: `Thomas, Holt and Myers`.
    fn is_list_of_surnames(&self, text: &str, end: usize) -> bool {
        let Some(rest) = text[end..].strip_prefix(", ") else { return false };
        let mut partners = rest.splitn(3, [' ', '\n']);
        let (second, and, third) =
            (partners.next().unwrap_or_default(), partners.next(), partners.next().unwrap_or_default());
        let third = third
            .split(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '-' | '\'')))
            .next()
            .unwrap_or_default();
        let is_surname =
            |word: &str| word.starts_with(char::is_uppercase) && self.gazetteer.flags(word).is_surname();
        let is_mostly = self.gazetteer.flags(second).is_mostly_surname()
            || self.gazetteer.flags(third).is_mostly_surname();
        and == Some("and") && is_surname(second) && is_surname(third) && is_mostly
    }

    /// Whether words that are no names stand beside these in the run, as in `Credit Karma` and `Karma Police`. The first
    /// word of a sentence is none of those.
    fn is_in_title(&self, text: &str, at: usize, end: usize) -> bool {
        let words = &self.words;
        let beyond = words.get(end).is_some_and(|word| word.role() == Role::Other && !word.is_initial);
        let before = at.checked_sub(1).is_some_and(|before| {
            let word = &words[before];
            let is_first = before == 0 && begins_sentence(text, word.capital.start);
            !is_first
                && matches!(word.role(), Role::Other | Role::DoubtfulSurname)
                && cues::before(text, words[at].capital.start) == Cue::None
        });
        beyond || before
    }

    /// Whether the words from `at` to `end` are a firm, a road or a place.
    fn is_no_person(&self, at: usize, end: usize, has_number: bool) -> bool {
        let words = &self.words;
        let is_mark =
            |word: &Word| marks::is_organisation(&word.folded) || marks::is_road(&word.folded, has_number);
        let beyond = words[end..].iter().any(is_mark);
        let inside = words[at + 1..end].iter().any(is_mark);
        let before = at > 0
            && (marks::begins_road(&words[at - 1].folded)
                || marks::begins_place(&words[at - 1].folded)
                || marks::begins_ship(&words[at - 1].folded));
        let ship = marks::begins_ship(&words[at].folded);
        let itself = marks::is_road(&words[at].folded, false) && words[at].role() != Role::Given;
        let is_place = end - at >= 2 && marks::is_place(&words[at].folded, &words[end - 1].folded);
        let is_firm = end - at >= 2 && marks::is_firm(&words[at].folded, &words[end - 1].folded);
        beyond
            || inside
            || before
            || ship
            || itself
            || is_firm
            || is_place
            || marks::begins_road(&words[at].folded) && end - at > 1
    }
}

/// Whether two capitalised words stand side by side as those of one name do.
pub(super) fn joins(text: &str, left: &Capital, right: &Capital) -> bool {
    if left.whole_end != left.end {
        return false;
    }
    let gap = &text[left.end..right.start];
    match gap {
        " " | "\u{a0}" => true,
        ". " | "." => left.is_initial(text),
        _ => gap.starts_with(' ') && gap.ends_with(' ') && marks::are_particles(gap),
    }
}
