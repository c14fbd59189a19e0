//! Blocks of GGUF as a grid of values and a code for each number: what a block's scales are is decided first, which code a number has
//! afterwards, by whoever knows more than the nearest. Layouts: `ggml-common.h` of ggml.

use candle_core::quantized::GgmlDType;
use half::f16;

use super::blocks;

/// The values that numbers of a group may have: `scale * code + offset`, with codes from 0 to `most`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Steps {
    pub(crate) scale: f32,
    pub(crate) offset: f32,
    pub(crate) most: u8,
}

impl Steps {
    /// The code whose value is nearest.
    pub(crate) fn code(self, value: f32) -> u8 {
        if self.scale == 0.0 {
            return 0;
        }
        ((value - self.offset) / self.scale).round().clamp(0.0, f32::from(self.most)) as u8
    }

    /// What a code stands for.
    pub(crate) fn value(self, code: u8) -> f32 {
        self.scale * f32::from(code) + self.offset
    }
}

/// How a type's blocks are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    element: GgmlDType,
}

impl Grid {
    /// That of a type whose blocks are written here; `None` for numbers of 16 and 32 bits, and for what no file is written in.
    pub(crate) fn of(element: GgmlDType) -> Option<Self> {
        use GgmlDType::{Q4_0, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
        matches!(element, Q4_0 | Q5_0 | Q5_1 | Q8_0 | Q4K | Q5K | Q6K).then_some(Self { element })
    }

    /// Numbers of a block.
    pub(crate) fn block(self) -> usize {
        self.element.block_size()
    }

    /// Bytes of a block.
    pub(crate) fn bytes(self) -> usize {
        self.element.type_size()
    }

    /// Numbers that share [`Steps`].
    pub(crate) fn group(self) -> usize {
        if self.element == GgmlDType::Q6K { 16 } else { 32 }
    }

    /// A block of these numbers, each at the nearest code, whose scales are kept when codes are put anew: those of the least
    /// squared error where each number's counts as `weights` say, as many as numbers, or all the same.
    ///
    /// # Errors
    /// As [`blocks::encode`].
    pub(crate) fn begin(self, values: &[f32], weights: Option<&[f32]>) -> Result<Vec<u8>, String> {
        match weights {
            Some(weights) => blocks::weighed(values, weights, self.element),
            None => blocks::encode(values, values.len(), self.element),
        }
    }

    /// The steps of each group of a block.
    pub(crate) fn steps(self, block: &[u8]) -> Vec<Steps> {
        let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
        let around = |scale: f32, zero: f32, most: u8| vec![Steps { scale, offset: -zero * scale, most }];
        match self.element {
            GgmlDType::Q4_0 => around(half(0), 8.0, 15),
            GgmlDType::Q5_0 => around(half(0), 16.0, 31),
            GgmlDType::Q5_1 => vec![Steps { scale: half(0), offset: half(2), most: 31 }],
            GgmlDType::Q8_0 => around(half(0), 128.0, 255),
            GgmlDType::Q4K | GgmlDType::Q5K => {
                let most = if self.element == GgmlDType::Q4K { 15 } else { 31 };
                let (scale, least) = (half(0), half(2));
                let of = |group: usize| {
                    let [by, below] = scale_and_least(&block[4..16], group);
                    Steps { scale: scale * f32::from(by), offset: -least * f32::from(below), most }
                };
                (0..8).map(of).collect()
            }
            _ => {
                let scale = half(208);
                let of = |by: &u8| {
                    let scale = scale * f32::from(*by as i8);
                    Steps { scale, offset: -32.0 * scale, most: 63 }
                };
                block[192..208].iter().map(of).collect()
            }
        }
    }

    /// Puts the codes of all its numbers into a block, whose scales stay.
    pub(crate) fn put(self, block: &mut [u8], codes: &[u8]) {
        match self.element {
            GgmlDType::Q4_0 => put_halves(&mut block[2..], codes),
            GgmlDType::Q5_0 => put_fifths(&mut block[2..], codes),
            GgmlDType::Q5_1 => put_fifths(&mut block[4..], codes),
            // From -128 up, in two's complement.
            GgmlDType::Q8_0 => block[2..].iter_mut().zip(codes).for_each(|(byte, code)| *byte = code ^ 128),
            GgmlDType::Q4K => put_pairs(&mut block[16..], codes),
            GgmlDType::Q5K => {
                let (fifths, fours) = block[16..].split_at_mut(32);
                fifths.fill(0);
                for (at, code) in codes.iter().enumerate() {
                    fifths[at % 32] |= (code >> 4) << (at / 32);
                }
                put_pairs(fours, codes);
            }
            _ => {
                let (low, high) = block[..192].split_at_mut(128);
                low.fill(0);
                high.fill(0);
                for (at, code) in codes.iter().enumerate() {
                    let (half, quarter, place) = (at / 128, at % 128 / 32, at % 32);
                    // Two quarters share the bytes of the low bits, all four those of the high ones.
                    low[64 * half + 32 * (quarter % 2) + place] |= (code & 15) << (4 * (quarter / 2));
                    high[32 * half + place] |= (code >> 4) << (2 * quarter);
                }
            }
        }
    }
}

/// `get_scale_min_k4`: six bits each, the upper ones of the last four in the first bytes.
fn scale_and_least(packed: &[u8], group: usize) -> [u8; 2] {
    if group < 4 {
        return [packed[group] & 63, packed[group + 4] & 63];
    }
    let low = packed[group + 4];
    [(low & 15) | (packed[group - 4] >> 6) << 4, (low >> 4) | (packed[group] >> 6) << 4]
}

/// The low four bits of 32 codes, the second half beside the first.
fn put_halves(bytes: &mut [u8], codes: &[u8]) {
    let (first, second) = codes.split_at(codes.len() / 2);
    let pairs = first.iter().zip(second);
    bytes.iter_mut().zip(pairs).for_each(|(byte, (low, high))| *byte = (low & 15) | (high & 15) << 4);
}

/// The fifth bits of 32 codes, then their low four.
fn put_fifths(bytes: &mut [u8], codes: &[u8]) {
    let fifth = codes.iter().enumerate().map(|(at, code)| u32::from(code >> 4 & 1) << at).sum::<u32>();
    bytes[..4].copy_from_slice(&fifth.to_le_bytes());
    put_halves(&mut bytes[4..], codes);
}

/// The low four bits of 256 codes, of every 64 the second half beside the first.
fn put_pairs(bytes: &mut [u8], codes: &[u8]) {
    bytes
        .chunks_exact_mut(32)
        .zip(codes.chunks_exact(64))
        .for_each(|(bytes, codes)| put_halves(bytes, codes));
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use candle_core::quantized::{QStorage, QTensor};

    use super::*;

    const KINDS: [GgmlDType; 7] = [
        GgmlDType::Q4_0,
        GgmlDType::Q5_0,
        GgmlDType::Q5_1,
        GgmlDType::Q8_0,
        GgmlDType::Q4K,
        GgmlDType::Q5K,
        GgmlDType::Q6K,
    ];

    fn drawn(count: usize) -> Vec<f32> {
        let mut state = 3_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..count).map(|_| next() + next() + next()).collect()
    }

    fn read(bytes: &[u8], count: usize, kind: GgmlDType) -> Vec<f32> {
        let storage = QStorage::from_data(bytes.into(), &Device::Cpu, kind).expect("blocks");
        let tensor = QTensor::new(storage, count).expect("a tensor").dequantize(&Device::Cpu);
        tensor.expect("numbers").to_vec1().expect("numbers")
    }

    /// Any code in any place is read by candle as what its steps say.
    #[test]
    fn codes_are_read_as_their_steps_say() {
        for kind in KINDS {
            let grid = Grid::of(kind).expect("a grid");
            let values = drawn(grid.block());
            let mut block = grid.begin(&values, None).expect("a block");
            assert_eq!(block.len(), grid.bytes(), "{kind:?}");
            let steps = grid.steps(&block);
            assert_eq!(steps.len() * grid.group(), grid.block(), "{kind:?}");
            let most = usize::from(steps[0].most) + 1;
            let codes: Vec<u8> = (0..grid.block()).map(|at| ((at * 37 + at / 5) % most) as u8).collect();
            grid.put(&mut block, &codes);
            assert_eq!(grid.steps(&block), steps, "{kind:?}: scales stay");
            let expected = codes.iter().enumerate().map(|(at, code)| steps[at / grid.group()].value(*code));
            for (at, (found, expected)) in read(&block, grid.block(), kind).iter().zip(expected).enumerate() {
                assert!((found - expected).abs() < 1e-5, "{kind:?}, {at}: {found} {expected}");
            }
        }
    }

    /// The nearest codes are those that the block began with, but for numbers between two.
    #[test]
    fn the_nearest_codes_are_those_of_the_block() {
        for kind in KINDS {
            let grid = Grid::of(kind).expect("a grid");
            let values = drawn(grid.block());
            let block = grid.begin(&values, None).expect("a block");
            let steps = grid.steps(&block);
            let codes: Vec<u8> =
                values.iter().enumerate().map(|(at, value)| steps[at / grid.group()].code(*value)).collect();
            let mut again = block.clone();
            grid.put(&mut again, &codes);
            let error = |block: &[u8]| -> f32 {
                let read = read(block, grid.block(), kind);
                read.iter().zip(&values).map(|(read, value)| (read - value).powi(2)).sum()
            };
            assert!(error(&again) <= error(&block) * 1.0001, "{kind:?}: {} {}", error(&again), error(&block));
        }
    }
}
