use super::*;

fn text_of(html: &str) -> String {
    let once = to_text(html).text.into_owned();
    assert_eq!(to_text(&once).text, once, "twice: {html}");
    once
}

#[test]
fn pages() {
    let page = "<!DOCTYPE html>\n<html><head><title>T</title><style>p { color: red }</style></head>\n<body>\n  <h1>Hello</h1>\n  <p>One\n  <b>two</b> three</p><p>four<br>five</p>\n<ul><li>a</li><li>b</li></ul><script>if (a<b) { x(\"</p>\") }</script></body></html>";
    assert_eq!(text_of(page), "Hello\n\nOne two three\n\nfour\nfive\n\n- a\n- b");
    let indented =
        "<table>\n  <tr>\n\n    <td face=Arial, Helvetica>a</td>\n\n    <td>b</td>\n\n  </tr></table>";
    assert_eq!(text_of(indented), "a b");
    let mail = "<div>Hi,</div><div><br></div><div>see <a href=\"https://x.example/?a=1&amp;b=2\">the page</a>.</div><div>Ann</div>";
    assert_eq!(text_of(mail), "Hi,\n\nsee the page.\nAnn");
    assert_eq!(text_of("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>"), "a b\nc");
}

#[test]
fn some_tags_in_plain_text() {
    for (html, expected) in [
        ("Hello,<br>my card<br/>is <b>lost</b>.", "Hello,\nmy card\nis lost."),
        ("line one\nline <i>two</i>\n\nline three", "line one\nline two\n\nline three"),
        ("AT&amp;T &lt;3 caf&eacute; &#8364;5", "AT&T <3 café €5"),
        ("x<sup>2</sup> and H<sub>2</sub>O", "x^2 and H2O"),
        ("run <code>ls -l</code> now", "run `ls -l` now"),
        ("<p>only one paragraph</p>", "only one paragraph"),
        ("see <a href='http://x.example'>this</a> <img src=\"a.png\" alt=\"\">", "see this "),
        ("a<!-- gone -->b <b>c</b>", "ab c"),
        ("word<br>word", "word\nword"),
        ("<FONT SIZE=2>old</FONT><BR>mail", "old\nmail"),
        ("<span style=\"x\">cut off", "cut off"),
    ] {
        assert_eq!(text_of(html), expected, "{html}");
    }
}

#[test]
fn what_is_no_html_stays() {
    for text in [
        "a < b and c > d",
        "if (a<b && c>d) return;",
        "a <b and c> d",
        "Vec<T>, Option<B>, List<a> and HashMap<String, Vec<u8>>",
        "Dear <NAME>, your order <ORDER_ID> of <DATE>",
        "<TITLE> by <NAME>",
        "<context>facts</context><question>why?</question>",
        "<summary>short</summary> and <input>long</input>",
        "I <3 you, x <- 5, a <= b, ->, <>, </>, <!, <?",
        "mail me at <ann@example.com> or <https://x.example/a?b=1&copy=2>",
        "use the <br> tag, or the <div> element",
        "what does \"<b>\" mean?",
        "```html\n<p>Hello &amp; welcome</p>\n```",
        "What is wrong here?\n\n    <div>\n        <p>Hello</p>\n    </div>",
        "```\n<!DOCTYPE html>\n<html><body>x</body></html>\n```",
        "inline `<b>x</b> &lt;` code",
        "std::vector<i> and foo<p>",
        "R&D; AT&T",
        "<!-- a note -->",
        "open <b never closed",
        "\\boxed{x<y} \\& z;",
    ] {
        assert_eq!(to_text(text), Edited::unchanged(text));
    }
}

#[test]
fn broken_pages_lose_no_text() {
    assert_eq!(
        text_of("<div class='m'>a<div>b<p>c<p>d<p>e <a href=\"x>d</a>"),
        "a\nb\n\nc\n\nd\n\ne <a href=\"x>d</a>"
    );
    assert_eq!(text_of("<p>a<p>b<p>c<script>never closed"), "a\n\nb\n\ncnever closed");
    let scripts = "<script>".repeat(20_000) + &"<svg>".repeat(20_000);
    assert_eq!(
        to_text(&scripts),
        Edited::unchanged(&scripts),
        "nothing is closed, and nothing says that it is a page"
    );
    assert!(to_text(&format!("<html>{scripts}")).changes > 0, "and where it is, this ends soon");
    let deep = format!("{}x{}", "<div>".repeat(5_000), "</div>".repeat(5_000));
    assert_eq!(text_of(&deep), "x");
}
