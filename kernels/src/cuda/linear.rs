//! Linears with LoRA in the augmented form: the columns of `B` stand beside the dequantised weight, and those of `x Aᵀ`
//! beside the input, so that one product gives base and adapter together, rounded once, and no pass over the result is
//! needed to add the adapter.
//!
//! Several linears that read the same input (queries, keys, values; gate and up) are one product:
//! `Y = [X | s P] [W | B]ᵀ` with `P = X Aᵀ`, `B` standing in the rows and columns of its own linear, zeros elsewhere, and
//! `dX = [dY | s Q] [W ; A]` with `Q_i = dY_i B_i`. Then `dA_i = (s Q_i)ᵀ X` and `dB_i = dY_iᵀ (s P_i)`.
//!
//! An adapter with dropout reads `X` with something left out in its place, drawn again on the way back; its part of `dX` is
//! a product of its own then, for the other parts read all of `X`.
//!
//! Legend: T tokens, K inputs, N outputs of all parts, R ranks of all parts.

use half::bf16;

use super::device::Device;
use super::elementwise::{copy, fill_rows};
use super::error::Result;
use super::gemm::multiply;
use super::nf4::Nf4;
use super::noise::Draw;
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
    /// What is left out of its input while training.
    pub dropout: Option<Dropout>,
}

/// What an adapter's input loses.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// Of an element to be left out, above 0 and below 1.
    pub probability: f64,
    /// See [`crate::noise::stream_of`].
    pub stream: u64,
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
    /// Keys of the tokens that something is left out for.
    keys: Option<Span<'a, u64>>,
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
        Self { parts, inputs, outputs, ranks: parts.iter().map(Part::rank).sum(), keys: None }
    }

    /// The same while training: what adapters leave out is drawn by `keys`, `[T]`.
    #[must_use]
    pub fn disturbed(self, keys: Option<Span<'a, u64>>) -> Self {
        Self { keys, ..self }
    }

    /// What an adapter leaves out in this pass.
    fn dropout(&self, lora: &Lora<'_>) -> Option<(f64, Draw<'a>)> {
        let Dropout { probability, stream } = lora.dropout?;
        Some((probability, Draw { keys: self.keys?, stream }))
    }

    fn drops(&self) -> bool {
        self.parts.iter().any(|part| part.lora.is_some_and(|lora| self.dropout(&lora).is_some()))
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

    /// Elements of scratch that the other functions need for `tokens` tokens.
    #[must_use]
    pub fn scratch_elements(&self, tokens: usize) -> usize {
        let dropped = if self.drops() { tokens * self.inputs } else { 0 };
        dropped.max(self.outputs * self.wide_inputs()).max(self.wide_outputs() * self.inputs)
    }

    fn places(&self) -> impl Iterator<Item = (&'a Part<'a>, Place)> {
        let (mut output, mut rank) = (0, 0);
        self.parts.iter().map(move |part| {
            let place = Place { output, outputs: part.shape()[0], rank, ranks: part.rank() };
            (output, rank) = (output + place.outputs, rank + place.ranks);
            (part, place)
        })
    }

    /// Writes `s P` into the last R columns of `x`, `[T, K + R]`, whose first K columns hold the input. `scratch`:
    /// [`Self::scratch_elements`].
    ///
    /// # Errors
    /// If a launch fails.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn project(
        &self,
        device: &Device,
        x: MatrixMut<'_, bf16>,
        mut scratch: SpanMut<'_, bf16>,
    ) -> Result<()> {
        x.expect("linear: input", x.rows, self.wide_inputs());
        let (input, mut p) = x.split_columns(self.inputs);
        for (part, place) in self.places() {
            if let Some(lora) = part.lora {
                let out = p.lend().columns(place.rank..place.rank + place.ranks);
                let input = self.as_read(device, &lora, input.read(), scratch.lend())?;
                multiply(device, out, 0.0, lora.scale, input, lora.a.t())?;
            }
        }
        Ok(())
    }

    /// What an adapter reads in the place of `input`, `[T, K]`, which may be written to `scratch`.
    fn as_read<'x>(
        &self,
        device: &Device,
        lora: &Lora<'_>,
        input: Matrix<'x, bf16>,
        scratch: SpanMut<'x, bf16>,
    ) -> Result<Matrix<'x, bf16>> {
        let Some((probability, draw)) = self.dropout(lora) else { return Ok(input) };
        let mut dropped = scratch.slice(0..input.rows * self.inputs).matrix(input.rows, self.inputs);
        draw.drop_out(device, probability, input, dropped.lend())?;
        Ok(dropped.into_read())
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

    /// `dx = [dy | s Q] [W ; A]`, or added to `dx` with `add`, if it is wanted; and the adapters' gradients.
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
        dx: Option<MatrixMut<'_, bf16>>,
        gradients: &mut [LoraGradient<'_>],
        mut scratch: SpanMut<'_, bf16>,
    ) -> Result<()> {
        x.expect("linear: input", dy.rows, self.wide_inputs());
        dy.expect("linear: gradient", dy.rows, self.wide_outputs());
        let with_adapter = self.places().filter(|(part, _)| part.lora.is_some());
        assert_eq!(gradients.len(), with_adapter.count(), "linear: gradients of adapters");
        self.adapters(device, x, dy.lend(), gradients, scratch.lend())?;
        let Some(mut dx) = dx else { return Ok(()) };
        dx.expect("linear: gradient", dy.rows, self.inputs);
        let drops = self.drops();
        let width = if drops { self.outputs } else { self.wide_outputs() };
        let mut joint = scratch.lend().slice(0..width * self.inputs).matrix(width, self.inputs);
        for (part, place) in self.places() {
            part.weight.write(device, joint.lend().rows(place.output..place.output + place.outputs))?;
            if let Some(lora) = part.lora.filter(|_| !drops) {
                let first = self.outputs + place.rank;
                copy(device, lora.a, joint.lend().rows(first..first + place.ranks))?;
            }
        }
        let beta = if add { 1.0 } else { 0.0 };
        multiply(device, dx.lend(), beta, 1.0, dy.read().columns(0..width), joint.read())?;
        if drops { self.through_dropout(device, dy.read(), dx, scratch) } else { Ok(()) }
    }

    /// Adds `s Q A` of every part to `dx`, by way of what its adapter left out.
    fn through_dropout(
        &self,
        device: &Device,
        dy: Matrix<'_, bf16>,
        mut dx: MatrixMut<'_, bf16>,
        scratch: SpanMut<'_, bf16>,
    ) -> Result<()> {
        let mut d_dropped = scratch.slice(0..dy.rows * self.inputs).matrix(dy.rows, self.inputs);
        for (part, place) in self.places() {
            let Some(lora) = part.lora else { continue };
            let first = self.outputs + place.rank;
            let q = dy.columns(first..first + place.ranks);
            match self.dropout(&lora) {
                None => multiply(device, dx.lend(), 1.0, 1.0, q, lora.a)?,
                Some((probability, draw)) => {
                    multiply(device, d_dropped.lend(), 0.0, 1.0, q, lora.a)?;
                    draw.drop_out_back(device, probability, d_dropped.read(), dx.lend())?;
                }
            }
        }
        Ok(())
    }

    /// `s Q` into the last columns of `dy`, and `dA`, `dB`.
    fn adapters(
        &self,
        device: &Device,
        x: Matrix<'_, bf16>,
        dy: MatrixMut<'_, bf16>,
        gradients: &mut [LoraGradient<'_>],
        mut scratch: SpanMut<'_, bf16>,
    ) -> Result<()> {
        let (dy, mut q) = dy.split_columns(self.outputs);
        let (input, p) = (x.columns(0..self.inputs), x.columns(self.inputs..self.wide_inputs()));
        let adapters = self.places().filter_map(|(part, place)| Some((part.lora?, place)));
        for ((lora, place), gradient) in adapters.zip(gradients) {
            let ranks = place.rank..place.rank + place.ranks;
            let dy = dy.read().columns(place.output..place.output + place.outputs);
            multiply(device, q.lend().columns(ranks.clone()), 0.0, lora.scale, dy, lora.b)?;
            let input = self.as_read(device, &lora, input, scratch.lend())?;
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
