use std::collections::BTreeSet;

use super::*;
use crate::clean::normalise::Step;
use crate::input::Source;
use crate::options::{BadRows, Duplicates, OverLong, PrivacyMode, TrainOn, Validation};
use crate::prepare::prepare;
use crate::template::ChatTemplate;
use crate::template::SpecialTokens;
use crate::testing::{CHATML, Files, PLAIN, template, tokenizer};
use crate::tokenize::Example;
use tokenizers::Tokenizer;

fn row(instruction: &str, output: &str) -> String {
    format!("{}\n", serde_json::json!({"instruction": instruction, "output": output}))
}

fn rows(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| row(&format!("say {number}"), &number.to_string())).collect()
}

/// Files of every role and options that name them.
fn options(files: &Files) -> PrepareOptions {
    PrepareOptions {
        train: vec![
            Source::new(files.write("a.jsonl", rows(0..20))),
            Source::new(files.write("b.jsonl", rows(20..30))),
        ],
        validation: Validation::Files(vec![Source::new(files.write("v.jsonl", rows(30..34)))]),
        golden: vec![Source::new(files.write("g.jsonl", rows(40..42)))],
        ..PrepareOptions::default()
    }
}

fn path_of(files: &Files, key: &str) -> PathBuf {
    files.path(&format!("cache/{key}.{EXTENSION}"))
}

fn in_memory(prepared: &Prepared) -> Vec<Example> {
    prepared.train.to_vec().expect("they can be read")
}

#[track_caller]
fn assert_equal(one: &Prepared, other: &Prepared) {
    assert_eq!(in_memory(one), in_memory(other));
    assert_eq!(one.validation, other.validation);
    assert_eq!(one.report, other.report);
    assert_eq!(one.files, other.files);
}

#[test]
fn what_is_read_back_is_what_was_prepared() {
    let files = Files::new();
    let cache = PreparationCache::new(files.path("cache"));
    let mut options = options(&files);
    let ask = |options: &PrepareOptions| {
        cache.prepare(options, &Tools::new(&template(CHATML), &tokenizer()), None).expect("it can be used")
    };
    for validation in [options.validation.clone(), Validation::None, Validation::Fraction(0.3)] {
        options.validation = validation;
        let plain = prepare(&options, &Tools::new(&template(CHATML), &tokenizer())).expect("it can be used");
        let (first, used) = ask(&options);
        assert!(!used.hit && used.notes.is_empty(), "{used:?}");
        assert_equal(&first, &plain);
        let (second, again) = ask(&options);
        assert!(again.hit && again.notes.is_empty(), "{again:?}");
        assert_eq!(again.key, used.key);
        assert_equal(&second, &plain);
    }
}

/// The same examples, one by one and in any order, where they stay in the file of the cache or in one of their own.
#[test]
fn rows_on_disk_are_those_in_memory() {
    let files = Files::new();
    let (template, tokenizer) = (template(CHATML), tokenizer());
    let options = PrepareOptions { validation: Validation::Fraction(0.3), ..options(&files) };
    let plain = prepare(&options, &Tools::new(&template, &tokenizer)).expect("it can be used");
    let small = Tools { in_memory_bytes: 1000, ..Tools::new(&template, &tokenizer) };
    let cache = PreparationCache::new(files.path("cache"));
    let cached = || cache.prepare(&options, &small, None).expect("it can be used");
    let (first, used) = cached();
    let (second, again) = cached();
    assert!(!used.hit && again.hit);
    let blocked = PreparationCache::new(files.write("blocked", "a file, not a folder"));
    let (unkept, used) = blocked.prepare(&options, &small, None).expect("it can be used");
    assert!(used.notes.iter().any(|note| note.contains("cannot be written")), "{used:?}");
    let alone = prepare(&options, &small).expect("it can be used");
    let all = in_memory(&plain);
    assert!(plain.train.held_bytes() > 1000, "{}", plain.train.held_bytes());
    for other in [&first, &second, &unkept, &alone] {
        assert_equal(other, &plain);
        assert_eq!(other.train.held_bytes(), 24 * all.len());
        assert_eq!(other.train.longest_tokens(), plain.train.longest_tokens());
        for (place, example) in all.iter().enumerate().rev() {
            let found = other.train.get(place).expect("it can be read");
            assert_eq!(*found, *example);
            let known = (other.train.tokens(place), other.train.supervised(place));
            assert_eq!(known, (example.tokens.len(), example.supervised_count()));
        }
    }
}

/// Whatever is done to the file of a set that is open, no other row is trained on.
#[test]
fn a_row_that_changed_on_disk_is_refused() {
    let files = Files::new();
    let (template, tokenizer) = (template(CHATML), tokenizer());
    let tools = Tools { in_memory_bytes: 0, ..Tools::new(&template, &tokenizer) };
    let cache = PreparationCache::new(files.path("cache"));
    let (prepared, used) = cache.prepare(&options(&files), &tools, None).expect("it can be used");
    let path = path_of(&files, &used.key);
    let whole = std::fs::read(&path).expect("kept");
    let all = in_memory(&prepared);
    let id = all[7].id.as_bytes();
    let at = whole.windows(id.len()).position(|bytes| bytes == id).expect("it stands there");
    for place in at - 4..at + 30 {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        std::fs::write(&path, bytes).expect("written");
        let changed = (0..all.len()).filter(|row| match prepared.train.get(*row) {
            Ok(found) => *found != all[*row],
            Err(error) => {
                assert!(error.to_string().contains("is not what it was"), "{error}");
                assert!(error.hint().is_some());
                false
            }
        });
        assert_eq!(changed.count(), 0, "byte {place}");
        assert!(prepared.train.get(7).is_err(), "byte {place}");
    }
    std::fs::write(&path, &whole[..at]).expect("written");
    assert!(prepared.train.get(7).is_err() && prepared.train.get(0).is_ok());
}

#[test]
fn everything_that_decides_the_rows_is_in_the_key() {
    let files = Files::new();
    let plain = options(&files);
    let special = template(PLAIN).special().clone();
    let built = |source: &str, special: &SpecialTokens, date: Option<&str>| {
        let date = date.map(|date| date.parse().expect("a date"));
        ChatTemplate::new(source, special.clone(), date).expect("it parses")
    };
    let key = |options: &PrepareOptions, template: &ChatTemplate, tokenizer: &Tokenizer| {
        Key::of(options, &Tools::new(template, tokenizer)).expect("the files are there").name()
    };
    let of = |options: &PrepareOptions| key(options, &template(PLAIN), &tokenizer());
    assert_eq!(of(&plain), of(&plain.clone()));
    let mut keys = vec![of(&plain)];
    let changed = |change: &dyn Fn(&mut PrepareOptions)| {
        let mut options = plain.clone();
        change(&mut options);
        of(&options)
    };
    keys.push(changed(&|options| options.train.truncate(1)));
    keys.push(changed(&|options| options.train.reverse()));
    keys.push(changed(&|options| options.validation = Validation::None));
    keys.push(changed(&|options| options.validation = Validation::Fraction(0.1)));
    keys.push(changed(&|options| options.validation = Validation::Fraction(0.2)));
    keys.push(changed(&|options| options.golden.clear()));
    keys.push(changed(&|options| options.max_tokens -= 1));
    keys.push(changed(&|options| options.over_long = OverLong::Drop));
    keys.push(changed(&|options| options.over_long = OverLong::TruncatePrompt));
    keys.push(changed(&|options| options.train_on = TrainOn::Last));
    keys.push(changed(&|options| options.clean.duplicates = Duplicates::Keep));
    keys.push(changed(&|options| options.clean.near_duplicates = Some(0.8)));
    keys.push(changed(&|options| options.bad_rows = BadRows::Drop));
    keys.push(changed(&|options| options.privacy.mode = PrivacyMode::Tag));
    keys.push(changed(&|options| options.normalise.steps = [Step::Html].into()));
    keys.push(changed(&|options| options.filters.empty_answer = true));
    keys.push(changed(&|options| options.labels.max_rows_per_label = Some(3)));
    keys.push(changed(&|options| options.leaks.accept = 3));
    keys.push(changed(&|options| options.train[0].weight = 2.0));
    keys.push(changed(&|options| options.train[0].licence = Some("CC0-1.0".to_owned())));
    keys.push(key(&plain, &template(CHATML), &tokenizer()));
    keys.push(key(&plain, &built(PLAIN, &special, Some("2026-01-31")), &tokenizer()));
    keys.push(key(&plain, &built(PLAIN, &special, Some("2026-02-01")), &tokenizer()));
    for name in 0..4 {
        let mut other = special.clone();
        let places = [&mut other.bos, &mut other.eos, &mut other.pad, &mut other.unk];
        *places.into_iter().nth(name).expect("four of them") = Some("<|im_end|>".to_owned());
        keys.push(key(&plain, &built(PLAIN, &other, None), &tokenizer()));
    }
    keys.push(key(
        &plain,
        &template(PLAIN).with_variable("enable_thinking", &serde_json::json!(true)),
        &tokenizer(),
    ));
    let mut larger = tokenizer();
    larger.add_special_tokens([tokenizers::AddedToken::from("<x>", true)]).expect("added");
    keys.push(key(&plain, &template(PLAIN), &larger));
    let mut bare = tokenizer();
    bare.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
    keys.push(key(&plain, &template(PLAIN), &bare));
    for name in ["a.jsonl", "b.jsonl", "v.jsonl", "g.jsonl"] {
        let text = std::fs::read_to_string(files.path(name)).expect("readable");
        files.write(name, text.replacen("say", "Say", 1));
        keys.push(of(&plain));
        files.write(name, text);
    }
    assert_eq!(of(&plain), keys[0], "the files are as they were");
    let distinct: BTreeSet<&String> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len(), "{keys:#?}");
}

#[test]
fn a_file_that_is_no_good_is_named_and_made_again() {
    let files = Files::new();
    let cache = PreparationCache::new(files.path("cache"));
    let options = options(&files);
    let ask = || {
        cache.prepare(&options, &Tools::new(&template(PLAIN), &tokenizer()), None).expect("it can be used")
    };
    let (plain, used) = ask();
    let path = path_of(&files, &used.key);
    let whole = std::fs::read(&path).expect("kept");
    let mut other = options.clone();
    other.max_tokens = 99;
    let (_, other) =
        cache.prepare(&other, &Tools::new(&template(PLAIN), &tokenizer()), None).expect("it can be used");
    let foreign = std::fs::read(path_of(&files, &other.key)).expect("kept");
    let mut flipped: Vec<Vec<u8>> = (0..whole.len()).step_by(97).map(|_| whole.clone()).collect();
    flipped.iter_mut().enumerate().for_each(|(index, bytes)| bytes[index * 97] ^= 1);
    let mut resealed = whole[..whole.len() - CHECKSUM_BYTES - 4].to_vec();
    resealed.extend(*blake3::hash(&resealed).as_bytes());
    let bad: Vec<(Vec<u8>, &str)> = [
        (Vec::new(), "damaged"),
        (whole[..40].to_vec(), "damaged"),
        (whole[..whole.len() - 1].to_vec(), "damaged"),
        (resealed, "damaged"),
        (foreign, "another key"),
    ]
    .into_iter()
    .chain(flipped.into_iter().map(|bytes| (bytes, "damaged")))
    .collect();
    for (bytes, word) in bad {
        std::fs::write(&path, bytes).expect("written");
        let (again, used) = ask();
        assert!(!used.hit && used.notes.len() == 1 && used.notes[0].contains(word), "{word}: {used:?}");
        assert_equal(&again, &plain);
        assert_eq!(std::fs::read(&path).expect("kept"), whole, "it was written again");
    }
}

const CHECKSUM_BYTES: usize = 32;

/// BLAKE3 over ids, lines, tokens and supervision of the rows below.
const PINNED: &str = "47b194bff3a9fe476e19745f345dd8e098f5ce6d174dbb3fc50e1d73ab47f084";

#[test]
fn a_cache_that_cannot_be_written_is_a_note() {
    let files = Files::new();
    let options = options(&files);
    files.write("cache", "a file, not a folder");
    let cache = PreparationCache::new(files.path("cache"));
    let (_, used) =
        cache.prepare(&options, &Tools::new(&template(PLAIN), &tokenizer()), None).expect("it can be used");
    assert!(!used.hit && used.notes.iter().any(|note| note.contains("cannot be written")), "{used:?}");
}

#[test]
fn the_oldest_go_and_so_does_what_was_begun() {
    let files = Files::new();
    let cache = PreparationCache::new(files.path("cache"));
    let mut options = options(&files);
    std::fs::create_dir(files.path("cache")).expect("made");
    files.write("cache/.x.prepared.1.partial", "half");
    let mut newest = String::new();
    for max_tokens in 0..MOST_FILES + 3 {
        options.max_tokens = 1000 + max_tokens;
        newest = cache
            .prepare(&options, &Tools::new(&template(PLAIN), &tokenizer()), None)
            .expect("it can be used")
            .1
            .key;
    }
    let left = std::fs::read_dir(files.path("cache")).expect("there").count();
    assert_eq!(left, MOST_FILES);
    assert!(path_of(&files, &newest).is_file());
}

/// If this fails because rows are made otherwise than before, [`PREPARATION_FORMAT`] goes up and the hash is written anew:
/// otherwise a cache of an older rtune would be taken for rows of this one.
#[test]
fn the_format_goes_up_when_rows_change() {
    let files = Files::new();
    let long = row(&"long ".repeat(40), "answer");
    let turns = ["user", "assistant", "user", "assistant"];
    let turns = turns.map(|role| serde_json::json!({"role": role, "content": role}));
    let talk = format!("{}\n", serde_json::json!({"id": "talk", "messages": turns}));
    // What is personal by its check digits, and what only looks like it; what steps change.
    let private = [
        "Where is parcel 9434765919?",
        "My NHS number is 9434765919.",
        "Write to anna@web.de or call +49 30 901820.",
        "Um, hi  there .\n--\nAnn",
    ];
    let private: String = private.iter().map(|text| row(text, "answer")).collect();
    let text = rows(0..12) + &rows(3..5) + &long + &talk + &private;
    let mut options = options(&files);
    options.train = vec![Source::new(files.write("pinned.jsonl", text))];
    options.validation = Validation::Fraction(0.25);
    options.over_long = OverLong::TruncatePrompt;
    options.max_tokens = 150;
    options.privacy.mode = PrivacyMode::Tag;
    options.normalise.steps =
        Step::ALL.into_iter().filter(|step| *step != Step::Terminology && *step != Step::Spelling).collect();
    let prepared = prepare(&options, &Tools::new(&template(CHATML), &tokenizer())).expect("it can be used");
    let mut hasher = blake3::Hasher::new();
    for rows in [&in_memory(&prepared), &prepared.validation] {
        hasher.update(&(rows.len() as u64).to_le_bytes());
        for row in rows {
            hasher.update(
                format!("{} {} {:?} {:?}\n", row.id, row.origin.line, row.tokens, row.supervised).as_bytes(),
            );
        }
    }
    let pinned = (PREPARATION_FORMAT, hasher.finalize().to_hex().to_string());
    assert_eq!(pinned, (5, PINNED.to_owned()));
}
