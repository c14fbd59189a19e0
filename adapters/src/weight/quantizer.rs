//! Quantising a matrix to NF4 while its elements come in.

use std::sync::{Mutex, PoisonError};

use rtune_kernels::nf4;

/// Elements whose codes are locked together while they are quantised: few enough that threads with different pieces seldom
/// meet, and a multiple of a block.
const SLOT_ELEMENTS: usize = 1 << 16;

/// The places of the codes and magnitudes of a matrix that is being quantised to NF4 in blocks of 64. Pieces may come from
/// several threads at a time and in any order: the result is the same to the bit however the elements are cut.
#[derive(Debug)]
pub struct Quantizer<'a> {
    slots: Vec<Mutex<Slot<'a>>>,
}

/// The codes and magnitudes of [`SLOT_ELEMENTS`] elements.
#[derive(Debug)]
struct Slot<'a> {
    codes: &'a mut [u8],
    absmax: &'a mut [f32],
    /// Elements that came in.
    count: usize,
}

impl<'a> Quantizer<'a> {
    pub(super) fn new(codes: &'a mut [u8], absmax: &'a mut [f32]) -> Self {
        let slots = codes.chunks_mut(SLOT_ELEMENTS / 2).zip(absmax.chunks_mut(SLOT_ELEMENTS / nf4::BLOCK));
        let slots = slots.map(|(codes, absmax)| Mutex::new(Slot { codes, absmax, count: 0 })).collect();
        Self { slots }
    }

    /// Quantises the elements from number `first` on, row-major, on this thread. A piece that ends elsewhere than at a
    /// multiple of 64 is the last.
    ///
    /// # Panics
    /// If `first` is no multiple of 64, or the matrix ends before the piece does.
    pub fn put<N: nf4::Number>(&self, first: usize, values: &[N]) {
        assert!(first.is_multiple_of(nf4::BLOCK), "quantizer: start");
        let (mut first, mut values) = (first, values);
        while !values.is_empty() {
            let within = first % SLOT_ELEMENTS;
            let (now, later) = values.split_at(values.len().min(SLOT_ELEMENTS - within));
            let end = within + now.len();
            let mut slot = self.slots[first / SLOT_ELEMENTS].lock().unwrap_or_else(PoisonError::into_inner);
            let Slot { codes, absmax, count } = &mut *slot;
            let codes = &mut codes[within / 2..end.div_ceil(2)];
            nf4::quantize_here(now, codes, &mut absmax[within / nf4::BLOCK..end.div_ceil(nf4::BLOCK)]);
            *count += now.len();
            (first, values) = (first + now.len(), later);
        }
    }

    /// Elements that came in.
    pub(super) fn count(self) -> usize {
        let count = |slot: Mutex<Slot<'_>>| slot.into_inner().unwrap_or_else(PoisonError::into_inner).count;
        self.slots.into_iter().map(count).sum()
    }
}
