//! What is on disk, where the hub refuses or others are at work.

use std::path::PathBuf;

use super::server::{COMMIT, Fault, Server};
use super::{FILES, HubError, HubOptions, folder, options, quiet, resolve};

/// A snapshot as another program left it: whole, but for the tokenizer's settings.
fn left_by_another(options: &HubOptions) -> PathBuf {
    let root = options.hub_cache.join("models--o--n");
    let snapshot = root.join("snapshots").join(COMMIT);
    for folder in [&snapshot, &root.join("refs")] {
        std::fs::create_dir_all(folder).expect("made");
    }
    std::fs::write(root.join("refs/main"), COMMIT).expect("written");
    for (name, bytes) in FILES {
        if ["config.json", "tokenizer.json", "model.safetensors"].contains(name) {
            std::fs::write(snapshot.join(name), bytes).expect("written");
        }
    }
    snapshot
}

/// The hub says 401 of a repository that it has no more, and of one that was closed; of one behind a gate it shows the list and refuses
/// the files. What is whole is used all the same, and completed once it can be.
#[test]
fn a_whole_base_is_used_where_the_hub_refuses() {
    let statuses = [401, 403, 404, 503];
    for fault in statuses.into_iter().flat_map(|status| [Fault::Status(status), Fault::FileStatus(status)]) {
        let (folder, server) = (folder(), Server::start(FILES, fault));
        let options = HubOptions { retries: 0, ..options(folder.path(), &server.endpoint) };
        let snapshot = left_by_another(&options);
        for revision in [None, Some(COMMIT)] {
            let found = resolve("o/n", revision, &options, &mut quiet);
            assert_eq!(found.unwrap_or_else(|error| panic!("{fault:?}: {error}")), snapshot);
        }
        assert!(!server.requests().is_empty(), "{fault:?}: it was asked");
        let settings = snapshot.join("tokenizer_config.json");
        assert!(!settings.exists());
        server.set_fault(Fault::None);
        assert_eq!(resolve("o/n", None, &options, &mut quiet).expect("completed"), snapshot);
        assert_eq!(std::fs::read(&settings).expect("read"), b"{  }", "{fault:?}");
    }
}

/// A disk that cannot be written to is said: the next one would ask the hub again, and the next.
#[test]
fn a_base_that_cannot_be_completed_for_its_disk_is_said() {
    let (folder, server) = (folder(), Server::start(FILES, Fault::None));
    let options = options(folder.path(), &server.endpoint);
    left_by_another(&options);
    std::fs::write(options.hub_cache.join("models--o--n/blobs"), "no folder").expect("written");
    let error = resolve("o/n", None, &options, &mut quiet).expect_err("nowhere to write to");
    assert!(matches!(error, HubError::Io { .. }), "{error}");
}
