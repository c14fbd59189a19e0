//! What a chat template can do wrong.

use super::settled::{CLOCK, SETTLED_CLOCK};
use std::error::Error;

use minijinja::ErrorKind;

use super::room::{Full, Worn};

/// An error of a chat template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The template does not parse.
    #[error("the chat template does not parse: line {line}: {reason}")]
    Syntax {
        /// The line of the template, counted from 1.
        line: usize,
        /// What was expected and found.
        reason: String,
    },
    /// The template called `raise_exception`.
    #[error("the chat template refuses this conversation: {message}")]
    Raised {
        /// What it said.
        message: String,
    },
    /// The template does what cannot be done.
    #[error("the chat template fails: line {line}: {reason}")]
    Failed {
        /// The line of the template, counted from 1.
        line: usize,
        /// What failed.
        reason: String,
    },
    /// The template takes more steps, or goes through more, than a rendering may.
    #[error("the chat template fails: line {line}: {reason}")]
    Endless {
        /// The line of the template, counted from 1.
        line: usize,
        /// What there was too much of.
        reason: String,
    },
    /// The template prints without end.
    #[error("the chat template prints more than {mebibytes} MiB")]
    TooLong {
        /// The most it may print.
        mebibytes: usize,
    },
    /// The template makes texts without end, whatever it prints of them.
    #[error("the chat template makes more than {mebibytes} MiB of texts on the way")]
    TooMuch {
        /// The most it may make.
        mebibytes: usize,
    },
    /// A text holds the characters that mark answers.
    #[error("the text holds one of the characters U+E000 and U+E001, which mark answers in this template")]
    Marks,
    /// A date that is none.
    #[error("expected a date as YYYY-MM-DD, found `{found}`")]
    Date {
        /// What was given.
        found: String,
    },
}

impl TemplateError {
    pub(super) fn syntax(error: &minijinja::Error) -> Self {
        Self::Syntax { line: error.line().unwrap_or(1), reason: reason(error) }
    }

    pub(super) fn rendering(error: &minijinja::Error) -> Self {
        let (line, mut is_endless) = (error.line().unwrap_or(1), error.kind() == ErrorKind::OutOfFuel);
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(current) = cause {
            if let Some(Raised(message)) = current.downcast_ref() {
                return Self::Raised { message: message.clone() };
            }
            if let Some(Full(bytes)) = current.downcast_ref() {
                return Self::TooMuch { mebibytes: bytes >> 20 };
            }
            is_endless |= current.is::<Worn>();
            cause = current.source();
        }
        let reason = reason(error);
        if is_endless { Self::Endless { line, reason } } else { Self::Failed { line, reason } }
    }

    /// Whether the template was stopped, after as long as a rendering may take.
    pub(crate) fn was_stopped(&self) -> bool {
        matches!(self, Self::Endless { .. } | Self::TooLong { .. } | Self::TooMuch { .. })
    }

    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Syntax { .. } => "`data.template` names another template",
            Self::Raised { .. } => {
                "change the order or the roles of the messages, or give another template (`data.template`)"
            }
            Self::Failed { reason, .. }
                if [CLOCK, SETTLED_CLOCK].iter().any(|clock| reason.contains(clock)) =>
            {
                "this template prints the date of the day: fix one as `data.template-date`, such as \"2026-01-31\""
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn reason(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// What `raise_exception` was called with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Raised(pub(super) String);
