//! Adapters on experts. Beside transformers 5, which keeps the experts of a block as one parameter, PEFT makes one pair of all of them
//! as it loads an adapter, and of gate and up together one of twice the rank.
//!
//! Source: PEFT 0.21 `utils/transformers_weight_conversion.py`, `tuners/lora/layer.py` (`ParamWrapper`).

use std::collections::{BTreeMap, BTreeSet};

use rtune_adapters::peft::PeftAdapter;
use rtune_adapters::{Scaling, Targets};
use rtune_models::BaseModel;
use serde_json::{Map, Value, json};

use crate::error::ReleaseError;
use crate::settings;

/// What stands in front of an expert's number.
pub(super) const EXPERTS: &str = ".experts.";
/// Gate, up and down of an expert, by the families that have experts.
const PARTS: [[&str; 3]; 2] = [["w1", "w3", "w2"], ["gate_proj", "up_proj", "down_proj"]];

/// Settings by which the adapter is loaded and computes what was trained; those of an adapter on no expert as they are.
///
/// # Errors
/// [`ReleaseError::Experts`] for one that PEFT would refuse, or load as another one.
pub(super) fn settings(
    keys: Map<String, Value>,
    adapter: &PeftAdapter,
    base: Option<&BaseModel>,
) -> Result<Map<String, Value>, ReleaseError> {
    let linears: &[String] = match &adapter.config.targets {
        Targets::Names(names) => names,
        Targets::AllLinear | Targets::Pattern(_) => &[],
    };
    let count = base.and_then(|base| base.config.differences.experts).map(|experts| experts.choice.experts);
    if let Some(problem) = problem(adapter, linears, count) {
        return Err(ReleaseError::Experts { problem });
    }
    if !linears.iter().any(|linear| linear.contains(EXPERTS)) {
        return Ok(keys);
    }
    // The root of twice the rank is not twice the root.
    let mut keys = settings::standard(keys);
    // It is of training alone, and refused also where nothing is trained.
    keys.insert("lora_dropout".to_owned(), json!(0.0));
    Ok(keys)
}

/// What keeps it from being loaded as it is, as the end of a sentence; `count` is how many experts the base has in a block, if it has any
/// and is at hand.
fn problem(adapter: &PeftAdapter, linears: &[String], count: Option<usize>) -> Option<String> {
    let config = &adapter.config;
    let has_experts = count.is_some() || linears.iter().any(|linear| linear.contains(EXPERTS));
    let mut blocks: BTreeMap<&str, BTreeMap<&str, BTreeSet<usize>>> = BTreeMap::new();
    for linear in linears {
        match linear.split_once(EXPERTS).and_then(|(block, rest)| Some((block, rest.split_once('.')?))) {
            Some((block, (number, part))) => {
                blocks.entry(block).or_default().entry(part).or_default().extend(number.parse::<usize>());
            }
            None => {
                let part = linear.rsplit('.').next().unwrap_or(linear);
                if has_experts && PARTS.iter().flatten().any(|of_expert| *of_expert == part) {
                    return Some(format!("takes `{linear}`, which is no expert's, for one of an expert"));
                }
            }
        }
    }
    let (_, first) = blocks.first_key_value()?;
    let expected: BTreeSet<&str> = first.keys().copied().collect();
    if config.dora {
        return Some("has no DoRA on experts (`lora.method`)".to_owned());
    }
    let own = |linear: &&String| config.rank_and_alpha(linear).ok() != Some((config.rank, config.alpha));
    if let Some(linear) = linears.iter().find(|linear| linear.contains(EXPERTS) && own(linear)) {
        return Some(format!(
            "gives all experts one rank and one alpha, and `{linear}` has its own (`lora.rank-pattern`, `lora.alpha-pattern`)"
        ));
    }
    if config.scaling == Scaling::RankStabilized && !config.rank_pattern.is_empty() {
        return Some(
            "scales pairs on experts by their rank alone, and with ranks of their own beside them (`lora.rank-pattern`) rank-stabilised \
             scales cannot be written so"
                .to_owned(),
        );
    }
    for [gate, up, down] in PARTS {
        let has = [gate, up, down].map(|part| expected.contains(part));
        if has[0] != has[1] || (has[0] && !has[2]) {
            return Some(format!(
                "adapts `{gate}` and `{up}` of experts as one matrix, and both only beside `{down}` (`lora.targets`)"
            ));
        }
    }
    let most = blocks.values().flat_map(BTreeMap::values).flatten().max().map_or(0, |last| last + 1);
    let all: BTreeSet<usize> = (0..count.unwrap_or(most)).collect();
    for (block, parts) in &blocks {
        let parts_differ = !parts.keys().copied().eq(expected.iter().copied());
        if parts_differ || parts.values().any(|numbers| *numbers != all) {
            return Some(format!(
                "adapts all experts of a block or none, and in `{block}{}` some have no pair (`lora.targets`)",
                EXPERTS.trim_end_matches('.')
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rtune_adapters::LoraConfig;

    use super::*;

    const ALL: [&str; 3] = ["w1", "w3", "w2"];

    /// An adapter on these linears.
    fn on(linears: Vec<String>) -> PeftAdapter {
        let config = LoraConfig { targets: Targets::Names(linears), ..LoraConfig::new(4, 3.0) };
        PeftAdapter { config, tensors: BTreeMap::new(), left_out: 0, base_model: None }
    }

    fn experts(blocks: &[usize], numbers: &[usize], parts: &[&str]) -> Vec<String> {
        let mut names = Vec::new();
        for (block, number) in
            blocks.iter().flat_map(|block| numbers.iter().map(move |number| (block, number)))
        {
            names.extend(
                parts
                    .iter()
                    .map(|part| format!("model.layers.{block}.block_sparse_moe.experts.{number}.{part}")),
            );
        }
        names
    }

    fn said(adapter: &PeftAdapter, count: Option<usize>) -> Option<String> {
        let Targets::Names(linears) = &adapter.config.targets else { panic!("names") };
        problem(adapter, linears, count)
    }

    fn is_refused(adapter: &PeftAdapter, count: Option<usize>, by: &str) {
        let said = said(adapter, count).expect("refused");
        assert!(said.contains(by), "{said}");
    }

    #[test]
    fn whole_blocks_of_experts_are_written_with_scales_by_rank_and_without_dropout() {
        let mut linears = experts(&[0, 1], &[0, 1, 2], &ALL);
        linears.push("model.layers.0.self_attn.q_proj".to_owned());
        let mut adapter = on(linears);
        adapter.config.scaling = Scaling::RankStabilized;
        let keys = json!({"r": 4, "lora_alpha": 3, "use_rslora": true, "lora_dropout": 0.2});
        let keys = keys.as_object().cloned().expect("an object");
        let written = settings(keys, &adapter, None).expect("whole");
        let expected = json!({"r": 4, "lora_alpha": 6, "use_rslora": false, "lora_dropout": 0.0});
        assert_eq!(Value::Object(written), expected);
        assert_eq!(said(&on(experts(&[1], &[0, 1], &["w2"])), Some(2)), None);
    }

    #[test]
    fn adapters_on_no_expert_stay_as_they_are() {
        let adapter = on(vec!["model.layers.0.mlp.gate_proj".to_owned()]);
        let keys = json!({"use_rslora": true, "lora_dropout": 0.2}).as_object().cloned().expect("an object");
        assert_eq!(settings(keys.clone(), &adapter, None).expect("as it is"), keys);
    }

    #[test]
    fn what_would_be_another_adapter_is_refused_by_name() {
        let whole = experts(&[0, 1], &[0, 1], &ALL);
        let mut other = on(whole.clone());
        other.config.dora = true;
        is_refused(&other, Some(2), "DoRA");
        let mut other = on(whole.clone());
        other.config.alpha_pattern = vec![(r".*experts\.1\.w2".to_owned(), 5.0)];
        is_refused(&other, Some(2), "experts.1.w2` has its own");
        let mut other = on(whole.clone());
        other.config.scaling = Scaling::RankStabilized;
        other.config.rank_pattern = vec![("q_proj".to_owned(), 8)];
        is_refused(&other, Some(2), "lora.rank-pattern");
        for parts in [&["w1"][..], &["w3", "w2"], &["w1", "w3"]] {
            is_refused(&on(experts(&[0], &[0, 1], parts)), Some(2), "as one matrix");
        }
        is_refused(&on(whole.clone()), Some(3), "all experts of a block or none");
        let mut some = whole.clone();
        some.retain(|name| !name.contains("layers.1.block_sparse_moe.experts.0"));
        is_refused(&on(some), None, "layers.1.block_sparse_moe.experts`");
        let mut dense = whole;
        dense.push("model.layers.2.mlp.down_proj".to_owned());
        is_refused(&on(dense.clone()), Some(2), "model.layers.2.mlp.down_proj");
        is_refused(&on(dense), None, "model.layers.2.mlp.down_proj");
    }
}
