//! What is trained beside adapters, and in their place: biases, whole modules, rows of tokens, every number.

use std::fs;

use rtune_adapters::{Alongside, Biases, LoraConfig, Parameters, Targets};
use rtune_data::PackedRow;
use rtune_kernels::arena::Arena;
use rtune_models::{Decoder, Quantization, SavePolicy};
use rtune_trainer::loss;

use crate::reference::{Case, opened};
use crate::workplace::Workplace;

/// Gives every trained number of `decoder` a slope, and holds one number of each tensor against finite differences.
fn agrees(name: &str, decoder: &Decoder, parameters: &mut Parameters<f64>, row: &PackedRow) {
    const STEP: f64 = 1e-4;
    let arena = Arena::new();
    // Zeros of `lora_B` would hide the gradients of `lora_A`.
    for (index, value) in parameters.flat_mut().iter_mut().enumerate() {
        *value += 0.02 * (index as f64 + 0.5).sin();
    }
    let pass = |flat: &[f64], policy, gradients: &mut [f64]| {
        loss::accumulate(decoder, flat, row, None, 1.0, policy, gradients, &arena).nats
    };
    let mut flat = parameters.flat().to_vec();
    let mut gradients = vec![0.0; flat.len()];
    pass(&flat, SavePolicy::All, &mut gradients);
    let mut again = vec![0.0; flat.len()];
    pass(&flat, SavePolicy::InputOnly, &mut again);
    assert!(gradients == again, "{name}: save policies");
    for entry in parameters.entries() {
        let tensor = &gradients[entry.range.clone()];
        let (largest, place) =
            tensor.iter().enumerate().fold((0.0_f64, 0), |(most, at), (index, gradient)| {
                if gradient.abs() > most { (gradient.abs(), index) } else { (most, at) }
            });
        for at in [entry.range.start + place, entry.range.start + tensor.len() / 2] {
            let old = flat[at];
            let mut at_offset = |offset: f64| {
                flat[at] = old + offset;
                let mut unused = vec![0.0; flat.len()];
                pass(&flat, SavePolicy::InputOnly, &mut unused)
            };
            let slope = (at_offset(STEP) - at_offset(-STEP)) / (2.0 * STEP);
            flat[at] = old;
            let error = (slope - gradients[at]).abs() / largest.max(1e-3);
            assert!(error < 1e-5, "{name}: {}: {slope} {} ({error:e})", entry.name, gradients[at]);
        }
    }
}

fn cases() -> impl Iterator<Item = (Case, PackedRow)> {
    opened(Quantization::None).map(|case| {
        let row = crate::reference::join(&case.rows());
        (case, row)
    })
}

/// The names of embedding and head in the checkpoint, and whether there is a head.
fn tables(case: &Case) -> (&'static str, &'static str, bool) {
    let spec = case.decoder.spec();
    (spec.names.embedding, spec.names.head, !spec.tied_head)
}

#[test]
fn gradients_of_biases_modules_and_rows_agree_with_finite_differences() {
    for (case, row) in cases() {
        let (embedding, head, untied) = tables(&case);
        let norm = case.decoder.spec().names.final_norm;
        let whole = if untied { vec![embedding, head, norm] } else { vec![embedding, norm] };
        let mut tokens = row.tokens[..4].to_vec();
        tokens.sort_unstable();
        tokens.dedup();
        let modules = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        for alongside in [
            Alongside { modules: modules(whole), ..Alongside::default() },
            Alongside { tokens: tokens.clone(), of_head: true, ..Alongside::default() },
            Alongside { biases: Biases::All, tokens, ..Alongside::default() },
            Alongside { biases: Biases::Adapted, ..Alongside::default() },
        ] {
            let biases = alongside.biases;
            let config = LoraConfig { alongside, ..LoraConfig::new(2, 4.0) };
            let mut decoder = case.decoder.clone();
            match decoder.attach_lora(&config) {
                Ok(mut parameters) => agrees(&case.name, &decoder, &mut parameters, &row),
                // A family without a bias says so.
                Err(error) => assert!(
                    biases != Biases::None && error.to_string().contains("the model has none there"),
                    "{}: {error}",
                    case.name
                ),
            }
        }
    }
}

#[test]
fn gradients_of_every_number_agree_with_finite_differences() {
    let mut trained = 0;
    for (mut case, row) in cases() {
        match case.decoder.train_all() {
            Ok(mut parameters) => {
                assert_eq!(parameters.flat().len(), case.decoder.parameter_count(), "{}", case.name);
                agrees(&case.name, &case.decoder, &mut parameters, &row);
                trained += 1;
            }
            Err(error) => assert!(error.to_string().contains("model with experts"), "{}: {error}", case.name),
        }
    }
    assert!(trained > 0);
}

#[test]
fn what_the_model_does_not_have_is_refused_by_name() {
    let (mut case, _) = cases()
        .find(|(case, _)| case.decoder.spec().names.embedding == "model.embed_tokens")
        .expect("a case");
    let mut refused = |alongside: Alongside| {
        let config = LoraConfig { alongside, ..LoraConfig::new(2, 4.0) };
        case.decoder.attach_lora::<f32>(&config).expect_err("refused").to_string()
    };
    let named = refused(Alongside { modules: vec!["lm_heads".into()], ..Alongside::default() });
    assert!(named.contains("is called `lm_heads`; there are `model.embed_tokens`"), "{named}");
    let beyond = refused(Alongside { tokens: vec![1, 1 << 20], ..Alongside::default() });
    assert!(beyond.contains("token 1048576 is to be trained, but the model has"), "{beyond}");
    let twice = Alongside { tokens: vec![1], modules: vec!["embed_tokens".into()], ..Alongside::default() };
    assert!(refused(twice).contains("rows of `model.embed_tokens` are to be trained, and all of it"));
    let targets = Targets::Names(vec!["q_proj".into()]);
    let one = LoraConfig { targets, ..LoraConfig::new(2, 4.0) };
    let parameters = case.decoder.attach_lora::<f32>(&one).expect("adapters");
    assert!(parameters.entries().iter().all(|entry| entry.name.contains("q_proj.lora_")));
}

/// Every way of training goes on where it was stopped, and what it leaves is read by every verb.
#[test]
fn runs_of_every_kind_go_on_with_the_same_bytes_and_are_merged() {
    const PLAIN: &str = "quantization.kind=none";
    for (settings, file) in [
        (&["lora.modules-to-save=[\"embed_tokens\", \"norm\"]"][..], "adapter_model.safetensors"),
        (&["lora.trainable-tokens=[\"a\", \"b\"]", "lora.dropout=0.1"], "adapter_model.safetensors"),
        (&["lora.new-tokens=[\"<|ticket|>\"]"], "adapter_model.safetensors"),
        (&["lora.init=loftq"], "adapter_model.safetensors"),
        (&["lora.init=loftq", "lora.targets=[\"q_proj\"]"], "initial.safetensors"),
        (&["lora.init=pissa", "lora.scaling=rank-stabilized"], "adapter_model.safetensors"),
        (&["lora.init=pissa", PLAIN], "initial.safetensors"),
        (&["quantization.kind=int8"], "adapter_model.safetensors"),
        (&["lora.method=full", PLAIN, "train.learning-rate=1e-4"], "model.safetensors"),
    ] {
        let (whole, parts) = (Workplace::new(), Workplace::new());
        for place in [&whole, &parts] {
            // The configuration names rank and targets, which full fine-tuning has none of.
            if settings[0].contains("full") {
                place.write("config.toml", without_lora());
            }
        }
        let with = |place: &Workplace, more: &[&str]| place.train(&[settings, more].concat()).ends();
        with(&whole, &["train.schedule=constant"]);
        with(&parts, &["train.schedule=constant", "train.steps=3"]);
        let mut resume = vec!["train", "config.toml", "--resume", "--set", "train.schedule=constant"];
        settings.iter().for_each(|setting| resume.extend(["--set", setting]));
        parts.rtune(&resume).ends();
        let last = "run/checkpoints/step-000006";
        for file in [file, "optimizer.safetensors"] {
            let bytes = |place: &Workplace| std::fs::read(place.path(last).join(file)).expect("readable");
            assert!(bytes(&whole) == bytes(&parts), "{settings:?}: {file}");
        }
        let merged = whole.rtune(&["merge", "run", "merged", "--dtype", "float32"]);
        merged.succeeds();
        // The merged model is the trained one: the figures of the measurement say so.
        let report = std::fs::read_to_string(whole.path("merged/merge-report.json")).expect("a report");
        let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
        let kl = report["measured"]["answers"]["kl_mean_nats"].as_f64().expect("a figure");
        assert!(kl < 1e-9, "{settings:?}: {kl:e}\n{}", merged.stdout);
        if settings[0].contains("full") {
            let refused = whole.rtune(&["export", "run", "adapter"]);
            refused.fails(2, &["there is no adapter"]);
            whole.rtune(&["generate", "run", "Letter 3?"]).succeeds();
            continue;
        }
        whole.rtune(&["export", "run", "adapter"]).succeeds();
        whole.rtune(&["generate", "adapter", "Letter 3?", "--set", "model.base=model"]).succeeds();
        whole.rtune(&["generate", "run", "Letter 3?"]).succeeds();
    }
}

fn without_lora() -> String {
    let config = crate::workplace::CONFIG;
    let start = config.find("[lora]").expect("the section");
    let end = start + config[start..].find("\n[").expect("another section");
    format!("{}[lora]{}", &config[..start], &config[end..])
}

/// What is wrong with a target is found when the base is there; the folder can be used again then.
#[test]
fn a_target_that_is_not_there_leaves_no_run_behind() {
    let place = Workplace::new();
    place.train(&["lora.targets=[\"q_prj\"]"]).fails(2, &["is called `q_prj`"]);
    place.train(&["lora.modules-to-save=[\"lm_heads\"]"]).fails(2, &["is called `lm_heads`"]);
    place.train(&[]).succeeds();
}

#[test]
fn full_training_of_a_quantised_base_is_refused() {
    let place = Workplace::new();
    place.write("config.toml", without_lora());
    let quantised = place.train(&["lora.method=full"]);
    quantised.fails(2, &["`lora.method`", "quantization.kind"]);
    place.train(&["lora.method=full", "lora.rank=4"]).fails(2, &["`lora.rank`"]);
    let unknown = place.train(&["lora.trainable-tokens=[\"<|none|>\"]"]);
    unknown.fails(2, &["the tokenizer has no token `<|none|>`"]);
    place.train(&["lora.new-tokens=[\"a\"]"]).fails(2, &["`a` is a token of the base already"]);
}

/// The rows of new tokens are by their ids: an adapter goes on with the tokens that it had, and with no others.
#[test]
fn an_adapter_goes_on_with_the_new_tokens_that_it_had() {
    const ONE: &str = "lora.new-tokens=[\"<|ticket|>\"]";
    const TWO: &str = "lora.new-tokens=[\"<|ticket|>\", \"<|order|>\"]";
    const TURNED: &str = "lora.new-tokens=[\"<|order|>\", \"<|ticket|>\"]";
    let place = Workplace::new();
    for (run, tokens) in [("plain", None), ("one", Some(ONE)), ("two", Some(TWO))] {
        let folder = format!("output.dir={run}");
        place.train(&[&[folder.as_str()], tokens.as_slice()].concat()).ends();
    }
    let go_on = |from: &str, into: &str, tokens: Option<&str>| {
        let (from, folder) = (format!("lora.from={from}"), format!("output.dir={into}"));
        place.train(&[&[from.as_str(), &folder], tokens.as_slice()].concat())
    };
    let write_one = "write `lora.new-tokens = [\"<|ticket|>\"]`";
    for (from, tokens, parts) in [
        ("one/last", None, ["was trained with the new tokens [\"<|ticket|>\"]", write_one]),
        ("one/last", Some(TWO), ["`lora.new-tokens` is [\"<|ticket|>\", \"<|order|>\"]", write_one]),
        (
            "two/last",
            Some(TURNED),
            ["`two/last`", "write `lora.new-tokens = [\"<|ticket|>\", \"<|order|>\"]`"],
        ),
        ("plain/last", Some(ONE), ["with the new tokens []", "leave `lora.new-tokens` out"]),
    ] {
        go_on(from, "next", tokens).fails(2, &parts);
    }
    go_on("plain/last", "plain-next", None).ends();
    go_on("one/last", "one-next", Some(ONE)).ends();
    go_on("two/last", "two-next", Some(TWO)).ends();
    // What was learnt of a token goes on from there.
    let row = |run: &str| {
        let tensors = crate::loftq::read(&place.path(run).join("last/adapter_model.safetensors"));
        tensors["model.embed_tokens.token_adapter.trainable_tokens_delta"].1.clone()
    };
    assert_ne!(row("one"), row("one-next"));
    // PEFT says ids alone.
    place.rtune(&["export", "one", "own"]).succeeds();
    fs::remove_file(place.path("own/new_tokens.json")).expect("removed");
    go_on("own", "next", Some(TWO)).fails(2, &["`own` was trained with the new tokens [\"<|ticket|>\"]"]);
    go_on("own", "next", Some(ONE)).ends();
}

/// An embedding that one run trained is not the one that the next begins with.
#[test]
fn seeds_that_train_an_embedding_are_runs_alone() {
    const WHOLE: &str = "lora.modules-to-save=[\"embed_tokens\"]";
    let place = Workplace::new();
    place.rtune(&["train", "config.toml", "--seeds", "2", "--set", WHOLE]).ends();
    place.train(&[WHOLE, "output.dir=alone", "train.seed=1"]).ends();
    let bytes = |run: &str| fs::read(place.path(run).join("last/adapter_model.safetensors")).expect("there");
    assert!(bytes("run-seed-1") == bytes("alone"));
    assert!(bytes("run") != bytes("alone"));
}
