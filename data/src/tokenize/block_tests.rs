//! Several `{% generation %}` blocks an answer, and templates that show less than the row has.

use super::*;
use crate::marked::marked;
use crate::options::TrainOn;
use crate::problem::ProblemKind;
use crate::record::Message;
use crate::testing::{PLAIN, record, talk, template, tokenizer};

/// The rows a conversation is trained as, trained stretches between « and », and whether their answers end.
fn shown(source: &str, messages: &[Message], train_on: TrainOn) -> Result<Vec<(String, bool)>, ProblemKind> {
    let (template, tokenizer) = (template(source), tokenizer());
    let encoder = Encoder::new(&template, &tokenizer).expect("an encoder");
    let rows = encoder.encode(messages, train_on)?.into_iter();
    let origin = record(Vec::new()).origin;
    Ok(rows
        .map(|row| {
            let example = Example {
                id: "x".into(),
                origin: origin.clone(),
                tokens: row.tokens,
                supervised: row.supervised,
            };
            (marked(&example, &tokenizer).expect("it decodes"), row.ended)
        })
        .collect())
}

/// Thoughts and text in blocks of their own, as TRL's template for DiffusionGemma has them, and at the end of a finished
/// conversation a token in a third, as those for Phi-3 have it.
const BLOCKS: &str = "{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}{{ '(thought)' }}{% endgeneration %};{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}{% else %}Q:{{ m.content }};{% endif %}{% endfor %}{% if add_generation_prompt %}A:{% elif messages[-1].role == 'assistant' %}{% generation %}{{ eos_token }}{% endgeneration %}{% else %}{{ eos_token }}{% endif %}";

#[test]
fn an_answer_may_have_several_blocks() {
    let mut messages = talk(&["a", "one", "b", "two", "c", "six"]);
    let row = |text: &str| Ok(vec![(text.to_owned(), true)]);
    assert_eq!(
        shown(BLOCKS, &messages, TrainOn::All),
        row(
            "Q:a;A:«(thought)»;«one<|im_end|>»Q:b;A:«(thought)»;«two<|im_end|>»Q:c;A:«(thought)»;«six<|im_end|></s>»"
        )
    );
    let last =
        "Q:a;A:(thought);one<|im_end|>Q:b;A:(thought);two<|im_end|>Q:c;A:«(thought)»;«six<|im_end|></s>»";
    assert_eq!(shown(BLOCKS, &messages, TrainOn::Last), row(last));
    messages[1].trained = false;
    messages[5].trained = false;
    let middle = "Q:a;A:(thought);one<|im_end|>Q:b;A:«(thought)»;«two<|im_end|></s>»";
    assert_eq!(shown(BLOCKS, &messages, TrainOn::All), row(middle));
    assert_eq!(shown(BLOCKS, &messages, TrainOn::Last), row(middle));
    messages[3].trained = false;
    messages[5].trained = true;
    assert_eq!(shown(BLOCKS, &messages, TrainOn::All), row(last));
    // Answers in a row, and contents whose places are not known.
    let mut messages = talk(&["a", "one", "b", "two"]);
    messages.remove(2);
    messages[1].trained = false;
    let upper = BLOCKS.replace("m.content +", "m.content | upper +");
    for source in [BLOCKS, &upper] {
        let rows = shown(source, &messages, TrainOn::All).expect("it encodes");
        let last = if source == BLOCKS { "two" } else { "TWO" };
        assert!(rows[0].0.ends_with(&format!("<|im_end|>A:«(thought)»;«{last}<|im_end|></s>»")), "{rows:?}");
        assert_eq!(rows[0].0.matches('«').count(), 2, "{rows:?}");
        assert_eq!(shown(source, &messages, TrainOn::Last), Ok(rows));
    }
}

/// A template that shows an answer otherwise where the conversation goes on has less in common with what stands before.
#[test]
fn earlier_turns_that_are_rewritten_do_not_move_the_blocks() {
    let source = "{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}{{ ('(t)' if messages[-1].role == 'tool' else '') + m.content + '</s>' }}{% endgeneration %}{% else %}Q:{{ m.content }};{% endif %}{% endfor %}{% if add_generation_prompt %}A:{% endif %}";
    let mut messages = talk(&["a", "one", "b", "two"]);
    messages[2].role = "tool".to_owned();
    messages[1].trained = false;
    let row = |text: &str| Ok(vec![(text.to_owned(), true)]);
    assert_eq!(shown(source, &messages, TrainOn::All), row("Q:a;A:one</s>Q:b;A:«two</s>»"));
    // With the places of the contents unknown there would be no telling, and nothing is guessed.
    let upper = source.replace("m.content +", "m.content | upper +");
    assert_eq!(shown(&upper, &messages, TrainOn::All), Err(ProblemKind::UntrainedNotPlaced));
}

/// Shows contents that are lists of parts, and of a text nothing.
const PARTS: &str = "{% for m in messages %}<{{ m.role }}>{% for i in m.content %}{% if i.type == 'text' %}{{ i.text }}{% endif %}{% endfor %}<|im_end|>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";

#[test]
fn an_answer_that_the_template_does_not_show() {
    let messages = talk(&["a", "b", "c", "d"]);
    let without_answer = "{% for m in messages %}<{{ m.role }}>{% if m.role == 'user' %}{{ m.content }}{% endif %}<|im_end|>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
    let marks = "{% for m in messages %}{{ m.role }}:{% if m.role == 'user' %}{{ m.content }}{% else %}{% generation %}</s>{% endgeneration %}{% endif %}{% endfor %}";
    for source in [PARTS, without_answer, marks] {
        for train_on in [TrainOn::All, TrainOn::Last] {
            assert_eq!(shown(source, &messages, train_on), Err(ProblemKind::NothingSupervised), "{source}");
        }
    }
    // An answer that is changed is shown.
    let upper = PLAIN.replace("message['content'] +", "message['content'] | upper +");
    assert!(shown(&upper, &messages, TrainOn::All).expect("it encodes")[0].0.contains("«D<|im_end|>»"));
}

#[test]
fn a_question_that_the_template_does_not_show() {
    let messages = talk(&["a", "b", "c", "d"]);
    let without_question =
        PLAIN.replace("message['content'] +", "(message['content'] if message.role != 'user' else '') +");
    let marks = "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}{% generation %}{{ m.content }}</s>{% endgeneration %}{% endif %}{% endfor %}";
    for source in [marks, &without_question] {
        let error = shown(source, &messages, TrainOn::All).expect_err("nothing is asked");
        assert_eq!(error, ProblemKind::QuestionNotShown { message: 3 });
        assert_eq!(
            error.to_string(),
            "the chat template does not show message 3, what the user says before the answer"
        );
        assert!(error.hint().is_some_and(|hint| hint.contains("lists of parts")));
    }
    // Instructions and earlier questions may be left out.
    let mut messages = messages;
    messages.insert(0, Message::new("system", "be brief"));
    let last = PLAIN.replace("messages %}", "messages[3:] %}");
    assert!(shown(&last, &messages, TrainOn::Last).is_ok());
}
