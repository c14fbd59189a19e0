mod bundles;
mod headers;
mod here;
mod places;
mod server;
mod token;
mod vocabulary;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{HubError, HubOptions, Progress, classify, pull, resolve};
use server::{COMMIT, Fault, Server};

/// Options for a test: nothing of the machine's own settings, and no second tries but one.
fn options(folder: &Path, endpoint: &str) -> HubOptions {
    HubOptions {
        endpoint: endpoint.to_owned(),
        token: Some("secret".to_owned()),
        hub_cache: folder.join("hub"),
        rtune_cache: folder.join("rtune"),
        offline: false,
        proxy: None,
        pip_commands: vec![vec!["no-such-program".into()]],
        retries: 1,
        places: rtune_kernels::cuda::Places::default(),
    }
}

fn quiet(_: Progress<'_>) {}

fn folder() -> TempDir {
    tempfile::tempdir().expect("folder")
}

const WEIGHTS: &[u8] = &[7; 5000];
const FILES: &[(&str, &[u8])] = &[
    ("config.json", b"{}"),
    ("tokenizer.json", b"{ }"),
    ("README.md", b"no"),
    ("model.safetensors", WEIGHTS),
    ("tokenizer_config.json", b"{  }"),
    ("generation_config.json", b"{   }"),
    ("quantize_config.json", b"{    }"),
    ("pytorch_model.bin", b"no no"),
];

#[test]
fn a_repository_is_fetched_into_the_hubs_layout() {
    let (folder, server) = (folder(), Server::start(FILES, Fault::None));
    let options = options(folder.path(), &server.endpoint);
    let mut seen = Vec::new();
    let mut progress = |progress: Progress<'_>| {
        seen.push((progress.file.to_owned(), progress.done_bytes, progress.total_bytes))
    };
    let snapshot = resolve("o/n", None, &options, &mut progress).expect("fetched");
    let root = options.hub_cache.join("models--o--n");
    assert_eq!(snapshot, root.join("snapshots").join(COMMIT));
    let mut names: Vec<_> = std::fs::read_dir(&snapshot)
        .expect("folder")
        .map(|entry| entry.expect("entry").file_name())
        .collect();
    names.sort();
    let expected = [
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "quantize_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    assert_eq!(names, expected);
    assert_eq!(std::fs::read(snapshot.join("model.safetensors")).expect("read"), WEIGHTS);
    assert_eq!(std::fs::read_to_string(root.join("refs/main")).expect("read"), COMMIT);
    let (hash, _) = super::files::sha256(WEIGHTS).expect("hash");
    assert!(root.join("blobs").join(hash).is_file());
    assert!(seen.contains(&("model.safetensors".to_owned(), 5000, 5000)));
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.contains("Bearer secret")), "{requests:?}");

    // What is here is taken without a word to the hub; `pull` asks, but fetches nothing again.
    let before = server.requests().len();
    assert_eq!(resolve("o/n", Some(COMMIT), &options, &mut quiet).expect("cached"), snapshot);
    assert_eq!(
        resolve("o/n", None, &HubOptions { offline: true, ..options.clone() }, &mut quiet).expect("cached"),
        snapshot
    );
    assert_eq!(server.requests().len(), before);
    assert_eq!(pull("o/n", None, &options, &mut quiet).expect("pulled"), snapshot);
    assert!(!server.requests()[before..].iter().any(|request| request.starts_with("GET /o/n/")));
}

/// As programs leave it that know the tokenizer without its settings.
#[test]
fn what_another_program_left_out_is_fetched() {
    let (folder, server) = (folder(), Server::start(FILES, Fault::None));
    let options = options(folder.path(), &server.endpoint);
    let root = options.hub_cache.join("models--o--n");
    let snapshot = root.join("snapshots").join(COMMIT);
    std::fs::create_dir_all(&snapshot).expect("made");
    std::fs::create_dir_all(root.join("refs")).expect("made");
    std::fs::write(root.join("refs/main"), COMMIT).expect("written");
    for (name, bytes) in FILES {
        if ["config.json", "tokenizer.json", "model.safetensors"].contains(name) {
            std::fs::write(snapshot.join(name), bytes).expect("written");
        }
    }
    let settings = snapshot.join("tokenizer_config.json");
    // Where nobody can be asked, it is what there is.
    let alone = HubOptions { endpoint: "http://127.0.0.1:9".to_owned(), retries: 0, ..options.clone() };
    for alone in [HubOptions { offline: true, ..options.clone() }, alone] {
        assert_eq!(resolve("o/n", None, &alone, &mut quiet).expect("here"), snapshot);
        assert!(!settings.exists());
    }
    assert_eq!(resolve("o/n", None, &options, &mut quiet).expect("completed"), snapshot);
    assert_eq!(std::fs::read(&settings).expect("read"), b"{  }");
    assert!(snapshot.join("generation_config.json").is_file());
    let requests = server.requests();
    assert!(!requests.iter().any(|request| request.contains("model.safetensors")), "{requests:?}");

    // A repository that has none is asked once.
    let without: Vec<_> =
        FILES.iter().copied().filter(|(name, _)| *name != "tokenizer_config.json").collect();
    let server = Server::start(&without, Fault::None);
    let options = HubOptions { endpoint: server.endpoint.clone(), ..options };
    std::fs::remove_file(&settings).expect("removed");
    assert_eq!(resolve("o/n", None, &options, &mut quiet).expect("asked"), snapshot);
    let asked = server.requests().len();
    assert!(asked > 0);
    assert_eq!(resolve("o/n", Some(COMMIT), &options, &mut quiet).expect("known"), snapshot);
    assert_eq!(server.requests().len(), asked);
}

/// The hash of the weights is behind a redirection to the repository's new name, or comes with the second answer.
#[test]
fn the_hash_of_a_large_file_is_not_given_up() {
    let (hash, _) = super::files::sha256(WEIGHTS).expect("hash");
    for fault in [Fault::Renamed, Fault::BusyOnce] {
        let (folder, server) = (folder(), Server::start(FILES, fault));
        let options = options(folder.path(), &server.endpoint);
        pull("o/n", None, &options, &mut quiet).expect("fetched");
        let blobs = options.hub_cache.join("models--o--n/blobs");
        assert!(blobs.join(&hash).is_file(), "{fault:?}: its name is its hash");
    }
    let (folder, server) = (folder(), Server::start(FILES, Fault::RenamedAltered));
    let error = pull("o/n", None, &options(folder.path(), &server.endpoint), &mut quiet);
    let text = error.expect_err("altered").to_string();
    assert!(text.contains("model.safetensors") && text.contains("expected sha256"), "{text}");
    // No hash at all is an error where the hub does not answer.
    let server = Server::start(FILES, Fault::BusyOnce);
    let options = HubOptions { retries: 0, ..options(folder.path(), &server.endpoint) };
    let text = pull("o/n", None, &options, &mut quiet).expect_err("busy").to_string();
    assert!(text.contains("HTTP 503 for the hash of model.safetensors"), "{text}");
}

#[test]
fn a_broken_download_goes_on() {
    let (folder, server) = (folder(), Server::start(FILES, Fault::CutOnce));
    let options = options(folder.path(), &server.endpoint);
    let snapshot = pull("o/n", None, &options, &mut quiet).expect("fetched");
    assert_eq!(std::fs::read(snapshot.join("model.safetensors")).expect("read"), WEIGHTS);

    // Another program's rest, or that of an earlier run, is completed by a range.
    let (hash, _) = super::files::sha256(WEIGHTS).expect("hash");
    let blob = options.hub_cache.join("models--o--n/blobs").join(&hash);
    std::fs::remove_file(&blob).expect("remove");
    std::fs::write(blob.with_file_name(format!("{hash}.incomplete")), &WEIGHTS[..1234]).expect("write");
    pull("o/n", None, &options, &mut quiet).expect("completed");
    assert_eq!(std::fs::read(snapshot.join("model.safetensors")).expect("read"), WEIGHTS);
    assert!(server.requests().iter().any(|request| request.contains("Some((1234, 4999))")));
}

#[test]
fn what_an_address_carries_is_not_told() {
    for fault in [Fault::None, Fault::Elsewhere, Fault::Status(418), Fault::Status(401)] {
        let (folder, server) = (folder(), Server::start(FILES, fault));
        let options = options(folder.path(), &server.endpoint.replace("http://", "http://me:password@"));
        let mut places = Vec::new();
        let pulled = pull("o/n", None, &options, &mut |progress| places.push(progress.place.to_owned()));
        let told = match pulled {
            Ok(_) => String::new(),
            Err(error) => format!("{error} {error:?} {:?}", error.hint()),
        };
        assert_eq!(told.is_empty(), fault == Fault::None, "{told}");
        assert!(!told.contains("permission") && !told.contains("password"), "{told}");
        assert!(places.iter().all(|place| *place == server.endpoint), "{places:?}");
    }
    // Nobody is there at all.
    let folder = folder();
    let error = pull("o/n", None, &options(folder.path(), "http://me:password@127.0.0.1:1"), &mut quiet);
    let told = error.expect_err("nobody").to_string();
    assert!(told.contains("http://127.0.0.1:1 cannot be reached") && !told.contains("password"), "{told}");
}

#[test]
fn shards_are_fetched_by_the_index() {
    let index = br#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
    let files: &[(&str, &[u8])] = &[
        ("config.json", b"{}"),
        ("tokenizer.json", b"{ }"),
        ("model.safetensors.index.json", index),
        ("model-1.safetensors", b"one"),
        ("model-2.safetensors", b"two!"),
        ("other.safetensors", b"other"),
    ];
    let (folder, server) = (folder(), Server::start(files, Fault::None));
    let options = options(folder.path(), &server.endpoint);
    let snapshot = resolve("o/n", Some("v1/x"), &options, &mut quiet).expect("fetched");
    assert_eq!(std::fs::read(snapshot.join("model-2.safetensors")).expect("read"), b"two!");
    assert!(!snapshot.join("other.safetensors").exists());
    std::fs::remove_file(snapshot.join("model-1.safetensors")).expect("remove");
    let offline = HubOptions { offline: true, ..options };
    assert!(matches!(resolve("o/n", Some("v1/x"), &offline, &mut quiet), Err(HubError::Offline { .. })));
    let server = Server::start(&files[..4], Fault::None);
    let error = resolve("o/n", None, &self::options(folder.path(), &server.endpoint), &mut quiet)
        .expect_err("a shard less");
    assert!(error.to_string().contains("file model-2.safetensors"), "{error}");
}

#[test]
fn each_failure_has_its_own_message() {
    let (folder, server) = (folder(), Server::start(FILES, Fault::None));
    let options = options(folder.path(), &server.endpoint);
    let fail = |fault: Fault, token: Option<&str>, revision: Option<&str>| {
        server.set_fault(fault);
        let options = HubOptions { token: token.map(str::to_owned), ..options.clone() };
        let error = pull("o/n", revision, &options, &mut quiet).expect_err("must fail");
        (error.to_string(), error.hint().unwrap_or_default())
    };
    for fault in [Fault::Status(401), Fault::FileStatus(401)] {
        let (text, hint) = fail(fault, None, None);
        assert!(
            text.contains("o/n: the hub refuses access (HTTP 401): a test") && hint.contains("set HF_TOKEN"),
            "{text}"
        );
    }
    let (text, hint) = fail(Fault::FileStatus(403), Some("secret"), None);
    assert!(text.contains("HTTP 403") && hint.contains("was sent and is not enough"), "{text} {hint}");
    assert!(fail(Fault::None, None, Some("missing")).0.contains("no revision missing (HTTP 404)"));
    assert!(fail(Fault::FileStatus(404), None, None).0.contains("no file config.json"));
    let (text, _) = fail(Fault::Status(418), None, None);
    assert!(text.contains("gave a wrong answer") && text.contains("418"), "{text}");
    assert!(fail(Fault::Status(407), None, None).0.contains("the proxy of the system"));
    let (text, _) = fail(Fault::Altered, None, None);
    assert!(
        text.contains("model.safetensors")
            && text.contains("expected sha256")
            && text.contains("found sha256"),
        "{text}"
    );
    assert!(
        !folder.path().join("hub/models--o--n/snapshots").join(COMMIT).join("model.safetensors").exists()
    );
    server.set_fault(Fault::None);
    pull("o/n", None, &options, &mut quiet).expect("nothing wrong was kept");
}

#[test]
fn no_network_and_a_proxy_are_told_apart() {
    let folder = folder();
    let mut options = options(folder.path(), "http://127.0.0.1:9");
    options.retries = 0;
    let error = resolve("o/n", None, &options, &mut quiet).expect_err("nobody listens");
    assert!(error.to_string().contains("http://127.0.0.1:9 cannot be reached"), "{error}");
    options.proxy = Some("http://me:secret@proxy:3128".to_owned());
    let error = resolve("o/n", None, &options, &mut quiet).expect_err("nobody listens");
    assert!(error.to_string().contains("the proxy http://proxy:3128 did not let"), "{error}");
    options.offline = true;
    let error = resolve("o/n", None, &options, &mut quiet).expect_err("offline");
    assert!(error.to_string().contains("HF_HUB_OFFLINE") && error.hint().is_some(), "{error}");
}

#[test]
fn repositories_of_other_formats_are_named() {
    for (name, hint) in [("model.Q4_K_M.gguf", ".gguf files"), ("pytorch_model.bin", "safetensors and GGUF")]
    {
        let (folder, server) =
            (folder(), Server::start(&[("config.json", b"{}"), (name, b"x")], Fault::None));
        let error =
            pull("o/n", None, &options(folder.path(), &server.endpoint), &mut quiet).expect_err("no weights");
        assert!(error.to_string().contains(name), "{error}");
        assert!(error.hint().is_some_and(|text| text.contains(hint)), "{error:?}");
    }
}

#[test]
fn what_a_base_is() {
    let folder = folder();
    let gguf = folder.path().join("a.gguf");
    std::fs::write(&gguf, b"x").expect("write");
    let options = options(folder.path(), "http://127.0.0.1:9");
    for path in [folder.path(), &gguf] {
        let base = path.to_str().expect("UTF-8");
        assert_eq!(resolve(base, None, &options, &mut quiet).expect("a path"), PathBuf::from(base));
    }
    for (base, revision, expected, hint) in [
        ("smollm2-135m-instuct", None, "unknown base model", "did you mean smollm2-135m-instruct?"),
        ("smollm2", None, "unknown base model", "did you mean smollm2-135m-instruct?"),
        ("llama", None, "unknown base model `llama`", "aliases: smollm2-135m-instruct"),
        ("./nothing", None, "no such file or folder", "working directory"),
        ("x/nothing.gguf", None, "no such file or folder", "working directory"),
        ("../../x", None, "no such file or folder", "working directory"),
        ("a/b/c", None, "no such file or folder", "working directory"),
        ("smollm2-135m-instruct", Some("main"), "has no revisions", "leave `revision` out"),
        ("o/n", Some("../x"), "`../x` is no revision", ""),
    ] {
        let error = classify(base, revision).expect_err("must be refused");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().unwrap_or_default().contains(hint), "{error:?}");
    }
}
