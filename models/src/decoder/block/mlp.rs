//! An MLP: gated or not, from one matrix or two.

use rtune_adapters::Linear;
use rtune_adapters::linear::{Into, Pass};
use rtune_kernels::activation::{self, Activation};
use rtune_kernels::arena::{Arena, Buffer};
use rtune_kernels::columns::{self, Columns};
use rtune_kernels::elementwise;
use rtune_kernels::real::Real;

use super::Reading;

/// Weights of an MLP.
#[derive(Clone, Debug)]
pub(in crate::decoder) struct Mlp {
    pub(in crate::decoder) activation: Activation,
    /// Whether there is a gate.
    pub(in crate::decoder) gated: bool,
    /// Gate and up, both in one, or up alone.
    pub(in crate::decoder) inputs: Vec<Linear>,
    pub(in crate::decoder) down: Linear,
}

/// What the backward pass of an MLP reads beside its input. The activation is formed anew.
#[derive(Debug)]
pub(in crate::decoder) struct MlpSaved<R: Real> {
    e_tf: Buffer<R>,
    g_tf: Option<Buffer<R>>,
    /// `x Aᵀ` of every adapted linear.
    projected: Vec<Option<Buffer<R>>>,
    down_projected: Option<Buffer<R>>,
}

/// Weights of the rows of an MLP's output, and where their gradients go.
pub(in crate::decoder) struct RowWeights<'a, R> {
    pub(in crate::decoder) weights_t: &'a [R],
    pub(in crate::decoder) d_weights_t: &'a mut [R],
}

impl Mlp {
    /// Width inside.
    fn width(&self) -> usize {
        self.down.in_features()
    }

    fn joint(&self) -> bool {
        self.gated && self.inputs.len() == 1
    }

    /// From the normed input to `y_td`; rows of the output weigh `weights_t`, or 1.
    pub(in crate::decoder) fn forward<R: Real>(
        &self,
        pass: Pass<'_, R>,
        n_td: &[R],
        weights_t: Option<&[R]>,
        y_td: &mut [R],
        into: Into,
        arena: &Arena<R>,
    ) -> MlpSaved<R> {
        let size = n_td.len() / self.inputs[0].in_features() * self.width();
        let mut e_tf = arena.take(size);
        let mut g_tf = self.gated.then(|| arena.take(size));
        let mut projected = Vec::with_capacity(self.inputs.len());
        match (&mut g_tf, self.joint()) {
            (Some(g_tf), true) => {
                let mut joint_tn = arena.take(2 * size);
                let linear = &self.inputs[0];
                projected.push(linear.forward(pass, n_td, &mut joint_tn, Into::Overwrite, arena));
                let places = Columns { groups: 1, runs: &[self.width(); 2] };
                columns::split(places, &joint_tn, &mut [&mut e_tf, g_tf]);
            }
            (g_tf, _) => {
                let outputs = std::iter::once(&mut e_tf).chain(g_tf.as_mut());
                for (linear, y) in self.inputs.iter().zip(outputs) {
                    projected.push(linear.forward(pass, n_td, y, Into::Overwrite, arena));
                }
            }
        }
        let h_tf = self.inside(&e_tf, g_tf.as_deref(), weights_t, arena);
        let down_projected = self.down.forward(pass, &h_tf, y_td, into, arena);
        MlpSaved { e_tf, g_tf, projected, down_projected }
    }

    /// What the projection out reads. Weights of rows are put in here: it has no bias then, so that the output is the
    /// same, and its adapter's gradients come out right.
    fn inside<R: Real>(
        &self,
        e_tf: &[R],
        g_tf: Option<&[R]>,
        weights_t: Option<&[R]>,
        arena: &Arena<R>,
    ) -> Buffer<R> {
        let mut h_tf = arena.take(e_tf.len());
        activation::forward(self.activation, e_tf, g_tf, &mut h_tf);
        if let Some(weights_t) = weights_t {
            elementwise::scale_rows(&mut h_tf, weights_t);
        }
        h_tf
    }

    /// What the projection out read, `[T, F]`, where rows do not weigh.
    pub(super) fn read_by_down<R: Real>(&self, saved: &MlpSaved<R>, arena: &Arena<R>) -> Buffer<R> {
        self.inside(&saved.e_tf, saved.g_tf.as_deref(), None, arena)
    }

    /// From the gradient of what [`Self::forward`] gave to that of its input, `[T, D]`, if that is wanted.
    #[expect(clippy::too_many_arguments, reason = "what a backward pass reads, and the places it writes")]
    pub(in crate::decoder) fn backward<R: Real>(
        &self,
        pass: Pass<'_, R>,
        n_td: &[R],
        saved: &MlpSaved<R>,
        dy_td: &[R],
        weights: Option<RowWeights<'_, R>>,
        gradients: &mut [R],
        wants_dn: bool,
        arena: &Arena<R>,
    ) -> Option<Buffer<R>> {
        let MlpSaved { e_tf, g_tf, projected, down_projected } = saved;
        let weights_t = weights.as_ref().map(|weights| weights.weights_t);
        let mut h_tf = self.inside(e_tf, g_tf.as_deref(), weights_t, arena);
        let mut de_tf = arena.take(e_tf.len());
        let dx = Some((&mut de_tf[..], Into::Overwrite));
        self.down.backward(pass, &h_tf, down_projected.as_deref(), dy_td, gradients, dx, arena);
        if let Some(RowWeights { weights_t, d_weights_t }) = weights {
            activation::forward(self.activation, e_tf, g_tf.as_deref(), &mut h_tf);
            elementwise::dot_rows(&h_tf, &de_tf, d_weights_t);
            elementwise::scale_rows(&mut de_tf, weights_t);
        }
        let mut read = Reading::new(pass, n_td, wants_dn, arena);
        let Some(g_tf) = g_tf else {
            activation::backward_plain(self.activation, e_tf, &mut de_tf);
            read.back(&self.inputs[0], projected[0].as_deref(), &de_tf, gradients, arena);
            return read.dn_td;
        };
        let mut dg_tf = h_tf;
        activation::backward_gated(self.activation, e_tf, g_tf, &mut de_tf, &mut dg_tf);
        if self.joint() {
            let mut joint_tn = arena.take(2 * e_tf.len());
            let places = Columns { groups: 1, runs: &[self.width(); 2] };
            columns::join(places, &[&de_tf, &dg_tf], &mut joint_tn);
            read.back(&self.inputs[0], projected[0].as_deref(), &joint_tn, gradients, arena);
        } else {
            read.back(&self.inputs[0], projected[0].as_deref(), &de_tf, gradients, arena);
            read.back(&self.inputs[1], projected[1].as_deref(), &dg_tf, gradients, arena);
        }
        read.dn_td
    }
}
