//! `gate.preferred`: what people said decides, and only of what ships.

use std::collections::BTreeMap;

use rtune_trainer::evaluate::reviews::{Answer, Choice, FORMAT, Place, Review, Scores, hash_of};
use serde_json::{Value, json};

use super::{current, decision, promote, workplace};
use crate::workplace::{Ran, Workplace};

const WANTED: [&str; 2] = ["--set", "gate.preferred=0.5"];

fn answers(place: &Workplace, name: &str) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(&place.read(&format!("answers/{name}.json"))).expect("a report");
    let cases = report["cases"].as_array().expect("cases");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    cases.iter().map(|case| (text(&case["id"]), text(&case["base"]["answer"]))).collect()
}

/// Reviews of what ships by one person, who prefers what `choose` says of each case.
fn write_reviews(place: &Workplace, choose: impl Fn(usize) -> Choice) {
    let of = |answer: &str| Answer {
        report: "0".repeat(64),
        model: "base".to_owned(),
        answer: hash_of(&[answer.to_owned()]),
    };
    let both = answers(place, "current").into_iter().zip(answers(place, "candidate")).enumerate();
    let lines = both.map(|(number, ((case, before), (_, after)))| {
        let score = BTreeMap::from([("tone".to_owned(), 3)]);
        let review = Review {
            format: FORMAT,
            case,
            reviewer: "ann".to_owned(),
            first: of(&before),
            second: of(&after),
            shown_left: Place::First,
            scores: Scores { first: score.clone(), second: score },
            preferred: choose(number),
            correction: None,
            comment: None,
            asked: Vec::new(),
            unix_seconds: 1,
        };
        // Which model is called the first is of no matter.
        let review = if number % 2 == 0 { review } else { review.turned() };
        serde_json::to_string(&review).expect("JSON") + "\n"
    });
    place.write("reviews.jsonl", lines.collect::<String>());
}

fn with_reviews(place: &Workplace) -> Ran {
    place.rtune(&[&["promote", "yes", "--reviews", "reviews.jsonl"], WANTED.as_slice()].concat())
}

#[test]
fn what_ships_must_be_preferred() {
    let place = workplace();
    let ran = place.rtune(&[&["promote", "yes", "--answers", "answers"], WANTED.as_slice()].concat());
    ran.fails(
        3,
        &[
            "refused: yes",
            "preferred: reviewers must prefer the candidate, and nobody was asked",
            "--answers FOLDER",
        ],
    );
    write_reviews(&place, |number| if number % 2 == 0 { Choice::Second } else { Choice::Tie });
    with_reviews(&place).succeeds();
    assert_eq!(current(&place), "v0001");
    let found = decision(&place, "registry/current/decision.json");
    let rule = found["findings"].as_array().expect("findings").iter().find(|one| one["rule"] == "preferred");
    let rule = rule.expect("the rule");
    assert_eq!((&rule["passed"], &rule["limit"]), (&json!(true), &json!(0.5)));
    assert!(rule["said"].as_str().is_some_and(|said| said.contains("75.0% of 24 cases")), "{rule}");
    assert!(rule["found"].as_f64().is_some_and(|low| low > 0.5 && low < 0.75), "{rule}");
    assert_eq!(found["gate"]["preferred"], json!(0.5));
}

#[test]
fn a_candidate_that_people_do_not_prefer_is_refused_by_its_cases() {
    let place = workplace();
    place
        .rtune(&[&["promote", "yes", "--answers", "answers"], WANTED.as_slice()].concat())
        .fails(3, &["preferred"]);
    // Thirteen of 24 are more than half, and no more than chance.
    write_reviews(&place, |number| if number < 13 { Choice::Second } else { Choice::First });
    with_reviews(&place).fails(
        3,
        &[
            "preferred: reviewers prefer the candidate in 54.2% of 24 cases",
            "the interval must lie above 50.0%",
            "g-13",
        ],
    );
    write_reviews(&place, |_| Choice::Second);
    let text = place.read("reviews.jsonl");
    place.write("reviews.jsonl", text.replacen("\"case\":\"g-0\"", "\"case\":\"g-99\"", 1));
    with_reviews(&place).fails(
        3,
        &["1 reviews are not of what both models answer", "`g-99` by ann is of no case of these golden rows"],
    );
    let other = hash_of(&["another answer".to_owned()]);
    let own = hash_of(&[answers(&place, "candidate")[3].1.clone()]);
    place.write(
        "reviews.jsonl",
        text.lines()
            .enumerate()
            .map(|(at, line)| if at == 3 { line.replace(&own, &other) } else { line.to_owned() } + "\n")
            .collect::<String>(),
    );
    with_reviews(&place).fails(3, &["`g-3` by ann is of other answers"]);
    place.write("reviews.jsonl", "not a review\n");
    with_reviews(&place).fails(2, &["reviews.jsonl", "line 1"]);
    assert!(!place.path("registry/current").exists());
    place.rtune(&["promote", "yes", "--reviews", "reviews.jsonl"]).fails(2, &["the gate has no rule about what people prefer"]);
    // Without the rule nobody is asked.
    promote(&place, "yes", &[]).succeeds();
}
