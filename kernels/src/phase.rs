//! What the time of a step goes into.

use std::time::Duration;

/// A part of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Products with frozen weights and adapters, forward; again where a block is computed anew for its backward pass.
    LinearsForward,
    /// The same, backward.
    LinearsBackward,
    /// Scores, softmax and sums of values, forward.
    AttentionForward,
    /// The same, backward.
    AttentionBackward,
    /// Logits of supervised tokens, and what comes back from them.
    Head,
    /// Cross-entropy of the logits.
    Loss,
}

impl Phase {
    /// All of them, in the order of a step.
    pub const ALL: [Self; 6] = [
        Self::LinearsForward,
        Self::AttentionForward,
        Self::Head,
        Self::Loss,
        Self::AttentionBackward,
        Self::LinearsBackward,
    ];

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LinearsForward => "linears, forward",
            Self::LinearsBackward => "linears, backward",
            Self::AttentionForward => "attention, forward",
            Self::AttentionBackward => "attention, backward",
            Self::Head => "head",
            Self::Loss => "loss",
        }
    }
}

/// Time by phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseTimes {
    spent: [Duration; Phase::ALL.len()],
}

impl PhaseTimes {
    pub(crate) fn add(&mut self, phase: Phase, time: Duration) {
        self.spent[phase as usize] += time;
    }

    /// The time of one phase.
    #[must_use]
    pub fn of(&self, phase: Phase) -> Duration {
        self.spent[phase as usize]
    }

    /// The time since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut spent = self.spent;
        for (now, then) in spent.iter_mut().zip(earlier.spent) {
            *now = now.saturating_sub(then);
        }
        Self { spent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;

    #[test]
    fn time_is_counted_for_the_phase_it_went_into() {
        let arena = Arena::<f32>::new();
        let nap = Duration::from_millis(2);
        assert_eq!(arena.timed(Phase::Head, || 5), 5);
        let before = arena.times();
        arena.timed(Phase::LinearsBackward, || std::thread::sleep(nap));
        let spent = arena.times().since(&before);
        for phase in Phase::ALL {
            assert_eq!(spent.of(phase) >= nap, phase == Phase::LinearsBackward, "{}", phase.name());
        }
    }
}
