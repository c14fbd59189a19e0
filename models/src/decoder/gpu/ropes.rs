//! The rotations of a decoder on a GPU.

use rtune_kernels::cuda::rope::Table;
use rtune_kernels::cuda::{CudaError, Device};

use super::super::RowView;
use super::super::ropes::Ropes;
use crate::DecoderSpec;

/// Tables are made for multiples of so many positions, so that slightly longer rows do not each want new ones.
const MULTIPLE: usize = 512;

/// Cosines and sines for positions up to a bound.
pub(super) struct GpuRopes {
    host: Ropes<f32>,
    tables: Vec<Table>,
}

impl GpuRopes {
    pub(super) fn new(device: &Device, spec: &DecoderSpec, positions: usize) -> Result<Self, CudaError> {
        let host = Ropes::new(spec, positions.next_multiple_of(MULTIPLE));
        let tables = host.tables().iter().map(|table| Table::upload(device, table));
        let tables = tables.collect::<Result<_, _>>()?;
        Ok(Self { host, tables })
    }

    /// How many positions there are.
    pub(super) fn positions(&self) -> usize {
        self.host.positions()
    }

    /// For each rotation the place of every token in its table.
    pub(super) fn places(&self, row: &RowView<'_>) -> Vec<Vec<u32>> {
        self.host.turns(row.positions, row.bounds).into_places()
    }

    pub(super) fn table(&self, rope: usize) -> &Table {
        &self.tables[rope]
    }
}
