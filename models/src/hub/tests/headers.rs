//! What is fetched of a repository whose size alone is asked for.

use std::path::Path;

use super::server::{COMMIT, Fault, Server};
use super::{HubError, HubOptions, folder, options, quiet};
use crate::hub::{headers, resolve};
use crate::{BaseOutline, Licence, ModelError};

const CARD: &[u8] = b"---\nlicense: apache-2.0\n---\n# A model\n";

/// A case of the reference as a repository, with its weights.
fn case() -> (Vec<u8>, Vec<u8>) {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference/llama");
    let read = |name: &str| std::fs::read(case.join(name)).expect("a case");
    (read("config.json"), read("model.safetensors"))
}

#[test]
fn headers_are_fetched_and_weights_are_not() {
    let (config, weights) = case();
    // As large as a model is beside its header.
    let mut large = weights.clone();
    large.resize(weights.len() + (1 << 20), 0);
    let files: &[(&str, &[u8])] =
        &[("config.json", &config), ("README.md", CARD), ("model.safetensors", &large), ("LICENSE", b"x")];
    let (folder, server) = (folder(), Server::start(files, Fault::None));
    let options = options(folder.path(), &server.endpoint);
    let place = headers("o/n", None, &options, &mut quiet).expect("headers");
    let length = u64::from_le_bytes(weights[..8].try_into().expect("eight bytes"));
    let written = std::fs::metadata(place.join("model.safetensors")).expect("there").len();
    assert_eq!(written, 8 + length);
    let outline = BaseOutline::open(&place).expect("an outline");
    assert!(outline.parameters().total() > 0);
    assert_eq!(Licence::of(&place).name(), "apache-2.0");
    let ranges: Vec<String> =
        server.requests().into_iter().filter(|line| line.contains("GET /o/n/bytes/")).collect();
    assert_eq!(ranges.len(), 1, "{ranges:?}");
    assert!(ranges[0].contains("Some((0, 262143))"), "{ranges:?}");

    // The second time nothing is asked, with or without a network; and it is no base.
    let before = server.requests().len();
    assert_eq!(headers("o/n", None, &options, &mut quiet).expect("cached"), place);
    let offline = HubOptions { offline: true, ..options };
    assert_eq!(headers("o/n", Some(COMMIT), &offline, &mut quiet).expect("cached"), place);
    assert_eq!(server.requests().len(), before);
    assert!(matches!(resolve("o/n", None, &offline, &mut quiet), Err(HubError::Offline { .. })));
    assert!(matches!(headers("o/other", None, &offline, &mut quiet), Err(HubError::Offline { .. })));
}

/// In the hub's cache other programs look behind a revision for its weights.
#[test]
fn a_revision_of_which_headers_alone_are_here_is_what_it_was_to_others() {
    const BEFORE: &str = "fedcba9876543210fedcba9876543210fedcba98";
    let (config, weights) = case();
    let files: &[(&str, &[u8])] = &[("config.json", &config), ("model.safetensors", &weights)];
    for before in [Some(BEFORE), None] {
        let (folder, server) = (folder(), Server::start(files, Fault::None));
        let options = options(folder.path(), &server.endpoint);
        let refs = options.hub_cache.join("models--o--n/refs");
        if let Some(commit) = before {
            std::fs::create_dir_all(&refs).expect("made");
            std::fs::write(refs.join("main"), commit).expect("written");
        }
        let place = headers("o/n", None, &options, &mut quiet).expect("headers");
        assert!(place.ends_with(COMMIT), "{}", place.display());
        assert_eq!(std::fs::read_to_string(refs.join("main")).ok().as_deref(), before);
        // It is known here all the same.
        let asked = server.requests().len();
        assert_eq!(headers("o/n", None, &options, &mut quiet).expect("cached"), place);
        assert_eq!(server.requests().len(), asked);
    }
}

#[test]
fn what_has_no_header_is_said() {
    let (config, _) = case();
    let not_found = |files: &[(&str, &[u8])]| {
        let (folder, server) = (folder(), Server::start(files, Fault::None));
        headers("o/n", None, &options(folder.path(), &server.endpoint), &mut quiet)
            .expect_err("refused")
            .to_string()
    };
    let error = not_found(&[("config.json", &config), ("model.safetensors", &[255; 64])]);
    assert!(error.contains("begins with no header of safetensors"), "{error}");
    let error = not_found(&[("config.json", &config), ("model.safetensors", &[1])]);
    assert!(error.contains("begins with no header of safetensors"), "{error}");
    let error = not_found(&[("config.json", &config), ("pytorch_model.bin", b"x")]);
    assert!(error.contains("no model.safetensors"), "{error}");
    let error = not_found(&[("README.md", CARD), ("model.safetensors", &[0; 64])]);
    assert!(error.contains("file config.json"), "{error}");
}

#[test]
fn a_header_longer_than_the_first_range_is_fetched_in_two() {
    let config = br#"{"model_type": "bert"}"#;
    let names: Vec<String> = (0..6000)
        .map(|number| {
            format!("\"tensor.{number:040}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}")
        })
        .collect();
    let text = format!("{{{}}}", names.join(","));
    let mut weights = (text.len() as u64).to_le_bytes().to_vec();
    weights.extend(text.as_bytes());
    assert!(weights.len() > 300 << 10);
    let files: &[(&str, &[u8])] = &[("config.json", config), ("model.safetensors", &weights)];
    let (folder, server) = (folder(), Server::start(files, Fault::None));
    let place = headers("o/n", None, &options(folder.path(), &server.endpoint), &mut quiet).expect("headers");
    assert_eq!(std::fs::read(place.join("model.safetensors")).expect("read"), weights);
    let error = BaseOutline::open(&place).expect_err("an encoder");
    assert!(matches!(error, ModelError::Unsupported { .. }));
    assert!(error.to_string().contains("\"bert\", an encoder, which reads texts and writes none"), "{error}");
}
