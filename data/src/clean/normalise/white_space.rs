//! Spaces, tabs, line ends and blank lines.

use std::borrow::Cow;

use super::edit::Edited;
use super::lines::lines;

/// So many spaces in a row, twice on a line, set columns.
const COLUMN_SPACES: &str = "   ";

/// Line ends as line feeds; no spaces at the ends of lines; one space where there were several or odd ones; at most one
/// blank line in a row; nothing blank at both ends of the text.
///
/// Code keeps all of its spaces, lines keep their indentation, and tables the spaces or tabs that set their columns.
pub(crate) fn tidy(text: &str) -> Edited<'_> {
    if is_tidy(text) {
        return Edited::unchanged(text);
    }
    let feeds = match text.contains('\r') {
        true => Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")),
        false => Cow::Borrowed(text),
    };
    let mut tidied = Tidied::with_capacity(feeds.len());
    let tabbed = feeds.contains('\t')
        && feeds.split('\n').filter(|line| line.trim().contains('\t')).take(2).count() > 1;
    for line in lines(&feeds) {
        match () {
            () if line.code => tidied.push(line.text),
            () if line.is_blank() => tidied.blank(line.text),
            () => {
                let tidy = tidy_line(line.text, tabbed);
                tidied.changes += usize::from(tidy != line.text);
                tidied.push(&tidy);
            }
        }
    }
    let (out, changes) = tidied.finish();
    if out == text {
        return Edited::unchanged(text);
    }
    Edited { text: out.into(), changes: changes.max(1) }
}

/// A look that needs no lines: the great majority of texts stop here.
fn is_tidy(text: &str) -> bool {
    let bytes = text.as_bytes();
    let odd = |byte: u8| matches!(byte, b'\t' | b'\r' | 0xC2 | 0xE1 | 0xE2 | 0xE3);
    let wide = |one: u8, next: u8| one == b' ' && matches!(next, b' ' | b'\n');
    !bytes.iter().any(|&byte| odd(byte))
        && !bytes.iter().zip(bytes.iter().skip(1)).any(|(&one, &next)| wide(one, next))
        && !text.contains("\n\n\n")
        && !text.starts_with([' ', '\n'])
        && !text.ends_with([' ', '\n'])
}

/// Lines put together again, blank ones counted and set at most once between others.
struct Tidied {
    out: String,
    blank_lines: usize,
    started: bool,
    changes: usize,
}

impl Tidied {
    fn with_capacity(bytes: usize) -> Self {
        Self { out: String::with_capacity(bytes), blank_lines: 0, started: false, changes: 0 }
    }

    fn blank(&mut self, line: &str) {
        self.blank_lines += 1;
        self.changes += usize::from(!line.is_empty());
    }

    fn push(&mut self, line: &str) {
        let most = usize::from(self.started);
        self.changes += usize::from(self.blank_lines > most);
        if self.started {
            self.out.push_str(if self.blank_lines > 0 { "\n\n" } else { "\n" });
        }
        let indented = !self.started && line.starts_with(' ') && !line.starts_with("    ");
        self.out.push_str(if indented { line.trim_start() } else { line });
        (self.blank_lines, self.started) = (0, true);
    }

    fn finish(mut self) -> (String, usize) {
        self.changes += usize::from(self.blank_lines > 0);
        (self.out, self.changes)
    }
}

/// A space as wide, or as unbreakable, as a plain one is not. The ideographic space is at home in its scripts.
fn is_odd_space(c: char) -> bool {
    matches!(c, '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}')
}

fn tidy_line(line: &str, tabbed: bool) -> Cow<'_, str> {
    let line = line.trim_end();
    let line = match line.contains(is_odd_space) {
        true => Cow::Owned(line.replace(is_odd_space, " ")),
        false => Cow::Borrowed(line),
    };
    let inner = line.trim_start_matches([' ', '\t']);
    if !inner.contains('\t') && !inner.as_bytes().windows(2).any(|pair| pair == b"  ") {
        return line;
    }
    let keeps_tabs = tabbed || inner.matches('\t').count() > 1;
    let columns = inner.contains('|') || inner.split(COLUMN_SPACES).filter(|run| !run.is_empty()).count() > 2;
    if columns && (keeps_tabs || !inner.contains('\t')) {
        return line;
    }
    let mut out = String::with_capacity(line.len());
    out.push_str(&line[..line.len() - inner.len()]);
    for c in inner.chars().map(|c| if c == '\t' && !keeps_tabs { ' ' } else { c }) {
        if columns || c != ' ' || !out.ends_with(' ') {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_and_blank_lines() {
        for (text, expected) in [
            ("two  spaces.  And   more ", "two spaces. And more"),
            (" led by one", "led by one"),
            ("a  \nb\t\n\n\n\nc\n\n", "a\nb\n\nc"),
            ("a\r\nb\rc", "a\nb\nc"),
            ("10\u{A0}000\u{202F}€", "10 000 €"),
            ("name\tvalue", "name value"),
            ("\n\n  \nfirst", "first"),
            ("- one\n  - two  more", "- one\n  - two more"),
            (" \n ", ""),
        ] {
            let edited = tidy(text);
            assert_eq!(edited.text, expected, "{text:?}");
            assert!(edited.changes > 0);
            assert_eq!(tidy(expected), Edited::unchanged(expected));
        }
    }

    #[test]
    fn code_and_tables_keep_theirs() {
        for text in [
            "see:\n\n    if x:\n        y  =  1\n\nend",
            "```\na  b\n\n\n\n\tc  \n```",
            "    return  x",
            "name   |  value\n-----  | -----",
            "name    age    town\nann     31     ulm",
            "a\t1\nb\t2",
            "a\tb\tc",
            "日本語　文章",
            "plain text\n\nof two paragraphs",
        ] {
            assert_eq!(tidy(text), Edited::unchanged(text));
        }
    }
}
