//! Whether words are a name, by their roles and by what stands around them.

use super::cues::{self, Cue};
use super::marks;
use super::surroundings::{begins_sentence, heads_block, is_in_address, is_road_before, is_road_behind};
use super::word::{Role, Word};

/// What follows a name that is a firm's.
const FIRM_BEHIND: &[&str] = &[
    " & ",
    ", Inc",
    ", LLC",
    ", Ltd",
    " and Sons",
    " and Brothers",
    " and Daughters",
    " and Partners",
    " and Associates",
    " and Company",
    " and Co",
];

/// What decides over a name besides its words.
pub(super) struct Context {
    cue: Cue,
    is_upper: bool,
    has_number: bool,
    /// A short number follows on the line: a road and its house number.
    has_house_number: bool,
    /// The name is the first of a sentence or line.
    begins_sentence: bool,
    /// The line or a clause ends behind the name.
    ends_clause: bool,
    is_done_by_person: bool,
    /// A comma or `and` follows.
    goes_on: bool,
    /// `Smith & Sons`, `Smith, Inc`.
    pub(super) is_part_of_firm: bool,
    /// `and Sons`, `, Inc` follow, which no person's name has.
    is_followed_by_form: bool,
    /// Other capitalised words stand beside it.
    pub(super) is_in_title: bool,
    /// The word before could have made a pair with it, and did not.
    pub(super) is_rest_of_pair: bool,
    /// The name is the first line of a block with an address or a number.
    heads_block: bool,
    /// A line of an address: what stands behind or before it says so.
    is_in_address: bool,
}

impl Context {
    pub(super) fn new(
        text: &str,
        name: &[Word],
        cue: Cue,
        is_upper: bool,
        has_number: bool,
        is_inside: bool,
    ) -> Self {
        let (start, end) = (name[0].capital.start, name[name.len() - 1].capital.whole_end);
        let rest = &text[end..];
        let digits =
            rest.strip_prefix(' ').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
        let road = is_road_before(text, start) || is_road_behind(rest);
        Self {
            cue,
            is_upper,
            has_number: has_number || road,
            has_house_number: (1..=4).contains(&digits),
            begins_sentence: !is_inside && begins_sentence(text, start),
            ends_clause: rest.is_empty()
                || rest.starts_with([',', '.', '!', '?', '\n', '\r', ';', ':', ')', '"'])
                || rest.starts_with(" -"),
            goes_on: [", ", " and ", " & ", " und ", " y ", " et "]
                .iter()
                .any(|behind| rest.starts_with(behind)),
            is_done_by_person: cues::is_done_by_person(text, end),
            is_part_of_firm: FIRM_BEHIND.iter().any(|behind| rest.starts_with(behind))
                || text[..start].ends_with(" & "),
            is_followed_by_form: FIRM_BEHIND
                .iter()
                .any(|behind| *behind != " & " && rest.starts_with(behind)),
            is_in_title: false,
            is_rest_of_pair: false,
            heads_block: heads_block(text, start, end),
            is_in_address: is_in_address(text, start, end),
        }
    }

    /// Whether what stands around says that the words are a place or a firm's.
    pub(super) fn is_in_place(&self, name: &[Word]) -> bool {
        let is_firm = self.is_part_of_firm && (self.is_followed_by_form || name[0].role() != Role::Given);
        self.has_number || self.is_in_address || is_firm || (self.has_house_number && !is_sure(name))
    }

    /// How many of the words are a name, how surely and by which rule.
    pub(super) fn verdict(&self, name: &[Word]) -> Option<(usize, f32, &'static str)> {
        if let Some(found) = self.by_cue(name) {
            return Some(found);
        }
        if self.has_number || self.is_in_address || (self.has_house_number && !is_sure(name)) {
            return None;
        }
        if name.len() > 1 { self.by_pair(name) } else { self.by_itself(&name[0]) }
    }

    fn by_cue(&self, name: &[Word]) -> Option<(usize, f32, &'static str)> {
        let (first, all) = (name[0].role(), name.len());
        let is_doubtful = matches!(first, Role::DoubtfulGiven | Role::DoubtfulSurname);
        match self.cue {
            Cue::Honorific => Some((all, 0.95, "name-honorific")),
            _ if self.is_upper && all > 1 && first != Role::Given => None,
            Cue::Field | Cue::Introduction if !is_doubtful || all > 1 || self.ends_clause => {
                Some((all, 0.9, "name-field"))
            }
            Cue::List if first == Role::Given || self.ends_clause || self.goes_on => {
                Some((all, 0.75, "name-list"))
            }
            Cue::Greeting if self.is_upper && first != Role::Given => None,
            Cue::Greeting if first == Role::Given || (self.ends_clause && first != Role::DoubtfulSurname) => {
                Some((if self.ends_clause { all } else { 1 }, 0.85, "name-greeting"))
            }
            Cue::SignOff if self.ends_clause && !self.is_upper => Some((all, 0.85, "name-sign-off")),
            Cue::Person if !is_doubtful || all > 1 || name[0].flags.is_given() => {
                Some((all, 0.75, "name-person"))
            }
            Cue::Agent
                if all > 1
                    && !is_doubtful
                    && !self.is_part_of_firm
                    && !self.is_in_title
                    && self.are_small_words_around(name) =>
            {
                Some((all, 0.55, "name-agent"))
            }
            Cue::Agent if all == 1 && first == Role::Surname && self.ends_clause => {
                Some((all, 0.5, "name-agent"))
            }
            _ if self.is_done_by_person && all <= 2 && !(self.begins_sentence && is_doubtful) => {
                Some((all, 0.7, "name-speaker"))
            }
            _ => None,
        }
    }

    /// Two words and more.
    fn by_pair(&self, name: &[Word]) -> Option<(usize, f32, &'static str)> {
        let all = name.len();
        let (first, last) = (&name[0], &name[all - 1]);
        let (head, tail) = (first.role(), last.role());
        let is_frequent_tail = last.flags.is_frequent_surname();
        let is_tail = last.is_like_surname() || tail == Role::Given;
        let score = match head {
            _ if self.is_upper && !(head == Role::Given && is_tail) => return self.by_itself(first),
            _ if self.is_part_of_firm && head != Role::Given => return None,
            _ if self.cue == Cue::Place && !(head == Role::Given && is_tail) => return None,
            Role::Given if is_tail => 0.9,
            Role::Given if tail == Role::Unknown => 0.8,
            Role::Given if is_frequent_tail => 0.8,
            Role::Given if tail == Role::DoubtfulGiven => 0.65,
            Role::Given if tail == Role::DoubtfulSurname && !last.flags.is_word() => 0.65,
            Role::DoubtfulGiven
                if last.is_like_surname() && !(self.begins_sentence && last.flags.is_frequent_given()) =>
            {
                0.7
            }
            Role::Surname | Role::Unknown
                if last.is_like_surname() && self.is_unlike_acronym(first) && !self.is_in_title =>
            {
                0.6
            }
            _ if self.heads_block
                && all <= 3
                && !first.flags.is_word()
                && self.are_small_words_around(&name[1..])
                && !first.capital.is_upper =>
            {
                0.55
            }
            _ => return None,
        };
        Some((all, score, "name-pair"))
    }

    /// Not an acronym before a surname, such as a firm's or a ship's.
    fn is_unlike_acronym(&self, word: &Word) -> bool {
        self.is_upper || !word.capital.is_upper
    }

    /// Whether every word has small letters: no product, no heading.
    fn are_small_words_around(&self, name: &[Word]) -> bool {
        name.iter().all(|word| word.is_initial || (!word.capital.is_upper && !word.flags.is_word()))
    }

    /// One word.
    fn by_itself(&self, word: &Word) -> Option<(usize, f32, &'static str)> {
        let is_alone = !word.capital.is_upper
            && !self.is_part_of_firm
            && !self.is_in_title
            && !self.is_rest_of_pair
            && self.cue != Cue::Place;
        let is_name = match word.role() {
            Role::Given => {
                let is_long =
                    word.folded.len() > 3 || (word.folded.len() == 3 && word.flags.is_frequent_given());
                is_long && !word.flags.is_mostly_surname()
            }
            Role::Surname if word.flags.is_unknown() => marks::is_surely_surname(&word.folded),
            _ => false,
        };
        (is_alone && is_name).then_some((1, 0.55, "name-alone"))
    }
}

/// A given name with a surname: surely a person.
fn is_sure(name: &[Word]) -> bool {
    name.len() > 1 && name[0].role() == Role::Given && name[name.len() - 1].is_like_surname()
}
