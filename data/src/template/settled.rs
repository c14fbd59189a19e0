//! A template as training has it and as it is saved: it prints the same wherever it is rendered.
//!
//! Two things would differ elsewhere. Other programs know `strftime_now` as the day they run on. And a tokenizer that puts BOS
//! before every text is not asked to by programs that render a template first, as it would stand there twice where the template
//! prints it, too.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;

use regex::Regex;

use super::date::Date;

/// What a template asks the day of, and what takes its place.
pub(super) const CLOCK: &str = "strftime_now";
pub(super) const SETTLED_CLOCK: &str = "strftime_of_training";

/// `source` with the day that it prints fixed to `date`, or to its own where there is none, and with `bos` in front where a
/// tokenizer puts it there and the template does not speak of it.
#[must_use]
pub fn settled(source: &str, date: Option<Date>, bos: Option<&str>) -> String {
    let mut before = String::new();
    let prints_bos = |bos: &str| source.contains("bos_token") || !bos.is_empty() && source.contains(bos);
    if bos.is_some_and(|bos| !prints_bos(bos)) {
        before.push_str("{{ bos_token }}");
    }
    static ASKED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!(r"\b{CLOCK}\b")).ok());
    let asked = ASKED.as_ref().filter(|asked| asked.is_match(source));
    if let (Some(_), Some(date)) = (asked, date) {
        write_clock(&mut before, source, date);
    }
    let source = match asked {
        Some(asked) => asked.replace_all(source, SETTLED_CLOCK),
        None => source.into(),
    };
    if before.is_empty() {
        return source.into_owned();
    }
    // The line break behind a block is not printed, and what follows stands at the start of a line as it did.
    format!("{before}{{% set settled_for_training = true %}}\n{source}")
}

/// A macro that says the day in each way that `source` asks for it, and fails at any other.
fn write_clock(out: &mut String, source: &str, date: Date) {
    // What the clock is called with; and, for what it is called with by another name, whatever looks like a format. Which quotation
    // mark opens a text is not known there.
    static TEXTS: LazyLock<[Option<Regex>; 2]> = LazyLock::new(|| {
        let called = format!(r#"\b{CLOCK}\(\s*(?:"([^"\\']*)"|'([^'\\"]*)')"#);
        [called.as_str(), r#""([^"\\']*%[^"\\']*)"|'([^'\\"]*%[^'\\"]*)'"#]
            .map(|texts| Regex::new(texts).ok())
    });
    let texts = TEXTS.iter().flatten().flat_map(|texts| texts.captures_iter(source));
    let formats = texts.filter_map(|found| found.get(1).or_else(|| found.get(2)).map(|text| text.as_str()));
    let formats = formats.filter(|format| !format.contains(['{', '}', '\n']));
    let said: BTreeMap<&str, String> =
        formats.filter_map(|format| Some((format, date.format(format).ok()?))).collect();
    let said: Vec<String> = said.iter().map(|(format, day)| format!("'{format}': '{day}'")).collect();
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "{{% macro {SETTLED_CLOCK}(format) %}}{{% set days = {{{}}} %}}{{{{ days[format] if format in days else \
         raise_exception('the day of training is not known in the format ' ~ format) }}}}{{% endmacro %}}",
        said.join(", ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Message;
    use crate::template::{ChatTemplate, SpecialTokens};

    const DATED: &str = "  {%- if strftime_now is defined %}\n  {%- set day = strftime_now(\"%d %b %Y\") %}\n{%- else %}\n    \
        {%- set day = '26 Jul 2024' %}\n{%- endif %}\n\nToday {{ day }}:\n  {% for message in messages %}\n{{ message['content'] }}\n{% endfor %}";

    fn printed(source: &str, date: Option<Date>) -> String {
        let special = SpecialTokens { bos: Some("<s>".to_owned()), ..SpecialTokens::default() };
        let template = ChatTemplate::new(source, special, date).expect("a template");
        template.render(&[Message::new("user", "Hi")], true).expect("rendered")
    }

    #[test]
    fn nothing_is_added_where_nothing_differs() {
        let source = "{{ bos_token }}{{ messages[0]['content'] }}";
        assert_eq!(settled(source, "2024-01-02".parse().ok(), Some("<s>")), source);
        assert_eq!(settled("<s>{{ messages }}", None, Some("<s>")), "<s>{{ messages }}");
        assert_eq!(settled("{{ messages }}", None, None), "{{ messages }}");
    }

    #[test]
    fn bos_stands_in_front_and_all_else_as_it_did() {
        for source in
            [DATED, "\n\n  {% if true %}\nx{% endif %}", " {{ messages[0]['content'] }}", "{#- a -#}\n x"]
        {
            let settled = settled(source, None, Some("<s>"));
            assert_eq!(printed(&settled, None), format!("<s>{}", printed(source, None)), "{source}");
        }
    }

    /// Which quotation mark opens a text is not known from the marks alone.
    #[test]
    fn a_day_behind_other_texts_is_said_and_one_that_is_not_known_fails() {
        let date = "2025-12-24".parse().ok();
        let source = "{%- set a = \"x\" -%}{%- set b = \"/think\" -%}{%- if a -%}{%- set d = strftime_now(\"%d %B %Y\") -%}{{ a ~ d }}{%- endif -%}";
        assert_eq!(printed(&settled(source, date, None), None), "x24 December 2025");
        let made = "{{ strftime_now('%' ~ 'Y') }}";
        let template = ChatTemplate::new(&settled(made, date, None), SpecialTokens::default(), None)
            .expect("a template");
        let error =
            template.render(&[Message::new("user", "Hi")], true).expect_err("a format that is made up");
        assert!(error.to_string().contains("is not known in the format %Y"), "{error}");
        let undated = ChatTemplate::new(&settled(source, None, None), SpecialTokens::default(), None)
            .expect("a template");
        let error = undated.render(&[Message::new("user", "Hi")], true).expect_err("no date");
        assert!(error.hint().is_some_and(|hint| hint.contains("`data.template-date`")), "{error}");
    }

    #[test]
    fn the_day_is_that_of_training_whatever_the_clock_says() {
        let (then, now) = ("2024-07-06".parse().ok(), "2031-01-01".parse().ok());
        assert!(printed(DATED, then).contains("Today 06 Jul 2024:"), "{}", printed(DATED, then));
        for date in [then, None] {
            let settled = settled(DATED, date, None);
            assert_eq!(printed(&settled, now), printed(DATED, date));
            assert_eq!(settled, super::settled(&settled, now, None), "settled once is settled");
        }
    }
}
