//! Names: every key there is, and which one was meant by another tool's name or a typing error.

use super::elsewhere::{KEYS_ELSEWHERE, VALUES_ELSEWHERE};
use super::tree::Value;

/// Every key of a configuration, as `section.key`. Documentation and the tests walk this list.
pub const KEYS: &[&str] = &[
    "model.base",
    "model.revision",
    "model.licences",
    "model.device",
    "model.embeddings",
    "model.cache-quantized",
    "quantization.kind",
    "quantization.double",
    "lora.method",
    "lora.rank",
    "lora.alpha",
    "lora.targets",
    "lora.layers",
    "lora.scaling",
    "lora.rank-pattern",
    "lora.alpha-pattern",
    "lora.dropout",
    "lora.init",
    "lora.bias",
    "lora.modules-to-save",
    "lora.trainable-tokens",
    "lora.new-tokens",
    "lora.from",
    "data.train",
    "data.golden",
    "data.validation",
    "data.template",
    "data.template-date",
    "data.max-tokens",
    "data.over-long",
    "data.train-on",
    "data.shuffle",
    "data.bad-rows",
    "data.normalise.steps",
    "data.normalise.parts",
    "data.normalise.contractions",
    "data.normalise.quoted-replies.every-quote",
    "data.normalise.boilerplate.min-share",
    "data.normalise.boilerplate.max-share",
    "data.normalise.boilerplate.min-rows",
    "data.normalise.boilerplate.leading-lines",
    "data.normalise.terminology.file",
    "data.normalise.spelling.dictionary",
    "data.normalise.spelling.min-rows",
    "data.privacy.mode",
    "data.privacy.names",
    "data.privacy.entities",
    "data.privacy.threshold",
    "data.privacy.allow",
    "data.privacy.context",
    "data.privacy.phone-regions",
    "data.privacy.scope",
    "data.privacy.salt-file",
    "data.filters.empty-answer",
    "data.filters.min-prompt-characters",
    "data.filters.max-prompt-characters",
    "data.filters.min-answer-characters",
    "data.filters.max-answer-characters",
    "data.filters.mojibake",
    "data.filters.symbols.max-symbols",
    "data.filters.symbols.max-digits",
    "data.filters.repetition.max-duplicate-lines",
    "data.filters.repetition.max-top-words",
    "data.filters.repetition.max-duplicate-words",
    "data.filters.repetition.max-run",
    "data.filters.languages.allowed",
    "data.filters.languages.min-letters",
    "data.filters.languages.min-confidence",
    "data.filters.copied-answer",
    "data.filters.refusals.phrases",
    "data.filters.refusals.file",
    "data.filters.toxicity.built-in",
    "data.filters.toxicity.file",
    "data.filters.toxicity.min-words",
    "data.filters.toxicity.prompts",
    "data.filters.max-perplexity.above",
    "data.filters.max-perplexity.percentile",
    "data.clean.duplicates",
    "data.clean.near-duplicates",
    "data.clean.near-duplicates-keep",
    "data.labels.max-share",
    "data.labels.max-rows-per-label",
    "data.leaks.check",
    "data.leaks.similarity",
    "data.leaks.accept",
    "train.epochs",
    "train.steps",
    "train.rows-per-step",
    "train.tokens-per-step",
    "train.micro-batch-tokens",
    "train.share-prefixes",
    "train.learning-rate",
    "train.lora-plus-ratio",
    "train.schedule",
    "train.min-learning-rate-ratio",
    "train.warmup",
    "train.weight-decay",
    "train.beta1",
    "train.beta2",
    "train.epsilon",
    "train.max-grad-norm",
    "train.neftune-alpha",
    "train.seed",
    "train.save-activations",
    "train.without",
    "checkpoint.every",
    "checkpoint.keep",
    "eval.every",
    "eval.samples",
    "eval.sample-tokens",
    "eval.golden-rows",
    "eval.golden-tokens",
    "eval.labels",
    "eval.general",
    "eval.best",
    "eval.patience",
    "eval.least-improvement",
    "watchdog.not-finite",
    "watchdog.spike",
    "gate.limits",
    "gate.must-improve",
    "gate.non-inferior",
    "gate.slices",
    "gate.preferred",
    "gate.accept-leaks",
    "gate.red-team",
    "gate.sealed",
    "gate.ships",
    "gate.alpha",
    "gate.max-new-tokens",
    "output.dir",
];

/// A hint for an unknown key `path` (as written, with its section): another tool's name, the right section, or
/// the nearest name. `siblings` are the keys of the section it stands in.
pub(super) fn hint_for(path: &str, value: &Value, siblings: &[&str]) -> Option<String> {
    let last = path.rsplit('.').next().unwrap_or(path);
    let kebab = last.replace('_', "-").to_lowercase();
    if siblings.contains(&kebab.as_str()) {
        return Some(format!("write `{kebab}`"));
    }
    if let Some(says) = elsewhere(last, Some(value)) {
        return Some(says);
    }
    let same_name = KEYS.iter().find(|key| key.rsplit('.').next() == Some(kebab.as_str()));
    if let Some(key) = same_name {
        return Some(format!("this key is `{key}`"));
    }
    let near_sibling = nearest(&kebab, siblings.iter().copied());
    if let Some(name) = near_sibling {
        return Some(format!("did you mean `{name}`?"));
    }
    let near = KEYS.iter().filter_map(|key| Some((distance(&kebab, key.rsplit('.').next()?), key)));
    let (edits, key) = near.min_by_key(|(edits, _)| *edits)?;
    (edits <= allowed(&kebab)).then(|| format!("did you mean `{key}`?"))
}

/// What another tool's key is here.
pub(super) fn elsewhere(name: &str, value: Option<&Value>) -> Option<String> {
    let plain = name.replace('-', "_");
    if let ("optimizer" | "optim", Some(Value::String(kind))) = (plain.as_str(), value)
        && !matches!(kind.as_str(), "adamw" | "adamw_torch" | "adamw_torch_fused" | "AdamW")
    {
        return Some(format!(
            "`{kind}` is not offered: the optimizer is AdamW, its moments in f32; leave the key out"
        ));
    }
    let (_, ours) = KEYS_ELSEWHERE.iter().find(|(theirs, _)| *theirs == plain)?;
    if !ours.starts_with('`') {
        return Some(format!("`{name}`: {ours}"));
    }
    let (key, rest) = ours.split_at(ours.find([',', ':']).unwrap_or(ours.len()));
    Some(format!("`{name}` is {key} here{rest}"))
}

/// What another tool's value is for a key of ours.
pub(super) fn value_hint(key: &str, value: &str) -> Option<String> {
    let value = value.to_lowercase();
    let of_key = VALUES_ELSEWHERE.iter().filter(|(ours, ..)| *ours == key);
    let (_, _, says) = of_key.into_iter().find(|(_, theirs, _)| theirs.contains(&value.as_str()))?;
    Some(if says.starts_with('"') {
        format!("`{value}` is {says} here")
    } else {
        format!("`{value}`: {says}")
    })
}

/// The candidate that a typing error in `word` most likely meant.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.map(|candidate| (distance(word, candidate), candidate));
    let (edits, candidate) = scored.min_by_key(|(edits, _)| *edits)?;
    (edits <= allowed(word)).then_some(candidate)
}

/// A third of the letters, at least one: beyond that a suggestion is noise.
fn allowed(word: &str) -> usize {
    (word.chars().count() / 3).max(1)
}

/// Edit distance in characters: insertions, deletions, replacements, and swaps of neighbours (Damerau 1964, each
/// place edited once).
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_by_hand() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("rank", "rank"), 0);
        assert_eq!(distance("rank", "rnak"), 1);
    }

    fn hint(path: &str, siblings: &[&str]) -> Option<String> {
        hint_for(path, &Value::Boolean(true), siblings)
    }

    #[test]
    fn hints_name_the_key_meant() {
        assert_eq!(hint("lora_r", &["model"]).as_deref(), Some("`lora_r` is `lora.rank` here"));
        assert_eq!(hint("lora.r", &["rank"]).as_deref(), Some("`r` is `lora.rank` here"));
        assert_eq!(hint("lora.rnak", &["rank", "alpha"]).as_deref(), Some("did you mean `rank`?"));
        assert_eq!(hint("train.learning_rate", &["learning-rate"]).as_deref(), Some("write `learning-rate`"));
        assert_eq!(
            hint("learning-rate", &["train"]).as_deref(),
            Some("`learning-rate` is `train.learning-rate` here")
        );
        assert_eq!(
            hint("val_set_size", &[]).as_deref(),
            Some("`val_set_size` is `data.validation` here, as a fraction or a number of rows")
        );
        assert_eq!(
            hint("train.bf16", &[]).as_deref(),
            Some(
                "`bf16`: not needed: the arithmetic is f32 beside the base that `quantization.kind` describes"
            )
        );
        assert_eq!(hint("epochs", &["train"]).as_deref(), Some("this key is `train.epochs`"));
        assert_eq!(hint("zzzzzzzzz", &["train"]), None);
    }

    #[test]
    fn an_optimizer_that_is_not_offered_is_named() {
        let hint = |kind: &str| hint_for("optimizer", &Value::String(kind.into()), &["train"]);
        assert_eq!(
            hint("adamw_bnb_8bit").as_deref(),
            Some(
                "`adamw_bnb_8bit` is not offered: the optimizer is AdamW, its moments in f32; leave the key out"
            )
        );
        assert_eq!(hint("adamw_torch").as_deref(), Some("`optimizer`: not needed: the optimizer is AdamW"));
    }

    #[test]
    fn every_key_named_in_a_hint_exists() {
        for (theirs, ours) in KEYS_ELSEWHERE {
            let known = ["rtune ", "--resume", "best", "messages", "instruction", "output", "tensorboard/"];
            for quoted in ours.split('`').skip(1).step_by(2) {
                let key = quoted.split(' ').next().unwrap_or(quoted);
                let is_other = known.iter().any(|other| quoted.starts_with(other) && !KEYS.contains(&key));
                assert!(KEYS.contains(&key) || is_other, "{theirs} points to {key}");
            }
        }
        assert!(VALUES_ELSEWHERE.iter().all(|(key, ..)| KEYS.contains(key)));
    }

    #[test]
    fn names_of_other_tools_stand_once() {
        let mut seen = std::collections::BTreeSet::new();
        for (theirs, _) in KEYS_ELSEWHERE {
            assert!(seen.insert(theirs), "{theirs} stands twice");
            assert!(!theirs.contains('-'), "{theirs}: names are compared with `_`");
        }
        assert!(seen.len() >= 60);
    }
}
