//! A run as one page: curves, data, golden rows with what changed, verdicts, configuration, machine.
//!
//! The page is made of the files of the run folder alone and needs nothing but itself: no script, no request, no font.
//! Texts of rows and answers are data of anyone, and nothing in them is taken for markup.

mod cases;
mod chart;
mod curves;
mod golden;
mod read;
mod text;

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;

use crate::error::TrainerError;
use read::Page;

const HTML: (&str, &str) = ("page.html", include_str!("page.html"));
const MARKDOWN: (&str, &str) = ("page.md", include_str!("page.md"));

/// What a report is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One HTML page that opens offline and prints.
    Html,
    /// Markdown, for a pull request.
    Markdown,
}

/// A table of texts; the first column is a name, the others are numbers.
#[derive(Clone, Debug, Default, Serialize)]
struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }
}

/// The report of the run in the folder `run`.
///
/// # Errors
/// [`TrainerError::NotARun`] for another folder, those of files that cannot be read or are not what a run writes.
pub fn report(run: &Path, format: Format) -> Result<String, TrainerError> {
    let page = Page::read(run)?;
    let (name, source) = match format {
        Format::Html => HTML,
        Format::Markdown => MARKDOWN,
    };
    // A template that is wrong is a mistake of this folder, which a test would show.
    rendered(name, source, &page)
        .map_err(|error| TrainerError::Unreadable { file: name.into(), problem: error.to_string() })
}

fn rendered(name: &'static str, source: &'static str, page: &Page) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|name| match name.ends_with(".html") {
        true => AutoEscape::Html,
        false => AutoEscape::None,
    });
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_filter("visible", |shown: String| text::visible(&shown));
    environment.add_filter("plain", |shown: String| text::plain_markdown(&shown));
    environment.add_filter("fenced", |shown: String| text::fenced(&shown));
    environment.add_template(name, source)?;
    environment
        .get_template(name)?
        .render(context! { page => minijinja::Value::from(minijinja::value::Serde(page)) })
}
