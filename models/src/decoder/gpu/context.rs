//! What every part of a pass on a GPU is given, and matrices of its arena.

use half::bf16;
use rtune_kernels::cuda::attention::flash::{self, Tiles};
use rtune_kernels::cuda::{Arena, CudaError, Device, Lent, Matrix, MatrixMut, Span};

use super::super::{RowNoise, RowView};
use super::ropes::GpuRopes;
use crate::DecoderSpec;

/// What the parts of a pass share.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) device: &'a Device,
    pub(super) arena: &'a Arena,
    /// The adapters' shadow; `None` for the base alone.
    pub(super) adapters: Option<Span<'a, bf16>>,
    pub(super) row: &'a Row,
    pub(super) ropes: &'a GpuRopes,
    /// Keys that adapters' dropout is drawn by, `[T]`; without them nothing is dropped.
    pub(super) keys: Option<Span<'a, u64>>,
}

/// A packed row on the device.
pub(super) struct Row {
    pub(super) tokens: Lent<u32>,
    /// For each rotation the place of every token in its table, `[T]`.
    pub(super) places: Vec<Lent<u32>>,
    pub(super) bounds: Vec<usize>,
    /// By head width, where tensor cores do it.
    tiles: Vec<(usize, Tiles)>,
    keys: Option<Lent<u64>>,
    keys_on_host: Option<Vec<u64>>,
}

impl Row {
    pub(super) fn new(
        device: &Device,
        arena: &Arena,
        spec: &DecoderSpec,
        ropes: &GpuRopes,
        row: &RowView<'_>,
    ) -> Result<Self, CudaError> {
        let places = ropes.places(row).into_iter().map(|places| arena.upload(device, &places)).collect();
        let mut tiles: Vec<(usize, Tiles)> = Vec::new();
        for block in &spec.blocks {
            let width = block.attention.head_width;
            if flash::supports(width) && tiles.iter().all(|(known, _)| *known != width) {
                tiles.push((width, Tiles::new(device, arena, row.bounds, width)?));
            }
        }
        let keys = row.noise.map(|RowNoise { keys_t, .. }| arena.upload(device, keys_t)).transpose()?;
        Ok(Self {
            tokens: arena.upload(device, row.tokens)?,
            places: Result::from_iter::<Vec<_>>(places)?,
            bounds: row.bounds.to_vec(),
            tiles,
            keys,
            keys_on_host: row.noise.map(|noise| noise.keys_t.to_vec()),
        })
    }

    pub(super) fn count(&self) -> usize {
        self.tokens.all().len()
    }

    pub(super) fn keys(&self) -> Option<Span<'_, u64>> {
        self.keys.as_ref().map(Lent::all)
    }

    /// The keys of some of its tokens.
    pub(super) fn keys_of(&self, tokens: &[u32]) -> Option<Vec<u64>> {
        let keys = self.keys_on_host.as_ref()?;
        Some(tokens.iter().map(|&token| keys[token as usize]).collect())
    }

    /// The tiles of heads of this width; `None` where strips do it.
    pub(super) fn tiles(&self, head_width: usize) -> Option<&Tiles> {
        self.tiles.iter().find(|(width, _)| *width == head_width).map(|(_, tiles)| tiles)
    }
}

/// A matrix of the arena: a row a token, with room behind its columns for those of adapters.
pub(super) struct Rows {
    part: Lent<bf16>,
    rows: usize,
    stride: usize,
}

impl Rows {
    pub(super) fn new(arena: &Arena, rows: usize, stride: usize) -> Result<Self, CudaError> {
        Ok(Self { part: arena.take(rows * stride)?, rows, stride })
    }

    pub(super) fn zeros(
        device: &Device,
        arena: &Arena,
        rows: usize,
        stride: usize,
    ) -> Result<Self, CudaError> {
        Ok(Self { part: arena.zeros(device, rows * stride)?, rows, stride })
    }

    /// A part of the arena that is full already.
    pub(super) fn of(part: Lent<bf16>, rows: usize, stride: usize) -> Self {
        assert_eq!(part.all().len(), rows * stride, "rows: of another size");
        Self { part, rows, stride }
    }

    /// All elements, those between the columns and the next row too.
    pub(super) fn part(&self) -> Span<'_, bf16> {
        self.part.all()
    }

    pub(super) fn count(&self) -> usize {
        self.rows
    }

    /// The first `columns` of every row.
    pub(super) fn first(&self, columns: usize) -> Matrix<'_, bf16> {
        self.part.all().strided(self.rows, self.stride, self.stride).columns(0..columns)
    }

    pub(super) fn first_mut(&mut self, columns: usize) -> MatrixMut<'_, bf16> {
        self.part.all_mut().strided(self.rows, self.stride, self.stride).columns(0..columns)
    }

    pub(super) fn all(&self) -> Matrix<'_, bf16> {
        self.first(self.stride)
    }

    pub(super) fn all_mut(&mut self) -> MatrixMut<'_, bf16> {
        self.first_mut(self.stride)
    }
}

impl Rows {
    /// The same elements in rows of `columns`, several of which make one of these.
    ///
    /// # Panics
    /// If these rows are not made of such.
    pub(super) fn in_rows_of(&self, columns: usize) -> Matrix<'_, bf16> {
        self.part.all().matrix(self.rows * self.stride / columns, columns)
    }

    pub(super) fn in_rows_of_mut(&mut self, columns: usize) -> MatrixMut<'_, bf16> {
        self.part.all_mut().matrix(self.rows * self.stride / columns, columns)
    }
}
