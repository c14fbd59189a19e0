use super::*;
use crate::testing::Files;

fn terms(name: &str, content: &str) -> Result<Terminology, String> {
    let files = Files::new();
    let path = files.write(name, content);
    Terminology::read(&path).map_err(|error| files.without_folder(error))
}

#[test]
fn every_format_says_the_same() {
    for (name, content) in [
        ("a.csv", "term,preferred\ne-mail,email\n\"credit card\",card\n"),
        ("a.csv", "e-mail,email\ncredit card,card\n"),
        ("a.tsv", "e-mail\temail\ncredit card\tcard\n"),
        ("a.toml", "\"e-mail\" = \"email\"\n\"credit card\" = \"card\"\n"),
        ("a.toml", "[terms]\n\"e-mail\" = \"email\"\n\"credit card\" = \"card\"\n"),
        (
            "a.jsonl",
            "{\"term\": \"e-mail\", \"preferred\": \"email\"}\n\n{\"term\": \"credit card\", \"preferred\": \"card\"}\n",
        ),
    ] {
        let terms = terms(name, content).expect("terms");
        assert_eq!(terms.apply("E-mail me a Credit card").text, "Email me a Card", "{name}: {content}");
    }
}

#[test]
fn whole_words_the_longest_and_their_case() {
    let terms = terms(
        "a.csv",
        "app,mobile app\niphone,iPhone\nlog in,sign in\nlog in page,start page\nnode.js,Node\nüber,ueber\n",
    )
    .expect("terms");
    for (text, expected) in [
        ("the app, APP and App", "the mobile app, MOBILE APP and Mobile app"),
        ("the mobile app", "the mobile app"),
        ("my IPHONE and iphone", "my iPhone and iPhone"),
        ("log in on the log in page, blog in", "sign in on the start page, blog in"),
        ("log in pages", "sign in pages"),
        (
            "apps map app_id app.example `app` /app/x app",
            "apps map app_id app.example `app` /app/x mobile app",
        ),
        ("use node.js.", "use Node."),
        ("Über ÜBER über", "Ueber UEBER ueber"),
    ] {
        assert_eq!(terms.apply(text).text, expected);
        assert_eq!(terms.apply(expected).changes, 0);
    }
}

#[test]
fn problems_name_the_line() {
    let problem = |name: &str, content: &str| terms(name, content).expect_err("a problem");
    assert_eq!(problem("a.csv", "a,b\nc,d\nA,e\n"), "a.csv:3: `A` is `e` here, and `b` in line 1");
    assert_eq!(problem("a.csv", "a,b\nb,c\nc,a\n"), "a.csv:3: the terms go in a circle: a -> b -> c -> a");
    assert_eq!(problem("a.csv", "a,b\nc\n"), "a.csv:2: expected two columns, found 1 columns");
    assert_eq!(problem("a.csv", "a,\n"), "a.csv:1: expected a preferred form, found nothing");
    assert_eq!(
        problem("a.toml", "[terms]\n\"a\" = 1\n"),
        "a.toml:2: expected a preferred form in quotes, found integer"
    );
    assert!(problem("a.toml", "a = \"b\"\n= 1\n").starts_with("a.toml:2: expected TOML"));
    assert!(problem("a.jsonl", "{\"term\": \"a\"}\n").starts_with("a.jsonl:1: expected {\"term\""));
    assert!(problem("a.txt", "a b").contains("expected a file ending in .csv, .tsv, .toml or .jsonl"));
    assert!(terms("a.csv", "a,b\na,b\n").is_ok(), "the same line twice");
    assert_eq!(terms("a.csv", "a,b\nb,c\n").expect("a chain").apply("a b c").text, "c c c");
}
