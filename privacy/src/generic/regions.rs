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
    /// Digits, `0` mostly, one of several.
    Plain(Vec<String>),
    /// A pattern, what is put in its place (a carrier's code may come with it), and the digits it starts with as bits.
    Pattern(Regex, String, u16),
}

impl Region {
    fn new(metadata: &Metadata) -> Self {
        let pattern = metadata.national_prefix_for_parsing().and_then(|pattern| {
            let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if pattern.as_str().split('|').all(is_plain) {
                return Some(Prefix::Plain(pattern.as_str().split('|').map(str::to_owned).collect()));
            }
            let pattern = format!("(?x)^(?:{})", pattern.as_str());
            let rule = metadata.national_prefix_transform_rule().unwrap_or_default();
            let firsts = first_digits(&automaton(&[&pattern])?);
            Some(Prefix::Pattern(Regex::new(&pattern).ok()?, rule.to_owned(), firsts))
        });
        let plain = || metadata.national_prefix().map(|prefix| Prefix::Plain(vec![prefix.to_owned()]));
        Self {
            code: metadata.country_code().to_string(),
            numbers: automaton(&patterns(metadata)),
            prefix: pattern.or_else(plain).unwrap_or(Prefix::None),
        }
    }

    /// Whether `digits`, without calling code and prefix, is a number of this region.
    pub(crate) fn has(&self, digits: &[u8]) -> bool {
        self.numbers.as_ref().is_some_and(|numbers| accepts(numbers, digits))
    }

    /// Whether `digits` is a number as it is dialled within the country, prefix included.
    pub(crate) fn has_with_prefix(&self, digits: &[u8]) -> bool {
        match &self.prefix {
            Prefix::None => false,
            Prefix::Plain(prefixes) => {
                let rest_behind = |prefix: &String| digits.strip_prefix(prefix.as_bytes());
                prefixes.iter().filter_map(rest_behind).any(|rest| self.has(rest))
            }
            Prefix::Pattern(pattern, rule, firsts) => {
                if digits.first().is_none_or(|digit| firsts >> (digit - b'0') & 1 == 0) {
                    return false;
                }
                let Ok(digits) = std::str::from_utf8(digits) else { return false };
                let replaced = pattern.replace(digits, rule.as_str());
                let is_stripped = replaced.len() < digits.len() && self.has(replaced.as_bytes());
                is_stripped
                    || pattern.find(digits).is_some_and(|found| self.has(&digits.as_bytes()[found.end()..]))
            }
        }
    }

    /// Whether `digits` is a number of this region behind its calling code.
    pub(crate) fn has_with_code(&self, digits: &[u8]) -> bool {
        digits.strip_prefix(self.code.as_bytes()).is_some_and(|rest| self.has(rest))
    }
}

/// The patterns of all kinds of numbers of a region.
fn patterns(metadata: &Metadata) -> Vec<String> {
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
    kinds.into_iter().flatten().map(|kind| format!("(?x:{})", kind.national_number().as_str())).collect()
}

/// One automaton of `patterns`, which match from where it is started.
fn automaton(patterns: &[impl AsRef<str>]) -> Option<dense::DFA<Vec<u32>>> {
    let config = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Anchored)
        .dfa_size_limit(Some(AUTOMATON_BYTES))
        .determinize_size_limit(Some(AUTOMATON_BYTES));
    let syntax = syntax::Config::new().unicode(false).utf8(false);
    dense::Builder::new().configure(config).syntax(syntax).build_many(patterns).ok()
}

/// Whether `automaton` matches all of `digits`.
fn accepts(automaton: &dense::DFA<Vec<u32>>, digits: &[u8]) -> bool {
    let config = start::Config::new().anchored(Anchored::Yes);
    let Ok(mut state) = automaton.start_state(&config) else { return false };
    for digit in digits {
        state = automaton.next_state(state, *digit);
        if automaton.is_dead_state(state) {
            return false;
        }
    }
    automaton.is_match_state(automaton.next_eoi_state(state))
}

/// The digits that a match of `automaton` can start with, as bits.
fn first_digits(automaton: &dense::DFA<Vec<u32>>) -> u16 {
    let Ok(start) = automaton.start_state(&start::Config::new().anchored(Anchored::Yes)) else { return 0 };
    let can_start = |digit: &u8| !automaton.is_dead_state(automaton.next_state(start, *digit));
    (b'0'..=b'9').filter(can_start).map(|digit| 1 << (digit - b'0')).sum()
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

/// The regions whose numbers are known without a calling code, unless the user names more.
pub(crate) const USUAL: [&str; 8] = ["US", "GB", "DE", "FR", "IL", "IN", "CA", "BR"];

/// One automaton for all of [`USUAL`].
static USUAL_NUMBERS: LazyLock<Option<dense::DFA<Vec<u32>>>> = LazyLock::new(|| {
    let known = USUAL.iter().filter_map(|id| DATABASE.by_id(*id));
    automaton(&known.flat_map(patterns).collect::<Vec<String>>())
});

/// Whether `digits`, without calling code and prefix, is a number of one of [`USUAL`].
pub(crate) fn is_usual(digits: &[u8]) -> bool {
    USUAL_NUMBERS.as_ref().is_some_and(|numbers| accepts(numbers, digits))
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
        for number in numbers {
            let by_one = USUAL.iter().filter_map(|id| by_id(id)).any(|region| region.has(number.as_bytes()));
            assert_eq!(is_usual(number.as_bytes()), by_one, "{number}");
        }
    }
}
