//! What ships: written as `rtune merge` and `rtune export` write it, and read back as anybody would.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rtune_registry::{RegistryError, Version};
use rtune_release::{About, Dtype, GgufType, NewFolder, ReleaseError};
use rtune_trainer::config::{Config, QuantizationSection, Ships};
use rtune_trainer::error::TrainerError;
use rtune_trainer::files::sha256_of;
use rtune_trainer::manifest::{Manifest, hashes_by_name};
use rtune_trainer::subject::Subject;

use super::candidate::Candidate;
use crate::args::release::ModelArgs;
use crate::commands::released::{Fetch, Released, layout, onto};
use crate::commands::resolve_base;
use crate::failure::BadInput;
use crate::reporter::counted;

/// A model as it ships.
pub(crate) struct Artefact {
    /// What `rtune eval` would be given.
    pub(crate) name: String,
    /// Where it lies in the folder of its version.
    pub(crate) inside: String,
    /// `--set` arguments with which it is read.
    pub(crate) read_with: Vec<String>,
}

/// The form that stands beside a base, as a lineage names it.
const ADAPTER: &str = "adapter";
/// What names the file of a chat template.
const TEMPLATE: &str = "data.template=";
/// As it is in the file: rounding it once more to 4 bits would be another model.
const AS_IT_IS: &str = "quantization.kind=none";

impl Artefact {
    /// Writes `checkpoint`, the folder of one in its run, into `folder`, in the form `ships`; a GGUF file says that it is called `called`.
    pub(crate) fn write(
        checkpoint: &Path,
        ships: Ships,
        folder: &Path,
        called: &str,
    ) -> anyhow::Result<Self> {
        let released = Released::open(&checkpoint.display().to_string(), &[], Fetch::IfNeeded)?;
        let (out, plain) = (folder.join("artefact"), ModelArgs { onto: None, dtype: None, shard_size: None });
        let onto = onto(&plain, &released)?;
        if ships == Ships::Adapter {
            if rtune_release::is_full(checkpoint) {
                let problem = "gate.ships is \"adapter\", and every number of the base was trained: there is no adapter";
                return Err(BadInput::new(problem)
                    .with_hint("`gate.ships = \"merged\"` ships the model")
                    .into());
            }
            let with = Some((&released.base, released.chat()));
            let written = rtune_release::export_peft(checkpoint, &out, with, &released.card(), None);
            if let Err(problem @ ReleaseError::Experts { .. }) = &written {
                return Err(BadInput::new(problem.to_string())
                    .with_hint("`gate.ships = \"merged\"` ships the model")
                    .into());
            }
            written?;
            let read_with = beside_base(&released.subject.config);
            return Ok(Self { name: out.display().to_string(), inside: "artefact".to_owned(), read_with });
        }
        let adapter = released.adapter(checkpoint)?;
        let read_with = vec![AS_IT_IS.to_owned()];
        let Some(kind) = ships.gguf_type() else {
            let layout = layout(&plain, &released.base, Dtype::Bfloat16);
            let new = NewFolder::begin(&out)?;
            released.write_merged(&new, &adapter, onto, layout)?;
            new.finish()?;
            return Ok(Self { name: out.display().to_string(), inside: "artefact".to_owned(), read_with });
        };
        let kind = GgufType::ALL.into_iter().find(|one| one.name().eq_ignore_ascii_case(kind));
        // The two lists are held together by a test.
        let kind = kind.unwrap_or(GgufType::F16);
        let file = out.join("model.gguf");
        let content = rtune_release::Content::Merged {
            adapter: &adapter.adapter,
            initial: adapter.initial.as_ref(),
            trained_on: released.trained_on(),
            onto,
        };
        let progress = &mut counted("writing");
        let licence = released.card().licence;
        let about = About { name: called, licence: Some(&licence) };
        rtune_release::write_gguf(&file, &released.base, content, kind, about, released.chat(), progress)?;
        Ok(Self { name: file.display().to_string(), inside: "artefact/model.gguf".to_owned(), read_with })
    }

    /// Has the adapter of a version speak by the template that lies beside it: the file that its run named may be another by now.
    fn speak_as_trained(&mut self) {
        let own = Path::new(&self.name).join("chat_template.jinja");
        if let Some(named) = self.read_with.iter_mut().find(|argument| argument.starts_with(TEMPLATE))
            && own.is_file()
        {
            *named = format!("{TEMPLATE}{}", own.display());
        }
    }

    /// Compares the base that an adapter is read beside, and the template where a file was named, with those that `version` was made with:
    /// they may lie outside of it, and be others by now.
    fn stands_beside(&self, version: &Version) -> anyhow::Result<()> {
        let subject = Subject::find(&self.name, &self.read_with)?;
        let base = resolve_base(&subject.config)?;
        Self::refuse_other_base(&base, version)?;
        let Some(named) = self.read_with.iter().find_map(|argument| argument.strip_prefix(TEMPLATE)) else {
            return Ok(());
        };
        let (_, template) = subject.read(&base)?;
        let expected = Manifest::read(&version.run())?.template;
        let found = template.map(|template| sha256_of(template.source().as_bytes()));
        if found.as_deref() == Some(expected.as_str()) {
            return Ok(());
        }
        let found = found.unwrap_or_else(|| "none".to_owned());
        let fault = format!("its chat template `{named}`: expected {expected}, found {found}");
        Err(RegistryError::Faulty { version: version.name().to_owned(), fault }.into())
    }

    fn refuse_other_base(base: &Path, version: &Version) -> anyhow::Result<()> {
        let lineage = &version.lineage.base;
        let opened = rtune_models::open(base).map_err(TrainerError::from)?;
        let found = hashes_by_name(opened.files.iter())?;
        let names: BTreeSet<&String> = lineage.keys().chain(found.keys()).collect();
        let Some(name) = names.into_iter().find(|name| lineage.get(*name) != found.get(*name)) else {
            return Ok(());
        };
        let said = |hashes: &BTreeMap<String, String>| {
            hashes.get(name).cloned().unwrap_or_else(|| "no such file".to_owned())
        };
        let (expected, found) = (said(lineage), said(&found));
        let fault = format!("its base `{}`: `{name}`: expected {expected}, found {found}", base.display());
        Err(RegistryError::Faulty { version: version.name().to_owned(), fault }.into())
    }

    /// That of the version in use; where there is none, the base that `candidate` was trained on, held as it was.
    pub(super) fn in_use(current: Option<&Version>, candidate: &Candidate) -> anyhow::Result<Self> {
        if let Some(version) = current {
            let path: PathBuf = version.artefact();
            if !path.exists() {
                let problem =
                    format!("version {} has no artefact: `{}` is not there", version.name(), path.display());
                let hint = "`rtune verify` names what else is gone, `rtune rebuild` makes it again";
                return Err(BadInput::new(problem).with_hint(hint).into());
            }
            let lineage = &version.lineage;
            let (inside, read_with) = (lineage.artefact.clone(), lineage.read_with.clone());
            let mut found = Self { name: path.display().to_string(), inside, read_with };
            if lineage.ships == ADAPTER {
                found.speak_as_trained();
                found.stands_beside(version)?;
            }
            return Ok(found);
        }
        let mut read_with = beside_base(&candidate.config);
        // By its path, which has no revisions.
        let named = ["model.base=", "model.revision="];
        read_with.retain(|argument| !named.iter().any(|key| argument.starts_with(key)));
        Ok(Self { name: candidate.inputs.base_path.display().to_string(), inside: String::new(), read_with })
    }
}

/// How a base is held as a run held it.
fn beside_base(config: &Config) -> Vec<String> {
    let mut arguments = vec![format!("model.base={}", config.model.base)];
    arguments.extend(config.model.revision.iter().map(|revision| format!("model.revision={revision}")));
    match config.quantization {
        QuantizationSection::None => arguments.push(AS_IT_IS.to_owned()),
        QuantizationSection::Int8 => arguments.push("quantization.kind=int8".to_owned()),
        QuantizationSection::Nf4 { double } => arguments.push(format!("quantization.double={double}")),
    }
    arguments.extend(config.data.template.iter().map(|path| format!("{TEMPLATE}{}", path.display())));
    arguments.extend(config.data.template_date.iter().map(|date| format!("data.template-date={date}")));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_that_stands_beside_a_base_is_named_as_a_lineage_has_it() {
        assert_eq!(serde_json::to_value(Ships::Adapter).expect("a name"), ADAPTER);
    }

    #[test]
    fn every_form_of_the_gate_can_be_written() {
        let forms = [
            Ships::GgufF16,
            Ships::GgufBf16,
            Ships::GgufQ80,
            Ships::GgufQ6K,
            Ships::GgufQ5KM,
            Ships::GgufQ4KM,
            Ships::GgufQ40,
        ];
        for form in forms {
            let name = form.gguf_type().expect("a GGUF file");
            assert!(GgufType::ALL.iter().any(|kind| kind.name().eq_ignore_ascii_case(name)), "{name}");
        }
    }
}
