//! Kernels whose elements, pairs or rows stand alone.

use half::bf16;

use super::{assert_near, cases, narrow_numbers, poisoned, wide};
use crate::activation::{self as activation_twin, Activation};
use crate::cuda::{Device, activation, noise, rope, rows};
use crate::noise::{Draw, stream_of};
use crate::rope::{self as rope_twin, Turn};

cases! {
    cuda_rope, emulated_rope: turned;
    cuda_activation, emulated_activation: activated;
    cuda_dropout, emulated_dropout: dropped;
    cuda_uniform_noise, emulated_uniform_noise: shaken;
    cuda_rows, emulated_rows: gathered;
}

/// One rounding to bf16, and a little for other functions of the library.
const STEPS: f32 = 1.02;

fn turned(device: &Device) {
    // Tokens, heads, width, pairs, stride: whole, partial, and pairs that are no eights.
    for (tokens, heads, width, pairs, stride) in [
        (1, 1, 64, 32, 64),
        (9, 3, 64, 32, 200),
        (5, 2, 128, 16, 256),
        (7, 3, 80, 10, 240),
        (4, 2, 18, 9, 37),
    ] {
        let frequencies: Vec<f32> = (0..pairs).map(|i| 100.0_f32.powf(-(i as f32) / pairs as f32)).collect();
        let table = rope_twin::Table::new(50, &frequencies, 1.1);
        let positions: Vec<u32> = (0..tokens).map(|t| (t as u32 * 31) % 50).collect();
        let x = narrow_numbers(tokens * stride, 1);
        let on_device = rope::Table::upload(device, &table).expect("memory");
        let positions_d = device.upload(&positions).expect("memory");
        for turn in [Turn::Forth, Turn::Back] {
            let mut x_d = device.upload(&x).expect("memory");
            let view = x_d.all_mut().strided(tokens, heads * width, stride);
            on_device.turn(device, view, positions_d.all(), heads, turn).expect("launch");
            let mut want = wide(&x);
            for (line, &position) in want.chunks_mut(stride).zip(&positions) {
                table.turn(&mut line[..heads * width], &[position], heads, turn);
            }
            assert_near("rope", &wide(&x_d.to_vec().expect("copy")), &want, STEPS, 1e-7);
        }
    }
    let on_device = rope::Table::upload(device, &rope_twin::Table::new(4, &[1.0; 8], 1.0)).expect("memory");
    let mut x = device.zeros::<bf16>(32).expect("memory");
    let positions = device.upload(&[4_u32, 3]).expect("memory");
    on_device.turn(device, x.all_mut().matrix(2, 16), positions.all(), 1, Turn::Forth).expect("launch");
    let x = x.to_vec().expect("copy");
    assert!(
        x[..16].iter().all(|v| v.is_nan()) && x[16..].iter().all(|v| *v == bf16::ZERO),
        "beyond the table"
    );
}

fn activated(device: &Device) {
    for activation in [Activation::Silu, Activation::Gelu, Activation::GeluTanh] {
        for (tokens, columns) in [(1, 8), (3, 40), (17, 264)] {
            let len = tokens * columns;
            let scaled = |salt: u64| -> Vec<bf16> {
                wide(&narrow_numbers(len, salt)).iter().map(|v| bf16::from_f32(v * 6.0)).collect()
            };
            let (e, g, d) = (scaled(1), scaled(2), scaled(3));
            // e and g side by side, as one product gives them.
            let joint: Vec<bf16> =
                e.chunks(columns).zip(g.chunks(columns)).flat_map(|(e, g)| [e, g].concat()).collect();
            for gated in [true, false] {
                let joint_d = device.upload(&joint).expect("memory");
                let both = joint_d.all().matrix(tokens, 2 * columns);
                let (e_d, g_d) = (both.columns(0..columns), both.columns(columns..2 * columns));
                let mut h = poisoned::<bf16>(device, len);
                let out = h.all_mut().matrix(tokens, columns);
                activation::forward(device, activation, e_d, gated.then_some(g_d), out).expect("launch");
                let (we, wg) = (wide(&e), wide(&g));
                let mut want = vec![0.0; len];
                activation_twin::forward(activation, &we, gated.then_some(&wg[..]), &mut want);
                // GELU's tail cancels: its error is one of single precision, not of the value.
                assert_near("activation", &wide(&h.to_vec().expect("copy")), &want, STEPS, 2e-6 * 6.0);
                let (mut de, mut dg) = (wide(&d), vec![0.0; len]);
                if gated {
                    activation_twin::backward_gated(activation, &we, &wg, &mut de, &mut dg);
                } else {
                    activation_twin::backward_plain(activation, &we, &mut de);
                }
                let (mut d_d, mut joint_d) =
                    (device.upload(&d).expect("memory"), device.upload(&joint).expect("memory"));
                let (e_d, g_d) = joint_d.all_mut().matrix(tokens, 2 * columns).split_columns(columns);
                let d_m = d_d.all_mut().matrix(tokens, columns);
                activation::backward(device, activation, d_m, e_d, gated.then_some(g_d)).expect("launch");
                let got = wide(&joint_d.to_vec().expect("copy"));
                let part = |from: usize| -> Vec<f32> {
                    got.chunks(2 * columns).flat_map(|line| line[from..from + columns].to_vec()).collect()
                };
                assert_near("h again", &wide(&d_d.to_vec().expect("copy")), &want, STEPS, 2e-6 * 6.0);
                assert_near("de", &part(0), &de, STEPS, 1e-4);
                assert_near("dg", &part(columns), if gated { &dg } else { &wg }, STEPS, 1e-4);
            }
        }
    }
}

fn dropped(device: &Device) {
    for (tokens, columns, stride) in [(1, 8, 8), (3, 1000, 1016), (5, 4104, 4104)] {
        let (x, old) = (narrow_numbers(tokens * stride, 1), narrow_numbers(tokens * stride, 2));
        let keys: Vec<u64> = (0..tokens as u64).map(|t| t.wrapping_mul(0x1234_5678_9abc_def1)).collect();
        let stream = stream_of("a layer");
        let (x_d, keys_d) = (device.upload(&x).expect("memory"), device.upload(&keys).expect("memory"));
        let draw = noise::Draw { keys: keys_d.all(), stream };
        let lines = |values: &[bf16]| -> Vec<f32> {
            values.chunks(stride).flat_map(|line| wide(&line[..columns])).collect()
        };
        for probability in [0.0, 0.1, 0.5] {
            let mut y = poisoned::<bf16>(device, tokens * stride);
            let view = x_d.all().strided(tokens, columns, stride);
            draw.drop_out(device, probability, view, y.all_mut().strided(tokens, columns, stride))
                .expect("launch");
            let mut want = vec![0.0; tokens * columns];
            let twin = Draw { keys_t: &keys, stream };
            twin.drop_out(probability, &lines(&x), &mut want);
            let want: Vec<bf16> = want.into_iter().map(bf16::from_f32).collect();
            assert_eq!(lines(&y.to_vec().expect("copy")), wide(&want), "which drop, to the bit");
            let mut dx = device.upload(&old).expect("memory");
            draw.drop_out_back(device, probability, view, dx.all_mut().strided(tokens, columns, stride))
                .expect("launch");
            let mut want = lines(&old);
            twin.drop_out_back(probability, &lines(&x), &mut want);
            let want: Vec<bf16> = want.into_iter().map(bf16::from_f32).collect();
            assert_eq!(lines(&dx.to_vec().expect("copy")), wide(&want));
        }
    }
}

fn shaken(device: &Device) {
    let (tokens, columns) = (7, 520);
    let x = narrow_numbers(tokens * columns, 1);
    let keys: Vec<u64> = (0..tokens as u64).collect();
    let (mut x_d, keys_d) = (device.upload(&x).expect("memory"), device.upload(&keys).expect("memory"));
    let draw = noise::Draw { keys: keys_d.all(), stream: 5 };
    draw.add_uniform(device, 0.3, x_d.all_mut().matrix(tokens, columns)).expect("launch");
    let mut want = wide(&x);
    Draw { keys_t: &keys, stream: 5 }.add_uniform(0.3, &mut want);
    let want: Vec<bf16> = want.into_iter().map(bf16::from_f32).collect();
    assert_eq!(x_d.to_vec().expect("copy"), want);
}

fn gathered(device: &Device) {
    let (table, width) = (37, 200);
    let x = narrow_numbers(table * width, 1);
    let numbers: Vec<u32> = [36, 0, 5, 17, 1, 30].to_vec();
    let (count, stride) = (numbers.len(), width + 8);
    let (x_d, rows_d) = (device.upload(&x).expect("memory"), device.upload(&numbers).expect("memory"));
    let mut out = poisoned::<bf16>(device, count * stride);
    let view = out.all_mut().strided(count, width, stride);
    rows::gather(device, x_d.all().matrix(table, width), rows_d.all(), 3.5, view).expect("launch");
    let got = out.to_vec().expect("copy");
    for (line, &row) in got.chunks(stride).zip(&numbers) {
        let want = x[row as usize * width..][..width].iter().map(|v| bf16::from_f32(v.to_f32() * 3.5));
        assert!(line[..width].iter().copied().eq(want), "row {row}");
        assert!(line[width..].iter().all(|v| v.to_bits() == 0xffff), "behind row {row}");
    }
    let taken: Vec<bf16> = got.chunks(stride).flat_map(|line| line[..width].to_vec()).collect();
    let factors: Vec<f32> = (0..count).map(|i| i as f32 * 0.3 - 0.7).collect();
    let factors_d = device.upload(&factors).expect("memory");
    let (taken_d, mut sums) = (out.all().strided(count, width, stride), device.upload(&x).expect("memory"));
    rows::scatter_add(
        device,
        taken_d,
        Some(factors_d.all()),
        rows_d.all(),
        sums.all_mut().matrix(table, width),
    )
    .expect("launch");
    let mut want = x.clone();
    for ((line, &row), factor) in taken.chunks(width).zip(&numbers).zip(&factors) {
        for (old, new) in want[row as usize * width..][..width].iter_mut().zip(line) {
            *old = bf16::from_f32(old.to_f32() + factor * new.to_f32());
        }
    }
    assert_eq!(sums.to_vec().expect("copy"), want);
    rows::scatter(device, taken_d, rows_d.all(), sums.all_mut().matrix(table, width)).expect("launch");
    for (line, &row) in taken.chunks(width).zip(&numbers) {
        want[row as usize * width..][..width].copy_from_slice(line);
    }
    assert_eq!(sums.to_vec().expect("copy"), want);
    let mut dots = poisoned::<f32>(device, count);
    rows::dots(device, taken_d, x_d.all().slice(0..count * width).matrix(count, width), dots.all_mut())
        .expect("launch");
    let mut want = vec![0.0; count];
    crate::elementwise::dot_rows(&wide(&taken), &wide(&x[..count * width]), &mut want);
    assert_near("dots", &dots.to_vec().expect("copy"), &want, 0.01, 1e-4);
    rows::scale(device, out.all_mut().strided(count, width, stride), factors_d.all()).expect("launch");
    let scaled = out.to_vec().expect("copy");
    for ((line, old), factor) in scaled.chunks(stride).zip(taken.chunks(width)).zip(&factors) {
        assert!(
            line[..width].iter().zip(old).all(|(new, old)| *new == bf16::from_f32(old.to_f32() * factor))
        );
    }
    let beyond = device.upload(&[37_u32]).expect("memory");
    let mut one = device.zeros::<bf16>(width).expect("memory");
    rows::gather(device, x_d.all().matrix(table, width), beyond.all(), 1.0, one.all_mut().matrix(1, width))
        .expect("launch");
    assert!(one.to_vec().expect("copy").iter().all(|v| v.is_nan()), "a row that is not there");
}
