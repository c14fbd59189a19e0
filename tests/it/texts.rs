//! Golden rows that are plain texts.

#![expect(clippy::print_stdout, reason = "figures of the peer are what that test is for")]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::golden::examined;
use crate::release_peers::python;
use crate::workplace::Workplace;

/// Rows that are texts, long ones in parts, beside rows that ask; with lm-evaluation-harness where it is at hand.
#[test]
fn texts_are_weighed_whole() {
    let place = Workplace::new();
    let mut config: Value = serde_json::from_str(&place.read("model/config.json")).expect("JSON");
    config["max_position_embeddings"] = json!(48);
    place.write("model/config.json", config.to_string());
    let long = "The lamp is red, and the room  is dark.\n".repeat(9);
    let texts = [
        json!({"id": "long", "text": long, "slice": "rooms"}),
        json!({"id": "short", "text": "Ann"}),
        json!({"text": " ü?"}),
    ];
    let asked = json!({"id": "asked", "instruction": "Which?", "output": "x"});
    let mixed = [texts[0].clone(), asked.clone(), texts[1].clone(), texts[2].clone()];
    let report = examined(&place, &mixed, &[]);
    assert_eq!(report["cases"].as_array().map(Vec::len), Some(1));
    let rows = report["texts"]["rows"].as_array().expect("rows");
    assert_eq!((rows.len(), &rows[0]["slice"], &rows[0]["bytes"]), (3, &json!("rooms"), &json!(long.len())));
    assert!(rows[0]["tokens"].as_u64() > Some(96), "several parts: {}", rows[0]);
    let sum =
        |field: &str| rows.iter().map(|row| row["base"][field].as_f64().expect("a number")).sum::<f64>();
    let base = &report["texts"]["base"];
    assert!((base["nats"].as_f64().expect("nats") / sum("nats") - 1.0).abs() < 1e-12);
    let bits = sum("nats") / std::f64::consts::LN_2 / (long.len() + 3 + " ü?".len()) as f64;
    assert!((base["bits_per_byte"].as_f64().expect("bits") - bits).abs() < 1e-9);
    // Texts alone, too, and the same numbers whatever stands beside them.
    let alone = examined(&place, &texts, &[]);
    assert_eq!(alone["cases"], json!([]));
    for (one, other) in rows.iter().zip(alone["texts"]["rows"].as_array().expect("rows")) {
        let nats = |row: &Value| row["base"]["nats"].as_f64().expect("nats");
        assert!((nats(one) / nats(other) - 1.0).abs() < 1e-6, "{one} {other}");
    }
    let people = place.rtune(&["eval", "model", "model", "--golden", "golden.jsonl"]);
    people.succeeds();
    assert!(
        people.stdout.contains("texts: bits a byte") && !people.stdout.contains("chrF"),
        "{}",
        people.stdout
    );
    let compare = |metric: &[&str]| {
        let ran = place.rtune(&[&["compare", "report.json", "report.json", "--json"], metric].concat());
        ran.succeeds();
        let compared: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        compared["metrics"].as_array().expect("metrics").clone()
    };
    let only = compare(&[]);
    assert_eq!(
        (only.len(), &only[0]["metric"], &only[0]["cases"]),
        (1, &json!("text-bits-per-byte"), &json!(3))
    );
    examined(&place, &mixed, &[]);
    assert_eq!(compare(&["--metric", "text-bits-per-byte"])[0]["metric"], "text-bits-per-byte");
    let all = compare(&[]);
    assert_eq!(
        (&all[0]["metric"], &all[all.len() - 1]["metric"]),
        (&json!("chrf"), &json!("text-bits-per-byte"))
    );
    let wrong = json!({"text": "a text", "checks": [{"kind": "refusal"}]});
    place.write("wrong.jsonl", wrong.to_string());
    let ran = place.rtune(&["eval", "model", "--golden", "wrong.jsonl"]);
    ran.fails(2, &["wrong.jsonl:1: the field `checks` of a golden row: expected none beside a `text`"]);
    let Some(python) = python("lm_eval, transformers, torch") else { return };
    examined(&place, &texts, &["--set", "quantization.kind=none"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/rolling.py");
    let files = ["report.json", "model", "golden.jsonl"].map(|name| place.path(name));
    let output = Command::new(python).arg(script).args(files).output().expect("Python runs");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
