use super::*;
use crate::clean::testing::texts;
use crate::testing::{record, talk};

/// Every rule that needs no base, with thresholds as they usually are.
fn everything() -> FilterOptions {
    FilterOptions {
        empty_answer: true,
        min_prompt_characters: Some(2),
        max_prompt_characters: Some(2_000),
        min_answer_characters: Some(1),
        max_answer_characters: Some(2_000),
        mojibake: Some(1),
        symbols: Some(SymbolOptions::default()),
        repetition: Some(RepetitionOptions::default()),
        languages: Some(LanguageOptions { allowed: vec!["en".into()], ..LanguageOptions::default() }),
        copied_answer: Some(0.95),
        refusals: Some(RefusalOptions::default()),
        toxicity: Some(ToxicityOptions::default()),
        max_perplexity: None,
    }
}

fn rule(options: &FilterOptions, texts: &[&str]) -> Option<Rule> {
    Filters::new(options).expect("filters").judge(&record(talk(texts))).map(|verdict| verdict.rule)
}

#[test]
fn each_rule_drops_its_rows() {
    let long = "word and more ".repeat(200);
    let german = "Ich habe gestern meine Karte verloren und brauche so schnell wie möglich eine neue, bitte helfen Sie mir.";
    for (texts, expected) in [
        (["where is it", " \n"], Rule::EmptyAnswer),
        (["?", "yes"], Rule::MinPromptCharacters),
        ([&long, "yes"], Rule::MaxPromptCharacters),
        (["where is it", &long], Rule::MaxAnswerCharacters),
        (["where is my cafÃ©", "yes"], Rule::Mojibake),
        (["where is it", "%$#@!%$#@!%$#@!%$#@!%$#@!%$#@!"], Rule::Symbols),
        (["where is it", &"ha ".repeat(30)], Rule::Repetition),
        (["where is it", german], Rule::Languages),
        (["Where is my new card today?", "where is my new card today"], Rule::CopiedAnswer),
        (["where is it", "As an AI language model, I cannot know."], Rule::Refusals),
    ] {
        assert_eq!(rule(&everything(), &texts), Some(expected), "{texts:?}");
        assert_eq!(rule(&FilterOptions::default(), &texts), None, "no rule is on by itself");
    }
    for texts in [["Where is my card?", "It was sent on Monday."], ["Is this spam: WIN £1000 NOW!!!", "spam"]]
    {
        assert_eq!(rule(&everything(), &texts), None);
    }
}

#[test]
fn rows_in_are_rows_out_and_rows_dropped() {
    let filters = Filters::new(&everything()).expect("filters");
    let texts: Vec<String> = texts("filters", 4_000).collect();
    let mut whole = Tally::default();
    let mut halves = [Tally::default(), Tally::default()];
    let mut kept = 0;
    for (number, pair) in texts.chunks(2).enumerate() {
        let row = record(talk(&[&pair[0], &pair[1]]));
        let verdicts = filters.all(&row);
        assert_eq!(filters.judge(&row), verdicts.first().cloned());
        kept += u64::from(whole.count(number as u64, &verdicts));
        halves[number % 2].count(number as u64, &verdicts);
    }
    assert_eq!(whole.rows, 2_000);
    assert_eq!(whole.kept, kept);
    assert_eq!(whole.rows, whole.kept + whole.dropped());
    assert!(whole.rules.len() > 5 && whole.kept > 0);
    let [mut one, other] = halves;
    one.merge(other);
    assert_eq!(one, whole);
    assert!(whole.rules.values().all(|count| count.alone >= count.dropped && count.alone > 0));
}

#[test]
fn code_is_not_repetition_nor_another_language() {
    let code = format!("Here it is:\n```\n{}```", "x = x + 1; x = x + 1; x = x + 1;\n".repeat(30));
    assert_eq!(rule(&everything(), &["Show me a loop, please.", &code]), None);
}

#[test]
fn settings_are_checked() {
    let wrong = [
        FilterOptions { copied_answer: Some(0.0), ..FilterOptions::default() },
        FilterOptions {
            min_prompt_characters: Some(5),
            max_prompt_characters: Some(4),
            ..FilterOptions::default()
        },
        FilterOptions { languages: Some(LanguageOptions::default()), ..FilterOptions::default() },
        FilterOptions {
            symbols: Some(SymbolOptions { max_symbols: 2.0, max_digits: 0.5 }),
            ..FilterOptions::default()
        },
        FilterOptions {
            refusals: Some(RefusalOptions { file: Some("no/such/file".into()), ..RefusalOptions::default() }),
            ..FilterOptions::default()
        },
    ];
    for options in wrong {
        assert!(Filters::new(&options).is_err(), "{options:?}");
    }
    let json = r#"{"empty-answer": true, "repetition": {}, "languages": {"allowed": ["en"]}}"#;
    let options: FilterOptions = serde_json::from_str(json).expect("options");
    assert!(options.empty_answer && options.repetition == Some(RepetitionOptions::default()));
    for rule in Rule::ALL {
        assert_eq!(serde_json::to_string(&rule).expect("a name"), format!("\"{}\"", rule.name()));
    }
}
