//! A data report in the lines that a person reads first.

use rtune_data::{DataReport, SetReport, StageReport, Statistics};

/// Kinds of personal data that are named; the report has all.
const MOST_KINDS: usize = 8;

pub(super) fn lines(report: &DataReport) -> Vec<String> {
    let mut lines = Vec::new();
    for file in &report.files {
        let weight = if file.weight == 1.0 { String::new() } else { format!(", weight {}", file.weight) };
        let licence = file.licence.as_ref().map_or(String::new(), |licence| format!(", {licence}"));
        lines.push(format!("{} ({}): {} rows{weight}{licence}", file.path, file.role, file.rows));
        for (field, rows) in &file.unread_fields {
            lines.push(format!("  `{field}` of {rows} rows is read by nothing"));
        }
    }
    lines.extend(report.stages.iter().filter_map(stage_line));
    if !report.filters.is_empty() {
        let each = report.filters.iter().map(|(rule, rows)| format!("{rule} {rows}"));
        lines.push(format!("each filter alone would drop: {}", each.collect::<Vec<_>>().join(", ")));
    }
    lines.extend(privacy_line(report));
    for (name, set) in [("train", &report.train), ("validation", &report.validation)] {
        lines.extend(set_lines(name, set));
    }
    let duplicates = &report.duplicates;
    let counted = [
        (duplicates.exact, "rows equal an earlier one"),
        (duplicates.near, "rows resemble one that stays"),
        (duplicates.conflicting_prompts, "prompts have more than one answer"),
        (report.leaks.held_out_rows, "held-out rows are trained on"),
        (
            report.leaks.split(),
            "validation rows ask what training rows ask: too many are alike to be kept together",
        ),
        (report.over_long.total, "rows are longer than `data.max-tokens`"),
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

/// A stage that did something.
fn stage_line(stage: &StageReport) -> Option<String> {
    if stage.changed.is_empty() && stage.dropped.is_empty() {
        return None;
    }
    let list = |counts: &std::collections::BTreeMap<String, usize>| {
        counts.iter().map(|(what, rows)| format!("{what} {rows}")).collect::<Vec<_>>().join(", ")
    };
    let mut parts = vec![format!("{}: {} rows in, {} out", stage.stage, stage.rows_in, stage.rows_out)];
    if !stage.changed.is_empty() {
        parts.push(format!("changed: {}", list(&stage.changed)));
    }
    if !stage.dropped.is_empty() {
        parts.push(format!("dropped: {}", list(&stage.dropped)));
    }
    Some(parts.join("; "))
}

fn privacy_line(report: &DataReport) -> Option<String> {
    let privacy = &report.privacy;
    if privacy.entities.is_empty() {
        return None;
    }
    let mut kinds: Vec<(&String, &usize)> = privacy.entities.iter().collect();
    kinds.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
    let more = kinds.len().saturating_sub(MOST_KINDS);
    let mut named: Vec<String> =
        kinds.iter().take(MOST_KINDS).map(|(kind, count)| format!("{kind} {count}")).collect();
    if more > 0 {
        named.push(format!("{more} kinds more"));
    }
    let done = match privacy.mode.as_str() {
        "report" => "stays: `data.privacy.mode` says what becomes of it",
        mode => mode,
    };
    Some(format!("personal data in {} rows ({done}): {}", privacy.rows, named.join(", ")))
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
