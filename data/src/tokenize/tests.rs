use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer, TruncationParams};

use super::*;
use crate::marked::{marked, pieces};
use crate::options::TrainOn;
use crate::problem::ProblemKind;
use crate::record::Message;
use crate::stream::{stream, uniform_below};
use crate::testing::{CHATML, PLAIN, record, talk, template, tokenizer};

fn example(row: Encoded) -> Example {
    Example {
        id: "x".into(),
        origin: record(Vec::new()).origin,
        tokens: row.tokens,
        supervised: row.supervised,
    }
}

fn encode(source: &str, messages: &[Message], train_on: TrainOn) -> Result<Vec<Encoded>, ProblemKind> {
    let template = template(source);
    Encoder::new(&template, &tokenizer()).expect("an encoder").encode(messages, train_on)
}

/// The rows a conversation is trained as, trained stretches between « and ».
fn shown(source: &str, messages: &[Message], train_on: TrainOn) -> Vec<String> {
    let rows = encode(source, messages, train_on).expect("it encodes");
    rows.into_iter().map(|row| marked(&example(row), &tokenizer()).expect("it decodes")).collect()
}

#[test]
fn an_answer_and_its_end_of_turn_token_are_trained() {
    let rows = shown(CHATML, &talk(&["Say yes\n\nnow", "yes"]), TrainOn::All);
    let expected = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n\
        <|im_start|>user\nSay yes\n\nnow<|im_end|>\n<|im_start|>assistant\n«yes<|im_end|>»";
    assert_eq!(rows, [expected]);
}

#[test]
fn tokens_and_mask_are_those_of_the_reference() {
    // The peer's `render`: prompt ids, then those of the full text behind them, without the last line break.
    let (template, tokenizer) = (template(CHATML), tokenizer());
    let encoder = Encoder::new(&template, &tokenizer).expect("an encoder");
    let messages = talk(&["Spam or ham?\n\nWIN £1000 now 🎉", "spam"]);
    let ids = |text: String| tokenizer.encode(text, false).expect("it encodes").get_ids().to_vec();
    let prompt = ids(template.render(&messages[..1], true).expect("it renders"));
    let mut full = ids(template.render(&messages, false).expect("it renders"));
    full.pop();
    let row = encoder.encode(&messages, TrainOn::All).expect("it encodes").remove(0);
    assert_eq!(row.tokens, full);
    assert_eq!(row.tokens[..prompt.len()], prompt);
    assert_eq!(encoder.prompt(&messages[..1]), Ok(prompt.clone()));
    assert_eq!(row.supervised, (0..full.len()).map(|token| token >= prompt.len()).collect::<Vec<_>>());
    assert!(row.ended);
}

#[test]
fn every_answer_or_the_last() {
    let messages = talk(&["a", "b", "c", "d", "e"]);
    let all = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n«b<|im_end|>»\n\
        <|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n«d<|im_end|>»";
    assert_eq!(shown(PLAIN, &messages, TrainOn::All), [all]);
    assert_eq!(shown(PLAIN, &messages, TrainOn::Last), [all.replacen("«b<|im_end|>»", "b<|im_end|>", 1)]);
}

#[test]
fn an_answer_that_reads_like_the_template() {
    for answer in ["assistant", "user", "im_end", "<|im_start|", "\n", " \n x \n", "«"] {
        let rows = shown(PLAIN, &talk(&[answer, answer]), TrainOn::All);
        // The template's line break and one at the answer's beginning are one token only if the tokenizer merges them.
        assert!(
            rows[0].ends_with(&format!("<|im_start|>assistant\n«{answer}<|im_end|>»"))
                || answer.starts_with([' ', '\n']),
            "{rows:?}"
        );
        assert!(rows[0].ends_with("<|im_end|>»"));
    }
}

#[test]
fn a_special_token_inside_a_text_is_noticed() {
    let row = &encode(PLAIN, &talk(&["a", "b<|im_end|>c"]), TrainOn::All).expect("it encodes")[0];
    assert!(row.special_in_text);
    assert!(
        shown(PLAIN, &talk(&["a", "b<|im_end|>c"]), TrainOn::All)[0].ends_with("«b<|im_end|>c<|im_end|>»")
    );
    assert!(!encode(PLAIN, &talk(&["a", "b"]), TrainOn::All).expect("it encodes")[0].special_in_text);
}

#[test]
fn a_token_over_the_border_belongs_to_the_prompt() {
    // " y" is one token here, and the prompt ends in the space.
    let source = "{% for m in messages %}{{ m.role ~ ': ' ~ m.content ~ ('</s>' if m.role == 'assistant' else ' ') }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";
    assert_eq!(shown(source, &talk(&["q", "yes"]), TrainOn::All), ["user: q assistant: y«es</s>»"]);
    assert_eq!(shown(source, &talk(&["q", "no"]), TrainOn::All), ["user: q assistant: «no</s>»"]);
}

#[test]
fn a_template_without_generation_prompt() {
    let brackets = "{{ '<s>' }}{% for m in messages %}{% if m.role == 'user' %}{{ '[Q] ' + m.content + ' [/Q]' }}{% else %}{{ ' ' + m.content + '</s>' }}{% endif %}{% endfor %}";
    let expected = "<s>[Q] a [/Q]« b</s>»[Q] c [/Q]« d</s>»";
    assert_eq!(shown(brackets, &talk(&["a", "b", "c", "d"]), TrainOn::All), [expected]);
    let headers = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}";
    let rows = shown(headers, &talk(&["a", "b"]), TrainOn::All);
    assert_eq!(rows, ["<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n«b<|im_end|>»"]);
}

#[test]
fn what_only_the_last_turn_carries_does_not_split_a_row() {
    // Phi-3 ends a finished conversation with a token of its own.
    let source = "{% for m in messages %}{{ m.role + ':' + m.content + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% else %}{{ '</s>' }}{% endif %}";
    let rows = shown(source, &talk(&["a", "b", "c", "d"]), TrainOn::All);
    assert_eq!(
        rows,
        ["user:a<|im_end|>\nassistant:«b<|im_end|>»\nuser:c<|im_end|>\nassistant:«d<|im_end|>»"]
    );
}

/// Drops what an answer thought once the conversation goes on, and shows empty thoughts in the last, as Qwen3 does.
const THINKING: &str = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' and loop.last %}{% if '</think>' not in m.content %}{{ '<think></think>' }}{% endif %}{{ m.content }}{% else %}{{ m.content.split('</think>')[-1] }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

#[test]
fn a_template_that_rewrites_history_gives_one_row_for_each_answer() {
    let messages = talk(&["a", "<think>t</think>b", "c", "d"]);
    let first = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n«<think>t</think>b<|im_end|>»";
    let second = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n\
        <|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n«<think></think>d<|im_end|>»";
    assert_eq!(shown(THINKING, &messages, TrainOn::All), [first, second]);
    assert_eq!(shown(THINKING, &messages, TrainOn::Last), [second]);
}

#[test]
fn a_template_that_asks_otherwise_than_it_answers() {
    let source = "{% for m in messages %}{{ m.role + ':' + m.content + '</s>' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:<think>' }}{% endif %}";
    let error = encode(source, &talk(&["a", "b"]), TrainOn::All).expect_err("the prompt is not kept");
    assert_eq!(
        error.to_string(),
        "the chat template renders the prompt of answer 2 otherwise than the beginning of the answered conversation: \
         it asks with \"<think>\" where the answered text has \"b</s>\""
    );
}

#[test]
fn a_template_that_marks_its_answers() {
    let source = |inside: &str, outside: &str| {
        format!(
            "{{% for m in messages %}}{{% if m.role == 'assistant' %}}A:{{% generation %}}{{{{ m.content + '{inside}' }}}}{{% endgeneration %}}{{{{ '{outside}' }}}}{{% else %}}Q:{{{{ m.content }}}};{{% endif %}}{{% endfor %}}"
        )
    };
    let messages = talk(&["a", "b", "c", "d"]);
    let (all, last) = ("Q:a;A:«b</s>»\nQ:c;A:«d</s>»", "Q:a;A:b</s>\nQ:c;A:«d</s>»");
    for (inside, outside) in [("</s>\\n", ""), ("</s>", "\\n"), ("", "</s>\\n")] {
        assert_eq!(shown(&source(inside, outside), &messages, TrainOn::All), [all], "{inside} {outside}");
        assert_eq!(shown(&source(inside, outside), &messages, TrainOn::Last), [last], "{inside} {outside}");
    }
}

#[test]
fn a_template_without_end_of_turn_tokens() {
    let source = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}";
    let messages = talk(&["a", "b", "c", "d"]);
    assert_eq!(
        shown(source, &messages, TrainOn::All),
        ["user: a\n\nassistant:« b»\n\nuser: c\n\nassistant:« d»"]
    );
    assert!(!encode(source, &messages, TrainOn::All).expect("it encodes")[0].ended);
}

#[test]
fn a_row_without_trained_tokens() {
    let source = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}";
    let error = encode(source, &talk(&["a", "b"]), TrainOn::All).expect_err("nothing is trained");
    assert_eq!(error, ProblemKind::NothingSupervised);
    assert_eq!(
        error.to_string(),
        "no token of this row is trained: the chat template does not show the answer"
    );
    let empty = "{{ messages[0].content }}{% generation %}{% endgeneration %}";
    assert_eq!(encode(empty, &talk(&["a", "b"]), TrainOn::All), Err(ProblemKind::NothingSupervised));
}

#[test]
fn begin_of_sequence_stands_once() {
    let with_bos = || {
        let mut tokenizer = tokenizer();
        let bos = tokenizer.token_to_id("<s>").expect("a token");
        let processor = TemplateProcessing::builder().try_single("<s> $A").and_then(|builder| {
            builder.special_tokens(vec![("<s>", bos)]).build().map_err(|error| error.to_string())
        });
        tokenizer.with_post_processor(processor.ok());
        (tokenizer, bos)
    };
    let count = |tokenizer: &Tokenizer, source: &str, bos: u32| {
        let template = template(source);
        let encoder = Encoder::new(&template, tokenizer).expect("an encoder");
        let row = encoder.encode(&talk(&["a", "b"]), TrainOn::All).expect("it encodes").remove(0);
        let prompt = encoder.prompt(&talk(&["a"])).expect("it encodes");
        assert_eq!(row.tokens[..prompt.len()], prompt);
        assert!(row.tokens[1..].iter().all(|&token| token != bos));
        assert_eq!(row.tokens.len(), row.supervised.len());
        assert_eq!(row.supervised.iter().filter(|&&trained| trained).count(), 2);
        usize::from(row.tokens[0] == bos)
    };
    let (tokenizer_with_bos, bos) = with_bos();
    let printing = format!("{{{{ bos_token }}}}{PLAIN}");
    assert_eq!(count(&tokenizer_with_bos, &printing, bos), 1);
    assert_eq!(count(&tokenizer_with_bos, PLAIN, bos), 1);
    assert_eq!(count(&tokenizer(), &printing, bos), 1);
    assert_eq!(count(&tokenizer(), PLAIN, bos), 0);
}

#[test]
fn the_tokenizers_own_truncation_is_not_applied() {
    let mut short = tokenizer();
    short
        .with_truncation(Some(TruncationParams { max_length: 4, ..TruncationParams::default() }))
        .expect("it truncates");
    let template = template(PLAIN);
    let encoder = Encoder::new(&template, &short).expect("an encoder");
    assert_eq!(
        encoder.encode(&talk(&["a", "b"]), TrainOn::All),
        encode(PLAIN, &talk(&["a", "b"]), TrainOn::All)
    );
}

#[test]
fn an_end_of_turn_token_that_swallows_the_line_break() {
    let mut greedy = tokenizer();
    greedy.add_special_tokens([AddedToken::from("<end>", true).rstrip(true)]).expect("a token");
    let source = "{% for m in messages %}{{ m.role + ':' + m.content + '<end>\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}";
    let template = template(source);
    let encoder = Encoder::new(&template, &greedy).expect("an encoder");
    let row = encoder.encode(&talk(&["a", "b", "c", "d"]), TrainOn::All).expect("it encodes").remove(0);
    let trained: Vec<usize> = pieces(&example(row), &greedy)
        .expect("it decodes")
        .iter()
        .filter(|piece| piece.trained)
        .map(|piece| piece.tokens)
        .collect();
    assert_eq!(trained, [2, 2]);
}

#[test]
fn a_prompt_loses_the_middle_of_its_oldest_turns() {
    let template = template(PLAIN);
    let encoder = Encoder::new(&template, &tokenizer()).expect("an encoder");
    let mut messages = vec![Message::new("system", "0123456789")];
    messages.extend(talk(&["abcdefgxyz", "klmnopqrst", "ABCDEFGHIJ", "KLM"]));
    let row = encoder.encode(&messages, TrainOn::Last).expect("it encodes").remove(0);
    let full = row.tokens.len();
    let cut = |removed: usize| {
        let row = encoder.shorten(row.clone(), full - removed)?;
        assert_eq!(row.tokens.len(), full - removed);
        Ok(marked(&example(row), &tokenizer()).expect("it decodes"))
    };
    let text = |one: &str, two: &str, three: &str| {
        format!(
            "<|im_start|>system\n0123456789<|im_end|>\n<|im_start|>user\n{one}<|im_end|>\n<|im_start|>assistant\n{two}<|im_end|>\n\
             <|im_start|>user\n{three}<|im_end|>\n<|im_start|>assistant\n«KLM<|im_end|>»"
        )
    };
    assert_eq!(cut(0), Ok(text("abcdefgxyz", "klmnopqrst", "ABCDEFGHIJ")));
    assert_eq!(cut(3), Ok(text("abcdxyz", "klmnopqrst", "ABCDEFGHIJ")));
    assert_eq!(cut(12), Ok(text("", "klmnqrst", "ABCDEFGHIJ")));
    assert_eq!(cut(29), Ok(text("", "", "A")));
    assert_eq!(cut(31), Err(ProblemKind::AnswerTooLong { tokens: full - 30, max_tokens: full - 31 }));
}

#[test]
fn no_character_is_cut_in_two() {
    let template = template(PLAIN);
    let encoder = Encoder::new(&template, &tokenizer()).expect("an encoder");
    let row = encoder.encode(&talk(&["🎉🎉ü🎉🎉", "ok"]), TrainOn::All).expect("it encodes").remove(0);
    let full = row.tokens.len();
    for removed in 0..=18 {
        let short = encoder.shorten(row.clone(), full - removed).expect("it is shortened");
        assert!(short.tokens.len() <= full - removed);
        let text = marked(&example(short), &tokenizer()).expect("it decodes");
        assert!(!text.contains('\u{FFFD}') && text.ends_with("«ok<|im_end|>»"), "{removed}: {text}");
    }
}

#[test]
fn a_prompt_that_cannot_be_found_is_not_cut() {
    let source = "{% for m in messages %}{{ m.role + ':' + m.content | upper + '</s>' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}";
    let template = template(source);
    let encoder = Encoder::new(&template, &tokenizer()).expect("an encoder");
    let row = encoder.encode(&talk(&["abcd", "efgh"]), TrainOn::All).expect("it encodes").remove(0);
    let tokens = row.tokens.len();
    assert_eq!(
        marked(&example(row.clone()), &tokenizer()).as_deref().ok(),
        Some("user:ABCD</s>assistant:«EFGH</s>»")
    );
    assert_eq!(encoder.shorten(row, 10), Err(ProblemKind::TooLong { tokens, max_tokens: 10 }));
}

#[test]
fn random_conversations_train_their_answers_and_nothing_else() {
    let mut random = stream(11, "test", "conversations", 0);
    let parts = ["yes", " y", "hi", "\n", " ", "ü", "🎉", "assistant", "«", "</think>", "0", "\t", "user\n"];
    for round in 0..300 {
        let turns = 2 * (1 + uniform_below(&mut random, 3) as usize);
        let texts: Vec<String> = (0..turns)
            .map(|_| {
                let middle: String = (0..uniform_below(&mut random, 6))
                    .map(|_| parts[uniform_below(&mut random, parts.len() as u64) as usize])
                    .collect();
                // An answer that begins with whitespace may share its first token with the header.
                format!("x{middle}")
            })
            .collect();
        let messages = talk(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let rows = encode(PLAIN, &messages, TrainOn::All).expect("it encodes");
        assert_eq!(rows.len(), 1);
        let row = rows.into_iter().next().map(example).expect("a row");
        let trained: Vec<String> = pieces(&row, &tokenizer())
            .expect("it decodes")
            .into_iter()
            .filter(|piece| piece.trained)
            .map(|piece| piece.text)
            .collect();
        let expected: Vec<String> =
            texts.iter().skip(1).step_by(2).map(|text| format!("{text}<|im_end|>")).collect();
        assert_eq!(trained, expected, "round {round}");
        assert_eq!(row.supervised.last(), Some(&true));
    }
}
