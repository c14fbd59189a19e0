//! Attention on a GPU: projections, norms on queries and keys, rope, scores; forward and backward.

use half::bf16;
use rtune_kernels::cuda::attention::cached;
use rtune_kernels::cuda::attention::flash::{self, Given};
use rtune_kernels::cuda::attention::strips::{self, Scratch};
use rtune_kernels::cuda::attention::{Gradients, Heads, Inputs};
use rtune_kernels::cuda::norm::Input;
use rtune_kernels::cuda::{CudaError, Device, Lent, Matrix, MatrixMut, SpanMut, elementwise};
use rtune_kernels::rope::Turn;

use super::super::block::attention::Attention;
use super::context::{Context, Rows};
use super::group::Group;
use super::norm::{GpuNorm, Moments};
use rtune_adapters::PaddedLayout;

use super::GpuError;
use crate::families::{AttentionSpec, Joint};

/// Weights of attention.
pub(super) struct GpuAttention {
    spec: AttentionSpec,
    /// Query, key and value, or all in one.
    pub(super) projections: Group,
    pub(super) output: Group,
    /// On queries and keys.
    norms: Option<[GpuNorm; 2]>,
}

/// What the backward pass reads beside its input.
pub(super) struct Saved {
    heads: PartedHeads,
    /// Of the norms on queries and keys; what is kept of these is what the norms read then.
    moments: Option<[Moments; 2]>,
    /// `[T, H * E]`, and what the output's adapter made of it.
    o: Rows,
    /// `[H, T]`.
    log_sum_exp: Lent<f32>,
}

/// Queries, keys and values: side by side as one product gave them, or each by itself.
enum Parted {
    Joint(Rows),
    Apart([Rows; 3]),
}

impl GpuAttention {
    pub(super) fn upload(
        device: &Device,
        attention: &Attention,
        layout: &PaddedLayout,
    ) -> Result<Self, GpuError> {
        let head_width = attention.spec.head_width;
        if !cached::supports(head_width) {
            return Err(GpuError::Refused {
                name: attention.output.name().to_owned(),
                problem: format!("heads of {head_width} elements: expected multiples of 8 up to 256"),
            });
        }
        let norms = match &attention.norms {
            None => None,
            Some([query, key]) => Some([GpuNorm::upload(device, query)?, GpuNorm::upload(device, key)?]),
        };
        Ok(Self {
            spec: attention.spec,
            projections: Group::upload(device, &attention.projections, layout)?,
            output: Group::upload(device, std::slice::from_ref(&attention.output), layout)?,
            norms,
        })
    }

    /// Elements of queries and of keys of one token.
    fn widths(&self) -> [usize; 3] {
        let AttentionSpec { heads, kv_heads, head_width, .. } = self.spec;
        [heads * head_width, kv_heads * head_width, kv_heads * head_width]
    }

    pub(super) fn heads(&self) -> Heads {
        let AttentionSpec { heads, kv_heads, head_width, scale, window, cap, .. } = self.spec;
        let (scale, softcap) = (scale as f32, cap.map(|cap| cap as f32));
        Heads { heads, kv_heads, head_width, scale, window, softcap }
    }

    /// From the normed input, with room for the projections' adapters behind it, to what is added to the residual,
    /// `[T, D]`.
    pub(super) fn forward(&self, c: &Context<'_>, n: &mut Rows) -> Result<(Rows, Saved), CudaError> {
        let tokens = n.count();
        let (heads, moments, turned) = self.enter(c, n)?;
        let [q_row, ..] = self.widths();
        let mut o = Rows::new(c.arena, tokens, self.output.wide_inputs(c))?;
        let mut log_sum_exp = c.arena.take(tokens * self.spec.heads)?;
        let inputs = self.inputs(&heads, turned.as_ref());
        self.scores(c, inputs, o.first_mut(q_row), &mut log_sum_exp)?;
        drop(turned);
        self.output.project(c, &mut o)?;
        let mut y = Rows::new(c.arena, tokens, self.output.outputs)?;
        self.output.forward(c, &o, y.all_mut())?;
        Ok((y, Saved { heads, moments, o, log_sum_exp }))
    }

    fn scores(
        &self,
        c: &Context<'_>,
        inputs: Inputs<'_>,
        o: MatrixMut<'_, bf16>,
        log_sum_exp: &mut Lent<f32>,
    ) -> Result<(), CudaError> {
        let heads = self.heads();
        if let Some(tiles) = c.row.tiles(heads.head_width) {
            return flash::forward(c.device, &heads, tiles, inputs, o, log_sum_exp.all_mut());
        }
        let (wide, narrow) = strips::scratch_elements(&heads, &c.row.bounds);
        let (mut wide, mut narrow) = (c.arena.take(wide)?, c.arena.take(narrow)?);
        let scratch = Scratch { wide: wide.all_mut(), narrow: narrow.all_mut() };
        strips::forward(c.device, &heads, &c.row.bounds, inputs, o, log_sum_exp.all_mut(), scratch)
    }

    /// Projections, norms and rope. Where there are norms, queries and keys behind them stand by themselves.
    #[expect(clippy::type_complexity, reason = "what is kept, and what is not")]
    pub(super) fn enter(
        &self,
        c: &Context<'_>,
        n: &mut Rows,
    ) -> Result<(PartedHeads, Option<[Moments; 2]>, Option<[Rows; 2]>), CudaError> {
        let tokens = n.count();
        self.projections.project(c, n)?;
        let mut joint = Rows::new(c.arena, tokens, self.projections.outputs)?;
        self.projections.forward(c, n, joint.all_mut())?;
        let mut heads = match self.spec.joint {
            Some(Joint::KeyValueHeads) => Parted::Apart(self.split(c, &joint)?),
            Some(Joint::Blocks) | None => Parted::Joint(joint),
        };
        let Some(norms) = &self.norms else {
            self.turn_all(c, &mut heads, Turn::Forth)?;
            return Ok((PartedHeads(heads), None, None));
        };
        let [q_row, k_row, _] = self.widths();
        let mut normed = [Rows::new(c.arena, tokens, q_row)?, Rows::new(c.arena, tokens, k_row)?];
        let [q, k, _] = self.parts(&heads);
        let q_moments = norms[0].forward(c, [tokens, q_row], Input::Whole(q), normed[0].all_mut())?;
        let k_moments = norms[1].forward(c, [tokens, k_row], Input::Whole(k), normed[1].all_mut())?;
        self.turn_each(c, &mut normed, Turn::Forth)?;
        Ok((PartedHeads(heads), Some([q_moments, k_moments]), Some(normed)))
    }

    fn parts<'a>(&self, heads: &'a Parted) -> [Matrix<'a, bf16>; 3] {
        let [q_row, k_row, v_row] = self.widths();
        match heads {
            Parted::Joint(joint) => {
                let at = |from: usize, columns: usize| joint.all().columns(from..from + columns);
                [at(0, q_row), at(q_row, k_row), at(q_row + k_row, v_row)]
            }
            Parted::Apart([q, k, v]) => [q.all(), k.all(), v.all()],
        }
    }

    pub(super) fn inputs<'a>(&self, heads: &'a PartedHeads, turned: Option<&'a [Rows; 2]>) -> Inputs<'a> {
        let [q, k, v] = self.parts(&heads.0);
        match turned {
            Some([q, k]) => Inputs { q: q.all(), k: k.all(), v },
            None => Inputs { q, k, v },
        }
    }

    /// Queries, keys and values out of a matrix that has them by key-value heads.
    fn split(&self, c: &Context<'_>, joint: &Rows) -> Result<[Rows; 3], CudaError> {
        let (tokens, groups) = (joint.count(), self.spec.kv_heads);
        let widths = self.widths();
        let group: usize = widths.iter().sum::<usize>() / groups;
        let mut parts = [
            Rows::new(c.arena, tokens, widths[0])?,
            Rows::new(c.arena, tokens, widths[1])?,
            Rows::new(c.arena, tokens, widths[2])?,
        ];
        let mut from = 0;
        for (part, width) in parts.iter_mut().zip(widths.map(|width| width / groups)) {
            let source = joint.in_rows_of(group).columns(from..from + width);
            elementwise::copy(c.device, source, part.in_rows_of_mut(width))?;
            from += width;
        }
        Ok(parts)
    }

    /// [`Self::split`] the other way, into the first columns of `joint`.
    fn join(&self, c: &Context<'_>, parts: &[Rows; 3]) -> Result<Rows, CudaError> {
        let (tokens, groups) = (parts[0].count(), self.spec.kv_heads);
        let widths = self.widths();
        let group: usize = widths.iter().sum::<usize>() / groups;
        let mut joint = Rows::new(c.arena, tokens, widths.iter().sum())?;
        let mut from = 0;
        for (part, width) in parts.iter().zip(widths.map(|width| width / groups)) {
            let to = joint.in_rows_of_mut(group).columns(from..from + width);
            elementwise::copy(c.device, part.in_rows_of(width), to)?;
            from += width;
        }
        Ok(joint)
    }

    /// Turns queries and keys, which stand side by side in a joint matrix.
    fn turn_all(&self, c: &Context<'_>, heads: &mut Parted, turn: Turn) -> Result<(), CudaError> {
        let Some(rope) = self.spec.rope else { return Ok(()) };
        let (table, places) = (c.ropes.table(rope), c.row.places[rope].all());
        let [q_row, k_row, _] = self.widths();
        match heads {
            Parted::Joint(joint) => {
                let both = self.spec.heads + self.spec.kv_heads;
                table.turn(c.device, joint.first_mut(q_row + k_row), places, both, turn)
            }
            Parted::Apart([q, k, _]) => {
                table.turn(c.device, q.all_mut(), places, self.spec.heads, turn)?;
                table.turn(c.device, k.all_mut(), places, self.spec.kv_heads, turn)
            }
        }
    }

    fn turn_each(&self, c: &Context<'_>, [q, k]: &mut [Rows; 2], turn: Turn) -> Result<(), CudaError> {
        let Some(rope) = self.spec.rope else { return Ok(()) };
        let (table, places) = (c.ropes.table(rope), c.row.places[rope].all());
        table.turn(c.device, q.all_mut(), places, self.spec.heads, turn)?;
        table.turn(c.device, k.all_mut(), places, self.spec.kv_heads, turn)
    }

    /// Queries and keys behind norms and rope, where they were kept before them.
    fn turned_again(&self, c: &Context<'_>, saved: &Saved) -> Result<Option<[Rows; 2]>, CudaError> {
        let Some((norms, moments)) = self.norms.as_ref().zip(saved.moments.as_ref()) else { return Ok(None) };
        let (tokens, [q_row, k_row, _]) = (saved.o.count(), self.widths());
        let mut turned = [Rows::new(c.arena, tokens, q_row)?, Rows::new(c.arena, tokens, k_row)?];
        let [q, k, _] = self.parts(&saved.heads.0);
        norms[0].again(c, q_row, q, &moments[0], turned[0].all_mut())?;
        norms[1].again(c, k_row, k, &moments[1], turned[1].all_mut())?;
        self.turn_each(c, &mut turned, Turn::Forth)?;
        Ok(Some(turned))
    }

    /// From the gradient of what [`Self::forward`] gave, in the first columns of `dy`, to that of its input, if that is
    /// wanted. `n`: the input, with what the adapters make of it.
    pub(super) fn backward(
        &self,
        c: &Context<'_>,
        n: &Rows,
        saved: Saved,
        dy: &mut Rows,
        dn: Option<MatrixMut<'_, bf16>>,
        gradients: &mut SpanMut<'_, f32>,
    ) -> Result<(), CudaError> {
        let (tokens, [q_row, k_row, v_row]) = (n.count(), self.widths());
        let mut d_o = Rows::new(c.arena, tokens, q_row)?;
        self.output.backward(c, &saved.o, dy, Some(d_o.all_mut()), gradients)?;
        let turned = self.turned_again(c, &saved)?;
        let mut d_heads = Rows::new(c.arena, tokens, self.projections.wide_outputs(c))?;
        let apart = self.norms.is_some() || matches!(saved.heads.0, Parted::Apart(_));
        let mut d_apart = match apart {
            false => None,
            true => Some([
                Rows::new(c.arena, tokens, q_row)?,
                Rows::new(c.arena, tokens, k_row)?,
                Rows::new(c.arena, tokens, v_row)?,
            ]),
        };
        let out = match &mut d_apart {
            Some([dq, dk, dv]) => Gradients { dq: dq.all_mut(), dk: dk.all_mut(), dv: dv.all_mut() },
            None => {
                let (dq, rest) = d_heads.all_mut().split_columns(q_row);
                let (dk, rest) = rest.split_columns(k_row);
                Gradients { dq, dk, dv: rest.columns(0..v_row) }
            }
        };
        let inputs = self.inputs(&saved.heads, turned.as_ref());
        self.scores_back(c, inputs, &saved, d_o.all(), out)?;
        drop((d_o, turned));
        match d_apart {
            None => {
                let Some(rope) = self.spec.rope else {
                    return self.projections.backward(c, n, &mut d_heads, dn, gradients);
                };
                let (table, places) = (c.ropes.table(rope), c.row.places[rope].all());
                let both = self.spec.heads + self.spec.kv_heads;
                table.turn(c.device, d_heads.first_mut(q_row + k_row), places, both, Turn::Back)?;
            }
            Some(parts) => self.back_to_joint(c, &saved, parts, &mut d_heads)?,
        }
        drop(saved);
        self.projections.backward(c, n, &mut d_heads, dn, gradients)
    }

    fn scores_back(
        &self,
        c: &Context<'_>,
        inputs: Inputs<'_>,
        saved: &Saved,
        d_o: Matrix<'_, bf16>,
        out: Gradients<'_>,
    ) -> Result<(), CudaError> {
        let heads = self.heads();
        let [q_row, ..] = self.widths();
        let log_sum_exp = saved.log_sum_exp.all();
        let given = Given { o: saved.o.first(q_row), log_sum_exp, d_o };
        let mut delta = c.arena.take(log_sum_exp.len())?;
        if let Some(tiles) = c.row.tiles(heads.head_width) {
            return flash::backward(c.device, &heads, tiles, inputs, given, out, delta.all_mut());
        }
        let (wide, narrow) = strips::scratch_elements(&heads, &c.row.bounds);
        let (mut wide, mut narrow) = (c.arena.take(wide)?, c.arena.take(narrow)?);
        let scratch = Scratch { wide: wide.all_mut(), narrow: narrow.all_mut() };
        strips::backward(c.device, &heads, &c.row.bounds, inputs, given, out, delta.all_mut(), scratch)
    }

    /// Gradients of queries, keys and values, through rope and norms, to where the projections' gradient stands.
    fn back_to_joint(
        &self,
        c: &Context<'_>,
        saved: &Saved,
        [dq, dk, dv]: [Rows; 3],
        d_heads: &mut Rows,
    ) -> Result<(), CudaError> {
        let (tokens, [q_row, k_row, v_row]) = (dv.count(), self.widths());
        let mut turned = [dq, dk];
        self.turn_each(c, &mut turned, Turn::Back)?;
        if let Some((norms, moments)) = self.norms.as_ref().zip(saved.moments.as_ref()) {
            let [q, k, _] = self.parts(&saved.heads.0);
            let mut raw = [
                Rows::zeros(c.device, c.arena, tokens, q_row)?,
                Rows::zeros(c.device, c.arena, tokens, k_row)?,
            ];
            norms[0].backward_add(c, q_row, q, &moments[0], turned[0].all(), raw[0].all_mut())?;
            norms[1].backward_add(c, k_row, k, &moments[1], turned[1].all(), raw[1].all_mut())?;
            turned = raw;
        }
        let [dq, dk] = turned;
        if matches!(saved.heads.0, Parted::Apart(_)) {
            let joint = self.join(c, &[dq, dk, dv])?;
            return elementwise::copy(c.device, joint.all(), d_heads.first_mut(self.projections.outputs));
        }
        let (q_place, rest) = d_heads.all_mut().split_columns(q_row);
        let (k_place, rest) = rest.split_columns(k_row);
        elementwise::copy(c.device, dq.all(), q_place)?;
        elementwise::copy(c.device, dk.all(), k_place)?;
        elementwise::copy(c.device, dv.all(), rest.columns(0..v_row))
    }
}

/// Queries, keys and values of a row.
pub(super) struct PartedHeads(Parted);
