//! `rtune choose`: sizes from headers, licences, and a ranking, through the program.

use std::fs;

use serde_json::{Value, json};

use crate::workplace::{CONFIG, Ran, Sizes, Workplace, rows, write_base, write_model};

fn card(licence: &str) -> String {
    format!("---\nlicense: {licence}\n---\n# A model\n")
}

#[track_caller]
fn report(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.stdout, ran.stderr))
}

/// Leaves of a folder's weights the header alone.
fn behead(place: &Workplace, folder: &str) {
    let path = place.path(folder).join("model.safetensors");
    let bytes = fs::read(&path).expect("weights");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    fs::write(&path, &bytes[..8 + length]).expect("written");
}

#[test]
fn sizes_come_from_headers_alone() {
    let place = Workplace::new();
    write_model(&place.path("large"), Sizes { hidden: 64, layers: 4 });
    let whole = report(&place.rtune(&["choose", "model", "large", "--json"]));
    for folder in ["model", "large"] {
        behead(&place, folder);
        fs::remove_file(place.path(folder).join("tokenizer.json")).expect("removed");
    }
    let ran = place.rtune(&["choose", "model", "large", "model", "--json"]);
    ran.succeeds();
    let found = report(&ran);
    assert_eq!(found, whole, "nothing but headers was read, and a base named twice is looked at once");
    let [small, large] = [0, 1].map(|index| &found["bases"][index]["size"]);
    // Two blocks of 16: embedding, four projections of two heads and one, an MLP of 32, two norms; a norm behind them.
    let block = 16 * 16 * 2 + 16 * 8 * 2 + 3 * 16 * 32 + 2 * 16;
    assert_eq!(small["parameters"]["total"], 258 * 16 + 2 * block + 16);
    assert_eq!(small["parameters"]["embedding"], 258 * 16);
    assert_eq!(small["parameters"]["mlp"], 2 * 3 * 16 * 32);
    assert_eq!((&small["family"], &small["context_tokens"]), (&json!("llama"), &json!(8192)));
    let bytes = |size: &Value, key: &str| size["training"][key].as_u64().expect("a number");
    for key in ["peak_bytes", "base_bytes", "pass_bytes", "trained_parameters"] {
        assert!(bytes(small, key) < bytes(large, key), "{key}");
    }
    // What the run says of itself is what was computed.
    write_model(&place.path("model"), crate::workplace::TINY);
    let trained = place.train(&["train.steps=1"]);
    trained.succeeds();
    let config = place.rtune(&["choose", "--config", "config.toml", "--json"]);
    let numbers =
        report(&config)["bases"][0]["size"]["training"]["trained_parameters"].as_u64().expect("a number");
    let text = trained.stdout.replace(',', "");
    assert!(text.contains(&format!("trainable: {numbers} of ")), "{text}");

    let text = place.rtune(&["choose", "model", "large", "--gpu-memory-gib", "24"]);
    text.succeeds();
    for part in ["train here", "serve NF4", "computed, not measured", "GPUs of 24 GiB", "licence unknown"] {
        assert!(text.stdout.contains(part), "{part}: {}", text.stdout);
    }
    let long = place.rtune(&["choose", "model", "--context", "100000", "--sequences", "3", "--json"]);
    let serving = &report(&long)["bases"][0]["size"]["serving"];
    assert_eq!(serving["context_tokens"], 8192, "no more than the base was trained for");
    assert_eq!(serving["cache_bytes"], 2 * 4 * 8 * 2 * 8192 * 3);
}

#[test]
fn licences_that_are_not_accepted_stop_a_base() {
    let place = Workplace::new();
    write_model(&place.path("free"), crate::workplace::TINY);
    write_model(&place.path("silent"), crate::workplace::TINY);
    place.write("model/README.md", card("cc-by-nc-4.0"));
    place.write("free/README.md", card("apache-2.0"));
    place
        .write("config.toml", CONFIG.replace("[model]\n", "[model]\nlicences = [\"Apache-2.0\", \"mit\"]\n"));
    let choose = |bases: &[&str]| {
        let mut arguments = vec!["choose", "--config", "config.toml"];
        arguments.extend(bases);
        place.rtune(&arguments)
    };
    let ran = choose(&["model", "free", "silent"]);
    ran.succeeds();
    assert!(ran.stdout.contains("stopped: the licence of `model` is cc-by-nc-4.0"), "{}", ran.stdout);
    assert!(ran.stdout.contains("stopped: the licence of `silent` is unknown"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("free: licence apache-2.0 (from README.md), commercial use allowed\n  - Pass on"),
        "{}",
        ran.stdout
    );
    let ran = choose(&["model", "silent"]);
    assert_eq!(ran.code, 2, "none is left: {}", ran.stdout);
    let ran = choose(&["model", "--json"]);
    assert_eq!((ran.code, report(&ran)["bases"][0]["size"].is_null()), (2, true));

    // Training, checking and preparing refuse it too, and nothing is written.
    for verb in ["train", "check"] {
        place.rtune(&[verb, "config.toml"]).fails(
            2,
            &["the licence of `model` is cc-by-nc-4.0, which `model.licences` does not accept (Apache-2.0, mit)", "hint: read the licence"],
        );
    }
    assert!(!place.path("run").exists());
    place
        .train(&["model.base=silent"])
        .fails(2, &["the licence of `silent` is unknown", "hint: neither model card"]);
    place.train(&["model.base=silent", "model.licences=[\"unknown\"]", "train.steps=1"]).succeeds();
    fs::remove_dir_all(place.path("run")).expect("removed");

    // What is accepted goes with the run, and into the card of what is made from it.
    place.train(&["model.base=free"]).succeeds();
    let manifest: Value = serde_json::from_str(&place.read("run/manifest.json")).expect("JSON");
    assert_eq!(manifest["licence"]["ids"], json!(["apache-2.0"]));
    place.rtune(&["export", "run", "adapter"]).succeeds();
    place.rtune(&["export", "run", "merged", "--format", "safetensors"]).succeeds();
    fs::rename(place.path("free"), place.path("elsewhere")).expect("renamed");
    place.rtune(&["export", "run", "alone"]).succeeds();
    for (folder, library) in [("adapter", "peft"), ("merged", "transformers"), ("alone", "peft")] {
        let card = place.read(&format!("{folder}/README.md"));
        for part in [
            &format!("library_name: {library}\n"),
            "license: apache-2.0\n",
            "`free`",
            "- Pass on a copy of the licence",
        ] {
            assert!(card.contains(part), "{folder}: {part} in {card}");
        }
    }
}

#[test]
fn a_base_that_was_taught_the_answers_is_ranked_first() {
    let place = Workplace::new();
    place.write("golden.jsonl", rows(0..12));
    place.train(&["train.steps=40", "eval.every=40", "checkpoint.every=40"]).succeeds();
    place.rtune(&["export", "run", "taught", "--format", "safetensors"]).succeeds();
    let ran = place.rtune(&[
        "choose",
        "model",
        "taught",
        "--golden",
        "golden.jsonl",
        "--answers",
        "--max-new-tokens",
        "8",
        "--json",
    ]);
    ran.succeeds();
    let found = report(&ran);
    assert_eq!(found["ranking"][0]["base"], "taught", "{found:#}");
    let interval = &found["ranking"][1]["interval_95"];
    assert!(interval[0].as_f64().expect("a number") > 0.0, "{interval}");
    let meaning = found["meaning"].as_str().expect("a sentence");
    assert!(
        meaning.contains("likeliest to taught") && meaning.contains("12 rows and beyond chance"),
        "{meaning}"
    );
    for base in found["bases"].as_array().expect("bases") {
        let weighed = &base["likelihood"];
        let rows = weighed["rows"].as_array().expect("rows");
        // Two letters, one token each; the token that ends an answer does not count.
        assert!(
            rows.len() == 12 && rows.iter().all(|row| row["bytes"] == 2 && row["tokens"] == 2),
            "{weighed}"
        );
        let sum = |key: &str| rows.iter().map(|row| row[key].as_f64().expect("a number")).sum::<f64>();
        let ratio = weighed["bits_per_byte"].as_f64().expect("a number");
        assert!((ratio - sum("bits") / sum("bytes")).abs() < 1e-12);
        assert!(base["answers"]["chrf"].is_number());
    }
    // The untrained model knows next to nothing of bytes: eight bits each would be an even guess.
    let untaught = found["bases"][0]["likelihood"]["bits_per_byte"].as_f64().expect("a number");
    assert!((3.0..40.0).contains(&untaught), "{untaught}");
    let text = place.rtune(&["choose", "model", "taught", "--golden", "golden.jsonl"]);
    text.succeeds();
    let order: Vec<usize> =
        ["1  taught", "2  model"].iter().filter_map(|line| text.stdout.find(line)).collect();
    assert!(order.len() == 2 && order[0] < order[1], "{}", text.stdout);
    assert!(
        text.stdout.contains("bits a byte") && text.stdout.contains("not which is best after it"),
        "{}",
        text.stdout
    );

    // One row says nothing of any other.
    place.write("one.jsonl", rows(0..1));
    let one = ["choose", "model", "taught", "--golden", "one.jsonl"];
    let text = place.rtune(&one);
    text.succeeds();
    assert!(text.stdout.contains("but this row does not tell it from"), "{}", text.stdout);
    let found = report(&place.rtune(&[&one[..], &["--json"]].concat()));
    let second = &found["ranking"][1];
    assert!(second["behind_bits_per_byte"].is_number() && second["interval_95"].is_null(), "{second}");

    // The same base twice cannot be told from itself.
    fs::create_dir(place.path("twin")).expect("made");
    for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(place.path("model").join(file), place.path("twin").join(file)).expect("copied");
    }
    let text = place.rtune(&["choose", "model", "twin", "--golden", "golden.jsonl"]);
    assert!(text.stdout.contains("do not tell it from twin"), "{}", text.stdout);
}

#[test]
fn each_mistake_has_its_message_and_the_other_bases_are_looked_at() {
    let place = Workplace::new();
    place.write("golden.jsonl", rows(0..3));
    place.write("empty.jsonl", "");
    fs::create_dir(place.path("nothing")).expect("made");
    write_base(
        &place.path("reader"),
        json!({"model_type": "llama", "hidden_act": "silu", "hidden_size": 16,
        "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "tie_word_embeddings": true}),
    );
    place.write("reader/config.json", "{\"model_type\": \"bert\", \"hidden_size\": 16}");
    write_model(&place.path("cut"), crate::workplace::TINY);
    let bytes = fs::read(place.path("cut/model.safetensors")).expect("weights");
    place.write("cut/model.safetensors", &bytes[..40]);
    write_model(&place.path("mute"), crate::workplace::TINY);
    place.write("mute/tokenizer_config.json", "{\"tokenizer_class\": \"PreTrainedTokenizerFast\"}");
    for (base, parts) in [
        ("./not-there", vec!["the base `./not-there`", "no such file or folder", "hint: "]),
        ("no-such-alias", vec!["unknown base model `no-such-alias`", "hint: aliases: "]),
        ("nothing", vec!["config.json", "hint: a base model is a folder with"]),
        (
            "reader",
            vec!["\"bert\", an encoder, which reads texts and writes none", "hint: choose a base model"],
        ),
        ("cut", vec!["model.safetensors", "truncated", "hint: "]),
        ("owner/name", vec!["`owner/name` is not in the cache", "HF_HUB_OFFLINE"]),
        ("model@main", vec!["the base `model` has no revisions", "hint: "]),
    ] {
        let ran = place.rtune(&["choose", base, "model"]);
        let code = if base == "owner/name" { 1 } else { 2 };
        ran.fails(code, &parts);
        assert!(ran.stdout.contains("train here"), "the other one is shown: {}", ran.stdout);
    }
    place.rtune(&["choose"]).fails(2, &["required"]);
    place.rtune(&["choose", "model", "--gpu-memory-gib", "0"]).fails(2, &["expected GiB above 0"]);
    place
        .rtune(&["choose", "model", "--golden", "empty.jsonl"])
        .fails(2, &["empty.jsonl", "the file has no rows"]);
    place
        .rtune(&["choose", "model", "--golden", "none.jsonl"])
        .fails(2, &["none.jsonl", "no such file", "hint: paths"]);
    place.rtune(&["choose", "--config", "config.toml", "--rank"]).fails(2, &["there are no golden rows"]);
    place.rtune(&["choose", "model", "--set", "lora.targets=[\"c_attn\"]"]).fails(2, &["c_attn", "hint: "]);
    // A base without a template cannot be asked: it is shown, and the others are ranked.
    let ran = place.rtune(&["choose", "mute", "model", "--golden", "golden.jsonl"]);
    ran.fails(2, &["the base `mute`", "has no chat template", "hint: "]);
    assert!(ran.stdout.contains("Only model was weighed"), "{}", ran.stdout);
}

#[test]
fn gguf_files_say_their_licence_and_their_size() {
    let place = Workplace::new();
    write_model(&place.path("model"), Sizes { hidden: 32, layers: 1 });
    crate::gguf::write(&place.path("model"), &place.path("m.gguf"));
    let ran = place.rtune(&["choose", "m.gguf", "model", "--set", "quantization.kind=none", "--json"]);
    ran.succeeds();
    let found = report(&ran);
    let [file, folder] = [0, 1].map(|index| &found["bases"][index]["size"]);
    assert_eq!(file["parameters"], folder["parameters"]);
    assert_eq!(file["training"]["base_bytes"], folder["training"]["base_bytes"], "both are held in 32 bits");
}
