//! The model card, README.md: what this is, what it was made from, and under which licence.

mod combined;
#[cfg(test)]
mod tests;
mod training;

use std::fmt::Write as _;

use rtune_models::Licence;

use crate::error::ReleaseError;
use crate::folder::NewFolder;

pub use combined::{CombinedRun, CombinedRuns};
pub use training::{DataFile, Evaluation, Figure, Training};

/// The card's name in the folder of a model or an adapter.
pub const CARD_FILE: &str = "README.md";

/// Licences that the hub's cards have no word for: there they are `other`, with a name.
const UNLISTED: [&str; 9] = [
    "deepseek",
    "falcon-180b",
    "falcon-llm-license",
    "falcon2-11b-tii",
    "mnpl",
    "mrl",
    "qwen",
    "qwen-research",
    "tongyi-qianwen",
];

/// What a card says.
#[derive(Clone, Debug)]
pub struct Card {
    /// The base as others know it.
    pub base: String,
    /// The hub's repository of the base, if it came from one.
    pub repository: Option<String>,
    /// The revision of that which was trained on, if one was named.
    pub revision: Option<String>,
    /// Whether the base is the text part of a model that sees besides.
    pub sees: bool,
    /// What the base says of its licence.
    pub licence: Licence,
    /// What was trained.
    pub method: Method,
    /// What the run says of itself, if there is one.
    pub training: Option<Training>,
    /// The runs that were made one, and how; then `training` is none.
    pub combined: Option<CombinedRuns>,
    /// Whether the weights are a GGUF file.
    pub gguf: bool,
    /// What is to be known of the base that the adapter is for.
    beside: Vec<String>,
}

/// What was trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Products beside the linears.
    #[default]
    Lora,
    /// The same, with lengths of rows.
    Dora,
    /// Every number of the base.
    Full,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Lora => "LoRA",
            Self::Dora => "DoRA",
            Self::Full => "full fine-tuning",
        }
    }
}

/// What lies beside a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// An adapter alone.
    Adapter,
    /// The base with what was trained in it.
    Merged,
    /// The base alone, in another form.
    Base,
}

impl Card {
    /// A card of a base of which nothing was trained.
    #[must_use]
    pub fn of_base(base: String, repository: Option<String>, licence: Licence) -> Self {
        Self {
            base,
            repository,
            revision: None,
            sees: false,
            licence,
            method: Method::Lora,
            training: None,
            combined: None,
            gguf: false,
            beside: Vec::new(),
        }
    }

    /// Writes README.md.
    ///
    /// # Errors
    /// [`ReleaseError::Io`].
    pub fn write(&self, folder: &NewFolder, made: Made) -> Result<(), ReleaseError> {
        folder.write(CARD_FILE, self.text(made).as_bytes())
    }

    /// What finds the base elsewhere: its repository, else its name.
    #[must_use]
    pub fn address(&self) -> &str {
        self.repository.as_deref().unwrap_or(&self.base)
    }

    /// The card of weights that are not those whose figures the run has: without figures.
    #[must_use]
    pub fn unmeasured(&self) -> Self {
        let mut card = self.clone();
        card.training.iter_mut().for_each(Training::leave_out);
        card
    }

    /// That of an adapter: whether it `makes_up` for what quantising took from its base, and whether it was made one beside
    /// the `whole` base, whose figures are not those of the run. `notes` are what else is to be known of the base.
    pub(crate) fn of_adapter(&self, makes_up: bool, whole: bool, notes: &[String]) -> Self {
        let mut card = if whole && self.was_quantized() { self.unmeasured() } else { self.clone() };
        let one = (makes_up && !whole).then_some(
            "It makes up for what quantising took from its base (LoftQ): load the base quantised, as it was trained beside. Beside the \
             base as it is, it would make up for what is not missing.",
        );
        card.beside = one.map(str::to_owned).into_iter().chain(notes.iter().cloned()).collect();
        card
    }

    /// Whether the run held its base in fewer bits.
    fn was_quantized(&self) -> bool {
        self.training.as_ref().is_some_and(|training| training.quantized)
    }

    fn text(&self, made: Made) -> String {
        let mut text = "---\n".to_owned();
        // Writing to a string cannot fail.
        if let Some(repository) = &self.repository {
            let _ = writeln!(text, "base_model: {repository}");
            // Of a base in another form the hub sees by the files what it is.
            text += match made {
                Made::Adapter => "base_model_relation: adapter\n",
                Made::Merged if self.combined.is_some() => "base_model_relation: merge\n",
                Made::Merged => "base_model_relation: finetune\n",
                Made::Base if self.gguf => "base_model_relation: quantized\n",
                Made::Base => "",
            };
        }
        text += match made {
            Made::Adapter => "library_name: peft\n",
            Made::Merged | Made::Base if self.gguf => "library_name: gguf\n",
            Made::Merged | Made::Base => "library_name: transformers\n",
        };
        self.licence_keys(&mut text);
        text += "pipeline_tag: text-generation\ntags:\n";
        text += match made {
            Made::Adapter if self.method == Method::Dora => "- dora\n- lora\n- rtune\n",
            Made::Adapter => "- lora\n- rtune\n",
            Made::Merged if self.combined.is_some() => "- merge\n- rtune\n",
            Made::Merged | Made::Base => "- rtune\n",
        };
        let training = self.training.as_ref().filter(|_| made != Made::Base);
        let name = self.address();
        if let Some(training) = training {
            training.index(&format!("{name}, fine-tuned"), &mut text);
        }
        text += "---\n\n";
        let _ = writeln!(text, "{}", self.what(made));
        if let Some(combined) = self.combined.as_ref().filter(|_| made != Made::Base) {
            combined.sections(&mut text);
        }
        if let Some(training) = training {
            training.sections(&mut text);
        }
        text += "\n## Licence\n\n";
        self.duties(&mut text, made);
        text
    }

    /// What this is, in a sentence or two.
    fn what(&self, made: Made) -> String {
        let (name, method) = (self.address(), self.method.name());
        let revision =
            self.revision.as_ref().map_or_else(String::new, |revision| format!(" (revision `{revision}`)"));
        match made {
            Made::Adapter => {
                let beside: String = self.beside.iter().map(|note| format!(" {note}")).collect();
                format!(
                    "An adapter ({method}) for `{name}`{revision}, trained with rtune. It is of use beside that base alone.{beside}"
                )
            }
            Made::Merged => match (&self.combined, self.method) {
                (Some(combined), _) => format!(
                    "`{name}`{revision} with what rtune's fine-tuning runs changed of it: {}. The model itself was not evaluated; how \
                     far it is from what each run left is in `merge-report.json`.",
                    combined.words()
                ),
                (None, Method::Full) => {
                    format!("`{name}`{revision}, fine-tuned with rtune: every number of it was trained.")
                }
                (None, Method::Lora | Method::Dora) => format!(
                    "`{name}`{revision}, fine-tuned with rtune: an adapter ({method}) was trained and added to the weights."
                ),
            },
            Made::Base => {
                format!("The weights of `{name}`{revision}, written anew by rtune; they were not trained.")
            }
        }
    }

    fn licence_keys(&self, text: &mut String) {
        let listed = |id: &&String| is_listed(id);
        let ids: Vec<&String> = self.licence.ids.iter().collect();
        match ids.as_slice() {
            [] => {}
            [id] if !listed(id) => {
                let name = serde_json::Value::from(id.as_str());
                let _ = writeln!(text, "license: other\nlicense_name: {name}");
            }
            [id] => {
                let _ = writeln!(text, "license: {id}");
            }
            ids => {
                *text += "license:\n";
                for id in ids {
                    let _ = writeln!(text, "- {}", if listed(id) { id } else { "other" });
                }
            }
        }
        if let Some(link) = &self.licence.link {
            let _ = writeln!(text, "license_link: {}", serde_json::Value::from(link.as_str()));
        }
    }

    fn duties(&self, text: &mut String, made: Made) {
        if self.licence.is_unknown() {
            *text += "The base says nothing of its licence. Find it out before you pass this on.\n";
            return;
        }
        let _ = writeln!(
            text,
            "The base is under `{}`, which holds for what is made from it.",
            self.licence.name()
        );
        let mut duties = self.licence.duties().peekable();
        if duties.peek().is_none() {
            *text += "What it asks is not known to rtune: read it before you pass this on.\n";
            return;
        }
        for known in duties {
            let _ = write!(text, "\n{}: {}.", known.title, known.commercial.name());
            if known.duties.is_empty() {
                *text += "\n";
            } else {
                *text += " What it asks of who passes this on or serves it, in short:\n\n";
            }
            for duty in known.duties {
                let _ = writeln!(text, "- {duty}");
            }
        }
        *text += "\nWhat binds is the text of the licence";
        *text += if made == Made::Adapter {
            "; whether it reaches an adapter alone is for a lawyer to say.\n"
        } else {
            ".\n"
        };
    }
}

/// Whether the hub has this word for a licence.
pub(crate) fn is_listed(id: &str) -> bool {
    rtune_models::licence::known(id).is_some_and(|known| known.id == id) && !UNLISTED.contains(&id)
}
