//! Attention over packed segments on a GPU; the twin is [`crate::attention`].
//!
//! Heads of 64, 96, 128 and 256 elements go through the kernels of `cuda/flash_*.cu` ([`flash`]), whose memory grows with
//! the tokens; others, and tests, through products of strips ([`strips`]). Answers read what is kept of what came before
//! ([`cached`]).

pub mod cached;
pub mod flash;
pub mod strips;

use half::bf16;

use super::view::{Matrix, MatrixMut};

/// What one attention layer is like.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Elements of one head.
    pub head_width: usize,
    /// Factor on the scores.
    pub scale: f32,
    /// The most tokens that one sees, itself among them; `None` for all of its segment up to itself.
    pub window: Option<usize>,
    /// Scores `s` become `cap * tanh(s / cap)` before the softmax.
    pub softcap: Option<f32>,
}

/// Queries, keys and values as they went into the softmax, each with rows of its own stride, such as three parts of one
/// product.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// `[T, H * E]`.
    pub q: Matrix<'a, bf16>,
    /// `[T, K * E]`.
    pub k: Matrix<'a, bf16>,
    /// `[T, K * E]`.
    pub v: Matrix<'a, bf16>,
}

/// Where the gradients go; overwritten.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// `[T, H * E]`.
    pub dq: MatrixMut<'a, bf16>,
    /// `[T, K * E]`.
    pub dk: MatrixMut<'a, bf16>,
    /// `[T, K * E]`.
    pub dv: MatrixMut<'a, bf16>,
}

impl Heads {
    fn query_row(&self) -> usize {
        self.heads * self.head_width
    }

    fn kv_row(&self) -> usize {
        self.kv_heads * self.head_width
    }

    /// Query heads that share one key-value head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// The window in the kernels' words: 0 for none.
    fn window(&self, tokens: usize) -> usize {
        self.window.filter(|&window| window < tokens).unwrap_or(0)
    }

    fn check(&self, tokens: usize, inputs: &Inputs<'_>) {
        assert!(self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads), "attention: heads");
        assert!(self.window != Some(0), "attention: a window of nothing");
        assert!(self.head_width.is_multiple_of(8), "attention: head width {}", self.head_width);
        inputs.q.expect("attention: queries", tokens, self.query_row());
        inputs.k.expect("attention: keys", tokens, self.kv_row());
        inputs.v.expect("attention: values", tokens, self.kv_row());
    }
}

fn check_bounds(bounds: &[usize]) {
    assert!(bounds.first() == Some(&0) && bounds.is_sorted(), "attention: bounds");
}
