//! The verbs around a run: score, keys, doctor, completions.

#![expect(clippy::print_stdout, reason = "figures of the peer are what that test is for")]

use std::path::Path;

use crate::workplace::Workplace;

const CONFIGURATION_PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
const EXAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/exams/text_metrics.json");

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
}

#[test]
fn scores_are_those_of_sacrebleu() {
    let place = Workplace::new();
    let exam = json(&std::fs::read_to_string(EXAM).expect("readable"));
    for (name, field, ending) in
        [("sys", "sys", "answer"), ("ref", "ref", "output"), ("more", "second_ref", "output")]
    {
        let texts = exam[field].as_array().expect("texts");
        let rows: Vec<String> =
            texts.iter().map(|text| serde_json::json!({ending: text}).to_string()).collect();
        place.write(&format!("{name}.jsonl"), rows.join("\n"));
    }
    let check = |files: &[&str], expected: &serde_json::Value| {
        let mut arguments =
            vec!["score", "--json", "--metric", "chrf", "--metric", "chrf++", "--metric", "bleu"];
        arguments.extend(["--metric", "ter"]);
        arguments.extend(files);
        let ran = place.rtune(&arguments);
        ran.succeeds();
        let found = json(&ran.stdout);
        for (index, name) in ["chrf", "chrfpp", "bleu", "ter"].into_iter().enumerate() {
            let one = &found["metrics"][index];
            let (score, wanted) = (one["score"].as_f64(), expected[name]["score"].as_f64());
            let difference = score.expect("a score") - wanted.expect("a score");
            assert!(difference.abs() < 1e-10, "{name}: {score:?}, {wanted:?}");
            let signature = one["signature"].as_str().expect("a signature");
            let theirs = expected[name]["signature"].as_str().expect("a signature");
            let theirs = theirs.split("|version:").next().unwrap_or_default();
            assert!(signature.contains(&format!("|{theirs}|version:rtune-")), "{signature}");
        }
    };
    check(&["sys.jsonl", "ref.jsonl"], &exam);
    check(&["sys.jsonl", "ref.jsonl", "more.jsonl"], &exam["two_references"]);
    // rouge-score scores answers one by one; over many the mean is meant, here in percent.
    let rouge = |of: &serde_json::Value, stem: &[&str], files: &[&str]| {
        for (name, field) in
            [("rouge-1", "rouge1"), ("rouge-2", "rouge2"), ("rouge-l", "rougeL"), ("rouge-lsum", "rougeLsum")]
        {
            let ran = place.rtune(&[&["score", "--json", "--metric", name], stem, files].concat());
            ran.succeeds();
            let found = json(&ran.stdout)["metrics"][0]["score"].as_f64().expect("a score");
            let all = of.as_array().expect("answers");
            let f1 = all.iter().map(|one| one[field][2].as_f64().expect("an F1")).sum::<f64>();
            assert!((found - 100.0 * f1 / all.len() as f64).abs() < 1e-9, "{name}: {found}");
        }
    };
    rouge(&exam["rouge"], &[], &["sys.jsonl", "ref.jsonl"]);
    rouge(&exam["rouge_stem"], &["--stem"], &["sys.jsonl", "ref.jsonl"]);
    rouge(&exam["two_references"]["rouge"], &[], &["sys.jsonl", "ref.jsonl", "more.jsonl"]);
}

/// BERTScore of a small BERT and a small RoBERTa, beside the package, in all its ways.
#[test]
fn bert_scores_are_those_of_the_package() {
    let Some(python) = crate::release_peers::python("bert_score, transformers, torch") else { return };
    let place = Workplace::new();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/bert_score_pairs.py");
    let output =
        std::process::Command::new(python).arg(script).arg(place.path("")).output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut worst = 0.0_f64;
    for case in json(&place.read("expected.json")).as_array().expect("cases") {
        let layer = case["layer"].to_string();
        let mut arguments = vec!["score", "answers.txt", "first.txt"];
        if case["references"] == 2 {
            arguments.push("second.txt");
        }
        let encoder = case["encoder"].as_str().expect("a folder");
        arguments.extend([
            "--metric",
            "bertscore",
            "--encoder",
            encoder,
            "--encoder-layer",
            &layer,
            "--json",
        ]);
        if case["idf"] == true {
            arguments.push("--idf");
        }
        let ran = place.rtune(&arguments);
        ran.succeeds();
        let found = &json(&ran.stdout)["metrics"][0];
        for (index, name) in ["precision", "recall", "score"].into_iter().enumerate() {
            let (ours, theirs) =
                (found[name].as_f64().expect("a score") / 100.0, case["figures"][index].as_f64());
            let difference = (ours - theirs.expect("a score")).abs();
            worst = worst.max(difference);
            assert!(difference < 1e-5, "{name} of {case}: {ours}");
        }
    }
    println!("BERTScore at most {worst:.1e} from the package's");
    place
        .rtune(&["score", "answers.txt", "first.txt", "--metric", "bertscore"])
        .fails(2, &["BERTScore needs an encoder", "hint: name a folder"]);
    place
        .rtune(&["score", "answers.txt", "first.txt", "--encoder", "bert", "--encoder-layer", "4"])
        .fails(2, &["expected a layer from 1 to 3, found 4"]);
}

#[test]
fn lines_are_scored_for_people_too() {
    let place = Workplace::new();
    place.write("sys.txt", "Yes.\nno\nA lamp.\r\n");
    place.write("ref.txt", "Yes.\nNo!\nA kettle.\n");
    let ran = place.rtune(&["score", "sys.txt", "ref.txt"]);
    ran.succeeds();
    for part in [
        "3 lines\n",
        "exact match       33.33  exact|nrefs:1|trimmed|",
        "normalised match  66.67",
        "\nBLEU ",
        "\nROUGE-Lsum ",
    ] {
        assert!(ran.stdout.contains(part), "{part:?} in\n{}", ran.stdout);
    }
    let golden = "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"Yes.\"}]}\n";
    place.write("golden.jsonl", format!("{golden}\n{}", golden.replace("Yes.", "no")));
    place.write("two.txt", "Yes.\nno");
    let ran = place.rtune(&["score", "two.txt", "golden.jsonl", "--metric", "exact"]);
    ran.succeeds();
    assert!(ran.stdout.contains("100.00"), "{}", ran.stdout);
}

#[test]
fn what_cannot_be_scored_is_named() {
    let place = Workplace::new();
    place.write("one.txt", "a\n");
    place.write("two.txt", "a\nb\n");
    let fails =
        |files: [&str; 2], parts: &[&str]| place.rtune(&["score", files[0], files[1]]).fails(2, parts);
    fails(["one.txt", "two.txt"], &["error: one.txt has 1 lines, two.txt has 2", "hint: line 1"]);
    fails(["none.txt", "two.txt"], &["error: none.txt: cannot be read: No such file"]);
    place.write("empty.txt", "");
    fails(["empty.txt", "two.txt"], &["error: empty.txt: the file is empty"]);
    place.write("latin.txt", b"a\nGr\xfc\xdfe\n");
    fails(["latin.txt", "two.txt"], &["error: latin.txt:2:3: invalid UTF-8", "hint: save the file as UTF-8"]);
    place.write("rows.jsonl", "{\"answer\": \"a\"}\n{\"answer\": \n");
    fails(["rows.jsonl", "two.txt"], &["error: rows.jsonl:2: column 11: invalid JSON"]);
    place.write("rows.jsonl", "{\"answer\": \"a\"}\n{\"text\": \"a\"}\n");
    fails(["rows.jsonl", "two.txt"], &["rows.jsonl:2: expected `answer`, `output` or an assistant turn"]);
    place.write("rows.jsonl", "{\"answer\": 3}\n");
    fails(["rows.jsonl", "one.txt"], &["rows.jsonl:1: expected the answer to be a text"]);
    place.rtune(&["score", "one.txt"]).fails(2, &["required arguments were not provided"]);
    let ran = place.rtune(&["score", "one.txt", "one.txt", "--metric", "meteor"]);
    ran.fails(2, &["invalid value 'meteor'", "chrf++"]);
}

#[test]
fn the_page_on_the_configuration_is_current() {
    let place = Workplace::new();
    let ran = place.rtune(&["keys"]);
    ran.succeeds();
    let page = std::fs::read_to_string(CONFIGURATION_PAGE).unwrap_or_default();
    let differs = page.lines().zip(ran.stdout.lines()).position(|(old, new)| old != new);
    let line = differs.unwrap_or_else(|| page.lines().count().min(ran.stdout.lines().count()));
    let shown = |text: &str| text.lines().nth(line).unwrap_or("nothing").to_owned();
    assert!(
        page == ran.stdout,
        "docs/configuration.md is not what the program reads; line {}\n  has     {}\n  must be {}\n\
        write it anew: cargo run --release -- keys > docs/configuration.md",
        line + 1,
        shown(&page),
        shown(&ran.stdout)
    );
}

#[test]
fn a_key_is_explained() {
    let place = Workplace::new();
    let ran = place.rtune(&["keys", "lora.rank"]);
    ran.succeeds();
    assert!(
        ran.stdout.starts_with("lora.rank\n") && ran.stdout.contains("an integer from 1 to 4096"),
        "{}",
        ran.stdout
    );
    let ran = place.rtune(&["keys", "checkpoint"]);
    ran.succeeds();
    assert!(
        ran.stdout.contains("checkpoint.every\n") && ran.stdout.contains("checkpoint.keep\n"),
        "{}",
        ran.stdout
    );
    place.rtune(&["keys", "lora_r"]).fails(2, &["no section `lora_r`", "hint: `lora_r` is `lora.rank` here"]);
    place.rtune(&["keys", "zzzzzz"]).fails(2, &["no section `zzzzzz`", "hint: `rtune keys` shows all"]);
}

#[test]
fn another_tools_configuration_is_answered() {
    let place = Workplace::new();
    let axolotl = "base_model: NousResearch/Llama-3.2-1B\nload_in_4bit: true\nadapter: qlora\ndatasets:\n  - path: data.jsonl\n\
        \x20   type: alpaca\nlora_r: 32\nsequence_len: 2048\nmicro_batch_size: 2\noptimizer: adamw_bnb_8bit\n";
    place.write("axolotl.yaml", axolotl);
    place.rtune(&["train", "axolotl.yaml"]).fails(
        2,
        &[
            "axolotl.yaml: expected TOML, found what looks like YAML",
            "hint: write it as TOML",
            "hint: `base_model` is `model.base` here",
            "hint: `lora_r` is `lora.rank` here",
            "hint: `sequence_len` is `data.max-tokens` here",
        ],
    );
    place.write("peft.json", "{\n  \"peft_type\": \"LORA\",\n  \"r\": 8\n}\n");
    place
        .rtune(&["check", "peft.json"])
        .fails(2, &["found what looks like JSON", "hint: `r` is `lora.rank` here"]);
    for (argument, hint) in [
        ("per_device_train_batch_size=4", "`per_device_train_batch_size` is `train.rows-per-step`"),
        ("lora.target_modules=all-linear", "`target_modules` is `lora.targets` here"),
        ("train.cutoff_len=512", "`cutoff_len` is `data.max-tokens` here"),
        ("optim=paged_adamw_8bit", "`paged_adamw_8bit` is not offered"),
        ("train.schedule=cosine_with_restarts", "`cosine_with_restarts`: not offered"),
        ("quantization.kind=int4", "`int4` is \"nf4\" here"),
        ("model.device=gpu", "`gpu` is \"cuda\" here"),
        ("model.device=mps", "`mps`: not offered: an NVIDIA GPU trains"),
        ("max_seq_length=1024", "`max_seq_length` is `data.max-tokens` here"),
        ("neat_packing=true", "`neat_packing`: not needed: rows are always packed"),
    ] {
        place.train(&[argument]).fails(2, &[&format!("hint: {hint}")]);
    }
}

#[test]
fn the_doctor_says_what_there_is() {
    let place = Workplace::new();
    let ran = place.rtune(&["doctor"]);
    assert!(ran.code == 0 || ran.stdout.contains("problem"), "{}\n{}", ran.stdout, ran.stderr);
    for part in ["rtune ", "processor ", "memory ", "cache ", "the processor trains"] {
        assert!(ran.stdout.contains(part), "{part:?} in\n{}", ran.stdout);
    }
    assert!(ran.stdout.contains("HF_HUB_OFFLINE forbids the network"), "{}", ran.stdout);
    assert!(!place.path("cache").exists(), "looking makes no folder");
    let found = json(&place.rtune(&["doctor", "--json"]).stdout);
    assert!(found["found"]["processor"]["threads"].as_u64() > Some(0), "{found}");
    assert_eq!(found["found"]["cache"]["writable"], true);
    assert_eq!(found["found"]["gpu"]["used"], false);
}

#[test]
fn the_doctor_fails_where_the_cache_cannot_be_written() {
    let place = Workplace::new();
    place.write("cache", "a file, not a folder");
    let ran = place.rtune(&["doctor"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("problem    nothing can be written to"), "{}", ran.stdout);
    let found = json(&place.rtune(&["doctor", "--json"]).stdout);
    assert_eq!(found["problems"].as_array().map(Vec::len), Some(1), "{found}");
}

#[test]
fn shells_get_their_completions() {
    let place = Workplace::new();
    for (shell, part) in [
        ("bash", "_rtune()"),
        ("zsh", "#compdef rtune"),
        ("fish", "complete -c rtune"),
        ("elvish", "edit:"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let ran = place.rtune(&["completions", shell]);
        ran.succeeds();
        assert!(ran.stdout.contains(part) && ran.stdout.contains("train"), "{shell}: {}", ran.stdout);
    }
    place.rtune(&["completions", "tcsh"]).fails(2, &["invalid value 'tcsh'"]);
    assert!(Path::new(CONFIGURATION_PAGE).is_file());
}

/// TER and ROUGE keep a table of words by words.
#[test]
fn lines_of_too_many_words_are_refused_where_a_table_is_kept() {
    let place = Workplace::new();
    place.write("long.txt", format!("x\n{}\n", "a ".repeat(10_001)));
    place.write("short.txt", "x\ny\n");
    let score = |metric: &str| place.rtune(&["score", "long.txt", "short.txt", "--metric", metric]);
    for metric in ["ter", "rouge-l"] {
        let part = "long.txt:2: expected at most 10000 words for TER and ROUGE, found 10001";
        score(metric).fails(2, &[part, "hint: name metrics without a table"]);
    }
    score("chrf").succeeds();
}
