//! `rtune review`: a page that tells nobody whose answer is whose, serves nobody else, and loses nothing that was said.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use rtune_trainer::evaluate::reviews::hash_of;
use serde_json::{Value, json};

use crate::workplace::Workplace;

/// Two models' answers to eight cases, one of them in the same words.
fn workplace() -> Workplace {
    let place = Workplace::new();
    let row = |number: usize| {
        json!({"id": format!("case {number}"), "instruction": format!("What is number {number} for?"), "output": "For light."})
            .to_string()
            + "\n"
    };
    place.write("golden.jsonl", (0..8).map(row).collect::<String>());
    let ran = place.rtune(&["eval", "model", "--golden", "golden.jsonl", "--max-new-tokens", "2", "--json"]);
    ran.succeeds();
    let plain: Value = serde_json::from_str(&ran.stdout).expect("a report");
    for (name, said) in [("old", "before"), ("new", "after")] {
        let mut report = plain.clone();
        for (number, case) in report["cases"].as_array_mut().expect("cases").iter_mut().enumerate() {
            let answer = match number {
                0 => "the same".to_owned(),
                1 => format!("<script>alert('{said}')</script><img src=x onerror=alert(1)>\u{202e}{said}"),
                _ => format!("{said}: number {number}"),
            };
            case["base"]["answer"] = answer.into();
        }
        place.write(&format!("{name}.json"), report.to_string());
    }
    place
}

/// The program, serving; it ends with this.
struct Served {
    child: Child,
    address: String,
    token: String,
    client: Client,
}

impl Drop for Served {
    fn drop(&mut self) {
        // One that ended already needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(place: &Workplace, more: &[&str]) -> Served {
    let arguments = ["review", "new.json", "--against", "old.json", "--out", "reviews.jsonl"];
    let mut command = place.command(&[&arguments, more].concat());
    let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("an output"));
    let mut url = String::new();
    while !url.starts_with("open ") {
        url.clear();
        assert!(lines.read_line(&mut url).expect("a line") > 0, "no address");
    }
    let url = url.trim().strip_prefix("open http://").expect("an address");
    let (address, token) = url.split_once("/?token=").expect("a token");
    let (address, token) = (address.to_owned(), token.to_owned());
    let client = Client::builder().no_proxy().build().expect("a client");
    // What it says at its end has to go somewhere.
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    Served { child, address, token, client }
}

impl Served {
    fn asked(&self, path: &str, question: &Value) -> Response {
        let request = self.client.post(format!("http://{}{path}", self.address));
        let request =
            request.header("x-token", &self.token).header("origin", format!("http://{}", self.address));
        request
            .header("content-type", "application/json")
            .body(question.to_string())
            .send()
            .expect("an answer")
    }

    fn ask(&self, path: &str, question: Value) -> Value {
        let answer = self.asked(path, &question);
        let (status, text) = (answer.status(), answer.text().expect("a text"));
        assert_eq!(status, StatusCode::OK, "{text}");
        serde_json::from_str(&text).expect("JSON")
    }

    fn refuses(&self, path: &str, question: &Value, status: u16, said: &str) {
        let answer = self.asked(path, question);
        let (found, text) = (answer.status(), answer.text().expect("a text"));
        assert!(found.as_u16() == status && text.contains(said), "{found}: {text}");
    }

    fn case(&self, at: Option<usize>) -> Value {
        self.ask("/api/case", json!({"reviewer": "ann", "at": at}))
    }
}

fn scores(score: u8) -> Value {
    json!({"accuracy": score, "helpfulness": score, "tone": score, "factual-correctness": score})
}

/// What is said of a case by whoever likes answers that say `liked`.
fn given(case: &Value, reviewer: &str, liked: &str) -> Value {
    let is_left = case["left"][0].as_str().expect("a text").contains(liked);
    let (left, right) = if is_left { (5, 2) } else { (2, 5) };
    json!({"reviewer": reviewer, "at": case["at"], "left": scores(left), "right": scores(right),
        "preferred": if is_left { "left" } else { "right" }, "correction": null, "comment": null})
}

fn reviews(place: &Workplace) -> Vec<Value> {
    place.read("reviews.jsonl").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn answers_are_reviewed_blind_and_gone_on_with() {
    let place = workplace();
    let served = serve(&place, &["--reviewer", "ann"]);
    let session = served.ask("/api/session", json!({}));
    assert_eq!(
        session,
        json!({"reviewer": "ann", "dimensions": ["accuracy", "helpfulness", "tone", "factual-correctness"], "scores": [1, 5], "cases": 7})
    );
    let mut lefts = Vec::new();
    for number in 0..4 {
        let case = served.case(None);
        assert_eq!((&case["at"], &case["done"]), (&json!(number), &json!(number)));
        let text = case.to_string();
        for secret in ["first", "second", "tuned", "base", "old.json", "new.json", "sha", "case 1"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        lefts.push(case["left"][0].as_str().expect("a text").contains("after"));
        let mut said = given(&case, "ann", "after");
        if number == 2 {
            said["correction"] = "For heat.".into();
            said["comment"] = "neither is right".into();
        }
        assert_eq!(served.ask("/api/review", said), json!({"saved": true}));
    }
    // The same once more, in another way: the last word counts.
    let mut again = given(&served.case(Some(0)), "ann", "after");
    again["preferred"] = "tie".into();
    served.ask("/api/review", again);
    drop(served);
    let lines = reviews(&place);
    assert_eq!(lines.len(), 5);
    for line in &lines {
        let on_left = if line["shown_left"] == "first" { "first" } else { "second" };
        assert_eq!(
            line["scores"]["second"],
            scores(5),
            "the second is the new one, wherever it stood: {on_left}"
        );
        assert_eq!(line["scores"]["first"], scores(2));
    }
    assert_eq!(lines[1]["preferred"], "second");
    assert_eq!(lines[1]["second"]["answer"], hash_of(&["after: number 2".to_owned()]));
    assert_eq!(
        (&lines[2]["correction"], &lines[2]["asked"][0]["role"]),
        (&json!("For heat."), &json!("user"))
    );
    assert_eq!((&lines[1]["correction"], &lines[1]["asked"]), (&Value::Null, &Value::Null));
    // Where it was left, with the same sides.
    let served = serve(&place, &["--reviewer", "ann"]);
    let case = served.case(None);
    assert_eq!((&case["at"], &case["done"], &case["review"]), (&json!(4), &json!(4), &Value::Null));
    for (at, left) in lefts.iter().enumerate() {
        let case = served.case(Some(at));
        assert_eq!(case["left"][0].as_str().expect("a text").contains("after"), *left);
        let (on_left, on_right) = if *left { (5, 2) } else { (2, 5) };
        assert_eq!(
            (&case["review"]["left"], &case["review"]["right"]),
            (&scores(on_left), &scores(on_right))
        );
    }
    assert_eq!(served.case(Some(0))["review"]["preferred"], "tie");
    for _ in 4..7 {
        let case = served.case(None);
        served.ask("/api/review", given(&case, "ann", "after"));
    }
    assert_eq!(served.case(None), json!({"cases": 7, "done": 7, "at": null}));
    place
        .rtune(&["review", "new.json", "--against", "old.json", "--out", "reviews.jsonl"])
        .fails(2, &["another process writes to it"]);
}

#[test]
fn the_page_serves_nobody_else() {
    let place = workplace();
    let served = serve(&place, &[]);
    let page = served
        .client
        .get(format!("http://{}/?token={}", served.address, served.token))
        .send()
        .expect("a page");
    let header = |name: &str| {
        page.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    assert!(header("content-security-policy").starts_with("default-src 'none'; script-src 'sha256-"));
    assert_eq!(
        (header("x-content-type-options"), header("referrer-policy")),
        ("nosniff".to_owned(), "no-referrer".to_owned())
    );
    assert!(page.text().expect("a text").contains("<title>rtune review</title>"));
    let raw = |request: &str| {
        let mut stream = TcpStream::connect(&served.address).expect("connected");
        stream.write_all(request.as_bytes()).expect("asked");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer.lines().next().unwrap_or_default().to_owned()
    };
    let (address, token) = (&served.address, &served.token);
    let right = format!("GET /?token={token} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    assert!(raw(&right).contains("200"));
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n"), "403"),
        (format!("GET /?token={token}0 HTTP/1.1\r\nHost: {address}\r\n\r\n"), "403"),
        (format!("GET /?token={token} HTTP/1.1\r\nHost: rebound.example:80\r\n\r\n"), "421"),
        (format!("GET /?token={token} HTTP/1.1\r\n\r\n"), "400"),
        (format!("GET /etc/passwd?token={token} HTTP/1.1\r\nHost: {address}\r\n\r\n"), "404"),
        (format!("DELETE /?token={token} HTTP/1.1\r\nHost: {address}\r\n\r\n"), "405"),
        (
            format!(
                "POST /api/session HTTP/1.1\r\nHost: {address}\r\nX-Token: {token}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
            ),
            "403",
        ),
        (
            format!(
                "POST /api/session HTTP/1.1\r\nHost: {address}\r\nOrigin: http://evil.example\r\nX-Token: {token}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
            ),
            "403",
        ),
        (
            format!(
                "POST /api/session HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nX-Token: {token}\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{{}}"
            ),
            "415",
        ),
        (
            format!("GET /?token={token} HTTP/1.1\r\nHost: {address}\r\nX: {}\r\n\r\n", "x".repeat(1 << 16)),
            "431",
        ),
        ("nonsense\r\n\r\n".to_owned(), "400"),
    ] {
        let found = raw(&request);
        assert!(
            found.contains(status),
            "{status}: {found:?} for {}",
            request.lines().next().unwrap_or_default()
        );
    }
    served.refuses("/api/case", &json!({"reviewer": "ann", "at": 99}), 400, "from 0 to 6");
    served.refuses("/api/case", &json!({"reviewer": " ", "at": 0}), 400, "reviewer's name");
    served.refuses("/api/case", &json!({"reviewer": "ann", "at": 0, "whose": true}), 400, "unknown field");
    served.refuses("/api/report", &json!({}), 404, "nothing here");
    let whole = given(&served.case(Some(0)), "ann", "after");
    for (key, value, said) in [
        ("left", json!({"accuracy": 5}), "expected scores of both answers in accuracy"),
        ("left", scores(6), "from 1 to 5"),
        ("preferred", json!("first"), "unknown variant"),
        ("comment", json!("x".repeat((1 << 20) + 1)), "at most 1024 KiB"),
    ] {
        let mut changed = whole.clone();
        changed[key] = value;
        served.refuses("/api/review", &changed, 400, said);
    }
    let endless = json!({"reviewer": "x".repeat(17 << 20)});
    let answer = served.client.post(format!("http://{address}/api/case")).header("x-token", token);
    let answer =
        answer.header("origin", format!("http://{address}")).header("content-type", "application/json");
    // The connection may be closed before all of it was sent.
    assert!(
        answer.body(endless.to_string()).send().is_ok_and(|answer| answer.status() == 413)
            || served.case(Some(0))["at"] == 0
    );
    assert_eq!(reviews(&place).len(), 0, "nothing of this was kept");
    drop(served);
    let served = serve(&place, &["--reviewer", "ann"]);
    served.refuses("/api/case", &json!({"reviewer": "bob", "at": 0}), 403, "another name");
}

#[test]
fn a_review_outlives_a_kill() {
    let place = workplace();
    for number in 0..7 {
        let served = serve(&place, &["--reviewer", "ann"]);
        let case = served.case(None);
        assert_eq!(case["at"], number);
        served.ask("/api/review", given(&case, "ann", "after"));
        // Killed at once by the end of the scope: what was saved is there.
    }
    assert_eq!(reviews(&place).len(), 7);
}

#[test]
fn reviews_come_to_a_share_and_reviewers_to_an_agreement() {
    let place = workplace();
    let served = serve(&place, &["--dimensions", "accuracy,helpfulness,tone,factual-correctness"]);
    for (reviewer, liked) in [("ann", "after"), ("bob", "after"), ("cem", "before")] {
        for at in 0..7 {
            let case = served.ask("/api/case", json!({"reviewer": reviewer, "at": at}));
            served.ask("/api/review", given(&case, reviewer, liked));
        }
    }
    drop(served);
    let ran = place.rtune(&["review", "--summary", "reviews.jsonl", "--json"]);
    ran.succeeds();
    let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let reviewed = &found[0]["reviewed"];
    assert_eq!(
        (&reviewed["preference"]["reviews"], &reviewed["preference"]["cases"]),
        (&json!(21), &json!(7))
    );
    let share = reviewed["preference"]["share"].as_f64().expect("a share");
    assert!((share - 2.0 / 3.0).abs() < 1e-9, "{share}");
    assert_eq!(reviewed["preference"]["clusters_for"], json!([0, 7]));
    // Two against one everywhere, in the same way: less than chance would have it.
    assert!(reviewed["agreement"][0]["alpha"].as_f64().expect("alpha") < 0.0);
    let shown = place.rtune(&["review", "--summary", "reviews.jsonl"]);
    shown.succeeds();
    for part in [
        "reviewers prefer B in 66.7% of 7 cases",
        "Krippendorff's alpha",
        "do not agree enough",
        "ann (7 cases), bob",
    ] {
        assert!(shown.stdout.contains(part), "{part:?} in\n{}", shown.stdout);
    }
    let ran = place.rtune(&["compare", "old.json", "new.json", "--reviews", "reviews.jsonl"]);
    ran.succeeds();
    assert!(ran.stdout.contains("reviewers prefer B in 66.7% of 7 cases"), "{}", ran.stdout);
    let turned = place.rtune(&["compare", "new.json", "old.json", "--reviews", "reviews.jsonl", "--json"]);
    turned.succeeds();
    let turned: Value = serde_json::from_str(&turned.stdout).expect("JSON");
    let share = turned["reviewed"]["preference"]["share"].as_f64().expect("a share");
    assert!((share - 1.0 / 3.0).abs() < 1e-9, "{share}");
    // Answers that nobody reviewed.
    let other = place
        .read("new.json")
        .replace("after: number", "later: number")
        .replace("alert('after')", "alert('later')");
    place.write("other.json", other);
    let ran = place.rtune(&["compare", "old.json", "other.json", "--reviews", "reviews.jsonl"]);
    ran.fails(2, &["`case 2` by ann is of other answers", "no review of these answers"]);
}

#[test]
fn what_cannot_be_reviewed_is_said() {
    let place = workplace();
    let review =
        |more: &[&str]| place.rtune(&[&["review", "new.json", "--out", "reviews.jsonl"], more].concat());
    review(&[]).fails(2, &["expected a tuned model beside the base"]);
    review(&["--against", "new.json"]).fails(2, &["no case that both models answer in different words"]);
    review(&["--against", "old.json", "--dimensions", "tone,tone"])
        .fails(2, &["--dimensions: expected up to 12 different names"]);
    review(&["--against", "old.json", "--token", "short"])
        .fails(2, &["--token: expected 16 letters and digits"]);
    review(&["--against", "old.json", "--reviewer", "a\nb"])
        .fails(2, &["--reviewer: expected a reviewer's name"]);
    assert!(fs::metadata(place.path("reviews.jsonl")).is_err(), "nothing was begun");
    place.write("reviews.jsonl", "{}\n");
    review(&["--against", "old.json"]).fails(2, &["reviews.jsonl", "line 1: not a review"]);
    place.rtune(&["review", "--summary", "nowhere.jsonl"]).fails(2, &["nowhere.jsonl"]);
}
