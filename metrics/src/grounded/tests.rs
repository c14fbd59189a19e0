use super::*;

fn parts(sources: &[&str], answer: &str) -> Vec<(ClaimKind, String)> {
    let found = Sources::new(sources).ground(answer);
    for part in &found.unsupported {
        assert_eq!(&answer[part.start..part.end], part.text);
    }
    found.unsupported.into_iter().map(|part| (part.kind, part.text)).collect()
}

fn texts(sources: &[&str], answer: &str) -> Vec<String> {
    parts(sources, answer).into_iter().map(|(_, text)| text).collect()
}

const POLICY: &str = "Lamps by Acme Lighting can be returned within 30 days of delivery. The refund of 1,250.00 euros was \
    sent on 3 May 2024 to Jane Miller. Write to help@acme.example or see https://www.acme.example/returns/.";

#[test]
fn what_the_sources_say_is_supported() {
    for answer in [
        "You can return the lamp within 30 days of delivery.",
        "The refund of 1250 euros was sent to Jane on May 3rd, 2024.",
        "Returns are possible for thirty days; the refund was sent on 2024-05-03.",
        "Acme Lighting's page is acme.example/returns, and you may write to Help@Acme.example.",
        "Thank you for your message! Is there anything else about planets or moons that you want to know?",
        "1. The lamp can be returned.\n2. The refund is sent to you.",
        "",
    ] {
        assert_eq!(parts(&[POLICY], answer), [], "{answer}");
    }
}

#[test]
fn what_no_source_says_is_shown() {
    use ClaimKind::*;
    for (answer, expected) in [
        ("You can return the lamp within 60 days of delivery.", vec![(Number, "60")]),
        ("You can return the lamp within fourteen days of delivery.", vec![(Number, "fourteen")]),
        ("The refund was sent on 4 May 2024 to Jane Miller.", vec![(Date, "4 May 2024")]),
        ("The refund was sent on May 3, 2023 to Jane Miller.", vec![(Date, "May 3, 2023")]),
        ("The refund was sent to John Smith by Acme Lighting.", vec![(Name, "John Smith")]),
        (
            "Lamps can be returned; see https://acme.example/refunds.",
            vec![(Address, "https://acme.example/refunds")],
        ),
        ("Lamps can be returned: write to shop@acme.example!", vec![(Address, "shop@acme.example")]),
    ] {
        let expected: Vec<(ClaimKind, String)> =
            expected.into_iter().map(|(kind, text)| (kind, text.to_owned())).collect();
        assert_eq!(parts(&[POLICY], answer), expected, "{answer}");
    }
    let invented = "Our warranty covers broken switches forever.";
    assert_eq!(parts(&[POLICY], invented), [(Sentence, invented.to_owned())]);
}

#[test]
fn numbers_are_compared_by_value() {
    for (source, answer) in [
        ("12.50", "12,5"),
        ("1.234.567", "1,234,567"),
        ("1'000", "1000"),
        ("three items", "3"),
        ("order #04711", "4711"),
        ("1.234,50", "1,234.5"),
        ("version 1.2.3", "1.2.3"),
        ("within 18 months", "within eighteen months"),
        ("within eighteen months", "within 18 months"),
        ("for one year", "for 1 year"),
        ("for 1 year", "for one year"),
        ("after thirteen weeks", "after 13 weeks"),
        ("up to eighty percent", "up to 80 percent"),
        ("within twenty-four hours", "within 24 hours"),
        ("within 24 hours", "within twenty-four hours"),
    ] {
        assert_eq!(texts(&[source], answer), Vec::<String>::new(), "{source} {answer}");
    }
    for (source, answer) in [("12.50", "12.05"), ("125", "12.5"), ("version 1.2.3", "1.2.4"), ("0.5", "5")] {
        assert_eq!(texts(&[source], answer), [answer], "{source} {answer}");
    }
}

#[test]
fn dates_are_compared_by_day() {
    for (source, answer) in [
        ("due 05/03/2024", "due 3 May 2024"),
        ("due 05/03/2024", "due on 5.3.2024"),
        ("fällig am 3. Mai 2024", "due on 3/5/24"),
        ("on 3 May", "on May 3"),
        ("on 3 May 2024", "in May 2024"),
        ("le 1er août 2025", "on August 1, 2025"),
        ("it was 2024; on 3 May", "on 3 May 2024"),
        ("plan 2 is free", "Plan 2 may be cancelled"),
        ("on 2024-05-02", "on 2 may 2024"),
    ] {
        assert_eq!(texts(&[source], answer), Vec::<String>::new(), "{source} {answer}");
    }
    for (source, answer, shown) in [
        ("on 3.5.2024", "on 5.3.2024", "5.3.2024"),
        ("in May 2024", "on 3 May 2024", "3 May 2024"),
        ("on 3 May", "on 3 May 2024", "3 May 2024"),
    ] {
        assert_eq!(texts(&[source], answer), [shown], "{source} {answer}");
    }
}

#[test]
fn german_nouns_are_no_names() {
    let source = "Die Lampe kann innerhalb von 30 Tagen nach der Lieferung an den Händler in Ulm zurückgegeben werden.";
    assert_eq!(
        texts(&[source], "Die Lampe kann in der Frist von 30 Tagen an den Händler zurückgegeben werden."),
        [""; 0]
    );
    let answer = "Die Lampe kann innerhalb von 30 Tagen an Frau Erika Mustermann zurückgegeben werden.";
    assert_eq!(texts(&[source], answer), ["Frau Erika Mustermann"]);
}

#[test]
fn sentences_end_where_they_end() {
    let split =
        |text: &'static str| sentences(text).into_iter().map(|range| &text[range]).collect::<Vec<_>>();
    assert_eq!(split("One. Two!  Three?\n- four"), ["One.", "Two!", "Three?", "- four"]);
    assert_eq!(
        split("It costs 3.50 euros, e.g. in Ulm. J. Doe paid."),
        ["It costs 3.50 euros, e.g. in Ulm.", "J. Doe paid."]
    );
    assert_eq!(split("1. First\n2. Second"), ["1. First", "2. Second"]);
    assert_eq!(split("你好。再见！"), ["你好。", "再见！"]);
    assert_eq!(split("Really?! Yes..."), ["Really?!", "Yes..."]);
    assert!(split(" \n ... ").is_empty());
}

/// The sources need not be well written: what they hold they support.
#[test]
fn every_text_supports_itself() {
    for text in [
        include_str!("../../../ARCHITECTURE.md"),
        include_str!("../../../CONTRIBUTING.md"),
        POLICY,
        "Am 3. Mai 2024 schrieb Frau Dr. Ilse Groß an info@läden.example: „Bitte 1.234,50 € bis 12/2024!“",
        "Le 1er août, M. Dupont a payé 12,50 € (voir www.exemple.fr/prix?a=1).",
        "灯泡可以更换。请在30天内退货，联系人：张伟 2024-05-01。",
        "A. B. C... 1.2.3.4 -- 5'6 \u{130}stanbul's K\u{212a} x\u{0301}y 12:30 3-4 #7 <b>Acme</b> **Big Deal**",
    ] {
        assert_eq!(parts(&[text], text), [], "{text}");
    }
}

/// Pieces that could be cut within a character.
#[test]
fn no_text_is_cut_within_a_character() {
    let pieces = [
        "3.", "May", "é", "’s", "\u{130}", "https://", "www.", "ſ", "@", ".com", "12", ",", " ", "\n", "“",
        "日本", "。", "-", "'", "2024", "th", "\u{212a}", "two", "days", "😀", "?",
    ];
    let mut random = crate::stream::stream(1, "test", "grounded", 0);
    for _ in 0..3000 {
        let mut draw = || pieces[crate::stream::uniform_below(&mut random, pieces.len() as u32) as usize];
        let text: String = (0..12).map(|_| draw()).collect();
        assert_eq!(parts(&[&text], &text), [], "{text:?}");
        let _ = Sources::new(&["May 3, 2024"]).ground(&text);
    }
}

#[test]
fn rates_are_over_answers_and_over_claims() {
    let sources = Sources::new(&[POLICY]);
    let mut sum = GroundednessSum::default();
    for answer in ["Lamps can be returned within 30 days.", "Lamps can be returned within 31 days.", "Hello!"]
    {
        sum += &sources.ground(answer);
    }
    assert_eq!((sum.answers, sum.ungrounded_answers), (3, 1));
    assert_eq!(sum.counts[ClaimKind::Number as usize], Counts { claims: 2, unsupported: 1 });
    assert!((sum.hallucination_rate() - 1.0 / 3.0).abs() < 1e-12);
    assert!(sum.unsupported_rate() > 0.0 && sum.unsupported_rate() < 0.5);
    for kind in KINDS {
        assert_eq!(sources.ground("").of(kind), Counts::default());
    }
    assert_eq!(GroundednessSum::default().hallucination_rate(), 0.0);
}
