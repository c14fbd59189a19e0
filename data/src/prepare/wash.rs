//! What is done to each row on its own: normalised, scrubbed, judged.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use rtune_privacy::{
    Entity, Finding, Mode, NameFinder, NameFinderError, Replacement, ScanOptions, Scanner, Scope, Scrubbed,
    Scrubber,
};

use super::Tools;
use super::mask::Mask;
use crate::clean::normalise::{Changes, Collected, Collector, Normaliser, Part};
use crate::clean::quality::Filters;
use crate::error::DataError;
use crate::input::{Reader, Source};
use crate::options::{NamesBy, PrepareOptions, PrivacyMode, PrivacyOptions, PrivacyScope};
use crate::record::{OpenedCalls, Record, hex};
use crate::report::{Shown, Stage};

/// Rows that one thread scrubs at a time: a model of names takes them as one batch.
const SCRUBBED_ROWS: usize = 64;

/// What to do where a salt is missing or too short.
const SALT_HINT: &str = "put 16 random bytes or more into a file (`openssl rand -hex 16`), keep it secret, and name it in `data.privacy.salt-file`";

/// Everything that works on one row at a time.
pub(super) struct Wash {
    normaliser: Normaliser,
    /// None where nothing is looked for.
    scrubber: Option<Scrubber>,
    mode: PrivacyMode,
    filters: Filters,
    mask: Mask,
}

/// Whether another example of what a stage does is to be shown.
type Wanted<'a> = &'a (dyn Fn(Stage, &str) -> bool + Sync);

/// A row, and what was done to it.
pub(super) struct Washed {
    pub(super) record: Record,
    /// The same with tags in place of stand-ins, where it has any.
    pub(super) tagged: Option<Record>,
    /// Whether its id is the hash of what it said when it was read.
    id_is_hash: bool,
    /// The steps that changed it.
    pub(super) changed: Vec<(Stage, &'static str)>,
    /// Examples without their places.
    pub(super) shown: Vec<(Stage, Shown)>,
    pub(super) findings: BTreeMap<Entity, usize>,
    /// The filters that would drop it, each alone.
    pub(super) rules: Vec<&'static str>,
    pub(super) dropped: Option<(Stage, String, String)>,
}

impl Wash {
    /// Reads what the options name; `sets` are gone through once where a step learns from all rows first.
    pub(super) fn new(
        options: &PrepareOptions,
        tools: &Tools<'_>,
        sets: &[&[Source]],
    ) -> Result<Self, DataError> {
        let collected = match options.normalise.needs_first_pass() {
            true => learn(options, sets)?,
            false => Collected::default(),
        };
        let scanner = Scanner::new(&ScanOptions { names: true, ..ScanOptions::default() });
        let scanner = scanner.map_err(|error| privacy(&error, None))?;
        Ok(Self {
            normaliser: Normaliser::new(&options.normalise, collected)?,
            scrubber: scrubber(&options.privacy, tools.names)?,
            mode: options.privacy.mode,
            filters: Filters::new(&options.filters)?,
            mask: Mask::new(scanner).map_err(|error| privacy(&error, None))?,
        })
    }

    /// Washes rows on all threads; their order stays.
    pub(super) fn batch(&self, records: Vec<Record>, wanted: Wanted<'_>) -> Result<Vec<Washed>, DataError> {
        let found = |error| privacy(&error, None);
        let washed = records.into_par_iter().map(|record| self.normalise(record, wanted));
        let mut washed: Vec<Washed> = washed.collect::<Result<_, _>>().map_err(found)?;
        self.scrub(&mut washed)?;
        washed.par_iter_mut().try_for_each(|row| self.judge(row, wanted)).map_err(found)?;
        Ok(washed)
    }

    fn normalise(&self, mut record: Record, wanted: Wanted<'_>) -> Result<Washed, NameFinderError> {
        let id_is_hash = self.scrubber.is_some() && record.id == hex(&record.content_hash());
        let mut changes = Changes::new();
        let mut texts: Vec<String> = Vec::new();
        for message in &mut record.messages {
            let changed = self.normaliser.apply(Part::of(message), &message.content, &mut changes);
            texts.push(match changed {
                Cow::Owned(text) => std::mem::replace(&mut message.content, text),
                Cow::Borrowed(_) => String::new(),
            });
        }
        let mut row = Washed {
            record,
            tagged: None,
            id_is_hash,
            changed: Vec::new(),
            shown: Vec::new(),
            findings: BTreeMap::new(),
            rules: Vec::new(),
            dropped: None,
        };
        row.changed.extend(changes.steps.keys().map(|step| (Stage::Normalise, step.name())));
        let shown = changes.steps.into_iter().filter_map(|(step, made)| {
            let example = made.examples.into_iter().next()?;
            wanted(Stage::Normalise, step.name()).then_some((step, example))
        });
        let shown: Vec<_> = shown.collect();
        if shown.is_empty() {
            return Ok(row);
        }
        // What is personal may show itself before the change only, or after it.
        texts.extend(row.record.messages.iter().map(|message| message.content.clone()));
        let hidden = self.mask.hidden(&texts, self.scrubber.as_ref())?;
        row.shown.extend(shown.into_iter().map(|(step, example)| {
            let (before, after) = (hidden.masked(&example.before), Some(hidden.masked(&example.after)));
            (Stage::Normalise, Shown { what: step.name().to_owned(), place: String::new(), before, after })
        }));
        Ok(row)
    }

    fn scrub(&self, washed: &mut [Washed]) -> Result<(), DataError> {
        let Some(scrubber) = &self.scrubber else { return Ok(()) };
        let report = self.mode == PrivacyMode::Report;
        let opened: Vec<OpenedCalls> = washed.iter_mut().map(|row| row.record.open_calls()).collect();
        let take = |row: &mut Washed| row.record.texts_mut().into_iter().map(std::mem::take).collect();
        let mut taken: Vec<Vec<String>> = washed.iter_mut().map(take).collect();
        let scrubbed: Result<Vec<Vec<Scrubbed>>, _> = taken
            .par_chunks_mut(SCRUBBED_ROWS)
            .map(|rows| match report {
                true => rows.iter().map(|texts| scrubber.find(texts).map(counted)).collect(),
                false => scrubber.scrub_batch(rows),
            })
            .collect();
        let scrubbed = scrubbed.map_err(|error| privacy(&error, None))?.into_iter().flatten();
        for (((row, texts), scrubbed), opened) in washed.iter_mut().zip(taken).zip(scrubbed).zip(&opened) {
            row.tagged = scrubbed.tagged.map(|texts| {
                let mut record = row.record.clone();
                put_texts(&mut record, texts, opened);
                record
            });
            put_texts(&mut row.record, texts, opened);
            if scrubbed.replaced > 0 {
                row.changed.push((Stage::Privacy, self.mode.name()));
            }
            // Whoever knows a row but for a number tries numbers until the hash is that of the row as it was.
            if row.id_is_hash && scrubbed.drop {
                row.record.id = String::new();
            } else if row.id_is_hash && scrubbed.replaced > 0 {
                row.record.id = hex(&row.record.content_hash());
            }
            if scrubbed.drop {
                let kinds: Vec<&str> = scrubbed.counts.keys().map(|entity| entity.name()).collect();
                row.dropped = Some((Stage::Privacy, "personal-data".to_owned(), kinds.join(", ")));
            }
            row.findings = scrubbed.counts;
        }
        Ok(())
    }

    fn judge(&self, row: &mut Washed, wanted: Wanted<'_>) -> Result<(), NameFinderError> {
        let verdicts = self.filters.all(&row.record);
        row.rules = verdicts.iter().map(|verdict| verdict.rule.name()).collect();
        if let (None, Some(first)) = (&row.dropped, verdicts.into_iter().next()) {
            if wanted(Stage::Filters, first.rule.name()) {
                let texts: Vec<String> =
                    row.record.messages.iter().map(|message| message.content.clone()).collect();
                let hidden = self.mask.hidden(&texts, self.scrubber.as_ref())?;
                let before = hidden.masked(row.record.answer().unwrap_or_default());
                let what = first.rule.name().to_owned();
                row.shown.push((Stage::Filters, Shown { what, place: String::new(), before, after: None }));
            }
            row.dropped = Some((Stage::Filters, first.rule.name().to_owned(), first.detail));
        }
        Ok(())
    }
}

/// Puts the texts of a record whose calls are open back into it, and closes them.
fn put_texts(record: &mut Record, texts: Vec<String>, opened: &OpenedCalls) {
    record.texts_mut().into_iter().zip(texts).for_each(|(place, text)| *place = text);
    record.close_calls(opened);
}

/// Findings as they are counted where nothing is replaced.
fn counted(findings: Vec<Vec<Finding>>) -> Scrubbed {
    let mut scrubbed = Scrubbed::default();
    for finding in findings.iter().flatten() {
        *scrubbed.counts.entry(finding.entity).or_default() += 1;
    }
    scrubbed
}

/// The first pass of the steps that learn from all rows.
fn learn(options: &PrepareOptions, sets: &[&[Source]]) -> Result<Collected, DataError> {
    let mut collector = Collector::new(&options.normalise)?;
    for sources in sets.iter().filter(|sources| !sources.is_empty()) {
        let mut reader = Reader::open(sources)?;
        while let Some(row) = reader.next()? {
            if let Ok((record, _)) = row.record {
                let texts =
                    record.messages.iter().map(|message| (Part::of(message), message.content.as_str()));
                collector.push(texts);
            }
        }
    }
    Ok(collector.finish())
}

/// What finds and replaces personal data as `options` say, `names` beside the rules where they ask for a model; none where nothing is looked
/// for. With [`PrivacyMode::Report`] it replaces by tags: whoever only counts has to look, and not to scrub.
///
/// # Errors
/// [`DataError::Privacy`] for settings that contradict one another, [`DataError::NoNameFinder`], [`DataError::Unreadable`] for the salt.
pub fn scrubber(
    options: &PrivacyOptions,
    names: Option<&Arc<dyn NameFinder>>,
) -> Result<Option<Scrubber>, DataError> {
    let mode = match options.mode {
        PrivacyMode::Off => return Ok(None),
        // Nothing is replaced: the findings are counted.
        PrivacyMode::Report | PrivacyMode::Tag => Mode::Tag,
        PrivacyMode::Numbered => Mode::Numbered,
        PrivacyMode::Surrogate => Mode::Surrogate,
        PrivacyMode::Hash => Mode::Hash,
        PrivacyMode::Mask => Mode::Mask,
        PrivacyMode::DropRow => Mode::DropRow,
    };
    let scope = match options.scope {
        PrivacyScope::Record => Scope::Record,
        PrivacyScope::Set => Scope::Set,
    };
    let salt = options.salt_file.as_deref().map(read_salt).transpose()?;
    let scanner = Scanner::new(&options.scan_options()).map_err(|error| privacy(&error, None))?;
    let finder = match (&options.names, names) {
        (NamesBy::Model(model), None) => return Err(DataError::NoNameFinder { model: model.clone() }),
        (NamesBy::Model(_), Some(finder)) => Some(finder.clone()),
        _ => None,
    };
    let replacement = Replacement { mode, scope, salt };
    let scrubber = Scrubber::new(&replacement, scanner, finder);
    Ok(Some(scrubber.map_err(|error| privacy(&error, Some(SALT_HINT)))?))
}

fn read_salt(path: &Path) -> Result<String, DataError> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|source| DataError::Unreadable { path: path.to_owned(), source })?;
    Ok(text.trim().to_owned())
}

fn privacy(error: &dyn std::error::Error, hint: Option<&'static str>) -> DataError {
    DataError::Privacy { reason: error.to_string(), hint }
}
