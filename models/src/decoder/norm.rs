//! A norm of the decoder, whichever it is.

use std::ops::Range;

use rtune_adapters::Parameters;
use rtune_adapters::linear::Pass;
use rtune_kernels::arena::{Arena, Buffer, Part};
use rtune_kernels::real::Real;
use rtune_kernels::{columns, layer_norm, norm};

/// Weights of a norm, as the checkpoint has them.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    /// In the checkpoint, without `.weight`.
    pub(super) name: String,
    pub(super) weight: Vec<f32>,
    /// Whether the weight is one less than the factor.
    pub(super) plus_one: bool,
    /// Of LayerNorm; `None` for RMSNorm.
    pub(super) bias: Option<Vec<f32>>,
    pub(super) epsilon: f64,
    pub(super) trained: Trained,
}

/// Where the numbers that are trained stand in the flat vector.
#[derive(Clone, Debug, Default)]
pub(super) struct Trained {
    weight: Option<Range<usize>>,
    bias: Option<Range<usize>>,
}

/// What a norm gave.
pub(super) struct Normed<R: Real> {
    pub(super) y_td: Buffer<R>,
    /// What the other functions want: a number or two a row.
    pub(super) moments: Buffer<R>,
}

impl Norm {
    /// Numbers of the weights.
    pub(super) fn count(&self) -> usize {
        self.weight.len() + self.bias.as_ref().map_or(0, Vec::len)
    }

    pub(super) fn is_trained(&self) -> bool {
        self.trained.weight.is_some() || self.trained.bias.is_some()
    }

    pub(super) fn freeze(&mut self) {
        self.trained = Trained::default();
    }

    /// Lets weight and bias be trained: `NAME.weight` and `NAME.bias` of `parameters`.
    pub(super) fn train<R: Real>(&mut self, parameters: &mut Parameters<R>) {
        self.trained.weight = Some(push(parameters, format!("{}.weight", self.name), &self.weight));
        self.train_bias(parameters);
    }

    /// Lets the bias be trained, if there is one; says whether there is.
    pub(super) fn train_bias<R: Real>(&mut self, parameters: &mut Parameters<R>) -> bool {
        let Some(bias) = &self.bias else { return false };
        self.trained.bias = Some(push(parameters, format!("{}.bias", self.name), bias));
        true
    }

    /// The factors.
    fn weight<'a, R: Real>(&'a self, pass: Pass<'a, R>, arena: &Arena<R>) -> Part<'a, R> {
        let weight = numbers(&self.weight, self.trained.weight.as_ref(), pass, arena);
        if !self.plus_one {
            return weight;
        }
        let mut factors = arena.copy_of(&weight);
        factors.iter_mut().for_each(|factor| *factor += R::one());
        Part::Own(factors)
    }

    fn bias<'a, R: Real>(&'a self, pass: Pass<'a, R>, arena: &Arena<R>) -> Option<Part<'a, R>> {
        self.bias.as_ref().map(|bias| numbers(bias, self.trained.bias.as_ref(), pass, arena))
    }

    /// Rows of `x` as long as the weight, normed.
    pub(super) fn forward<R: Real>(&self, pass: Pass<'_, R>, x_td: &[R], arena: &Arena<R>) -> Normed<R> {
        let rows = x_td.len() / self.weight.len();
        let mut y_td = arena.take(x_td.len());
        let mut moments = arena.take(rows * if self.bias.is_some() { 2 } else { 1 });
        let weight = self.weight(pass, arena);
        match self.bias(pass, arena) {
            None => norm::forward(x_td, &weight, self.epsilon, &mut y_td, &mut moments),
            Some(bias) => layer_norm::forward(x_td, &weight, &bias, self.epsilon, &mut y_td, &mut moments),
        }
        Normed { y_td, moments }
    }

    /// The output of [`Self::forward`] again.
    pub(super) fn recompute<R: Real>(
        &self,
        pass: Pass<'_, R>,
        x_td: &[R],
        moments: &[R],
        arena: &Arena<R>,
    ) -> Buffer<R> {
        let mut y_td = arena.take(x_td.len());
        let weight = self.weight(pass, arena);
        match self.bias(pass, arena) {
            None => norm::recompute(x_td, &weight, moments, &mut y_td),
            Some(bias) => layer_norm::recompute(x_td, &weight, &bias, moments, &mut y_td),
        }
        y_td
    }

    /// Adds to `dx_td` the gradient that `dy_td` makes of the input, and to `gradients` those of what is trained.
    #[expect(clippy::too_many_arguments, reason = "what a backward pass reads, and the two places it writes")]
    pub(super) fn backward_add<R: Real>(
        &self,
        pass: Pass<'_, R>,
        x_td: &[R],
        moments: &[R],
        dy_td: &[R],
        gradients: &mut [R],
        dx_td: &mut [R],
        arena: &Arena<R>,
    ) {
        if let Some(range) = &self.trained.weight {
            let dw_d = &mut gradients[range.clone()];
            match &self.bias {
                None => norm::add_weight_gradient(x_td, moments, dy_td, dw_d),
                Some(_) => layer_norm::add_weight_gradient(x_td, moments, dy_td, dw_d),
            }
        }
        if let Some(range) = &self.trained.bias {
            columns::add_sums(dy_td, &mut gradients[range.clone()]);
        }
        let weight = self.weight(pass, arena);
        match &self.bias {
            None => norm::backward_add(x_td, &weight, moments, dy_td, dx_td),
            Some(_) => layer_norm::backward_add(x_td, &weight, moments, dy_td, dx_td),
        }
    }

    /// [`Self::backward_add`] to nothing.
    pub(super) fn backward<R: Real>(
        &self,
        pass: Pass<'_, R>,
        x_td: &[R],
        moments: &[R],
        dy_td: &[R],
        gradients: &mut [R],
        arena: &Arena<R>,
    ) -> Buffer<R> {
        let mut dx_td = arena.zeros(x_td.len());
        self.backward_add(pass, x_td, moments, dy_td, gradients, &mut dx_td, arena);
        dx_td
    }
}

/// Two norms may share their weights; then these are trained together.
fn push<R: Real>(parameters: &mut Parameters<R>, name: String, values: &[f32]) -> Range<usize> {
    if let Some(range) = parameters.range_of(&name) {
        return range;
    }
    let range = parameters.push(name, vec![values.len()]);
    for (to, &value) in parameters.flat_mut()[range.clone()].iter_mut().zip(values) {
        *to = R::of_f32(value);
    }
    range
}

/// The trained numbers where there are any, else the frozen ones.
fn numbers<'a, R: Real>(
    frozen: &'a [f32],
    trained: Option<&Range<usize>>,
    pass: Pass<'a, R>,
    arena: &Arena<R>,
) -> Part<'a, R> {
    match trained {
        Some(range) if !pass.parameters.is_empty() => Part::Lent(&pass.parameters[range.clone()]),
        _ => Part::of_f32(frozen, arena),
    }
}
