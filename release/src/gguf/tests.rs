use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rtune_models::{HostTensor, ModelError, Precision, Take, TensorRole, WeightSource};

use super::*;

const NO_CHAT: Chat<'static> = Chat { template: None, end_of_turn: None, stop_tokens: &[] };

fn base(name: &str) -> BaseModel {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/gguf");
    rtune_models::open(&fixtures.join(name).join("model.gguf")).expect("a base")
}

fn write(base: &BaseModel, name: &str) -> Result<Vec<u8>, ReleaseError> {
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("out.gguf");
    let written = write_gguf(&out, base, Content::Base, GgufType::Q8_0, name, NO_CHAT, &mut |_, _| {});
    let left: Vec<PathBuf> =
        fs::read_dir(home.path()).expect("there").map(|entry| entry.expect("an entry").path()).collect();
    match written {
        Ok(_) => assert_eq!(left, std::slice::from_ref(&out)),
        Err(error) => {
            assert!(left.is_empty(), "{left:?}");
            assert!(!error.to_string().contains(".partial"), "{error}");
            return Err(error);
        }
    }
    Ok(fs::read(&out).expect("read"))
}

/// Weights whose tables are never read whole, and come in small pieces, the last first.
struct InPieces {
    source: Arc<dyn WeightSource>,
    tables: Vec<String>,
}

impl WeightSource for InPieces {
    fn path(&self) -> &Path {
        self.source.path()
    }
    fn names(&self) -> Vec<String> {
        self.source.names()
    }
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.source.shape(name)
    }
    fn precision(&self, name: &str) -> Option<Precision> {
        self.source.precision(name)
    }
    fn read(&self, name: &str) -> Result<HostTensor, ModelError> {
        assert!(!self.tables.iter().any(|table| table == name), "`{name}` is read whole");
        self.source.read(name)
    }
    fn read_pieces(&self, name: &str, take: &Take<'_>) -> Result<(), ModelError> {
        let values = self.source.read(name)?.into_f32();
        let pieces: Vec<_> = values.chunks(4096).enumerate().collect();
        pieces
            .into_iter()
            .rev()
            .try_for_each(|(number, piece)| take(number * 4096, rtune_models::Piece::F32(piece)))
    }
}

#[test]
fn tables_are_never_whole_in_memory() {
    for name in ["llama", "gemma", "gpt_neox"] {
        let mut base = base(name);
        let whole = write(&base, "name").expect("written");
        let tensors = DecoderSpec::new(&base.config).tensors().into_iter();
        let tables = tensors.filter(|tensor| matches!(tensor.role, TensorRole::Embedding | TensorRole::Head));
        let tables = tables.map(|tensor| tensor.name).collect();
        base.weights = Arc::new(InPieces { source: Arc::clone(&base.weights), tables });
        assert!(write(&base, "name").expect("written") == whole, "{name}");
    }
}

#[test]
fn white_space_behind_special_tokens_is_what_the_name_says() {
    let name_of = |bytes: &[u8]| {
        let key = b"general.name";
        let start = bytes.windows(key.len()).position(|part| part == key).expect("the key") + key.len() + 4;
        let length = u64::from_le_bytes(bytes[start..start + 8].try_into().expect("eight")) as usize;
        String::from_utf8(bytes[start + 8..start + 8 + length].to_vec()).expect("a text")
    };
    for (base_name, wanted, found) in [
        ("phi3_partial", "support", "support-phi3"),
        ("phi3_partial", "support-Phi-3", "support-Phi-3"),
        ("llama", "support-Phi-3", "support-Phi 3"),
        ("llama", "support", "support"),
    ] {
        let bytes = write(&base(base_name), wanted).expect("written");
        assert_eq!(name_of(&bytes), found, "{base_name}");
    }
    // Of two tokens one swallows what is behind it: no name says that.
    let mut mixed = base("llama");
    let text = mixed.tokenizer.to_string(false).expect("JSON");
    let mut json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for token in json["added_tokens"].as_array_mut().expect("a list") {
        token["rstrip"] = (token["content"] == "</s>" || token["content"] == "<s>").into();
    }
    mixed.tokenizer = json.to_string().parse().expect("a tokenizer");
    let error = write(&mixed, "support").expect_err("refused");
    assert!(matches!(&error, ReleaseError::NotEqual { problem, .. } if problem.contains("<s>")), "{error}");
}

/// A checkpoint without the head that it has.
struct Headless(Arc<dyn WeightSource>);

impl WeightSource for Headless {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn names(&self) -> Vec<String> {
        self.0.names().into_iter().filter(|name| name != "lm_head.weight").collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.shape(name).filter(|_| name != "lm_head.weight")
    }

    fn precision(&self, name: &str) -> Option<Precision> {
        self.0.precision(name)
    }

    fn read(&self, name: &str) -> Result<HostTensor, ModelError> {
        self.0.read(name)
    }
}

/// llama.cpp loads no GPT-NeoX and no OLMo 2 without a head of its own.
#[test]
fn an_embedding_that_is_the_head_is_written_twice_where_a_head_is_looked_for() {
    for (name, embedding) in [("gpt_neox", "gpt_neox.embed_in"), ("olmo2", "model.embed_tokens")] {
        let mut tied = base(name);
        tied.config.tie_word_embeddings = true;
        tied.weights = Arc::new(Headless(tied.weights));
        let home = tempfile::tempdir().expect("a folder");
        let out = home.path().join("out.gguf");
        write_gguf(&out, &tied, Content::Base, GgufType::F32, name, NO_CHAT, &mut |_, _| {})
            .expect("written");
        let read = rtune_models::open(&out).expect("read");
        assert!(!read.config.tie_word_embeddings, "{name}");
        let [table, head] = [embedding, "lm_head"]
            .map(|stem| read.weights.read(&format!("{stem}.weight")).expect("there").into_f32());
        assert_eq!(
            table,
            tied.weights.read(&format!("{embedding}.weight")).expect("there").into_f32(),
            "{name}"
        );
        assert_eq!(table, head, "{name}");
    }
}

#[test]
fn tensors_that_are_not_the_decoders_are_named() {
    let whole = base("llama");
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("out.gguf");
    write_gguf(&out, &whole, Content::Base, GgufType::F32, "name", NO_CHAT, &mut |_, _| {}).expect("written");
    check::refuse_other(&out, &out, &whole, false).expect("the same");
    let file = rtune_models::open(&out).expect("read").weights;
    let told =
        |base: &BaseModel| check::same_tensors(&base.config, file.as_ref()).expect_err("another model");
    assert!(told(&base("qwen2")).ends_with(" is missing"), "{}", told(&base("qwen2")));
    let mut narrow = base("llama");
    narrow.config.intermediate_size /= 2;
    assert!(told(&narrow).contains(" has the shape ["), "{}", told(&narrow));
    narrow = base("llama");
    narrow.config.num_hidden_layers -= 1;
    assert!(told(&narrow).contains("the model has no place for it"), "{}", told(&narrow));
    let norm = b"output_norm.weight";
    let mut bytes = fs::read(&out).expect("read");
    let place = bytes.windows(norm.len()).position(|part| part == norm).expect("the norm");
    // A tensor under another name that llama.cpp knows, and the norm is gone.
    bytes[place..place + norm.len()].copy_from_slice(b"blk.0.attn_q.bias\0");
    fs::write(&out, &bytes).expect("written");
    let refused =
        |path: &Path| check::refuse_other(&out, path, &whole, false).expect_err("refused").to_string();
    let error = refused(Path::new("final.gguf"));
    assert!(error.starts_with("`final.gguf`") && !error.contains("out.gguf"), "{error}");
    fs::write(&out, &bytes[..bytes.len() - 1]).expect("written");
    let error = refused(Path::new("final.gguf"));
    assert!(error.contains("it cannot be read: final.gguf: ") && !error.contains("out.gguf"), "{error}");
}
