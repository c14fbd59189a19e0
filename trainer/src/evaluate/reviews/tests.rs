use rtune_metrics::compare::Settings;

use super::*;
use crate::evaluate::compare::Answered;

fn review(case: usize, reviewer: &str, preferred: Choice, scores: [u8; 2]) -> Review {
    let answer = |model: &str, text: &str| Answer {
        report: "0".repeat(64),
        model: model.to_owned(),
        answer: hash_of(&[format!("{text} {case}")]),
    };
    let of = |score: u8| BTreeMap::from([("tone".to_owned(), score)]);
    Review {
        format: FORMAT,
        case: format!("g-{case}"),
        reviewer: reviewer.to_owned(),
        first: answer("base", "one"),
        second: answer("tuned", "two"),
        shown_left: if case.is_multiple_of(2) { Place::First } else { Place::Second },
        scores: Scores { first: of(scores[0]), second: of(scores[1]) },
        preferred,
        correction: None,
        comment: None,
        asked: Vec::new(),
        unix_seconds: 1,
    }
}

fn case(number: usize) -> Answered {
    Answered {
        id: format!("g-{number}"),
        prompt: Vec::new(),
        context: Vec::new(),
        expected: Vec::new(),
        cluster: None,
        answers: [vec![format!("one {number}")], vec![format!("two {number}")]],
    }
}

#[test]
fn what_is_written_is_read_and_the_last_word_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("reviews.jsonl");
    let (mut log, none) = ReviewLog::open(&path).expect("made");
    assert!(none.is_empty());
    let before = review(0, "ann", Choice::First, [4, 2]);
    let after = review(0, "ann", Choice::Tie, [3, 3]);
    for one in [&before, &review(1, "ann", Choice::Second, [1, 5]), &after] {
        log.append(one).expect("written");
    }
    let error = ReviewLog::open(&path).expect_err("held");
    assert!(error.to_string().contains("another process writes"), "{error}");
    drop(log);
    assert_eq!(std::fs::read_to_string(&path).expect("there").lines().count(), 3);
    let all = read(&path).expect("reviews");
    assert_eq!((all.len(), &all[0]), (2, &after));
    let (mut log, again) = ReviewLog::open(&path).expect("free");
    assert_eq!(again, all);
    log.append(&review(2, "bob", Choice::First, [5, 1])).expect("written");
    drop(log);
    assert_eq!(read(&path).expect("reviews").len(), 3);
}

#[test]
fn a_review_that_was_cut_off_goes_and_a_whole_one_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("reviews.jsonl");
    let line = serde_json::to_string(&review(0, "ann", Choice::First, [4, 2])).expect("JSON");
    for length in [1, line.len() / 2, line.len() - 1] {
        std::fs::write(&path, format!("{line}\n{}", &line[..length])).expect("written");
        assert_eq!(read(&path).expect("one").len(), 1);
        drop(ReviewLog::open(&path).expect("one"));
        assert_eq!(std::fs::read_to_string(&path).expect("there"), format!("{line}\n"));
    }
    std::fs::write(&path, &line).expect("written");
    let (mut log, all) = ReviewLog::open(&path).expect("one");
    assert_eq!(all.len(), 1);
    log.append(&review(1, "ann", Choice::First, [4, 2])).expect("written");
    drop(log);
    assert_eq!(read(&path).expect("both").len(), 2);
}

#[test]
fn what_is_no_review_is_named_by_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("reviews.jsonl");
    let whole = serde_json::to_value(review(0, "ann", Choice::First, [4, 2])).expect("JSON");
    let with = |key: &str, value: serde_json::Value| {
        let mut changed = whole.clone();
        changed[key] = value;
        changed.to_string()
    };
    let cases = [
        ("{}".to_owned(), "not a review"),
        (with("format", 2.into()), "expected `format` 1, found 2"),
        (with("case", "".into()), "expected the id of a case"),
        (with("reviewer", " ann".into()), "expected a reviewer's name"),
        (with("reviewer", "a\nb".into()), "expected a reviewer's name"),
        (with("left", "x".into()), "unknown field `left`"),
        (
            with("first", serde_json::json!({"report": "x", "model": "base", "answer": "y"})),
            "expected SHA-256",
        ),
        (with("scores", serde_json::json!({"first": {"tone": 6}, "second": {"tone": 1}})), "from 1 to 5"),
        (with("scores", serde_json::json!({"first": {"tone": 1}, "second": {}})), "the same dimensions"),
        (with("correction", "x".repeat(LONGEST_TEXT + 1).into()), "at most 1024 KiB"),
    ];
    for (line, said) in cases {
        std::fs::write(&path, format!("{whole}\n{line}\n")).expect("written");
        let error = read(&path).expect_err("refused").to_string();
        assert!(error.contains("line 2: ") && error.contains(said), "{said}: {error}");
    }
}

#[test]
fn reviews_are_of_these_answers_in_either_order() {
    let cases: Vec<Answered> = (0..3).map(case).collect();
    let straight = review(0, "ann", Choice::Second, [1, 5]);
    let other_answer = review(7, "ann", Choice::Second, [1, 5]);
    let changed = Review { case: "g-2".to_owned(), ..review(9, "bob", Choice::First, [1, 5]) };
    let found = matched(
        vec![straight.clone(), review(1, "ann", Choice::Second, [1, 5]).turned(), other_answer, changed],
        &cases,
    );
    assert_eq!(found.reviews, [(0, straight), (1, review(1, "ann", Choice::Second, [1, 5]))]);
    let said: Vec<String> = found.unmatched.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["`g-7` by ann is of no case of these golden rows", "`g-2` by bob is of other answers"]);
}

#[test]
fn reviews_are_summed() {
    let keys: Vec<String> = (0..10).map(|case| case.to_string()).collect();
    let choose = |case: usize| if case < 8 { Choice::Second } else { Choice::First };
    let mut reviews: Vec<(usize, Review)> =
        (0..10).map(|case| (case, review(case, "ann", choose(case), [2, 4]))).collect();
    let settings = Settings { draws: 500, trials: 500, ..Settings::default() };
    let alone = sum(&reviews, &keys, &settings).expect("reviews");
    assert!((alone.preference.share - 0.8).abs() < 1e-12);
    assert!(alone.agreement.is_empty());
    assert_eq!((alone.dimensions[0].first, alone.dimensions[0].second), (2.0, 4.0));
    // On the left stood the first model of even cases: of 0 to 7 the odd ones chose the left, and 8.
    assert_eq!(alone.left, Some(0.5));
    reviews.extend((0..10).map(|case| (case, review(case, "bob", choose(case), [2, 4]))));
    let both = sum(&reviews, &keys, &settings).expect("reviews");
    assert_eq!(
        (both.preference.share, both.preference.interval),
        (alone.preference.share, alone.preference.interval)
    );
    let preferred = &both.agreement[0];
    assert_eq!((preferred.what.as_str(), preferred.seen_by_several), ("preferred", 10));
    assert!((preferred.alpha.expect("values") - 1.0).abs() < 1e-12);
    assert!((both.agreement[1].kappa.expect("pairs") - 1.0).abs() < 1e-12);
    assert_eq!(both.reviewers.len(), 2);
    assert_eq!(sum(&[], &keys, &settings), None);
}
