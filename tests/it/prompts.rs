//! The tokens that training saw, those that `rtune generate` sends, and those that other programs make with what was saved.

mod exported;
mod go;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use rtune_data::{ChatTemplate, Date, Message, SpecialTokens};
use rtune_trainer::config::Config;
use rtune_trainer::inputs::{Inputs, Preparation};
use serde_json::{Value, json};

use crate::families::configurations;
use crate::release_peers::python;
use crate::workplace::{BYTES, Speech, Workplace, write_speaking_base};

/// Another day than that of any training: what a program that asks its clock would print.
const TODAY: &str = "2031-02-03";

const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}\
    {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
/// The last answer is shown with room for its reasoning, earlier ones without.
const REASONED: &str = "{%- for message in messages %}\n    {%- if message.role == 'assistant' and loop.last %}\n        {{- '<|im_start|>assistant\n<think>\n' + \
    (message.reasoning_content or '') + '\n</think>\n\n' + message.content + '<|im_end|>\n' }}\n    {%- else %}\n        {{- '<|im_start|>' + message.role + '\n' + \
    message.content + '<|im_end|>\n' }}\n    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\n' }}\n{%- endif %}\n";
/// Asks for the day, and has one of its own where nobody can say.
const DATED: &str = "{{- bos_token }}\n{%- if not day is defined %}\n    {%- if strftime_now is defined %}\n        {%- set day = strftime_now(\"%d %b %Y\") %}\n    \
    {%- else %}\n        {%- set day = \"26 Jul 2024\" %}\n    {%- endif %}\n{%- endif %}\n{{- '<|start|>system<|end|>\n\nToday is ' + day + '.<|eot|>' }}\n\
    {%- for message in messages %}\n    {{- '<|start|>' + message['role'] + '<|end|>\n\n' + message['content'] | trim + '<|eot|>' }}\n{%- endfor %}\n\
    {%- if add_generation_prompt %}\n    {{- '<|start|>assistant<|end|>\n\n' }}\n{%- endif %}\n";
const DATED_WITHOUT_BOS: &str = "{%- set day = strftime_now('%B %-d, %Y') if strftime_now is defined else 'some day' -%}\n\
    <|im_start|>system\nIt is {{ day }}.<|im_end|>\n{% for message in messages %}\n<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}\n\
    {% if add_generation_prompt %}\n<|im_start|>assistant\n{% endif %}\n";
const INSTRUCTED: &str = "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}\
    {% else %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% endif %}{% endfor %}";
/// Its tokenizer puts BOS first, and the template says nothing of it.
const NAMED: &str = "{% for message in messages %}\n{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token }}\n{% if loop.last and add_generation_prompt %}\n\
    {{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}";
const TURNS: &str = "{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' + \
    message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}";
const ROLES: &str = "{%- for message in messages %}{{ '<|start_of_role|>' + message['role'] + '<|end_of_role|>' + message['content'] + '<|end_of_text|>\n' }}{%- endfor %}\
    {%- if add_generation_prompt %}{{ '<|start_of_role|>assistant<|end_of_role|>' }}{%- endif %}";
const PLAIN: &str = "{% for message in messages %}{{ 'Assistant: ' if message['role'] == 'assistant' else 'User: ' }}{{ message['content'] }}\
    {{ eos_token if message['role'] == 'assistant' else '\n\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}";
const PROMPTER: &str = "{% for message in messages %}{{ '<|assistant|>' if message['role'] == 'assistant' else '<|prompter|>' }}{{ message['content'] }}{{ eos_token }}\
    {% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

const IM: [&str; 2] = ["<|im_start|>", "<|im_end|>"];

/// How each family is spoken to, in the manner of what its makers published.
fn speech(family: &str) -> Speech<'static> {
    let of = |template, special, bos, eos, adds_bos| Speech { template, special, bos, eos, adds_bos };
    match family {
        "llama" => {
            of(DATED, &["<|bos|>", "<|start|>", "<|end|>", "<|eot|>"], Some("<|bos|>"), "<|eot|>", true)
        }
        "mistral" => of(NAMED, &["<s>", "</s>"], Some("<s>"), "</s>", true),
        "mixtral" => of(INSTRUCTED, &["<s>", "</s>"], Some("<s>"), "</s>", true),
        "qwen2" => of(CHATML, &IM, None, "<|im_end|>", false),
        "qwen3" | "qwen3_moe" => of(REASONED, &IM, None, "<|im_end|>", false),
        "smollm3" => of(DATED_WITHOUT_BOS, &IM, None, "<|im_end|>", false),
        "granite" => {
            let special = &["<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>"];
            of(ROLES, special, Some("<|end_of_text|>"), "<|end_of_text|>", false)
        }
        "olmo2" => of(NAMED, &["<|endoftext|>"], None, "<|endoftext|>", false),
        "phi3" => of(NAMED, &["<s>", "<|end|>", "<|user|>", "<|assistant|>"], Some("<s>"), "<|end|>", true),
        "gemma" | "gemma2" | "gemma3_text" => {
            of(TURNS, &["<bos>", "<start_of_turn>", "<end_of_turn>"], Some("<bos>"), "<end_of_turn>", true)
        }
        "gpt_neox" => {
            of(PROMPTER, &["<|endoftext|>", "<|prompter|>", "<|assistant|>"], None, "<|endoftext|>", false)
        }
        "falcon" | "RefinedWeb" | "RefinedWebModel" => {
            of(PLAIN, &["<|endoftext|>"], None, "<|endoftext|>", false)
        }
        other => panic!("how is {other} spoken to?"),
    }
}

/// The prompt of each training row, as training saw it: what stands before the first trained token.
fn trained_prompts(place: &Workplace, overrides: &[&str]) -> Vec<Vec<u32>> {
    let train = format!("data.train={:?}", place.path("train.jsonl"));
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).chain([train]).collect();
    let config = Config::load(&place.path("config.toml"), &overrides).expect("a configuration");
    let inputs = Inputs::prepare(&config, &place.path("model"), &Preparation::default(), None).expect("rows");
    let prompt = |tokens: &[u32], supervised: &[bool]| {
        let end = supervised.iter().position(|trained| *trained).expect("a trained token");
        tokens[..end].to_vec()
    };
    let mut rows = inputs.prepared.train.to_vec().expect("they can be read");
    rows.sort_by_key(|row| row.origin.line);
    rows.iter().map(|row| prompt(&row.tokens, &row.supervised)).collect()
}

fn asked(place: &Workplace, subject: &str, text: &str, overrides: &[&str]) -> Vec<u32> {
    let mut arguments = vec!["generate", subject, text, "--json", "--max-new-tokens", "1"];
    for argument in overrides.iter().filter(|_| subject == "run") {
        arguments.extend(["--set", argument]);
    }
    let ran = place.rtune(&arguments);
    ran.succeeds();
    let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    serde_json::from_value(answer["prompt_token_ids"].clone()).expect("ids")
}

/// As a program does it that knows nothing but the folder: the template as it stands, by a clock, and the tokenizer without
/// anything added.
fn elsewhere(folder: &Path, text: &str) -> Vec<u32> {
    let base = rtune_models::open(folder).expect("a model's folder");
    let special = SpecialTokens {
        bos: base.special.bos,
        eos: base.special.eos,
        pad: base.special.pad,
        unk: base.special.unk,
    };
    let today: Option<Date> = TODAY.parse().ok();
    let template =
        ChatTemplate::new(&base.chat_template.expect("a template"), special, today).expect("a template");
    let text = template.render(&[Message::new("user", text)], true).expect("rendered");
    base.tokenizer.encode(text, false).expect("tokens").get_ids().to_vec()
}

/// Trains a step, and checks the tokens on all ways; the rows' texts and their prompts as training saw them.
fn check_family(name: &str, config: Value, overrides: &[&str]) -> (Workplace, Vec<String>, Vec<Vec<u32>>) {
    let place = Workplace::new();
    let speech = speech(config["model_type"].as_str().expect("a family"));
    std::fs::remove_dir_all(place.path("model")).expect("removed");
    write_speaking_base(&place.path("model"), config, &speech);
    let texts = ["Which letter? Größe, 字, <s>.".to_owned(), "Two words".to_owned(), "  a\n\n b ".to_owned()];
    let rows: Vec<String> =
        texts.iter().map(|text| json!({"prompt": text, "completion": "aa"}).to_string()).collect();
    place.write("train.jsonl", rows.join("\n"));
    let overrides = [
        &["train.steps=1", "data.validation=0", "data.max-tokens=512", "train.micro-batch-tokens=1024"],
        overrides,
    ]
    .concat();
    place.train(&overrides).succeeds();
    place.rtune(&["merge", "run", "out", "--dtype", "float32", "--golden", "train.jsonl"]).succeeds();
    place.rtune(&["export", "run", "adapter"]).succeeds();

    let trained = trained_prompts(&place, &overrides);
    assert_eq!(trained.len(), texts.len(), "{name}");
    let bos = speech.bos.and_then(|bos| speech.special.iter().position(|token| *token == bos));
    let bos = bos.filter(|_| speech.bos != Some(speech.eos)).map(|at| (BYTES + at) as u32);
    for (text, ids) in texts.iter().zip(&trained) {
        assert_eq!(&asked(&place, "run", text, &[]), ids, "{name}: a run is asked with other tokens");
        assert_eq!(
            &asked(&place, "out", text, &[]),
            ids,
            "{name}: a merged model is asked with other tokens"
        );
        assert_eq!(&elsewhere(&place.path("out"), text), ids, "{name}: other programs ask with other tokens");
        let in_text = if text.contains("<s>") && speech.special.contains(&"<s>") { 1 } else { 0 };
        let count = ids.iter().filter(|id| Some(**id) == bos).count();
        assert_eq!(count, usize::from(bos.is_some()) + in_text, "{name}: BOS");
        assert!(bos.is_none() || ids.first().copied() == bos, "{name}: BOS stands elsewhere");
    }
    (place, texts.to_vec(), trained)
}

#[test]
fn every_family_is_asked_as_it_was_trained() {
    let python = python("transformers");
    for (name, config) in configurations() {
        let (place, texts, trained) = check_family(&name, config, &[]);
        let Some(python) = &python else { continue };
        let mut command = std::process::Command::new(python);
        place.settle(&mut command);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/prompt_ids.py");
        command.arg(script).args(["out", "adapter"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let conversations: Vec<_> =
            texts.iter().map(|text| json!([{"role": "user", "content": text}])).collect();
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(json!(conversations).to_string().as_bytes()).expect("written");
        drop(input);
        let output = child.wait_with_output().expect("ended");
        assert!(output.status.success(), "{name}: transformers cannot read the folders");
        let printed = String::from_utf8(output.stdout).expect("text");
        let theirs: Vec<Vec<Vec<u32>>> =
            printed.lines().map(|line| serde_json::from_str(line).expect("ids")).collect();
        assert_eq!(theirs, [trained.clone(), trained], "{name}: transformers asks with other tokens");
    }
}

#[test]
fn the_day_that_a_template_prints_is_kept() {
    for (name, config) in configurations() {
        let kind = config["model_type"].as_str().unwrap_or_default();
        if !["llama", "smollm3"].contains(&kind) {
            continue;
        }
        let (_, _, undated) = check_family(&name, config.clone(), &[]);
        let (place, texts, dated) = check_family(&name, config, &["data.template-date='2025-12-24'"]);
        assert_ne!(undated, dated, "{name}: the date changes nothing");
        let (.., template) = (texts, dated, place.read("out/chat_template.jinja"));
        assert!(template.contains("24 Dec 2025") || template.contains("December 24, 2025"), "{template}");
    }
}
