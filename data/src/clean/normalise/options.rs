//! Which steps are on, where they work, and their settings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::clean::CleanError;
use crate::record::Message;

/// The part of a row that a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// A system turn.
    System,
    /// What a model is asked: the turns of users, and of tools.
    Input,
    /// What a model answers.
    Answer,
}

impl Part {
    /// The part that a turn of a conversation is.
    pub fn of(message: &Message) -> Self {
        match message.role.as_str() {
            _ if message.is_instruction() => Self::System,
            _ if message.is_answer() => Self::Answer,
            _ => Self::Input,
        }
    }

    /// The name in configurations and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Input => "input",
            Self::Answer => "answer",
        }
    }
}

/// A step, in the order in which steps run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Tags and entities of HTML.
    Html,
    /// Characters that show nothing.
    ControlCharacters,
    /// Unicode normal form C.
    Unicode,
    /// Typographic characters in place of plain ones.
    Typography,
    /// What a mail quotes of the mails before it.
    QuotedReplies,
    /// What stands under a mail.
    Signatures,
    /// Lines that stand in many rows.
    Boilerplate,
    /// Sounds of hesitation.
    Filler,
    /// Contractions of English.
    Contractions,
    /// The user's terms.
    Terminology,
    /// Misspelt words.
    Spelling,
    /// Spaces, tabs and blank lines.
    WhiteSpace,
}

const INPUT: &[Part] = &[Part::Input];
const SPOKEN: &[Part] = &[Part::Input, Part::Answer];
const ALL: &[Part] = &[Part::System, Part::Input, Part::Answer];

impl Step {
    /// All steps, in the order in which they run.
    pub const ALL: [Self; 12] = [
        Self::Html,
        Self::ControlCharacters,
        Self::Unicode,
        Self::Typography,
        Self::QuotedReplies,
        Self::Signatures,
        Self::Boilerplate,
        Self::Filler,
        Self::Contractions,
        Self::Terminology,
        Self::Spelling,
        Self::WhiteSpace,
    ];

    /// The name in configurations and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::ControlCharacters => "control-characters",
            Self::Unicode => "unicode",
            Self::Typography => "typography",
            Self::QuotedReplies => "quoted-replies",
            Self::Signatures => "signatures",
            Self::Boilerplate => "boilerplate",
            Self::Filler => "filler",
            Self::Contractions => "contractions",
            Self::Terminology => "terminology",
            Self::Spelling => "spelling",
            Self::WhiteSpace => "white-space",
        }
    }

    /// Where the step works unless [`NormaliseOptions::parts`] says otherwise.
    pub fn usual_parts(self) -> &'static [Part] {
        match self {
            Self::ControlCharacters | Self::Unicode | Self::Typography | Self::WhiteSpace => ALL,
            Self::Html | Self::Contractions | Self::Terminology => SPOKEN,
            Self::QuotedReplies | Self::Signatures | Self::Boilerplate | Self::Filler | Self::Spelling => {
                INPUT
            }
        }
    }

    /// Whether a text may be empty after the step that was not before.
    pub(super) fn may_empty(self) -> bool {
        matches!(self, Self::ControlCharacters | Self::WhiteSpace)
    }

    /// Where the step may be told to work: steps that guess never touch what the author of the set wrote.
    pub fn possible_parts(self) -> &'static [Part] {
        match self {
            Self::Signatures | Self::Filler | Self::Spelling => INPUT,
            Self::QuotedReplies | Self::Boilerplate => SPOKEN,
            _ => ALL,
        }
    }
}

/// What is normalised, and how. By default nothing is: each step is on by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct NormaliseOptions {
    /// The steps that are on. They run in the order of [`Step::ALL`] whatever the order here.
    pub steps: BTreeSet<Step>,
    /// Where a step works, in place of [`Step::usual_parts`].
    pub parts: BTreeMap<Step, BTreeSet<Part>>,
    /// Settings of `quoted-replies`.
    pub quoted_replies: QuotedRepliesOptions,
    /// Settings of `boilerplate`.
    pub boilerplate: BoilerplateOptions,
    /// Settings of `contractions`.
    pub contractions: Contractions,
    /// Settings of `terminology`.
    pub terminology: TerminologyOptions,
    /// Settings of `spelling`.
    pub spelling: SpellingOptions,
}

/// Settings of the step `quoted-replies`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct QuotedRepliesOptions {
    /// Whether every line that begins with `>` goes. Otherwise only where a mail's own words around it show that it is
    /// a quotation of an earlier mail, and not the text that a prompt is about.
    pub every_quote: bool,
}

/// Settings of the step `boilerplate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct BoilerplateOptions {
    /// A line that stands in at least this share of the rows (0 to 1) is boilerplate.
    pub min_share: f64,
    /// A line that stands in more than this share of the rows is the set's own template, and stays.
    pub max_share: f64,
    /// A line that stands in fewer rows is none, however few rows there are.
    pub min_rows: u64,
    /// Whether the shared lines that a text begins with go as well; an instruction usually stands there.
    pub leading_lines: bool,
}

impl Default for BoilerplateOptions {
    fn default() -> Self {
        Self { min_share: 0.05, max_share: 0.5, min_rows: 10, leading_lines: false }
    }
}

/// The direction of the step `contractions`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contractions {
    /// `don't` becomes `do not`.
    #[default]
    Expand,
    /// `do not` becomes `don't`.
    Contract,
}

/// Settings of the step `terminology`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TerminologyOptions {
    /// A CSV, TSV, TOML or JSONL file of terms and their preferred forms.
    pub file: Option<PathBuf>,
}

/// Settings of the step `spelling`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SpellingOptions {
    /// A Hunspell dictionary (`words.dic`, with `words.aff` beside it), or a list with a word a line.
    pub dictionary: Option<PathBuf>,
    /// A word that stands in at least so many rows is one of the set's own, and no mistake.
    pub min_rows: u32,
}

impl Default for SpellingOptions {
    fn default() -> Self {
        Self { dictionary: None, min_rows: 5 }
    }
}

impl NormaliseOptions {
    /// Whether the step is on for texts of this part.
    pub fn works_on(&self, step: Step, part: Part) -> bool {
        self.steps.contains(&step)
            && match self.parts.get(&step) {
                Some(parts) => parts.contains(&part),
                None => step.usual_parts().contains(&part),
            }
    }

    /// Whether a step that is on learns something from all rows before it changes the first.
    pub fn needs_first_pass(&self) -> bool {
        self.steps.contains(&Step::Boilerplate) || self.steps.contains(&Step::Spelling)
    }

    /// # Errors
    /// A setting out of its range, or a step told to work where it must not.
    pub(crate) fn check(&self) -> Result<(), CleanError> {
        for (step, parts) in &self.parts {
            if let Some(part) = parts.iter().find(|part| !step.possible_parts().contains(part)) {
                return Err(CleanError::Part { step: step.name(), part: part.name() });
            }
        }
        share("boilerplate.min-share", self.boilerplate.min_share)?;
        share("boilerplate.max-share", self.boilerplate.max_share)?;
        if self.boilerplate.max_share < self.boilerplate.min_share {
            return Err(CleanError::Setting {
                setting: "boilerplate.max-share",
                expected: "at least `boilerplate.min-share`",
                found: self.boilerplate.max_share.to_string(),
            });
        }
        Ok(())
    }
}

/// # Errors
/// The setting is not above 0 and at most 1.
pub(crate) fn share(setting: &'static str, found: f64) -> Result<(), CleanError> {
    if found > 0.0 && found <= 1.0 {
        return Ok(());
    }
    Err(CleanError::Setting { setting, expected: "above 0 and at most 1", found: found.to_string() })
}
