//! Templates that make little, and read much for it again and again.

use std::time::{Duration, Instant};

use super::*;

const MUCH: &str = "larger values are gone through than there may be";

fn rendered(source: &str, messages: &[Message]) -> Result<String, TemplateError> {
    let template = ChatTemplate::new(source, SpecialTokens::default(), None).expect("it parses");
    template.render(messages, false)
}

/// Each of these ran for minutes or days. A template may go through as much as it may make, so that less room makes the same of less.
fn ends_soon(source: &str) {
    let begun = Instant::now();
    let template =
        ChatTemplate::with_room(source, SpecialTokens::default(), "2026-01-31".parse().ok(), 128 << 20);
    let rendered = template.expect("it parses").render(&[Message::new("user", "a")], false);
    let error = rendered.expect_err(source).to_string();
    assert!(error.contains(MUCH) || error.contains("makes more than 128 MiB"), "{source}: {error}");
    // As long as it may take where other tests run beside it, and the machine is slow.
    assert!(begun.elapsed() < Duration::from_secs(60), "{source}: {:?}", begun.elapsed());
}

#[test]
fn long_texts_are_not_read_without_end() {
    for read in [
        "x.find('y')",
        "x.rfind('y')",
        "x.count('y')",
        "x.isalpha()",
        "x.islower()",
        "x.isascii()",
        "x.startswith(x)",
        "x.startswith('x', 9999999)",
        "x.endswith([x, x])",
        "x.replace('x', '')",
        "x.replace('y', 'z') | length",
        "x | replace('x', '', 1)",
        "x.split('x', 1)[0]",
        "x.rsplit('x', 1)[1]",
        "x.index('x')",
        "x.find('x', -1)",
        "x.rindex('x')",
        "x.removeprefix(x)",
        "x.partition('y')[1]",
        "strftime_now(x)",
        "x[-1]",
        "x[-1:]",
        "x[9999999]",
        "x[9999998:]",
        "x[::-9999999]",
        "x is lower",
        "x is upper",
        "'z' is in x",
        "'z' in x",
        "'z' not in x",
        "x is eq x",
        "x is sameas z",
        "x == x",
        "x != x",
        "x < x",
        "1 < 2 and x >= x",
        "x == x == x",
        "x.strip('x')",
        "x | trim('x')",
        "x | int(0)",
        "x | float",
        "x | length",
        "{'a': 1}[x]",
        "{'a': 1}.get(x)",
        "x in {'a': 1}",
        "{'a': 1} | attr(x)",
        "[1, 2] | map(attribute=x) | list",
        "[] | sort(attribute=x)",
        "x | first ~ (x | last ~ x | wordcount)",
    ] {
        ends_soon(&format!(
            "{{% set x = 'x' * 10000000 %}}{{% set z = 'x' * 10000000 %}}{{% for i in range(1000) %}}{{% set y = {read} %}}{{% endfor %}}"
        ));
    }
    let spaces = "{% set x = ' ' * 10000000 %}{% for i in range(1000) %}{% set y = x | trim %}{% set z = x.strip() %}{% endfor %}";
    ends_soon(spaces);
    ends_soon(
        "{% set x = 'x' * 10000000 %}{% for i in range(1000) %}{% for c in x %}{% break %}{% endfor %}{% endfor %}",
    );
}

#[test]
fn long_lists_are_not_read_without_end() {
    for read in [
        "l | select('none') | list",
        "l | reject('number') | list",
        "l | rejectattr('x', 'undefined') | list",
        "l | selectattr('x') | list",
        "l | min",
        "l | max",
        "l | sum",
        "l | unique",
        "l | groupby('x')",
        "l == k",
        "l != k",
        "l < k",
        "l is eq k",
        "2 in l",
        "2 is in l",
        "l.count(2)",
        "(l + [2]).index(2)",
        "loop.cycle(*l)",
        "[range(100000)] | length",
        "range(100000)[99999]",
        "range(100000) | last",
        "100000 in range(100000)",
    ] {
        ends_soon(&format!(
            "{{% set l = [1] * 1000000 %}}{{% set k = [1] * 1000000 %}}{{% for i in range(10000) %}}{{% set y = {read} %}}{{% endfor %}}"
        ));
    }
    for once in [
        "{% set l = [1] * 1000000 %}{% set k = [2] * 100000 %}{% set y = l | select('in', k) | list %}",
        "{% set l = ['x' * 1000000] * 10000 %}{% set y = l | sort %}",
        "{% set l = ['x' * 1000000] * 10000 %}{% set y = l | unique | list %}",
        "{% set l = [{'a': 'x' * 1000000}] * 10000 %}{% set y = l | selectattr('a', 'equalto', 'x' * 1000000) | list %}",
        "{% set x = 'x' * 1000000 %}{% for i in range(100000) %}{% for j in [x] %}{{ loop.changed(x) }}{% endfor %}{% endfor %}",
    ] {
        ends_soon(once);
    }
}

/// What published templates do with each message: not one real row is refused.
#[test]
fn long_conversations_are_read() {
    let source = "{% set ns = namespace(last=-1) %}{% for m in messages %}{% if m.role == 'user' and not m.content.startswith('<tool_response>') %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}\
        {% for m in messages %}{% set content = m.content | trim %}\
        {% if '</think>' in content %}{% set content = content.split('</think>')[-1].lstrip('\\n') %}{% endif %}\
        {% if messages | selectattr('role', 'equalto', 'user') | list | length > 0 and messages[-1].content == content %}{% endif %}\
        {% if m.content is string and m.content | length > 0 and m.content.endswith('x') and (m.content | tojson)[0] == '\"' %}{{ m.role }}{{ m.content | upper }}{{ content[-10:] }}{% endif %}\
        {% for n in messages %}{% if n.role == 'assistant' and 'tool' in n.content and n.content is lower %}{% endif %}{% endfor %}{% endfor %}";
    for (turns, bytes) in [(100, 1 << 20), (1000, 1 << 20), (2, 32 << 20)] {
        let text = "some words ".repeat(bytes / turns / 11) + "x";
        let message =
            |turn: usize| Message::new(if turn.is_multiple_of(2) { "user" } else { "assistant" }, &text);
        let messages: Vec<Message> = (0..turns).map(message).collect();
        let made = rendered(source, &messages).expect("it is within bounds");
        assert!(made.len() > bytes / 2);
    }
}
