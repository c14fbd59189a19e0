//! Uploads to a hub.

pub(crate) mod hub;

use hub::Hub;

use crate::workplace::{Ran, Workplace};

/// A folder as `merge` writes one, its weights in two files, one of them in parts.
fn folder(place: &Workplace) {
    std::fs::create_dir_all(place.path("out/more")).expect("made");
    place.write("out/README.md", "---\nlicense: mit\n---\nÜber");
    place.write("out/config.json", "{}");
    place.write("out/more/notes.txt", "below");
    place.write("out/notes.tmp", "ignored");
    place.write("out/.hidden", "not sent");
    place.write("out/a.safetensors", [7; 5000]);
    place.write("out/b.safetensors", (0..25_000_u32).map(|at| at as u8).collect::<Vec<_>>());
}

#[test]
fn a_folder_becomes_one_commit() {
    let (place, hub) = (Workplace::new(), Hub::serve());
    folder(&place);
    let ran = hub.push(&place, &["out", "me/model", "--message", "First"]);
    ran.succeeds();
    assert!(ran.stdout.contains("1 of 6 files are named by the repository's .gitignore"), "{}", ran.stdout);
    assert!(ran.stdout.contains("5 of 6 files -> ") && ran.stdout.contains("/commit/1"), "{}", ran.stdout);
    hub.with(|state| {
        let names: Vec<&str> = state.files.keys().map(String::as_str).collect();
        assert_eq!(names, ["README.md", "a.safetensors", "b.safetensors", "config.json", "more/notes.txt"]);
        assert_eq!(state.texts["README.md"], "---\nlicense: mit\n---\nÜber".as_bytes());
        assert_eq!(state.commits, ["First"]);
        assert_eq!(state.large[&state.files["a.safetensors"]], [7; 5000]);
        assert_eq!(
            state.large[&state.files["b.safetensors"]],
            std::fs::read(place.path("out/b.safetensors")).expect("there")
        );
    });
    assert_eq!((hub.count("PUT /store/"), hub.count("/commit/")), (4, 1));
}

/// The ids that git gives are compared with the hub's, so that nothing is sent that is there.
#[test]
fn what_is_there_is_not_committed_again() {
    let (place, hub) = (Workplace::new(), Hub::serve());
    std::fs::create_dir(place.path("out")).expect("made");
    place.write("out/README.md", "hello\n");
    place.write("out/a.safetensors", "weights");
    hub.push(&place, &["out", "me/model"]).succeeds();
    let id = "ce013625030ba8dba906f756967f9e9ca394464a";
    hub.with(|state| assert_eq!(state.files["README.md"], id));
    let ran = hub.push(&place, &["out", "me/model"]);
    ran.succeeds();
    assert!(ran.stdout.contains("all 2 files are there already"), "{}", ran.stdout);
    assert_eq!((hub.count("PUT /store/"), hub.count("/commit/")), (1, 1));
    place.write("out/README.md", "hello again\n");
    hub.push(&place, &["out", "me/model"]).succeeds();
    assert_eq!((hub.count("PUT /store/"), hub.count("/commit/")), (1, 2));
}

#[test]
fn an_interrupted_push_is_finished_by_the_next() {
    let (place, hub) = (Workplace::new(), Hub::serve());
    folder(&place);
    // The second large file never comes to its end.
    hub.with(|state| state.failing = Some(("/store/whole/".to_owned(), usize::MAX)));
    let ran = hub.push(&place, &["out", "me/model"]);
    ran.fails(1, &["refuses to put `b.safetensors` together (503"]);
    assert_eq!((hub.count("/commit/"), hub.count("/store/whole/")), (0, 5));
    assert!(hub.with(|state| state.files.is_empty()), "nothing half done shows");
    // A hiccup is waited out.
    hub.with(|state| state.failing = Some(("/commit/".to_owned(), 1)));
    hub.push(&place, &["out", "me/model"]).succeeds();
    let first = hub.with(|state| state.files["a.safetensors"].clone());
    assert_eq!(hub.count(&format!("PUT /store/{first}")), 1, "what was uploaded is not uploaded again");
    hub.with(|state| assert_eq!((state.files.len(), state.commits.len()), (5, 1)));
}

/// A link to a file of the folder is that file; one to a folder may lead anywhere, and back; one to somebody's file elsewhere is refused.
#[test]
#[cfg(unix)]
fn links_lead_nowhere_else() {
    use std::os::unix::fs::symlink;
    let (place, hub) = (Workplace::new(), Hub::serve());
    for folder in ["out/more", "elsewhere"] {
        std::fs::create_dir_all(place.path(folder)).expect("made");
    }
    place.write("out/README.md", "card");
    place.write("elsewhere/private.txt", "not sent");
    place.write("out/more/blob", "weights");
    symlink("more/blob", place.path("out/a.safetensors")).expect("linked");
    symlink("../../elsewhere", place.path("out/more/elsewhere")).expect("linked");
    symlink(".", place.path("out/again")).expect("linked");
    let ran = hub.push(&place, &["out", "me/model"]);
    ran.succeeds();
    for link in ["out/again", "out/more/elsewhere"] {
        assert!(ran.stderr.contains(&format!("note: `{link}` is a link to a folder")), "{}", ran.stderr);
    }
    hub.with(|state| {
        let names: Vec<&str> = state.files.keys().map(String::as_str).collect();
        assert_eq!(names, ["README.md", "a.safetensors", "more/blob"]);
        assert_eq!(state.large[&state.files["a.safetensors"]], b"weights");
    });
    symlink("../../elsewhere/private.txt", place.path("out/more/NOTICE")).expect("linked");
    let ran = hub.push(&place, &["out", "me/model"]);
    ran.fails(2, &["out/more/NOTICE` is a link to `", "/elsewhere/private.txt`", "hint: "]);
    assert_eq!(hub.count("/commit/"), 1, "nothing was sent");
}

#[test]
fn a_run_is_pushed_as_its_adapter() {
    let (place, hub) = (Workplace::new(), Hub::serve());
    place.train(&[]).succeeds();
    hub.push(&place, &["run", "me/model"]).succeeds();
    hub.with(|state| {
        let names: Vec<&str> = state.files.keys().map(String::as_str).collect();
        for name in ["README.md", "adapter_config.json", "adapter_model.safetensors", "tokenizer.json"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("optimizer") || name.contains("state")), "{names:?}");
    });
    let left = std::fs::read_dir(place.path("run"))
        .expect("there")
        .map(|entry| entry.expect("an entry").file_name());
    assert!(
        left.into_iter().all(|name| !name.to_string_lossy().contains("pushed")),
        "what was made for it is gone"
    );
}

#[test]
fn what_cannot_be_pushed_is_said() {
    let (place, hub) = (Workplace::new(), Hub::serve());
    folder(&place);
    hub.push(&place, &["out", "stranger/model"])
        .fails(2, &["(the token) may not write there", "hint: the token in HF_TOKEN"]);
    hub.push(&place, &["nowhere", "me/model"]).fails(2, &["there is no such folder"]);
    hub.push(&place, &["out", "model"]).fails(2, &["owner/name"]);
    std::fs::create_dir(place.path("empty")).expect("made");
    hub.push(&place, &["empty", "me/model"]).fails(2, &["expected 1 to 10000 files"]);
    let without =
        place.command(&["push", "out", "me/model"]).env("HF_HUB_OFFLINE", "0").output().expect("started");
    Ran::of(without).fails(2, &["without a token", "hint: set HF_TOKEN"]);
    place.rtune(&["push", "out", "me/model"]).fails(2, &["HF_HUB_OFFLINE forbids"]);
    assert_eq!(hub.count("/commit/"), 0);
}

/// Three shards of a first push beside the one file of the second would be read in its place.
#[test]
fn what_would_shadow_the_new_files_goes_with_the_same_commit() {
    let (place, hub) = (Workplace::new(), Hub::serve());
    std::fs::create_dir(place.path("out")).expect("made");
    let first = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    for name in first {
        place.write(&format!("out/{name}"), name);
    }
    place.write("out/model.safetensors.index.json", "{}");
    place.write("out/merge-report.json", "{}");
    place.write("out/chat_template.jinja", "old");
    hub.push(&place, &["out", "me/model"]).succeeds();
    // What somebody else put there.
    hub.with(|state| {
        for name in ["adapter_config.json", "notes.md", "eval/model.safetensors", "own.safetensors"] {
            state.files.insert(name.to_owned(), "theirs".to_owned());
        }
    });
    std::fs::remove_dir_all(place.path("out")).expect("removed");
    std::fs::create_dir(place.path("out")).expect("made");
    place.write("out/model.safetensors", "whole");
    place.write("out/config.json", "{}");
    let ran = hub.push(&place, &["out", "me/model"]);
    ran.succeeds();
    for name in ["model-00001-of-00002.safetensors", "merge-report.json", "adapter_config.json"] {
        assert!(ran.stdout.contains(&format!("removed {name}")), "{}", ran.stdout);
    }
    hub.with(|state| {
        let names: Vec<&str> = state.files.keys().map(String::as_str).collect();
        let expected =
            ["config.json", "eval/model.safetensors", "model.safetensors", "notes.md", "own.safetensors"];
        assert_eq!(names, expected);
        assert_eq!(state.commits.len(), 2);
    });
    // A folder without weights takes nothing away.
    std::fs::create_dir(place.path("docs")).expect("made");
    place.write("docs/notes.md", "more");
    hub.push(&place, &["docs", "me/model"]).succeeds();
    hub.with(|state| assert!(state.files.contains_key("model.safetensors")));
}

#[test]
fn a_public_repository_is_not_taken_for_a_private_one() {
    let (place, hub) = (Workplace::new(), Hub::serve());
    folder(&place);
    hub.with(|state| state.repositories.insert("me/model".to_owned(), false));
    hub.push(&place, &["out", "me/model", "--private"]).fails(
        2,
        &["`me/model` is there and public, and `--private` was asked for", "hint: make it private"],
    );
    assert_eq!((hub.count("PUT /store/"), hub.count("/commit/"), hub.count("/api/repos/create")), (0, 0, 0));
    hub.with(|state| state.repositories.insert("me/model".to_owned(), true));
    hub.push(&place, &["out", "me/model", "--private"]).succeeds();
    assert_eq!(hub.count("/api/repos/create"), 0, "it was there");
    let other = Hub::serve();
    other.push(&place, &["out", "me/model", "--private"]).succeeds();
    other.with(|state| assert!(state.repositories["me/model"]));
}

#[test]
fn a_branch_is_made_where_there_is_none() {
    let (place, hub) = (Workplace::new(), Hub::serve());
    folder(&place);
    let ran = hub.push(&place, &["out", "me/model", "--branch", "v2"]);
    ran.succeeds();
    assert!(ran.stdout.contains("made the branch v2"), "{}", ran.stdout);
    assert_eq!((hub.count("/branch/v2"), hub.count("/commit/v2")), (1, 1));
    place.write("out/config.json", "{\"a\": 1}");
    hub.push(&place, &["out", "me/model", "--branch", "v2"]).succeeds();
    assert_eq!((hub.count("/branch/v2"), hub.count("/commit/v2")), (1, 2), "it was there");
}

#[test]
fn a_commit_whose_answer_is_lost_is_made_once() {
    let (place, hub) = (Workplace::new(), Hub::serve());
    folder(&place);
    hub.with(|state| state.unanswered = 1);
    let ran = hub.push(&place, &["out", "me/model"]);
    ran.succeeds();
    assert!(ran.stdout.contains("commit head 1"), "{}", ran.stdout);
    assert_eq!(hub.count("/commit/"), 1, "the branch had it");
    hub.with(|state| assert_eq!((state.commits.len(), state.files.len()), (1, 5)));
}

#[test]
fn what_the_store_says_is_not_the_hub_s_word_on_the_token() {
    let (place, hub) = (Workplace::new(), Hub::serve());
    folder(&place);
    hub.with(|state| state.store_refuses = true);
    let ran = hub.push(&place, &["out", "me/model"]);
    ran.fails(1, &["the store of large files at http://127.0.0.1:", "refuses to take `a.safetensors` (403"]);
    assert!(!ran.stderr.contains("HF_TOKEN") && !ran.stderr.contains(&hub.endpoint), "{}", ran.stderr);
    let hub = Hub::serve();
    hub.with(|state| state.ignores_all = true);
    hub.push(&place, &["out", "me/model"])
        .fails(2, &["its `.gitignore` names all 6 files", "hint: change `.gitignore`"]);
}
