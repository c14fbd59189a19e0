//! Frozen matrices in memory.

mod int8;
mod product;
mod quantizer;

use std::ops::Range;

use half::bf16;
use rtune_kernels::arena::{Arena, Part};
use rtune_kernels::nf4::{self, Absmax, Nested};
use rtune_kernels::real::Real;

pub use int8::{Int8, Int8Quantizer};
pub use quantizer::Quantizer;

/// Elements that are unpacked at a time: 4 MiB of `f32`, which stays in the cache while it is multiplied, and large
/// enough that the product runs at full rate. Fixed, since the order of sums follows it.
pub const PANEL_ELEMENTS: usize = 1 << 20;

/// Values of the map of nested magnitudes.
const NESTED_VALUES: usize = 256;

/// A frozen matrix `[rows, columns]`, row-major.
#[derive(Clone, Debug)]
pub struct Weight {
    rows: usize,
    columns: usize,
    storage: Storage,
}

#[derive(Clone, Debug)]
enum Storage {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
    Nf4(Nf4),
    Int8(Int8),
    /// The numbers are trained, and stand in the flat vector of parameters.
    Elsewhere,
}

/// The numbers of a matrix in NF4.
#[derive(Clone, Debug, PartialEq)]
pub struct Nf4 {
    /// Two elements a byte, row-major, the first in the high half.
    pub codes: Vec<u8>,
    /// One magnitude a block.
    pub magnitudes: Magnitudes,
    /// Elements of a block, one of [`nf4::BLOCKS`].
    pub block: usize,
}

/// The magnitudes of the blocks of an NF4 matrix.
#[derive(Clone, Debug, PartialEq)]
pub enum Magnitudes {
    /// As they are.
    Plain(Vec<f32>),
    /// Quantised themselves.
    Nested(Nested),
}

impl Magnitudes {
    fn view(&self) -> Absmax<'_> {
        match self {
            Self::Plain(values) => Absmax::Plain(values),
            Self::Nested(nested) => Absmax::Nested(nested),
        }
    }
}

impl Weight {
    /// A matrix kept in `f32`.
    ///
    /// # Panics
    /// If `values` has another length than `rows * columns`; so do the other constructors.
    #[must_use]
    pub fn from_f32(rows: usize, columns: usize, values: Vec<f32>) -> Self {
        assert_eq!(values.len(), rows * columns, "weight: length");
        Self { rows, columns, storage: Storage::F32(values) }
    }

    /// A matrix kept in `bfloat16`.
    #[must_use]
    pub fn from_bf16(rows: usize, columns: usize, values: Vec<bf16>) -> Self {
        assert_eq!(values.len(), rows * columns, "weight: length");
        Self { rows, columns, storage: Storage::Bf16(values) }
    }

    /// A matrix quantised to NF4 in blocks of 64; `double` quantises the magnitudes too.
    #[must_use]
    pub fn quantized(rows: usize, columns: usize, values: &[f32], double: bool) -> Self {
        assert_eq!(values.len(), rows * columns, "weight: length");
        let (mut codes, mut absmax) = Self::nf4_places(rows * columns);
        nf4::quantize(values, &mut codes, &mut absmax);
        Self::with_nf4_places(rows, columns, codes, absmax, double)
    }

    /// The same of a matrix whose elements `fill` brings piece by piece, so that they need not be in memory together.
    ///
    /// # Errors
    /// What `fill` returns.
    ///
    /// # Panics
    /// If `fill` returns without an error and has not brought as many elements as the matrix has.
    pub fn quantized_in_pieces<E>(
        rows: usize,
        columns: usize,
        double: bool,
        fill: impl FnOnce(&Quantizer<'_>) -> Result<(), E>,
    ) -> Result<Self, E> {
        let (mut codes, mut absmax) = Self::nf4_places(rows * columns);
        let quantizer = Quantizer::new(&mut codes, &mut absmax);
        fill(&quantizer)?;
        assert_eq!(quantizer.count(), rows * columns, "quantizer: elements");
        Ok(Self::with_nf4_places(rows, columns, codes, absmax, double))
    }

    fn nf4_places(count: usize) -> (Vec<u8>, Vec<f32>) {
        (vec![0; count.div_ceil(2)], vec![0.0; count.div_ceil(nf4::BLOCK)])
    }

    fn with_nf4_places(rows: usize, columns: usize, codes: Vec<u8>, absmax: Vec<f32>, double: bool) -> Self {
        let magnitudes = match double {
            true => Magnitudes::Nested(nf4::quantize_absmax(&absmax)),
            false => Magnitudes::Plain(absmax),
        };
        Self::from_nf4(rows, columns, Nf4 { codes, magnitudes, block: nf4::BLOCK })
    }

    /// A matrix that was quantised elsewhere: codes and magnitudes are used as they are.
    ///
    /// # Panics
    /// If there are not as many codes and magnitudes as the shape needs, or the block is none of [`nf4::BLOCKS`].
    #[must_use]
    pub fn from_nf4(rows: usize, columns: usize, values: Nf4) -> Self {
        let count = rows * columns;
        assert!(nf4::BLOCKS.contains(&values.block), "weight: blocks of {}", values.block);
        assert_eq!(values.codes.len(), count.div_ceil(2), "weight: codes");
        assert_eq!(values.magnitudes.view().blocks(), count.div_ceil(values.block), "weight: magnitudes");
        if let Magnitudes::Nested(nested) = &values.magnitudes {
            assert!(nested.block > 0, "weight: nested blocks");
            let nested_blocks = nested.codes.len().div_ceil(nested.block);
            assert_eq!(nested.absmax.len(), nested_blocks, "weight: nested magnitudes");
        }
        Self { rows, columns, storage: Storage::Nf4(values) }
    }

    /// A matrix whose numbers are trained: only its shape is here. Reading a number of it is a programming error.
    #[must_use]
    pub fn elsewhere(rows: usize, columns: usize) -> Self {
        Self { rows, columns, storage: Storage::Elsewhere }
    }

    /// A matrix in eight bits.
    ///
    /// # Panics
    /// If there are not as many codes and magnitudes as the shape needs.
    #[must_use]
    pub fn from_int8(rows: usize, columns: usize, values: Int8) -> Self {
        assert!(values.codes.len() == rows * columns && values.absmax.len() == rows, "weight: int8");
        Self { rows, columns, storage: Storage::Int8(values) }
    }

    /// Codes and magnitudes, where the matrix is kept in eight bits.
    #[must_use]
    pub fn int8(&self) -> Option<&Int8> {
        match &self.storage {
            Storage::Int8(values) => Some(values),
            _ => None,
        }
    }

    /// Codes and magnitudes, where the matrix is kept in NF4.
    #[must_use]
    pub fn nf4(&self) -> Option<&Nf4> {
        match &self.storage {
            Storage::Nf4(values) => Some(values),
            _ => None,
        }
    }

    /// Output features of a linear layer, or tokens of an embedding.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Input features, or the width of an embedding.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes that the numbers take in memory.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match &self.storage {
            Storage::F32(values) => values.len() * 4,
            Storage::Bf16(values) => values.len() * 2,
            Storage::Nf4(Nf4 { codes, magnitudes: Magnitudes::Plain(absmax), .. }) => {
                codes.len() + absmax.len() * 4
            }
            Storage::Nf4(Nf4 { codes, magnitudes: Magnitudes::Nested(nested), .. }) => {
                codes.len() + nested.codes.len() + (nested.absmax.len() + nested.map.len() + 1) * 4
            }
            Storage::Int8(values) => values.size_bytes(),
            Storage::Elsewhere => 0,
        }
    }

    /// What [`Self::size_bytes`] says of a matrix of `count` elements that is quantised here.
    #[must_use]
    pub fn quantized_bytes(count: usize, double: bool) -> usize {
        let blocks = count.div_ceil(nf4::BLOCK);
        let magnitudes = match double {
            false => blocks * size_of::<f32>(),
            true => blocks + (blocks.div_ceil(nf4::NESTED_BLOCK) + NESTED_VALUES + 1) * size_of::<f32>(),
        };
        count.div_ceil(2) + magnitudes
    }

    /// The same numbers kept in `f32`; products with them are the same to the bit.
    #[must_use]
    pub fn unpacked(&self) -> Self {
        if matches!(self.storage, Storage::Elsewhere) {
            return self.clone();
        }
        let mut values = vec![0.0; self.rows * self.columns];
        self.unpack(0, &mut values);
        Self::from_f32(self.rows, self.columns, values)
    }

    /// The bounds of the panels that [`Self::panel`] is asked for, in order.
    pub fn panels(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (rows, step) = (self.rows, (PANEL_ELEMENTS / self.columns.max(1)).max(1));
        (0..rows).step_by(step).map(move |start| start..(start + step).min(rows))
    }

    /// Rows `rows` as numbers: borrowed where they stand so in memory, else unpacked into a buffer of `arena`.
    #[must_use]
    pub fn panel<'a, R: Real>(&'a self, rows: Range<usize>, arena: &Arena<R>) -> Part<'a, R> {
        let (first, count) = (rows.start * self.columns, rows.len() * self.columns);
        if let Storage::F32(values) = &self.storage
            && let Some(view) = R::view_f32(&values[first..first + count])
        {
            return Part::Lent(view);
        }
        let mut buffer = arena.take(count);
        self.unpack(first, &mut buffer);
        Part::Own(buffer)
    }

    /// One row into `out`, `[columns]`: the gather of an embedding.
    ///
    /// # Panics
    /// If the row is beyond the matrix or `out` has another length.
    pub fn row<R: Real>(&self, row: usize, out: &mut [R]) {
        assert!(row < self.rows && out.len() == self.columns, "weight: row");
        self.unpack(row * self.columns, out);
    }

    fn unpack<R: Real>(&self, first: usize, out: &mut [R]) {
        match &self.storage {
            Storage::F32(values) => {
                for (out, &value) in out.iter_mut().zip(&values[first..]) {
                    *out = R::of_f32(value);
                }
            }
            Storage::Bf16(values) => {
                for (out, value) in out.iter_mut().zip(&values[first..]) {
                    *out = R::of_f32(value.to_f32());
                }
            }
            Storage::Nf4(Nf4 { codes, magnitudes, block }) => {
                nf4::dequantize(codes, magnitudes.view(), *block, first, out);
            }
            Storage::Int8(values) => values.dequantize(first, out),
            Storage::Elsewhere => panic!("weight: its numbers are among the parameters"),
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    #[test]
    fn panels_cover_every_row_once_and_agree_with_rows() {
        let (rows, columns) = (2500, 960);
        let values: Vec<f32> = (0..rows * columns).map(|i| ((i % 1013) as f32 - 506.0) / 506.0).collect();
        let arena = Arena::<f32>::new();
        for weight in [
            Weight::from_f32(rows, columns, values.clone()),
            Weight::from_bf16(rows, columns, values.iter().map(|&v| bf16::from_f32(v)).collect()),
            Weight::quantized(rows, columns, &values, true),
        ] {
            let panels: Vec<_> = weight.panels().collect();
            assert_eq!(panels.iter().map(Range::len).sum::<usize>(), rows);
            let last = panels.last().expect("panels").clone();
            let panel = weight.panel(last.clone(), &arena);
            let mut row = vec![0.0; columns];
            weight.row(last.start + 1, &mut row);
            assert_eq!(panel[columns..2 * columns], row[..]);
            let worst = row.iter().zip(&values[(last.start + 1) * columns..]).map(|(a, b)| (a - b).abs());
            assert!(worst.fold(0.0, f32::max) < 0.2);
        }
    }

    #[test]
    fn pieces_and_precisions_change_no_bit() {
        let (rows, columns) = (970, 333);
        let values: Vec<f32> =
            (0..rows * columns).map(|i| ((i * 7919 % 997) as f32 - 498.0) / 256.0).collect();
        let halves: Vec<bf16> = values.iter().map(|&value| bf16::from_f32(value)).collect();
        let rounded: Vec<f32> = halves.iter().map(|value| value.to_f32()).collect();
        for double in [false, true] {
            let whole = Weight::quantized(rows, columns, &rounded, double);
            for cut in [64, 4096, 23_296] {
                let pieces: Vec<_> = halves.chunks(cut).enumerate().collect();
                let filled = Weight::quantized_in_pieces(rows, columns, double, |quantizer| {
                    let put = |&(number, piece): &(usize, &[bf16])| quantizer.put(number * cut, piece);
                    std::thread::scope(|scope| {
                        scope.spawn(|| pieces.iter().step_by(2).for_each(put));
                        pieces.iter().skip(1).step_by(2).rev().for_each(put);
                    });
                    Ok::<_, ()>(())
                });
                assert_eq!(filled.expect("no error").nf4(), whole.nf4(), "pieces of {cut}");
            }
            let halves: Vec<f16> = rounded.iter().map(|&value| f16::from_f32(value)).collect();
            let filled = Weight::quantized_in_pieces(rows, columns, double, |quantizer| {
                quantizer.put(0, &halves);
                Ok::<_, ()>(())
            });
            assert_eq!(filled.expect("no error").nf4(), whole.nf4());
        }
        let stopped = Weight::quantized_in_pieces(rows, columns, true, |_| Err("stop"));
        assert_eq!(stopped.expect_err("an error"), "stop");
    }

    #[test]
    fn nf4_takes_half_a_byte_and_a_little() {
        let weight = Weight::quantized(512, 512, &vec![0.5; 512 * 512], true);
        let bytes_each = weight.size_bytes() as f64 / (512.0 * 512.0);
        assert!((bytes_each - 0.5159).abs() < 0.005, "{bytes_each}");
        for (rows, columns, double) in [(512, 512, true), (512, 512, false), (3, 7, true), (130, 333, false)]
        {
            let weight = Weight::quantized(rows, columns, &vec![0.5; rows * columns], double);
            assert_eq!(weight.size_bytes(), Weight::quantized_bytes(rows * columns, double));
        }
    }
}
