//! What answers take while a run is under way.
//!
//! The buffers of the steps are given back before: an evaluation is a phase of its own. Whether its answers are made by an
//! unpacked copy of the matrices is decided here, for a plan and for the run alike, and by nothing but what the rest of the run
//! takes: that copy is made where the run takes no more with it than without, but for some MiB that an allocator keeps.

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
    /// A copy of all matrices in `f32`; 0 where answers are made without.
    pub unpacked_bytes: usize,
}

/// What glibc keeps of blocks below 32 MiB that were freed, as matrices of a copy are, for what comes later and is allocated elsewhere:
/// the most that its `M_TRIM_THRESHOLD` grows to.
const KEPT_BY_ALLOCATOR_BYTES: usize = 64 << 20;

impl EvaluationMemory {
    /// What stays of a copy when it is gone.
    #[must_use]
    pub fn staying_bytes(&self) -> usize {
        if self.unpacked_bytes == 0 { 0 } else { self.bytes().min(KEPT_BY_ALLOCATOR_BYTES) }
    }

    /// All of it; 0 where nothing is asked.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.cache_bytes.saturating_add(self.pass_bytes).saturating_add(self.unpacked_bytes)
    }
}

/// What asking all of `asks` takes with so many threads, a set after the other, where there may be `room_bytes` of it without the
/// run taking more.
pub(super) fn of(
    outline: &BaseOutline,
    trained: &TrainedOutline,
    asks: &Asks,
    threads: usize,
    room_bytes: usize,
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
            unpacked_bytes: 0,
        };
        if of_set.bytes() > most.bytes() {
            most = of_set;
        }
    }
    let copy = outline.unpacked_bytes();
    let fits = most.bytes() > 0 && most.bytes().saturating_add(copy) <= room_bytes;
    EvaluationMemory { unpacked_bytes: if fits { copy } else { 0 }, ..most }
}
