use std::collections::{BTreeMap, HashSet};

use super::*;
use crate::golden::read_golden;
use crate::input::Source;
use crate::marked::marked;
use crate::options::TrainOn;
use crate::options::{CleanOptions, Duplicates, OverLong};
use crate::testing::{Files, PLAIN, template, tokenizer};
use crate::tokenize::Example;

mod accounts;
mod apart;
mod deep;
mod stopped;
mod watched;

fn row(instruction: &str, output: &str) -> String {
    serde_json::json!({"instruction": instruction, "output": output}).to_string()
}

fn lines(rows: &[(&str, &str)]) -> String {
    rows.iter().map(|(instruction, output)| row(instruction, output) + "\n").collect()
}

fn run(options: &PrepareOptions) -> Result<Prepared, DataError> {
    prepare(options, &Tools::new(&template(PLAIN), &tokenizer()))
}

fn train(paths: &[&PathBuf]) -> PrepareOptions {
    PrepareOptions {
        train: paths.iter().map(|path| Source::new(*path)).collect(),
        ..PrepareOptions::default()
    }
}

/// The message and the hint of the error that these options give.
fn refused(files: &Files, options: &PrepareOptions) -> (String, Option<String>) {
    let error = run(options).expect_err("it cannot be used");
    (files.without_folder(&error), error.hint())
}

fn trained(prepared: &Prepared) -> Vec<Example> {
    prepared.train.to_vec().expect("they can be read")
}

#[test]
fn rows_become_examples_and_a_report() {
    let files = Files::new();
    let one = files.write("one.jsonl", lines(&[("a", "b"), ("a", "c"), ("a", "b")]));
    let two = files.write("two.jsonl", lines(&[("a", "b"), ("longer", "answer")]));
    let prepared = run(&train(&[&one, &two])).expect("it can be used");
    let texts: Vec<String> =
        trained(&prepared).iter().map(|example| marked(example, &tokenizer()).expect("it decodes")).collect();
    assert_eq!(texts.len(), 3);
    assert_eq!(texts[2], "<|im_start|>user\nlonger<|im_end|>\n<|im_start|>assistant\n«answer<|im_end|>»");
    assert!(prepared.validation.is_empty());
    let report = &prepared.report;
    let per_file: Vec<_> = report.files.iter().map(|file| (file.role.as_str(), file.rows)).collect();
    assert_eq!(per_file, [("train", 3), ("train", 2)]);
    assert_eq!((report.duplicates.exact, report.duplicates.conflicting_prompts), (2, 1));
    assert_eq!((report.train.rows, report.train.examples, report.validation.examples), (3, 3, 0));
    assert_eq!(
        (report.train.supervised.min, report.train.supervised.max, report.train.supervised.total),
        (2, 7, 11)
    );
    assert_eq!(
        report.train.tokens.total,
        trained(&prepared).iter().map(|example| example.tokens.len()).sum::<usize>()
    );
    assert_eq!(
        prepared.files[1].1,
        blake3::hash(lines(&[("a", "b"), ("longer", "answer")]).as_bytes()).to_hex().as_str()
    );
    let json = serde_json::to_value(report).expect("it is JSON");
    assert_eq!(json["format"], 2);
    assert_eq!(json["over_long"]["policy"], "error");
    let page = report.page();
    assert!(page.contains("<h2>Stages</h2>") && page.ends_with("</html>"), "{page}");
}

#[test]
fn an_outline_is_the_same_account() {
    let files = Files::new();
    let path = files.write("a.jsonl", lines(&[("a", "b"), ("c", "d"), ("a", "b")]));
    let options = train(&[&path]);
    let prepared = run(&options).expect("it can be used");
    let outlined =
        outline(&options, &Tools::new(&template(PLAIN), &tokenizer()), None).expect("it can be used");
    assert_eq!(outlined.report, prepared.report);
    let tokens = trained(&prepared).into_iter().flat_map(|example| example.tokens);
    assert_eq!(outlined.largest_token, tokens.max());
}

#[test]
fn duplicates_may_stay() {
    let files = Files::new();
    let path = files.write("a.jsonl", lines(&[("a", "b"), ("a", "b")]));
    let clean = CleanOptions { duplicates: Duplicates::Keep, ..CleanOptions::default() };
    let options = PrepareOptions { clean, ..train(&[&path]) };
    let prepared = run(&options).expect("it can be used");
    assert_eq!((prepared.train.len(), prepared.report.duplicates.exact), (2, 1));
}

#[test]
fn a_split_is_stable_under_new_rows() {
    let files = Files::new();
    let texts: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let content: Vec<(&str, &str)> = texts.iter().map(|text| (text.as_str(), "x")).collect();
    let held = |name: &str, rows: &[(&str, &str)]| {
        let path = files.write(name, lines(rows));
        let options = PrepareOptions { validation: Validation::Fraction(0.2), ..train(&[&path]) };
        let prepared = run(&options).expect("it can be used");
        assert_eq!(prepared.train.len() + prepared.validation.len(), rows.len());
        prepared.validation.into_iter().map(|example| example.id).collect::<HashSet<_>>()
    };
    let (few, many) = (held("few.jsonl", &content[..100]), held("many.jsonl", &content));
    assert!(few.is_subset(&many) && few.len() < many.len());
}

#[test]
fn a_number_of_rows_is_held_back_with_their_near_copies() {
    let files = Files::new();
    let question = |number: usize, end: &str| {
        let words: Vec<String> = (0..20).map(|word| format!("w{}", number * 31 + word)).collect();
        format!("{}{end}", words.join(" "))
    };
    let texts: Vec<[String; 2]> =
        (0..200).map(|number| [question(number, ""), question(number, " please")]).collect();
    let content: Vec<(&str, &str)> = texts.iter().flatten().map(|text| (text.as_str(), "x")).collect();
    let path = files.write("a.jsonl", lines(&content));
    let held = |rows: usize| {
        let options = PrepareOptions { validation: Validation::Rows(rows), ..train(&[&path]) };
        let prepared = run(&options).expect("it can be used");
        assert_eq!(prepared.train.len() + prepared.validation.len(), 400);
        prepared.validation.into_iter().map(|example| example.id).collect::<HashSet<_>>()
    };
    let (one, some, more) = (held(1), held(21), held(40));
    // Two near copies stand first: they are more than one row, and stay together.
    assert_eq!((one.len(), some.len(), more.len()), (2, 20, 40));
    assert!(one.is_subset(&some) && some.is_subset(&more));
}

#[test]
fn a_share_of_a_source_comes_before_its_weight() {
    let files = Files::new();
    let texts: Vec<String> = (0..400).map(|number| number.to_string()).collect();
    let content: Vec<(&str, &str)> = texts.iter().map(|text| (text.as_str(), "x")).collect();
    let path = files.write("a.jsonl", lines(&content));
    let counts = |weight: f64, share: f64| {
        let source = Source { weight, share, ..Source::new(&path) };
        let prepared = run(&PrepareOptions { train: vec![source], ..PrepareOptions::default() });
        let mut counts = BTreeMap::new();
        for example in trained(&prepared.expect("it can be used")) {
            *counts.entry(example.id).or_insert(0) += 1;
        }
        counts
    };
    let (all, half, quarter) = (counts(2.5, 1.0), counts(2.5, 0.5), counts(2.5, 0.25));
    assert_eq!(all.len(), 400);
    // Six standard deviations of 400 draws at a half are 60.
    assert!(
        half.len().abs_diff(200) < 60 && quarter.len().abs_diff(100) < 60,
        "{} {}",
        half.len(),
        quarter.len()
    );
    assert!(half.values().all(|count| [2, 3].contains(count)) && half.values().any(|count| *count == 3));
    assert!(quarter.keys().all(|id| half.contains_key(id)));
    // Less than once: the same rows as by weight alone.
    assert_eq!(counts(0.5, 0.5), counts(0.25, 1.0));
    for share in [0.0, 1.5, f64::NAN] {
        let source = Source { share, ..Source::new(&path) };
        let (message, _) =
            refused(&files, &PrepareOptions { train: vec![source], ..PrepareOptions::default() });
        assert_eq!(
            message,
            format!("a.jsonl: the share of a source must be above 0 and up to 1, found {share}")
        );
    }
}

#[test]
fn held_out_rows_are_not_trained_on() {
    let files = Files::new();
    let path = files.write("a.jsonl", lines(&[("a", "b"), ("c", "d")]));
    let held = files.write("v.jsonl", lines(&[("x", "y"), ("c", "other")]));
    let golden = files
        .write("g.jsonl", "\n{\"id\": 1, \"instruction\": \"c\", \"output\": \"d\", \"labels\": [\"d\"]}\n");
    let mut options =
        PrepareOptions { validation: Validation::Files(vec![Source::new(held)]), ..train(&[&path]) };
    let prepared = run(&options).expect("it can be used");
    assert_eq!(prepared.validation.len(), 2);
    options.golden = vec![Source::new(&golden)];
    let (message, hint) = refused(&files, &options);
    assert_eq!(
        message,
        "g.jsonl:2: this row is held out, and the training row a.jsonl:2 gives it away (conversation, similarity 1.00)"
    );
    assert!(hint.is_some_and(|hint| hint.starts_with("a model that has seen the exam passes it")));
    let read = read_golden(&[Source::new(&golden)], false).expect("it can be used").remove(0);
    assert_eq!(
        (read.rows[0].record.id.as_str(), &read.rows[0].extra["labels"][0]),
        ("1", &serde_json::json!("d"))
    );
}

#[test]
fn rows_over_the_limit() {
    let files = Files::new();
    let path = files.write("a.jsonl", lines(&[("a", "b"), ("a long question", "c"), ("d", "a long answer")]));
    let mut options = PrepareOptions { max_tokens: 24, ..train(&[&path]) };
    let expected = "2 rows cannot be used:\n  a.jsonl:2: 36 tokens, more than the 24 allowed\n  a.jsonl:3: 34 tokens, more than the 24 allowed";
    let (message, hint) = refused(&files, &options);
    assert_eq!(message, expected);
    assert_eq!(
        hint.as_deref(),
        Some("raise `data.max-tokens`, or set `data.over-long` to \"drop\" or \"truncate-prompt\"")
    );
    options.over_long = OverLong::Drop;
    let dropped = run(&options).expect("it can be used");
    assert_eq!(dropped.train.len(), 1);
    let listed: Vec<_> =
        dropped.report.over_long.rows.iter().map(|row| (row.line, row.tokens, row.kept_tokens)).collect();
    assert_eq!(listed, [(2, 36, None), (3, 34, None)]);
    options.over_long = OverLong::TruncatePrompt;
    let (message, _) = refused(&files, &options);
    assert_eq!(
        message,
        "a.jsonl:3: the answer and its template alone have 33 tokens, more than the 24 allowed"
    );
    options.max_tokens = 33;
    let cut = run(&options).expect("it can be used");
    assert_eq!(cut.train.len(), 3);
    assert!(cut.train.longest_tokens() <= 33);
    assert_eq!(cut.report.over_long.rows[0].kept_tokens, Some(33));
}

#[test]
fn all_rows_over_the_limit() {
    let files = Files::new();
    let path = files.write("a.jsonl", lines(&[("a", "b"), ("cc", "d")]));
    let options = PrepareOptions { max_tokens: 3, over_long: OverLong::Drop, ..train(&[&path]) };
    let (message, hint) = refused(&files, &options);
    assert_eq!(message, "all 2 training rows are longer than 3 tokens; the shortest has 22");
    assert_eq!(
        hint.as_deref(),
        Some("raise `data.max-tokens`, or set `data.over-long` to \"truncate-prompt\"")
    );
}

#[test]
fn templates_that_raise_name_the_row() {
    let files = Files::new();
    let path = files.write("a.jsonl", lines(&[("a", "b"), ("bad", "d")]));
    let source = "{% for m in messages %}{% if m.content == 'bad' %}{{ raise_exception('no bad words') }}{% endif %}{{ m.content }}</s>{% endfor %}";
    let error = prepare(&train(&[&path]), &Tools::new(&template(source), &tokenizer()))
        .expect_err("the template raises");
    assert_eq!(
        files.without_folder(error),
        "a.jsonl:2: the chat template refuses this conversation: no bad words"
    );
}

#[test]
fn rows_that_train_nothing_are_named() {
    let files = Files::new();
    let path = files.write("a.jsonl", lines(&[("a", "b")]));
    let source = "{{ messages[0].content }}";
    let error = prepare(&train(&[&path]), &Tools::new(&template(source), &tokenizer()))
        .expect_err("nothing is trained");
    assert_eq!(
        files.without_folder(error),
        "a.jsonl:1: no token of this row is trained: the chat template does not show the answer"
    );
}

#[test]
fn plans_that_cannot_work() {
    let files = Files::new();
    let path = files.write("a.jsonl", lines(&[("a", "b")]));
    let message = |options: &PrepareOptions| refused(&files, options).0;
    assert_eq!(message(&PrepareOptions::default()), "no training data: `data.train` names no file");
    for fraction in [0.0, 1.0, -0.5, f64::NAN] {
        let options = PrepareOptions { validation: Validation::Fraction(fraction), ..train(&[&path]) };
        let expected = format!("the validation share must lie between 0 and 1, found {fraction}");
        assert_eq!(message(&options), expected);
    }
    let options = PrepareOptions { validation: Validation::Fraction(1e-9), ..train(&[&path]) };
    assert_eq!(message(&options), "of 1 rows, a validation share of 0.000000001 leaves none for validation");
    for (wanted, expected) in [
        (0, "validation rows must be at least 1, found 0"),
        (1, "of 1 rows, 1 for validation leave none for training"),
        (usize::MAX, "of 1 rows, 18446744073709551615 for validation leave none for training"),
    ] {
        let options = PrepareOptions { validation: Validation::Rows(wanted), ..train(&[&path]) };
        assert_eq!(message(&options), expected);
    }
}

#[test]
fn a_rewritten_history_numbers_its_examples() {
    let files = Files::new();
    let turns = r#"{"id": "talk", "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]}"#;
    let path = files.write("a.jsonl", turns);
    let source = "{% for m in messages %}{% if m.role == 'assistant' and not loop.last %}{{ '(said)' }}{% else %}{{ m.content }}{% endif %}</s>{% endfor %}";
    let prepared =
        prepare(&train(&[&path]), &Tools::new(&template(source), &tokenizer())).expect("it can be used");
    let examples = trained(&prepared);
    let texts: Vec<_> = examples
        .iter()
        .map(|example| (example.id.as_str(), marked(example, &tokenizer()).expect("it decodes")))
        .collect();
    assert_eq!(texts, [("talk#1", "a</s>«b</s>»".into()), ("talk#2", "a</s>(said)</s>c</s>«d</s>»".into())]);
    assert_eq!((prepared.report.train.rows, prepared.report.train.rows_split_by_answer), (1, 1));
    let last = PrepareOptions { train_on: TrainOn::Last, ..train(&[&path]) };
    let prepared = prepare(&last, &Tools::new(&template(source), &tokenizer())).expect("it can be used");
    assert_eq!(trained(&prepared)[0].id, "talk");
}

#[test]
fn other_thread_counts_give_the_same_examples() {
    let files = Files::new();
    let texts: Vec<String> = (0..300).map(|number| format!("{number} hi yes")).collect();
    let content: Vec<(&str, &str)> = texts.iter().map(|text| (text.as_str(), text.as_str())).collect();
    let path = files.write("a.jsonl", lines(&content));
    let options = PrepareOptions { validation: Validation::Fraction(0.3), ..train(&[&path]) };
    let with_threads = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let prepared = pool.install(|| run(&options)).expect("it can be used");
        (trained(&prepared), prepared.validation, prepared.report)
    };
    assert_eq!(with_threads(1), with_threads(3));
}

/// Seven of a hundred rows ask what a golden row asks, each answered otherwise; and an instruction that all rows have is no leak.
#[test]
fn a_golden_question_that_is_asked_often_is_a_leak() {
    let files = Files::new();
    let letters = ["Where", "Who", "Why", "When", "What", "Which", "How"];
    let own = |number: usize| {
        let word = letters[number % letters.len()];
        row(&format!("Answer in one word.\n{word} {}?", blake3::hash(&[number as u8]).to_hex()), "a") + "\n"
    };
    let asked = "How do I cancel my subscription?";
    let hot: String = (0..7).map(|number| row(asked, &format!("answer {number}")) + "\n").collect();
    let one = files.write("train.jsonl", (0..93).map(own).collect::<String>() + &hot);
    let golden = files.write(
        "golden.jsonl",
        (93..112).map(own).collect::<String>() + &row(asked, "In the settings.") + "\n",
    );
    let options = PrepareOptions { golden: vec![Source::new(&golden)], ..train(&[&one]) };
    let (said, _) = refused(&files, &options);
    assert!(
        said.contains("golden.jsonl:20") && said.contains("train.jsonl:94 gives it away (exact"),
        "{said}"
    );
    assert!(!said.contains("golden.jsonl:1:") && !said.contains("golden.jsonl:19"), "{said}");
}
