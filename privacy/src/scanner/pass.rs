//! The one pass over the bytes of a text: it finds the places worth a look and calls the matchers there.

use crate::generic::Generic;
use crate::scanner::forms::{Forms, Walk};
use crate::scanner::sink::Sink;
use crate::scanner::text::{self, CLASSES, class};

/// Goes over the text of `sink`: from digits, `@`, `:` and `-` back to the words before them, as all that is found has one of these
/// or stands beside a keyword.
pub(crate) fn run(sink: &mut Sink<'_>, generic: &Generic, forms: Option<&Forms>) {
    let has_names = generic.wants_names();
    run_from(sink, generic, forms, |bytes, at| text::next_trigger(bytes, at, has_names));
}

/// The same from the places that `next_trigger` tells, given the text and where to go on.
pub(crate) fn run_from(
    sink: &mut Sink<'_>,
    generic: &Generic,
    forms: Option<&Forms>,
    next_trigger: impl Fn(&[u8], usize) -> Option<usize>,
) {
    let bytes = sink.text.as_bytes();
    let mut pass = Pass { walk: forms.map(Forms::walk), name_end: 0 };
    let mut at = 0;
    while let Some(trigger) = next_trigger(bytes, at) {
        at = pass.start_before(bytes, at, trigger);
        while at <= trigger {
            at = pass.step(sink, generic, at);
        }
    }
}

struct Pass<'f> {
    walk: Option<Walk<'f>>,
    /// The end of the dotted name last looked at.
    name_end: usize,
}

impl Pass<'_> {
    /// Where to start, not before `done`, so that every word is looked at that can be the start of something with `trigger` in it.
    fn start_before(&self, bytes: &[u8], done: usize, trigger: usize) -> usize {
        let is_word = |byte: u8| CLASSES[usize::from(byte)] & (class::WORD | class::WIDE) != 0;
        let word =
            |from: usize| from - bytes[done..from].iter().rev().take_while(|byte| is_word(**byte)).count();
        if bytes[trigger] == b'@' {
            return trigger;
        }
        // The word with the trigger may be longer than the reach; one that only ends within it is not looked at.
        let own = word(trigger);
        let mut start = done.max(trigger.saturating_sub(text::NEAR_BYTES - 1)).min(own);
        if start > done && is_word(bytes[start - 1]) {
            start += bytes[start..own].iter().take_while(|byte| is_word(**byte)).count();
        }
        start
    }

    /// Looks at what starts at `at`; returns where the next thing starts.
    fn step(&mut self, sink: &mut Sink<'_>, generic: &Generic, at: usize) -> usize {
        let classes = CLASSES[usize::from(sink.text.as_bytes()[at])];
        if classes & (class::WORD | class::WIDE) != 0 {
            return self.word(sink, generic, at);
        }
        if classes & class::MARK != 0 {
            generic.at_mark(sink, at);
        } else if classes & class::OPENING != 0 {
            self.opening(sink, generic, at);
        }
        at + 1
    }

    /// Looks at the word (or the other character outside ASCII) that starts at `start`; returns where it ends.
    fn word(&mut self, sink: &mut Sink<'_>, generic: &Generic, start: usize) -> usize {
        let (end, seen) = word_at(sink.text, start);
        if seen == 0 {
            return end;
        }
        let bytes = sink.text.as_bytes();
        let is_number = bytes[start].is_ascii_digit();
        if is_number {
            generic.at_number(sink, start, end);
        }
        let follows = bytes.get(end).copied();
        if seen & class::DIGIT != 0 || matches!(follows, Some(b':' | b'-' | b'.')) {
            generic.at_word(sink, start, end, seen);
        }
        if follows == Some(b'.') && start >= self.name_end {
            self.name_end = generic.at_dotted(sink, start, end);
        }
        if is_number || text::has_digit_near(bytes, start) {
            if seen & class::DIGIT == 0 {
                generic.at_letters(sink, start, end);
            }
            if let Some(walk) = &mut self.walk {
                walk.at(sink.text, start, sink);
            }
        }
        end
    }

    /// Looks at a `+` or `(` before a digit.
    fn opening(&mut self, sink: &mut Sink<'_>, generic: &Generic, at: usize) {
        let bytes = sink.text.as_bytes();
        let next = bytes.get(at + 1);
        if next.is_some_and(u8::is_ascii_digit) || next == Some(&b'(') && bytes[at] == b'+' {
            if text::is_free_before(sink.text, at) {
                generic.at_phone(sink, at);
            }
            if let Some(walk) = &mut self.walk {
                walk.at(sink.text, at, sink);
            }
        }
    }
}

/// The end of the word that starts at `start`, and the classes of its characters; no class where a character that is in no word
/// stands there.
fn word_at(text: &str, start: usize) -> (usize, u8) {
    let bytes = text.as_bytes();
    let mut seen = 0;
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        let classes = CLASSES[usize::from(*byte)];
        if classes & class::WORD != 0 {
            at += 1;
        } else if classes & class::WIDE != 0 {
            let Some(c) = text[at..].chars().next() else { break };
            if !text::is_word(c) {
                return if at == start { (at + c.len_utf8(), 0) } else { (at, seen) };
            }
            at += c.len_utf8();
        } else {
            break;
        }
        seen |= classes;
    }
    (at, seen)
}
