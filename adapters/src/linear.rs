//! A linear layer with a frozen weight and, beside it, a trainable adapter; weight and bias may be trained themselves.
//!
//! Legend: T tokens, I input features, O output features, R rank.

use std::ops::Range;

use rtune_kernels::arena::{Arena, Buffer, Part};
use rtune_kernels::columns;
use rtune_kernels::elementwise;
use rtune_kernels::gemm::{self, Mat, MatMut, Term, multiply};
use rtune_kernels::noise::Draw;
use rtune_kernels::phase::Phase;
use rtune_kernels::real::Real;

use crate::lora::Lora;
pub use crate::pass::{Into, Pass};
use crate::{Parameters, Weight, dora};

/// `y = x Wᵀ + b + scale · (x Aᵀ) Bᵀ`.
#[derive(Clone, Debug)]
pub struct Linear {
    name: String,
    weight: Weight,
    bias: Option<Vec<f32>>,
    only_by_name: bool,
    trained: Trained,
    /// The adapter, if there is one.
    pub lora: Option<Lora>,
}

/// Where the numbers of the base that are trained themselves stand in the flat vector.
#[derive(Clone, Debug, Default)]
struct Trained {
    weight: Option<Range<usize>>,
    bias: Option<Range<usize>>,
}

impl Linear {
    /// A layer without an adapter; `name` as in the checkpoint, without `.weight`.
    ///
    /// # Panics
    /// If the bias has another length than the weight has rows.
    #[must_use]
    pub fn new(name: String, weight: Weight, bias: Option<Vec<f32>>) -> Self {
        assert!(bias.as_ref().is_none_or(|b| b.len() == weight.rows()), "linear: bias");
        Self { name, weight, bias, only_by_name: false, trained: Trained::default(), lora: None }
    }

    /// The same layer, which is adapted only where it is asked for by its name: one of many experts.
    #[must_use]
    pub fn only_by_name(self) -> Self {
        Self { only_by_name: true, ..self }
    }

    /// Whether it is left out where all linears are to be adapted.
    #[must_use]
    pub fn is_only_by_name(&self) -> bool {
        self.only_by_name
    }

    /// The name in the checkpoint, without `.weight`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The frozen weight, `[O, I]`.
    #[must_use]
    pub fn weight(&self) -> &Weight {
        &self.weight
    }

    /// The frozen bias, `[O]`.
    #[must_use]
    pub fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }

    /// Whether something of it is trained: an adapter, or numbers of its own.
    #[must_use]
    pub fn is_trained(&self) -> bool {
        self.lora.is_some() || self.trained.weight.is_some() || self.trained.bias.is_some()
    }

    /// Numbers of the base that are trained and not frozen.
    #[must_use]
    pub fn trained_whole(&self) -> usize {
        [&self.trained.weight, &self.trained.bias].into_iter().flatten().map(Range::len).sum()
    }

    /// Lets the weight be trained: its numbers go over to `parameters`, called `NAME.weight`.
    pub fn train_weight<R: Real>(&mut self, parameters: &mut Parameters<R>) {
        let range = parameters.push_values(format!("{}.weight", self.name), &self.weight);
        self.weight = Weight::elsewhere(self.out_features(), self.in_features());
        self.trained.weight = Some(range);
    }

    /// Lets the bias be trained, if there is one: `NAME.bias` of `parameters` begins as it. Says whether there is one.
    pub fn train_bias<R: Real>(&mut self, parameters: &mut Parameters<R>) -> bool {
        let Some(bias) = &self.bias else { return false };
        let range = parameters.push(format!("{}.bias", self.name), vec![bias.len()]);
        for (to, &value) in parameters.flat_mut()[range.clone()].iter_mut().zip(bias) {
            *to = R::of_f32(value);
        }
        self.trained.bias = Some(range);
        true
    }

    /// Nothing is trained of it any more; a weight that was must be set anew.
    pub fn freeze(&mut self) {
        (self.lora, self.trained) = (None, Trained::default());
    }

    /// Replaces the frozen weight by one of the same shape: what merging does.
    ///
    /// # Panics
    /// If the shape differs.
    pub fn set_weight(&mut self, weight: Weight) {
        assert!(
            weight.rows() == self.out_features() && weight.columns() == self.in_features(),
            "linear: shape"
        );
        self.weight = weight;
    }

    /// O.
    #[must_use]
    pub fn out_features(&self) -> usize {
        self.weight.rows()
    }

    /// I.
    #[must_use]
    pub fn in_features(&self) -> usize {
        self.weight.columns()
    }

    /// Frozen numbers: weight and bias.
    #[must_use]
    pub fn frozen_count(&self) -> usize {
        self.in_features() * self.out_features() + self.bias.as_ref().map_or(0, Vec::len)
    }

    /// Bytes of the frozen numbers.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.weight.size_bytes() + self.bias.as_ref().map_or(0, |b| b.len() * size_of::<f32>())
    }

    /// `y_to` (`[T, O]`) from `x_ti` (`[T, I]`). Gives `x Aᵀ`, `[T, R]`, if there is an adapter: [`Self::backward`]
    /// wants it.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn forward<R: Real>(
        &self,
        pass: Pass<'_, R>,
        x_ti: &[R],
        y_to: &mut [R],
        into: Into,
        arena: &Arena<R>,
    ) -> Option<Buffer<R>> {
        arena.timed(Phase::LinearsForward, || self.compute(pass, x_ti, y_to, into, arena))
    }

    fn compute<R: Real>(
        &self,
        pass: Pass<'_, R>,
        x_ti: &[R],
        y_to: &mut [R],
        into: Into,
        arena: &Arena<R>,
    ) -> Option<Buffer<R>> {
        let (inputs, outputs) = (self.in_features(), self.out_features());
        let (tokens, parameters) = (x_ti.len() / inputs, pass.parameters);
        let beta = self.begin(pass, y_to, into, arena);
        let lora = self.lora.as_ref().filter(|_| !parameters.is_empty());
        let project = |lora: &Lora| {
            let dropped = dropped(lora, pass, x_ti, arena);
            let x = Mat::new(dropped.as_deref().unwrap_or(x_ti), tokens, inputs);
            let mut p_tr = arena.take(tokens * lora.rank);
            let a = Mat::new(&parameters[lora.a.clone()], lora.rank, inputs);
            multiply(MatMut::new(&mut p_tr, tokens, lora.rank), R::zero(), R::one(), x, a.t());
            p_tr
        };
        if let Some((lora, magnitude)) = lora.and_then(|lora| lora.magnitude.as_ref().map(|m| (lora, m))) {
            let p_tr = project(lora);
            let mut u_to = self.plain(parameters, lora, x_ti, &p_tr, arena);
            let lengths = dora::lengths(self, lora, magnitude, parameters, arena);
            columns::scale_columns(&mut u_to, &lengths.ratios_o);
            if beta == R::zero() {
                y_to.copy_from_slice(&u_to);
            } else {
                elementwise::add(&u_to, y_to);
            }
            return Some(p_tr);
        }
        let p_tr = lora.map(project);
        let also = lora.zip(p_tr.as_ref()).map(|(lora, p_tr)| lora.term(parameters, p_tr, outputs));
        match self.trained_weight(pass) {
            None => self.weight.project(x_ti, y_to, beta, also, arena),
            Some(w) => {
                let first = Term::plain(R::one(), Mat::new(x_ti, tokens, inputs), w.t());
                let terms = [Some(first), also];
                let terms: Vec<_> = terms.into_iter().flatten().collect();
                gemm::sum(MatMut::new(y_to, tokens, outputs), beta, &terms);
            }
        }
        p_tr
    }

    /// `x Wᵀ + scale · p Bᵀ`, `[T, O]`: what DoRA's lengths are put on.
    fn plain<R: Real>(
        &self,
        parameters: &[R],
        lora: &Lora,
        x_ti: &[R],
        p_tr: &[R],
        arena: &Arena<R>,
    ) -> Buffer<R> {
        let (tokens, outputs) = (x_ti.len() / self.in_features(), self.out_features());
        let mut u_to = arena.take(tokens * outputs);
        let also = Some(lora.term(parameters, p_tr, outputs));
        self.weight.project(x_ti, &mut u_to, R::zero(), also, arena);
        u_to
    }

    /// The weight, where it is trained.
    fn trained_weight<'a, R: Real>(&self, pass: Pass<'a, R>) -> Option<Mat<'a, R>> {
        let range = self.trained.weight.clone()?;
        Some(Mat::new(&pass.parameters[range], self.out_features(), self.in_features()))
    }

    /// Puts the bias into the output and says whether the output is a summand then.
    fn begin<R: Real>(&self, pass: Pass<'_, R>, y_to: &mut [R], into: Into, arena: &Arena<R>) -> R {
        let Some(frozen) = &self.bias else {
            return if into == Into::Add { R::one() } else { R::zero() };
        };
        let bias_o = match &self.trained.bias {
            Some(range) if !pass.parameters.is_empty() => Part::Lent(&pass.parameters[range.clone()]),
            _ => Part::of_f32(frozen, arena),
        };
        if into == Into::Overwrite {
            elementwise::fill_rows(&bias_o, y_to);
        } else {
            let mut rows = arena.take(y_to.len());
            elementwise::fill_rows(&bias_o, &mut rows);
            elementwise::add(&rows, y_to);
        }
        R::one()
    }

    /// Adds the gradients of the adapter to `gradients` (laid out as the parameters), and that of the input to `dx_ti`
    /// unless nothing below is trained.
    ///
    /// `x_ti`: the input of [`Self::forward`]; `p_tr`: what it gave; `dy_to`: `[T, O]`. With `q = dy B`:
    /// `dx = dy W + scale · q A`, `dA += scale · qᵀ x`, `dB += scale · dyᵀ p`, where what was dropped of `x` is dropped
    /// again. DoRA's magnitudes get theirs, and the others come behind its lengths. A weight that is trained itself gets
    /// `dW += dyᵀ x`, and a bias the sum of `dy`.
    ///
    /// # Panics
    /// If the lengths do not fit, or there is an adapter and no `p_tr`.
    #[expect(clippy::too_many_arguments, reason = "what a backward pass reads, and the two places it writes")]
    pub fn backward<R: Real>(
        &self,
        pass: Pass<'_, R>,
        x_ti: &[R],
        p_tr: Option<&[R]>,
        dy_to: &[R],
        gradients: &mut [R],
        dx_ti: Option<(&mut [R], Into)>,
        arena: &Arena<R>,
    ) {
        arena.timed(Phase::LinearsBackward, || {
            self.differentiate(pass, x_ti, p_tr, dy_to, gradients, dx_ti, arena);
        });
    }

    #[expect(clippy::too_many_arguments, reason = "as `backward`")]
    fn differentiate<R: Real>(
        &self,
        pass: Pass<'_, R>,
        x_ti: &[R],
        p_tr: Option<&[R]>,
        dy_to: &[R],
        gradients: &mut [R],
        dx_ti: Option<(&mut [R], Into)>,
        arena: &Arena<R>,
    ) {
        if let Some(range) = &self.trained.bias {
            columns::add_sums(dy_to, &mut gradients[range.clone()]);
        }
        let magnitude = self.lora.as_ref().and_then(|lora| lora.magnitude.as_ref().map(|m| (lora, m)));
        if let Some((lora, magnitude)) = magnitude {
            let p_tr = p_tr.unwrap_or_else(|| panic!("{}: the forward pass gave a projection", self.name));
            // The lengths in the denominator are constants, as in PEFT.
            let lengths = dora::lengths(self, lora, magnitude, pass.parameters, arena);
            let u_to = self.plain(pass.parameters, lora, x_ti, p_tr, arena);
            let d_magnitude = &mut gradients[magnitude.range.clone()];
            columns::add_dots(dy_to, &u_to, &lengths.inverse_o, d_magnitude);
            let mut du_to = u_to;
            du_to.copy_from_slice(dy_to);
            columns::scale_columns(&mut du_to, &lengths.ratios_o);
            return self.backward_plain(pass, x_ti, Some(p_tr), &du_to, gradients, dx_ti, arena);
        }
        self.backward_plain(pass, x_ti, p_tr, dy_to, gradients, dx_ti, arena);
    }

    #[expect(clippy::too_many_arguments, reason = "as `backward`")]
    fn backward_plain<R: Real>(
        &self,
        pass: Pass<'_, R>,
        x_ti: &[R],
        p_tr: Option<&[R]>,
        dy_to: &[R],
        gradients: &mut [R],
        dx_ti: Option<(&mut [R], Into)>,
        arena: &Arena<R>,
    ) {
        let (inputs, outputs) = (self.in_features(), self.out_features());
        let (tokens, parameters) = (dy_to.len() / outputs, pass.parameters);
        let dy = Mat::new(dy_to, tokens, outputs);
        let q_tr = self.lora.as_ref().map(|lora| {
            let mut q_tr = arena.take(tokens * lora.rank);
            let b = Mat::new(&parameters[lora.b.clone()], outputs, lora.rank);
            multiply(MatMut::new(&mut q_tr, tokens, lora.rank), R::zero(), R::one(), dy, b);
            q_tr
        });
        if let (Some(lora), Some(q_tr)) = (&self.lora, &q_tr) {
            let p_tr = p_tr.unwrap_or_else(|| panic!("{}: the forward pass gave a projection", self.name));
            let (q, p) = (Mat::new(q_tr, tokens, lora.rank), Mat::new(p_tr, tokens, lora.rank));
            let dropped = dropped(lora, pass, x_ti, arena);
            let x = Mat::new(dropped.as_deref().unwrap_or(x_ti), tokens, inputs);
            let scale = R::of(lora.scale);
            let da = MatMut::new(&mut gradients[lora.a.clone()], lora.rank, inputs);
            multiply(da, R::one(), scale, q.t(), x);
            let db = MatMut::new(&mut gradients[lora.b.clone()], outputs, lora.rank);
            multiply(db, R::one(), scale, dy.t(), p);
        }
        if let Some(range) = &self.trained.weight {
            let dw = MatMut::new(&mut gradients[range.clone()], outputs, inputs);
            multiply(dw, R::one(), R::one(), dy.t(), Mat::new(x_ti, tokens, inputs));
        }
        let Some((dx_ti, into)) = dx_ti else { return };
        let beta = if into == Into::Add { R::one() } else { R::zero() };
        let term = self.lora.as_ref().zip(q_tr.as_ref()).map(|(lora, q_tr)| {
            let a = Mat::new(&parameters[lora.a.clone()], lora.rank, inputs);
            Term::plain(R::of(lora.scale), Mat::new(q_tr, tokens, lora.rank), a)
        });
        let draw = self.lora.as_ref().and_then(|lora| Some((draws(lora, pass)?, lora.dropout)));
        let also = term.filter(|_| draw.is_none());
        match self.trained_weight(pass) {
            None => self.weight.project_back(dy_to, dx_ti, beta, also, arena),
            Some(w) => {
                let terms = [Some(Term::plain(R::one(), dy, w)), also];
                let terms: Vec<_> = terms.into_iter().flatten().collect();
                gemm::sum(MatMut::new(dx_ti, tokens, inputs), beta, &terms);
            }
        }
        if let (Some(term), Some((draw, dropout))) = (term, draw) {
            let mut d_dropped_ti = arena.take(dx_ti.len());
            gemm::sum(MatMut::new(&mut d_dropped_ti, tokens, inputs), R::zero(), &[term]);
            draw.drop_out_back(dropout, &d_dropped_ti, dx_ti);
        }
    }
}

/// The draws of an adapter's dropout, where there is any.
fn draws<'a, R>(lora: &Lora, pass: Pass<'a, R>) -> Option<Draw<'a>> {
    let keys_t = pass.keys_t.filter(|_| lora.dropout > 0.0)?;
    Some(Draw { keys_t, stream: lora.stream })
}

/// What `A` reads in the place of `x_ti`, `[T, I]`, where something is dropped of it.
fn dropped<R: Real>(lora: &Lora, pass: Pass<'_, R>, x_ti: &[R], arena: &Arena<R>) -> Option<Buffer<R>> {
    let draw = draws(lora, pass)?;
    let mut dropped_ti = arena.take(x_ti.len());
    draw.drop_out(lora.dropout, x_ti, &mut dropped_ti);
    Some(dropped_ti)
}
