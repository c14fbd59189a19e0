//! The way back through several linears that read the same.

use rtune_adapters::Linear;
use rtune_adapters::linear::{Into, Pass};
use rtune_kernels::arena::{Arena, Buffer};
use rtune_kernels::real::Real;

/// What linears read together, and the sum of the gradients that they make of it.
pub(super) struct Reading<'a, R: Real> {
    pass: Pass<'a, R>,
    n_td: &'a [R],
    /// `None` where it is not wanted.
    pub(super) dn_td: Option<Buffer<R>>,
    into: Into,
}

impl<'a, R: Real> Reading<'a, R> {
    pub(super) fn new(pass: Pass<'a, R>, n_td: &'a [R], wants_dn: bool, arena: &Arena<R>) -> Self {
        Self { pass, n_td, dn_td: wants_dn.then(|| arena.take(n_td.len())), into: Into::Overwrite }
    }

    /// Goes back through one of them.
    pub(super) fn back(
        &mut self,
        linear: &Linear,
        projected: Option<&[R]>,
        dy_to: &[R],
        gradients: &mut [R],
        arena: &Arena<R>,
    ) {
        let dx = self.dn_td.as_mut().map(|dn_td| (&mut dn_td[..], self.into));
        linear.backward(self.pass, self.n_td, projected, dy_to, gradients, dx, arena);
        self.into = Into::Add;
    }
}
