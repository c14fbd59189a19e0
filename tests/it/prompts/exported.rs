//! Every form in which a run leaves asks as training did: its own template with its own tokenizer, byte for byte and id for id.

use std::fs;
use std::path::Path;

use rtune_data::{ChatTemplate, Message, SpecialTokens};
use rtune_models::BaseModel;
use serde_json::{Value, json};

use super::{TODAY, go, speech, trained_prompts};
use crate::push::hub::Hub;
use crate::workplace::{TINY, Workplace, config, write_speaking_base};

/// Who reads a form, and how it asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reader {
    /// Template and tokenizer of a model's folder, nothing added: transformers and the servers on it.
    Folder,
    /// The same of an adapter's folder.
    Adapter,
    /// llama.cpp, by what the file has: where the tokenizer puts BOS first, the template's own is taken off.
    Gguf,
    /// Ollama, by its Modelfile and the tokenizer of the file beside.
    Ollama,
}

/// The verb with what is behind the folder's name, and who reads what it writes.
const FORMS: [(&str, &[&str], Reader); 14] = [
    ("merge", &["--golden", "golden.jsonl"], Reader::Folder),
    ("merge", &["--golden", "golden.jsonl", "--format", "gptq", "--dtype", "float32"], Reader::Folder),
    ("merge", &["--golden", "golden.jsonl", "--format", "awq", "--dtype", "float32"], Reader::Folder),
    ("export", &[], Reader::Adapter),
    ("export", &["--for", "vllm"], Reader::Adapter),
    ("export", &["--format", "safetensors", "--dtype", "float16"], Reader::Folder),
    ("export", &["--base-only"], Reader::Folder),
    ("export", &["--format", "bnb-4bit", "--base-only"], Reader::Folder),
    ("export", &["--format", "bnb-4bit"], Reader::Folder),
    ("export", &["--format", "gguf"], Reader::Gguf),
    ("export", &["--format", "gguf", "--base-only", "--quantize", "q8_0"], Reader::Gguf),
    ("export", &["--format", "ollama"], Reader::Ollama),
    ("push", &["run"], Reader::Adapter),
    ("push", &["0"], Reader::Folder),
];

/// Every way to speak there is among the families.
const FAMILIES: [&str; 12] = [
    "llama", "mistral", "mixtral", "qwen2", "qwen3", "smollm3", "granite", "olmo2", "phi3", "gemma",
    "gpt_neox", "falcon",
];
/// Those whose last answer is written otherwise than earlier ones, which Ollama's templates cannot say.
const UNSAYABLE: [&str; 1] = ["qwen3"];
/// Those that take white space off what is said, which Ollama's templates cannot either: it is noted, and spaced texts differ.
const TRIMMING: [&str; 2] = ["llama", "gemma"];

/// Conversations up to the answer that is trained.
fn conversations() -> Vec<Vec<Message>> {
    let of = |turns: &[(&str, &str)]| turns.iter().map(|(role, text)| Message::new(*role, *text)).collect();
    vec![
        of(&[("user", "Which letter? Größe, 字, <s>, {{ .Content }}.")]),
        of(&[("user", "Two words")]),
        of(&[
            ("system", "Be \"brief\"."),
            ("user", "Don't  say 42 🙂"),
            ("assistant", "aa"),
            ("user", "And now?\n\nb"),
        ]),
        of(&[("user", "  a\n\n b ")]),
    ]
}

fn is_spaced(conversation: &[Message]) -> bool {
    conversation.iter().any(|message| message.content != message.content.trim())
}

/// Trains a step on `conversations`; the prompts as training saw them.
fn trained(place: &Workplace, family: &str, conversations: &[Vec<Message>]) -> Vec<Vec<u32>> {
    fs::remove_dir_all(place.path("model")).expect("removed");
    write_speaking_base(&place.path("model"), config(TINY), &speech(family));
    let row = |conversation: &Vec<Message>, answer: &str| {
        let said = conversation.iter().map(|turn| json!({"role": turn.role, "content": turn.content}));
        let said: Vec<Value> = said.chain([json!({"role": "assistant", "content": answer})]).collect();
        json!({"messages": said}).to_string()
    };
    let rows: Vec<String> = conversations.iter().map(|conversation| row(conversation, "aa")).collect();
    place.write("train.jsonl", rows.join("\n"));
    place.write("golden.jsonl", row(&vec![Message::new("user", "Another letter?")], "bb"));
    let overrides = [
        "train.steps=1",
        "data.validation=0",
        "data.train-on='last'",
        "data.max-tokens=1024",
        "train.micro-batch-tokens=2048",
        "data.template-date='2025-12-24'",
    ];
    place.train(&overrides).succeeds();
    let prompts = trained_prompts(place, &overrides);
    assert_eq!(prompts.len(), conversations.len(), "{family}");
    prompts
}

/// What stands in a form: the template by a clock of another day, and the tokenizer.
fn opened(path: &Path) -> (BaseModel, ChatTemplate) {
    let base = rtune_models::open(path).expect("a model");
    let special = SpecialTokens {
        bos: base.special.bos.clone(),
        eos: base.special.eos.clone(),
        pad: base.special.pad.clone(),
        unk: base.special.unk.clone(),
    };
    let source = base.chat_template.clone().expect("a template");
    (base, ChatTemplate::new(&source, special, TODAY.parse().ok()).expect("a template"))
}

fn ids(base: &BaseModel, text: &str, whole: bool) -> Vec<u32> {
    base.tokenizer.encode(text, whole).expect("tokens").get_ids().to_vec()
}

/// The ids that a conversation is asked with.
fn asked(place: &Workplace, out: &str, reader: Reader, conversation: &[Message]) -> Vec<u32> {
    let path = match reader {
        Reader::Ollama => place.path(out).join("model.gguf"),
        _ => place.path(out),
    };
    let (base, template) = opened(&path);
    let render = || template.render(conversation, true).expect("rendered");
    match reader {
        Reader::Folder | Reader::Adapter => ids(&base, &render(), false),
        Reader::Gguf => {
            let bos = base.special.bos.as_deref().filter(|_| ids(&base, "", true) != ids(&base, "", false));
            let text = render();
            let text = bos.and_then(|bos| text.strip_prefix(bos)).unwrap_or(&text);
            ids(&base, text, true)
        }
        Reader::Ollama => {
            let modelfile = place.read(&format!("{out}/Modelfile"));
            ids(&base, &go::render(go::template_of(&modelfile), conversation), true)
        }
    }
}

/// What a hub has got, as a folder.
fn fetched(hub: &Hub, folder: &Path) {
    fs::create_dir(folder).expect("made");
    hub.with(|state| {
        for (path, id) in &state.files {
            let bytes = state.texts.get(path).or_else(|| state.large.get(id)).expect("a content");
            fs::write(folder.join(path), bytes).expect("written");
        }
    });
}

#[test]
fn every_export_asks_as_training_did() {
    let conversations = conversations();
    let mut wrong = Vec::new();
    for family in FAMILIES {
        let place = Workplace::new();
        let trained = trained(&place, family, &conversations);
        for (number, &(verb, more, reader)) in FORMS.iter().enumerate() {
            let what = format!("{family}: {verb} {more:?}");
            let out = if reader == Reader::Gguf { format!("{number}.gguf") } else { number.to_string() };
            let ran = if verb == "push" {
                let hub = Hub::serve();
                let ran = hub.push(&place, &[more[0], "me/model"]);
                fetched(&hub, &place.path(&out));
                ran
            } else {
                place.rtune(&[&[verb, "run", &out], more].concat())
            };
            if reader == Reader::Ollama && UNSAYABLE.contains(&family) {
                ran.fails(2, &["the chat template cannot be said as Ollama's"]);
                continue;
            }
            if ran.code != 0 {
                wrong.push(format!("{what}: {}\n{}", ran.stdout, ran.stderr));
                continue;
            }
            if reader == Reader::Adapter {
                for file in ["config.json", "model.safetensors"] {
                    fs::copy(place.path("model").join(file), place.path(&out).join(file)).expect("copied");
                }
            }
            let loses_spaces = reader == Reader::Ollama && TRIMMING.contains(&family);
            if ran.stderr.contains("takes white space off around messages") != loses_spaces {
                wrong.push(format!("{what}: {}", ran.stderr));
            }
            for (conversation, ids) in conversations.iter().zip(&trained) {
                let found = asked(&place, &out, reader, conversation);
                if found != *ids && !(loses_spaces && is_spaced(conversation)) {
                    wrong.push(format!("{what}: {conversation:?} is asked with {found:?}, not {ids:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Programs would ask with tools by another template than training did.
#[test]
fn of_several_templates_the_trained_one_leaves() {
    let place = Workplace::new();
    let read = |path: &str| -> Value { serde_json::from_str(&place.read(path)).expect("JSON") };
    let mut settings = read("model/tokenizer_config.json");
    let template = settings["chat_template"].clone();
    settings["chat_template"] =
        json!([{"name": "tool_use", "template": "{{ tools }}"}, {"name": "default", "template": template}]);
    place.write("model/tokenizer_config.json", settings.to_string());
    place.train(&["train.steps=1"]).succeeds();
    place.rtune(&["export", "run", "adapter"]).succeeds();
    place.rtune(&["export", "run", "merged", "--format", "safetensors"]).succeeds();
    for out in ["adapter", "merged"] {
        let template = template.as_str().expect("a text");
        assert_eq!(place.read(&format!("{out}/chat_template.jinja")), template);
        settings["chat_template"] = template.into();
        assert_eq!(read(&format!("{out}/tokenizer_config.json")), settings, "{out}: all else stays");
    }
}
