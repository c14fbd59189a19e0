//! `rtune check`: what would be trained on.

use rtune_data::{Prepared, SetReport, Statistics, marked};
use rtune_trainer::config::Config;
use rtune_trainer::error::TrainerError;
use rtune_trainer::inputs::Inputs;

use crate::args::CheckArgs;
use crate::commands::{next, resolve_base};
use crate::failure::DONE;
use crate::reporter::say;

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<u8> {
    let config = Config::load(&args.config, &args.overrides)?;
    let inputs = Inputs::prepare(&config, &resolve_base(&config)?)?;
    if args.json {
        say(&serde_json::to_string_pretty(&inputs.prepared.report)?);
        return Ok(DONE);
    }
    for example in spread(&inputs.prepared, args.sample) {
        let text = marked(example, &inputs.base.tokenizer).map_err(TrainerError::from)?;
        let (tokens, supervised) = (example.tokens.len(), example.supervised_count());
        say(&format!("--- {} ({}): {tokens} tokens, {supervised} trained", example.origin, example.id));
        say(&text);
    }
    say("--- trained tokens stand between « and »");
    for line in summary(&inputs.prepared) {
        say(&line);
    }
    say(&next::after_check(&args.config, &args.overrides));
    Ok(DONE)
}

/// `count` training rows, evenly spread from the first to the last.
fn spread(prepared: &Prepared, count: usize) -> impl Iterator<Item = &rtune_data::Example> {
    let rows = &prepared.train;
    let count = count.min(rows.len());
    (0..count).map(move |index| &rows[index * (rows.len() - 1) / (count - 1).max(1)])
}

fn summary(prepared: &Prepared) -> Vec<String> {
    let report = &prepared.report;
    let mut lines = Vec::new();
    for file in &report.files {
        lines.push(format!(
            "{} ({}): {} rows, {} duplicates",
            file.path, file.role, file.rows, file.duplicates
        ));
        for (field, rows) in &file.unread_fields {
            lines.push(format!("  `{field}` of {rows} rows is read by nothing"));
        }
    }
    for (name, set) in [("train", &report.train), ("validation", &report.validation)] {
        lines.extend(set_lines(name, set));
    }
    let counted = [
        (report.conflicting_prompts, "prompts have more than one answer"),
        (report.held_out_prompts_trained, "held-out prompts are trained with another answer"),
        (report.over_long.rows.len(), "rows are longer than `data.max-tokens`"),
    ];
    lines.extend(
        counted.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")),
    );
    for row in &report.over_long.rows {
        let kept = row.kept_tokens.map_or("dropped".to_owned(), |kept| format!("cut to {kept}"));
        lines.push(format!("  {}:{} ({}): {} tokens, {kept}", row.file, row.line, row.id, row.tokens));
    }
    lines
}

fn set_lines(name: &str, set: &SetReport) -> Vec<String> {
    if set.examples == 0 {
        return vec![format!("{name}: no rows")];
    }
    let figures = |statistics: &Statistics| {
        let Statistics { min, median, p95, max, total } = statistics;
        format!("min {min}, median {median}, 95% {p95}, max {max}, total {total}")
    };
    let mut lines = vec![
        format!("{name}: {} rows, {} examples", set.rows, set.examples),
        format!("  tokens:  {}", figures(&set.tokens)),
        format!("  trained: {} ({:.1}% of all)", figures(&set.supervised), 100.0 * set.supervised_share),
    ];
    let counted = [
        (set.rows_split_by_answer, "rows gave one example an answer, because the template rewrites history"),
        (set.without_end_of_turn, "examples have an answer without an end-of-turn token"),
        (set.special_token_in_text, "examples hold a special token in their text"),
    ];
    lines.extend(
        counted.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("  {count} {what}")),
    );
    lines
}
