//! What can be wrong with one row, each with a message and a hint of its own.

use std::fmt;

use crate::input::{MAX_DEPTH, MAX_LINE_BYTES, MAX_VALUES};
use crate::record::{Origin, ROLES};
use crate::template::TemplateError;

/// Something wrong with one row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowProblem {
    /// Where the row stands.
    pub origin: Origin,
    /// What is wrong.
    pub kind: ProblemKind,
}

impl fmt::Display for RowProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ProblemKind::InvalidJson { column, .. } | ProblemKind::InvalidUtf8 { column } => {
                write!(formatter, "{}:{column}: {}", self.origin, self.kind)
            }
            _ => write!(formatter, "{}: {}", self.origin, self.kind),
        }
    }
}

/// The kinds of problem a row can have.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message of a variant says what its fields are")]
pub enum ProblemKind {
    /// The line is not JSON; the column is counted in bytes from 1.
    #[error("invalid JSON: {reason}")]
    InvalidJson { column: usize, reason: String },
    /// The line is not UTF-8; the column is that of the first bad byte, counted from 1.
    #[error("invalid UTF-8: the byte here starts no character")]
    InvalidUtf8 { column: usize },
    /// The line is longer than any row can be.
    #[error("the line is longer than {} MiB", MAX_LINE_BYTES >> 20)]
    LineTooLong,
    /// What is no line is longer than any row can be.
    #[error("the row is longer than {} MiB", MAX_LINE_BYTES >> 20)]
    RowTooLong,
    /// More values than a row can have; each takes memory of its own.
    #[error("the row has more than {} million values", MAX_VALUES >> 20)]
    TooManyValues,
    /// Lists and objects within one another, deeper than anything that is trained.
    #[error("lists and objects stand more than {MAX_DEPTH} deep in one another")]
    TooDeep,
    /// A whole number that would be trained with other digits.
    #[error("the whole number {number} is larger than 64 bits hold: it would be trained with other digits")]
    NumberTooLarge { number: String },
    /// A zero byte in a file of text.
    #[error("a zero byte stands in the text")]
    ZeroByte,
    /// A row of a table that is no row of this table.
    #[error("the row has {found} columns, the header {expected}")]
    Ragged { expected: usize, found: usize },
    /// A quote that swallows the rest of the table.
    #[error("a quote is opened here and never closed")]
    OpenQuote,
    /// A field that the mapping names and the row lacks.
    #[error("the row has no field `{theirs}`, which `{ours}` is taken from")]
    NotMapped { ours: String, theirs: String },
    /// The line is JSON, but no object.
    #[error("expected an object, found {found}")]
    NotAnObject { found: &'static str },
    /// None of the forms.
    #[error("expected `instruction` and `output`, or `messages`; found {}", list(keys))]
    UnknownShape { keys: Vec<String> },
    /// Several forms at once.
    #[error("expected one form of row; found {}", list(found))]
    MixedShape { found: Vec<String> },
    /// A field of another type.
    #[error("expected `{field}` to be {expected}, found {found}")]
    WrongType { field: String, expected: &'static str, found: &'static str },
    /// A field that would change what is trained.
    #[error("the field `{field}` is not supported: leaving it out would change what is trained")]
    Unsupported { field: String },
    /// Two texts for the system.
    #[error("the row has `system`, and a system turn that says something else")]
    SystemTwice,
    /// A call of a tool that cannot be read as one.
    #[error("message {message} calls a tool, but is not JSON with `name` and `arguments`")]
    CallNotJson { message: usize },
    /// There is nothing to ask.
    #[error("the {field} is empty")]
    EmptyInstruction { field: &'static str },
    /// A conversation that begins with an answer.
    #[error("the first message is an answer: nobody asked")]
    AnswerFirst,
    /// A text where a question is needed.
    #[error("the row is a text, which asks nothing")]
    NothingAsked,
    /// There is nothing to train on.
    #[error("no answer: {found}")]
    NoAnswer { found: &'static str },
    /// One of the answers of a conversation is empty.
    #[error("no answer: message {message} is an assistant turn without text")]
    EmptyAnswer { message: usize },
    /// A role that is none of ours.
    #[error("message {message} has the role `{role}`; expected {}", roles())]
    UnknownRole { message: usize, role: String },
    /// The same id for two different rows.
    #[error("the id `{id}` already stands at {first}, for another row")]
    DuplicateId { id: String, first: Origin },
    /// What a held-out row asks is trained on.
    #[error(
        "this row is held out, and the training row {train} gives it away ({kind}, similarity {similarity:.2})"
    )]
    Leak { train: Origin, kind: &'static str, similarity: f64 },
    /// The template refused or failed.
    #[error("{0}")]
    Template(TemplateError),
    /// The prompt as asked is not how the rendered answer begins.
    #[error(
        "the chat template renders the prompt of answer {answer} otherwise than the beginning of the answered conversation: \
         it asks with {asked:?} where the answered text has {answered:?}"
    )]
    PromptNotKept { answer: usize, asked: String, answered: String },
    /// The template would leave out what the row has.
    #[error("the chat template does not show `{field}`: leaving it out would change what is trained")]
    NotShown { field: &'static str },
    /// The template would leave out what is answered.
    #[error("the chat template does not show message {message}, what the user says before the answer")]
    QuestionNotShown { message: usize },
    /// An answer that is not to be trained cannot be told from the others.
    #[error(
        "the chat template marks what is trained otherwise than answer by answer, so that none can be left out"
    )]
    UntrainedNotPlaced,
    /// What a golden row says beside its conversation is not what it should be.
    #[error("the field `{field}` of a golden row: {reason}")]
    Golden { field: String, reason: String },
    /// The tokenizer fails.
    #[error("the tokenizer refuses this row: {reason}")]
    Tokenizer { reason: String },
    /// Longer than allowed.
    #[error("{tokens} tokens, more than the {max_tokens} allowed")]
    TooLong { tokens: usize, max_tokens: usize },
    /// Longer than allowed even without its prompt.
    #[error("the answer and its template alone have {tokens} tokens, more than the {max_tokens} allowed")]
    AnswerTooLong { tokens: usize, max_tokens: usize },
    /// No token would be trained.
    #[error("no token of this row is trained: the chat template does not show the answer")]
    NothingSupervised,
}

impl ProblemKind {
    /// A short name for counts: `invalid-json`.
    pub fn name(&self) -> String {
        // The name of the variant, as `Debug` begins with it.
        let shown = format!("{self:?}");
        let variant: String = shown.chars().take_while(char::is_ascii_alphanumeric).collect();
        let mut name = String::new();
        for (index, letter) in variant.char_indices() {
            if letter.is_ascii_uppercase() && index > 0 {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::InvalidJson { reason, .. } if reason.contains("surrogate") => {
                "half of a character is written there: \\ud800 to \\udfff come in pairs (UTF-16)"
            }
            Self::TooDeep => "no training row is nested as deep: look at what the file is",
            Self::NumberTooLarge { .. } => {
                "write it as a text, between quotation marks, or leave its field out"
            }
            Self::InvalidJson { .. } => {
                "every line must be one whole JSON object; line breaks inside a text are written \\n"
            }
            Self::InvalidUtf8 { .. } => "save the file as UTF-8 (`iconv -f LATIN1 -t UTF-8` converts)",
            Self::LineTooLong | Self::RowTooLong => {
                "no model reads as much: look at what the file is; of a list inside an object write one element a line (`jq -c '.tickets[]'`)"
            }
            Self::ZeroByte => "is this a text file? If so, save it as UTF-8",
            Self::Ragged { .. } | Self::OpenQuote => {
                "a text with the separator or a line break in it stands between quotes, and a quote in it is doubled"
            }
            Self::UnknownShape { keys } => return Some(shape_hint(keys)),
            Self::MixedShape { .. } => "keep one of them, or name the fields that count (`fields`)",
            Self::Unsupported { field } => return unsupported_hint(field),
            Self::NoAnswer { .. } | Self::EmptyAnswer { .. } => {
                "a row teaches its answer: fill it in or remove the row"
            }
            Self::UnknownRole { role, .. } => return role_hint(role),
            Self::DuplicateId { .. } => "an id names one row: rename one of them, or leave `id` out",
            Self::Leak { .. } => {
                "a model that has seen the exam passes it: remove the row on one of the two sides, or say in `data.leaks.accept` how many such rows may stay"
            }
            Self::Template(error) => return error.hint(),
            Self::PromptNotKept { .. } => {
                "the model would be asked otherwise than it was trained: give a template whose generation prompt is how an answer begins (`data.template`)"
            }
            Self::TooLong { .. } => {
                "raise `data.max-tokens`, or set `data.over-long` to \"drop\" or \"truncate-prompt\""
            }
            Self::AnswerTooLong { .. } => {
                "raise `data.max-tokens`, or set `data.over-long` to \"drop\"; an answer is never cut"
            }
            Self::AnswerFirst => "remove the row, or what stands before the first question",
            Self::NotShown { field: "tools" } => {
                "take a template that knows tools (`data.template`), write them where it reads them (some read `tools` of the system turn alone), or remove them from the rows"
            }
            Self::NotShown { field: "messages[].tools" } => {
                "write them as `tools` of the row, beside `messages`, or take a template that reads them from a turn (`data.template`)"
            }
            Self::NotShown { field: "tool_calls" } => {
                "take a template that knows tools (`data.template`), or remove them from the rows"
            }
            Self::NotShown { .. } => {
                "take a template that shows reasoning there (`data.template`; some show it beside calls of tools alone), or remove it from the rows"
            }
            Self::QuestionNotShown { .. } => {
                "contents are texts here: the template may read them as lists of parts; take one that shows texts (`data.template`)"
            }
            Self::Golden { field, .. } if field == "messages" => {
                "name what is right as a text in `references`, or leave the row out"
            }
            Self::Golden { .. } => "docs/evaluation.md, Golden rows, says what each field is",
            Self::NothingSupervised => {
                "look at the row with `rtune check`; the template may drop assistant turns, or read contents as lists of parts, where here they are texts"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn list(keys: &[String]) -> String {
    match keys {
        [] => "no fields".to_owned(),
        _ => keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", "),
    }
}

fn roles() -> String {
    let [first @ .., last] = ROLES;
    let first: Vec<String> = first.iter().map(|role| format!("`{role}`")).collect();
    format!("{} or `{last}`", first.join(", "))
}

/// What other tools call our fields.
const SYNONYMS: [(&str, &str); 8] = [
    ("conversation", "`messages` with `role` and `content`"),
    ("question", "`instruction`"),
    ("query", "`instruction`"),
    ("response", "`output`"),
    ("answer", "`output`"),
    ("label", "`output`"),
    ("category", "`output`"),
    ("context", "`input`"),
];

fn shape_hint(keys: &[String]) -> String {
    let has = |name: &str| keys.iter().any(|key| key == name);
    let mut renamed: Vec<String> = SYNONYMS
        .iter()
        .filter(|(other, _)| has(other))
        .map(|(other, ours)| format!("`{other}` is {ours} here"))
        .collect();
    for alone in ["prompt", "text"].into_iter().filter(|name| has(name)) {
        renamed.push(format!("`{alone}` is `instruction` here"));
    }
    let accepted = "accepted: {\"instruction\": \"...\", \"input\": \"...\" (optional), \"output\": \"...\"}, \
         {\"messages\": [{\"role\": \"user\", \"content\": \"...\"}, {\"role\": \"assistant\", \"content\": \"...\"}]}, \
         `prompt` and `completion`, `prompt` and `chosen`, `conversations`, or `text` alone";
    match renamed.is_empty() {
        true => accepted.to_owned(),
        false => format!("{} (`fields` maps them); {accepted}", renamed.join(", ")),
    }
}

fn role_hint(role: &str) -> Option<String> {
    let ours = match role {
        "human" | "customer" | "User" => "user",
        "gpt" | "bot" | "model" | "agent" | "chatbot" | "Assistant" => "assistant",
        "System" => "system",
        "function" | "observation" | "ipython" => "tool",
        _ => return None,
    };
    Some(format!("`{role}` is `{ours}` here"))
}

fn unsupported_hint(field: &str) -> Option<String> {
    let hint = match field {
        "history" => "write the row as `messages`, oldest turn first",
        "functions" => "write them as `tools`: [{\"type\": \"function\", \"function\": {...}}]",
        field if field.ends_with("function_call") => "write it as `tool_calls`",
        _ => "remove the field, or put what it says into the text",
    };
    Some(hint.to_owned())
}
