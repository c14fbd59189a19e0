//! The trainable tensors.

use std::ops::Range;

use rtune_kernels::real::Real;

use crate::Weight;

/// One trainable tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterEntry {
    /// The name in the checkpoint, as in `model.layers.0.self_attn.q_proj.lora_A.weight`.
    pub name: String,
    /// Row-major.
    pub shape: Vec<usize>,
    /// Where its elements stand in the flat vector.
    pub range: Range<usize>,
}

/// Every trainable tensor as a named slice of one flat vector, in one stable order: gradients and moments are flat
/// vectors of the same layout.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters<R> {
    entries: Vec<ParameterEntry>,
    flat: Vec<R>,
}

impl<R: Real> Parameters<R> {
    /// No tensors.
    #[must_use]
    pub fn new() -> Self {
        Self { entries: Vec::new(), flat: Vec::new() }
    }

    /// Appends a tensor of zeros and gives the place of its elements.
    pub fn push(&mut self, name: String, shape: Vec<usize>) -> Range<usize> {
        let start = self.flat.len();
        let range = start..start + shape.iter().product::<usize>();
        self.flat.resize(range.end, R::zero());
        self.entries.push(ParameterEntry { name, shape, range: range.clone() });
        range
    }

    /// Appends a matrix with the numbers of `weight` and gives their place.
    pub fn push_values(&mut self, name: String, weight: &Weight) -> Range<usize> {
        let range = self.push(name, vec![weight.rows(), weight.columns()]);
        for (row, out) in self.flat[range.clone()].chunks_exact_mut(weight.columns()).enumerate() {
            weight.row(row, out);
        }
        range
    }

    /// The tensors in order.
    #[must_use]
    pub fn entries(&self) -> &[ParameterEntry] {
        &self.entries
    }

    /// All elements.
    #[must_use]
    pub fn flat(&self) -> &[R] {
        &self.flat
    }

    /// All elements.
    pub fn flat_mut(&mut self) -> &mut [R] {
        &mut self.flat
    }

    /// The elements of one tensor.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[R]> {
        self.entry(name).map(|e| &self.flat[e.range.clone()])
    }

    /// The elements of one tensor.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut [R]> {
        let range = self.entry(name)?.range.clone();
        self.flat.get_mut(range)
    }

    /// The name of the tensor that holds element `index` of the flat vector.
    #[must_use]
    pub fn name_at(&self, index: usize) -> Option<&str> {
        self.entries.iter().find(|e| e.range.contains(&index)).map(|e| e.name.as_str())
    }

    /// Where the elements of one tensor stand.
    #[must_use]
    pub fn range_of(&self, name: &str) -> Option<Range<usize>> {
        self.entry(name).map(|entry| entry.range.clone())
    }

    fn entry(&self, name: &str) -> Option<&ParameterEntry> {
        self.entries.iter().find(|e| e.name == name)
    }
}
