//! Several adapters in one model.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use rtune_adapters::combine::{Combination, combine};
use rtune_adapters::merge;
use serde_json::{Value, json};

use crate::release::{json_of, opened, tensors};
use crate::release_peers::python;
use crate::workplace::{CONFIG, Sizes, Workplace, write_model};

/// Two runs of one base, of other ranks, scales and targets.
fn two_runs() -> Workplace {
    let place = Workplace::new();
    place.train(&["quantization.kind=none"]).succeeds();
    let second = [
        "quantization.kind=none",
        "output.dir=other",
        "lora.rank=2",
        "lora.alpha=6",
        "train.seed=5",
        "lora.targets=[\"q_proj\", \"down_proj\", \"up_proj\"]",
    ];
    place.train(&second).succeeds();
    place
}

/// What a run adds to each weight.
fn changes(place: &Workplace, run: &str) -> BTreeMap<String, Vec<f32>> {
    let opened = opened(place, run);
    let of = |linear: &rtune_adapters::Linear| {
        Some((format!("{}.weight", linear.name()), merge::delta(linear, &opened.parameters)?))
    };
    opened.decoder.linears().filter_map(of).collect()
}

#[test]
fn adapters_are_summed_or_elected_and_measured_one_by_one() {
    let place = two_runs();
    let (base, one, two) = (tensors(&place.path("model")), changes(&place, "run"), changes(&place, "other"));
    assert!(two.len() < one.len());
    for (out, more, combination) in [
        ("linear", &[][..], Combination::Linear),
        ("ties", &["--combine", "ties", "--density", "0.3"], Combination::Ties { density: 0.3 }),
        ("dare", &["--combine", "dare", "--seed", "7"], Combination::Dare { density: 0.5, seed: 7 }),
    ] {
        let arguments =
            ["merge", "run", out, "--with", "other:-0.5", "--weight", "0.75", "--dtype", "float32"];
        let ran = place.rtune(&[&arguments[..], more].concat());
        ran.succeeds();
        assert!(
            ran.stdout.contains(&format!("other (factor -0.5, {out}) against merged model")),
            "{}",
            ran.stdout
        );
        let written = tensors(&place.path(out));
        for (name, values) in &base {
            let (mut parts, mut factors) = (Vec::new(), Vec::new());
            for (changes, factor) in [(&one, 0.75), (&two, -0.5)] {
                parts.extend(changes.get(name).cloned());
                factors.extend(changes.contains_key(name).then_some(factor));
            }
            let columns = values.len() / rows_of(name);
            let linear = name.trim_end_matches(".weight");
            let change = combine(linear, columns, parts, &factors, combination);
            let sum: Vec<f32> = match change.is_empty() {
                true => values.clone(),
                false => values.iter().zip(&change).map(|(value, change)| value + change).collect(),
            };
            assert_eq!(written[name], sum, "{out} {name}");
        }
        let report = json_of(&place.path(out).join("merge-report.json"));
        let combined = &report["combined"];
        assert_eq!(combined["method"], out);
        assert_eq!(
            combined["density"],
            if out == "linear" { Value::Null } else { json!(if out == "ties" { 0.3 } else { 0.5 }) }
        );
        assert_eq!(combined["seed"], if out == "dare" { json!(7) } else { Value::Null });
        let adapters = combined["adapters"].as_array().expect("a list");
        assert_eq!((&adapters[0]["weight"], &adapters[1]["weight"]), (&json!(0.75), &json!(-0.5)));
        for adapter in adapters {
            let kl = adapter["measured"]["answers"]["kl_mean_nats"].as_f64().expect("a number");
            assert!(kl > 0.0 && adapter["measured"]["answers"]["tokens"].as_u64() > Some(0), "{kl}");
            assert!(adapter["checkpoint"]["adapter_model.safetensors"].is_string());
        }
        assert_eq!(report["measured"], adapters[0]["measured"]);
        assert_eq!((&adapters[0]["run"], &adapters[1]["run"]), (&json!("run"), &json!("other")));
        is_of_both(&place.read(&format!("{out}/README.md")), out);
        let parts_of = |linear: &str| {
            let linears = report["linears"].as_array().expect("a list").iter();
            let found = linears
                .clone()
                .find(|figures| figures["name"].as_str().is_some_and(|name| name.ends_with(linear)));
            found.expect("a linear")["parts"].clone()
        };
        assert!(parts_of("0.self_attn.q_proj")[1].as_f64() > Some(0.0));
        assert_eq!(parts_of("0.self_attn.k_proj")[1], 0.0, "the second has none");
    }
}

/// The card has a section for each run, says how they became one, and claims no figures of either.
fn is_of_both(card: &str, method: &str) {
    for part in [
        "\n- merge\n",
        "| run | LoRA | 0.75 |",
        "| other | LoRA | -0.5 |",
        "## Run: run\n",
        "## Run: other\n",
    ] {
        assert!(card.contains(part), "{part:?} in {card}");
    }
    assert!(card.contains(&format!("combined by `{method}`")), "{card}");
    assert_eq!(
        (card.matches("| rank | 4 |").count(), card.matches("| rank | 2 |").count()),
        (1, 1),
        "{card}"
    );
    assert!(!card.contains("model-index") && !card.contains("## Evaluation"), "{card}");
}

/// Rows of a matrix of the tiny model.
fn rows_of(name: &str) -> usize {
    match name {
        name if name.contains("k_proj") || name.contains("v_proj") => 8,
        name if name.contains("gate_proj") || name.contains("up_proj") => 32,
        _ => 16,
    }
}

#[test]
fn a_factor_makes_one_adapter_weaker() {
    let place = Workplace::new();
    place.train(&["quantization.kind=none"]).succeeds();
    place.rtune(&["merge", "run", "half", "--weight", "0.5", "--dtype", "float32"]).succeeds();
    let (base, one) = (tensors(&place.path("model")), changes(&place, "run"));
    let written = tensors(&place.path("half"));
    let name = "model.layers.1.mlp.down_proj.weight";
    let sum: Vec<f32> =
        base[name].iter().zip(&one[name]).map(|(value, change)| value + change * 0.5).collect();
    assert_eq!(written[name], sum);
    let card = place.read("half/README.md");
    assert!(card.contains("one change, multiplied by 0.5") && !card.contains("model-index"), "{card}");
}

#[test]
fn what_has_no_sum_is_refused_before_anything_is_written() {
    let place = two_runs();
    let refused = |arguments: &[&str], parts: &[&str]| {
        place.rtune(&[&["merge", "run", "out"], arguments].concat()).fails(2, parts);
        assert!(!place.path("out").exists() && place.begun("out").is_empty());
    };
    refused(&["--with", "nowhere"], &["`nowhere` has no checkpoint"]);
    refused(&["--with", "other", "--density", "0.5"], &["--density is for --combine ties"]);
    refused(&["--with", "other", "--combine", "ties", "--seed", "1"], &["--seed is for --combine dare"]);
    refused(&["--with", "other:0"], &["expected a number other than 0"]);
    for (settings, what) in [
        (&["lora.method=dora"][..], "lengths of rows (DoRA)"),
        (&["lora.init=pissa"], "what PiSSA left of the base"),
        (&["lora.modules-to-save=[\"norm\"]"], "whole modules were trained"),
        (&["lora.trainable-tokens=[\"a\"]"], "rows of tokens were trained"),
    ] {
        place.train(&[&["output.dir=odd", "quantization.kind=none"], settings].concat()).succeeds();
        refused(
            &["--with", "odd"],
            &[
                "`odd/checkpoints/step-",
                "` cannot be combined with another adapter",
                what,
                "hint: plain LoRA alone can be that",
            ],
        );
        std::fs::remove_dir_all(place.path("odd")).expect("removed");
    }
    place.write("full.toml", CONFIG.replace("rank = 4", "method = \"full\"").replace("\"run\"", "\"whole\""));
    place.rtune(&["train", "full.toml", "--set", "quantization.kind=none"]).succeeds();
    refused(&["--with", "whole"], &["every number of the base was trained"]);
    place.train(&["output.dir=packed"]).succeeds();
    refused(&["--with", "packed"], &["not held alike", "hint: say which weights"]);
    // Another base of the same shape.
    write_model(&place.path("model"), Sizes { hidden: 32, layers: 2 });
    place.write("config.toml", CONFIG);
    place.train(&["output.dir=stranger", "quantization.kind=none"]).succeeds();
    let moved = Workplace::new();
    let text = moved.path("model").display().to_string();
    place.write(
        "run/config.toml",
        place.read("run/config.toml").replace("base = \"model\"", &format!("base = {text:?}")),
    );
    refused(&["--with", "stranger"], &["were not trained on the same base", "`config.json` is "]);
}

/// Sums and elections by `add_weighted_adapter` of peft, of a rank that loses nothing.
#[test]
fn peft_combines_to_the_same_weights() {
    let Some(python) = python("transformers, peft") else { return };
    let place = two_runs();
    let text = |name: &str| place.path(name).display().to_string();
    place.rtune(&["export", "run", "one"]).succeeds();
    place.rtune(&["export", "other", "two"]).succeeds();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/combined.py");
    for (out, kind, more) in
        [("linear", "svd", &[][..]), ("ties", "ties_svd", &["--combine", "ties", "--density", "0.3"])]
    {
        let arguments =
            ["merge", "run", out, "--with", "other:-0.5", "--weight", "0.75", "--dtype", "float32"];
        place.rtune(&[&arguments[..], more].concat()).succeeds();
        let arguments = [
            text("model"),
            text(out),
            kind.to_owned(),
            "0.3".to_owned(),
            text("one"),
            "0.75".to_owned(),
            text("two"),
            "-0.5".to_owned(),
        ];
        let output = Command::new(&python).arg(&script).args(arguments).output().expect("Python runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("worst difference"),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
