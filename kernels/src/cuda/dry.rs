//! A device that computes nothing: the schedule of a step, run on it, says how much memory the step takes.

use std::cell::Cell;
use std::rc::Rc;

use super::device::{Backend, Device, Facts, Product, Way};
use super::error::Result;
use super::held::Held;
use super::launch::Call;

/// Where the first allocation lies: where no machine has memory, so that no address is another device's.
const FIRST_ADDRESS: u64 = 1 << 60;
/// What the driver rounds allocations to.
const ALIGNMENT_BYTES: usize = 256;

struct Dry {
    facts: Facts,
    next: Cell<u64>,
    held: Held,
}

impl Device {
    /// A device with these facts and memory without end, whose launches do nothing and from which all that is read is
    /// zero.
    #[must_use]
    pub fn dry(facts: Facts) -> Self {
        Self::over(Rc::new(Dry { facts, next: Cell::new(FIRST_ADDRESS), held: Held::new(0) }))
    }
}

impl Backend for Dry {
    fn allocate(&self, bytes: usize) -> Result<u64> {
        let bytes = bytes.next_multiple_of(ALIGNMENT_BYTES);
        let address = self.next.get();
        self.next.set(address + bytes as u64);
        self.held.add(address, bytes);
        Ok(address)
    }

    unsafe fn free(&self, address: u64, bytes: usize) {
        self.held.remove(address, bytes.next_multiple_of(ALIGNMENT_BYTES));
    }

    unsafe fn upload(&self, _: &[u8], _: u64) -> Result<()> {
        Ok(())
    }

    unsafe fn download(&self, _: u64, to: &mut [u8]) -> Result<()> {
        to.fill(0);
        Ok(())
    }

    unsafe fn copy(&self, _: u64, _: u64, _: usize) -> Result<()> {
        Ok(())
    }

    unsafe fn fill(&self, _: u64, _: u8, _: usize) -> Result<()> {
        Ok(())
    }

    unsafe fn launch(&self, _: &mut Call) -> Result<()> {
        Ok(())
    }

    unsafe fn multiply(&self, _: &Product) -> Result<()> {
        Ok(())
    }

    fn pin(&self, _: usize) -> Result<u64> {
        Ok(0)
    }

    unsafe fn unpin(&self, _: u64, _: usize) {}

    unsafe fn copy_aside(&self, _: u64, _: u64, _: usize, _: Way) -> Result<u64> {
        Ok(0)
    }

    fn join(&self, _: u64) -> Result<()> {
        Ok(())
    }

    fn stamp(&self) -> Result<usize> {
        Ok(0)
    }

    fn seconds_between(&self, _: usize, _: usize) -> Result<f64> {
        Ok(0.0)
    }

    fn clear_stamps(&self) {}

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn held(&self) -> &Held {
        &self.held
    }

    /// Anybody's: the schedule of another device is run here with that device's memory, of which nothing is touched.
    fn owns(&self, _: u64) -> bool {
        true
    }

    fn is_dry(&self) -> bool {
        true
    }
}
