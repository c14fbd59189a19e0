//! `rtune export --for`: what a server would not load is said, and nothing is written; else how it is served.

use crate::release::json_of;
use crate::workplace::Workplace;

#[test]
fn what_fits_is_written_with_the_command_that_serves_it() {
    let place = Workplace::new();
    place.train(&["lora.rank=12"]).succeeds();
    for (server, out, command) in [
        ("vllm", "a", "--enable-lora --max-lora-rank 16 --lora-modules a=a"),
        ("tgi", "b", "LORA_ADAPTERS=b=/adapter"),
        ("sglang", "c", "--lora-paths c=c --max-lora-rank 12"),
        ("tensorrt-llm", "d", "max_lora_rank: 12"),
    ] {
        let ran = place.rtune(&["export", "run", out, "--for", server]);
        ran.succeeds();
        assert!(ran.stdout.contains("serve it with:\n  ") && ran.stdout.contains(command), "{}", ran.stdout);
        assert!(place.path(out).join("adapter_config.json").is_file());
    }
    for (server, out, command) in [
        ("hf-endpoints", "e", "rtune push e OWNER/e --private\n  hf endpoints deploy e --repo OWNER/e "),
        ("sagemaker", "f", "HF_MODEL_ID=/opt/ml/model"),
        ("mlx", "g", "mlx_lm.server --model g"),
    ] {
        let ran = place.rtune(&["export", "run", out, "--for", server]);
        ran.succeeds();
        assert!(ran.stdout.contains(command), "{}", ran.stdout);
        assert!(place.path(out).join("model.safetensors").is_file());
    }
    let ran = place.rtune(&["export", "run", "h.gguf", "--for", "lmstudio"]);
    ran.succeeds();
    assert!(ran.stdout.contains("lms import h.gguf --user-repo rtune/h --copy"), "{}", ran.stdout);
    let ran = place.rtune(&["export", "run", "i", "--for", "vllm", "--base-only"]);
    ran.succeeds();
    assert!(ran.stdout.contains("vllm serve i --served-model-name i"), "{}", ran.stdout);
    // Two versions have two names.
    let ran = place.rtune(&["export", "run", "bot-v1.2", "--for", "vllm"]);
    ran.succeeds();
    assert!(ran.stdout.contains("--lora-modules bot-v1.2=bot-v1.2"), "{}", ran.stdout);
}

#[test]
fn what_does_not_fit_is_not_written_and_says_what_to_change() {
    let place = Workplace::new();
    let settings = ["lora.method=dora", "lora.alpha-pattern={ v_proj = 3 }", "lora.layers=[1]"];
    place.train(&settings).succeeds();
    let ran = place.rtune(&["export", "run", "out", "--for", "tgi"]);
    let change = "hint: write the merged model: `--format safetensors`";
    ran.fails(
        1,
        &[
            "nothing is written, for tgi would not serve it",
            "knows no DoRA",
            "one alpha",
            "1 of 2 do",
            change,
        ],
    );
    place
        .rtune(&["export", "run", "out", "--for", "mlx", "--format", "gguf"])
        .fails(1, &["mlx-lm does not load a GGUF file", change]);
    place
        .rtune(&["export", "run", "out", "--for", "lmstudio", "--format", "peft"])
        .fails(1, &["hint: write a GGUF file"]);
    assert!(!place.path("out").exists() && place.begun("out").is_empty());
    place.rtune(&["export", "run", "out", "--for", "tgi", "--format", "safetensors"]).succeeds();
    place.rtune(&["export", "run", "x", "--for", "nowhere"]).fails(2, &["expected one of vllm, tgi"]);
    place
        .rtune(&["export", "run", "x", "--for", "vllm", "--format", "ollama"])
        .fails(2, &["for Ollama alone"]);
}

/// Not every server reads `use_rslora`: what is written for one says the same without.
#[test]
fn scales_are_written_as_every_server_reads_them() {
    let place = Workplace::new();
    place.train(&["lora.scaling=rank-stabilized", "lora.alpha=6"]).succeeds();
    place.rtune(&["export", "run", "own"]).succeeds();
    place.rtune(&["export", "run", "served", "--for", "sglang"]).succeeds();
    let [own, served] = ["own", "served"].map(|name| json_of(&place.path(name).join("adapter_config.json")));
    assert_eq!((&own["use_rslora"], &served["use_rslora"]), (&true.into(), &false.into()));
    // Rank 4: 6 / sqrt(4) = 12 / 4.
    assert_eq!((&own["lora_alpha"], &served["lora_alpha"]), (&6.into(), &12.into()));
    let weights =
        |name: &str| std::fs::read(place.path(name).join("adapter_model.safetensors")).expect("there");
    assert!(weights("own") == weights("served"));
    let ran = Workplace::new();
    ran.train(&["lora.targets=[\"q_proj\", \"k_proj\"]", "data.validation=0"]).succeeds();
    ran.rtune(&["export", "run", "out", "--for", "sglang"])
        .fails(1, &["SGLang reads `k_proj` together with `v_proj`", "hint: write the merged model"]);
}

/// A base that is a folder is shown to a container, and a path with a space survives a shell.
#[test]
fn printed_commands_can_be_run() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    let ran = place.rtune(&["export", "run", "my out", "--for", "tgi"]);
    ran.succeeds();
    assert!(
        ran.stdout.contains("-v \"$(realpath 'my out')\":/adapter -v \"$(realpath model)\":/base "),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("LORA_ADAPTERS='my out'=/adapter") && ran.stdout.contains("--model-id /base")
    );
    let ran = place.rtune(&["export", "run", "an adapter.gguf", "--format", "gguf-adapter"]);
    assert!(ran.stdout.contains("--lora 'an adapter.gguf' --jinja"), "{}", ran.stdout);
    let ran = place.rtune(&["export", "run", "an ollama", "--format", "ollama"]);
    assert!(ran.stdout.contains("ollama create NAME -f 'an ollama/Modelfile'"), "{}", ran.stdout);
}
