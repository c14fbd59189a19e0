//! What leaves: merged models and bases, as files that are read back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rtune_adapters::{merge, peft};
use rtune_models::{BaseModel, Decoder, Quantization};
use rtune_release::{Chat, Content, Dtype, Layout, NewFolder, Onto, write_model};
use rtune_trainer::subject::{Opened, Subject};
use serde_json::{Value, json};

use crate::gguf;
use crate::reference::{self, cases, document, logits};
use crate::workplace::{CONFIG, Sizes, Workplace, write_model as write_tiny};

/// Token ids that stand for any text.
const TOKENS: [u32; 12] = [256, 40, 41, 90, 7, 12, 257, 200, 3, 3, 99, 255];

pub(crate) fn opened(place: &Workplace, run: &str) -> Opened {
    let text = |path: &Path| path.to_str().expect("a path").to_owned();
    let base = format!("model.base={}", text(&place.path("model")));
    let subject = Subject::find(&text(&place.path(run)), &[base]).expect("a run");
    subject.open(&place.path("model"), &mut |_, _| {}).expect("opened")
}

pub(crate) fn read_back(folder: &Path) -> (BaseModel, Decoder) {
    let base = rtune_models::open(folder).expect("a model's folder");
    let decoder = Decoder::load(&base.config, base.weights.as_ref(), Quantization::None, &mut |_, _| {});
    (base, decoder.expect("a decoder"))
}

pub(crate) fn logits_of(decoder: &Decoder, parameters: &[f32]) -> Vec<f32> {
    logits(decoder, parameters, &document(TOKENS.to_vec(), vec![false; TOKENS.len()]))
}

/// The decoder of a run with its adapter in the weights as they stand in memory.
pub(crate) fn merged_in_memory(mut opened: Opened) -> Decoder {
    for linear in opened.decoder.linears_mut() {
        let weight = merge::merged(linear, &opened.parameters);
        linear.set_weight(weight);
        linear.lora = None;
    }
    opened.decoder
}

pub(crate) fn furthest(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

pub(crate) fn tensors(folder: &Path) -> BTreeMap<String, Vec<f32>> {
    let weights = rtune_models::SafetensorsFolder::open(folder).expect("weights");
    use rtune_models::WeightSource;
    let read = |name: String| (name.clone(), weights.read(&name).expect("readable").into_f32());
    weights.names().into_iter().map(read).collect()
}

pub(crate) fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("there")).expect("JSON")
}

#[test]
fn a_merged_folder_is_the_model_that_was_merged_in_memory() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    let ran = place.rtune(&["merge", "run", "out", "--dtype", "float32"]);
    ran.succeeds();
    assert!(
        ran.stdout.contains("float32, onto the NF4 base it was trained beside, dequantised -> out"),
        "{}",
        ran.stdout
    );
    let run = opened(&place, "run");
    let with_adapter = logits_of(&run.decoder, &run.parameters);
    let in_memory = logits_of(&merged_in_memory(run), &[]);
    let (base, decoder) = read_back(&place.path("out"));
    let written = logits_of(&decoder, &[]);
    assert_eq!(written, in_memory, "the same bits");
    assert!(furthest(&written, &with_adapter) < 1e-4, "{}", furthest(&written, &with_adapter));
    assert!(base.weights.shape("lm_head.weight").is_none(), "a tied head is written once");

    let report = json_of(&place.path("out/merge-report.json"));
    let mut norms: Vec<(f64, &str)> = report["linears"]
        .as_array()
        .expect("linears")
        .iter()
        .map(|linear| {
            (linear["delta_norm"].as_f64().expect("a norm"), linear["name"].as_str().expect("a name"))
        })
        .collect();
    norms.sort_by(|a, b| b.0.total_cmp(&a.0));
    let largest: Vec<String> = norms[..3].iter().map(|(norm, name)| format!("`{name}` {norm:.3e}")).collect();
    let line = format!("largest changes of 14 linears, by norm: {}; median ", largest.join(", "));
    assert!(ran.stdout.contains(&line), "{line} in {}", ran.stdout);
    assert_eq!((&report["onto"], &report["trained_on"]), (&json!("dequantized"), &json!("nf4, double")));
    assert_eq!(report["linears"].as_array().map(Vec::len), Some(14));
    let answers = &report["measured"]["answers"];
    assert!(answers["kl_mean_nats"].as_f64().expect("a number") < 1e-9, "{answers}");
    assert_eq!(answers["top1_agreement"], 1.0);
    assert!(
        answers["tokens"].as_u64() > Some(0) && report["measured"]["prompts"]["tokens"].as_u64() > Some(0)
    );
    assert_eq!(report["rounding"]["changed"], 0);

    // The base's own weights are others: the choice is one, and is measured.
    place.rtune(&["merge", "run", "original", "--onto", "original"]).succeeds();
    let report = json_of(&place.path("original/merge-report.json"));
    assert_eq!((&report["onto"], &report["dtype"]), (&json!("original"), &json!("float32")));
    assert!(report["measured"]["answers"]["kl_mean_nats"].as_f64().expect("a number") > 1e-6, "{report}");
    let (before, after, others) =
        (tensors(&place.path("model")), tensors(&place.path("original")), tensors(&place.path("out")));
    let q = "model.layers.1.self_attn.q_proj.weight";
    let delta = merge::delta(
        opened(&place, "run")
            .decoder
            .linears()
            .find(|l| l.name() == q.trim_end_matches(".weight"))
            .expect("q"),
        &opened(&place, "run").parameters,
    );
    let sums: Vec<f32> = before[q].iter().zip(delta.expect("adapted")).map(|(w, d)| w + d).collect();
    assert_eq!(after[q], sums);
    assert_ne!(after[q], others[q]);
    assert_eq!(after["model.embed_tokens.weight"], before["model.embed_tokens.weight"]);
    assert_eq!(others["model.norm.weight"], before["model.norm.weight"]);
}

#[test]
fn every_number_is_rounded_once_and_shards_hold_the_same() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    let export = |out: &str, more: &[&str]| {
        place.rtune(&[&["export", "run", out, "--format", "safetensors"], more].concat()).succeeds();
    };
    export("exact", &[]);
    export("rounded", &["--dtype", "bfloat16", "--shard-size", "10KB"]);
    export("half", &["--dtype", "float16"]);
    assert!(!place.path("exact/merge-report.json").exists(), "an export is not measured");
    let (exact, rounded, half) =
        (tensors(&place.path("exact")), tensors(&place.path("rounded")), tensors(&place.path("half")));
    // Rounding by integers: bfloat16 is the upper half of the bits.
    let nearest = |value: f32| {
        let bits = value.to_bits();
        f32::from_bits((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff_0000)
    };
    for (name, values) in &exact {
        let expected: Vec<f32> = values.iter().map(|&value| nearest(value)).collect();
        assert_eq!(rounded[name], expected, "{name}");
        let worst = values.iter().zip(&half[name]).map(|(v, h)| (v - h).abs() / v.abs().max(1e-4));
        assert!(worst.fold(0.0, f32::max) <= 1.0 / 2048.0, "{name}");
    }
    let index = json_of(&place.path("rounded/model.safetensors.index.json"));
    let total: usize = exact.values().map(Vec::len).sum();
    assert_eq!(index["metadata"], json!({"total_parameters": total, "total_size": 2 * total}));
    assert_eq!(index["weight_map"].as_object().map(serde_json::Map::len), Some(exact.len()));
    let config = json_of(&place.path("rounded/config.json"));
    assert_eq!(config["torch_dtype"], "bfloat16");
    let (_, decoder) = read_back(&place.path("rounded"));
    let (_, reference) = read_back(&place.path("exact"));
    let off = furthest(&logits_of(&decoder, &[]), &logits_of(&reference, &[]));
    assert!(off > 0.0 && off < 0.2, "{off}");
}

/// Untied heads, biases, patterns of ranks and rank-stabilised scales: against what peft's `merge_and_unload` computes.
#[test]
fn merged_folders_compute_what_peft_merges() {
    let place = Workplace::new();
    let tokenizer = fs::read(place.path("model/tokenizer.json")).expect("there");
    let (paths, _) = cases();
    for path in &paths {
        let case = reference::Case::open(path, Quantization::None);
        let folder = place.path(&case.name);
        fs::create_dir(&folder).expect("made");
        for name in ["config.json", "model.safetensors"] {
            fs::copy(path.join(name), folder.join(name)).expect("copied");
        }
        fs::write(folder.join("tokenizer.json"), &tokenizer).expect("written");
        let base = rtune_models::open(&folder).expect("a base");
        let adapter = peft::read(&path.join("adapter")).expect("an adapter");
        let content = Content::Merged {
            adapter: &adapter,
            initial: None,
            trained_on: Quantization::None,
            onto: Onto::Original,
        };
        let layout = Layout { dtype: Dtype::Float32, shard_bytes: 40_000, packing: None };
        let out = place.path(&format!("{}-merged", case.name));
        let new = NewFolder::begin(&out).expect("begun");
        let chat = Chat { template: None, end_of_turn: None, stop_tokens: &[] };
        write_model(&new, &base, content, layout, chat, &[], &mut |_, _| {}).expect("written");
        new.finish().expect("finished");
        let (written, decoder) = read_back(&out);
        let head = format!("{}.weight", written.config.family.names.head);
        assert_eq!(written.weights.names().contains(&head), !written.config.tie_word_embeddings, "{head}");
        let got: Vec<f32> = case.rows().iter().flat_map(|row| logits(&decoder, &[], row)).collect();
        let expected = case.floats("merged.logits");
        let largest = expected.iter().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
        assert!(furthest(&got, &expected) <= 1e-5 * largest, "{}", case.name);
        let before = logits(&case.decoder, &vec![0.0; case.parameters.flat().len()], &case.rows()[0]);
        assert!(furthest(&got[..before.len()], &before) > 1e-2 * largest, "{}: it does something", case.name);
    }
}

#[test]
fn a_base_that_came_as_gguf_goes_out_whole() {
    let place = Workplace::new();
    write_tiny(&place.path("model"), Sizes { hidden: 32, layers: 2 });
    gguf::write(&place.path("model"), &place.path("m.gguf"));
    place.write("config.toml", CONFIG.replace("\"model\"", "\"m.gguf\""));
    place.train(&["model.base=m.gguf"]).succeeds();

    let ran = place.rtune(&["export", "run", "base", "--base-only"]);
    ran.succeeds();
    assert!(ran.stdout.contains("m.gguf as float32, every number as it was -> base"), "{}", ran.stdout);
    let came = rtune_models::open(&place.path("m.gguf")).expect("a base");
    let (went, decoder) = read_back(&place.path("base"));
    assert_eq!(went.config, came.config);
    assert_eq!((&went.special, &went.chat_template), (&came.special, &came.chat_template));
    let text = "A letter? <|im_start|>Ünïcode\n\n  <|im_end|>";
    let ids = |base: &BaseModel| base.tokenizer.encode(text, false).expect("encoded").get_ids().to_vec();
    assert_eq!(ids(&went), ids(&came));
    let gguf_decoder = Decoder::load(&came.config, came.weights.as_ref(), Quantization::None, &mut |_, _| {})
        .expect("a decoder");
    assert_eq!(logits_of(&decoder, &[]), logits_of(&gguf_decoder, &[]), "the same bits");
    // Q8_0 with these scales has more bits than bfloat16 here and there.
    let ran = place.rtune(&["export", "m.gguf", "rounded", "--base-only", "--dtype", "bfloat16"]);
    ran.succeeds();
    assert!(ran.stdout.contains(" numbers rounded, by 0."), "{}", ran.stdout);

    place.rtune(&["merge", "run", "merged"]).succeeds();
    let report = json_of(&place.path("merged/merge-report.json"));
    assert_eq!(report["dtype"], "bfloat16");
    assert!(report["rounding"]["changed"].as_u64() > Some(0));
    let kl = report["measured"]["answers"]["kl_mean_nats"].as_f64().expect("a number");
    assert!(kl > 0.0 && kl < 1e-2, "{kl}");
    let generation = json_of(&place.path("merged/generation_config.json"));
    assert_eq!(generation["eos_token_id"], 257);
}

#[test]
fn files_beside_the_weights_are_the_base_s_but_for_what_training_settled() {
    let place = Workplace::new();
    place.write("model/notes.json", "{\"a\":  1}");
    place.write("model/LICENSE", "as you like");
    place.write("model/pytorch_model.bin.index.json", "{}");
    place.write("model/README.md", "the base");
    place.write("model/generation_config.json", "{\"eos_token_id\": 0, \"temperature\": 0.6}");
    let config = place.read("model/config.json");
    let edited = config.replacen(
        '{',
        "{\"dtype\": \"float32\", \"unknown_key\": [1], \"quantization_config\": null, \"auto_map\": {\"AutoModel\": \"m.M\"}, ",
        1,
    );
    place.write("model/config.json", edited);
    let template = place.read("model/tokenizer_config.json");
    let template: Value = serde_json::from_str(&template).expect("JSON");
    let template =
        template["chat_template"].as_str().expect("a template").replace("message['role']", "message.role");
    place.write("own.jinja", &template);
    place.train(&["data.template=own.jinja"]).succeeds();
    place.rtune(&["export", "run", "out", "--format", "safetensors", "--dtype", "bfloat16"]).succeeds();
    for name in ["notes.json", "LICENSE", "tokenizer.json"] {
        assert_eq!(place.read(&format!("out/{name}")), place.read(&format!("model/{name}")), "{name}");
    }
    assert!(!place.path("out").join("pytorch_model.bin.index.json").exists());
    let card = place.read("out/README.md");
    assert!(
        card.contains("library_name: transformers\n") && !card.contains("the base\n"),
        "a card of its own: {card}"
    );
    let config = json_of(&place.path("out/config.json"));
    assert_eq!((&config["dtype"], &config["unknown_key"]), (&json!("bfloat16"), &json!([1])));
    assert!(config.get("quantization_config").is_none() && config.get("torch_dtype").is_none());
    assert!(config.get("auto_map").is_none(), "code that does not go with it");
    assert_eq!(place.read("out/chat_template.jinja"), template);
    assert_eq!(json_of(&place.path("out/tokenizer_config.json"))["chat_template"], template);
    // The base does not name the token that ends an answer here; without it answers would never stop.
    let generation = json_of(&place.path("out/generation_config.json"));
    assert_eq!(generation, json!({"eos_token_id": [0, 257], "temperature": 0.6}));

    place.rtune(&["export", "run", "adapter"]).succeeds();
    assert_eq!(place.read("adapter/chat_template.jinja"), template);
    assert_eq!(place.read("adapter/tokenizer.json"), place.read("model/tokenizer.json"));
    assert!(!place.path("adapter/config.json").exists(), "an adapter is not a model");
    // Away from its run a checkpoint does not say how the base was held.
    fs::create_dir(place.path("kept")).expect("made");
    for file in fs::read_dir(place.path("run/last/")).expect("read").flatten() {
        fs::copy(file.path(), place.path("kept").join(file.file_name())).expect("copied");
    }
    let away = |more: &[&str]| {
        place.rtune(
            &[&["export", "kept", "away", "--format", "safetensors", "--set", "model.base=model"], more]
                .concat(),
        )
    };
    away(&[]).fails(2, &["how the base was held while `kept` was trained", "hint: name the run"]);
    away(&["--onto", "original"]).succeeds();
    // The template of the run is gone: what would be written beside the weights is another.
    place.write("own.jinja", "{{ messages[0].content }}");
    place
        .rtune(&["export", "run", "other", "--format", "safetensors"])
        .fails(2, &["chat template", "hint: "]);
}
