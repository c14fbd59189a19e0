//! The scanner as a whole.

use super::*;

fn scanner(options: ScanOptions) -> Scanner {
    Scanner::new(&options).expect("a scanner")
}

fn found<'t>(scanner: &Scanner, text: &'t str) -> Vec<(Entity, &'t str)> {
    scanner.scan(text).iter().map(|finding| (finding.entity, &text[finding.start..finding.end])).collect()
}

#[test]
fn a_record_of_many_entities() {
    let text = "Anna, anna.berg@firma.de, +49 30 901820, card 4242 4242 4242 4242 exp 12/27, IBAN DE89 3704 0044 0532 0130 00 \
                bitte; from 10.1.2.3 (aa:bb:cc:dd:ee:ff).";
    assert_eq!(
        found(&scanner(ScanOptions::default()), text),
        [
            (Entity::EmailAddress, "anna.berg@firma.de"),
            (Entity::PhoneNumber, "+49 30 901820"),
            (Entity::CreditCard, "4242 4242 4242 4242"),
            (Entity::IbanCode, "DE89 3704 0044 0532 0130 00"),
            (Entity::IpAddress, "10.1.2.3"),
            (Entity::MacAddress, "aa:bb:cc:dd:ee:ff"),
        ]
    );
}

#[test]
fn what_is_allowed_is_not_found() {
    let options = ScanOptions { allow: vec!["Help@Firma.de".to_owned()], ..ScanOptions::default() };
    assert_eq!(found(&scanner(options), "help@firma.de a@firma.de"), [(Entity::EmailAddress, "a@firma.de")]);
}

#[test]
fn own_words_raise_a_score() {
    let text = "Rückrufbitte an 030 90182000000";
    let plain = ScanOptions { threshold: 0.6, ..ScanOptions::default() };
    let own =
        ScanOptions { context: vec![(Entity::PhoneNumber, "Rückrufbitte".to_owned())], ..plain.clone() };
    assert_eq!(found(&scanner(plain), text), []);
    assert_eq!(found(&scanner(own), text).len(), 1);
}

#[test]
fn options_that_cannot_be_followed_are_refused() {
    let threshold = ScanOptions { threshold: 1.5, ..ScanOptions::default() };
    assert!(matches!(Scanner::new(&threshold), Err(ScanError::Threshold { .. })));
    let region = ScanOptions { phone_regions: vec!["ZZ".to_owned()], ..ScanOptions::default() };
    assert!(matches!(Scanner::new(&region), Err(ScanError::Region { .. })));
}

#[test]
fn any_text_is_gone_over_and_spans_are_characters() {
    let scanner =
        scanner(ScanOptions { entities: Entity::ALL.to_vec(), threshold: 0.0, ..ScanOptions::default() });
    let pieces = [
        "é",
        "4111 1111 1111 1111",
        "@",
        "::",
        "a.b.co",
        "://",
        "“",
        "号",
        "+1 (",
        "\0",
        "0x",
        "1/2/2020",
        "ß5",
        "\n",
        "ZIP ",
        "Rua ",
    ];
    let all = || pieces.iter();
    for text in all().flat_map(|a| all().flat_map(move |b| all().map(move |c| [*a, *b, *c, *a].concat()))) {
        for finding in scanner.scan_all(&text) {
            assert!(!text[finding.start..finding.end].is_empty(), "{text}");
        }
        assert_eq!(by_triggers(&scanner, &text), by_every_place(&scanner, &text), "{text}");
    }
}

/// What the pass finds from digits and marks, and what it finds from every byte of the text.
fn by_triggers(scanner: &Scanner, text: &str) -> Vec<Finding> {
    let mut sink = Sink::new(text, &scanner.wanted);
    pass::run(&mut sink, &scanner.generic, scanner.forms.as_ref());
    conflicts::settle_each_entity(sink.findings)
}

fn by_every_place(scanner: &Scanner, text: &str) -> Vec<Finding> {
    let mut sink = Sink::new(text, &scanner.wanted);
    let next = |bytes: &[u8], at: usize| (at < bytes.len()).then_some(at);
    pass::run_from(&mut sink, &scanner.generic, scanner.forms.as_ref(), next);
    conflicts::settle_each_entity(sink.findings)
}

#[test]
fn digits_and_marks_lead_to_all_that_every_byte_leads_to() {
    let scanner =
        scanner(ScanOptions { entities: Entity::ALL.to_vec(), threshold: 0.0, ..ScanOptions::default() });
    for file in ["pii.jsonl", "datafog.jsonl", "synth.jsonl"] {
        let path = format!("{}/../tests/fixtures/exams/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("a fixture");
        assert!(!text.is_empty());
        assert_eq!(by_triggers(&scanner, &text), by_every_place(&scanner, &text), "{file}");
    }
    let text = "AA-BB-CC-DD-EE-FF STA AB-123E May the 5th, Frankfurt HRB Nr. 12345: St. 5 September 2021 A:B::C fe80::1 \
                +49 (0)30 901820, (030) 901820 MHB-AB 12 x@y.de 서울 12-34-567890-12 RSSMRA85T10A562S";
    assert_eq!(by_triggers(&scanner, text), by_every_place(&scanner, text));
}

#[test]
fn an_announced_address_has_a_place_and_a_number() {
    let scanner = scanner(ScanOptions::default());
    for address in ["Rose Cottage, Ambridge, BO3 4TT", "12 baker way", "Flat #4, Hill House"] {
        let text = format!("My address is {address}. Thanks.");
        assert_eq!(found(&scanner, &text), [(Entity::StreetAddress, address)]);
    }
    for other in
        ["sent again for €4.90", "sent again for 5 euros", "wrong in 20% of cases", "with Tom for 4.90"]
    {
        let text = format!("A parcel with a wrong address is {other}. Thanks.");
        assert_eq!(found(&scanner, &text), [], "{text}");
    }
}

/// Dates, units, standards and models are no plates, and a date of birth stays one.
#[test]
fn ordinary_phrases_are_no_number_plates() {
    let plain = scanner(ScanOptions::default());
    let named = scanner(ScanOptions {
        entities: vec![
            Entity::InVehicleRegistration,
            Entity::NgVehicleRegistration,
            Entity::UkVehicleRegistration,
        ],
        ..ScanOptions::default()
    });
    for text in [
        "sent on 5 May 2021",
        "by 31 Dec 2024",
        "On 5-May-2021 somebody wrote",
        "le 5 mai 2021",
        "am 7. Mai 2022",
        "at 10 Jan 2023, or 11 Feb 2023",
        "PM10 and PM25 are measured",
        "the EU27 are agreed",
        "RJ11 for the phone, RJ45 for the rest",
        "HP20 for hydraulics",
        "SR71 was the fastest",
        "my car is an Audi A4 and it runs",
        "the vehicle has 150 hp",
        "is 12 kg 2000 enough",
        "my 3 new 2019 models",
        "to 24 hrs 1200 people",
    ] {
        assert_eq!(found(&plain, text), [], "{text}");
        assert_eq!(found(&named, text), [], "{text}");
    }
    assert_eq!(found(&plain, "born on 12 May 1985"), [(Entity::DateOfBirth, "12 May 1985")]);
    for text in ["KA01AB1234", "KA 01 AB 1234", "ka01ab1234", "22 BH 1234 AB", "BD51 SMR", "bd51smr"] {
        let text = format!("the plate {text} is mine");
        assert_eq!(found(&named, &text).len(), 1, "{text}");
        assert_eq!(found(&plain, &text), [], "{text}");
    }
}

/// An address names a person whether or not the whole world can write to it.
#[test]
fn addresses_of_internal_hosts_are_found() {
    let scanner = scanner(ScanOptions { names: false, ..ScanOptions::default() });
    for address in
        ["anna.berg@contoso.local", "m.huber@firma.intern", "root@db1.lan", "anna@mail.corp.internal"]
    {
        let text = format!("Mail {address}: it is theirs");
        assert_eq!(found(&scanner, &text), [(Entity::EmailAddress, address)]);
    }
    for text in [
        "@app.route(\"/x\")",
        "git@host.local:path/x",
        "@pytest.mark.test(1)",
        "a@b",
        "name@1.2.3",
        "a@-x.local",
        "a@local",
        "x@y.localx",
    ] {
        assert_eq!(found(&scanner, text), [], "{text}");
    }
}
