//! People's scores: read, held beside the metrics, shown.

use std::path::Path;

use rtune_trainer::evaluate::golden::GoldenReport;
use rtune_trainer::evaluate::people::{Believed, People, PersonsScore, beside_people};
use serde_json::{Map, Value};

use super::judge::JudgeReport;
use crate::failure::BadInput;
use crate::reporter::say;
use crate::table::{align_right, table};

/// The scores of a file, or none.
pub(super) fn read(file: Option<&Path>) -> anyhow::Result<Vec<PersonsScore>> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let named = |line: usize, problem: &str| {
        BadInput::new(format!("{}:{line}: {problem}", file.display()))
            .with_hint("a row is an `id`, a `score`, and if need be `model` (base or tuned) and `answer`")
    };
    let text = std::fs::read_to_string(file)
        .map_err(|error| BadInput::new(format!("{}: {error}", file.display())))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let is_table = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let rows = if is_table { rows_of(text) } else { objects(text) };
    let mut scores = Vec::new();
    for (line, row) in rows {
        let row = row.map_err(|problem| named(line, &problem))?;
        scores.push(score(&row).map_err(|problem| named(line, &problem))?);
    }
    if scores.is_empty() {
        return Err(named(1, "expected scores, found none").into());
    }
    Ok(scores)
}

type Row = (usize, Result<Map<String, Value>, String>);

fn objects(text: &str) -> Vec<Row> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let row = serde_json::from_str(line).map_err(|error| format!("expected a JSON object: {error}"));
            (index + 1, row)
        })
        .collect()
}

fn rows_of(text: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => return vec![(1, Err(error.to_string()))],
    };
    let row = |record: Result<csv::StringRecord, csv::Error>| match record {
        Ok(record) => {
            let line = record.position().map_or(1, |place| place.line() as usize);
            let fields = header.iter().zip(&record).filter(|(_, field)| !field.is_empty());
            (line, Ok(fields.map(|(name, field)| (name.trim().to_owned(), field.into())).collect()))
        }
        Err(error) => (error.position().map_or(1, |place| place.line() as usize), Err(error.to_string())),
    };
    reader.records().map(row).collect()
}

fn score(row: &Map<String, Value>) -> Result<PersonsScore, String> {
    let get = |name: &str| row.get(name).filter(|value| !value.is_null());
    let id = match get("id") {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => return Err("expected an `id`".to_owned()),
    };
    let found = get("score").or_else(|| get("human")).ok_or("expected a `score`")?;
    let number = match found {
        Value::String(text) => text.trim().parse::<f64>().ok(),
        other => other.as_f64(),
    };
    let score = number.filter(|score| score.is_finite());
    let score = score.ok_or_else(|| format!("expected `score` to be a number, found {found}"))?;
    let tuned = match get("model") {
        None => None,
        Some(model) if model == "base" => Some(false),
        Some(model) if model == "tuned" => Some(true),
        Some(other) => return Err(format!("expected `model` to be base or tuned, found {other}")),
    };
    let answer = match get("answer") {
        None => None,
        Some(Value::String(answer)) => Some(answer.clone()),
        Some(_) => return Err("expected `answer` to be a text".to_owned()),
    };
    Ok(PersonsScore { id, score, tuned, answer })
}

/// The metrics of the report and the judge, beside what people said.
pub(super) fn compare(
    report: &GoldenReport,
    scores: &[PersonsScore],
    judged: Option<&JudgeReport>,
) -> Option<People> {
    let judges: Vec<_> = judged.iter().map(|judged| (judged.name(), judged.scores())).collect();
    beside_people(report, scores, &judges)
}

/// For people; `with_judge` where a judge was asked.
pub(super) fn show(people: Option<&People>, with_judge: bool) {
    let Some(people) = people else {
        say(
            "none of these figures was held against people's scores: `human` in golden rows, or `--human FILE`",
        );
        if with_judge {
            say("a judge is a model, too: nothing here says that it judges as people do");
        }
        return;
    };
    let header = ["beside people", "Spearman", "interval", "Kendall", "interval", "answers", ""];
    let mut table = table(header);
    for Believed { metric, correlation, doubt } in &people.metrics {
        let mut row = vec![metric.clone()];
        match correlation {
            Some(found) => row.extend([
                format!("{:+.3}", found.spearman),
                interval(found.spearman_interval),
                format!("{:+.3}", found.kendall),
                interval(found.kendall_interval),
                found.pairs.to_string(),
            ]),
            None => row.extend(std::iter::repeat_n("-".to_owned(), 5)),
        }
        row.push(doubt.as_ref().map_or_else(String::new, |doubt| format!("not to be believed: {doubt}")));
        table.add_row(row);
    }
    align_right(&mut table, 1);
    if !people.metrics.is_empty() {
        say("");
        say(&table.to_string());
    }
    if people.unused > 0 {
        say(&format!(
            "{} of people's scores are of answers that are others now, or not there",
            people.unused
        ));
    }
}

fn interval([low, high]: [f64; 2]) -> String {
    format!("{low:+.3} to {high:+.3}")
}
