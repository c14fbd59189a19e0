//! Where findings are put, with their scores as the context makes them.

use crate::entity::Entity;
use crate::finding::Finding;
use crate::scanner::context::{self, Phrases, WordsBefore};

/// The findings of one text.
#[derive(Debug)]
pub(crate) struct Sink<'t> {
    /// The text.
    pub(crate) text: &'t str,
    /// By [`Entity`] as a number: is it wanted, and what raises it.
    wanted: &'t [Option<Phrases>],
    words: WordsBefore,
    pub(crate) findings: Vec<Finding>,
}

impl<'t> Sink<'t> {
    /// For the findings of `text`.
    pub(crate) fn new(text: &'t str, wanted: &'t [Option<Phrases>]) -> Self {
        Self { text, wanted, words: WordsBefore::default(), findings: Vec::new() }
    }

    /// Whether findings of `entity` are wanted.
    pub(crate) fn wants(&self, entity: Entity) -> bool {
        self.wanted[entity as usize].is_some()
    }

    /// Adds a finding, if wanted, raised where the words before it are those of its entity.
    pub(crate) fn add(&mut self, start: usize, end: usize, entity: Entity, score: f32, rule: &'static str) {
        let wanted = self.wanted;
        if let Some(phrases) = &wanted[entity as usize] {
            self.add_with(start, end, entity, score, rule, phrases);
        }
    }

    /// Adds a finding, raised where one of `phrases` stands before it.
    pub(crate) fn add_with(
        &mut self,
        start: usize,
        end: usize,
        entity: Entity,
        score: f32,
        rule: &'static str,
        phrases: &Phrases,
    ) {
        debug_assert!(start < end && self.text.is_char_boundary(start) && self.text.is_char_boundary(end));
        let is_raised = score < 1.0 && self.words.hold(self.text, start, phrases);
        let score = if is_raised { context::raised(score) } else { score };
        self.findings.push(Finding { start, end, entity, score, rule });
    }

    /// Whether one of `phrases` stands in the words before `at`.
    pub(crate) fn is_cued(&mut self, at: usize, phrases: &Phrases) -> bool {
        self.words.hold(self.text, at, phrases)
    }

    /// Whether a finding of `entity` was put that reaches beyond byte `at`.
    pub(crate) fn covers(&self, entity: Entity, at: usize) -> bool {
        let recent = self.findings.iter().rev().take(RECENT);
        recent
            .filter(|finding| finding.entity == entity)
            .any(|finding| finding.start <= at && at < finding.end)
    }
}

/// How many of the last findings can still reach over a place: a place yields a few.
const RECENT: usize = 24;
