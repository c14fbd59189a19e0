use half::bf16;

use super::{cases, narrow_numbers, poisoned, wide};
use crate::arena::Arena;
use crate::attention as twin;
use crate::cuda::attention::{Gradients, Heads, Inputs, cached, flash, strips};
use crate::cuda::{self, Buffer, Device};

cases! {
    cuda_attention_64, emulated_attention_64: |device| flashed(device, 64);
    cuda_attention_96, emulated_attention_96: |device| flashed(device, 96);
    cuda_attention_128, emulated_attention_128: |device| flashed(device, 128);
    cuda_attention_256, emulated_attention_256: |device| flashed(device, 256);
    cuda_attention_strips, emulated_attention_strips: stripped;
    cuda_attention_cached, emulated_attention_cached: kept;
}

/// Query heads, key-value heads, window, softcap.
type Kind = (usize, usize, Option<usize>, Option<f64>);
const KINDS: [Kind; 5] = [
    (2, 2, None, None),
    (4, 1, None, None),
    (2, 1, Some(20), None),
    (2, 1, Some(70), Some(0.8)),
    (2, 1, Some(1), None),
];

struct Case<'a> {
    device: &'a Device,
    bounds: &'a [usize],
    heads: Heads,
    softcap: Option<f64>,
    /// Rows of q, k and v side by side, as one product gives them.
    joint: Vec<bf16>,
}

/// How far a result may be off, as a part of the largest of its kind. Weights, and dS, are rounded to bf16 (2^-9 of each,
/// at most) before a sum whose terms have both signs; the sum is rounded once (2^-9), and the reference sums in another
/// order: 2^-8, and as much again for terms that cancel.
const PART: f32 = 1.0 / 128.0;

#[track_caller]
fn assert_sums_near(what: &str, got: &[bf16], want: &[f32]) {
    // Where a token sees itself alone its dP and delta cancel, and what is left is noise of single precision.
    let largest = want.iter().fold(1e-3_f32, |most, v| most.max(v.abs()));
    let (mut total, mut most) = (0.0, 0.0_f32);
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (got.to_f32() - want).abs();
        assert!(error <= PART * largest, "{what}: element {i} is {got}, expected {want}, largest {largest}");
        (total, most) = (total + error, most.max(error));
    }
    let mean = total / want.len().max(1) as f32;
    eprintln!("{what}: at most {:.5}, on average {:.6} of the largest", most / largest, mean / largest);
    // On the whole it is much nearer: a quarter of that would be a mask or an index that is off by one somewhere.
    assert!(mean <= PART / 8.0 * largest, "{what}: {mean} on average");
}

impl Case<'_> {
    fn tokens(&self) -> usize {
        self.bounds.last().copied().unwrap_or(0)
    }

    fn widths(&self) -> [usize; 3] {
        let Heads { heads, kv_heads, head_width, .. } = self.heads;
        [heads * head_width, kv_heads * head_width, kv_heads * head_width]
    }

    fn shape(&self) -> twin::Shape<'_> {
        twin::Shape {
            heads: self.heads.heads,
            kv_heads: self.heads.kv_heads,
            head_width: self.heads.head_width,
            scale: f64::from(self.heads.scale),
            bounds: self.bounds,
            parents: &[],
            window: self.heads.window,
            softcap: self.softcap,
        }
    }

    /// q, k and v on their own, for the twin.
    fn parts(&self) -> [Vec<f32>; 3] {
        let widths = self.widths();
        let row: usize = widths.iter().sum();
        let mut from = 0;
        widths.map(|width| {
            let part = self.joint.chunks(row).flat_map(|line| wide(&line[from..from + width])).collect();
            from += width;
            part
        })
    }

    /// Runs both ways and holds every output against the twin.
    fn run(&self, name: &str, by_strips: bool) {
        let (device, tokens, [q_width, kv_width, _]) = (self.device, self.tokens(), self.widths());
        let row = q_width + 2 * kv_width;
        let joint = device.upload(&self.joint).expect("memory");
        let whole = joint.all().matrix(tokens, row);
        let inputs = Inputs {
            q: whole.columns(0..q_width),
            k: whole.columns(q_width..q_width + kv_width),
            v: whole.columns(q_width + kv_width..row),
        };
        let (wide_len, narrow_len) = strips::scratch_elements(&self.heads, self.bounds);
        let arena = cuda::Arena::new(device, 1 << 20).expect("memory");
        let tiles = || flash::Tiles::new(device, &arena, self.bounds, self.heads.head_width).expect("memory");
        let mut way = Way {
            tiles: (!by_strips).then(tiles),
            wide: poisoned(device, wide_len),
            narrow: poisoned(device, narrow_len),
        };
        let forward = self.forward(name, inputs, &mut way);
        self.backward(name, inputs, &mut way, &forward);
    }

    fn forward(&self, name: &str, inputs: Inputs<'_>, way: &mut Way) -> Forward {
        let (device, tokens, width) = (self.device, self.tokens(), self.widths()[0]);
        let stride = width + BEHIND;
        let mut o = poisoned::<bf16>(device, tokens * stride);
        let mut lse = poisoned::<f32>(device, tokens * self.heads.heads);
        let out = o.all_mut().strided(tokens, width, stride);
        match &way.tiles {
            Some(tiles) => flash::forward(device, &self.heads, tiles, inputs, out, lse.all_mut()),
            None => {
                let scratch = strips::Scratch { wide: way.wide.all_mut(), narrow: way.narrow.all_mut() };
                strips::forward(device, &self.heads, self.bounds, inputs, out, lse.all_mut(), scratch)
            }
        }
        .expect("launch");
        let got = without_what_is_behind(name, &o.to_vec().expect("copy"), width);
        let [q, k, v] = self.parts();
        let (mut want, mut want_lse) = (vec![0.0; q.len()], vec![0.0; tokens * self.heads.heads]);
        twin::forward(&self.shape(), &q, &k, &v, &mut want, &mut want_lse, &Arena::new());
        assert_sums_near(&format!("{name}: o"), &got, &want);
        let by_heads = lse.to_vec().expect("copy");
        for (i, want) in want_lse.iter().enumerate() {
            let (token, head) = (i / self.heads.heads, i % self.heads.heads);
            let error = (by_heads[head * tokens + token] - want).abs();
            assert!(
                error < 1e-5 * want.abs().max(1.0),
                "{name}: lse of {token}, {head}: {want}, off by {error}"
            );
        }
        Forward { o, got, lse, want_lse }
    }

    fn backward(&self, name: &str, inputs: Inputs<'_>, way: &mut Way, forward: &Forward) {
        let (device, tokens, [q_width, kv_width, _]) = (self.device, self.tokens(), self.widths());
        let row = q_width + 2 * kv_width;
        let d_o = narrow_numbers(tokens * q_width, 5);
        let d_o_d = device.upload(&d_o).expect("memory");
        let mut d_joint = poisoned::<bf16>(device, tokens * (row + BEHIND));
        let (dq, rest) = d_joint.all_mut().strided(tokens, row, row + BEHIND).split_columns(q_width);
        let (dk, dv) = rest.split_columns(kv_width);
        let (heads, out, mut delta) =
            (&self.heads, Gradients { dq, dk, dv }, poisoned::<f32>(device, tokens * self.heads.heads));
        let given = flash::Given {
            o: forward.o.all().strided(tokens, q_width, q_width + BEHIND),
            log_sum_exp: forward.lse.all(),
            d_o: d_o_d.all().matrix(tokens, q_width),
        };
        match &way.tiles {
            Some(tiles) => flash::backward(device, heads, tiles, inputs, given, out, delta.all_mut()),
            None => {
                let scratch = strips::Scratch { wide: way.wide.all_mut(), narrow: way.narrow.all_mut() };
                strips::backward(device, heads, self.bounds, inputs, given, out, delta.all_mut(), scratch)
            }
        }
        .expect("launch");
        let [q, k, v] = self.parts();
        let [mut want_q, mut want_k, mut want_v] = [&q, &k, &v].map(|part| vec![0.0; part.len()]);
        let out = twin::Gradients { dq_the: &mut want_q, dk_tke: &mut want_k, dv_tke: &mut want_v };
        // The twin takes the same o, so that its rounding is on both sides.
        let (o, lse) = (wide(&forward.got), &forward.want_lse);
        twin::backward(&self.shape(), &q, &k, &v, &o, lse, &wide(&d_o), out, &Arena::new());
        let lines = without_what_is_behind(name, &d_joint.to_vec().expect("copy"), row);
        let mut from = 0;
        for (part, want) in [("dq", &want_q), ("dk", &want_k), ("dv", &want_v)] {
            let width = want.len() / tokens;
            let got: Vec<bf16> =
                lines.chunks(row).flat_map(|line| line[from..from + width].to_vec()).collect();
            assert_sums_near(&format!("{name}: {part}"), &got, want);
            from += width;
        }
    }
}

/// Which kernels: those with tiles, or strips, and what those work in.
struct Way {
    tiles: Option<flash::Tiles>,
    wide: Buffer<f32>,
    narrow: Buffer<bf16>,
}

/// What the forward pass left.
struct Forward {
    o: Buffer<bf16>,
    got: Vec<bf16>,
    lse: Buffer<f32>,
    want_lse: Vec<f32>,
}

/// Columns that lie behind those of a result, and must stay as they are.
const BEHIND: usize = 16;

fn without_what_is_behind(name: &str, lines: &[bf16], width: usize) -> Vec<bf16> {
    let kept = |line: &[bf16]| line[width..].iter().all(|value| value.to_bits() == 0xffff);
    assert!(lines.chunks(width + BEHIND).all(kept), "{name}: what lies behind the columns");
    lines.chunks(width + BEHIND).flat_map(|line| line[..width].to_vec()).collect()
}

fn case<'a>(device: &'a Device, bounds: &'a [usize], head_width: usize, kind: Kind) -> Case<'a> {
    let (heads, kv_heads, window, softcap) = kind;
    let tokens = bounds.last().copied().unwrap_or(0);
    let scale = 2.0 / (head_width as f32).sqrt();
    let softcap_f32 = softcap.map(|cap| cap as f32);
    let heads = Heads { heads, kv_heads, head_width, scale, window, softcap: softcap_f32 };
    let joint = narrow_numbers(tokens * (heads.heads + 2 * heads.kv_heads) * head_width, head_width as u64);
    Case { device, bounds, heads, softcap, joint }
}

fn flashed(device: &Device, head_width: usize) {
    // A token alone, tiles that are just full, one more, an empty segment, and several tiles.
    let bounds: [&[usize]; 4] = [&[0, 5, 155], &[0, 1], &[0, 65], &[0, 63, 127, 127, 192]];
    // Emulating wide heads is slow, and what differs is the width alone.
    let (bounds, kinds) =
        if head_width == 64 { (&bounds[..], &KINDS[..]) } else { (&bounds[..1], &KINDS[1..4]) };
    for bounds in bounds {
        for &kind in kinds {
            case(device, bounds, head_width, kind).run(&format!("{head_width} {bounds:?} {kind:?}"), false);
        }
    }
}

/// What new tokens see of a cache is what they see of a row that is computed at once.
fn kept(device: &Device) {
    for (head_width, bounds) in [(40, &[0, 1, 8, 301][..]), (64, &[0, 257]), (256, &[0, 3, 40])] {
        for kind in KINDS {
            let case = case(device, bounds, head_width, kind);
            let (tokens, [q_width, kv_width, _]) = (case.tokens(), case.widths());
            let joint = device.upload(&case.joint).expect("memory");
            let whole = joint.all().matrix(tokens, q_width + 2 * kv_width);
            // Every third token is new; each of its document's keys is in the cache, those behind it too.
            let new: Vec<usize> = (0..tokens).step_by(3).collect();
            let start = |token: usize| *bounds.iter().rfind(|&&bound| bound <= token).expect("a document");
            let number = |value: usize| i32::try_from(value).expect("a small number");
            let first: Vec<i32> = new.iter().map(|&token| number(start(token))).collect();
            let count: Vec<i32> = new.iter().map(|&token| number(token + 1 - start(token))).collect();
            let row = q_width + 2 * kv_width;
            let queries =
                new.iter().flat_map(|token| case.joint[token * row..token * row + q_width].to_vec());
            let q = device.upload(&queries.collect::<Vec<bf16>>()).expect("memory");
            let (first, count) =
                (device.upload(&first).expect("memory"), device.upload(&count).expect("memory"));
            let stride = q_width + BEHIND;
            let mut o = poisoned::<bf16>(device, new.len() * stride);
            let there = cached::Kept {
                keys: whole.columns(q_width..q_width + kv_width),
                values: whole.columns(q_width + kv_width..row),
                first: first.all(),
                count: count.all(),
            };
            let out = o.all_mut().strided(new.len(), q_width, stride);
            cached::attend(device, &case.heads, q.all().matrix(new.len(), q_width), there, out)
                .expect("launch");
            let name = format!("cache of {head_width} {bounds:?} {kind:?}");
            let got = without_what_is_behind(&name, &o.to_vec().expect("copy"), q_width);
            let [q, k, v] = case.parts();
            let (mut all, mut lse) = (vec![0.0; q.len()], vec![0.0; tokens * case.heads.heads]);
            twin::forward(&case.shape(), &q, &k, &v, &mut all, &mut lse, &Arena::new());
            let want = new.iter().flat_map(|token| all[token * q_width..(token + 1) * q_width].to_vec());
            assert_sums_near(&name, &got, &want.collect::<Vec<f32>>());
        }
    }
}

fn stripped(device: &Device) {
    for (head_width, bounds) in [(40, &[0, 1, 8, 141][..]), (80, &[0, 129])] {
        for kind in KINDS {
            case(device, bounds, head_width, kind)
                .run(&format!("strips of {head_width} {bounds:?} {kind:?}"), true);
        }
    }
}
