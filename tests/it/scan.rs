//! `rtune scan`: spans in code points, and never the data itself unless it is asked for.

use std::io::Write;
use std::process::Stdio;

use crate::workplace::{Ran, Workplace};

const CARD: &str = "4242 4242 4242 4242";

#[test]
fn rows_are_scanned_string_by_string() {
    let place = Workplace::new();
    let row = serde_json::json!({"messages": [
        {"role": "user", "content": format!("Ünïcode, my card is {CARD}, mail anna.berg@firma.de")},
        {"role": "assistant", "content": "Thanks."}]});
    place.write("rows.jsonl", format!("{{\"instruction\": \"none here\"}}\n\n{row}\n"));
    let before = place.read("rows.jsonl");
    let ran = place.rtune(&["scan", "rows.jsonl", "--json"]);
    ran.succeeds();
    let found: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    let card = found.iter().find(|one| one["entity"] == "CREDIT_CARD").expect("the card");
    assert_eq!((&card["line"], &card["field"]), (&3.into(), &"/messages/0/content".into()), "{card}");
    assert_eq!(
        (&card["start"], &card["end"], &card["score"]),
        (&20.into(), &39.into(), &1.0.into()),
        "{card}"
    );
    assert!(found.iter().any(|one| one["entity"] == "EMAIL_ADDRESS"));
    assert!(!ran.stdout.contains("4242") && !ran.stdout.contains("anna"), "{}", ran.stdout);
    assert_eq!(place.read("rows.jsonl"), before);
    let shown = place.rtune(&["scan", "rows.jsonl", "--json", "--show", "--entity", "credit_card"]);
    shown.succeeds();
    assert_eq!(shown.stdout.lines().count(), 1, "{}", shown.stdout);
    assert!(shown.stdout.contains(CARD));
}

/// An export of a help desk: behind an escape a number stands as free as it does to whoever reads the ticket.
#[test]
fn a_document_is_scanned_as_what_it_means() {
    let place = Workplace::new();
    let ticket =
        "{\"body\": \"Hello\\n+49 30 901820\\tanna@web.de\", \"card\": 4242424242424242, \"b@web.de\": 1}";
    place.write("a.jsonl", format!("{ticket}\n"));
    place.write("a.json", ticket);
    place.write("list.json", format!("[\n  {ticket},\n  7\n]\n"));
    let found = |file: &str| -> Vec<(String, String, String)> {
        let ran = place.rtune(&["scan", file, "--json", "--show"]);
        ran.succeeds();
        let lines = ran.stdout.lines().map(|line| {
            let one: serde_json::Value = serde_json::from_str(line).expect("an object a line");
            let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
            (text("field"), text("entity"), text("text"))
        });
        lines.collect()
    };
    let expected = [
        ("/body", "PHONE_NUMBER", "+49 30 901820"),
        ("/body", "EMAIL_ADDRESS", "anna@web.de"),
        ("/card", "CREDIT_CARD", "4242424242424242"),
        ("/b@web.de", "EMAIL_ADDRESS", "b@web.de"),
    ];
    let expected =
        expected.map(|(field, entity, text)| (field.to_owned(), entity.to_owned(), text.to_owned()));
    assert_eq!(found("a.jsonl"), expected);
    assert_eq!(found("a.json"), expected);
    let in_list = expected.clone().map(|(field, entity, text)| (format!("/0{field}"), entity, text));
    assert_eq!(found("list.json"), in_list);
    // Neither a byte order mark nor the case of the name makes another file of it.
    place.write("mark.JSONL", format!("\u{feff}{ticket}\n"));
    place.write("mark.Json", format!("\u{feff}{ticket}"));
    assert_eq!([found("mark.JSONL"), found("mark.Json")], [expected.to_vec(), expected.to_vec()]);
    // What is no JSON is a text, whatever it is called.
    place.write("text.json", "{ mail anna@web.de");
    let ran = place.rtune(&["scan", "text.json"]);
    ran.succeeds();
    assert!(ran.stdout.starts_with("1 7..18  EMAIL_ADDRESS"), "{}", ran.stdout);
}

#[test]
fn texts_are_scanned_from_files_and_standard_input() {
    let place = Workplace::new();
    let text = format!(
        "ä first line\nIBAN GB33BUKB20201555555555\nwrite to a.b@firma.de {}\n",
        "x ".repeat(600_000)
    );
    place.write("note.txt", format!("{text}call +49 30 901820\n"));
    let ran = place.rtune(&["scan", "note.txt", "--names", "off"]);
    ran.succeeds();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "2 18..40  IBAN_CODE  1.00  iban");
    assert!(lines[1].starts_with("3 50..62  EMAIL_ADDRESS"), "{}", lines[1]);
    let phone = text.chars().count() + "call ".len();
    assert!(lines[2].starts_with(&format!("4 {phone}..{}  PHONE_NUMBER", phone + 13)), "{}", lines[2]);
    assert!(lines[3].starts_with("3 findings in 4 texts: "), "{}", lines[3]);

    let mut command = place.command(&["scan", "-", "--json", "--threshold", "0.95"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    child.stdin.take().expect("a pipe").write_all(CARD.as_bytes()).expect("written");
    let ran = Ran::of(child.wait_with_output().expect("ended"));
    ran.succeeds();
    assert!(ran.stdout.contains("\"CREDIT_CARD\""), "{}", ran.stdout);
}

#[test]
fn what_cannot_be_scanned_is_bad_input() {
    let place = Workplace::new();
    place.write("bad.jsonl", "{\"a\": \"b\"}\n{\"a\": \n");
    place.write("latin.txt", b"caf\xe9 \n");
    for (arguments, message) in [
        (&["scan", "none.txt"][..], "none.txt: no such file"),
        (&["scan", "model"], "model: a folder"),
        (&["scan", "bad.jsonl"], "bad.jsonl:2:"),
        (&["scan", "latin.txt"], "latin.txt:1:4: invalid UTF-8"),
        (&["scan", "bad.jsonl", "--threshold", "2"], "the threshold is 2"),
        (&["scan", "bad.jsonl", "--entity", "NOSE"], "unknown entity `NOSE`"),
        (&["scan", "bad.jsonl", "--region", "QQ"], "region `QQ`"),
        (&["scan", "bad.jsonl", "--names", "./model"], "`model_type`"),
    ] {
        let ran = place.rtune(arguments);
        ran.fails(2, &[message]);
    }
}

#[test]
fn packed_files_are_to_be_unpacked_first() {
    let place = Workplace::new();
    for (name, bytes, kind) in [
        ("rows.jsonl.gz", &[0x1f, 0x8b, 8, 0, 0xff][..], "gzip"),
        ("rows.jsonl.zst", &[0x28, 0xb5, 0x2f, 0xfd, 4], "zstd"),
        ("rows.jsonl", &[0x52, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], "zstd"),
    ] {
        place.write(name, bytes);
        let hint = format!("hint: unpack it first: `{kind} -dk FILE`");
        place.rtune(&["scan", name]).fails(2, &[&format!("{name}: packed by {kind}"), &hint]);
    }
}
