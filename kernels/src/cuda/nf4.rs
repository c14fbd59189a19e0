//! NF4 to bf16: the launcher of `cuda/nf4.cu`.

use half::bf16;

use super::device::{Buffer, Device};
use super::error::Result;
use super::launch::Launch;
use super::view::{MatrixMut, Span};
use crate::nf4::{BLOCKS, Nested};

/// Threads of a block and groups of eight elements that each turns: `THREADS` and `GROUPS` of the source.
const THREADS: usize = 256;
const GROUPS: usize = 4;

/// The magnitudes of a tensor's blocks on the device.
pub enum Magnitudes {
    /// One `f32` a block.
    Plain(Buffer<f32>),
    /// Eight bits a block.
    Nested {
        /// One index into `map` a block.
        codes: Buffer<u8>,
        /// The 256 values.
        map: Buffer<f32>,
        /// One magnitude for `2^log2` codes.
        absmax: Buffer<f32>,
        /// See `absmax`.
        log2: u32,
        /// Added to all.
        offset: f32,
    },
}

/// A frozen matrix `[rows, columns]` in NF4 on the device.
pub struct Nf4 {
    codes: Buffer<u8>,
    magnitudes: Magnitudes,
    block: usize,
    rows: usize,
    columns: usize,
}

impl Nf4 {
    /// Uploads what [`crate::nf4`] works on.
    ///
    /// # Errors
    /// If there is not as much memory.
    ///
    /// # Panics
    /// If the lengths do not fit, `columns` is no multiple of 8, or blocks have a length that bitsandbytes cannot write.
    pub fn upload(
        device: &Device,
        codes: &[u8],
        magnitudes: Magnitudes,
        block: usize,
        [rows, columns]: [usize; 2],
    ) -> Result<Self> {
        assert!(BLOCKS.contains(&block) && columns.is_multiple_of(8), "nf4: {rows}x{columns} in {block}");
        let numbers = rows.checked_mul(columns).unwrap_or_else(|| panic!("nf4: {rows}x{columns}"));
        assert_eq!(codes.len(), numbers / 2, "nf4: codes");
        let blocks = numbers.div_ceil(block);
        let fits = match &magnitudes {
            Magnitudes::Plain(absmax) => absmax.all().len() == blocks,
            Magnitudes::Nested { codes, map, absmax, log2, .. } => {
                codes.all().len() == blocks
                    && map.all().len() == 256
                    && absmax.all().len() == blocks.div_ceil(1 << log2)
            }
        };
        assert!(fits, "nf4: magnitudes");
        Ok(Self { codes: device.upload(codes)?, magnitudes, block, rows, columns })
    }

    /// `[rows, columns]`.
    #[must_use]
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// Writes rows `first_row..first_row + out.rows` to `out`, whose rows may stand further apart (LoRA's columns follow
    /// them there), each element `bf16(CODE[index] * magnitude)`.
    ///
    /// # Errors
    /// If the launch fails.
    ///
    /// # Panics
    /// If `out` has other columns, more rows, or rows that do not begin at 16 bytes.
    pub fn dequantize(&self, device: &Device, first_row: usize, out: MatrixMut<'_, bf16>) -> Result<()> {
        let ends = first_row.checked_add(out.rows).is_some_and(|end| end <= self.rows);
        assert!(out.columns == self.columns && ends, "nf4: shape");
        assert!(out.stride.is_multiple_of(8) && out.span.address.is_multiple_of(16), "nf4: alignment");
        let (plain, codes, absmax, map, offset, log2) = match &self.magnitudes {
            Magnitudes::Plain(absmax) => (Some(absmax.all()), None, None, None, 0.0, 0),
            Magnitudes::Nested { codes, map, absmax, log2, offset } => {
                (None, Some(codes.all()), Some(absmax.all()), Some(map.all()), *offset, *log2)
            }
        };
        let groups = out.rows * self.columns / 8;
        let launch = Launch::new(device, "nf4", "nf4_dequantize")
            .read(self.codes.all())
            .read_if(plain)
            .read_if(codes)
            .read_if::<f32>(absmax)
            .read_if::<f32>(map)
            .float(offset)
            .int(self.block.trailing_zeros() as usize)
            .int(log2 as usize)
            .long(first_row * self.columns)
            .int(self.columns)
            .int(groups)
            .write(&out.span)
            .long(out.stride);
        // SAFETY: the kernel reads elements first..first + groups * 8 of codes and magnitudes, which hold rows * columns
        // by `upload`; it writes the elements of `out` alone, whose view was checked against its span.
        unsafe { launch.run(groups.div_ceil(THREADS * GROUPS), THREADS as u32, 0) }
    }
}

impl Magnitudes {
    /// Uploads eight-bit magnitudes.
    ///
    /// # Errors
    /// If there is not as much memory.
    ///
    /// # Panics
    /// If they share magnitudes of their own by a number that is no power of two.
    pub fn upload_nested(device: &Device, nested: &Nested) -> Result<Self> {
        assert!(nested.block.is_power_of_two(), "nf4: nested blocks");
        Ok(Self::Nested {
            codes: device.upload(&nested.codes)?,
            map: device.upload(&nested.map[..])?,
            absmax: device.upload(&nested.absmax)?,
            log2: nested.block.trailing_zeros(),
            offset: nested.offset,
        })
    }

    /// Uploads magnitudes in single precision.
    ///
    /// # Errors
    /// If there is not as much memory.
    pub fn upload_plain(device: &Device, absmax: Span<'_, f32>) -> Result<Self> {
        let mut copy = device.allocate(absmax.len())?;
        copy.all_mut().copy_from(device, absmax)?;
        Ok(Self::Plain(copy))
    }
}
