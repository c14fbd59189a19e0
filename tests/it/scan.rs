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
