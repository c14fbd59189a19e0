//! From the tree to the checked values of `[lora]`.

use rtune_adapters::{Alongside, Biases, Start, targets};

use super::reader::Section;
use super::tree::Value;
use super::*;

/// Widest LoRA pair.
const MOST_RANK: u64 = rtune_adapters::lora::MAX_RANK as u64;
/// The deepest published models have a few hundred blocks.
const MOST_LAYERS: usize = 10_000;

const DEFAULT_RANK: usize = 16;

/// The keys that say what adapters are like.
pub(super) const OF_ADAPTERS: [&str; 12] = [
    "rank",
    "alpha",
    "targets",
    "layers",
    "scaling",
    "rank-pattern",
    "alpha-pattern",
    "dropout",
    "init",
    "bias",
    "modules-to-save",
    "trainable-tokens",
];

/// What is trained.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Lora,
    Dora,
    Full,
}

/// The section `lora`, and the names of tokens in it. `quantized`: whether the base is to be.
pub(super) fn lora(mut section: Section<'_, '_>, quantized: bool) -> (LoraSection, TokensSection) {
    let from = section.string("from");
    let rank = section.integer("rank", 1, MOST_RANK).map_or(DEFAULT_RANK, |rank| rank as usize);
    let alpha = section.number("alpha", "above 0", |alpha| alpha > 0.0);
    let targets = targets(&mut section);
    let layers = layers(&mut section);
    let choices = [("standard", Scaling::Standard), ("rank-stabilized", Scaling::RankStabilized)];
    let scaling = section.choice("scaling", &choices).unwrap_or(Scaling::Standard);
    let whole = |rank: f64| rank.fract() == 0.0 && rank >= 1.0 && rank <= MOST_RANK as f64;
    let ranks = section.numbers("rank-pattern", "an integer from 1 to 4096", whole);
    let alpha_pattern =
        section.numbers("alpha-pattern", "a number above 0", |alpha| alpha > 0.0 && alpha.is_finite());
    let methods = [("lora", Method::Lora), ("dora", Method::Dora), ("full", Method::Full)];
    let method = section.choice("method", &methods).unwrap_or(Method::Lora);
    let dropout = section.number("dropout", "from 0 to below 1", |dropout| (0.0..1.0).contains(&dropout));
    let starts = [("default", Start::Drawn), ("pissa", Start::Pissa), ("loftq", Start::Loftq)];
    let start = section.choice("init", &starts).unwrap_or_default();
    if start != Start::Drawn && method == Method::Dora {
        section.contradiction("init", "`lora.method = \"dora\"`", "it is for `method = \"lora\"`");
    }
    let biases = [("none", Biases::None), ("lora-only", Biases::Adapted), ("all", Biases::All)];
    let biases = section.choice("bias", &biases).unwrap_or_default();
    let modules = section.strings("modules-to-save").unwrap_or_default();
    let tokens = TokensSection {
        trainable: section.strings("trainable-tokens").unwrap_or_default(),
        new: section.strings("new-tokens").unwrap_or_default(),
    };
    if method == Method::Full && quantized {
        section.contradiction(
            "method",
            "a `quantization.kind` that quantises the numbers which `full` trains",
            "write `kind = \"none\"` in `[quantization]`, or choose another method",
        );
    }
    for (present, one_more, with) in [
        (from.is_some(), "method", "`lora.from`, whose adapter_config.json says it"),
        (
            method == Method::Full,
            "from",
            "`lora.method = \"full\"`, which trains every number of the base and no adapter",
        ),
    ] {
        for key in OF_ADAPTERS.into_iter().chain([one_more]).filter(|_| present) {
            section.contradiction(key, with, "leave out one of the two");
        }
    }
    section.finish();
    if let Some(from) = from {
        return (LoraSection::From(from.into()), tokens);
    }
    if method == Method::Full {
        return (LoraSection::Full, tokens);
    }
    let shape = LoraConfig {
        rank,
        alpha: alpha.unwrap_or(2.0 * rank as f64),
        targets,
        layers,
        scaling,
        rank_pattern: ranks.into_iter().map(|(name, rank)| (name, rank as usize)).collect(),
        alpha_pattern,
        dora: method == Method::Dora,
        dropout: dropout.unwrap_or(0.0),
        start,
        // The ids of tokens are known when there is a tokenizer.
        alongside: Alongside { biases, modules, ..Alongside::default() },
    };
    (LoraSection::New(shape), tokens)
}

fn targets(section: &mut Section<'_, '_>) -> Targets {
    const EXPECTED: &str =
        "\"all-linear\", a list of names of linears, or a regular expression for whole names";
    let Some(node) = section.any("targets") else { return Targets::AllLinear };
    let found = match &node.value {
        Value::String(text) if text == "all-linear" => None,
        Value::Array(_) => section.strings_of("targets", node, EXPECTED).map(Targets::Names),
        // A name alone matches no whole name.
        Value::String(text) if text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') => {
            let hint =
                names::value_hint("lora.targets", text).unwrap_or_else(|| format!("write `[\"{text}\"]`"));
            let message = format!("`lora.targets`: expected {EXPECTED}, found {}", node.value.describe());
            section.report(&node.place, message, Some(hint));
            None
        }
        Value::String(text) => match targets::whole(text) {
            Ok(_) => Some(Targets::Pattern(text.clone())),
            Err(problem) => {
                section.report(&node.place, format!("`lora.targets`: {problem}"), None);
                None
            }
        },
        _ => section.expected("targets", node, EXPECTED),
    };
    found.unwrap_or(Targets::AllLinear)
}

fn layers(section: &mut Section<'_, '_>) -> Option<Vec<usize>> {
    const EXPECTED: &str = "a list of numbers of blocks, or a range such as \"16-31\"";
    let node = section.any("layers")?;
    let found: Option<Vec<usize>> = match &node.value {
        Value::Array(items) if !items.is_empty() => items
            .iter()
            .map(|item| match item.value {
                Value::Integer(number) => usize::try_from(number).ok().filter(|layer| *layer < MOST_LAYERS),
                _ => None,
            })
            .collect(),
        Value::String(text) => range(text),
        _ => None,
    };
    let mut layers = found.or_else(|| section.expected("layers", node, EXPECTED))?;
    layers.sort_unstable();
    layers.dedup();
    Some(layers)
}

/// Both ends and what is between.
fn range(text: &str) -> Option<Vec<usize>> {
    let (first, last) = text.split_once('-')?;
    let end = |text: &str| text.trim().parse().ok().filter(|layer| *layer < MOST_LAYERS);
    let (first, last) = (end(first)?, end(last)?);
    (first <= last).then(|| (first..=last).collect())
}
