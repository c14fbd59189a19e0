//! Cases of a golden report as a page shows them, turn by turn where there are several.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A case of a golden report.
#[derive(Deserialize)]
pub(super) struct Case {
    id: String,
    #[serde(default)]
    prompt: Vec<Value>,
    #[serde(default)]
    expected: Vec<String>,
    /// What was expected turn by turn, and where in the prompt and behind it these answers stand; empty where there is one turn.
    #[serde(default)]
    turns: Vec<String>,
    #[serde(default)]
    places: Vec<usize>,
    slice: Option<String>,
    base: Side,
    tuned: Option<Side>,
}

/// One model's answer to it.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Side {
    answer: String,
    #[serde(default)]
    exact_match: bool,
    #[serde(default)]
    failed_checks: Vec<String>,
    #[serde(default)]
    chrf: f64,
    #[serde(default, skip_serializing)]
    turns: Vec<Turn>,
}

#[derive(Clone, Deserialize)]
struct Turn {
    answer: String,
}

/// A case as a page shows it.
#[derive(Serialize)]
pub(super) struct Shown {
    id: String,
    slice: Option<String>,
    /// `lost`, `gained` or `same`.
    pub(super) change: &'static str,
    asked: String,
    expected: Vec<String>,
    base: Side,
    tuned: Option<Side>,
}

impl Case {
    /// `gained` says whether the tuned model has it right and the base has not, or the other way round.
    pub(super) fn shown(self, gained: Option<bool>) -> Shown {
        let change = match gained {
            Some(true) => "gained",
            Some(false) => "lost",
            None => "same",
        };
        let turn = |(index, message): (usize, &Value)| {
            let text = |name: &str| message[name].as_str().unwrap_or_default();
            // What the models said there themselves stands with their answers.
            match self.places.iter().position(|place| *place == index) {
                Some(number) => format!("{}: (turn {})", text("role"), number + 1),
                None => format!("{}: {}", text("role"), text("content")),
            }
        };
        // One question alone needs no role before it.
        let asked = match self.prompt.as_slice() {
            [only] => only["content"].as_str().unwrap_or_default().to_owned(),
            several => several.iter().enumerate().map(turn).collect::<Vec<_>>().join("\n\n"),
        };
        let Self { id, mut expected, turns, slice, base, tuned, .. } = self;
        if let [before @ .., _] = turns.as_slice() {
            let last = turns.len();
            let of_last = expected.iter().map(|text| of_turn(last, text));
            let of_last: Vec<String> = of_last.collect();
            expected = (1..).zip(before).map(|(number, text)| of_turn(number, text)).chain(of_last).collect();
        }
        Shown { id, slice, change, asked, expected, base: base.whole(), tuned: tuned.map(Side::whole) }
    }
}

fn of_turn(number: usize, text: &str) -> String {
    format!("turn {number}: {text}")
}

impl Side {
    /// With all turns as one answer, where there are several.
    fn whole(mut self) -> Self {
        if self.turns.len() > 1 {
            let turns = (1..).zip(&self.turns).map(|(number, turn)| of_turn(number, &turn.answer));
            self.answer = turns.collect::<Vec<_>>().join("\n\n");
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conversations_show_what_the_models_said_themselves() {
        let say = |role: &str, content: &str| json!({"role": role, "content": content});
        let side =
            |first: &str, last: &str| json!({"answer": last, "turns": [{"answer": first}, {"answer": last}]});
        let case = json!({"id": "talk", "prompt": [say("user", "I am Ann."), say("assistant", "Hello!"), say("user", "Bye")],
            "expected": ["Bye Ann!", "Bye!"], "turns": ["Hello!", "Bye Ann!"], "places": [1, 3],
            "base": side("Hi", "Who?"), "tuned": side("Hello Ann", "Bye")});
        let case: Case = serde_json::from_value(case).expect("a case");
        let shown = case.shown(Some(true));
        assert_eq!(shown.asked, "user: I am Ann.\n\nassistant: (turn 1)\n\nuser: Bye");
        assert_eq!(shown.expected, ["turn 1: Hello!", "turn 2: Bye Ann!", "turn 2: Bye!"]);
        assert_eq!(shown.base.answer, "turn 1: Hi\n\nturn 2: Who?");
        assert_eq!(shown.tuned.map(|side| side.answer).as_deref(), Some("turn 1: Hello Ann\n\nturn 2: Bye"));
        let plain =
            json!({"id": "a", "prompt": [say("user", "Hi")], "expected": ["x"], "base": {"answer": "y"}});
        let plain = serde_json::from_value::<Case>(plain).expect("a case").shown(None);
        assert_eq!(
            (plain.asked.as_str(), plain.expected, plain.change),
            ("Hi", vec!["x".to_owned()], "same")
        );
    }
}
