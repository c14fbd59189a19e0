//! What `merge` and `export` have in common: a run, its base and its template, opened to be written.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rtune_adapters::Start;
use rtune_data::{ChatTemplate, Encoder};
use rtune_models::hub::{self, HubOptions};
use rtune_models::{BaseModel, Licence, Quantization};
use rtune_release::{
    CalibrationRow, Card, Chat, Content, Dtype, Layout, Made, NewFolder, Onto, VerifiedAdapter, Written,
};
use rtune_trainer::config::{Config, LoraSection};
use rtune_trainer::error::TrainerError;
use rtune_trainer::files::sha256_of;
use rtune_trainer::manifest::Manifest;
use rtune_trainer::subject::{Subject, quantization};
use rtune_trainer::talk;

use crate::args::release::ModelArgs;
use crate::commands::card::{method, training};
use crate::commands::resolve_base;
use crate::failure::BadInput;
use crate::reporter::{complain, counted};

/// Most bytes of weights in one file where nothing is said: what the hub and most loaders are used to.
const SHARD_BYTES: u64 = 5_000_000_000;

/// Most linears that a note names.
const MOST_NAMED: usize = 8;

/// A run with its base, opened but for the weights.
pub(super) struct Released {
    pub(super) subject: Subject,
    pub(super) base_path: PathBuf,
    pub(super) base: BaseModel,
    pub(super) template: Option<ChatTemplate>,
    /// What the template puts behind an answer.
    end_of_turn: Option<u32>,
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
        let end_of_turn = encoder.as_ref().and_then(talk::end_of_turn);
        Ok(Self { subject, base_path, base, template, end_of_turn, stop_tokens })
    }

    pub(super) fn chat(&self) -> Chat<'_> {
        Chat {
            template: self.template.as_ref().map(ChatTemplate::source),
            end_of_turn: self.end_of_turn,
            stop_tokens: &self.stop_tokens,
        }
    }

    /// The adapter of `checkpoint`, with a note on the linears that it leaves as they are.
    pub(super) fn adapter(&self, checkpoint: &Path) -> anyhow::Result<VerifiedAdapter> {
        let mut adapter = VerifiedAdapter::open(checkpoint, &self.base)?;
        // A run of an earlier version did not write down that it began so.
        if makes_up(&self.subject.config) {
            adapter.adapter.config.start = Start::Loftq;
        }
        note_idle(&adapter.idle());
        Ok(adapter)
    }

    /// The card of the model as it was trained.
    pub(super) fn card(&self) -> Card {
        let Config { model, .. } = &self.subject.config;
        let licence = Licence::of_base(&model.base, &self.base_path);
        let template = self.template.as_ref().map(|template| sha256_of(template.source().as_bytes()));
        let mut card = of_subject(&self.subject, Some(&self.base_path), licence, template.as_deref());
        card.sees = self.base.config.sees;
        card
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
        let is_as_trained = is_as_trained(content) && layout.packing.is_none();
        let card = if is_as_trained { self.card() } else { self.card().unmeasured() };
        self.write_with(&card, folder, content, layout, rows)
    }

    pub(super) fn write_with(
        &self,
        card: &Card,
        folder: &NewFolder,
        content: Content<'_>,
        layout: Layout,
        rows: &[CalibrationRow],
    ) -> anyhow::Result<Written> {
        let progress = &mut counted("writing");
        let made = if matches!(content, Content::Base) { Made::Base } else { Made::Merged };
        card.write(folder, made)?;
        Ok(rtune_release::write_model(folder, &self.base, content, layout, self.chat(), rows, progress)?)
    }
}

/// Whether the model that is written is the one that was trained, but for rounding to its element type.
pub(super) fn is_as_trained(content: Content<'_>) -> bool {
    match content {
        Content::Merged { trained_on, onto, .. } => {
            onto == Onto::Dequantized || trained_on == Quantization::None
        }
        Content::Base | Content::Combined { .. } => false,
    }
}

/// Says which linears an adapter leaves as they are.
pub(super) fn note_idle(linears: &[impl AsRef<str>]) {
    let named: Vec<String> =
        linears.iter().take(MOST_NAMED).map(|linear| format!("`{}`", linear.as_ref())).collect();
    if !named.is_empty() {
        let more = linears.len() - named.len();
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        complain(&format!(
            "note: the adapter leaves {}{more} as they are, as it does an expert that no token is sent to",
            named.join(", ")
        ));
    }
}

/// Whether the adapters of a run began with what quantising took from its base (LoftQ), itself or by the run that it starts from.
pub(super) fn makes_up(config: &Config) -> bool {
    match &config.lora {
        LoraSection::New(lora) => lora.start == Start::Loftq,
        LoraSection::From(folder) => {
            let subject = Subject::find(&folder.to_string_lossy(), &[]);
            subject.is_ok_and(|subject| subject.run.is_some() && makes_up(&subject.config))
        }
        LoraSection::Full => false,
    }
}

/// The card of an adapter whose base is not at hand: the run wrote down what the base said of its licence, and where it was.
pub(super) fn card_of_run(run: &str, overrides: &[String]) -> anyhow::Result<Card> {
    let subject = Subject::find(run, overrides)?;
    let Some(folder) = &subject.run else {
        return Ok(of_subject(&subject, None, Licence::default(), None));
    };
    let manifest = Manifest::read(folder)?;
    let mut card = of_subject(&subject, Some(&manifest.environment.base), manifest.licence, None);
    card.sees = manifest.sees;
    Ok(card)
}

fn of_subject(subject: &Subject, found_at: Option<&Path>, licence: Licence, template: Option<&str>) -> Card {
    let Config { model, .. } = &subject.config;
    let repository = hub::repository_of(&model.base).filter(|repository| {
        // A folder may be called as a repository is.
        hub::alias_of(repository) == Some(model.base.as_str())
            || found_at.is_none_or(|place| hub::is_of_repository(place, repository))
    });
    // A path of this machine says nothing elsewhere: its last part is a name.
    let mut card = Card::of_base(hub::last_part(&model.base).to_owned(), repository, licence);
    card.revision = model.revision.clone().filter(|_| card.repository.is_some());
    card.method = subject.adapter.as_deref().map(method).unwrap_or_default();
    card.training = training(subject, template);
    card
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
///
/// # Errors
/// [`BadInput`] for a checkpoint away from its run, which does not say how the base was held.
pub(super) fn onto(args: &ModelArgs, released: &Released) -> anyhow::Result<Onto> {
    let subject = &released.subject;
    match (released.trained_on(), args.onto) {
        (Quantization::None, _) => Ok(Onto::Original),
        (_, Some(Onto::Original)) => Ok(Onto::Original),
        _ if subject.run.is_none() && subject.adapter.is_some() => {
            let problem = format!(
                "how the base was held while `{}` was trained is written in its run, and the run is not here",
                subject.name()
            );
            let hint = "name the run, or add it to the original weights: `--onto original`";
            Err(BadInput::new(problem).with_hint(hint).into())
        }
        (_, onto) => Ok(onto.unwrap_or(Onto::Dequantized)),
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
