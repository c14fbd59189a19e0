//! Answers that should call tools, or should not where they could.

use rtune_data::{Message, Record};
use rtune_metrics::extract::{Call, CallCounts, calls_in, calls_of, compare_calls};
use rtune_metrics::text;
use serde::Serialize;

/// The field of a message with its calls.
const TOOL_CALLS: &str = "tool_calls";

/// The calls that the last answer of a row should make.
#[derive(Debug)]
pub(super) struct Wanted {
    expected: Vec<Call>,
    /// How the template writes them, where that is no JSON: then an answer has to say the same.
    written: Option<String>,
}

/// The calls of one answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Called {
    /// Whether it makes the expected calls, in any order, and no others.
    pub right: bool,
    /// Whether it calls the right tools, whatever it gives them.
    pub tools_right: bool,
    /// Its calls; empty where the template does not write them as JSON.
    pub calls: Vec<Call>,
    /// Its calls beside those expected.
    pub counts: CallCounts,
}

/// The calls of many answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolCalls {
    /// Answers that should call tools.
    pub cases: usize,
    /// Part of them, each by the weight of its case, that makes the expected calls and no others.
    pub right: f64,
    /// Part of them that calls the right tools, whatever it gives them.
    pub tools_right: f64,
    /// F1 of the calls of all cases, those too that should make none.
    pub f1: f64,
    /// Calls of all cases beside those expected.
    pub counts: CallCounts,
    /// Answers that could call tools and should not.
    pub cases_without: usize,
    /// Part of those that calls one all the same; `None` without any, or where the set has no call that its template writes as JSON.
    pub needless: Option<f64>,
}

impl Wanted {
    /// `written` is the last answer as the template writes it. `None` for a row without tools and calls.
    pub(super) fn new(record: &Record, written: &str) -> Option<Self> {
        let last = record.messages.iter().rfind(|message| message.is_answer());
        let expected = last.and_then(|last| last.extra.get(TOOL_CALLS)).map(calls_of).unwrap_or_default();
        if expected.is_empty() && record.tools.is_empty() {
            return None;
        }
        let is_json = compare_calls(&calls_in(written), &expected).all_right();
        Some(Self { expected, written: (!is_json).then(|| written.to_owned()) })
    }

    /// Whether its calls are written as JSON.
    pub(super) fn in_json(&self) -> bool {
        self.any() && self.written.is_none()
    }

    /// Whether it should call something.
    pub(super) fn any(&self) -> bool {
        !self.expected.is_empty()
    }

    pub(super) fn read(&self, answer: &str) -> Called {
        if let Some(written) = self.written.as_deref().filter(|_| self.any()) {
            // What stands for one call is not known: all of them are one.
            let same = text::normalised_match(answer, written);
            let counts = CallCounts { right: u64::from(same), named: u64::from(same), found: 1, expected: 1 };
            return Called { right: same, tools_right: same, calls: Vec::new(), counts };
        }
        let calls = calls_in(answer);
        let counts = compare_calls(&calls, &self.expected);
        Called { right: counts.all_right(), tools_right: counts.all_named(), calls, counts }
    }
}

impl ToolCalls {
    /// `answers` are those to rows with tools: whether they should call any, what they call, the weights of their cases. `None` without one.
    /// `in_json` says whether the template writes calls as JSON.
    pub(super) fn of<'c>(
        answers: impl Iterator<Item = (bool, &'c Called, f64)>,
        in_json: bool,
    ) -> Option<Self> {
        let answers: Vec<(bool, &Called, f64)> = answers.collect();
        let share = |should: bool, is: fn(&Called) -> bool| {
            let of = || answers.iter().filter(|(any, ..)| *any == should);
            let all: f64 = of().map(|(.., weight)| weight).sum();
            let those: f64 = of().filter(|(_, called, _)| is(called)).map(|(.., weight)| weight).sum();
            (all > 0.0).then(|| those / all)
        };
        let mut counts = CallCounts::default();
        answers.iter().for_each(|(_, called, _)| counts += called.counts);
        let cases = answers.iter().filter(|(any, ..)| *any).count();
        (!answers.is_empty()).then(|| Self {
            cases,
            right: share(true, |called| called.right).unwrap_or_default(),
            tools_right: share(true, |called| called.tools_right).unwrap_or_default(),
            f1: counts.f1(),
            counts,
            cases_without: answers.len() - cases,
            // Where no answer of the set is known to write its calls as JSON, none can be told from a text.
            needless: share(false, |called| called.counts.found > 0).filter(|_| in_json),
        })
    }
}

/// Whether a message calls tools and says nothing.
pub(super) fn calls_alone(message: &Message) -> bool {
    message.calls_tools() && message.content.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rtune_data::Origin;
    use serde_json::{Value, json};

    use super::*;

    fn record(calls: Option<Value>) -> Record {
        let mut answer = Message::new("assistant", "");
        answer.extra.extend(calls.map(|calls| (TOOL_CALLS.to_owned(), calls)));
        let origin = Origin { file: Path::new("g.jsonl").into(), line: 1 };
        Record::with_tools(None, origin, vec![Message::new("user", "a"), answer], vec![json!({"name": "f"})])
    }

    #[test]
    fn calls_in_json_are_compared_as_values_and_others_as_texts() {
        let calls = json!([{"type": "function", "function": {"name": "f", "arguments": {"a": 1, "b": 2}}}]);
        let written = "<call>{\"name\": \"f\", \"arguments\": {\"a\": 1, \"b\": 2}}</call>";
        let wanted = Wanted::new(&record(Some(calls.clone())), written).expect("calls");
        let right = wanted.read("{\"name\": \"f\", \"arguments\": {\"b\": 2, \"a\": 1}}");
        assert!(wanted.any() && right.right && right.calls.len() == 1);
        let other = wanted.read("{\"name\": \"f\", \"arguments\": {\"b\": 3, \"a\": 1}}");
        assert_eq!((other.right, other.tools_right), (false, true));
        assert!(!wanted.read("no idea").tools_right);
        let python = Wanted::new(&record(Some(calls)), "f(a=1, b=2)").expect("calls");
        assert!(python.read("f(a=1,  b=2)").right && !python.read("f(a=1)").right);
        assert!(Wanted::new(&Record { tools: Vec::new(), ..record(None) }, "x").is_none());
    }

    #[test]
    fn figures_tell_calls_that_are_missing_from_needless_ones() {
        let call = json!([{"name": "f", "arguments": {}}]);
        let text = call.to_string();
        let (wanted, none) = (Wanted::new(&record(Some(call)), &text), Wanted::new(&record(None), "x"));
        let (wanted, none) = (wanted.expect("calls"), none.expect("tools"));
        let answers = [wanted.read(&text), wanted.read("no"), none.read(&text), none.read("fine")];
        let should = [true, true, false, false];
        let all = should.iter().zip(&answers).zip([3.0, 1.0, 1.0, 1.0]);
        let figures = ToolCalls::of(all.map(|((should, called), weight)| (*should, called, weight)), true);
        let figures = figures.expect("answers");
        assert_eq!((figures.cases, figures.right, figures.tools_right), (2, 0.75, 0.75));
        assert_eq!((figures.cases_without, figures.needless), (2, Some(0.5)));
        assert_eq!(figures.counts, CallCounts { right: 1, named: 1, found: 2, expected: 2 });
        assert_eq!(ToolCalls::of(std::iter::empty(), true), None);
    }
}
