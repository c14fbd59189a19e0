//! A folder with a tiny model, a few rows and a configuration, in which the real program runs.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rtune_data::stream;
use rtune_models::{DecoderSpec, ModelConfig};
use safetensors::tensor::{Dtype, TensorView};

const TEMPLATE: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + \
    '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// Sizes of the tiny model.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
}

pub(crate) const TINY: Sizes = Sizes { hidden: 16, layers: 2 };
const HEAD_DIM: usize = 8;
const KV_HEADS: usize = 1;
/// Tokens that are bytes.
pub(crate) const BYTES: usize = 256;

/// The folder; it goes when this is dropped.
pub(crate) struct Workplace {
    folder: tempfile::TempDir,
}

/// What a command did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Checks the exit code and that standard error holds each of `parts`.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "expected {part:?} in:\n{}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }

    /// Checks that a run came to its end, of whatever use its adapter is: few steps of a tiny model may be of none.
    #[track_caller]
    pub(crate) fn ends(&self) {
        let is_useless = self.code == 1
            && self.stderr.contains("warning: the adapter is of no use on the validation rows");
        assert!(self.code == 0 || is_useless, "{}\n{}", self.stdout, self.stderr);
    }

    #[track_caller]
    pub(crate) fn succeeds(&self) {
        assert_eq!(self.code, 0, "{}\n{}", self.stdout, self.stderr);
    }
}

impl Workplace {
    /// The model in `model/`, 24 rows in `train.jsonl`, and `config.toml` for a run of 6 steps into `run/`.
    pub(crate) fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder") };
        write_model(&place.path("model"), TINY);
        place.write("train.jsonl", rows(0..24));
        place.write("config.toml", CONFIG);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What stands there of a folder or file whose writing was begun and not finished.
    pub(crate) fn begun(&self, name: &str) -> Vec<PathBuf> {
        let start = format!(".{name}.");
        let entries = fs::read_dir(self.folder.path()).expect("there").map(|entry| entry.expect("an entry"));
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&start))
            .map(|entry| entry.path())
            .collect()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("written");
    }

    /// The program with `arguments`, not started yet: no network, and no home but this folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rtune"));
        self.settle(&mut command);
        command.args(arguments);
        command
    }

    /// Gives any command the folder and the environment of the tests.
    pub(crate) fn settle(&self, command: &mut Command) {
        for name in
            ["HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN", "XDG_CACHE_HOME"]
        {
            command.env_remove(name);
        }
        command.current_dir(self.folder.path()).env("HOME", self.folder.path());
        command.env("RTUNE_CACHE", self.path("cache")).env("HF_HUB_OFFLINE", "1");
    }

    /// Runs the program to its end.
    pub(crate) fn rtune(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("started"))
    }

    /// `rtune train config.toml` with `--set` for each of `overrides`.
    pub(crate) fn train(&self, overrides: &[&str]) -> Ran {
        let mut arguments = vec!["train", "config.toml"];
        for argument in overrides {
            arguments.extend(["--set", argument]);
        }
        self.rtune(&arguments)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

pub(crate) const CONFIG: &str = "\
[model]
base = \"model\"
[lora]
rank = 4
[data]
train = \"train.jsonl\"
validation = 0.2
[train]
steps = 6
rows-per-step = 4
micro-batch-tokens = 128
learning-rate = 0.01
[checkpoint]
every = 2
[eval]
every = 3
samples = 0
general = false
[output]
dir = \"run\"
";

/// Rows of a little task: say which letter was asked for.
pub(crate) fn rows(numbers: std::ops::Range<u32>) -> String {
    let mut text = String::new();
    for number in numbers {
        let letter = char::from(b'a' + (number % 26) as u8);
        let _ = writeln!(
            text,
            "{{\"instruction\": \"Letter {number}?\", \"input\": \"It is {letter}.\", \"output\": \"{letter}{letter}\"}}"
        );
    }
    text
}

/// A Llama with random weights, a byte-level tokenizer and a chat template, in the hub's layout.
pub(crate) fn write_model(folder: &Path, sizes: Sizes) {
    write_base(folder, config(sizes));
}

/// [`write_model`] with biases in the linears.
pub(crate) fn write_biased_model(folder: &Path, sizes: Sizes) {
    let mut config = config(sizes);
    config["attention_bias"] = true.into();
    config["mlp_bias"] = true.into();
    write_base(folder, config);
}

/// The configuration of [`write_model`].
pub(crate) fn config(sizes: Sizes) -> serde_json::Value {
    let Sizes { hidden, layers } = sizes;
    serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": hidden, "intermediate_size": 2 * hidden, "num_hidden_layers": layers,
        "num_attention_heads": hidden / HEAD_DIM, "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 8192, "tie_word_embeddings": true})
}

/// How a base is spoken to.
pub(crate) struct Speech<'a> {
    pub(crate) template: &'a str,
    /// Special tokens, from id [`BYTES`] on.
    pub(crate) special: &'a [&'a str],
    pub(crate) bos: Option<&'a str>,
    pub(crate) eos: &'a str,
    /// Whether the tokenizer puts BOS before every text.
    pub(crate) adds_bos: bool,
}

pub(crate) const CHATML: Speech<'static> = Speech {
    template: TEMPLATE,
    special: &["<|im_start|>", "<|im_end|>"],
    bos: Some("<|im_start|>"),
    eos: "<|im_end|>",
    adds_bos: false,
};

/// [`write_model`] for any configuration, which is given the tokenizer's sizes.
pub(crate) fn write_base(folder: &Path, config: serde_json::Value) {
    write_speaking_base(folder, config, &CHATML);
}

/// [`write_base`] that is spoken to in another way.
pub(crate) fn write_speaking_base(folder: &Path, mut config: serde_json::Value, speech: &Speech<'_>) {
    fs::create_dir_all(folder).expect("made");
    let id = |token: &str| speech.special.iter().position(|known| *known == token).map(|at| BYTES + at);
    config["vocab_size"] = (BYTES + speech.special.len()).into();
    config["bos_token_id"] = speech.bos.and_then(id).into();
    config["eos_token_id"] = id(speech.eos).into();
    fs::write(folder.join("config.json"), config.to_string()).expect("written");
    fs::write(folder.join("tokenizer.json"), tokenizer(speech).to_string()).expect("written");
    let settings = serde_json::json!({"chat_template": speech.template, "eos_token": speech.eos, "bos_token": speech.bos,
        "tokenizer_class": "PreTrainedTokenizerFast"});
    fs::write(folder.join("tokenizer_config.json"), settings.to_string()).expect("written");
    let config = ModelConfig::from_file(&folder.join("config.json")).expect("a configuration");
    fs::write(folder.join("model.safetensors"), weights(&DecoderSpec::new(&config))).expect("written");
}

fn tokenizer(speech: &Speech<'_>) -> serde_json::Value {
    let mut vocabulary = serde_json::Map::new();
    for (id, letter) in byte_letters().into_iter().enumerate() {
        vocabulary.insert(letter.to_string(), id.into());
    }
    let added: Vec<_> = speech
        .special
        .iter()
        .enumerate()
        .map(|(index, text)| {
            serde_json::json!({"id": BYTES + index, "content": text, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let bytes = serde_json::json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true});
    let leading = speech.bos.filter(|_| speech.adds_bos).map(|bos| {
        let id =
            vec![BYTES + speech.special.iter().position(|token| *token == bos).expect("a special token")];
        let [first, text] = [
            serde_json::json!({"SpecialToken": {"id": bos, "type_id": 0}}),
            serde_json::json!({"Sequence": {"id": "A", "type_id": 0}}),
        ];
        serde_json::json!({"type": "TemplateProcessing", "single": [first, text], "pair": [first, text],
            "special_tokens": {bos: {"id": bos, "ids": id, "tokens": [bos]}}})
    });
    serde_json::json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": bytes, "post_processor": leading, "decoder": bytes,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": []}})
}

/// The printable letter that stands for each byte in a byte-level vocabulary (GPT-2's).
fn byte_letters() -> Vec<char> {
    let stands_for_itself = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut next = 256;
    let mut letter = |byte: u32| {
        if stands_for_itself(byte) {
            return byte;
        }
        next += 1;
        next - 1
    };
    (0..256).map(|byte| char::from_u32(letter(byte)).expect("a letter")).collect()
}

fn weights(spec: &DecoderSpec) -> Vec<u8> {
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = spec
        .tensors()
        .into_iter()
        .map(|tensor| {
            let bytes = random_bytes(&tensor.name, &tensor.shape);
            (tensor.in_files, tensor.shape, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor"))
    });
    safetensors::serialize(views, None).expect("a file")
}

/// Norms are ones; everything else is uniform with the variance of a trained model's start.
fn random_bytes(name: &str, shape: &[usize]) -> Vec<u8> {
    use rand_core::Rng;
    let mut random = stream(1, "test-weights", name, 0);
    let bound = if shape.len() == 1 { 0.0 } else { (3.0 / shape[1] as f32).sqrt() };
    let base = if shape.len() == 1 { 1.0 } else { 0.0 };
    let count: usize = shape.iter().product();
    let number = |_| base + bound * ((random.next_u64() >> 40) as f32 / (1u64 << 23) as f32 - 1.0);
    (0..count).map(number).flat_map(f32::to_le_bytes).collect()
}
