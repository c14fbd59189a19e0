use super::*;

/// What is found in one text, as the spans.
fn found(text: &str) -> Vec<String> {
    let mut findings = Names::new().find(&[text], &[]).remove(0);
    findings.retain(|finding| finding.entity == Entity::Person);
    findings.iter().map(|finding| text[finding.start..finding.end].to_owned()).collect()
}

#[track_caller]
fn assert_found(text: &str, expected: &[&str]) {
    assert_eq!(found(text), expected, "{text:?}");
}

#[test]
fn cues_name_whoever_follows() {
    assert_found("Please ask Mr. Quabbleton or Dr Zyx.", &["Quabbleton", "Zyx"]);
    assert_found("Hello, my name is Xavanti Brool.", &["Xavanti Brool"]);
    assert_found("Guten Tag, ich heiße Quirin Obergruber.", &["Quirin Obergruber"]);
    assert_found("Je m'appelle Élodie Marchand.", &["Élodie Marchand"]);
    assert_found("Name: Oksana Petrenko\nPhone: 12", &["Oksana Petrenko"]);
    assert_found("Thank you,\nXavanti", &["Xavanti"]);
    assert_found("Dear Xavanti, your parcel is here.", &["Xavanti"]);
    assert_found("Our authors: Brool, Zyxan and Quabb.", &["Brool", "Zyxan", "Quabb"]);
    assert_found("\"Never!\" said Xavanti.", &["Xavanti"]);
}

#[test]
fn the_list_knows_names_without_a_cue() {
    assert_found("Yesterday Deborah Whitfield paid.", &["Deborah Whitfield"]);
    assert_found(
        "We saw Jan van der Berg and Nikolaj N. Møller there.",
        &["Jan van der Berg", "Nikolaj N. Møller"],
    );
    assert_found("Then Beatriz rang, and Siobhan's mother.", &["Beatriz", "Siobhan"]);
    assert_found(
        "Anders\u{a0}Holmberg and Łukasz Wiśniewski",
        &["Anders\u{a0}Holmberg", "Łukasz Wiśniewski"],
    );
    assert_found("Sumarliði Ketilsson came.", &["Sumarliði Ketilsson"]);
}

#[test]
fn common_words_are_no_names() {
    for text in [
        "Will my order arrive in May? The bill says so.",
        "Mark it as read. Grace periods apply. May I ask?",
        "Dear Customer, Dear Sir, Dear Team, thank you.",
        "The Rose Garden, the Will, the Bill.",
        "CAN I SPEAK TO A REAL PERSON?",
        "My IBAN is wrong. Is the Bot here?",
        "Monday in Paris, Friday in London and Jordan.",
        "I am German. You are Danish.",
    ] {
        assert_found(text, &[]);
    }
}

#[test]
fn firms_roads_and_places_are_no_persons() {
    for text in [
        "Lindqvist & Sons and Harbour Bank",
        "Morgan Stanley and Charles Schwab are brokers.",
        "Thomas, Holt and Myers are lawyers.",
        "It is at 149 Monika Union, 12 Emma Street, rue Victor Hugo 4.",
        "We stayed in San Giovanni and at Saint Vincent.",
        "The Dózsa György út 78 is closed.",
        "USS Mahler left the harbour.",
        "the Julian Period and Karma Police",
        "Apt. 12\nWarwick\nUnited States",
        "Send it to anna.jensen@example.org or http://Smith.example/Jensen",
    ] {
        assert_found(text, &[]);
    }
}

#[test]
fn places_and_organisations_are_found_beside_what_gives_them_away() {
    let text =
        "She moved to Lisbon and works at Bluefin Harbour Ltd. The Acme GmbH is in Uruguay. Lisbon is nice.";
    let findings = Names::new().find(&[text], &[]).remove(0);
    let found: Vec<(&str, Entity)> =
        findings.iter().map(|one| (&text[one.start..one.end], one.entity)).collect();
    let expected = [
        ("Lisbon", Entity::Location),
        ("Bluefin Harbour Ltd", Entity::Organization),
        ("Acme GmbH", Entity::Organization),
        ("Uruguay", Entity::Location),
    ];
    assert_eq!(found, expected);
}

#[test]
fn small_letters_are_names_where_something_says_so() {
    assert_found("my name is priya raman", &["priya raman"]);
    assert_found("priya raman\n12 main street", &["priya raman"]);
    assert_found(
        "they had four: silvana, adam, kristina and caleb.",
        &["silvana", "adam", "kristina", "caleb"],
    );
    assert_found("roberto: who are you?\ntracy: me", &["roberto", "tracy"]);
    assert_found("call me back please, my name is on the bill", &[]);
    assert_found("the will of adam, the bill, the grace", &[]);
}

#[test]
fn a_name_is_found_again_through_the_record() {
    let texts =
        ["What is your name?", "Xavanti Brool", "Thanks xavanti! Is Brool your surname?", "brool is mine"];
    let findings = Names::new().find(&texts, &[]);
    let spans: Vec<Vec<&str>> = texts
        .iter()
        .zip(&findings)
        .map(|(text, findings)| findings.iter().map(|one| &text[one.start..one.end]).collect())
        .collect();
    assert_eq!(spans, [vec![], vec!["Xavanti Brool"], vec!["xavanti", "Brool"], vec!["brool"]]);

    // A part that is a word is a name only with a capital.
    assert_found(
        "My name is Will Baker. Will I? The baker will. Ask Baker.",
        &["Will Baker", "Will", "Baker"],
    );
}

#[test]
fn an_address_of_mail_says_which_words_are_names() {
    let text = "Brool Xavanti wrote from bxavanti@example.org, Quabb from info@example.org";
    let at = text.find("bxavanti").expect("there");
    let email = Finding { start: at, end: at + 20, entity: Entity::EmailAddress, score: 1.0, rule: "email" };
    let names = Names::new().find(&[text], &[vec![email]]).remove(0);
    assert_eq!(names.len(), 1);
    assert_eq!((&text[names[0].start..names[0].end], names[0].rule), ("Brool Xavanti", "name-echo"));
}

#[test]
fn what_is_known_is_left_alone() {
    let text = "Deborah Whitfield";
    let known = Finding { start: 0, end: 7, entity: Entity::Username, score: 1.0, rule: "x" };
    assert!(Names::new().find(&[text], &[vec![known]])[0].is_empty());
}

#[test]
fn names_of_a_model_are_cut_or_dropped() {
    let confirmed = |text: &str, span: &str| -> Vec<String> {
        let start = text.find(span).expect("there");
        let (entity, end) = (Entity::Person, start + span.len());
        let mut findings = vec![Finding { start, end, entity, score: 0.9, rule: "model" }];
        Names::new().confirm(text, &mut findings);
        findings.iter().map(|one| text[one.start..one.end].to_owned()).collect()
    };
    for (text, span, expected) in [
        ("Mr. Leiva flew home", "Leiva flew", "Leiva"),
        ("met Ludwig van Gijn there", "Ludwig van Gijn there", "Ludwig van Gijn"),
        ("by bertram jørgensen", "bertram jørgensen", "bertram jørgensen"),
        ("Lea Petersen ג€“ sadly", "Lea Petersen ג€", "Lea Petersen"),
        ("ask 山田 please", "山田", "山田"),
        ("Dear Xavanti Brool,", "Xavanti Brool", "Xavanti Brool"),
    ] {
        assert_eq!(confirmed(text, span), [expected], "{text}");
    }
    assert_eq!(confirmed("Idris Brool\nOnvia", "Idris Brool\nOnvia"), ["Idris Brool"]);
    assert_eq!(confirmed("Idris Brool\nMonika", "Idris Brool\nMonika"), ["Idris Brool", "Monika"]);
    for (text, span) in [
        ("by helicopter", "helicopter"),
        ("Rand Corporation", "Rand"),
        ("at Jones, Mitchell and Williams as", "Mitchell"),
        ("on USNS Bergman", "Bergman"),
        ("Hania Bazid, CA 93713", "Hania"),
        ("56539 Rua Cyro Schmutzer 12", "Cyro Schmutzer"),
        ("Thomas and Sons is a firm", "Thomas"),
        ("glad that Sweden moves", "Sweden"),
    ] {
        let found = confirmed(text, span);
        assert!(found.is_empty(), "{text}: {found:?}");
    }
}

#[test]
fn spans_are_sound_on_any_text() {
    let long = "Ann".repeat(100_000);
    let texts = [
        "",
        "\0",
        "A",
        "É",
        "'s",
        "Dr.",
        "Dr. ",
        "name:",
        "my name is ",
        "my name is é",
        "Regards,\n",
        "İstanbul İ",
        "ǅ ǆ",
        "x’s ’s ’",
        "Anna\u{301} Li\u{301}",
        "👩‍👩‍👧 Anna 👩‍👩‍👧",
        "Ann, Bo, Cy,",
        ", , ,",
        "ann, bo, ",
        "ß: ẞ",
        "Anna’s",
        "--Anna--",
        &long,
    ];
    let names = Names::new();
    for text in texts {
        for (start, _) in text.char_indices().take(50) {
            let part = &text[start..];
            let findings = names.find(&[part, text], &[]);
            for (text, findings) in [part, text].iter().zip(&findings) {
                for pair in findings.windows(2) {
                    assert!(pair[0].end <= pair[1].start);
                }
                for one in findings {
                    assert!(
                        one.start < one.end
                            && text.is_char_boundary(one.start)
                            && text.is_char_boundary(one.end)
                    );
                }
            }
        }
    }
}
