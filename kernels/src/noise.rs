//! Draws by counters: what is drawn for an element follows from its row's key, the name of what it is drawn for and its
//! place in the row alone. The backward pass draws the same again, and no mask is kept.
//!
//! Source: Steele, Lea, Flood, Fast Splittable Pseudorandom Number Generators, 2014 (SplitMix64), one generator a row.
//!
//! Legend: T rows, I elements of a row.

use rayon::prelude::*;

use crate::real::Real;

/// Elements that one parallel task takes, about.
const CHUNK: usize = 16_384;
/// SplitMix64's step: 2^64 over the golden ratio, made odd.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// What is drawn: for which rows, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    /// A key for each row, `[T]`.
    pub keys_t: &'a [u64],
    /// What sets these draws apart from others with the same keys: see [`stream_of`].
    pub stream: u64,
}

/// A number for the name of what is drawn for (FNV-1a, then mixed).
#[must_use]
pub fn stream_of(name: &str) -> u64 {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    mix(name.bytes().fold(START, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl Draw<'_> {
    /// Calls `each` with the place of every element of `x_ti`, the element and 32 random bits.
    fn each<R: Real>(self, x_ti: &mut [R], each: impl Fn(usize, &mut R, u32) + Sync) {
        let Self { keys_t, stream } = self;
        let width = x_ti.len().checked_div(keys_t.len()).unwrap_or(0).max(1);
        assert_eq!(x_ti.len(), keys_t.len() * width, "noise: lengths");
        let rows = (CHUNK / width).max(1);
        let tasks = x_ti.par_chunks_mut(rows * width).zip(keys_t.par_chunks(rows)).enumerate();
        tasks.for_each(|(task, (x_ti, keys_t))| {
            let mut place = task * rows * width;
            for (x_i, key) in x_ti.chunks_mut(width).zip(keys_t) {
                let mut state = mix(key ^ stream);
                for pair in x_i.chunks_mut(2) {
                    state = state.wrapping_add(GAMMA);
                    let bits = mix(state);
                    for (x, bits) in pair.iter_mut().zip([bits as u32, (bits >> 32) as u32]) {
                        each(place, x, bits);
                        place += 1;
                    }
                }
            }
        });
    }

    /// Dropout (Srivastava et al. 2014): `y` is `x / (1 - probability)` or, with `probability`, zero; both `[T, I]`.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn drop_out<R: Real>(self, probability: f64, x_ti: &[R], y_ti: &mut [R]) {
        assert_eq!(x_ti.len(), y_ti.len(), "noise: lengths");
        let (limit, factor) = scales::<R>(probability);
        self.each(y_ti, |place, y, bits| {
            *y = if u64::from(bits) < limit { R::zero() } else { x_ti[place] * factor };
        });
    }

    /// [`Self::drop_out`] the other way: adds to the gradient of what it read, `[T, I]`, that of what it gave.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn drop_out_back<R: Real>(self, probability: f64, dy_ti: &[R], dx_ti: &mut [R]) {
        assert_eq!(dy_ti.len(), dx_ti.len(), "noise: lengths");
        let (limit, factor) = scales::<R>(probability);
        self.each(dx_ti, |place, dx, bits| {
            if u64::from(bits) >= limit {
                *dx += dy_ti[place] * factor;
            }
        });
    }

    /// Adds to each element of `x_ti`, `[T, I]`, a number from minus to below plus `bound`.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn add_uniform<R: Real>(self, bound: f64, x_ti: &mut [R]) {
        /// 2^-31: 32 bits are a number from 0 to below 2 then.
        const UNIT: f64 = 1.0 / (1u64 << 31) as f64;
        self.each(x_ti, |_, x, bits| *x += R::of(bound * (f64::from(bits) * UNIT - 1.0)));
    }
}

/// Which of 2^32 draws drop, and the factor on what stays.
fn scales<R: Real>(probability: f64) -> (u64, R) {
    ((probability * (1u64 << 32) as f64).round() as u64, R::of(1.0 / (1.0 - probability)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 999;

    fn dropped(keys_t: &[u64], name: &str, probability: f64) -> Vec<f32> {
        let ones = vec![1.0; keys_t.len() * WIDTH];
        let mut out = vec![f32::NAN; ones.len()];
        Draw { keys_t, stream: stream_of(name) }.drop_out(probability, &ones, &mut out);
        out
    }

    #[test]
    fn as_many_are_dropped_as_asked_for_and_the_rest_makes_up_for_it() {
        let keys: Vec<u64> = (0..200).collect();
        for probability in [0.05, 0.5, 0.9] {
            let out = dropped(&keys, "a", probability);
            let factor = (1.0 / (1.0 - probability)) as f32;
            assert!(out.iter().all(|value| *value == 0.0 || *value == factor));
            let share = out.iter().filter(|value| **value == 0.0).count() as f64 / out.len() as f64;
            // Six standard deviations of a share of 199,800 draws.
            let deviation = (probability * (1.0 - probability) / out.len() as f64).sqrt();
            assert!((share - probability).abs() < 6.0 * deviation, "{probability}: {share}");
        }
        assert!(dropped(&keys, "a", 0.0).iter().all(|value| *value == 1.0));
    }

    #[test]
    fn a_row_draws_the_same_wherever_it_stands_and_otherwise_under_another_name() {
        let both = dropped(&[7, 8], "a", 0.5);
        assert_eq!(both[WIDTH..], dropped(&[8], "a", 0.5));
        // Halves of draws agree where nothing ties them; six standard deviations of 999 draws are 95.
        let agree =
            |x: &[f32], y: &[f32]| x.iter().zip(y).filter(|(x, y)| x == y).count().abs_diff(WIDTH / 2) < 95;
        assert!(agree(&both[..WIDTH], &both[WIDTH..]));
        assert!(agree(&both[..WIDTH], &dropped(&[7], "b", 0.5)));
        let shifted = dropped(&[7], "a", 0.5);
        assert!(agree(&shifted[1..], &shifted[..WIDTH - 1]));
    }

    #[test]
    fn gradients_go_through_what_stayed() {
        let keys = [3_u64; 1];
        let draw = Draw { keys_t: &keys, stream: 5 };
        let mut gradient = vec![1.0_f32; WIDTH];
        draw.drop_out_back(0.25, &vec![2.0; WIDTH], &mut gradient);
        let mut out = vec![0.0; WIDTH];
        draw.drop_out(0.25, &vec![2.0_f32; WIDTH], &mut out);
        assert!(gradient.iter().zip(&out).all(|(gradient, out)| *gradient == 1.0 + out));
    }

    #[test]
    fn uniform_noise_fills_its_bounds() {
        let keys: Vec<u64> = (0..100).collect();
        let mut noise = vec![0.0_f32; keys.len() * WIDTH];
        Draw { keys_t: &keys, stream: 1 }.add_uniform(0.5, &mut noise);
        let mean = noise.iter().map(|value| f64::from(*value)).sum::<f64>() / noise.len() as f64;
        let square = noise.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / noise.len() as f64;
        assert!(noise.iter().all(|value| value.abs() <= 0.5));
        assert!(mean.abs() < 0.006 && (square - 0.25 / 3.0).abs() < 0.002, "{mean} {square}");
    }
}
