//! What Jinja prints and what it refuses, as transformers sets it: each text here is what `apply_chat_template` of transformers 5.23
//! made of the same template.

use super::*;

fn rendered(source: &str) -> Result<String, TemplateError> {
    let template = ChatTemplate::new(source, SpecialTokens::default(), None).expect("it parses");
    template.render(&[Message::new("user", "a")], false)
}

fn holds(cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        assert_eq!(rendered(source).as_deref(), Ok(*expected), "{source}");
    }
}

#[test]
fn macros_change_what_stands_around_them() {
    holds(&[
        (
            "{% set ns = namespace(a=1) %}{% macro m() %}{% set ns.a = 2 %}{% endmacro %}{{ m() }}{{ ns.a }}",
            "2",
        ),
        (
            "{% set ns = namespace(a=1) %}{% macro m() %}{% set ns.a %}x{% endset %}{% endmacro %}{{ m() }}{{ ns.a }}",
            "x",
        ),
        (
            "{% set ns = namespace(a=1) %}{% macro c() %}{{ caller() }}{% endmacro %}{% call c() %}{% set ns.a = 2 %}{% endcall %}{{ ns.a }}",
            "2",
        ),
        (
            "{% set ns = namespace(a=1) %}{% macro m() %}{% macro k() %}{% set ns.a = 3 %}{% endmacro %}{{ k() }}{% endmacro %}{{ m() }}{{ ns.a }}",
            "3",
        ),
        ("{% set x = 1 %}{% macro m() %}{% set x = x + 1 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}", "21"),
        (
            "{% set x = 'b' %}{% macro m() %}{% set y | replace('a', x) %}a{% endset %}{{ y }}{% endmacro %}{{ m() }}",
            "b",
        ),
        (
            "{% set x = 'b' %}{% macro m() %}{% filter replace('a', x) %}a{% endfilter %}{% endmacro %}{{ m() }}",
            "b",
        ),
        (
            "{% set x = 1 %}{% macro m() %}{% with x = x, y = x %}{{ x }}{{ y }}{% endwith %}{% endmacro %}{{ m() }}",
            "11",
        ),
    ]);
}

#[test]
fn names_are_those_of_their_block() {
    holds(&[
        ("{% set x = 1 %}{% with x=3, y=x %}{{ x }}{{ y }}{% endwith %}{{ x }}", "311"),
        (
            "{% set x = 1 %}{% with x=3 %}{% with y=x, x=y %}{{ x }}{{ y }}{% endwith %}{% endwith %}{{ x }}",
            "31",
        ),
        ("{% set x='a' %}{% set b %}{% set x='b' %}{{ x }}{% endset %}{{ b }}{{ x }}", "ba"),
        ("{% set x='a' %}{% filter upper %}{% set x='b' %}{{ x }}{% endfilter %}{{ x }}", "Ba"),
        ("{% set ns = namespace(a=1) %}{% set b %}{% set ns.a = 2 %}{% endset %}{{ ns.a }}", "2"),
        (
            "{% for i in [1, 2, 3] %}{% if i == 1 %}{% continue %}{% endif %}{% with a=i %}{{ a }}{% for j in [1, 2] %}{% if j == 2 %}{% break %}{% endif %}{{ j }}{% endfor %}{% endwith %}{% endfor %}",
            "2131",
        ),
    ]);
}

#[test]
fn raw_blocks_and_comments_hold_no_tags() {
    holds(&[
        ("{% raw %} {% endraw %}|{% raw %}  {{ x }} {% endraw %}|", " |  {{ x }} |"),
        ("a\n  {% raw %} {% endraw %}\nb", "a\n b"),
        (
            "{% raw %}\n\n  {% endraw %}|{% raw -%}\n {% endraw %}|{% raw %} {%- endraw %}|{% raw %} \"\\ {%+ endraw %}|",
            "\n\n||| \"\\ |",
        ),
        (
            "{# {% generation %} #}{{ '{% generation %}' }}{% raw %}{% generation %}{% endraw %}",
            "{% generation %}{% generation %}",
        ),
    ]);
}

#[test]
fn capitals_are_pythons() {
    holds(&[(
        "{{ 'ßa'|capitalize }}{{ 'ǆ'|capitalize }}{{ 'ßa'.capitalize() }}{{ 'İA' | capitalize }}{{ 'ΑΣ'.capitalize() }}{{ ''|capitalize }}{{ 'hELLO wORLD'|capitalize }}{{ 1.5 | capitalize }}",
        "SsaǅSsaİaΑςHello world1.5",
    )]);
}

#[test]
fn values_are_compared_as_python_does() {
    holds(&[(
        "{{ 1 < 2 < 3 }}{{ 1 < 2 > 5 }}{{ true < 2 }}{{ [1, 2] < [1, 3] }}{{ (1,) < (1, 2) }}{{ 'a' < 'b' }}{{ 'é' > 'z' }}{{ 1 < 1.5 }}{{ 2 >= 2.0 }}{{ true > 0 }}{{ [] < [1] }}{{ 1 < 2 == true }}",
        "TrueFalseTrueTrueTrueTrueTrueTrueTrueTrueTrueFalse",
    )]);
}

#[test]
fn numbers_are_read_from_texts() {
    holds(&[(
        "{{ missing | length }}|{{ missing | last }}|{{ missing | first }}|{{ 'x' | int }}|{{ 'z' | float }}|{{ ' 42 ' | int }}|{{ '1_0' | int }}|{{ '1e3' | int }}|{{ '0x1f' | int(0, 16) }}|{{ '0x1f' | int }}|{{ none | int }}|{{ true | int }}|{{ 'x' | int(9) }}|{{ '-4.7' | int }}|{{ [] | int }}|{{ '1e3' | float }}|{{ none | float }}|{{ 'x' | float(2.5) }}|{{ '0' | int }}|{{ '-007' | int }}|{{ '' | int }}|{{ 'inf' | int(3) }}|{{ '1__0' | int }}|{{ 'ff' | int(base=16) }}",
        "0|||0|0.0|42|10|1000|31|0|0|1|9|-4|0|1000.0|0.0|2.5|0|-7|0|3|0|255",
    )]);
}

#[test]
fn texts_have_the_methods_of_python() {
    holds(&[
        (
            "{{ 'aaa'|replace('a','b',2) }}|{{ 'abc'|replace('','-',2) }}|{{ 'aaa'|replace('a','b',count=1) }}|{{ 'aaa'.replace('a', 'b', 1) }}|{{ 112 | replace(1, 2, 1) }}",
            "bba|-a-bc|baa|baa|212",
        ),
        (
            "{{ 'a-b-c'.partition('-') }}{{ 'a-b-c'.rpartition('-') }}{{ 'a'.partition('-') }}{{ 'a'.rpartition('-') }}",
            "('a', '-', 'b-c')('a-b', '-', 'c')('a', '', '')('', '', 'a')",
        ),
        (
            "{{ 'a-b-c'.rsplit('-', 1) }}{{ 'a b  c '.rsplit() }}{{ ' a b  c '.rsplit(none, 1) }}{{ ' a b'.rsplit(maxsplit=0) }}{{ 'a,b'.rsplit(',') }}{{ ''.rsplit() }}{{ ''.rsplit(',') }}{{ 'a b c'.rsplit(maxsplit=1) }}",
            "['a-b', 'c']['a', 'b', 'c'][' a b', 'c'][' a b']['a', 'b'][]['']['a b', 'c']",
        ),
        (
            "{{ 'abc'.removeprefix('a') }}{{ 'abc'.removesuffix('c') }}{{ 'abc'.removeprefix('x') }}{{ 'abc'.index('c') }}{{ 'äbcb'.rindex('b') }}{{ 'äbcb'.find('b', 2) }}{{ 'abc'.find('a', 1) }}{{ 'abcabc'.find('c', -2) }}{{ 'abcabc'.count('b', 2) }}{{ 'abc'.find('', 9) }}{{ 'abcabc'.rfind('a', 0, 3) }}{{ 'aaa'.count('') }}",
            "bcababc233-151-104",
        ),
        (
            "{{ '7'.zfill(3) }}|{{ '-7'.zfill(4) }}|{{ 'a'.ljust(3) }}|{{ 'a'.rjust(3) }}|{{ 'a'.center(3) }}|{{ 'ab'.center(5) }}|{{ 'a'.center(4) }}|{{ 'a'.center(4, '*') }}|{{ 'abc'.ljust(1) }}|{{ 'a'.rjust(3, '-') }}|{{ 'ä'.ljust(3) }}|{{ 'ab'.center(-5) }}",
            "007|-007|a  |  a| a |  ab | a  |*a**|abc|--a|ä  |ab",
        ),
        (
            "{{ 'abc'.startswith('b', 1) }}{{ 'abc'.startswith(('a', 'b')) }}{{ 'abc'.endswith(('x', 'c')) }}{{ 'abc'.endswith('b', 0, 2) }}{{ 'abc'.startswith('', 3) }}{{ 'abc'.startswith('', 4) }}",
            "TrueTrueTrueTrueTrueFalse",
        ),
        (
            "{{ -true }}{{ -false }}{% set x = 3 %}{{ -x }}{{ -(x * 1.5) }}{{ --x }}{{ -x | abs }}",
            "-10-3-4.533",
        ),
        (
            "{{ 'foo bar-baz_1 é' | wordcount }}|{{ 'hello world foo' | truncate(10) }}|{{ 'hello world foo bar' | truncate(11, true) }}|{{ 'hello world foo bar' | truncate(11, false, '..', 0) }}|{{ 'hello' | truncate(3, leeway=0) }}|{{ 'hello world foo bar' | truncate(length=9, killwords=true, end='') }}",
            "4|hello world foo|hello wo...|hello..|...|hello wor",
        ),
    ]);
}

#[test]
fn items_are_found_as_in_python() {
    holds(&[
        (
            "{% for k in {'b': 1} %}{{ k }}{% endfor %}{% for c in 'ab' %}{{ c }}{% endfor %}{% for x in missing %}a{% else %}e{% endfor %}{% macro f() %}{{ varargs | length }}{% endmacro %}{{ [1, 2] == [1, 2] }}{{ {'a': 1} == {'a': 1.0} }}{{ {'a': missing} == {'b': 1} }}{{ (1,) == [1] }}{{ missing == missing2 }}{{ none == missing }}{{ 1 == true }}{{ '1' == 1 }}",
            "babeTrueTrueFalseFalseTrueFalseTrueFalse",
        ),
        (
            "{{ [none] | sort }}{{ ['b', 'A'] | sort }}{{ [2, 1.5, true] | sort }}{{ [[2, 1], [1, 2]] | sort }}{{ [{'a': 2}, {'a': 1}] | sort(attribute='a') }}{{ {'b': 1, 'a': 2} | dictsort }}{{ [] | min }}{{ 'bca' | sort }}{{ [3] | max }}",
            "[None]['A', 'b'][True, 1.5, 2][[1, 2], [2, 1]][{'a': 1}, {'a': 2}][('a', 2), ('b', 1)]['a', 'b', 'c']3",
        ),
        (
            "{{ 2 in [1, 2.0] }}{{ 'a' in 'cab' }}{{ '' in '' }}{{ 'a' in {'a': 1} }}{{ 1 in missing }}{{ [1] in [[1]] }}{{ 'x' not in ['y'] }}{{ none in [none] }}{{ 1 in range(3) }}{{ 1 is in [1] }}{{ 5 is divisibleby(5) }}{{ 'a' is lower }}{{ 'A1' is upper }}{{ '1' is lower }}{{ [1, 2, 3] | select('gt', 1) | list }}{{ [1, 2] | select('in', [2]) | list }}",
            "TrueTrueTrueTrueFalseTrueTrueTrueTrueTrueTrueTrueTrueFalse[2, 3][2]",
        ),
        (
            "{{ 'äbc'[1] }}{{ 'abc'[-1] }}{{ 'abc'[7] }}|{{ [1, 2][-1] }}{{ [1][5] }}|{{ {1: 'x'}[1] }}{{ 'abc'['x'] }}|{{ (1, 2)[1] }}{{ {'items': 5}['items'] }}{% set k = 'items' %}{{ {'items': 6}[k] }}{{ range(5)[1] }}",
            "bc|2|x|2561",
        ),
    ]);
}

#[test]
fn what_jinja_refuses_is_refused() {
    for (source, problem) in [
        ("{% for x in none %}a{% else %}e{% endfor %}", "none is not iterable"),
        ("{{ none | list }}", "none is not iterable"),
        ("{{ none | join }}", "none is not iterable"),
        ("{{ none | sort }}", "none is not iterable"),
        ("{{ none | first }}", "cannot get first item"),
        ("{% if messages[0].n < 1 %}a{% endif %}", "undefined value"),
        ("{{ none < 1 }}", "not supported between"),
        ("{{ 5 < 'a' }}", "not supported between"),
        ("{{ [1] < (1,) }}", "not supported between"),
        ("{{ {} < {} }}", "not supported between"),
        ("{{ [1, 'a'] | sort }}", "not supported between"),
        ("{{ [1, 'a'] | min }}", "not supported between"),
        ("{{ [{'a': 1}, {}] | sort(attribute='a') }}", "undefined value"),
        ("{{ {1: 1, 'a': 2} | dictsort }}", "not supported between"),
        ("{{ 1 in 'a1' }}", "requires a text before it"),
        ("{{ none in 'None' }}", "requires a text before it"),
        ("{{ missing in 'a' }}", "requires a text before it"),
        ("{{ 'x' in none }}", "not iterable"),
        ("{{ 'a'.join([1, 2]) }}", "'join' takes texts"),
        ("{{ missing < 1 }}", "undefined value"),
        ("{{ -'a' }}", "bad operand"),
        ("{{ -missing }}", "undefined value"),
        ("{{ missing | int }}", "undefined value"),
        ("{{ missing | float }}", "undefined value"),
        ("{{ 'abc'.index('x') }}", "substring not found"),
        ("{{ 'a'.partition('') }}", "empty separator"),
        ("{{ 1 is divisibleby 0 }}", "modulo by zero"),
        ("{{ 'x' | truncate(2) }}", "expected a length of at least"),
        ("{{ [1, 2] | select('gt', 'a') | list }}", "not supported between"),
        ("{{ [1].index(2) }}", "not in the list"),
        ("{{ 'x' | nosuch }}", "filter nosuch is unknown"),
        ("{{ 'ab' is startingwith 'a' }}", "unknown test"),
    ] {
        let error = rendered(source).expect_err(source).to_string();
        assert!(error.contains(problem), "{source}: {error}");
    }
}

/// The engine jumps out of such a block without its end, and panics.
#[test]
fn loops_go_on_from_no_block_within_them() {
    for block in [
        "{% with %}{% continue %}{% endwith %}",
        "{% with a=1 %}{% if a %}{% break %}{% endif %}{% endwith %}",
        "{% set a %}{% continue %}{% endset %}",
        "{% filter upper %}{% break %}{% endfilter %}",
        "{% autoescape true %}{% break %}{% endautoescape %}",
        "{% macro m() %}{% continue %}{% endmacro %}{{ m() }}",
        "{% call m() %}{% break %}{% endcall %}",
        "{% generation %}{% continue %}{% endgeneration %}",
        "{% block a %}{% continue %}{% endblock %}",
    ] {
        let source = format!("{{% for i in [1, 2] %}}{block}{{% endfor %}}");
        let error = ChatTemplate::new(&source, SpecialTokens::default(), None).expect_err(block).to_string();
        assert!(error.contains("no block between") || error.contains("inside a loop"), "{source}: {error}");
    }
    for source in ["{% break %}", "{% for i in [] %}{% else %}{% continue %}{% endfor %}"] {
        assert!(ChatTemplate::new(source, SpecialTokens::default(), None).is_err(), "{source}");
    }
    let source = "{% for i in [1, 2] %}{% for j in [] %}{% else %}{% continue %}{% endfor %}x{% endfor %}y";
    assert_eq!(rendered(source).as_deref(), Ok("y"));
}

/// Each of these took the square of its length.
#[test]
fn long_sources_are_walked_once() {
    for again in ["{# {{x}} ", "{{ ", "{% ", "{% raw %} ", "{{ ' ", "{% raw ", "{% generation", "{{ ( "] {
        let source = again.repeat(100_000) + "endraw generation";
        assert!(ChatTemplate::new(&source, SpecialTokens::default(), None).is_err(), "{again}");
    }
    let source = "{{ 'a' }}{% raw %}b{% endraw %}{# c #}{% generation %}{% endgeneration %}".repeat(3000);
    assert!(ChatTemplate::new(&source, SpecialTokens::default(), None).is_ok());
    let long = "a".repeat(2000);
    for source in [format!("{{{{ {long} }}}}"), format!("{{{{ {{}}.{long} }}}}")] {
        assert!(ChatTemplate::new(&source, SpecialTokens::default(), None).is_err());
    }
}

#[test]
fn only_real_tags_mark_answers() {
    for (source, marks) in [
        ("{# {% generation %} #}{{ messages[0].content }}", false),
        ("{% raw %}{% generation %}{% endraw %}", false),
        ("{{ '{% generation %}' }}", false),
        ("{%- generation -%}a{%- endgeneration -%}", true),
    ] {
        let template = ChatTemplate::new(source, SpecialTokens::default(), None).expect("it parses");
        assert_eq!(template.marks_answers(), marks, "{source}");
    }
}
