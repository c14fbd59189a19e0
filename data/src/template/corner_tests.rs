//! Corners of the language, beside what Jinja 3.1 prints in transformers' environment; `MESSAGE` is the content there.

use super::*;

const MESSAGE: &str = "a\r\nb\rc\u{b}d\u{1c}e\n";

fn holds(cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        let template = ChatTemplate::new(source, SpecialTokens::default(), None).expect("it parses");
        let text = template.render(&[Message::new("user", MESSAGE)], false);
        assert_eq!(text.as_deref(), Ok(*expected), "{source}");
    }
}

#[test]
fn indentation_is_jinjas() {
    holds(&[
        (
            "{{ 'a\\nb\\n' | indent(2) }}|{{ '' | indent(2, true) }}|{{ '' | indent }}|{{ '\\n' | indent(2) }}|{{ '\\n\\n' | indent(2) }}|",
            "a\n  b\n|  ||\n|\n\n|",
        ),
        (
            "{{ messages[0].content | indent(2) }}|{{ 'a\\rb\\r' | indent(1) }}|{{ 'a\\r\\n' | indent(1) }}|",
            "a\n  b\n  c\n  d\n  e\n|a\n b|a\n|",
        ),
        (
            "{{ 'a\\n\\nb\\n\\n' | indent(2) }}|{{ 'a\\n\\nb\\n' | indent(2, true) }}|{{ 'a\\n\\nb\\n' | indent(2, true, true) }}|",
            "a\n\n  b\n\n|  a\n\n  b\n|  a\n  \n  b\n  |",
        ),
        (
            "{{ 'a\\n\\nb\\n\\n' | indent(2, blank=true) }}|{{ 'a\\nb' | indent(first=true, width=1) }}|{{ 'a\\nb' | indent }}",
            "a\n  \n  b\n  \n  | a\n b|a\n    b",
        ),
        (
            "{{ 'a\\nb' | indent('> ') }}|{{ 'a\\nb' | indent('> ', first=true) }}|{{ 'a\\nb' | indent(0) }}|{{ 'a\\nb' | indent(-1) }}|{{ 'a\\nb' | indent(width='--') }}",
            "a\n> b|> a\n> b|a\nb|a\nb|a\n--b",
        ),
    ]);
}

#[test]
fn escaped_texts_are_those_of_markupsafe() {
    holds(&[
        (
            "{{ \"it's\" | e }}|{{ '\"q\" <a> & b' | e }}|{{ '<' | e | e }}|{{ '/' | e }}|{{ 5 | e }}|{{ ['<'] | e }}|{{ none | e }}|{{ missing | e }}|{{ '<' | safe | e }}|{{ '<' | escape }}",
            "it&#39;s|&#34;q&#34; &lt;a&gt; &amp; b|&lt;|/|5|[&#39;&lt;&#39;]|None||<|&lt;",
        ),
        (
            "{{ {'a': 1} | tojson | e }}|{{ [{'a': 1} | tojson, '<'] | join(',') | e }}",
            "{&#34;a&#34;: 1}|{&#34;a&#34;: 1},&lt;",
        ),
        ("{% autoescape true %}{{ '\"/' }}{{ '<' | safe }}{% endautoescape %}", "&#34;/<"),
    ]);
}

#[test]
fn attributes_are_no_items() {
    holds(&[
        (
            "{{ messages[0] | attr('role') }}|{{ {'role': 1} | attr('role') is defined }}|{% set n = namespace(a=1) %}{{ n | attr('a') }}|{% for i in [1] %}{{ loop | attr('index') }}{% endfor %}|{{ {'items': 2} | attr('items') is defined }}|{{ {'items': 2} | attr('items') is number }}",
            "|False|1|1|True|False",
        ),
        (
            "{{ {'items': {'type': 'x'}}.items.type }}|{{ {'items': {'type': 'x'}}['items'].type }}|{{ {'items': 1}.items is mapping }}|{{ {'items': 1}.items is defined }}",
            "|x|False|True",
        ),
        (
            "{{ {'get': 5}.get is number }}|{{ {'a': 1}.items is defined }}|{{ {'a': 1}.a }}|{{ {'a': 1}.pop is defined }}|{{ {'pop': 1}.pop is defined }}|{{ {'pop': 1}['pop'] }}|{{ {'a': 1}['pop'] is defined }}",
            "False|True|1|False|False|1|False",
        ),
        (
            "{{ {'a': 1}['items'] is defined }}|{{ {'items': 3}['items'] }}|{{ {'a': 1}['get'] is string }}|{{ {'a': 1}['items'] is mapping }}|{% if {'a': 1}['items'] %}y{% endif %}|{{ {'a': 1}['items']['type'] is defined }}|{{ {'a': 1}.items.type == 'x' }}|{{ {'items': none}['items'] }}",
            "True|3|False|False|y|False|False|None",
        ),
        (
            "{% set n = namespace(items=3) %}{{ n.items }}|{% set n.items = 4 %}{{ n.items }}|{{ n['items'] }}|{{ n.values is defined }}",
            "3|4|4|False",
        ),
        (
            "{{ [{'items': 5, 'a': 2}] | map(attribute='items') | list }}|{{ {'a': 1}.get('a') }}|{{ {'a': 1}.keys() | list }}|{{ {'get': 1}.get('get') }}|{{ {'items': {'a': 1}}['items'].items() | list }}|{% for k, v in {'items': 2, 'keys': 3}.items() %}{{ k }}{{ v }}{% endfor %}",
            "[5]|1|['a']|1|[('a', 1)]|items2keys3",
        ),
        (
            "{% if {'a': 1}.items %}y{% else %}n{% endif %}{{ messages[0].items is string }}{{ {}.items is none }}",
            "yFalseFalse",
        ),
    ]);
}

#[test]
fn white_space_is_pythons() {
    holds(&[
        (
            "{{ '\\x1cab\\x1f'.strip() | length }}|{{ '\\x1cab\\x1f' | trim | length }}|{{ 'a\\x1cb\\x1d c'.split() }}|{{ '\\x1fab'.lstrip() | length }}|{{ 'ab\\x1e'.rstrip() | length }}|{{ '\\x85a\\u200ba\\xa0\\u3000'.strip() | length }}|{{ '\\x1c'.isspace() }}{{ ''.isspace() }}",
            "2|2|['a', 'b', 'c']|2|2|3|TrueFalse",
        ),
        (
            "{{ 'xxabxx'.strip('x') }}|{{ 'xyabyx' | trim('xy') }}|{{ ' a '.strip(none) }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ 'xax'.lstrip('x') }}|{{ 'xax'.rstrip('x') }}|{{ none | trim }}|{{ 5 | trim }}|{{ [' a'] | trim }}|{{ missing | trim }}",
            "ab|ab|a|a | a|ax|xa|None|5|[' a']|",
        ),
        (
            "{{ 'a b  c'.split() }}|{{ ' a b  c '.split(none, 1) }}|{{ 'a,b,c'.split(',', 1) }}|{{ ''.split() }}|{{ ''.split(',') }}|{{ ' a  b '.split(' ') }}|{{ 'a b c'.split(maxsplit=1) }}|{{ 'a,b'.split(sep=',') }}",
            "['a', 'b', 'c']|['a', 'b  c ']|['a', 'b,c']|[]|['']|['', 'a', '', 'b', '']|['a', 'b c']|['a', 'b']",
        ),
        (
            "{{ 'a b '.split(none, 0) }}|{{ ' a b '.split(none, 1) }}|{{ ' a b '.split(none, 2) }}|{{ 'a,b'.split(',', 0) }}|{{ 'a,b'.split(',', -1) }}|{{ 'aXbXc'.split('X', 5) }}|{{ '  '.split(none, 3) }}|{{ 'a::b'.split('::')[-1] }}",
            "['a b ']|['a', 'b ']|['a', 'b']|['a,b']|['a', 'b']|['a', 'b', 'c']|[]|b",
        ),
        (
            "{{ 'a\\x0bb\\x0cc\\u2028d\\x85e'.splitlines() | length }}|{{ messages[0].content.splitlines() }}|{{ messages[0].content.splitlines(true) }}|{{ ''.splitlines() }}|{{ '\\n'.splitlines() }}|{{ 'a\\x1dc\\x1ed\\x1fe'.splitlines() }}|{{ 'a\\n\\nb'.splitlines() }}|{{ 'a\\n'.splitlines(keepends=true) }}|{{ 'a\\u2029b'.splitlines() | length }}|{{ 'a\\n\\rb'.splitlines() }}",
            "5|['a', 'b', 'c', 'd', 'e']|['a\\r\\n', 'b\\r', 'c\\x0b', 'd\\x1c', 'e\\n']|[]|['']|['a', 'c', 'd\\x1fe']|['a', '', 'b']|['a\\n']|2|['a', '', 'b']",
        ),
    ]);
}

#[test]
fn titles_are_pythons() {
    holds(&[(
        "{{ \"it's a.b\".title() }}|{{ 'hELLO wORLD 1st x2y ǆ ß'.title() }}|{{ 'o’neil éa'.title() }}|{{ 'ΟΔΟΣ ΣΑΣ'.title() }}|{{ 'ŉ ﬁ ᾳ ᾀ აბ'.title() }}|{{ \"it's a.b\" | title }}",
        "It'S A.B|Hello World 1St X2Y ǅ Ss|O’Neil Éa|Οδος Σας|ʼN Fi ᾼ ᾈ აბ|It's A.b",
    )]);
}

#[test]
fn defaults_of_macros_know_the_parameters_before_them() {
    holds(&[
        (
            "{% macro f(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}|{{ f(1, 2) }}|{{ f(1, none) }}",
            "11|12|1None",
        ),
        ("{% set a = 9 %}{% macro f(b=a, a=2) %}{{ a }}{{ b }}{% endmacro %}{{ f() }}|{{ f(a=3) }}", "2|33"),
        (
            "{% macro f(a, b=a, c=b) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}|{{ f(1, 2) }}|{{ f(1, c=5) }}|{{ f() }}",
            "111|122|115|",
        ),
        (
            "{% set a = 9 %}{% macro f(x=a, y='z', l=[]) %}{{ x }}{{ y }}{{ l }}{% endmacro %}{% set a = 3 %}{{ f() }}{{ f(1, l=[2]) }}",
            "3z[]1z[2]",
        ),
        (
            "{% macro f(a, b='x' ~ a) %}{{ b }}{{ caller() }}{% endmacro %}{% call f(1) %}c{% endcall %}",
            "x1c",
        ),
        (
            "{% macro f() %}{{ caller(1) }}{% endmacro %}{% call(a, b=a ~ 'y') f() %}{{ a }}{{ b }}{% endcall %}",
            "11y",
        ),
    ]);
}

#[test]
fn a_line_break_behind_raw_is_printed() {
    holds(&[
        ("{% raw %}\n{{ x }}\n{% endraw %}|", "\n{{ x }}\n|"),
        ("a\n  {% raw %}\n{{ x }}\n  {% endraw %}\nb", "a\n\n{{ x }}\nb"),
        ("a {%- raw -%}\n {{ x }} \n{%- endraw -%} b|{%+ raw %}  x{%+ endraw %}\n|", "a{{ x }}b|  x|"),
        (
            "{% raw %}\n\n{{ x }}{% endraw %}{# {% raw %}\n{% endraw %} #}{% raw %}{% raw %}\n{% endraw %}|{% raw %}a\n{% endraw %}|",
            "\n\n{{ x }}{% raw %}\n|a\n|",
        ),
        ("a{% raw %}\n{%- endraw %}b{% raw %}\n  \n {%- endraw %}c{% raw %}\n x {%- endraw %}d", "abc\n xd"),
        ("a{% raw %}\n  {% endraw %}b{% raw %}\n\n{%+ endraw %}c{% raw -%}\n x{% endraw %}", "a\nb\n\ncx"),
        (
            "{{ '{#' }}{% raw %}\nx{% endraw %}{{ '#}' }}|{{ \"{#\" }}{% raw %}\nx{% endraw %}{# #}",
            "{#\nx#}|{#\nx",
        ),
        (
            "{{ 'it\\'s {#' }}{% raw %}\nx{% endraw %}{{ '#}' }}|{# '{{ #}{% raw %}\nx{% endraw %}",
            "it's {#\nx#}|\nx",
        ),
        (
            "{% if '{#' == '#}' %}{% endif %}{% raw %}\nx{% endraw %}|it's {% raw %}\nx{% endraw %} isn't",
            "\nx|it's \nx isn't",
        ),
        (
            "{% raw -%}\n{% raw %}\n{% endraw %}b{% raw %}{{ '{% endraw %}{% raw %}\ny{% endraw %}{% raw %}\n{# c #}{{ '{% endraw %}z",
            "{% raw %}\nb{{ '\ny\n{# c #}{{ 'z",
        ),
        ("{% set a = '{% raw %}' %}{{ a }}\n{% raw %}\nx{% endraw %}", "{% raw %}\n\nx"),
        ("{{ '{% raw %}\nx{% endraw %}' }}", "{% raw %}\nx{% endraw %}"),
    ]);
}

#[test]
fn what_jinja_refuses_fails_here() {
    for (source, problem) in [
        ("{{ 5 | indent }}", "value is not a string"),
        ("{{ 'abc'.split('') }}", "empty separator"),
        ("{% for x in {'items': [1]}.items %}{{ x }}{% endfor %}", "not iterable"),
        ("{{ {'items': 1}.items | tojson }}", "cannot be written as JSON"),
        ("{{ missing | attr('x') }}", "undefined value"),
    ] {
        let template = ChatTemplate::new(source, SpecialTokens::default(), None).expect("it parses");
        let error = template.render(&[Message::new("user", MESSAGE)], false).expect_err(source).to_string();
        assert!(error.contains(problem), "{source}: {error}");
    }
}

/// What these make is known before they make it.
#[test]
fn corners_take_room() {
    for source in [
        "{{ ('\\x0b' * 100000) | indent('x' * 1000) }}",
        "{{ ('\\n' * 100000) | indent(width=1000, blank=true) }}",
        "{{ ([1] * 100000) | join(d='x' * 10000) }}",
        "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l | replace('a', 'b') }}",
        "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ 'x' | replace('a', n.l) }}",
        "{% set n = ('x' * 1000000).split(sep='x') %}",
        "{% set n = ('\\x1c' * 1000000).splitlines() %}",
    ] {
        let template = ChatTemplate::with_room(source, SpecialTokens::default(), None, 8 << 20);
        let made = template.expect("it parses").render(&[Message::new("user", "a")], false);
        assert_eq!(made.map(|text| text.len()), Err(TemplateError::TooMuch { mebibytes: 8 }), "{source}");
    }
    let source = "{% set n = namespace(l={'a': 1}) %}{% for i in range(100000) %}{% set n.l = {'get': n.l}.get %}{% endfor %}{{ n.l }}";
    let template = ChatTemplate::new(source, SpecialTokens::default(), None).expect("it parses");
    assert!(template.render(&[Message::new("user", "a")], false).is_ok());
}
