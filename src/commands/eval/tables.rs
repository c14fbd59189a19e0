//! A golden set's figures, for people.

use comfy_table::Table;
use rtune_metrics::likelihood::shown;
use rtune_trainer::evaluate::extraction::Extraction;
use rtune_trainer::evaluate::golden::{Case, Echo, GoldenReport, Grounding, Likely, Side, Summary};
use rtune_trainer::evaluate::labels::{Classification, Judged};

use super::texts;
use crate::reporter::say;
use crate::table::{align_right, table};

/// Characters of an id that a table shows.
const SHOWN_ID: usize = 32;
/// Fields of an extraction that are named: the worst.
const SHOWN_FIELDS: usize = 8;

pub(super) fn show(report: &GoldenReport, answers: bool) {
    if answers {
        report.cases.iter().for_each(show_case);
    }
    if let Some(texts) = &report.texts {
        say(&texts::table(texts).to_string());
        say(&format!("{} texts, which ask nothing", texts.rows.len()));
        say("");
    }
    if report.cases.is_empty() {
        return;
    }
    say(&case_table(report).to_string());
    say("");
    say(&summary_table(report).to_string());
    if let Some(Echo { exact_match, chrf, rouge_l }) = report.echo {
        let exact = percent(exact_match);
        say(&format!(
            "repeating the question would come to chrF2 {chrf:.2}, ROUGE-L {rouge_l:.3}, exact match {exact}"
        ));
    }
    let signatures = &report.signatures;
    say(&format!(
        "{} cases; {}; {}; {}; {}; {}",
        report.cases.len(),
        signatures.chrf_signature,
        signatures.chrf_plus_plus_signature,
        signatures.bleu_signature,
        signatures.ter_signature,
        signatures.rouge_signature
    ));
    let last = report.tuned.as_ref().unwrap_or(&report.base);
    if let Some(extraction) = &last.extraction {
        show_fields(extraction);
    }
}

fn case_table(report: &GoldenReport) -> Table {
    let tuned = report.tuned.is_some();
    let header = ["case", "chrF base", "perplexity base", "exact base"];
    let header_tuned = ["case", "chrF base", "tuned", "perplexity base", "tuned", "exact base", "tuned"];
    let mut table = table(if tuned { header_tuned.to_vec() } else { header.to_vec() });
    for case in &report.cases {
        let sides: Vec<&Side> = std::iter::once(&case.base).chain(&case.tuned).collect();
        let mut row = vec![case.id.chars().take(SHOWN_ID).collect::<String>()];
        row.extend(sides.iter().map(|side| format!("{:.1}", side.chrf)));
        row.extend(sides.iter().map(|side| shown(side.perplexity, 3)));
        row.extend(sides.iter().map(|side| if side.exact_match { "yes" } else { "-" }.to_owned()));
        table.add_row(row);
    }
    align_right(&mut table, 1);
    table
}

/// Several models side by side, where cases were asked: each by its name, and once a base that they share.
pub(super) fn beside(reports: &[(String, &GoldenReport)]) -> Table {
    let mut columns: Vec<(String, &Summary)> = Vec::new();
    for (name, report) in reports {
        match &report.tuned {
            Some(tuned) => {
                if columns.iter().all(|(_, known)| **known != report.base) {
                    columns.push((format!("{name}: base"), &report.base));
                }
                columns.push((name.clone(), tuned));
            }
            None => columns.push((name.clone(), &report.base)),
        }
    }
    columns_table(&columns)
}

fn summary_table(report: &GoldenReport) -> Table {
    let base = ("base".to_owned(), &report.base);
    let tuned = report.tuned.iter().map(|tuned| ("tuned".to_owned(), tuned));
    columns_table(&std::iter::once(base).chain(tuned).collect::<Vec<_>>())
}

/// A row for each figure that one of the models has.
fn columns_table(columns: &[(String, &Summary)]) -> Table {
    let names = columns.iter().map(|(name, _)| name.as_str());
    let mut table = table(std::iter::once("").chain(names).collect::<Vec<_>>());
    for (name, value) in figures() {
        let values: Vec<Option<String>> = columns.iter().map(|(_, side)| value(side)).collect();
        if values.iter().any(Option::is_some) {
            let values = values.into_iter().map(Option::unwrap_or_default);
            table.add_row([name.to_owned()].into_iter().chain(values).collect::<Vec<String>>());
        }
    }
    align_right(&mut table, 1);
    table
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

type Figure = fn(&Summary) -> Option<String>;

fn figures() -> Vec<(&'static str, Figure)> {
    let mut all = texts();
    all.extend(contents());
    all.extend(likelihoods());
    all.push(("ended by itself", |s| Some(percent(s.ended))));
    all.push(("answer tokens", |s| Some(s.answer_tokens.to_string())));
    all
}

fn texts() -> Vec<(&'static str, Figure)> {
    vec![
        ("chrF2", |s| Some(format!("{:.2}", s.chrf))),
        ("chrF2++", |s| Some(format!("{:.2}", s.chrf_plus_plus))),
        ("BLEU", |s| Some(format!("{:.2}", s.bleu))),
        ("TER (less is better)", |s| Some(format!("{:.2}", s.ter))),
        ("ROUGE-1, -2, -L", |s| {
            Some(format!("{:.3} {:.3} {:.3}", s.rouge.rouge1, s.rouge.rouge2, s.rouge.rouge_l))
        }),
        ("BERTScore F1", |s| s.similarity.map(|one| format!("{:.3}", one.bert_score.f1))),
        ("relevancy (cosine with the question)", |s| s.similarity.map(|one| format!("{:.3}", one.relevancy))),
        ("exact match", |s| Some(percent(s.exact_match))),
        ("normalised match", |s| Some(percent(s.normalised_match))),
        ("greedy labels: accuracy, macro F1", |s| labels(s, |of| &of.greedy)),
        ("likeliest labels: accuracy, macro F1", |s| labels(s, |of| &of.scored)),
    ]
}

fn labels(summary: &Summary, way: fn(&Classification) -> &Judged) -> Option<String> {
    let report = &way(summary.classification.as_ref()?).report;
    Some(format!("{} {:.3}", percent(report.accuracy), report.macro_averages.f1))
}

fn contents() -> Vec<(&'static str, Figure)> {
    fn grounded(summary: &Summary, value: fn(&Grounding) -> f64) -> Option<String> {
        summary.groundedness.as_ref().map(|one| percent(value(one)))
    }
    vec![
        ("checks passed", |s| s.checks_passed.map(percent)),
        ("conversations completed", |s| s.conversations.as_ref()?.completed.map(percent)),
        ("facts of earlier turns known", |s| s.conversations.as_ref()?.retention.map(percent)),
        ("paraphrases answered alike", |s| s.stability.as_ref().map(|one| percent(one.same_answer))),
        ("paraphrases judged alike", |s| s.stability.as_ref().map(|one| percent(one.same_outcome))),
        ("typos and case: answered alike", |s| s.variants.as_ref().map(|one| percent(one.same_answer))),
        ("typos and case: judged alike", |s| s.variants.as_ref().map(|one| percent(one.same_outcome))),
        ("right as asked, with typos and case", |s| {
            s.variants.as_ref().map(|one| format!("{} {}", percent(one.right), percent(one.right_varied)))
        }),
        ("answers with unsupported claims", |s| grounded(s, |one| one.hallucination_rate)),
        ("claims without support", |s| grounded(s, |one| one.unsupported_rate)),
        ("tools called rightly", |s| {
            s.tool_calls.as_ref().filter(|one| one.cases > 0).map(|one| percent(one.right))
        }),
        ("the right tools called", |s| {
            s.tool_calls.as_ref().filter(|one| one.cases > 0).map(|one| percent(one.tools_right))
        }),
        ("tools called needlessly", |s| s.tool_calls.as_ref()?.needless.map(percent)),
        ("valid JSON", |s| s.extraction.as_ref().map(|one| percent(one.valid))),
        ("fits the schema", |s| s.extraction.as_ref()?.fits_schema.map(percent)),
        ("all fields right", |s| s.extraction.as_ref()?.all_right.map(percent)),
        ("field F1", |s| s.extraction.as_ref()?.fields.map(|fields| format!("{:.3}", fields.f1))),
    ]
}

fn likelihoods() -> Vec<(&'static str, Figure)> {
    fn three(likely: &Likely) -> String {
        let Likely { token_perplexity, word_perplexity, byte_perplexity, .. } = likely;
        let [token, byte] = [*token_perplexity, *byte_perplexity].map(|one| shown(one, 3));
        format!("{token} {} {byte}", shown(*word_perplexity, 2))
    }
    vec![
        ("answer perplexity a token, word, byte", |s| Some(three(&s.answers))),
        ("answer tokens that were likeliest", |s| Some(percent(s.answers.token_accuracy))),
        ("perplexity with prompts", |s| s.all_tokens.as_ref().map(three)),
        ("likeliest tokens with prompts", |s| s.all_tokens.map(|all| percent(all.token_accuracy))),
    ]
}

fn show_fields(extraction: &Extraction) {
    let mut fields: Vec<_> = extraction.by_field.iter().collect();
    fields.sort_by(|(_, one), (_, other)| one.f1.total_cmp(&other.f1));
    let named: Vec<String> = fields
        .iter()
        .take(SHOWN_FIELDS)
        .map(|(path, field)| {
            let counts = field.counts;
            let path = if path.is_empty() { "the whole answer" } else { path.as_str() };
            format!(
                "{path} {:.3} ({} of {} right, {} found)",
                field.f1, counts.right, counts.expected, counts.found
            )
        })
        .collect();
    if !named.is_empty() {
        say(&format!("F1 of fields, the worst first: {}", named.join("; ")));
    }
}

/// A case with its texts.
fn show_case(case: &Case) {
    say(&format!("=== {} ({}:{})", case.id, case.file, case.line));
    for message in &case.prompt {
        say(&format!("{}: {}", message.role, message.content));
    }
    for expected in &case.expected {
        say(&format!("--- expected\n{expected}"));
    }
    let side = |name: &str, side: &Side| {
        for (turn, number) in side.turns.iter().zip(1..).take(side.turns.len().saturating_sub(1)) {
            say(&format!("--- {name}, turn {number}\n{}", turn.answer));
        }
        say(&format!("--- {name}\n{}", side.answer));
        for reason in &side.failed_checks {
            say(&format!("check failed: {reason}"));
        }
        for part in side.grounded.iter().flat_map(|grounded| &grounded.unsupported) {
            say(&format!("no source supports: {}", part.text));
        }
    };
    side("base", &case.base);
    if let Some(tuned) = &case.tuned {
        side("tuned", tuned);
    }
    for variant in &case.variants {
        say(&format!("--- asked as: {}", variant.asked));
        for (name, side) in [("base", Some(&variant.base)), ("tuned", variant.tuned.as_ref())] {
            let Some(side) = side else { continue };
            let same = if side.same { "the same" } else { "another answer" };
            say(&format!("--- {name}, {same}\n{}", side.answer));
        }
    }
}
