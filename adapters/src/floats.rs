//! A slice of a flat vector as a tensor of a safetensors file.

use std::borrow::Cow;

use safetensors::{Dtype, View};

/// A tensor, F32 and row-major, whose bytes are made when they are asked for: of a file's tensors one at a time is in
/// memory twice.
#[derive(Clone, Copy, Debug)]
pub struct Floats<'a> {
    /// Its lengths; their product is the number of values.
    pub shape: &'a [usize],
    /// Its numbers.
    pub values: &'a [f32],
}

impl View for Floats<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }
    fn data_len(&self) -> usize {
        size_of_val(self.values)
    }
}
