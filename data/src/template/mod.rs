//! Chat templates, rendered as transformers renders them.
//!
//! Source: `transformers/utils/chat_template_utils.py` 5.x: a sandboxed Jinja2 with `trim_blocks`, `lstrip_blocks` and
//! loop controls, its own `tojson`, `raise_exception` and `strftime_now`, and `{% generation %}` around answers.

mod attributes;
mod bounds;
mod compare;
mod cut;
mod date;
mod error;
mod filters;
mod functions;
mod generation;
mod json;
mod methods;
mod needs;
mod python;
mod raw;
mod rewrite;
mod room;
mod seen;
mod settled;
mod shown;
mod tags;
mod text;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, Serde, Value, ValueKind};
use minijinja::{AutoEscape, Environment, State};

pub use date::Date;
pub use error::TemplateError;
pub(crate) use generation::{CONTENT_MARKS, take_marked};
pub use settled::settled;

use crate::record::Message;
use error::Raised;
use seen::{Seen, with_reasoning};
use shown::Shows;

/// Steps of one rendering: a conversation of a thousand turns takes some hundred thousand, and a template that never
/// ends is stopped within seconds.
const MOST_STEPS: u64 = 20_000_000;

/// Bytes of one rendering: several times the longest row that is read.
const MOST_BYTES: usize = 256 << 20;

/// The name of the template in the environment.
const NAME: &str = "chat";

/// The tokens a template may print by name; what the model does not have stays undefined and prints nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Printed as `bos_token`.
    pub bos: Option<String>,
    /// Printed as `eos_token`.
    pub eos: Option<String>,
    /// Printed as `pad_token`.
    pub pad: Option<String>,
    /// Printed as `unk_token`.
    pub unk: Option<String>,
}

impl SpecialTokens {
    fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("bos_token", &self.bos),
            ("eos_token", &self.eos),
            ("pad_token", &self.pad),
            ("unk_token", &self.unk),
        ]
        .into_iter()
        .filter_map(|(name, token)| Some((name, token.as_deref()?)))
    }
}

/// A compiled chat template with the tokens, the date and the variables it may print.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    special: SpecialTokens,
    date: Option<Date>,
    variables: BTreeMap<String, Value>,
    marks_answers: bool,
    shows: Shows,
}

impl ChatTemplate {
    /// Compiles a template.
    ///
    /// `date` is what `strftime_now` prints, at midnight; without one the function is not defined, so that templates
    /// that ask for it first print their own fixed date and others fail. The clock is never read.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] with the line of the template.
    pub fn new(source: &str, special: SpecialTokens, date: Option<Date>) -> Result<Self, TemplateError> {
        Self::with_room(source, special, date, bounds::MOST_MADE_BYTES)
    }

    /// [`Self::new`] with so many bytes for the texts of a rendering.
    pub(crate) fn with_room(
        source: &str,
        special: SpecialTokens,
        date: Option<Date>,
        most_bytes: usize,
    ) -> Result<Self, TemplateError> {
        let wrong = |error: minijinja::Error| TemplateError::syntax(&error);
        // As Jinja reads a source: by lines that end alike.
        let lines = match source.contains('\r') {
            true => Cow::Owned(source.replace("\r\n", "\n").replace('\r', "\n")),
            false => Cow::Borrowed(source),
        };
        let written_out = raw::written_out(&lines);
        let (rewritten, marks_answers) = generation::rewrite(&written_out);
        if source.contains(bounds::PREFIX) {
            let reason = format!("names that begin with `{}` are not the template's", bounds::PREFIX);
            return Err(TemplateError::Syntax { line: 1, reason });
        }
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(wrong)?;
        let rewritten = rewrite::rewrite(&rewritten, NAME, syntax.clone()).map_err(wrong)?;
        let mut environment = Environment::new();
        environment.set_syntax(syntax);
        environment.set_fuel(Some(MOST_STEPS));
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        bounds::add(&mut environment, most_bytes);
        environment.add_filter("tojson", json::tojson);
        // None is not iterable in Python; what asks a text for its letters counts them all.
        environment.add_test("iterable", |value: &Value| {
            value.as_str().is_some() || !value.is_none() && value.try_iter().is_ok()
        });
        // Whatever has a length and items by number or name, in Python: texts, too.
        environment.add_test("sequence", |value: &Value| match value.kind() {
            ValueKind::Seq | ValueKind::Map | ValueKind::String => true,
            ValueKind::Iterable => value.len().is_some(),
            _ => value.is_undefined(),
        });
        environment.add_function("raise_exception", raise_exception);
        environment.add_function(generation::FUNCTION, generation::mark);
        if let Some(date) = date {
            environment.add_function("strftime_now", move |state: &mut State<'_, '_>, format: &str| {
                functions::dated(state, date, format)
            });
        }
        environment.add_template_owned(NAME, rewritten).map_err(wrong)?;
        Ok(Self {
            environment,
            source: source.to_owned(),
            special,
            date,
            variables: BTreeMap::new(),
            marks_answers,
            shows: Shows::default(),
        })
    }

    /// The same template with a variable of the user's, such as `enable_thinking`.
    pub fn with_variable(mut self, name: &str, value: &serde_json::Value) -> Self {
        self.variables.insert(name.to_owned(), Value::from(Serde(value)));
        // It may decide what is shown.
        self.shows = Shows::default();
        self
    }

    /// The source, as it was given.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The tokens it may print.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// Everything that decides what it prints, as texts in a fixed order.
    pub(crate) fn parts(&self) -> Vec<String> {
        let mut parts = vec![self.source.clone(), format!("{:?}", self.date)];
        parts.extend(self.special.named().map(|(name, token)| format!("{name}={token}")));
        parts.extend(self.variables.iter().map(|(name, value)| format!("{name}={value:?}")));
        parts
    }

    /// Whether the template itself says where answers stand, by `{% generation %}`.
    pub fn marks_answers(&self) -> bool {
        self.marks_answers
    }

    /// Renders a conversation; with `add_generation_prompt` it ends where the next answer begins.
    ///
    /// # Errors
    /// [`TemplateError::Raised`] if the template refuses the conversation, [`TemplateError::Failed`] if it fails, and
    /// [`TemplateError::Marks`] if the template marks answers and a text holds a mark.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, TemplateError> {
        self.render_conversation(messages, &[], add_generation_prompt)
    }

    /// Renders a conversation and the tools that may be called in it.
    ///
    /// Messages reach the template as transformers passes them: `reasoning_content` is filled from its older names. A
    /// developer is the system to templates that do not know the role.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`].
    pub fn render_conversation(
        &self,
        messages: &[Message],
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        Ok(self.render_with_answers(messages, tools, add_generation_prompt)?.0)
    }

    /// Renders a conversation, and says in bytes where its `{% generation %}` blocks stand.
    pub(crate) fn render_with_answers(
        &self,
        messages: &[Message],
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
    ) -> Result<(String, Vec<Range<usize>>), TemplateError> {
        if self.marks_answers && holds_any(messages, tools, generation::ANSWER_MARKS) {
            return Err(TemplateError::Marks);
        }
        let seen = Seen { messages, knows_developer: self.source.contains("developer") };
        let given = (!tools.is_empty()).then(|| Value::from(Serde(tools)));
        let tools = given.map(|tools| ("tools".to_owned(), tools));
        let text = self.render_values(Value::from(Serde(&seen)), add_generation_prompt, tools)?;
        if !self.marks_answers {
            return Ok((text, Vec::new()));
        }
        take_marked(&text, generation::ANSWER_MARKS).ok_or(TemplateError::Marks)
    }

    /// Renders messages with any fields, and variables for this call alone: what `apply_chat_template` takes.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`].
    pub fn render_json(
        &self,
        messages: &serde_json::Value,
        add_generation_prompt: bool,
        variables: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<String, TemplateError> {
        let messages = with_reasoning(messages);
        let variables = variables.iter().map(|(name, value)| (name.clone(), Value::from(Serde(value))));
        let text = self.render_values(Value::from(Serde(&messages)), add_generation_prompt, variables)?;
        if !self.marks_answers {
            return Ok(text);
        }
        take_marked(&text, generation::ANSWER_MARKS).map(|(text, _)| text).ok_or(TemplateError::Marks)
    }

    fn render_values(
        &self,
        messages: Value,
        add_generation_prompt: bool,
        variables: impl IntoIterator<Item = (String, Value)>,
    ) -> Result<String, TemplateError> {
        // transformers defines `tools` and `documents` in every call, as None where there are none.
        let mut context: BTreeMap<String, Value> =
            ["tools", "documents"].into_iter().map(|name| (name.to_owned(), Value::from(()))).collect();
        context.extend(self.special.named().map(|(name, token)| (name.to_owned(), Value::from(token))));
        context.extend(self.variables.iter().map(|(name, value)| (name.clone(), value.clone())));
        context.extend(variables);
        context.insert("messages".to_owned(), messages);
        context.insert("add_generation_prompt".to_owned(), Value::from(add_generation_prompt));
        let template = self.environment.get_template(NAME).map_err(|error| TemplateError::syntax(&error))?;
        let mut text = Bounded::default();
        let rendered = template.render_captured_to(Value::from(context), &mut text).map(drop);
        if text.is_full {
            return Err(TemplateError::TooLong { mebibytes: MOST_BYTES >> 20 });
        }
        rendered.map_err(|error| TemplateError::rendering(&error))?;
        // Only whole texts are written, so that the bytes are one.
        Ok(String::from_utf8_lossy(&text.bytes).into_owned())
    }
}

/// What a template prints, up to [`MOST_BYTES`].
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MOST_BYTES {
            self.is_full = true;
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether any text that a template could print holds one of two characters.
pub(crate) fn holds_any(messages: &[Message], tools: &[serde_json::Value], marks: [char; 2]) -> bool {
    // Written as JSON, for these characters are written as themselves there.
    let inside = |value: &serde_json::Value| value.to_string().contains(marks);
    let held = |message: &Message| {
        let mut fields = message.extra.iter();
        message.content.contains(marks) || fields.any(|(name, value)| name.contains(marks) || inside(value))
    };
    messages.iter().any(held) || tools.iter().any(inside)
}

fn raise_exception(state: &mut State<'_, '_>, message: Rest<Value>) -> Result<String, minijinja::Error> {
    let message = bounds::message(state, &message)?;
    Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, message.clone())
        .with_source(Raised(message)))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod bound_tests;

#[cfg(test)]
mod corner_tests;

#[cfg(test)]
mod peer_tests;

#[cfg(test)]
mod read_tests;

#[cfg(test)]
mod tool_tests;
