//! The architectures of llama.cpp that are families here, and what their files say by keys of their own.

use crate::config::bounds::{MAX_EXPERTS, MAX_FACTOR, MAX_HEADS, MAX_POSITIONS, MAX_THETA, MAX_WIDTH};
use crate::{ModelConfig, ModelError};

use super::metadata::{Metadata, Value};

/// An architecture of llama.cpp.
#[derive(Debug)]
pub(super) struct Architecture {
    /// `general.architecture`, which stands before every key of its own.
    pub(super) name: &'static str,
    /// What `config.json` calls the family.
    pub(super) model_type: &'static str,
    /// Whether llama.cpp's converter interleaves the rows of queries and keys.
    pub(super) interleaved: bool,
    /// Keys beyond those of every architecture.
    pub(super) keys: &'static [Key],
    /// What holds for every file, and is said nowhere in it: a key of `config.json` and its value.
    pub(super) fixed: &'static [(&'static str, bool)],
    /// Whether the output of attention and the linears of the MLP may have biases; queries, keys and values may in every one.
    pub(super) biased: bool,
    /// The number of blocks of the one size whose scores are scaled by the width over the heads, and not by the width of
    /// a head, as Gemma's 27B are: llama.cpp too knows them by that.
    pub(super) scaled_by_width_at_blocks: Option<usize>,
    /// Whether its loader looks for biases wherever attention may have some, and loads nothing without them.
    pub(super) wants_biases: bool,
    /// The head that its loader looks for.
    pub(super) head: Head,
    /// Whether its loader has a place for `rope_freqs.weight`.
    pub(super) loads_divisors: bool,
    /// Where its loader looks for the divisors of LongRoPE.
    pub(super) long_rope: LongRope,
}

/// The head that a loader of llama.cpp looks for: it loads no file in which a tensor is missing, or of which one is left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// One of its own, or the embedding where there is none.
    Either,
    /// One of its own, also where it is the embedding.
    Own,
    /// The embedding alone.
    Embedding,
}

/// When a loader of llama.cpp looks for the divisors of LongRoPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LongRope {
    /// Never.
    Unknown,
    /// Where the type of the scaling says so.
    ByType,
    /// Always.
    ByTensors,
}

/// A key of a file behind its architecture, the key of `config.json` that says the same, and what may stand there.
pub(super) type Key = (&'static str, &'static str, Kind);

/// What may stand under a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A whole number up to this.
    Size(usize),
    /// A number above 0 and up to this.
    Number(f64),
    /// True or false.
    Switch,
}

const PLAIN: Architecture = Architecture {
    name: "llama",
    model_type: "llama",
    interleaved: false,
    keys: &[],
    fixed: &[],
    biased: false,
    scaled_by_width_at_blocks: None,
    wants_biases: false,
    head: Head::Either,
    loads_divisors: false,
    long_rope: LongRope::Unknown,
};

/// Llama, and what llama.cpp builds as one.
const LIKE_LLAMA: Architecture = Architecture {
    interleaved: true,
    biased: true,
    loads_divisors: true,
    long_rope: LongRope::ByType,
    ..PLAIN
};

/// Mixtral is the architecture `llama` with experts.
static MIXTRAL: Architecture = Architecture {
    model_type: "mixtral",
    keys: &[
        (EXPERTS, "num_local_experts", Kind::Size(MAX_EXPERTS)),
        (EXPERTS_USED, "num_experts_per_tok", Kind::Size(MAX_EXPERTS)),
    ],
    ..LIKE_LLAMA
};

/// By `general.architecture`.
static ARCHITECTURES: &[Architecture] = &[
    LIKE_LLAMA,
    Architecture {
        name: "granite",
        model_type: "granite",
        keys: &[
            ("attention.scale", "attention_multiplier", Kind::Number(MAX_FACTOR)),
            ("embedding_scale", "embedding_multiplier", Kind::Number(MAX_FACTOR)),
            ("residual_scale", "residual_multiplier", Kind::Number(MAX_FACTOR)),
            ("logit_scale", "logits_scaling", Kind::Number(MAX_FACTOR)),
        ],
        ..LIKE_LLAMA
    },
    Architecture { name: "smollm3", model_type: "smollm3", interleaved: true, ..PLAIN },
    Architecture { name: "qwen2", model_type: "qwen2", ..PLAIN },
    Architecture { name: "qwen3", model_type: "qwen3", ..PLAIN },
    Architecture {
        name: "qwen3moe",
        model_type: "qwen3_moe",
        keys: &[
            (EXPERTS, "num_experts", Kind::Size(MAX_EXPERTS)),
            (EXPERTS_USED, "num_experts_per_tok", Kind::Size(MAX_EXPERTS)),
            ("expert_feed_forward_length", "moe_intermediate_size", Kind::Size(MAX_WIDTH)),
        ],
        // All that were published have it, and llama.cpp computes nothing else.
        fixed: &[("norm_topk_prob", true)],
        ..PLAIN
    },
    Architecture { name: "olmo2", model_type: "olmo2", head: Head::Own, ..PLAIN },
    Architecture {
        name: "phi3",
        model_type: "phi3",
        keys: &[(WINDOW, "sliding_window", Kind::Size(MAX_POSITIONS))],
        long_rope: LongRope::ByTensors,
        ..PLAIN
    },
    Architecture { name: "gemma", model_type: "gemma", head: Head::Embedding, ..PLAIN },
    Architecture {
        name: "gemma2",
        model_type: "gemma2",
        keys: &[
            (WINDOW, "sliding_window", Kind::Size(MAX_POSITIONS)),
            ("attn_logit_softcapping", "attn_logit_softcapping", Kind::Number(MAX_FACTOR)),
            ("final_logit_softcapping", "final_logit_softcapping", Kind::Number(MAX_FACTOR)),
        ],
        scaled_by_width_at_blocks: Some(46),
        head: Head::Embedding,
        ..PLAIN
    },
    Architecture {
        name: "gemma3",
        model_type: "gemma3_text",
        keys: &[
            (WINDOW, "sliding_window", Kind::Size(MAX_POSITIONS)),
            ("final_logit_softcapping", "final_logit_softcapping", Kind::Number(MAX_FACTOR)),
            ("rope.freq_base_swa", "rope_local_base_freq", Kind::Number(MAX_THETA)),
        ],
        scaled_by_width_at_blocks: Some(62),
        ..PLAIN
    },
    Architecture {
        name: "gptneox",
        model_type: "gpt_neox",
        biased: true,
        wants_biases: true,
        head: Head::Own,
        keys: &[("use_parallel_residual", "use_parallel_residual", Kind::Switch)],
        ..PLAIN
    },
    Architecture {
        name: "falcon",
        model_type: "falcon",
        keys: &[
            ("feed_forward_length", "ffn_hidden_size", Kind::Size(MAX_WIDTH)),
            ("attention.head_count_kv", "num_kv_heads", Kind::Size(MAX_HEADS)),
        ],
        // The older layout is the newer one with a single key head.
        fixed: &[("new_decoder_architecture", true)],
        ..PLAIN
    },
];

const EXPERTS: &str = "expert_count";
const EXPERTS_USED: &str = "expert_used_count";
pub(super) const WINDOW: &str = "attention.sliding_window";

/// Keys that change what a model computes; an architecture that does not read one refuses it, unless it is off.
const MATHEMATICS: &[&str] = &[
    EXPERTS,
    EXPERTS_USED,
    WINDOW,
    "attention.causal",
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "attention.scale",
    "attention.temperature_length",
    "attn_logit_softcapping",
    "deepstack_mapping",
    "embedding_scale",
    "expert_group_count",
    "expert_shared_count",
    "expert_weights_scale",
    "final_logit_softcapping",
    "leading_dense_block_count",
    "logit_scale",
    "nextn_predict_layers",
    "residual_scale",
    "rope.freq_base_swa",
    "use_parallel_residual",
];

/// The architecture of a file.
///
/// # Errors
/// For one that is no family here, and for a key that changes what it computes.
pub(super) fn of(metadata: &Metadata) -> Result<&'static Architecture, ModelError> {
    const KEY: &str = "general.architecture";
    let known = || {
        let names: Vec<&str> = ARCHITECTURES.iter().map(|architecture| architecture.name).collect();
        names.join(", ")
    };
    let Some(name) = metadata.string(KEY)? else {
        return Err(metadata.missing(KEY, &format!("one of {}", known())));
    };
    let Some(found) = ARCHITECTURES.iter().find(|architecture| architecture.name == name) else {
        return Err(metadata.unsupported(KEY, format!("\"{name}\""), &known()));
    };
    let experts = metadata.get(&found.key(EXPERTS)).is_some_and(|value| !is_off(EXPERTS, value));
    let found = if found.name == MIXTRAL.name && experts { &MIXTRAL } else { found };
    for suffix in MATHEMATICS {
        let key = found.key(suffix);
        let reads = found.keys.iter().any(|(read, ..)| read == suffix);
        if !reads && metadata.get(&key).is_some_and(|value| !is_off(suffix, value)) {
            let supported = format!("a plain {}, without this key", found.model_type);
            return Err(metadata.unsupported(&key, "given", &supported));
        }
    }
    Ok(found)
}

/// The architecture of a configuration; `None` for a family that llama.cpp does not have.
pub(super) fn for_config(config: &ModelConfig) -> Option<&'static Architecture> {
    let is = |name: &str| config.family.model_types.contains(&name);
    let all = std::iter::once(&MIXTRAL).chain(ARCHITECTURES);
    all.into_iter().find(|architecture| is(architecture.model_type)).or_else(|| {
        // A Mistral whose layers see everything is a Llama.
        let plain = is("mistral") && config.layers().iter().all(|layer| layer.window.is_none());
        ARCHITECTURES.iter().find(|architecture| plain && architecture.model_type == "llama")
    })
}

/// What is known, as `config.json` calls it.
pub(super) fn names() -> Vec<&'static str> {
    std::iter::once(&MIXTRAL).chain(ARCHITECTURES).map(|architecture| architecture.model_type).collect()
}

impl Architecture {
    /// A key of this architecture.
    pub(super) fn key(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.name)
    }
}

/// Whether a value says that there is no such thing; attention is causal in every model here.
fn is_off(suffix: &str, value: &Value) -> bool {
    match value {
        Value::Integer(number) => *number == 0,
        Value::Float(number) => *number == 0.0,
        Value::Boolean(on) => *on == (suffix == "attention.causal"),
        Value::Array(values) => values.is_empty(),
        Value::String(_) => false,
    }
}
