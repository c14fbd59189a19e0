//! One block: forward, and backward by hand.

use rtune_adapters::Linear;
use rtune_adapters::linear::Into;
use rtune_kernels::arena::{Arena, Buffer};
use rtune_kernels::attention::{self, Gradients, Past, Shape};
use rtune_kernels::real::Real;
use rtune_kernels::rope::{self, Turn};
use rtune_kernels::{norm, swiglu};

use super::RowView;
use super::cache::BlockCache;
use crate::families::BlockSpec;

/// Weights of one block.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) spec: BlockSpec,
    pub(super) attention_norm: Vec<f32>,
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    pub(super) mlp_norm: Vec<f32>,
    pub(super) gate: Linear,
    pub(super) up: Linear,
    pub(super) down: Linear,
}

/// What every block of a pass is given.
pub(super) struct Context<'a, R: Real> {
    pub(super) parameters: &'a [R],
    pub(super) row: RowView<'a>,
    pub(super) rope: &'a rope::Table<R>,
    pub(super) arena: &'a Arena<R>,
}

/// What is kept of a block.
#[derive(Debug)]
pub(super) struct BlockSaved<R: Real> {
    /// The input, `[T, D]`.
    pub(super) x_td: Buffer<R>,
    /// `None`: computed again in the backward pass.
    pub(super) inner: Option<BlockInner<R>>,
}

/// What the backward pass of a block reads beside its input. Norms' outputs and the MLP's activation are formed anew.
#[derive(Debug)]
pub(super) struct BlockInner<R: Real> {
    inverse_rms_t: Buffer<R>,
    /// Query and key after rope.
    q_the: Buffer<R>,
    k_tke: Buffer<R>,
    v_tke: Buffer<R>,
    o_the: Buffer<R>,
    log_sum_exp_th: Buffer<R>,
    /// The residual behind attention.
    x1_td: Buffer<R>,
    inverse_rms1_t: Buffer<R>,
    e_tf: Buffer<R>,
    g_tf: Buffer<R>,
    projections: Projections<R>,
}

/// `x Aᵀ` of every adapted linear.
#[derive(Debug)]
struct Projections<R: Real> {
    query: Option<Buffer<R>>,
    key: Option<Buffer<R>>,
    value: Option<Buffer<R>>,
    output: Option<Buffer<R>>,
    gate: Option<Buffer<R>>,
    up: Option<Buffer<R>>,
    down: Option<Buffer<R>>,
}

/// What [`Block::enter`] gives.
struct Entrance<R: Real> {
    inverse_rms_t: Buffer<R>,
    q_the: Buffer<R>,
    k_tke: Buffer<R>,
    v_tke: Buffer<R>,
    query: Option<Buffer<R>>,
    key: Option<Buffer<R>>,
    value: Option<Buffer<R>>,
}

/// What [`Block::leave`] gives.
struct Exit<R: Real> {
    x1_td: Buffer<R>,
    inverse_rms1_t: Buffer<R>,
    e_tf: Buffer<R>,
    g_tf: Buffer<R>,
    y_td: Buffer<R>,
    output: Option<Buffer<R>>,
    gate: Option<Buffer<R>>,
    up: Option<Buffer<R>>,
    down: Option<Buffer<R>>,
}

impl Block {
    pub(super) fn linears(&self) -> [&Linear; 7] {
        [&self.query, &self.key, &self.value, &self.output, &self.gate, &self.up, &self.down]
    }

    pub(super) fn linears_mut(&mut self) -> [&mut Linear; 7] {
        [
            &mut self.query,
            &mut self.key,
            &mut self.value,
            &mut self.output,
            &mut self.gate,
            &mut self.up,
            &mut self.down,
        ]
    }

    pub(super) fn is_trained(&self) -> bool {
        self.linears().iter().any(|l| l.lora.is_some())
    }

    pub(super) fn norm_count(&self) -> usize {
        self.attention_norm.len() + self.mlp_norm.len()
    }

    fn shape<'a>(&self, bounds: &'a [usize]) -> Shape<'a> {
        let BlockSpec { heads, kv_heads, head_width, attention_scale, .. } = self.spec;
        Shape { heads, kv_heads, head_width, scale: attention_scale, bounds }
    }

    /// The block's output, `[T, D]`, and what its backward pass needs.
    pub(super) fn forward<R: Real>(
        &self,
        context: &Context<'_, R>,
        x_td: &[R],
    ) -> (Buffer<R>, BlockInner<R>) {
        let Context { row, arena, .. } = context;
        let Entrance { inverse_rms_t, q_the, k_tke, v_tke, query, key, value } = self.enter(context, x_td);
        let tokens = row.tokens.len();
        let (mut o_the, mut log_sum_exp_th) = (arena.take(q_the.len()), arena.take(tokens * self.spec.heads));
        let shape = self.shape(row.bounds);
        attention::forward(&shape, &q_the, &k_tke, &v_tke, &mut o_the, &mut log_sum_exp_th, arena);
        let Exit { x1_td, inverse_rms1_t, e_tf, g_tf, y_td, output, gate, up, down } =
            self.leave(context, x_td, &o_the);
        let projections = Projections { query, key, value, output, gate, up, down };
        let inner = BlockInner {
            inverse_rms_t,
            q_the,
            k_tke,
            v_tke,
            o_the,
            log_sum_exp_th,
            x1_td,
            inverse_rms1_t,
            e_tf,
            g_tf,
            projections,
        };
        (y_td, inner)
    }

    /// [`Self::forward`] of tokens that go on documents whose earlier keys and values are in `cache`; theirs are added
    /// to it. Nothing is kept for a backward pass.
    pub(super) fn forward_cached<R: Real>(
        &self,
        context: &Context<'_, R>,
        x_td: &[R],
        mut caches: Vec<&mut BlockCache<R>>,
    ) -> Buffer<R> {
        let Context { row, arena, .. } = context;
        let Entrance { q_the, k_tke, v_tke, .. } = self.enter(context, x_td);
        let kv_row = self.spec.kv_heads * self.spec.head_width;
        for (cache, bounds) in caches.iter_mut().zip(row.bounds.windows(2)) {
            let new = bounds[0] * kv_row..bounds[1] * kv_row;
            cache.keys_lke.extend_from_slice(&k_tke[new.clone()]);
            cache.values_lke.extend_from_slice(&v_tke[new]);
        }
        drop((k_tke, v_tke));
        let pasts: Vec<Past<'_, R>> = caches
            .iter()
            .map(|cache| Past { keys_lke: &cache.keys_lke, values_lke: &cache.values_lke })
            .collect();
        let mut o_the = arena.take(q_the.len());
        attention::cached(&self.shape(row.bounds), &pasts, &q_the, &mut o_the, arena);
        self.leave(context, x_td, &o_the).y_td
    }

    /// Norm, projections and rope: what attention reads.
    fn enter<R: Real>(&self, context: &Context<'_, R>, x_td: &[R]) -> Entrance<R> {
        let Context { parameters, row, rope, arena } = context;
        let tokens = row.tokens.len();
        let BlockSpec { heads, kv_heads, head_width, norm_epsilon, .. } = self.spec;
        let (q_row, kv_row) = (heads * head_width, kv_heads * head_width);
        let mut n_td = arena.take(x_td.len());
        let mut inverse_rms_t = arena.take(tokens);
        norm::forward(x_td, &self.attention_norm, norm_epsilon, &mut n_td, &mut inverse_rms_t);
        let (mut q_the, mut k_tke) = (arena.take(tokens * q_row), arena.take(tokens * kv_row));
        let mut v_tke = arena.take(tokens * kv_row);
        let query = self.query.forward(parameters, &n_td, &mut q_the, Into::Overwrite, arena);
        let key = self.key.forward(parameters, &n_td, &mut k_tke, Into::Overwrite, arena);
        let value = self.value.forward(parameters, &n_td, &mut v_tke, Into::Overwrite, arena);
        rope.turn(&mut q_the, row.positions, heads, Turn::Forth);
        rope.turn(&mut k_tke, row.positions, kv_heads, Turn::Forth);
        Entrance { inverse_rms_t, q_the, k_tke, v_tke, query, key, value }
    }

    /// Everything behind attention's output `o_the`.
    fn leave<R: Real>(&self, context: &Context<'_, R>, x_td: &[R], o_the: &[R]) -> Exit<R> {
        let Context { parameters, row, arena, .. } = context;
        let tokens = row.tokens.len();
        let BlockSpec { mlp_width, norm_epsilon, .. } = self.spec;
        let mut x1_td = arena.copy_of(x_td);
        let output = self.output.forward(parameters, o_the, &mut x1_td, Into::Add, arena);
        let (mut n_td, mut inverse_rms1_t) = (arena.take(x_td.len()), arena.take(tokens));
        norm::forward(&x1_td, &self.mlp_norm, norm_epsilon, &mut n_td, &mut inverse_rms1_t);
        let (mut e_tf, mut g_tf) = (arena.take(tokens * mlp_width), arena.take(tokens * mlp_width));
        let gate = self.gate.forward(parameters, &n_td, &mut e_tf, Into::Overwrite, arena);
        let up = self.up.forward(parameters, &n_td, &mut g_tf, Into::Overwrite, arena);
        drop(n_td);
        let mut h_tf = arena.take(tokens * mlp_width);
        swiglu::forward(&e_tf, &g_tf, &mut h_tf);
        let mut y_td = arena.copy_of(&x1_td);
        let down = self.down.forward(parameters, &h_tf, &mut y_td, Into::Add, arena);
        Exit { x1_td, inverse_rms1_t, e_tf, g_tf, y_td, output, gate, up, down }
    }

    /// From the gradient of the output that of the input, `[T, D]` (unspecified unless `wants_dx`), in the same
    /// buffer: it carries the gradient of the residual all the way.
    pub(super) fn backward<R: Real>(
        &self,
        context: &Context<'_, R>,
        x_td: &[R],
        inner: BlockInner<R>,
        dy_td: Buffer<R>,
        gradients: &mut [R],
        wants_dx: bool,
    ) -> Buffer<R> {
        let mut dr_td = dy_td;
        self.backward_mlp(context, &inner, &mut dr_td, gradients);
        self.backward_attention(context, x_td, &inner, &mut dr_td, gradients, wants_dx);
        dr_td
    }

    fn backward_mlp<R: Real>(
        &self,
        context: &Context<'_, R>,
        inner: &BlockInner<R>,
        dr_td: &mut [R],
        gradients: &mut [R],
    ) {
        let Context { parameters, arena, .. } = context;
        let Projections { gate, up, down, .. } = &inner.projections;
        let mut h_tf = arena.take(inner.e_tf.len());
        swiglu::forward(&inner.e_tf, &inner.g_tf, &mut h_tf);
        let mut de_tf = arena.take(inner.e_tf.len());
        let dx = Some((&mut de_tf[..], Into::Overwrite));
        self.down.backward(parameters, &h_tf, down.as_deref(), dr_td, gradients, dx, arena);
        let mut dg_tf = h_tf;
        swiglu::backward(&inner.e_tf, &inner.g_tf, &mut de_tf, &mut dg_tf);

        let mut n_td = arena.take(dr_td.len());
        norm::recompute(&inner.x1_td, &self.mlp_norm, &inner.inverse_rms1_t, &mut n_td);
        let mut dn_td = arena.take(dr_td.len());
        let dx = Some((&mut dn_td[..], Into::Overwrite));
        self.gate.backward(parameters, &n_td, gate.as_deref(), &de_tf, gradients, dx, arena);
        let dx = Some((&mut dn_td[..], Into::Add));
        self.up.backward(parameters, &n_td, up.as_deref(), &dg_tf, gradients, dx, arena);
        norm::backward_add(&inner.x1_td, &self.mlp_norm, &inner.inverse_rms1_t, &dn_td, dr_td);
    }

    fn backward_attention<R: Real>(
        &self,
        context: &Context<'_, R>,
        x_td: &[R],
        inner: &BlockInner<R>,
        dr_td: &mut [R],
        gradients: &mut [R],
        wants_dx: bool,
    ) {
        let Context { parameters, row, rope, arena } = context;
        let Projections { query, key, value, output, .. } = &inner.projections;
        let mut do_the = arena.take(inner.o_the.len());
        let dx = Some((&mut do_the[..], Into::Overwrite));
        self.output.backward(parameters, &inner.o_the, output.as_deref(), dr_td, gradients, dx, arena);

        let mut dq_the = arena.take(inner.q_the.len());
        let (mut dk_tke, mut dv_tke) = (arena.take(inner.k_tke.len()), arena.take(inner.v_tke.len()));
        attention::backward(
            &self.shape(row.bounds),
            &inner.q_the,
            &inner.k_tke,
            &inner.v_tke,
            &inner.o_the,
            &inner.log_sum_exp_th,
            &do_the,
            Gradients { dq_the: &mut dq_the, dk_tke: &mut dk_tke, dv_tke: &mut dv_tke },
            arena,
        );
        rope.turn(&mut dq_the, row.positions, self.spec.heads, Turn::Back);
        rope.turn(&mut dk_tke, row.positions, self.spec.kv_heads, Turn::Back);

        let mut n_td = arena.take(dr_td.len());
        norm::recompute(x_td, &self.attention_norm, &inner.inverse_rms_t, &mut n_td);
        let mut dn_td = arena.take(dr_td.len());
        let mut into = Into::Overwrite;
        for (linear, projection, dy) in
            [(&self.query, query, &dq_the), (&self.key, key, &dk_tke), (&self.value, value, &dv_tke)]
        {
            let dx = wants_dx.then_some((&mut dn_td[..], into));
            linear.backward(parameters, &n_td, projection.as_deref(), dy, gradients, dx, arena);
            into = Into::Add;
        }
        if wants_dx {
            norm::backward_add(x_td, &self.attention_norm, &inner.inverse_rms_t, &dn_td, dr_td);
        }
    }
}
