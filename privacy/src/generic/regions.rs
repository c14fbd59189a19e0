//! Which numbers of telephones a region has given out, by the metadata of libphonenumber.
//!
//! The crate `phonenumber` compiles and runs a regular expression for every kind of number of every region; here the patterns of a
//! region become one small automaton over its digits, built when it is first needed.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use phonenumber::Metadata;
use phonenumber::metadata::DATABASE;
use regex::Regex;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, MatchKind};

/// What a region's automaton may take, in bytes; the largest, of the United States, needs a tenth.
const AUTOMATON_BYTES: usize = 8 << 20;

/// A calling code has three digits at most (ITU E.164).
const LONGEST_CODE: usize = 3;

/// The numbers of one region.
#[derive(Debug)]
pub(crate) struct Region {
    /// Its calling code, in digits.
    code: String,
    numbers: Option<dense::DFA<Vec<u32>>>,
    prefix: Prefix,
}

/// What is dialled before a number within the country.
#[derive(Debug)]
enum Prefix {
    None,
    /// Digits, `0` mostly.
    Plain(String),
    /// A pattern, and what is put in its place: a carrier's code may come with it.
    Pattern(Regex, String),
}

impl Region {
    fn new(metadata: &Metadata) -> Self {
        let pattern = metadata.national_prefix_for_parsing().and_then(|pattern| {
            let pattern = format!("(?x)^(?:{})", pattern.as_str());
            let rule = metadata.national_prefix_transform_rule().unwrap_or_default();
            Some(Prefix::Pattern(Regex::new(&pattern).ok()?, rule.to_owned()))
        });
        let plain = || metadata.national_prefix().map(|prefix| Prefix::Plain(prefix.to_owned()));
        Self {
            code: metadata.country_code().to_string(),
            numbers: automaton(metadata),
            prefix: pattern.or_else(plain).unwrap_or(Prefix::None),
        }
    }

    /// Whether `digits`, without calling code and prefix, is a number of this region.
    pub(crate) fn has(&self, digits: &[u8]) -> bool {
        let Some(numbers) = &self.numbers else { return false };
        let config = start::Config::new().anchored(Anchored::Yes);
        let Ok(mut state) = numbers.start_state(&config) else { return false };
        for digit in digits {
            state = numbers.next_state(state, *digit);
            if numbers.is_dead_state(state) {
                return false;
            }
        }
        numbers.is_match_state(numbers.next_eoi_state(state))
    }

    /// Whether `digits` is a number as it is dialled within the country, prefix included.
    pub(crate) fn has_with_prefix(&self, digits: &[u8]) -> bool {
        match &self.prefix {
            Prefix::None => false,
            Prefix::Plain(prefix) => {
                digits.strip_prefix(prefix.as_bytes()).is_some_and(|rest| self.has(rest))
            }
            Prefix::Pattern(pattern, rule) => {
                let Ok(digits) = std::str::from_utf8(digits) else { return false };
                let replaced = pattern.replace(digits, rule.as_str());
                let is_stripped = replaced.len() < digits.len() && self.has(replaced.as_bytes());
                is_stripped
                    || pattern.find(digits).is_some_and(|found| self.has(digits[found.end()..].as_bytes()))
            }
        }
    }

    /// Whether `digits` is a number of this region behind its calling code.
    pub(crate) fn has_with_code(&self, digits: &[u8]) -> bool {
        digits.strip_prefix(self.code.as_bytes()).is_some_and(|rest| self.has(rest))
    }
}

/// One automaton of all kinds of numbers of a region, anchored at both ends by how it is walked.
fn automaton(metadata: &Metadata) -> Option<dense::DFA<Vec<u32>>> {
    let kinds = metadata.descriptors();
    let kinds = [
        kinds.fixed_line(),
        kinds.mobile(),
        kinds.toll_free(),
        kinds.premium_rate(),
        kinds.shared_cost(),
        kinds.personal_number(),
        kinds.voip(),
        kinds.pager(),
        kinds.uan(),
        kinds.voicemail(),
    ];
    let patterns: Vec<String> =
        kinds.into_iter().flatten().map(|kind| format!("(?x:{})", kind.national_number().as_str())).collect();
    let built = dense::Builder::new()
        .configure(
            dense::Config::new()
                .match_kind(MatchKind::All)
                .start_kind(StartKind::Anchored)
                .dfa_size_limit(Some(AUTOMATON_BYTES))
                .determinize_size_limit(Some(AUTOMATON_BYTES)),
        )
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .build_many(&patterns);
    built.ok()
}

/// All regions, each built at its first use.
struct Book {
    by_id: HashMap<String, OnceLock<Arc<Region>>>,
}

static BOOK: LazyLock<Book> = LazyLock::new(|| Book {
    by_id: DATABASE.iter().map(|metadata| (metadata.id().to_owned(), OnceLock::new())).collect(),
});

/// The region with the two-letter code `id` in capitals; `UK` is read as `GB`.
pub(crate) fn by_id(id: &str) -> Option<Arc<Region>> {
    let id = if id == "UK" { "GB" } else { id };
    let place = BOOK.by_id.get(id)?;
    let metadata = DATABASE.by_id(id)?;
    Some(Arc::clone(place.get_or_init(|| Arc::new(Region::new(metadata)))))
}

/// Whether `digits`, calling code first, is a number of any region.
pub(crate) fn is_international(digits: &[u8]) -> bool {
    let code_of = |length: usize| {
        digits.get(..length).and_then(|code| std::str::from_utf8(code).ok()?.parse::<u16>().ok())
    };
    (1..=LONGEST_CODE).any(|length| {
        let Some(code) = code_of(length).filter(|_| digits[0] != b'0') else { return false };
        let ids = DATABASE.region(&code).unwrap_or_default();
        // `+44 (0)20 7946 0958`: the prefix of calls within the country is written, too.
        let has =
            |region: Arc<Region>| region.has(&digits[length..]) || region.has_with_prefix(&digits[length..]);
        ids.into_iter().any(|id| by_id(id).is_some_and(has))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_those_of_the_crate() {
        let numbers = [
            "4155550132",
            "2079460958",
            "5551234567",
            "3012345678",
            "11984565666",
            "97625400",
            "0",
            "123456789012",
        ];
        for id in ["US", "GB", "DE", "FR", "IL", "IN", "BR"] {
            let region = by_id(id).expect("a region");
            for number in numbers {
                let country = id.parse().expect("a country");
                let theirs = phonenumber::parse(Some(country), format!("+{}{number}", region.code));
                let theirs = theirs.is_ok_and(|theirs| {
                    phonenumber::is_valid(&theirs) && theirs.country().id() == Some(country)
                });
                let ours = region.has(number.as_bytes()) || region.has_with_prefix(number.as_bytes());
                assert!(!theirs || ours, "{id} {number}: theirs {theirs}, ours {ours}");
            }
        }
        assert!(
            is_international(b"14155550132")
                && is_international(b"914155550132")
                && !is_international(b"15551234567")
        );
        assert!(by_id("XX").is_none());
    }
}
