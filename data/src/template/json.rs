//! The filter `tojson` of transformers, which is Python's `json.dumps` and not Jinja2's own.

use std::sync::Arc;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::room::{Left, left};

/// How `json.dumps` was asked to write.
struct Style {
    ascii: bool,
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    sort_keys: bool,
}

/// What is written, as long as there is room for it: what stands between the items may be long.
struct Out {
    text: String,
    left: Arc<Left>,
}

impl Out {
    fn push_str(&mut self, text: &str) -> Result<(), Error> {
        self.left.fits(self.text.len().saturating_add(text.len()))?;
        self.text.push_str(text);
        Ok(())
    }

    fn push(&mut self, letter: char) -> Result<(), Error> {
        self.push_str(letter.encode_utf8(&mut [0; 4]))
    }
}

/// `tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
pub(super) fn tojson(
    state: &mut State<'_, '_>,
    value: &Value,
    ensure_ascii: Option<bool>,
    arguments: Kwargs,
) -> Result<Value, Error> {
    let indent = match arguments.get::<Option<Value>>("indent")? {
        None => None,
        Some(value) if value.is_none() => None,
        Some(value) => Some(match value.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(usize::try_from(value)?),
        }),
    };
    let (item_separator, key_separator) = match arguments.get::<Option<Value>>("separators")? {
        Some(pair) if !pair.is_none() => {
            (pair.get_item_by_index(0)?.to_string(), pair.get_item_by_index(1)?.to_string())
        }
        // Python leaves the space out where a line break follows.
        _ => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let named_ascii: Option<bool> = arguments.get("ensure_ascii")?;
    let sort_keys = arguments.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    arguments.assert_all_used()?;
    let ascii = ensure_ascii.or(named_ascii).unwrap_or(false);
    let style = Style { ascii, indent, item_separator, key_separator, sort_keys };
    let mut out = Out { text: String::new(), left: left(state) };
    write_value(&mut out, value, &style, 0)?;
    // A text like any other: transformers marks it as no HTML.
    Ok(Value::from(out.text))
}

fn write_value(out: &mut Out, value: &Value, style: &Style, depth: usize) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None => out.push_str("null")?,
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" })?,
        ValueKind::Number if value.is_integer() => out.push_str(&value.to_string())?,
        ValueKind::Number => out.push_str(&python_float(f64::try_from(value.clone())?))?,
        ValueKind::String => write_text(out, value.as_str().unwrap_or_default(), style.ascii)?,
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.collect();
            write_items(out, ['[', ']'], &items, style, depth, |out, item| {
                write_value(out, item, style, depth + 1)
            })?;
        }
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            if style.sort_keys {
                keys.sort();
            }
            write_items(out, ['{', '}'], &keys, style, depth, |out, key| {
                write_key(out, key, style)?;
                out.push_str(&style.key_separator)?;
                write_value(out, &value.get_item(key)?, style, depth + 1)
            })?;
        }
        kind => {
            let message = format!("a value of type {kind} cannot be written as JSON");
            return Err(Error::new(ErrorKind::BadSerialization, message));
        }
    }
    Ok(())
}

fn write_items(
    out: &mut Out,
    brackets: [char; 2],
    items: &[Value],
    style: &Style,
    depth: usize,
    mut write_item: impl FnMut(&mut Out, &Value) -> Result<(), Error>,
) -> Result<(), Error> {
    let new_line = |out: &mut Out, depth: usize| {
        if let Some(indent) = style.indent.as_ref().filter(|_| !items.is_empty()) {
            out.push('\n')?;
            for _ in 0..depth {
                out.push_str(indent)?;
            }
        }
        Ok::<_, Error>(())
    };
    out.push(brackets[0])?;
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(&style.item_separator)?;
        }
        new_line(out, depth + 1)?;
        write_item(out, item)?;
    }
    new_line(out, depth)?;
    out.push(brackets[1])
}

/// Keys are texts; Python turns numbers, booleans and None into the JSON they would be.
fn write_key(out: &mut Out, key: &Value, style: &Style) -> Result<(), Error> {
    match key.as_str() {
        Some(text) => write_text(out, text, style.ascii)?,
        None => {
            out.push('"')?;
            write_value(out, key, style, 0)?;
            out.push('"')?;
        }
    }
    Ok(())
}

fn write_text(out: &mut Out, text: &str, ascii: bool) -> Result<(), Error> {
    out.push('"')?;
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\"")?,
            '\\' => out.push_str("\\\\")?,
            '\n' => out.push_str("\\n")?,
            '\r' => out.push_str("\\r")?,
            '\t' => out.push_str("\\t")?,
            '\u{8}' => out.push_str("\\b")?,
            '\u{c}' => out.push_str("\\f")?,
            _ if character < ' ' || (ascii && !(' '..='~').contains(&character)) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"))?;
                }
            }
            _ => out.push(character)?,
        }
    }
    out.push('"')
}

/// Python's `repr` of a float: the shortest digits, an exponent below 1e-4 and from 1e16.
pub(super) fn python_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = number.to_string();
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        let cases = [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (123456.789, "123456.789"),
            (1e300, "1e+300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (number, expected) in cases {
            assert_eq!(python_float(number), expected);
        }
    }
}
