//! What passes over a linear have in common.

/// What a pass over the adapters is given.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a, R> {
    /// The flat vector; empty for the frozen linears alone.
    pub parameters: &'a [R],
    /// A key for each token, `[T]`, that its draws follow from; without keys nothing is dropped.
    pub keys_t: Option<&'a [u64]>,
}

impl<'a, R> Pass<'a, R> {
    /// A pass of which nothing is dropped.
    #[must_use]
    pub fn undisturbed(parameters: &'a [R]) -> Self {
        Self { parameters, keys_t: None }
    }
}

/// Whether a result replaces what stands in the output or is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Into {
    /// Old contents are not read.
    Overwrite,
    /// Old contents are a summand: a residual, or a gradient from elsewhere.
    Add,
}
