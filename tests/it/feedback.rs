//! `rtune feedback`, and the run that comes of it.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use rtune_data::{Half, Source, read_golden};
use serde_json::{Value, json};

use crate::promote::{current, promote, workplace};
use crate::workplace::{Ran, Workplace};

fn feedback(place: &Workplace, name: &str, lines: &[Value]) {
    place.write(name, lines.iter().map(|line| format!("{line}\n")).collect::<String>());
}

fn said(asked: &str, correction: &str, user: &str) -> Value {
    json!({"prompt": asked, "answer": "no", "thumbs": "down", "correction": correction, "user": user})
}

fn import(place: &Workplace, more: &[&str]) -> Ran {
    place.rtune(
        &[&["feedback", "import", "said.jsonl", "--queue", "queue", "--config", "config.toml"], more]
            .concat(),
    )
}

fn entries(place: &Workplace) -> Vec<Value> {
    let ran = place.rtune(&["feedback", "list", "--queue", "queue", "--json"]);
    ran.succeeds();
    let all: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    all["entries"].as_array().expect("entries").clone()
}

fn states(place: &Workplace) -> Vec<String> {
    entries(place).iter().map(|one| one["state"].as_str().expect("a state").to_owned()).collect()
}

/// What a person types.
fn decide(place: &Workplace, typed: &str) -> Ran {
    let mut command = place.command(&["feedback", "review", "--queue", "queue", "--by", "ann"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("started");
    child.stdin.take().expect("an input").write_all(typed.as_bytes()).expect("typed");
    Ran::of(child.wait_with_output().expect("ended"))
}

#[test]
fn feedback_becomes_rows_of_a_run_that_can_be_made_again() {
    let place = workplace();
    promote(&place, "yes", &[]).succeeds();
    let own = said("Is ann.miller@example.org on the list?", "yes", "u1");
    feedback(
        &place,
        "said.jsonl",
        &[
            own,
            said("Do you ship lamps abroad?", "yes", "u2"),
            said("May order 1037 be sent back?", "yes", "u3"),
        ],
    );
    let ran = import(&place, &[]);
    ran.succeeds();
    for part in ["3 read, 3 kept", "1 resemble golden rows", "EMAIL_ADDRESS 1"] {
        assert!(ran.stdout.contains(part), "{part:?} in\n{}", ran.stdout);
    }
    assert!(
        ran.stderr.contains("`data.privacy.mode` is report: personal data is replaced as numbered"),
        "{}",
        ran.stderr
    );
    assert!(!place.read("queue/entries/0001.jsonl").contains("ann.miller"));
    assert_eq!(states(&place), ["waiting", "waiting", "golden"]);
    let next =
        ["train", "--from", "current", "--add", "queue", "--set", "output.dir=next", "--replay", "0.5"];
    place.rtune(&next).fails(2, &["the queue `queue` has no accepted rows", "rtune feedback review"]);
    let ran = place.rtune(&["feedback", "review", "--queue", "queue", "--accept", "all"]);
    ran.succeeds();
    assert!(ran.stdout.contains("2 accepted, 0 rejected"), "{}", ran.stdout);
    place.rtune(&next).succeeds();
    let config = place.read("next/config.toml");
    assert!(config.contains("queue/accepted/0001-") && config.contains("weight = 0.5"), "{config}");
    place.rtune(&["verify", "next"]).succeeds();
    let rows = place.rtune(&["verify", "next", "--rows"]);
    assert!(rows.stdout.contains("queue/accepted/0001-"), "{}", rows.stdout);
    promote(&place, "next", &["gate.must-improve=[]", "gate.non-inferior={checks=1.0}", "gate.slices=false"])
        .succeeds();
    assert_eq!(current(&place), "v0002");
    let ran = place.rtune(&["rebuild", "v0002", "again"]);
    ran.succeeds();
    // What was added once is not added twice.
    let ran = place.rtune(&["train", "--from", "current", "--add", "queue", "--set", "output.dir=third"]);
    ran.succeeds();
    assert!(ran.stderr.contains("every accepted row of `queue` is trained on already"), "{}", ran.stderr);
    // An accepted row that somebody changed is no accepted row.
    let file =
        fs::read_dir(place.path("queue/accepted")).expect("there").flatten().next().expect("a file").path();
    let text = fs::read_to_string(&file).expect("rows");
    fs::remove_file(&file).expect("removed");
    fs::write(&file, text.replace("abroad", "to the moon")).expect("written");
    place
        .rtune(&["train", "--from", "current", "--add", "queue", "--set", "output.dir=fourth"])
        .fails(2, &["expected rows whose SHA-256 begins"]);
    place.rtune(&["verify", "next"]).fails(2, &["queue/accepted/0001-"]);
}

#[test]
fn a_person_decides_at_a_prompt() {
    let place = workplace();
    let odd = json!({"prompt": "Do you repair\u{1b}[2J kettles?", "answer": "no", "stars": 1, "comment": "unhelpful"});
    feedback(
        &place,
        "said.jsonl",
        &[
            said("Which bulb fits the desk lamp?", "E27", "u1"),
            odd,
            said("Where is the shop?", "nowhere", "u2"),
            said("Who runs the shop?", "Ann", "u3"),
        ],
    );
    import(&place, &[]).succeeds();
    // The second has nothing to train on, and is rewritten; an answer that is none is asked for again.
    let ran = decide(&place, "a\na\ne\n.\ne\nYes, bring it.\nWe look at it.\n.\nwhat\nr\nq\n");
    ran.succeeds();
    assert!(ran.stdout.contains("2 accepted, 1 rejected"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("repair⟨U+001B⟩[2J kettles") && !ran.stdout.contains('\u{1b}'),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("no answer to train on"), "{}", ran.stderr);
    assert_eq!(states(&place), ["accepted", "accepted", "rejected", "waiting"]);
    let file =
        fs::read_dir(place.path("queue/accepted")).expect("there").flatten().next().expect("a file").path();
    let text = fs::read_to_string(file).expect("rows");
    assert!(text.contains("E27") && text.contains("Yes, bring it.\\nWe look at it."), "{text}");
    let ran = decide(&place, "s\n");
    ran.succeeds();
    assert!(ran.stdout.contains("1 of 1") && ran.stdout.contains("0 accepted, 0 rejected"), "{}", ran.stdout);
}

#[test]
fn topics_without_golden_rows_are_listed() {
    let place = workplace();
    let cards = ["My gift card was declined", "Gift card declined again", "Why is the gift card declined?"];
    let mut lines: Vec<Value> = cards.iter().map(|asked| said(asked, "yes", "u1")).collect();
    lines.push(said("May order 1111 be sent back, pls?", "yes", "u2"));
    lines.push(json!({"prompt": "Is the warranty two years?", "answer": "yes", "thumbs": "up"}));
    feedback(&place, "said.jsonl", &lines);
    import(&place, &[]).succeeds();
    let ran = place.rtune(&["feedback", "list", "--queue", "queue", "--config", "config.toml", "--json"]);
    ran.succeeds();
    let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let topics = found["topics_without_golden_rows"].as_array().expect("topics");
    assert_eq!(topics.len(), 1, "{topics:?}");
    assert_eq!(topics[0]["entries"].as_array().map(Vec::len), Some(3));
    let ran = place.rtune(&[
        "feedback",
        "list",
        "--queue",
        "queue",
        "--config",
        "config.toml",
        "--state",
        "waiting",
    ]);
    assert!(
        ran.stdout.contains("no golden row asks the like") && ran.stdout.contains("declined"),
        "{}",
        ran.stdout
    );
}

/// A golden row that was written later asks what an accepted row asks: that can be taken back, and the next run goes on without it.
#[test]
fn an_accepted_row_can_be_taken_back() {
    let place = workplace();
    promote(&place, "yes", &[]).succeeds();
    feedback(
        &place,
        "said.jsonl",
        &[said("Do you ship lamps abroad?", "yes", "u1"), said("Is the shop open on Sundays?", "yes", "u2")],
    );
    import(&place, &[]).succeeds();
    place.rtune(&["feedback", "review", "--queue", "queue", "--accept", "all"]).succeeds();
    let id = entries(&place)[0]["entry"]["id"].as_str().expect("an id").to_owned();
    let late = json!({"id": "late", "instruction": "Do you ship lamps abroad?", "output": "yes"});
    place.write("golden.jsonl", format!("{}{late}\n", place.read("golden.jsonl")));
    let next = ["train", "--from", "current", "--add", "queue", "--set", "output.dir=next"];
    let advice = format!("rtune feedback review --queue queue --reject {id}`");
    place.rtune(&next).fails(2, &["golden.jsonl:25", "gives it away", &advice]);
    let ran = place.rtune(&["feedback", "review", "--queue", "queue", "--reject", &id]);
    ran.succeeds();
    assert!(ran.stdout.contains("accepted/0002-"), "{}", ran.stdout);
    place
        .rtune(&["feedback", "review", "--queue", "queue", "--accept", &id])
        .fails(2, &["it was accepted, and rejected later: that stands"]);
    place.rtune(&next).succeeds();
    let config = place.read("next/config.toml");
    assert!(config.contains("accepted/0002-") && !config.contains("accepted/0001-"), "{config}");
}

/// What nobody may look at is no reason to say that a topic is covered.
#[test]
fn what_sealed_rows_ask_is_not_told() {
    let place = workplace();
    let asked = [
        "Gift card declined yesterday",
        "Warranty lapses soon?",
        "Parcel soaked through",
        "Invoice twice charged",
        "Kettle whistles loudly",
        "Chairs wobble badly",
        "Password forgotten again",
        "Courier rang nobody",
        "Coupon expired early",
        "Curtains faded white",
        "Mirror arrived cracked",
        "Drawer jams halfway",
    ];
    let rows = asked.map(|asked| format!("{}\n", json!({"instruction": asked, "output": "yes"})));
    place.write("golden.jsonl", rows.concat());
    let golden = read_golden(&[Source::new(place.path("golden.jsonl"))], true).expect("rows").remove(0).rows;
    let sealed: Vec<String> =
        golden.iter().filter(|row| !Half::Open.has(row)).map(|row| row.record.users_text()).collect();
    assert!(!sealed.is_empty() && sealed.len() < asked.len(), "{sealed:?}");
    let lines: Vec<Value> = asked.iter().map(|asked| said(asked, "no", asked)).collect();
    feedback(&place, "said.jsonl", &lines);
    import(&place, &[]).succeeds();
    assert!(states(&place).iter().all(|state| state == "golden"), "none is ever trained on");
    let list = ["feedback", "list", "--queue", "queue", "--config", "config.toml", "--json"];
    let topics = |more: &[&str]| {
        let ran = place.rtune(&[list.as_slice(), more].concat());
        ran.succeeds();
        let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let topics = found["topics_without_golden_rows"].as_array().expect("topics").clone();
        topics.iter().map(|topic| topic["entries"].as_array().map_or(0, Vec::len)).sum::<usize>()
    };
    assert_eq!(topics(&[]), 0, "without a seal every golden row may be seen");
    assert_eq!(topics(&["--set", "gate.sealed=true"]), sealed.len());
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_left_behind() {
    let place = workplace();
    let list = ["feedback", "list", "--queue", "queue"];
    place.rtune(&list).fails(2, &["`queue` is no queue"]);
    feedback(
        &place,
        "said.jsonl",
        &[said("a b c?", "d", "u1"), json!({"prompt": "x", "thumbs": "sideways"})],
    );
    import(&place, &[]).fails(2, &["said.jsonl:2: expected `thumbs`", "docs/feedback.md"]);
    assert!(!place.path("queue").exists());
    place
        .rtune(&["feedback", "import", "said.jsonl", "--queue", "queue"])
        .fails(2, &["expected a configuration"]);
    import(&place, &["--from", "argilla"]).fails(2, &["said.jsonl:1: expected `fields`"]);
    feedback(&place, "said.jsonl", &[said("a b c?", "d", "u1")]);
    import(&place, &["--set", "data.privacy.mode=off"]).succeeds();
    let id = entries(&place)[0]["entry"]["id"].as_str().expect("an id").to_owned();
    let review = |more: &[&str]| place.rtune(&[&["feedback", "review", "--queue", "queue"], more].concat());
    review(&["--accept", "fb-none", "--reject", &id]).fails(2, &["the queue has no entry `fb-none`"]);
    assert_eq!(states(&place), ["waiting"], "nothing was decided");
    review(&["--accept", &id, "--reject", &id]).fails(2, &["accepted and rejected at once"]);
    review(&["--reject", &id]).succeeds();
    assert_eq!(states(&place), ["rejected"]);
    place.rtune(&["train"]).fails(2, &["CONFIG"]);
}

/// As `prepare` has it of the same configuration; and nothing is kept.
#[test]
fn hashes_without_a_salt_are_a_fault_of_the_input() {
    let place = workplace();
    feedback(&place, "said.jsonl", &[said("a b c?", "d", "u1")]);
    let hash = ["--set", "data.privacy.mode=hash"];
    let lost = [hash.as_slice(), &["--set", "data.privacy.salt-file=none.txt"]].concat();
    let (no_salt, no_file) = (["hint: ", "data.privacy.salt-file"], ["error: none.txt: "]);
    for (set, parts) in [(hash.as_slice(), no_salt.as_slice()), (&lost, &no_file)] {
        import(&place, set).fails(2, parts);
        place.rtune(&[&["prepare", "config.toml"], set].concat()).fails(2, parts);
        assert!(!place.path("queue").exists());
    }
}
