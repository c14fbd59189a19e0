//! Attention over cached keys and values: the launcher of `cuda/cached.cu`; the twin is [`crate::attention::cached`].

use half::bf16;

use super::Heads;
use crate::cuda::device::Device;
use crate::cuda::error::Result;
use crate::cuda::launch::Launch;
use crate::cuda::view::{Matrix, MatrixMut, Span};

/// Threads of a block, and elements of the widest head: `THREADS` and `WIDEST` of the source.
const THREADS: u32 = 128;
const WIDEST: usize = 256;

/// Keys and values of all documents, and where those stand that each new token sees.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// `[L, K * E]`.
    pub keys: Matrix<'a, bf16>,
    /// `[L, K * E]`.
    pub values: Matrix<'a, bf16>,
    /// The row of the first key of each token's document, `[T]`.
    pub first: Span<'a, i32>,
    /// How many keys of its document each token sees, itself among them, `[T]`; at least 1.
    pub count: Span<'a, i32>,
}

/// Whether heads of this width go through this kernel.
#[must_use]
pub fn supports(head_width: usize) -> bool {
    head_width.is_multiple_of(8) && head_width <= WIDEST
}

/// `o = softmax(q kᵀ · scale) v` of new tokens, `q` and `o` being `[T, H * E]`. Keys and values of the tokens themselves
/// are in the cache already.
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// If the shapes do not fit or cannot be read 16 bytes at a time. `first` and `count` stand on the device: a token whose keys lie beyond
/// the cache gets NaN.
pub fn attend(
    device: &Device,
    heads: &Heads,
    q: Matrix<'_, bf16>,
    kept: Kept<'_>,
    o: MatrixMut<'_, bf16>,
) -> Result<()> {
    let Kept { keys, values, first, count } = kept;
    let tokens = first.len();
    assert!(supports(heads.head_width), "attention: heads of {}", heads.head_width);
    assert!(heads.heads.is_multiple_of(heads.kv_heads) && heads.window != Some(0), "attention: {heads:?}");
    q.expect("attention: queries", tokens, heads.query_row());
    o.expect("attention: result", tokens, heads.query_row());
    keys.expect("attention: keys", keys.rows, heads.kv_row());
    values.expect("attention: values", keys.rows, heads.kv_row());
    assert!(count.len() == tokens && keys.stride == values.stride, "attention: cache");
    let launch = Launch::new(device, "cached", "cached_attention")
        .read(q.span)
        .long(q.stride)
        .read(keys.span)
        .read(values.span)
        .long(keys.stride)
        .int(keys.rows)
        .read(first)
        .read(count)
        .write(&o.span)
        .long(o.stride)
        .int(heads.heads)
        .int(heads.kv_heads)
        .int(heads.head_width)
        .int(heads.window.unwrap_or(0))
        .float(heads.scale)
        .float(heads.softcap.unwrap_or(0.0));
    // SAFETY: matrices checked above, `o` is borrowed alone; the kernel holds first and count to the rows of the cache.
    unsafe { launch.run_on([tokens, heads.heads, 1], THREADS, 0) }
}
