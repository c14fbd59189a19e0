//! A judge behind an endpoint: a server of the test's own that answers as an OpenAI-compatible one does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::workplace::{Ran, Workplace};

/// The bodies of the requests so far, each with the line of its key.
type Requests = Arc<Mutex<Vec<(String, Value)>>>;

/// What is answered first, instead of a judgement: a status, more of the head, and a body.
type Refusals = Vec<(&'static str, &'static str, &'static str)>;

/// A judge that gives 4, once after words that are no JSON, and prefers whatever is shown as A.
fn serve() -> (String, Requests) {
    serve_after(Vec::new())
}

/// [`serve`] after refusals, in their order.
fn serve_after(refusals: Refusals) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let requests = Requests::default();
    let shared = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client may go away at any time.
            let refusal = refusals.get(shared.lock().expect("requests").len()).copied();
            let _ = answer(stream, &shared, refusal);
        }
    });
    (endpoint, requests)
}

fn answer(
    mut stream: TcpStream,
    requests: &Requests,
    refusal: Option<(&str, &str, &str)>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let (mut header, mut key, mut length) = (String::new(), String::new(), 0);
    while reader.read_line(&mut header)? > 2 {
        let lower = header.to_ascii_lowercase();
        if let Some(bytes) = lower.strip_prefix("content-length:") {
            length = bytes.trim().parse().unwrap_or(0);
        }
        if lower.starts_with("authorization:") {
            key = header.trim().to_owned();
        }
        header.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let prompt = body["messages"][0]["content"].as_str().unwrap_or_default().to_owned();
    let mut requests = requests.lock().expect("requests");
    let reply = if line.split_whitespace().nth(1) != Some("/v1/chat/completions") {
        "wrong path".to_owned()
    } else if requests.is_empty() {
        "I would say 4.".to_owned()
    } else if prompt.starts_with("You compare") {
        json!({"reason": "The first.", "better": "A"}).to_string()
    } else {
        json!({"reason": "Good enough.", "score": 4}).to_string()
    };
    requests.push((key, body));
    if let Some((status, more, text)) = refusal {
        let head =
            format!("HTTP/1.1 {status}\r\nConnection: close\r\n{more}Content-Length: {}\r\n\r\n", text.len());
        stream.write_all(head.as_bytes())?;
        return stream.write_all(text.as_bytes());
    }
    let text = json!({"choices": [{"message": {"role": "assistant", "content": reply}}]}).to_string();
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", text.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(text.as_bytes())
}

fn eval(place: &Workplace, more: &[&str]) -> Ran {
    let mut command = place
        .command(&[&["eval", "run", "--golden", "golden.jsonl", "--max-new-tokens", "4"], more].concat());
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    Ran::of(command.output().expect("started"))
}

#[test]
fn a_judge_is_asked_in_both_orders_and_never_twice() {
    let place = Workplace::new();
    place.train(&["train.steps=40", "train.learning-rate=0.03", "data.validation=0"]).succeeds();
    place.write(
        "golden.jsonl",
        "{\"id\": \"one\", \"instruction\": \"Letter 3?\", \"input\": \"It is d.\", \"output\": \"dd\"}\n",
    );
    place.write("key.txt", "secret-key\n");
    let (endpoint, requests) = serve();
    let named =
        ["--judge", endpoint.as_str(), "--judge-model", "tester", "--judge-key-file", "key.txt", "--json"];
    let ran = eval(&place, &named);
    ran.succeeds();
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let judged = &report["judge"];
    assert_eq!(
        (&judged["base"], &judged["tuned"], &judged["failed"]),
        (&json!(4.0), &json!(4.0), &json!(0)),
        "{judged}"
    );
    assert_ne!(
        report["cases"][0]["base"]["answer"], report["cases"][0]["tuned"]["answer"],
        "nothing to compare"
    );
    // Whatever is shown first is preferred: that is no preference.
    assert_eq!((&judged["by_order"], &judged["tuned_better"]), (&json!(1), &json!(0)));
    assert_eq!(judged["cases"][0]["verdict"], "by-order");
    let seen = requests.lock().expect("requests").clone();
    assert_eq!(seen.len(), 5, "two scores, one of them asked for twice, and two orders");
    for (key, body) in &seen {
        assert_eq!(key.to_ascii_lowercase(), "authorization: bearer secret-key");
        assert_eq!((&body["model"], &body["temperature"]), (&json!("tester"), &json!(0)));
        let prompt = body["messages"][0]["content"].as_str().expect("a prompt");
        assert!(prompt.contains("<context>\nIt is d.") && prompt.contains("<reference>\ndd"), "{prompt}");
    }
    assert!(!ran.stdout.contains("secret-key"));
    // The same again is known; another rubric is not.
    assert_eq!(eval(&place, &named).stdout, ran.stdout);
    assert_eq!(requests.lock().expect("requests").len(), 5);
    place.write("rubric.txt", "It must rhyme.");
    let text = eval(&place, &[&named[..6], &["--judge-rubric", "rubric.txt"]].concat());
    text.succeeds();
    assert!(text.stdout.contains("judge tester by the rubric rubric.txt: base 4.00 of 5"), "{}", text.stdout);
    assert!(text.stdout.contains("in 1 the order decided"), "{}", text.stdout);
    assert_eq!(requests.lock().expect("requests").len(), 9);
}

#[test]
fn a_judge_that_cannot_be_asked_is_said() {
    let place = Workplace::new();
    place.write("golden.jsonl", "{\"instruction\": \"Hi\", \"output\": \"x\"}\n");
    let model = |more: &[&str]| {
        place.rtune(&[&["eval", "model", "--golden", "golden.jsonl", "--max-new-tokens", "2"], more].concat())
    };
    model(&["--judge", "http://x"]).fails(2, &["--judge-model"]);
    model(&["--judge", "ftp://x", "--judge-model", "m"])
        .fails(2, &["`ftp://x` is no address of a judge", "hint: such as"]);
    model(&["--judge", "ftp://me:password@x", "--judge-model", "m"]).fails(2, &["`ftp://x` is no address"]);
    model(&["--judge", "http://x", "--judge-model", "m", "--judge-rubric", "none.txt"])
        .fails(2, &["`none.txt` is no rubric", "hint: name support, summary"]);
    // Nobody listens there: the evaluation stands, and the judge's part says that there is none.
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let ran = model(&["--judge", &format!("http://{closed}"), "--judge-model", "m"]);
    ran.succeeds();
    let part = "the judge gave no usable reply to 1 questions: error sending request";
    assert!(ran.stdout.contains(part), "{}", ran.stdout);
    // After some questions in a row it is asked no more: the report stands, and the error says why.
    let rows: String =
        (0..9).map(|number| format!("{{\"instruction\": \"Hi {number}\", \"output\": \"x\"}}\n")).collect();
    place.write("golden.jsonl", rows);
    let address = format!("http://me:password@{closed}");
    let ran = model(&["--judge", &address, "--judge-model", "m", "--out", "report.json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("was given up after 5 questions in a row without an answer: error"),
        "{}",
        ran.stderr
    );
    let report: Value = serde_json::from_str(&place.read("report.json")).expect("JSON");
    // What stands in the address of an endpoint is not for those who read about it.
    assert_eq!(report["judge"]["endpoint"], format!("http://{closed}"));
    let told = [&ran.stdout, &ran.stderr, &place.read("report.json")];
    assert!(told.iter().all(|told| !told.contains("password")), "{told:?}");
    assert_eq!((&report["judge"]["failed"], report["cases"].as_array().map(Vec::len)), (&json!(5), Some(9)));
}

/// A limit of requests passes; a request that cannot be answered is not asked again, and the reason is said.
#[test]
fn a_judge_may_ask_to_wait_or_refuse() {
    let place = Workplace::new();
    place.train(&["train.steps=10", "data.validation=0"]).succeeds();
    place.write("golden.jsonl", "{\"id\": \"one\", \"instruction\": \"Hi\", \"output\": \"x\"}\n");
    place.write("key.txt", "secret-key\n");
    let busy = ("429 Too Many Requests", "Retry-After: 0\r\n", "");
    let (endpoint, requests) = serve_after(vec![busy, busy]);
    let ran = eval(&place, &["--judge", &endpoint, "--judge-model", "m", "--json"]);
    ran.succeeds();
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((&report["judge"]["failed"], &report["judge"]["base"]), (&json!(0), &json!(4.0)));
    assert!(requests.lock().expect("requests").len() >= 4);
    let no = ("400 Bad Request", "", "{\"error\": {\"message\": \"no such model\\nfor secret-key\"}}");
    let (endpoint, requests) = serve_after(vec![no; 4]);
    let ran = eval(&place, &["--judge", &endpoint, "--judge-model", "m", "--judge-key-file", "key.txt"]);
    ran.succeeds();
    let said = "the judge answered 400 Bad Request: no such model for (the key)";
    assert!(ran.stdout.contains(said), "{}", ran.stdout);
    assert!(!ran.stdout.contains("secret-key") && !ran.stderr.contains("secret-key"));
    let count = requests.lock().expect("requests").len();
    assert!(count <= 4, "{count}: a question that is refused is asked once");
}

/// A conversation is judged on what the model itself said in it.
#[test]
fn conversations_are_judged_on_the_models_own_history() {
    let place = Workplace::new();
    let say = |role: &str, content: &str| json!({"role": role, "content": content});
    let row = json!({"messages": [say("user", "I am Ann."), say("assistant", "Never said by it"), say("user", "Bye"),
        say("assistant", "Bye Ann!")]});
    place.write("golden.jsonl", row.to_string());
    place.train(&["train.steps=10", "data.validation=0"]).succeeds();
    let (endpoint, requests) = serve();
    eval(&place, &["--judge", endpoint.as_str(), "--judge-model", "tester"]).succeeds();
    let seen = requests.lock().expect("requests").clone();
    assert!(!seen.is_empty());
    for (_, body) in &seen {
        let prompt = body["messages"][0]["content"].as_str().expect("a prompt");
        assert!(prompt.contains("I am Ann.") && !prompt.contains("Never said by it"), "{prompt}");
    }
}
