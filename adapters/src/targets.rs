//! Which linears are adapted.

use regex::Regex;

use crate::{AdapterError, LoraConfig};

/// Which linears of the blocks are adapted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// All of them, except those of experts.
    AllLinear,
    /// Those whose name is, or ends with a dot and, one of these.
    Names(Vec<String>),
    /// Those whose whole name a regular expression matches.
    Pattern(String),
}

/// The block that a linear stands in, by the first part of its name that is a number, and the part before that:
/// (`layers`, 3) for `model.layers.3.mlp.experts.7.w1`.
#[must_use]
pub fn block_of(name: &str) -> Option<(&str, usize)> {
    let mut before = "";
    for part in name.split('.') {
        if let Ok(number) = part.parse() {
            return Some((before, number));
        }
        before = part;
    }
    None
}

/// A pattern of [`Targets::Pattern`], which must match whole names.
///
/// # Errors
/// [`AdapterError::Config`] if it is no regular expression.
pub fn whole(pattern: &str) -> Result<Regex, AdapterError> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
        AdapterError::Config(format!("pattern `{pattern}` is no regular expression: {error}"))
    })
}

/// Targets that are ready to be asked.
pub(crate) struct Chooser<'a> {
    config: &'a LoraConfig,
    pattern: Option<Regex>,
}

impl<'a> Chooser<'a> {
    /// # Errors
    /// As [`whole`].
    pub(crate) fn new(config: &'a LoraConfig) -> Result<Self, AdapterError> {
        let pattern = match &config.targets {
            Targets::Pattern(pattern) => Some(whole(pattern)?),
            Targets::AllLinear | Targets::Names(_) => None,
        };
        Ok(Self { config, pattern })
    }

    /// Whether the linear `name` is wanted, which may be `only_by_name`.
    pub(crate) fn wants(&self, name: &str, only_by_name: bool) -> bool {
        let named = match (&self.config.targets, &self.pattern) {
            (Targets::Names(targets), _) => targets.iter().any(|target| is_called(name, target)),
            (_, Some(pattern)) => pattern.is_match(name),
            _ => !only_by_name,
        };
        named && self.config.is_in_layers(name)
    }

    /// Looks that every target names one of the linears called `names`, every block is there, and `adapted`, how many
    /// linears are, is not 0.
    ///
    /// # Errors
    /// [`AdapterError::NoSuchTarget`] and [`AdapterError::Config`], by the name of what leads nowhere.
    pub(crate) fn check(&self, names: &[String], adapted: usize) -> Result<(), AdapterError> {
        let wrong = |problem: String| Err(AdapterError::Config(problem));
        if let Targets::Names(targets) = &self.config.targets {
            if targets.is_empty() {
                return wrong("no targets: an adapter on nothing would do nothing".to_owned());
            }
            let nowhere = |target: &&String| !names.iter().any(|name| is_called(name, target));
            let missing: Vec<String> = targets.iter().filter(nowhere).cloned().collect();
            if !missing.is_empty() {
                let mut available: Vec<String> =
                    names.iter().filter_map(|name| name.rsplit('.').next()).map(str::to_owned).collect();
                available.sort_unstable();
                available.dedup();
                return Err(AdapterError::NoSuchTarget { targets: missing, available });
            }
        }
        if let (Some(pattern), Targets::Pattern(text)) = (&self.pattern, &self.config.targets)
            && !names.iter().any(|name| pattern.is_match(name))
        {
            let example = names.first().map_or_else(String::new, |name| format!(" such as `{name}`"));
            return wrong(format!(
                "no linear layer of the model is matched by `{text}`, which must match a whole name{example}"
            ));
        }
        let has = |layer: &usize| names.iter().any(|name| block_of(name).is_some_and(|(_, at)| at == *layer));
        if let Some(layer) = self.config.layers.iter().flatten().find(|layer| !has(layer)) {
            let last = names.iter().filter_map(|name| block_of(name)).map(|(_, at)| at).max().unwrap_or(0);
            return wrong(format!("the model has no block {layer}: expected numbers from 0 to {last}"));
        }
        if adapted == 0 {
            return wrong(
                "none of the targets stands in the chosen blocks: the adapter would do nothing".to_owned(),
            );
        }
        Ok(())
    }
}

impl LoraConfig {
    /// Whether the linear called `name` stands in one of the blocks that are adapted.
    #[must_use]
    pub fn is_in_layers(&self, name: &str) -> bool {
        let Some(layers) = &self.layers else { return true };
        block_of(name).is_some_and(|(_, layer)| layers.contains(&layer))
    }
}

/// Whether `name` is, or ends with a dot and, `target`.
#[must_use]
pub fn is_called(name: &str, target: &str) -> bool {
    name.strip_suffix(target).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Linear, Weight, lora};

    fn linears() -> Vec<Linear> {
        let of = |layer: usize| {
            ["self_attn.q_proj", "self_attn.k_proj", "mlp.experts.1.w1"].map(|part| {
                let name = format!("model.layers.{layer}.{part}");
                let linear = Linear::new(name, Weight::from_f32(2, 2, vec![0.5; 4]), None);
                if part.contains("experts") { linear.only_by_name() } else { linear }
            })
        };
        (0..3).flat_map(of).collect()
    }

    fn attached(targets: Targets, layers: Option<Vec<usize>>) -> Result<Vec<String>, String> {
        let config = LoraConfig { targets, layers, ..LoraConfig::new(1, 1.0) };
        let mut linears = linears();
        lora::attach::<f32>(&mut linears, &config).map_err(|error| error.to_string())?;
        Ok(linears.iter().filter(|linear| linear.lora.is_some()).map(|l| l.name().to_owned()).collect())
    }

    #[test]
    fn a_pattern_matches_whole_names_and_layers_are_those_of_blocks() {
        let pattern = |text: &str| Targets::Pattern(text.to_owned());
        let found = attached(pattern(r"model\.layers\.[12]\..*(q_proj|w1)"), None).expect("found");
        assert_eq!(found.len(), 4);
        assert!(found.iter().all(|name| !name.contains("layers.0") && !name.contains("k_proj")));
        let found = attached(pattern(r".*\.w1"), Some(vec![2])).expect("found");
        assert_eq!(found, ["model.layers.2.mlp.experts.1.w1"]);
        let found = attached(Targets::AllLinear, Some(vec![1])).expect("found");
        assert_eq!(found, ["model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.k_proj"]);
        let found = attached(Targets::Names(vec!["q_proj".into()]), Some(vec![0, 2])).expect("found");
        assert_eq!(found, ["model.layers.0.self_attn.q_proj", "model.layers.2.self_attn.q_proj"]);
    }

    #[test]
    fn what_would_do_nothing_is_refused_by_name() {
        let refused = |targets, layers| attached(targets, layers).expect_err("refused");
        let nothing = refused(Targets::Pattern("q_proj".to_owned()), None);
        assert!(
            nothing.contains("matched by `q_proj`, which must match a whole name such as `model.layers.0")
        );
        assert!(refused(Targets::Pattern("q_(".to_owned()), None).contains("is no regular expression"));
        let beyond = refused(Targets::AllLinear, Some(vec![1, 3]));
        assert_eq!(beyond, "the model has no block 3: expected numbers from 0 to 2");
        let apart = refused(Targets::Pattern(r".*\.0\..*".to_owned()), Some(vec![1]));
        assert!(apart.contains("none of the targets stands in the chosen blocks"), "{apart}");
    }
}
