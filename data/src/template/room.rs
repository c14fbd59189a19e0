//! The room of one rendering: the bytes it may still make, and the parts of values it may still go through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::attributes::is_changed;

/// What a list holds an item in.
pub(super) const ITEM_BYTES: usize = size_of::<Value>();
/// What going through a list takes, so that few lists that hold one another again and again are not gone through for minutes.
const LIST_BYTES: usize = 1 << 10;
/// Lists in lists, deeper than any conversation: what goes through them does so on the stack, and so are they freed. Whatever
/// puts values into others counts how deep they are then, so that none is ever deeper.
pub(super) const MOST_DEPTH: usize = 200;
/// A rendering goes through as many parts of values as it may make of these, some seconds of work: what a template puts together anew
/// in each of a thousand turns takes some million.
const BYTES_OF_PART: usize = 16;
/// Where there is room for little, as in tests, that is what ends it.
const LEAST_PARTS: usize = 1 << 23;
/// Bytes of a text that are looked at as fast as a part.
const PART_BYTES: usize = 32;
/// The bytes that a rendering may make, as a name of its environment.
pub(super) const MOST: &str = "__bounded_most";

/// More was to be made than there is room for.
#[derive(Debug, thiserror::Error)]
#[error("more than {0} bytes")]
pub(super) struct Full(pub(super) usize);

/// More was to be gone through than a rendering may.
#[derive(Debug, thiserror::Error)]
#[error("more parts of values than there may be")]
pub(super) struct Worn;

/// What a rendering may still make, in bytes, of how many in all, and the parts it may still go through.
#[derive(Debug)]
pub(super) struct Left {
    bytes: AtomicUsize,
    of_bytes: usize,
    parts: AtomicUsize,
}

/// What there is room for.
pub(super) fn left(state: &mut State<'_, '_>) -> Arc<Left> {
    if let Some(left) = state.get_extension::<Arc<Left>>() {
        return Arc::clone(left);
    }
    let most = state.lookup(MOST).and_then(|most| usize::try_from(most).ok()).unwrap_or(0);
    let left = Left {
        bytes: AtomicUsize::new(most),
        of_bytes: most,
        parts: AtomicUsize::new((most / BYTES_OF_PART).max(LEAST_PARTS)),
    };
    Arc::clone(state.get_or_insert_extension(Arc::new(left)))
}

/// Notes what is made.
pub(super) fn take(state: &mut State<'_, '_>, bytes: usize) -> Result<(), Error> {
    let left = left(state);
    left.fits(bytes)?;
    // One thread renders, so that nothing is taken in between.
    left.bytes.fetch_sub(bytes, Ordering::Relaxed);
    Ok(())
}

impl Left {
    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether so much more may be made.
    pub(super) fn fits(&self, bytes: usize) -> Result<(), Error> {
        if bytes <= self.bytes() {
            return Ok(());
        }
        let problem = "more texts are made than there may be";
        Err(Error::new(ErrorKind::InvalidOperation, problem).with_source(Full(self.of_bytes)))
    }

    /// Notes that so many parts are gone through.
    pub(super) fn spend(&self, parts: usize) -> Result<(), Error> {
        let left = self.parts.load(Ordering::Relaxed).checked_sub(parts);
        // What is refused has nothing left, so that it is not asked for again in smaller parts.
        self.parts.store(left.unwrap_or(0), Ordering::Relaxed);
        left.map(drop).ok_or_else(too_many_parts)
    }

    /// Does something as often as `times` says, of which each takes what the first takes.
    pub(super) fn spend_again(
        &self,
        times: usize,
        first: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let before = self.parts.load(Ordering::Relaxed);
        first()?;
        let spent = before.saturating_sub(self.parts.load(Ordering::Relaxed));
        self.spend(spent.saturating_mul(times))
    }
}

/// The parts of a text of so many bytes.
pub(super) fn parts_of(bytes: usize) -> usize {
    1 + bytes / PART_BYTES
}

/// What an item takes that is handed to a test or a filter, or held against another, in parts.
pub(super) const ITEM_PARTS: usize = 4;

/// The items of a list or a mapping, the bytes of a text.
pub(super) fn count(value: &Value) -> usize {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => value.len().unwrap_or(0),
        _ => size(value),
    }
}

/// Bytes that a value takes by itself.
pub(super) fn size(value: &Value) -> usize {
    match value.kind() {
        ValueKind::String | ValueKind::Bytes => value.as_bytes().map_or(0, <[u8]>::len),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            value.len().unwrap_or(0).saturating_mul(ITEM_BYTES)
        }
        _ => 0,
    }
}

/// Whether a value has nothing within it.
pub(super) fn is_plain(value: &Value) -> bool {
    !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map)
}

/// About the bytes of a value as a text, each part as often as it stands in it.
pub(super) fn weight(value: &Value, left: &Left) -> Result<usize, Error> {
    let mut walk = Walk { left, bytes: 0, parts: left.parts.load(Ordering::Relaxed) };
    let walked = walk.through(value, 0);
    left.parts.store(walk.parts, Ordering::Relaxed);
    walked.map(|()| walk.bytes)
}

/// What a value takes as a text, before it is one.
pub(super) fn text_bytes(value: &Value, left: &Left) -> Result<usize, Error> {
    if is_plain(value) { Ok(size(value)) } else { weight(value, left) }
}

/// Notes that a value is looked through for another, or that texts are.
pub(super) fn look_through(value: &Value, left: &Left) -> Result<(), Error> {
    if !is_plain(value) {
        return weight(value, left).map(drop);
    }
    left.spend(parts_of(size(value)))
}

fn too_many_parts() -> Error {
    let problem = "larger values are gone through than there may be";
    Error::new(ErrorKind::InvalidOperation, problem).with_source(Worn)
}

struct Walk<'a> {
    left: &'a Left,
    bytes: usize,
    parts: usize,
}

impl Walk<'_> {
    fn through(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let wrong = |problem| Error::new(ErrorKind::InvalidOperation, problem);
        let own = match is_plain(value) {
            true if depth == 0 => size(value),
            true => quoted_bytes(value),
            false => LIST_BYTES,
        };
        self.bytes = self.bytes.saturating_add(own).saturating_add(ITEM_BYTES);
        self.left.fits(self.bytes)?;
        let parts = if is_plain(value) { parts_of(size(value)) } else { 1 };
        self.parts = self.parts.checked_sub(parts).ok_or_else(too_many_parts)?;
        if is_plain(value) {
            return Ok(());
        }
        if depth > 0 && is_changed(value) {
            return Err(wrong(STANDS_ALONE));
        }
        if depth == MOST_DEPTH {
            return Err(wrong("lists stand too deep in one another"));
        }
        for item in value.try_iter()? {
            self.through(&item, depth + 1)?;
            if value.kind() == ValueKind::Map {
                self.through(&value.get_item(&item)?, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// What holds other values and is changed later could come to hold itself, or be made deeper from within: no count at the
/// time when it is put somewhere would say how deep it is.
pub(super) const STANDS_ALONE: &str = "a namespace or a loop stands within another value";

/// What a value within another is written as, with a backslash before some letters and some as their numbers.
fn quoted_bytes(value: &Value) -> usize {
    let Some(text) = value.as_str() else { return size(value) };
    let more = |byte: &u8| match *byte {
        b'\'' | b'"' | b'\\' => 1,
        0..0x20 | 0x7f => 3,
        // Some of the letters that begin with this byte are control characters.
        0xc2 => 2,
        _ => 0,
    };
    text.len().saturating_add(text.as_bytes().iter().map(more).sum())
}

/// A list in place of what makes its items anew each time, and may hold more than it shows.
pub(super) fn as_list(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    if value.kind() != ValueKind::Iterable {
        return Ok(value);
    }
    let left = left(state);
    let mut items = Vec::new();
    for item in value.try_iter()?.checked() {
        left.fits((items.len() + 1) * ITEM_BYTES)?;
        items.push(item?);
    }
    // Where it has a length, that is noted as the size of what is made.
    let unknown = if value.len().is_some() { 0 } else { items.len() * ITEM_BYTES };
    take(state, unknown)?;
    Ok(Value::from(items))
}
