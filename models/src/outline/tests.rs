use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::{Decoder, open_weights};

mod answers;
mod passes;

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
