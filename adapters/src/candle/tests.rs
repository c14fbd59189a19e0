#![expect(clippy::disallowed_methods, reason = "candle's autograd is what these layers have to serve")]

use candle_core::{DType, Device, Module, Tensor, Var};
use rtune_kernels::arena::Arena;

use super::{LoraLinear, Nf4Linear};
use crate::linear::{Into, Pass};
use crate::lora::attach;
use crate::{Linear, LoraConfig, Weight, merge};

const OUTPUTS: usize = 12;
const INPUTS: usize = 80;
const RANK: usize = 3;
const SCALE: f64 = 1.5;

/// Numbers between -1 and 1.
fn numbers(count: usize, salt: usize) -> Vec<f64> {
    (0..count).map(|i| ((i * 7919 + salt * 104_729) % 2003) as f64 / 1001.0 - 1.0).collect()
}

fn tensor(shape: &[usize], salt: usize, dtype: DType) -> Tensor {
    let values = numbers(shape.iter().product(), salt);
    Tensor::from_vec(values, shape, &Device::Cpu).and_then(|t| t.to_dtype(dtype)).expect("a tensor")
}

fn variable(shape: &[usize], salt: usize, dtype: DType) -> Var {
    Var::from_tensor(&tensor(shape, salt, dtype)).expect("a variable")
}

fn frozen() -> Nf4Linear {
    let (weight, bias) = (tensor(&[OUTPUTS, INPUTS], 1, DType::F32), tensor(&[OUTPUTS], 2, DType::F32));
    Nf4Linear::quantize(&weight, Some(&bias), true).expect("a linear")
}

fn adapted(dtype: DType) -> (LoraLinear, Var, Var) {
    let (a, b) = (variable(&[RANK, INPUTS], 3, dtype), variable(&[OUTPUTS, RANK], 4, dtype));
    let layer =
        LoraLinear::new(frozen(), a.as_tensor().clone(), b.as_tensor().clone(), SCALE).expect("a layer");
    (layer, a, b)
}

/// A scalar that weighs every output differently.
fn scalar(y: &Tensor) -> Tensor {
    let weights = tensor(y.dims(), 9, y.dtype());
    ((y * &weights).expect("a product") + y.sqr().expect("squares")).and_then(|t| t.sum_all()).expect("a sum")
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_dtype(DType::F64).and_then(|t| t.flatten_all());
    tensor.and_then(|t| t.to_vec1()).expect("numbers")
}

fn worst(one: &[f64], other: &[f64]) -> f64 {
    assert_eq!(one.len(), other.len());
    let largest = other.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    one.iter().zip(other).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs())) / largest
}

/// In f64, where differences of 1e-5 leave ten digits.
#[test]
fn gradients_agree_with_finite_differences() {
    let (layer, a, b) = adapted(DType::F64);
    let x = variable(&[2, 5, INPUTS], 5, DType::F64);
    let loss = || scalar(&layer.forward(x.as_tensor()).expect("forward"));
    let gradients = loss().backward().expect("backward");
    for (name, variable) in [("x", &x), ("a", &a), ("b", &b)] {
        let found = flat(gradients.get(variable).expect("a gradient"));
        let largest = found.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
        let values = flat(variable);
        for at in (0..values.len()).step_by(values.len() / 11 + 1) {
            let at_offset = |offset: f64| {
                let mut moved = values.clone();
                moved[at] += offset;
                let moved = Tensor::from_vec(moved, variable.shape(), &Device::Cpu).expect("a tensor");
                variable.set(&moved).expect("set");
                flat(&loss())[0]
            };
            let slope = (at_offset(1e-5) - at_offset(-1e-5)) / 2e-5;
            at_offset(0.0);
            assert!((slope - found[at]).abs() / largest < 1e-8, "{name}[{at}]: {slope} {}", found[at]);
        }
    }
}

/// candle's own operations on the dequantised weight: the same, but for the order of sums.
#[test]
fn outputs_and_gradients_are_those_of_candle_on_the_dequantised_weight() {
    for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F64, 1e-6), (DType::BF16, 2e-2)] {
        let (layer, a, b) = adapted(dtype);
        let x = variable(&[2, 5, INPUTS], 5, dtype);
        let weight = layer.base().dequantized().and_then(|w| w.to_dtype(dtype)).expect("a weight");
        let plain = || -> candle_core::Result<Tensor> {
            let rows = x.reshape((10, INPUTS))?;
            let p = rows.matmul(&a.t()?)?.matmul(&b.t()?)?;
            let y = (rows.matmul(&weight.t()?)? + (p * SCALE)?)?;
            y.broadcast_add(&tensor(&[OUTPUTS], 2, dtype))?.reshape((2, 5, OUTPUTS))
        };
        let (ours, theirs) = (layer.forward(x.as_tensor()).expect("forward"), plain().expect("forward"));
        assert_eq!((ours.dtype(), ours.dims()), (dtype, theirs.dims()));
        assert!(worst(&flat(&ours), &flat(&theirs)) < tolerance, "{dtype:?}");
        let ours = scalar(&ours).backward().expect("backward");
        let theirs = scalar(&theirs).backward().expect("backward");
        for variable in [&x, &a, &b] {
            let [ours, theirs] = [&ours, &theirs].map(|g| flat(g.get(variable).expect("a gradient")));
            assert!(worst(&ours, &theirs) < tolerance, "{dtype:?}: {}", worst(&ours, &theirs));
        }
    }
}

/// The engine's linear, which `rtune` trains with: the same to the bit, since kernels and their order are.
#[test]
fn outputs_and_gradients_are_those_of_the_engine() {
    let (layer, a, b) = adapted(DType::F32);
    let x = variable(&[7, INPUTS], 5, DType::F32);
    let narrow = |tensor: &Tensor| flat(tensor).into_iter().map(|v| v as f32).collect::<Vec<f32>>();
    let weights = narrow(&tensor(&[OUTPUTS, INPUTS], 1, DType::F32));
    let bias = narrow(&tensor(&[OUTPUTS], 2, DType::F32));
    let mut linear =
        [Linear::new("q".to_owned(), Weight::quantized(OUTPUTS, INPUTS, &weights, true), Some(bias))];
    let config = LoraConfig::new(RANK, SCALE * RANK as f64);
    let mut parameters = attach::<f32>(&mut linear, &config).expect("an adapter");
    parameters.get_mut("q.lora_A.weight").expect("A").copy_from_slice(&narrow(&a));
    parameters.get_mut("q.lora_B.weight").expect("B").copy_from_slice(&narrow(&b));
    let (arena, x_ti) = (Arena::new(), narrow(&x));
    let mut y_to = vec![0.0; 7 * OUTPUTS];
    let pass = Pass { parameters: parameters.flat(), keys_t: None };
    let p_tr = linear[0].forward(pass, &x_ti, &mut y_to, Into::Overwrite, &arena);
    let y = layer.forward(x.as_tensor()).expect("forward");
    assert!(narrow(&y) == y_to, "outputs");

    let found = scalar(&y).backward().expect("backward");
    let dy_to: Vec<f32> =
        narrow(&((y.detach() * 2.0).expect("twice") + tensor(y.dims(), 9, DType::F32)).expect("dy"));
    let mut gradients = vec![0.0; parameters.flat().len()];
    let mut dx_ti = vec![0.0; x_ti.len()];
    let dx = Some((&mut dx_ti[..], Into::Overwrite));
    linear[0].backward(pass, &x_ti, p_tr.as_deref(), &dy_to, &mut gradients, dx, &arena);
    let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    let (da, db) = gradients.split_at(RANK * INPUTS);
    for (variable, expected) in [(&x, &dx_ti[..]), (&a, da), (&b, db)] {
        assert!(worst(&flat(found.get(variable).expect("a gradient")), &wide(expected)) < 1e-6);
    }
}

#[test]
fn the_frozen_weight_takes_no_part_in_the_graph() {
    let layer = frozen();
    let x = variable(&[4, INPUTS], 5, DType::F32);
    let y = layer.forward(x.as_tensor()).expect("forward");
    let gradients = scalar(&y).backward().expect("backward");
    assert!(gradients.get(&x).is_some());
    let others = gradients.get_ids().filter(|id| **id != x.id()).filter_map(|id| gradients.get_id(*id));
    assert!(
        others.into_iter().all(|gradient| gradient.elem_count() < OUTPUTS * INPUTS),
        "a gradient of a weight"
    );
    assert!(!layer.forward(&x.detach()).expect("forward").track_op(), "nothing is trained below or in it");
}

#[test]
fn a_merged_layer_gives_what_the_two_gave() {
    let (layer, ..) = adapted(DType::F32);
    let x = tensor(&[4, INPUTS], 5, DType::F32);
    let apart = flat(&layer.forward(&x).expect("forward"));
    let values = flat(&layer.merged().expect("merged")).into_iter().map(|v| v as f32).collect();
    let bias = flat(&tensor(&[OUTPUTS], 2, DType::F32)).into_iter().map(|v| v as f32).collect();
    let merged = Nf4Linear::new(Weight::from_f32(OUTPUTS, INPUTS, values), Some(bias)).expect("a linear");
    assert!(worst(&flat(&merged.forward(&x).expect("forward")), &apart) < 1e-5);
    assert_eq!(merge::dense(layer.base().weight()).len(), OUTPUTS * INPUTS);
}

#[test]
fn wrong_shapes_are_named() {
    let base = frozen();
    let text = |error: candle_core::Error| error.to_string();
    let x = tensor(&[4, INPUTS - 1], 5, DType::F32);
    assert!(
        text(base.forward(&x).expect_err("refused")).contains("expected inputs [..., 80], found [4, 79]")
    );
    let new = |a: [usize; 2], b: [usize; 2], scale: f64| {
        LoraLinear::new(base.clone(), tensor(&a, 3, DType::F32), tensor(&b, 4, DType::F32), scale)
    };
    assert!(text(new([3, 80], [12, 4], 1.0).expect_err("refused")).contains("[12, rank]"));
    assert!(text(new([3, 12], [12, 3], 1.0).expect_err("refused")).contains("[rank, 80]"));
    assert!(text(new([3, 80], [12, 3], f64::NAN).expect_err("refused")).contains("a scale of NaN"));
    let weight = Weight::from_f32(2, 3, vec![0.0; 6]);
    assert!(text(Nf4Linear::new(weight, Some(vec![0.0; 3])).expect_err("refused")).contains("a bias of 3"));
}
