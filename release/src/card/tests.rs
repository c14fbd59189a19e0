use super::*;

fn card(ids: &[&str]) -> Card {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    let licence = Licence { ids, link: None, from: None };
    Card::of_base("smollm2".into(), Some("o/n".into()), licence)
}

#[test]
fn a_card_says_base_library_and_licence_in_its_front_matter() {
    let text = card(&["apache-2.0"]).text(Made::Adapter);
    let head = "---\nbase_model: o/n\nbase_model_relation: adapter\nlibrary_name: peft\nlicense: apache-2.0\npipeline_tag: text-generation\n";
    assert!(text.starts_with(head), "{text}");
    assert!(text.contains("- Pass on a copy of the licence with the model.\n"), "{text}");
    let text = card(&["llama3.1"]).text(Made::Merged);
    assert!(text.contains("library_name: transformers\nlicense: llama3.1\n"), "{text}");
    assert!(text.contains("Built with Llama") && text.contains("700 million"), "{text}");
}

#[test]
fn other_licences_have_a_name_and_unknown_ones_are_not_claimed() {
    let text = card(&["qwen"]).text(Made::Merged);
    assert!(text.contains("license: other\nlicense_name: \"qwen\"\n"), "{text}");
    let text = card(&["my: \"own\""]).text(Made::Merged);
    assert!(
        text.contains("license_name: \"my: \\\"own\\\"\"\n") && text.contains("not known to rtune"),
        "{text}"
    );
    let text = card(&["mit", "gemma"]).text(Made::Base);
    assert!(text.contains("license:\n- mit\n- gemma\n"), "{text}");
    let text = card(&[]).text(Made::Adapter);
    assert!(!text.contains("license:") && text.contains("says nothing of its licence"), "{text}");
}

#[test]
fn a_run_tells_of_its_data_and_what_it_came_to() {
    let figure = |metric: &str, base, tuned| Figure { metric: metric.to_owned(), base, tuned };
    let file = DataFile {
        name: "train.jsonl".to_owned(),
        role: "train".to_owned(),
        rows: 24,
        licence: Some("CC0-1.0".to_owned()),
        hash: "blake3 ab".to_owned(),
    };
    let figures = vec![figure("exact_match", Some(0.25), 0.75), figure("chrf", None, 61.5)];
    let training = Training {
        data: vec![DataFile { licence: None, name: "a|b".to_owned(), ..file.clone() }, file],
        findings: vec!["No personal data was found.".to_owned()],
        settings: vec![("learning rate".to_owned(), "0.01".to_owned())],
        evaluations: vec![Evaluation { on: "golden.jsonl".to_owned(), rows: 8, before: "base", figures }],
        quantized: true,
        left_out: false,
        hardware: "cpu X, 2 threads, linux-x86_64".to_owned(),
    };
    let card = Card { training: Some(training), ..card(&["mit"]) };
    let text = card.text(Made::Merged);
    let (head, page) = text[4..].split_once("\n---\n").expect("front matter");
    let expected = "model-index:\n- name: \"o/n, fine-tuned\"\n  results:\n  - task:\n      type: text-generation\n    dataset:\n      \
        name: \"golden.jsonl\"\n      type: \"golden-jsonl\"\n    metrics:\n    - type: exact_match\n      value: 0.75\n    - type: chrf\n      \
        value: 61.5";
    assert!(head.ends_with(expected) && head.contains("base_model_relation: finetune\n"), "{head}");
    for part in [
        "| train.jsonl | train | 24 | CC0-1.0 | `blake3 ab` |\n",
        "| a\\|b | train | 24 | not said |",
        "- No personal data was found.\n",
        "| learning rate | 0.01 |\n\nTrained on cpu X, 2 threads, linux-x86_64.\n",
        "golden.jsonl, 8 rows:\n\n| metric | base | tuned |\n| --- | --- | --- |\n| exact_match | 0.25 | 0.75 |\n| chrf | - | 61.5 |\n",
        "\n## Licence\n\nThe base is under `mit`",
    ] {
        assert!(page.contains(part), "{part:?} in:\n{page}");
    }
    // Other weights than those that were measured have no figures.
    for text in [card.unmeasured().text(Made::Merged), card.of_adapter(false, true, &[]).text(Made::Adapter)]
    {
        assert!(!text.contains("model-index") && !text.contains("exact_match"), "{text}");
        assert!(text.contains("was measured on other weights than these"), "{text}");
    }
    assert!(
        card.of_adapter(false, false, &["A note.".to_owned()]).text(Made::Adapter).contains("exact_match")
    );
    let base = card.text(Made::Base);
    assert!(!base.contains("model-index") && !base.contains("## Data"), "{base}");
}
#[test]
fn what_was_trained_is_called_by_its_name() {
    let of = |method, made| Card { method, ..card(&["mit"]) }.text(made);
    assert!(of(Method::Full, Made::Merged).contains("every number of it was trained."));
    assert!(!of(Method::Full, Made::Merged).contains("LoRA"));
    assert!(of(Method::Dora, Made::Merged).contains("an adapter (DoRA) was trained"));
    assert!(of(Method::Dora, Made::Adapter).contains("tags:\n- dora\n- lora\n"));
    let revised = Card { revision: Some("v1".to_owned()), ..card(&["mit"]) };
    assert!(revised.text(Made::Adapter).contains("for `o/n` (revision `v1`), trained"));
    let gguf = Card { gguf: true, ..card(&["mit"]) };
    assert!(gguf.text(Made::Merged).contains("relation: finetune\nlibrary_name: gguf\n"));
    assert!(gguf.text(Made::Base).contains("relation: quantized\nlibrary_name: gguf\n"));
    let loftq = card(&["mit"]).of_adapter(true, false, &[]).text(Made::Adapter);
    assert!(loftq.contains("load the base quantised"), "{loftq}");
    assert!(!card(&["mit"]).of_adapter(true, true, &[]).text(Made::Adapter).contains("LoftQ"));
}

#[test]
fn several_runs_have_a_section_each_and_no_figures_of_their_own_models() {
    let training = |rows: usize| Training {
        findings: vec![format!("{rows} rows were trained on.")],
        evaluations: vec![Evaluation {
            on: "held-out rows".to_owned(),
            rows: 8,
            before: "base",
            figures: vec![Figure { metric: "loss".to_owned(), base: None, tuned: 0.5 }],
        }],
        ..Training::default()
    };
    let run = |name: &str, weight, rows| CombinedRun {
        name: name.to_owned(),
        weight,
        method: Method::Lora,
        training: Some(training(rows)),
    };
    let runs = vec![run("tone", 0.75, 24), run("facts", -0.5, 80)];
    let combined = CombinedRuns { method: "ties", density: Some(0.3), seed: None, runs };
    let text = Card { combined: Some(combined), ..card(&["mit"]) }.text(Made::Merged);
    for part in [
        "base_model_relation: merge\n",
        "combined by `ties`, of each change the part 0.3",
        "| tone | LoRA | 0.75 |\n| facts | LoRA | -0.5 |\n",
        "\n## Run: tone\n\n### Data\n",
        "24 rows were trained on",
        "\n## Run: facts\n\n### Data\n",
        "80 rows were trained on",
    ] {
        assert!(text.contains(part), "{part:?} in:\n{text}");
    }
    assert!(
        !text.contains("model-index") && !text.contains("loss") && !text.contains("Evaluation"),
        "{text}"
    );
    let runs = vec![run("tone", 0.5, 24)];
    let one = CombinedRuns { method: "linear", density: None, seed: None, runs };
    let text = Card { combined: Some(one), ..card(&["mit"]) }.text(Made::Merged);
    assert!(text.contains("one change, multiplied by 0.5") && text.contains("24 rows"), "{text}");
}
