//! Bytes as a `config.json`: a configuration or an error, and one that is written reads as the same.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rtune_models::{DecoderSpec, ModelConfig};

/// A folder of this process, in memory where the system has such a place.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = place.join(format!("rtune-fuzz-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
});

fuzz_target!(|input: &[u8]| {
    let path = FOLDER.join("config.json");
    std::fs::write(&path, input).expect("written");
    let Ok(mut config) = ModelConfig::from_file(&path) else { return };
    let spec = DecoderSpec::new(&config);
    assert!(spec.tensors().iter().all(|tensor| !tensor.shape.is_empty()));
    if let Some(json) = config.to_json("bfloat16") {
        std::fs::write(&path, json.to_string()).expect("written");
        // Of a family's names the first is written.
        config.model_type = config.family.model_types[0].to_owned();
        assert_eq!(ModelConfig::from_file(&path).expect("what was written is read"), config);
    }
});
