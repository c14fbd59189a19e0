//! llama.cpp's tensor names, and what its converter did to the tensors.

use crate::ModelConfig;
use crate::families::{Joint, MlpNames, Names, NormKind, ProjectionNames};

/// What has to be undone when a tensor is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// One was added, because llama.cpp multiplies by a norm's weight where the family multiplies by one more.
    PlusOne,
    /// Rows of so many heads were interleaved (`LlamaModel.permute` of the converter), because llama.cpp's rope turns
    /// neighbours where transformers' turns halves.
    Interleaved(usize),
    /// All queries, all keys and all values follow one another, where the family has those of each key head together.
    Separated {
        /// Query heads.
        heads: usize,
        /// Key heads.
        kv_heads: usize,
    },
}

/// Where a tensor of a file belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Under this name of transformers.
    One(String, Change),
    /// A tensor for each expert in one, under these names.
    Experts(Vec<String>),
}

/// llama.cpp's names of the experts' matrices, in the order of [`crate::families`].
const EXPERTS: [&str; 3] = ["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"];

/// What a family calls the parts of its blocks, and what llama.cpp does.
pub(super) struct Parts {
    names: Names,
    /// llama.cpp's name, transformers'; both behind the number of the block.
    inner: Vec<(&'static str, &'static str)>,
}

impl Parts {
    pub(super) fn new(names: Names) -> Self {
        let mut inner = vec![("attn_output", names.output), ("ffn_down", names.down)];
        let norms = [
            ("attn_norm", names.attention_norm),
            ("post_attention_norm", names.attention_out_norm),
            ("ffn_norm", names.mlp_norm),
            ("post_ffw_norm", names.mlp_out_norm),
        ];
        inner.extend(norms.into_iter().filter_map(|(file, name)| Some((file, name?))));
        // Falcon 40B: the MLP's norm has the name that elsewhere is attention's.
        if names.attention_norm == Some("ln_attn") {
            inner.retain(|(file, _)| *file != "attn_norm" && *file != "ffn_norm");
            inner.extend([("attn_norm_2", "ln_attn"), ("attn_norm", "ln_mlp")]);
        }
        inner.extend(["attn_q_norm", "attn_k_norm"].into_iter().zip(names.query_key_norm));
        match names.projections {
            ProjectionNames::Split(split) => {
                inner.extend(["attn_q", "attn_k", "attn_v"].into_iter().zip(split))
            }
            ProjectionNames::Fused(name, _) => inner.push(("attn_qkv", name)),
        }
        match names.mlp {
            MlpNames::Gated(gated) => inner.extend(["ffn_gate", "ffn_up"].into_iter().zip(gated)),
            MlpNames::FusedGated(name) | MlpNames::Plain(name) => inner.push(("ffn_up", name)),
        }
        inner.extend(names.experts.map(|experts| ("ffn_gate_inp", experts.router)));
        Self { names, inner }
    }

    /// Where a tensor belongs; `None` for one that is no part of the family. `interleaved` as the architecture says.
    pub(super) fn place(&self, name: &str, config: &ModelConfig, interleaved: bool) -> Option<Place> {
        let (stem, kind) = name.rsplit_once('.')?;
        if !matches!(kind, "weight" | "bias") {
            return None;
        }
        let norm = if config.family.norm == NormKind::RmsPlusOne { Change::PlusOne } else { Change::None };
        let outer = [
            ("token_embd", self.names.embedding, Change::None),
            ("output_norm", self.names.final_norm, norm),
            ("output", self.names.head, Change::None),
        ];
        if let Some((_, outer, change)) = outer.into_iter().find(|(from, ..)| *from == stem) {
            return Some(Place::One(format!("{outer}.{kind}"), change));
        }
        let (number, part) = stem.strip_prefix("blk.")?.split_once('.')?;
        let number: usize = number.parse().ok()?;
        let block = format!("{}.{number}", self.names.blocks);
        if let Some(which) = EXPERTS.iter().position(|exps| *exps == part) {
            let (names, experts) = self.names.experts.zip(config.differences.experts)?;
            let linear = names.linears[which];
            let of = |expert| format!("{block}.{}.{expert}.{linear}.{kind}", names.experts);
            return Some(Place::Experts((0..experts.choice.experts).map(of).collect()));
        }
        let (_, inner) = self.inner.iter().find(|(from, _)| *from == part)?;
        let (heads, kv_heads) = (config.num_attention_heads, config.num_key_value_heads);
        let change = match part {
            "attn_q" if interleaved => Change::Interleaved(heads),
            "attn_k" if interleaved => Change::Interleaved(kv_heads),
            "attn_qkv" if self.by_key_heads() => Change::Separated { heads, kv_heads },
            _ if part.ends_with("norm") => norm,
            _ => Change::None,
        };
        Some(Place::One(format!("{block}.{inner}.{kind}"), change))
    }

    /// llama.cpp's names of the parts of a block.
    pub(super) fn stems(&self) -> impl Iterator<Item = &'static str> + '_ {
        let experts = self.names.experts.map_or(&[][..], |_| &EXPERTS);
        self.inner.iter().map(|(stem, _)| *stem).chain(experts.iter().copied())
    }

    fn by_key_heads(&self) -> bool {
        matches!(self.names.projections, ProjectionNames::Fused(_, Joint::KeyValueHeads))
    }
}

impl Change {
    /// How many rows a tensor must be a multiple of.
    pub(super) fn rows_by(self) -> usize {
        match self {
            Self::None | Self::PlusOne => 1,
            Self::Interleaved(heads) => 2 * heads,
            Self::Separated { heads, kv_heads } => heads + 2 * kv_heads,
        }
    }

    /// The row of the file that is row `row` of `rows` in the family.
    fn source(self, row: usize, rows: usize) -> usize {
        match self {
            Self::None | Self::PlusOne => row,
            Self::Interleaved(heads) => {
                let width = rows / heads;
                let (head, inner) = (row / width, row % width);
                let half = width / 2;
                head * width + 2 * (inner % half) + inner / half
            }
            Self::Separated { heads, kv_heads } => {
                let width = rows / (heads + 2 * kv_heads);
                let queries = heads / kv_heads;
                let (group, inner) = (row / ((queries + 2) * width), row % ((queries + 2) * width));
                let (head, within) = (inner / width, inner % width);
                let head = match head.checked_sub(queries) {
                    None => group * queries + head,
                    Some(key_or_value) => heads + key_or_value * kv_heads + group,
                };
                head * width + within
            }
        }
    }

    /// The rows in the file's order, and norms as it has them: what [`Self::undo`] and reading undo.
    pub(super) fn apply(self, mut values: Vec<f32>, rows: usize) -> Vec<f32> {
        if self == Self::PlusOne {
            values.iter_mut().for_each(|value| *value += 1.0);
        }
        if self.rows_by() == 1 {
            return values;
        }
        let length = values.len() / rows;
        let mut result = vec![0.0; values.len()];
        for (row, from) in values.chunks_exact(length).enumerate() {
            let to = self.source(row, rows) * length;
            result[to..to + length].copy_from_slice(from);
        }
        result
    }

    /// The rows in the family's order. `values` are `rows` rows of equal length, `rows` a multiple of
    /// [`Self::rows_by`].
    pub(super) fn undo<T: Copy>(self, values: Vec<T>, rows: usize) -> Vec<T> {
        if self.rows_by() == 1 {
            return values;
        }
        let length = values.len() / rows;
        let mut result = Vec::with_capacity(values.len());
        for row in 0..rows {
            let from = self.source(row, rows) * length;
            result.extend_from_slice(&values[from..from + length]);
        }
        result
    }
}
