//! Attention: projections, norms on queries and keys, rope, scores.

use rtune_adapters::Linear;
use rtune_adapters::linear::Into;
use rtune_kernels::arena::{Arena, Buffer};
use rtune_kernels::attention::{self, Gradients, Past, Shape};
use rtune_kernels::columns::{self, Columns};
use rtune_kernels::phase::Phase;
use rtune_kernels::real::Real;
use rtune_kernels::rope::Turn;

use super::{Context, Reading};
use crate::RowView;
use crate::decoder::cache::BlockCache;
use crate::decoder::norm::{Norm, Normed};
use crate::families::{AttentionSpec, Joint};

/// Weights of attention.
#[derive(Clone, Debug)]
pub(in crate::decoder) struct Attention {
    pub(in crate::decoder) spec: AttentionSpec,
    /// Query, key and value, or all in one.
    pub(in crate::decoder) projections: Vec<Linear>,
    pub(in crate::decoder) output: Linear,
    /// On queries and keys.
    pub(in crate::decoder) norms: Option<[Norm; 2]>,
}

/// What the backward pass of attention reads beside its input.
#[derive(Debug)]
pub(in crate::decoder) struct AttentionSaved<R: Real> {
    queries_keys: QueriesKeys<R>,
    v_tke: Buffer<R>,
    o_the: Buffer<R>,
    log_sum_exp_th: Buffer<R>,
    /// `x Aᵀ` of every adapted linear.
    projected: Vec<Option<Buffer<R>>>,
    output_projected: Option<Buffer<R>>,
}

/// Queries and keys as they are kept.
#[derive(Debug)]
enum QueriesKeys<R: Real> {
    /// After rope.
    Turned { q_the: Buffer<R>, k_tke: Buffer<R> },
    /// Before their norms, with what those gave: norms and rope are done again.
    Raw { q_the: Buffer<R>, k_tke: Buffer<R>, q_moments: Buffer<R>, k_moments: Buffer<R> },
}

/// What attention reads.
struct Entrance<R: Real> {
    q_the: Buffer<R>,
    k_tke: Buffer<R>,
    v_tke: Buffer<R>,
    /// Queries and keys before their norms, where there are norms.
    raw: Option<QueriesKeys<R>>,
    projected: Vec<Option<Buffer<R>>>,
}

impl<R: Real> AttentionSaved<R> {
    /// What the projection out read, `[T, H E]`.
    pub(super) fn read_by_output(&self) -> &[R] {
        &self.o_the
    }
}

impl Attention {
    fn shape<'a>(&self, row: &RowView<'a>) -> Shape<'a> {
        let AttentionSpec { heads, kv_heads, head_width, scale, window, cap, .. } = self.spec;
        let RowView { bounds, parents, .. } = *row;
        Shape { heads, kv_heads, head_width, scale, bounds, parents, window, softcap: cap }
    }

    /// Elements of queries and of keys of one token.
    fn rows(&self) -> (usize, usize) {
        (self.spec.heads * self.spec.head_width, self.spec.kv_heads * self.spec.head_width)
    }

    /// What stands where in the joint matrix.
    fn columns(&self, joint: Joint) -> (usize, [usize; 3]) {
        let (q_row, kv_row) = self.rows();
        match joint {
            Joint::Blocks => (1, [q_row, kv_row, kv_row]),
            Joint::KeyValueHeads => {
                let groups = self.spec.kv_heads;
                (groups, [q_row / groups, kv_row / groups, kv_row / groups])
            }
        }
    }

    /// From the normed input: scores over the whole row, and what the backward pass needs. The output projection goes to
    /// `y_td`.
    pub(in crate::decoder) fn forward<R: Real>(
        &self,
        context: &Context<'_, R>,
        n_td: &[R],
        y_td: &mut [R],
        into: Into,
    ) -> AttentionSaved<R> {
        let Context { row, arena, .. } = context;
        let Entrance { q_the, k_tke, v_tke, raw, projected } = self.enter(context, n_td);
        let tokens = row.tokens.len();
        let (mut o_the, mut log_sum_exp_th) = (arena.take(q_the.len()), arena.take(tokens * self.spec.heads));
        let shape = self.shape(row);
        arena.timed(Phase::AttentionForward, || {
            attention::forward(&shape, &q_the, &k_tke, &v_tke, &mut o_the, &mut log_sum_exp_th, arena);
        });
        let queries_keys = raw.unwrap_or(QueriesKeys::Turned { q_the, k_tke });
        let output_projected = self.output.forward(context.pass(), &o_the, y_td, into, arena);
        AttentionSaved { queries_keys, v_tke, o_the, log_sum_exp_th, projected, output_projected }
    }

    /// [`Self::forward`] of tokens that go on documents whose earlier keys and values are in `caches`; theirs are added.
    pub(in crate::decoder) fn forward_cached<R: Real>(
        &self,
        context: &Context<'_, R>,
        n_td: &[R],
        caches: &mut [&mut BlockCache<R>],
        y_td: &mut [R],
        into: Into,
    ) {
        let Context { row, arena, .. } = context;
        let Entrance { q_the, k_tke, v_tke, .. } = self.enter(context, n_td);
        let (_, kv_row) = self.rows();
        for (cache, bounds) in caches.iter_mut().zip(row.bounds.windows(2)) {
            let new = bounds[0] * kv_row..bounds[1] * kv_row;
            cache.add(&k_tke[new.clone()], &v_tke[new]);
        }
        drop((k_tke, v_tke));
        let pasts: Vec<Past<'_, R>> = caches
            .iter()
            .map(|cache| Past { keys_lke: &cache.keys_lke, values_lke: &cache.values_lke })
            .collect();
        let mut o_the = arena.take(q_the.len());
        attention::cached(&self.shape(row), &pasts, &q_the, &mut o_the, arena);
        self.output.forward(context.pass(), &o_the, y_td, into, arena);
    }

    /// Projections, norms and rope: what attention reads.
    fn enter<R: Real>(&self, context: &Context<'_, R>, n_td: &[R]) -> Entrance<R> {
        let Context { row, arena, .. } = context;
        let (q_row, kv_row) = self.rows();
        let tokens = row.tokens.len();
        let mut q_the = arena.take(tokens * q_row);
        let (mut k_tke, mut v_tke) = (arena.take(tokens * kv_row), arena.take(tokens * kv_row));
        let mut projected = Vec::with_capacity(self.projections.len());
        match (self.spec.joint, self.projections.as_slice()) {
            (Some(joint), [linear]) => {
                let mut joint_tn = arena.take(tokens * linear.out_features());
                projected.push(linear.forward(context.pass(), n_td, &mut joint_tn, Into::Overwrite, arena));
                let (groups, runs) = self.columns(joint);
                let places = Columns { groups, runs: &runs };
                columns::split(places, &joint_tn, &mut [&mut q_the, &mut k_tke, &mut v_tke]);
            }
            (_, linears) => {
                for (linear, y) in linears.iter().zip([&mut q_the, &mut k_tke, &mut v_tke]) {
                    projected.push(linear.forward(context.pass(), n_td, y, Into::Overwrite, arena));
                }
            }
        }
        let mut raw = None;
        if let Some([query_norm, key_norm]) = &self.norms {
            let (q, k) = (
                query_norm.forward(context.pass(), &q_the, arena),
                key_norm.forward(context.pass(), &k_tke, arena),
            );
            let Normed { y_td: q_normed, moments: q_moments } = q;
            let Normed { y_td: k_normed, moments: k_moments } = k;
            raw = Some(QueriesKeys::Raw { q_the, k_tke, q_moments, k_moments });
            (q_the, k_tke) = (q_normed, k_normed);
        }
        self.turn(context, &mut q_the, &mut k_tke, Turn::Forth);
        Entrance { q_the, k_tke, v_tke, raw, projected }
    }

    fn turn<R: Real>(&self, context: &Context<'_, R>, q_the: &mut [R], k_tke: &mut [R], turn: Turn) {
        context.turns.turn(self.spec.rope, q_the, self.spec.heads, turn);
        context.turns.turn(self.spec.rope, k_tke, self.spec.kv_heads, turn);
    }

    /// From the gradient of what [`Self::forward`] gave to that of its input, `[T, D]`, if that is wanted.
    pub(in crate::decoder) fn backward<R: Real>(
        &self,
        context: &Context<'_, R>,
        n_td: &[R],
        saved: &AttentionSaved<R>,
        dy_td: &[R],
        gradients: &mut [R],
        wants_dn: bool,
    ) -> Option<Buffer<R>> {
        let Context { row, arena, .. } = context;
        let AttentionSaved { v_tke, o_the, log_sum_exp_th, .. } = saved;
        let mut do_the = arena.take(o_the.len());
        let dx = Some((&mut do_the[..], Into::Overwrite));
        let projected = saved.output_projected.as_deref();
        self.output.backward(context.pass(), o_the, projected, dy_td, gradients, dx, arena);

        let (mut dq_the, mut dk_tke) = (arena.take(o_the.len()), arena.take(v_tke.len()));
        let mut dv_tke = arena.take(v_tke.len());
        let turned = self.turned_again(context, &saved.queries_keys, arena);
        let (q_the, k_tke): (&[R], &[R]) = match (&turned, &saved.queries_keys) {
            (Some((q_the, k_tke)), _) => (q_the, k_tke),
            (None, QueriesKeys::Turned { q_the, k_tke } | QueriesKeys::Raw { q_the, k_tke, .. }) => {
                (q_the, k_tke)
            }
        };
        let out = Gradients { dq_the: &mut dq_the, dk_tke: &mut dk_tke, dv_tke: &mut dv_tke };
        let shape = self.shape(row);
        arena.timed(Phase::AttentionBackward, || {
            attention::backward(&shape, q_the, k_tke, v_tke, o_the, log_sum_exp_th, &do_the, out, arena);
        });
        drop((do_the, turned));
        self.turn(context, &mut dq_the, &mut dk_tke, Turn::Back);
        if let (Some([query_norm, key_norm]), QueriesKeys::Raw { q_the, k_tke, q_moments, k_moments }) =
            (&self.norms, &saved.queries_keys)
        {
            let pass = context.pass();
            dq_the = query_norm.backward(pass, q_the, q_moments, &dq_the, gradients, arena);
            dk_tke = key_norm.backward(pass, k_tke, k_moments, &dk_tke, gradients, arena);
        }
        self.backward_projections(context, n_td, saved, [&dq_the, &dk_tke, &dv_tke], gradients, wants_dn)
    }

    /// Queries and keys after norms and rope, where they were kept before them.
    fn turned_again<R: Real>(
        &self,
        context: &Context<'_, R>,
        kept: &QueriesKeys<R>,
        arena: &Arena<R>,
    ) -> Option<(Buffer<R>, Buffer<R>)> {
        let (Some([query_norm, key_norm]), QueriesKeys::Raw { q_the, k_tke, q_moments, k_moments }) =
            (&self.norms, kept)
        else {
            return None;
        };
        let mut q_the = query_norm.recompute(context.pass(), q_the, q_moments, arena);
        let mut k_tke = key_norm.recompute(context.pass(), k_tke, k_moments, arena);
        self.turn(context, &mut q_the, &mut k_tke, Turn::Forth);
        Some((q_the, k_tke))
    }

    fn backward_projections<R: Real>(
        &self,
        context: &Context<'_, R>,
        n_td: &[R],
        saved: &AttentionSaved<R>,
        parts: [&[R]; 3],
        gradients: &mut [R],
        wants_dn: bool,
    ) -> Option<Buffer<R>> {
        let Context { arena, .. } = context;
        let mut read = Reading::new(context.pass(), n_td, wants_dn, arena);
        match (self.spec.joint, self.projections.as_slice()) {
            (Some(joint), [linear]) => {
                let tokens = parts[0].len() / self.rows().0;
                let mut joint_tn = arena.take(tokens * linear.out_features());
                let (groups, runs) = self.columns(joint);
                columns::join(Columns { groups, runs: &runs }, &parts, &mut joint_tn);
                read.back(linear, saved.projected[0].as_deref(), &joint_tn, gradients, arena);
            }
            (_, linears) => {
                for ((linear, projected), dy) in linears.iter().zip(&saved.projected).zip(parts) {
                    read.back(linear, projected.as_deref(), dy, gradients, arena);
                }
            }
        }
        read.dn_td
    }
}
