//! Names of persons: word by word, so that `Anna`, `Anna Schmidt` and `a.schmidt@` stay one person.

use std::collections::{HashMap, HashSet};

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::super::draw::Key;
use super::words::{MEN, SURNAMES, WOMEN};

/// Which part of a name a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Given,
    Family,
}

/// Words of a name that are nobody's own.
#[rustfmt::skip]
const KEPT: &[&str] = &[
    "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "sir", "madam", "rev", "capt", "frau", "herr", "herrn", "dipl",
    "ing", "med", "madame", "monsieur", "mme", "mlle", "señor", "señora", "sr", "sra", "don", "doña", "signor", "signora", "jr",
    "ii", "iii", "iv", "phd", "md", "von", "van", "der", "den", "de", "del", "della", "di", "da", "dos", "la", "le", "zu", "zum",
    "zur", "bin", "ibn", "al", "el", "ten", "ter", "and", "und", "et", "y",
];

/// Titles behind which a family name stands.
#[rustfmt::skip]
const TITLES: &[&str] = &[
    "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "frau", "herr", "herrn", "madame", "monsieur", "mme", "mlle", "señor",
    "señora", "signor", "signora",
];

/// The words of a record's names and what stands in for them.
#[derive(Default)]
pub(super) struct Persons {
    roles: HashMap<String, Role>,
    stand_ins: HashMap<(Role, String), String>,
    /// Stand-ins given out, and words that are names of the record: none of them is a stand-in for another word.
    taken: HashSet<String>,
    /// Given names behind a title that says which list they are of.
    lists: HashMap<String, &'static [&'static str]>,
    /// Through a set each word is drawn by itself: what others were given must not count.
    through_set: bool,
}

impl Persons {
    pub(super) fn new(through_set: bool) -> Self {
        Self { through_set, ..Self::default() }
    }

    /// Learns from a name found in the record, and from the title before it, which of its words is given and which the family's.
    pub(super) fn learn(&mut self, name: &str, before: &str) {
        let words: Vec<String> = words(name).filter(|word| !is_kept(word)).map(fold).collect();
        let turned = name.contains(',');
        self.taken.extend(words.iter().cloned());
        if words.len() < 2 {
            return;
        }
        let family = if turned { 0 } else { words.len() - 1 };
        let titles = self::words(tail(before)).last().into_iter().chain(self::words(name));
        let list = titles.filter_map(list_of_title).next().filter(|_| !self.through_set && !turned);
        if let Some(list) = list {
            self.lists.entry(words[0].clone()).or_insert(list);
        }
        for (place, word) in words.into_iter().enumerate() {
            let role = if place == family { Role::Family } else { Role::Given };
            self.roles.entry(word).or_insert(role);
        }
    }

    /// The name with each of its words replaced; titles, particles, signs, the case and the order stay. `before` is the text
    /// before the name.
    pub(super) fn rename(&mut self, key: &Key, name: &str, before: &str) -> String {
        let own = words(name).filter(|word| !is_kept(word)).count();
        let turned = name.contains(',');
        let titled = words(name).any(is_title) || words(tail(before)).last().is_some_and(is_title);
        let mut renamed = String::with_capacity(name.len());
        let mut place = 0;
        for piece in pieces(name) {
            if !piece.starts_with(char::is_alphabetic) || is_kept(piece) {
                renamed.push_str(piece);
                continue;
            }
            let last = if turned { place == 0 } else { place + 1 == own };
            let position = if last && own > 1 || own == 1 && titled { Role::Family } else { Role::Given };
            place += 1;
            renamed.push_str(&self.word(key, position, piece));
        }
        renamed
    }

    /// What stands in for one word, in its case. An initial is the initial of the stand-in for the name it begins.
    pub(super) fn word(&mut self, key: &Key, position: Role, word: &str) -> String {
        let folded = fold(word);
        let role = self.roles.get(&folded).copied().unwrap_or(position);
        if folded.chars().count() == 1 {
            return in_case(word, &self.initial(key, role, &folded));
        }
        in_case(word, &self.stand_in(key, role, &folded))
    }

    fn initial(&mut self, key: &Key, role: Role, folded: &str) -> String {
        let begins =
            |word: &String| word.starts_with(folded) && word != folded && self.roles.get(word) == Some(&role);
        let drawn = match self.known().into_iter().find(begins) {
            Some(word) => self.stand_in(key, role, &word),
            None => self.stand_in(key, role, folded),
        };
        drawn.chars().take(1).collect()
    }

    fn stand_in(&mut self, key: &Key, role: Role, folded: &str) -> String {
        /// More tries than it takes to find the last free name of a list.
        const TRIES: u32 = 400;
        /// Where more names are taken than the lists have, a name that is free is not looked for long.
        const FEW_TRIES: u32 = 8;
        if let Some(known) = self.stand_ins.get(&(role, folded.to_owned())) {
            return known.clone();
        }
        let mut drawn = String::new();
        let all_taken = self.taken.len() > 2 * (WOMEN.len() + MEN.len() + SURNAMES.len());
        for attempt in 0..if all_taken { FEW_TRIES } else { TRIES } {
            drawn = draw(key, role, folded, self.lists.get(folded).copied(), attempt);
            let taken = !self.through_set && self.taken.contains(&fold(&drawn));
            if fold(&drawn) != folded && !taken {
                break;
            }
        }
        self.taken.insert(fold(&drawn));
        self.stand_ins.insert((role, folded.to_owned()), drawn.clone());
        drawn
    }

    /// Whether a word is part of a name of the record.
    pub(super) fn knows(&self, folded: &str) -> bool {
        self.roles.contains_key(folded)
    }

    /// The words of the record's names, the longest first; none where there are so many that a word would begin or end with one by
    /// chance, and looking would take long.
    pub(super) fn known(&self) -> Vec<String> {
        /// More names than a conversation has.
        const MOST: usize = 100;
        if self.roles.len() > MOST {
            return Vec::new();
        }
        let mut known: Vec<String> = self.roles.keys().cloned().collect();
        known.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        known
    }
}

/// A name from the list that the word is of, as far as it is on one.
fn draw(key: &Key, role: Role, folded: &str, list: Option<&[&str]>, attempt: u32) -> String {
    let among = |list: &[&str]| list.iter().any(|name| name.eq_ignore_ascii_case(folded));
    let mut draw = key.draw(if role == Role::Given { "given name" } else { "family name" }, folded, attempt);
    let list = match (role, list) {
        (Role::Family, _) => SURNAMES,
        (Role::Given, Some(list)) => list,
        _ if among(WOMEN) => WOMEN,
        _ if among(MEN) => MEN,
        _ if folded.ends_with('a') => WOMEN,
        _ => [WOMEN, MEN][draw.below(2)],
    };
    draw.pick(list).to_owned()
}

/// Small letters without marks: `Müller`, `MULLER` and `muller` are one.
pub(super) fn fold(word: &str) -> String {
    word.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect()
}

/// `drawn` in the case of `word`: small, capitals or as it is.
pub(super) fn in_case(word: &str, drawn: &str) -> String {
    let letters = || word.chars().filter(|c| c.is_alphabetic());
    if letters().all(char::is_lowercase) {
        return drawn.to_lowercase();
    }
    if letters().count() > 1 && letters().all(char::is_uppercase) {
        return drawn.to_uppercase();
    }
    drawn.to_owned()
}

/// Words and what stands between them, in order.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let in_word = |c: char| c.is_alphabetic() || is_combining_mark(c) || matches!(c, '\'' | '’');
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let is_word = first.is_alphabetic();
        let end =
            rest.find(|c: char| if is_word { !in_word(c) } else { c.is_alphabetic() }).unwrap_or(rest.len());
        let (piece, behind) = rest.split_at(end);
        rest = behind;
        Some(piece)
    })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter(|piece| piece.starts_with(char::is_alphabetic))
}

fn is_kept(word: &str) -> bool {
    KEPT.contains(&word.to_lowercase().as_str())
}

fn is_title(word: &str) -> bool {
    TITLES.contains(&word.to_lowercase().as_str())
}

/// The names that go with a title, if it says so.
fn list_of_title(word: &str) -> Option<&'static [&'static str]> {
    match word.to_lowercase().as_str() {
        "mr" | "sir" | "herr" | "herrn" | "monsieur" | "señor" | "signor" => Some(MEN),
        "mrs" | "ms" | "miss" | "madam" | "frau" | "madame" | "mme" | "mlle" | "señora" | "signora" => {
            Some(WOMEN)
        }
        _ => None,
    }
}

/// The last bytes before a name, where its title stands.
fn tail(before: &str) -> &str {
    const TITLE_BYTES: usize = 16;
    &before[before.ceil_char_boundary(before.len().saturating_sub(TITLE_BYTES))..]
}
