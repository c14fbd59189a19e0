//! What the time of a GPU goes into: a stamp on the stream before and behind every launch, while somebody asks for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::device::{Backend, Device, Facts, Product, Way};
use super::error::Result;
use super::held::Held;
use super::launch::Call;

/// The launches of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Launches {
    /// How many there were.
    pub count: usize,
    /// Their time on the device, in seconds.
    pub seconds: f64,
}

/// Launches by the source that their kernel stands in and its name; products by cuBLAS are `gemm`, `cublas`.
pub type Profile = BTreeMap<(&'static str, &'static str), Launches>;

/// A backend that takes the time of what another one does.
pub(crate) struct Watch {
    inner: Rc<dyn Backend>,
    taken: RefCell<Option<Vec<Taken>>>,
}

/// One launch and the stamps around it.
struct Taken {
    what: (&'static str, &'static str),
    ends: [usize; 2],
}

impl Device {
    /// The same device, of which [`Self::end_profile`] can tell what its time went into.
    #[must_use]
    pub fn watched(&self) -> Self {
        Self::over(Rc::new(Watch { inner: self.share(), taken: RefCell::new(None) }))
    }

    /// Takes the time of every launch from here on. The stamps take some themselves.
    ///
    /// # Panics
    /// If this device came from elsewhere than [`Self::watched`].
    pub fn begin_profile(&self) {
        let watch = self.backend().watch().expect("a device that is watched");
        watch.inner.clear_stamps();
        watch.taken.replace(Some(Vec::new()));
    }

    /// Waits, and says what the time of the device went into since [`Self::begin_profile`].
    ///
    /// # Errors
    /// If the driver fails.
    ///
    /// # Panics
    /// As [`Self::begin_profile`].
    pub fn end_profile(&self) -> Result<Profile> {
        let watch = self.backend().watch().expect("a device that is watched");
        let mut profile = Profile::new();
        for Taken { what, ends: [from, to] } in watch.taken.take().unwrap_or_default() {
            let launches = profile.entry(what).or_default();
            launches.count += 1;
            launches.seconds += watch.inner.seconds_between(from, to)?;
        }
        watch.inner.clear_stamps();
        Ok(profile)
    }
}

impl Watch {
    /// Does `work`, between two stamps if somebody asks for them.
    fn taking(&self, what: (&'static str, &'static str), work: impl FnOnce() -> Result<()>) -> Result<()> {
        if self.taken.borrow().is_none() {
            return work();
        }
        let from = self.inner.stamp()?;
        work()?;
        let to = self.inner.stamp()?;
        if let Some(taken) = self.taken.borrow_mut().as_mut() {
            taken.push(Taken { what, ends: [from, to] });
        }
        Ok(())
    }
}

impl Backend for Watch {
    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.inner.allocate(bytes)
    }

    unsafe fn free(&self, address: u64, bytes: usize) {
        // SAFETY: passed on, here and below.
        unsafe { self.inner.free(address, bytes) }
    }

    unsafe fn upload(&self, from: &[u8], to: u64) -> Result<()> {
        // SAFETY: as above.
        self.taking(("copies", "to the device"), || unsafe { self.inner.upload(from, to) })
    }

    unsafe fn download(&self, from: u64, to: &mut [u8]) -> Result<()> {
        // SAFETY: as above.
        self.taking(("copies", "to the host"), || unsafe { self.inner.download(from, to) })
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        // SAFETY: as above.
        self.taking(("copies", "on the device"), || unsafe { self.inner.copy(from, to, bytes) })
    }

    unsafe fn fill(&self, to: u64, byte: u8, bytes: usize) -> Result<()> {
        // SAFETY: as above.
        self.taking(("copies", "fill"), || unsafe { self.inner.fill(to, byte, bytes) })
    }

    unsafe fn launch(&self, call: &mut Call) -> Result<()> {
        let what = (call.kernel.source, call.kernel.name);
        // SAFETY: as above.
        self.taking(what, || unsafe { self.inner.launch(call) })
    }

    unsafe fn multiply(&self, product: &Product) -> Result<()> {
        // SAFETY: as above.
        self.taking(("gemm", "cublas"), || unsafe { self.inner.multiply(product) })
    }

    fn pin(&self, bytes: usize) -> Result<u64> {
        self.inner.pin(bytes)
    }

    unsafe fn unpin(&self, address: u64, bytes: usize) {
        // SAFETY: as above.
        unsafe { self.inner.unpin(address, bytes) }
    }

    unsafe fn copy_aside(&self, from: u64, to: u64, bytes: usize, way: Way) -> Result<u64> {
        // SAFETY: as above.
        unsafe { self.inner.copy_aside(from, to, bytes, way) }
    }

    fn join(&self, ticket: u64) -> Result<()> {
        // What the kernels' stream waits for a copy.
        self.taking(("copies", "waiting for one aside"), || self.inner.join(ticket))
    }

    fn stamp(&self) -> Result<usize> {
        self.inner.stamp()
    }

    fn seconds_between(&self, from: usize, to: usize) -> Result<f64> {
        self.inner.seconds_between(from, to)
    }

    fn clear_stamps(&self) {
        self.inner.clear_stamps();
    }

    fn synchronize(&self) -> Result<()> {
        self.inner.synchronize()
    }

    fn facts(&self) -> &Facts {
        self.inner.facts()
    }

    fn held(&self) -> &Held {
        self.inner.held()
    }

    fn owns(&self, address: u64) -> bool {
        self.inner.owns(address)
    }

    fn is_dry(&self) -> bool {
        self.inner.is_dry()
    }

    fn watch(&self) -> Option<&Watch> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use crate::cuda::{Arena, Device, Facts};

    #[test]
    fn launches_are_counted_while_somebody_asks() {
        let device = Device::dry(Facts::default()).watched();
        let arena = Arena::new(&device, 1 << 10).expect("an arena");
        let zeros = || arena.zeros::<f32>(&device, 8).map(drop).expect("zeros");
        zeros();
        device.begin_profile();
        zeros();
        zeros();
        let profile = device.end_profile().expect("a profile");
        zeros();
        assert_eq!(profile.len(), 1);
        assert_eq!(profile[&("copies", "fill")].count, 2);
        device.begin_profile();
        assert!(device.end_profile().expect("a profile").is_empty());
    }
}
