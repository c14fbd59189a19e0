//! Fine-tunes a small model of one's own, written in candle, with adapters beside linears in NF4.
//!
//!     cargo run --release -p rtune-adapters --example candle_lora
//!
//! The model is a multi-layer perceptron that has learned one function; it is then frozen, its linears are quantised, and
//! adapters of rank 4 teach it another. Candle's optimiser sees the two small matrices of each layer and nothing else.

#![expect(clippy::print_stdout, reason = "the losses are what this example shows")]

use candle_core::{DType, Device, Module, Result, Tensor, Var};
use candle_nn::optim::{Optimizer, SGD};
use candle_nn::{VarBuilder, VarMap};
use rtune_adapters::candle::{LoraLinear, Nf4Linear};

const INPUTS: usize = 64;
const HIDDEN: usize = 128;
const OUTPUTS: usize = 4;
const EXAMPLES: usize = 256;
const RANK: usize = 4;
/// `alpha / rank`.
const SCALE: f64 = 2.0;
const STEPS: usize = 300;

/// Two linears with a ReLU between: whatever modules they are.
struct Perceptron<L> {
    first: L,
    second: L,
}

impl<L: Module> Module for Perceptron<L> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.second.forward(&self.first.forward(x)?.relu()?)
    }
}

/// Steps of gradient descent on the mean square error; the first and the last one's loss.
fn train(model: &impl Module, variables: Vec<Var>, x: &Tensor, y: &Tensor, rate: f64) -> Result<(f32, f32)> {
    let mut optimizer = SGD::new(variables, rate)?;
    let mut losses = Vec::with_capacity(STEPS);
    for _ in 0..STEPS {
        let loss = candle_nn::loss::mse(&model.forward(x)?, y)?;
        optimizer.backward_step(&loss)?;
        losses.push(loss.to_scalar::<f32>()?);
    }
    Ok((losses[0], losses[STEPS - 1]))
}

/// An adapter that adds nothing at first: `A` small, `B` zero.
fn adapt(linear: &candle_nn::Linear, variables: &VarBuilder) -> Result<LoraLinear> {
    let base = Nf4Linear::quantize(linear.weight(), linear.bias(), true)?;
    let (rows, columns) = linear.weight().dims2()?;
    let small = candle_nn::Init::Uniform { lo: -0.1, up: 0.1 };
    let a = variables.get_with_hints((RANK, columns), "lora_A.weight", small)?;
    let b = variables.get_with_hints((rows, RANK), "lora_B.weight", candle_nn::Init::Const(0.0))?;
    LoraLinear::new(base, a, b, SCALE)
}

fn main() -> Result<()> {
    let device = Device::Cpu;
    let x = Tensor::randn(0.0_f32, 1.0, (EXAMPLES, INPUTS), &device)?;
    let task = |columns: std::ops::Range<usize>| x.narrow(1, columns.start, columns.len())?.tanh();

    let whole = VarMap::new();
    let builder = VarBuilder::from_varmap(&whole, DType::F32, &device);
    let model = Perceptron {
        first: candle_nn::linear(INPUTS, HIDDEN, builder.pp("first"))?,
        second: candle_nn::linear(HIDDEN, OUTPUTS, builder.pp("second"))?,
    };
    let (from, to) = train(&model, whole.all_vars(), &x, &task(0..OUTPUTS)?, 0.1)?;
    println!("all of the model:  loss {from:.4} -> {to:.4}");

    let adapters = VarMap::new();
    let builder = VarBuilder::from_varmap(&adapters, DType::F32, &device);
    let adapted = Perceptron {
        first: adapt(&model.first, &builder.pp("first"))?,
        second: adapt(&model.second, &builder.pp("second"))?,
    };
    let frozen: usize =
        [&adapted.first, &adapted.second].map(|l| l.base().weight().size_bytes()).iter().sum();
    let trained: usize = adapters.all_vars().iter().map(|variable| variable.elem_count()).sum();
    let (from, to) = train(&adapted, adapters.all_vars(), &x, &task(OUTPUTS..2 * OUTPUTS)?, 0.05)?;
    println!("adapters, on NF4:  loss {from:.4} -> {to:.4}");
    println!("{trained} numbers trained, {frozen} bytes frozen");
    if to >= from / 2.0 {
        candle_core::bail!("the adapters have learned nothing: {from} -> {to}");
    }
    let merged = adapted.first.merged()?;
    println!("the first linear with its adapter in it: {:?}", merged.shape());
    Ok(())
}
