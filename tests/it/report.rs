//! `rtune report`: a run as one page that shows everything, loads nothing and takes no text for markup.

use serde_json::json;

use crate::workplace::{CONFIG, Workplace};

/// What somebody may have written into a row to break a page.
const HOSTILE: &str = "</pre></section><script>alert(1)</script><img src=x onerror=alert(1)> | `x` \u{202e}[a](https://evil.example) @all #1";

/// A run on labels, with golden rows that hold hostile texts wherever a row can hold any.
fn examined() -> Workplace {
    let place = Workplace::new();
    let row = |number: usize| {
        let label = if number.is_multiple_of(3) { "b" } else { "a" };
        json!({"instruction": format!("Is {number} a or b?"), "output": label})
    };
    place.write("train.jsonl", (0..24).map(|number| format!("{}\n", row(number))).collect::<String>());
    let golden = |number: usize| {
        let mut golden = row(number);
        if number == 100 {
            golden["instruction"] = HOSTILE.into();
            golden["references"] = json!([HOSTILE]);
        }
        golden["human"] = json!(number % 5);
        golden["id"] = format!("{number} {HOSTILE}").into();
        golden["slice"] = if number < 106 { HOSTILE.into() } else { "plain".into() };
        golden.to_string() + "\n"
    };
    place.write("golden.jsonl", (100..112).map(golden).collect::<String>());
    let watched =
        "golden-rows = 12\ngolden-tokens = 4\nlabels = [\"a\", \"b\"]\nbest = \"likeliest-label\"\n";
    let config = CONFIG.replace("general = false\n", watched);
    place.write(
        "config.toml",
        config.replace("[train]", "golden = \"golden.jsonl\"\nleaks.check = false\n[train]"),
    );
    place
        .train(&["train.steps=40", "train.learning-rate=0.03", "eval.every=10", "eval.samples=1"])
        .succeeds();
    let eval = ["eval", "run", "--labels", "a,b", "--key-class", "b", "--max-new-tokens", "4"];
    place.rtune(&eval).succeeds();
    place
}

/// Every tag of a page, without its brackets. What comes from rows is escaped, so a bracket always begins a tag.
fn tags(page: &str) -> Vec<&str> {
    let style = page.find("<style>").expect("styles")..page.find("</style>").expect("styles");
    let mut tags = Vec::new();
    for (at, _) in page.match_indices('<').filter(|(at, _)| !style.contains(at) || *at == style.start) {
        let end =
            page[at..].find('>').unwrap_or_else(|| panic!("a tag without an end: {}", &page[at..at + 40]));
        tags.push(&page[at + 1..at + end]);
    }
    tags
}

#[test]
fn a_page_shows_everything_and_loads_nothing() {
    let place = examined();
    let ran = place.rtune(&["report", "run"]);
    ran.succeeds();
    assert_eq!(ran.stdout, "report: run/report.html\n");
    let page = place.read("run/report.html");
    for part in [
        "default-src 'none'",
        "Loss, nats a token",
        "Learning rate",
        "Length of the gradient",
        "Tokens a second",
        "Most memory so far, MiB",
        "Golden rows: likeliest-label",
        "General skills: share of right answers",
        "<h3>Evaluations</h3>",
        "<h3>Comparison</h3>",
        "<h3>By slice</h3>",
        "<h3>Beside people's scores</h3>",
        "no: 12 answers; it takes 20 at least",
        "perplexity a byte of the answers",
        "Confusion of base, greedy answers",
        "Confusion of tuned, greedy answers",
        "Confusion of tuned, likeliest labels",
        "tuned: expected calibration error",
        "12 cases are few",
        "greedy labels: MCC",
        "<td>train.jsonl</td>",
        "golden-rows = 12",
        "prepared rows",
        "best likeliest-label, at step ",
        "By greedy-label, the ",
    ] {
        assert!(page.contains(part), "{part} is not there");
    }
    assert_eq!(page.matches("<section class=\"case").count(), 12 + 1, "cases and a sample");
    assert!(page.matches("<svg").count() >= 10, "{} charts", page.matches("<svg").count());
    assert_eq!(place.rtune(&["report", "run", "--out", "again.html"]).code, 0);
    assert_eq!(place.read("again.html"), page, "the same bytes each time");
    holds_no_markup_of_rows(&page);
    place.rtune(&["verify", "run"]).succeeds();
    let other = Workplace::new();
    other.rtune(&["report", "model"]).fails(2, &["error: `model`"]);
}

/// Tags, attributes and balance of a page that holds hostile texts.
fn holds_no_markup_of_rows(page: &str) {
    const NAMES: [&str; 46] = [
        "!doctype",
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "h2",
        "h3",
        "h4",
        "p",
        "bdi",
        "nav",
        "a",
        "div",
        "b",
        "span",
        "figure",
        "figcaption",
        "ul",
        "li",
        "svg",
        "polyline",
        "circle",
        "line",
        "text",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "code",
        "i",
        "section",
        "pre",
        "details",
        "summary",
        "br",
        "small",
        "em",
        "strong",
        "ol",
        "main",
        "header",
    ];
    const ALONE: [&str; 6] = ["!doctype", "meta", "br", "polyline", "line", "circle"];
    let mut open: Vec<&str> = Vec::new();
    for tag in tags(page) {
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        assert!(NAMES.contains(&name), "<{tag}>");
        let attributes = tag.split_once(' ').map_or("", |(_, rest)| rest);
        assert!(!attributes.contains("src=") && !attributes.contains("url("), "<{tag}>");
        assert!(!attributes.split(' ').any(|one| one.starts_with("on")), "<{tag}>");
        if name == "a" && !tag.starts_with('/') {
            assert!(tag.starts_with("a href=\"#"), "<{tag}>");
        }
        match tag.strip_prefix('/') {
            Some(ended) => assert_eq!(open.pop(), Some(ended), "</{ended}>"),
            None if tag.ends_with('/') || (ALONE.contains(&name) && name != "circle") => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    let style = &page[page.find("<style>").expect("styles")..page.find("</style>").expect("styles")];
    for loads in ["url(", "@import", "http"] {
        assert!(!style.contains(loads), "{loads}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;"), "the text itself is shown");
    assert!(!page.contains('\u{202e}'), "nothing turns the direction of the text");
    assert!(
        page.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()),
        "control characters are pictures"
    );
}

#[test]
fn markdown_says_the_same() {
    let place = examined();
    let ran = place.rtune(&["report", "run", "--format", "markdown", "--out", "-"]);
    ran.succeeds();
    let page = &ran.stdout;
    for part in [
        "# run\n",
        "## Curves\n",
        "### Comparison\n",
        "### Beside people's scores\n",
        "### Confusion of tuned, greedy answers\n",
        "### Reliability: tuned\\: expected",
        "<details><summary>What changed: ",
        "golden-rows = 12\n",
        "| prepared rows |",
    ] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("https://"), "{page}");
    assert!(!page.contains("@all") && !page.contains(" #1"), "nobody is notified");
    // Every row of a table has the cells of its head.
    let mut cells = 0;
    let mut is_fence = false;
    for line in page.lines() {
        is_fence ^= line.starts_with("```");
        if is_fence || !line.starts_with('|') {
            cells = 0;
            continue;
        }
        let found = line.replace("\\|", "").matches('|').count();
        assert!(cells == 0 || found == cells, "{found} cells, expected {cells}: {line}");
        cells = found;
    }
    place.rtune(&["report", "run", "--format", "markdown"]).succeeds();
    assert_eq!(&place.read("run/report.md"), page);
}

#[test]
fn a_run_without_golden_rows_has_a_page() {
    let place = Workplace::new();
    place.train(&["data.validation=0"]).succeeds();
    place.rtune(&["report", "run"]).succeeds();
    let page = place.read("run/report.html");
    assert!(page.contains("There is no golden report yet"), "{page}");
    holds_no_markup_of_rows(&page.replace("</style>", "</style>&lt;script&gt;alert(1)&lt;&#x2f;script&gt;"));
}
