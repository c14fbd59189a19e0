//! What a row of the table says.

use rtune_kernels::activation::Activation;

use super::spec::{Joint, NormKind, QueryKeyNorm};

/// A family: how its checkpoints and its `config.json` are written, and what its blocks compute.
#[derive(Debug, PartialEq)]
pub struct Family {
    /// Values of `model_type`.
    pub model_types: &'static [&'static str],
    /// Values of `architectures`, one of which must stand in the list where there is one.
    pub architectures: &'static [&'static str],
    /// What a checkpoint calls its parts; which norms have a name says where norms stand.
    pub names: Names,
    /// What a norm computes.
    pub norm: NormKind,
    /// Norms on queries and keys, before rope.
    pub query_key_norm: QueryKeyNorm,
    /// Whether the embedding is multiplied by the root of its width.
    pub scaled_embedding: bool,
    /// How `config.json` says the rest.
    pub keys: Keys,
}

/// What a family calls the parts of its checkpoint; names inside a block stand behind its number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Names {
    /// The embedding, without `.weight`.
    pub embedding: &'static str,
    /// What stands before the number of a block.
    pub blocks: &'static str,
    /// The norm before attention.
    pub attention_norm: Option<&'static str>,
    /// The norm behind attention, before its output is added to the residual.
    pub attention_out_norm: Option<&'static str>,
    /// The norm before the MLP.
    pub mlp_norm: Option<&'static str>,
    /// The norm behind the MLP, before its output is added to the residual.
    pub mlp_out_norm: Option<&'static str>,
    /// The norms of queries and keys, where there are any.
    pub query_key_norm: [&'static str; 2],
    /// The projections of attention.
    pub projections: ProjectionNames,
    /// The projection of attention's output.
    pub output: &'static str,
    /// The projections into the MLP.
    pub mlp: MlpNames,
    /// The projection out of the MLP.
    pub down: &'static str,
    /// The parts of an MLP of experts.
    pub experts: Option<ExpertNames>,
    /// The norm behind the last block.
    pub final_norm: &'static str,
    /// The head, where it is not the embedding.
    pub head: &'static str,
    /// The same in files, where transformers has another name for it since.
    pub head_in_files: &'static str,
    /// Ends of names that older checkpoints carry and that hold nothing to load.
    pub ignored: &'static [&'static str],
}

/// The projections of attention's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProjectionNames {
    /// Query, key, value.
    Split([&'static str; 3]),
    /// All three in one matrix.
    Fused(&'static str, Joint),
}

/// The projections into the MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MlpNames {
    /// Gate and up.
    Gated([&'static str; 2]),
    /// Gate above up in one matrix.
    FusedGated(&'static str),
    /// No gate.
    Plain(&'static str),
}

/// The parts of an MLP of experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertNames {
    /// The matrix that chooses.
    pub router: &'static str,
    /// What stands before the number of an expert.
    pub experts: &'static str,
    /// Gate, up and down of an expert.
    pub linears: [&'static str; 3],
}

/// How `config.json` says what a model computes; the defaults are those of transformers' configuration classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keys {
    /// Older names of keys, each with the one that is read.
    pub renamed: &'static [(&'static str, &'static str)],
    /// The norms' epsilon.
    pub epsilon: (&'static str, f64),
    /// Where the activation stands: the first that is given counts.
    pub activation: &'static [&'static str],
    /// What it may be; the first is the default.
    pub activations: &'static [Activation],
    /// Whether `gelu` means the approximation by tanh, as Gemma's first configurations had it.
    pub gelu_is_tanh: bool,
    /// Key and value heads where the key is absent; `None`: as many as query heads.
    pub kv_heads: Option<usize>,
    /// Width of a head where the key is absent; `None`: the width over the heads.
    pub head_dim: Option<usize>,
    /// Longest sequence where the key is absent, in tokens.
    pub positions: usize,
    /// Whether the head is the embedding where the key is absent.
    pub tied: bool,
    /// Biases of the projections of attention's input, of its output, and of the MLP.
    pub biases: [Bias; 3],
    /// Whether attention and MLP read the same residual and are added to it together.
    pub parallel: Bias,
    /// Where the base of the rope frequencies stands, and what it is where the key is absent.
    pub theta: (&'static str, f64),
    /// Where the part of a head that rope turns stands, and what it is where the key is absent; `None`: always all.
    pub rotary_fraction: Option<(&'static str, f64)>,
    /// Context of the training before rope scaling, where no key says it, in tokens; `None`: the longest sequence.
    pub original_positions: Option<usize>,
    /// Base of the rope frequencies of layers with a window, where they have their own: key and default.
    pub local_theta: Option<(&'static str, f64)>,
    /// Whether `no_rope_layers` is read.
    pub layers_without_rope: bool,
    /// Which layers have a window.
    pub windows: LayerWindows,
    /// Granite's four multipliers.
    pub multipliers: bool,
    /// Whether attention's scale is `query_pre_attn_scalar^-0.5`.
    pub query_scalar: bool,
    /// Caps of attention's scores and of the logits.
    pub caps: [Cap; 2],
    /// Where the width of an expert stands, where that is not the MLP's.
    pub expert_width: &'static str,
    /// Where the number of experts stands.
    pub expert_count: &'static str,
    /// Whether the weights of the chosen experts are divided by their sum: a key and its default, or always.
    pub normalized_experts: Bias,
}

/// Yes, no, or what a key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// No, whatever the configuration says.
    Never,
    /// Yes, whatever the configuration says.
    Always,
    /// A key, and what holds where it is absent.
    Key(&'static str, bool),
}

/// A cap: a key, and what holds where it is absent. `None`: there is none.
pub type Cap = Option<(&'static str, Option<f64>)>;

/// Which layers see a window of `sliding_window` tokens only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerWindows {
    /// None.
    Never,
    /// All, where the window is given; a window where the key is absent, in tokens.
    All {
        /// In tokens.
        absent: Option<usize>,
    },
    /// All, where `use_sliding_window` says so.
    AllSwitched,
    /// Those from `max_window_layers` on, or those that `layer_types` names, where `use_sliding_window` says so.
    FromSwitched {
        /// Where `max_window_layers` is absent.
        first: usize,
    },
    /// Those without rope, or those that `layer_types` names, where `use_sliding_window` says so.
    WithoutRopeSwitched,
    /// All but every `every`th, or those that `layer_types` names.
    AllButEvery {
        /// Where `sliding_window_pattern` is absent.
        every: usize,
        /// Where `sliding_window` is absent, in tokens.
        absent: usize,
    },
}
