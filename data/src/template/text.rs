//! Values as texts, where Python writes them otherwise than the engine: floats, by themselves and within lists and maps.

use minijinja::value::{Value, ValueKind};

use super::json::python_float;

/// Python's `str` of a value that is or holds a float; of all others the engine's own text is Python's, and this is `None`.
///
/// It goes through the value on the stack: the caller has seen how large and how deep that is.
pub(super) fn text_of_floats(value: &Value) -> Option<String> {
    if !holds_float(value) {
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

/// What a text with `%s` in it is filled with: floats there as Python writes them, all others as they are.
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

fn holds_float(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Number => !value.is_integer(),
        ValueKind::Map => value.try_iter().is_ok_and(|mut keys| {
            keys.any(|key| holds_float(&key) || value.get_item(&key).is_ok_and(|item| holds_float(&item)))
        }),
        ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => {
            value.try_iter().is_ok_and(|mut items| items.any(|item| holds_float(&item)))
        }
        _ => false,
    }
}

/// Python's `repr`, which is `str` for all that [`text_of_floats`] begins with.
fn write(out: &mut String, value: &Value) {
    let items = || value.try_iter().into_iter().flatten();
    match value.kind() {
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
            let template = ChatTemplate::new(source, SpecialTokens::default(), None).expect("it parses");
            let text = template.render(&[Message::new("user", "a")], false);
            assert_eq!(text.as_deref(), Ok(expected), "{source}");
        }
    }
}
