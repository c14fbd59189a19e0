//! Attention through products of strips of queries with all they see: for every head width, in memory that grows with
//! strip times segment; softmax by `cuda/softmax.cu`, products by cuBLAS.

use half::bf16;

use super::flash::{Given, deltas};
use super::{Gradients, Heads, Inputs, check_bounds};
use crate::cuda::device::Device;
use crate::cuda::elementwise;
use crate::cuda::error::Result;
use crate::cuda::gemm::{Batch, batched};
use crate::cuda::launch::Launch;
use crate::cuda::view::{Matrix, MatrixMut, Span, SpanMut};

/// Query rows of a strip: enough for products to run well.
const STRIP: usize = 128;
/// Threads of a block: `THREADS` of the source.
const THREADS: u32 = 256;

/// What the strips of one call work in.
#[derive(Debug)]
pub struct Scratch<'a> {
    /// [`scratch_elements`]`.0` elements.
    pub wide: SpanMut<'a, f32>,
    /// [`scratch_elements`]`.1` elements.
    pub narrow: SpanMut<'a, bf16>,
}

/// Elements of f32 and of bf16 that a backward call works in; a forward call takes less.
#[must_use]
pub fn scratch_elements(heads: &Heads, bounds: &[usize]) -> (usize, usize) {
    let (strip, tokens) = (strip_elements(heads, bounds), bounds.last().copied().unwrap_or(0));
    (2 * strip + 2 * tokens * heads.kv_row(), 2 * strip)
}

/// Elements of the largest strip over all key-value heads.
fn strip_elements(heads: &Heads, bounds: &[usize]) -> usize {
    let longest = bounds.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
    heads.kv_heads * STRIP.min(longest) * longest.next_multiple_of(8)
}

/// Query rows `first..first + rows` of query head `kv * group + member`, for all `kv`; they see keys from `low` on.
struct Strip<'s> {
    heads: &'s Heads,
    tokens: usize,
    first: usize,
    rows: usize,
    low: usize,
    keys: usize,
    member: usize,
}

fn each_strip(heads: &Heads, bounds: &[usize], mut run: impl FnMut(&Strip<'_>) -> Result<()>) -> Result<()> {
    let tokens = bounds.last().copied().unwrap_or(0);
    for pair in bounds.windows(2) {
        for first in (pair[0]..pair[1]).step_by(STRIP) {
            let rows = STRIP.min(pair[1] - first);
            let low = heads.window.map_or(pair[0], |window| pair[0].max((first + 1).saturating_sub(window)));
            for member in 0..heads.group() {
                run(&Strip { heads, tokens, first, rows, low, keys: first + rows - low, member })?;
            }
        }
    }
    Ok(())
}

impl Strip<'_> {
    fn stride(&self) -> usize {
        self.keys.next_multiple_of(8)
    }

    /// From one key-value head's strip to the next.
    fn step(&self) -> usize {
        self.rows * self.stride()
    }

    fn width(&self) -> usize {
        self.heads.head_width
    }

    /// This strip's queries (or their gradients), those of the first key-value head, with what follows behind.
    fn queries<'a>(&self, q: Matrix<'a, bf16>) -> Matrix<'a, bf16> {
        let at = self.first * q.stride + self.member * self.width();
        q.span.slice(at..q.span.len()).strided(self.rows, self.width(), q.stride)
    }

    fn queries_mut<'a>(&self, q: &'a mut MatrixMut<'_, bf16>) -> MatrixMut<'a, bf16> {
        let (at, stride) = (self.first * q.stride + self.member * self.width(), q.stride);
        let span = q.span.lend();
        let len = span.len();
        span.slice(at..len).strided(self.rows, self.width(), stride)
    }

    /// The keys (or values) this strip sees, likewise.
    fn keys_of<'a>(&self, k: Matrix<'a, bf16>) -> Matrix<'a, bf16> {
        k.span.slice(self.low * k.stride..k.span.len()).strided(self.keys, self.width(), k.stride)
    }

    /// Their gradients in f32, `[T, K * E]`.
    fn sums<'a>(&self, sums: &'a mut SpanMut<'_, f32>) -> MatrixMut<'a, f32> {
        let row = self.heads.kv_row();
        let len = sums.len();
        sums.lend().slice(self.low * row..len).strided(self.keys, self.width(), row)
    }

    fn strip<'a, T>(&self, span: Span<'a, T>) -> Matrix<'a, T> {
        span.strided(self.rows, self.keys, self.stride())
    }

    fn strip_mut<'a, T>(&self, span: SpanMut<'a, T>) -> MatrixMut<'a, T> {
        span.strided(self.rows, self.keys, self.stride())
    }

    fn batch(&self, out: usize, left: usize, right: usize) -> Batch {
        Batch { count: self.heads.kv_heads, out, left, right }
    }

    /// From one query head of this member to the next.
    fn query_step(&self) -> usize {
        self.heads.group() * self.width()
    }

    /// `out = left rightᵀ`: scores from queries and keys, or the like.
    fn scores(
        &self,
        device: &Device,
        out: SpanMut<'_, f32>,
        left: Matrix<'_, bf16>,
        right: Matrix<'_, bf16>,
    ) -> Result<()> {
        let batch = self.batch(self.step(), self.query_step(), self.width());
        batched(device, self.strip_mut(out), 0.0, 1.0, self.queries(left), self.keys_of(right).t(), batch)
    }

    /// `out = alpha * weights right` for this strip's queries.
    fn write_queries(
        &self,
        device: &Device,
        out: &mut MatrixMut<'_, bf16>,
        alpha: f32,
        weights: Span<'_, bf16>,
        right: Matrix<'_, bf16>,
    ) -> Result<()> {
        let batch = self.batch(self.query_step(), self.step(), self.width());
        batched(device, self.queries_mut(out), 0.0, alpha, self.strip(weights), self.keys_of(right), batch)
    }

    /// `sums += alpha * weightsᵀ right` for the keys that this strip sees.
    fn add_to_keys(
        &self,
        device: &Device,
        sums: &mut SpanMut<'_, f32>,
        alpha: f32,
        weights: Span<'_, bf16>,
        right: Matrix<'_, bf16>,
    ) -> Result<()> {
        let batch = self.batch(self.width(), self.step(), self.query_step());
        batched(device, self.sums(sums), 1.0, alpha, self.strip(weights).t(), self.queries(right), batch)
    }

    /// Parameters that both kernels end with.
    fn finish<'d>(&self, launch: Launch<'d>) -> Launch<'d> {
        launch
            .int(self.rows)
            .int(self.keys)
            .int(self.first)
            .int(self.low)
            .int(self.heads.window(self.tokens))
            .int(self.member)
            .int(self.heads.group())
            .int(self.tokens)
            .float(self.heads.scale)
            .float(self.heads.softcap.unwrap_or(0.0))
    }

    fn grid(&self) -> [usize; 3] {
        [self.rows, self.heads.kv_heads, 1]
    }
}

/// As [`super::flash::forward`], for segments between `bounds`.
///
/// # Errors
/// If a launch fails.
///
/// # Panics
/// If the shapes do not fit, or the scratch is too small.
pub fn forward(
    device: &Device,
    heads: &Heads,
    bounds: &[usize],
    inputs: Inputs<'_>,
    mut o: MatrixMut<'_, bf16>,
    log_sum_exp: SpanMut<'_, f32>,
    scratch: Scratch<'_>,
) -> Result<()> {
    check_bounds(bounds);
    let tokens = bounds.last().copied().unwrap_or(0);
    heads.check(tokens, &inputs);
    o.expect("attention: result", tokens, heads.query_row());
    assert_eq!(log_sum_exp.len(), tokens * heads.heads, "attention: lengths");
    let strip = strip_elements(heads, bounds);
    let (mut scores, p) = (scratch.wide.slice(0..strip), scratch.narrow.slice(0..strip));
    each_strip(heads, bounds, |strip| {
        strip.scores(device, scores.lend(), inputs.q, inputs.k)?;
        let launch = Launch::new(device, "softmax", "softmax_forward")
            .read(scores.read())
            .long(strip.stride())
            .write(&p)
            .long(strip.stride())
            .write(&log_sum_exp);
        // SAFETY: a strip over all key-value heads fits `scores` and `p` by `strip_elements`; `log_sum_exp` is [H, T].
        unsafe { strip.finish(launch).run_on(strip.grid(), THREADS, 0) }?;
        strip.write_queries(device, &mut o, 1.0, p.read(), inputs.v)
    })
}

/// As [`super::flash::backward`], for segments between `bounds`.
///
/// # Errors
/// If a launch fails.
///
/// # Panics
/// If the shapes do not fit, or the scratch is too small.
#[expect(clippy::too_many_arguments, reason = "the tensors of attention and two scratch buffers")]
pub fn backward(
    device: &Device,
    heads: &Heads,
    bounds: &[usize],
    inputs: Inputs<'_>,
    given: Given<'_>,
    mut out: Gradients<'_>,
    mut delta: SpanMut<'_, f32>,
    scratch: Scratch<'_>,
) -> Result<()> {
    check_bounds(bounds);
    let tokens = bounds.last().copied().unwrap_or(0);
    heads.check(tokens, &inputs);
    out.dq.expect("attention: dq", tokens, heads.query_row());
    assert_eq!(given.log_sum_exp.len(), tokens * heads.heads, "attention: lengths");
    deltas(device, heads, tokens, given.o, given.d_o, delta.lend())?;
    let (strip, row) = (strip_elements(heads, bounds), heads.kv_row());
    let (mut scores, wide) = scratch.wide.split_at(strip);
    let (mut d, wide) = wide.split_at(strip);
    let (mut dk, wide) = wide.split_at(tokens * row);
    let mut dv = wide.slice(0..tokens * row);
    let (p, narrow) = scratch.narrow.split_at(strip);
    let ds = narrow.slice(0..strip);
    dk.fill(device, 0)?;
    dv.fill(device, 0)?;
    each_strip(heads, bounds, |strip| {
        strip.scores(device, scores.lend(), inputs.q, inputs.k)?;
        strip.scores(device, d.lend(), given.d_o, inputs.v)?;
        let launch = Launch::new(device, "softmax", "softmax_backward")
            .read(scores.read())
            .read(d.read())
            .long(strip.stride())
            .write(&p)
            .write(&ds)
            .long(strip.stride())
            .read(given.log_sum_exp)
            .read(delta.read());
        // SAFETY: as in `forward`, for four strips.
        unsafe { strip.finish(launch).run_on(strip.grid(), THREADS, 0) }?;
        strip.add_to_keys(device, &mut dv, 1.0, p.read(), given.d_o)?;
        strip.add_to_keys(device, &mut dk, heads.scale, ds.read(), inputs.q)?;
        strip.write_queries(device, &mut out.dq, heads.scale, ds.read(), inputs.k)
    })?;
    elementwise::narrow(device, dk.read().matrix(tokens, row), 1.0, out.dk)?;
    elementwise::narrow(device, dv.read().matrix(tokens, row), 1.0, out.dv)
}
