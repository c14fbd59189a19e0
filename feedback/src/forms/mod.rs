//! Other tools' files: JSON objects a line, or a list of them.

mod argilla;
mod langsmith;
mod openai;
mod parts;
mod review;
mod rtune;
#[cfg(test)]
mod tests;

pub use langsmith::USER_KEYS;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rtune_trainer::error::TrainerError;
use rtune_trainer::files::FileError;
use serde_json::{Map, Value};

use crate::entry::Raw;
use crate::error::FeedbackError;

/// A larger file is cut by days or weeks first.
const MOST_BYTES: u64 = 1 << 30;

/// Whose form a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Ours: `prompt` or `messages`, `answer`, `thumbs`, `stars`, `comment`, `correction`, `user`.
    Rtune,
    /// Runs and feedback of LangSmith, in one file or several.
    LangSmith,
    /// `input` and `ideal` of OpenAI's evals, or `preferred_output` and `non_preferred_output` of its preferences.
    OpenAi,
    /// Records of Argilla.
    Argilla,
    /// Corrections of `rtune review`.
    Review,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 5] = [Self::Rtune, Self::LangSmith, Self::OpenAi, Self::Argilla, Self::Review];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rtune => "rtune",
            Self::LangSmith => "langsmith",
            Self::OpenAi => "openai",
            Self::Argilla => "argilla",
            Self::Review => "review",
        }
    }

    /// By what stands in an object.
    fn of(object: &Map<String, Value>) -> Option<Self> {
        let has = |name: &str| object.contains_key(name);
        match () {
            () if has("shown_left") && has("preferred") => Some(Self::Review),
            () if has("fields") => Some(Self::Argilla),
            () if has("inputs") || has("run_id") => Some(Self::LangSmith),
            () if has("input") => Some(Self::OpenAi),
            () if has("prompt") || has("messages") => Some(Self::Rtune),
            () => None,
        }
    }
}

/// An object, and where it stands.
struct Object {
    file: PathBuf,
    line: usize,
    fields: Map<String, Value>,
}

impl Object {
    fn wrong(&self, problem: impl Into<String>) -> FeedbackError {
        FeedbackError::Line { file: self.file.clone(), line: self.line, problem: problem.into() }
    }

    /// Feedback from here, with nothing in it yet.
    fn begin(&self) -> Raw {
        let calls = self.fields.values().any(parts::calls_tools);
        Raw { file: self.file.clone(), line: self.line, calls, ..Raw::default() }
    }
}

/// What files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// All feedback, with the form of each.
    pub raws: Vec<(Form, Raw)>,
    /// How much else was said by evaluators and not by users.
    pub not_users: usize,
    /// Ratings that are of another scale than thumbs and five stars.
    pub off_scale: usize,
}

/// All feedback of `files`; `form` is that of all of them, or each says its own. `keys` name what users say in LangSmith, beside [`USER_KEYS`].
/// Nothing of it was scrubbed, and nothing is written anywhere.
///
/// # Errors
/// [`FeedbackError::Line`] for an object that is no feedback, [`FeedbackError::Form`] for a file of no known form.
pub fn read(files: &[PathBuf], form: Option<Form>, keys: &[String]) -> Result<Read, FeedbackError> {
    let (mut all, mut off_scale) = (Vec::new(), 0);
    // Runs and what was said of them may stand in files of their own.
    let mut pooled = Vec::new();
    for file in files {
        let objects = objects(file)?;
        let Some(first) = objects.first() else { continue };
        let found = form.or_else(|| Form::of(&first.fields)).ok_or_else(|| {
            let keys: Vec<&str> = first.fields.keys().take(8).map(String::as_str).collect();
            let problem = format!("expected feedback, found objects with {}", keys.join(", "));
            FeedbackError::Form { file: file.clone(), problem }
        })?;
        match found {
            Form::LangSmith => pooled.extend(objects),
            Form::Rtune => all.extend(each(&objects, found, rtune::read)?),
            Form::OpenAi => all.extend(each(&objects, found, openai::read)?),
            Form::Argilla => {
                let (raws, left_out) = argilla::read(&objects)?;
                off_scale += left_out;
                all.extend(raws.into_iter().map(|raw| (found, raw)));
            }
            Form::Review => all.extend(each(&review::last_words(objects), found, review::read)?),
        }
    }
    let found = langsmith::read(&pooled, keys)?;
    all.extend(found.raws.into_iter().map(|raw| (Form::LangSmith, raw)));
    Ok(Read { raws: all, not_users: found.not_users, off_scale: off_scale + found.off_scale })
}

type ReadOne = fn(&Object) -> Result<Option<Raw>, String>;

fn each(objects: &[Object], form: Form, read: ReadOne) -> Result<Vec<(Form, Raw)>, FeedbackError> {
    let read = |object: &Object| match read(object) {
        Ok(raw) => raw.map(|raw| Ok((form, raw))),
        Err(problem) => Some(Err(object.wrong(problem))),
    };
    objects.iter().filter_map(read).collect()
}

/// The objects of a file: one a line, or a list.
fn objects(file: &Path) -> Result<Vec<Object>, FeedbackError> {
    let failed = |source| FileError { action: "read", path: file.to_owned(), source };
    let wrong = |line: usize, problem: String| FeedbackError::Line { file: file.to_owned(), line, problem };
    let mut bytes = Vec::new();
    File::open(file).and_then(|open| open.take(MOST_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES {
        let problem = format!("expected at most {} GiB of feedback in a file", MOST_BYTES >> 30);
        return Err(TrainerError::Unreadable { file: file.to_owned(), problem }.into());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        wrong(1 + before.iter().filter(|byte| **byte == b'\n').count(), "expected UTF-8".to_owned())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let object = |line: usize, value: Value| match value {
        Value::Object(fields) => Ok(Object { file: file.to_owned(), line, fields }),
        _ => Err(wrong(line, "expected a JSON object".to_owned())),
    };
    if text.trim_start().starts_with('[') {
        let all: Vec<Value> = serde_json::from_str(text)
            .map_err(|error| wrong(error.line(), format!("expected a JSON list: {error}")))?;
        return all.into_iter().zip(1..).map(|(value, line)| object(line, value)).collect();
    }
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines
        .map(|(line, number)| {
            let value = serde_json::from_str(line);
            object(number, value.map_err(|error| wrong(number, format!("expected a JSON object: {error}")))?)
        })
        .collect()
}
