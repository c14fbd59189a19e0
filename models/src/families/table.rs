//! The table of differences.

use rtune_kernels::activation::Activation;

use super::row::{Bias, ExpertNames, Family, Keys, LayerWindows, MlpNames, Names, ProjectionNames};
use super::spec::{Joint, NormKind, QueryKeyNorm};

/// Every family, by its row.
pub static FAMILIES: &[&Family] = &[
    &LLAMA, &GRANITE, &MISTRAL, &MIXTRAL, &QWEN2, &QWEN3, &QWEN3_MOE, &SMOLLM3, &OLMO2, &PHI3, &GEMMA,
    &GEMMA2, &GEMMA3, &GPT_NEOX, &FALCON,
];

const LLAMA_NAMES: Names = Names {
    embedding: "model.embed_tokens",
    blocks: "model.layers",
    attention_norm: Some("input_layernorm"),
    attention_out_norm: None,
    mlp_norm: Some("post_attention_layernorm"),
    mlp_out_norm: None,
    query_key_norm: ["self_attn.q_norm", "self_attn.k_norm"],
    projections: ProjectionNames::Split(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    output: "self_attn.o_proj",
    mlp: MlpNames::Gated(["mlp.gate_proj", "mlp.up_proj"]),
    down: "mlp.down_proj",
    experts: None,
    final_norm: "model.norm",
    head: "lm_head",
    head_in_files: "lm_head",
    ignored: &[".rotary_emb.inv_freq"],
};

const ATTENTION_BIAS: Bias = Bias::Key("attention_bias", false);

const LLAMA_KEYS: Keys = Keys {
    renamed: &[],
    epsilon: ("rms_norm_eps", 1e-6),
    activation: &["hidden_act"],
    activations: &[Activation::Silu],
    gelu_is_tanh: false,
    kv_heads: None,
    head_dim: None,
    positions: 2048,
    tied: false,
    biases: [ATTENTION_BIAS, ATTENTION_BIAS, Bias::Key("mlp_bias", false)],
    parallel: Bias::Never,
    theta: ("rope_theta", 10_000.0),
    rotary_fraction: None,
    original_positions: None,
    local_theta: None,
    layers_without_rope: false,
    windows: LayerWindows::Never,
    multipliers: false,
    query_scalar: false,
    caps: [None, None],
    expert_width: "intermediate_size",
    expert_count: "num_local_experts",
    normalized_experts: Bias::Always,
};

/// Llama 2 and 3, SmolLM 1 and 2, Yi, DeepSeek-LLM.
pub static LLAMA: Family = Family {
    model_types: &["llama"],
    architectures: &["LlamaForCausalLM"],
    names: LLAMA_NAMES,
    norm: NormKind::Rms,
    query_key_norm: QueryKeyNorm::None,
    scaled_embedding: false,
    keys: LLAMA_KEYS,
};

/// Granite 3: a Llama with four multipliers.
static GRANITE: Family = Family {
    model_types: &["granite"],
    architectures: &["GraniteForCausalLM"],
    keys: Keys { multipliers: true, ..LLAMA_KEYS },
    ..LLAMA
};

const MISTRAL_KEYS: Keys = Keys {
    kv_heads: Some(8),
    positions: 131_072,
    biases: [Bias::Never; 3],
    windows: LayerWindows::All { absent: Some(4096) },
    ..LLAMA_KEYS
};

static MISTRAL: Family =
    Family { model_types: &["mistral"], architectures: &["MistralForCausalLM"], keys: MISTRAL_KEYS, ..LLAMA };

static MIXTRAL: Family = Family {
    model_types: &["mixtral"],
    architectures: &["MixtralForCausalLM"],
    names: Names {
        experts: Some(ExpertNames {
            router: "block_sparse_moe.gate",
            experts: "block_sparse_moe.experts",
            linears: ["w1", "w3", "w2"],
        }),
        ..LLAMA_NAMES
    },
    keys: Keys {
        epsilon: ("rms_norm_eps", 1e-5),
        theta: ("rope_theta", 1_000_000.0),
        windows: LayerWindows::All { absent: None },
        renamed: &[("num_experts", "num_local_experts")],
        ..MISTRAL_KEYS
    },
    ..LLAMA
};

/// Qwen 2 and 2.5.
static QWEN2: Family = Family {
    model_types: &["qwen2"],
    architectures: &["Qwen2ForCausalLM"],
    keys: Keys {
        positions: 32_768,
        biases: [Bias::Always, Bias::Never, Bias::Never],
        windows: LayerWindows::FromSwitched { first: 28 },
        ..LLAMA_KEYS
    },
    ..LLAMA
};

const QWEN3_KEYS: Keys = Keys {
    positions: 32_768,
    head_dim: Some(128),
    biases: [ATTENTION_BIAS, ATTENTION_BIAS, Bias::Never],
    windows: LayerWindows::FromSwitched { first: 28 },
    ..LLAMA_KEYS
};

static QWEN3: Family = Family {
    model_types: &["qwen3"],
    architectures: &["Qwen3ForCausalLM"],
    query_key_norm: QueryKeyNorm::Head,
    keys: QWEN3_KEYS,
    ..LLAMA
};

static QWEN3_MOE: Family = Family {
    model_types: &["qwen3_moe"],
    architectures: &["Qwen3MoeForCausalLM"],
    names: Names {
        experts: Some(ExpertNames {
            router: "mlp.gate",
            experts: "mlp.experts",
            linears: ["gate_proj", "up_proj", "down_proj"],
        }),
        ..LLAMA_NAMES
    },
    query_key_norm: QueryKeyNorm::Head,
    keys: Keys {
        kv_heads: Some(4),
        head_dim: None,
        windows: LayerWindows::AllSwitched,
        renamed: &[("num_local_experts", "num_experts")],
        expert_width: "moe_intermediate_size",
        expert_count: "num_experts",
        normalized_experts: Bias::Key("norm_topk_prob", false),
        ..QWEN3_KEYS
    },
    ..LLAMA
};

/// SmolLM3: a Llama of which every fourth layer has no rope.
static SMOLLM3: Family = Family {
    model_types: &["smollm3"],
    architectures: &["SmolLM3ForCausalLM"],
    keys: Keys {
        kv_heads: Some(4),
        positions: 32_768,
        tied: true,
        theta: ("rope_theta", 2_000_000.0),
        layers_without_rope: true,
        windows: LayerWindows::WithoutRopeSwitched,
        ..LLAMA_KEYS
    },
    ..LLAMA
};

/// OLMo 2: norms behind attention and MLP and none before them, norms over all queries and all keys.
static OLMO2: Family = Family {
    model_types: &["olmo2"],
    architectures: &["Olmo2ForCausalLM"],
    names: Names {
        attention_norm: None,
        attention_out_norm: Some("post_attention_layernorm"),
        mlp_norm: None,
        mlp_out_norm: Some("post_feedforward_layernorm"),
        ..LLAMA_NAMES
    },
    query_key_norm: QueryKeyNorm::Whole,
    keys: Keys {
        epsilon: ("rms_norm_eps", 1e-5),
        biases: [ATTENTION_BIAS, ATTENTION_BIAS, Bias::Never],
        ..LLAMA_KEYS
    },
    ..LLAMA
};

/// Phi-3 and Phi-4: a Llama with joint matrices.
static PHI3: Family = Family {
    model_types: &["phi3"],
    architectures: &["Phi3ForCausalLM"],
    names: Names {
        projections: ProjectionNames::Fused("self_attn.qkv_proj", Joint::Blocks),
        mlp: MlpNames::FusedGated("mlp.gate_up_proj"),
        ..LLAMA_NAMES
    },
    keys: Keys {
        epsilon: ("rms_norm_eps", 1e-5),
        positions: 4096,
        biases: [Bias::Never; 3],
        rotary_fraction: Some(("partial_rotary_factor", 1.0)),
        original_positions: Some(4096),
        windows: LayerWindows::All { absent: None },
        ..LLAMA_KEYS
    },
    ..LLAMA
};

const GEMMA_KEYS: Keys = Keys {
    activation: &["hidden_activation", "hidden_act"],
    activations: &[Activation::GeluTanh],
    kv_heads: Some(16),
    head_dim: Some(256),
    positions: 8192,
    tied: true,
    biases: [ATTENTION_BIAS, ATTENTION_BIAS, Bias::Never],
    gelu_is_tanh: true,
    ..LLAMA_KEYS
};

static GEMMA: Family = Family {
    model_types: &["gemma"],
    architectures: &["GemmaForCausalLM"],
    norm: NormKind::RmsPlusOne,
    scaled_embedding: true,
    keys: GEMMA_KEYS,
    ..LLAMA
};

const GEMMA2_NAMES: Names = Names {
    attention_out_norm: Some("post_attention_layernorm"),
    mlp_norm: Some("pre_feedforward_layernorm"),
    mlp_out_norm: Some("post_feedforward_layernorm"),
    ..LLAMA_NAMES
};

const GEMMA2_KEYS: Keys = Keys {
    gelu_is_tanh: false,
    kv_heads: Some(4),
    windows: LayerWindows::AllButEvery { every: 2, absent: 4096 },
    query_scalar: true,
    caps: [Some(("attn_logit_softcapping", Some(50.0))), Some(("final_logit_softcapping", Some(30.0)))],
    ..GEMMA_KEYS
};

static GEMMA2: Family = Family {
    model_types: &["gemma2"],
    architectures: &["Gemma2ForCausalLM"],
    names: GEMMA2_NAMES,
    keys: GEMMA2_KEYS,
    ..GEMMA
};

/// Gemma 3 without its eyes.
static GEMMA3: Family = Family {
    model_types: &["gemma3_text"],
    architectures: &["Gemma3ForCausalLM"],
    names: GEMMA2_NAMES,
    query_key_norm: QueryKeyNorm::Head,
    keys: Keys {
        positions: 131_072,
        theta: ("rope_theta", 1_000_000.0),
        local_theta: Some(("rope_local_base_freq", 10_000.0)),
        windows: LayerWindows::AllButEvery { every: 6, absent: 4096 },
        caps: [Some(("attn_logit_softcapping", None)), Some(("final_logit_softcapping", None))],
        ..GEMMA2_KEYS
    },
    ..GEMMA
};

/// GPT-NeoX: Pythia, OpenAssistant.
static GPT_NEOX: Family = Family {
    model_types: &["gpt_neox"],
    architectures: &["GPTNeoXForCausalLM"],
    names: Names {
        embedding: "gpt_neox.embed_in",
        blocks: "gpt_neox.layers",
        projections: ProjectionNames::Fused("attention.query_key_value", Joint::KeyValueHeads),
        output: "attention.dense",
        mlp: MlpNames::Plain("mlp.dense_h_to_4h"),
        down: "mlp.dense_4h_to_h",
        final_norm: "gpt_neox.final_layer_norm",
        head_in_files: "embed_out",
        ignored: &[".rotary_emb.inv_freq", ".attention.bias", ".attention.masked_bias"],
        ..LLAMA_NAMES
    },
    norm: NormKind::Layer,
    keys: Keys {
        renamed: &[("rotary_emb_base", "rope_theta")],
        epsilon: ("layer_norm_eps", 1e-5),
        activations: &[Activation::Gelu, Activation::GeluTanh],
        biases: [Bias::Key("attention_bias", true), Bias::Key("attention_bias", true), Bias::Always],
        parallel: Bias::Key("use_parallel_residual", true),
        rotary_fraction: Some(("rotary_pct", 0.25)),
        ..LLAMA_KEYS
    },
    ..LLAMA
};

const FALCON_BIAS: Bias = Bias::Key("bias", false);

const FALCON_NAMES: Names = Names {
    embedding: "transformer.word_embeddings",
    blocks: "transformer.h",
    attention_norm: Some("ln_attn"),
    mlp_norm: Some("ln_mlp"),
    projections: ProjectionNames::Fused("self_attention.query_key_value", Joint::KeyValueHeads),
    output: "self_attention.dense",
    mlp: MlpNames::Plain("mlp.dense_h_to_4h"),
    down: "mlp.dense_4h_to_h",
    final_norm: "transformer.ln_f",
    ..LLAMA_NAMES
};

/// Falcon 40B and 180B: a norm before attention and another before the MLP. `RefinedWeb` is what the first files said.
static FALCON: Family = Family {
    model_types: &["falcon", "RefinedWeb", "RefinedWebModel"],
    architectures: &["FalconForCausalLM", "RWForCausalLM"],
    names: FALCON_NAMES,
    norm: NormKind::Layer,
    keys: Keys {
        renamed: &[
            ("n_head", "num_attention_heads"),
            ("n_layer", "num_hidden_layers"),
            ("n_embed", "hidden_size"),
            ("n_head_kv", "num_kv_heads"),
        ],
        epsilon: ("layer_norm_epsilon", 1e-5),
        activation: &["activation"],
        activations: &[Activation::Gelu],
        tied: true,
        biases: [FALCON_BIAS; 3],
        parallel: Bias::Always,
        ..LLAMA_KEYS
    },
    ..LLAMA
};

/// Falcon 7B and 11B: one norm before both.
pub static FALCON_ONE_NORM: Family = Family {
    names: Names {
        attention_norm: Some("input_layernorm"),
        mlp_norm: Some("input_layernorm"),
        ..FALCON_NAMES
    },
    ..FALCON
};
