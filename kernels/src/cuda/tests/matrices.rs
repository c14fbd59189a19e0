//! Products, casts, sums by columns, routing, and linears made of them.

use half::bf16;

use super::{assert_near, cases, narrow_numbers, numbers, poisoned, wide};
use crate::columns;
use crate::cuda::elementwise::{self, Times};
use crate::cuda::gemm::multiply;
use crate::cuda::linear::{Linear, Lora, LoraGradient, Part, Weight};
use crate::cuda::nf4::{Magnitudes, Nf4};
use crate::cuda::{Buffer, Device, Matrix, route};
use crate::gemm::{self, Mat, MatMut};
use crate::nf4::{Absmax, dequantize, quantize, quantize_absmax};
use crate::route::{self as route_twin, Choice};

cases! {
    cuda_products, emulated_products: products;
    cuda_elementwise, emulated_elementwise: element_by_element;
    cuda_column_sums, emulated_column_sums: summed;
    cuda_route, emulated_route: routed;
    cuda_linear, emulated_linear: linears;
}

/// `left right` in single precision.
fn naive(left: Mat<'_, f32>, right: Mat<'_, f32>, m: usize, n: usize) -> Vec<f32> {
    let mut out = vec![0.0; m * n];
    gemm::multiply(MatMut::new(&mut out, m, n), 0.0, 1.0, left, right);
    out
}

fn products(device: &Device) {
    for (m, k, n) in [(1, 8, 16), (24, 40, 8), (8, 136, 72), (3, 16, 5)] {
        let (a, b, old) = (narrow_numbers(m * k, 1), narrow_numbers(k * n, 2), narrow_numbers(m * n, 3));
        let (aw, bw) = (wide(&a), wide(&b));
        let (a_d, b_d) = (device.upload(&a).expect("memory"), device.upload(&b).expect("memory"));
        for (left_turned, right_turned) in [(false, false), (false, true), (true, false)] {
            let (left, right) = (
                if left_turned { Mat::new(&aw, k, m).t() } else { Mat::new(&aw, m, k) },
                if right_turned { Mat::new(&bw, n, k).t() } else { Mat::new(&bw, k, n) },
            );
            let product = naive(left, right, m, n);
            for (beta, alpha) in [(0.0, 1.0), (1.0, 0.5)] {
                let want: Vec<f32> = product
                    .iter()
                    .zip(wide(&old))
                    .map(|(new, old)| alpha * new + if beta == 0.0 { 0.0 } else { beta * old })
                    .collect();
                let mut narrow =
                    if beta == 0.0 { poisoned(device, m * n) } else { device.upload(&old).expect("memory") };
                let mut exact = device.upload(&wide(&old)).expect("memory");
                let (a_m, a_t) = (a_d.all().matrix(m, k), a_d.all().matrix(k, m));
                let (b_m, b_t) = (b_d.all().matrix(k, n), b_d.all().matrix(n, k));
                macro_rules! both {
                    ($left:expr, $right:expr) => {{
                        multiply(device, narrow.all_mut().matrix(m, n), beta, alpha, $left, $right)
                            .expect("a product");
                        multiply(device, exact.all_mut().matrix(m, n), beta, alpha, $left, $right)
                            .expect("a product");
                    }};
                }
                match (left_turned, right_turned) {
                    (false, false) => both!(a_m, b_m),
                    (false, true) => both!(a_m, b_t.t()),
                    _ => both!(a_t.t(), b_m),
                }
                assert_near("product", &wide(&narrow.to_vec().expect("copy")), &want, 1.02, 2e-5);
                assert_near("product in f32", &exact.to_vec().expect("copy"), &want, 0.001, 2e-5);
            }
        }
    }
}

fn element_by_element(device: &Device) {
    for (rows, columns) in [(1, 8), (7, 136), (300, 264)] {
        let (stride, len) = (columns + 8, rows * (columns + 8));
        let (x, y) = (narrow_numbers(len, 1), narrow_numbers(len, 2));
        let factors = numbers(columns, 3);
        let x_d = device.upload(&x).expect("memory");
        let view = |span| -> Matrix<'_, bf16> { crate::cuda::Span::strided(span, rows, columns, stride) };
        let check = |what: &str, got: Vec<bf16>, of: &dyn Fn(usize, usize) -> Option<f32>| {
            for (row, line) in got.chunks(stride).enumerate() {
                for (column, got) in line.iter().enumerate() {
                    let old = y[row * stride + column];
                    let want = if column < columns {
                        of(row * stride + column, column).map(bf16::from_f32)
                    } else {
                        None
                    };
                    assert!(*got == want.unwrap_or(old), "{what}: {row}, {column}");
                }
            }
        };
        let run = |run: &dyn Fn(crate::cuda::MatrixMut<'_, bf16>) -> crate::cuda::Result<()>| {
            let mut y_d = device.upload(&y).expect("memory");
            run(y_d.all_mut().strided(rows, columns, stride)).expect("launch");
            y_d.to_vec().expect("copy")
        };
        let (xw, yw) = (wide(&x), wide(&y));
        let source = view(x_d.all());
        let factors_d = device.upload(&factors).expect("memory");
        let y_in = device.upload(&y).expect("memory");
        let got = run(&|y| elementwise::add_scaled(device, source, 0.3, y));
        check("add", got, &|i, _| Some(yw[i] + 0.3 * xw[i]));
        let got = run(&|out| elementwise::sum_into(device, source, view(y_in.all()), out));
        check("sum", got, &|i, _| Some(xw[i] + yw[i]));
        check("scale", run(&|y| elementwise::scale(device, y, 1.7)), &|i, _| Some(yw[i] * 1.7));
        let got = run(&|y| elementwise::scale_columns(device, y, factors_d.all()));
        check("scale columns", got, &|i, column| Some(yw[i] * factors[column]));
        let got = run(&|y| elementwise::fill_rows(device, Some(factors_d.all()), y));
        check("bias", got, &|_, column| Some(factors[column]));
        check("zeros", run(&|y| elementwise::fill_rows(device, None, y)), &|_, _| Some(0.0));
        check("copy", run(&|y| elementwise::copy(device, source, y)), &|i, _| Some(xw[i]));
        let exact = numbers(len, 4);
        let exact_d = device.upload(&exact).expect("memory");
        let got = run(&|y| elementwise::narrow(device, exact_d.all().strided(rows, columns, stride), 0.7, y));
        check("narrow", got, &|i, _| Some(exact[i] * 0.7));
        let mut out = poisoned::<f32>(device, len);
        elementwise::widen(device, source, out.all_mut().strided(rows, columns, stride)).expect("launch");
        for (got, want) in out.to_vec().expect("copy").chunks(stride).zip(xw.chunks(stride)) {
            assert!(got[..columns] == want[..columns] && got[columns..].iter().all(|v| v.is_nan()));
        }
    }
}

fn summed(device: &Device) {
    for (rows, columns) in [(1, 8), (77, 264), (9, 520)] {
        let (x, y) = (narrow_numbers(rows * columns, 1), narrow_numbers(rows * columns, 2));
        let (factors, old, moments) = (numbers(columns, 3), numbers(columns, 4), numbers(2 * rows, 5));
        let on_device = |values: &[bf16]| device.upload(values).expect("memory");
        let (x_d, y_d) = (on_device(&x), on_device(&y));
        let (factors_d, moments_d) =
            (device.upload(&factors).expect("memory"), device.upload(&moments).expect("memory"));
        let (x_m, y_m) = (x_d.all().matrix(rows, columns), y_d.all().matrix(rows, columns));
        let (xw, yw) = (wide(&x), wide(&y));
        let check = |times: Times<'_>, factors: bool, want: &dyn Fn(&mut [f32])| {
            let mut out = device.upload(&old).expect("memory");
            let factors = factors.then(|| factors_d.all());
            elementwise::add_column_sums(device, x_m, times, factors, out.all_mut()).expect("launch");
            let mut expected = old.clone();
            want(&mut expected);
            assert_near("sums by columns", &out.to_vec().expect("copy"), &expected, 0.001, 2e-5);
        };
        check(Times::One, false, &|out| columns::add_sums(&xw, out));
        check(Times::Elements(y_m), true, &|out| columns::add_dots(&xw, &yw, &factors, out));
        let pairs = |row: usize| (moments[2 * row], moments[2 * row + 1]);
        check(Times::Normed(y_m, moments_d.all()), false, &|out| {
            columns::add_weighted_dots(&yw, &xw, pairs, out)
        });
        let one = |row: usize| (0.0, moments[row]);
        let rho = moments_d.all().slice(0..rows);
        check(Times::Normed(y_m, rho), false, &|out| columns::add_weighted_dots(&yw, &xw, one, out));
    }
}

fn routed(device: &Device) {
    for (tokens, experts, per_token, normalized) in [(1, 1, 1, true), (77, 8, 2, true), (130, 60, 4, false)] {
        let choice = Choice { experts, per_token, normalized };
        let (logits, dw) = (numbers(tokens * experts, 1), numbers(tokens * per_token, 2));
        let mut p = logits.clone();
        let (mut chosen, mut weights) = (vec![0; tokens * per_token], vec![0.0; tokens * per_token]);
        route_twin::forward(choice, &mut p, &mut chosen, &mut weights);
        let mut p_d = device.upload(&logits).expect("memory");
        let (mut chosen_d, mut weights_d) =
            (poisoned::<u32>(device, chosen.len()), poisoned::<f32>(device, chosen.len()));
        route::forward(device, choice, p_d.all_mut(), chosen_d.all_mut(), weights_d.all_mut())
            .expect("launch");
        assert_eq!(chosen_d.to_vec().expect("copy"), chosen);
        assert_near("weights", &weights_d.to_vec().expect("copy"), &weights, 0.001, 1e-7);
        assert_near("p", &p_d.to_vec().expect("copy"), &p, 0.001, 1e-7);
        let mut want = vec![0.0; p.len()];
        route_twin::backward(choice, &p, &chosen, &weights, &dw, &mut want);
        let (dw_d, mut d) = (device.upload(&dw).expect("memory"), poisoned::<f32>(device, p.len()));
        let given = route::Routed { p: p_d.all(), chosen: chosen_d.all(), weights: weights_d.all() };
        route::backward(device, choice, given, dw_d.all(), d.all_mut()).expect("launch");
        assert_near("d logits", &d.to_vec().expect("copy"), &want, 0.001, 1e-6);
        let (mut rows, mut places) =
            (poisoned::<u32>(device, experts * tokens), poisoned::<u32>(device, experts * tokens));
        let mut counts = poisoned::<u32>(device, experts);
        let lists = route::Lists { rows: rows.all_mut(), places: places.all_mut(), counts: counts.all_mut() };
        route::lists(device, choice, chosen_d.all(), lists).expect("launch");
        let (rows, places) = (rows.to_vec().expect("copy"), places.to_vec().expect("copy"));
        for (expert, &count) in counts.to_vec().expect("copy").iter().enumerate() {
            let want: Vec<u32> =
                (0..chosen.len() as u32).filter(|&i| chosen[i as usize] == expert as u32).collect();
            let list = expert * tokens..expert * tokens + count as usize;
            assert_eq!(places[list.clone()], want);
            assert!(rows[list].iter().zip(&want).all(|(row, place)| *row == place / per_token as u32));
        }
    }
}

const TOKENS: usize = 19;
const INPUTS: usize = 64;
/// Outputs and rank of three linears side by side: four bits with an adapter, dense without one, four bits with another.
const SHAPES: [(usize, usize); 3] = [(40, 8), (16, 0), (24, 16)];
const OUTPUTS: usize = 80;
const RANKS: usize = 24;
const SCALE: f32 = 0.75;

/// One linear on the device, and the numbers it holds.
struct Held {
    outputs: usize,
    rank: usize,
    nf4: Nf4,
    dense: Buffer<bf16>,
    a: Buffer<bf16>,
    b: Buffer<bf16>,
    on_host: [Vec<f32>; 3],
}

impl Held {
    fn new(device: &Device, (outputs, rank): (usize, usize)) -> Self {
        let full = numbers(outputs * INPUTS, outputs as u64);
        let (mut codes, mut absmax) = (vec![0; full.len() / 2], vec![0.0; full.len() / 64]);
        quantize(&full, &mut codes, &mut absmax);
        let nested = quantize_absmax(&absmax);
        let mut back = vec![0.0_f32; full.len()];
        dequantize(&codes, Absmax::Nested(&nested), 64, 0, &mut back);
        let weight: Vec<bf16> = back.iter().map(|&w| bf16::from_f32(w)).collect();
        let magnitudes = Magnitudes::upload_nested(device, &nested).expect("memory");
        let (a, b) = (narrow_numbers(rank * INPUTS, 7), narrow_numbers(outputs * rank, 8));
        Self {
            outputs,
            rank,
            nf4: Nf4::upload(device, &codes, magnitudes, 64, [outputs, INPUTS]).expect("memory"),
            dense: device.upload(&weight).expect("memory"),
            a: device.upload(&a).expect("memory"),
            b: device.upload(&b).expect("memory"),
            on_host: [wide(&weight), wide(&a), wide(&b)],
        }
    }

    fn part(&self) -> Part<'_> {
        let (outputs, rank) = (self.outputs, self.rank);
        let (a, b) = (self.a.all().matrix(rank, INPUTS), self.b.all().matrix(outputs, rank));
        if rank == 0 {
            return Part { weight: Weight::Dense(self.dense.all().matrix(outputs, INPUTS)), lora: None };
        }
        Part { weight: Weight::Nf4(&self.nf4), lora: Some(Lora { a, b, scale: SCALE, dropout: None }) }
    }
}

struct Got {
    y: Vec<bf16>,
    dx: Vec<bf16>,
    /// `dA` and `dB` of every part, empty where there is no adapter.
    adapters: Vec<(Vec<f32>, Vec<f32>)>,
}

/// `values`, `[T, width]`, as the first columns of a matrix with the adapters' behind them.
fn beside(device: &Device, values: &[bf16], width: usize) -> Buffer<bf16> {
    let mut buffer = poisoned::<bf16>(device, TOKENS * (width + RANKS));
    let from = device.upload(values).expect("memory");
    let to = buffer.all_mut().matrix(TOKENS, width + RANKS).columns(0..width);
    elementwise::copy(device, from.all().matrix(TOKENS, width), to).expect("launch");
    buffer
}

/// Forward, and backward onto ones in `dx`.
fn run_linear(device: &Device, held: &[Held], x: &[bf16], bias: &[f32], dy: &[bf16]) -> Got {
    let parts: Vec<Part<'_>> = held.iter().map(Held::part).collect();
    let linear = Linear::new(&parts);
    assert_eq!((linear.wide_inputs(), linear.wide_outputs()), (INPUTS + RANKS, OUTPUTS + RANKS));
    let (mut x_d, mut dy_d) = (beside(device, x, INPUTS), beside(device, dy, OUTPUTS));
    let bias_d = device.upload(bias).expect("memory");
    let mut scratch = poisoned::<bf16>(device, linear.scratch_elements(TOKENS));
    let mut y = poisoned::<bf16>(device, TOKENS * OUTPUTS);
    linear.project(device, x_d.all_mut().matrix(TOKENS, INPUTS + RANKS), scratch.all_mut()).expect("launch");
    let x_m = x_d.all().matrix(TOKENS, INPUTS + RANKS);
    let y_m = y.all_mut().matrix(TOKENS, OUTPUTS);
    linear.forward(device, x_m, Some(bias_d.all()), false, y_m, scratch.all_mut()).expect("launch");
    let mut dx = device.upload(&vec![bf16::ONE; TOKENS * INPUTS]).expect("memory");
    let mut sums: Vec<_> = held
        .iter()
        .map(|held| {
            [held.rank * INPUTS, held.outputs * held.rank].map(|len| device.zeros(len).expect("memory"))
        })
        .collect();
    let with_adapter = sums.iter_mut().zip(held).filter(|(_, held)| held.rank > 0);
    let mut gradients: Vec<LoraGradient<'_>> = with_adapter
        .map(|([da, db], held)| LoraGradient {
            da: da.all_mut().matrix(held.rank, INPUTS),
            db: db.all_mut().matrix(held.outputs, held.rank),
        })
        .collect();
    let dy_m = dy_d.all_mut().matrix(TOKENS, OUTPUTS + RANKS);
    let dx_m = dx.all_mut().matrix(TOKENS, INPUTS);
    linear.backward(device, x_m, dy_m, true, Some(dx_m), &mut gradients, scratch.all_mut()).expect("launch");
    let host = |buffer: &Buffer<f32>| buffer.to_vec().expect("copy");
    Got {
        y: y.to_vec().expect("copy"),
        dx: dx.to_vec().expect("copy"),
        adapters: sums.iter().map(|[da, db]| (host(da), host(db))).collect(),
    }
}

/// By the definition; s P and s Q are rounded to bf16 (2^-9 of each term) before sums over them, which the floors allow.
fn linears(device: &Device) {
    let held = SHAPES.map(|shape| Held::new(device, shape));
    let (x, dy) = (narrow_numbers(TOKENS * INPUTS, 20), narrow_numbers(TOKENS * OUTPUTS, 22));
    let bias = numbers(OUTPUTS, 21);
    let got = run_linear(device, &held, &x, &bias, &dy);
    let (xw, dyw) = (wide(&x), wide(&dy));
    let (mut want_dx, mut from) = (vec![1.0_f32; TOKENS * INPUTS], 0);
    for (held, (da, db)) in held.iter().zip(&got.adapters) {
        let (outputs, rank, [weight, a, b]) = (held.outputs, held.rank, &held.on_host);
        let part = |line: &[f32]| line[from..from + outputs].to_vec();
        let dy: Vec<f32> = dyw.chunks(OUTPUTS).flat_map(part).collect();
        let (x, dy) = (Mat::new(&xw, TOKENS, INPUTS), Mat::new(&dy, TOKENS, outputs));
        let mut y = naive(x, Mat::new(weight, outputs, INPUTS).t(), TOKENS, outputs);
        add(&mut want_dx, &naive(dy, Mat::new(weight, outputs, INPUTS), TOKENS, INPUTS));
        if rank > 0 {
            let mut p = naive(x, Mat::new(a, rank, INPUTS).t(), TOKENS, rank);
            let mut q = naive(dy, Mat::new(b, outputs, rank), TOKENS, rank);
            p.iter_mut().chain(&mut q).for_each(|v| *v *= SCALE);
            let (p, q) = (Mat::new(&p, TOKENS, rank), Mat::new(&q, TOKENS, rank));
            add(&mut y, &naive(p, Mat::new(b, outputs, rank).t(), TOKENS, outputs));
            add(&mut want_dx, &naive(q, Mat::new(a, rank, INPUTS), TOKENS, INPUTS));
            assert_near("dA", da, &naive(q.t(), x, rank, INPUTS), 1.0, 0.1);
            assert_near("dB", db, &naive(dy.t(), p, outputs, rank), 1.0, 0.1);
        }
        y.chunks_mut(outputs).for_each(|line| add(line, &bias[from..from + outputs]));
        let got_y: Vec<f32> = wide(&got.y).chunks(OUTPUTS).flat_map(part).collect();
        assert_near("y", &got_y, &y, 1.02, 0.06);
        from += outputs;
    }
    assert_near("dx", &wide(&got.dx), &want_dx, 1.02, 0.1);
}

fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}
