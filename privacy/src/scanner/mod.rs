//! Personal data by rules: one pass over the bytes of a text finds the places worth a look, exact matchers run there.
//!
//! A finding with a right checksum has score 1, one with a wrong checksum is dropped; else the form says how sure it is, and words
//! before it raise that.

pub(crate) mod conflicts;
pub(crate) mod context;
mod forms;
pub(crate) mod heads;
mod pass;
pub(crate) mod sink;
pub(crate) mod text;
mod view;

use std::collections::HashSet;

use crate::entity::Entity;
use crate::finding::Finding;
use crate::generic::{Generic, cues};
use crate::national;
use crate::scanner::context::Phrases;
use crate::scanner::forms::Forms;
use crate::scanner::heads::Heads;
use crate::scanner::sink::Sink;
use crate::scanner::view::View;
use crate::secrets::Secrets;

/// The threshold that is taken unless another is named. What has nothing for it but its form lies below, unless the form says
/// enough; what stands in its context lies at or above.
pub const DEFAULT_THRESHOLD: f32 = 0.4;

/// What is off unless it is asked for: dates and addresses of the web are in most texts and seldom say who someone is; places,
/// organisations and number plates are names of things.
const OFF: [Entity; 12] = [
    Entity::DateTime,
    Entity::Url,
    Entity::Location,
    Entity::Organization,
    Entity::DeHandelsregister,
    Entity::DePlz,
    Entity::DeKfz,
    Entity::InVehicleRegistration,
    Entity::NgVehicleRegistration,
    Entity::TrLicensePlate,
    Entity::UkVehicleRegistration,
    Entity::Other,
];

/// What a scanner looks for, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanOptions {
    /// The entities to find; none named means those that are on by default ([`ScanOptions::default_entities`]).
    pub entities: Vec<Entity>,
    /// The least score of a finding, from 0 to 1.
    pub threshold: f32,
    /// Texts that are never findings, whatever their case: a support address, the firm's own number.
    pub allow: Vec<String>,
    /// Words or phrases of the user's that raise an entity's score when they stand before it.
    pub context: Vec<(Entity, String)>,
    /// Regions, as two letters (ISO 3166), whose telephone numbers are known without a calling code, beside US, GB, DE, FR, IL,
    /// IN, CA and BR.
    pub phone_regions: Vec<String>,
    /// Whether names are found by rules.
    pub names: bool,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self {
            entities: Vec::new(),
            threshold: DEFAULT_THRESHOLD,
            allow: Vec::new(),
            context: Vec::new(),
            phone_regions: Vec::new(),
            names: true,
        }
    }
}

impl ScanOptions {
    /// The entities that are found unless others are named.
    pub fn default_entities() -> impl Iterator<Item = Entity> {
        Entity::ALL.iter().copied().filter(|entity| !OFF.contains(entity))
    }
}

/// Options that make no scanner.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A threshold outside 0 to 1.
    #[error("the threshold is {threshold}; expected a number from 0 to 1")]
    Threshold {
        /// The threshold as given.
        threshold: f32,
    },
    /// A region that no telephone numbers are known of.
    #[error("no telephone numbers are known of region `{region}`; expected two letters such as US or DE")]
    Region {
        /// The region as given, in capitals.
        region: String,
    },
    /// Rules that make no automaton.
    #[error("the rules make no automaton: {reason}")]
    Forms {
        /// The cause, as the library says it.
        reason: String,
    },
}

/// Finds personal data by rules. It holds no text and can be shared between threads.
#[derive(Debug)]
pub struct Scanner {
    options: ScanOptions,
    /// By [`Entity`] as a number: whether it is wanted, and what raises it.
    wanted: Vec<Option<Phrases>>,
    allow: HashSet<String>,
    forms: Option<Forms>,
    generic: Generic,
    secrets: Option<Secrets>,
    /// The keywords of `generic`, then those of `secrets`.
    heads: Heads,
}

impl Scanner {
    /// A scanner for `options`.
    ///
    /// # Errors
    /// [`ScanError`] where an option cannot be followed.
    pub fn new(options: &ScanOptions) -> Result<Self, ScanError> {
        if !(0.0..=1.0).contains(&options.threshold) {
            return Err(ScanError::Threshold { threshold: options.threshold });
        }
        let entities: HashSet<Entity> = match options.entities.as_slice() {
            [] => ScanOptions::default_entities().collect(),
            named => named.iter().copied().collect(),
        };
        let own = |entity: Entity| {
            let phrases = options.context.iter().filter(move |(of, _)| *of == entity);
            phrases.map(|(_, phrase)| phrase.as_str())
        };
        let phrases = |entity: Entity| Phrases::new(cues::of(entity).iter().copied().chain(own(entity)));
        let mut wanted = vec![None; Entity::ALL.len()];
        for entity in &entities {
            wanted[*entity as usize] = Some(phrases(*entity));
        }
        let forms = national::forms().filter(|form| entities.contains(&form.entity));
        let forms =
            forms.map(|form| (form, Phrases::new(form.context.iter().copied().chain(own(form.entity)))));
        let generic = Generic::new(
            |entity| entities.contains(&entity),
            &options.phone_regions,
            phrases(Entity::PhoneNumber),
        )?;
        let secrets = Secrets::ENTITIES.iter().any(|entity| entities.contains(entity)).then(Secrets::new);
        let of_secrets = secrets.iter().flat_map(Secrets::keywords);
        Ok(Self {
            heads: Heads::new(generic.keywords().chain(of_secrets)),
            wanted,
            allow: options.allow.iter().map(|text| text.trim().to_lowercase()).collect(),
            forms: Forms::new(forms.collect())?,
            generic,
            secrets,
            options: options.clone(),
        })
    }

    /// What the scanner was made of.
    #[must_use]
    pub fn options(&self) -> &ScanOptions {
        &self.options
    }

    /// The findings of `text`, in order: those of at least the threshold, none sharing a byte with another, none of the allowed
    /// texts.
    #[must_use]
    pub fn scan(&self, text: &str) -> Vec<Finding> {
        let view = View::of(text);
        let mut findings = self.find(&view.text);
        findings.retain(|finding| {
            finding.score >= self.options.threshold && !self.is_allowed(&view.text, finding)
        });
        view.restore(conflicts::settle(conflicts::settle_each_entity(findings)))
    }

    /// The findings of `text` whatever their score; those of one entity share no byte, those of two may.
    #[must_use]
    pub fn scan_all(&self, text: &str) -> Vec<Finding> {
        let view = View::of(text);
        let mut findings = self.find(&view.text);
        findings.retain(|finding| !self.is_allowed(&view.text, finding));
        view.restore(conflicts::settle_each_entity(findings))
    }

    fn find(&self, text: &str) -> Vec<Finding> {
        let mut sink = Sink::new(text, &self.wanted);
        pass::run(&mut sink, &self.generic, self.forms.as_ref());
        let mut hunt = self.secrets.as_ref().map(Secrets::hunt);
        let own = self.generic.keywords().count();
        self.heads.find(text, |index, start, end| match (index.checked_sub(own), &mut hunt) {
            (Some(index), Some(hunt)) => hunt.at(index, text, start, end),
            _ => self.generic.at_keyword(&mut sink, index, start, end),
        });
        let mut findings = sink.findings;
        if let Some(hunt) = hunt {
            findings.extend(hunt.done().into_iter().filter(|finding| self.wants(finding.entity)));
        }
        findings
    }

    /// Whether findings of the entity are asked for.
    pub(crate) fn wants(&self, entity: Entity) -> bool {
        self.wanted.get(entity as usize).is_some_and(Option::is_some)
    }

    /// Whether the text of the finding is one that is never to be found.
    pub(crate) fn is_allowed(&self, text: &str, finding: &Finding) -> bool {
        !self.allow.is_empty() && self.allow.contains(&text[finding.start..finding.end].to_lowercase())
    }
}

#[cfg(test)]
mod tests;
