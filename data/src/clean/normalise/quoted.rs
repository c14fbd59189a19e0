//! What a mail quotes of the mails before it.

use super::edit::{Edit, Edited};
use super::lines::{Line, lines};
use super::options::QuotedRepliesOptions;
use super::phrases::{ATTRIBUTIONS, FIELDS, FORWARDS, FROM, ORIGINALS, SAYS};

/// Mail programs break a line that introduces a quotation into no more than so many.
const MAX_ATTRIBUTION_LINES: usize = 3;
/// And it is no longer than so many bytes.
const MAX_ATTRIBUTION_BYTES: usize = 320;
/// So many fields in consecutive lines make a header.
const MIN_FIELDS: usize = 3;

/// Removes quoted lines, the lines that introduce them, and mails quoted whole.
///
/// Lines with `>` go where the text itself shows that they quote an earlier mail: a line such as "On ... wrote:"
/// introduces one of them, or they are quoted twice, or the text begins with them and goes on in its own words; with
/// `every_quote` always. What follows "Original Message" or the header of another mail goes to the end; where nothing
/// stands before it, the mail is what the row is about, and only the header goes. Code stays, and so does a text of
/// which nothing would be left.
pub(crate) fn remove<'a>(text: &'a str, options: &QuotedRepliesOptions) -> Edited<'a> {
    if !text.contains(['>', ':', '：']) && !text.contains("---") {
        return Edited::unchanged(text);
    }
    let lines: Vec<Line<'_>> = lines(text).collect();
    let marks: Vec<Mark> = mark(&lines);
    let mut gone = vec![false; lines.len()];
    remove_quotes(&lines, &marks, options.every_quote, &mut gone);
    remove_mails(&lines, &marks, &mut gone);
    close_gaps(&marks, &mut gone);
    if lines.iter().zip(&gone).all(|(line, &gone)| gone || line.is_blank()) {
        return Edited::unchanged(text);
    }
    without(text, &lines, &gone)
}

/// Blank lines between two that go, go as well.
fn close_gaps(marks: &[Mark], gone: &mut [bool]) {
    let mut last = None;
    for at in 0..gone.len() {
        if gone[at] {
            if let Some(last) =
                last.filter(|&last| marks[last + 1..at].iter().all(|mark| *mark == Mark::Blank))
            {
                gone[last..at].fill(true);
            }
            last = Some(at);
        }
    }
}

/// The text without some of its lines.
pub(super) fn without<'a>(text: &'a str, lines: &[Line<'a>], gone: &[bool]) -> Edited<'a> {
    let mut edit = Edit::of(text);
    let mut index = 0;
    while index < lines.len() {
        let run = gone[index..].iter().take_while(|&&gone| gone).count();
        if run == 0 {
            index += 1;
            continue;
        }
        let last = index + run == lines.len();
        let start = if last { lines[index].start.saturating_sub(1) } else { lines[index].start };
        let end = if last { text.len() } else { lines[index + run].start };
        edit.remove(start..end);
        index += run;
    }
    edit.finish()
}

/// And no header that a mail shows has more.
const MAX_FIELDS: usize = 20;

/// What a line is in a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Own,
    Blank,
    /// Begins with `>`; so many levels deep.
    Quote(usize),
    /// Introduces a quotation, together with this many lines in all.
    Attribution(usize),
    /// As such lines do, but proved only by a quotation under it.
    Says,
    /// "Original Message" between hyphens.
    Original,
    /// "Forwarded message".
    Forward,
    /// Begins a header of this many lines.
    Header(usize),
}

fn mark(lines: &[Line<'_>]) -> Vec<Mark> {
    let mut marks = Vec::with_capacity(lines.len());
    while marks.len() < lines.len() {
        let at = marks.len();
        let line = lines[at];
        let mark = match () {
            () if line.is_blank() => Mark::Blank,
            () if line.code => Mark::Own,
            () if line.text.strip_prefix(' ').unwrap_or(line.text).starts_with('>') => {
                Mark::Quote(depth(line.text))
            }
            () if line.text.starts_with('|') && may_be_barred(&marks) => Mark::Quote(1),
            () => introduction(&lines[at..]),
        };
        marks.push(mark);
    }
    marks
}

/// Whether a quotation may stand here whose lines begin with a bar: under a line that introduces one, or under its like.
fn may_be_barred(marks: &[Mark]) -> bool {
    let last = marks.iter().rfind(|mark| **mark != Mark::Blank);
    matches!(last, Some(Mark::Attribution(_) | Mark::Says | Mark::Quote(_)))
}

/// How deep a line is quoted.
fn depth(line: &str) -> usize {
    let marks = line.bytes().take_while(|byte| matches!(byte, b'>' | b' '));
    marks.filter(|&byte| byte == b'>').count()
}

fn introduction(rest: &[Line<'_>]) -> Mark {
    let line = rest[0].text.trim();
    if line.len() > MAX_ATTRIBUTION_BYTES {
        return Mark::Own;
    }
    let ruled = ["--", "__", "=="].iter().any(|rule| line.starts_with(rule));
    let colon = line.ends_with([':', '：', '.']);
    let starts = ATTRIBUTIONS.iter().any(|(start, _)| {
        !start.is_empty() && line.get(..start.len()).is_some_and(|first| first.eq_ignore_ascii_case(start))
    });
    if !ruled && !colon && !starts && !line.starts_with(char::is_uppercase) {
        return Mark::Own;
    }
    if !ruled && !colon && !starts {
        return header(rest).unwrap_or(Mark::Own);
    }
    let lower = line.to_lowercase();
    let bare = lower.trim_matches(['-', '_', ' ', ':', '*', '=']);
    let names = |phrases: &[&str]| phrases.iter().any(|phrase| bare.starts_with(phrase));
    match () {
        () if ruled && names(&ORIGINALS) => Mark::Original,
        () if (ruled || lower.ends_with(':')) && names(&FORWARDS) && bare.len() < 60 => Mark::Forward,
        () => header(rest).or_else(|| attribution(rest)).unwrap_or(Mark::Own),
    }
}

/// From:, then at least two other fields, a line each; fields may go on in indented lines.
fn header(rest: &[Line<'_>]) -> Option<Mark> {
    if !is_field(rest[0].text, &FROM) {
        return None;
    }
    let fields = rest
        .iter()
        .take(MAX_FIELDS)
        .take_while(|line| is_field(line.text, &FROM) || is_field(line.text, &FIELDS))
        .count();
    (fields >= MIN_FIELDS).then_some(Mark::Header(fields))
}

fn is_field(line: &str, names: &[&str]) -> bool {
    let Some((name, _)) = line.split_once([':', '：']) else { return false };
    let name = name.trim_matches([' ', '*', '\t']);
    name.len() < 40 && names.contains(&name.to_lowercase().as_str())
}

fn attribution(rest: &[Line<'_>]) -> Option<Mark> {
    let colon = |line: &str| line.trim().to_lowercase().replace(" :", ":");
    let first = colon(rest[0].text);
    let mut joined = String::new();
    for (count, line) in rest.iter().enumerate().take(MAX_ATTRIBUTION_LINES) {
        if line.is_blank() || joined.len() + line.text.len() > MAX_ATTRIBUTION_BYTES {
            break;
        }
        joined.push_str(&colon(line.text));
        let dated = joined.contains(|c: char| c.is_ascii_digit() || c == '@');
        let matches = |&(start, end): &(&str, &str)| first.starts_with(start) && joined.ends_with(end);
        let verb_inside = first.starts_with("am ") && joined.contains(" schrieb ") && joined.ends_with(':');
        if dated && (verb_inside || ATTRIBUTIONS.iter().any(matches)) {
            return Some(Mark::Attribution(count + 1));
        }
        joined.push(' ');
    }
    SAYS.iter().any(|end| first.ends_with(end)).then_some(Mark::Says)
}

/// The next line that is not blank, at `index` or after.
fn next_shown(marks: &[Mark], index: usize) -> Option<usize> {
    (index..marks.len()).find(|&at| marks[at] != Mark::Blank)
}

fn remove_quotes(lines: &[Line<'_>], marks: &[Mark], every_quote: bool, gone: &mut [bool]) {
    let mut proved = every_quote || marks.iter().any(|mark| matches!(mark, Mark::Quote(2..)));
    let first = next_shown(marks, 0);
    let own_after = marks.iter().rposition(|mark| *mark == Mark::Own);
    proved |= matches!(first.map(|at| marks[at]), Some(Mark::Quote(_))) && own_after.is_some();
    for (at, mark) in marks.iter().enumerate() {
        let count = match mark {
            Mark::Attribution(count) => *count,
            Mark::Says => 1,
            _ => continue,
        };
        if next_shown(marks, at + count).is_some_and(|next| matches!(marks[next], Mark::Quote(_))) {
            gone[at..at + count].fill(true);
            proved = true;
        }
    }
    for (at, line) in lines.iter().enumerate() {
        gone[at] |= proved && matches!(marks[at], Mark::Quote(_)) && !line.code;
    }
}

/// Mails quoted whole, to the end of the text, or their headers where they are all there is.
fn remove_mails(lines: &[Line<'_>], marks: &[Mark], gone: &mut [bool]) {
    let mut own = false;
    let mut at = 0;
    while at < lines.len() {
        let (count, ends) = match marks[at] {
            Mark::Original | Mark::Forward => (1, true),
            Mark::Header(count) => (count, own),
            Mark::Attribution(count) => (count, own && !gone[at] && next_shown(marks, at + count).is_some()),
            mark => {
                own |= !gone[at] && mark != Mark::Blank;
                at += 1;
                continue;
            }
        };
        if ends && own {
            gone[at..].fill(true);
            return;
        }
        let introduced = at > 0 && gone[at - 1];
        if ends || (introduced && matches!(marks[at], Mark::Header(_))) {
            gone[at..at + count].fill(true);
            let next = next_shown(marks, at + count).unwrap_or(at + count);
            if let Some(Mark::Header(_)) = marks.get(next) {
                gone[at + count..next].fill(true);
                at = next;
                continue;
            }
        } else {
            own |= !gone[at];
        }
        at += count;
    }
}
