//! What can be wrong with one row, each with a message and a hint of its own.

use std::fmt;

use crate::read::MAX_LINE_BYTES;
use crate::record::Origin;
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
    InvalidJson { column: usize, reason: String, looks_like_array: bool },
    /// The line is not UTF-8; the column is that of the first bad byte, counted from 1.
    #[error("invalid UTF-8: the byte here starts no character")]
    InvalidUtf8 { column: usize },
    /// The line is longer than any row can be.
    #[error("the line is longer than {} MiB", MAX_LINE_BYTES >> 20)]
    LineTooLong,
    /// The line is JSON, but no object.
    #[error("expected an object, found {found}")]
    NotAnObject { found: &'static str },
    /// Neither of the two shapes.
    #[error("expected `instruction` and `output`, or `messages`; found {}", list(keys))]
    UnknownShape { keys: Vec<String> },
    /// Both shapes at once.
    #[error("expected either `instruction` and `output` or `messages`; found both")]
    MixedShape,
    /// A field of another type.
    #[error("expected `{field}` to be {expected}, found {found}")]
    WrongType { field: String, expected: &'static str, found: &'static str },
    /// A field that would change what is trained.
    #[error("the field `{field}` is not supported: leaving it out would change what is trained")]
    Unsupported { field: String },
    /// There is nothing to ask.
    #[error("the instruction is empty")]
    EmptyInstruction,
    /// There is nothing to train on.
    #[error("no answer: {found}")]
    NoAnswer { found: &'static str },
    /// One of the answers of a conversation is empty.
    #[error("no answer: message {message} is an assistant turn without text")]
    EmptyAnswer { message: usize },
    /// A role that is none of ours.
    #[error("message {message} has the role `{role}`; expected `system`, `user` or `assistant`")]
    UnknownRole { message: usize, role: String },
    /// The same id for two different rows.
    #[error("the id `{id}` already stands at {first}, for another row")]
    DuplicateId { id: String, first: Origin },
    /// A row that is held out stands among the training rows.
    #[error("this row is held out, but equals the training row {train}")]
    Leak { train: Origin },
    /// The template refused or failed.
    #[error("{0}")]
    Template(TemplateError),
    /// The prompt as asked is not how the rendered answer begins.
    #[error(
        "the chat template renders the prompt of answer {answer} otherwise than the beginning of the answered conversation: \
         it asks with {asked:?} where the answered text has {answered:?}"
    )]
    PromptNotKept { answer: usize, asked: String, answered: String },
    /// The tokenizer failed.
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
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::InvalidJson { looks_like_array: true, .. } => {
                "the file looks like one JSON array; rtune reads JSONL: one object a line, no commas between (`jq -c '.[]'` converts)"
            }
            Self::InvalidJson { .. } => {
                "every line must be one whole JSON object; line breaks inside a text are written \\n"
            }
            Self::InvalidUtf8 { .. } => "save the file as UTF-8 (`iconv -f LATIN1 -t UTF-8` converts)",
            Self::LineTooLong => "is this one JSON array on one line? rtune reads JSONL: one object a line",
            Self::UnknownShape { keys } => return Some(shape_hint(keys)),
            Self::MixedShape => "keep one of the two and remove the other",
            Self::Unsupported { field } => return unsupported_hint(field),
            Self::NoAnswer { .. } | Self::EmptyAnswer { .. } => {
                "a row teaches its answer: fill it in or remove the row"
            }
            Self::UnknownRole { role, .. } => return role_hint(role),
            Self::DuplicateId { .. } => "an id names one row: rename one of them, or leave `id` out",
            Self::Leak { .. } => {
                "a model that has seen the exam passes it: remove the row on one of the two sides"
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
            Self::NothingSupervised => {
                "look at the row with `rtune check`; the template may drop assistant turns"
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

/// What other tools call our fields.
const SYNONYMS: [(&str, &str); 11] = [
    ("conversations", "`messages` with `role` and `content`"),
    ("conversation", "`messages` with `role` and `content`"),
    ("prompt", "`instruction`"),
    ("question", "`instruction`"),
    ("query", "`instruction`"),
    ("completion", "`output`"),
    ("response", "`output`"),
    ("answer", "`output`"),
    ("label", "`output`"),
    ("context", "`input`"),
    ("text", "`instruction` and `output`"),
];

fn shape_hint(keys: &[String]) -> String {
    let renamed: Vec<String> = SYNONYMS
        .iter()
        .filter(|(other, _)| keys.iter().any(|key| key == other))
        .map(|(other, ours)| format!("`{other}` is {ours} here"))
        .collect();
    let accepted = "accepted: {\"instruction\": \"...\", \"input\": \"...\" (optional), \"output\": \"...\"} or \
         {\"messages\": [{\"role\": \"user\", \"content\": \"...\"}, {\"role\": \"assistant\", \"content\": \"...\"}]}";
    match renamed.is_empty() {
        true => accepted.to_owned(),
        false => format!("{}; {accepted}", renamed.join(", ")),
    }
}

fn role_hint(role: &str) -> Option<String> {
    let ours = match role {
        "human" | "customer" | "User" => "user",
        "gpt" | "bot" | "model" | "agent" | "chatbot" | "Assistant" => "assistant",
        "developer" | "System" => "system",
        _ => return None,
    };
    Some(format!("`{role}` is `{ours}` here"))
}

fn unsupported_hint(field: &str) -> Option<String> {
    let hint = match field {
        "system" => "write the row as `messages` with a system turn first",
        "history" => "write the row as `messages`, oldest turn first",
        "chosen" | "rejected" => "preference pairs are not trained on: keep the better answer as `output`",
        _ => "remove the field, or put what it says into the text",
    };
    Some(hint.to_owned())
}
