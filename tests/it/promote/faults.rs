//! What a promotion must not rest on: a version that was changed, siblings that are none, figures that are no numbers.

use std::fs;
use std::path::Path;

use rtune_trainer::files::sha256_of;
use safetensors::SafeTensors;
use serde_json::{Value, json};

use super::{LOOSE, current, decision, golden, promote, train, train_rows, workplace};
use crate::workplace::{Ran, Workplace};

/// Rules that anything passes which is a model.
const ANY: [&str; 3] = [LOOSE, "gate.non-inferior={checks=1.0}", "gate.slices=false"];

#[test]
fn what_is_in_use_is_proved_before_it_is_asked() {
    let place = workplace();
    promote(&place, "yes", &[]).succeeds();
    train(&place, "no", &[]);
    let file = place.path("registry/versions/v0001/artefact/model.safetensors");
    let bytes = fs::read(&file).expect("there");
    let mut changed = bytes.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(&file, changed).expect("written");
    promote(&place, "no", &ANY).fails(
        2,
        &["version v0001 is not what it says: `artefact/model.safetensors`", "hint: bring its files back"],
    );
    // The same bytes behind a link may be others tomorrow.
    fs::write(place.path("aside"), &bytes).expect("written");
    fs::remove_file(&file).expect("removed");
    std::os::unix::fs::symlink(place.path("aside"), &file).expect("linked");
    place.rtune(&["verify", "registry/versions/v0001"]).fails(2, &["found no plain file"]);
    promote(&place, "no", &ANY).fails(2, &["version v0001 is not what it says"]);
    fs::remove_file(&file).expect("removed");
    fs::write(&file, bytes).expect("written");
    promote(&place, "no", &ANY).succeeds();
    assert_eq!(current(&place), "v0002");
}

/// An adapter is nothing without its base, which lies outside of the registry.
#[test]
fn the_base_of_an_adapter_in_use_is_proved_too() {
    let place = workplace();
    let ships = "gate.ships=\"adapter\"";
    promote(&place, "yes", &[ships]).succeeds();
    // The other run has a base of its own; that of the version in use is another by now.
    copy_folder(&place.path("model"), &place.path("model-2"));
    train(&place, "no", &["model.base=model-2"]);
    let file = place.path("model/model.safetensors");
    let mut bytes = fs::read(&file).expect("there");
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    fs::write(&file, bytes).expect("written");
    let rules = [ANY.as_slice(), &[ships]].concat();
    promote(&place, "no", &rules)
        .fails(2, &["version v0001 is not what it says: its base", "`model.safetensors`: expected "]);
    fs::copy(place.path("model-2/model.safetensors"), &file).expect("copied");
    promote(&place, "no", &rules).succeeds();
}

/// A template file is edited for the next run: the version in use speaks as it was trained to.
#[test]
fn an_adapter_in_use_speaks_by_its_own_template() {
    const TEMPLATE: &str = "{% for m in messages %}<|im_start|>{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}\
        {% if add_generation_prompt %}<|im_start|>assistant: {% endif %}";
    let place = workplace();
    place.write("chat.jinja", TEMPLATE);
    let with = ["data.template=chat.jinja", "output.dir=own", "data.train=yes.jsonl"];
    train(&place, "own", &with);
    let ships = "gate.ships=\"adapter\"";
    promote(&place, "own", &[ships]).succeeds();
    let said = |file: &str| -> Vec<Value> {
        let report: Value =
            serde_json::from_str(&place.read(&format!("registry/versions/{file}"))).expect("JSON");
        report["cases"].as_array().expect("cases").iter().map(|case| case["tuned"]["nats"].clone()).collect()
    };
    place.write("chat.jinja", TEMPLATE.replace(": ", " says\n"));
    train(&place, "no", &["data.template=chat.jinja"]);
    let rules = [ANY.as_slice(), &[ships]].concat();
    promote(&place, "no", &rules).succeeds();
    assert_eq!(said("v0002/eval/current.json"), said("v0001/eval/candidate.json"));
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("there").flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a kind") {
            kind if kind.is_dir() => copy_folder(&entry.path(), &target),
            kind if kind.is_symlink() => {
                std::os::unix::fs::symlink(fs::read_link(entry.path()).expect("a link"), target)
                    .expect("linked");
            }
            _ => {
                fs::copy(entry.path(), target).expect("copied");
            }
        }
    }
}

#[test]
fn a_version_that_nobody_let_in_is_none() {
    let place = workplace();
    promote(&place, "yes", &[]).succeeds();
    train(&place, "no", &[]);
    promote(&place, "no", &ANY).succeeds();
    // A folder that says of itself what a version says.
    let (from, to) = (place.path("registry/versions/v0001"), place.path("registry/versions/v0003"));
    copy_folder(&from, &to);
    let version = place.read("registry/versions/v0003/version.json").replace("\"v0001\"", "\"v0003\"");
    place.write("registry/versions/v0003/version.json", version);
    place
        .rtune(&["verify", "registry/versions/v0003"])
        .fails(2, &["`version.json`: expected a move to it in history.json, found none"]);
    place
        .rtune(&["rollback", "v0003"])
        .fails(2, &["version v0003 was never in use", "hint: `rtune history` lists what was"]);
    place.rtune(&["rebuild", "v0003", "again"]).fails(2, &["expected a move to it in history.json"]);
    fs::remove_dir_all(&to).expect("removed");
    std::os::unix::fs::symlink("v0001", &to).expect("linked");
    place.rtune(&["verify", "registry/versions/v0003"]).fails(2, &["found `v0003`; there are v0001, v0002"]);
    place.rtune(&["rollback", "v0003"]).fails(2, &["found `v0003`"]);
    assert_eq!(current(&place), "v0002");
}

#[test]
fn other_seeds_are_whole_runs_of_the_same() {
    let place = workplace();
    train(&place, "yes", &["output.dir=many", "eval.every=200"]);
    let seed = |name: &str, more: &[&str]| {
        let _ = fs::remove_dir_all(place.path(name));
        let dir = format!("output.dir={name}");
        train(&place, "yes", &[&[dir.as_str(), "eval.every=200"], more].concat());
    };
    let refused = |parts: &[&str]| promote(&place, "many", &[]).fails(2, parts);
    seed("many-seed-1", &["train.seed=0"]);
    refused(&["`many-seed-1` has the seed 0, and so has `many`", "hint: remove or rename the folder"]);
    std::os::unix::fs::symlink("many", place.path("link")).expect("linked");
    promote(&place, "link/", &[]).fails(2, &["many-seed-1` has the seed 0, and so has `link/`"]);
    seed("many-seed-1", &["train.seed=1"]);
    seed("many-seed-3", &["train.seed=3"]);
    refused(&["`many-seed-3` is there, and `many-seed-2` is not", "hint: a seed that is left out"]);
    seed("many-seed-2", &["train.seed=1"]);
    refused(&["`many-seed-2` has the seed 1, and so has `many-seed-1`"]);
    // Trained on other rows, of a file that has the old name again.
    let rows = place.read("yes.jsonl");
    place.write(
        "yes.jsonl",
        train_rows(
            "yes",
            &rows.lines().next().map_or(String::new(), |row| row.replace("Lamp", "Bulb") + "\n"),
        ),
    );
    seed("many-seed-2", &["train.seed=2"]);
    place.write("yes.jsonl", &rows);
    refused(&["`many-seed-2` is not the same run from another seed: data: `yes.jsonl`: expected sha256"]);
    // Of another base, at the old place.
    seed("many-seed-2", &["train.seed=2"]);
    let manifest = place.path("many-seed-2/manifest.json");
    let whole = fs::read_to_string(&manifest).expect("there");
    let mut other: Value = serde_json::from_str(&whole).expect("JSON");
    other["base"]["model.safetensors"] = json!("0".repeat(64));
    fs::write(&manifest, other.to_string()).expect("written");
    refused(&["`many-seed-2` is not the same run from another seed: base: `model.safetensors`"]);
    fs::write(&manifest, whole).expect("written");
    // Changed since.
    let weights = place.path("many-seed-2/last/adapter_model.safetensors");
    let bytes = fs::read(&weights).expect("there");
    let mut changed = bytes.clone();
    changed.pop();
    fs::write(&weights, changed).expect("written");
    refused(&["`many-seed-2` is not the same run from another seed", "adapter_model.safetensors"]);
    fs::write(&weights, bytes).expect("written");
    // Stopped on the way: the checkpoint of its beginning is the last.
    let last = place.path("many-seed-2/checkpoints/step-000040");
    fs::rename(&last, place.path("aside")).expect("moved");
    fs::remove_file(place.path("many-seed-2/last")).expect("removed");
    std::os::unix::fs::symlink("checkpoints/step-000000", place.path("many-seed-2/last")).expect("linked");
    refused(&["`many-seed-2` is not the same run from another seed: it was stopped after step 0"]);
    fs::rename(place.path("aside"), last).expect("moved");
    fs::remove_file(place.path("many-seed-2/last")).expect("removed");
    std::os::unix::fs::symlink("checkpoints/step-000040", place.path("many-seed-2/last")).expect("linked");
    let ran = promote(&place, "many", &[]);
    ran.succeeds();
    assert!(ran.stdout.contains("; over 4 seeds the mean difference is +"), "{}", ran.stdout);
    promote(&place, "many-seed-2", &[]).fails(
        2,
        &["`many-seed-2` is one of the seeds of `many`", "hint: `rtune promote many` asks all of them"],
    );
}

/// Multiplies every number of the second LoRA matrices, and puts the new hash into the checkpoint's manifest.
fn blow_up(run: &Path) {
    let folder = fs::canonicalize(run.join("last")).expect("there");
    let path = folder.join("adapter_model.safetensors");
    let mut bytes = fs::read(&path).expect("there");
    let places: Vec<(usize, usize)> = {
        let begin = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a header");
        let named = header.tensors().into_iter().filter(|(name, _)| name.contains("lora_B"));
        named.map(|(_, info)| (begin + info.data_offsets.0, begin + info.data_offsets.1)).collect()
    };
    assert!(!places.is_empty());
    for (from, to) in places {
        for number in bytes[from..to].chunks_exact_mut(4) {
            let value = f32::from_le_bytes(number.try_into().expect("4 bytes"));
            number.copy_from_slice(&(1e30_f32.copysign(value)).to_le_bytes());
        }
    }
    fs::write(&path, &bytes).expect("written");
    let manifest = folder.join("manifest.json");
    let mut said: Value = serde_json::from_slice(&fs::read(&manifest).expect("there")).expect("JSON");
    said["files"]["adapter_model.safetensors"] = json!(sha256_of(&bytes));
    fs::write(&manifest, said.to_string()).expect("written");
}

/// A model whose figures are no numbers is no better than any: that is a decision, and no fault of the input.
#[test]
fn figures_that_are_no_numbers_are_decided_against() {
    let place = workplace();
    promote(&place, "yes", &[]).succeeds();
    train(&place, "no", &[]);
    blow_up(&place.path("no"));
    promote(&place, "no", &ANY).fails(
        3,
        &[
            "refused: no does not take the place of v0001",
            "finite: the candidate computes what is no number, at golden rows",
        ],
    );
    let said = decision(&place, "registry/refused/0001.json");
    let against: Vec<&Value> =
        said["findings"].as_array().expect("a list").iter().filter(|one| one["passed"] == false).collect();
    assert_eq!(against.len(), 1, "{against:?}");
    assert_eq!((&against[0]["rule"], &against[0]["half"]), (&json!("finite"), &json!("whole")));
    assert_eq!((&said["promoted"], current(&place).as_str()), (&json!(false), "v0001"));
    // Texts are not answered: there the figures themselves are no numbers.
    let texts: String = (0..4)
        .map(|number| {
            format!("{}\n", json!({"id": format!("t-{number}"), "text": format!("Lamp {number} is sold.")}))
        })
        .collect();
    place.write("texts.jsonl", texts);
    place.rtune(&["promote", "no", "--golden", "texts.jsonl"]).fails(
        3,
        &["finite: the candidate has no finite figures on 4 golden rows: how likely the expected answers are is no number: t-0, t-1"],
    );
    let said = decision(&place, "registry/refused/0002.json");
    assert_eq!((&said["promoted"], &said["weighed"]), (&json!(false), &json!([])));
}

/// A path in a configuration leads from where the run was started, whatever it is of; what was asked is known by its hash.
#[test]
fn the_suite_is_found_where_the_run_was_started() {
    let place = workplace();
    let item = json!({"id": "never-no", "category": "refusal", "prompt": "Is it true?",
        "detector": {"kind": "not_regex", "pattern": "^no$"}});
    place.write("suite.jsonl", format!("{item}\n"));
    place.write("yes2.jsonl", train_rows("yes", ""));
    let base = format!("model.base={}", place.path("model").display());
    train(&place, "yes2", &["gate.red-team=\"suite.jsonl\"", &base]);
    fs::create_dir(place.path("far")).expect("made");
    let mut command = place.command(&["promote", "../yes2", "--registry", "../registry"]);
    let ran = Ran::of(command.current_dir(place.path("far")).output().expect("started"));
    ran.succeeds();
    let hash = sha256_of(place.read("suite.jsonl").as_bytes());
    let said = decision(&place, "registry/current/decision.json");
    assert_eq!(said["red_team"][1], json!(hash));
    let version = decision(&place, "registry/current/version.json");
    assert_eq!(version["red_team"], json!(hash));
    // What is not there is said before anything is asked.
    promote(&place, "yes", &["gate.red-team=\"none.jsonl\""]).fails(2, &["none.jsonl"]);
}

/// A check that runs what a model wrote is run for the same flag as everywhere.
#[test]
fn a_check_that_is_a_program_takes_the_flag() {
    let place = workplace();
    let row = json!({"id": "code", "instruction": "Write a line of Python.", "output": "yes",
        "checks": [{"kind": "python", "test": "assert True"}]});
    place.write("code.jsonl", format!("{}{row}\n", golden(24, |_| "yes")));
    let arguments = ["promote", "yes", "--golden", "code.jsonl"];
    place.rtune(&arguments).fails(2, &["code.jsonl:25", "run only where that is asked for", "--run-code"]);
    if !can_run(&place) {
        return;
    }
    let ran = place.rtune(&[arguments.as_slice(), &["--run-code"]].concat());
    ran.succeeds();
    let asked = decision(&place, "registry/current/eval/candidate.json");
    let failed = asked["cases"][24]["base"]["failed_checks"][0].as_str().expect("`yes` is no program");
    assert!(failed.starts_with("the program fails: NameError"), "{failed}");
}

/// Whether this machine can confine a program.
fn can_run(place: &Workplace) -> bool {
    let row = json!({"instruction": "Write.", "output": "x = 1", "checks": [{"kind": "python", "test": "assert True"}]});
    place.write("probe.jsonl", row.to_string());
    let arguments = ["eval", "model", "--golden", "probe.jsonl", "--max-new-tokens", "2", "--run-code"];
    place.rtune(&arguments).code == 0
}
