//! Equality with transformers and peft: logits, gradients, losses of five AdamW steps, packed logits, merged logits, at
//! the tolerances of the script that made the cases.

#![expect(clippy::print_stdout, reason = "a table of figures is what this test is for")]

use rtune_adapters::{Weight, merge};
use rtune_kernels::adamw::{self, Update};
use rtune_kernels::arena::Arena;
use rtune_models::{Quantization, SavePolicy};
use rtune_trainer::loss::{self, LossSum};

use crate::reference::{Case, cases};

/// Of the largest logit of the case.
const LOGITS: f64 = 1e-5;
/// Of the largest element of the tensor.
const GRADIENTS: f64 = 1e-4;
/// Nats.
const LOSSES: f64 = 1e-4;

#[test]
fn reference_cases() {
    let (paths, others) = cases();
    let mut ran = 0;
    let mut failures = Vec::new();
    println!(
        "{:<16} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "case", "logits", "gradient", "adamw", "packed", "merged"
    );
    for path in &paths {
        let mut case = Case::open(path, Quantization::None);
        let errors = [
            ("logits", logits(&case), LOGITS),
            ("gradients", gradients(&case), GRADIENTS),
            ("adamw", adamw_losses(&mut case, 1e-2), LOSSES),
            ("packed", packed(&Case::open(path, Quantization::None)), LOGITS),
            ("merged", merged(Case::open(path, Quantization::None)), LOGITS),
        ];
        let [a, b, c, d, e] = errors.map(|(_, error, _)| error);
        println!("{:<16} {a:>9.1e} {b:>9.1e} {c:>9.1e} {d:>9.1e} {e:>9.1e}", case.name);
        for (what, error, tolerance) in errors {
            if error.is_nan() || error > tolerance {
                failures.push(format!("{}: {what}: {error:e} is above {tolerance:e}", case.name));
            }
        }
        ran += 1;
    }
    println!("ran {ran} of {}", paths.len() + others.len());
    assert!(others.is_empty(), "not run, since not computed: {}", others.join(", "));
    assert!(ran > 0, "no cases");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

pub(crate) fn worst(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0.0_f64, |m, &w| m.max(f64::from(w).abs()));
    let worst = got.iter().zip(want).map(|(&g, &w)| (f64::from(g) - f64::from(w)).abs());
    worst.fold(0.0, |m, e| if e <= m { m } else { e }) / largest
}

fn logits(case: &Case) -> f64 {
    let got: Vec<f32> = case.rows().iter().flat_map(|row| case.logits(row)).collect();
    worst(&got, &case.floats("logits"))
}

fn packed(case: &Case) -> f64 {
    worst(&case.logits(&case.packed()), &case.floats("packed.logits"))
}

fn merged(mut case: Case) -> f64 {
    let parameters = case.parameters.flat().to_vec();
    for linear in case.decoder.linears_mut() {
        let weight: Weight = merge::merged(linear, &parameters);
        linear.set_weight(weight);
        linear.lora = None;
    }
    let got: Vec<f32> = case.rows().iter().flat_map(|row| case.logits(row)).collect();
    worst(&got, &case.floats("merged.logits"))
}

/// Loss and gradients of the whole batch, a micro-batch a row.
fn step(case: &Case, gradients: &mut [f32]) -> f64 {
    let arena = Arena::new();
    let scale = 1.0 / case.supervised_tokens() as f64;
    let mut total = LossSum::default();
    for row in case.rows() {
        let flat = case.parameters.flat();
        total += loss::accumulate(&case.decoder, flat, &row, None, scale, SavePolicy::All, gradients, &arena);
    }
    total.mean_nats()
}

fn gradients(case: &Case) -> f64 {
    let mut gradients = vec![0.0; case.parameters.flat().len()];
    let loss_nats = step(case, &mut gradients);
    let want = f64::from(case.floats("loss")[0]);
    assert!((loss_nats - want).abs() < LOSSES, "{}: loss {loss_nats}, expected {want}", case.name);
    let errors = case.parameters.entries().iter().map(|entry| {
        // PEFT's file leaves off what its module has.
        let end = if entry.name.ends_with(".lora_magnitude_vector") { ".weight" } else { "" };
        let want = case.floats(&format!("grad.base_model.model.{}{end}", entry.name));
        worst(&gradients[entry.range.clone()], &want)
    });
    errors.fold(0.0, |m, e| if e <= m { m } else { e })
}

/// The largest difference of a loss from the case's, in nats, over as many steps as the case has.
pub(crate) fn adamw_losses(case: &mut Case, learning_rate: f64) -> f64 {
    let count = case.parameters.flat().len();
    let (mut first, mut second) = (vec![0.0; count], vec![0.0; count]);
    let mut error = 0.0_f64;
    for (index, want) in case.floats("adamw.losses").into_iter().enumerate() {
        let mut gradients = vec![0.0; count];
        let got = step(case, &mut gradients);
        let difference = (got - f64::from(want)).abs();
        error = if difference <= error { error } else { difference };
        let gradient_factor = adamw::clip_factor(adamw::norm(&gradients), 1.0);
        let with = Update {
            learning_rate,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
            step: index as u64 + 1,
            gradient_factor,
        };
        adamw::update(case.parameters.flat_mut(), &gradients, &mut first, &mut second, &with);
    }
    error
}
