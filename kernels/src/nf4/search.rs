//! Which of the 16 values is the nearest, for 64 numbers at a time.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m256i, _CMP_LT_OQ};

#[cfg(target_arch = "x86_64")]
use pulp::x86::V3;

use super::{BLOCK, CODE};

/// The means of neighbours of [`CODE`]: between two of them, one value is the nearest.
pub(super) const THRESHOLDS: [f32; 15] = {
    let mut means = [0.0; 15];
    let mut i = 0;
    while i < means.len() {
        means[i] = (CODE[i] + CODE[i + 1]) / 2.0;
        i += 1;
    }
    means
};

/// How magnitude and codes of a block are found; the bits are the same by all of them. Everything must be inlined: code that
/// is not compiled for vectors calls each of their instructions as a function.
pub(super) trait Search: Copy {
    /// The largest magnitude; NaN is passed over.
    fn largest(self, numbers: &[f32; BLOCK]) -> f32;

    /// The number of [`THRESHOLDS`] strictly below each number, two a byte; 0 for what is no number.
    fn codes(self, numbers: &[f32; BLOCK]) -> [u8; BLOCK / 2];
}

/// With what the compiler makes of plain loops.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain;

/// Numbers side by side in the loops that the compiler turns into vectors.
const LANES: usize = 16;

impl Search for Plain {
    #[inline(always)]
    fn largest(self, numbers: &[f32; BLOCK]) -> f32 {
        let mut lanes = [0.0_f32; LANES];
        for chunk in numbers.chunks_exact(LANES) {
            for (lane, number) in lanes.iter_mut().zip(chunk) {
                let magnitude = number.abs();
                *lane = if magnitude > *lane { magnitude } else { *lane };
            }
        }
        largest_of(&lanes)
    }

    #[inline(always)]
    fn codes(self, numbers: &[f32; BLOCK]) -> [u8; BLOCK / 2] {
        let mut indices = [0; BLOCK];
        for (indices, numbers) in indices.chunks_exact_mut(LANES).zip(numbers.chunks_exact(LANES)) {
            let mut below = [0_u32; LANES];
            for threshold in THRESHOLDS {
                for (below, number) in below.iter_mut().zip(numbers) {
                    *below += u32::from(threshold < *number);
                }
            }
            indices.copy_from_slice(&below);
        }
        let mut codes = [0; BLOCK / 2];
        for (code, pair) in codes.iter_mut().zip(indices.chunks_exact(2)) {
            *code = (pair[0] << 4 | pair[1]) as u8;
        }
        codes
    }
}

#[inline(always)]
fn largest_of(lanes: &[f32]) -> f32 {
    lanes.iter().fold(0.0, |largest, &lane| if lane > largest { lane } else { largest })
}

/// By halving: each comparison chooses the threshold of the next.
#[cfg(target_arch = "x86_64")]
impl Search for V3 {
    #[inline(always)]
    fn largest(self, numbers: &[f32; BLOCK]) -> f32 {
        let avx = self.avx;
        let magnitude_bits = avx._mm256_castsi256_ps(avx._mm256_set1_epi32(i32::MAX));
        let (eights, _) = pulp::as_arrays::<8, _>(&numbers[..]);
        let mut lanes = avx._mm256_setzero_ps();
        for &eight in eights {
            // The second of two where one is NaN.
            lanes = avx._mm256_max_ps(avx._mm256_and_ps(pulp::cast(eight), magnitude_bits), lanes);
        }
        let halves = [avx._mm256_castps256_ps128(lanes), avx._mm256_extractf128_ps::<1>(lanes)];
        let quarter = self.sse._mm_max_ps(halves[0], halves[1]);
        let lanes: [f32; 4] = pulp::cast(quarter);
        largest_of(&lanes)
    }

    #[inline(always)]
    fn codes(self, numbers: &[f32; BLOCK]) -> [u8; BLOCK / 2] {
        let (eights, _) = pulp::as_arrays::<8, _>(&numbers[..]);
        let first = pairs(self, [eights[0], eights[1], eights[2], eights[3]]);
        let second = pairs(self, [eights[4], eights[5], eights[6], eights[7]]);
        let codes = self.avx2._mm256_packus_epi16(first, second);
        // Packing works on the halves of the vectors apart.
        pulp::cast(self.avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(codes))
    }
}

/// The codes of 32 numbers, two a byte, each byte in 16 bits.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn pairs(simd: V3, [a, b, c, d]: [[f32; 8]; 4]) -> __m256i {
    let avx2 = simd.avx2;
    let first = avx2._mm256_packs_epi32(index(simd, a), index(simd, b));
    let second = avx2._mm256_packs_epi32(index(simd, c), index(simd, d));
    // Packing works on the halves of the vectors apart.
    let order = pulp::cast([0_i32, 4, 1, 5, 2, 6, 3, 7]);
    let bytes = avx2._mm256_permutevar8x32_epi32(avx2._mm256_packus_epi16(first, second), order);
    // The first of two times 16, and the second.
    avx2._mm256_maddubs_epi16(bytes, simd.avx._mm256_set1_epi16(0x0110))
}

/// The number of thresholds strictly below each of 8 numbers.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn index(simd: V3, numbers: [f32; 8]) -> __m256i {
    const T: [f32; 15] = THRESHOLDS;
    let avx = simd.avx;
    let numbers: __m256 = pulp::cast(numbers);
    let quarters = pulp::cast([T[3], T[11], 0.0, 0.0, T[3], T[11], 0.0, 0.0]);
    let eighths = pulp::cast([T[1], T[5], T[9], T[13], T[1], T[5], T[9], T[13]]);
    let sixteenths = pulp::cast([T[0], T[2], T[4], T[6], T[8], T[10], T[12], T[14]]);
    let index = step(simd, avx._mm256_setzero_si256(), avx._mm256_set1_ps(T[7]), numbers);
    let index = step(simd, index, avx._mm256_permutevar_ps(quarters, index), numbers);
    let index = step(simd, index, avx._mm256_permutevar_ps(eighths, index), numbers);
    step(simd, index, simd.avx2._mm256_permutevar8x32_ps(sixteenths, index), numbers)
}

/// Twice the index, and one where the threshold is below the number.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn step(simd: V3, index: __m256i, threshold: __m256, numbers: __m256) -> __m256i {
    let below = simd.avx._mm256_cmp_ps::<_CMP_LT_OQ>(threshold, numbers);
    // All ones are minus one.
    let below = simd.avx._mm256_castps_si256(below);
    simd.avx2._mm256_sub_epi32(simd.avx2._mm256_add_epi32(index, index), below)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use half::bf16;
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;
    use crate::nf4::{quantize_here, quantize_plainly};

    fn same(numbers: &[f32; BLOCK]) {
        let Some(simd) = V3::try_new() else { return };
        assert_eq!(simd.codes(numbers), Plain.codes(numbers), "{numbers:?}");
        let (found, expected) = (simd.largest(numbers), Plain.largest(numbers));
        assert_eq!(found.to_bits(), expected.to_bits(), "{numbers:?}");
    }

    /// Every threshold, the numbers beside it, and what no block of a checkpoint has, at every place of a block.
    #[test]
    fn vectors_find_what_loops_find() {
        let mut odd: Vec<f32> = vec![0.0, -0.0, 1.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-45];
        for value in THRESHOLDS.into_iter().chain(CODE) {
            odd.extend([value, value.next_up(), value.next_down(), -value]);
        }
        for start in 0..odd.len() {
            same(&std::array::from_fn(|i| odd[(start + i) % odd.len()]));
        }
        let below = |x: f32| THRESHOLDS.iter().filter(|&&threshold| threshold < x).count() as u8;
        for &x in &odd {
            assert_eq!(Plain.codes(&[x; BLOCK]), [below(x) << 4 | below(x); BLOCK / 2], "{x}");
        }
    }

    /// Every finite bfloat16 beside others of its size and beside one that is larger, and random numbers of all sizes.
    #[test]
    fn both_ways_quantise_to_the_same_bits() {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let mut weights: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).filter(|x| x.is_finite()).collect();
        for factor in [1.0_f32, 1.25, 3.0, 1e3] {
            for value in (0..=u16::MAX).map(bf16::from_bits).filter(|x| x.is_finite()) {
                weights.push(value);
                if weights.len().is_multiple_of(BLOCK - 1) {
                    weights.push(bf16::from_f32((value.to_f32() * factor).clamp(-1e38, 1e38)));
                }
            }
        }
        let mut bits = || f32::from_bits(random.next_u32());
        let floats: Vec<f32> = (0..1 << 20).map(|_| bits()).collect();
        let narrow: Vec<f32> = floats.iter().map(|x| x.to_bits() as f32 / 2_f32.powi(31) - 1.0).collect();
        check(&weights);
        check(&floats);
        check(&narrow[..narrow.len() - 7]);
    }

    fn check<N: crate::nf4::Number>(weights: &[N]) {
        let places = || (vec![0; weights.len().div_ceil(2)], vec![0.0; weights.len().div_ceil(BLOCK)]);
        let (mut found, mut expected) = (places(), places());
        quantize_here(weights, &mut found.0, &mut found.1);
        quantize_plainly(weights, &mut expected.0, &mut expected.1);
        assert_eq!(found.0, expected.0);
        assert!(found.1.iter().zip(&expected.1).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}
