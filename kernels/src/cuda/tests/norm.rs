use half::bf16;

use super::{assert_near, cases, narrow_numbers, numbers, poisoned, wide};
use crate::cuda::Device;
use crate::cuda::norm::{self, Input, Norm};
use crate::{layer_norm, norm as twin};

cases! {
    cuda_rms_norm, emulated_rms_norm: |device| by_rows(device, false);
    cuda_layer_norm, emulated_layer_norm: |device| by_rows(device, true);
    cuda_norm_of_heads, emulated_norm_of_heads: of_heads;
}

/// Rows, width.
const SIZES: [(usize, usize); 6] = [(1, 8), (5, 64), (9, 576), (3, 1024), (2, 1032), (3, 4104)];
/// The result is rounded to bf16 once: half a step, and a little for sums in another order.
const STEPS: f32 = 1.02;

struct Twin {
    y: Vec<f32>,
    moments: Vec<f32>,
}

fn forward(centred: bool, h: &[f32], weight: &[f32], bias: &[f32], epsilon: f64) -> Twin {
    let rows = h.len() / weight.len();
    let (mut y, mut moments) = (vec![0.0; h.len()], vec![0.0; if centred { 2 * rows } else { rows }]);
    if centred {
        layer_norm::forward(h, weight, bias, epsilon, &mut y, &mut moments);
    } else {
        twin::forward(h, weight, epsilon, &mut y, &mut moments);
    }
    Twin { y, moments }
}

fn by_rows(device: &Device, centred: bool) {
    for (rows, width) in SIZES {
        let (x, delta) = (narrow_numbers(rows * width, 1), narrow_numbers(rows * width, 2));
        let (weight, bias, epsilon) = (numbers(width, 3), numbers(width, 4), 1e-5);
        let h: Vec<bf16> = wide(&x).iter().zip(wide(&delta)).map(|(x, d)| bf16::from_f32(x + d)).collect();
        let want = forward(centred, &wide(&h), &weight, &bias, f64::from(epsilon));
        let on_device = |values: &[f32]| device.upload(values).expect("memory");
        let (weight_d, bias_d) = (on_device(&weight), on_device(&bias));
        let norm = Norm { weight: weight_d.all(), bias: centred.then(|| bias_d.all()), epsilon, heads: 1 };
        let stride = width + 24;
        let mut y = poisoned::<bf16>(device, rows * stride);
        let mut sum = device.upload(&x).expect("memory");
        let delta = device.upload(&delta).expect("memory");
        let mut moments = poisoned::<f32>(device, want.moments.len());
        let input =
            Input::AddTo { x: sum.all_mut().matrix(rows, width), delta: delta.all().matrix(rows, width) };
        norm::forward(device, &norm, input, y.all_mut().strided(rows, width, stride), moments.all_mut())
            .expect("launch");
        assert_eq!(sum.to_vec().expect("copy"), h, "{rows}x{width}: the sum");
        let lines = y.to_vec().expect("copy");
        let got: Vec<f32> = lines.chunks(stride).flat_map(|line| wide(&line[..width])).collect();
        assert!(lines.chunks(stride).all(|line| line[width..].iter().all(|v| v.to_bits() == 0xffff)));
        assert_near("norm", &got, &want.y, STEPS, 2e-6);
        assert_near("moments", &moments.to_vec().expect("copy"), &want.moments, 0.001, 1e-6);

        let mut again = poisoned::<bf16>(device, rows * stride);
        let out = again.all_mut().strided(rows, width, stride);
        norm::again(device, &norm, sum.all().matrix(rows, width), moments.all(), out).expect("launch");
        assert!(again.to_vec().expect("copy").iter().zip(&lines).all(|(a, b)| a.to_bits() == b.to_bits()));

        let (dy, dx) = (narrow_numbers(rows * width, 5), narrow_numbers(rows * width, 6));
        let (dy_d, mut dx_d) = (device.upload(&dy).expect("memory"), device.upload(&dx).expect("memory"));
        let h_d = sum.all().matrix(rows, width);
        let (dy_m, dx_m) = (dy_d.all().matrix(rows, width), dx_d.all_mut().matrix(rows, width));
        norm::backward_add(device, &norm, h_d, moments.all(), dy_m, dx_m).expect("launch");
        let mut want_dx = wide(&dx);
        if centred {
            layer_norm::backward_add(&wide(&h), &weight, &want.moments, &wide(&dy), &mut want_dx);
        } else {
            twin::backward_add(&wide(&h), &weight, &want.moments, &wide(&dy), &mut want_dx);
        }
        assert_near("norm, backward", &wide(&dx_d.to_vec().expect("copy")), &want_dx, STEPS, 1e-5);
    }
}

/// qk-norm: heads side by side in a part of a wider matrix, normed one by one into another.
fn of_heads(device: &Device) {
    for (tokens, heads, width, stride) in
        [(1, 1, 64, 64), (7, 3, 64, 384), (5, 2, 128, 512), (3, 5, 256, 1288)]
    {
        let x = narrow_numbers(tokens * stride, 7);
        let row = heads * width;
        let first = stride - row;
        let flat: Vec<f32> = x.chunks(stride).flat_map(|line| wide(&line[first..])).collect();
        let weight = numbers(width, 8);
        let want = forward(false, &flat, &weight, &[], 1e-6);
        let (x_d, weight_d) = (device.upload(&x).expect("memory"), device.upload(&weight).expect("memory"));
        let norm = Norm { weight: weight_d.all(), bias: None, epsilon: 1e-6, heads };
        let (mut y, mut moments) =
            (poisoned::<bf16>(device, tokens * row), poisoned::<f32>(device, tokens * heads));
        let part = x_d.all().strided(tokens, stride, stride).columns(first..stride);
        norm::forward(device, &norm, Input::Whole(part), y.all_mut().matrix(tokens, row), moments.all_mut())
            .expect("launch");
        assert_near("norm of heads", &wide(&y.to_vec().expect("copy")), &want.y, STEPS, 2e-6);
        let (dy, dx) = (narrow_numbers(tokens * row, 9), narrow_numbers(tokens * stride, 10));
        let (dy_d, mut dx_d) = (device.upload(&dy).expect("memory"), device.upload(&dx).expect("memory"));
        let dx_part = dx_d.all_mut().strided(tokens, stride, stride).columns(first..stride);
        norm::backward_add(device, &norm, part, moments.all(), dy_d.all().matrix(tokens, row), dx_part)
            .expect("launch");
        let mut want_dx: Vec<f32> = dx.chunks(stride).flat_map(|line| wide(&line[first..])).collect();
        twin::backward_add(&flat, &weight, &want.moments, &wide(&dy), &mut want_dx);
        let got = dx_d.to_vec().expect("copy");
        let got_part: Vec<f32> = got.chunks(stride).flat_map(|line| wide(&line[first..])).collect();
        assert_near("norm of heads, backward", &got_part, &want_dx, STEPS, 1e-5);
        assert!(
            got.chunks(stride).zip(dx.chunks(stride)).all(|(a, b)| a[..first] == b[..first]),
            "its neighbours"
        );
    }
}
