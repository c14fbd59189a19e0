//! llama.cpp's tensor names and what it did to the tensors.

/// Names outside the blocks: llama.cpp's, transformers'.
const OUTER: &[(&str, &str)] =
    &[("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];

/// Names inside a block: llama.cpp's after `blk.N.`, transformers' after `model.layers.N.`.
const INNER: &[(&str, &str)] = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// Rows that llama.cpp's converter interleaved (`LlamaModel.permute` in convert_hf_to_gguf.py), because its rope
/// turns neighbours where transformers' turns halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interleaved {
    No,
    /// By query heads.
    Queries,
    /// By key heads.
    Keys,
}

/// transformers' name of a tensor of a Llama, and whether its rows are interleaved; `None` for a tensor that is
/// not part of one.
pub(super) fn to_transformers(name: &str) -> Option<(String, Interleaved)> {
    let (stem, kind) = name.rsplit_once('.')?;
    if !matches!(kind, "weight" | "bias") {
        return None;
    }
    if let Some((_, outer)) = OUTER.iter().find(|(from, _)| *from == stem) {
        return Some((format!("{outer}.{kind}"), Interleaved::No));
    }
    let (number, inner) = stem.strip_prefix("blk.")?.split_once('.')?;
    let number: usize = number.parse().ok()?;
    let (_, to) = INNER.iter().find(|(from, _)| *from == inner)?;
    let interleaved = match inner {
        "attn_q" => Interleaved::Queries,
        "attn_k" => Interleaved::Keys,
        _ => Interleaved::No,
    };
    Some((format!("model.layers.{number}.{to}.{kind}"), interleaved))
}

/// Undoes the interleaving: row `2 j + s` of a head goes to row `s * half + j`, `half` being half a head.
/// `values` are `rows` of equal length; `rows` is a multiple of `2 * heads`.
pub(super) fn undo_interleaving<T: Copy>(values: &[T], rows: usize, heads: usize) -> Vec<T> {
    let row_length = values.len() / rows;
    let head_rows = rows / heads;
    let half = head_rows / 2;
    let mut result = Vec::with_capacity(values.len());
    for head in 0..heads {
        for side in 0..2 {
            for pair in 0..half {
                let row = head * head_rows + 2 * pair + side;
                result.extend_from_slice(&values[row * row_length..(row + 1) * row_length]);
            }
        }
    }
    result
}
