//! Rotary position embedding in place: the launcher of `cuda/rope.cu`; the twin is [`crate::rope`].

use half::bf16;

use super::device::{Buffer, Device};
use super::error::Result;
use super::launch::Launch;
use super::view::{MatrixMut, Span};
use crate::rope::{self, Turn};

/// Threads of a block: `THREADS` of the source.
const THREADS: u32 = 256;
/// Blocks that walk over the tokens; more than any GPU holds at once.
const MOST_BLOCKS: usize = 65_536;

/// Cosines and sines on the device.
pub struct Table {
    cosines: Buffer<f32>,
    sines: Buffer<f32>,
    positions: usize,
    pairs: usize,
}

impl Table {
    /// Uploads a table of the CPU's.
    ///
    /// # Errors
    /// If there is not as much memory.
    pub fn upload(device: &Device, table: &rope::Table<f32>) -> Result<Self> {
        let (cosines, sines) = table.values();
        Ok(Self {
            cosines: device.upload(cosines)?,
            sines: device.upload(sines)?,
            positions: table.positions(),
            pairs: table.pairs(),
        })
    }

    /// Turns `heads` heads of every row of `x`, `[T, heads * E]`, in place: element pairs `(i, i + pairs)` of each by the
    /// angle of `positions[t]`. Elements behind the pairs stay as they are. Queries and keys that stand side by side are
    /// turned in one launch.
    ///
    /// # Errors
    /// If the launch fails.
    ///
    /// # Panics
    /// If the shapes do not fit, or a head is narrower than its pairs. A position beyond the table makes its token NaN.
    pub fn turn(
        &self,
        device: &Device,
        x: MatrixMut<'_, bf16>,
        positions: Span<'_, u32>,
        heads: usize,
        turn: Turn,
    ) -> Result<()> {
        let width = x.columns.checked_div(heads).unwrap_or(0);
        assert!(x.columns == heads * width && positions.len() == x.rows, "rope: lengths");
        assert!(width >= 2 * self.pairs && self.positions > 0, "rope: head width");
        let in_eights = [self.pairs, width, x.stride].iter().all(|size| size.is_multiple_of(8))
            && x.span.address.is_multiple_of(16);
        let launch = Launch::new(device, "rope", if in_eights { "rope_eight" } else { "rope_one" })
            .write(&x.span)
            .long(x.stride)
            .read(self.cosines.all())
            .read(self.sines.all())
            .read(positions)
            .int(self.positions)
            .float(if turn == Turn::Forth { 1.0 } else { -1.0 })
            .int(x.rows)
            .int(heads)
            .int(width)
            .int(self.pairs);
        // SAFETY: `x` is [T, heads * E] and borrowed alone, positions are [T]; the kernel holds positions to the table
        // itself. Pairs lie within a head.
        unsafe { launch.run(x.rows.min(MOST_BLOCKS), THREADS, 0) }
    }
}
