//! Values as texts, where Python writes them otherwise than the engine: floats, by themselves and within lists and maps; and within these
//! undefined values and texts with characters that Python does not print.

use std::fmt::Write as _;
use std::sync::LazyLock;

use minijinja::value::{Value, ValueKind};
use regex::Regex;

use super::json::python_float;

/// Python's `str` of a value that is a float, or that holds one or something else that the engine writes otherwise; of all others the
/// engine's own text is Python's, and this is `None`.
///
/// It goes through the value on the stack: the caller has seen how large and how deep that is.
pub(super) fn text_of_floats(value: &Value) -> Option<String> {
    let differs = match value.kind() {
        // By themselves they are not quoted.
        ValueKind::String | ValueKind::Undefined => false,
        _ => is_written_otherwise(value),
    };
    if !differs {
        return None;
    }
    let mut out = String::new();
    write(&mut out, value);
    Some(out)
}

/// Python's `str` of a value.
pub(super) fn text_of(value: &Value) -> String {
    text_of_floats(value).unwrap_or_else(|| value.to_string())
}

/// What a text with `%s` in it is filled with: what Python writes otherwise as its text, all others as they are.
pub(super) fn filled_with(format: &str, mut arguments: Vec<Value>) -> Vec<Value> {
    let mut parts = format.split('%').skip(1);
    let mut index = 0;
    while let Some(part) = parts.next() {
        let letter =
            part.find(|letter: char| !matches!(letter, '0'..='9' | '#' | ' ' | '+' | '-' | '.' | '*'));
        let Some(at) = letter else {
            // Two signs are one that is printed.
            parts.next();
            continue;
        };
        index += part[..at].matches('*').count();
        if let (true, Some(argument)) = (part[at..].starts_with(['s', 'r']), arguments.get_mut(index))
            && let Some(text) = text_of_floats(argument)
        {
            *argument = Value::from(text);
        }
        index += usize::from(!part[at..].starts_with('('));
    }
    arguments
}

/// Whether the `Debug` of the engine is not Python's `repr`.
fn is_written_otherwise(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Undefined => true,
        ValueKind::String => value.as_str().is_some_and(holds_unprinted),
        ValueKind::Number => !value.is_integer(),
        ValueKind::Map => value.try_iter().is_ok_and(|mut keys| {
            keys.any(|key| {
                is_written_otherwise(&key)
                    || value.get_item(&key).is_ok_and(|item| is_written_otherwise(&item))
            })
        }),
        ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => {
            value.try_iter().is_ok_and(|mut items| items.any(|item| is_written_otherwise(&item)))
        }
        _ => false,
    }
}

/// Whether a character is one that `str.isprintable` of Python says no to, beyond ASCII, where the engine escapes what Python does.
///
/// The tables are those of Unicode 16, as in Python 3.14: an older Python escapes what was assigned after its own (3.11 has 14, 3.13 has 15.1).
fn holds_unprinted(text: &str) -> bool {
    static UNPRINTED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\p{C}\p{Z}--[ ]]").ok());
    !text.is_ascii() && UNPRINTED.as_ref().is_some_and(|unprinted| unprinted.is_match(text))
}

/// Python's `repr` of a text.
fn write_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut buffer = [0; 4];
    out.push(quote);
    for letter in text.chars() {
        let code = u32::from(letter);
        // Writing to a text does not fail.
        let _ = match letter {
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            '\\' => out.write_str("\\\\"),
            letter if letter == quote => write!(out, "\\{letter}"),
            ' '..='~' => out.write_char(letter),
            '\0'..='\x7f' => write!(out, "\\x{code:02x}"),
            letter if !holds_unprinted(letter.encode_utf8(&mut buffer)) => out.write_char(letter),
            '\0'..='\u{ff}' => write!(out, "\\x{code:02x}"),
            '\0'..='\u{ffff}' => write!(out, "\\u{code:04x}"),
            _ => write!(out, "\\U{code:08x}"),
        };
    }
    out.push(quote);
}

/// Python's `repr`, which is `str` for all that [`text_of_floats`] begins with.
fn write(out: &mut String, value: &Value) {
    let items = || value.try_iter().into_iter().flatten();
    match value.kind() {
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::String => write_quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Number if !value.is_integer() => {
            out.push_str(&match f64::try_from(value.clone()) {
                Ok(number) if number.is_nan() => "nan".to_owned(),
                Ok(number) if number.is_infinite() => if number > 0.0 { "inf" } else { "-inf" }.to_owned(),
                Ok(number) => python_float(number),
                Err(_) => value.to_string(),
            });
        }
        ValueKind::Map => {
            out.push('{');
            for (index, key) in items().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write(out, &key);
                out.push_str(": ");
                write(out, &value.get_item(&key).unwrap_or_default());
            }
            out.push('}');
        }
        ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => {
            let is_tuple = value.is_tuple();
            out.push(if is_tuple { '(' } else { '[' });
            for (index, item) in items().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write(out, &item);
            }
            out.push_str(if is_tuple && value.len() == Some(1) { "," } else { "" });
            out.push(if is_tuple { ')' } else { ']' });
        }
        // The engine's `Debug` is Python's `repr`.
        _ => out.push_str(&format!("{value:?}")),
    }
}

#[cfg(test)]
mod tests {
    use crate::record::Message;
    use crate::template::{ChatTemplate, SpecialTokens};

    /// What Jinja 3.1 prints.
    #[test]
    fn floats_are_pythons_wherever_a_template_prints_them() {
        for (source, expected) in [
            (
                "{{ 0.00001 }} {{ 1e16 }} {{ 1e16 | string }} {{ -0.0 }} {{ 100.0 }}",
                "1e-05 1e+16 1e+16 -0.0 100.0",
            ),
            ("{{ 'x' ~ 1e22 }} {{ 0.00001 ~ [0.00001] }}", "x1e+22 1e-05[1e-05]"),
            ("{{ [1e-7, 2] | join(',') }} {{ [[1e-5]] | join }}", "1e-07,2 [1e-05]"),
            ("{{ [0.00001] }} {{ (1e-5,) }} {{ (1e-5, 'a') }}", "[1e-05] (1e-05,) (1e-05, 'a')"),
            (
                "{{ {'a': 0.00001, 'b': [1e16, none, true, 'it', 3]} }} {{ {1e-5: 1e-5} }}",
                "{'a': 1e-05, 'b': [1e+16, None, True, 'it', 3]} {1e-05: 1e-05}",
            ),
            (
                "{{ 1e-5 | upper }} {{ 1e16 | title }} {{ 1e-5 | replace('e', 'x') }} {{ 1e-5 | capitalize }} {{ 1e-5 | trim }}",
                "1E-05 1e+16 1x-05 1e-05 1e-05",
            ),
            ("{{ 1e-5 | e }} {{ 1e-5 | safe }} {{ 1e-5 | lower }}", "1e-05 1e-05 1e-05"),
            ("{{ 1e308 * 10 }} {{ -1e308 * 10 }} {{ [1e308 * 10 - 1e308 * 10] }}", "inf -inf [nan]"),
            ("{{ [1e-5, 'x'] | map('string') | list }}", "['1e-05', 'x']"),
            (
                "{% set x %}{{ 1e-5 }}{% endset %}{{ x }} {{ 1 / 3 }} {{ 2 ** 0.5 }}",
                "1e-05 0.3333333333333333 1.4142135623730951",
            ),
            (
                "{{ '%s %d %.2f' | format(1e16, 3, 0.5) }} {{ '%s%%%s' | format('a', [1e-5]) }}",
                "1e+16 3 0.50 a%[1e-05]",
            ),
            (
                "{% autoescape true %}{{ ['<', 1e-5] | join }} {{ 1e-5 }}{% endautoescape %}",
                "&lt;1e-05 1e-05",
            ),
        ] {
            prints(source, expected);
        }
    }

    fn prints(source: &str, expected: &str) {
        let template = ChatTemplate::new(source, SpecialTokens::default(), None).expect("it parses");
        let text = template.render(&[Message::new("user", "a")], false);
        assert_eq!(text.as_deref(), Ok(expected), "{source}");
    }

    /// What Jinja 3.1 prints, by Python 3.11.
    #[test]
    fn texts_within_lists_and_maps_are_pythons() {
        let odd = "\u{3000}\u{200b}\u{a0}\u{feff}\u{ad}\u{e000}\u{2028}x";
        let escaped = r"'\u3000\u200b\xa0\ufeff\xad\ue000\u2028x'";
        prints(
            &format!(
                "{{{{ ['{odd}'] }}}} {{{{ {{'{odd}': '{odd}'}} }}}} {{{{ ('{odd}',) }}}} {{{{ '{odd}' }}}}"
            ),
            &format!("[{escaped}] {{{escaped}: {escaped}}} ({escaped},) {odd}"),
        );
        for (source, expected) in [
            (
                "{{ 'a' ~ ['\u{a0}'] }} {{ ['\u{a0}'] | string }} {{ [['\u{a0}'], '\u{a0}'] | join('|') }}",
                "a['\\xa0'] ['\\xa0'] ['\\xa0']|\u{a0}",
            ),
            (
                "{{ ['it\\'s\u{a0}', 'say \"x\"\u{a0}', 'it\\'s \"x\"\u{a0}', '\u{a0}\\\\ \\n\\t\\r'] }}",
                r#"["it's\xa0", 'say "x"\xa0', 'it\'s "x"\xa0', '\xa0\\ \n\t\r']"#,
            ),
            ("{{ ['\u{1}\u{a0}\u{7f}\u{80} '] }}", r"['\x01\xa0\x7f\x80 ']"),
            (
                "{{ ['\u{e0001}\u{1f600}\u{10ffff}\u{100000}'] }}",
                "['\\U000e0001\u{1f600}\\U0010ffff\\U00100000']",
            ),
            // Code points that no version of Unicode has assigned yet, and the sign of the baht, which stands between such.
            ("{{ ['\u{378}\u{e3f}\u{e3b}'] }}", "['\\u0378\u{e3f}\\u0e3b']"),
            (
                "{{ ['a\u{301}', 'é', 'Ω', '\u{1f468}\u{200d}\u{1f469}'] }}",
                "['a\u{301}', 'é', 'Ω', '\u{1f468}\\u200d\u{1f469}']",
            ),
            (
                "{{ '%s' | format({'a': '\u{a0}'}) }} {{ {'a': none, 'b': true, 'c': '\u{a0}', 'd': 1.5, 'e': 3} }}",
                r"{'a': '\xa0'} {'a': None, 'b': True, 'c': '\xa0', 'd': 1.5, 'e': 3}",
            ),
            (
                "{{ ['\u{a0}'] | upper }} {{ ['\u{a0}'] | replace('a', 'b') }} {{ ['\u{a0}'] | trim }}",
                r"['\XA0'] ['\xb0'] ['\xa0']",
            ),
            (
                "{% macro m() %}{{ ['\u{a0}', a] }}{% endmacro %}{{ m() }}{{ [m()] }}",
                r#"['\xa0', Undefined]["['\\xa0', Undefined]"]"#,
            ),
            (
                "{% autoescape true %}{{ ['<\u{a0}'] }}{{ ['<\u{a0}'] | join }}{% endautoescape %}",
                "[&#39;&lt;\\xa0&#39;]&lt;\u{a0}",
            ),
            ("{{ {'a': '\u{a0}'}.items() | list }}", r"[('a', '\xa0')]"),
            (
                "{{ [missing] }} {{ {'a': missing} }} {{ (missing, 1) }} {{ [missing] | string }} {{ 'a' ~ [missing] }}|{{ missing }}",
                "[Undefined] {'a': Undefined} (Undefined, 1) [Undefined] a[Undefined]|",
            ),
            (
                "{{ [[missing]] | join }}{{ [missing, 'a'] | join(',') }} {{ '%s' | format([missing]) }} {{ '%s|' | format(missing) }}",
                "[Undefined],a [Undefined] |",
            ),
            ("{{ [{}.get('a')] }} {{ [{}.a] }} {{ [{'a':1}['b']] }}", "[None] [Undefined] [Undefined]"),
        ] {
            prints(source, expected);
        }
    }
}
