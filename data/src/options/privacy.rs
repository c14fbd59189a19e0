//! What becomes of personal data and secrets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rtune_privacy::{Entity, ScanOptions};
use serde::{Deserialize, Serialize};

/// What becomes of what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrivacyMode {
    /// Nothing is looked for.
    Off,
    /// It is counted and stays.
    #[default]
    Report,
    /// `<EMAIL_ADDRESS>`.
    Tag,
    /// `[EMAIL_1]`, the same number for the same text through a row.
    Numbered,
    /// A stand-in of the same kind.
    Surrogate,
    /// `<EMAIL_ADDRESS:3f9a1c2b>`, salted.
    Hash,
    /// `****@*******.***`.
    Mask,
    /// The row is dropped.
    DropRow,
}

impl PrivacyMode {
    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Report => "report",
            Self::Tag => "tag",
            Self::Numbered => "numbered",
            Self::Surrogate => "surrogate",
            Self::Hash => "hash",
            Self::Mask => "mask",
            Self::DropRow => "drop-row",
        }
    }
}

/// Who finds names of persons.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum NamesBy {
    /// Nobody.
    Off,
    /// Cues, a gazetteer and repetition.
    #[default]
    Rules,
    /// The rules and this model: an alias, a hub repository or a folder.
    Model(String),
}

impl NamesBy {
    /// As a configuration writes it.
    pub fn name(&self) -> &str {
        match self {
            Self::Off => "off",
            Self::Rules => "rules",
            Self::Model(model) => model,
        }
    }
}

impl From<String> for NamesBy {
    fn from(name: String) -> Self {
        match name.as_str() {
            "off" => Self::Off,
            "rules" => Self::Rules,
            _ => Self::Model(name),
        }
    }
}

impl From<NamesBy> for String {
    fn from(names: NamesBy) -> Self {
        names.name().to_owned()
    }
}

/// How far the same stand-in stands for the same text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrivacyScope {
    /// Through one row.
    #[default]
    Record,
    /// Through all rows; needs a salt.
    Set,
}

/// `[data.privacy]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PrivacyOptions {
    /// What becomes of what was found.
    pub mode: PrivacyMode,
    /// Who finds names.
    pub names: NamesBy,
    /// What is looked for; empty for what is on by default.
    pub entities: Vec<Entity>,
    /// The least score of a finding, from 0 to 1; by default that of the scanner.
    pub threshold: Option<f64>,
    /// Texts that are nobody's: the company's own address, a public number.
    pub allow: Vec<String>,
    /// Words that raise the score of an entity when they stand before it.
    pub context: BTreeMap<Entity, Vec<String>>,
    /// Regions whose phone numbers are known without a country code, besides the scanner's own.
    pub phone_regions: Vec<String>,
    /// How far the same stand-in stands for the same text.
    pub scope: PrivacyScope,
    /// The file that holds the salt of hashes and of stand-ins through the set.
    pub salt_file: Option<PathBuf>,
}

impl PrivacyOptions {
    /// What a scanner looks for, as these say.
    #[must_use]
    pub fn scan_options(&self) -> ScanOptions {
        let plain = ScanOptions::default();
        let context = self.context.iter();
        ScanOptions {
            entities: self.entities.clone(),
            threshold: self.threshold.map_or(plain.threshold, |threshold| threshold as f32),
            allow: self.allow.clone(),
            context: context
                .flat_map(|(entity, words)| words.iter().map(|word| (*entity, word.clone())))
                .collect(),
            phone_regions: self.phone_regions.clone(),
            names: self.names != NamesBy::Off,
        }
    }
}
