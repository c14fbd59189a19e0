//! The report as one HTML page: no script, no request, nothing beside the file itself.

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;

use super::{Bar, DataReport, SetReport};

const SOURCE: &str = include_str!("page.html");
const NAME: &str = "page.html";

/// Size of a histogram's drawing area, in SVG units.
const CHART_WIDTH: f64 = 560.0;
const CHART_HEIGHT: f64 = 120.0;

/// One bar as it is drawn.
#[derive(Serialize)]
struct Drawn {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    title: String,
}

#[derive(Serialize)]
struct Chart {
    title: String,
    bars: Vec<Drawn>,
    first: usize,
    last: usize,
    most: usize,
}

/// The page. A template that is wrong is a mistake of this file, which a test would show; the page then says so.
pub(super) fn render(report: &DataReport) -> String {
    let rendered = environment().and_then(|environment| {
        let rows_out = report.stages.last().map_or(0, |stage| stage.rows_out);
        let charts: Vec<Chart> = [("training", &report.train), ("validation", &report.validation)]
            .iter()
            .flat_map(charts)
            .collect();
        environment.get_template(NAME)?.render(context! {
            report => minijinja::Value::from(minijinja::value::Serde(report)),
            dropped => minijinja::Value::from(minijinja::value::Serde(&report.dropped())),
            rows_in => report.rows_in(),
            rows_out => rows_out,
            charts => minijinja::Value::from(minijinja::value::Serde(&charts)),
            width => CHART_WIDTH,
            height => CHART_HEIGHT,
        })
    });
    rendered.unwrap_or_else(|error| format!("<!doctype html><p>The page cannot be made: {error}</p>"))
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_filter("thousands", thousands);
    environment.add_filter("percent", |part: f64| format!("{:.1}%", 100.0 * part));
    environment.add_template(NAME, SOURCE)?;
    Ok(environment)
}

/// 1234567 as 1,234,567.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn charts((name, set): &(&str, &SetReport)) -> Vec<Chart> {
    let both = [("tokens", &set.token_histogram), ("trained tokens", &set.supervised_histogram)];
    let drawn = both.into_iter().filter(|(_, bars)| !bars.is_empty());
    drawn.map(|(what, bars)| chart(format!("{what} of a {name} example"), bars)).collect()
}

fn chart(title: String, bars: &[Bar]) -> Chart {
    let most = bars.iter().map(|bar| bar.rows).max().unwrap_or(0).max(1);
    let width = CHART_WIDTH / bars.len() as f64;
    let draw = |(index, bar): (usize, &Bar)| {
        let height = CHART_HEIGHT * bar.rows as f64 / most as f64;
        let title = match bar.to - bar.from {
            1 => format!("{}: {} examples", bar.from, bar.rows),
            _ => format!("{} to {}: {} examples", bar.from, bar.to - 1, bar.rows),
        };
        Drawn { x: index as f64 * width, y: CHART_HEIGHT - height, width: width * 0.9, height, title }
    };
    Chart {
        title,
        first: bars.first().map_or(0, |bar| bar.from),
        last: bars.last().map_or(0, |bar| bar.to - 1),
        bars: bars.iter().enumerate().map(draw).collect(),
        most,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let grouped: Vec<String> = [0, 999, 1000, 1_234_567].map(thousands).into();
        assert_eq!(grouped, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_highest_bar_fills_the_chart() {
        let bars = [Bar { from: 1, to: 2, rows: 5 }, Bar { from: 2, to: 3, rows: 10 }];
        let chart = chart("x".into(), &bars);
        assert_eq!(chart.bars[1].height, CHART_HEIGHT);
        assert_eq!(chart.bars[0].y, CHART_HEIGHT / 2.0);
        assert_eq!(chart.bars[0].title, "1: 5 examples");
    }
}
