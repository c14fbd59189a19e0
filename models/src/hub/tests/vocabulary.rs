//! Repositories without tokenizer.json.

use super::server::{COMMIT, Fault, Server};
use super::{FILES, folder, options, quiet};
use crate::hub::{HubError, HubOptions, pull, resolve};

/// The layout of BERT's slow tokenizer, as many name models have it.
#[test]
fn a_vocabulary_stands_for_a_tokenizer() {
    let mut files: Vec<(&str, &[u8])> =
        FILES.iter().copied().filter(|(name, _)| *name != "tokenizer.json").collect();
    let (place, server) = (folder(), Server::start(&files, Fault::None));
    let neither = pull("o/n", None, &options(place.path(), &server.endpoint), &mut quiet);
    assert!(
        matches!(&neither, Err(HubError::NotFound { what, .. }) if what == "file tokenizer.json"),
        "{neither:?}"
    );

    files.push(("vocab.txt", b"[PAD]\n[UNK]\n"));
    let server = Server::start(&files, Fault::None);
    let options = options(place.path(), &server.endpoint);
    let snapshot = pull("o/n", None, &options, &mut quiet).expect("fetched");
    assert_eq!(snapshot.file_name().and_then(|name| name.to_str()), Some(COMMIT));
    assert_eq!(std::fs::read(snapshot.join("vocab.txt")).expect("there"), b"[PAD]\n[UNK]\n");
    let offline = HubOptions { offline: true, ..options.clone() };
    assert_eq!(resolve("o/n", None, &offline, &mut quiet).expect("whole"), snapshot);
    std::fs::remove_file(snapshot.join("vocab.txt")).expect("removed");
    assert!(resolve("o/n", None, &offline, &mut quiet).is_err());

    // With a tokenizer the vocabulary is not asked for.
    files.extend(FILES.iter().copied().filter(|(name, _)| *name == "tokenizer.json"));
    let (place, server) = (folder(), Server::start(&files, Fault::None));
    let snapshot =
        pull("o/n", None, &super::options(place.path(), &server.endpoint), &mut quiet).expect("fetched");
    assert!(snapshot.join("tokenizer.json").is_file() && !snapshot.join("vocab.txt").exists());
}
