//! The engine that matches many [`Form`]s at once.
//!
//! A form has a digit among its first sixteen bytes ([`text::NEAR_BYTES`]): an Italian fiscal code has it at byte 6, a code behind a
//! country's name a little later. A word without a digit so near starts no form, which spares most words.
//!
//! One lazy automaton over all patterns is walked byte by byte from each place where a form can start; it says which patterns
//! match and where each of them ends last. Neighbours and checksums are looked at in code.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::pool::Pool;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};

use crate::check::Check;
use crate::form::Form;
use crate::scanner::ScanError;
use crate::scanner::context::Phrases;
use crate::scanner::sink::Sink;
use crate::scanner::text;

/// What the lazily built states may take, in bytes a thread. It is emptied when full; the forms' states take a tenth of it.
const CACHE_BYTES: usize = 16 << 20;

/// The longest form, in bytes: a walk ends here even where a pattern repeats without end.
const LONGEST_BYTES: usize = 128;

type MakeCache = Box<dyn Fn() -> Cache + Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>;

/// Forms, ready to be matched.
pub(crate) struct Forms {
    forms: Vec<(&'static Form, Phrases)>,
    automaton: DFA,
    starts: Starts,
    caches: Pool<Cache, MakeCache>,
}

impl std::fmt::Debug for Forms {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Forms").field("forms", &self.forms.len()).finish_non_exhaustive()
    }
}

/// What one walk over the text needs: states built so far, and where each pattern ended last.
pub(crate) struct Walk<'f> {
    forms: &'f Forms,
    cache: regex_automata::util::pool::PoolGuard<'f, Cache, MakeCache>,
    ends: Vec<(usize, usize)>,
}

impl Forms {
    /// Of `forms`, each with the phrases that raise its score.
    pub(crate) fn new(forms: Vec<(&'static Form, Phrases)>) -> Result<Option<Self>, ScanError> {
        if forms.is_empty() {
            return Ok(None);
        }
        let patterns: Vec<&str> = forms.iter().map(|(form, _)| form.pattern).collect();
        let automaton = DFA::builder()
            .configure(
                DFA::config()
                    .match_kind(MatchKind::All)
                    .cache_capacity(CACHE_BYTES)
                    .skip_cache_capacity_check(true),
            )
            .thompson(thompson::Config::new().utf8(false))
            .syntax(syntax::Config::new().case_insensitive(true).unicode(false).utf8(false))
            .build_many(&patterns)
            .map_err(|source| ScanError::Forms { reason: source.to_string() })?;
        let mut cache = automaton.create_cache();
        let starts = Starts::of(&automaton, &mut cache);
        let shared = automaton.clone();
        let make: MakeCache = Box::new(move || shared.create_cache());
        Ok(Some(Self { forms, automaton, starts, caches: Pool::new(make) }))
    }

    /// Ready for one text.
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk { forms: self, cache: self.caches.get(), ends: Vec::new() }
    }
}

impl Walk<'_> {
    /// The forms that start at byte `start`, where no word character stands before.
    pub(crate) fn at(&mut self, text: &str, start: usize, sink: &mut Sink<'_>) {
        if !self.forms.starts.can_start(&text.as_bytes()[start..]) {
            return;
        }
        self.ends.clear();
        // The cache is far larger than all states; were it ever given up, this place has no findings by forms.
        if self.run(text, start).is_none() {
            return;
        }
        for index in 0..self.ends.len() {
            let (pattern, end) = self.ends[index];
            let (form, phrases) = &self.forms.forms[pattern];
            let score = match form.check.map_or(Check::Unknown, |check| check(&text[start..end])) {
                Check::Valid => 1.0,
                Check::Likely if !text.as_bytes()[start..end].iter().all(u8::is_ascii_digit) => 1.0,
                Check::Likely if sink.is_cued(start, phrases) => 1.0,
                Check::Likely => form.score.min(MOST_OF_DIGITS),
                Check::Invalid => continue,
                Check::Unknown => form.score,
            };
            sink.add_with(start, end, form.entity, score, form.rule, phrases);
        }
    }

    /// Walks from `start` and notes where each pattern ends last, no word character standing behind.
    fn run(&mut self, text: &str, start: usize) -> Option<()> {
        let bytes = text.as_bytes();
        let (automaton, cache) = (&self.forms.automaton, &mut *self.cache);
        let input = Input::new(bytes).range(start..).anchored(Anchored::Yes);
        let mut state = automaton.start_state_forward(cache, &input).ok()?;
        let stop = bytes.len().min(start + LONGEST_BYTES);
        for at in start..=stop {
            state = match bytes.get(at).filter(|_| at < stop) {
                Some(byte) => automaton.next_state(cache, state, *byte).ok()?,
                None => automaton.next_eoi_state(cache, state).ok()?,
            };
            if state.is_tagged() {
                if state.is_match() {
                    // A match is told one byte late: it ends before `at`.
                    if !text.is_char_boundary(at) || !text::is_free_after(text, at) {
                        continue;
                    }
                    for index in 0..automaton.match_len(cache, state) {
                        let pattern = automaton.match_pattern(cache, state, index).as_usize();
                        match self.ends.iter_mut().find(|(known, _)| *known == pattern) {
                            Some((_, end)) => *end = at,
                            None => self.ends.push((pattern, at)),
                        }
                    }
                } else if state.is_dead() || state.is_quit() {
                    break;
                }
            }
        }
        Some(())
    }
}

/// The score of plain digits whose check digit is right, where nothing says what they are: below what counts by default.
const MOST_OF_DIGITS: f32 = 0.3;

/// Letters at the start of a form that are told apart, and digits behind them: no form has more letters before its first other
/// sign, and none that is common has more digits.
const MOST_LETTERS: usize = 12;
const MOST_DIGITS: usize = 12;

/// States after so many letters or digits are too many to be followed: whatever comes behind is let through.
const MOST_STATES: usize = 4096;

/// Bytes, as bits.
type Bytes = [u64; 4];

/// By how many letters and then digits a form can start with, the bytes that can follow them: most words of a text start none, be
/// they letters and then a space or digits of another number.
struct Starts {
    follow: Box<[[Bytes; MOST_DIGITS + 1]; MOST_LETTERS + 1]>,
}

/// What can come behind a state of the automaton.
#[derive(Clone, Default)]
struct Behind {
    bytes: Bytes,
    letters: HashSet<LazyStateID>,
    digits: HashSet<LazyStateID>,
}

impl Behind {
    fn of(automaton: &DFA, cache: &mut Cache, state: LazyStateID) -> Option<Self> {
        let mut behind = Self::default();
        for byte in 0..=u8::MAX {
            let next = automaton.next_state(cache, state, byte).ok()?;
            if next.is_dead() || next.is_quit() {
                continue;
            }
            behind.bytes[usize::from(byte / 64)] |= 1 << (byte % 64);
            // Patterns have no case.
            if byte.is_ascii_lowercase() {
                behind.letters.insert(next);
            } else if byte.is_ascii_digit() {
                behind.digits.insert(next);
            }
        }
        Some(behind)
    }

    fn add(&mut self, other: &Self) {
        for (bits, other) in self.bytes.iter_mut().zip(other.bytes) {
            *bits |= other;
        }
        self.letters.extend(&other.letters);
        self.digits.extend(&other.digits);
    }
}

impl Starts {
    fn of(automaton: &DFA, cache: &mut Cache) -> Self {
        let mut starts = Self { follow: Box::new([[[u64::MAX; 4]; MOST_DIGITS + 1]; MOST_LETTERS + 1]) };
        if starts.follow(automaton, cache).is_none() {
            starts.follow.as_flattened_mut().fill([u64::MAX; 4]);
        }
        starts
    }

    fn follow(&mut self, automaton: &DFA, cache: &mut Cache) -> Option<()> {
        let input = Input::new(b"").anchored(Anchored::Yes);
        let mut states = HashSet::from([automaton.start_state_forward(cache, &input).ok()?]);
        let mut known: HashMap<LazyStateID, Behind> = HashMap::new();
        let mut behind = |states: &HashSet<LazyStateID>| -> Option<Behind> {
            let mut all = Behind::default();
            for state in states {
                let behind = match known.entry(*state) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => place.insert(Behind::of(automaton, cache, *state)?),
                };
                all.add(behind);
            }
            (all.letters.len().max(all.digits.len()) <= MOST_STATES).then_some(all)
        };
        for of_letters in self.follow.iter_mut() {
            let after_letters = behind(&states)?;
            let mut after = after_letters.clone();
            for follow in of_letters.iter_mut() {
                *follow = after.bytes;
                after = behind(&after.digits)?;
            }
            states = after_letters.letters;
        }
        Some(())
    }

    /// Whether a form can start with `rest`.
    #[inline]
    fn can_start(&self, rest: &[u8]) -> bool {
        let letters = rest.iter().take(MOST_LETTERS).take_while(|byte| byte.is_ascii_alphabetic()).count();
        let digits = text::digits_at(rest, letters, MOST_DIGITS);
        let may_follow =
            |byte: u8| self.follow[letters][digits][usize::from(byte / 64)] >> (byte % 64) & 1 == 1;
        // What ends the text with a digit may be whole; a form has one.
        rest.get(letters + digits).map_or(digits > 0, |byte| may_follow(*byte))
    }
}
