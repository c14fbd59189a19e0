//! What is in the data: counts, forms, lengths, and which rows become golden ones.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rtune_data::{Format, Record, read_files, shuffle, stream};
use rtune_models::hub::{self, HubError, HubOptions};
use rtune_trainer::config::Config;
use rtune_trainer::error::TrainerError;
use rtune_trainer::inputs::{Inputs, Preparation};
use serde_json::{Map, Value};

/// One golden row for so many others,
const ROWS_PER_GOLDEN: usize = 20;
/// but at least so many, because fewer say nothing,
const LEAST_GOLDEN: usize = 4;
/// and at most so many, which a person still reads.
const MOST_GOLDEN: usize = 50;
/// Of fewer distinct rows none is spared.
const LEAST_ROWS_FOR_GOLDEN: usize = 20;

/// All rows, as read and as written.
pub(super) struct Look {
    pub(super) records: Vec<Record>,
    lines: Vec<String>,
    files: usize,
    conversations: usize,
    duplicates: usize,
}

/// Places in [`Look::records`], in order.
pub(super) struct Parts {
    pub(super) train: Vec<usize>,
    pub(super) golden: Vec<usize>,
    /// Rows that are in neither: they ask what a golden row asks.
    pub(super) beside_golden: usize,
}

/// Tokens of each row, counted with the base's own tokenizer and template.
pub(super) struct Lengths {
    pub(super) longest_tokens: usize,
    pub(super) total_tokens: usize,
    /// Where the longest stands.
    longest: String,
    /// Positions that the base was made for.
    pub(super) context_tokens: usize,
}

impl Look {
    /// Reads all files.
    ///
    /// # Errors
    /// Those of the rows, each with file and line.
    pub(super) fn at(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let files = read_files(paths).map_err(TrainerError::from)?;
        let mut look = Self {
            records: Vec::new(),
            lines: Vec::new(),
            files: files.len(),
            conversations: 0,
            duplicates: 0,
        };
        let mut seen = HashSet::new();
        for file in files {
            // Lines of JSONL stay as they are; a row of another format is written as JSONL.
            let is_jsonl = matches!(Format::of_name(&file.path), None | Some(Format::Jsonl));
            let text =
                if is_jsonl { std::fs::read_to_string(&file.path).ok() } else { None }.unwrap_or_default();
            let text: Vec<&str> = text.strip_prefix('\u{feff}').unwrap_or(&text).lines().collect();
            for (record, extra) in file.rows.into_iter().zip(file.extra) {
                let place = usize::try_from(record.origin.line).ok().and_then(|line| line.checked_sub(1));
                let line = place.and_then(|place| text.get(place)).filter(|line| is_object(line));
                let line = line.map_or_else(|| written(&record, extra), |line| (*line).to_owned());
                look.conversations += usize::from(has_messages(&line));
                look.duplicates += usize::from(!seen.insert(record.content_hash()));
                look.lines.push(line);
                look.records.push(record);
            }
        }
        Ok(look)
    }

    /// What there is, for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let Self { records, files, conversations, duplicates, .. } = self;
        let single = records.len() - conversations;
        let mut lines = vec![format!(
            "{} rows in {files} {}: {single} of `instruction` and `output`, {conversations} of `messages`",
            records.len(),
            if *files == 1 { "file" } else { "files" }
        )];
        if *duplicates > 0 {
            lines.push(format!("{duplicates} rows equal an earlier one and will be left out of training"));
        }
        let conflicts = rtune_data::conflicts(records);
        if conflicts > 0 {
            lines.push(format!("{conflicts} prompts have more than one answer: is that meant?"));
        }
        lines
    }

    /// A line on lengths: tokens where they were counted, else characters.
    pub(super) fn longest(&self, lengths: Option<&Lengths>) -> String {
        if let Some(Lengths { longest_tokens, longest, total_tokens, .. }) = lengths {
            return format!("{total_tokens} tokens; the longest row has {longest_tokens}, at {longest}");
        }
        let longest = self.records.iter().max_by_key(|record| characters(record));
        let place = longest.map_or(String::new(), |record| {
            format!("the longest row has {} characters, at {}", characters(record), record.origin)
        });
        format!("{place}; the base is not on this machine yet, so tokens are estimated")
    }

    /// Bytes of the longest row: no byte-level tokenizer makes more tokens of it.
    pub(super) fn longest_bytes(&self) -> usize {
        let bytes = |record: &Record| record.messages.iter().map(|message| message.content.len()).sum();
        self.records.iter().map(bytes).max().unwrap_or(0)
    }

    /// Draws the golden rows, and takes what asks the same out of the rest.
    pub(super) fn parts(&self) -> Parts {
        let distinct = self.records.len() - self.duplicates;
        let wanted = match distinct < LEAST_ROWS_FOR_GOLDEN {
            true => 0,
            false => (distinct / ROWS_PER_GOLDEN).clamp(LEAST_GOLDEN, MOST_GOLDEN),
        };
        let mut order: Vec<usize> = (0..self.records.len()).collect();
        shuffle(&mut order, &mut stream(0, "init-golden", "", 0));
        let (mut golden, mut prompts) = (Vec::new(), HashSet::new());
        for index in order {
            if golden.len() < wanted && prompts.insert(self.records[index].prompt_hash()) {
                golden.push(index);
            }
        }
        golden.sort_unstable();
        let is_asked = |index: &usize| prompts.contains(&self.records[*index].prompt_hash());
        let (asked, train): (Vec<usize>, Vec<usize>) = (0..self.records.len()).partition(is_asked);
        Parts { beside_golden: asked.len() - golden.len(), train, golden }
    }

    /// The rows at `places`, as they stand in their files.
    pub(super) fn text(&self, places: &[usize]) -> String {
        places.iter().map(|&index| format!("{}\n", self.lines[index])).collect()
    }
}

fn is_object(line: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(line).is_ok()
}

/// A row and what stands beside it as a line of JSONL.
fn written(record: &Record, extra: Map<String, Value>) -> String {
    let mut row = record.to_json();
    if let Some(fields) = row.as_object_mut() {
        for (name, value) in extra {
            fields.entry(name).or_insert(value);
        }
    }
    row.to_string()
}

/// Whether a line that was read as a row has this form, and not the other.
fn has_messages(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|row| row.get("messages").is_some())
}

fn characters(record: &Record) -> usize {
    record.messages.iter().map(|message| message.content.chars().count()).sum()
}

/// Counts tokens if the base is on this machine; nothing is downloaded.
///
/// # Errors
/// A base that cannot be, and rows that its template refuses.
pub(super) fn token_lengths(data: &[PathBuf], base: &str) -> anyhow::Result<Option<Lengths>> {
    let options = HubOptions { offline: true, ..HubOptions::from_env() };
    let path = match hub::resolve(base, None, &options, &mut |_| {}) {
        Ok(path) => path,
        Err(HubError::Offline { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let paths: Vec<String> = data.iter().map(|path| super::text::quoted(&shown(path))).collect();
    let text = format!(
        "[model]\nbase = {}\n[data]\ntrain = [{}]\nvalidation = 0.0\nmax-tokens = 16777216\n[output]\ndir = \"run\"\n",
        super::text::quoted(base),
        paths.join(", ")
    );
    let inputs =
        Inputs::prepare(&Config::parse("rtune init", &text, &[])?, &path, &Preparation::default(), None)?;
    let rows = &inputs.prepared.train;
    let longest = (0..rows.len()).max_by_key(|row| rows.tokens(*row));
    let place = longest.map(|row| rows.get(row)).transpose().map_err(TrainerError::from)?;
    Ok(Some(Lengths {
        longest_tokens: rows.longest_tokens(),
        total_tokens: (0..rows.len()).map(|row| rows.tokens(row)).sum(),
        longest: place.map_or(String::new(), |row| row.origin.to_string()),
        context_tokens: inputs.base.config.max_position_embeddings,
    }))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
