//! A frozen linear as a candle module.
//!
//! Legend: T tokens, I input features, O output features.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Module, Result, Shape, Tensor, bail};
use rtune_kernels::arena::Part;
use rtune_kernels::elementwise;
use rtune_kernels::gemm::Term;

use super::storage::{Number, Scratch, computed_in, elements, with_elements};
use crate::{Weight, merge};

/// `y = x Wᵀ + b` with a frozen `W`, in NF4 or as it was given. Neither `W` nor `b` ever gets a gradient.
#[derive(Clone, Debug)]
pub struct Nf4Linear {
    pub(super) frozen: Arc<Frozen>,
}

/// What the operations of a linear share.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) weight: Weight,
    bias: Option<Vec<f32>>,
    pub(super) scratch: Scratch,
}

impl Nf4Linear {
    /// Quantises `weight`, `[O, I]`, as bitsandbytes does, in blocks of 64; `double` quantises the scales too. `bias` is
    /// `[O]`.
    ///
    /// # Errors
    /// For other shapes, and for tensors that cannot be copied to the CPU as `f32`.
    pub fn quantize(weight: &Tensor, bias: Option<&Tensor>, double: bool) -> Result<Self> {
        let (rows, columns) = weight.dims2()?;
        let values = weight.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let bias = bias.map(|bias| bias.to_dtype(DType::F32)?.to_vec1::<f32>()).transpose()?;
        Self::new(Weight::quantized(rows, columns, &values, double), bias)
    }

    /// A linear with a frozen weight `[O, I]` that is in memory, such as one read from a bitsandbytes folder.
    ///
    /// # Errors
    /// If the bias is not `[O]`, or a side of the weight is 0.
    pub fn new(weight: Weight, bias: Option<Vec<f32>>) -> Result<Self> {
        let (rows, columns) = (weight.rows(), weight.columns());
        if rows == 0 || columns == 0 {
            bail!("nf4: a weight of {rows} x {columns}");
        }
        if let Some(bias) = bias.as_ref().filter(|bias| bias.len() != rows) {
            bail!("nf4: a bias of {}, where the weight has {rows} rows", bias.len());
        }
        Ok(Self { frozen: Arc::new(Frozen { weight, bias, scratch: Scratch::default() }) })
    }

    /// The frozen weight.
    #[must_use]
    pub fn weight(&self) -> &Weight {
        &self.frozen.weight
    }

    /// The frozen weight as numbers, `[O, I]` in `f32`.
    ///
    /// # Errors
    /// If candle cannot make the tensor.
    pub fn dequantized(&self) -> Result<Tensor> {
        let weight = self.weight();
        let shape = (weight.rows(), weight.columns());
        Tensor::from_vec(merge::dense(weight), shape, &candle_core::Device::Cpu)
    }
}

impl Module for Nf4Linear {
    /// `x` is `[..., I]`, the output `[..., O]` in the type of `x`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let op = Project(Arc::clone(&self.frozen));
        x.to_dtype(computed_in(x.dtype()))?.contiguous()?.apply_op1(op)?.to_dtype(x.dtype())
    }
}

impl Frozen {
    /// The shape of the output for inputs `[..., I]`.
    pub(super) fn output_shape(&self, input: &Shape) -> Result<Shape> {
        let (inputs, outputs) = (self.weight.columns(), self.weight.rows());
        match input.dims().split_last() {
            Some((&last, others)) if last == inputs => Ok(Shape::from([others, &[outputs]].concat())),
            _ => bail!("nf4: expected inputs [..., {inputs}], found {input:?}"),
        }
    }

    /// `x Wᵀ + b + also`, `[T, O]`.
    pub(super) fn project<N: Number>(&self, x_ti: &[N], also: Option<Term<'_, N>>) -> Vec<N> {
        let tokens = x_ti.len() / self.weight.columns();
        let mut y_to = vec![N::zero(); tokens * self.weight.rows()];
        let arena = N::arena(&self.scratch);
        let beta = match &self.bias {
            None => N::zero(),
            Some(bias) => {
                elementwise::fill_rows(&Part::of_f32(bias, arena), &mut y_to);
                N::one()
            }
        };
        self.weight.project(x_ti, &mut y_to, beta, also, arena);
        y_to
    }

    /// `dy W + also`, `[T, I]`.
    pub(super) fn project_back<N: Number>(&self, dy_to: &[N], also: Option<Term<'_, N>>) -> Vec<N> {
        let tokens = dy_to.len() / self.weight.rows();
        let mut dx_ti = vec![N::zero(); tokens * self.weight.columns()];
        let arena = N::arena(&self.scratch);
        self.weight.project_back(dy_to, &mut dx_ti, N::zero(), also, arena);
        dx_ti
    }
}

/// The operation in candle's graph.
struct Project(Arc<Frozen>);

impl Project {
    fn forward<N: Number>(&self, storage: &CpuStorage, layout: &Layout) -> Result<CpuStorage> {
        Ok(N::to_cpu_storage_owned(self.0.project::<N>(elements(storage, layout)?, None)))
    }

    fn backward<N: Number>(&self, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let dx_ti = with_elements::<N, 1, _>([&dy.contiguous()?], |[dy]| Ok(self.0.project_back(dy, None)))?;
        Tensor::from_vec(dx_ti, x.shape(), x.device())
    }
}

impl CustomOp1 for Project {
    fn name(&self) -> &'static str {
        "rtune-frozen-linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let shape = self.0.output_shape(layout.shape())?;
        let output = match storage {
            CpuStorage::F64(_) => self.forward::<f64>(storage, layout)?,
            _ => self.forward::<f32>(storage, layout)?,
        };
        Ok((output, shape))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        match dy.dtype() {
            DType::F64 => self.backward::<f64>(x, dy),
            _ => self.backward::<f32>(x, dy),
        }
        .map(Some)
    }
}
