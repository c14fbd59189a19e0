//! `value[start:stop:step]` as Python cuts it.
//!
//! Source: `PySlice_AdjustIndices` of CPython. The engine's own slice panics at some steps and hands out lists that hold one
//! another.

use minijinja::value::{Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::room::{ITEM_BYTES, left, look_through, parts_of, take};

/// Places of a cut, in order: the first, how many, and from each to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Places {
    first: usize,
    count: usize,
    stride: usize,
    backwards: bool,
}

impl Places {
    /// The places among `length` of them; a bound that is absent is the end that the step comes from or goes to.
    fn of(length: usize, start: Option<i64>, stop: Option<i64>, step: i64) -> Self {
        let (length, step) = (length as i128, i128::from(step));
        // One before the first place is where a step backwards ends.
        let (lowest, highest) = if step < 0 { (-1, length - 1) } else { (0, length) };
        let place = |bound: i64| {
            let bound = i128::from(bound);
            (if bound < 0 { bound + length } else { bound }).clamp(lowest, highest)
        };
        let (from, to) = if step < 0 { (highest, lowest) } else { (lowest, highest) };
        let first = start.map_or(from, place);
        let last = stop.map_or(to, place);
        let between = if step < 0 { first - last } else { last - first };
        let stride = step.unsigned_abs();
        let count = if between > 0 { (between.unsigned_abs() - 1) / stride + 1 } else { 0 };
        // Neither is above the length but the stride, and nothing is as far away as that.
        let small = |number: u128| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            first: usize::try_from(first).unwrap_or(0),
            count: small(count),
            stride: small(stride),
            backwards: step < 0,
        }
    }

    fn each(self) -> impl Iterator<Item = usize> {
        (0..self.count).map(move |index| match self.backwards {
            true => self.first - index * self.stride,
            false => self.first + index * self.stride,
        })
    }
}

/// The function that slices are written anew as: of texts by characters, of tuples a tuple, of other lists a list.
pub(super) fn cut(
    state: &mut State<'_, '_>,
    value: &Value,
    start: &Value,
    stop: &Value,
    step: &Value,
) -> Result<Value, Error> {
    let (start, stop, step) = (bound(start)?, bound(stop)?, bound(step)?.unwrap_or(1));
    if step == 0 {
        return Err(Error::new(ErrorKind::InvalidOperation, "slice step cannot be zero"));
    }
    match value.kind() {
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            let is_forward = |bound: Option<i64>| bound.is_none_or(|bound| bound >= 0);
            // Counted from its start and in order: how long the text is says nothing then.
            if step == 1 && is_forward(start) && is_forward(stop) {
                let at = |bound: i64| usize::try_from(bound).unwrap_or(usize::MAX);
                return text_between(state, text, start.map_or(0, at), stop.map(at));
            }
            look_through(value, &left(state))?;
            text_at(state, text, Places::of(text.chars().count(), start, stop, step))
        }
        ValueKind::None => {
            let problem = "'NoneType' object is not subscriptable";
            Err(Error::new(ErrorKind::InvalidOperation, problem))
        }
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::Seq => {
            let places = Places::of(value.len().unwrap_or(0), start, stop, step);
            take(state, places.count.saturating_mul(ITEM_BYTES))?;
            let items =
                places.each().map(|place| value.get_item_by_index(place)).collect::<Result<_, _>>()?;
            Ok(held(value, items))
        }
        ValueKind::Iterable => {
            let mut items = Vec::new();
            for item in value.try_iter()?.checked() {
                take(state, ITEM_BYTES)?;
                items.push(item?);
            }
            let places = Places::of(items.len(), start, stop, step);
            Ok(held(value, places.each().map(|place| items[place].clone()).collect()))
        }
        kind => {
            Err(Error::new(ErrorKind::InvalidOperation, format!("a value of type {kind} cannot be sliced")))
        }
    }
}

fn held(value: &Value, items: Vec<Value>) -> Value {
    if value.is_tuple() { Value::from(Tuple::from(items)) } else { Value::from(items) }
}

/// The characters of a text from one place to before another.
fn text_between(
    state: &mut State<'_, '_>,
    text: &str,
    first: usize,
    last: Option<usize>,
) -> Result<Value, Error> {
    let place = |text: &str, count: usize| text.char_indices().nth(count).map_or(text.len(), |(at, _)| at);
    let from = place(text, first);
    left(state).spend(parts_of(from))?;
    let text = &text[from..];
    let text = last.map_or(text, |last| &text[..place(text, last.saturating_sub(first))]);
    take(state, text.len())?;
    Ok(Value::from(text))
}

/// The characters of a text at these places; there is no list of all of them.
fn text_at(state: &mut State<'_, '_>, text: &str, places: Places) -> Result<Value, Error> {
    if places.count == 0 {
        return Ok(Value::from(""));
    }
    let (from, letters) = (text.char_indices().nth(places.first), places.count);
    let at = from.map_or(text.len(), |(at, _)| at);
    let after = at + from.map_or(0, |(_, letter)| letter.len_utf8());
    match places.backwards {
        true => collected(state, text[..after].chars().rev().step_by(places.stride).take(letters)),
        false => collected(state, text[at..].chars().step_by(places.stride).take(letters)),
    }
}

fn collected(state: &mut State<'_, '_>, letters: impl Iterator<Item = char> + Clone) -> Result<Value, Error> {
    let bytes = letters.clone().map(char::len_utf8).sum();
    take(state, bytes)?;
    let mut text = String::with_capacity(bytes);
    text.extend(letters);
    Ok(Value::from(text))
}

/// A bound that is written; one beyond all numbers is beyond all places as well.
fn bound(value: &Value) -> Result<Option<i64>, Error> {
    match value.kind() {
        ValueKind::None => Ok(None),
        ValueKind::Bool => Ok(Some(i64::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => {
            let wide = i128::try_from(value.clone()).unwrap_or(i128::MAX);
            Ok(Some(i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX })))
        }
        kind => {
            let problem = format!("the bounds of a slice are whole numbers or none, found {kind}");
            Err(Error::new(ErrorKind::InvalidOperation, problem))
        }
    }
}

#[cfg(test)]
#[path = "cut_tests.rs"]
mod tests;
