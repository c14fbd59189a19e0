//! What a card says of a run: its data, what was found in them, how it was trained, what it came to, and on which machine.

use std::fmt::Write as _;

use serde_json::Value;

/// What a run wrote down of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Training {
    /// Files of rows.
    pub data: Vec<DataFile>,
    /// What was found in the rows and done about it, a sentence each.
    pub findings: Vec<String>,
    /// Settings by name.
    pub settings: Vec<(String, String)>,
    /// Measurements, those of the run's own held-out rows first.
    pub evaluations: Vec<Evaluation>,
    /// Whether there were more, of other weights than the card is of.
    pub left_out: bool,
    /// Whether the run held its base in fewer bits.
    pub quantized: bool,
    /// The device and the system.
    pub hardware: String,
}

/// A file of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct DataFile {
    /// Its name, without its place.
    pub name: String,
    /// `train`, `validation` or `golden`.
    pub role: String,
    /// Rows that were read.
    pub rows: usize,
    /// Its licence, as the configuration says.
    pub licence: Option<String>,
    /// Its hash, with the name of the function before it.
    pub hash: String,
}

/// What a model came to on some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// A name for the rows.
    pub on: String,
    /// How many.
    pub rows: usize,
    /// What was measured beside the tuned model: `base`, or `start` where adapters began with something.
    pub before: &'static str,
    /// Figures.
    pub figures: Vec<Figure>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The hub's word for the metric, such as `exact_match`.
    pub metric: String,
    /// Of the base or the start, where it was measured.
    pub base: Option<f64>,
    /// Of the tuned model.
    pub tuned: f64,
}

impl Training {
    /// The key `model-index` of the front matter, by which the hub shows results; nothing without any.
    pub(super) fn index(&self, name: &str, text: &mut String) {
        if self.evaluations.is_empty() {
            return;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "model-index:\n- name: {}\n  results:", quoted(name));
        for Evaluation { on, figures, .. } in &self.evaluations {
            let (shown, kind) = (quoted(on), quoted(&slug(on)));
            let _ = write!(
                text,
                "  - task:\n      type: text-generation\n    dataset:\n      name: {shown}\n      type: {kind}\n    metrics:\n"
            );
            for Figure { metric, tuned, .. } in figures {
                let _ = writeln!(text, "    - type: {metric}\n      value: {}", number(*tuned));
            }
        }
    }

    /// Leaves out what was measured, which is of other weights.
    pub(super) fn leave_out(&mut self) {
        self.left_out |= !self.evaluations.is_empty();
        self.evaluations.clear();
    }

    /// The sections on how it came about, under headings of a depth.
    pub(super) fn came_about(&self, text: &mut String, depth: &str) {
        let _ = write!(text, "\n{depth} Data\n\n");
        *text += "| file | for | rows | licence | hash |\n| --- | --- | --- | --- | --- |\n";
        for DataFile { name, role, rows, licence, hash } in &self.data {
            let licence = licence.as_deref().unwrap_or("not said");
            let _ = writeln!(text, "| {} | {role} | {rows} | {} | `{hash}` |", cell(name), cell(licence));
        }
        *text += "\n";
        self.findings.iter().for_each(|finding| *text += &format!("- {finding}\n"));
        let _ = write!(text, "\n{depth} Training\n\n");
        *text += "| setting | value |\n| --- | --- |\n";
        for (name, value) in &self.settings {
            let _ = writeln!(text, "| {} | {} |", cell(name), cell(value));
        }
        let _ = writeln!(text, "\nTrained on {}.", self.hardware);
    }

    /// The sections of the page.
    pub(super) fn sections(&self, text: &mut String) {
        self.came_about(text, "##");
        *text += "\n## Evaluation\n\n";
        if self.evaluations.is_empty() {
            *text += match self.left_out {
                true => "What was measured was measured on other weights than these, and is left out.\n",
                false => {
                    "Nothing was held out and no golden rows were asked: what it is worth was not measured.\n"
                }
            };
        }
        for Evaluation { on, rows, before, figures } in &self.evaluations {
            let _ = writeln!(
                text,
                "{}, {rows} rows:\n\n| metric | {before} | tuned |\n| --- | --- | --- |",
                cell(on)
            );
            for Figure { metric, base, tuned } in figures {
                let base = base.map_or_else(|| "-".to_owned(), number);
                let _ = writeln!(text, "| {metric} | {base} | {} |", number(*tuned));
            }
            *text += "\n";
        }
    }
}

/// A figure to four places, as JSON and YAML have numbers.
fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short.is_empty() || short == "-0" { "0".to_owned() } else { short.to_owned() }
}

/// A string as JSON and YAML have it.
fn quoted(text: &str) -> Value {
    Value::from(text)
}

/// The hub wants a kind of small letters for a data set.
fn slug(text: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    text.chars().map(letter).collect::<String>().trim_matches('-').to_owned()
}

/// Text that ends no cell and no line of a table.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_texts_stay_in_their_cells() {
        let found = [0.8125, 6.1, 20.0, -0.000_01, 1e6].map(number);
        assert_eq!(found, ["0.8125", "6.1", "20", "0", "1000000"]);
        assert_eq!(cell("a|b\nc"), "a\\|b c");
        assert_eq!(slug("Golden rows.jsonl"), "golden-rows-jsonl");
    }
}
