//! What steps learn from all rows before they change the first.

use super::boilerplate::{Boilerplate, LineCounter};
use super::changes::Changes;
use super::options::{NormaliseOptions, Part, Step};
use super::spelling::WordSketch;
use super::{Normaliser, Prepared};
use crate::clean::CleanError;

/// The first pass over the rows, in memory that does not grow with them: about 12 MB for lines and 8 MiB for words.
///
/// Rows are seen as the steps before `boilerplate` leave them.
#[derive(Debug)]
pub struct Collector {
    earlier: Normaliser,
    options: NormaliseOptions,
    lines: Option<LineCounter>,
    words: Option<WordSketch>,
    unread: Changes,
}

impl Collector {
    /// # Errors
    /// A setting is out of its range.
    pub fn new(options: &NormaliseOptions) -> Result<Self, CleanError> {
        options.check()?;
        let mut earlier = options.clone();
        earlier.steps.retain(|&step| step < Step::Boilerplate);
        Ok(Self {
            earlier: Normaliser::new(&earlier, Collected::default())?,
            options: options.clone(),
            lines: options.steps.contains(&Step::Boilerplate).then(LineCounter::default),
            words: options.steps.contains(&Step::Spelling).then(WordSketch::default),
            unread: Changes::new(),
        })
    }

    /// Takes the texts of one row.
    pub fn push<'a>(&mut self, texts: impl IntoIterator<Item = (Part, &'a str)>) {
        for (part, text) in texts {
            let text = self.earlier.apply(part, text, &mut self.unread);
            if let Some(lines) = &mut self.lines
                && self.options.works_on(Step::Boilerplate, part)
            {
                lines.push(&text);
            }
            if let Some(words) = &mut self.words {
                words.push(&text);
            }
        }
        if let Some(lines) = &mut self.lines {
            lines.end_row();
        }
        if let Some(words) = &mut self.words {
            words.end_row();
        }
    }

    /// What was learnt.
    pub fn finish(self) -> Collected {
        let boilerplate = self.lines.map(|lines| lines.finish(&self.options.boilerplate));
        Collected { boilerplate, words: self.words }
    }
}

/// What a first pass learnt; empty where no step needs one.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    pub(super) boilerplate: Option<Boilerplate>,
    pub(super) words: Option<WordSketch>,
}

impl Collected {
    /// The lines that stand in many rows, where the step `boilerplate` is on.
    pub fn boilerplate(&self) -> Option<&Boilerplate> {
        self.boilerplate.as_ref()
    }
}

impl Prepared {
    pub(super) fn boilerplate(collected: &mut Collected) -> Result<Self, CleanError> {
        let learnt =
            collected.boilerplate.take().ok_or(CleanError::NoFirstPass { step: Step::Boilerplate.name() })?;
        Ok(Self::Boilerplate(learnt))
    }
}
