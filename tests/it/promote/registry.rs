//! History, rollback, diff, verify and rebuild, through the program.

use std::fs;

use serde_json::Value;

use super::{LOOSE, current, promote, train, workplace};
use crate::workplace::{Ran, Workplace};

/// `yes` is v0001; `no`, with other rows, is v0002.
fn two_versions() -> Workplace {
    let place = workplace();
    train(&place, "no", &["train.steps=30", "gate.non-inferior={checks=1.0}"]);
    promote(&place, "yes", &[]).succeeds();
    promote(&place, "no", &[LOOSE, "gate.slices=false"]).succeeds();
    assert_eq!(current(&place), "v0002");
    place
}

#[test]
fn versions_have_a_history_and_come_back() {
    let place = two_versions();
    let ran = place.rtune(&["history"]);
    ran.succeeds();
    for part in ["promoted: nothing -> v0001", "promoted: v0001 -> v0002", "in use"] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    place.rtune(&["rollback"]).succeeds();
    assert_eq!(current(&place), "v0001");
    place.rtune(&["rollback"]).fails(2, &["there is no version before v0001", "hint: name a version"]);
    place.rtune(&["rollback", "v0002"]).succeeds();
    assert_eq!(current(&place), "v0002");
    place.rtune(&["rollback", "v0007"]).fails(2, &["found `v0007`; there are v0001, v0002"]);
    let ran = place.rtune(&["history", "--json"]);
    ran.succeeds();
    let history: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(history["current"], "v0002");
    let moves: Vec<(&str, &str)> = history["moves"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| Some((one["action"].as_str()?, one["to"].as_str()?)))
        .collect();
    assert_eq!(
        moves,
        [("promote", "v0001"), ("promote", "v0002"), ("rollback", "v0001"), ("rollback", "v0002")]
    );
    let version = &history["versions"][1];
    assert_eq!((&version["parent"], &version["rows"]), (&Value::from("v0001"), &Value::from(16)));
    place.rtune(&["history", "--registry", "none"]).fails(2, &["`none` is no registry"]);
}

#[test]
fn a_damaged_version_is_named_and_the_others_go_on() {
    let place = two_versions();
    let file = place.path("registry/versions/v0001/version.json");
    let whole = fs::read(&file).expect("there");
    fs::remove_file(&file).expect("removed");
    let said = "error: version v0001 cannot be read: cannot read `registry/versions/v0001/version.json`";
    let ran = place.rtune(&["history"]);
    ran.succeeds();
    assert!(ran.stdout.contains("damaged") && ran.stdout.contains("in use"), "{}", ran.stdout);
    assert!(
        ran.stderr.contains(said) && ran.stderr.contains("hint: bring its version.json"),
        "{}",
        ran.stderr
    );
    let ran = place.rtune(&["history", "--json"]);
    ran.succeeds();
    let history: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(history["versions"].as_array().map(Vec::len), Some(1));
    assert_eq!(history["damaged"][0]["version"], "v0001");
    // What needs it refuses.
    place.rtune(&["verify", "registry/versions/v0001"]).fails(2, &["error: version v0001 cannot be read"]);
    for verb in [["rollback"].as_slice(), &["rollback", "v0001"], &["diff", "v0001", "v0002"]] {
        place.rtune(verb).fails(2, &[said]);
    }
    promote(&place, "yes", &[LOOSE, "gate.non-inferior={checks=1.0}", "gate.slices=false"]).succeeds();
    assert_eq!(current(&place), "v0003");
    // The one in use: nothing is held against it, and one goes back from it.
    fs::write(&file, whole).expect("written");
    place.write("registry/versions/v0003/version.json", "{");
    promote(&place, "yes", &[LOOSE, "gate.non-inferior={checks=1.0}", "gate.slices=false"])
        .fails(2, &["version v0003 cannot be read: ", "hint: bring its version.json back"]);
    let ran = place.rtune(&["rollback"]);
    ran.succeeds();
    assert!(ran.stderr.contains("note: v0003, which is in use, is damaged: "), "{}", ran.stderr);
    assert_eq!(current(&place), "v0002");
}

/// Archives and programs that copy folders lose links.
#[test]
fn a_registry_whose_link_is_gone_has_versions_all_the_same() {
    let place = two_versions();
    fs::remove_file(place.path("registry/current")).expect("removed");
    for verb in [["history"].as_slice(), &["rollback"], &["rollback", "v0001"]] {
        place
            .rtune(verb)
            .fails(2, &["error: ", "registry/current", "hint: ", "ln -sfn versions/NAME current"]);
    }
    fs::remove_dir_all(place.path("registry")).expect("removed");
    place.rtune(&["rollback"]).fails(2, &["`registry` is no registry", "hint: `rtune promote RUN`"]);
}

#[test]
fn two_versions_differ_in_keys_rows_and_cases() {
    let place = two_versions();
    let ran = place.rtune(&["diff", "v0001", "v0002"]);
    ran.succeeds();
    for part in [
        "`train.steps` was 40, is 30",
        "data `no.jsonl`: nothing -> ",
        "data `yes.jsonl`: ",
        "rows: 16 came, 16 went, 0 stayed",
        "+ no.jsonl:1 ",
        "- yes.jsonl:1 ",
        "checks: 1.0000 -> 0.0000, B is worse",
        "0 cases gained, 24 lost",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    let ran = place.rtune(&["diff", "current", "2"]);
    ran.succeeds();
    assert!(ran.stdout.contains("rows: 0 came, 0 went, 16 stayed"), "{}", ran.stdout);
}

#[test]
fn a_version_is_proved_by_its_hashes() {
    let place = two_versions();
    for folder in ["registry/current", "registry/versions/v0001"] {
        let ran = place.rtune(&["verify", folder]);
        ran.succeeds();
        assert!(ran.stdout.contains("files, all as they were"), "{}", ran.stdout);
    }
    let file = place.path("registry/versions/v0001/artefact/model.safetensors");
    let mut bytes = fs::read(&file).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).expect("written");
    fs::write(place.path("registry/versions/v0001/artefact/more.bin"), "x").expect("written");
    place.rtune(&["verify", "registry/versions/v0001"]).fails(
        2,
        &[
            "version v0001 is not what it says: `artefact/model.safetensors`: expected ",
            "`artefact/more.bin`: expected no such file",
        ],
    );
    place.rtune(&["rollback"]).fails(2, &["version v0001 is not what it says"]);
    assert_eq!(current(&place), "v0002");
}

#[test]
fn a_version_is_made_again_to_the_byte() {
    let place = two_versions();
    // The run itself and the artefact may be gone.
    for folder in ["yes", "registry/versions/v0001/artefact"] {
        fs::remove_dir_all(place.path(folder)).expect("removed");
    }
    let ran = place.rtune(&["rebuild", "v0001", "again"]);
    ran.succeeds();
    assert!(ran.stdout.contains("files made again, each to the byte -> again"), "{}", ran.stdout);
    place.rtune(&["verify", "again"]).succeeds();
    place.rtune(&["rebuild", "v0001", "again"]).fails(2, &["again"]);
    // From another folder, where the base has another name.
    fs::create_dir(place.path("far")).expect("made");
    let mut elsewhere = place.command(&["rebuild", "v0001", "there", "--registry", "../registry"]);
    Ran::of(elsewhere.current_dir(place.path("far")).output().expect("started")).succeeds();
    assert!(place.path("far/there/artefact").is_dir());
    // Other rows make another version: the file is named before a step is done.
    let text = place.read("yes.jsonl");
    place.write("yes.jsonl", text.replacen("yes", "yet", 1));
    place.rtune(&["rebuild", "v0001", "other"]).fails(2, &["data: `yes.jsonl`", "expected sha256"]);
    assert!(!place.path("other").exists());
    // A manifest that was changed proves nothing.
    place.write("yes.jsonl", text);
    let manifest = place.path("registry/versions/v0001/run/manifest.json");
    let changed = fs::read_to_string(&manifest).expect("there").replacen("\"seed\": 0", "\"seed\": 1", 1);
    fs::write(&manifest, changed).expect("written");
    place
        .rtune(&["rebuild", "v0001", "other"])
        .fails(2, &["version v0001 is not what it says: `run/manifest.json`"]);
}

/// A base of the hub is asked where its files are, and a path has no revisions.
#[test]
fn runs_on_a_revision_of_the_hub_are_promoted_from_the_first_on() {
    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    let place = workplace();
    let cached = place.path(".cache/huggingface/hub/models--me--tiny");
    fs::create_dir_all(cached.join("snapshots")).expect("made");
    fs::create_dir_all(cached.join("refs")).expect("made");
    fs::rename(place.path("model"), cached.join("snapshots").join(COMMIT)).expect("moved");
    fs::write(cached.join("refs/main"), COMMIT).expect("written");
    let pinned = ["model.base=me/tiny", "model.revision=main"];
    train(&place, "yes", &[&pinned[..], &["output.dir=pinned"]].concat());
    train(&place, "no", &pinned);
    for (ships, registry) in [("merged", "merged"), ("adapter", "beside")] {
        let ships = format!("gate.ships=\"{ships}\"");
        let let_in = |run: &str, rules: &[&str]| {
            let set = [&[ships.as_str()], rules].concat();
            let set = set.iter().flat_map(|argument| ["--set", *argument]);
            let arguments = ["promote", run, "--registry", registry].into_iter().chain(set);
            let ran = place.rtune(&arguments.collect::<Vec<_>>());
            ran.succeeds();
            ran.stdout
        };
        let first = let_in("pinned", &[]);
        assert!(first.contains("checks must improve and is better: 0.0000 before, 1.0000 now"), "{first}");
        let_in("no", &[LOOSE, "gate.non-inferior={checks=1.0}", "gate.slices=false"]);
        place.rtune(&["verify", &format!("{registry}/versions/v0002")]).succeeds();
    }
}
