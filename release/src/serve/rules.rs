//! The rules of each server, a row each.

use std::collections::{BTreeMap, BTreeSet};

use rtune_adapters::{Biases, Scaling};

use super::{Form, Server};
use crate::model::VerifiedAdapter;

/// What one server takes.
pub(super) struct Rules {
    pub(super) name: &'static str,
    pub(super) forms: &'static [Form],
    /// Families that it has no models of.
    pub(super) not_served: &'static [&'static str],
    /// Families whose models take no adapter there.
    without_adapters: &'static [&'static str],
    /// Families whose models it loads in no packing.
    pub(super) unpacked: &'static [&'static str],
    /// The largest rank.
    pub(super) most_rank: Option<usize>,
    /// The last parts of the names of linears that it adapts; `None` for all.
    targets: Option<&'static [&'static str]>,
    /// Whether it wants a pair in every block wherever there is one.
    every_block: bool,
    /// Linears beside which it wants another of the same block, without which they are left out or the adapter is not loaded.
    together: &'static [(&'static str, &'static [&'static str])],
    /// Which pairs on experts it takes.
    experts: OnExperts,
}

/// Pairs on experts that a server takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnExperts {
    /// Any.
    Any,
    /// Those of gate, up and down together.
    Whole,
    /// None: it would look for the linears of an MLP by their names.
    None,
}

/// What stands in front of an expert's number.
const EXPERTS: &str = ".experts.";
/// Linears of an expert.
const OF_EXPERT: usize = 3;

/// Names of Llama's linears, which most families share.
const SPLIT: &[&str] = &["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
const SPLIT_OR_FUSED: &[&str] = &[
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
    "qkv_proj",
    "gate_up_proj",
];
const FALCON: &[&str] = &["falcon", "RefinedWeb", "RefinedWebModel"];
const OLD: &[&str] = &["falcon", "RefinedWeb", "RefinedWebModel", "gpt_neox"];

/// What TGI has no model of its own for (`get_model` in `models/__init__.py`): transformers' classes compute it, without kernels for
/// GPTQ and AWQ, and without a place for adapters.
const BY_AUTO_MODEL: &[&str] = &["olmo2", "qwen3", "qwen3_moe", "smollm3"];

const VLLM: Rules = Rules {
    name: "vLLM",
    forms: &[Form::Adapter, Form::Model, Form::FourBits, Form::Packed],
    not_served: &[],
    without_adapters: OLD,
    unpacked: &[],
    most_rank: Some(512),
    targets: None,
    every_block: false,
    together: &[],
    // `PackedLoRALayerWeights.pack_moe` asks for all three of each expert.
    experts: OnExperts::Whole,
};

const TGI: Rules = Rules {
    name: "Text Generation Inference",
    // It quantises 16-bit weights by bitsandbytes as it starts, and loads none that are quantised so.
    forms: &[Form::Adapter, Form::Model, Form::Packed],
    not_served: &[],
    without_adapters: &[
        "falcon",
        "RefinedWeb",
        "RefinedWebModel",
        "gpt_neox",
        "olmo2",
        "qwen3",
        "qwen3_moe",
        "smollm3",
    ],
    unpacked: BY_AUTO_MODEL,
    most_rank: None,
    targets: Some(SPLIT),
    every_block: true,
    together: &[],
    experts: OnExperts::None,
};

const SGLANG: Rules = Rules {
    name: "SGLang",
    forms: &[Form::Adapter, Form::Model, Form::FourBits, Form::Packed],
    not_served: OLD,
    without_adapters: &[],
    unpacked: &[],
    most_rank: None,
    targets: Some(SPLIT_OR_FUSED),
    every_block: false,
    // normalize_qkv_proj and normalize_gate_up_proj go from queries and gates to the others.
    together: &[
        ("q_proj", &["v_proj"]),
        ("k_proj", &["q_proj", "v_proj"]),
        ("v_proj", &["q_proj"]),
        ("up_proj", &["gate_proj"]),
    ],
    experts: OnExperts::Any,
};

const HF_ENDPOINTS: Rules = Rules {
    name: "An Inference Endpoint",
    // Whose container is TGI or vLLM, as the hub chooses.
    forms: &[Form::Model, Form::Packed],
    not_served: &[],
    without_adapters: &[],
    unpacked: &[],
    most_rank: None,
    targets: None,
    every_block: false,
    together: &[],
    experts: OnExperts::Any,
};

const SAGEMAKER: Rules = Rules { name: "SageMaker's container for language models", ..HF_ENDPOINTS };

const TENSORRT_LLM: Rules = Rules {
    name: "TensorRT-LLM",
    forms: &[Form::Adapter, Form::Model],
    not_served: &["falcon", "RefinedWeb", "RefinedWebModel", "gpt_neox", "olmo2", "gemma", "gemma2"],
    // By its other backend, AutoDeploy, which has no adapters for them.
    without_adapters: &["granite", "smollm3"],
    unpacked: &[],
    most_rank: None,
    targets: Some(&[
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
        "gate_up_proj",
    ]),
    every_block: false,
    together: &[],
    // Its names of them are `w1`, `w2` and `w3` alone; others it takes for the dense MLP's.
    experts: OnExperts::None,
};

const LM_STUDIO: Rules = Rules { name: "LM Studio", forms: &[Form::Gguf], ..HF_ENDPOINTS };

const MLX: Rules = Rules { name: "mlx-lm", forms: &[Form::Model], not_served: FALCON, ..HF_ENDPOINTS };

impl Rules {
    pub(super) fn of(server: Server) -> &'static Self {
        match server {
            Server::Vllm => &VLLM,
            Server::Tgi => &TGI,
            Server::Sglang => &SGLANG,
            Server::HfEndpoints => &HF_ENDPOINTS,
            Server::Sagemaker => &SAGEMAKER,
            Server::TensorrtLlm => &TENSORRT_LLM,
            Server::LmStudio => &LM_STUDIO,
            Server::Mlx => &MLX,
        }
    }

    /// What it would not take of an adapter, each as the end of a sentence that its name begins.
    pub(super) fn of_adapter(
        &self,
        family: &str,
        blocks: usize,
        VerifiedAdapter { adapter, initial, .. }: &VerifiedAdapter,
    ) -> Vec<String> {
        let config = &adapter.config;
        let mut problems = Vec::new();
        if self.without_adapters.contains(&family) {
            problems.push(format!("takes no adapters for models of the family `{family}`"));
        }
        let alongside = &config.alongside;
        let unknown = [
            (config.dora, "knows no DoRA (`lora.method = \"dora\"`)"),
            (alongside.biases != Biases::None, "adds no biases of an adapter (`lora.bias`)"),
            (
                !alongside.modules.is_empty(),
                "takes no whole modules from an adapter (`lora.modules-to-save`)",
            ),
            (!alongside.tokens.is_empty(), "takes no trained or new tokens from an adapter"),
        ];
        problems.extend(
            unknown.into_iter().filter(|(is_there, _)| *is_there).map(|(_, problem)| problem.to_owned()),
        );
        let linears: Vec<&str> =
            adapter.tensors.keys().filter_map(|name| name.strip_suffix(".lora_A.weight")).collect();
        // All of them read one rank and one alpha, and would scale the others wrongly without a word.
        let divisor = match config.scaling {
            Scaling::Standard => config.rank as f64,
            Scaling::RankStabilized => (config.rank as f64).sqrt(),
        };
        let usual = (config.rank, config.alpha / divisor);
        let other = linears.iter().find(|name| config.of(name).ok() != Some(usual));
        if let Some(name) = other {
            problems.push(format!(
                "reads one rank and one alpha, and `{name}` has others (`lora.rank-pattern`, `lora.alpha-pattern`)"
            ));
        }
        let rank = rank_of(config.rank, initial.is_some());
        if let Some(most) = self.most_rank.filter(|most| rank > *most) {
            problems.push(format!("takes ranks up to {most}, and this adapter has {rank}"));
        }
        let parts: BTreeSet<&str> = linears.iter().filter_map(|name| name.rsplit('.').next()).collect();
        let foreign = |part: &&&str| self.targets.is_some_and(|known| !known.contains(part));
        if let Some(part) = parts.iter().find(foreign) {
            problems.push(format!("adapts no linear called `{part}` (`lora.targets`)"));
        }
        problems.extend(self.alone(&linears));
        problems.extend(self.on_experts(&linears));
        if self.every_block {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for name in &linears {
                *counts.entry(name.rsplit('.').next().unwrap_or(name)).or_default() += 1;
            }
            if let Some((part, count)) = counts.iter().find(|(_, count)| **count < blocks) {
                problems.push(format!(
                    "leaves out all `{part}` where not every block has one: {count} of {blocks} do (`lora.layers`)"
                ));
            }
        }
        problems
    }
}

impl Rules {
    /// What it makes of pairs on experts, where it would not take them.
    fn on_experts(&self, linears: &[&str]) -> Option<String> {
        let mut of_experts = linears.iter().filter_map(|name| Some((name, name.split_once(EXPERTS)?.1)));
        match self.experts {
            OnExperts::Any => None,
            OnExperts::None => of_experts
                .next()
                .map(|(name, _)| format!("adapts no experts, and `{name}` is one's (`lora.targets`)")),
            OnExperts::Whole => {
                let (first, _) = of_experts.clone().next()?;
                let parts: BTreeSet<&str> =
                    of_experts.filter_map(|(_, rest)| rest.rsplit('.').next()).collect();
                (parts.len() < OF_EXPERT).then(|| {
                    format!(
                        "reads gate, up and down of an expert together alone, and `{first}` is without the others (`lora.targets`)"
                    )
                })
            }
        }
    }

    /// The first linear that it wants another one beside, which is not there.
    fn alone(&self, linears: &[&str]) -> Option<String> {
        let beside = |linear: &&str| {
            let (block, part) = linear.rsplit_once('.')?;
            let (_, wanted) = self.together.iter().find(|(name, _)| *name == part)?;
            let is_there = |wanted: &&&str| linears.contains(&format!("{block}.{wanted}").as_str());
            let missing = wanted.iter().find(|wanted| !is_there(wanted))?;
            Some(format!(
                "reads `{part}` together with `{missing}` of its block alone, and `{linear}` is without (`lora.targets`)"
            ))
        };
        linears.iter().find_map(beside)
    }
}

/// The rank of what is written: an adapter that `began` with something of its base is written with twice its own, beside the
/// whole base.
pub(super) fn rank_of(rank: usize, began: bool) -> usize {
    if began { 2 * rank } else { rank }
}
