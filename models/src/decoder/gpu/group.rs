//! Linears that read the same input, as one product with their adapters beside them.

use std::ops::Range;

use half::bf16;
use rtune_adapters::weight::{Magnitudes as HostMagnitudes, Nf4 as HostNf4};
use rtune_adapters::{Linear as HostLinear, PaddedLayout, Weight as HostWeight};
use rtune_kernels::cuda::linear::{Dropout, Linear, Lora, LoraGradient, Part, Weight};
use rtune_kernels::cuda::nf4::{Magnitudes, Nf4};
use rtune_kernels::cuda::{Buffer, CudaError, Device, MatrixMut, SpanMut};

use super::GpuError;
use super::context::{Context, Rows};

/// One linear.
struct Member {
    weight: Held,
    lora: Option<Adapter>,
}

enum Held {
    Nf4(Nf4),
    Dense(Buffer<bf16>, [usize; 2]),
}

/// The adapter of a linear: where it stands among the trained numbers on the device.
struct Adapter {
    a: Range<usize>,
    b: Range<usize>,
    /// With the rows of zeros.
    rank: usize,
    scale: f32,
    dropout: Option<Dropout>,
}

/// Linears of one input.
pub(super) struct Group {
    members: Vec<Member>,
    /// Of all of them, zeros where one has none; `None` where none has.
    bias: Option<Buffer<f32>>,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

impl Group {
    pub(super) fn upload(
        device: &Device,
        linears: &[HostLinear],
        layout: &PaddedLayout,
    ) -> Result<Self, GpuError> {
        let members = linears.iter().map(|linear| Member::upload(device, linear, layout));
        let members = members.collect::<Result<_, _>>()?;
        let bias = match linears.iter().any(|linear| linear.bias().is_some()) {
            false => None,
            true => {
                let of = |linear: &HostLinear| match linear.bias() {
                    Some(bias) => bias.to_vec(),
                    None => vec![0.0; linear.out_features()],
                };
                Some(device.upload(&linears.iter().flat_map(of).collect::<Vec<f32>>())?)
            }
        };
        let inputs = linears.first().map_or(0, HostLinear::in_features);
        Ok(Self { members, bias, inputs, outputs: linears.iter().map(HostLinear::out_features).sum() })
    }

    /// Whether something of it is trained.
    pub(super) fn is_trained(&self) -> bool {
        self.members.iter().any(|member| member.lora.is_some())
    }

    /// Ranks of the adapters, which stand behind the columns of input and gradient.
    pub(super) fn ranks(&self, c: &Context<'_>) -> usize {
        match c.adapters {
            None => 0,
            Some(_) => self.members.iter().filter_map(|member| Some(member.lora.as_ref()?.rank)).sum(),
        }
    }

    /// Columns of a matrix that this reads.
    pub(super) fn wide_inputs(&self, c: &Context<'_>) -> usize {
        self.inputs + self.ranks(c)
    }

    /// Columns of a matrix with the gradient of what this wrote.
    pub(super) fn wide_outputs(&self, c: &Context<'_>) -> usize {
        self.outputs + self.ranks(c)
    }

    /// Runs `work` with the linears as the launchers take them, and their scratch.
    fn with<T>(
        &self,
        c: &Context<'_>,
        tokens: usize,
        work: impl FnOnce(Linear<'_>, SpanMut<'_, bf16>) -> Result<T, CudaError>,
    ) -> Result<T, CudaError> {
        let parts: Vec<Part<'_>> = self.members.iter().map(|member| member.part(c)).collect();
        let linear = Linear::new(&parts).disturbed(c.keys);
        let mut scratch = c.arena.take(linear.scratch_elements(tokens))?;
        work(linear, scratch.all_mut())
    }

    /// Writes what the adapters make of the input into the columns behind it: `x`, `[T, K + R]`, may have more columns.
    pub(super) fn project(&self, c: &Context<'_>, x: &mut Rows) -> Result<(), CudaError> {
        if self.ranks(c) == 0 {
            return Ok(());
        }
        let width = self.wide_inputs(c);
        self.with(c, x.count(), |linear, scratch| linear.project(c.device, x.first_mut(width), scratch))
    }

    /// `y` from `x`, which was given to [`Self::project`].
    pub(super) fn forward(&self, c: &Context<'_>, x: &Rows, y: MatrixMut<'_, bf16>) -> Result<(), CudaError> {
        let width = self.wide_inputs(c);
        let bias = self.bias.as_ref().map(Buffer::all);
        self.with(c, x.count(), |linear, scratch| {
            linear.forward(c.device, x.first(width), bias, false, y, scratch)
        })
    }

    /// Adds the adapters' gradients to `gradients`; writes that of the input, if it is wanted. `dy`: `[T, N + R]` of which
    /// the first N columns hold the gradient of the output, and may have more columns.
    pub(super) fn backward(
        &self,
        c: &Context<'_>,
        x: &Rows,
        dy: &mut Rows,
        dx: Option<MatrixMut<'_, bf16>>,
        gradients: &mut SpanMut<'_, f32>,
    ) -> Result<(), CudaError> {
        let (width_in, width_out) = (self.wide_inputs(c), self.wide_outputs(c));
        let adapters: Vec<&Adapter> = self.members.iter().filter_map(|member| member.lora.as_ref()).collect();
        let ranges: Vec<Range<usize>> =
            adapters.iter().flat_map(|adapter| [adapter.a.clone(), adapter.b.clone()]).collect();
        let mut parts = gradients.lend().parts(&ranges).into_iter();
        let mut places = Vec::with_capacity(adapters.len());
        for adapter in adapters {
            let (Some(da), Some(db)) = (parts.next(), parts.next()) else { break };
            let outputs = adapter.b.len() / adapter.rank;
            let (da, db) = (da.matrix(adapter.rank, self.inputs), db.matrix(outputs, adapter.rank));
            places.push(LoraGradient { da, db });
        }
        self.with(c, x.count(), |linear, scratch| {
            let (x, dy) = (x.first(width_in), dy.first_mut(width_out));
            linear.backward(c.device, x, dy, false, dx, &mut places, scratch)
        })
    }
}

impl Member {
    fn upload(device: &Device, linear: &HostLinear, layout: &PaddedLayout) -> Result<Self, GpuError> {
        let refused =
            |what: &str| Err(GpuError::Refused { name: linear.name().to_owned(), problem: what.to_owned() });
        if linear.trained_whole() > 0 {
            return refused("weights and biases of the base are trained on the CPU only");
        }
        let [rows, columns] = [linear.out_features(), linear.in_features()];
        if !rows.is_multiple_of(8) || !columns.is_multiple_of(8) {
            return refused(&format!("a matrix of {rows}x{columns}: both must be multiples of 8"));
        }
        let adapter = match &linear.lora {
            None => None,
            Some(lora) if lora.magnitude.is_some() => return refused("DoRA runs on the CPU only"),
            Some(lora) => {
                let (a, b) = (layout.place(lora.a.start), layout.place(lora.b.start));
                let dropout = (lora.dropout > 0.0)
                    .then_some(Dropout { probability: lora.dropout, stream: lora.stream });
                Some(Adapter { rank: a.len() / columns, a, b, scale: lora.scale as f32, dropout })
            }
        };
        Ok(Self { weight: Held::upload(device, linear.weight())?, lora: adapter })
    }

    fn part<'a>(&'a self, c: &Context<'a>) -> Part<'a> {
        let weight = match &self.weight {
            Held::Nf4(weight) => Weight::Nf4(weight),
            Held::Dense(values, [rows, columns]) => Weight::Dense(values.all().matrix(*rows, *columns)),
        };
        let [rows, columns] = match &self.weight {
            Held::Nf4(weight) => weight.shape(),
            Held::Dense(_, shape) => *shape,
        };
        let lora = self.lora.as_ref().zip(c.adapters).map(|(adapter, shadow)| Lora {
            a: shadow.slice(adapter.a.clone()).matrix(adapter.rank, columns),
            b: shadow.slice(adapter.b.clone()).matrix(rows, adapter.rank),
            scale: adapter.scale,
            dropout: adapter.dropout,
        });
        Part { weight, lora }
    }
}

impl Held {
    fn upload(device: &Device, weight: &HostWeight) -> Result<Self, CudaError> {
        let shape = [weight.rows(), weight.columns()];
        let Some(HostNf4 { codes, magnitudes, block }) = weight.nf4() else {
            return Ok(Self::Dense(dense(device, weight)?, shape));
        };
        let magnitudes = match magnitudes {
            HostMagnitudes::Plain(absmax) => Magnitudes::Plain(device.upload(absmax)?),
            HostMagnitudes::Nested(nested) => Magnitudes::upload_nested(device, nested)?,
        };
        Ok(Self::Nf4(Nf4::upload(device, codes, magnitudes, *block, shape)?))
    }
}

/// A matrix in bf16, `[rows, columns]`.
pub(super) fn dense(device: &Device, weight: &HostWeight) -> Result<Buffer<bf16>, CudaError> {
    device.upload(&narrow(weight))
}

/// The same in the host's memory.
pub(super) fn narrow(weight: &HostWeight) -> Vec<bf16> {
    let (rows, columns) = (weight.rows(), weight.columns());
    let mut values = vec![bf16::ZERO; rows * columns];
    let mut row_values = vec![0.0_f32; columns];
    for (row, out) in values.chunks_exact_mut(columns).enumerate() {
        weight.row(row, &mut row_values);
        out.iter_mut().zip(&row_values).for_each(|(out, &value)| *out = bf16::from_f32(value));
    }
    values
}
