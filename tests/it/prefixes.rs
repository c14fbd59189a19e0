//! Examples that begin alike and share what is computed of that learn what they learn apart.

use std::path::Path;

use rtune_data::{Example, Origin, PackedRow, pack, pack_shared};
use rtune_kernels::arena::Arena;
use rtune_models::{Quantization, SavePolicy};
use rtune_trainer::loss::{self, LossSum};
use serde_json::Value;

use crate::reference::{Case, opened};
use crate::workplace::{Ran, Workplace};

const NF4: Quantization = Quantization::Nf4 { double: true };

/// Three examples behind one prompt, one behind another, and two behind that and more of it.
fn examples(vocabulary: usize) -> Vec<Example> {
    let token = |place: usize| ((place * 7919 + 13) % vocabulary) as u32;
    let families = [(0, 12, 5), (0, 12, 9), (41, 10, 6), (0, 12, 4), (41, 14, 5), (41, 14, 7)];
    let example = |(number, (prompt, shared, own)): (usize, (usize, usize, usize))| Example {
        id: number.to_string(),
        origin: Origin { file: Path::new("a.jsonl").into(), line: number as u64 + 1 },
        tokens: (prompt..prompt + shared)
            .chain(100 * number + 500..100 * number + 500 + own)
            .map(token)
            .collect(),
        supervised: (0..shared + own).map(|place| place > shared && place % 3 != 0).collect(),
    };
    families.into_iter().enumerate().map(example).collect()
}

/// The rows apart, and with what they begin with shared.
fn both(case: &Case) -> [Vec<PackedRow>; 2] {
    let examples = examples(case.decoder.spec().vocabulary);
    let references: Vec<&Example> = examples.iter().collect();
    let (apart, shared) = (pack(&references, 200), pack_shared(&references, 200));
    let tokens = |rows: &[PackedRow]| rows.iter().map(|row| row.tokens.len()).sum::<usize>();
    assert_eq!(tokens(&apart) - tokens(&shared), 2 * 12 + 2 * 10, "two prompts twice less");
    [apart, shared]
}

fn gradients(case: &Case, rows: &[PackedRow], policy: SavePolicy) -> (LossSum, Vec<f32>) {
    let (arena, flat) = (Arena::new(), case.parameters.flat());
    let mut gradients = vec![0.0; flat.len()];
    let mut total = LossSum::default();
    for row in rows {
        total += loss::accumulate(&case.decoder, flat, row, None, 0.05, policy, &mut gradients, &arena);
    }
    (total, gradients)
}

fn wide_gradients(case: &Case, parameters: &[f64], rows: &[PackedRow]) -> (LossSum, Vec<f64>) {
    let arena = Arena::new();
    let mut gradients = vec![0.0; parameters.len()];
    let mut total = LossSum::default();
    for row in rows {
        let policy = SavePolicy::All;
        total += loss::accumulate(&case.decoder, parameters, row, None, 0.05, policy, &mut gradients, &arena);
    }
    (total, gradients)
}

fn sharing() -> impl Iterator<Item = Case> {
    opened(NF4).filter(|case| case.decoder.spec().shares_prefixes())
}

#[test]
fn losses_and_gradients_are_those_of_rows_apart() {
    let mut cases = 0;
    for case in sharing() {
        let [apart, shared] = both(&case);
        let wide: Vec<f64> = case.parameters.flat().iter().map(|&value| f64::from(value)).collect();
        let (one, other) = (wide_gradients(&case, &wide, &apart), wide_gradients(&case, &wide, &shared));
        assert!((one.0.nats - other.0.nats).abs() < 1e-10 * one.0.nats, "{}", case.name);
        assert_eq!(one.0.supervised_tokens, other.0.supervised_tokens);
        let (narrow_one, narrow) =
            (gradients(&case, &apart, SavePolicy::All), gradients(&case, &shared, SavePolicy::All));
        assert!((narrow_one.0.nats - narrow.0.nats).abs() < 1e-6 * narrow_one.0.nats, "{}", case.name);
        for entry in case.parameters.entries() {
            let (a, b) = (&one.1[entry.range.clone()], &other.1[entry.range.clone()]);
            let largest = a.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
            let worst = a.iter().zip(b).fold(0.0_f64, |most, (x, y)| most.max((x - y).abs()));
            assert!(worst <= 1e-10 * largest.max(1e-3), "{}: {}: {worst:e}", case.name, entry.name);
            let c = &narrow.1[entry.range.clone()];
            let worst = a.iter().zip(c).fold(0.0_f64, |most, (x, &y)| most.max((x - f64::from(y)).abs()));
            assert!(worst <= 1e-5 * largest.max(1e-3), "{}: {}: {worst:e}", case.name, entry.name);
        }
        cases += 1;
    }
    assert!(cases >= 15, "{cases} cases");
}

#[test]
fn gradients_agree_with_finite_differences() {
    const STEP: f64 = 1e-4;
    // Of each attention there is: grouped, windowed, capped, with norms on queries and keys.
    for case in sharing().filter(|case| !case.has_dora()) {
        let [_, shared] = both(&case);
        let arena = Arena::new();
        let mut parameters: Vec<f64> = case.parameters.flat().iter().map(|&value| f64::from(value)).collect();
        let (_, gradients) = wide_gradients(&case, &parameters, &shared);
        for entry in case.parameters.entries().iter().filter(|entry| entry.name.contains("attn")) {
            let tensor = &gradients[entry.range.clone()];
            let largest = tensor.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
            let at = entry.range.start + tensor.len() / 3;
            let old = parameters[at];
            let mut at_offset = |offset: f64| {
                parameters[at] = old + offset;
                let nats =
                    shared.iter().map(|row| loss::evaluate(&case.decoder, &parameters, row, &arena).nats);
                0.05 * nats.sum::<f64>()
            };
            let slope = (at_offset(STEP) - at_offset(-STEP)) / (2.0 * STEP);
            parameters[at] = old;
            let error = (slope - gradients[at]).abs() / largest.max(1e-6);
            assert!(error < 1e-6, "{}: {}: {slope} {}", case.name, entry.name, gradients[at]);
        }
    }
}

#[test]
fn policies_and_threads_change_no_bit() {
    for case in sharing() {
        let [_, shared] = both(&case);
        let all = gradients(&case, &shared, SavePolicy::All);
        assert!(all == gradients(&case, &shared, SavePolicy::InputOnly), "{}", case.name);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let run = || gradients(&case, &shared, SavePolicy::All);
            assert!(pool.install(run) == all, "{}: {threads} threads", case.name);
        }
    }
}

fn losses(ran: &Ran) -> Vec<f64> {
    ran.succeeds();
    let lines = ran.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|line| line["train_loss_nats"].as_f64()).collect()
}

#[test]
fn a_run_learns_the_same() {
    let place = Workplace::new();
    let run = |sets: &[&str]| {
        let sets: Vec<&str> = sets.iter().flat_map(|one| ["--set", one]).collect();
        losses(&place.rtune(&[&["train", "config.toml", "--json"], sets.as_slice()].concat()))
    };
    let shared = run(&["output.dir=shared"]);
    let apart = run(&["output.dir=apart", "train.share-prefixes=false"]);
    assert_eq!(shared.len(), 6);
    assert_ne!(shared, apart, "other sums");
    let near = shared.iter().zip(&apart).all(|(one, other)| (one - other).abs() < 1e-4 * other);
    assert!(near, "{shared:?} {apart:?}");
    // Where each token has draws of its own nothing is shared.
    for drawn in ["lora.dropout=0.1", "train.neftune-alpha=5"] {
        let one = run(&["output.dir=drawn", drawn]);
        let other = run(&["output.dir=drawn-apart", drawn, "train.share-prefixes=false"]);
        assert_eq!(one, other, "{drawn}");
        for run in ["drawn", "drawn-apart"] {
            std::fs::remove_dir_all(place.path(run)).expect("removed");
        }
    }
}
