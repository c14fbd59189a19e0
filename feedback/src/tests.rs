use std::path::{Path, PathBuf};

use rtune_data::{PrivacyMode, PrivacyOptions, Source, scrubber};
use serde_json::{Value, json};

use crate::forms::{Form, read};
use crate::intake::{Account, Against, take_in};
use crate::queue::{Decision, Queue, State, Verdict, accepted, withdrawn};
use crate::{Entry, FeedbackError};

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder") };
        let row = |asked: &str, answer: &str| json!({"instruction": asked, "output": answer});
        place.write(
            "golden.jsonl",
            &[row("How do I cancel my subscription before it renews?", "In the settings.")],
        );
        place.write("train.jsonl", &[row("Where is my parcel with the blue lamp?", "It is on its way.")]);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, lines: &[Value]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(self.path(name), text).expect("written");
    }

    fn queue(&self) -> Queue {
        Queue::open(&self.path("queue"), true).expect("a queue")
    }

    fn import(&self, lines: &[Value], mode: PrivacyMode) -> Account {
        self.write("feedback.jsonl", lines);
        let found = read(&[self.path("feedback.jsonl")], Some(Form::Rtune), &[]).expect("feedback");
        let scrubber = scrubber(&PrivacyOptions { mode, ..PrivacyOptions::default() }, None).expect("rules");
        let (golden, train) = (self.path("golden.jsonl"), self.path("train.jsonl"));
        let mut queue = self.queue();
        let salt = queue.salt().expect("a salt");
        let against = Against {
            scrubber: scrubber.as_ref(),
            golden: &[Source::new(golden)],
            train: &[Source::new(train)],
            similarity: 0.8,
            per_user: 3,
            salt: &salt,
            folder: self.folder.path(),
        };
        let (entries, account) = take_in(found, queue.entries(), &against).expect("entries");
        queue.add(entries).expect("written");
        account
    }
}

fn said(asked: &str, correction: &str) -> Value {
    json!({"prompt": asked, "answer": "I do not know.", "thumbs": "down", "correction": correction})
}

/// Every byte below a folder.
fn bytes_below(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("there").flatten() {
        match entry.path() {
            path if path.is_dir() => all.extend(bytes_below(&path)),
            path => all.extend(std::fs::read(path).expect("read")),
        }
    }
    all
}

#[test]
fn personal_data_is_gone_before_anything_is_written() {
    let place = Place::new();
    let secret = ["ann.miller@example.org", "4111 1111 1111 1111", "user-77@example.org"];
    let line = json!({"id": "case-of-ann.miller@example.org", "prompt": format!("I am {} and pay with {}", secret[0], secret[1]),
        "answer": format!("Hello {}!", secret[0]), "thumbs": "down", "comment": format!("write to {}", secret[0]),
        "correction": "Hello!", "user": secret[2], "created": "written by ann.miller@example.org"});
    let account = place.import(&[line], PrivacyMode::Numbered);
    assert_eq!((account.read, account.kept), (1, 1));
    assert!(account.replaced["EMAIL_ADDRESS"] >= 3 && account.replaced["CREDIT_CARD"] == 1, "{account:?}");
    let text = String::from_utf8_lossy(&bytes_below(&place.path("queue"))).into_owned();
    for one in secret {
        assert!(!text.contains(one), "{one}");
    }
    let queue = place.queue();
    let entry = &queue.entries()[0];
    // The same person is the same through an entry.
    let tag = entry
        .answer
        .as_deref()
        .and_then(|answer| answer.strip_prefix("Hello "))
        .expect("a tag")
        .trim_end_matches('!');
    assert!(
        entry.asked().contains(tag) && entry.comment.as_deref().is_some_and(|comment| comment.contains(tag))
    );
    assert_eq!((entry.user.as_ref().map(String::len), entry.created.as_deref()), (Some(16), None));
    drop(queue);
    let dropped = place.import(
        &[json!({"prompt": format!("I am {}", secret[0]), "thumbs": 1, "answer": "Hi"})],
        PrivacyMode::DropRow,
    );
    assert_eq!((dropped.personal, dropped.kept), (1, 0));
}

#[test]
fn what_is_known_is_not_kept_twice() {
    let place = Place::new();
    let lamp = said("Which bulb fits the desk lamp?", "E27.");
    let again = said("which bulb  fits the desk lamp", "e27");
    let account = place.import(
        &[lamp.clone(), again, json!({"prompt": "Only asked"}), json!({"prompt": " ", "thumbs": 1})],
        PrivacyMode::Tag,
    );
    assert_eq!((account.kept, account.in_queue, account.empty), (1, 1, 2));
    assert_eq!(place.import(&[lamp], PrivacyMode::Tag).in_queue, 1);
    // A training row with another answer is news; with the same one it is none.
    let same = said("Where is my parcel with the blue lamp?", "It is on its way.");
    let other = said("Where is my parcel with the blue lamp?", "It was lost, we send another.");
    let account = place.import(&[same, other], PrivacyMode::Tag);
    assert_eq!((account.kept, account.trained), (1, 1));
    let queue = place.queue();
    assert!(queue.entries()[1].resembles.as_deref().is_some_and(|row| row.ends_with("train.jsonl:1")));
}

#[test]
fn golden_rows_are_never_trained_on_however_many_ask_like_them() {
    let place = Place::new();
    let near = |number: usize| {
        said(
            &format!("How do I cancel my subscription before it renews{}", "?".repeat(number)),
            &format!("Answer {number}."),
        )
    };
    let lines: Vec<Value> = (0..40).map(near).collect();
    let account = place.import(&lines, PrivacyMode::Tag);
    assert_eq!(
        (account.kept, account.leaks),
        (40, 40),
        "each says something else, and all ask what a golden row asks"
    );
    let mut queue = place.queue();
    let id = queue.entries()[7].id.clone();
    assert_eq!(queue.state(&queue.entries()[7]), State::Golden);
    let error = queue.decide(decision(&id, Verdict::Accept, None)).expect_err("refused");
    assert!(error.to_string().contains("golden.jsonl:1") && error.is_input(), "{error}");
    assert_eq!(queue.freeze().expect("nothing"), None);
}

/// What is written in place of personal data differs from row to row; what resembles a golden row does not.
#[test]
fn golden_questions_with_personal_data_are_found_in_every_mode() {
    for mode in [PrivacyMode::Tag, PrivacyMode::Numbered, PrivacyMode::Surrogate, PrivacyMode::Mask] {
        let place = Place::new();
        let asked =
            "Please change the e-mail of Anna Schmidt to anna.schmidt@web.de, card 4242 4242 4242 4242.";
        place.write("golden.jsonl", &[json!({"instruction": asked, "output": "It is changed, thank you."})]);
        let account = place.import(&[said(asked, "We did so.")], mode);
        assert_eq!((account.kept, account.leaks), (1, 1), "{mode:?}");
        let text = std::fs::read_to_string(place.path("queue/entries/0001.jsonl")).expect("kept");
        assert!(!text.contains("anna.schmidt"), "{mode:?}: {text}");
    }
}

/// A greeting of one's own before it makes a golden question no passage that many ask about.
#[test]
fn a_long_golden_question_behind_a_greeting_is_found() {
    let place = Place::new();
    let asked = "I ordered the blue garden chairs and paid for the express delivery, so why does nobody in the shop answer my messages?";
    place.write("golden.jsonl", &[json!({"instruction": asked, "output": "We are sorry."})]);
    let lines: Vec<Value> = (0..25)
        .map(|number| said(&format!("Hello {number}!\n{asked}"), &format!("Answer {number}.")))
        .collect();
    let account = place.import(&lines, PrivacyMode::Tag);
    assert_eq!((account.kept, account.leaks), (25, 25));
}

#[test]
fn what_a_queue_cannot_keep_is_counted_and_not_kept() {
    let place = Place::new();
    let call = json!([{"type": "function", "function": {"name": "look_up", "arguments": "{}"}}]);
    let calls = json!({"messages": [{"role": "user", "content": "Where is it?"},
        {"role": "assistant", "content": null, "tool_calls": call}, {"role": "tool", "content": "Graz"},
        {"role": "assistant", "content": "In Graz."}], "thumbs": "up"});
    let mut dated = said("Which bulb fits the desk lamp?", "E27.");
    dated["created"] = "+49 170 1234567".into();
    let account = place.import(&[calls, dated], PrivacyMode::Tag);
    assert_eq!((account.read, account.kept, account.calls), (2, 1, 1));
    assert_eq!(place.queue().entries()[0].created, None);
    assert!(!String::from_utf8_lossy(&bytes_below(&place.path("queue"))).contains("1234567"));
}

/// Nobody judged the answers before the one that was liked.
#[test]
fn earlier_answers_are_not_trained() {
    let place = Place::new();
    let turn = |role: &str, text: &str| json!({"role": role, "content": text});
    let talk = [
        turn("user", "Do you sell kettles?"),
        turn("assistant", "Perhaps."),
        turn("user", "So do you?"),
        turn("assistant", "Yes, three."),
    ];
    place.import(&[json!({"messages": talk, "thumbs": "up"})], PrivacyMode::Tag);
    let mut queue = place.queue();
    let id = ids(&queue)[0].clone();
    queue.decide(decision(&id, Verdict::Accept, None)).expect("liked");
    let file = queue.freeze().expect("written").expect("a file");
    let row = rtune_data::read_file(&file).expect("rows to train on").rows.remove(0);
    let trained: Vec<bool> = row.messages.iter().map(|message| message.trained).collect();
    assert_eq!((row.messages.len(), trained[1], trained[3]), (4, false, true));
}

#[test]
fn what_can_be_no_training_row_is_not_accepted() {
    let place = Place::new();
    let turn = |role: &str, text: &str| json!({"role": role, "content": text});
    let talk = [turn("user", "Do you sell kettles?"), turn("assistant", ""), turn("user", "So do you?")];
    place.import(&[json!({"messages": talk, "answer": "Yes, three.", "thumbs": "up"})], PrivacyMode::Tag);
    let mut queue = place.queue();
    let id = ids(&queue)[0].clone();
    let error = queue.decide(decision(&id, Verdict::Accept, None)).expect_err("an answer without text");
    let said = error.to_string();
    assert!(said.contains(&id) && said.contains("no training row: no answer: message 2"), "{said}");
    assert_eq!(queue.state(&queue.entries()[0]), State::Waiting);
    queue.decide(decision(&id, Verdict::Reject, None)).expect("it can be rejected");
}

#[test]
fn one_user_cannot_fill_the_queue() {
    let place = Place::new();
    let line = |user: &str, number: usize| {
        let mut line =
            said(&format!("Question number {number} of somebody about {user}"), &format!("No {number}."));
        line["user"] = user.into();
        line
    };
    let lines: Vec<Value> = (0..5).map(|number| line("loud", number)).chain([line("quiet", 9)]).collect();
    let account = place.import(&lines, PrivacyMode::Tag);
    assert_eq!((account.kept, account.over_cap), (4, 2));
    assert_eq!(place.import(&[line("loud", 77)], PrivacyMode::Tag).over_cap, 1, "over imports, too");
}

fn decision(id: &str, decision: Verdict, answer: Option<&str>) -> Decision {
    let answer = answer.map(str::to_owned);
    Decision { format: 1, id: id.to_owned(), decision, answer, by: "ann".to_owned(), unix_seconds: 1 }
}

fn ids(queue: &Queue) -> Vec<String> {
    queue.entries().iter().map(|entry: &Entry| entry.id.clone()).collect()
}

#[test]
fn what_was_accepted_is_written_once_and_never_changes() {
    let place = Place::new();
    let disliked = json!({"prompt": "Do you repair kettles?", "answer": "No.", "thumbs": "down"});
    let liked = json!({"prompt": "Do you sell kettles?", "answer": "Yes, three.", "stars": 5});
    place.import(&[said("Which bulb fits the desk lamp?", "E27."), disliked, liked], PrivacyMode::Tag);
    let mut queue = place.queue();
    let all = ids(&queue);
    queue.decide(decision(&all[0], Verdict::Accept, None)).expect("a correction");
    let error = queue.decide(decision(&all[1], Verdict::Accept, None)).expect_err("nothing to train on");
    assert!(error.to_string().contains("no answer to train on"), "{error}");
    queue.decide(decision(&all[1], Verdict::Accept, Some("Yes, bring it."))).expect("rewritten");
    queue.decide(decision(&all[2], Verdict::Reject, None)).expect("rejected");
    let file = queue.freeze().expect("written").expect("a file");
    assert!(file.ends_with(format!("accepted/{}", file.file_name().expect("a name").to_string_lossy())));
    assert_eq!(queue.freeze().expect("nothing new"), None);
    let text = std::fs::read_to_string(&file).expect("rows");
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect();
    assert_eq!((rows.len(), &rows[0]["messages"][1]["content"]), (2, &json!("E27.")));
    assert_eq!(
        (&rows[1]["id"], &rows[1]["messages"][1]["content"]),
        (&json!(all[1]), &json!("Yes, bring it."))
    );
    let error = queue.decide(decision(&all[0], Verdict::Accept, Some("E14."))).expect_err("too late");
    assert!(error.to_string().contains("already") && error.is_input(), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains(&format!("--reject {}", all[0]))), "{error:?}");
    // Later decisions are a file of their own.
    queue.decide(decision(&all[2], Verdict::Accept, None)).expect("liked");
    let second = queue.freeze().expect("written").expect("a file");
    assert_ne!(second, file);
    drop(queue);
    let again = place.queue();
    assert_eq!(again.state(&again.entries()[2]), State::Accepted);
    assert_eq!(accepted(&place.path("queue")).expect("both"), [file.clone(), second]);
    std::fs::remove_file(&file).expect("removed");
    std::fs::write(&file, text.replace("E27", "E14")).expect("written");
    let error = accepted(&place.path("queue")).expect_err("altered");
    assert!(matches!(&error, FeedbackError::Altered { .. }) && error.is_input(), "{error}");
}

#[test]
fn an_accepted_row_can_be_taken_back_and_its_file_stays() {
    let place = Place::new();
    let lines: Vec<Value> = ["lamp", "chair", "kettle"]
        .map(|thing| {
            said(&format!("Do you sell the green {thing} in the window?"), &format!("The {thing}, yes."))
        })
        .to_vec();
    place.import(&lines, PrivacyMode::Tag);
    let (mut queue, folder) = (place.queue(), place.path("queue"));
    let all = ids(&queue);
    for id in &all {
        queue.decide(decision(id, Verdict::Accept, None)).expect("a correction");
    }
    // A review that ends here has written nothing.
    let error = accepted(&folder).expect_err("not written yet");
    assert!(matches!(&error, FeedbackError::Unwritten { .. }), "{error}");
    let first = queue.freeze().expect("written").expect("a file");
    let bytes = std::fs::read(&first).expect("rows");
    queue.decide(decision(&all[1], Verdict::Reject, None)).expect("taken back");
    assert_eq!(queue.state(&queue.entries()[1]), State::Rejected);
    // Stopped here, the rows beside it are in no file: nobody trains without them unawares.
    let error = accepted(&folder).expect_err("not written yet");
    assert!(matches!(&error, FeedbackError::Unwritten { .. }) && error.hint().is_some(), "{error}");
    let second = queue.freeze().expect("written").expect("a file");
    let text = std::fs::read_to_string(&second).expect("rows");
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect();
    assert_eq!(rows.iter().map(|row| &row["id"]).collect::<Vec<_>>(), [&all[0], &all[2]]);
    assert_eq!(
        (accepted(&folder).expect("one"), withdrawn(&folder).expect("one")),
        (vec![second], vec![first.clone()])
    );
    assert_eq!(std::fs::read(&first).expect("rows"), bytes, "runs name it by its hash");
    let error = queue.decide(decision(&all[1], Verdict::Accept, None)).expect_err("it stands");
    assert!(matches!(&error, FeedbackError::Withdrawn { .. }) && error.is_input(), "{error}");
    assert_eq!(queue.freeze().expect("nothing new"), None);
    drop(queue);
    let again = place.queue();
    assert_eq!(again.state(again.entry(&all[1]).expect("there")), State::Rejected);
}

#[test]
fn a_queue_is_for_one_process_and_what_was_cut_off_goes() {
    let place = Place::new();
    assert!(matches!(Queue::open(&place.path("queue"), false), Err(FeedbackError::NoQueue { .. })));
    place.import(&[said("Which bulb fits the desk lamp?", "E27.")], PrivacyMode::Tag);
    let mut queue = place.queue();
    assert!(matches!(Queue::open(&place.path("queue"), false), Err(error) if !error.is_input()));
    let id = ids(&queue)[0].clone();
    assert!(matches!(queue.entry("fb-none"), Err(FeedbackError::NoEntry { .. })));
    queue.decide(decision(&id, Verdict::Reject, None)).expect("rejected");
    drop(queue);
    let log = place.path("queue/decisions.jsonl");
    let whole = std::fs::read_to_string(&log).expect("decisions");
    std::fs::write(&log, format!("{whole}{}", &whole[..whole.len() / 2])).expect("written");
    let queue = place.queue();
    assert_eq!(queue.state(&queue.entries()[0]), State::Rejected);
    drop(queue);
    assert_eq!(std::fs::read_to_string(&log).expect("decisions"), whole);
    std::fs::write(place.path("queue/entries/0001.jsonl"), "{}\n").expect("written");
    let error = Queue::open(&place.path("queue"), false).expect_err("no entry");
    assert!(error.to_string().contains("0001.jsonl:1: "), "{error}");
}
