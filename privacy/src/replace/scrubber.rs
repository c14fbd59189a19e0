//! Finding and replacing joined: a record's texts in, clean ones out.

use std::collections::BTreeSet;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem;

use super::{Mode, Replacement, ReplacementError, Replacer, Scrubbed, placeholder};
use crate::entity::Entity;
use crate::finding::Finding;
use crate::names::{NameFinder, NameFinderError, Names};
use crate::scanner::Scanner;
use crate::scanner::conflicts::{settle, settle_each_entity};
use crate::scanner::text::is_free;

/// What is replaced can make what stood beside it look like a name or a number. So many rounds at most are looked again, with
/// rules only, until nothing is found.
const ROUNDS: usize = 4;

/// Shorter texts are repeated by chance.
const REPEATED_CHARACTERS: usize = 5;

/// Finds what is personal in the texts of a record, by rules and a finder of names, and replaces it.
pub struct Scrubber {
    replacer: Replacer,
    scanner: Scanner,
    names: Option<Names>,
    finder: Option<Arc<dyn NameFinder>>,
}

impl Scrubber {
    /// With the entities, threshold and allowed texts of `scanner`; they hold for what `finder` finds too. Names are found by rules
    /// if the scanner's options say so.
    ///
    /// # Errors
    /// [`ReplacementError`] where a salt is wanted and missing, or too short.
    pub fn new(
        replacement: &Replacement,
        scanner: Scanner,
        finder: Option<Arc<dyn NameFinder>>,
    ) -> Result<Self, ReplacementError> {
        let by_rules = scanner.options().names && scanner.wants(Entity::Person);
        let names = by_rules.then(Names::new);
        Ok(Self { replacer: Replacer::new(replacement)?, scanner, names, finder })
    }

    /// Scrubs the texts of one record.
    ///
    /// # Errors
    /// [`NameFinderError`] where the finder of names fails; the texts are as they were.
    pub fn scrub(&self, texts: &mut [String]) -> Result<Scrubbed, NameFinderError> {
        let found = self.find(texts)?;
        Ok(self.replace(texts, &found))
    }

    /// Scrubs several records; the finder of names sees the texts of all of them at once.
    ///
    /// # Errors
    /// [`NameFinderError`] where the finder of names fails; the texts are as they were.
    pub fn scrub_batch(&self, records: &mut [Vec<String>]) -> Result<Vec<Scrubbed>, NameFinderError> {
        let all: Vec<&str> = records.iter().flatten().map(String::as_str).collect();
        let mut found = self.ask_finder(&all)?.into_iter();
        let scrubbed = records.iter_mut().map(|texts| {
            let of_record: Vec<Vec<Finding>> = found.by_ref().take(texts.len()).collect();
            let findings = self.join(texts, of_record);
            self.replace(texts, &findings)
        });
        Ok(scrubbed.collect())
    }

    /// What is found in the texts of one record: for each text in order of place, without overlaps, at least as sure as the
    /// threshold.
    ///
    /// # Errors
    /// [`NameFinderError`] where the finder of names fails.
    pub fn find(&self, texts: &[String]) -> Result<Vec<Vec<Finding>>, NameFinderError> {
        let all: Vec<&str> = texts.iter().map(String::as_str).collect();
        let found = self.ask_finder(&all)?;
        Ok(self.join(texts, found))
    }

    /// One list for each text, empty without a finder.
    fn ask_finder(&self, texts: &[&str]) -> Result<Vec<Vec<Finding>>, NameFinderError> {
        let Some(finder) = self.finder.as_ref().filter(|_| !texts.is_empty()) else {
            return Ok(vec![Vec::new(); texts.len()]);
        };
        let found = finder.find(texts)?;
        if found.len() != texts.len() {
            let reason = format!("it answered for {} texts, {} were asked", found.len(), texts.len());
            return Err(NameFinderError { reason });
        }
        Ok(found)
    }

    /// Rules, names by rules and what the finder found, then each value again wherever it stands in the record.
    fn join(&self, texts: &[String], by_finder: Vec<Vec<Finding>>) -> Vec<Vec<Finding>> {
        let known: Vec<Vec<Finding>> =
            texts.iter().map(|text| without_placeholders(text, self.scanner.scan(text))).collect();
        let all: Vec<&str> = texts.iter().map(String::as_str).collect();
        let names = self.names.as_ref().map(|names| names.find(&all, &known)).unwrap_or_default();
        let mut joined = known;
        for found in [names, by_finder] {
            for ((text, findings), more) in texts.iter().zip(&mut joined).zip(found) {
                let more = without_placeholders(text, more).into_iter();
                findings.extend(more.filter(|finding| self.is_wanted(text, finding)));
            }
        }
        let settled = joined.into_iter().map(|findings| settle(settle_each_entity(findings))).collect();
        repeated(texts, settled)
    }

    fn is_wanted(&self, text: &str, finding: &Finding) -> bool {
        let sure = finding.score >= self.scanner.options().threshold;
        let held = text.get(finding.start..finding.end).is_some_and(|span| !span.is_empty());
        sure && held && self.scanner.wants(finding.entity) && !self.scanner.is_allowed(text, finding)
    }

    fn replace(&self, texts: &mut [String], findings: &[Vec<Finding>]) -> Scrubbed {
        let again = matches!(self.replacer.mode(), Mode::Tag | Mode::Numbered | Mode::Hash);
        let mut writer = self.replacer.writer(texts, findings);
        let mut scrubbed = self.replacer.replace_by(&mut writer, texts, findings);
        if !again || scrubbed.replaced == 0 {
            return scrubbed;
        }
        for _ in 1..ROUNDS {
            let findings = self.join(texts, vec![Vec::new(); texts.len()]);
            let more = self.replacer.replace_by(&mut writer, texts, &findings);
            if more.replaced == 0 {
                break;
            }
            scrubbed.replaced += more.replaced;
            for (entity, count) in more.counts {
                *scrubbed.counts.entry(entity).or_insert(0) += count;
            }
        }
        scrubbed
    }
}

/// Without what touches a placeholder: it has been replaced before.
fn without_placeholders(text: &str, mut findings: Vec<Finding>) -> Vec<Finding> {
    if findings.is_empty() {
        return findings;
    }
    let spans = placeholder::spans(text);
    findings.retain(|finding| {
        let at = spans.partition_point(|span| span.end <= finding.start);
        spans.get(at).is_none_or(|span| span.start >= finding.end)
    });
    findings
}

/// A value that was found once, by what stood around it, is found wherever it stands as a word of its own.
fn repeated(texts: &[String], mut findings: Vec<Vec<Finding>>) -> Vec<Vec<Finding>> {
    let values = texts.iter().zip(&findings).flat_map(|(text, findings)| {
        findings.iter().map(|finding| (&text[finding.start..finding.end], *finding))
    });
    let told = |(value, finding): &(&str, Finding)| {
        let long = value.chars().nth(REPEATED_CHARACTERS - 1).is_some();
        long && !matches!(
            finding.entity,
            Entity::DateTime | Entity::Location | Entity::Organization | Entity::PostalCode
        )
    };
    let mut seen = BTreeSet::new();
    let values: Vec<(&str, Finding)> = values.filter(told).filter(|(value, _)| seen.insert(*value)).collect();
    if values.is_empty() {
        return findings;
    }
    let Some(finder) = Values::new(values.iter().map(|(value, _)| *value).collect()) else { return findings };
    for (text, findings) in texts.iter().zip(&mut findings) {
        let mut again = Vec::new();
        finder.find(text, |value, start, end| {
            if is_free(text, start, end) {
                again.push(Finding { start, end, ..values[value].1 });
            }
        });
        let again: Vec<Finding> = without_placeholders(text, again);
        let before = findings.len();
        let free = |hit: &Finding| {
            let at = findings[..before].partition_point(|finding| finding.end <= hit.start);
            findings.get(at).is_none_or(|finding| finding.start >= hit.end)
        };
        let fresh: Vec<Finding> = again.into_iter().filter(free).collect();
        if !fresh.is_empty() {
            findings.extend(fresh);
            *findings = settle(std::mem::take(findings));
        }
    }
    findings
}

/// Looks for several values at once.
enum Values<'a> {
    /// Few: each by itself, which takes no building.
    Few(Vec<memmem::Finder<'a>>),
    Many(AhoCorasick),
}

impl<'a> Values<'a> {
    /// Building an automaton takes as long as some ten looks through a record.
    const FEW: usize = 12;

    fn new(values: Vec<&'a str>) -> Option<Self> {
        if values.len() <= Self::FEW {
            return Some(Self::Few(values.iter().map(|value| memmem::Finder::new(*value)).collect()));
        }
        AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&values).ok().map(Self::Many)
    }

    /// Calls `found` with the number of the value, its start and its end.
    fn find(&self, text: &str, mut found: impl FnMut(usize, usize, usize)) {
        match self {
            Self::Few(finders) => finders.iter().enumerate().for_each(|(value, finder)| {
                let length = finder.needle().len();
                finder.find_iter(text.as_bytes()).for_each(|start| found(value, start, start + length));
            }),
            Self::Many(automaton) => automaton
                .find_iter(text)
                .for_each(|hit| found(hit.pattern().as_usize(), hit.start(), hit.end())),
        }
    }
}
