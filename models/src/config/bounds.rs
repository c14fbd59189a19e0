//! How large what a file says may be. Above these bounds a file is wrong or hostile.

/// Widest residual stream or MLP. Llama 3.1 405B has 16,384 and 53,248; the bound keeps a product of two widths
/// within 2^40, so that no size in bytes overflows.
pub(crate) const MAX_WIDTH: usize = 1 << 20;
/// Most blocks. Llama 3.1 405B has 126; every block costs a few kilobytes before the first weight is read.
pub(crate) const MAX_LAYERS: usize = 4096;
/// Most heads. Llama 3.1 405B has 128.
pub(crate) const MAX_HEADS: usize = 4096;
/// Widest head. The widest in use has 512.
pub(crate) const MAX_HEAD_DIM: usize = 4096;
/// Most experts of a layer. The largest in use has 512.
pub(crate) const MAX_EXPERTS: usize = 4096;
/// Most tokens. The largest vocabulary in use has 262,208; ids are `u32`.
pub(crate) const MAX_VOCABULARY: usize = 1 << 24;
/// Largest epsilon of a norm: above 1 the norm would measure the epsilon.
pub(crate) const MAX_EPSILON: f64 = 1.0;

/// Largest base of the frequencies; the largest in use is 5e7 and an `f32` engine has nothing to gain above.
pub(crate) const MAX_THETA: f64 = 1e12;
/// Largest stretch of the positions; more than 2^20 turns every angle into zero.
pub(crate) const MAX_FACTOR: f64 = 1_048_576.0;
/// Longest context in tokens: positions are `u32` and exact in an `f32` up to here.
pub(crate) const MAX_POSITIONS: usize = 1 << 24;
