//! What the engine must hold for every family: gradients by finite differences, segments that do not see each other,
//! and results that do not depend on save policies, micro-batches or threads.

use rtune_adapters::lora::MAGNITUDE_SUFFIX;
use rtune_data::PackedRow;
use rtune_kernels::arena::Arena;
use rtune_models::{Compiled, FAMILIES, ModelConfig, Quantization, SavePolicy};
use rtune_trainer::loss;

use crate::reference::{Case, cases, join, logits, opened};

const NF4: Quantization = Quantization::Nf4 { double: true };

/// A family without a case would have none of the properties below.
#[test]
fn every_family_is_among_the_cases() {
    let family = |path: &std::path::PathBuf| {
        ModelConfig::from_file(&path.join("config.json")).expect("a configuration").family.model_types
    };
    let opened: Vec<&[&str]> = cases().0.iter().map(family).collect();
    for known in FAMILIES {
        assert!(opened.contains(&known.model_types), "no case is a {}", known.model_types[0]);
    }
}

fn gradients(case: &Case, rows: &[PackedRow], policy: SavePolicy) -> (f64, Vec<f32>) {
    gradients_at(case, case.parameters.flat(), rows, policy)
}

fn gradients_at<R: Compiled>(
    case: &Case,
    parameters: &[R],
    rows: &[PackedRow],
    policy: SavePolicy,
) -> (f64, Vec<R>) {
    let arena = Arena::new();
    let mut gradients = vec![R::zero(); parameters.len()];
    let scale = 1.0 / case.supervised_tokens() as f64;
    let mut total = loss::LossSum::default();
    for row in rows {
        total +=
            loss::accumulate(&case.decoder, parameters, row, None, scale, policy, &mut gradients, &arena);
    }
    (total.mean_nats(), gradients)
}

/// Of a tensor's largest gradient, between two orders of the same sums: single precision keeps seven digits of each term, and
/// terms are up to a hundred times what is left of them.
const OTHER_ORDER: f64 = 1e-5;
/// The same between all that leads there in f32 and in f64; what is allowed against transformers, too.
const OTHER_PRECISION: f64 = 1e-4;
/// Of the largest gradient of all: a tensor with smaller ones is held against this. They are what is left of terms as large as
/// those of others, and so are their errors; the least of any case has some 1e-4 of it.
const FLOOR: f64 = 1e-3;

fn largest(gradients: &[f64]) -> f64 {
    gradients.iter().fold(0.0, |most, gradient| gradient.abs().max(most))
}

#[track_caller]
fn assert_near(case: &Case, found: &[f32], expected: &[f64], tolerance: f64) {
    let floor = FLOOR * largest(expected);
    for entry in case.parameters.entries() {
        let (a, b) = (&found[entry.range.clone()], &expected[entry.range.clone()]);
        let most = tolerance * largest(b).max(floor);
        let errors: Vec<f64> = a.iter().zip(b).map(|(&a, b)| (f64::from(a) - b).abs()).collect();
        let (name, worst) = (&entry.name, largest(&errors));
        assert!(errors.iter().all(|error| *error <= most), "{}: {name}: {worst:e} above {most:e}", case.name);
    }
}

/// Of a parameter, between two losses. Losses of 100 nats are known to 1e-14 of that, so that slopes of 1e-3, as flat
/// models have them, keep seven digits.
const STEP: f64 = 1e-4;

/// The loss is summed in f64 and the model runs in f64.
#[test]
fn gradients_agree_with_finite_differences_on_the_quantised_base() {
    for case in opened(NF4) {
        let row = case.packed();
        let arena = Arena::<f64>::new();
        let mut parameters: Vec<f64> = case.parameters.flat().iter().map(|&v| f64::from(v)).collect();
        let mut gradients = vec![0.0; parameters.len()];
        loss::accumulate(
            &case.decoder,
            &parameters,
            &row,
            None,
            1.0,
            SavePolicy::All,
            &mut gradients,
            &arena,
        );
        // DoRA's lengths are constants to A and B, as in PEFT, but not to differences; its magnitudes stand for it here.
        let wanted = |name: &str| !case.has_dora() || name.ends_with(MAGNITUDE_SUFFIX);
        for entry in case.parameters.entries().iter().filter(|entry| wanted(&entry.name)) {
            let tensor = &gradients[entry.range.clone()];
            let largest = tensor.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
            for at in [0, tensor.len() / 2, tensor.len() - 1].map(|i| entry.range.start + i) {
                let old = parameters[at];
                let mut at_offset = |offset: f64| {
                    parameters[at] = old + offset;
                    loss::evaluate(&case.decoder, &parameters, &row, &arena).nats
                };
                let slope = (at_offset(STEP) - at_offset(-STEP)) / (2.0 * STEP);
                parameters[at] = old;
                // An expert that no token chose does nothing.
                let error =
                    if slope == gradients[at] { 0.0 } else { (slope - gradients[at]).abs() / largest };
                assert!(error < 1e-6, "{}: {}: {slope} {} ({error:e})", case.name, entry.name, gradients[at]);
            }
        }
    }
}

#[test]
fn every_adapter_tensor_receives_a_gradient() {
    for case in opened(NF4) {
        let (_, gradients) = gradients(&case, &case.rows(), SavePolicy::All);
        let mut idle = 0;
        let norm_of =
            |range: std::ops::Range<usize>| gradients[range].iter().map(|g| g * g).sum::<f32>().sqrt();
        let norms = case.parameters.entries().iter().map(|entry| norm_of(entry.range.clone()));
        let longest = norms.fold(0.0_f32, f32::max);
        for entry in case.parameters.entries() {
            let norm = norm_of(entry.range.clone());
            // No token of the row may have chosen an expert.
            if norm == 0.0 && entry.name.contains("experts.") {
                idle += 1;
                continue;
            }
            // The shortest of any case, of an adapter under DoRA's lengths, has 4e-4 of it.
            let is_there = norm > 1e-5 * longest && norm.is_finite();
            assert!(is_there, "{}: {}: norm {norm} beside {longest}", case.name, entry.name);
        }
        assert!(4 * idle < case.parameters.entries().len(), "{}: {idle} of its tensors idle", case.name);
    }
}

#[test]
fn a_perturbed_document_leaves_its_neighbours_logits_as_they_are() {
    for case in opened(NF4) {
        let [first, second]: [PackedRow; 2] = case.rows().try_into().expect("two rows");
        let row = join(&[first.clone(), second.clone(), first.clone()]);
        let mut perturbed = row.clone();
        let (start, end) = (first.tokens.len(), first.tokens.len() + second.tokens.len());
        let vocabulary = case.decoder.spec().vocabulary;
        for token in &mut perturbed.tokens[start..end] {
            *token = (*token + 7) % vocabulary as u32;
        }
        let (before, after) = (case.logits(&row), case.logits(&perturbed));
        let (start, end) = (start * vocabulary, end * vocabulary);
        // How many tokens an expert is given decides how products with its weights are cut, and so the last bits.
        let experts = case.decoder.spec().names.experts.is_some();
        let largest = before.iter().fold(0.0_f32, |m, l| m.max(l.abs()));
        let same = |a: &[f32], b: &[f32]| {
            let near = a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6 * largest);
            if experts { near } else { a == b }
        };
        assert!(same(&before[..start], &after[..start]), "{}", case.name);
        assert!(same(&before[end..], &after[end..]), "{}", case.name);
        assert!(!same(&before[start..end], &after[start..end]), "{}", case.name);
        // And a document gives the same wherever it stands in a row.
        assert!(same(&before[..start], &before[end..]), "{}", case.name);
    }
}

#[test]
fn save_policies_give_the_same_bits() {
    for case in opened(NF4) {
        let rows = [case.packed()];
        let all = gradients(&case, &rows, SavePolicy::All);
        for policy in [SavePolicy::InputOnly, SavePolicy::Last(1)] {
            assert!(all == gradients(&case, &rows, policy), "{}, {policy}", case.name);
        }
    }
}

#[test]
fn micro_batches_give_what_one_large_batch_gives() {
    for case in opened(NF4) {
        let (one_loss, one) = gradients(&case, &[case.packed()], SavePolicy::All);
        let (two_loss, two) = gradients(&case, &case.rows(), SavePolicy::All);
        assert!((one_loss - two_loss).abs() < 1e-6, "{}: {one_loss} {two_loss}", case.name);
        let one: Vec<f64> = one.into_iter().map(f64::from).collect();
        assert_near(&case, &two, &one, OTHER_ORDER);
        // Where gradients are large that is more than is allowed.
        for entry in case.parameters.entries() {
            let (a, b) = (&two[entry.range.clone()], &one[entry.range.clone()]);
            let worst = a.iter().zip(b).fold(0.0_f64, |most, (&a, b)| most.max((f64::from(a) - b).abs()));
            assert!(worst <= 1e-6 * largest(b).max(1.0), "{}: {}: {worst}", case.name, entry.name);
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    for case in opened(NF4) {
        let rows = [case.packed()];
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| gradients(&case, &rows, SavePolicy::All))
        };
        let one = run(1);
        assert!([2, 3, 7].into_iter().all(|threads| run(threads) == one), "{}", case.name);
    }
}

#[test]
fn the_steady_state_allocates_no_buffers() {
    let case = opened(NF4).next().expect("a case");
    let (arena, row) = (Arena::new(), case.packed());
    let mut gradients = vec![0.0; case.parameters.flat().len()];
    let mut step = || {
        let flat = case.parameters.flat();
        loss::accumulate(&case.decoder, flat, &row, None, 0.1, SavePolicy::All, &mut gradients, &arena);
        arena.usage()
    };
    // Attention's tasks may overlap differently in the first steps; the pool then has what every overlap needs.
    let usage = (0..10).map(|_| step()).last().expect("ten steps");
    assert_eq!(usage.lent_bytes, 0);
    let later = (0..10).map(|_| step()).last().expect("ten steps");
    assert!(later.allocations <= usage.allocations + 2, "{usage:?} {later:?}");
}

#[test]
fn f32_and_f64_agree() {
    for case in opened(NF4) {
        let row = case.packed();
        let parameters: Vec<f64> = case.parameters.flat().iter().map(|&v| f64::from(v)).collect();
        let (narrow, wide) = (case.logits(&row), logits(&case.decoder, &parameters, &row));
        let largest = wide.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let near = narrow.iter().zip(&wide).all(|(&a, b)| (f64::from(a) - b).abs() < 1e-5 * largest);
        assert!(near, "{}", case.name);
        let (_, narrow) = gradients(&case, std::slice::from_ref(&row), SavePolicy::All);
        let (_, wide) = gradients_at(&case, &parameters, std::slice::from_ref(&row), SavePolicy::All);
        assert_near(&case, &narrow, &wide, OTHER_PRECISION);
    }
}
