use std::io::Write;

use crate::input::Source;
use crate::testing::Files;

/// A mail of a mailbox: number, sender, what it says of itself, and its text.
fn mail(number: u32, from: &str, header: &str, text: &str) -> String {
    format!(
        "From {from} Thu Jan  1 00:0{number}:00 2026\nMessage-ID: <{number}@mail.example>\nFrom: Somebody <{from}>\n\
         Date: Thu, 1 Jan 2026 00:0{number}:00 +0000\n{header}\n\n{text}\n\n"
    )
}

const ASKS: &str = "ann@home.example";
const ANSWERS: &str = "help@shop.example";

fn told(files: &Files, name: &str, text: impl AsRef<[u8]>, agents: &[&str]) -> Vec<String> {
    let mut source = Source::new(files.write(name, text));
    source.agents = agents.iter().map(ToString::to_string).collect();
    files.told(&source)
}

fn mailbox() -> String {
    [
        mail(1, ASKS, "Subject: Where is it?", "Hello,\n>From here I cannot see.\nBye"),
        mail(2, "bob@home.example", "Subject: Other", "Something else"),
        mail(
            4,
            ASKS,
            "Subject: Re: Where is it?\nReferences: <1@mail.example> <3@mail.example>",
            "Thank you",
        ),
        mail(
            3,
            ANSWERS,
            "Subject: Re: Where is it?\nIn-Reply-To: <1@mail.example>",
            "On its way.\n\nFrom us all",
        ),
        mail(5, ANSWERS, "Subject: AW: Other", "Yes."),
        mail(6, "eve@home.example", "Subject: Lost", "Nobody reads this"),
    ]
    .concat()
}

#[test]
fn mail_that_answers_mail_is_one_row() {
    let expected = [
        "a.mbox:1 u:Where is it?||Hello,|From here I cannot see.|Bye / a:On its way.||From us all / u:Thank you",
        "a.mbox:2 u:Other||Something else / a:Yes.",
        "a.mbox:6: no answer: no agent has answered",
        "2 rows, 1 problems",
    ];
    let files = Files::new();
    assert_eq!(told(&files, "a.mbox", mailbox(), &["shop.example"]), expected);
    assert_eq!(told(&files, "a.mbox", mailbox().replace('\n', "\r\n"), &[ANSWERS]), expected);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(mailbox().as_bytes()).expect("packed");
    let packed = told(&files, "a.mbox.gz", packed.finish().expect("packed"), &[ANSWERS]);
    assert_eq!(packed.iter().map(|line| line.replace(".gz", "")).collect::<Vec<_>>(), expected);
}

#[test]
fn parts_charsets_and_markup() {
    let header = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=b";
    let parts = "--b\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nSch=F6n\n\
                 --b\nContent-Type: text/html\n\n<p>Not this</p>\n--b--";
    let answer = "Subject: Re: x\nIn-Reply-To: <1@mail.example>\nContent-Type: text/html; charset=utf-8";
    let text = [mail(1, ASKS, header, parts), mail(2, ANSWERS, answer, "<p>So &amp; so</p>")].concat();
    let files = Files::new();
    assert_eq!(told(&files, "a.mbox", text, &[ANSWERS])[0], "a.mbox:1 u:Grüße||Schön / a:So & so");
}

#[test]
fn mailboxes_that_are_none() {
    let files = Files::new();
    assert_eq!(
        told(&files, "a.mbox", mailbox(), &[]),
        ["error a.mbox: nobody in it answers: the source names no `agents`"]
    );
    assert_eq!(
        told(&files, "a.mbox", "From me to you\n\nHello", &[ANSWERS]),
        ["error a.mbox: no line says `From ` as the beginning of a mail does: not a mailbox"]
    );
    assert_eq!(told(&files, "a.mbox", "", &[ANSWERS]), ["error a.mbox: the file has no rows"]);
    let first = mail(1, ANSWERS, "Subject: News", "Buy");
    assert_eq!(
        told(&files, "a.mbox", first, &[ANSWERS])[0],
        "a.mbox:1: the first message is an answer: nobody asked"
    );
    let long = mail(1, ASKS, "Subject: x", &"x".repeat(crate::input::MAX_LINE_BYTES + 1));
    assert_eq!(told(&files, "a.mbox", long, &[ANSWERS])[0], "a.mbox:1: the row is longer than 64 MiB");
}
