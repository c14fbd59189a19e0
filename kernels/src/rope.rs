//! Rotary position embedding (Su et al., arXiv 2104.09864), half-split pairs as in transformers.
//!
//! Legend: T tokens, H heads, E head width.

use rayon::prelude::*;

use crate::real::Real;

/// Rows that one parallel task takes.
const ROWS_PER_TASK: usize = 16;

/// Cosines and sines for every position and frequency.
#[derive(Clone, Debug)]
pub struct Table<R> {
    /// `[positions, E / 2]` each.
    cos: Vec<R>,
    sin: Vec<R>,
    pairs: usize,
}

/// Which way to turn: the gradient of a rotation is the rotation back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Forward.
    Forth,
    /// Backward.
    Back,
}

impl<R: Real> Table<R> {
    /// Angles `position * frequency`, taken in the precision transformers takes them in (float32) where `R` is `f32`.
    ///
    /// `frequencies`: radians a position, one for each pair; `scale` multiplies cosines and sines (YaRN's attention factor; 1 otherwise).
    #[must_use]
    pub fn new(positions: usize, frequencies: &[f32], scale: f64) -> Self {
        let angles =
            (0..positions).flat_map(|p| frequencies.iter().map(move |&f| R::of_f32(p as f32) * R::of_f32(f)));
        let (sin, cos) = angles.map(|a| (a.sin() * R::of(scale), a.cos() * R::of(scale))).unzip();
        Self { cos, sin, pairs: frequencies.len() }
    }

    /// The rows of this table, then those of `other`: position `p` of the other is place `self.positions() + p`.
    ///
    /// # Panics
    /// If the two turn another number of pairs.
    #[must_use]
    pub fn followed_by(mut self, other: &Self) -> Self {
        assert_eq!(self.pairs, other.pairs, "rope: pairs");
        self.cos.extend_from_slice(&other.cos);
        self.sin.extend_from_slice(&other.sin);
        self
    }

    /// How many positions the table holds.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.cos.len().checked_div(self.pairs).unwrap_or(0)
    }

    /// Cosines and sines, `[positions, pairs]` each.
    pub(crate) fn values(&self) -> (&[R], &[R]) {
        (&self.cos, &self.sin)
    }

    /// How many pairs of a head are turned.
    pub(crate) fn pairs(&self) -> usize {
        self.pairs
    }

    /// Turns `x_the`, `[T, H, E]`, in place; element pairs `(i, i + pairs)` of every head by the angle of
    /// `positions_t[t]`. Elements behind the pairs stay as they are.
    ///
    /// # Panics
    /// If a position is beyond the table, a head is narrower than its pairs, or the lengths do not fit.
    pub fn turn(&self, x_the: &mut [R], positions_t: &[u32], heads: usize, turn: Turn) {
        let pairs = self.pairs;
        let row = x_the.len().checked_div(positions_t.len()).unwrap_or(0);
        let head_width = row.checked_div(heads).unwrap_or(0);
        assert_eq!(x_the.len(), positions_t.len() * heads * head_width, "rope: lengths");
        if x_the.is_empty() {
            return;
        }
        assert!(head_width >= 2 * pairs, "rope: head width");
        let sign = if turn == Turn::Forth { R::one() } else { -R::one() };
        x_the.par_chunks_mut(ROWS_PER_TASK * row).zip(positions_t.par_chunks(ROWS_PER_TASK)).for_each(
            |(rows, positions)| {
                for (x_he, &position) in rows.chunks_exact_mut(row).zip(positions) {
                    let at = position as usize * pairs;
                    let (cos, sin) = (&self.cos[at..at + pairs], &self.sin[at..at + pairs]);
                    for x_e in x_he.chunks_exact_mut(head_width) {
                        let (low, high) = x_e[..2 * pairs].split_at_mut(pairs);
                        for (((a, b), &c), &s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                            let (x0, x1, s) = (*a, *b, s * sign);
                            *a = x0 * c - x1 * s;
                            *b = x1 * c + x0 * s;
                        }
                    }
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_there_and_back_is_nothing_and_lengths_stay() {
        let table = Table::<f64>::new(50, &[1.0, 0.1, 0.01], 1.0);
        assert_eq!(table.positions(), 50);
        let start: Vec<f64> = (0..2 * 2 * 6).map(|i| (i as f64 * 0.7).sin()).collect();
        let mut x = start.clone();
        table.turn(&mut x, &[3, 49], 2, Turn::Forth);
        let norm = |v: &[f64]| v.iter().map(|a| a * a).sum::<f64>();
        assert!((norm(&x) - norm(&start)).abs() < 1e-12);
        assert!((x[0] - (start[0] * 3f64.cos() - start[3] * 3f64.sin())).abs() < 1e-12);
        table.turn(&mut x, &[3, 49], 2, Turn::Back);
        assert!(x.iter().zip(&start).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn what_is_behind_the_pairs_stays_and_a_second_table_follows_the_first() {
        let (short, long) = (Table::<f64>::new(9, &[1.0, 0.1], 1.0), Table::new(9, &[0.5, 0.05], 1.5));
        let both = short.clone().followed_by(&long);
        let start: Vec<f64> = (0..2 * 2 * 7).map(|i| (i as f64 * 0.7).sin()).collect();
        let (mut by_both, mut by_each) = (start.clone(), start.clone());
        both.turn(&mut by_both, &[3, 9 + 4], 2, Turn::Forth);
        short.turn(&mut by_each[..14], &[3], 2, Turn::Forth);
        long.turn(&mut by_each[14..], &[4], 2, Turn::Forth);
        assert_eq!(by_both, by_each);
        for (x, y) in start.chunks(7).zip(by_both.chunks(7)) {
            assert_eq!(x[4..], y[4..]);
            assert_ne!(x[..4], y[..4]);
        }
    }
}
