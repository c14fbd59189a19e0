//! Which of a text's capitalised words are persons.

use super::capitals::Capital;
use super::cues::{self, Cue};
use super::fold::fold;
use super::gazetteer::{Flags, Gazetteer};
use super::marks;

/// A name of more words is a list without commas.
const MAX_NAME_WORDS: usize = 4;

/// A name that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Name {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) score: f32,
    pub(super) rule: &'static str,
}

/// One capitalised word, looked up.
#[derive(Clone, Debug)]
struct Word {
    capital: Capital,
    folded: String,
    flags: Flags,
    is_initial: bool,
}

/// What a word can be in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A given name and nothing else.
    Given,
    /// A given name that is a word or a place too: Will, Paris.
    DoubtfulGiven,
    /// A surname and no word.
    Surname,
    /// A surname that is a word or a place too: Baker, Lincoln.
    DoubtfulSurname,
    /// In no list.
    Unknown,
    /// A word or a place, and no name.
    Other,
}

impl Word {
    fn new(gazetteer: &Gazetteer, text: &str, capital: Capital) -> Self {
        let folded = fold(capital.of(text));
        let flags = gazetteer.folded(&folded);
        Self { capital, folded, flags, is_initial: capital.is_initial(text) }
    }

    fn role(&self) -> Role {
        let flags = self.flags;
        if flags.is_surely_given() {
            Role::Given
        } else if flags.is_given() && !flags.is_unknown() {
            Role::DoubtfulGiven
        } else if flags.is_surely_surname() {
            Role::Surname
        } else if flags.is_surname() {
            Role::DoubtfulSurname
        } else if !flags.is_unknown() {
            Role::Other
        } else if marks::is_like_surname(&self.folded) {
            Role::Surname
        } else {
            Role::Unknown
        }
    }

    fn is_like_surname(&self) -> bool {
        matches!(self.role(), Role::Surname) || self.flags.is_surely_surname()
    }
}

/// Finds names by cues and by the list.
pub(super) struct Judge<'g> {
    gazetteer: &'g Gazetteer,
    words: Vec<Word>,
}

impl<'g> Judge<'g> {
    pub(super) fn new(gazetteer: &'g Gazetteer) -> Self {
        Self { gazetteer, words: Vec::new() }
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
            self.words.clear();
            self.words
                .extend(capitals[from..to].iter().map(|&capital| Word::new(self.gazetteer, text, capital)));
            let is_answer = is_asked && from == 0 && capitals[0].start == 0;
            self.judge_run(text, is_answer, out);
            from = to;
        }
    }

    fn judge_run(&self, text: &str, is_answer: bool, out: &mut Vec<Name>) {
        let words = &self.words;
        let is_upper = words.iter().all(|word| word.capital.is_upper || word.is_initial);
        let mut at = 0;
        while at < words.len() {
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
        if first.role() == Role::Other || is_bare_initial || (first.is_initial && at + 1 == words.len()) {
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
        let span = Name { start: first.capital.start, end: last.capital.end, score, rule };
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

/// What decides over a name besides its words.
struct Context {
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
    is_part_of_firm: bool,
    /// Other capitalised words stand beside it.
    is_in_title: bool,
    /// The word before could have made a pair with it, and did not.
    is_rest_of_pair: bool,
    /// The name is the first line of a block with an address or a number.
    heads_block: bool,
    /// A line of an address: what stands behind or before it says so.
    is_in_address: bool,
}

impl Context {
    fn new(text: &str, name: &[Word], cue: Cue, is_upper: bool, has_number: bool, is_inside: bool) -> Self {
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
            is_in_title: false,
            is_rest_of_pair: false,
            heads_block: heads_block(text, start, end),
            is_in_address: is_in_address(text, start, end),
        }
    }

    /// How many of the words are a name, how surely and by which rule.
    fn verdict(&self, name: &[Word]) -> Option<(usize, f32, &'static str)> {
        if let Some(found) = self.by_cue(name) {
            return Some(found);
        }
        let is_sure =
            name.len() > 1 && name[0].role() == Role::Given && name[name.len() - 1].is_like_surname();
        if self.has_number || self.is_in_address || (self.has_house_number && !is_sure) {
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
            Role::Given if tail == Role::DoubtfulSurname || tail == Role::DoubtfulGiven => 0.65,
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

/// Whether two capitalised words stand side by side as those of one name do.
fn joins(text: &str, left: &Capital, right: &Capital) -> bool {
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

/// Whether a number stands directly before `start` on the line, as before the name of a road.
fn is_number_before(text: &str, start: usize) -> bool {
    let before = text[..start].trim_end_matches(' ');
    let digits = before.bytes().rev().take_while(u8::is_ascii_digit).count();
    let number = &before[before.len() - digits..];
    let is_year = digits == 4 && (number.starts_with("19") || number.starts_with("20"));
    before.len() < start && digits > 0 && !is_year
}

/// Whether the word before `start` begins the name of a road: `rue `, `ul. `.
pub(super) fn is_road_before(text: &str, start: usize) -> bool {
    let before = text[..start].trim_end_matches([' ', '.']);
    let word = before.rsplit(|letter: char| !letter.is_alphabetic()).next().unwrap_or_default();
    // In English `via` is a preposition: there a road's number follows or stands before.
    before.len() < start
        && !word.is_empty()
        && !word.eq_ignore_ascii_case("via")
        && marks::begins_road(&fold(word))
}

/// Whether a kind of road in small letters follows: ` út 78`, ` u. 12`.
fn is_road_behind(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix(' ') else { return false };
    let word = rest.split(|letter: char| !letter.is_alphabetic()).next().unwrap_or_default();
    let is_long = word.chars().nth(1).is_some() || rest[word.len()..].starts_with('.');
    is_long && word.starts_with(char::is_lowercase) && marks::ends_road(&fold(word))
}

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

/// The last character before `start` that is no space, quote or bracket.
fn last_sign(text: &str, start: usize) -> Option<char> {
    text[..start].trim_end_matches([' ', '"', '“', '\'', '(', '*', '\u{a0}']).chars().next_back()
}

/// Whether the word at `start` is the first of a sentence or of a line.
fn begins_sentence(text: &str, start: usize) -> bool {
    last_sign(text, start)
        .is_none_or(|sign| matches!(sign, '.' | '!' | '?' | '\n' | '\r' | ':' | '-' | '>' | '|' | ']' | '…'))
}

/// Whether the span is a place's name in an address: a line behind `Apt. 7`, or before a number of a postal code.
fn is_in_address(text: &str, start: usize, end: usize) -> bool {
    let rest = &text[end..];
    // `Springfield, IL 62701`, `Springfield 62701`, `, 43 73313`.
    let behind = rest.trim_start_matches([',', ' ']);
    let region = behind.trim_start_matches(|letter: char| letter.is_ascii_uppercase());
    let is_region =
        behind.len() - region.len() <= 3 && (behind.len() > region.len() || behind.len() < rest.len());
    let code = region.trim_start_matches(' ');
    let digits = code.bytes().take_while(u8::is_ascii_digit).count();
    if is_region
        && rest.starts_with([',', ' '])
        && (digits == 5 || (digits > 0 && behind.len() > region.len()))
    {
        return true;
    }
    // `ul. Cicha 86 and Leokadia Trail 3`: a crossing.
    if let Some(crossing) = rest.strip_prefix(" and ") {
        let mut words = crossing.split([' ', '\n']);
        if words.by_ref().take(4).any(|word| word.starts_with(|first: char| first.is_ascii_digit())) {
            return true;
        }
    }
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let alone_before = !text[line_start..start].contains(char::is_alphanumeric);
    let alone_behind = rest.is_empty() || rest.starts_with(['\n', '\r']) || rest.starts_with(" \n");
    if !(alone_before && alone_behind && line_start > 0) {
        return false;
    }
    let above = text[..line_start - 1].rsplit('\n').next().unwrap_or_default().trim();
    let below = rest
        .trim_start_matches([' ', '\r'])
        .strip_prefix('\n')
        .and_then(|rest| rest.split('\n').next())
        .unwrap_or_default()
        .trim();
    let ends_with_number = |line: &str| line.bytes().rev().take_while(u8::is_ascii_digit).count();
    let is_unit =
        |line: &str| fold(line).split(' ').any(|word| marks::ends_name(word.trim_matches(['.', ',', '#'])));
    above.ends_with(|last: char| last.is_ascii_digit()) && (is_unit(above) || ends_with_number(below) >= 4)
}

/// Lines below the first one of a block that are looked at for a number.
const BLOCK_LINES: usize = 4;

/// Whether the span is a line of its own, the first of a block, with a number in one of the next lines: a letterhead, a
/// business card, an address.
fn heads_block(text: &str, start: usize, end: usize) -> bool {
    let (before, rest) = (&text[..start], &text[end..]);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let is_line = !before[line_start..].contains(char::is_alphanumeric)
        && rest.trim_start_matches([' ', '\r', ',']).starts_with('\n');
    let is_first =
        before[..line_start].trim_end_matches([' ', '\r']).strip_suffix('\n').is_none_or(|above| {
            let line = above.trim_end_matches([' ', '\r']).rsplit('\n').next().unwrap_or_default();
            !line.contains(char::is_alphanumeric)
        });
    let below = || rest.split('\n').skip(1).filter(|line| !line.trim().is_empty()).take(BLOCK_LINES);
    is_line && is_first && below().any(|line| line.contains(|sign: char| sign.is_ascii_digit()))
}
