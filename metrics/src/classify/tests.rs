use serde_json::Value as Json;

use super::*;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/metrics/peers.json");
/// Of sums in another order.
const TOLERANCE: f64 = 1e-9;

/// The file of `tests/peers/classification.py`: that which a variable names, or the fixture.
pub(crate) fn peers() -> Json {
    let path = std::env::var("RTUNE_PEER_METRICS").unwrap_or_else(|_| FIXTURE.to_owned());
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The sets of one kind; at least one.
pub(crate) fn sets(peers: &Json, kind: &str) -> Vec<Json> {
    let sets = peers[kind].as_array().unwrap_or_else(|| panic!("{kind}")).clone();
    assert!(!sets.is_empty(), "{kind}");
    sets
}

pub(crate) fn numbers(json: &Json) -> Vec<f64> {
    let number = |json: &Json| json.as_f64().unwrap_or_else(|| panic!("{json}"));
    match json {
        Json::Array(items) => items.iter().flat_map(numbers).collect(),
        json => vec![number(json)],
    }
}

#[track_caller]
pub(crate) fn close(name: &str, expected: &[f64], found: &[f64]) {
    assert_eq!(expected.len(), found.len(), "{name}");
    for (one, other) in expected.iter().zip(found) {
        assert!((one - other).abs() <= TOLERANCE, "{name}: {expected:?}, {found:?}");
    }
}

fn texts(json: &Json) -> Vec<String> {
    json.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

fn confusion_of(labels: &LabelSet, gold: &[String], predicted: &[String]) -> Confusion {
    let class = |label: &String| labels.names().iter().position(|name| name == label);
    Confusion::of(
        labels.len(),
        gold.iter().zip(predicted).map(|(gold, predicted)| (class(gold).expect("a label"), class(predicted))),
    )
}

/// (name, expected, found) of all figures that a case of scikit-learn has.
pub(crate) fn beside_peer(case: &Json) -> Vec<(String, Vec<f64>, Vec<f64>)> {
    let (mut names, predicted) = (texts(&case["labels"]), texts(&case["predicted"]));
    let in_gold = names.len();
    // Classes that are answered and never right have figures of none of the peers' lists.
    let others: std::collections::BTreeSet<&String> =
        predicted.iter().filter(|&label| label != UNPARSED && !names.contains(label)).collect();
    let others: Vec<String> = others.into_iter().cloned().collect();
    names.extend(others);
    let labels = LabelSet::new(names).expect("labels");
    let confusion = confusion_of(&labels, &texts(&case["gold"]), &predicted);
    let report = ClassificationReport::new(&labels, &confusion);
    let column = |of: fn(&ClassScores) -> f64| report.classes[..in_gold].iter().map(of).collect::<Vec<f64>>();
    let averages = |of: Averages| vec![of.precision, of.recall, of.f1];
    let mut square: Vec<f64> = report.confusion.iter().flatten().map(|&count| count as f64).collect();
    square.resize(square.len() + labels.len() + 1, 0.0);
    let ours = [
        ("accuracy", vec![report.accuracy]),
        ("balanced_accuracy", vec![report.balanced_accuracy]),
        ("mcc", vec![report.mcc]),
        ("cohen_kappa", vec![report.kappa]),
        ("precision", column(|class| class.precision)),
        ("recall", column(|class| class.recall)),
        ("f1", column(|class| class.f1)),
        ("support", column(|class| class.support as f64)),
        ("macro_f1", vec![report.macro_averages.f1]),
        ("micro_f1", vec![report.micro_averages.f1]),
        ("weighted_f1", vec![report.weighted_averages.f1]),
        ("macro", averages(report.macro_averages)),
        ("micro", averages(report.micro_averages)),
        ("weighted", averages(report.weighted_averages)),
        ("macro_f2", vec![confusion.macro_f_beta(2.0)]),
        ("micro_f2", vec![confusion.micro_f_beta(2.0)]),
        ("weighted_f2", vec![confusion.weighted_f_beta(2.0)]),
        ("f_half", (0..in_gold).map(|class| confusion.f_beta(class, 0.5)).collect()),
        ("confusion", square),
    ];
    let expected = |name: &str| match &case[name] {
        Json::Null => None,
        Json::Object(averages) => {
            Some(["precision", "recall", "f1"].map(|key| numbers(&averages[key])[0]).to_vec())
        }
        json => Some(numbers(json)),
    };
    let named = ours.into_iter().filter_map(|(name, found)| Some((name.to_owned(), expected(name)?, found)));
    named.collect()
}

#[test]
fn figures_are_those_of_scikit_learn() {
    let peers = peers();
    for case in sets(&peers, "classification") {
        let figures = beside_peer(&case);
        assert!(figures.len() >= 15, "{}", figures.len());
        for (name, expected, found) in figures {
            close(&name, &expected, &found);
        }
    }
    for case in sets(&peers, "curve") {
        let positive = case["positive"].as_array().expect("a list").iter().map(|one| one == true);
        let scored: Vec<(f64, bool)> = numbers(&case["scores"]).into_iter().zip(positive).collect();
        let curve = precision_recall_curve(&scored).expect("a curve");
        close("average precision", &numbers(&case["average_precision"]), &[curve.average_precision]);
        let rising = |of: fn(&CurvePoint) -> f64| curve.points.iter().rev().map(of).collect::<Vec<f64>>();
        close("thresholds", &numbers(&case["thresholds"]), &rising(|point| point.threshold));
        close("precision", &numbers(&case["precision"]), &rising(|point| point.precision));
        close("recall", &numbers(&case["recall"]), &rising(|point| point.recall));
    }
    for case in sets(&peers, "calibration") {
        let rows = case["probabilities"].as_array().expect("a list").iter().map(numbers);
        let gold = numbers(&case["gold"]).into_iter().map(|class| class as usize);
        let cases: Vec<(Vec<f64>, usize)> = rows.zip(gold).collect();
        close("brier", &numbers(&case["brier"]), &[brier(&cases).expect("a score")]);
    }
}

#[test]
fn a_label_is_the_first_line_and_nothing_else() {
    let labels = LabelSet::new(["ham", "spam", "Answer: none"]).expect("labels");
    for (answer, expected) in [
        ("spam", Some(1)),
        ("  SPAM \n", Some(1)),
        ("\n\nLabel: Spam\nbecause it sells", Some(1)),
        ("answer:ham", Some(0)),
        ("Answer: none", Some(2)),
        ("It is spam", None),
        ("spam.", None),
        ("spammer", None),
        ("", None),
        ("because\nspam", None),
    ] {
        assert_eq!(labels.parse(answer), expected, "{answer:?}");
    }
    let own = labels.with_prefixes(["Verdict ="]);
    assert_eq!((own.parse("verdict = ham"), own.parse("label: ham")), (Some(0), None));
    assert_eq!(LabelSet::new(Vec::<String>::new()), Err(LabelError::None));
    assert_eq!(LabelSet::new(["a", " "]), Err(LabelError::Empty { position: 2 }));
    let twice = LabelError::Twice { position: 3, first: 1, label: "HAM ".to_owned() };
    assert_eq!(LabelSet::new(["ham", "spam", "HAM "]), Err(twice));
}

#[test]
fn calibration_of_ten_bins() {
    // Bins close above: 0.7 is the last of the seventh.
    let confident = [(0.7, true), (0.65, false), (0.95, true), (1.0, true), (0.05, false), (0.0, false)];
    let calibration = calibration(&confident, 10).expect("bins");
    let bin = calibration.bins[6];
    assert_eq!((bin.cases, bin.accuracy), (2, 0.5));
    close("error", &[calibration.expected_error], &[(2.0 * 0.175 + 2.0 * 0.025 + 2.0 * 0.025) / 6.0]);
    close("largest", &[calibration.largest_error], &[0.175]);
    assert_eq!(super::calibration(&[], 10), None);
    assert_eq!(super::calibration(&[(1.5, true)], 10), None);
    assert_eq!(super::calibration(&[(0.5, true)], 0), None);
    assert_eq!(brier(&[(vec![0.5, 0.5], 2)]), None);
    assert_eq!(precision_recall_curve(&[(0.5, false)]), None);
    let best =
        precision_recall_curve(&[(0.9, true), (0.8, true), (0.7, false), (0.1, true)]).expect("a curve");
    assert_eq!(best.best_f1().expect("a point").threshold, 0.1);
}

#[test]
fn baselines_answer_without_a_model() {
    assert_eq!(majority(3, &[2, 1, 1, 2, 0]), Some(1));
    assert_eq!(majority(3, &[]), None);
    let rows = NearestRow::new(["win a free prize now", "see you at home", "", "hi", "see you at home"]);
    assert_eq!(rows.nearest("You win a FREE   prize").map(|found| found.0), Some(0));
    assert_eq!(rows.nearest("see you at home"), Some((1, 1.0)));
    assert_eq!(rows.nearest("HI"), Some((3, 1.0)));
    assert_eq!(rows.nearest("zzzzzz"), None);
    assert_eq!(rows.nearest(""), None);
}

/// 1,000 cases of which 25 are spam: 3 of those are found, and 1 case of ham is taken for spam.
#[test]
fn high_accuracy_with_low_recall_fails_and_says_why() {
    let labels = LabelSet::new(["ham", "spam"]).expect("labels");
    let pairs = [(0, Some(0), 974), (0, Some(1), 1), (1, Some(1), 3), (1, Some(0), 20), (1, None, 2)];
    let all = pairs.iter().flat_map(|&(gold, predicted, count)| vec![(gold, predicted); count]);
    let report = ClassificationReport::new(&labels, &Confusion::of(2, all));
    assert!(report.accuracy > 0.97);
    let judgement = judge(&report, &["spam".to_owned()], &Limits::CLASSIFICATION);
    assert_eq!(judgement.grade, Grade::Fail);
    assert_eq!(
        judgement.failures,
        [
            "recall of `spam` is 0.120, under 0.50: 22 of its 25 cases are missed; accuracy of 0.977 hides it, \
          for `spam` is 2.5% of the cases"
        ]
    );
    assert!(
        judgement.warnings.iter().any(|warning| warning.contains("always answering `ham`")),
        "{judgement:?}"
    );
    assert!(judgement.warnings.iter().any(|warning| warning.starts_with("2 of 1000")), "{judgement:?}");
    let unnamed = judge(&report, &[], &Limits::CLASSIFICATION);
    assert_eq!(unnamed.grade, Grade::Fair);
    assert!(unnamed.warnings.iter().any(|warning| warning.contains("key-class")), "{unnamed:?}");
    let wrong = judge(&report, &["spma".to_owned()], &Limits::CLASSIFICATION);
    assert_eq!(wrong.grade, Grade::Fail);
}

#[test]
fn limits_are_held_at_their_edges() {
    let labels = LabelSet::new(["a", "b"]).expect("labels");
    // Right and wrong answers of class a, then of class b.
    let grade = |counts: [usize; 4]| {
        let [aa, ab, bb, ba] = counts;
        let pairs = [(0, 0, aa), (0, 1, ab), (1, 1, bb), (1, 0, ba)];
        let all = pairs.iter().flat_map(|&(gold, predicted, count)| vec![(gold, Some(predicted)); count]);
        let report = ClassificationReport::new(&labels, &Confusion::of(2, all));
        judge(&report, &["b".to_owned()], &Limits::CLASSIFICATION).grade
    };
    assert_eq!(grade([90, 10, 80, 20]), Grade::Good);
    assert_eq!(grade([90, 10, 79, 21]), Grade::Fair);
    assert_eq!(grade([70, 30, 50, 50]), Grade::Fair);
    assert_eq!(grade([70, 30, 49, 51]), Grade::Fail);
    assert_eq!(grade([60, 40, 60, 40]), Grade::Fair);
    assert_eq!(grade([59, 41, 60, 40]), Grade::Fail);
}
