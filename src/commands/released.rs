//! What `merge` and `export` have in common: a run, its base and its template, opened to be written.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rtune_data::{ChatTemplate, Encoder};
use rtune_models::hub::{self, HubOptions};
use rtune_models::{BaseModel, Licence, Quantization};
use rtune_release::{
    CalibrationRow, Card, Chat, Content, Dtype, Layout, Made, NewFolder, Onto, VerifiedAdapter, Written,
};
use rtune_trainer::error::TrainerError;
use rtune_trainer::files::sha256_of;
use rtune_trainer::manifest::Manifest;
use rtune_trainer::subject::{Subject, quantization};
use rtune_trainer::talk;

use crate::args::release::ModelArgs;
use crate::commands::card::training;
use crate::commands::resolve_base;
use crate::failure::BadInput;
use crate::reporter::counted;

/// Most bytes of weights in one file where nothing is said: what the hub and most loaders are used to.
const SHARD_BYTES: u64 = 5_000_000_000;

/// A run with its base, opened but for the weights.
pub(super) struct Released {
    pub(super) subject: Subject,
    pub(super) base_path: PathBuf,
    pub(super) base: BaseModel,
    pub(super) template: Option<ChatTemplate>,
    /// What ends an answer, here as in `rtune generate`.
    stop_tokens: Vec<u32>,
}

/// Whether a base that is not on this machine is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetch {
    /// As `rtune pull` would.
    IfNeeded,
    /// It is missed, and that is said.
    Never,
}

impl Released {
    /// Finds what `run` names and its base, compares the base with the run's manifest and opens it.
    pub(super) fn open(run: &str, overrides: &[String], fetch: Fetch) -> anyhow::Result<Self> {
        refuse_quantization(overrides)?;
        let subject = Subject::find(run, overrides)?;
        let base_path = match fetch {
            Fetch::IfNeeded => resolve_base(&subject.config)?,
            Fetch::Never => {
                let options = HubOptions { offline: true, ..HubOptions::from_env() };
                let model = &subject.config.model;
                hub::resolve(&model.base, model.revision.as_deref(), &options, &mut |_| {})?
            }
        };
        let (base, template) = subject.read(&base_path)?;
        let is_chosen = overrides.iter().any(|argument| argument.trim_start().starts_with("data.template"));
        if let (Some(run), Some(template), false) = (&subject.run, &template, is_chosen) {
            refuse_other_template(run, template)?;
        }
        let encoder = template.as_ref().map(|template| Encoder::new(template, &base.tokenizer));
        let encoder = encoder.transpose().map_err(TrainerError::from)?;
        let stop_tokens = talk::stop_tokens(&base, encoder.as_ref());
        Ok(Self { subject, base_path, base, template, stop_tokens })
    }

    pub(super) fn chat(&self) -> Chat<'_> {
        Chat { template: self.template.as_ref().map(ChatTemplate::source), stop_tokens: &self.stop_tokens }
    }

    /// The card of what is written.
    pub(super) fn card(&self) -> Card {
        let base = &self.subject.config.model.base;
        Card { training: training(&self.subject), ..card(base, Licence::of_base(base, &self.base_path)) }
    }

    /// How the base was held while the adapter was trained.
    pub(super) fn trained_on(&self) -> Quantization {
        quantization(&self.subject.config)
    }

    /// Writes the base with the adapter in it.
    pub(super) fn write_merged(
        &self,
        folder: &NewFolder,
        adapter: &VerifiedAdapter,
        onto: Onto,
        layout: Layout,
    ) -> anyhow::Result<Written> {
        let VerifiedAdapter { adapter, initial, .. } = adapter;
        let trained_on = self.trained_on();
        let content = Content::Merged { adapter, initial: initial.as_ref(), trained_on, onto };
        self.write(folder, content, layout)
    }

    pub(super) fn write(
        &self,
        folder: &NewFolder,
        content: Content<'_>,
        layout: Layout,
    ) -> anyhow::Result<Written> {
        self.write_calibrated(folder, content, layout, &[])
    }

    /// [`Self::write`], where linears are packed by what they read of `rows`.
    pub(super) fn write_calibrated(
        &self,
        folder: &NewFolder,
        content: Content<'_>,
        layout: Layout,
        rows: &[CalibrationRow],
    ) -> anyhow::Result<Written> {
        let progress = &mut counted("writing");
        let made = if matches!(content, Content::Base) { Made::Base } else { Made::Merged };
        self.card().write(folder, made)?;
        Ok(rtune_release::write_model(folder, &self.base, content, layout, self.chat(), rows, progress)?)
    }
}

/// The card of an adapter whose base is not at hand: the run wrote down what the base said of its licence.
pub(super) fn card_of_run(run: &str, overrides: &[String]) -> Card {
    let Ok(subject) = Subject::find(run, overrides) else { return card("", Licence::default()) };
    let licence = subject.run.as_deref().and_then(|run| Manifest::read(run).ok());
    let licence = licence.map(|manifest| manifest.licence).unwrap_or_default();
    Card { training: training(&subject), ..card(&subject.config.model.base, licence) }
}

fn card(base: &str, licence: Licence) -> Card {
    // A path of this machine says nothing elsewhere: its last part is a name.
    let path = Path::new(base);
    let shown =
        if path.exists() { path.file_name().unwrap_or_default().to_string_lossy() } else { base.into() };
    Card { base: shown.into_owned(), repository: hub::repository_of(base), licence, training: None }
}

/// How the base was held is a fact of the run: the report would say something else than what happened.
fn refuse_quantization(overrides: &[String]) -> anyhow::Result<()> {
    match overrides.iter().find(|argument| argument.trim_start().starts_with("quantization.")) {
        None => Ok(()),
        Some(argument) => {
            let problem =
                format!("--set {argument}: how the base was held while the adapter was trained is settled");
            let hint =
                "which weights the adapter is added to is said by --onto dequantized or --onto original";
            Err(BadInput::new(problem).with_hint(hint).into())
        }
    }
}

/// What was asked for, or `packed` where the base's numbers are no plain floats.
pub(super) fn layout(args: &ModelArgs, base: &BaseModel, packed: Dtype) -> Layout {
    let dtype = args.dtype.or_else(|| rtune_release::dtype_of(base)).unwrap_or(packed);
    Layout { dtype, shard_bytes: args.shard_size.unwrap_or(SHARD_BYTES), packing: None }
}

/// The weights that the adapter is added to: where the base was not quantised, there is but one choice.
pub(super) fn onto(args: &ModelArgs, trained_on: Quantization) -> Onto {
    match trained_on {
        Quantization::None => Onto::Original,
        Quantization::Nf4 { .. } | Quantization::Int8 => args.onto.unwrap_or(Onto::Dequantized),
    }
}

/// A base and an adapter, in words.
pub(super) fn onto_words(onto: Onto, trained_on: Quantization) -> &'static str {
    match (onto, trained_on) {
        (_, Quantization::None) => "onto the base, which was not quantised",
        (Onto::Dequantized, Quantization::Nf4 { .. }) => {
            "onto the NF4 base it was trained beside, dequantised"
        }
        (Onto::Dequantized, Quantization::Int8) => "onto the 8-bit base it was trained beside, dequantised",
        (Onto::Original, Quantization::Nf4 { .. }) => {
            "onto the original weights of the base, not the NF4 ones it was trained beside"
        }
        (Onto::Original, Quantization::Int8) => {
            "onto the original weights of the base, not the 8-bit ones it was trained beside"
        }
    }
}

/// A model speaks as its template taught it: another one of the same name is not written beside its weights.
fn refuse_other_template(run: &Path, template: &ChatTemplate) -> anyhow::Result<()> {
    let path = run.join("manifest.json");
    let text = std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let manifest: serde_json::Value = serde_json::from_slice(&text).map_err(|error| {
        TrainerError::Unreadable { file: path.clone(), problem: format!("not valid JSON: {error}") }
    })?;
    let found = sha256_of(template.source().as_bytes());
    match manifest["template"].as_str() {
        Some(expected) if expected != found => Err(TrainerError::OtherInput {
            folder: run.to_owned(),
            what: "chat template".to_owned(),
            expected: expected.to_owned(),
            found,
        }
        .into()),
        _ => Ok(()),
    }
}
