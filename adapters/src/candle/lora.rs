//! A frozen linear with LoRA beside it, as a candle module.
//!
//! Legend: T tokens, I input features, O output features, R rank.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, DType, Layout, Module, Result, Shape, Tensor, bail};
use rtune_kernels::gemm::{Mat, MatMut, Term, multiply};

use super::Nf4Linear;
use super::linear::Frozen;
use super::storage::{Number, computed_in, elements, with_elements};
use crate::lora::MAX_RANK;

/// `y = x Wᵀ + b + scale · (x Aᵀ) Bᵀ`: `W` and `b` are frozen, `A` and `B` trained.
#[derive(Clone, Debug)]
pub struct LoraLinear {
    base: Nf4Linear,
    a: Tensor,
    b: Tensor,
    scale: f64,
}

impl LoraLinear {
    /// Puts an adapter beside `base`. `a` is `[R, I]` and `b` `[O, R]`: variables to train them, of any float type.
    /// `scale` is `alpha / R`, or `alpha / sqrt(R)` for rsLoRA.
    ///
    /// Nothing is drawn here: usual are small random numbers in `a` and zeros in `b`, so that training starts at the base.
    ///
    /// # Errors
    /// For other shapes, a rank of 0 or above [`MAX_RANK`], and a scale that is not a finite number.
    pub fn new(base: Nf4Linear, a: Tensor, b: Tensor, scale: f64) -> Result<Self> {
        let (rows, columns) = (base.weight().rows(), base.weight().columns());
        let rank = a.dims2()?.0;
        if a.dims2()? != (rank, columns) || b.dims2()? != (rows, rank) {
            let expected = format!("[rank, {columns}] and [{rows}, rank]");
            bail!("lora: expected {expected}, found {:?} and {:?}", a.shape(), b.shape());
        }
        if rank == 0 || rank > MAX_RANK || !scale.is_finite() {
            bail!("lora: a rank of {rank} (1 to {MAX_RANK}) with a scale of {scale}");
        }
        Ok(Self { base, a, b, scale })
    }

    /// The frozen linear.
    #[must_use]
    pub fn base(&self) -> &Nf4Linear {
        &self.base
    }

    /// The trained matrices `A`, `[R, I]`, and `B`, `[O, R]`.
    #[must_use]
    pub fn matrices(&self) -> (&Tensor, &Tensor) {
        (&self.a, &self.b)
    }

    /// `W + scale · B A` as numbers, `[O, I]` in `f32`: for a model that is to run without adapters.
    ///
    /// # Errors
    /// If candle cannot compute it.
    pub fn merged(&self) -> Result<Tensor> {
        let [a, b] = [&self.a, &self.b].map(|t| t.detach().to_dtype(DType::F32));
        self.base.dequantized()? + (b?.matmul(&a?)? * self.scale)?
    }
}

impl Module for LoraLinear {
    /// `x` is `[..., I]`, the output `[..., O]` in the type of `x`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let dtype = computed_in(x.dtype());
        let [a, b] = [&self.a, &self.b].map(|t| t.to_dtype(dtype)?.contiguous());
        let op = Adapted { frozen: Arc::clone(&self.base.frozen), scale: self.scale };
        x.to_dtype(dtype)?.contiguous()?.apply_op3(&a?, &b?, op)?.to_dtype(x.dtype())
    }
}

/// The operation in candle's graph.
struct Adapted {
    frozen: Arc<Frozen>,
    scale: f64,
}

/// Gradients of the input and of the two matrices.
struct Gradients<N> {
    dx_ti: Vec<N>,
    da_ri: Vec<N>,
    db_or: Vec<N>,
}

impl Adapted {
    fn sizes(&self, x_len: usize, a_len: usize) -> (usize, usize, usize, usize) {
        let (inputs, outputs) = (self.frozen.weight.columns(), self.frozen.weight.rows());
        (x_len / inputs, inputs, outputs, a_len / inputs)
    }

    /// `x Aᵀ`, `[T, R]`.
    fn down<N: Number>(&self, x_ti: &[N], a_ri: &[N]) -> Vec<N> {
        let (tokens, inputs, _, rank) = self.sizes(x_ti.len(), a_ri.len());
        let mut p_tr = vec![N::zero(); tokens * rank];
        let (x, a) = (Mat::new(x_ti, tokens, inputs), Mat::new(a_ri, rank, inputs));
        multiply(MatMut::new(&mut p_tr, tokens, rank), N::zero(), N::one(), x, a.t());
        p_tr
    }

    fn forward<N: Number>(&self, x_ti: &[N], a_ri: &[N], b_or: &[N]) -> Vec<N> {
        let (tokens, _, outputs, rank) = self.sizes(x_ti.len(), a_ri.len());
        let p_tr = self.down(x_ti, a_ri);
        let (p, b) = (Mat::new(&p_tr, tokens, rank), Mat::new(b_or, outputs, rank));
        self.frozen.project(x_ti, Some(Term::plain(N::of(self.scale), p, b.t())))
    }

    /// With `q = dy B` and `p = x Aᵀ`: `dx = dy W + scale · q A`, `dA = scale · qᵀ x`, `dB = scale · dyᵀ p`.
    fn gradients<N: Number>(&self, [x_ti, a_ri, b_or, dy_to]: [&[N]; 4]) -> Gradients<N> {
        let (tokens, inputs, outputs, rank) = self.sizes(x_ti.len(), a_ri.len());
        let scale = N::of(self.scale);
        let (x, a) = (Mat::new(x_ti, tokens, inputs), Mat::new(a_ri, rank, inputs));
        let (dy, b) = (Mat::new(dy_to, tokens, outputs), Mat::new(b_or, outputs, rank));
        let p_tr = self.down(x_ti, a_ri);
        let mut q_tr = vec![N::zero(); tokens * rank];
        multiply(MatMut::new(&mut q_tr, tokens, rank), N::zero(), N::one(), dy, b);
        let (p, q) = (Mat::new(&p_tr, tokens, rank), Mat::new(&q_tr, tokens, rank));
        let dx_ti = self.frozen.project_back(dy_to, Some(Term::plain(scale, q, a)));
        let mut da_ri = vec![N::zero(); rank * inputs];
        multiply(MatMut::new(&mut da_ri, rank, inputs), N::zero(), scale, q.t(), x);
        let mut db_or = vec![N::zero(); outputs * rank];
        multiply(MatMut::new(&mut db_or, outputs, rank), N::zero(), scale, dy.t(), p);
        Gradients { dx_ti, da_ri, db_or }
    }

    fn backward<N: Number>(
        &self,
        [x, a, b]: [&Tensor; 3],
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let found = with_elements::<N, 4, _>([x, a, b, &dy.contiguous()?], |all| Ok(self.gradients(all)))?;
        let tensor = |values: Vec<N>, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((Some(tensor(found.dx_ti, x)?), Some(tensor(found.da_ri, a)?), Some(tensor(found.db_or, b)?)))
    }
}

impl CustomOp3 for Adapted {
    fn name(&self) -> &'static str {
        "rtune-lora-linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = self.frozen.output_shape(x_layout.shape())?;
        let output = match x {
            CpuStorage::F64(_) => CpuStorage::F64(self.forward(
                elements(x, x_layout)?,
                elements(a, a_layout)?,
                elements(b, b_layout)?,
            )),
            _ => CpuStorage::F32(self.forward(
                elements(x, x_layout)?,
                elements(a, a_layout)?,
                elements(b, b_layout)?,
            )),
        };
        Ok((output, shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        match dy.dtype() {
            DType::F64 => self.backward::<f64>([x, a, b], dy),
            _ => self.backward::<f32>([x, a, b], dy),
        }
    }
}
