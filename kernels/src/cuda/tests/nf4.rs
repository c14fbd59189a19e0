use half::bf16;

use super::{cases, numbers, poisoned};
use crate::cuda::nf4::{Magnitudes, Nf4};
use crate::cuda::{Device, Facts};
use crate::nf4::{self, Absmax};

cases! {
    cuda_nf4_nested, emulated_nf4_nested: |device| dequantized(device, true);
    cuda_nf4_plain, emulated_nf4_plain: |device| dequantized(device, false);
}

/// Every element to the bit, rows of the output further apart than its columns, what lies between untouched.
fn dequantized(device: &Device, nested: bool) {
    for (rows, columns, block) in [(1, 8, 32), (3, 72, 64), (37, 200, 64), (65, 576, 64), (9, 1000, 256)] {
        let weights = numbers(rows * columns, rows as u64);
        let blocks = (rows * columns).div_ceil(block);
        let (mut codes, mut absmax) = (vec![0; rows * columns / 2], vec![0.0; blocks]);
        let padded: Vec<f32> = weights.iter().copied().chain([0.0; 4096]).take(blocks * block).collect();
        let mut all_codes = vec![0; padded.len() / 2];
        for (i, block) in padded.chunks(block).enumerate() {
            absmax[i] = block.iter().fold(0.0_f32, |most, w| most.max(w.abs()));
        }
        // Any codes do: what is tested is the way back.
        for (i, byte) in all_codes.iter_mut().enumerate() {
            *byte = (padded[2 * i] * 127.0) as i8 as u8;
        }
        codes.copy_from_slice(&all_codes[..rows * columns / 2]);
        let eight_bits = nf4::quantize_absmax(&absmax);
        let (magnitudes, on_host) = if nested {
            (Magnitudes::upload_nested(device, &eight_bits), Absmax::Nested(&eight_bits))
        } else {
            let uploaded = device.upload(&absmax).expect("memory");
            (Magnitudes::upload_plain(device, uploaded.all()), Absmax::Plain(&absmax))
        };
        let mut want = vec![0.0_f32; rows * columns];
        nf4::dequantize(&codes, on_host, block, 0, &mut want);
        let weight =
            Nf4::upload(device, &codes, magnitudes.expect("memory"), block, [rows, columns]).expect("memory");
        for first_row in [0, rows / 2] {
            let (count, stride) = (rows - first_row, columns + 16);
            let mut out = poisoned::<bf16>(device, count * stride);
            weight
                .dequantize(device, first_row, out.all_mut().strided(count, columns, stride))
                .expect("a launch");
            let out = out.to_vec().expect("a copy");
            for (row, line) in out.chunks(stride).enumerate() {
                let want = want[(first_row + row) * columns..][..columns].iter().map(|&w| bf16::from_f32(w));
                assert!(line[..columns].iter().copied().eq(want), "{rows}x{columns} in {block}: row {row}");
                assert!(line[columns..].iter().all(|v| v.to_bits() == 0xffff), "{rows}x{columns}: row {row}");
            }
        }
    }
}

/// Rows that begin before the first by way of a sum that wraps.
#[test]
#[should_panic(expected = "nf4: shape")]
fn rows_behind_every_number_are_refused() {
    let device = Device::dry(Facts::default());
    let magnitudes = Magnitudes::Plain(device.zeros(1).expect("memory"));
    let weight = Nf4::upload(&device, &[0; 16], magnitudes, 32, [4, 8]).expect("memory");
    let mut out = device.zeros::<bf16>(32).expect("memory");
    drop(weight.dequantize(&device, usize::MAX - 3, out.all_mut().matrix(4, 8)));
}
