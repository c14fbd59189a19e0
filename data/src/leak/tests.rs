//! Every kind of leak, what is none, and brute force.

use std::collections::BTreeSet;

use super::*;
use crate::clean::duplicates::canonical_hash;
use crate::near::exam::{plain_jaccard, plain_set};
use crate::record::{Message, Origin};
use crate::spill::Scratch;
use crate::stream::{stream, uniform_below};

fn row(content: &str, answer: &str) -> LeakRow {
    let turns = [Message::new("user", content), Message::new("assistant", answer)];
    let (conversation, prompt) = (canonical_hash(&turns), canonical_hash(&turns[..1]));
    LeakRow { content: content.to_owned(), conversation, prompt }
}

fn with(options: impl Fn(&mut LeakOptions), held_out: &[(&str, &str)], train: &[(&str, &str)]) -> Leaks {
    let folder = tempfile::tempdir().expect("a folder");
    let mut chosen = LeakOptions::new(Scratch::new(folder.path()));
    options(&mut chosen);
    let mut finder = LeakFinder::new(chosen).expect("options");
    // Sides may come mixed.
    let (early, late) = train.split_at(train.len() / 2);
    early.iter().for_each(|(content, answer)| finder.train(&row(content, answer)).expect("room"));
    for (content, answer) in held_out {
        finder.held_out(0, &row(content, answer)).expect("room");
    }
    late.iter().for_each(|(content, answer)| finder.train(&row(content, answer)).expect("room"));
    finder.finish().expect("leaks")
}

fn kinds(held_out: &[(&str, &str)], train: &[(&str, &str)]) -> Vec<(usize, usize, LeakKind)> {
    let leaks = with(|_| (), held_out, train);
    let pairs = leaks.pairs().map(|pair| pair.expect("a pair"));
    pairs.map(|pair| (pair.held_out_row, pair.train_row, pair.kind)).collect()
}

/// Words that no other row has.
fn own_words(row: usize, count: usize) -> String {
    let mut random = stream(7, "test", "own words", row as u64);
    let words = (0..count).map(|_| format!("{:x}", uniform_below(&mut random, 1 << 32)));
    words.collect::<Vec<_>>().join(" ")
}

const LONG: &str = "On Monday I ordered two chairs and a table for the garden, on Thursday one chair came with a broken \
    leg and the table without its screws, and since then nobody answers my messages or picks up the phone at all.";

#[test]
fn each_kind_is_found() {
    let parcel = "Where is the parcel with my new chairs? It was sent a week ago.";
    let edited = "Where is the parcel with my new chairs? It was sent 1 week ago.";
    let around = format!(
        "Hello! I am a customer of yours. {parcel} Please answer soon, for I leave on Friday evening."
    );
    let run =
        format!("My complaint. {} What a summer. I want my money back now, and I mean now.", &LONG[10..150]);
    let held_out = [(parcel, "a"), (LONG, "b"), ("What does shipping to Norway cost?", "c")];
    let train = [
        ("WHERE is the parcel with my new chairs?! It was sent a week ago", "x"),
        (parcel, "y"),
        (edited, "z"),
        (&around, "w"),
        (&run, "v"),
        ("Can I pay by invoice as a company?", "u"),
    ];
    assert_eq!(
        kinds(&held_out, &train),
        [
            (0, 1, LeakKind::Exact),
            (0, 0, LeakKind::Canonical),
            (0, 2, LeakKind::Near),
            (0, 3, LeakKind::Contained),
            (1, 4, LeakKind::Overlap)
        ]
    );
    let leaks = with(|_| (), &held_out, &train);
    assert_eq!(leaks.sets(), [LeakedSet { rows: 3, leaked: 2, by_kind: [1, 0, 0, 0, 0, 1] }]);
    assert!(
        leaks.is_leaked(0, 0) && leaks.is_leaked(0, 1) && !leaks.is_leaked(0, 2) && !leaks.is_leaked(1, 0)
    );
    assert_eq!(leaks.leaked(), 2);
}

#[test]
fn a_shared_instruction_is_no_leak() {
    let line = "Decide whether the following message is spam, and answer with one word, spam or ham.";
    let rows: Vec<String> = (0..40).map(|row| format!("{line}\n{}", own_words(row, 1))).collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|row| (row.as_str(), "ham")).collect();
    let (held_out, train) = rows.split_at(10);
    let leaks = with(|_| (), held_out, train);
    assert_eq!((leaks.leaked(), leaks.shared_lines()), (0, 1));
    assert_eq!(leaks.shared_examples(), [line]);
    let all_counts = with(|options| options.shared_line = 1.0, held_out, train);
    assert!(all_counts.leaked() == 10, "{}", all_counts.leaked());
}

/// Seven of a hundred training rows ask what a golden row asks: the line is no form letter for that.
#[test]
fn a_question_that_is_asked_often_is_no_form_letter() {
    let own: Vec<String> = (0..112).map(|number| own_words(number, 8)).collect();
    let mut rows: Vec<(&str, &str)> = own.iter().map(|text| (text.as_str(), "a")).collect();
    let train: Vec<(&str, &str)> =
        rows.drain(..93).chain([("How do I cancel my subscription?", "b"); 7]).collect();
    rows.push(("how do I cancel my subscription", "In the settings."));
    let leaks = with(|_| (), &rows, &train);
    assert_eq!((leaks.shared_lines(), leaks.leaked()), (1, 1));
    let pairs: Vec<_> = leaks.pairs().map(|pair| pair.expect("a pair")).collect();
    assert!(
        pairs.iter().all(|pair| pair.held_out_row == 19 && pair.kind == LeakKind::Canonical),
        "{pairs:?}"
    );
    assert_eq!(pairs.iter().map(|pair| pair.train_row).collect::<Vec<_>>(), (93..100).collect::<Vec<_>>());
}

/// What a row is about stands in another turn: one instruction for all is no leak, and the same document is one.
#[test]
fn a_form_letter_leaks_only_with_what_it_is_about() {
    let record = |number: usize, answer: &str| {
        let origin = Origin { file: std::path::Path::new("t").into(), line: 1 };
        let turns = [
            Message::new("system", own_words(number, 30)),
            Message::new("user", "Summarise the text above, please."),
            Message::new("assistant", answer),
        ];
        LeakRow::of(&Record::new(None, origin, turns.to_vec()))
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut finder = LeakFinder::new(LeakOptions::new(Scratch::new(folder.path()))).expect("options");
    (0..40).for_each(|number| finder.train(&record(number, "a")).expect("room"));
    (40..50).for_each(|number| finder.held_out(0, &record(number, "a")).expect("room"));
    finder.held_out(0, &record(7, "another summary")).expect("room");
    let leaks = finder.finish().expect("leaks");
    let pairs: Vec<_> = leaks.pairs().map(|pair| pair.expect("a pair")).collect();
    let found: Vec<_> = pairs.iter().map(|pair| (pair.held_out_row, pair.train_row, pair.kind)).collect();
    assert_eq!(found, [(10, 7, LeakKind::Conversation)]);
}

/// A long question that many ask is a passage to the search, unless that is told that there are none.
#[test]
fn passages_can_be_compared_too() {
    let asked = "I ordered the blue garden chairs on Monday and paid for the express delivery, why does nobody answer my messages?";
    let rows: Vec<String> = (0..8).map(|number| format!("Hello {number}!\n{asked}")).collect();
    let train: Vec<(&str, &str)> = rows.iter().map(|text| (text.as_str(), "b")).collect();
    let plain = |options: &mut LeakOptions| options.shared_line = 1.0;
    assert_eq!(with(plain, &[(asked, "a")], &train).leaked(), 0);
    let all = |options: &mut LeakOptions| (options.shared_line, options.passages) = (1.0, false);
    let leaks = with(all, &[(asked, "a")], &train);
    assert_eq!((leaks.leaked(), leaks.pairs().count()), (1, 8));
}

#[test]
fn a_short_content_leaks_only_with_its_conversation() {
    let held_out = [("yes", "The order is cancelled."), ("Ok!", "Fine."), ("", "Hello, how can I help?")];
    let train =
        [("Yes", "Your address is changed."), ("ok", "fine"), ("", "hello, how can I help"), ("no", "Why?")];
    assert_eq!(kinds(&held_out, &train), [(1, 1, LeakKind::Conversation), (2, 2, LeakKind::Conversation)]);
}

#[test]
fn a_phrase_of_many_rows_is_no_overlap() {
    let phrase =
        "please be so kind as to tell me within the next few days whether you have received my letter of";
    let row = |number: usize| format!("{phrase} {}", own_words(number, 50));
    let rows: Vec<String> = (0..12).map(row).collect();
    let train: Vec<(&str, &str)> = rows[1..].iter().map(|row| (row.as_str(), "")).collect();
    let held_out = [(rows[0].as_str(), "")];
    assert_eq!(kinds(&held_out, &train), []);
    let few = kinds(&held_out, &train[..10]);
    assert_eq!(few.len(), 10);
    assert!(few.iter().all(|&(_, _, kind)| kind == LeakKind::Overlap));
}

#[test]
fn the_plainest_pairs_of_a_row_are_listed() {
    let text = "how do i change the address of an order that was not sent yet";
    let others: Vec<String> = (0..1_000).map(|row| own_words(row, 6)).collect();
    // Copies in a twentieth of all rows would be a shared line.
    let mut train: Vec<(&str, &str)> = others.iter().map(|text| (text.as_str(), "c")).collect();
    train.push(("how do i change the address of an order that was not sent", "b"));
    train.extend([(text, "a"); 50]);
    let leaks = with(|options| options.pairs_per_row = 3, &[(text, "x")], &train);
    let pairs: Vec<LeakPair> = leaks.pairs().map(|pair| pair.expect("a pair")).collect();
    assert_eq!(pairs.iter().map(|pair| pair.kind).collect::<Vec<_>>(), [LeakKind::Exact; 3]);
    assert_eq!(leaks.sets()[0].by_kind[0], 1);
}

#[test]
fn options_out_of_range_and_empty_sides() {
    let leaks = with(|_| (), &[], &[("only training rows here", "a")]);
    assert_eq!((leaks.leaked(), leaks.sets().len()), (0, 0));
    let leaks = with(|_| (), &[("only held-out rows here", "a")], &[]);
    assert_eq!((leaks.leaked(), leaks.sets()[0].rows), (0, 1));
    let mut options = LeakOptions::new(Scratch::new("."));
    options.overlap = 1.5;
    assert!(LeakFinder::new(options).is_err());
}

/// Rows of a small vocabulary and edits of them, against all pairs; with any threads and any memory.
#[test]
fn brute_force_finds_no_more() {
    let mut random = stream(6, "test", "leak rows", 0);
    let mut draw = |count: u64| uniform_below(&mut random, count);
    let mut rows: Vec<Vec<String>> = Vec::new();
    for _ in 0..1_200 {
        let mut words: Vec<String> =
            (0..3 + draw(15)).map(|_| format!("w{:x}", draw(400) * 7919 % 65_521)).collect();
        if !rows.is_empty() && draw(2) == 0 {
            words = rows[draw(rows.len() as u64) as usize].clone();
            let place = draw(words.len() as u64) as usize;
            words[place] = "edit".into();
        }
        rows.push(words);
    }
    let texts: Vec<String> = rows.into_iter().map(|words| words.join(" ")).collect();
    let rows: Vec<(&str, &str)> = texts.iter().map(|text| (text.as_str(), "")).collect();
    let (held_out, train) = rows.split_at(300);
    let found = |threads: usize, memory_bytes: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let options = |options: &mut LeakOptions| {
                (options.similarity, options.pairs_per_row) = (0.7, 1_000);
                options.scratch.memory_bytes = memory_bytes;
            };
            let leaks = with(options, held_out, train);
            leaks.pairs().map(|pair| pair.expect("a pair")).collect::<Vec<_>>()
        })
    };
    let pairs = found(1, 1 << 28);
    assert_eq!(pairs, found(3, 0));
    let near: BTreeSet<(usize, usize)> = pairs
        .iter()
        .filter(|pair| pair.kind <= LeakKind::Near)
        .map(|pair| (pair.held_out_row, pair.train_row))
        .collect();
    let sets: Vec<_> = texts.iter().map(|text| plain_set(text)).collect();
    let all = (0..held_out.len()).flat_map(|row| (0..train.len()).map(move |other| (row, other)));
    let expected: BTreeSet<(usize, usize)> =
        all.filter(|&(row, other)| plain_jaccard(&sets[row], &sets[held_out.len() + other]) >= 0.7).collect();
    assert!(expected.len() > 200, "{}", expected.len());
    assert_eq!(near, expected);
}
