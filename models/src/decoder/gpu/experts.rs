//! Several MLPs on a GPU, of which each token goes through a few.

use half::bf16;
use rtune_adapters::PaddedLayout;
use rtune_kernels::cuda::gemm::multiply;
use rtune_kernels::cuda::{Buffer, CudaError, Device, Lent, Matrix, SpanMut, elementwise, route, rows};
use rtune_kernels::route::Choice;

use super::super::block::experts::Experts;
use super::GpuError;
use super::context::{Context, Rows};
use super::group::dense;
use super::mlp::{self, GpuMlp, RowWeights};

/// Weights of the experts and of what chooses among them.
pub(super) struct GpuExperts {
    choice: Choice,
    /// `[X, D]`.
    router: Buffer<bf16>,
    width: usize,
    pub(super) experts: Vec<GpuMlp>,
}

/// What the backward pass reads beside the input.
pub(super) struct Saved {
    /// Probabilities of all experts, `[T, X]`.
    probabilities: Lent<f32>,
    /// `[T, P]`.
    chosen: Lent<u32>,
    /// `[T, P]`.
    weights: Lent<f32>,
    /// Of the experts that some token chose.
    visits: Vec<Visit>,
}

/// The tokens that go through one expert.
struct Visit {
    expert: usize,
    rows: Lent<u32>,
    /// Where their weights stand in `[T, P]`.
    places: Vec<usize>,
    weights: Lent<f32>,
    keys: Option<Lent<u64>>,
    saved: mlp::Saved,
}

impl GpuExperts {
    pub(super) fn upload(
        device: &Device,
        experts: &Experts,
        layout: &PaddedLayout,
    ) -> Result<Self, GpuError> {
        let mlps = experts.experts.iter().map(|mlp| GpuMlp::upload(device, mlp, layout));
        Ok(Self {
            choice: experts.choice,
            router: dense(device, &experts.router)?,
            width: experts.router.columns(),
            experts: mlps.collect::<Result<_, _>>()?,
        })
    }

    fn router(&self) -> Matrix<'_, bf16> {
        self.router.all().matrix(self.choice.experts, self.width)
    }

    /// From the normed input, `[T, D]`, to the output.
    pub(super) fn forward(&self, c: &Context<'_>, n: &Rows) -> Result<(Rows, Saved), CudaError> {
        let Choice { experts, per_token, .. } = self.choice;
        let tokens = n.count();
        let mut probabilities = c.arena.take(tokens * experts)?;
        let (mut chosen, mut weights) =
            (c.arena.take(tokens * per_token)?, c.arena.take(tokens * per_token)?);
        let logits = probabilities.all_mut().matrix(tokens, experts);
        multiply(c.device, logits, 0.0, 1.0, n.first(self.width), self.router().t())?;
        route::forward(c.device, self.choice, probabilities.all_mut(), chosen.all_mut(), weights.all_mut())?;
        // How many tokens go to each expert decides the sizes of its products, which the host launches.
        let chosen_on_host = chosen.all().to_vec(c.device)?;
        let weights_on_host = weights.all().to_vec(c.device)?;
        let mut y = Rows::zeros(c.device, c.arena, tokens, self.width)?;
        let mut visits = Vec::new();
        for expert in 0..experts {
            let places: Vec<usize> =
                (0..chosen_on_host.len()).filter(|&place| chosen_on_host[place] as usize == expert).collect();
            if places.is_empty() {
                continue;
            }
            let tokens_of: Vec<u32> = places.iter().map(|place| (place / per_token) as u32).collect();
            let weights_of: Vec<f32> = places.iter().map(|&place| weights_on_host[place]).collect();
            let visitors = c.arena.upload(c.device, &tokens_of)?;
            let weights = c.arena.upload(c.device, &weights_of)?;
            let keys = c.row.keys_of(&tokens_of).filter(|_| c.keys.is_some());
            let keys = keys.map(|keys| c.arena.upload(c.device, &keys)).transpose()?;
            let inner = Context { keys: keys.as_ref().map(Lent::all), ..*c };
            let mlp = &self.experts[expert];
            let mut x = Rows::new(c.arena, places.len(), mlp.inputs.wide_inputs(c))?;
            rows::gather(c.device, n.first(self.width), visitors.all(), 1.0, x.first_mut(self.width))?;
            let (given, saved) = mlp.forward(&inner, &mut x, Some(weights.all()))?;
            rows::scatter_add(c.device, given.all(), None, visitors.all(), y.all_mut())?;
            visits.push(Visit { expert, rows: visitors, places, weights, keys, saved });
        }
        Ok((y, Saved { probabilities, chosen, weights, visits }))
    }

    /// From the gradient of what [`Self::forward`] gave, in the first columns of `dy`, to that of its input, `[T, D]`, if
    /// that is wanted.
    pub(super) fn backward(
        &self,
        c: &Context<'_>,
        n: &Rows,
        saved: Saved,
        dy: &Rows,
        wants_dn: bool,
        gradients: &mut SpanMut<'_, f32>,
    ) -> Result<Option<Rows>, CudaError> {
        let (tokens, width) = (n.count(), self.width);
        let Saved { probabilities, chosen, weights, visits } = saved;
        let mut dn = wants_dn.then(|| Rows::zeros(c.device, c.arena, tokens, width)).transpose()?;
        let mut d_weights = vec![0.0; weights.all().len()];
        for Visit { expert, rows: visitors, places, weights, keys, saved } in visits {
            let mlp = &self.experts[expert];
            let inner = Context { keys: keys.as_ref().map(Lent::all), ..*c };
            let mut x = Rows::new(c.arena, places.len(), mlp.inputs.wide_inputs(c))?;
            rows::gather(c.device, n.first(width), visitors.all(), 1.0, x.first_mut(width))?;
            mlp.inputs.project(&inner, &mut x)?;
            let mut dy_of = Rows::new(c.arena, places.len(), mlp.down.wide_outputs(c))?;
            rows::gather(c.device, dy.first(width), visitors.all(), 1.0, dy_of.first_mut(width))?;
            let mut d_weights_of = c.arena.take(places.len())?;
            let of = RowWeights { weights: weights.all(), d_weights: d_weights_of.all_mut() };
            let mut dx = wants_dn.then(|| Rows::new(c.arena, places.len(), width)).transpose()?;
            let to = dx.as_mut().map(Rows::all_mut);
            mlp.backward(&inner, &x, saved, &mut dy_of, Some(of), to, gradients)?;
            if let (Some(dn), Some(dx)) = (&mut dn, &dx) {
                rows::scatter_add(c.device, dx.all(), None, visitors.all(), dn.all_mut())?;
            }
            let values = d_weights_of.all().to_vec(c.device)?;
            places.iter().zip(values).for_each(|(&place, value)| d_weights[place] = value);
        }
        if let Some(dn) = &mut dn {
            let routed =
                route::Routed { p: probabilities.all(), chosen: chosen.all(), weights: weights.all() };
            let d_weights = c.arena.upload(c.device, &d_weights)?;
            self.route_back(c, routed, &d_weights, dn)?;
        }
        Ok(dn)
    }

    /// Adds what the choice of experts makes of the input.
    fn route_back(
        &self,
        c: &Context<'_>,
        routed: route::Routed<'_>,
        d_weights: &Lent<f32>,
        dn: &mut Rows,
    ) -> Result<(), CudaError> {
        let count = dn.count() * self.choice.experts;
        // Casts go by eights, and the numbers behind the last one are nobody's.
        let padded = count.next_multiple_of(8);
        let mut d_logits = c.arena.zeros(c.device, padded)?;
        route::backward(c.device, self.choice, routed, d_weights.all(), d_logits.all_mut().slice(0..count))?;
        let mut narrow = c.arena.take(padded)?;
        let from = d_logits.all().matrix(1, padded);
        elementwise::narrow(c.device, from, 1.0, narrow.all_mut().matrix(1, padded))?;
        let left = narrow.all().slice(0..count).matrix(dn.count(), self.choice.experts);
        multiply(c.device, dn.all_mut(), 1.0, 1.0, left, self.router())
    }
}
