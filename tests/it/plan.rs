//! `rtune plan`: what it says is what the run does.

use std::fs;

use rtune_models::{DecoderSpec, ModelConfig};
use serde_json::{Value, json};

use crate::workplace::{Ran, Sizes, Workplace, write_model};

#[track_caller]
fn report(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.stdout, ran.stderr))
}

fn planned(place: &Workplace, arguments: &[&str]) -> Value {
    let ran = place.rtune(&[&["plan", "config.toml", "--json"], arguments].concat());
    ran.succeeds();
    report(&ran)
}

#[test]
fn steps_and_tokens_are_those_of_the_run() {
    let place = Workplace::new();
    for sets in [&["train.epochs=2"][..], &["train.epochs=1", "train.tokens-per-step=150"]] {
        let mut arguments: Vec<&str> = vec!["--no-probe"];
        sets.iter().for_each(|set| arguments.extend(["--set", set]));
        let plan = planned(&place, &arguments);
        let trained = place.train(&[sets, &["output.dir=run"]].concat());
        trained.succeeds();
        let metrics = place.read("run/metrics.jsonl");
        let lines: Vec<Value> =
            metrics.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let steps: Vec<&Value> = lines.iter().filter(|line| line["train_loss_nats"].is_number()).collect();
        let evaluations = lines.iter().filter(|line| line["validation_loss_nats"].is_number()).count();
        let sum = |key: &str| steps.iter().filter_map(|line| line[key].as_u64()).sum::<u64>();
        assert_eq!(plan["run"]["steps"], steps.len());
        assert_eq!(plan["run"]["tokens"], sum("tokens"));
        assert_eq!(plan["run"]["supervised_tokens"], sum("supervised_tokens"));
        assert_eq!(plan["run"]["evaluations"], evaluations);
        assert!(plan["run"]["computed_tokens"].as_u64() < plan["run"]["tokens"].as_u64(), "rows begin alike");
        let last = steps.last().expect("a step")["epoch"].as_f64().expect("a number");
        assert!((plan["run"]["epochs"].as_f64().expect("a number") - last).abs() < 1e-9);
        assert!(plan["time"].is_null());
        fs::remove_dir_all(place.path("run")).expect("removed");
    }
}

#[test]
fn a_step_is_tried_and_has_its_price() {
    let place = Workplace::new();
    let plan = planned(&place, &["--price-per-hour", "3600"]);
    let seconds = plan["time"]["run_s"].as_f64().expect("seconds");
    assert!(seconds > 0.0 && plan["time"]["tokens_per_s"].as_f64() > Some(0.0), "{plan}");
    assert!((plan["price"].as_f64().expect("a price") - seconds).abs() < 1e-6 * seconds, "one a second");
    let ran = place.rtune(&["plan", "config.toml", "--price-per-hour", "1.5"]);
    ran.succeeds();
    for part in ["weights of the base", "moments of AdamW", "at the most", "6 steps", "at 1.5 an hour"] {
        assert!(ran.stdout.contains(part), "{part} in {}", ran.stdout);
    }
    assert!(!place.path("run").exists(), "nothing is written");
}

/// A base is read as the run reads it, whose time that is.
#[test]
fn a_step_is_tried_on_linears_that_are_kept() {
    let place = Workplace::new();
    let kept = || fs::read_dir(place.path("cache/quantized")).map_or(0, |files| files.count());
    planned(&place, &[]);
    assert_eq!(kept(), 0);
    planned(&place, &["--set", "model.cache-quantized=true"]);
    assert_eq!(kept(), 1);
}

#[test]
fn headers_and_a_tokenizer_suffice() {
    let place = Workplace::new();
    let whole = planned(&place, &["--no-probe"]);
    let path = place.path("model").join("model.safetensors");
    let bytes = fs::read(&path).expect("weights");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    fs::write(&path, &bytes[..8 + length]).expect("written");
    assert_eq!(without_free_memory(planned(&place, &["--no-probe"])), without_free_memory(whole.clone()));
    let ran = place.rtune(&["plan", "config.toml", "--json"]);
    ran.succeeds();
    assert!(
        ran.stderr.contains("note: no step was tried") && ran.stderr.contains("truncated"),
        "{}",
        ran.stderr
    );
    assert!(report(&ran)["time"].is_null());
    // Without a tokenizer rows are as long as they may be.
    fs::remove_file(place.path("model").join("tokenizer.json")).expect("removed");
    let ran = place.rtune(&["plan", "config.toml", "--json"]);
    ran.succeeds();
    assert!(
        ran.stderr.contains("rows are taken to be as long as `data.max-tokens` allows"),
        "{}",
        ran.stderr
    );
    let bare = report(&ran);
    assert!(bare["run"].is_null());
    assert_eq!(bare["memory"]["base_bytes"], whole["memory"]["base_bytes"]);
    assert!(bare["memory"]["peak_bytes"].as_u64() > whole["memory"]["peak_bytes"].as_u64());
}

/// What two plans share whatever else the machine does.
fn without_free_memory(mut plan: Value) -> Value {
    plan["memory"]["allowed_bytes"] = Value::Null;
    plan
}

#[test]
fn what_cannot_fit_is_refused_with_what_would() {
    let place = Workplace::new();
    write_model(&place.path("model"), Sizes { hidden: 256, layers: 6 });
    let plan = |arguments: &[&str]| {
        let shared = ["plan", "config.toml", "--no-probe", "--json", "--set", "quantization.kind=none"];
        let ran = place.rtune(&[&shared, arguments].concat());
        (report(&ran), ran)
    };
    let (all, _) = plan(&["--memory-gib", "8"]);
    assert_eq!((&all["fits"], &all["save_activations"]), (&json!(true), &json!("all")));
    let peak = |plan: &Value| plan["memory"]["peak_bytes"].as_u64().expect("bytes");
    let gib = |bytes: u64| format!("{:.9}", bytes as f64 / f64::from(1 << 30));
    // A little less than everything takes: as many blocks as may be keep all, the others their inputs.
    let (most, _) = plan(&["--memory-gib", &gib(peak(&all) - 1000)]);
    assert_eq!((&most["fits"], &most["save_activations"]), (&json!(true), &json!("all of the last 5")));
    assert!(peak(&most) < peak(&all));
    let (inputs, _) = plan(&["--memory-gib", "8", "--set", "train.save-activations=input-only"]);
    assert_eq!((&inputs["fits"], &inputs["save_activations"]), (&json!(true), &json!("input-only")));
    assert!(peak(&inputs) < peak(&all));
    // Less than that: another micro-batch or four bits, and with these it fits.
    let memory = gib(peak(&inputs) - (1 << 20));
    let (refused, ran) = plan(&["--memory-gib", &memory]);
    ran.fails(2, &["error: the run takes", "hint: --set "]);
    assert_eq!(refused["fits"], false);
    let sets: Vec<String> =
        serde_json::from_value(refused["would_fit"]["set"].clone()).expect("a list of overrides");
    let mut again = vec!["--memory-gib", memory.as_str()];
    sets.iter().for_each(|set| again.extend(["--set", set.as_str()]));
    let (fitting, ran) = plan(&again);
    ran.succeeds();
    assert_eq!(fitting["fits"], true);
    assert_eq!(fitting["memory"]["peak_bytes"], refused["would_fit"]["peak_bytes"]);
    // And what nothing helps is said to be so.
    let (_, ran) = plan(&["--memory-gib", "0.01"]);
    ran.fails(2, &["error: the run takes", "hint: nothing that the configuration can say makes it fit"]);
}

#[test]
fn what_is_trained_whole_is_counted() {
    let place = Workplace::new();
    let trained = |sets: &[&str]| {
        let mut arguments = vec!["--no-probe"];
        sets.iter().for_each(|set| arguments.extend(["--set", set]));
        let plan = planned(&place, &arguments);
        let numbers = plan["memory"]["trained_parameters"].as_u64().expect("a number");
        let ran = place.train(&[sets, &["train.steps=1"]].concat());
        ran.succeeds();
        let text = ran.stdout.replace(',', "");
        assert!(text.contains(&format!("trainable: {numbers} of ")), "{sets:?}: {numbers} in {text}");
        fs::remove_dir_all(place.path("run")).expect("removed");
        numbers
    };
    let plain = trained(&[]);
    assert_eq!(trained(&["lora.modules-to-save=[\"embed_tokens\"]"]), plain + 258 * 16);
    assert!(trained(&["lora.method=dora"]) > plain);
    assert_eq!(trained(&["lora.trainable-tokens=[\"<|im_end|>\"]"]), plain + 16);
    assert!(trained(&["lora.new-tokens=[\"<new>\"]"]) > plain);
}

#[test]
fn shorter_rows_are_proposed_where_nothing_else_helps() {
    let place = Workplace::new();
    write_model(&place.path("model"), Sizes { hidden: 256, layers: 6 });
    let row = |number: usize| {
        let text = "no. ".repeat(20 + 100 * (number % 2));
        format!("{{\"instruction\": \"Say it {number}.\", \"input\": \"\", \"output\": \"{text}\"}}\n")
    };
    place.write("train.jsonl", (0..24).map(row).collect::<String>());
    let least =
        ["train.save-activations=input-only", "data.max-tokens=512", "lora.rank=4", "data.validation=0"];
    let plan = |memory: &str, more: &[String]| {
        let mut arguments = vec!["plan", "config.toml", "--no-probe", "--json", "--memory-gib", memory];
        least.iter().for_each(|set| arguments.extend(["--set", set]));
        more.iter().for_each(|set| arguments.extend(["--set", set]));
        let ran = place.rtune(&arguments);
        (report(&ran), ran)
    };
    let (whole, ran) = plan("8", &[]);
    ran.succeeds();
    let peak = whole["memory"]["peak_bytes"].as_u64().expect("bytes");
    let memory = format!("{:.9}", (peak - 4096) as f64 / f64::from(1 << 30));
    let (refused, ran) = plan(&memory, &[]);
    ran.fails(2, &["error: the run takes", "data.max-tokens=256"]);
    let sets: Vec<String> = serde_json::from_value(refused["would_fit"]["set"].clone()).expect("overrides");
    let (fitting, ran) = plan(&memory, &sets);
    ran.succeeds();
    assert_eq!(fitting["memory"]["peak_bytes"], refused["would_fit"]["peak_bytes"]);
}

/// The most memory of a plan, and the most that the run then had: at any step, so that evaluations but the last are in it.
fn planned_and_used(place: &Workplace, sets: &[&str]) -> (Value, u64) {
    let mut arguments = vec!["--no-probe"];
    sets.iter().for_each(|set| arguments.extend(["--set", set]));
    let plan = planned(place, &arguments);
    place.train(&[sets, &["output.dir=run"]].concat()).succeeds();
    let metrics = place.read("run/metrics.jsonl");
    let lines = metrics.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let used = lines.filter_map(|line| line["peak_memory_bytes"].as_u64()).max().expect("a step");
    fs::remove_dir_all(place.path("run")).expect("removed");
    (plan, used)
}

/// Models with evaluations between the steps: where the steps take the most, and where answers do.
#[cfg(target_os = "linux")]
#[test]
fn a_run_takes_what_its_plan_says() {
    let place = Workplace::new();
    let row = |number: usize| {
        let text = "so it is. ".repeat(20 + number % 7);
        format!("{{\"instruction\": \"Say it {number}.\", \"input\": \"\", \"output\": \"{text}\"}}\n")
    };
    place.write("train.jsonl", (0..24).map(row).collect::<String>());
    let shared = ["train.steps=2", "eval.every=1", "eval.general=true", "eval.samples=2"];
    let steps = ["train.micro-batch-tokens=4096", "train.rows-per-step=16", "train.save-activations=all"];
    let few = ["train.micro-batch-tokens=128", "train.save-activations=input-only"];
    for (sizes, sets, most) in [
        (Sizes { hidden: 384, layers: 8 }, &steps[..], "steps"),
        (Sizes { hidden: 768, layers: 2 }, &few[..], "answers"),
    ] {
        write_model(&place.path("model"), sizes);
        let (plan, used) = planned_and_used(&place, &[&shared, sets].concat());
        let memory = &plan["memory"];
        let bytes = |value: &Value| value.as_u64().expect("bytes");
        let peak = bytes(&memory["peak_bytes"]);
        let answering = &memory["answering"];
        let asked = bytes(&answering["cache_bytes"]) + bytes(&answering["pass_bytes"]);
        let passes = bytes(&memory["activation_bytes"]) + bytes(&memory["scratch_bytes"]);
        match most {
            "answers" => assert!(asked > passes, "{memory}"),
            _ => assert!(asked > 0 && asked <= passes + bytes(&memory["saving_bytes"]), "{memory}"),
        }
        let ratio = used as f64 / peak as f64;
        assert!((0.9..=1.1).contains(&ratio), "{most}: used {used} of {peak}, {ratio:.3}: {memory}");
    }
}

/// Before the first step, at every `eval.every` and at the end, whatever is evaluated.
#[test]
fn evaluations_are_those_of_the_run() {
    let place = Workplace::new();
    place.write("golden.jsonl", "{\"instruction\": \"Letter 3?\", \"input\": \"\", \"output\": \"cc\"}\n");
    let golden = ["data.golden=\"golden.jsonl\"", "eval.golden-rows=4", "eval.golden-tokens=2"];
    for (sets, evaluations, questions) in [
        (&["data.validation=0"][..], 0, 0),
        (&["data.validation=0", "eval.samples=2"], 0, 0),
        (&["data.validation=0", "eval.general=true"], 3, 50),
        (&[&["data.validation=0"], &golden[..]].concat(), 3, 1),
        (&["data.validation=0.2", "eval.samples=2", "eval.every=4"], 3, 2),
    ] {
        let sets = [sets, &["eval.sample-tokens=2"]].concat();
        let mut arguments = vec!["--no-probe"];
        sets.iter().for_each(|set| arguments.extend(["--set", set]));
        let plan = planned(&place, &arguments);
        assert_eq!(plan["run"]["evaluations"], evaluations, "{sets:?}");
        assert_eq!(plan["run"]["evaluation_questions"], questions, "{sets:?}");
        place.train(&sets).succeeds();
        let folder = place.path("run/eval");
        // Each has a file, and the hashes of all have one.
        let made = fs::read_dir(folder).map_or(0, |files| files.count() - 1);
        assert_eq!(made, evaluations, "{sets:?}");
        fs::remove_dir_all(place.path("run")).expect("removed");
    }
}

/// Where there is no GPU a plan for one is refused as its run is, and "auto" plans the processor.
#[test]
fn a_plan_opens_the_device_that_the_run_would() {
    let place = Workplace::new();
    let train = place.train(&["model.device=cuda"]);
    let plan = place.rtune(&["plan", "config.toml", "--no-probe", "--json", "--set", "model.device=cuda"]);
    // Where there is one, both go on.
    if train.code == 0 {
        plan.succeeds();
        return;
    }
    let error = train.stderr.lines().find(|line| line.starts_with("error:")).expect("an error");
    plan.fails(train.code, &[error]);
    assert!(error.contains("model.device is \"cuda\""), "{error}");
    let dora = ["--set", "model.device=cuda", "--set", "lora.method=dora"];
    let plan = place.rtune(&[&["plan", "config.toml", "--no-probe"], &dora[..]].concat());
    plan.fails(2, &["model.device is \"cuda\", and DoRA runs on the processor only"]);
    let auto = planned(&place, &["--no-probe", "--set", "model.device=auto"]);
    assert!(auto["gpu"].is_null() && auto["fits"] == true, "{auto}");
}

/// More memory than there is here is another machine's: its plan is made, and no step is tried that would not fit here.
#[cfg(target_os = "linux")]
#[test]
fn a_step_is_tried_only_where_it_fits() {
    let place = Workplace::new();
    let ran = place.rtune(&["plan", "config.toml", "--json", "--memory-gib", "100000"]);
    ran.succeeds();
    let time = &report(&ran)["time"];
    assert!(time["run_s"].as_f64() > Some(0.0), "what fits here is tried here: {time}");
    assert!(time["machine"].as_str().expect("a name").starts_with("cpu "), "{time}");
    // The headers of a model that no machine holds.
    let path = place.path("model/config.json");
    let mut config: Value = serde_json::from_str(&place.read("model/config.json")).expect("JSON");
    for (key, value) in [("hidden_size", 32_768), ("intermediate_size", 131_072), ("num_hidden_layers", 120)]
    {
        config[key] = value.into();
    }
    fs::write(&path, config.to_string()).expect("written");
    let spec = DecoderSpec::new(&ModelConfig::from_file(&path).expect("a configuration"));
    let (mut header, mut end) = (serde_json::Map::new(), 0_usize);
    for tensor in spec.tensors() {
        let begin = end;
        end += 2 * tensor.shape.iter().product::<usize>();
        let entry = json!({"dtype": "BF16", "shape": tensor.shape, "data_offsets": [begin, end]});
        header.insert(tensor.in_files, entry);
    }
    let header = Value::from(header).to_string();
    place
        .write("model/model.safetensors", [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat());
    let ran = place.rtune(&["plan", "config.toml", "--json", "--memory-gib", "100000"]);
    ran.succeeds();
    assert!(ran.stderr.contains("note: no step was tried: the run takes "), "{}", ran.stderr);
    assert!(ran.stderr.contains(", and this machine has "), "{}", ran.stderr);
    let plan = report(&ran);
    assert!(plan["fits"] == true && plan["time"].is_null() && plan["price"].is_null(), "{plan}");
}
