//! What the ranks of a run tell each other. All sums of a step pass through here; alone there is nothing to add.

/// Sums over all ranks, in place and the same on each when it returns.
pub trait Collective {
    /// How many there are.
    fn ranks(&self) -> usize;
    /// Adds up whole numbers.
    fn sum_counts(&mut self, counts: &mut [u64]);
    /// Adds up losses.
    fn sum_wide(&mut self, numbers: &mut [f64]);
    /// Adds up gradients.
    fn sum(&mut self, numbers: &mut [f32]);
}

/// The only rank of its run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Collective for Alone {
    fn ranks(&self) -> usize {
        1
    }
    fn sum_counts(&mut self, _counts: &mut [u64]) {}
    fn sum_wide(&mut self, _numbers: &mut [f64]) {}
    fn sum(&mut self, _numbers: &mut [f32]) {}
}
