use serde_json::{Map, Value as Json};

use super::*;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/chat_templates.jsonl");

/// A token of tokenizer_config.json: a text, or an object with its text inside.
fn token(config: &Json, name: &str) -> Option<String> {
    let value = config.get(name)?;
    value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
}

/// Which of several templates transformers takes.
fn chosen(row: &Json) -> Option<&str> {
    if let Some(source) = row["jinja"].as_str() {
        return Some(source);
    }
    let Some(named) = row["config"]["chat_template"].as_array() else {
        return row["config"]["chat_template"].as_str();
    };
    let get = |name: &str| named.iter().find(|one| one["name"] == name)?["template"].as_str();
    let with_tools = row["input"]["input"]["tools"].is_array().then(|| get("tool_use")).flatten();
    row["input"]["template_name"].as_str().and_then(get).or(with_tools).or_else(|| get("default"))
}

fn date(seconds: u64) -> Date {
    let (mut days, mut year, mut month) = (seconds / 86_400, 1970, 1);
    loop {
        let text = format!("{year:04}-{month:02}-{:02}", days + 1);
        if let Ok(date) = text.parse() {
            return date;
        }
        // Past the end of the month: take the month away.
        let length =
            (28..=31).rev().find(|day| format!("{year:04}-{month:02}-{day:02}").parse::<Date>().is_ok());
        days -= length.expect("a month has 28 days");
        (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    }
}

fn compile(row: &Json) -> Result<ChatTemplate, String> {
    let config = &row["config"];
    let [bos, eos, pad, unk] =
        ["bos_token", "eos_token", "pad_token", "unk_token"].map(|name| token(config, name));
    let clock = row["meta"]["clock_unix_secs"].as_u64().map(date);
    let source = chosen(row).ok_or("no template")?;
    ChatTemplate::new(source, SpecialTokens { bos, eos, pad, unk }, clock).map_err(|error| error.to_string())
}

fn render_case(row: &Json) -> Result<String, String> {
    let template = compile(row)?;
    let mut arguments: Map<String, Json> = row["input"]["input"].as_object().ok_or("no input")?.clone();
    let messages = arguments.remove("messages").ok_or("no messages")?;
    let prompt = arguments.remove("add_generation_prompt").and_then(|value| value.as_bool()).unwrap_or(false);
    template.render_json(&messages, prompt, &arguments).map_err(|error| error.to_string())
}

#[test]
#[expect(clippy::print_stdout, reason = "an exam shows its table")]
fn exam_templates() {
    let path = std::env::var("RTUNE_EXAM_TEMPLATES").unwrap_or_else(|_| FIXTURE.to_owned());
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (mut ran, mut equal) = (0, 0);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let row: Json = serde_json::from_str(line).expect("a case is JSON");
        let expected = row["expected"].as_str().expect("a case has its expected text");
        let (model, case) = (row["model"].as_str().unwrap_or("?"), row["case"].as_str().unwrap_or("?"));
        ran += 1;
        match render_case(&row) {
            Ok(text) if text == expected => {
                equal += 1;
                println!("equal    {model:<32} {case}");
            }
            Ok(text) => {
                println!("DIFFERS  {model:<32} {case}\n--- expected\n{expected}\n--- found\n{text}\n---")
            }
            Err(error) => println!("FAILS    {model:<32} {case}: {error}"),
        }
    }
    println!("exam_templates: {equal} of {ran} equal");
    assert!(ran > 0, "{path} holds no case");
    assert_eq!(equal, ran);
}

/// The trained texts of every family: each answer once, in order, whatever the template does around it.
#[test]
#[expect(clippy::print_stdout, reason = "an exam shows its table")]
fn exam_templates_show_their_answers() {
    let path = std::env::var("RTUNE_EXAM_TEMPLATES").unwrap_or_else(|_| FIXTURE.to_owned());
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let answers = ["four it is", "six it is"];
    let messages = crate::testing::talk(&["What is 2+2?", answers[0], "And 3+3?", answers[1]]);
    let (mut ran, mut trained) = (0, 0);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let row: Json = serde_json::from_str(line).expect("a case is JSON");
        let model = row["model"].as_str().unwrap_or("?");
        ran += 1;
        match trained_texts(&row, &messages) {
            Ok(texts) => {
                trained += 1;
                println!("trained  {model:<32} {texts:?}");
                assert_eq!(texts.len(), answers.len(), "{model}");
                assert!(texts.iter().zip(answers).all(|(text, answer)| text.contains(answer)), "{model}");
            }
            Err(error) => println!("refused  {model:<32} {error}"),
        }
    }
    println!("exam_templates_show_their_answers: {trained} of {ran} trained");
    assert!(trained * 2 > ran, "{path}: most templates can be trained on");
}

fn trained_texts(row: &Json, messages: &[Message]) -> Result<Vec<String>, String> {
    let template = compile(row)?;
    let mut tokenizer = crate::testing::tokenizer();
    let names = row["config"].as_object().into_iter().flatten().map(|(name, _)| name);
    let special = names.filter_map(|name| token(&row["config"], name));
    let added = special.filter(|text| text.len() < 100).map(|text| tokenizers::AddedToken::from(text, true));
    tokenizer.add_special_tokens(added).map_err(|error| error.to_string())?;
    let encoder = crate::Encoder::new(&template, &tokenizer).map_err(|error| error.to_string())?;
    let mut texts = Vec::new();
    for encoded in encoder.encode(messages, crate::TrainOn::All).map_err(|error| error.to_string())? {
        let origin = crate::testing::record(messages.to_vec()).origin;
        let (tokens, supervised) = (encoded.tokens, encoded.supervised);
        let example = crate::Example { id: String::new(), origin, tokens, supervised };
        let pieces = crate::pieces(&example, &tokenizer).map_err(|error| error.to_string())?;
        texts.extend(pieces.into_iter().filter(|piece| piece.trained).map(|piece| piece.text));
    }
    Ok(texts)
}

fn plain(source: &str) -> ChatTemplate {
    ChatTemplate::new(source, SpecialTokens::default(), None).expect("the template parses")
}

fn talk() -> Vec<Message> {
    vec![Message::new("user", "a"), Message::new("assistant", "b")]
}

#[test]
fn a_template_that_does_not_parse() {
    let error =
        ChatTemplate::new("{{ 1 }}\n{% if %}", SpecialTokens::default(), None).expect_err("no template");
    assert!(
        error.to_string().starts_with("the chat template does not parse: line 2: syntax error:"),
        "{error}"
    );
    assert_eq!(error.hint().as_deref(), Some("`data.template` names another template"));
}

#[test]
fn a_template_that_raises() {
    let error = plain("{{ raise_exception('roles ' ~ 1) }}").render(&talk(), false).expect_err("it raises");
    assert_eq!(error, TemplateError::Raised { message: "roles 1".into() });
    assert_eq!(error.to_string(), "the chat template refuses this conversation: roles 1");
}

#[test]
fn a_template_that_raises_inside_a_block() {
    let source = "{% macro m() %}{{ raise_exception('deep') }}{% endmacro %}{% generation %}{{ m() }}{% endgeneration %}";
    let error = plain(source).render(&talk(), false).expect_err("it raises");
    assert_eq!(error, TemplateError::Raised { message: "deep".into() });
}

#[test]
fn a_template_that_fails() {
    let error =
        plain("\n{{ messages[0].content.frobnicate() }}").render(&talk(), false).expect_err("it fails");
    assert!(error.to_string().starts_with("the chat template fails: line 2: unknown method:"), "{error}");
}

#[test]
fn the_clock_is_never_read() {
    let source = "{{ strftime_now('%Y') }}";
    let error = plain(source).render(&talk(), false).expect_err("no date was given");
    assert_eq!(
        error.hint().as_deref(),
        Some(
            "this template prints the date of the day: fix one as `data.template-date`, such as \"2026-01-31\""
        )
    );
    let guarded = "{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% else %}fixed{% endif %}";
    assert_eq!(plain(guarded).render(&talk(), false).as_deref(), Ok("fixed"));
    let date = "2026-01-31".parse().ok();
    let dated = ChatTemplate::new(guarded, SpecialTokens::default(), date).expect("the template parses");
    assert_eq!(dated.render(&talk(), false).as_deref(), Ok("2026"));
}

#[test]
fn answers_are_where_the_template_says() {
    let source = "{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}{{ m.content }}</s>\n\
         {% endgeneration %}{% else %}ü:{{ m.content }}\n{% endif %}{% endfor %}";
    let messages = [talk(), talk()].concat();
    let template = plain(source);
    assert!(template.marks_answers());
    let (text, answers) = template.render_with_answers(&messages, &[], false).expect("it renders");
    assert_eq!(text, "ü:a\nA:b</s>\nü:a\nA:b</s>\n");
    let texts: Vec<&str> = answers.into_iter().map(|range| &text[range]).collect();
    assert_eq!(texts, ["b</s>\n", "b</s>\n"]);
    let error = template.render(&[Message::new("user", "\u{E000}")], false).expect_err("a mark");
    assert_eq!(error, TemplateError::Marks);
}

#[test]
fn variables_reach_the_template() {
    let template =
        plain("{{ enable_thinking }} {{ bos_token }}|").with_variable("enable_thinking", &Json::Bool(false));
    assert_eq!(template.render(&talk(), false).as_deref(), Ok("False |"));
}

/// Each asks for more than any machine has, in few steps and without printing much.
#[test]
fn templates_that_make_texts_without_end_are_stopped() {
    let doubled = |made: &str| {
        format!(
            "{{% set n = namespace(s='x' * 1000, l=[1]) %}}{{% for i in range(60) %}}{made}{{% endfor %}}{{{{ n.s | length }}}}"
        )
    };
    let sources = [
        doubled("{% set n.s = n.s ~ n.s %}"),
        doubled("{% set n.s = n.s + n.s %}"),
        doubled("{% set n.s %}{{ n.s }}{{ n.s }}{% endset %}"),
        doubled("{% set n.s = n.s | replace('x', 'xx') %}"),
        doubled("{% set n.s = n.s.replace('x', 'xx') %}"),
        doubled("{% set n.s = [n.s, n.s] | join %}"),
        doubled("{% set n.s = n.s.join([n.s, n.s]) %}"),
        doubled("{% set n.s = '%s%s' | format(n.s, n.s) %}"),
        doubled("{% set n.s = '{}{}'.format(n.s, n.s) %}"),
        doubled("{% set n.s = [n.s, n.s] | tojson %}"),
        doubled("{% set n.s = [n.s, n.s] | map('upper') | join %}"),
        doubled("{% set n.l = n.l + n.l %}") + "{% set x = n.l | list %}",
        doubled("{% set n.l = [n.l, n.l] %}") + "{{ n.l }}",
        doubled("{% set n.l = [n.l, n.l] %}") + "{{ n.l in 'x' }}",
        doubled("{% set n.l = [n.l, n.l] %}") + "{{ raise_exception(n.l) }}",
        doubled("{% set n.l = n.l + [n.s | upper, n.s[1:]] %}").replace("range(60)", "range(100000)"),
        doubled("{% set n.s = n.s * 2 %}"),
        format!("{{% set n = [{}] %}}", ["'x' * 1000000"; 20].join(", ")),
        format!("{{% set n = {} %}}", ["('x' * 1000000)"; 20].join(" ~ ")),
        "{% macro m(s) %}{{ m(s ~ s) }}{% endmacro %}{{ m('xxxxxxxx') }}".to_owned(),
        "{% set n = ('x' * 1000000) | list %}".to_owned(),
        "{% set n = ('x' * 1000000).split('x') %}".to_owned(),
        "{% set n = [1] * 100000000 %}{{ n | list | length }}".to_owned(),
    ];
    for source in &sources {
        let template = ChatTemplate::with_room(source, SpecialTokens::default(), None, 8 << 20);
        let made = template.expect("the template parses").render(&talk(), false).map(|text| text.len());
        assert_eq!(made, Err(TemplateError::TooMuch { mebibytes: 8 }), "{source}");
    }
    for source in [
        "{{ 'x' | indent(1000000000000) }}",
        "{{ '%1000000000000d' | format(1) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ [1] | batch(1000000000000, 0) | list }}",
        "{{ messages | tojson(indent=1000000000) }}",
    ] {
        let error = plain(source).render(&talk(), false).expect_err(source).to_string();
        assert!(error.contains("expected ") && error.contains("at most 1048576"), "{source}: {error}");
    }
    // What is deep is gone through on the stack, and freed so.
    for deeper in ["[n.l]", "(1, n.l)", "{'a': n.l}", "dict(l=n.l)", "[1] + [n.l]"] {
        let source = format!(
            "{{% set n = namespace(l=[1]) %}}{{% for i in range(100000) %}}{{% set n.l = {deeper} %}}{{% endfor %}}"
        );
        let error = plain(&source).render(&talk(), false).expect_err(deeper).to_string();
        assert!(error.contains("lists stand too deep in one another"), "{deeper}: {error}");
    }
    let error = ChatTemplate::new("{% set __bounded_joined = 1 %}", SpecialTokens::default(), None);
    assert!(error.expect_err("a name of ours").to_string().contains("`__bounded_`"));
}

/// All of the language, written anew, means what it meant.
#[test]
fn what_is_written_anew_means_the_same() {
    for (source, expected) in [
        ("a\n{%- if true %} b \n{% endif %}\nc\n", "a b \nc"),
        (
            "{{ 1 + 2 * 3 - 4 }} {{ (1 + 2) * 3 }} {{ -1 | abs }} {{ (-2) ** 2 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ 1 / 2 }}",
            "3 9 1 4 3 3 0.5",
        ),
        ("{{ 'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1, 'b'] }}", "a1NoneTrue1.5[1, 'b']"),
        (
            "{{ 1 ~ 2 + '3' }} {{ 'a' + 'b' + 'c' }} {{ 'ab' * 2 }} {{ 1.5 + 1 }} {{ ([1] + [2]) | list }}",
            "123 abc abab 2.5 [1, 2]",
        ),
        (
            "{{ not 1 == 2 and (3 or 4) }} {{ 1 < 2 <= 2 != 3 }} {{ 'a' in 'ab' and 2 not in [1] }}",
            "3 True True",
        ),
        ("{{ 'a' if false else 'b' if true else 'c' }}{{ 'x' if false }}", "b"),
        (
            "{{ [1, 2, 3, 4][1:3] }}{{ 'abcd'[::-1] }}{{ 'abcd'[:2] }}{{ 'abcd'[-1] }}{{ {'a': {'b': 2}}.a['b'] }}",
            "[2, 3]dcbaabd2",
        ),
        ("{{ (1,) }}{{ () }}{{ (1, 'b') }}{{ {} }}", "(1,)()(1, 'b'){}"),
        (
            "{{ ([{'a': 1}] | last).a }}{{ ('abc' | trim)[:2] }}{{ ([1, 2] | list)[-1] }}{{ ('a-b' | trim).split('-')[1] }}",
            "1ab2b",
        ),
        ("{{ -(3 | abs) }} {{ -([1, 2] | length) }} {{ [3, 1] | sort | first }}", "-3 -2 1"),
        (
            "{% for v in ['x', {'a': 1}, [1], range(2), none, 5] %}{{ v is sequence }} {% endfor %}{{ missing is sequence }}",
            "True True True True False False True",
        ),
        (
            "{% for k, v in {'a': 1, 'b': 2}.items() if v > 1 %}{{ loop.index }}{{ k }}{{ v }}{% else %}-{% endfor %}",
            "1b2",
        ),
        (
            "{% for x in [] %}{% else %}none{% endfor %}{% for x in range(9) %}{% if x == 1 %}{% continue %}{% elif x > 2 %}{% break %}{% else %}{{ x }}{% endif %}{% endfor %}",
            "none02",
        ),
        (
            "{% for x in [[1, [2]], 3] recursive %}{% if x is iterable %}<{{ loop(x) }}>{% else %}{{ x }}{% endif %}{% endfor %}",
            "<1<2>>3",
        ),
        (
            "{% macro m(a, b='x', c=1 + 1) %}[{{ a }}{{ b }}{{ c }}{{ caller() if caller is defined }}]{% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{% call m(*[4, 5]) %}!{% endcall %}{{ m(**{'a': 7}) }}",
            "[1x2][1x3][452!][7x2]",
        ),
        (
            "{% set a, b = 1, 2 %}{% set c %}x{{ a }}{% endset %}{% set d | upper | replace('X', 'y') %}x{% endset %}{{ b }}{{ c }}{{ d }}",
            "2x1y",
        ),
        (
            "{% filter upper | trim %} ab {% endfilter %}{% with x = 1, y = 2 %}{{ x }}{{ y }}{% endwith %}",
            "AB12",
        ),
        (
            "{{ ' a ' | trim | default('z') }}{{ q | default('z') }}{{ messages | map(attribute='role') | join(',') }}{{ ['a'] | map('upper') | list }}",
            "azuser,assistant['A']",
        ),
        (
            "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}{{ q is not defined }}{{ 4 is divisibleby 2 }}{{ messages[0] is mapping }}",
            "1TrueTrueTrue",
        ),
        (
            "{{ 'a\\n\\\\\"{{ %} }}\t' }}|{{ \"it's\" }}|{{ 'ü' 'x' }}{# no #}{% raw %}{{ x }}{% endraw %}",
            "a\n\\\"{{ %} }}\t|it's|üx{{ x }}",
        ),
        (
            "{{ {'a': [1, none, true, 0.5]} | tojson }}{{ 'a-b'.split('-')[1].upper() }}{{ 18446744073709551616 }}",
            "{\"a\": [1, null, true, 0.5]}B18446744073709551616",
        ),
        (
            "{% set n = namespace(x=1) %}{% for m in messages %}{% set n.x = n.x + loop.index %}{% endfor %}{{ n.x }}{% block b %}!{% endblock %}",
            "4!",
        ),
    ] {
        assert_eq!(plain(source).render(&talk(), false).as_deref(), Ok(expected), "{source}");
    }
    // A long chain is no deeper than a short one, and errors keep their lines.
    let long = ["'a'"; 400];
    for operator in [" ~ ", " + "] {
        let text = plain(&format!("{{{{ {} }}}}", long.join(operator))).render(&talk(), false);
        assert_eq!(text.map(|text| text.len()), Ok(400));
    }
    let source = "a\n{% if true %}\n{{ 'b'\n   ~ messages[0].content.frobnicate() }}{% endif %}";
    let error = plain(source).render(&talk(), false).expect_err("it fails");
    assert!(matches!(error, TemplateError::Failed { line: 4, .. }), "{error}");
}
