//! Numbers of telephones.

use std::sync::Arc;

use crate::entity::Entity;
use crate::generic::groups::Groups;
use crate::generic::regions::{self, Region};
use crate::scanner::ScanError;
use crate::scanner::context::Phrases;
use crate::scanner::sink::Sink;
use crate::scanner::text::{self, digits_at};

/// Digits of a number: the longest with its calling code (ITU E.164), and with what is dialled before it.
const MOST_DIGITS: usize = 15;
const MOST_DIALLED: usize = 18;
/// The fewest digits of a number that a region has given out, as looked at here, and of one that only a word before it shows.
const LEAST_DIGITS: usize = 6;
const LEAST_CUED_DIGITS: usize = 7;

/// How sure a number is, by the way it is written; all but the last are numbers that a region has given out.
const SCORE_INTERNATIONAL: f32 = 0.9;
const SCORE_AMERICAN: f32 = 0.6;
const SCORE_TRUNK: f32 = 0.5;
const SCORE_DIGITS: f32 = 0.3;
const SCORE_GROUPED: f32 = 0.2;
const SCORE_BARE: f32 = 0.15;
const SCORE_CUED: f32 = 0.1;

/// Written as telephone numbers are and nothing else is, though no region has given it out: `+1-555-123-4567`, `(555) 123-4567`.
const SCORE_SHAPED: f32 = 0.45;

/// Words that say so when they stand behind: `(212) 555-0100 office`.
const BEHIND: [&str; 6] = ["office", "fax", "mobile", "cell", "home", "work"];

/// What stands before an extension, in lower case.
const EXTENSIONS: [&str; 5] = ["extension", "ext.", "ext", "x", "#"];
const MOST_EXTENSION_DIGITS: usize = 7;

/// The finder of numbers.
#[derive(Debug)]
pub(crate) struct Phones {
    /// The usual regions and those that the user named, and how many of the first there are.
    regions: Vec<Arc<Region>>,
    usual: usize,
    cues: Phrases,
}

impl Phones {
    /// For numbers of `regions`, and those that stand behind one of `cues`.
    pub(crate) fn new(regions: &[String], cues: Phrases) -> Result<Self, ScanError> {
        let ids = || {
            regions::USUAL
                .iter()
                .map(|id| (*id).to_owned())
                .chain(regions.iter().map(|id| id.to_ascii_uppercase()))
        };
        let mut known: Vec<String> = Vec::new();
        let mut found = Vec::new();
        for id in ids() {
            if !known.contains(&id) {
                found.push(regions::by_id(&id).ok_or_else(|| ScanError::Region { region: id.clone() })?);
                known.push(id);
            }
        }
        Ok(Self { regions: found, usual: regions::USUAL.len(), cues })
    }

    /// Looks for a number at `start`, where a digit, `+` or `(` stands.
    pub(crate) fn find(&self, sink: &mut Sink<'_>, start: usize) {
        let text = sink.text;
        let bytes = text.as_bytes();
        if start > 0
            && matches!(bytes[start - 1], b'-' | b'.' | b'/' | b'+' | b'$' | b'#')
            && !is_dash_of_text(bytes, start)
        {
            return;
        }
        let first = start
            + bytes[start..].iter().take(3).take_while(|byte| matches!(byte, b'+' | b'(' | b' ')).count();
        let groups = Groups::read(bytes, first, |at| gap(text, at));
        let total = (1..=groups.count()).rev().find(|count| groups.digits(*count).len() <= MOST_DIALLED);
        let Some(most) = total.filter(|most| groups.digits(*most).len() >= LEAST_DIGITS) else { return };
        if is_date_or_quad(bytes, &groups) {
            return;
        }
        for count in (1..=most).rev() {
            let end = groups.end(count - 1);
            // The last two digits behind one mark are hundredths.
            let is_decimal = count == 2 && groups.size(1) < 3;
            if groups.digits(count).len() < LEAST_DIGITS || is_decimal || !may_end(text, start, end) {
                continue;
            }
            if let Some(score) = self.score(&groups, count, bytes[start]) {
                let score = if is_cued_behind(text, end) { score.max(SCORE_TRUNK) } else { score };
                return sink.add(start, with_extension(text, end), Entity::PhoneNumber, score, "phone");
            }
        }
        self.find_unknown(sink, start, &groups, most);
    }

    /// A number that no region has given out, but shaped as one or behind a word for telephones: it is one to whoever wrote it.
    fn find_unknown(&self, sink: &mut Sink<'_>, start: usize, groups: &Groups, most: usize) {
        let text = sink.text;
        for count in (1..=most).rev() {
            let end = groups.end(count - 1);
            let digits = groups.digits(count).len();
            let is_likely = (LEAST_CUED_DIGITS..=MOST_DIGITS).contains(&digits) && groups.size(count - 1) > 1;
            if !is_likely || !may_end(text, start, end) {
                continue;
            }
            let end_with = with_extension(text, end);
            if is_shaped(text, start, end, groups, count) {
                sink.add(start, end_with, Entity::PhoneNumber, SCORE_SHAPED, "phone-shaped");
            } else if is_cued_behind(text, end) {
                sink.add(start, end_with, Entity::PhoneNumber, SCORE_TRUNK, "phone-cued");
            } else if sink.is_cued(start, &self.cues) {
                sink.add(start, end_with, Entity::PhoneNumber, SCORE_CUED, "phone-cued");
            }
            return;
        }
    }

    /// How sure the first `count` groups, written behind `first` or with it, are a number; none if no region has given it out.
    fn score(&self, groups: &Groups, count: usize, first: u8) -> Option<f32> {
        let digits = groups.digits(count);
        if first == b'+' {
            return regions::is_international(digits).then_some(SCORE_INTERNATIONAL);
        }
        // Dialled from Europe and from America.
        for prefix in ["00", "011"] {
            let rest = digits.strip_prefix(prefix.as_bytes());
            if rest.is_some_and(|rest| rest.len() > LEAST_CUED_DIGITS && regions::is_international(rest)) {
                return Some(SCORE_TRUNK);
            }
        }
        let sizes = || (0..count).map(|index| groups.size(index));
        let is_american = sizes().eq([3, 3, 4]) || sizes().eq([1, 3, 3, 4]) && digits[0] == b'1';
        let has =
            regions::is_usual(digits) || self.regions[self.usual..].iter().any(|region| region.has(digits));
        if has || self.regions.iter().any(|region| region.has_with_prefix(digits)) {
            return Some(match count {
                _ if is_american => SCORE_AMERICAN,
                _ if first == b'(' => SCORE_TRUNK,
                1 if !has || digits.len() == 10 => SCORE_DIGITS,
                1 => SCORE_BARE,
                _ if has => SCORE_GROUPED,
                _ => SCORE_TRUNK,
            });
        }
        let has_code = self.regions.iter().any(|region| region.has_with_code(digits));
        has_code.then_some(if count > 1 { SCORE_DIGITS } else { SCORE_BARE })
    }
}

/// Bytes of separator between two groups at `at`: a space or a mark, with brackets.
fn gap(text: &str, at: usize) -> usize {
    let mut length = 0;
    let mut marks = 0;
    for c in text[at..].chars().take(4) {
        match c {
            ' ' | '\u{a0}' | '-' | '.' | '/' | '(' | ')' | '\u{2010}'..='\u{2013}' | '\u{2212}' => {
                length += c.len_utf8();
                marks += 1;
            }
            '0'..='9' if marks > 0 => return length,
            _ => return 0,
        }
    }
    0
}

/// Whether the mark before `start` parts words, as in `tel.-415-555-0132` or `a/0123`: what stands before it is no digit.
fn is_dash_of_text(bytes: &[u8], start: usize) -> bool {
    start > 1 && matches!(bytes[start - 1], b'-' | b'.' | b'/') && !bytes[start - 2].is_ascii_alphanumeric()
}

/// Whether a number that starts at `start` may end at `end`: its brackets are closed, and nothing is joined to it.
fn may_end(text: &str, start: usize, end: usize) -> bool {
    let bytes = text.as_bytes();
    let count = |bracket: u8| bytes[start..end].iter().filter(|byte| **byte == bracket).count();
    if count(b'(') != count(b')') {
        return false;
    }
    let follows = bytes.get(end).copied();
    let has_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    match follows {
        Some(b'-' | b'.' | b'/' | b':' | b',') => !has_digit(end + 1),
        Some(b'%' | b'@' | b'=') => false,
        _ => text::is_free_after(text, end) || extension(text, end).is_some(),
    }
}

/// A date, or the address of a machine, is no telephone's number.
fn is_date_or_quad(bytes: &[u8], groups: &Groups) -> bool {
    let count = groups.count();
    if count < 3 {
        return false;
    }
    let value = |index: usize| {
        let before = if index == 0 { 0 } else { groups.digits(index).len() };
        groups.digits(index + 1)[before..]
            .iter()
            .fold(0_u64, |sum, digit| sum.wrapping_mul(10) + u64::from(digit - b'0'))
    };
    let is_joined = |index: usize| groups.start(index + 1) - groups.end(index) == 1;
    let [a, b, c] = [0, 1, 2].map(|index| (groups.size(index), value(index)));
    let is_day = |(size, value): (usize, u64)| size <= 2 && (1..=31).contains(&value);
    let is_year = |(size, value): (usize, u64)| size == 4 && (1900..=2099).contains(&value);
    let is_date =
        is_joined(0) && is_joined(1) && is_day(b) && (is_year(a) && is_day(c) || is_day(a) && is_year(c));
    let is_octet = |index: usize| groups.size(index) <= 3 && value(index) <= 255;
    let is_dotted = |index: usize| is_joined(index) && bytes[groups.end(index)] == b'.';
    is_date || count == 4 && (0..4).all(is_octet) && (0..3).all(is_dotted)
}

/// Whether the first `count` groups are written with a plus, or as in North America with a bracket, hyphens or dots.
fn is_shaped(text: &str, start: usize, end: usize, groups: &Groups, count: usize) -> bool {
    let bytes = &text.as_bytes()[start..end];
    let digits = groups.digits(count).len();
    let is_american = (0..count).map(|index| groups.size(index)).eq([3, 3, 4]);
    let has = |mark: u8| bytes.iter().filter(|byte| **byte == mark).count();
    match bytes[0] {
        b'+' => digits >= 9 && count > 1,
        b'(' => is_american,
        _ => is_american && (has(b'-') == 2 || has(b'.') == 2),
    }
}

/// Behind the extension at `end`, or `end`.
fn with_extension(text: &str, end: usize) -> usize {
    extension(text, end).unwrap_or(end)
}

/// Where the extension that starts at `end` ends: `x459`, ` ext. 9`.
fn extension(text: &str, end: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let space = usize::from(bytes.get(end) == Some(&b' '));
    let rest = &bytes[end + space..];
    let word = EXTENSIONS.iter().find(|word| {
        rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
    })?;
    let at = end + space + word.len();
    let at = at + usize::from(bytes.get(at) == Some(&b' ') && word.len() > 1);
    let digits = digits_at(bytes, at, MOST_EXTENSION_DIGITS + 1);
    let is_extension =
        (1..=MOST_EXTENSION_DIGITS).contains(&digits) && text::is_free_after(text, at + digits);
    is_extension.then_some(at + digits)
}

/// Whether a word for telephones stands directly behind.
fn is_cued_behind(text: &str, end: usize) -> bool {
    let bytes = text.as_bytes();
    let at = end + bytes[end..].iter().take(2).take_while(|byte| matches!(byte, b' ' | b'-' | b'(')).count();
    let length = bytes[at..].iter().take(7).take_while(|byte| byte.is_ascii_alphabetic()).count();
    at > end && BEHIND.iter().any(|word| text[at..at + length].eq_ignore_ascii_case(word))
}
