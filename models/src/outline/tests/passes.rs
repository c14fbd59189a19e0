//! What passes take, and what is trained, against decoders that do it.

use std::fs;
use std::path::Path;

use rtune_adapters::{Alongside, Biases, LoraConfig, Start};
use rtune_kernels::arena::Arena;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::{cases, decoder};
use crate::outline::*;
use crate::{Decoder, Quantization, RowNoise, RowView, SavePolicy};

/// Tokens of the row, and of each of its documents.
const TOKENS: usize = 192;
const DOCUMENT: usize = 96;
const RANK: usize = 4;

/// What an arena holds after a forward and a backward pass, and the most that it lent, in elements.
fn measured(decoder: &Decoder, parameters: &[f32], policy: SavePolicy, drops: bool) -> (usize, usize) {
    let arena = Arena::<f32>::new();
    let tokens: Vec<u32> = (0..TOKENS as u32).map(|t| t % 5).collect();
    let positions: Vec<u32> = (0..TOKENS).map(|t| (t % DOCUMENT) as u32).collect();
    let bounds: Vec<usize> = (0..=TOKENS).step_by(DOCUMENT).collect();
    let keys: Vec<u64> = (0..TOKENS as u64).collect();
    let noise = drops.then_some(RowNoise { keys_t: &keys, neftune_alpha: 0.0 });
    let row = RowView { tokens: &tokens, positions: &positions, bounds: &bounds, parents: &[], noise };
    let mut gradients = vec![0.0; parameters.len()];
    let forward = decoder.forward(parameters, &row, policy, &arena);
    let head = decoder.head_rows(parameters, &forward.output, (0..TOKENS - 1).collect(), &arena);
    let mut d_normed = arena.take(head.normed_nd.len());
    let mut logits = arena.take((TOKENS - 1) * decoder.spec().vocabulary);
    decoder.logits(parameters, &head.normed_nd, &mut logits, &arena);
    let slopes = decoder.logit_slopes(&logits, &arena);
    let normed = &head.normed_nd;
    let slopes_nv = slopes.as_deref();
    decoder.logits_backward(
        parameters,
        normed,
        &mut logits,
        slopes_nv,
        &mut gradients,
        &mut d_normed,
        &arena,
    );
    drop((logits, slopes));
    let d_output = decoder.head_backward(parameters, &head, &d_normed, TOKENS, &mut gradients, &arena);
    drop((head, d_normed));
    decoder.backward(parameters, &row, forward, d_output, &mut gradients, &arena);
    let usage = arena.usage();
    (usage.held_bytes / size_of::<f32>(), usage.peak_lent_bytes / size_of::<f32>())
}

const NF4: Quantization = Quantization::Nf4 { double: true };

/// Adapters of every kind, by a name.
fn kinds() -> [(&'static str, LoraConfig); 4] {
    let plain = LoraConfig::new(RANK, 8.0);
    let dora = LoraConfig { dora: true, ..plain.clone() };
    let dropout = LoraConfig { dropout: 0.1, ..plain.clone() };
    let both = LoraConfig { dropout: 0.1, ..dora.clone() };
    [("plain", plain), ("dora", dora), ("dropout", dropout), ("both", both)]
}

/// Every family: what is computed lies between what a pass borrowed at once, and not far above that.
#[test]
fn passes_take_the_buffers_that_are_computed() {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let mut wrong = Vec::new();
    for case in cases() {
        let outline = BaseOutline::open(&case).expect("an outline");
        let mut decoder = decoder(&case, &outline, NF4);
        for (kind, lora) in kinds() {
            let parameters = decoder.attach_lora::<f32>(&lora).expect("attached");
            let trained = outline.trained(&lora, 0, NF4).expect("trained");
            assert_eq!(trained.numbers, parameters.flat().len(), "{} {kind}", case.display());
            let pass = Pass {
                tokens: TOKENS,
                supervised: TOKENS - 1,
                longest: DOCUMENT,
                prefix_sums: 0,
                threads: 1,
            };
            for policy in [SavePolicy::All, SavePolicy::Last(1), SavePolicy::InputOnly] {
                let computed = outline.pass_elements(&trained, policy, &pass).total();
                let run = || measured(&decoder, parameters.flat(), policy, lora.dropout > 0.0);
                let (held, lent) = threads.install(run);
                let ratio = computed as f64 / lent as f64;
                let line = format!(
                    "{} {kind} {policy:?}: computed {computed}, held {held}, lent {lent}, {ratio:.3} of what was lent",
                    case.file_name().unwrap_or_default().display()
                );
                if computed < lent || ratio > MOST_OVER_LENT {
                    wrong.push(line);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Of tiny models, whose buffers share less than those of large ones.
const MOST_OVER_LENT: f64 = 1.35;

/// What is trained beside adapters, in every family that has it.
#[test]
fn what_is_trained_is_counted() {
    let mut counted = 0;
    for case in cases() {
        let outline = BaseOutline::open(&case).expect("an outline");
        let mut decoder = decoder(&case, &outline, NF4);
        let before = decoder.size_bytes();
        let names = outline.spec.names;
        let last_of = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
        let alongside = [
            Alongside { modules: vec![last_of(names.embedding)], ..Alongside::default() },
            Alongside { modules: vec![last_of(names.head)], ..Alongside::default() },
            Alongside { modules: vec![last_of(names.final_norm)], ..Alongside::default() },
            Alongside { biases: Biases::Adapted, ..Alongside::default() },
            Alongside {
                biases: Biases::All,
                modules: vec![last_of(names.final_norm)],
                ..Alongside::default()
            },
            Alongside { tokens: vec![1, 3], of_head: true, ..Alongside::default() },
        ];
        for alongside in alongside {
            let lora = LoraConfig { alongside, ..LoraConfig::new(RANK, 8.0) };
            let parameters = match decoder.attach_lora::<f32>(&lora) {
                Ok(parameters) => parameters,
                // A model without biases, or with a head that is its embedding.
                Err(_) => continue,
            };
            let trained = outline.trained(&lora, 0, NF4).expect("trained");
            let name = format!("{} {:?}", case.display(), lora.alongside);
            assert_eq!(trained.numbers, parameters.flat().len(), "{name}");
            assert_eq!(before - trained.replaced_bytes, decoder.size_bytes(), "{name}");
            counted += 1;
            decoder = super::decoder(&case, &outline, NF4);
        }
        let unknown = Alongside { modules: vec!["nothing".to_owned()], ..Alongside::default() };
        let lora = LoraConfig { alongside: unknown, ..LoraConfig::new(RANK, 8.0) };
        assert!(outline.trained(&lora, 0, NF4).is_err());
        if let Ok(parameters) = decoder.train_all::<f32>() {
            let trained = outline.trained_in_full(NF4);
            assert_eq!(trained.numbers, parameters.flat().len(), "{}", case.display());
            assert_eq!(before - trained.replaced_bytes, decoder.size_bytes(), "{}", case.display());
        }
    }
    assert!(counted >= 60, "{counted}");
}

/// A copy of a case with its weights in bfloat16, as bases mostly are.
fn in_bf16(case: &Path, folder: &Path) {
    fs::copy(case.join("config.json"), folder.join("config.json")).expect("copied");
    let bytes = fs::read(case.join("model.safetensors")).expect("read");
    let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
    let halves: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .tensors()
        .into_iter()
        .map(|(name, tensor)| {
            assert_eq!(tensor.dtype(), Dtype::F32, "{name}");
            let upper = tensor.data().chunks_exact(4).flat_map(|number| [number[2], number[3]]).collect();
            (name, tensor.shape().to_vec(), upper)
        })
        .collect();
    let views = halves.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(Dtype::BF16, shape.clone(), bytes).expect("a tensor"))
    });
    fs::write(folder.join("model.safetensors"), safetensors::serialize(views, None).expect("a file"))
        .expect("written");
}

/// What PiSSA is taken off is held in 32 bits where nothing is quantised; what LoftQ makes up for stays as it is.
#[test]
fn a_base_that_something_is_taken_off_is_counted() {
    let place = tempfile::tempdir().expect("a folder");
    let case = cases().into_iter().find(|case| case.ends_with("llama")).expect("a case");
    in_bf16(&case, place.path());
    let outline = BaseOutline::open(place.path()).expect("an outline");
    let (weights, _) = crate::open_weights(place.path()).expect("weights");
    for (start, quantization) in [
        (Start::Drawn, Quantization::None),
        (Start::Pissa, Quantization::None),
        (Start::Pissa, NF4),
        (Start::Loftq, NF4),
    ] {
        let lora = LoraConfig { start, ..LoraConfig::new(RANK, 8.0) };
        let trained = outline.trained(&lora, 0, quantization).expect("trained");
        let mut decoder = decoder(place.path(), &outline, quantization);
        let mut parameters = decoder.attach_lora::<f32>(&lora).expect("attached");
        let draw = |_: &str, out: &mut [f32]| {
            out.iter_mut().enumerate().for_each(|(at, out)| *out = ((at * 7919 % 101) as f32 - 50.0) / 50.0);
        };
        decoder.begin(start, weights.as_ref(), quantization, &mut parameters, &draw).expect("begun");
        let expected = outline.held_bytes(quantization).held + trained.widened_bytes;
        assert_eq!(decoder.size_bytes(), expected, "{start:?} {quantization:?}");
        let widens = start == Start::Pissa && quantization == Quantization::None;
        assert_eq!(trained.widened_bytes > 0, widens, "{start:?} {quantization:?}");
        let largest = decoder.linears().map(|linear| linear.in_features() * linear.out_features()).max();
        let least = 2 * size_of::<f32>() * largest.expect("linears");
        assert_eq!(
            trained.starting_bytes > least,
            start != Start::Drawn,
            "{start:?}: {}",
            trained.starting_bytes
        );
    }
}
