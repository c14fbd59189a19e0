//! What metrics.jsonl says, as charts and as a table.

use rtune_metrics::likelihood::shown;
use serde::Serialize;

use super::Table;
use super::chart::{Axis, Series, lines};
use super::text::{number, sparkline};
use crate::config::Config;
use crate::evaluate::by_name::VALIDATION_LOSS;
use crate::metrics::Line;

/// Metrics of golden rows that are drawn, where they were measured; the one that chooses comes first.
const DRAWN: [&str; 5] = ["checks", "likeliest-label", "greedy-label", "chrf", "answer-nats"];
/// How many of them.
const MOST_DRAWN: usize = 4;

/// A chart, and what stands beside it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Drawn {
    pub(super) title: String,
    /// Of each line: what it is called, blocks from low to high for where no chart can be shown, its first and its last number.
    pub(super) lines: Vec<[String; 4]>,
    pub(super) svg: String,
}

pub(super) fn drawn(title: &str, across: &str, axis: Axis, series: &[Series]) -> Option<Drawn> {
    let svg = lines(title, across, axis, series);
    let said = series.iter().filter(|one| !one.points.is_empty()).map(|one| {
        let values: Vec<f64> = one.points.iter().map(|point| point.1).collect();
        let ends = [values[0], values[values.len() - 1]].map(number);
        let [first, last] = ends;
        [one.name.clone(), sparkline(&values), first, last]
    });
    (!svg.is_empty()).then(|| Drawn { title: title.to_owned(), lines: said.collect(), svg })
}

fn series(name: &str, lines: &[Line], marked: bool, of: impl Fn(&Line) -> Option<(u64, f64)>) -> Series {
    let points = lines.iter().filter_map(of).map(|(step, value)| (step as f64, value)).collect();
    Series { name: name.to_owned(), points, marked }
}

/// The charts of a run.
pub(super) fn charts(all: &[Line], config: &Config) -> Vec<Drawn> {
    let of_steps = |name: &str, of: fn(&crate::metrics::StepLine) -> Option<f64>| {
        series(name, all, false, |line| match line {
            Line::Step(line) => of(line).map(|value| (line.step, value)),
            _ => None,
        })
    };
    let validation = series("validation", all, true, |line| match line {
        Line::Evaluation(line) => Some((line.step, line.validation_loss_nats)),
        _ => None,
    });
    let general = |name: &str, of: fn(&crate::metrics::GeneralLine) -> f64| {
        series(name, all, true, |line| match line {
            Line::General(line) => Some((line.step, of(line))),
            _ => None,
        })
    };
    let last = all.iter().map(Line::step).max().unwrap_or(0) as f64;
    let step = |title: &str, series: &[Series]| drawn(title, "step", Axis::Steps(last), series);
    let mut charts = vec![step(
        "Loss, nats a token",
        &[of_steps("training", |line| Some(line.train_loss_nats)), validation],
    )];
    charts.extend(golden_metrics(all, config).iter().map(|name| {
        let one = series(name, all, true, |line| match line {
            Line::Golden(line) => line.golden.get(name).map(|value| (line.step, *value)),
            _ => None,
        });
        step(&format!("Golden rows: {name}"), &[one])
    }));
    charts
        .push(step("General skills: loss, nats a token", &[general("loss", |line| line.general_loss_nats)]));
    charts
        .push(step("General skills: share of right answers", &[general("right", |line| line.general_right)]));
    charts.push(step("Learning rate", &[of_steps("learning rate", |line| Some(line.lr))]));
    charts.push(step("Length of the gradient", &[of_steps("gradient", |line| Some(line.grad_norm))]));
    charts.push(step("Tokens a second", &[of_steps("tokens a second", |line| Some(line.tokens_per_second))]));
    let mebibytes = |line: &crate::metrics::StepLine| {
        line.peak_memory_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20))
    };
    charts.push(step("Most memory so far, MiB", &[of_steps("memory", mebibytes)]));
    charts.into_iter().flatten().collect()
}

fn golden_metrics(all: &[Line], config: &Config) -> Vec<String> {
    let measured = all.iter().find_map(|line| match line {
        Line::Golden(line) => Some(&line.golden),
        _ => None,
    });
    let mut names = vec![config.eval.best.clone()];
    names.extend(DRAWN.map(str::to_owned));
    names.retain(|name| measured.is_some_and(|golden| golden.contains_key(name)));
    let mut once: Vec<String> = Vec::new();
    names.into_iter().for_each(|name| {
        if !once.contains(&name) {
            once.push(name);
        }
    });
    once.truncate(MOST_DRAWN);
    once
}

/// A row for every evaluation. Of long runs the first, the last and the best stand there, and others between.
pub(super) fn evaluations(all: &[Line], config: &Config, best: Option<u64>) -> Table {
    /// More rows than this are not read.
    const MOST_ROWS: usize = 40;
    let metric = &config.eval.best;
    let by_golden = metric != VALIDATION_LOSS;
    let mut header =
        vec!["step", "validation loss", "perplexity", "token accuracy", "general loss", "general right"];
    if by_golden {
        header.push(metric);
    }
    let mut table = Table::new(&header);
    let measured = |line: &&Line| matches!(line, Line::Evaluation(_) | Line::General(_) | Line::Golden(_));
    let mut steps: Vec<u64> = all.iter().filter(measured).map(Line::step).collect();
    steps.dedup();
    let every = steps.len().div_ceil(MOST_ROWS).max(1);
    let last = steps.last().copied();
    for (index, &step) in steps.iter().enumerate() {
        if index % every != 0 && Some(step) != last && Some(step) != best {
            continue;
        }
        let mut row = vec![String::new(); header.len()];
        row[0] = if Some(step) == best { format!("{step} (best)") } else { step.to_string() };
        for line in all.iter().filter(|line| line.step() == step) {
            match line {
                Line::Evaluation(line) => {
                    row[1] = format!("{:.4}", line.validation_loss_nats);
                    row[2] = shown(line.perplexity, 3);
                    row[3] = percent(line.token_accuracy);
                }
                Line::General(line) => {
                    row[4] = format!("{:.4}", line.general_loss_nats);
                    row[5] = percent(line.general_right);
                }
                Line::Golden(line) if by_golden => {
                    row[6] = line.golden.get(metric).map_or_else(String::new, |value| number(*value));
                }
                _ => {}
            }
        }
        table.rows.push(row);
    }
    table
}

pub(super) fn percent(part: f64) -> String {
    format!("{:.1}%", 100.0 * part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{EvaluationLine, OddLine};

    #[test]
    fn a_step_that_was_left_out_is_no_evaluation() {
        let text = "[model]\nbase='m'\n[data]\ntrain='t'\nvalidation=0.1\n[output]\ndir='r'\n";
        let config = Config::parse("c.toml", text, &[]).expect("valid");
        let evaluation = |step| {
            let (validation_loss_nats, perplexity, token_accuracy) = (0.5, 1.5, 0.25);
            Line::Evaluation(EvaluationLine { step, validation_loss_nats, perplexity, token_accuracy })
        };
        let [odd, action] = ["the loss jumped", "left out"].map(str::to_owned);
        let odd = Line::Odd(OddLine { step: 3, odd, tensor: None, action, rows: vec!["a".to_owned()] });
        let table = evaluations(&[evaluation(0), odd, evaluation(4)], &config, Some(4));
        let steps: Vec<&str> = table.rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(steps, ["0", "4 (best)"]);
        assert!(table.rows.iter().all(|row| row[1] == "0.5000"), "{:?}", table.rows);
    }
}
