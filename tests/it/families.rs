//! Every family through the whole program: trained on packed rows, merged, read back and asked.

use std::fs;
use std::path::Path;

use rtune_models::{FAMILIES, ModelConfig};
use serde_json::Value;

use crate::release::{furthest, logits_of, merged_in_memory, opened, read_back};
use crate::training::bytes_of;
use crate::workplace::{Ran, Workplace, write_base};

/// A configuration of each family, by case.
pub(crate) fn configurations() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reference");
    let mut found: Vec<(String, Value)> = Vec::new();
    let mut seen = Vec::new();
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("cases").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths.into_iter().filter(|path| path.is_dir()) {
        let file = path.join("config.json");
        let config = ModelConfig::from_file(&file).expect("a configuration");
        let kind = (config.family.model_types[0], config.family.names.attention_norm);
        if seen.contains(&kind) {
            continue;
        }
        seen.push(kind);
        let mut json: Value = serde_json::from_slice(&fs::read(&file).expect("there")).expect("JSON");
        json["max_position_embeddings"] = 4096.into();
        found.push((path.file_name().expect("a name").to_string_lossy().into_owned(), json));
    }
    assert!(seen.len() > FAMILIES.len(), "every family, and both kinds of Falcon: {seen:?}");
    found
}

/// A loss that the file asks for and that is not computed is told before a run, and not by whoever asks the model.
#[test]
fn the_loss_of_routers_is_said_not_to_be_added() {
    let told = "note: `output_router_logits` in the base's config.json asks for the auxiliary loss";
    let (_, mut config) =
        configurations().into_iter().find(|(name, _)| name == "qwen3_moe").expect("a case with experts");
    for asked in [false, true] {
        config["output_router_logits"] = asked.into();
        let place = Workplace::new();
        fs::remove_dir_all(place.path("model")).expect("removed");
        write_base(&place.path("model"), config.clone());
        let ran = place.train(&["train.steps=1", "data.validation=0"]);
        ran.succeeds();
        assert_eq!(ran.stderr.contains(told), asked, "{}", ran.stderr);
    }
}

#[test]
fn every_family_is_trained_merged_and_asked() {
    for (name, config) in configurations() {
        let place = Workplace::new();
        fs::remove_dir_all(place.path("model")).expect("removed");
        write_base(&place.path("model"), config);
        // Two workers and one, everything kept and inputs alone, one folder and another: the same bytes.
        let train = |threads: &str, overrides: &[&str]| {
            let mut command = place.command(&["train", "config.toml"]);
            for argument in overrides {
                command.args(["--set", argument]);
            }
            Ran::of(command.env("RAYON_NUM_THREADS", threads).output().expect("started")).succeeds();
        };
        train("2", &["train.steps=4", "data.validation=0", "train.save-activations='all'"]);
        let whole = bytes_of(&place.path("run/checkpoints/step-000004"));
        let other = [
            "train.steps=4",
            "data.validation=0",
            "output.dir='other'",
            "train.save-activations='input-only'",
        ];
        train("1", &other);
        let again = bytes_of(&place.path("other/checkpoints/step-000004"));
        assert!(whole.keys().eq(again.keys()), "{name}: {:?} and {:?}", whole.keys(), again.keys());
        for (file, bytes) in &whole {
            assert!(
                *bytes == again[file],
                "{name}: {file}: a save policy, a thread or a second run changes a bit"
            );
        }

        let golden = ["--golden", "train.jsonl"];
        place.rtune(&[&["merge", "run", "out", "--dtype", "float32"], &golden[..]].concat()).succeeds();
        let run = opened(&place, "run");
        let with_adapter = logits_of(&run.decoder, &run.parameters);
        assert!(furthest(&with_adapter, &logits_of(&run.decoder, &[])) > 1e-6, "{name}: nothing learned");
        let in_memory = logits_of(&merged_in_memory(run), &[]);
        let written = logits_of(&read_back(&place.path("out")).1, &[]);
        assert_eq!(written, in_memory, "{name}: the merged folder is another model");
        assert!(furthest(&written, &with_adapter) < 1e-4, "{name}: merging changed the model");

        place.rtune(&["generate", "run", "Letter 3?\n\nIt is d.", "--max-new-tokens", "4"]).succeeds();
    }
}
