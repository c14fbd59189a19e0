//! Normalising: less noise in the texts, with an account of every change.
//!
//! Each step is on by name ([`Step`]), runs in a fixed order, and works on the parts of a row that it may touch
//! ([`Step::usual_parts`]). A text that needs no change is not copied. What steps have to learn from all rows first, a
//! [`Collector`] does. Normalising what is normalised changes nothing.

mod boilerplate;
mod changes;
mod characters;
mod collect;
mod contractions;
mod edit;
mod filler;
mod html;
mod lines;
mod options;
mod phrases;
mod quoted;
#[cfg(test)]
mod quoted_tests;
mod signatures;
mod spelling;
mod terminology;
#[cfg(test)]
mod tests;
mod typography;
mod white_space;

use std::borrow::Cow;

pub use boilerplate::{Boilerplate, SharedLine};
pub use changes::{Changes, Example, StepChanges};
pub use collect::{Collected, Collector};
pub use options::{
    BoilerplateOptions, Contractions, NormaliseOptions, Part, QuotedRepliesOptions, SpellingOptions, Step,
    TerminologyOptions,
};

use changes::Note;
use contractions::Contractor;
use edit::Edited;
pub(crate) use lines::without_code;
pub(crate) use options::share;
use spelling::Speller;
pub(crate) use spelling::affixes;
use terminology::Terminology;

use crate::clean::CleanError;
use crate::record::Record;

/// What one step does may be work for another, so that they run until nothing changes. A text that still changes after
/// so many rounds was made to: mails in HTML need two or three.
const MAX_ROUNDS: usize = 8;

/// The steps that are on, with all they need.
#[derive(Debug)]
pub struct Normaliser {
    steps: Vec<(Prepared, [bool; 3])>,
}

/// A step with its settings.
#[derive(Debug)]
enum Prepared {
    Html,
    ControlCharacters,
    Unicode,
    Typography,
    QuotedReplies(QuotedRepliesOptions),
    Signatures,
    Boilerplate(Boilerplate),
    Filler,
    Contractions(Contractor),
    Terminology(Terminology),
    Spelling(Speller),
    WhiteSpace,
}

impl Normaliser {
    /// The steps of these options; files they name are read here.
    ///
    /// # Errors
    /// A setting is out of its range, a file cannot be used, or a first pass is missing.
    pub fn new(options: &NormaliseOptions, mut collected: Collected) -> Result<Self, CleanError> {
        options.check()?;
        let mut steps = Vec::new();
        for &step in &options.steps {
            let parts = [Part::System, Part::Input, Part::Answer].map(|part| options.works_on(step, part));
            steps.push((Prepared::new(step, options, &mut collected)?, parts));
        }
        Ok(Self { steps })
    }

    /// The text as the steps leave it; borrowed if that is as it was.
    ///
    /// No step empties a text that shows something, invisible characters aside: it would take the question from the row.
    pub fn apply<'a>(&self, part: Part, text: &'a str, changes: &mut Changes) -> Cow<'a, str> {
        changes.texts += 1;
        let mut notes: Vec<Note> = Vec::new();
        let mut current = Cow::Borrowed(text);
        for _ in 0..MAX_ROUNDS {
            let before_round = notes.len();
            for (prepared, _) in self.steps.iter().filter(|(_, parts)| parts[part as usize]) {
                let Edited { text: edited, changes: places } = prepared.run(&current);
                let step = prepared.step();
                if places == 0 || (!step.may_empty() && is_blank(&edited) && !is_blank(&current)) {
                    continue;
                }
                let edited = edited.into_owned();
                notes.push(changes.note(step, part, &current, &edited, places));
                current = Cow::Owned(edited);
            }
            if notes.len() == before_round {
                changes.commit(notes, current != text);
                return if current == text { Cow::Borrowed(text) } else { current };
            }
        }
        changes.unsettled_texts += 1;
        Cow::Borrowed(text)
    }

    /// Normalises all turns of a row; says whether one changed.
    pub fn apply_record(&self, record: &mut Record, changes: &mut Changes) -> bool {
        let mut changed = false;
        for message in &mut record.messages {
            if let Cow::Owned(text) = self.apply(Part::of(message), &message.content, changes) {
                message.content = text;
                changed = true;
            }
        }
        changed
    }
}

fn is_blank(text: &str) -> bool {
    text.trim_start().is_empty()
}

impl Prepared {
    fn new(step: Step, options: &NormaliseOptions, collected: &mut Collected) -> Result<Self, CleanError> {
        let missing = |setting| CleanError::Missing { step: step.name(), setting };
        Ok(match step {
            Step::Html => Self::Html,
            Step::ControlCharacters => Self::ControlCharacters,
            Step::Unicode => Self::Unicode,
            Step::Typography => Self::Typography,
            Step::QuotedReplies => Self::QuotedReplies(options.quoted_replies.clone()),
            Step::Signatures => Self::Signatures,
            Step::Boilerplate => Self::boilerplate(collected)?,
            Step::Filler => Self::Filler,
            Step::Contractions => Self::Contractions(Contractor::new(options.contractions)?),
            Step::Terminology => {
                let file = options.terminology.file.as_deref();
                Self::Terminology(Terminology::read(file.ok_or(missing("terminology.file"))?)?)
            }
            Step::Spelling => {
                let file = options.spelling.dictionary.as_deref().ok_or(missing("spelling.dictionary"))?;
                let words = collected.words.take().ok_or(CleanError::NoFirstPass { step: step.name() })?;
                Self::Spelling(Speller::read(file, words, options.spelling.min_rows)?)
            }
            Step::WhiteSpace => Self::WhiteSpace,
        })
    }

    fn step(&self) -> Step {
        match self {
            Self::Html => Step::Html,
            Self::ControlCharacters => Step::ControlCharacters,
            Self::Unicode => Step::Unicode,
            Self::Typography => Step::Typography,
            Self::QuotedReplies(_) => Step::QuotedReplies,
            Self::Signatures => Step::Signatures,
            Self::Boilerplate(_) => Step::Boilerplate,
            Self::Filler => Step::Filler,
            Self::Contractions(_) => Step::Contractions,
            Self::Terminology(_) => Step::Terminology,
            Self::Spelling(_) => Step::Spelling,
            Self::WhiteSpace => Step::WhiteSpace,
        }
    }

    fn run<'a>(&self, text: &'a str) -> Edited<'a> {
        match self {
            Self::Html => html::to_text(text),
            Self::ControlCharacters => characters::remove_invisible(text),
            Self::Unicode => characters::compose(text),
            Self::Typography => typography::plain(text),
            Self::QuotedReplies(options) => quoted::remove(text, options),
            Self::Signatures => signatures::cut(text),
            Self::Boilerplate(boilerplate) => boilerplate.remove(text),
            Self::Filler => filler::remove(text),
            Self::Contractions(contractor) => contractor.apply(text),
            Self::Terminology(terminology) => terminology.apply(text),
            Self::Spelling(speller) => speller.apply(text),
            Self::WhiteSpace => white_space::tidy(text),
        }
    }
}
