//! The model card, README.md: what this is, what it was made from, and under which licence.

mod training;

use std::fmt::Write as _;

use rtune_models::Licence;

use crate::error::ReleaseError;
use crate::folder::NewFolder;

pub use training::{DataFile, Evaluation, Figure, Training};

const FILE: &str = "README.md";

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
    /// The base as the run names it.
    pub base: String,
    /// The hub's repository of the base, if it came from one.
    pub repository: Option<String>,
    /// What the base says of its licence.
    pub licence: Licence,
    /// What the run says of itself, if there is one.
    pub training: Option<Training>,
}

/// What lies beside a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// An adapter alone.
    Adapter,
    /// The base with an adapter in it.
    Merged,
    /// The base alone, in another form.
    Base,
}

impl Card {
    /// Writes README.md.
    ///
    /// # Errors
    /// [`ReleaseError::Io`].
    pub fn write(&self, folder: &NewFolder, made: Made) -> Result<(), ReleaseError> {
        folder.write(FILE, self.text(made).as_bytes())
    }

    fn text(&self, made: Made) -> String {
        let mut text = "---\n".to_owned();
        // Writing to a string cannot fail.
        if let Some(repository) = &self.repository {
            let _ = writeln!(text, "base_model: {repository}");
            // Of a base in another form the hub sees by the files what it is.
            text += match made {
                Made::Adapter => "base_model_relation: adapter\n",
                Made::Merged => "base_model_relation: finetune\n",
                Made::Base => "",
            };
        }
        text += match made {
            Made::Adapter => "library_name: peft\n",
            Made::Merged | Made::Base => "library_name: transformers\n",
        };
        self.licence_keys(&mut text);
        text += "pipeline_tag: text-generation\ntags:\n";
        text += match made {
            Made::Adapter => "- lora\n- rtune\n",
            Made::Merged | Made::Base => "- rtune\n",
        };
        let training = self.training.as_ref().filter(|_| made != Made::Base);
        let name = self.repository.as_ref().unwrap_or(&self.base);
        if let Some(training) = training {
            training.index(&format!("{name}, fine-tuned"), &mut text);
        }
        text += "---\n\n";
        let what = match made {
            Made::Adapter => format!(
                "An adapter (LoRA) for `{name}`, trained with rtune. It is of use beside that base alone."
            ),
            Made::Merged => format!(
                "`{name}`, fine-tuned with rtune: an adapter (LoRA) was trained and added to the weights."
            ),
            Made::Base => format!("The weights of `{name}`, written anew by rtune; they were not trained."),
        };
        let _ = writeln!(text, "{what}");
        if let Some(training) = training {
            training.sections(&mut text);
        }
        text += "\n## Licence\n\n";
        self.duties(&mut text, made);
        text
    }

    fn licence_keys(&self, text: &mut String) {
        let listed = |id: &&String| {
            rtune_models::licence::known(id).is_some_and(|known| known.id == **id)
                && !UNLISTED.contains(&id.as_str())
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn card(ids: &[&str]) -> Card {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let licence = Licence { ids, link: None, from: None };
        Card { base: "smollm2".into(), repository: Some("o/n".into()), licence, training: None }
    }

    #[test]
    fn a_card_says_base_library_and_licence_in_its_front_matter() {
        let text = card(&["apache-2.0"]).text(Made::Adapter);
        let head = "---\nbase_model: o/n\nbase_model_relation: adapter\nlibrary_name: peft\nlicense: apache-2.0\npipeline_tag: text-generation\n";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("- Pass on a copy of the licence with the model.\n"), "{text}");
        let text = card(&["llama3.1"]).text(Made::Merged);
        assert!(text.contains("library_name: transformers\nlicense: llama3.1\n"), "{text}");
        assert!(text.contains("Built with Llama") && text.contains("700 million"), "{text}");
    }

    #[test]
    fn other_licences_have_a_name_and_unknown_ones_are_not_claimed() {
        let text = card(&["qwen"]).text(Made::Merged);
        assert!(text.contains("license: other\nlicense_name: \"qwen\"\n"), "{text}");
        let text = card(&["my: \"own\""]).text(Made::Merged);
        assert!(
            text.contains("license_name: \"my: \\\"own\\\"\"\n") && text.contains("not known to rtune"),
            "{text}"
        );
        let text = card(&["mit", "gemma"]).text(Made::Base);
        assert!(text.contains("license:\n- mit\n- gemma\n"), "{text}");
        let text = card(&[]).text(Made::Adapter);
        assert!(!text.contains("license:") && text.contains("says nothing of its licence"), "{text}");
    }

    #[test]
    fn a_run_tells_of_its_data_and_what_it_came_to() {
        let figure = |metric: &str, base, tuned| Figure { metric: metric.to_owned(), base, tuned };
        let file = DataFile {
            name: "train.jsonl".to_owned(),
            role: "train".to_owned(),
            rows: 24,
            licence: Some("CC0-1.0".to_owned()),
            hash: "blake3 ab".to_owned(),
        };
        let figures = vec![figure("exact_match", Some(0.25), 0.75), figure("chrf", None, 61.5)];
        let training = Training {
            data: vec![DataFile { licence: None, name: "a|b".to_owned(), ..file.clone() }, file],
            findings: vec!["No personal data was found.".to_owned()],
            settings: vec![("learning rate".to_owned(), "0.01".to_owned())],
            evaluations: vec![Evaluation { on: "golden.jsonl".to_owned(), rows: 8, figures }],
            hardware: "cpu X, 2 threads, linux-x86_64".to_owned(),
        };
        let card = Card { training: Some(training), ..card(&["mit"]) };
        let text = card.text(Made::Merged);
        let (head, page) = text[4..].split_once("\n---\n").expect("front matter");
        let expected = "model-index:\n- name: \"o/n, fine-tuned\"\n  results:\n  - task:\n      type: text-generation\n    dataset:\n      \
            name: \"golden.jsonl\"\n      type: \"golden-jsonl\"\n    metrics:\n    - type: exact_match\n      value: 0.75\n    - type: chrf\n      \
            value: 61.5";
        assert!(head.ends_with(expected) && head.contains("base_model_relation: finetune\n"), "{head}");
        for part in [
            "| train.jsonl | train | 24 | CC0-1.0 | `blake3 ab` |\n",
            "| a\\|b | train | 24 | not said |",
            "- No personal data was found.\n",
            "| learning rate | 0.01 |\n\nTrained on cpu X, 2 threads, linux-x86_64.\n",
            "golden.jsonl, 8 rows:\n\n| metric | base | tuned |\n| --- | --- | --- |\n| exact_match | 0.25 | 0.75 |\n| chrf | - | 61.5 |\n",
            "\n## Licence\n\nThe base is under `mit`",
        ] {
            assert!(page.contains(part), "{part:?} in:\n{page}");
        }
        let base = card.text(Made::Base);
        assert!(!base.contains("model-index") && !base.contains("## Data"), "{base}");
    }
}
