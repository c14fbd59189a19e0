//! Passes that training disturbs: dropout and noise on the embeddings follow from keys, whatever is kept, packed or run
//! by how many threads, and gradients go through what was drawn.

use rtune_adapters::lora::MAGNITUDE_SUFFIX;
use rtune_data::PackedRow;
use rtune_kernels::arena::Arena;
use rtune_models::{
    Compiled, Decoder, ModelConfig, Quantization, RowNoise, RowView, SavePolicy, open_weights,
};
use rtune_trainer::loss;
use rtune_trainer::noise::{Noise, StepNoise};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use crate::reference::{Case, opened};
use crate::workplace::{CONFIG, Workplace};

const NF4: Quantization = Quantization::Nf4 { double: true };
const DROPOUT: f64 = 0.3;
const NEFTUNE_ALPHA: f64 = 5.0;

/// The cases with dropout, their documents under names of their own.
fn cases() -> impl Iterator<Item = (Case, Vec<PackedRow>)> {
    opened(NF4).map(|mut case| {
        for lora in case.decoder.linears_mut().filter_map(|linear| linear.lora.as_mut()) {
            lora.dropout = DROPOUT;
        }
        let mut rows = case.rows();
        for (index, row) in rows.iter_mut().enumerate() {
            row.segments[0].row_id = format!("row {index}");
        }
        (case, rows)
    })
}

/// The mean loss, and its gradients.
fn pass<R: Compiled>(
    case: &Case,
    parameters: &[R],
    rows: &[PackedRow],
    policy: SavePolicy,
    step: u64,
    arena: &Arena<R>,
) -> (f64, Vec<R>) {
    let mut noise = StepNoise::new(Noise { seed: 3, neftune_alpha: NEFTUNE_ALPHA }, step);
    let mut gradients = vec![R::zero(); parameters.len()];
    let mut total = loss::LossSum::default();
    for row in rows {
        let keys_t = noise.keys(row);
        let disturbed = Some(noise.of(&keys_t));
        total +=
            loss::accumulate(&case.decoder, parameters, row, disturbed, 1.0, policy, &mut gradients, arena);
    }
    (total.nats, gradients)
}

#[test]
fn gradients_agree_with_finite_differences_of_the_disturbed_pass() {
    const STEP: f64 = 1e-4;
    for (case, rows) in cases() {
        let row = [crate::reference::join(&rows)];
        let arena = Arena::<f64>::new();
        let mut parameters: Vec<f64> = case.parameters.flat().iter().map(|&value| f64::from(value)).collect();
        let (_, gradients) = pass(&case, &parameters, &row, SavePolicy::All, 1, &arena);
        let wanted = |name: &str| !case.has_dora() || name.ends_with(MAGNITUDE_SUFFIX);
        for entry in case.parameters.entries().iter().filter(|entry| wanted(&entry.name)) {
            let tensor = &gradients[entry.range.clone()];
            let largest = tensor.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
            let at = entry.range.start + tensor.len() / 2;
            let old = parameters[at];
            let mut at_offset = |offset: f64| {
                parameters[at] = old + offset;
                pass(&case, &parameters, &row, SavePolicy::InputOnly, 1, &arena).0
            };
            let slope = (at_offset(STEP) - at_offset(-STEP)) / (2.0 * STEP);
            parameters[at] = old;
            let error = if slope == gradients[at] { 0.0 } else { (slope - gradients[at]).abs() / largest };
            assert!(error < 1e-6, "{}: {}: {slope} {} ({error:e})", case.name, entry.name, gradients[at]);
        }
    }
}

#[test]
fn policies_and_threads_do_not_change_a_bit_and_steps_do() {
    for (case, rows) in cases() {
        let row = [crate::reference::join(&rows)];
        let flat = case.parameters.flat();
        let run = |threads: usize, policy, step| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| pass(&case, flat, &row, policy, step, &Arena::new()))
        };
        let one = run(1, SavePolicy::All, 1);
        assert!(one == run(3, SavePolicy::InputOnly, 1), "{}", case.name);
        assert!(one.0 != run(1, SavePolicy::All, 2).0, "{}", case.name);
        let calm = loss::evaluate(&case.decoder, flat, &row[0], &Arena::new()).nats;
        assert!(one.0 != calm, "{}", case.name);
    }
}

#[test]
fn packing_does_not_change_what_is_drawn() {
    for (case, rows) in cases() {
        let flat = case.parameters.flat();
        let packed = pass(&case, flat, &[crate::reference::join(&rows)], SavePolicy::All, 1, &Arena::new());
        let apart = pass(&case, flat, &rows, SavePolicy::All, 1, &Arena::new());
        assert!(
            (packed.0 - apart.0).abs() < 1e-5 * packed.0.abs(),
            "{}: {} {}",
            case.name,
            packed.0,
            apart.0
        );
        let largest = packed.1.iter().fold(0.0_f32, |m, g| m.max(g.abs()));
        let worst = packed.1.iter().zip(&apart.1).fold(0.0_f32, |m, (x, y)| m.max((x - y).abs()));
        assert!(worst <= 1e-5 * largest.max(1.0), "{}: {worst}", case.name);
    }
}

/// A case of the reference whose blocks add nothing: what comes out is what went in.
fn still(name: &str) -> Decoder {
    let (case, folder) = (crate::reference::folder().join(name), tempfile::tempdir().expect("a folder"));
    std::fs::copy(case.join("config.json"), folder.path().join("config.json")).expect("copied");
    let bytes = std::fs::read(case.join("model.safetensors")).expect("weights");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let is_last = |name: &str| name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
    let zeros = |view: &TensorView<'_>| vec![0; view.data().len()];
    let tensors: Vec<_> = file
        .iter()
        .map(|(name, view)| {
            let data = if is_last(name) { zeros(&view) } else { view.data().to_vec() };
            (name.to_owned(), view.dtype(), view.shape().to_vec(), data)
        })
        .collect();
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), data).expect("a tensor"))
    });
    safetensors::serialize_to_file(views, None, &folder.path().join("model.safetensors")).expect("written");
    let config = ModelConfig::from_file(&folder.path().join("config.json")).expect("config.json");
    let (weights, _) = open_weights(folder.path()).expect("weights");
    Decoder::load(&config, weights.as_ref(), Quantization::None, &mut |_, _| {}).expect("a decoder")
}

/// NEFTune (arXiv 2310.05914) draws from plus to minus `alpha / sqrt(T D)`. Transformers adds that to what the embedding's module gives: what
/// a family multiplies within it (Gemma's `sqrt(D)`) is behind the noise, what it multiplies afterwards (Granite's multiplier) before it.
#[test]
fn the_noise_is_as_large_as_that_of_transformers() {
    const TOKENS: usize = 24;
    for (name, factor) in [("llama", 1.0), ("gemma", 1.0), ("granite", 12.0)] {
        let decoder = still(name);
        let arena = Arena::<f64>::new();
        let tokens: Vec<u32> = (0..TOKENS as u32).collect();
        let keys_t: Vec<u64> = (0..TOKENS as u64).map(|token| 7919 * token + 3).collect();
        let out = |neftune_alpha: f64| {
            let noise = Some(RowNoise { keys_t: &keys_t, neftune_alpha });
            let bounds = &[0, TOKENS];
            let row = RowView { tokens: &tokens, positions: &tokens, bounds, parents: &[], noise };
            decoder.forward(&[], &row, SavePolicy::Nothing, &arena).output.to_vec()
        };
        let (calm, disturbed) = (out(0.0), out(NEFTUNE_ALPHA));
        let width = decoder.spec().width;
        let most = factor * NEFTUNE_ALPHA / ((TOKENS * width) as f64).sqrt();
        let noise: Vec<f64> = disturbed.iter().zip(&calm).map(|(one, other)| (one - other) / most).collect();
        assert_eq!(noise.len(), TOKENS * width);
        let largest = noise.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        assert!((0.97..=1.0 + 1e-9).contains(&largest), "{name}: {largest} of what it may be");
        let mean_square = noise.iter().map(|value| value * value).sum::<f64>() / noise.len() as f64;
        assert!((mean_square - 1.0 / 3.0).abs() < 0.05, "{name}: {mean_square}, and a third is even");
    }
}

/// Every kind of adapter goes on where it was stopped.
#[test]
fn disturbed_runs_and_dora_go_on_with_the_same_bytes() {
    for settings in [
        &["lora.dropout=0.2", "train.neftune-alpha=5", "train.lora-plus-ratio=4", "lora.layers=[1]"][..],
        &["lora.method=dora", "lora.dropout=0.1", "lora.targets=.*_proj"],
    ] {
        let (whole, parts) = (Workplace::new(), Workplace::new());
        let with = |place: &Workplace, more: &[&str]| place.train(&[settings, more].concat()).ends();
        with(&whole, &["train.schedule=constant"]);
        with(&parts, &["train.schedule=constant", "train.steps=3"]);
        let mut resume = vec!["train", "config.toml", "--resume", "--set", "train.schedule=constant"];
        settings.iter().for_each(|setting| resume.extend(["--set", setting]));
        parts.rtune(&resume).succeeds();
        let last = "run/checkpoints/step-000006";
        for file in ["adapter_model.safetensors", "adapter_config.json", "optimizer.safetensors"] {
            let bytes = |place: &Workplace| std::fs::read(place.path(last).join(file)).expect("readable");
            assert!(bytes(&whole) == bytes(&parts), "{settings:?}: {file}");
        }
        let again = Workplace::new();
        with(&again, &["train.schedule=constant", "train.save-activations=input-only"]);
        let bytes = |place: &Workplace| {
            std::fs::read(place.path(last).join("adapter_model.safetensors")).expect("readable")
        };
        assert!(bytes(&whole) == bytes(&again), "{settings:?}: save policies");
        whole.rtune(&["merge", "run", "merged"]).succeeds();
        whole.rtune(&["export", "run", "adapter"]).succeeds();
        whole.rtune(&["generate", "adapter", "Letter 3?", "--set", "model.base=model"]).succeeds();
        // What was exported is where another run can start.
        whole.write(
            "config.toml",
            CONFIG.replace("rank = 4\n", "from = \"adapter\"\n").replace("\"run\"", "\"next\""),
        );
        whole.train(&[]).ends();
    }
}
