//! Answers that call tools or reason, answers that are not trained, and texts.

use serde_json::json;

use super::*;
use crate::marked::marked;
use crate::options::TrainOn;
use crate::problem::ProblemKind;
use crate::record::{Content, Message, Record, TEXT_ROLE};
use crate::testing::{PLAIN, record, talk, template, tokenizer};

/// ChatML with tools, calls between special tokens, and reasoning.
const TOOLS: &str = "{% for tool in tools or [] %}{{ tool.name }};{% endfor %}{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}{% if message.reasoning_content %}{{ '<think>' + message.reasoning_content + '</think>' }}{% endif %}{% if message.content %}{{ message.content }}{% endif %}{% for call in message.tool_calls or [] %}{{ '<s>' + call.name + '<s>' }}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// The same with `{% generation %}` around whole answers.
const BLOCKS: &str = "{% for message in messages %}{% if message.role == 'assistant' %}A:{% generation %}{{ message.content }}</s>{% endgeneration %}{% else %}Q:{{ message.content }}{% endif %}{% endfor %}";

/// The examples of a row, trained stretches between « and ».
fn shown(
    record: &Record,
    source: &str,
    train_on: TrainOn,
    max_tokens: usize,
) -> Result<Vec<String>, ProblemKind> {
    let (template, tokenizer) = (template(source), tokenizer());
    let encoder = Encoder::new(&template, &tokenizer).expect("an encoder");
    let rows = encoder.encode_record(record, train_on, max_tokens)?.into_iter();
    Ok(rows
        .map(|row| {
            let (id, origin) = (record.id.clone(), record.origin.clone());
            let example = Example { id, origin, tokens: row.tokens, supervised: row.supervised };
            marked(&example, &tokenizer)
                .expect("decoded")
                .replace("<|im_start|>", "<")
                .replace("<|im_end|>", ">")
        })
        .collect())
}

fn called() -> Record {
    let mut messages = talk(&["ask", "look", "", "done"]);
    messages[1].extra.insert("tool_calls".into(), json!([{"name": "f"}, {"name": "g"}]));
    messages[1].content.clear();
    messages[1].written = Content::Null;
    messages[2] = Message::new("tool", "7");
    messages[3].extra.insert("thinking".into(), json!("so"));
    let origin = record(Vec::new()).origin;
    Record::with_tools(None, origin, messages, vec![json!({"name": "f"})])
}

#[test]
fn calls_and_reasoning_are_trained_whole() {
    let expected =
        "f;<user\nask>\n<assistant\n«<s>f<s><s>g<s>>»\n<tool\n7>\n<assistant\n«<think>so</think>done>»";
    assert_eq!(shown(&called(), TOOLS, TrainOn::All, 1000), Ok(vec![expected.to_owned()]));
    let with_text = {
        let mut record = called();
        (record.messages[1].content, record.messages[1].written) = ("I look".to_owned(), Content::Text);
        record
    };
    let expected = expected.replace("«<s>f", "«I look<s>f");
    assert_eq!(shown(&with_text, TOOLS, TrainOn::All, 1000), Ok(vec![expected]));
}

#[test]
fn what_a_template_never_mentions_is_not_left_out_in_silence() {
    let refused = |record: &Record| shown(record, PLAIN, TrainOn::All, 1000).expect_err("it is lost");
    let mut record = called();
    assert_eq!(refused(&record), ProblemKind::NotShown { field: "tools" });
    record.tools.clear();
    assert_eq!(refused(&record), ProblemKind::NotShown { field: "tool_calls" });
    record.messages[1].extra.clear();
    assert_eq!(refused(&record), ProblemKind::NotShown { field: "reasoning_content" });
    record.messages[3].extra.clear();
    record.messages[1] = Message::new("assistant", "look");
    assert!(shown(&record, PLAIN, TrainOn::All, 1000).is_ok());
}

#[test]
fn answers_that_are_not_to_be_trained_are_prompt() {
    for source in [PLAIN, BLOCKS] {
        let mut record = record(talk(&["a", "one", "b", "two", "c", "six"]));
        let all = shown(&record, source, TrainOn::All, 1000).expect("encoded").remove(0);
        record.messages[1].trained = false;
        record.messages[5].trained = false;
        let some = shown(&record, source, TrainOn::All, 1000).expect("encoded").remove(0);
        assert_eq!((all.matches('«').count(), some.matches('«').count()), (3, 1), "{some}");
        assert!(some.contains("«two") && some.contains("one") && !some.contains("six"), "{some}");
        assert_eq!(shown(&record, source, TrainOn::Last, 1000), Ok(vec![some]));
        record.messages[3].trained = false;
        assert_eq!(shown(&record, source, TrainOn::All, 1000), Err(ProblemKind::NothingSupervised));
    }
}

#[test]
fn a_text_is_trained_whole_and_in_pieces_where_it_is_long() {
    let text = record(vec![Message::new(TEXT_ROLE, "hi yes")]);
    let whole = shown(&text, PLAIN, TrainOn::All, 1000).expect("encoded");
    assert_eq!(whole, ["hi« yes</s>»"]);
    let pieces = shown(&text, PLAIN, TrainOn::All, 3).expect("encoded");
    assert_eq!(pieces, ["hi« ye»", "e«s</s>»"]);
    let (template, tokenizer) = (template(PLAIN), tokenizer());
    let encoder = Encoder::new(&template, &tokenizer).expect("an encoder");
    let long = "yes hi ".repeat(40);
    let whole = &encoder.encode_whole(&long, 1000).expect("encoded")[0];
    for most in [2, 3, 7, 50] {
        let rows = encoder.encode_whole(&long, most).expect("encoded");
        assert!(rows.iter().all(|row| row.tokens.len() <= most && !row.supervised[0]), "{most}");
        let targets = rows.iter().flat_map(|row| &row.tokens[1..]);
        assert!(targets.eq(&whole.tokens[1..]), "{most}: every token is a target once");
    }
    assert_eq!(encoder.record_prompt(&text), Err(ProblemKind::NothingAsked));
    assert_eq!(encoder.encode_whole("", 9).map(|rows| rows.len()), Err(ProblemKind::NothingSupervised));
}

/// The rows that lm-evaluation-harness makes of a text: `get_rolling_token_windows` with a context of one token, made disjoint.
#[test]
fn a_text_is_weighed_token_by_token() {
    let (template, tokenizer) = (template(PLAIN), tokenizer());
    let encoder = Encoder::new(&template, &tokenizer).expect("an encoder");
    let prefix = tokenizer.token_to_id("<s>").expect("a token");
    let long = "yes hi ".repeat(5);
    let ids = tokenizer.encode(long.as_str(), false).expect("encoded").get_ids().to_vec();
    let whole = encoder.weigh_whole(&long, 1000).expect("encoded");
    assert_eq!(whole.len(), 1);
    assert_eq!((whole[0].tokens[0], &whole[0].tokens[1..], whole[0].given), (prefix, &ids[..], 1));
    for most in [1, 2, 3, 7] {
        let rows = encoder.weigh_whole(&long, most).expect("encoded");
        let targets = rows.iter().flat_map(|row| &row.tokens[row.given..]);
        assert!(targets.eq(&ids), "{most}: every token is predicted once");
        assert!(rows.iter().all(|row| row.given >= 1 && row.tokens.len() <= most + 1), "{most}");
        // The model reads as much as it can: the last row has more before it than one token.
        assert!(rows.iter().all(|row| row.tokens.len() == most + 1), "{most}");
        let (first, last) = (&rows[0], &rows[rows.len() - 1]);
        assert_eq!((first.tokens[0], first.given), (prefix, 1));
        assert!(last.tokens.ends_with(&ids[ids.len() - most..]));
    }
    assert_eq!(encoder.weigh_whole("", 9), Err(ProblemKind::NothingSupervised));
}

#[test]
fn a_text_begins_with_the_token_that_the_tokenizer_puts_there() {
    use tokenizers::processors::template::TemplateProcessing;
    let mut tokenizer = tokenizer();
    let bos = tokenizer.token_to_id("<s>").expect("a token");
    let mut processor = TemplateProcessing::builder();
    processor.try_single("<s> $A").expect("parsed").special_tokens(vec![("<s>", bos)]);
    tokenizer.with_post_processor(Some(processor.build().expect("built")));
    let template = template(PLAIN);
    let encoder = Encoder::new(&template, &tokenizer).expect("an encoder");
    let rows = encoder.encode_whole("hi yes hi", 4).expect("encoded");
    assert!(rows.len() > 1 && rows.iter().all(|row| row.tokens[0] == bos && row.tokens.len() <= 4));
    assert_eq!(encoder.weigh_whole("hi yes hi", 400).expect("encoded")[0].tokens[0], bos);
}

#[test]
fn a_row_is_asked_with_its_tools() {
    let (template, tokenizer) = (template(TOOLS), tokenizer());
    let encoder = Encoder::new(&template, &tokenizer).expect("an encoder");
    let tokens = encoder.record_prompt(&called()).expect("asked");
    let text = tokenizer.decode(&tokens, false).expect("decoded");
    assert!(
        text.starts_with("f;<|im_start|>user") && text.ends_with("7<|im_end|>\n<|im_start|>assistant\n"),
        "{text}"
    );
}
