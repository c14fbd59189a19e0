//! Attention on tensor cores: the launchers of `cuda/flash_forward.cu` and `cuda/flash_backward.cu`.

use half::bf16;

use super::{Gradients, Heads, Inputs, check_bounds};
use crate::cuda::arena::{Arena, Lent};
use crate::cuda::device::Device;
use crate::cuda::error::Result;
use crate::cuda::launch::Launch;
use crate::cuda::view::{Matrix, MatrixMut, Span, SpanMut};

/// What the kernels were compiled for one head width with.
struct Instance {
    width: usize,
    forward: &'static str,
    /// Query rows of a forward tile, and keys that pass by it at a time: `64 * M` and `KEYS`.
    forward_rows: usize,
    forward_keys: usize,
    backward_kv: &'static str,
    /// Threads, and query rows that pass by: `128 * SPLIT` and `QUERIES`.
    kv_threads: u32,
    kv_queries: usize,
    backward_q: &'static str,
    /// Keys that pass by.
    q_keys: usize,
    /// Buffers for what passes by.
    stages: usize,
}

/// `INSTANCE` of the sources.
const INSTANCES: [Instance; 4] = [
    Instance {
        width: 64,
        forward: "flash_forward_64",
        forward_rows: 128,
        forward_keys: 64,
        backward_kv: "flash_backward_kv_64",
        kv_threads: 128,
        kv_queries: 64,
        backward_q: "flash_backward_q_64",
        q_keys: 64,
        stages: 2,
    },
    Instance {
        width: 96,
        forward: "flash_forward_96",
        forward_rows: 128,
        forward_keys: 64,
        backward_kv: "flash_backward_kv_96",
        kv_threads: 128,
        kv_queries: 64,
        backward_q: "flash_backward_q_96",
        q_keys: 64,
        stages: 2,
    },
    Instance {
        width: 128,
        forward: "flash_forward_128",
        forward_rows: 128,
        forward_keys: 32,
        backward_kv: "flash_backward_kv_128",
        kv_threads: 128,
        kv_queries: 32,
        backward_q: "flash_backward_q_128",
        q_keys: 64,
        stages: 2,
    },
    Instance {
        width: 256,
        forward: "flash_forward_256",
        forward_rows: 64,
        forward_keys: 32,
        backward_kv: "flash_backward_kv_256",
        kv_threads: 256,
        kv_queries: 32,
        backward_q: "flash_backward_q_256",
        q_keys: 32,
        stages: 1,
    },
];

/// Rows of a backward tile: `ROWS` of the source.
const BACKWARD_ROWS: usize = 64;
/// Threads of the forward kernel and of that for dq: `THREADS` of the sources.
const THREADS: u32 = 128;

impl Instance {
    fn of(width: usize) -> Option<&'static Self> {
        INSTANCES.iter().find(|instance| instance.width == width)
    }

    fn forward_bytes(&self) -> usize {
        2 * self.width * (self.forward_rows + 2 * self.forward_keys)
    }

    fn kv_bytes(&self) -> usize {
        let streams = self.stages * 2 * self.kv_queries;
        2 * self.width * (2 * BACKWARD_ROWS + streams) + size_of::<f32>() * streams
    }

    fn q_bytes(&self) -> usize {
        2 * self.width * (2 * BACKWARD_ROWS + self.stages * 2 * self.q_keys)
    }
}

/// Whether heads of this width go through these kernels.
#[must_use]
pub fn supports(head_width: usize) -> bool {
    Instance::of(head_width).is_some()
}

/// The work of a packed row, cut into tiles once for all layers with heads of one width: the longest first, so that
/// blocks end together.
pub struct Tiles {
    forward: Lent<i32>,
    queries: Lent<i32>,
    keys: Lent<i32>,
    tokens: usize,
    head_width: usize,
}

/// Numbers that say what a tile is: first row, start and end of its segment, nothing.
const NUMBERS_A_TILE: usize = 4;

impl Tiles {
    /// Tiles of the segments between `bounds`: first 0, last T.
    ///
    /// # Errors
    /// If the arena has no room for them.
    ///
    /// # Panics
    /// If the bounds are no such list, or [`supports`] says no.
    pub fn new(device: &Device, arena: &Arena, bounds: &[usize], head_width: usize) -> Result<Self> {
        check_bounds(bounds);
        let instance = Instance::of(head_width).expect("a head width that is supported");
        let upload = |tiles: Vec<[i32; NUMBERS_A_TILE]>| arena.upload(device, tiles.as_flattened());
        Ok(Self {
            forward: upload(tiles_of(bounds, instance.forward_rows, keys_before))?,
            queries: upload(tiles_of(bounds, BACKWARD_ROWS, keys_before))?,
            keys: upload(tiles_of(bounds, BACKWARD_ROWS, rows_after))?,
            tokens: bounds.last().copied().unwrap_or(0),
            head_width,
        })
    }
}

/// The keys that queries from `first` on see, about.
fn keys_before(first: usize, start: usize, _: usize) -> usize {
    first - start
}

/// The queries that see keys from `first` on, about.
fn rows_after(first: usize, _: usize, end: usize) -> usize {
    end - first
}

fn tiles_of(
    bounds: &[usize],
    rows: usize,
    work: fn(usize, usize, usize) -> usize,
) -> Vec<[i32; NUMBERS_A_TILE]> {
    let segments = bounds.windows(2).map(|pair| (pair[0], pair[1]));
    let mut tiles: Vec<(usize, usize, usize)> = segments
        .flat_map(|(start, end)| (start..end).step_by(rows).map(move |first| (first, start, end)))
        .collect();
    tiles.sort_by_key(|&(first, start, end)| (std::cmp::Reverse(work(first, start, end)), first));
    let number = |value: usize| i32::try_from(value).expect("a row of fewer than 2^31 tokens");
    tiles.into_iter().map(|(first, start, end)| [number(first), number(start), number(end), 0]).collect()
}

/// Parameters that all three kernels end with.
fn finish<'d>(launch: Launch<'d>, heads: &Heads, tiles: &Lent<i32>, tokens: usize) -> Launch<'d> {
    launch
        .read(tiles.all())
        .int(tokens)
        .int(heads.group())
        .float(heads.scale)
        .int(heads.window(tokens))
        .float(heads.softcap.unwrap_or(0.0))
}

fn begin<'d>(
    device: &'d Device,
    source: &'static str,
    name: &'static str,
    inputs: &Inputs<'_>,
) -> Launch<'d> {
    let Inputs { q, k, v } = inputs;
    Launch::new(device, source, name)
        .read(q.span)
        .long(q.stride)
        .read(k.span)
        .long(k.stride)
        .read(v.span)
        .long(v.stride)
}

fn count(tiles: &Lent<i32>) -> usize {
    tiles.all().len() / NUMBERS_A_TILE
}

fn instance_of(tiles: &Tiles, heads: &Heads) -> &'static Instance {
    assert_eq!(tiles.head_width, heads.head_width, "attention: tiles for heads of another width");
    Instance::of(tiles.head_width).expect("tiles are made for widths that are supported")
}

/// `o = softmax(mask(q kᵀ · scale)) v` by heads and segments.
///
/// `o`: `[T, H * E]`, written; `log_sum_exp`: `[H, T]`, written, kept for [`backward`].
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// If the shapes do not fit or cannot be read 16 bytes at a time.
pub fn forward(
    device: &Device,
    heads: &Heads,
    tiles: &Tiles,
    inputs: Inputs<'_>,
    o: MatrixMut<'_, bf16>,
    log_sum_exp: SpanMut<'_, f32>,
) -> Result<()> {
    let (tokens, instance) = (tiles.tokens, instance_of(tiles, heads));
    heads.check(tokens, &inputs);
    o.expect("attention: result", tokens, heads.query_row());
    assert_eq!(log_sum_exp.len(), tokens * heads.heads, "attention: lengths");
    let launch = begin(device, "flash_forward", instance.forward, &inputs)
        .write(&o.span)
        .long(o.stride)
        .write(&log_sum_exp);
    let launch = finish(launch, heads, &tiles.forward, tokens);
    // SAFETY: all matrices have T rows of their heads and are aligned, checked above; `o` and `log_sum_exp` are borrowed
    // alone; tiles lie within T by their making, and the kernel reads and writes rows of tiles and segments alone.
    unsafe { launch.run_on([count(&tiles.forward), heads.heads, 1], THREADS, instance.forward_bytes()) }
}

/// What [`forward`] gave, and the gradient of it.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// `[T, H * E]`.
    pub o: Matrix<'a, bf16>,
    /// `[H, T]`.
    pub log_sum_exp: Span<'a, f32>,
    /// `[T, H * E]`.
    pub d_o: Matrix<'a, bf16>,
}

/// Gradients of [`forward`]. `delta`: `[H, T]`, scratch.
///
/// # Errors
/// If a launch fails.
///
/// # Panics
/// As [`forward`].
pub fn backward(
    device: &Device,
    heads: &Heads,
    tiles: &Tiles,
    inputs: Inputs<'_>,
    given: Given<'_>,
    out: Gradients<'_>,
    mut delta: SpanMut<'_, f32>,
) -> Result<()> {
    let (tokens, instance) = (tiles.tokens, instance_of(tiles, heads));
    heads.check(tokens, &inputs);
    out.dq.expect("attention: dq", tokens, heads.query_row());
    out.dk.expect("attention: dk", tokens, heads.kv_row());
    out.dv.expect("attention: dv", tokens, heads.kv_row());
    assert_eq!(given.log_sum_exp.len(), tokens * heads.heads, "attention: lengths");
    deltas(device, heads, tokens, given.o, given.d_o, delta.lend())?;
    let common = |name| {
        begin(device, "flash_backward", name, &inputs)
            .read(given.d_o.span)
            .long(given.d_o.stride)
            .read(given.log_sum_exp)
            .read(delta.read())
    };
    let launch = common(instance.backward_kv)
        .write(&out.dk.span)
        .long(out.dk.stride)
        .write(&out.dv.span)
        .long(out.dv.stride);
    let launch = finish(launch, heads, &tiles.keys, tokens);
    let grid = [count(&tiles.keys), heads.kv_heads, 1];
    // SAFETY: as in `forward`, for dk and dv.
    unsafe { launch.run_on(grid, instance.kv_threads, instance.kv_bytes()) }?;
    let launch = common(instance.backward_q).write(&out.dq.span).long(out.dq.stride);
    let launch = finish(launch, heads, &tiles.queries, tokens);
    // SAFETY: as in `forward`, for dq.
    unsafe { launch.run_on([count(&tiles.queries), heads.heads, 1], THREADS, instance.q_bytes()) }
}

/// `delta[h][t] = Σ do · o` over head `h` of token `t` of `tokens`; `delta`: `[H, T]`, written.
pub(super) fn deltas(
    device: &Device,
    heads: &Heads,
    tokens: usize,
    o: Matrix<'_, bf16>,
    d_o: Matrix<'_, bf16>,
    delta: SpanMut<'_, f32>,
) -> Result<()> {
    const THREADS: usize = 256;
    o.expect("attention: o", tokens, heads.query_row());
    d_o.expect("attention: do", tokens, heads.query_row());
    assert_eq!(delta.len(), tokens * heads.heads, "attention: lengths");
    let launch = Launch::new(device, "flash_backward", "attention_delta")
        .read(o.span)
        .long(o.stride)
        .read(d_o.span)
        .long(d_o.stride)
        .write(&delta)
        .int(tokens)
        .int(heads.heads)
        .int(heads.head_width);
    // SAFETY: one number a token and head; matrices checked above; `delta` is borrowed alone.
    unsafe { launch.run((tokens * heads.heads).div_ceil(THREADS / 32), THREADS as u32, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_hold_every_row_once_and_the_longest_come_first() {
        let bounds = [0, 1, 1, 64, 129, 400];
        for rows in [64, 128] {
            for work in [keys_before, rows_after] {
                let tiles = tiles_of(&bounds, rows, work);
                let mut seen = vec![0; 400];
                for &[first, start, end, _] in &tiles {
                    assert!(bounds.windows(2).any(|b| b[0] as i32 == start && b[1] as i32 == end));
                    assert!(start <= first && first < end && (first - start) % rows as i32 == 0);
                    (first..end.min(first + rows as i32)).for_each(|row| seen[row as usize] += 1);
                }
                assert!(seen.iter().all(|&times| times == 1));
                let works: Vec<usize> =
                    tiles.iter().map(|t| work(t[0] as usize, t[1] as usize, t[2] as usize)).collect();
                assert!(works.is_sorted_by(|a, b| a >= b), "{works:?}");
            }
        }
    }

    #[test]
    fn a_block_asks_for_no_more_shared_memory_than_small_cards_have() {
        // Of compute capability 8.6 and 8.9: 100 KB a multiprocessor, one of them the system's.
        const SMALLEST_BYTES: usize = 99 << 10;
        for instance in &INSTANCES {
            let most = instance.forward_bytes().max(instance.kv_bytes()).max(instance.q_bytes());
            assert!(most <= SMALLEST_BYTES, "{}: {most}", instance.width);
        }
    }
}
