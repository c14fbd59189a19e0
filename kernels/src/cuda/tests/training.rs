//! The loss and the optimiser.

use half::bf16;

use super::{assert_near, cases, narrow_numbers, numbers, poisoned, wide};
use crate::adamw::{self as adamw_twin, Update};
use crate::cross_entropy::{self as twin, RowLoss};
use crate::cuda::cross_entropy::{Head, Losses, evaluate};
use crate::cuda::{Device, adamw};
use crate::elementwise;

cases! {
    cuda_cross_entropy, emulated_cross_entropy: losses;
    cuda_cross_entropy_hard, emulated_cross_entropy_hard: hard_losses;
    cuda_adamw, emulated_adamw: updated;
}

fn run(
    device: &Device,
    head: Head,
    logits: &[bf16],
    columns: usize,
    stride: usize,
    targets: &[u32],
) -> (Vec<f32>, Vec<u32>, Vec<bf16>) {
    let rows = targets.len();
    let (mut logits_d, targets_d) =
        (device.upload(logits).expect("memory"), device.upload(targets).expect("memory"));
    let (mut nats, mut correct) = (poisoned::<f32>(device, rows), poisoned::<u32>(device, rows));
    let out = Losses { nats: nats.all_mut(), correct: correct.all_mut() };
    evaluate(device, head, logits_d.all_mut().strided(rows, columns, stride), targets_d.all(), out)
        .expect("launch");
    (nats.to_vec().expect("copy"), correct.to_vec().expect("copy"), logits_d.to_vec().expect("copy"))
}

fn losses(device: &Device) {
    let cases: [(usize, usize, Option<f64>, f64); 5] = [
        (1, 3, None, 1.0),
        (5, 37, None, 1.0),
        (3, 4103, None, 0.25),
        (2, 9000, Some(3.0), 1.0),
        (4, 64, Some(30.0), 2.0),
    ];
    for (rows, columns, softcap, multiplier) in cases {
        let stride = columns.next_multiple_of(8) + 8;
        let logits: Vec<bf16> = wide(&narrow_numbers(rows * stride, columns as u64))
            .iter()
            .map(|v| bf16::from_f32(v * 9.0))
            .collect();
        let targets: Vec<u32> = (0..rows).map(|row| ((row * 7919 + columns - 1) % columns) as u32).collect();
        let mut z: Vec<f32> = logits.chunks(stride).flat_map(|line| wide(&line[..columns])).collect();
        elementwise::scale(&mut z, multiplier);
        let mut slope = vec![multiplier as f32; z.len()];
        if let Some(cap) = softcap {
            elementwise::cap(&mut z, cap);
            elementwise::cap_slope(&z, cap, &mut slope);
            elementwise::scale(&mut slope, multiplier);
        }
        let mut want = vec![RowLoss::default(); rows];
        twin::evaluate_and_differentiate(&mut z, &targets, 0.125, &mut want);
        let gradient: Vec<f32> = z.iter().zip(&slope).map(|(d, s)| d * s).collect();
        let mut head =
            Head { multiplier: multiplier as f32, softcap: softcap.map(|cap| cap as f32), scale: None };
        let (nats, correct, same) = run(device, head, &logits, columns, stride, &targets);
        assert_eq!(same, logits, "logits that were not to be touched");
        let want_nats: Vec<f32> = want.iter().map(|loss| loss.nats as f32).collect();
        assert_near("nats", &nats, &want_nats, 0.001, 4e-6);
        assert!(correct.iter().zip(&want).all(|(&got, want)| (got == 1) == want.correct));
        head.scale = Some(0.125);
        let (again, _, d) = run(device, head, &logits, columns, stride, &targets);
        assert_eq!(nats, again);
        let got: Vec<f32> = d.chunks(stride).flat_map(|line| wide(&line[..columns])).collect();
        assert_near("gradient", &got, &gradient, 1.02, 2e-8);
        assert!(d.chunks(stride).zip(logits.chunks(stride)).all(|(a, b)| a[columns..] == b[columns..]));
    }
}

/// Equal logits, minus infinity, no number, and a target that is not there.
fn hard_losses(device: &Device) {
    let head = Head { multiplier: 1.0, softcap: None, scale: Some(1.0) };
    let row = |values: [f32; 4]| values.map(bf16::from_f32);
    let infinite = f32::NEG_INFINITY;
    let logits = [
        row([1.0, 2.0, 2.0, 0.0]),
        row([1.0, 2.0, 2.0, 0.0]),
        row([infinite, 0.0, infinite, infinite]),
        row([1.0, f32::NAN, 0.0, 0.0]),
        row([0.0; 4]),
    ];
    let logits: Vec<bf16> = logits.iter().flat_map(|row| [*row, [bf16::NAN; 4]].concat()).collect();
    let (nats, correct, d) = run(device, head, &logits, 4, 8, &[1, 2, 1, 0, 4]);
    assert_eq!(correct[..3], [1, 0, 1]);
    assert!((nats[0] - nats[1]).abs() < 1e-6 && nats[2] == 0.0 && nats[3].is_nan() && nats[4].is_nan());
    assert_eq!(wide(&d[16..20]), [0.0; 4], "a row that is certain has no gradient");
    assert_eq!(correct[4], 0);
}

fn updated(device: &Device) {
    for count in [1, 7, 8, 4099, 40_001] {
        let mut flat = [numbers(count, 1), numbers(count, 2), numbers(count, 3), numbers(count, 4)];
        flat[3].iter_mut().for_each(|v| *v = v.abs());
        let mut on_device = flat.clone().map(|values| device.upload(&values).expect("memory"));
        let mut shadow = poisoned::<bf16>(device, count);
        let mut norm = adamw::Norm::new(device, count).expect("memory");
        let scale = 0.01_f32;
        for (step, most) in [(1, None), (2, Some(0.05)), (3, Some(1e9))] {
            norm.take(device, on_device[1].all(), scale, most).expect("launch");
            let (got_norm, factor) = norm.read().expect("copy");
            let want_norm = adamw_twin::norm(&flat[1]) * f64::from(scale);
            assert!((got_norm - want_norm).abs() <= 1e-12 * want_norm);
            let clip = most.map_or(1.0, |most: f32| adamw_twin::clip_factor(want_norm, f64::from(most)));
            assert!((factor - clip * f64::from(scale)).abs() <= 1e-9 * factor);
            let with = Update {
                learning_rate: 1e-3,
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
                weight_decay: 0.01,
                step,
                gradient_factor: factor,
            };
            let [parameters, gradients, first, second] = &mut on_device;
            let buffers = adamw::Flat {
                parameters: parameters.all_mut(),
                gradients: gradients.all(),
                first: first.all_mut(),
                second: second.all_mut(),
                shadow: Some(shadow.all_mut()),
            };
            adamw::update(device, buffers, &norm, &with).expect("launch");
            let [p, g, m, v] = &mut flat;
            adamw_twin::update(p, g, m, v, &with);
            for (got, want) in on_device.iter().zip(&flat) {
                let got = got.to_vec().expect("copy");
                assert!(
                    got.iter().zip(want).all(|(a, b)| a.to_bits() == b.to_bits()),
                    "{count}, step {step}"
                );
            }
            let want = flat[0].iter().map(|&p| bf16::from_f32(p));
            assert!(shadow.to_vec().expect("copy").into_iter().eq(want));
        }
        on_device[1].all_mut().slice(0..1).upload(device, &[f32::INFINITY]).expect("copy");
        norm.take(device, on_device[1].all(), 1.0, Some(1.0)).expect("launch");
        let [parameters, gradients, first, second] = &mut on_device;
        let buffers = adamw::Flat {
            parameters: parameters.all_mut(),
            gradients: gradients.all(),
            first: first.all_mut(),
            second: second.all_mut(),
            shadow: None,
        };
        let with = Update {
            learning_rate: 1.0,
            beta1: 0.9,
            beta2: 0.9,
            epsilon: 1e-8,
            weight_decay: 0.5,
            step: 4,
            gradient_factor: 1.0,
        };
        adamw::update(device, buffers, &norm, &with).expect("launch");
        assert_eq!(parameters.to_vec().expect("copy"), flat[0], "a norm that is not finite changes nothing");
        assert!(norm.read().expect("copy").0.is_infinite());
    }
}
