//! Bytes as a `.gguf` file: configuration, tokenizer and tensors, or an error.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

/// A file of this process, in memory where the system has such a place.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    place.join(format!("rtune-fuzz-{}.gguf", std::process::id()))
});

fuzz_target!(|input: &[u8]| {
    std::fs::write(&*FILE, input).expect("written");
    let Ok(base) = rtune_models::open(&FILE) else { return };
    for name in base.weights.names() {
        let shape = base.weights.shape(&name).expect("a tensor that is listed has a shape");
        if let Ok(values) = base.weights.read(&name) {
            assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}");
        }
    }
    if let Ok(encoded) = base.tokenizer.encode("a text, as it might be", true) {
        assert!(base.tokenizer.decode(encoded.get_ids(), false).is_ok());
    }
});
