use super::*;
use crate::record::Message;
use crate::template::{ChatTemplate, SpecialTokens, TemplateError};

fn rendered(source: &str) -> Result<String, TemplateError> {
    let template = ChatTemplate::with_room(source, SpecialTokens::default(), None, 8 << 20);
    template.expect("the template parses").render(&[Message::new("user", "a")], false)
}

/// Python's rule in its own words: from `start` on by `step` until `stop`, each bound brought within the text first.
fn naive(length: i64, start: Option<i64>, stop: Option<i64>, step: i64) -> Vec<usize> {
    let within = |bound: i64| if bound < 0 { bound + length } else { bound };
    let mut place = match start {
        None if step > 0 => 0,
        None => length - 1,
        Some(start) if step > 0 => within(start).max(0),
        Some(start) => within(start).min(length - 1),
    };
    let stop = match stop {
        None if step > 0 => length,
        None => -1,
        Some(stop) => within(stop),
    };
    let mut places = Vec::new();
    while (step > 0 && place < stop || step < 0 && place > stop) && (0..length).contains(&place) {
        places.push(place as usize);
        place += step;
    }
    places
}

#[test]
fn every_small_cut_is_pythons() {
    let letters = ["a", "ü", "c", "漢"];
    let bounds: Vec<Option<i64>> = std::iter::once(None).chain((-5..=5).map(Some)).collect();
    for length in 0..=letters.len() {
        let (mut source, mut expected) = (String::new(), String::new());
        let list: Vec<String> = letters[..length].iter().map(|letter| format!("'{letter}'")).collect();
        let text = letters[..length].concat();
        for (start, stop) in bounds.iter().flat_map(|start| bounds.iter().map(move |stop| (*start, *stop))) {
            for step in (-3..=3).filter(|step| *step != 0) {
                let places = naive(length as i64, start, stop, step);
                assert_eq!(
                    Places::of(length, start, stop, step).each().collect::<Vec<_>>(),
                    places,
                    "{length} {start:?} {stop:?} {step}"
                );
                let written = |bound: Option<i64>| bound.map_or(String::new(), |bound| bound.to_string());
                let slice = format!("[{}:{}:{step}]", written(start), written(stop));
                let found: String = places.iter().map(|place| letters[*place]).collect();
                source.push_str(&format!(
                    "{{{{ '{text}'{slice} }}}}|{{{{ [{0}]{slice} | join }}}}|",
                    list.join(",")
                ));
                expected.push_str(&format!("{found}|{found}|"));
            }
        }
        assert_eq!(rendered(&source).as_deref(), Ok(expected.as_str()), "{length}");
    }
}

/// What CPython 3.12 prints.
#[test]
fn cuts_are_those_of_python() {
    for (source, expected) in [
        ("{{ ''[-1::-1] }}|{{ [][-1::-1] }}", "|[]"),
        ("{{ 'abc'[2:0:-1] }}|{{ 'abc'[-5::-1] }}|{{ 'abc'[::-2] }}", "cb||ca"),
        ("{{ (1, 2, 3)[::2] }}{{ (1, 2)[:1] }}{{ (1, 2, 3)[::-1] }}", "(1, 3)(1,)(3, 2, 1)"),
        ("{{ [1, 2, 3][::-2] }}{{ range(5)[::2] | list }}", "[3, 1][0, 2, 4]"),
        ("{{ 'abc'[99999999999999999999::-1] }}{{ 'abc'[none:none:none] }}{{ 'abc'[true:] }}", "cbaabcbc"),
        ("{{ 'abc'[::9223372036854775807] }}{{ 'abc'[::-9223372036854775807] }}", "ac"),
        ("{% for m in messages[::-1] %}{{ m.role }}{% endfor %}", "user"),
        ("{{ 'äbc'[1:] }}|{{ 'äbc'[:1] }}|{{ 'äbc'[2:1] }}|{{ 'äbc'[1:99] }}|{{ 'äbc'[99:] }}", "bc|ä||bc|"),
    ] {
        assert_eq!(rendered(source).as_deref(), Ok(expected), "{source}");
    }
    for (source, problem) in [
        ("{{ 'abc'[::0] }}", "slice step cannot be zero"),
        ("{{ 'abc'[1.5:] }}", "the bounds of a slice are whole numbers or none, found number"),
        ("{% for m in none[::2] %}{{ m }}{% endfor %}", "'NoneType' object is not subscriptable"),
        ("{{ missing[1:] }}", "undefined value"),
        ("{{ 5[::1] }}", "a value of type number cannot be sliced"),
    ] {
        let error = rendered(source).expect_err(source).to_string();
        assert!(error.contains(problem), "{source}: {error}");
    }
}

#[test]
fn cuts_take_room_and_hold_no_other() {
    for slice in ["[::-1]", "[1:]", "[::1]"] {
        for made in ["'x' * 1000000", "([1] * 100000)", "(range(99999))"] {
            let source = format!(
                "{{% set l = {made} %}}{{% for i in range(99) %}}{{% set x = l{slice} %}}{{% endfor %}}"
            );
            assert_eq!(rendered(&source), Err(TemplateError::TooMuch { mebibytes: 8 }), "{source}");
        }
    }
    let source = "{% set n = namespace(l=[1, 2]) %}{% for i in range(50000) %}{% set n.l = n.l[0:] %}{% endfor %}{{ n.l }}";
    assert_eq!(rendered(source).as_deref(), Ok("[1, 2]"));
}
