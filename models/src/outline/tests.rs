use std::fs;
use std::path::{Path, PathBuf};

use rtune_adapters::LoraConfig;
use rtune_kernels::arena::Arena;

use super::*;
use crate::{Decoder, RowView, SavePolicy, open_weights};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference");
    let entries = fs::read_dir(folder).expect("cases").map(|entry| entry.expect("an entry").path());
    let mut cases: Vec<PathBuf> = entries.filter(|path| path.join("config.json").is_file()).collect();
    cases.sort();
    assert!(cases.len() >= 20, "{} cases", cases.len());
    cases
}

fn decoder(case: &Path, outline: &BaseOutline, quantization: Quantization) -> Decoder {
    let (weights, _) = open_weights(case).expect("weights");
    Decoder::load(&outline.config, weights.as_ref(), quantization, &mut |_, _| {}).expect("a decoder")
}

const HELD: [Quantization; 4] = [
    Quantization::None,
    Quantization::Int8,
    Quantization::Nf4 { double: false },
    Quantization::Nf4 { double: true },
];

#[test]
fn bytes_and_linears_are_those_of_the_decoder() {
    for case in cases() {
        let name = case.display();
        let outline = BaseOutline::open(&case).expect("an outline");
        for quantization in HELD {
            let decoder = decoder(&case, &outline, quantization);
            assert_eq!(
                outline.held_bytes(quantization).held,
                decoder.size_bytes(),
                "{name} {quantization:?}"
            );
            assert_eq!(outline.parameters().total(), decoder.parameter_count(), "{name}");
            let listed = outline.linears();
            assert_eq!(listed.len(), decoder.linears().count(), "{name}");
            for (ours, theirs) in listed.iter().zip(decoder.linears()) {
                assert_eq!(
                    (ours.name.as_str(), ours.only_by_name),
                    (theirs.name(), theirs.is_only_by_name())
                );
                assert_eq!(
                    (ours.outputs, ours.inputs),
                    (theirs.out_features(), theirs.in_features()),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn gguf_files_take_what_their_decoders_take() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/gguf");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("families") {
        for file in fs::read_dir(entry.expect("an entry").path()).expect("files") {
            files.push(file.expect("an entry").path());
        }
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "gguf"));
    assert!(files.len() >= 5, "{} files", files.len());
    for file in files {
        let outline = BaseOutline::open(&file).expect("an outline");
        let weights = crate::GgufFile::open(&file).expect("weights");
        for quantization in HELD {
            let decoder =
                Decoder::load(&outline.config, &weights, quantization, &mut |_, _| {}).expect("a decoder");
            assert_eq!(outline.held_bytes(quantization).held, decoder.size_bytes(), "{}", file.display());
        }
    }
}

/// The header of every file, and nothing of what it describes.
#[test]
fn headers_suffice() {
    for case in cases() {
        let place = tempfile::tempdir().expect("a folder");
        fs::copy(case.join("config.json"), place.path().join("config.json")).expect("copied");
        let bytes = fs::read(case.join("model.safetensors")).expect("read");
        let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
        let header = place.path().join("model.safetensors");
        fs::write(&header, &bytes[..8 + length]).expect("written");
        let (whole, short) =
            (BaseOutline::open(&case).expect("whole"), BaseOutline::open(place.path()).expect("short"));
        assert_eq!((whole.tensors, whole.spec), (short.tensors, short.spec));
        // A byte less of the header is a truncated one, and no weights are none.
        fs::write(&header, &bytes[..8 + length - 1]).expect("written");
        let error = BaseOutline::open(place.path()).expect_err("truncated").to_string();
        assert!(error.contains("truncated"), "{error}");
        fs::remove_file(&header).expect("removed");
        assert!(matches!(BaseOutline::open(place.path()), Err(ModelError::MissingFile { .. })));
    }
}

#[test]
fn a_tensor_that_is_missing_or_of_another_shape_is_named() {
    let place = tempfile::tempdir().expect("a folder");
    let case = &cases()[0];
    fs::copy(case.join("model.safetensors"), place.path().join("model.safetensors")).expect("copied");
    let config = fs::read_to_string(case.join("config.json")).expect("read");
    let mut config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    let layers = config["num_hidden_layers"].as_u64().expect("a number");
    config["num_hidden_layers"] = (layers + 1).into();
    fs::write(place.path().join("config.json"), config.to_string()).expect("written");
    assert!(matches!(BaseOutline::open(place.path()), Err(ModelError::MissingTensor { .. })));
    config["num_hidden_layers"] = layers.into();
    config["vocab_size"] = 7.into();
    fs::write(place.path().join("config.json"), config.to_string()).expect("written");
    let error = BaseOutline::open(place.path()).expect_err("refused").to_string();
    assert!(error.contains("expected shape [7, "), "{error}");
}

/// Tokens of the row, and of each of its documents.
const TOKENS: usize = 192;
const DOCUMENT: usize = 96;
const RANK: usize = 4;

/// What an arena holds after a forward and a backward pass, and the most that it lent, in elements.
fn measured(decoder: &Decoder, parameters: &[f32], policy: SavePolicy) -> (usize, usize) {
    let arena = Arena::<f32>::new();
    let tokens: Vec<u32> = (0..TOKENS as u32).map(|t| t % 5).collect();
    let positions: Vec<u32> = (0..TOKENS).map(|t| (t % DOCUMENT) as u32).collect();
    let bounds: Vec<usize> = (0..=TOKENS).step_by(DOCUMENT).collect();
    let row = RowView { tokens: &tokens, positions: &positions, bounds: &bounds, noise: None };
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

/// Every family: what is computed lies between what a pass borrowed at once, and not far above what it left allocated.
#[test]
fn passes_take_the_buffers_that_are_computed() {
    let lora = LoraConfig::new(RANK, 8.0);
    let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let mut wrong = Vec::new();
    for case in cases() {
        let outline = BaseOutline::open(&case).expect("an outline");
        let mut decoder = decoder(&case, &outline, Quantization::Nf4 { double: true });
        let parameters = decoder.attach_lora::<f32>(&lora).expect("attached");
        let linears = outline.linears();
        let ranks = lora.ranks(linears.iter().map(|linear| (linear.name.as_str(), linear.only_by_name)));
        let ranks = ranks.expect("ranks");
        let counted: usize = ranks
            .iter()
            .zip(&linears)
            .map(|(rank, linear)| rank.unwrap_or(0) * (linear.inputs + linear.outputs))
            .sum();
        assert_eq!(counted, parameters.flat().len(), "{}", case.display());
        let pass = Pass { tokens: TOKENS, supervised: TOKENS - 1, longest: DOCUMENT, threads: 1 };
        for policy in [SavePolicy::All, SavePolicy::InputOnly] {
            let computed = outline.pass_elements(&ranks, policy, &pass);
            let (held, lent) = threads.install(|| measured(&decoder, parameters.flat(), policy));
            let ratio = computed as f64 / lent as f64;
            let line = format!(
                "{} {policy:?}: computed {computed}, held {held}, lent {lent}, {ratio:.3} of what was lent",
                case.file_name().unwrap_or_default().display()
            );
            if computed < lent || ratio > MOST_OVER_LENT {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Of tiny models, whose buffers share less than those of large ones.
const MOST_OVER_LENT: f64 = 1.35;
