//! The registry, stopped after each of its steps.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::moves::{Action, History};
use crate::place::{Registry, Staged, Writer};
use crate::version::{Lineage, Version};
use crate::{RegistryError, prove};

fn lineage(run: &str) -> Lineage {
    Lineage {
        format: 1,
        name: String::new(),
        parent: None,
        run: run.to_owned(),
        manifest: "m".to_owned(),
        config: "c".to_owned(),
        base: BTreeMap::new(),
        data: BTreeMap::new(),
        rows: 0,
        rows_sha256: String::new(),
        step: 1,
        stopped: false,
        unrepeatable: Vec::new(),
        checkpoint: BTreeMap::new(),
        ships: "merged".to_owned(),
        artefact: "artefact".to_owned(),
        read_with: Vec::new(),
        red_team: None,
        decision: String::new(),
        decided_unix_seconds: 7,
        files: BTreeMap::new(),
    }
}

fn staged(writer: &Writer, run: &str) -> Staged {
    let staged = writer.stage().expect("begun");
    staged.write("artefact/model", run.as_bytes()).expect("written");
    staged.write("decision.json", b"{}").expect("written");
    staged
}

fn promote(registry: &Registry, run: &str) -> String {
    let writer = registry.write().expect("free");
    let staged = staged(&writer, run);
    writer.promote(&staged, lineage(run), "passed").expect("promoted").name().to_owned()
}

/// Everything a reader sees is whole: what is in use is what it says.
fn in_use(registry: &Registry) -> (String, String, usize) {
    let version = registry.current().expect("readable").expect("one is in use");
    assert_eq!(prove(registry, &version).expect("readable"), []);
    let model = fs::read_to_string(version.artefact().join("model")).expect("there");
    let moves = registry.history().expect("readable");
    assert_eq!(moves.last().map(|one| one.to.as_str()), Some(version.name()));
    (version.name().to_owned(), model, moves.len())
}

fn begun(folder: &Path) -> usize {
    let names = fs::read_dir(folder).expect("there").flatten().map(|entry| entry.file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".partial")).count()
}

/// Stopped after any number of steps the old version is in use; after the last the new one is.
#[test]
fn a_promotion_that_stops_anywhere_leaves_the_old_version_in_use() {
    let steps = {
        let home = tempfile::tempdir().expect("a folder");
        let registry = Registry::at(&home.path().join("registry"));
        let writer = registry.write().expect("free");
        let staged = staged(&writer, "one");
        writer.promotion(&staged, lineage("one"), "passed").expect("planned").len()
    };
    assert_eq!(steps, 4, "version.json, its folder, history.json, the link");
    for done in 0..=steps {
        let home = tempfile::tempdir().expect("a folder");
        let registry = Registry::at(&home.path().join("registry"));
        assert_eq!(promote(&registry, "one"), "v0001");
        let writer = registry.write().expect("free");
        let staged = staged(&writer, "two");
        let plan = writer.promotion(&staged, lineage("two"), "passed").expect("planned");
        plan.iter().take(done).for_each(|step| step.perform().expect("done"));
        drop(writer);
        let expected = if done == steps { ("v0002", "two", 2) } else { ("v0001", "one", 1) };
        let found = in_use(&registry);
        assert_eq!((found.0.as_str(), found.1.as_str(), found.2), expected, "after {done} steps");
        // The next promotion finds nothing in its way, and counts on.
        let next = promote(&registry, "three");
        assert_eq!(next, if done < 2 { "v0002" } else { "v0003" }, "after {done} steps");
        assert_eq!(in_use(&registry), (next, "three".to_owned(), expected.2 + 1), "after {done} steps");
        assert_eq!(begun(&home.path().join("registry")) + begun(&home.path().join("registry/versions")), 0);
    }
}

/// Whoever reads without holding the registry reads two files, and a promotion may end between them.
#[test]
fn a_promotion_between_two_looks_is_no_fault_of_the_link() {
    let home = tempfile::tempdir().expect("a folder");
    let registry = Registry::at(home.path());
    promote(&registry, "one");
    let seen = |between: &dyn Fn()| -> Vec<(Action, String)> {
        let mut looks = 0;
        let seen = History::seen(home.path(), || {
            let history = registry.read_history()?;
            looks += 1;
            if looks == 1 {
                between();
            }
            Ok((history, registry.current_name()?))
        });
        seen.expect("whole").moves.into_iter().map(|one| (one.action, one.to)).collect()
    };
    let promoted = |name: &str| (Action::Promote, name.to_owned());
    let both = [promoted("v0001"), promoted("v0002")];
    assert_eq!(seen(&|| drop(promote(&registry, "two"))), both);
    // The way back looks as if the promotion before it had been stopped.
    let back = || drop(registry.write().expect("free").roll_back(None, 9).expect("the parent"));
    let [first, second] = both;
    assert_eq!(seen(&back), [first, second, (Action::Rollback, "v0001".to_owned())]);
    // A link that somebody lost stays a fault.
    fs::remove_file(home.path().join("current")).expect("removed");
    assert!(matches!(registry.history(), Err(RegistryError::Link { .. })));
}

#[test]
fn going_back_is_a_move_too() {
    let home = tempfile::tempdir().expect("a folder");
    let registry = Registry::at(home.path());
    for run in ["one", "two", "three"] {
        promote(&registry, run);
    }
    let back = |wanted| {
        registry.write().expect("free").roll_back(wanted, 9).map(|version| version.name().to_owned())
    };
    assert_eq!(back(None).expect("the parent"), "v0002");
    assert_eq!(back(None).expect("the parent's parent"), "v0001");
    assert!(matches!(back(None), Err(RegistryError::NothingBefore { .. })));
    assert_eq!(back(Some("3")).expect("named"), "v0003");
    assert_eq!(back(Some("current")).expect("nothing to do"), "v0003");
    let moves = registry.history().expect("readable");
    let shown: Vec<_> = moves.iter().map(|one| (one.action, one.to.as_str())).collect();
    use Action::{Promote, Rollback};
    assert_eq!(
        shown,
        [
            (Promote, "v0001"),
            (Promote, "v0002"),
            (Promote, "v0003"),
            (Rollback, "v0002"),
            (Rollback, "v0001"),
            (Rollback, "v0003")
        ]
    );
    assert!(matches!(registry.find("v0009"), Err(RegistryError::NoVersion { .. })));
}

#[test]
fn what_was_changed_is_named_and_not_gone_back_to() {
    let home = tempfile::tempdir().expect("a folder");
    let registry = Registry::at(home.path());
    promote(&registry, "one");
    promote(&registry, "two");
    let old = registry.find("v0001").expect("there");
    fs::write(old.artefact().join("model"), "other").expect("written");
    fs::write(old.folder.join("more"), "x").expect("written");
    fs::remove_file(old.folder.join("decision.json")).expect("removed");
    let faults: Vec<String> =
        prove(&registry, &old).expect("readable").into_iter().map(|fault| fault.file).collect();
    assert_eq!(faults, ["artefact/model", "decision.json", "more"]);
    assert!(matches!(registry.write().expect("free").roll_back(None, 9), Err(RegistryError::Faulty { .. })));
    assert_eq!(in_use(&registry).0, "v0002");
    let path = registry.find("v0002").expect("there").folder.join("version.json");
    let text = fs::read_to_string(&path).expect("there").replace("\"step\": 1", "\"step\": 2");
    fs::write(&path, text).expect("written");
    let faults = prove(&registry, &registry.find("v0002").expect("there")).expect("readable");
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].file, "version.json");
}

/// A folder that somebody put there says of itself what it likes.
#[test]
fn what_no_move_names_was_never_let_in() {
    let home = tempfile::tempdir().expect("a folder");
    let registry = Registry::at(home.path());
    promote(&registry, "one");
    promote(&registry, "two");
    // A whole folder whose hashes are right, as a promotion that was stopped leaves it, or as anybody can write it.
    let writer = registry.write().expect("free");
    let staged = staged(&writer, "three");
    let plan = writer.promotion(&staged, lineage("three"), "passed").expect("planned");
    plan.iter().take(2).for_each(|step| step.perform().expect("done"));
    drop(writer);
    let planted = registry.find("v0003").expect("there");
    let faults = prove(&registry, &planted).expect("readable");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].to_string(), "`version.json`: expected a move to it in history.json, found none");
    let back = registry.write().expect("free").roll_back(Some("v0003"), 9);
    assert!(matches!(back, Err(RegistryError::NeverInUse { .. })), "{back:?}");
    assert_eq!(in_use(&registry).0, "v0002");
}

#[test]
fn a_link_is_no_file_and_no_version() {
    use std::os::unix::fs::symlink;
    let home = tempfile::tempdir().expect("a folder");
    let registry = Registry::at(&home.path().join("registry"));
    promote(&registry, "one");
    promote(&registry, "two");
    let version = registry.find("v0001").expect("there");
    // The same bytes, somewhere else.
    for name in ["artefact/model", "version.json"] {
        let (file, aside) = (version.folder.join(name), home.path().join("aside"));
        fs::copy(&file, &aside).expect("copied");
        fs::remove_file(&file).expect("removed");
        symlink(&aside, &file).expect("linked");
        let faults: Vec<String> =
            prove(&registry, &version).expect("readable").into_iter().map(|fault| fault.file).collect();
        assert_eq!(faults, [name]);
        fs::remove_file(&file).expect("removed");
        fs::copy(&aside, &file).expect("back");
    }
    assert_eq!(prove(&registry, &version).expect("readable"), []);
    // Whatever a version says: no hash is that of a link.
    let mut said = version.clone();
    symlink("model", said.folder.join("artefact/more")).expect("linked");
    said.lineage.files.insert("artefact/more".to_owned(), "no plain file".to_owned());
    assert_eq!(prove(&registry, &said).expect("readable").len(), 1);
    symlink("v0001", home.path().join("registry/versions/v0003")).expect("linked");
    assert!(matches!(registry.find("v0003"), Err(RegistryError::NoVersion { .. })));
    assert_eq!(registry.versions().expect("readable").whole.len(), 2);
    let aside = home.path().join("registry/versions/aside");
    fs::rename(home.path().join("registry/versions/v0002"), &aside).expect("moved");
    symlink("aside", home.path().join("registry/versions/v0002")).expect("linked");
    assert!(registry.current().expect_err("a link").to_string().contains("found a link"));
    // What is staged ships as it is, under a name that nothing had before.
    let writer = registry.write().expect("free");
    let staged = staged(&writer, "four");
    assert_eq!(staged.name(), "v0004");
    symlink("model", staged.path().join("artefact/more")).expect("linked");
    assert!(writer.promotion(&staged, lineage("four"), "passed").is_err());
}

#[test]
fn a_refusal_is_kept_and_moves_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let registry = Registry::at(home.path());
    promote(&registry, "one");
    let writer = registry.write().expect("free");
    assert!(matches!(registry.write(), Err(RegistryError::InUse { .. })));
    for number in ["0001.json", "0002.json"] {
        let kept = writer.refuse(staged(&writer, "two"), b"{}").expect("kept");
        assert!(kept.ends_with(number), "{}", kept.display());
    }
    drop(writer);
    assert_eq!(in_use(&registry), ("v0001".to_owned(), "one".to_owned(), 1));
    assert_eq!(begun(&home.path().join("versions")), 0);
}

/// Without its version.json, with half of it, or with that of another version.
#[test]
fn a_damaged_version_keeps_nobody_from_the_others() {
    let spoil: [fn(&Path); 3] = [
        |file| fs::remove_file(file).expect("removed"),
        |file| {
            let whole = fs::read(file).expect("there");
            fs::write(file, &whole[..whole.len() / 2]).expect("written");
        },
        |file| {
            let said = fs::read_to_string(file).expect("there");
            fs::write(file, said.replace("\"name\": \"v", "\"name\": \"v1")).expect("written");
        },
    ];
    for spoil in spoil {
        let home = tempfile::tempdir().expect("a folder");
        let registry = Registry::at(home.path());
        for run in ["one", "two", "three"] {
            promote(&registry, run);
        }
        let back = |wanted| {
            registry.write().expect("free").roll_back(wanted, 9).map(|version| version.name().to_owned())
        };
        let damaged = |error: RegistryError| {
            assert!(error.is_input() && error.hint().is_some(), "{error}");
            match error {
                RegistryError::Damaged { version, source } => (version, source.to_string()),
                other => panic!("{other}"),
            }
        };
        spoil(&home.path().join("versions/v0002/version.json"));
        let versions = registry.versions().expect("listed");
        assert_eq!(versions.whole.iter().map(Version::name).collect::<Vec<_>>(), ["v0001", "v0003"]);
        let (name, error) = versions.damaged.into_iter().next().expect("one is damaged");
        let (version, said) = damaged(error);
        assert_eq!((name.as_str(), version.as_str()), ("v0002", "v0002"));
        assert!(said.contains("version.json"), "{said}");
        // What needs it refuses; what does not goes on.
        assert_eq!(damaged(registry.find("v0002").expect_err("damaged")).0, "v0002");
        assert_eq!(damaged(back(None).expect_err("the parent")).0, "v0002");
        assert_eq!(in_use(&registry).0, "v0003");
        assert_eq!(back(Some("v0001")).expect("whole"), "v0001");
        assert_eq!(back(Some("v0003")).expect("whole"), "v0003");
        assert_eq!(promote(&registry, "four"), "v0004");
        // The one in use: it is gone back from, to its parent of which history.json knows, and not counted on.
        spoil(&home.path().join("versions/v0004/version.json"));
        assert_eq!(damaged(registry.current().expect_err("damaged")).0, "v0004");
        assert_eq!(damaged(back(Some("current")).expect_err("damaged")).0, "v0004");
        assert_eq!(back(None).expect("its parent"), "v0003");
        assert_eq!(in_use(&registry).0, "v0003");
    }
}

/// Whoever can make a folder can give it the last number there is.
#[test]
fn behind_the_last_number_there_is_no_version() {
    let home = tempfile::tempdir().expect("a folder");
    let registry = Registry::at(home.path());
    promote(&registry, "one");
    let last = format!("v{}", u64::MAX);
    fs::create_dir(home.path().join("versions").join(&last)).expect("made");
    let error = registry.write().expect("free").stage().expect_err("no number is left").to_string();
    assert!(error.contains(&last), "{error}");
    assert_eq!(in_use(&registry).0, "v0001");
}
