//! Keys, tokens, private keys and passwords.
//!
//! The scanner looks for every prefix and keyword at once; a rule is asked only where its own stands. What it takes for a key must be random enough (Shannon's entropy by alphabet and length) and no placeholder.

mod blocks;
mod entropy;
mod named;
mod shapes;
mod tokens;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::entity::Entity;
use crate::finding::Finding;

/// How sure a rule is, by what it goes by.
const BY_PREFIX: f32 = 0.95;
const BY_SHAPE: f32 = 0.85;
const BY_NAME: f32 = 0.6;

/// What a keyword calls.
#[derive(Clone, Copy, Debug)]
enum Rule {
    Token { token: usize, prefix: usize },
    Shape(usize),
    PrivateKey,
    WebToken,
    Address,
    KeyName,
    PasswordName,
}

/// Finds secrets in texts.
#[derive(Debug)]
pub(crate) struct Secrets {
    called: Vec<(&'static str, Rule)>,
    shapes: Vec<shapes::Built>,
}

impl Secrets {
    /// What its findings are.
    pub(crate) const ENTITIES: [Entity; 5] =
        [Entity::ApiKey, Entity::PrivateKey, Entity::JsonWebToken, Entity::CredentialUri, Entity::Password];

    /// Builds the expressions: some milliseconds, once.
    pub(crate) fn new() -> Self {
        let shapes = shapes::Built::all();
        let mut called = vec![
            (blocks::PEM_KEYWORD, Rule::PrivateKey),
            (blocks::TOKEN_KEYWORD, Rule::WebToken),
            (blocks::ADDRESS_KEYWORD, Rule::Address),
        ];
        for (token, kind) in tokens::TOKENS.iter().enumerate() {
            let prefixes = kind.prefixes.iter().enumerate();
            called.extend(prefixes.map(|(prefix, &keyword)| (keyword, Rule::Token { token, prefix })));
        }
        for (index, built) in shapes.iter().enumerate() {
            called.extend(built.shape.keywords.iter().map(|&keyword| (keyword, Rule::Shape(index))));
        }
        called.extend(named::KEY_NAMES.iter().map(|&keyword| (keyword, Rule::KeyName)));
        called.extend(named::PASSWORD_NAMES.iter().map(|&keyword| (keyword, Rule::PasswordName)));
        Self { called, shapes }
    }

    /// Prefixes and keywords, numbered in this order; [`Hunt::at`] is to be told where they stand.
    pub(crate) fn keywords(&self) -> impl Iterator<Item = &'static str> {
        self.called.iter().map(|(keyword, _)| *keyword)
    }

    /// Ready for one text.
    pub(crate) fn hunt(&self) -> Hunt<'_> {
        Hunt { secrets: self, seen: Vec::new(), found: Vec::new() }
    }

    /// Looks around a keyword; up to which byte.
    fn ask_shape(
        &self,
        index: usize,
        text: &str,
        start: usize,
        end: usize,
        found: &mut Vec<Finding>,
    ) -> usize {
        let built = &self.shapes[index];
        let (rule, entity) = (built.shape.rule, built.shape.entity);
        built.find(text, start, end, |start, end| {
            found.push(Finding { start, end, entity, score: BY_SHAPE, rule });
        })
    }
}

/// The secrets of one text.
pub(crate) struct Hunt<'s> {
    secrets: &'s Secrets,
    /// Up to where each shape has looked, so that a keyword said again and again is not looked around each time.
    seen: Vec<usize>,
    found: Vec<Finding>,
}

impl Hunt<'_> {
    /// Looks around keyword `index` at bytes `start..end` of `text`.
    pub(crate) fn at(&mut self, index: usize, text: &str, start: usize, end: usize) {
        match self.secrets.called[index].1 {
            Rule::Shape(index) => {
                self.seen.resize(self.secrets.shapes.len(), 0);
                if end + shapes::BEHIND_BYTES > self.seen[index] {
                    self.seen[index] = self.secrets.ask_shape(index, text, start, end, &mut self.found);
                }
            }
            rule => ask(rule, text, start, end, &mut self.found),
        }
    }

    /// What was found, in order of place; of two that overlap the surer or longer one.
    pub(crate) fn done(self) -> Vec<Finding> {
        if self.found.is_empty() { self.found } else { disjoint(self.found) }
    }
}

fn ask(rule: Rule, text: &str, start: usize, end: usize, found: &mut Vec<Finding>) {
    let from_start = |end: Option<usize>| end.map(|end| (start, end));
    let (span, entity, score, name) = match rule {
        Rule::Token { token, prefix } => {
            let token = &tokens::TOKENS[token];
            (from_start(token.end(text, start, prefix)), Entity::ApiKey, BY_PREFIX, token.rule)
        }
        Rule::PrivateKey => {
            (from_start(blocks::private_key(text, start)), Entity::PrivateKey, 1.0, "private-key")
        }
        Rule::WebToken => {
            (from_start(blocks::json_web_token(text, start)), Entity::JsonWebToken, 1.0, "json-web-token")
        }
        Rule::Address => {
            (blocks::credential_address(text, start), Entity::CredentialUri, BY_PREFIX, "credential-uri")
        }
        Rule::KeyName => (named::key(text, end), Entity::ApiKey, BY_NAME, "named-key"),
        Rule::PasswordName => {
            (named::password(text, start, end), Entity::Password, BY_NAME, "named-password")
        }
        // Asked by the automaton's loop, which knows how far each has looked.
        Rule::Shape(_) => return,
    };
    found.extend(span.map(|(start, end)| Finding { start, end, entity, score, rule: name }));
}

/// One finding for each place: the surer, then the longer, stays.
fn disjoint(mut found: Vec<Finding>) -> Vec<Finding> {
    found.sort_by(|one, other| {
        let by_score = other.score.total_cmp(&one.score);
        by_score
            .then(other.len().cmp(&one.len()))
            .then(one.start.cmp(&other.start))
            .then(one.rule.cmp(other.rule))
    });
    let mut kept: BTreeMap<usize, Finding> = BTreeMap::new();
    for finding in found {
        // The kept ones are disjoint: only the last that begins before the end of this one can touch it.
        let before = kept.range(..finding.end).next_back();
        if before.is_none_or(|(_, other)| !other.overlaps(&finding)) {
            kept.insert(finding.start, finding);
        }
    }
    kept.into_values().collect()
}
