//! What several tests share: a small tokenizer, two templates, and files.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

use crate::input::{Reader, Source};
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

/// A record on one line: roles by their first letters, answers that are not trained with a minus, then tools.
pub(crate) fn talk_of(record: &Record) -> String {
    let turns = record.messages.iter().map(|message| {
        let sign = if message.trained { "" } else { "-" };
        let extra = if message.extra.is_empty() {
            String::new()
        } else {
            serde_json::Value::Object(message.extra.clone()).to_string()
        };
        format!("{sign}{}:{}{extra}", &message.role[..1], message.content.replace('\n', "|"))
    });
    let tools = record.tools.iter().map(|tool| format!("tool:{tool}"));
    turns.chain(tools).collect::<Vec<_>>().join(" / ")
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

    /// What a reader says of a source: a line a row, then a line a file or the error.
    pub(crate) fn told(&self, source: &Source) -> Vec<String> {
        let mut lines = Vec::new();
        let mut reader = match Reader::open(std::slice::from_ref(source)) {
            Ok(reader) => reader,
            Err(error) => return vec![format!("error {}", self.without_folder(error))],
        };
        loop {
            match reader.next() {
                Ok(None) => break,
                Ok(Some(row)) => lines.push(match row.record {
                    Ok((record, _)) => self.without_folder(format!("{} {}", record.origin, talk_of(&record))),
                    Err(problem) => self.without_folder(problem),
                }),
                Err(error) => {
                    lines.push(format!("error {}", self.without_folder(error)));
                    break;
                }
            }
        }
        for file in reader.files() {
            let unread: Vec<String> =
                file.unread_fields.iter().map(|(name, count)| format!(" {name}={count}")).collect();
            lines.push(format!("{} rows, {} problems{}", file.rows, file.problems, unread.concat()));
        }
        lines
    }

    /// A text with the folder's own path left out.
    pub(crate) fn without_folder(&self, text: impl ToString) -> String {
        text.to_string().replace(&format!("{}{}", self.0.path().display(), std::path::MAIN_SEPARATOR), "")
    }
}
