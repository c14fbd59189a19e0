//! What answers take while a run is under way.
//!
//! The buffers of the steps are given back before: an evaluation is a phase of its own. Its answers read the matrices as the steps do: a
//! copy in `f32` would take several times the memory of the base, and what an allocator keeps of it no plan knows.

use rtune_models::BaseOutline;
use rtune_models::outline::TrainedOutline;

use crate::evaluate::asks::Asks;

/// Memory of asking, in bytes, beside the base and what is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvaluationMemory {
    /// Keys and values of questions and answers.
    pub cache_bytes: usize,
    /// Buffers of a pass, and the angles of positions.
    pub pass_bytes: usize,
}

impl EvaluationMemory {
    /// All of it; 0 where nothing is asked.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.cache_bytes.saturating_add(self.pass_bytes)
    }
}

/// What asking all of `asks` takes with so many threads, a set after the other.
pub(super) fn of(
    outline: &BaseOutline,
    trained: &TrainedOutline,
    asks: &Asks,
    threads: usize,
) -> EvaluationMemory {
    let mut most = EvaluationMemory::default();
    for set in &asks.sets {
        let asking = set.asking(threads);
        let elements = outline.answer_elements(trained, &asking.pass);
        let of_set = EvaluationMemory {
            cache_bytes: outline.cache_bytes(size_of::<f32>()).saturating_mul(asking.cached_tokens),
            pass_bytes: elements
                .saturating_mul(size_of::<f32>())
                .saturating_add(outline.position_bytes(asking.positions)),
        };
        if of_set.bytes() > most.bytes() {
            most = of_set;
        }
    }
    most
}
