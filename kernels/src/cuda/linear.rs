//! Linears with LoRA in the augmented form: the columns of `B` stand beside the dequantised weight, and those of `x Aᵀ`
//! beside the input, so that one product gives base and adapter together, rounded once, and no pass over the result is
//! needed to add the adapter.
//!
//! Several linears that read the same input (queries, keys, values; gate and up) are one product:
//! `Y = [X | s P] [W | B]ᵀ` with `P = X Aᵀ`, `B` standing in the rows and columns of its own linear, zeros elsewhere, and
//! `dX = [dY | s Q] [W ; A]` with `Q_i = dY_i B_i`. Then `dA_i = (s Q_i)ᵀ X` and `dB_i = dY_iᵀ (s P_i)`.
//!
//! Legend: T tokens, K inputs, N outputs of all parts, R ranks of all parts.

use half::bf16;

use super::device::Device;
use super::elementwise::{copy, fill_rows};
use super::error::Result;
use super::gemm::multiply;
use super::nf4::Nf4;
use super::view::{Matrix, MatrixMut, Span, SpanMut};

/// A frozen weight `[outputs, K]`.
#[derive(Clone, Copy)]
pub enum Weight<'a> {
    /// In four bits; dequantised for every product.
    Nf4(&'a Nf4),
    /// As it is.
    Dense(Matrix<'a, bf16>),
}

/// An adapter, from the bf16 shadow of the trained parameters. A rank that is no multiple of 8 is stored with rows of
/// zeros behind `A` and columns of zeros behind `B`.
#[derive(Clone, Copy)]
pub struct Lora<'a> {
    /// `[rank, K]`.
    pub a: Matrix<'a, bf16>,
    /// `[outputs, rank]`.
    pub b: Matrix<'a, bf16>,
    /// `alpha / rank`, or what the scaling in use makes of them.
    pub scale: f32,
}

/// One linear of those that read the same input.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// What is frozen.
    pub weight: Weight<'a>,
    /// What is trained.
    pub lora: Option<Lora<'a>>,
}

/// Gradients of one part's adapter, added to.
#[derive(Debug)]
pub struct LoraGradient<'a> {
    /// `[rank, K]`.
    pub da: MatrixMut<'a, f32>,
    /// `[outputs, rank]`.
    pub db: MatrixMut<'a, f32>,
}

impl Part<'_> {
    fn shape(&self) -> [usize; 2] {
        match self.weight {
            Weight::Nf4(weight) => weight.shape(),
            Weight::Dense(weight) => [weight.rows, weight.columns],
        }
    }

    fn rank(&self) -> usize {
        self.lora.map_or(0, |lora| lora.a.rows)
    }
}

/// Linears that read the same input of width K.
#[derive(Clone, Copy)]
pub struct Linear<'a> {
    parts: &'a [Part<'a>],
    inputs: usize,
    outputs: usize,
    ranks: usize,
}

/// Where a part's outputs and ranks begin among those of all.
struct Place {
    output: usize,
    outputs: usize,
    rank: usize,
    ranks: usize,
}

impl<'a> Linear<'a> {
    /// # Panics
    /// If the parts have other inputs than the first, adapters do not fit their weights, or a size is no multiple of 8.
    #[must_use]
    pub fn new(parts: &'a [Part<'a>]) -> Self {
        let inputs = parts.first().map_or(0, |part| part.shape()[1]);
        for part in parts {
            let [outputs, columns] = part.shape();
            assert_eq!(columns, inputs, "linear: inputs of parts side by side");
            assert!(
                [outputs, inputs, part.rank()].iter().all(|size| size.is_multiple_of(8)),
                "linear: sizes"
            );
            if let Some(lora) = part.lora {
                lora.a.expect("linear: A", lora.a.rows, inputs);
                lora.b.expect("linear: B", outputs, lora.a.rows);
            }
        }
        let outputs = parts.iter().map(|part| part.shape()[0]).sum();
        Self { parts, inputs, outputs, ranks: parts.iter().map(Part::rank).sum() }
    }

    /// Columns of the input with the adapters' beside it, `K + R`.
    #[must_use]
    pub fn wide_inputs(&self) -> usize {
        self.inputs + self.ranks
    }

    /// Columns of the gradient with the adapters' beside it, `N + R`.
    #[must_use]
    pub fn wide_outputs(&self) -> usize {
        self.outputs + self.ranks
    }

    /// Elements of scratch that [`Self::forward`] and [`Self::backward`] need.
    #[must_use]
    pub fn scratch_elements(&self) -> usize {
        (self.outputs * self.wide_inputs()).max(self.wide_outputs() * self.inputs)
    }

    fn places(&self) -> impl Iterator<Item = (&'a Part<'a>, Place)> {
        let (mut output, mut rank) = (0, 0);
        self.parts.iter().map(move |part| {
            let place = Place { output, outputs: part.shape()[0], rank, ranks: part.rank() };
            (output, rank) = (output + place.outputs, rank + place.ranks);
            (part, place)
        })
    }

    /// Writes `s P` into the last R columns of `x`, `[T, K + R]`, whose first K columns hold the input.
    ///
    /// # Errors
    /// If a launch fails.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn project(&self, device: &Device, x: MatrixMut<'_, bf16>) -> Result<()> {
        x.expect("linear: input", x.rows, self.wide_inputs());
        let (input, mut p) = x.split_columns(self.inputs);
        for (part, place) in self.places() {
            if let Some(lora) = part.lora {
                let out = p.lend().columns(place.rank..place.rank + place.ranks);
                multiply(device, out, 0.0, lora.scale, input.read(), lora.a.t())?;
            }
        }
        Ok(())
    }

    /// `y = [x | s P] [W | B]ᵀ (+ bias)`, or added to `y` with `add`. `x`: `[T, K + R]`, after [`Self::project`]; `y`:
    /// `[T, N]`; `scratch`: [`Self::scratch_elements`].
    ///
    /// # Errors
    /// If a launch fails.
    ///
    /// # Panics
    /// If the shapes do not fit, or both a bias and `add` are given.
    pub fn forward(
        &self,
        device: &Device,
        x: Matrix<'_, bf16>,
        bias: Option<Span<'_, f32>>,
        add: bool,
        mut y: MatrixMut<'_, bf16>,
        scratch: SpanMut<'_, bf16>,
    ) -> Result<()> {
        let width = self.wide_inputs();
        x.expect("linear: input", x.rows, width);
        y.expect("linear: output", x.rows, self.outputs);
        assert!(!(add && bias.is_some()), "linear: a bias and a sum");
        let mut joint = scratch.slice(0..self.outputs * width).matrix(self.outputs, width);
        if self.parts.len() > 1 && self.ranks > 0 {
            fill_rows(device, None, joint.lend().columns(self.inputs..width))?;
        }
        for (part, place) in self.places() {
            let rows = joint.lend().rows(place.output..place.output + place.outputs);
            let (weight, mut b) = rows.split_columns(self.inputs);
            part.weight.write(device, weight)?;
            if let Some(lora) = part.lora {
                copy(device, lora.b, b.lend().columns(place.rank..place.rank + place.ranks))?;
            }
        }
        if bias.is_some() {
            fill_rows(device, bias, y.lend())?;
        }
        let beta = if add || bias.is_some() { 1.0 } else { 0.0 };
        multiply(device, y, beta, 1.0, x, joint.read().t())
    }

    /// `dx = [dy | s Q] [W ; A]`, or added to `dx` with `add`; and the adapters' gradients.
    ///
    /// `x`: `[T, K + R]` as it went forward; `dy`: `[T, N + R]`, whose first N columns hold the gradient of the output;
    /// the others are written. `gradients`: one for each part with an adapter, in order.
    ///
    /// # Errors
    /// If a launch fails.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[expect(clippy::too_many_arguments, reason = "two inputs, two results, scratch, and whether to add")]
    pub fn backward(
        &self,
        device: &Device,
        x: Matrix<'_, bf16>,
        mut dy: MatrixMut<'_, bf16>,
        add: bool,
        dx: MatrixMut<'_, bf16>,
        gradients: &mut [LoraGradient<'_>],
        scratch: SpanMut<'_, bf16>,
    ) -> Result<()> {
        let width = self.wide_outputs();
        x.expect("linear: input", dy.rows, self.wide_inputs());
        dy.expect("linear: gradient", dy.rows, width);
        dx.expect("linear: gradient", dy.rows, self.inputs);
        let with_adapter = self.places().filter(|(part, _)| part.lora.is_some());
        assert_eq!(gradients.len(), with_adapter.count(), "linear: gradients of adapters");
        self.adapters(device, x, dy.lend(), gradients)?;
        let mut joint = scratch.slice(0..width * self.inputs).matrix(width, self.inputs);
        for (part, place) in self.places() {
            part.weight.write(device, joint.lend().rows(place.output..place.output + place.outputs))?;
            if let Some(lora) = part.lora {
                let first = self.outputs + place.rank;
                copy(device, lora.a, joint.lend().rows(first..first + place.ranks))?;
            }
        }
        multiply(device, dx, if add { 1.0 } else { 0.0 }, 1.0, dy.read(), joint.read())
    }

    /// `s Q` into the last columns of `dy`, and `dA`, `dB`.
    fn adapters(
        &self,
        device: &Device,
        x: Matrix<'_, bf16>,
        dy: MatrixMut<'_, bf16>,
        gradients: &mut [LoraGradient<'_>],
    ) -> Result<()> {
        let (dy, mut q) = dy.split_columns(self.outputs);
        let (input, p) = (x.columns(0..self.inputs), x.columns(self.inputs..self.wide_inputs()));
        let adapters = self.places().filter_map(|(part, place)| Some((part.lora?, place)));
        for ((lora, place), gradient) in adapters.zip(gradients) {
            let ranks = place.rank..place.rank + place.ranks;
            let dy = dy.read().columns(place.output..place.output + place.outputs);
            multiply(device, q.lend().columns(ranks.clone()), 0.0, lora.scale, dy, lora.b)?;
            multiply(device, gradient.da.lend(), 1.0, 1.0, q.read().columns(ranks.clone()).t(), input)?;
            multiply(device, gradient.db.lend(), 1.0, 1.0, dy.t(), p.columns(ranks))?;
        }
        Ok(())
    }
}

impl Weight<'_> {
    fn write(&self, device: &Device, out: MatrixMut<'_, bf16>) -> Result<()> {
        match self {
            Self::Nf4(weight) => weight.dequantize(device, 0, out),
            Self::Dense(weight) => copy(device, *weight, out),
        }
    }
}
