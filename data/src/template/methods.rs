//! Methods of texts that the engine does not have, or has without their bounds.

use minijinja::value::{Tuple, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind};

use super::python::split_from_end;

/// `text.name(arguments)`, where it is one of these.
pub(super) fn method(text: &str, name: &str, arguments: &[Value]) -> Option<Result<Value, Error>> {
    Some(match name {
        "partition" | "rpartition" => {
            from_args(arguments).and_then(|(at,): (&str,)| parted(text, at, name == "rpartition"))
        }
        "removeprefix" => from_args(arguments)
            .map(|(begin,): (&str,)| Value::from(text.strip_prefix(begin).unwrap_or(text))),
        "removesuffix" => {
            from_args(arguments).map(|(end,): (&str,)| Value::from(text.strip_suffix(end).unwrap_or(text)))
        }
        "rsplit" => split_from_end(text, arguments),
        "find" | "rfind" | "index" | "rindex" | "count" => found(text, name, arguments),
        "startswith" | "endswith" => is_at_end(text, name, arguments),
        "zfill" => from_args(arguments).map(|(width,): (i64,)| {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
            Value::from(sign.to_owned() + &"0".repeat(missing(text, width)) + digits)
        }),
        "ljust" | "rjust" | "center" => filled(text, name, arguments),
        "join" => joined(arguments)?,
        _ => return None,
    })
}

fn wrong(problem: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem.to_owned())
}

/// A text before, at and behind the first or the last place of another.
fn parted(text: &str, at: &str, last: bool) -> Result<Value, Error> {
    if at.is_empty() {
        return Err(wrong("empty separator"));
    }
    let parts = if last { text.rsplit_once(at) } else { text.split_once(at) };
    let parts = match (parts, last) {
        (Some((before, after)), _) => [before, at, after],
        (None, false) => [text, "", ""],
        (None, true) => ["", "", text],
    };
    Ok(Value::from(Tuple::from(parts.map(Value::from).to_vec())))
}

/// What lies between two places of a text, and the bytes before it; nothing if it begins behind its end.
fn between(text: &str, start: Option<i64>, stop: Option<i64>) -> Option<(usize, &str)> {
    if start.is_none() && stop.is_none() {
        return Some((0, text));
    }
    let count = text.chars().count();
    let place = |bound: i64| match usize::try_from(bound) {
        Ok(place) => place,
        Err(_) => count.saturating_sub(usize::try_from(bound.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    let (start, stop) = (start.map_or(0, place), stop.map_or(count, place).min(count));
    if start > stop {
        return None;
    }
    let byte = |place: usize| text.char_indices().nth(place).map_or(text.len(), |(at, _)| at);
    Some((byte(start), &text[byte(start)..byte(stop)]))
}

type Searched<'a> = (&'a str, Option<i64>, Option<i64>);

/// `find`, `rfind`, `index`, `rindex` and `count`, between two places.
fn found(text: &str, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (what, start, stop): Searched<'_> = from_args(arguments)?;
    let within = between(text, start, stop);
    if name == "count" {
        return Ok(Value::from(within.map_or(0, |(_, within)| within.matches(what).count())));
    }
    let place = within.and_then(|(before, within)| {
        let place = if name.starts_with('r') { within.rfind(what) } else { within.find(what) };
        place.map(|place| text[..before + place].chars().count())
    });
    match place {
        Some(place) => Ok(Value::from(place)),
        None if name.ends_with("find") => Ok(Value::from(-1)),
        None => Err(wrong("substring not found")),
    }
}

/// `startswith` and `endswith` of one text or of several.
fn is_at_end(text: &str, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (ends, start, stop): (&Value, Option<i64>, Option<i64>) = from_args(arguments)?;
    let Some((_, text)) = between(text, start, stop) else { return Ok(Value::from(false)) };
    let is_at = |end: &str| if name == "startswith" { text.starts_with(end) } else { text.ends_with(end) };
    if let Some(end) = ends.as_str() {
        return Ok(Value::from(is_at(end)));
    }
    if !matches!(ends.kind(), ValueKind::Iterable | ValueKind::Seq) {
        return Err(wrong(&format!("{name} takes a text or several, found {}", ends.kind())));
    }
    for end in ends.try_iter()?.checked() {
        let end = end?;
        let end = end.as_str().ok_or_else(|| wrong(&format!("{name} takes texts, found {}", end.kind())))?;
        if is_at(end) {
            return Ok(Value::from(true));
        }
    }
    Ok(Value::from(false))
}

/// How many letters a text lacks to a width.
fn missing(text: &str, width: i64) -> usize {
    usize::try_from(width).unwrap_or(0).saturating_sub(text.chars().count())
}

/// `ljust`, `rjust` and `center`.
fn filled(text: &str, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (width, fill): (i64, Option<&str>) = from_args(arguments)?;
    let fill = fill.unwrap_or(" ");
    if fill.chars().count() != 1 {
        return Err(wrong("the fill is one letter"));
    }
    let all = missing(text, width);
    let before = match name {
        "ljust" => 0,
        "rjust" => all,
        // As CPython halves what is odd.
        _ => all / 2 + (all & usize::try_from(width).unwrap_or(0) & 1),
    };
    Ok(Value::from([fill.repeat(before).as_str(), text, fill.repeat(all - before).as_str()].concat()))
}

/// `text.join(items)` takes nothing but texts; those it joins are the engine's to join.
fn joined(arguments: &[Value]) -> Option<Result<Value, Error>> {
    let items = arguments.first()?.try_iter().ok()?;
    let other = items.filter(|item| item.as_str().is_none()).map(|item| item.kind()).next()?;
    Some(Err(wrong(&format!("'join' takes texts, found {other}"))))
}
