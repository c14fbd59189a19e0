//! What leaves speaks of what it is, and of nothing of the machine that it comes from.

use std::fs;

use serde_json::{Value, json};

use crate::gguf_export::read;
use crate::release::json_of;
use crate::workplace::{CONFIG, Workplace, rows};

/// Figures of golden rows in a table of a card.
const GOLDEN: &str = "golden.jsonl, 4 rows:";

fn evaluated() -> Workplace {
    let place = Workplace::new();
    place.write("config.toml", CONFIG.replace("every = 2", "every = 2\nkeep = 9"));
    place.train(&[]).succeeds();
    place.write("golden.jsonl", rows(100..104));
    place.rtune(&["eval", "run", "--golden", "golden.jsonl", "--max-new-tokens", "4"]).succeeds();
    place
}

/// The card of what `arguments` write into a folder that goes again.
fn card(place: &Workplace, arguments: &[&str]) -> String {
    let ran = place.rtune(arguments);
    ran.succeeds();
    let text = place.read(&format!("{}/README.md", arguments[2]));
    fs::remove_dir_all(place.path(arguments[2])).expect("removed");
    text
}

#[test]
fn figures_are_those_of_the_very_weights() {
    let place = evaluated();
    let best = fs::canonicalize(place.path("run/best")).expect("a checkpoint");
    let best = best.file_name().expect("a step").to_string_lossy().into_owned();
    let other = ["step-000002", "step-000004", "step-000006"].into_iter().find(|step| *step != best);
    let other = format!("run/checkpoints/{}", other.expect("another"));
    for arguments in [
        &["export", "run", "out"][..],
        &["export", "run", "out", "--format", "safetensors"],
        &["merge", "run", "out"],
        &["export", "run", "out", "--format", "ollama", "--quantize", "f16"],
    ] {
        let text = card(&place, arguments);
        assert!(text.contains(GOLDEN) && text.contains("model-index"), "{arguments:?}: {text}");
        assert!(text.contains("type: token_accuracy\n") && !text.contains("type: accuracy\n"), "{text}");
        assert!(
            text.contains("held-out rows, ") && text.contains("rows:\n\n| metric | base | tuned |"),
            "{text}"
        );
    }
    for arguments in [
        &["export", &other, "out"][..],
        &["export", "run", "out", "--format", "safetensors", "--onto", "original"],
        &["merge", "run", "out", "--onto", "original"],
        &["export", "run", "out", "--format", "bnb-4bit"],
        &["export", "run", "out", "--format", "ollama", "--quantize", "q8_0"],
    ] {
        let text = card(&place, arguments);
        assert!(!text.contains(GOLDEN), "{arguments:?}: {text}");
        let is_other_step = arguments[1] == other;
        assert_eq!(text.contains("model-index"), is_other_step && text.contains("held-out rows, "), "{text}");
    }
    // The base held otherwise is another model.
    let asked = [
        "eval",
        "run",
        "--golden",
        "golden.jsonl",
        "--max-new-tokens",
        "4",
        "--set",
        "quantization.double=false",
    ];
    place.rtune(&asked).succeeds();
    assert!(!card(&place, &["export", "run", "out"]).contains(GOLDEN));
    // A report of an earlier version does not say what it is of.
    let path = "run/eval/golden-golden.json";
    let mut report = json_of(&place.path(path));
    report.as_object_mut().expect("an object").remove("of");
    place.write(path, report.to_string());
    assert!(!card(&place, &["export", "run", "out"]).contains(GOLDEN));
}

#[test]
fn what_was_there_before_the_first_step_is_the_base_or_a_start() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    place
        .write("next.toml", CONFIG.replace("rank = 4", "from = \"run/best\"").replace("\"run\"", "\"next\""));
    place.rtune(&["train", "next.toml"]).succeeds();
    assert!(card(&place, &["export", "next", "out"]).contains("| metric | start | tuned |"));
}

#[test]
fn what_was_trained_is_called_so() {
    let place = Workplace::new();
    place.train(&["lora.method=dora"]).succeeds();
    assert!(card(&place, &["export", "run", "out"]).contains("An adapter (DoRA) for "));
    place.write("full.toml", CONFIG.replace("rank = 4", "method = \"full\"").replace("\"run\"", "\"whole\""));
    place.rtune(&["train", "full.toml", "--set", "quantization.kind=none"]).succeeds();
    let text = card(&place, &["export", "whole", "out", "--format", "safetensors"]);
    assert!(text.contains("every number of it was trained") && !text.contains("LoRA"), "{text}");
}

/// All text files of a folder.
fn texts(place: &Workplace, folder: &str) -> Vec<(String, String)> {
    let entries =
        fs::read_dir(place.path(folder)).expect("there").map(|entry| entry.expect("an entry").path());
    let texts = entries.filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        fs::read_to_string(&path).ok().map(|text| (name, text))
    });
    texts.collect()
}

/// Absolute, or called as a repository is, at hand or gone: neither a path leaves nor a repository that nobody has.
#[test]
fn no_path_leaves_and_no_base_is_invented() {
    let place = Workplace::new();
    fs::create_dir_all(place.path("own")).expect("made");
    fs::rename(place.path("model"), place.path("own/base")).expect("moved");
    fs::create_dir_all(place.path("below/here")).expect("made");
    place.write("below/here/golden.jsonl", rows(100..103));
    let absolute = place.path("own/base").display().to_string();
    let home = place.path("").display().to_string();
    for (named, out) in
        [(absolute.as_str(), "below/one"), ("own/base", "below/two"), ("./own/base", "below/three")]
    {
        let [base, out_dir] = [format!("model.base={named}"), format!("output.dir={out}")];
        place.train(&[&base, &out_dir]).succeeds();
        for gone in [false, true] {
            if gone {
                fs::rename(place.path("own"), place.path("elsewhere")).expect("moved");
            }
            place.rtune(&["export", out, "out"]).succeeds();
            let settings = json_of(&place.path("out/adapter_config.json"));
            assert_eq!(
                (&settings["base_model_name_or_path"], &settings["revision"]),
                (&json!("base"), &Value::Null)
            );
            let text = place.read("out/README.md");
            assert!(
                text.contains("for `base`, trained") && !text.contains("base_model:"),
                "{named} {gone}: {text}"
            );
            for (name, text) in texts(&place, "out") {
                assert!(!text.contains(home.trim_end_matches('/')), "{named} {gone}: a path in {name}");
            }
            fs::remove_dir_all(place.path("out")).expect("removed");
        }
        fs::rename(place.path("elsewhere"), place.path("own")).expect("moved back");
    }
    place.rtune(&["merge", "below/one", "out", "--golden", "below/here/golden.jsonl"]).succeeds();
    let text = place.read("out/merge-report.json");
    assert!(text.contains("\"golden.jsonl\"") && !text.contains("below"), "{text}");
    fs::remove_dir_all(place.path("out")).expect("removed");
    place
        .rtune(&["merge", "below/one", "out", "--with", "below/two", "--golden", "below/here/golden.jsonl"])
        .succeeds();
    let text = place.read("out/merge-report.json");
    assert!(text.contains("\"run\": \"two\"") && !text.contains("below"), "{text}");
}

/// An adapter goes without its base where that is not there; all else that is wrong is said.
#[test]
fn what_is_wrong_with_the_command_is_not_taken_for_a_base_that_is_not_there() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    let refused = |arguments: &[&str], parts: &[&str]| {
        place.rtune(&[&["export", "run", "out"], arguments].concat()).fails(2, parts);
        assert!(!place.path("out").exists() && place.begun("out").is_empty());
    };
    refused(&["--set", "lora.rank=3"], &["lora.rank=3"]);
    refused(&["--set", "model.base=nowhere"], &["`nowhere`"]);
    refused(&["--set", "data.template=nowhere.jinja"], &["nowhere.jinja"]);
    let whole = place.read("model/tokenizer.json");
    place.write("model/tokenizer.json", "{");
    refused(&[], &["tokenizer.json"]);
    place.write("model/tokenizer.json", whole);
    fs::rename(place.path("model"), place.path("moved")).expect("moved");
    let ran = place.rtune(&["export", "run", "out"]);
    ran.succeeds();
    assert!(ran.stderr.contains("without tokenizer and chat template"), "{}", ran.stderr);
}

#[test]
fn licences_go_with_what_is_made() {
    let place = Workplace::new();
    place.write("model/README.md", "---\nlicense: apache-2.0\nlicense_link: https://example.org/l\n---\n");
    place.write("model/LICENSE", "as you like");
    place.write("model/NOTICE.txt", "by somebody");
    place.train(&[]).succeeds();
    for arguments in [
        &["export", "run", "adapter"][..],
        &["export", "run", "ollama", "--format", "ollama"],
        &["export", "run", "base", "--format", "ollama", "--base-only"],
    ] {
        place.rtune(arguments).succeeds();
        for (name, text) in [("LICENSE", "as you like"), ("NOTICE.txt", "by somebody")] {
            assert_eq!(place.read(&format!("{}/{name}", arguments[2])), text, "{arguments:?}");
        }
    }
    let text = place.read("ollama/README.md");
    assert!(text.contains("library_name: gguf\nlicense: apache-2.0\n"), "{text}");
    assert!(place.read("base/README.md").contains("they were not trained"));
    place.rtune(&["export", "run", "alone.gguf", "--format", "gguf-adapter"]).succeeds();
    for file in ["ollama/model.gguf", "alone.gguf"] {
        let metadata = read(&place.path(file)).metadata;
        let text = |key: &str| metadata[key].to_string().expect("a text").clone();
        let found = (text("general.license"), text("general.license.link"));
        assert_eq!(found, ("apache-2.0".to_owned(), "https://example.org/l".to_owned()), "{file}");
    }
    // What is written says of its licence what the base said.
    let licence = rtune_models::Licence::of(&place.path("ollama/model.gguf"));
    assert_eq!(licence.ids, ["apache-2.0"]);
}
