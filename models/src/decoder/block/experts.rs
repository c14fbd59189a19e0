//! Several MLPs, of which each token goes through a few.

use rtune_adapters::Weight;
use rtune_adapters::linear::{Into, Pass};
use rtune_kernels::arena::{Arena, Buffer};
use rtune_kernels::elementwise;
use rtune_kernels::real::Real;
use rtune_kernels::route::{self, Choice};

use super::mlp::{Mlp, MlpSaved, RowWeights};

/// Weights of the experts and of what chooses among them.
#[derive(Clone, Debug)]
pub(in crate::decoder) struct Experts {
    pub(in crate::decoder) choice: Choice,
    /// `[X, D]`; frozen, and not quantised.
    pub(in crate::decoder) router: Weight,
    pub(in crate::decoder) experts: Vec<Mlp>,
}

/// What the backward pass reads beside the input.
#[derive(Debug)]
pub(in crate::decoder) struct ExpertsSaved<R: Real> {
    /// Probabilities of all experts, `[T, X]`.
    p_tx: Buffer<R>,
    chosen_tp: Vec<u32>,
    weights_tp: Buffer<R>,
    /// Of the experts that some token chose.
    visits: Vec<Visit<R>>,
}

/// The tokens that go through one expert.
#[derive(Debug)]
struct Visit<R: Real> {
    expert: usize,
    /// The tokens.
    rows: Vec<usize>,
    /// Where their weights stand in `[T, P]`.
    places: Vec<usize>,
    saved: MlpSaved<R>,
}

impl Experts {
    /// From the normed input to `y_td`.
    pub(in crate::decoder) fn forward<R: Real>(
        &self,
        pass: Pass<'_, R>,
        n_td: &[R],
        y_td: &mut [R],
        into: Into,
        arena: &Arena<R>,
    ) -> ExpertsSaved<R> {
        let Choice { experts, per_token, .. } = self.choice;
        let width = self.router.columns();
        let tokens = n_td.len() / width;
        let (mut p_tx, mut weights_tp) = (arena.take(tokens * experts), arena.take(tokens * per_token));
        let mut chosen_tp = vec![0; tokens * per_token];
        self.router.project(n_td, &mut p_tx, R::zero(), None, arena);
        route::forward(self.choice, &mut p_tx, &mut chosen_tp, &mut weights_tp);
        if into == Into::Overwrite {
            y_td.fill(R::zero());
        }
        let mut visits = Vec::new();
        for expert in 0..experts {
            let places: Vec<usize> =
                (0..chosen_tp.len()).filter(|&place| chosen_tp[place] as usize == expert).collect();
            if places.is_empty() {
                continue;
            }
            let rows: Vec<usize> = places.iter().map(|place| place / per_token).collect();
            let (n_nd, weights_n) = self.visitors(n_td, &weights_tp, &rows, &places, arena);
            let mut y_nd = arena.take(n_nd.len());
            let mlp = &self.experts[expert];
            let keys_n = visiting_keys(pass, &rows);
            let pass = Pass { keys_t: keys_n.as_deref(), ..pass };
            let saved = mlp.forward(pass, &n_nd, Some(&weights_n), &mut y_nd, Into::Overwrite, arena);
            elementwise::scatter_rows_add(&y_nd, &rows, width, y_td);
            visits.push(Visit { expert, rows, places, saved });
        }
        ExpertsSaved { p_tx, chosen_tp, weights_tp, visits }
    }

    /// The inputs of the tokens that go through one expert, `[N, D]`, and the weights of what it gives, `[N]`.
    fn visitors<R: Real>(
        &self,
        n_td: &[R],
        weights_tp: &[R],
        rows: &[usize],
        places: &[usize],
        arena: &Arena<R>,
    ) -> (Buffer<R>, Buffer<R>) {
        let width = self.router.columns();
        let (mut n_nd, mut weights_n) = (arena.take(rows.len() * width), arena.take(rows.len()));
        elementwise::gather_rows(n_td, rows, width, &mut n_nd);
        elementwise::gather_rows(weights_tp, places, 1, &mut weights_n);
        (n_nd, weights_n)
    }

    /// From the gradient of what [`Self::forward`] gave to that of its input, `[T, D]`, if that is wanted.
    #[expect(clippy::too_many_arguments, reason = "what a backward pass reads, and the places it writes")]
    pub(in crate::decoder) fn backward<R: Real>(
        &self,
        pass: Pass<'_, R>,
        n_td: &[R],
        saved: &ExpertsSaved<R>,
        dy_td: &[R],
        gradients: &mut [R],
        wants_dn: bool,
        arena: &Arena<R>,
    ) -> Option<Buffer<R>> {
        let width = self.router.columns();
        let ExpertsSaved { p_tx, chosen_tp, weights_tp, visits } = saved;
        let mut dn_td = wants_dn.then(|| arena.zeros(n_td.len()));
        let mut d_weights_tp = arena.zeros(weights_tp.len());
        for Visit { expert, rows, places, saved } in visits {
            let (n_nd, weights_n) = self.visitors(n_td, weights_tp, rows, places, arena);
            let (mut dy_nd, mut d_weights_n) = (arena.take(n_nd.len()), arena.take(rows.len()));
            elementwise::gather_rows(dy_td, rows, width, &mut dy_nd);
            let weights = RowWeights { weights_t: &weights_n, d_weights_t: &mut d_weights_n };
            let mlp = &self.experts[*expert];
            let keys_n = visiting_keys(pass, rows);
            let pass = Pass { keys_t: keys_n.as_deref(), ..pass };
            let dn_nd = mlp.backward(pass, &n_nd, saved, &dy_nd, Some(weights), gradients, wants_dn, arena);
            if let (Some(dn_td), Some(dn_nd)) = (&mut dn_td, dn_nd) {
                elementwise::scatter_rows_add(&dn_nd, rows, width, dn_td);
            }
            elementwise::scatter_rows(&d_weights_n, places, 1, &mut d_weights_tp);
        }
        if let Some(dn_td) = &mut dn_td {
            let mut d_logits_tx = arena.take(p_tx.len());
            route::backward(self.choice, p_tx, chosen_tp, weights_tp, &d_weights_tp, &mut d_logits_tx);
            self.router.project_back(&d_logits_tx, dn_td, R::one(), None, arena);
        }
        dn_td
    }
}

/// The keys of the tokens that go through one expert, `[N]`.
fn visiting_keys<R>(pass: Pass<'_, R>, rows: &[usize]) -> Option<Vec<u64>> {
    pass.keys_t.map(|keys_t| rows.iter().map(|&row| keys_t[row]).collect())
}
