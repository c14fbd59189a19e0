//! What stands around a span: sentences, lines, blocks, roads and numbers.

use super::fold::fold;
use super::marks;

/// Whether a number stands directly before `start` on the line, as before the name of a road.
pub(super) fn is_number_before(text: &str, start: usize) -> bool {
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
pub(super) fn is_road_behind(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix(' ') else { return false };
    let word = rest.split(|letter: char| !letter.is_alphabetic()).next().unwrap_or_default();
    let is_long = word.chars().nth(1).is_some() || rest[word.len()..].starts_with('.');
    is_long && word.starts_with(char::is_lowercase) && marks::ends_road(&fold(word))
}

/// The last character before `start` that is no space, quote or bracket.
pub(super) fn last_sign(text: &str, start: usize) -> Option<char> {
    text[..start].trim_end_matches([' ', '"', '“', '\'', '(', '*', '\u{a0}']).chars().next_back()
}

/// Whether the word at `start` is the first of a sentence or of a line.
pub(super) fn begins_sentence(text: &str, start: usize) -> bool {
    last_sign(text, start)
        .is_none_or(|sign| matches!(sign, '.' | '!' | '?' | '\n' | '\r' | ':' | '-' | '>' | '|' | ']' | '…'))
}

/// Whether the span is a place's name in an address: a line behind `Apt. 7`, or before a number of a postal code.
pub(super) fn is_in_address(text: &str, start: usize, end: usize) -> bool {
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
    let Some(line) = Line::alone(text, start, end).filter(|line| !line.above.is_empty()) else {
        return false;
    };
    let above = line.above.trim_end().rsplit('\n').next().unwrap_or_default().trim();
    let below = line.below.split('\n').next().unwrap_or_default().trim();
    let ends_with_number = |line: &str| line.bytes().rev().take_while(u8::is_ascii_digit).count();
    let is_unit =
        |line: &str| fold(line).split(' ').any(|word| marks::ends_name(word.trim_matches(['.', ',', '#'])));
    above.ends_with(|last: char| last.is_ascii_digit()) && (is_unit(above) || ends_with_number(below) >= 4)
}

/// Bytes before and behind a span that are looked at for lines: some lines of an address. Without a bound a long text of
/// one line would be walked again for each of its names.
const LINE_BYTES: usize = 256;

/// What stands above and below a span that has its line for itself.
struct Line<'t> {
    /// Up to the line break before it.
    above: &'t str,
    /// From behind the line break after it.
    below: &'t str,
}

impl<'t> Line<'t> {
    /// Nothing if a letter or digit stands on the line beside the span.
    fn alone(text: &'t str, start: usize, end: usize) -> Option<Self> {
        let (mut from, mut to) = (start.saturating_sub(LINE_BYTES), text.len().min(end + LINE_BYTES));
        while !text.is_char_boundary(from) {
            from += 1;
        }
        while !text.is_char_boundary(to) {
            to -= 1;
        }
        let (before, behind) = (&text[from..start], &text[end..to]);
        let line_start = match before.rfind('\n') {
            Some(at) => at + 1,
            None if from == 0 => 0,
            None => return None,
        };
        let is_alone = !before[line_start..].contains(char::is_alphanumeric);
        let rest = behind.trim_start_matches([' ', '\r', ',']);
        let below = if rest.is_empty() && to == text.len() { rest } else { rest.strip_prefix('\n')? };
        is_alone.then_some(Self { above: &before[..line_start], below })
    }
}

/// Lines below the first one of a block that are looked at for a number.
const BLOCK_LINES: usize = 4;

/// Whether the span is a line of its own, the first of a block, with a number in one of the next lines: a letterhead, a
/// business card, an address.
pub(super) fn heads_block(text: &str, start: usize, end: usize) -> bool {
    let Some(line) = Line::alone(text, start, end) else { return false };
    let above = line.above.strip_suffix('\n').unwrap_or_default();
    let above = above.trim_end_matches([' ', '\r']).rsplit('\n').next().unwrap_or_default();
    let mut below = line.below.split('\n').filter(|line| !line.trim().is_empty()).take(BLOCK_LINES);
    !above.contains(char::is_alphanumeric)
        && below.any(|line| line.contains(|sign: char| sign.is_ascii_digit()))
}
