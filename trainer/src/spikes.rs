//! Losses that jump: said aloud while there is still a checkpoint to go back to.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Steps that a loss is compared with: enough for a mean that does not follow the jump itself, few enough to follow the
/// fall of a loss that is being learnt.
const WINDOW_STEPS: usize = 32;

/// Fewer losses say too little about how they spread. After a jump it takes as many for the spread to hold it.
const LEAST_STEPS: usize = 8;

/// How many standard deviations above the mean a loss must lie. Losses of steps spread about like a normal
/// distribution, of which one in thirty thousand lies so far up.
const DEVIATIONS: f64 = 4.0;

/// And how far above the mean, as a part of it: where losses hardly spread, a small step up is many deviations.
const LEAST_RISE: f64 = 0.25;

/// A loss that jumped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spike {
    /// The loss.
    pub loss_nats: f64,
    /// The mean of the steps before.
    pub mean_nats: f64,
    /// How many standard deviations lie between them.
    pub deviations: f64,
    /// How many steps that mean is of.
    pub steps: usize,
}

/// The losses of the last steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spikes {
    losses: VecDeque<f64>,
    /// Steps for which a jump that was told of is not told of again.
    quiet_steps: usize,
}

impl Spikes {
    /// After these losses.
    pub fn after(losses: impl IntoIterator<Item = f64>) -> Self {
        let mut spikes = Self::default();
        for loss in losses {
            spikes.add(loss);
        }
        spikes
    }

    /// Takes the loss of the next step; something if it jumped. A jump counts for the mean of later steps, and the
    /// next few are quiet, so that a loss that stays up is told of once.
    pub fn add(&mut self, loss_nats: f64) -> Option<Spike> {
        let spike = self.spike(loss_nats).filter(|_| self.quiet_steps == 0);
        self.quiet_steps = if spike.is_some() { LEAST_STEPS } else { self.quiet_steps.saturating_sub(1) };
        if self.losses.len() == WINDOW_STEPS {
            self.losses.pop_front();
        }
        self.losses.push_back(loss_nats);
        spike
    }

    /// Whether the loss of the next step would be a jump; nothing is kept of it, and no quiet counts.
    #[must_use]
    pub fn look(&self, loss_nats: f64) -> Option<Spike> {
        self.spike(loss_nats)
    }

    fn spike(&self, loss_nats: f64) -> Option<Spike> {
        let steps = self.losses.len();
        if steps < LEAST_STEPS {
            return None;
        }
        let mean_nats = self.losses.iter().sum::<f64>() / steps as f64;
        let squares: f64 = self.losses.iter().map(|loss| (loss - mean_nats).powi(2)).sum();
        let deviation = (squares / (steps - 1) as f64).sqrt();
        let rise = loss_nats - mean_nats;
        let is_spike = rise > DEVIATIONS * deviation && rise > LEAST_RISE * mean_nats;
        is_spike.then(|| Spike { loss_nats, mean_nats, deviations: rise / deviation, steps })
    }
}

/// How many times as long as usual a gradient must be. Lengths of steps spread by small factors; one row that is unlike all others
/// makes it dozens.
const TIMES_AS_LONG: f64 = 10.0;

/// A gradient that is much longer than usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlier {
    /// Its length, before it is clipped.
    pub norm: f64,
    /// The median length of the steps before.
    pub median: f64,
    /// How many steps that is of.
    pub steps: usize,
}

/// The lengths of the gradients of the last steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Norms {
    norms: VecDeque<f64>,
    /// Steps for which one is not told of again.
    quiet_steps: usize,
}

impl Norms {
    /// After these lengths.
    pub fn after(norms: impl IntoIterator<Item = f64>) -> Self {
        let mut all = Self::default();
        for norm in norms {
            all.add(norm);
        }
        all
    }

    /// Takes the length of the next step; whether it is to be told of.
    pub fn add(&mut self, norm: f64) -> bool {
        let is_told = self.look(norm).is_some() && self.quiet_steps == 0;
        self.quiet_steps = if is_told { LEAST_STEPS } else { self.quiet_steps.saturating_sub(1) };
        if self.norms.len() == WINDOW_STEPS {
            self.norms.pop_front();
        }
        self.norms.push_back(norm);
        is_told
    }

    /// Whether the gradient of the next step would be an outlier.
    #[must_use]
    pub fn look(&self, norm: f64) -> Option<Outlier> {
        let steps = self.norms.len();
        if steps < LEAST_STEPS {
            return None;
        }
        let mut sorted: Vec<f64> = self.norms.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let median = f64::midpoint(sorted[(steps - 1) / 2], sorted[steps / 2]);
        (norm > TIMES_AS_LONG * median && median > 0.0).then_some(Outlier { norm, median, steps })
    }
}

impl std::fmt::Display for Outlier {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { norm, median, steps } = self;
        write!(
            out,
            "the gradient is {norm:.4} long, {:.0} times the median {median:.4} of the {steps} steps before; look at the rows of \
            this step",
            norm / median
        )
    }
}

impl std::fmt::Display for Spike {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { loss_nats, mean_nats, deviations, steps } = self;
        write!(
            out,
            "the loss jumped to {loss_nats:.4}, {deviations:.1} standard deviations above {mean_nats:.4}, the mean of \
            the {steps} steps before; if it stays up, lower `train.learning-rate` or look at the rows of this step"
        )
    }
}

#[cfg(test)]
mod tests {
    use rand_core::Rng;
    use rtune_data::stream;

    use super::*;

    /// About normal: the sum of twelve uniform draws less six.
    fn noise(random: &mut impl Rng) -> f64 {
        (0..12).map(|_| (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64).sum::<f64>() - 6.0
    }

    fn count(losses: impl Iterator<Item = f64>) -> usize {
        let mut spikes = Spikes::default();
        losses.filter(|loss| spikes.add(*loss).is_some()).count()
    }

    #[test]
    fn by_hand() {
        let mut spikes = Spikes::after([1.0, 3.0, 1.0, 3.0, 1.0, 3.0, 1.0, 3.0]);
        // The mean is 2, the variance 8 / 7: four deviations end at 2 + 4 * 1.069 = 6.276.
        assert_eq!(spikes.clone().add(6.27), None);
        let spike = spikes.add(6.29).expect("a spike");
        assert_eq!((spike.mean_nats, spike.steps), (2.0, 8));
        assert!((spike.deviations - 4.29 / (8.0f64 / 7.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn learning_and_noise_are_no_spikes() {
        let mut random = stream(1, "test", "spikes", 0);
        let falling = (0..2000).map(|step| 1.0 + 3.0 * (-f64::from(step) / 50.0).exp());
        let noisy: Vec<f64> = falling.map(|loss| loss * (1.0 + 0.1 * noise(&mut random))).collect();
        assert_eq!(count(noisy.iter().copied()), 0);
        assert_eq!(
            count((0..100).map(|step| if step < 50 { 1.0 } else { 1.1 })),
            0,
            "a small step up of a flat loss"
        );
    }

    #[test]
    fn a_jump_is_told_of_once_even_if_it_stays() {
        let mut random = stream(2, "test", "spikes", 0);
        let losses: Vec<f64> =
            (0..200).map(|step| if step < 100 { 1.0 } else { 4.0 } + 0.05 * noise(&mut random)).collect();
        assert_eq!(count(losses.iter().copied()), 1);
    }

    #[test]
    fn a_run_that_goes_on_has_the_same_window() {
        let losses: Vec<f64> = (0..100).map(|step| f64::from(step % 7)).collect();
        let mut whole = Spikes::after(losses[..60].iter().copied());
        let mut resumed = Spikes::after(losses[20..60].iter().copied());
        assert_eq!(whole, resumed);
        assert_eq!(whole.add(50.0), resumed.add(50.0));
    }

    #[test]
    fn a_gradient_many_times_as_long_as_usual_is_told_of_once() {
        let mut norms = Norms::after((0..20).map(|step| 1.0 + 0.1 * f64::from(step % 5)));
        assert_eq!((norms.look(9.0), norms.add(9.0)), (None, false));
        let outlier = norms.look(30.0).expect("an outlier");
        assert!((outlier.median - 1.2).abs() < 1e-12 && outlier.steps == 21, "{outlier:?}");
        assert!(norms.add(30.0) && !norms.add(30.0));
        assert_eq!(Norms::after([1.0; 7]).look(1e9), None, "too few to say");
        assert_eq!(Norms::after([0.0; 9]).look(1.0), None, "nothing to be times of");
    }
}
