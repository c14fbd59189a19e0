//! Bytes as a `model.safetensors`, plain or with the tensors of a quantised model: numbers or an error for every tensor.
//!
//! The first byte chooses what `config.json` says of the quantisation, the rest is the file.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rtune_models::open_weights;

const SETTINGS: [&str; 7] = [
    r#"{}"#,
    r#"{"quantization_config":{"quant_method":"bitsandbytes","load_in_4bit":true}}"#,
    r#"{"quantization_config":{"quant_method":"gptq","bits":4,"group_size":32}}"#,
    r#"{"quantization_config":{"quant_method":"gptq","bits":3,"group_size":-1,"checkpoint_format":"gptq_v2"}}"#,
    r#"{"quantization_config":{"quant_method":"gptq","bits":8,"group_size":16,"dynamic":{"a":{"bits":2}}}}"#,
    r#"{"quantization_config":{"quant_method":"awq","bits":4,"group_size":32,"version":"gemm"}}"#,
    r#"{"quantization_config":{"quant_method":"awq","bits":4,"group_size":-1}}"#,
];

/// A folder of this process, in memory where the system has such a place.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = place.join(format!("rtune-fuzz-safetensors-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
});

fuzz_target!(|input: &[u8]| {
    let Some((&first, file)) = input.split_first() else { return };
    std::fs::write(FOLDER.join("config.json"), SETTINGS[usize::from(first) % SETTINGS.len()])
        .expect("written");
    std::fs::write(FOLDER.join("model.safetensors"), file).expect("written");
    let Ok((weights, _)) = open_weights(&FOLDER) else { return };
    for name in weights.names() {
        let shape = weights.shape(&name).expect("a tensor that is listed has a shape");
        assert!(weights.precision(&name).is_some());
        if let Ok(values) = weights.read(&name) {
            assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}");
        }
        if let Ok(Some(weight)) = weights.read_nf4(&name) {
            assert_eq!(weight.rows() * weight.columns(), shape.iter().product::<usize>(), "{name}");
        }
    }
});
