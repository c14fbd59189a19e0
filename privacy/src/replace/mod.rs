//! What is put in place of what was found, in all texts of a record at once.
//!
//! The map from values to what replaces them lives as long as the record is worked on and is written nowhere.

mod draw;
mod mask;
mod placeholder;
mod scrubber;
mod standin;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use crate::entity::Entity;
use crate::finding::Finding;
use draw::Key;
pub use scrubber::Scrubber;
use standin::StandIns;

/// A salt that is shorter can be found by trying: 16 bytes are 128 bits, if they were drawn.
const LEAST_SALT_BYTES: usize = 16;

/// How a finding is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By its kind: `<EMAIL_ADDRESS>`.
    Tag,
    /// By its kind and a number, the same for the same value through a record: `[EMAIL_1]`.
    Numbered,
    /// By a made-up value of the same kind and form. Keys, tokens and passwords get a tag. A second scrub finds stand-ins such as
    /// names and e-mail addresses again and replaces them by others; numbers with a check digit are not found again.
    Surrogate,
    /// By its kind and a hash that only the holder of the salt can compute: `<EMAIL_ADDRESS:3f9a1c2b>`.
    Hash,
    /// By asterisks in place of letters and digits.
    Mask,
    /// Not at all: the record is to be dropped.
    DropRow,
}

/// How far the same value gets the same stand-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Through a record. Equal records give equal texts.
    Record,
    /// Through all records that are scrubbed with the same salt.
    Set,
}

/// How findings are replaced.
#[derive(Clone, PartialEq, Eq)]
pub struct Replacement {
    /// What stands in place of a finding.
    pub mode: Mode,
    /// How far stand-ins go; only [`Mode::Surrogate`] asks for it.
    pub scope: Scope,
    /// What only the user knows; [`Mode::Hash`] and [`Scope::Set`] need it.
    pub salt: Option<String>,
}

/// Without the salt, which is a secret.
impl std::fmt::Debug for Replacement {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let salt = self.salt.as_ref().map(|_| "...");
        formatter
            .debug_struct("Replacement")
            .field("mode", &self.mode)
            .field("scope", &self.scope)
            .field("salt", &salt)
            .finish()
    }
}

/// A replacement that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplacementError {
    /// Hashes and stand-ins through a set need a salt.
    #[error("{what} need a salt, and none is given")]
    SaltMissing {
        /// What needs it.
        what: &'static str,
    },
    /// The salt can be guessed.
    #[error("the salt has {bytes} bytes; expected at least {LEAST_SALT_BYTES}")]
    SaltTooShort {
        /// Its length.
        bytes: usize,
    },
}

impl ReplacementError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "give a salt of 16 random bytes or more, keep it secret, and use the same one again where values must match"
    }
}

/// What became of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// How many findings of each kind there were.
    pub counts: BTreeMap<Entity, usize>,
    /// Whether the record is to be dropped; its texts are as they were.
    pub drop: bool,
    /// How many were replaced.
    pub replaced: usize,
    /// With stand-ins, the texts with tags in their place: what is equal in two records has other stand-ins in each, so that whoever
    /// compares records compares these. None where nothing was replaced, and with what is the same in all records.
    pub tagged: Option<Vec<String>>,
}

/// Replaces findings.
#[derive(Clone, Debug)]
pub struct Replacer {
    mode: Mode,
    scope: Scope,
    salt: Option<String>,
}

impl Replacer {
    /// # Errors
    /// [`ReplacementError`] where a salt is wanted and missing, or too short.
    pub fn new(replacement: &Replacement) -> Result<Self, ReplacementError> {
        let Replacement { mode, scope, salt } = replacement.clone();
        let what = match (mode, scope) {
            (Mode::Hash, _) => Some("hashes"),
            (Mode::Surrogate, Scope::Set) => Some("stand-ins through a set"),
            _ => None,
        };
        match (&salt, what) {
            (None, Some(what)) => Err(ReplacementError::SaltMissing { what }),
            (Some(salt), _) if salt.len() < LEAST_SALT_BYTES => {
                Err(ReplacementError::SaltTooShort { bytes: salt.len() })
            }
            _ => Ok(Self { mode, scope, salt }),
        }
    }

    /// Replaces the findings of `texts`, the turns of one record; `findings` has those of each text. Of findings that overlap the
    /// first stands; what overlaps a placeholder of an earlier scrub is none, nor is what no text holds.
    pub fn replace(&self, texts: &mut [String], findings: &[Vec<Finding>]) -> Scrubbed {
        self.replace_by(&mut self.writer(texts, findings), texts, findings)
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// As [`Self::replace`], by a writer that may have written before.
    fn replace_by(&self, writer: &mut Writer, texts: &mut [String], findings: &[Vec<Finding>]) -> Scrubbed {
        let findings: Vec<Vec<Finding>> =
            texts.iter().zip(findings).map(|(text, findings)| replaceable(text, findings)).collect();
        let mut scrubbed = Scrubbed::default();
        for finding in findings.iter().flatten() {
            *scrubbed.counts.entry(finding.entity).or_insert(0) += 1;
        }
        let total = scrubbed.counts.values().sum();
        if self.mode == Mode::DropRow || total == 0 {
            return Scrubbed { drop: total > 0, ..scrubbed };
        }
        let tagged = (self.mode == Mode::Surrogate).then(|| {
            let texts = texts.iter().zip(&findings);
            texts.map(|(text, findings)| rewritten(text, findings, &mut Writer::Tag)).collect()
        });
        for (text, findings) in texts.iter_mut().zip(&findings).filter(|(_, findings)| !findings.is_empty()) {
            *text = rewritten(text, findings, writer);
        }
        Scrubbed { replaced: total, tagged, ..scrubbed }
    }

    /// For one record, before anything is replaced in it.
    fn writer(&self, texts: &[String], findings: &[Vec<Finding>]) -> Writer {
        let salt = self.salt.as_deref();
        match self.mode {
            Mode::Tag | Mode::DropRow => Writer::Tag,
            Mode::Mask => Writer::Mask,
            Mode::Hash => Writer::Hash(Key::of_hashes(salt.unwrap_or_default())),
            Mode::Numbered => {
                let mut highest = BTreeMap::new();
                texts.iter().for_each(|text| placeholder::highest_numbers(text, &mut highest));
                Writer::Numbered { highest, numbers: HashMap::new() }
            }
            Mode::Surrogate => {
                let through_set = self.scope == Scope::Set;
                let key = match (through_set, salt) {
                    (true, Some(salt)) => Key::of_set(salt),
                    _ => Key::of_record(texts, salt),
                };
                let values = texts.iter().zip(findings).flat_map(|(text, findings)| {
                    let spans = findings.iter().map(|finding| (finding.entity, finding.start..finding.end));
                    spans.filter_map(|(entity, span)| {
                        Some((entity, text.get(span.clone())?, &text[..span.start]))
                    })
                });
                Writer::Surrogate(Box::new(StandIns::new(key, through_set, values)))
            }
        }
    }
}

/// Writes what stands in place of the findings of one record.
enum Writer {
    Tag,
    Mask,
    Hash(Key),
    Numbered { highest: BTreeMap<&'static str, usize>, numbers: HashMap<(&'static str, String), usize> },
    Surrogate(Box<StandIns>),
}

impl Writer {
    fn write(&mut self, entity: Entity, text: &str, before: &str) -> String {
        match self {
            Self::Tag => placeholder::tag(entity),
            Self::Mask => mask::mask(entity, text),
            Self::Hash(key) => {
                let mut draw = key.draw(entity.name(), &value(text), 0);
                placeholder::hashed(entity, draw.next())
            }
            Self::Numbered { highest, numbers } => {
                let label = placeholder::label(entity);
                let number = *numbers.entry((label, value(text))).or_insert_with(|| {
                    let highest = highest.entry(label).or_insert(0);
                    *highest += 1;
                    *highest
                });
                placeholder::numbered(entity, number)
            }
            Self::Surrogate(stand_ins) => {
                stand_ins.of(entity, text, before).unwrap_or_else(|| placeholder::tag(entity))
            }
        }
    }
}

/// What makes two texts the same value: white space at the ends, its amount within, and case do not count.
fn value(text: &str) -> String {
    text.split_whitespace().collect::<Vec<&str>>().join(" ").to_lowercase()
}

/// The findings in order that hold characters of `text`, share none, and are no placeholders.
fn replaceable(text: &str, findings: &[Finding]) -> Vec<Finding> {
    let mut ordered: Vec<Finding> = findings.to_vec();
    ordered.sort_by_key(|finding| (finding.start, finding.end));
    let placeholders = placeholder::spans(text);
    let mut kept: Vec<Finding> = Vec::with_capacity(ordered.len());
    for finding in ordered {
        let holds = text.get(finding.start..finding.end).is_some_and(|span| !span.trim().is_empty());
        let free = kept.last().is_none_or(|last| last.end <= finding.start);
        // The placeholders are disjoint and in order: the first that ends behind the start is the only one to look at.
        let at = placeholders.partition_point(|span| span.end <= finding.start);
        let replaced = placeholders.get(at).is_some_and(|span| span.start < finding.end);
        if holds && free && !replaced {
            kept.push(finding);
        }
    }
    kept
}

fn rewritten(text: &str, findings: &[Finding], writer: &mut Writer) -> String {
    let mut rewritten = String::with_capacity(text.len());
    let mut from = 0;
    for finding in findings {
        let before = &text[from..finding.start];
        rewritten.push_str(before);
        rewritten.push_str(&writer.write(finding.entity, &text[finding.start..finding.end], before));
        from = finding.end;
    }
    rewritten.push_str(&text[from..]);
    rewritten
}
