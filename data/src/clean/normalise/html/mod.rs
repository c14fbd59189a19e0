//! HTML to text.

mod elements;
mod entities;
mod tags;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::edit::Edited;
use super::lines::Code;
use elements::Kind;
use entities::next_reference;
use tags::{Markup, Tag, markup};

/// Tags and character references as the text they show: blocks on lines of their own, links as their text, scripts and
/// styles gone. Code, comparisons, generic types and placeholders are no tags; see [`tags`].
pub(crate) fn to_text(text: &str) -> Edited<'_> {
    let (may_have_tags, may_have_references) = (has_tag(text), has_reference(text));
    if !may_have_tags && !may_have_references {
        return Edited::unchanged(text);
    }
    let markup = match may_have_tags {
        true => markup(text),
        false => Markup { tags: Vec::new(), page: false, code: Code::of(text) },
    };
    let mut last_closings: HashMap<&[u8], usize> = HashMap::new();
    for tag in markup.tags.iter().filter(|tag| tag.closing) {
        last_closings.insert(&tag.name, tag.range.start);
    }
    let closed = |tag: &Tag| last_closings.get(&*tag.name).is_some_and(|&last| last > tag.range.start);
    let mut writer = Writer::new(text, &markup.code, markup.page);
    let mut unread: Option<&Tag> = None;
    let mut at = 0;
    for tag in &markup.tags {
        if tag.range.start < at {
            continue;
        }
        match unread {
            None => writer.text(at, tag.range.start),
            Some(opening) if tag.closing && tag.name == opening.name => unread = None,
            Some(_) => {}
        }
        at = tag.range.end;
        writer.changes += 1;
        if unread.is_some() {
            continue;
        }
        match tag.element.map(|element| element.kind) {
            Some(Kind::Unread) if !tag.closing => unread = closed(tag).then_some(tag),
            Some(kind) => writer.tag(kind, tag.closing),
            None => {}
        }
    }
    if unread.is_none() {
        writer.text(at, text.len());
    }
    writer.finish()
}

fn has_tag(text: &str) -> bool {
    let bytes = text.as_bytes();
    let opens = |(index, _): (usize, &str)| {
        bytes
            .get(index + 1)
            .is_some_and(|&byte| byte.is_ascii_alphabetic() || matches!(byte, b'/' | b'!' | b'?'))
    };
    text.contains('>') && text.match_indices('<').any(opens)
}

fn has_reference(text: &str) -> bool {
    text.contains('&') && text.contains(';')
}

/// Puts the text together.
struct Writer<'a, 'c> {
    source: &'a str,
    code: &'c Code,
    /// Whether white space of the source is one space, as in a page.
    collapse: bool,
    verbatim: usize,
    /// Whether the last thing written is the line break of a tag; the source often has one at the same place.
    after_break: bool,
    out: String,
    changes: usize,
}

impl<'a, 'c> Writer<'a, 'c> {
    fn new(source: &'a str, code: &'c Code, collapse: bool) -> Self {
        Self {
            source,
            code,
            collapse,
            verbatim: 0,
            after_break: false,
            out: String::with_capacity(source.len()),
            changes: 0,
        }
    }

    /// The text between two tags, its references resolved outside code.
    fn text(&mut self, from: usize, to: usize) {
        let part = &self.source[..to];
        let mut at = from;
        if std::mem::take(&mut self.after_break) && !self.collapse {
            let rest = &part[at..];
            at = to - rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')).unwrap_or(rest).len();
        }
        while at < to {
            let code = self.code.after(at).filter(|range| range.start < to).cloned();
            let prose_end = code.as_ref().map_or(to, |range| range.start.max(at));
            while let Some((range, meaning)) = next_reference(&part[..prose_end], at) {
                self.push(&part[at..range.start]);
                self.out.push_str(&meaning);
                self.changes += 1;
                at = range.end;
            }
            self.push(&part[at..prose_end]);
            at = prose_end;
            if let Some(code) = code {
                let end = code.end.min(to);
                self.out.push_str(&part[at..end]);
                at = end;
            }
        }
    }

    fn push(&mut self, text: &str) {
        if !self.collapse || self.verbatim > 0 {
            self.out.push_str(text);
            return;
        }
        for c in text.chars() {
            match c {
                ' ' | '\t' | '\n' | '\r' | '\u{C}' => {
                    if !self.out.is_empty() && !self.out.ends_with([' ', '\n']) {
                        self.out.push(' ');
                    }
                }
                _ => self.out.push(c),
            }
        }
    }

    fn tag(&mut self, kind: Kind, closing: bool) {
        self.after_break =
            matches!(kind, Kind::Paragraph | Kind::Block | Kind::Item | Kind::Break) && !self.out.is_empty();
        match kind {
            Kind::Paragraph => self.lines(2),
            Kind::Block | Kind::Page => self.lines(1),
            Kind::Item => {
                self.lines(1);
                if !closing {
                    self.out.push_str("- ");
                }
            }
            Kind::Break => self.line_break(),
            Kind::Cell => {
                if !closing && !self.out.is_empty() && !self.out.ends_with([' ', '\n']) {
                    self.out.push(' ');
                }
            }
            Kind::Verbatim => {
                self.lines(1);
                self.verbatim = if closing { self.verbatim.saturating_sub(1) } else { self.verbatim + 1 };
            }
            Kind::Code => self.out.push('`'),
            Kind::Raised if !closing => self.out.push('^'),
            Kind::Raised | Kind::Inline | Kind::Unread => {}
        }
    }

    fn line_break(&mut self) {
        self.trim_spaces();
        self.out.push('\n');
    }

    /// At least so many line feeds, if there is anything before them.
    fn lines(&mut self, count: usize) {
        self.trim_spaces();
        let present = self.out.bytes().rev().take_while(|&byte| byte == b'\n').count();
        if !self.out.is_empty() {
            (present..count).for_each(|_| self.out.push('\n'));
        }
    }

    fn trim_spaces(&mut self) {
        let length = self.out.trim_end_matches([' ', '\t']).len();
        self.out.truncate(length);
    }

    fn finish(mut self) -> Edited<'a> {
        if self.changes == 0 {
            return Edited::unchanged(self.source);
        }
        if self.collapse || !self.source.ends_with('\n') {
            let length = self.out.trim_end_matches(if self.collapse { [' ', '\n'] } else { ['\n'; 2] }).len();
            self.out.truncate(length);
        }
        Edited { text: self.out.into(), changes: self.changes }
    }
}
