//! Whether an answer says what its sources say: by rules, without a model.
//!
//! Numbers, dates, names and addresses of an answer are looked for in the sources (the context, the reference), and each
//! sentence is unsupported if most of its content words are in none of them. A fact that is found may still be said of the
//! wrong thing, and a paraphrase may have no word in common: the spans are there to be looked at.

mod addresses;
mod dates;
mod names;
mod numbers;
mod sentences;
#[cfg(test)]
mod tests;
mod words;

use std::collections::HashSet;
use std::ops::{AddAssign, Range};

use serde::Serialize;

pub use sentences::sentences;

use dates::Date;
use words::capitalises_nouns;

/// What can be supported or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimKind {
    /// A number, in digits, or in words before a unit of time or money.
    Number,
    /// A day, a day of a month, or a month of a year.
    Date,
    /// Capitalised words within a sentence.
    Name,
    /// A URL, a domain or an e-mail address.
    Address,
    /// A sentence that says something.
    Sentence,
}

/// All kinds, as [`Counts`] has them.
pub const KINDS: [ClaimKind; 5] =
    [ClaimKind::Number, ClaimKind::Date, ClaimKind::Name, ClaimKind::Address, ClaimKind::Sentence];

/// A part of an answer that no source supports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unsupported {
    /// What it is.
    pub kind: ClaimKind,
    /// Its first byte in the answer.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
    /// Its text.
    pub text: String,
}

/// Claims of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All.
    pub claims: u64,
    /// Those that no source supports.
    pub unsupported: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.claims += other.claims;
        self.unsupported += other.unsupported;
    }
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Groundedness {
    /// Claims by kind, in the order of [`KINDS`].
    pub counts: [Counts; 5],
    /// What is not supported, in the order of the answer.
    pub unsupported: Vec<Unsupported>,
}

impl Groundedness {
    /// The claims of one kind.
    #[must_use]
    pub fn of(&self, kind: ClaimKind) -> Counts {
        self.counts[kind as usize]
    }

    /// Whether everything that was looked at is supported.
    #[must_use]
    pub fn is_grounded(&self) -> bool {
        self.unsupported.is_empty()
    }
}

/// Many answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GroundednessSum {
    /// Answers.
    pub answers: u64,
    /// Answers with something that no source supports.
    pub ungrounded_answers: u64,
    /// Claims by kind, in the order of [`KINDS`].
    pub counts: [Counts; 5],
}

impl GroundednessSum {
    /// The part of the answers with something that no source supports: the rate of hallucination.
    #[must_use]
    pub fn hallucination_rate(&self) -> f64 {
        self.ungrounded_answers as f64 / self.answers.max(1) as f64
    }

    /// The part of all claims that no source supports.
    #[must_use]
    pub fn unsupported_rate(&self) -> f64 {
        let sum = self.counts.iter().fold(Counts::default(), |mut sum, counts| {
            sum += *counts;
            sum
        });
        sum.unsupported as f64 / sum.claims.max(1) as f64
    }
}

impl AddAssign<&Groundedness> for GroundednessSum {
    fn add_assign(&mut self, answer: &Groundedness) {
        self.answers += 1;
        self.ungrounded_answers += u64::from(!answer.is_grounded());
        for (sum, counts) in self.counts.iter_mut().zip(answer.counts) {
            *sum += counts;
        }
    }
}

/// What answers are held against.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    numbers: HashSet<String>,
    dates: Vec<Date>,
    addresses: HashSet<String>,
    stems: HashSet<String>,
    /// Whether they are in a language such as German, where a capital makes no name.
    nouns_are_capitalised: bool,
}

impl Sources {
    /// The context, the reference and whatever else an answer may draw on, the question too.
    #[must_use]
    pub fn new(texts: &[&str]) -> Self {
        let mut sources = Self { nouns_are_capitalised: capitalises_nouns(texts), ..Self::default() };
        for text in texts {
            sources.dates.extend(dates::find(text).into_iter().flat_map(|found| found.readings));
            sources.addresses.extend(addresses::find(text).into_iter().map(|found| found.address));
            sources.numbers.extend(numbers::readings_of_all(text));
            sources.stems.extend(words::words(text).map(|word| words::stem(word.text)));
        }
        sources
    }

    /// What of an answer is supported.
    #[must_use]
    pub fn ground(&self, answer: &str) -> Groundedness {
        let mut found = Found { answer, result: Groundedness::default(), taken: Vec::new() };
        for address in addresses::find(answer) {
            let supported = self.has_address(&address.address);
            found.claim(ClaimKind::Address, address.range, supported);
        }
        for date in dates::find(answer) {
            let supported = date.readings.iter().any(|date| self.has_date(date));
            found.claim(ClaimKind::Date, date.range, supported);
        }
        for number in numbers::find(answer) {
            let supported = number.readings.iter().any(|reading| self.numbers.contains(reading));
            found.claim(ClaimKind::Number, number.range, supported);
        }
        let single_words = !self.nouns_are_capitalised && !capitalises_nouns(&[answer]);
        for name in names::find(answer, single_words) {
            let supported = words::words(&answer[name.clone()]).all(|word| self.has_word(word.text));
            found.claim(ClaimKind::Name, name, supported);
        }
        let mut result = found.result;
        for sentence in sentences(answer) {
            if let Some(supported) =
                sentences::is_supported(&answer[sentence.clone()], |word| self.has_word(word))
            {
                let counts = &mut result.counts[ClaimKind::Sentence as usize];
                *counts += Counts { claims: 1, unsupported: u64::from(!supported) };
                if !supported {
                    result.unsupported.push(unsupported(answer, ClaimKind::Sentence, sentence));
                }
            }
        }
        result.unsupported.sort_by_key(|part| (part.start, part.end));
        result
    }

    fn has_word(&self, word: &str) -> bool {
        self.stems.contains(&words::stem(word))
            // "Acme-Lamp" is made of words that are there one by one.
            || word.contains('-') && word.split('-').all(|part| self.stems.contains(&words::stem(part)))
    }

    /// An address, or one that continues it: a domain is supported by a page of it.
    fn has_address(&self, address: &str) -> bool {
        self.addresses.contains(address)
            || self.addresses.iter().any(|other| {
                other.strip_prefix(address).is_some_and(|rest| rest.starts_with(['/', '?', '#']))
                    || other.split_once('@').is_some_and(|(_, domain)| domain == address)
            })
    }

    fn has_date(&self, date: &Date) -> bool {
        self.dates.iter().any(|other| {
            let year = match (date.year, other.year) {
                (Some(year), Some(other)) => year == other,
                (Some(year), None) => self.numbers.contains(&year.to_string()),
                (None, _) => true,
            };
            year && date.month == other.month && (date.day.is_none() || date.day == other.day)
        })
    }
}

struct Found<'a> {
    answer: &'a str,
    result: Groundedness,
    /// What is already part of a claim: the numbers of a date are none of their own.
    taken: Vec<Range<usize>>,
}

impl Found<'_> {
    fn claim(&mut self, kind: ClaimKind, range: Range<usize>, supported: bool) {
        if self.taken.iter().any(|taken| taken.start < range.end && range.start < taken.end) {
            return;
        }
        self.result.counts[kind as usize] += Counts { claims: 1, unsupported: u64::from(!supported) };
        if !supported {
            self.result.unsupported.push(unsupported(self.answer, kind, range.clone()));
        }
        self.taken.push(range);
    }
}

fn unsupported(answer: &str, kind: ClaimKind, range: Range<usize>) -> Unsupported {
    Unsupported { kind, start: range.start, end: range.end, text: answer[range].to_owned() }
}
