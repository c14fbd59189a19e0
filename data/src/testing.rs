//! What several tests share: a small tokenizer, two templates, and files.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

use crate::record::{Message, Origin, Record};
use crate::template::{ChatTemplate, SpecialTokens};

/// The template of SmolLM2-Instruct.
pub(crate) const CHATML: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// ChatML without a default system turn.
pub(crate) const PLAIN: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// Bytes, two merges that reach over a space, and special tokens; its post-processor trims offsets, as that of GPT-2 does.
pub(crate) fn tokenizer() -> Tokenizer {
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let merges = [("Ġ".to_owned(), "y".to_owned()), ("h".to_owned(), "i".to_owned())];
    let symbols =
        alphabet.iter().map(char::to_string).chain(merges.iter().map(|(one, other)| format!("{one}{other}")));
    let vocabulary: Vocab = symbols.enumerate().map(|(id, symbol)| (symbol, id as u32)).collect();
    let model = BPE::builder().vocab_and_merges(vocabulary, merges.to_vec()).build();
    let mut tokenizer = Tokenizer::new(model.expect("a model"));
    let bytes = ByteLevel::new(false, true, true);
    tokenizer.with_pre_tokenizer(Some(bytes)).with_decoder(Some(bytes)).with_post_processor(Some(bytes));
    let special = ["<|im_start|>", "<|im_end|>", "<s>", "</s>"].map(|text| AddedToken::from(text, true));
    tokenizer.add_special_tokens(special).expect("special tokens");
    tokenizer
}

/// A template with `<s>`, `</s>`, and a padding token that is also the end-of-turn token.
pub(crate) fn template(source: &str) -> ChatTemplate {
    let token = |text: &str| Some(text.to_owned());
    let special = SpecialTokens { bos: token("<s>"), eos: token("</s>"), pad: token("</s>"), unk: None };
    ChatTemplate::new(source, special, None).expect("the template parses")
}

/// Turns of user and assistant, in turn.
pub(crate) fn talk(texts: &[&str]) -> Vec<Message> {
    let roles = ["user", "assistant"].into_iter().cycle();
    roles.zip(texts).map(|(role, &text)| Message::new(role, text)).collect()
}

/// A record of these messages.
pub(crate) fn record(messages: Vec<Message>) -> Record {
    Record::new(None, Origin { file: Path::new("rows.jsonl").into(), line: 1 }, messages)
}

/// A folder of files, gone with it.
pub(crate) struct Files(TempDir);

impl Files {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// The path of a file there may be.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A text with the folder's own path left out.
    pub(crate) fn without_folder(&self, text: impl ToString) -> String {
        text.to_string().replace(&format!("{}{}", self.0.path().display(), std::path::MAIN_SEPARATOR), "")
    }
}
