//! Which fields of a conversation a template shows.
//!
//! That is asked of what it renders: a comment, a longer name or a branch that is never taken mention a field, too. The
//! conversations are made for the purpose, of one question and its answer, since templates may leave out what was thought
//! before earlier answers.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::ChatTemplate;
use crate::record::{Content, Message, REASONING_FIELDS, TOOL_CALLS, TURN_TOOLS};

/// What is known of each [`Field`], by its number; asked once.
#[derive(Clone, Debug, Default)]
pub(super) struct Shows([OnceLock<bool>; 7]);

/// What may be lost.
#[derive(Clone, Copy)]
enum Field {
    /// The tools of the row.
    Tools,
    /// The tools of an instruction.
    TurnTools,
    Calls,
    /// Reasoning, perhaps under the name that the others are not filled from, and perhaps before calls.
    Reasoning {
        is_newest: bool,
        calls: bool,
    },
}

impl Field {
    fn number(self) -> usize {
        match self {
            Self::Tools => 0,
            Self::TurnTools => 1,
            Self::Calls => 2,
            Self::Reasoning { is_newest, calls } => 3 + 2 * usize::from(is_newest) + usize::from(calls),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::TurnTools => "messages[].tools",
            Self::Calls => TOOL_CALLS,
            Self::Reasoning { .. } => REASONING_FIELDS[0],
        }
    }

    fn is_mentioned(self, source: &str) -> bool {
        match self {
            Self::Tools | Self::TurnTools => source.contains(TURN_TOOLS),
            Self::Calls => source.contains(TOOL_CALLS),
            Self::Reasoning { .. } => REASONING_FIELDS.into_iter().any(|name| source.contains(name)),
        }
    }

    /// Conversations in which the field says `said`, with their tools.
    fn conversations(self, said: &str) -> Vec<(Vec<Message>, Vec<Value>)> {
        let user = || Message::new("user", "question");
        let with = |mut message: Message, name: &str, value: Value| {
            message.extra.insert(name.to_owned(), value);
            message
        };
        let answer = || Message::new("assistant", "answer");
        let calls = |called: &str, arguments: Value| {
            let mut message = with(answer(), TOOL_CALLS, json!([call(called, &arguments)]));
            (message.content, message.written) = (String::new(), Content::Null);
            message
        };
        let result = || with(Message::new("tool", "result"), "tool_call_id", json!(CALL_ID));
        // Templates write arguments as JSON, or print what is that already.
        let arguments = [json!({"a": "b"}), json!("{\"a\": \"b\"}")];
        match self {
            Self::Tools => {
                let system = Message::new("system", "instruction");
                [vec![user(), answer()], vec![system, user(), answer()]]
                    .map(|messages| (messages, vec![tool(said)]))
                    .into()
            }
            Self::TurnTools => [json!(said), json!([tool(said)])]
                .map(|tools| with(Message::new("system", "instruction"), TURN_TOOLS, tools))
                .map(|system| (vec![system, user(), answer()], Vec::new()))
                .into(),
            Self::Calls => arguments
                .into_iter()
                .flat_map(|arguments| {
                    let message = calls(said, arguments.clone());
                    let mut besides = message.clone();
                    (besides.content, besides.written) = ("answer".to_owned(), Content::Text);
                    let whole = vec![user(), message.clone(), result(), answer()];
                    [vec![user(), message], vec![user(), besides], whole]
                })
                .map(|messages| (messages, Vec::new()))
                .collect(),
            Self::Reasoning { is_newest, calls: before_calls } => {
                let thought =
                    |message| with(message, REASONING_FIELDS[if is_newest { 2 } else { 0 }], json!(said));
                let mut talks = Vec::new();
                for arguments in arguments {
                    let call = calls("function", arguments);
                    if before_calls {
                        let call = thought(call);
                        talks.push(vec![user(), call.clone()]);
                        talks.push(vec![user(), call, result(), answer()]);
                    } else {
                        talks.push(vec![user(), thought(answer())]);
                        talks.push(vec![user(), call, result(), thought(answer())]);
                    }
                }
                talks.into_iter().map(|messages| (messages, Vec::new())).collect()
            }
        }
    }
}

/// As long as some templates want it.
const CALL_ID: &str = "call00001";

/// A call with its function beside and within, as templates of either form read it.
fn call(name: &str, arguments: &Value) -> Value {
    let function = json!({"name": name, "arguments": arguments});
    json!({"id": CALL_ID, "type": "function", "name": name, "arguments": arguments, "function": function})
}

/// A tool in both forms, too.
fn tool(name: &str) -> Value {
    let about = json!({"type": "string", "description": "about"});
    let parameters = json!({"type": "object", "properties": {"a": about}, "required": ["a"]});
    let function = json!({"name": name, "description": name, "parameters": parameters});
    json!({"type": "function", "name": name, "description": name, "parameters": parameters, "function": function})
}

impl ChatTemplate {
    /// A field of the conversation that the template does not show, so that it would be lost without a word.
    pub(crate) fn not_shown(&self, messages: &[Message], tools: &[Value]) -> Option<&'static str> {
        let of_row = (!tools.is_empty()).then_some(Field::Tools);
        let of_messages = messages.iter().flat_map(|message| {
            let tools = message.extra.contains_key(TURN_TOOLS).then_some(Field::TurnTools);
            let calls = message.calls_tools();
            // Of reasoning that says nothing, nothing is lost.
            let says = |reasoning: &Value| reasoning.as_str().is_none_or(|text| !text.trim().is_empty());
            let reasons = message.is_answer() && message.reasoning().is_some_and(says);
            let is_newest = message.extra.contains_key(REASONING_FIELDS[2]);
            let reasoning = reasons.then_some(Field::Reasoning { is_newest, calls });
            [tools, calls.then_some(Field::Calls), reasoning].into_iter().flatten()
        });
        of_row.into_iter().chain(of_messages).find(|&field| !self.shows(field)).map(Field::name)
    }

    fn shows(&self, field: Field) -> bool {
        *self.shows.0[field.number()].get_or_init(|| {
            let mut is_rendered = false;
            let render = |(messages, tools): (Vec<Message>, Vec<Value>)| {
                self.render_conversation(&messages, &tools, false).ok()
            };
            for (one, other) in field.conversations("alpha").into_iter().zip(field.conversations("omega")) {
                let (Some(one), Some(other)) = (render(one), render(other)) else { continue };
                if one != other {
                    return true;
                }
                is_rendered = true;
            }
            // Where the template refuses all of them, there is nothing to go by but its source.
            !is_rendered && field.is_mentioned(&self.source)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{PLAIN, talk, template};

    fn with(index: usize, name: &str, value: Value) -> Vec<Message> {
        let mut messages = talk(&["a", "b", "c", "d"]);
        messages.insert(0, Message::new("system", "s"));
        messages[index].extra.insert(name.to_owned(), value);
        messages
    }

    fn calls() -> Value {
        json!([{"type": "function", "function": {"name": "f", "arguments": {}}}])
    }

    #[test]
    fn a_word_in_the_source_shows_nothing() {
        let comment = format!(
            "{{# tools tool_calls reasoning_content #}}{{% if false %}}{{{{ messages[0].reasoning_content }}}}{{% endif %}}{PLAIN}"
        );
        let source = template(&comment);
        assert_eq!(source.not_shown(&talk(&["a", "b"]), &[tool("f")]), Some("tools"));
        assert_eq!(source.not_shown(&with(2, TOOL_CALLS, calls()), &[]), Some("tool_calls"));
        for name in REASONING_FIELDS {
            assert_eq!(source.not_shown(&with(4, name, json!("so")), &[]), Some("reasoning_content"));
            assert_eq!(source.not_shown(&with(4, name, json!("")), &[]), None);
        }
        assert_eq!(source.not_shown(&with(0, TURN_TOOLS, json!("[]")), &[]), Some("messages[].tools"));
        assert_eq!(source.not_shown(&talk(&["a", "b"]), &[]), None);
        // What prints all of a message mentions nothing.
        let whole = template("{{ messages | tojson }}{{ tools | tojson }}");
        assert_eq!(whole.not_shown(&with(2, TOOL_CALLS, calls()), &[tool("f")]), None);
        assert_eq!(whole.not_shown(&with(4, "reasoning", json!("so")), &[]), None);
        // A template that refuses what it is asked is believed.
        let refusing = template(
            "{% if messages | length != 5 %}{{ raise_exception('five') }}{% endif %}{{ messages[4].reasoning_content }}",
        );
        assert_eq!(refusing.not_shown(&with(4, "thinking", json!("so")), &[]), None);
        assert_eq!(refusing.not_shown(&talk(&["a", "b"]), &[tool("f")]), Some("tools"));
    }

    /// Phi-4-mini reads the tools of the system turn, and no others.
    #[test]
    fn tools_of_a_turn() {
        let source = template(
            "{% for message in messages %}{% if message['role'] == 'system' and 'tools' in message and message['tools'] is not none %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|tool|>' + message['tools'] + '<|/tool|>' + '<|end|>' }}{% else %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}",
        );
        assert_eq!(source.not_shown(&talk(&["a", "b"]), &[tool("f")]), Some("tools"));
        let messages = with(0, TURN_TOOLS, json!("[{\"name\":\"f\"}]"));
        assert_eq!(source.not_shown(&messages, &[]), None);
        let text = source.render(&messages, true).expect("it renders");
        assert!(text.starts_with("<|system|>s<|tool|>[{\"name\":\"f\"}]<|/tool|><|end|><|user|>a"), "{text}");
    }

    #[test]
    fn reasoning_that_is_shown_somewhere() {
        let last = template(
            "{% for m in messages %}{% if loop.last and m.reasoning_content %}<{{ m.reasoning_content }}>{% endif %}{{ m.content }}{% endfor %}",
        );
        assert_eq!(last.not_shown(&with(2, "thinking", json!("so")), &[]), None);
        let before_calls = template(
            "{% for m in messages %}{% if m.tool_calls %}<{{ m.reasoning }}>{{ m.tool_calls }}{% else %}{{ m.content }}{% endif %}{% endfor %}",
        );
        let mut messages = with(2, TOOL_CALLS, calls());
        messages[2].extra.insert("reasoning".into(), json!("so"));
        assert_eq!(before_calls.not_shown(&messages, &[]), None);
        let plain = with(4, "reasoning", json!("so"));
        assert_eq!(before_calls.not_shown(&plain, &[]), Some("reasoning_content"));
        // `reasoning` is filled from no other field.
        messages[2].extra.remove("reasoning");
        messages[2].extra.insert("thinking".into(), json!("so"));
        assert_eq!(before_calls.not_shown(&messages, &[]), Some("reasoning_content"));
        // What is shown may be a variable's to say.
        let asked = template(
            "{% for m in messages %}{% if think is not defined or think %}{{ m.thinking }}{% endif %}{{ m.content }}{% endfor %}",
        );
        let plain = with(4, "thinking", json!("so"));
        assert_eq!(asked.not_shown(&plain, &[]), None);
        let without = asked.with_variable("think", &json!(false));
        assert_eq!(without.not_shown(&plain, &[]), Some("reasoning_content"));
    }
}
