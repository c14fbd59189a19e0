//! Codes of a linear, and how they stand in a file.

use half::f16;
use rayon::prelude::*;
use rtune_kernels::int4::Grid;

use super::Method;

/// Codes of 4 bits in a word of 32.
pub(super) const CODES_A_WORD: usize = 8;
/// Bits of a code.
const BITS: usize = 4;
/// Which of 8 neighbouring outputs AWQ's `gemm` has in each place of a word, from the lowest.
const AWQ_ORDER: [usize; CODES_A_WORD] = [0, 2, 4, 6, 1, 3, 5, 7];

/// A linear in codes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Codes {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Columns of a group; the columns are whole groups.
    pub(super) group: usize,
    /// `[rows, columns]`, 0 to 15.
    pub(super) codes: Vec<u8>,
    /// `[rows, groups]`.
    pub(super) grids: Vec<Grid>,
}

impl Codes {
    /// Places for a matrix.
    pub(super) fn empty(rows: usize, columns: usize, group: usize) -> Self {
        let none = Grid { scale: 0.0, zero: 0 };
        let grids = vec![none; rows * (columns / group)];
        Self { rows, columns, group, codes: vec![0; rows * columns], grids }
    }

    fn groups(&self) -> usize {
        self.columns / self.group
    }

    /// What is read of them, `[rows, columns]`.
    pub(super) fn values(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.codes.len()];
        let groups = values.par_chunks_mut(self.group).zip(self.codes.par_chunks(self.group));
        groups.zip(&self.grids).for_each(|((values, codes), grid)| {
            values.iter_mut().zip(codes).for_each(|(value, &code)| *value = grid.value(code));
        });
        values
    }

    /// A scale that no file can hold, as its row and group.
    pub(super) fn too_large(&self) -> Option<(usize, usize)> {
        let place = self.grids.iter().position(|grid| !grid.scale.is_finite())?;
        Some((place / self.groups(), place % self.groups()))
    }

    /// The bytes of the tensors of [`super::Calibrated::parts`].
    pub(super) fn encode(&self, method: Method) -> Vec<Vec<u8>> {
        let groups = self.groups();
        let grid = |group: usize, row: usize| self.grids[row * groups + group];
        let scales: Vec<u8> = (0..groups)
            .flat_map(|group| (0..self.rows).map(move |row| (group, row)))
            .flat_map(|(group, row)| f16::from_f32(grid(group, row).scale).to_le_bytes())
            .collect();
        let zeros = |order: [usize; CODES_A_WORD], less: u32| {
            let words = (0..groups).flat_map(|group| {
                (0..self.rows / CODES_A_WORD).map(move |word| {
                    joined(order.map(|at| {
                        let zero = u32::from(grid(group, word * CODES_A_WORD + at).zero);
                        zero.wrapping_sub(less) & 15
                    }))
                })
            });
            bytes(words)
        };
        let straight = std::array::from_fn(|place| place);
        match method {
            Method::Gptq => {
                let indices = (0..self.columns).map(|column| (column / self.group) as u32);
                vec![bytes(self.along_inputs()), zeros(straight, 1), scales, bytes(indices)]
            }
            Method::Awq => vec![bytes(self.along_outputs()), zeros(AWQ_ORDER, 0), scales],
        }
    }

    fn code(&self, row: usize, column: usize) -> u32 {
        u32::from(self.codes[row * self.columns + column])
    }

    /// GPTQ's words, `[columns / 8, rows]`.
    fn along_inputs(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.columns / CODES_A_WORD).flat_map(move |word| {
            (0..self.rows).map(move |row| {
                joined(std::array::from_fn(|place| self.code(row, word * CODES_A_WORD + place)))
            })
        })
    }

    /// AWQ's words, `[columns, rows / 8]`.
    fn along_outputs(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.columns).flat_map(move |column| {
            (0..self.rows / CODES_A_WORD)
                .map(move |word| joined(AWQ_ORDER.map(|at| self.code(word * CODES_A_WORD + at, column))))
        })
    }
}

/// A word, the first code in its lowest bits.
fn joined(codes: [u32; CODES_A_WORD]) -> u32 {
    codes.iter().enumerate().fold(0, |word, (place, code)| word | code << (BITS * place))
}

fn bytes(words: impl Iterator<Item = u32>) -> Vec<u8> {
    words.flat_map(u32::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(bytes: &[u8]) -> Vec<u32> {
        bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }

    /// By the definitions of the formats, digit by digit.
    #[test]
    fn codes_stand_where_the_formats_have_them() {
        let mut codes = Codes::empty(8, 16, 16);
        for row in 0..8 {
            for column in 0..16 {
                codes.codes[row * 16 + column] = ((row + column) % 16) as u8;
            }
            codes.grids[row] = Grid { scale: row as f32, zero: row as u8 };
        }
        let gptq = codes.encode(Method::Gptq);
        assert_eq!(words(&gptq[0])[0], 0x7654_3210, "inputs 0 to 7 of output 0");
        assert_eq!(words(&gptq[0])[1], 0x8765_4321, "inputs 0 to 7 of output 1");
        assert_eq!(words(&gptq[0])[8], 0xfedc_ba98, "inputs 8 to 15 of output 0");
        assert_eq!(words(&gptq[1]), [0x6543_210f], "zero points less one");
        assert_eq!(gptq[2][2..4], f16::ONE.to_le_bytes());
        assert_eq!(words(&gptq[3]), [0; 16]);
        let awq = codes.encode(Method::Awq);
        assert_eq!(awq.len(), 3);
        assert_eq!(words(&awq[0])[..2], [0x7531_6420, 0x8642_7531], "outputs of inputs 0 and 1");
        assert_eq!(words(&awq[1]), [0x7531_6420]);
        assert_eq!(codes.values()[17], 1.0, "output 1, input 1: 1 * (2 - 1)");
        assert_eq!(codes.too_large(), None);
    }
}
