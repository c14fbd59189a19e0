//! Eight bits a number, one magnitude a row: how bitsandbytes keeps the weights of a model loaded in 8 bit (LLM.int8(),
//! arXiv 2208.07339). Inputs are not quantised here.

use rtune_kernels::nf4::Number;
use rtune_kernels::real::Real;

use super::Weight;

/// The largest code.
const LARGEST: f32 = 127.0;
/// As bitsandbytes has it, in `f32`.
const STEP: f32 = 1.0 / LARGEST;

/// The numbers of a matrix in eight bits: element = code × magnitude of its row / 127.
#[derive(Clone, Debug, PartialEq)]
pub struct Int8 {
    /// One element each, row-major.
    pub codes: Vec<i8>,
    /// The largest size in each row (`SCB`).
    pub absmax: Vec<f32>,
}

impl Int8 {
    pub(super) fn size_bytes(&self) -> usize {
        self.codes.len() + self.absmax.len() * size_of::<f32>()
    }

    /// The elements from `first` on.
    pub(super) fn dequantize<R: Real>(&self, first: usize, out: &mut [R]) {
        let columns = self.codes.len().checked_div(self.absmax.len()).unwrap_or(1).max(1);
        let mut at = 0;
        while at < out.len() {
            let row = (first + at) / columns;
            let end = ((row + 1) * columns - first).min(out.len());
            let absmax = self.absmax[row];
            for (out, &code) in out[at..end].iter_mut().zip(&self.codes[first + at..]) {
                *out = R::of_f32(f32::from(code) * absmax * STEP);
            }
            at = end;
        }
    }
}

/// Quantises a matrix while its elements come in, so that they need not be in memory together.
#[derive(Debug)]
pub struct Int8Quantizer {
    columns: usize,
    values: Int8,
    /// The beginning of a row whose rest has not come yet.
    row: Vec<f32>,
}

impl Int8Quantizer {
    /// For a matrix of this shape.
    #[must_use]
    pub fn new(rows: usize, columns: usize) -> Self {
        let values = Int8 { codes: Vec::with_capacity(rows * columns), absmax: Vec::with_capacity(rows) };
        Self { columns, values, row: Vec::with_capacity(columns) }
    }

    /// The next elements, row-major, however they are cut.
    pub fn push<N: Number>(&mut self, values: &[N]) {
        let mut rest = values;
        while !rest.is_empty() {
            let before = self.row.len();
            let (next, later) = rest.split_at(rest.len().min(self.columns - before));
            self.row.resize(before + next.len(), 0.0);
            N::widen(next, &mut self.row[before..]);
            if self.row.len() == self.columns {
                self.values.absmax.push(quantize_row(&self.row, &mut self.values.codes));
                self.row.clear();
            }
            rest = later;
        }
    }

    /// The matrix.
    ///
    /// # Panics
    /// If elements are missing.
    #[must_use]
    pub fn finish(self) -> Weight {
        assert!(self.row.is_empty(), "quantizer: elements");
        Weight::from_int8(self.values.absmax.len(), self.columns, self.values)
    }
}

/// Appends the codes of a row and gives its magnitude.
fn quantize_row(row: &[f32], codes: &mut Vec<i8>) -> f32 {
    let absmax = row.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let factor = if absmax > 0.0 { LARGEST / absmax } else { 0.0 };
    codes.extend(row.iter().map(|value| (value * factor).round_ties_even() as i8));
    absmax
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_within_half_a_step_of_their_row_however_they_are_cut() {
        let (rows, columns) = (5, 37);
        let values: Vec<f32> =
            (0..rows * columns).map(|i| ((i * 7919 % 997) as f32 - 498.0) / 256.0).collect();
        let quantized = |cut: usize| {
            let mut quantizer = Int8Quantizer::new(rows, columns);
            values.chunks(cut).for_each(|piece| quantizer.push(piece));
            quantizer.finish()
        };
        let whole = quantized(rows * columns);
        assert_eq!(whole.int8(), quantized(64).int8());
        let mut row = vec![0.0_f32; columns];
        for (number, expected) in values.chunks(columns).enumerate() {
            whole.row(number, &mut row);
            let absmax = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            let worst = row.iter().zip(expected).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(worst <= absmax / 254.0 * 1.001, "row {number}: {worst}");
        }
        let mut last = vec![0.0_f32; 3];
        whole.int8().expect("int8").dequantize(columns - 1, &mut last);
        whole.row(1, &mut row);
        assert_eq!(last[1..], row[..2], "reading goes over the end of a row");
    }

    #[test]
    fn a_row_of_zeros_stays_zero() {
        let mut quantizer = Int8Quantizer::new(1, 3);
        quantizer.push(&[0.0_f32; 3]);
        let mut row = vec![1.0_f32; 3];
        quantizer.finish().row(0, &mut row);
        assert_eq!(row, [0.0; 3]);
    }
}
