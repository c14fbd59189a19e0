//! What filters and methods may make, known before they do.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::bounds::whole;
use super::compare::LETTER;
use super::python::{escaped_bytes, is_line_break};
use super::room::{
    ITEM_BYTES, ITEM_PARTS, Left, MOST_DEPTH, count, is_plain, look_through, parts_of, size, text_bytes,
    weight,
};
use crate::near::is_space;

/// What a part of a text takes as an item, with what says how long it is.
const PART_BYTES: usize = 3 * ITEM_BYTES;
/// What a pair takes beside its place in a list, in items.
const PAIR_ITEMS: usize = 4;
/// No template indents or pads by more.
const MOST_WIDTH: i64 = 1 << 20;
/// Filters that hand items on, or count them, and make no text of them.
const OF_ITEMS: [&str; 26] = [
    "abs",
    "attr",
    "bool",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "get",
    "groupby",
    "int",
    "items",
    "keys",
    "last",
    "length",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "reverse",
    "round",
    "select",
    "selectattr",
    "values",
];

/// Filters that ask each item for something, or of which each is asked for.
const OF_EACH: [&str; 20] = [
    "batch",
    "dictsort",
    "groupby",
    "items",
    "join",
    "keys",
    "list",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "reverse",
    "select",
    "selectattr",
    "slice",
    "sort",
    "sum",
    "unique",
    "values",
];
/// Those of them that hold items against one another.
const OF_ORDER: [&str; 6] = ["dictsort", "groupby", "max", "min", "sort", "unique"];
/// What asks for a value as it is.
const OF_ONE: [&str; 5] = ["attr", "d", "default", "first", "get"];
/// What asks how a text begins or ends.
const OF_ENDS: [&str; 4] = ["endswith", "removeprefix", "removesuffix", "startswith"];
/// What looks up of which kind each letter is, or how it is written otherwise.
const OF_LETTERS: [&str; 13] = [
    "capitalize",
    "isalnum",
    "isalpha",
    "isdigit",
    "islower",
    "isnumeric",
    "isspace",
    "isupper",
    "lower",
    "title",
    "truncate",
    "upper",
    "wordcount",
];

/// Notes what a filter or a method goes through, whatever it makes of that.
pub(super) fn read(name: &str, value: &Value, arguments: &[Value], room: &Left) -> Result<(), Error> {
    let mut named = 0_usize;
    for argument in arguments {
        named = named.saturating_add(match argument.is_kwargs() {
            true => argument.try_iter()?.filter_map(|name| Some(size(&argument.get_item(&name).ok()?))).sum(),
            false if is_plain(argument) => size(argument),
            false => 0,
        });
    }
    room.spend(parts_of(named))?;
    if OF_EACH.contains(&name) {
        return read_each(name, value, arguments, named, room);
    }
    match name {
        name if OF_ONE.contains(&name) => Ok(()),
        // Between two places, which are counted.
        name if OF_ENDS.contains(&name) && arguments.len() == 1 => {
            arguments.iter().try_for_each(|argument| look_through(argument, room))
        }
        name if OF_LETTERS.contains(&name) => room.spend(parts_of(size(value).saturating_mul(LETTER))),
        // Most count their items by a look.
        "count" | "last" | "length" if value.kind() != ValueKind::String => room.spend(match value.kind() {
            ValueKind::Iterable => count(value),
            _ => 1,
        }),
        _ if !is_plain(value) => Ok(()),
        "count" | "replace" => {
            look_through(value, room)?;
            // Each place takes longer than the letters between them.
            let what = arguments.first().and_then(Value::as_str).unwrap_or_default();
            room.spend(value.as_str().map_or(0, |text| text.matches(what).count()))
        }
        _ => look_through(value, room),
    }
}

/// Notes what goes through all items with a name of so many bytes.
fn read_each(name: &str, value: &Value, arguments: &[Value], named: usize, room: &Left) -> Result<(), Error> {
    if value.is_none() {
        return Err(Error::new(ErrorKind::InvalidOperation, "none is not iterable"));
    }
    let items = count(value);
    // What stands between the items, or fills them up, is no name.
    let named = match name {
        "batch" | "list" | "slice" => 0,
        "join" => size(&argument_of(arguments, 1, "attribute")),
        _ => named,
    };
    let again = if OF_ORDER.contains(&name) { items.max(1).ilog2() as usize } else { 0 };
    room.spend_again(again, || {
        room.spend(items.saturating_mul(ITEM_PARTS).saturating_mul(parts_of(named)))?;
        if again > 0 { weight(value, room).map(drop) } else { Ok(()) }
    })?;
    Ok(())
}

/// What a text takes that is cut up, or a mapping that becomes pairs.
pub(super) fn pieces(name: &str, value: &Value) -> usize {
    match name {
        "lines" | "partition" | "rpartition" | "rsplit" | "split" | "splitlines" => size(value),
        "items" | "dictsort" => size(value).saturating_mul(PAIR_ITEMS),
        _ => 0,
    }
}

/// The most bytes that a filter or a method makes.
pub(super) fn needed(name: &str, value: &Value, arguments: &[Value], room: &Left) -> Result<usize, Error> {
    let text = value.as_str().unwrap_or_default();
    let argument = |index: usize| arguments.get(index).and_then(Value::as_str).unwrap_or_default();
    if OF_ITEMS.contains(&name) {
        return Ok(0);
    }
    for argument in arguments {
        text_bytes(argument, room)?;
    }
    match name {
        "batch" | "center" | "indent" | "ljust" | "pprint" | "rjust" | "slice" | "tojson" | "zfill"
            if arguments.iter().any(is_wide) =>
        {
            let problem = format!("expected at most {MOST_WIDTH} in `{name}`");
            Err(Error::new(ErrorKind::InvalidOperation, problem))
        }
        "center" | "ljust" | "rjust" | "zfill" => {
            let width = arguments.first().and_then(whole).and_then(|width| usize::try_from(width).ok());
            Ok(text.len().saturating_add(width.unwrap_or(0).saturating_mul(size_of::<char>())))
        }
        "join" => {
            let between = size(&argument_of(arguments, 0, "d"));
            Ok(weight(value, room)?.saturating_add(between.saturating_mul(value.len().unwrap_or(0))))
        }
        "replace" => {
            let (from, to) = (argument(0), argument(1));
            let found = if to.len() > from.len() { text.matches(from).count() } else { 0 };
            Ok(text.len().saturating_add(found.saturating_mul(to.len())))
        }
        "indent" => {
            let width = argument_of(arguments, 0, "width");
            let spaces = whole(&width).and_then(|width| usize::try_from(width).ok()).unwrap_or(4);
            let lines = text.chars().filter(|letter| is_line_break(*letter)).count() + 2;
            Ok(text.len().saturating_add(lines.saturating_mul(spaces.max(size(&width)) + 1)))
        }
        "format" => {
            let digits = longest_number(text);
            let asks = text.contains('*') || text.contains(":{");
            if digits > 6 || asks && arguments.iter().any(is_wide) {
                let problem = format!("expected widths of at most {MOST_WIDTH} in `format`");
                return Err(Error::new(ErrorKind::InvalidOperation, problem));
            }
            let places = text.bytes().filter(|byte| matches!(byte, b'%' | b'{')).count();
            let widest = if digits > 0 || asks { MOST_WIDTH as usize } else { 0 };
            let mut bytes = widest;
            for argument in arguments {
                bytes = bytes.saturating_add(weight(argument, room)?);
            }
            Ok(text.len().saturating_add(places.saturating_mul(bytes)))
        }
        "lines" | "rsplit" | "split" | "splitlines" => {
            let parts = match argument_of(arguments, 0, "sep").as_str() {
                Some(between) if name.ends_with("split") => text.matches(between).count(),
                _ => text.split(is_space).count(),
            };
            Ok(text.len().saturating_add(parts.saturating_mul(PART_BYTES)))
        }
        "e" | "escape" => Ok(escaped_bytes(value, text_bytes(value, room)?)),
        // Each part stands on a line of its own, as far in as it is deep.
        "pprint" => Ok(text_bytes(value, room)?.saturating_mul(4 * MOST_DEPTH / ITEM_BYTES + 1)),
        // Of a text these make a list of its letters.
        "list" | "batch" | "slice" | "sort" => Ok(text.len().saturating_mul(ITEM_BYTES)),
        _ => text_bytes(value, room),
    }
}

/// The digits of the longest number that says how a text is filled: behind `%`, or within `{}`.
fn longest_number(text: &str) -> usize {
    let digits = |part: &str| part.split(|letter: char| !letter.is_ascii_digit()).map(str::len).max();
    let mut longest = 0;
    let mut parts = text.split('%').skip(1);
    while let Some(part) = parts.next() {
        if part.is_empty() {
            // Two signs are one that is printed.
            parts.next();
            continue;
        }
        let named = part.strip_prefix('(').and_then(|part| part.split_once(')'));
        let part = named.map_or(part, |(_, part)| part);
        let is_flag = |letter| matches!(letter, '0'..='9' | '#' | ' ' | '+' | '-' | '.' | '*');
        let end = part.find(|letter| !is_flag(letter)).unwrap_or(part.len());
        longest = longest.max(digits(&part[..end]).unwrap_or(0));
    }
    for part in text.split('{').skip(1) {
        let end = part.find('}').unwrap_or(part.len());
        longest = longest.max(digits(&part[..end]).unwrap_or(0));
    }
    longest
}

/// An argument by its place or its name.
pub(super) fn argument_of(arguments: &[Value], index: usize, name: &str) -> Value {
    let named = || arguments.iter().rfind(|argument| argument.is_kwargs())?.get_attr(name).ok();
    let placed = arguments.get(index).filter(|argument| !argument.is_kwargs()).cloned();
    placed.or_else(named).unwrap_or_default()
}

/// A number, or one among named arguments, that is larger than a width.
fn is_wide(argument: &Value) -> bool {
    match argument.kind() {
        ValueKind::Number => {
            argument.as_i64().is_none_or(|number| number > MOST_WIDTH) && argument.is_integer()
        }
        ValueKind::Map => argument.try_iter().is_ok_and(|mut names| {
            names
                .any(|name| argument.get_item(&name).is_ok_and(|value| !value.is_kwargs() && is_wide(&value)))
        }),
        _ => false,
    }
}
