//! `rtune feedback`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use rtune_feedback::forms::Form;

#[derive(Debug, clap::Args)]
pub(crate) struct FeedbackArgs {
    #[command(subcommand)]
    pub(crate) what: FeedbackVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FeedbackVerb {
    /// Read what users said of answers into a queue: scrubbed, without what is known, held against golden rows
    Import(ImportArgs),
    /// Decide, entry by entry, what becomes a training row; with --accept or --reject nothing is asked
    Review(FeedbackReviewArgs),
    /// List what is in a queue, and what fails that no golden row asks about
    List(ListArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct QueueArgs {
    /// The folder of the queue
    #[arg(long, value_name = "FOLDER")]
    pub(crate) queue: PathBuf,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AgainstArgs {
    /// The configuration whose `data.privacy`, golden rows and training rows count
    #[arg(long, value_name = "CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// A run folder in place of a configuration
    #[arg(long, value_name = "RUN", conflicts_with = "config")]
    pub(crate) run: Option<PathBuf>,
    /// Override a key of the configuration, for example data.privacy.mode=surrogate; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// What was sent: JSON objects a line, or a list of them
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) place: QueueArgs,
    #[command(flatten)]
    pub(crate) against: AgainstArgs,
    /// Whose form the files have; by default each says it itself
    #[arg(long, value_enum, value_name = "FORM")]
    pub(crate) from: Option<FormName>,
    /// A key of LangSmith under which users say what they think, beside the usual ones (user-score, thumbs, stars …); may be repeated
    #[arg(long = "key", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// Most entries of one user in the queue
    #[arg(long, value_name = "ENTRIES", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) per_user: u32,
    /// Write the account as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormName {
    /// `prompt` or `messages`, `answer`, `thumbs`, `stars`, `comment`, `correction`, `user`
    Rtune,
    /// Runs and feedback of LangSmith, in one file or several
    Langsmith,
    /// Rows of OpenAI's evals (`input`, `ideal`) or preferences
    Openai,
    /// Records of Argilla
    Argilla,
    /// Corrections of `rtune review`
    Review,
}

impl FormName {
    pub(crate) fn form(self) -> Form {
        match self {
            Self::Rtune => Form::Rtune,
            Self::Langsmith => Form::LangSmith,
            Self::Openai => Form::OpenAi,
            Self::Argilla => Form::Argilla,
            Self::Review => Form::Review,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct FeedbackReviewArgs {
    #[command(flatten)]
    pub(crate) place: QueueArgs,
    /// Entries to accept as they are, by id; `all` is every one that waits and has an answer to train on
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub(crate) accept: Vec<String>,
    /// Entries to reject, by id
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub(crate) reject: Vec<String>,
    /// Who decides, for the record
    #[arg(long, value_name = "NAME", default_value = "unnamed")]
    pub(crate) by: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) place: QueueArgs,
    #[command(flatten)]
    pub(crate) against: AgainstArgs,
    /// Only entries of this state
    #[arg(long, value_enum, value_name = "STATE")]
    pub(crate) state: Option<StateName>,
    /// Write entries and topics as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateName {
    /// Nobody decided
    Waiting,
    /// It is a training row, or will be
    Accepted,
    /// It is none
    Rejected,
    /// It resembles a golden row, and can be none
    Golden,
}
