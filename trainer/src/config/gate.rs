//! `[gate]`: what a model must be before it takes the place of the one in use.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Problem;
use super::tree::Table;
use super::typed;
use crate::evaluate::by_name;
use crate::evaluate::compare::is_metric;

/// Metrics of how likely the expected answers are. They fall while answers get worse: a model that is sure of the right words and
/// says others is no better, so none of these decides alone.
pub const LIKELIHOODS: [&str; 5] =
    ["answer-nats", "bits-per-byte", "text-bits-per-byte", "token-accuracy", "validation-loss"];
/// Metrics that take a judge or an encoder, which a promotion has not.
const NEED_MORE: [&str; 3] = ["judge", "bert-score", "relevancy"];

/// `[gate]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GateSection {
    /// The least value of a metric, or the most where less is better.
    pub limits: BTreeMap<String, f64>,
    /// Metrics that must be better than those of the version in use, and not by chance.
    pub must_improve: Vec<String>,
    /// Metrics that may be worse by no more than this, in their unit.
    pub non_inferior: BTreeMap<String, f64>,
    /// Whether no slice of the golden rows may be worse.
    pub slices: bool,
    /// The share of cases in which reviewers must prefer the candidate; the lower bound of its interval counts.
    pub preferred: Option<f64>,
    /// Golden rows that may be trained on before it is a reason.
    pub accept_leaks: usize,
    /// A suite of `rtune redteam`; no item may fail that the version in use passes.
    pub red_team: Option<PathBuf>,
    /// Whether half of the golden rows is kept from every verb but `promote`.
    pub sealed: bool,
    /// What ships, and is therefore what is asked.
    pub ships: Ships,
    /// How often two equal models may be called different.
    pub alpha: f64,
    /// Most tokens of an answer.
    pub max_new_tokens: u32,
}

impl Default for GateSection {
    fn default() -> Self {
        Self {
            limits: BTreeMap::new(),
            must_improve: Vec::new(),
            non_inferior: BTreeMap::new(),
            slices: true,
            preferred: None,
            accept_leaks: 0,
            red_team: None,
            sealed: false,
            ships: Ships::Merged,
            alpha: 0.05,
            max_new_tokens: 256,
        }
    }
}

/// In which form a version leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ships {
    /// A folder that transformers loads, the adapter in its base.
    #[default]
    Merged,
    /// The adapter, beside the base as the run held it (by default in 4 bits).
    Adapter,
    /// One GGUF file in `f16`.
    GgufF16,
    /// One GGUF file in `bf16`.
    GgufBf16,
    /// One GGUF file in 8 bits.
    #[serde(rename = "gguf-q8_0")]
    GgufQ80,
    /// One GGUF file in some 6.6 bits.
    #[serde(rename = "gguf-q6_k")]
    GgufQ6K,
    /// One GGUF file in some 5.7 bits.
    #[serde(rename = "gguf-q5_k_m")]
    GgufQ5KM,
    /// One GGUF file in some 4.8 bits.
    #[serde(rename = "gguf-q4_k_m")]
    GgufQ4KM,
    /// One GGUF file in 4.5 bits.
    #[serde(rename = "gguf-q4_0")]
    GgufQ40,
}

impl Ships {
    /// The element type of the matrices in a GGUF file, as `rtune export --quantize` names it; `None` for what is no such file.
    #[must_use]
    pub fn gguf_type(self) -> Option<&'static str> {
        match self {
            Self::Merged | Self::Adapter => None,
            Self::GgufF16 => Some("f16"),
            Self::GgufBf16 => Some("bf16"),
            Self::GgufQ80 => Some("q8_0"),
            Self::GgufQ6K => Some("q6_k"),
            Self::GgufQ5KM => Some("q5_k_m"),
            Self::GgufQ4KM => Some("q4_k_m"),
            Self::GgufQ40 => Some("q4_0"),
        }
    }
}

impl GateSection {
    /// Every metric that a rule names, with the rule's key.
    pub fn metrics(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let limits = self.limits.keys().map(|name| ("limits", name.as_str()));
        let improve = self.must_improve.iter().map(|name| ("must-improve", name.as_str()));
        let inferior = self.non_inferior.keys().map(|name| ("non-inferior", name.as_str()));
        improve.chain(inferior).chain(limits)
    }
}

/// Reads the section, and says what is wrong with it.
pub(super) fn read(table: Option<&Table>, problems: &mut Vec<Problem>) -> GateSection {
    let gate: GateSection = typed::read("gate", table, problems);
    let place = |key: &str| {
        let entry = table.and_then(|table| table.get(key).or_else(|| table.values().next()));
        entry.map_or_else(String::new, |(place, _)| place.to_string())
    };
    let mut report = |key: &str, message: String, hint: &str| {
        problems.push(Problem { place: place(key), message, hint: Some(hint.to_owned()) });
    };
    if !(gate.alpha > 0.0 && gate.alpha < 1.0) {
        let message = format!("`gate.alpha`: expected a number above 0 and below 1, found {}", gate.alpha);
        report("alpha", message, "0.05 calls two equal models different once in twenty times");
    }
    if let Some(share) = gate.preferred.filter(|share| !(*share > 0.0 && *share < 1.0)) {
        let message = format!("`gate.preferred`: expected a number above 0 and below 1, found {share}");
        report(
            "preferred",
            message,
            "0.5 wants the candidate preferred by more than chance, 0.4 not much less liked",
        );
    }
    if gate.max_new_tokens == 0 {
        let message = "`gate.max-new-tokens`: expected an integer from 1, found 0".to_owned();
        report("max-new-tokens", message, "an answer has at least one token");
    }
    for (name, margin) in &gate.non_inferior {
        if !(margin.is_finite() && *margin >= 0.0) {
            let message = format!("`gate.non-inferior.{name}`: expected a number from 0, found {margin}");
            report("non-inferior", message, "it is how much worse the metric may be, in its unit");
        }
    }
    for (name, limit) in gate.limits.iter().filter(|(_, limit)| !limit.is_finite()) {
        let message = format!("`gate.limits.{name}`: expected a finite number, found {limit}");
        report("limits", message, "");
    }
    for (key, name) in gate.metrics() {
        let is_known = match key {
            "limits" => name != by_name::VALIDATION_LOSS && by_name::better(name).is_some(),
            _ => is_metric(name) && !NEED_MORE.contains(&name),
        };
        if !is_known {
            let message = format!("`gate.{key}`: expected metrics of golden rows, found `{name}`");
            report(
                key,
                message,
                "docs/evaluation.md, The gate, lists them: checks, chrf, exact-match, f1-LABEL …",
            );
        }
    }
    let named: Vec<&str> = gate.metrics().map(|(_, name)| name).collect();
    if !named.is_empty() && named.iter().all(|name| LIKELIHOODS.contains(name)) {
        let message = "`[gate]` rests on perplexity alone: how likely the expected answers are says nothing of the answers that the \
                       model gives"
            .to_owned();
        report(
            "limits",
            message,
            "name a metric of its answers too: `non-inferior = { checks = 0.02 }`, `must-improve = [\"chrf\"]`",
        );
    }
    gate
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn parsed(gate: &str) -> Result<GateSection, String> {
        let text = format!("[model]\nbase='m'\n[data]\ntrain='t'\n[output]\ndir='r'\n[gate]\n{gate}\n");
        Config::parse("c.toml", &text, &[]).map(|config| config.gate).map_err(|error| error.to_string())
    }

    #[test]
    fn a_gate_is_read_and_written() {
        let gate = parsed(
            "limits = { f1-spam = 0.9 }\nmust-improve = [\"checks\"]\nships = \"gguf-q4_k_m\"\nsealed = true",
        )
        .expect("valid");
        assert_eq!(
            (gate.ships.gguf_type(), gate.sealed, gate.limits["f1-spam"]),
            (Some("q4_k_m"), true, 0.9)
        );
        let plain = "[model]\nbase='m'\n[data]\ntrain='t'\n[output]\ndir='r'\n";
        let config = Config::parse("c.toml", plain, &[]).expect("valid");
        assert!(!config.to_toml().contains("[gate]"), "runs of before have the configuration that they had");
        let config = Config { gate, ..config };
        assert_eq!(Config::parse("c.toml", &config.to_toml(), &[]).expect("valid"), config);
    }

    #[test]
    fn perplexity_decides_nothing_alone() {
        let error =
            parsed("must-improve = [\"answer-nats\"]\nlimits = { bits-per-byte = 2 }").expect_err("refused");
        assert!(error.contains("`[gate]` rests on perplexity alone") && error.contains("c.toml:"), "{error}");
        parsed("must-improve = [\"answer-nats\"]\nlimits = { checks = 0.5 }").expect("with checks it may");
        let texts = "non-inferior = { text-bits-per-byte = 0.1 }";
        assert!(parsed(texts).expect_err("refused").contains("rests on perplexity alone"));
        parsed(&format!("must-improve = [\"tool-calls\"]\n{texts}"))
            .expect("what compare knows, a gate may name");
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (text, said) in [
            ("preferred = 1", "`gate.preferred`: expected a number above 0 and below 1"),
            ("alpha = 1", "`gate.alpha`: expected a number above 0 and below 1"),
            ("non-inferior = { chrf = -1 }", "`gate.non-inferior.chrf`: expected a number from 0"),
            ("must-improve = [\"wer\"]", "`gate.must-improve`: expected metrics of golden rows, found `wer`"),
            ("limits = { validation-loss = 1 }", "`gate.limits`: expected metrics"),
            ("ships = \"zip\"", "`gate.ships`: expected"),
            ("max-new-tokens = 0", "expected an integer from 1"),
        ] {
            let error = parsed(text).expect_err(text);
            assert!(error.contains(said), "{error}");
        }
    }
}
