//! Every kind of bad input has its own message and exit code: 2 where what was given is at fault, 1 where the machine is.

use std::fs;
use std::process::Command;

use crate::workplace::{CONFIG, Ran, Sizes, TINY, Workplace, rows, write_model};

/// The program failed before it made a run folder.
#[track_caller]
fn refused(place: &Workplace, ran: &Ran, parts: &[&str]) {
    ran.fails(2, parts);
    assert!(!place.path("run/manifest.json").exists(), "nothing was started");
}

#[test]
fn configurations() {
    let place = Workplace::new();
    place.write("config.toml", format!("lora_r = 8\n{CONFIG}"));
    refused(
        &place,
        &place.train(&[]),
        &[
            "error: the configuration has a problem\n  config.toml:1:1: unknown key `lora_r`",
            "hint: `lora_r` is `lora.rank` here",
        ],
    );
    place.write("config.toml", CONFIG.replace("rank = 4", "rank = \"four\""));
    refused(
        &place,
        &place.train(&[]),
        &["config.toml:4:8: `lora.rank`: expected an integer from 1 to 4096, found the string \"four\""],
    );
    place.write("config.toml", CONFIG.replace("steps = 6", "steps = 0\nepochs = 1").replace("rank", "rnak"));
    refused(
        &place,
        &place.train(&["eval.every=never"]),
        &[
            "error: the configuration has 4 problems",
            "config.toml:4:1: unknown key `lora.rnak`\n    hint: did you mean `rank`?",
            "config.toml:9:9: `train.steps`: expected an integer from 1 to",
            "config.toml:9:1: `train.steps` contradicts `train.epochs`",
            "--set eval.every=never: `eval.every`: expected an integer",
        ],
    );
    place.write("config.toml", "[model\n");
    refused(&place, &place.train(&[]), &["config.toml:1:", "not valid TOML"]);
    place.write("config.toml", b"[model]\nbase = \"\xff\"\n");
    refused(
        &place,
        &place.train(&[]),
        &["`config.toml`: expected UTF-8 text, found an invalid byte at offset 16"],
    );
    refused(
        &place,
        &place.rtune(&["train", "none.toml"]),
        &["cannot read the configuration `none.toml`", "cause: No such"],
    );
    refused(&place, &place.rtune(&["train"]), &["required arguments were not provided"]);
}

#[test]
fn rows_that_cannot_be_used() {
    let place = Workplace::new();
    let message = |parts: &[&str]| refused(&place, &place.train(&[]), parts);
    fs::remove_file(place.path("train.jsonl")).expect("removed");
    message(&["error: train.jsonl: no such file", "hint: paths are relative to the working directory"]);
    place.write("train.jsonl", "");
    message(&["error: train.jsonl: the file has no rows", "hint: "]);
    place.write("train.jsonl", format!("{}{{\"instruction\": \n", rows(0..3)));
    message(&["error: train.jsonl:4:", "invalid JSON", "hint: "]);
    place.write("train.jsonl", [rows(0..2).as_bytes(), b"{\"instruction\": \"\xff\"}\n"].concat());
    message(&["error: train.jsonl:3:18: invalid UTF-8", "hint: save the file as UTF-8"]);
    place.write("train.jsonl", format!("{}{{\"instruction\": \"q\", \"output\": \"\"}}\n", rows(0..2)));
    message(&["error: train.jsonl:3: no answer", "hint: a row teaches its answer"]);
    place.write("train.jsonl", rows(0..24));
    let long = place.train(&["data.max-tokens=10"]);
    refused(
        &place,
        &long,
        &["24 rows cannot be used", "train.jsonl:1: ", "more than the 10 allowed", "hint: raise"],
    );
    let dropped = place.train(&["data.max-tokens=10", "data.over-long=drop"]);
    refused(&place, &dropped, &["training rows are longer than 10 tokens", "hint: raise `data.max-tokens`"]);
    place.write("golden.jsonl", rows(3..4));
    let leak = place.train(&["data.golden=golden.jsonl"]);
    refused(
        &place,
        &leak,
        &[
            "golden.jsonl:1: this row is held out, and the training row train.jsonl:4 gives it away (exact, similarity 1.00)",
            "hint: ",
        ],
    );
}

#[test]
fn templates() {
    let place = Workplace::new();
    place.write("raises.jinja", "{{ raise_exception('only one turn') }}");
    let ran = place.train(&["data.template=raises.jinja"]);
    refused(&place, &ran, &["only one turn"]);
    place.write("broken.jinja", "{% for %}");
    refused(&place, &place.train(&["data.template=broken.jinja"]), &["error: ", "line 1"]);
    refused(
        &place,
        &place.train(&["data.template=none.jinja"]),
        &["error: cannot read `none.jinja`", "cause: No such"],
    );
    let settings = place.path("model/tokenizer_config.json");
    fs::write(settings, "{\"eos_token\": \"<|im_end|>\"}").expect("written");
    refused(
        &place,
        &place.train(&[]),
        &["error: the base `model` has no chat template", "hint: name a Jinja file"],
    );
}

#[test]
fn bases_that_are_not_there_or_not_what_they_say() {
    let place = Workplace::new();
    let with = |base: &str| place.train(&[&format!("model.base={base}")]);
    refused(
        &place,
        &with("smolm2-135m-instruct"),
        &["error: unknown base model `smolm2-135m-instruct`", "hint: "],
    );
    refused(&place, &with("./nowhere"), &["error: ./nowhere: there is no such file or folder"]);
    with("owner/name").fails(1, &["error: `owner/name` is not in the cache", "HF_HUB_OFFLINE"]);
    let cached = place.path("cache/models/smollm2-135m-instruct");
    fs::create_dir_all(&cached).expect("made");
    fs::write(cached.join("SmolLM2-135M-Instruct.Q4_1.gguf"), "GGUF").expect("written");
    refused(&place, &with("smollm2-135m-instruct"), &["expected 98362432 bytes, found 4 bytes"]);

    let file = place.path("model/model.safetensors");
    let whole = fs::read(&file).expect("readable");
    fs::write(&file, &whole[..whole.len() - 100]).expect("written");
    refused(
        &place,
        &place.train(&[]),
        &["error: model/model.safetensors: ", "hint: the file is probably an incomplete"],
    );
    fs::write(&file, &whole[..5]).expect("written");
    refused(&place, &place.train(&[]), &["model/model.safetensors: the file has 5 bytes"]);
    let mut lying = whole.clone();
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(&file, &lying).expect("written");
    refused(&place, &place.train(&[]), &["error: model/model.safetensors: "]);
    let at = whole.windows(8).position(|bytes| bytes == b"[258,16]").expect("a shape");
    let mut lying = whole.clone();
    lying[at..at + 8].copy_from_slice(b"[259,16]");
    fs::write(&file, &lying).expect("written");
    refused(
        &place,
        &place.train(&[]),
        &["error: model/model.safetensors: tensor `model.embed_tokens.weight`"],
    );
    fs::write(&file, &whole).expect("written");
    let settings =
        place.read("model/config.json").replace("\"intermediate_size\":32", "\"intermediate_size\":40");
    fs::write(place.path("model/config.json"), settings).expect("written");
    place.train(&[]).fails(2, &["expected shape [40, 16] as the configuration says, found [32, 16]"]);
}

#[test]
fn gguf_files_that_are_cut_or_lie() {
    let place = Workplace::new();
    let message = |bytes: &[u8]| {
        place.write("m.gguf", bytes);
        refused(&place, &place.train(&["model.base=m.gguf"]), &["error: m.gguf: ", "hint: "]);
    };
    message(b"GGUF");
    message(b"GG");
    let header = |tensors: u64, entries: u64| {
        [&b"GGUF"[..], &3u32.to_le_bytes(), &tensors.to_le_bytes(), &entries.to_le_bytes()].concat()
    };
    message(&header(1 << 60, 0));
    message(&header(0, 1 << 60));
    // A key of 2^50 bytes.
    message(&[header(0, 1), (1u64 << 50).to_le_bytes().to_vec()].concat());
}

#[test]
fn adapters_of_another_model() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    place.rtune(&["export", "run", "adapter"]).succeeds();
    fs::remove_dir_all(place.path("run")).expect("removed");
    let from = CONFIG.replace("rank = 4", "from = \"adapter\"");
    place.write("config.toml", &from);
    write_model(&place.path("model"), Sizes { hidden: 24, ..TINY });
    place
        .train(&[])
        .fails(2, &["tensor `", "hint: the adapter must have been trained on this very base model"]);
    fs::remove_dir_all(place.path("run")).expect("removed");
    write_model(&place.path("model"), Sizes { layers: 3, ..TINY });
    place.train(&[]).fails(2, &["tensor `base_model.model.model.layers.2.", "hint: the adapter must"]);
    fs::remove_dir_all(place.path("run")).expect("removed");
    write_model(&place.path("model"), Sizes { layers: 1, ..TINY });
    place.train(&[]).fails(2, &["tensor `base_model.model.model.layers.1.", "hint: the adapter must"]);
    fs::remove_dir_all(place.path("run")).expect("removed");
    place.write("config.toml", from.replace("\"adapter\"", "\"nowhere\""));
    place.train(&[]).fails(2, &["nowhere"]);
    place.write("config.toml", CONFIG.replace("rank = 4", "targets = [\"c_attn\"]"));
    fs::remove_dir_all(place.path("run")).ok();
    place.train(&[]).fails(2, &["no linear layer of the model is called `c_attn`", "hint: the model has "]);
}

/// A limit on the size of files stands for a full disk: it needs no disk of its own, and fails in the same calls.
#[test]
fn a_full_disk_leaves_the_checkpoint_before() {
    let place = Workplace::new();
    let limited = |blocks: u32, arguments: &str| {
        let mut command = Command::new("sh");
        place.settle(&mut command);
        let program = env!("CARGO_BIN_EXE_rtune");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec '{program}' {arguments}");
        Ran::of(command.args(["-c", &script]).output().expect("started"))
    };
    limited(4, "train config.toml").fails(1, &["error: ", "File too large", "hint: there is no room"]);
    assert!(!place.path("run/last").exists(), "half a checkpoint is none");
    place.rtune(&["train", "config.toml", "--resume"]).succeeds();
    limited(0, "export run out").fails(1, &["error: cannot write `", "/.out.", "cause: File too large"]);
    assert!(!place.path("out").exists() && place.begun("out").is_empty());
}

#[test]
fn folders_that_cannot_be_written_or_are_in_use() {
    let place = Workplace::new();
    place.train(&["output.dir=train.jsonl/run"]).fails(
        1,
        &["error: cannot create `train.jsonl/run`", "hint: a part of the path is a file, not a folder"],
    );
    place.train(&["output.dir=train.jsonl"]).fails(1, &["error: cannot create `train.jsonl`"]);
    place.train(&["output.dir=/proc/nothing/run"]).fails(1, &["error: cannot create `/proc/nothing/run`"]);
    fs::create_dir(place.path("run")).expect("made");
    let lock = fs::File::create(place.path("run/.lock")).expect("made");
    lock.lock().expect("locked");
    for resume in [&[][..], &["--resume"][..]] {
        let ran = place.rtune(&[&["train", "config.toml"], resume].concat());
        ran.fails(1, &["error: the run folder `run` is in use by another process", "hint: wait for it"]);
    }
    drop(lock);
    place.train(&[]).succeeds();
}

#[test]
fn checkpoints_that_were_changed() {
    let place = Workplace::new();
    place.write("config.toml", CONFIG.replace("every = 2", "every = 2\nkeep = 9"));
    place.train(&[]).succeeds();
    let adapter = place.path("run/last/adapter_model.safetensors");
    let mut bytes = fs::read(&adapter).expect("readable");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(&adapter, &bytes).expect("written");
    place
        .rtune(&["export", "run/last", "out"])
        .fails(2, &["expected sha256 ", "hint: the checkpoint was changed"]);
    place.rtune(&["train", "config.toml", "--resume"]).succeeds();
    place
        .rtune(&["export", "run/checkpoints/step-000000", "out"])
        .fails(2, &["is all zeros", "step 0 is the untrained"]);
}

#[test]
fn a_run_is_no_preparation_to_replace() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    let prepare = |out: &str| place.rtune(&["prepare", "config.toml", "--out", out]);
    prepare("run").fails(
        2,
        &[
            "error: `run` is not replaced: it holds what no preparation writes: `",
            "hint: name another folder",
        ],
    );
    place.rtune(&["verify", "run"]).succeeds();
    // What stands beside a preparation is nobody's to remove either.
    fs::create_dir(place.path("out.new")).expect("made");
    place.write("out.new/mine", "kept");
    for _ in 0..2 {
        prepare("out").succeeds();
    }
    assert_eq!(place.read("out.new/mine"), "kept");
    assert_eq!(fs::read_dir(place.path("out")).expect("there").count(), 5);
    assert_eq!(place.begun("out"), Vec::<std::path::PathBuf>::new());
}
