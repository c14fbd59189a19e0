//! Feedback as it was sent, and as it is kept.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rtune_data::Record;
use serde::{Deserialize, Serialize};

/// The `format` of every line that is written.
pub(crate) const FORMAT: u64 = 1;

/// From so many stars on an answer was liked.
const LIKED_STARS: u8 = 4;
/// Up to so many it was not.
const DISLIKED_STARS: u8 = 2;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// Its text.
    pub content: String,
}

impl Turn {
    /// A turn.
    #[must_use]
    pub fn new(role: &str, content: impl Into<String>) -> Self {
        Self { role: role.to_owned(), content: content.into() }
    }
}

/// Feedback as a tool wrote it, in our words. It stands in memory only: nobody has looked for personal data yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; of a list the place in it.
    pub line: usize,
    /// Theirs.
    pub id: Option<String>,
    /// What was asked.
    pub messages: Vec<Turn>,
    /// What the model answered.
    pub answer: Option<String>,
    /// -1, 0 or 1.
    pub rating: Option<i8>,
    /// 1 to 5.
    pub stars: Option<u8>,
    /// What the user said of it.
    pub comment: Option<String>,
    /// What should have been answered.
    pub correction: Option<String>,
    /// Who.
    pub user: Option<String>,
    /// Which model.
    pub model: Option<String>,
    /// When, as it was written.
    pub created: Option<String>,
    /// Whether tools are called in it: of a conversation a queue keeps the texts alone, and without its calls it would be another one.
    pub calls: bool,
}

/// Where an entry comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameFrom {
    /// Whose form it had.
    pub form: String,
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The hash of the id that it had there, salted as users are.
    pub id: Option<String>,
}

/// A golden row that an entry resembles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leak {
    /// `file:line` of it.
    pub golden: String,
    /// How: `exact`, `canonical`, `near` and so on.
    pub kind: String,
    /// How much, from 0 to 1.
    pub similarity: f64,
}

/// Feedback as it waits in a queue, scrubbed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// 1.
    pub format: u64,
    /// The hash of what it says.
    pub id: String,
    /// Where it comes from.
    pub from: CameFrom,
    /// What was asked.
    pub messages: Vec<Turn>,
    /// What the model answered.
    pub answer: Option<String>,
    /// -1, 0 or 1.
    pub rating: Option<i8>,
    /// 1 to 5.
    pub stars: Option<u8>,
    /// What the user said of it.
    pub comment: Option<String>,
    /// What should have been answered.
    pub correction: Option<String>,
    /// A salted hash of who said it: it tells users of one queue apart, and says nothing outside it.
    pub user: Option<String>,
    /// Which model.
    pub model: Option<String>,
    /// When.
    pub created: Option<String>,
    /// The golden row that it would give away: it never becomes a training row.
    pub leak: Option<Leak>,
    /// `file:line` of a training row that asks the same and is answered otherwise.
    pub resembles: Option<String>,
    /// What was replaced in it, by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replaced: BTreeMap<String, usize>,
    /// The row that it would be with tags in place of stand-ins, where it has any, while it is taken in.
    #[serde(skip)]
    pub(crate) tagged: Option<Record>,
}

impl Entry {
    /// Whether the user liked the answer: thumbs count before stars. `None` where nothing says so.
    #[must_use]
    pub fn liked(&self) -> Option<bool> {
        match (self.rating, self.stars) {
            (Some(rating), _) if rating != 0 => Some(rating > 0),
            (_, Some(stars)) if stars >= LIKED_STARS => Some(true),
            (_, Some(stars)) if stars <= DISLIKED_STARS => Some(false),
            _ => None,
        }
    }

    /// Whether it speaks against the answer: somebody disliked it, or wrote another.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.liked().map_or(self.correction.is_some(), |liked| !liked)
    }

    /// The answer that could be trained: the correction, or else an answer that was liked.
    #[must_use]
    pub fn to_train(&self) -> Option<&str> {
        let liked = || self.answer.as_deref().filter(|_| self.liked() == Some(true));
        self.correction.as_deref().or_else(liked)
    }

    /// What the user says, turn by turn.
    #[must_use]
    pub fn asked(&self) -> String {
        asked_in(&self.messages)
    }

    /// What is wrong with it as a line of a queue, if something is.
    ///
    /// # Errors
    /// What was expected and found, in words.
    pub fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("expected `format` {FORMAT}, found {}", self.format));
        }
        if self.id.is_empty() || !self.messages.iter().any(|turn| turn.role == "user") {
            return Err("expected an `id`, and a turn of a user in `messages`".to_owned());
        }
        if self.rating.is_some_and(|rating| !(-1..=1).contains(&rating)) {
            return Err("expected `rating` to be -1, 0 or 1".to_owned());
        }
        if self.stars.is_some_and(|stars| !(1..=5).contains(&stars)) {
            return Err("expected `stars` from 1 to 5".to_owned());
        }
        Ok(())
    }
}

impl Raw {
    /// What the user says, turn by turn.
    #[must_use]
    pub fn asked(&self) -> String {
        asked_in(&self.messages)
    }
}

fn asked_in(messages: &[Turn]) -> String {
    let users = messages.iter().filter(|turn| turn.role == "user");
    users.map(|turn| turn.content.as_str()).collect::<Vec<_>>().join("\n")
}
