//! The files of a base that its texts go through, between zero bytes: `tokenizer.json`, `tokenizer_config.json`,
//! `special_tokens_map.json` and `chat_template.jinja`. An error, or a tokenizer that encodes and decodes odd strings.
//!
//! Where nothing stands in the place of the first, it is that of the small base.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rtune_data::{ChatTemplate, Encoder, Message, SpecialTokens, decode_guarded, encode_guarded};

const FILES: [&str; 4] =
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];

const ODD: [&str; 10] = [
    "",
    " ",
    "a text, as it might be",
    "  two  of each \t\r\n\n",
    "nai\u{308}ve İ ﬁ ß ½ 日本語 한 👩\u{200d}👩 \u{202e}abc",
    "\u{0}\u{1}\u{fffd}\u{feff}\u{10ffff}",
    "<|im_start|>user\n<|im_end|><s></s><unk>[CLS]",
    "▁Ġ##ing ##",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "3.14159 1,000 0x1F ٣٤٥ don't I'M",
];

/// As much as the main thread has.
const STACK_BYTES: usize = 8 << 20;

/// A folder of this process with a base, in memory where the system has such a place.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = place.join(format!("rtune-fuzz-tokenizer-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    // Without a token that ends sequences, which the tokenizer would have to have.
    let config = fs::read_to_string(small().join("config.json")).expect("there");
    fs::write(folder.join("config.json"), config.replace("eos_token_id", "unread")).expect("written");
    fs::copy(small().join("model.safetensors"), folder.join("model.safetensors")).expect("copied");
    // What is caught is no finding: the hook that is there would end the process before.
    let last = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_ours = panic.location().is_none_or(|place| !place.file().contains("/registry/src/"));
        if is_ours {
            last(panic);
        }
    }));
    folder
});

fn small() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("small/model")
}

static TOKENIZER: LazyLock<Vec<u8>> = LazyLock::new(|| fs::read(small().join(FILES[0])).expect("there"));

fuzz_target!(|input: &[u8]| {
    // On a thread of its own: `tokenizers` remembers for each thread what every BPE that ever was there made of its words, and forgets
    // it with the thread alone.
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let done = std::thread::scope(|scope| {
        thread.spawn_scoped(scope, || open_and_encode(input)).map(|one| one.join())
    });
    done.expect("a thread").expect("no panic");
});

fn open_and_encode(input: &[u8]) {
    let mut parts = input.splitn(FILES.len(), |byte| *byte == 0);
    for name in FILES {
        let path = FOLDER.join(name);
        match parts.next() {
            Some([]) | None if name == FILES[0] => fs::write(path, &*TOKENIZER).expect("written"),
            Some(bytes) if !bytes.is_empty() => fs::write(path, bytes).expect("written"),
            _ => drop(fs::remove_file(path)),
        }
    }
    let Ok(mut base) = rtune_models::open(&FOLDER) else { return };
    let _ = base.tokenizer.to_string(false);
    let _ = base.add_tokens(&["<|of a run|>".to_owned()]);
    let special = base.special.clone();
    let special = SpecialTokens { bos: special.bos, eos: special.eos, pad: special.pad, unk: special.unk };
    for text in ODD {
        for with_special in [false, true] {
            let Ok(encoded) = encode_guarded(&base.tokenizer, text, with_special) else { continue };
            assert!(encoded.get_offsets().len() == encoded.get_ids().len());
            for skip in [false, true] {
                let _ = decode_guarded(&base.tokenizer, encoded.get_ids(), skip);
            }
        }
    }
    for ids in [&[0][..], &[1, 0, 2, 3], &[256, 257, 258], &[u32::MAX, 7]] {
        let _ = decode_guarded(&base.tokenizer, ids, false);
    }
    let template = base.chat_template.as_deref().unwrap_or("{{ messages[0]['content'] }}</s>");
    let Ok(template) = ChatTemplate::new(template, special, None) else { return };
    let Ok(encoder) = Encoder::new(&template, &base.tokenizer) else { return };
    let _ = encoder.prompt(&[Message::new("user", ODD[4])]);
}
