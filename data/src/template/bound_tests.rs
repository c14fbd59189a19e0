//! Templates that once ended the process, or took memory or time without end.

use super::*;

fn rendered(source: &str) -> Result<String, TemplateError> {
    let template = ChatTemplate::new(source, SpecialTokens::default(), None).expect("it parses");
    template.render(&[Message::new("user", "a")], false)
}

fn fails(source: &str, problem: &str) {
    let error = rendered(source).expect_err(source).to_string();
    assert!(error.contains(problem), "{source}: {error}");
}

const DEEP: &str = "lists stand too deep in one another";
const ALONE: &str = "a namespace or a loop stands within another value";

#[test]
fn nothing_is_deeper_than_what_can_be_gone_through() {
    for (deeper, problem) in [
        ("{% set m = namespace() %}{% set m.l = n.l %}{% set n.l = m %}", ALONE),
        ("{% set n.l = f(l=n.l) %}", ALONE),
        ("{% set n.l = g(l=n.l) %}", DEEP),
        ("{% set n.l = n.l | batch(1) %}", DEEP),
        ("{% set n.l = [1] | batch(2, n.l) %}", DEEP),
        ("{% set n.l = n.l | slice(1) %}", DEEP),
        ("{% set n.l = [{'a': n.l}] | groupby('a') %}", "more than 1024 MiB"),
        ("{% set n.l = ([{}] | groupby('z', default=n.l) | first).list %}", ""),
        ("{% set n.l = [{}] | map(attribute='z', default=n.l) %}", DEEP),
        ("{% set n.l = [missing] | map('default', n.l) %}", DEEP),
        ("{% set n.l = {'a': n.l} | dictsort %}", DEEP),
        ("{% set n.l = {'a': n.l} | items %}", DEEP),
        ("{% set n.l = {'a': n.l}.items() %}", DEEP),
        ("{% set n.l = {n.l: 1} %}", DEEP),
        ("{% set n.l, x = [n.l], 1 %}", DEEP),
        ("{% set n.l = [n.l] | reverse %}", DEEP),
        // These hold no more than they show.
        ("{% set n.l = n.l * 1 %}", ""),
        ("{% set n.l = 1 * n.l %}", ""),
        ("{% set n.l = [] + n.l %}", ""),
        ("{% set n.l = {'a': n.l}.keys() %}", ""),
        ("{% set n.l = {n.l | length: 1}.values() %}", ""),
        ("{% set n.l = n.l | reverse %}", ""),
        ("{% set n.l = [n.l] | sum(start=[]) %}", ""),
    ] {
        let source = format!(
            "{{% set n = namespace(l=[1]) %}}{{% set f, g = (namespace,), dict %}}{{% set f = f[0] %}}{{% for i in range(30000) %}}{deeper}{{% endfor %}}"
        );
        match problem {
            "" => assert_eq!(rendered(&source).as_deref(), Ok(""), "{source}"),
            problem => fails(&source, problem),
        }
    }
    for source in ["{{ 'a' | map(*(['map'] * 50000)) | list }}", "{{ ['a'] | map('map', 'upper') | list }}"] {
        fails(source, "`map` is the filter of a `map`");
    }
    let own = "{{ ['a'] | map(*(['__boun' ~ 'ded_filtered'] * 50000)) | list }}";
    fails(own, "the filter is not the template's");
    for filter in ["chain", "zip"] {
        fails(&format!("{{{{ [] | {filter}([1]) }}}}"), "unknown filter");
    }
}

#[test]
fn what_can_change_stands_in_nothing() {
    for held in ["[a]", "(1, a)", "{'x': a}", "{a: 1}", "namespace(x=a)", "dict(x=a)", "[1] | batch(2, a)"] {
        fails(&format!("{{% set a = namespace() %}}{{{{ {held} }}}}"), ALONE);
    }
    for set in [
        "{% set a.x = a %}{% set b.x = b %}{{ a == b }}",
        "{% set a.x, c = a, 1 %}",
        "{% set a.x | default(a, true) %}{% endset %}",
        "{% for i in [1] %}{% set a.x = loop %}{% endfor %}",
        "{% for i in [1] %}{{ loop.changed([loop]) }}{% endfor %}",
        "{{ [{}] | map(attribute='x', default=a) }}",
    ] {
        fails(&format!("{{% set a = namespace() %}}{{% set b = namespace() %}}{set}"), ALONE);
    }
    let source = "{% set a = namespace(x=1) %}{% set a.x = [a.x, {'y': a.x}] %}{% set b = a %}{{ b.x }}{{ a == b }}{{ a.x == b.x }}{% set a.x | upper %}c{% endset %}{{ a.x }}";
    assert_eq!(rendered(source).as_deref(), Ok("[1, {'y': 1}]TrueTrueC"));
}

#[test]
fn cycles_and_ranges_are_jinjas() {
    for (source, expected) in [
        ("{% for x in [1, 2, 3] %}{{ loop.cycle('a', 'b') }}{% endfor %}", "aba"),
        ("{% for x in [1, 2] %}{{ loop.cycle(*['a', x]) }}{% endfor %}", "a2"),
        (
            "{{ range(3) | list }}{{ range(1, 7, 2) | list }}{{ range(3, 0, -2) | list }}{{ range(3, 1) | list }}",
            "[0, 1, 2][1, 3, 5][3, 1][]",
        ),
        ("{{ range(0, -5, -9223372036854775807 - 1) | list }}", "[0]"),
        ("{{ range(9223372036854775806, 9223372036854775807) | list }}", "[9223372036854775806]"),
        ("{% set f = range %}{{ f(2) | length }}{{ range(100000) | length }}", "2100000"),
    ] {
        assert_eq!(rendered(source).as_deref(), Ok(expected), "{source}");
    }
    for cycle in ["loop.cycle()", "loop.cycle(*[])", "(loop | default).cycle()"] {
        fails(&format!("{{% for x in [1] %}}{{{{ {cycle} }}}}{{% endfor %}}"), "no items for cycling given");
    }
    fails("{% for x in [1] %}{{ loop.cycle(l=1) }}{% endfor %}", "a cycle has no names");
    fails("{{ {}.cycle(1) }}", "unknown method");
    for range in [
        "100001",
        "9223372036854775807, -1, -1",
        "-9223372036854775807, 9223372036854775807",
        "0, -9223372036854775807, -1",
    ] {
        fails(&format!("{{{{ range({range}) }}}}"), "range has too many elements");
    }
    fails("{{ range(1, 2, 0) }}", "cannot create range with step of 0");
}

/// What these make is known before it is made, or as it is.
#[test]
fn written_texts_take_room() {
    for source in [
        "{% set x = ([1] * 10000) | tojson(indent=1000000) %}",
        "{% set x = ([1] * 10000) | tojson(separators=['x' * 1000000, ':']) %}",
        "{% set x = ([1] * 10000) | tojson(indent='x' * 1000000) %}",
        "{% set x = ('\\x01' * 2000000) | tojson %}",
        "{% set x = ('\\x01' * 2500000) %}{{ [x] }}",
        "{% set x = ('<' * 2500000) | e %}",
        "{% set x = ('<' * 2500000) | escape %}",
        "{% autoescape true %}{{ '<' * 2500000 }}{% endautoescape %}",
        "{% autoescape true %}{% set x = (['<'] * 100000) | join('<' * 20) %}{% endautoescape %}",
        "{% set x = ([[1] * 1000] * 100) | pprint %}",
        "{% set x = ([[1]] * 10000) | sum(start=[]) %}",
    ] {
        let template = ChatTemplate::with_room(source, SpecialTokens::default(), None, 8 << 20);
        let made = template.expect("it parses").render(&[Message::new("user", "a")], false);
        assert_eq!(made.map(|text| text.len()), Err(TemplateError::TooMuch { mebibytes: 8 }), "{source}");
    }
}

/// Each went through the square of what it was given, for hours.
#[test]
fn long_texts_are_gone_through_once() {
    let many = "{% set of %}{% for i in range(20000) %}{{ '%c' | format(i + 256) }}{% endfor %}{% endset %}";
    let source = many.to_owned()
        + "{% set text = of * 100 %}{{ text.strip(of) | length }}{{ text | trim(of) | length }}";
    assert_eq!(rendered(&source).as_deref(), Ok("00"));
    let cut =
        "{% set x = 'x' * 50000000 %}{% for i in range(20000) %}{% set y = x[1:9] %}{% endfor %}{{ y }}";
    assert_eq!(rendered(cut).as_deref(), Ok(""));
    let walked = "{% set l = [1] * 1000000 %}{% for i in range(100000) %}{% set x = [l] %}{% endfor %}";
    fails(walked, "larger values are gone through than there may be");
    for searched in ["[1] * 1000000", "'x' * 50000000"] {
        let source = format!(
            "{{% set l = {searched} %}}{{% for i in range(100000) %}}{{% if 'z' in l %}}{{% endif %}}{{% endfor %}}"
        );
        fails(&source, "larger values are gone through than there may be");
        fails(&source.replace("'z' in", "'z' not in"), "larger values are gone through than there may be");
    }
    fails("{{ (['x'] * 300000) | sum(start='') }}", "sum() can't sum strings");
    let sums = "{{ [1, 2] | sum }}{{ [1, 2] | sum(start=3) }}{{ [[1], [2]] | sum(start=[]) }}{{ [{'a': [1]}] | sum('a', []) }}{{ [{'a': [1]}] | sum(attribute='a', start=[2]) }}";
    assert_eq!(rendered(sums).as_deref(), Ok("36[1, 2][1][2, 1]"));
}

#[test]
fn groups_are_pairs() {
    let source = "{% set l = [{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'y'}, {'a': 1, 'b': 'z'}] %}{% for k, v in l | groupby('a') %}{{ k }}{{ v | map(attribute='b') | join }}{% endfor %}{% for g in l | groupby(attribute='a') %}{{ g.grouper }}{{ g.list | length }}{{ g[1][0].b }}{% endfor %}{{ [{'a': 1}] | groupby('a') }}";
    assert_eq!(rendered(source).as_deref(), Ok("1xz2y12x21y[(1, [{'a': 1}])]"));
}

#[test]
fn arguments_are_pythons() {
    for (source, expected) in [
        ("{{ 'Call 12345678: %s' | format('x') }}", "Call 12345678: x"),
        ("{{ 'x-20241201-{}'.format('y') }}", "x-20241201-y"),
        ("{{ '%%12345678 %s' | format('x') }}", "%12345678 x"),
        ("{{ 'aba' | trim(chars='a') }}|{{ 'aba' | trim('a') }}", "b|b"),
        ("{{ messages[0].content.splitlines(1) }}{{ 'a\\nb'.splitlines(0) }}", "['a']['a', 'b']"),
        (
            "{{ 'a\\nb' | indent(2, 1) }}|{{ 'a\\nb' | indent(2, 'x') }}|{{ 'a\\n\\nb' | indent(2, 0, 1) }}",
            "  a\n  b|  a\n  b|a\n  \n  b",
        ),
    ] {
        assert_eq!(rendered(source).as_deref(), Ok(expected), "{source}");
    }
    for source in [
        "{{ '%%%12345678d' | format(1) }}",
        "{{ '{:>12345678}'.format('a') }}",
        "{{ '%(a)12345678d' | format(a=1) }}",
    ] {
        fails(source, "expected widths of at most 1048576");
    }
}

/// Each of these is a deep tree to whatever goes through it.
#[test]
fn deep_sources_are_refused() {
    for (begin, again, end) in [
        ("{{ 1", ".b", " }}"),
        ("{{ 1", "|abs", " }}"),
        ("{{ 1", "[0]", " }}"),
        ("{{ 1", "()", " }}"),
        ("{{ 1", "~1", " }}"),
        ("{{ 1", " and 1", " }}"),
        ("{{ 1", " if 1 else 1", " }}"),
        ("{{ ", "-", "1 }}"),
        ("{{ ", "not ", "1 }}"),
        ("{% if 0 %}", "{% elif 0 %}", "{% endif %}"),
    ] {
        let source = begin.to_owned() + &again.repeat(100_000) + end;
        let error = ChatTemplate::new(&source, SpecialTokens::default(), None).expect_err(again).to_string();
        assert!(error.contains("expected at most 2000 words and signs within one another"), "{error}");
        let source = begin.to_owned() + &again.repeat(20) + end;
        assert!(ChatTemplate::new(&source, SpecialTokens::default(), None).is_ok(), "{again}");
    }
    // However long, a table is not deep.
    let table: String = (0..5000).map(|key| format!("\"k{key}\": [{key}, 'x'], ")).collect();
    assert_eq!(rendered(&format!("{{{{ {{{table}}}.k4999[0] }}}}")).as_deref(), Ok("4999"));
}
