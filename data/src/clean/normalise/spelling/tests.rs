use super::*;
use crate::testing::Files;

fn speller(name: &str, rows: &[(&str, usize)]) -> Speller {
    let files = Files::new();
    let path = files.write(name, "account\nreceive\nreceived\npayment\nlost\nlast\nlist\ncard\ncart\ntransferred\ntransfer/S\nrealize\ncanceling\ncouldst\npassade\nFirefox\nfirebox\npapal\nwhere\ntheir\n");
    files.write("words.aff", "SET UTF-8\nSFX S Y 1\nSFX S 0 s .\n");
    let mut own = WordSketch::default();
    for (text, count) in rows {
        for _ in 0..*count {
            own.push(text);
            own.end_row();
        }
    }
    Speller::read(&path, own, 5).expect("a speller")
}

#[test]
fn one_clear_reading() {
    let speller = speller(
        "words.dic",
        &[
            ("where is my card", 10),
            ("it was transferred in two transfers", 5),
            ("account receive payment", 2),
        ],
    );
    for (text, expected) in [
        ("my acount and recieve", "my account and receive"),
        ("a payemnt, please", "a payment, please"),
        ("wher is it", "where is it"),
        ("i trasfered it", "i transferred it"),
        ("i couldnt, havent", "i couldn't, haven't"),
        ("two trasfers", "two transfers"),
    ] {
        assert_eq!(speller.apply(text).text, expected);
        assert_eq!(speller.apply(expected).changes, 0);
    }
}

#[test]
fn what_is_not_clear_stays() {
    let speller = speller("words.dic", &[("blarg payemnt", 5)]);
    for text in [
        "my lsst", // lost, last or list
        "thier",   // short, and `their` is not used in the set
        "Acount ACOUNT Payemnt",
        "blarg payemnt",
        "i realise this and am cancelling it",
        "my passocde", // two edits away from a word that the set does not use
        "acount2 my_acount acount@x.example www.acount.example x/acount/y `acount`",
        "```\nacount\n```",
        "acount's don-acount",
        "unknownword",
        "firefox and paypal and realizes",
    ] {
        assert_eq!(speller.apply(text), Edited::unchanged(text));
    }
}

#[test]
fn plain_lists_and_problems() {
    let speller = speller("words.txt", &[("my account", 2)]);
    assert_eq!(speller.apply("the acount").text, "the account");
    let files = Files::new();
    let read = |path: &Path| Dictionary::read(path).expect_err("a problem").to_string();
    let empty = files.write("empty.txt", "# none\n\n");
    assert!(read(&empty).ends_with("empty.txt: not a dictionary: no words"));
    let alone = files.write("alone.dic", "1\nword\n");
    assert!(read(&alone).ends_with("alone.aff: cannot be read"));
    let latin = files.write("latin.txt", b"caf\xE9\n");
    assert!(read(&latin).ends_with("the byte at 3 is not UTF-8"));
}
