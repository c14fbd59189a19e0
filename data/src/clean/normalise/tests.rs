use super::*;
use crate::clean::testing::texts;
use crate::testing::{Files, record, talk};

fn options(steps: &[Step]) -> NormaliseOptions {
    NormaliseOptions { steps: steps.iter().copied().collect(), ..NormaliseOptions::default() }
}

/// All steps, with a list of terms and a dictionary, and rows from which boilerplate was learnt.
fn everything(files: &Files) -> Normaliser {
    let mut options = options(&Step::ALL);
    options.terminology.file = Some(files.write("terms.csv", "app,mobile app\ne-mail,email\n"));
    options.spelling.dictionary = Some(files.write("words.txt", "account\npayment\ncard\n"));
    let mut collector = Collector::new(&options).expect("a collector");
    for row in 0..100 {
        let notice = if row % 3 == 0 { "\nthis line stands in many of the rows" } else { "" };
        collector.push([(Part::Input, format!("row {row}\nwith account and payment{notice}").as_str())]);
    }
    Normaliser::new(&options, collector.finish()).expect("a normaliser")
}

#[test]
fn any_text_settles_and_stays() {
    let files = Files::new();
    let normaliser = everything(&files);
    let mut changes = Changes::new();
    for (row, text) in texts("normalise", 6_000).enumerate() {
        changes.at_row(row as u64);
        for part in [Part::System, Part::Input, Part::Answer] {
            let once = normaliser.apply(part, &text, &mut changes);
            let twice = normaliser.apply(part, &once, &mut Changes::new());
            assert_eq!(twice, once, "{text:?}");
        }
    }
    assert_eq!(changes.texts, 18_000);
    assert!(changes.unsettled_texts < 18, "{} texts do not settle", changes.unsettled_texts);
    for step in Step::ALL.into_iter().filter(|step| *step != Step::Boilerplate) {
        assert!(changes.steps[&step].texts > 0, "{} was not tried", step.name());
    }
}

/// A lot of what steps look at: work that grows with the square of a text would not end here.
#[test]
fn long_hostile_texts_end_soon() {
    let normaliser = everything(&Files::new());
    for piece in [
        "From: a\n",
        "um ",
        "um, ",
        "<a href=\"",
        "<script>",
        "<html><svg>",
        "<b",
        "&amp;",
        "`",
        "`a",
        "a`` `",
        "Sent from my iPhone\n",
        "> a\n",
        ">> ",
        "| a\n",
        "can't",
        "app ",
        "acount ",
        " ",
        "\n",
        "\t",
        "\u{301}",
        "--\n",
        "Regards,\n",
        "On 1 wrote:\n",
        "a",
        "<!--",
        "</p>",
        "____________________\n",
        "\n\n    ",
        "```\n",
        "you know, ",
        "\u{200D}",
        "this line stands in many of the rows\n",
    ] {
        let text = piece.repeat(200_000 / piece.len());
        for text in [format!("x{text}"), format!("{text}x")] {
            normaliser.apply(Part::Input, &text, &mut Changes::new());
        }
    }
    let chain = format!("&{}lt;", "amp;".repeat(50_000));
    let mut changes = Changes::new();
    assert_eq!(normaliser.apply(Part::Input, &chain, &mut changes), chain, "what has no end in sight stays");
    assert_eq!((changes.unsettled_texts, changes.changed_texts), (1, 0));
}

#[test]
fn every_step_alone_settles() {
    let files = Files::new();
    let normaliser = everything(&files);
    for (text, (prepared, _)) in
        texts("steps", 4_000).flat_map(|text| normaliser.steps.iter().map(move |step| (text.clone(), step)))
    {
        let once = prepared.run(&text);
        assert!(once.changes > 0 || once.text == text, "{:?} changed in silence: {text:?}", prepared.step());
        assert!(once.changes == 0 || once.text != text, "{:?} counted nothing: {text:?}", prepared.step());
    }
}

#[test]
fn a_text_without_noise_is_not_copied() {
    let normaliser = everything(&Files::new());
    let mut changes = Changes::new();
    for text in ["plain text", "with `code <b>`\n\n- and a list", "", "日本語"] {
        assert!(matches!(normaliser.apply(Part::Input, text, &mut changes), Cow::Borrowed(_)));
    }
    assert_eq!((changes.texts, changes.changed_texts, changes.steps.len()), (4, 0, 0));
}

#[test]
fn a_mail_becomes_its_words() {
    let options =
        options(&[Step::Html, Step::QuotedReplies, Step::Signatures, Step::WhiteSpace, Step::Unicode]);
    let normaliser = Normaliser::new(&options, Collected::default()).expect("a normaliser");
    let mail = "<html><body><p>My card is&nbsp;lost.</p><p>Best regards,<br>Ann Example</p>\
        <div>On 1 Jan 2024, Bob &lt;b@x.example&gt; wrote:</div><blockquote>&gt; How can we help?</blockquote></body></html>";
    let mut row = record(talk(&[mail, "We are sorry.\n\nBest regards,\nBob Example"]));
    let mut changes = Changes::new();
    changes.at_row(3);
    assert!(normaliser.apply_record(&mut row, &mut changes));
    assert_eq!(row.messages[0].content, "My card is lost.");
    assert_eq!(
        row.messages[1].content, "We are sorry.\n\nBest regards,\nBob Example",
        "an answer is its author's"
    );
    assert_eq!((changes.texts, changes.changed_texts), (2, 1));
    let shown = &changes.steps[&Step::Signatures].examples[0];
    assert_eq!((shown.row, shown.part), (3, Part::Input));
    assert!(shown.before.contains("Best regards") && !shown.after.contains("Best regards"));
}

#[test]
fn no_step_takes_the_question_away() {
    let normaliser = Normaliser::new(&options(&[Step::Html]), Collected::default()).expect("a normaliser");
    let image = "<div><img src=\"a.png\"></div>";
    assert_eq!(normaliser.apply(Part::Input, image, &mut Changes::new()), image);
}

#[test]
fn settings_are_checked() {
    let problem = |options: &NormaliseOptions| {
        Normaliser::new(options, Collected::default()).expect_err("a problem").to_string()
    };
    assert_eq!(problem(&options(&[Step::Terminology])), "the step `terminology` needs `terminology.file`");
    assert_eq!(problem(&options(&[Step::Spelling])), "the step `spelling` needs `spelling.dictionary`");
    assert!(problem(&options(&[Step::Boilerplate])).contains("needs a first pass"));
    let mut wrong = options(&[Step::Signatures]);
    wrong.parts.insert(Step::Signatures, [Part::Answer].into());
    assert_eq!(problem(&wrong), "the step `signatures` cannot work on answer");
    let mut wrong = options(&[]);
    wrong.boilerplate.min_share = 0.0;
    assert_eq!(problem(&wrong), "`boilerplate.min-share` must be above 0 and at most 1, found 0");
}

#[test]
fn options_have_names() {
    let json = r#"{"steps": ["white-space", "html"], "parts": {"html": ["system"]}, "boilerplate": {"min-share": 0.1}}"#;
    let options: NormaliseOptions = serde_json::from_str(json).expect("options");
    assert!(options.works_on(Step::Html, Part::System) && !options.works_on(Step::Html, Part::Input));
    assert!(
        options.works_on(Step::WhiteSpace, Part::Answer) && !options.works_on(Step::Unicode, Part::Input)
    );
    assert!(!options.needs_first_pass());
    for step in Step::ALL {
        let name = serde_json::to_string(&step).expect("a name");
        assert_eq!(name, format!("\"{}\"", step.name()));
    }
    assert!(serde_json::from_str::<NormaliseOptions>(r#"{"step": []}"#).is_err());
}
