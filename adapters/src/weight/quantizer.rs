//! From numbers that come in pieces to NF4.

use rtune_kernels::nf4;

use super::{Magnitudes, Nf4, Weight};

/// Quantises a matrix to NF4 in blocks of 64 while its elements come in, so that they need not be in memory together.
#[derive(Debug)]
pub struct Quantizer {
    rows: usize,
    columns: usize,
    codes: Vec<u8>,
    absmax: Vec<f32>,
    /// Elements that came in.
    count: usize,
}

impl Quantizer {
    /// For a matrix of this shape.
    #[must_use]
    pub fn new(rows: usize, columns: usize) -> Self {
        let count = rows * columns;
        let (codes, absmax) = (vec![0; count.div_ceil(2)], vec![0.0; count.div_ceil(nf4::BLOCK)]);
        Self { rows, columns, codes, absmax, count: 0 }
    }

    /// The next elements, row-major. Codes and magnitudes are the same to the bit however the elements are cut.
    ///
    /// # Panics
    /// If there are more than the shape has, or the ones before were not a multiple of 64.
    pub fn push<N: nf4::Number>(&mut self, values: &[N]) {
        let (start, end) = (self.count, self.count + values.len());
        assert!(end <= self.rows * self.columns && start.is_multiple_of(nf4::BLOCK), "quantizer: elements");
        let codes = &mut self.codes[start / 2..end.div_ceil(2)];
        nf4::quantize(values, codes, &mut self.absmax[start / nf4::BLOCK..end.div_ceil(nf4::BLOCK)]);
        self.count = end;
    }

    /// The matrix; `double` quantises the magnitudes too.
    ///
    /// # Panics
    /// If elements are missing.
    #[must_use]
    pub fn finish(self, double: bool) -> Weight {
        assert_eq!(self.count, self.rows * self.columns, "quantizer: elements");
        let magnitudes = if double {
            Magnitudes::Nested(nf4::quantize_absmax(&self.absmax))
        } else {
            Magnitudes::Plain(self.absmax)
        };
        Weight::from_nf4(self.rows, self.columns, Nf4 { codes: self.codes, magnitudes, block: nf4::BLOCK })
    }
}
