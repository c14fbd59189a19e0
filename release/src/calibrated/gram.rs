//! What the linears of a block read, summed up: products of all pairs of channels, and their mean magnitudes.

use rtune_kernels::gemm::{Mat, MatMut, multiply};

/// Sums over the tokens that some linears read.
#[derive(Clone, Debug)]
pub(super) struct Gram {
    /// Channels, I.
    pub(super) width: usize,
    /// `XᵀX`, `[I, I]`.
    pub(super) products: Vec<f32>,
    /// Of `|x|`, `[I]`.
    magnitudes: Vec<f64>,
    /// The largest `|x|`, `[I]`.
    largest: Vec<f32>,
    tokens: usize,
}

impl Gram {
    pub(super) fn new(width: usize) -> Self {
        let (products, magnitudes) = (vec![0.0; width * width], vec![0.0; width]);
        Self { width, products, magnitudes, largest: vec![0.0; width], tokens: 0 }
    }

    /// Adds some tokens, `[T, I]`.
    pub(super) fn add(&mut self, x_ti: &[f32]) {
        let tokens = x_ti.len() / self.width;
        let x = Mat::new(x_ti, tokens, self.width);
        multiply(MatMut::new(&mut self.products, self.width, self.width), 1.0, 1.0, x.t(), x);
        for x_i in x_ti.chunks_exact(self.width) {
            let sums = self.magnitudes.iter_mut().zip(x_i);
            sums.for_each(|(sum, x)| *sum += f64::from(x.abs()));
            let places = self.largest.iter_mut().zip(x_i);
            places.for_each(|(largest, x)| *largest = largest.max(x.abs()));
        }
        self.tokens += tokens;
    }

    pub(super) fn is_finite(&self) -> bool {
        self.products.iter().all(|product| product.is_finite())
    }

    /// Mean magnitudes of the channels.
    pub(super) fn mean_magnitudes(&self) -> Vec<f64> {
        self.magnitudes.iter().map(|sum| sum / self.tokens.max(1) as f64).collect()
    }

    /// The largest magnitude of all.
    pub(super) fn largest(&self) -> f32 {
        self.largest.iter().copied().fold(0.0, f32::max)
    }

    /// The sums of channels that are divided by `scales`.
    pub(super) fn divided(&self, scales: &[f32]) -> Self {
        let mut divided = self.clone();
        for (row, scale) in divided.products.chunks_exact_mut(self.width).zip(scales) {
            row.iter_mut().zip(scales).for_each(|(product, other)| *product /= scale * other);
        }
        divided.magnitudes.iter_mut().zip(scales).for_each(|(sum, scale)| *sum /= f64::from(*scale));
        divided.largest.iter_mut().zip(scales).for_each(|(largest, scale)| *largest /= scale);
        divided
    }

    /// The sum of squares of what a matrix `[O, I]` gives for these tokens. `work` is a buffer as long as the matrix.
    pub(super) fn energy(&self, matrix: &[f32], work: &mut Vec<f32>) -> f64 {
        let rows = matrix.len() / self.width;
        work.resize(matrix.len(), 0.0);
        let left = Mat::new(matrix, rows, self.width);
        let right = Mat::new(&self.products, self.width, self.width);
        multiply(MatMut::new(work, rows, self.width), 0.0, 1.0, left, right);
        let rows = matrix.chunks_exact(self.width).zip(work.chunks_exact(self.width));
        rows.map(|(m, g)| m.iter().zip(g).map(|(m, g)| f64::from(m * g)).sum::<f64>()).sum()
    }

    /// The squared error of what `weight` gives for these tokens where it is read as `read`. `work` as for [`Self::energy`].
    pub(super) fn error(&self, weight: &[f32], read: &[f32], work: &mut Vec<f32>) -> f64 {
        let difference: Vec<f32> = weight.iter().zip(read).map(|(weight, read)| weight - read).collect();
        // Rounding may take nothing below 0, where it cannot be.
        self.energy(&difference, work).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energies_are_those_of_the_outputs() {
        let (x, matrix) = ([1.0, 2.0, -3.0, 0.5, 4.0, -1.0], [0.5, -1.0, 2.0, 3.0]);
        let mut gram = Gram::new(2);
        gram.add(&x[..4]);
        gram.add(&x[4..]);
        let outputs = |matrix: &[f32]| -> f64 {
            let rows = x.chunks(2).flat_map(|x| matrix.chunks(2).map(move |w| x[0] * w[0] + x[1] * w[1]));
            rows.map(|y| f64::from(y * y)).sum()
        };
        let mut work = Vec::new();
        assert!((gram.energy(&matrix, &mut work) - outputs(&matrix)).abs() < 1e-4);
        let magnitudes = gram.mean_magnitudes();
        assert!((magnitudes[0] - 8.0 / 3.0).abs() < 1e-9 && (magnitudes[1] - 3.5 / 3.0).abs() < 1e-9);
        // Channels divided, columns multiplied: the same outputs.
        let divided = gram.divided(&[2.0, 0.25]);
        assert_eq!((gram.largest(), divided.largest()), (4.0, 8.0));
        let scaled = [1.0, -0.25, 4.0, 0.75];
        assert!((divided.energy(&scaled, &mut work) - outputs(&matrix)).abs() < 1e-4);
    }
}
