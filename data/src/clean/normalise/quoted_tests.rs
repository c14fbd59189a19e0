use super::options::QuotedRepliesOptions;
use super::quoted::remove;

fn without_quotes(text: &str) -> String {
    let options = QuotedRepliesOptions::default();
    let once = remove(text, &options).text.into_owned();
    assert_eq!(remove(&once, &options).text, once, "twice: {text}");
    once
}

#[test]
fn replies() {
    for (text, expected) in [
        (
            "Yes, please.\n\nOn Mon, 1 Jan 2024 at 10:00, Ann <ann@x.example> wrote:\n> Shall I?\n> Ann",
            "Yes, please.\n",
        ),
        (
            "Yes.\n\nOn Mon, Jan 1, 2024 at 10:00 AM Ann Example\n<ann@x.example> wrote:\n\n> Shall I?",
            "Yes.\n",
        ),
        ("Yes.\n\nOn Mon, 1 Jan 2024 Ann wrote:\nShall I?\nAnn", "Yes.\n"),
        ("Ja.\n\nAm 01.02.2024 um 10:00 schrieb Ann Beispiel <a@x.example>:\n> Soll ich?", "Ja.\n"),
        ("Oui.\n\nLe 1 févr. 2024 à 10:00, Ann a écrit :\n> Dois-je ?", "Oui.\n"),
        ("Ann wrote:\n> one\nNo.\n> two\nYes.", "No.\nYes."),
        (">>>>> \"A\" == Ann writes:\n> one\nNo.", "No."),
        ("Once upon a time, Ann wrote :\n > one\nNo.", "No."),
        ("On 1 Jan 2024 Ann wrote:\n| one\n| two\nNo.\n| a | table |", "No.\n| a | table |"),
        ("> first\nan answer below", "an answer below"),
        ("a\n> b\n>> c\nd", "a\nd"),
    ] {
        assert_eq!(without_quotes(text), expected, "{text}");
    }
}

#[test]
fn whole_mails() {
    for (text, expected) in [
        (
            "Done.\n\n-----Original Message-----\nFrom: Ann\nSent: Monday\nTo: Bob\nSubject: x\n\nDo it.",
            "Done.\n",
        ),
        ("Erledigt.\n-----Ursprüngliche Nachricht-----\nVon: Ann\nText", "Erledigt."),
        ("Done.\n\nFrom: Ann <a@x.example>\nSent: Monday\nTo: Bob\nSubject: x\n\nDo it.", "Done.\n"),
        (
            "FYI\n\n---------- Forwarded message ---------\nFrom: Ann\nDate: Mon\nSubject: x\nTo: Bob\n\nText",
            "FYI\n",
        ),
        ("---------- Forwarded message ---------\nFrom: Ann\nDate: Mon\nSubject: x\n\nText", "\nText"),
        ("Begin forwarded message:\n\nFrom: Ann\nDate: Mon\nSubject: x\n\nText", "\nText"),
    ] {
        assert_eq!(without_quotes(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_reply_stays() {
    for text in [
        "Summarise the following:\n\n> Markdown quotes\n> of a text",
        "He wrote: nothing at all.",
        "On Monday she wrote:\nDear diary",
        "From: Ann\nTo: Bob\nSubject: my card\n\nIt is lost.",
        "x > y and y > z",
        "```\n> quoted in code\n>> twice\n```\ntext",
        "Translate:\nOn 1 January 2024 Ann wrote:",
        "> only a quotation\n>> and nothing else",
        "What does -----Original Message----- mean?",
        "The options are:\nFrom: where it starts\nthen others",
    ] {
        assert_eq!(without_quotes(text), text);
    }
    let every = QuotedRepliesOptions { every_quote: true };
    assert_eq!(remove("Summarise:\n> a\nb", &every).text, "Summarise:\nb");
}
