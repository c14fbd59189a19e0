//! What a run or a check reads before it computes anything: the base without its weights, the template, the rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rtune_data::{
    Accounts, CacheUse, ChatTemplate, DataError, DataReport, IN_MEMORY_BYTES, Perplexity, PreparationCache,
    PrepareOptions, Prepared, SpecialTokens, Tools, Watch, leading_bos, prepare_with_accounts, settled,
};
use rtune_models::{BaseModel, Licence, QuantizedCache};
use rtune_privacy::NameFinder;

use crate::adapter;
use crate::checkpoint;
use crate::coherence::BasePerplexity;
use crate::config::{Config, DataSection};
use crate::error::TrainerError;
use crate::files::At;

/// What became of the rows, in the run folder.
pub(crate) const REPORT_FILE: &str = "data-report.json";

/// What rows are prepared with, beside the configuration.
#[derive(Default)]
pub struct Preparation {
    /// The model that finds names, where `data.privacy.names` names one.
    pub names: Option<Arc<dyn NameFinder>>,
    /// Where prepared rows are kept; none for preparing them anew.
    pub cache: Option<PreparationCache>,
    /// What training examples may take in memory, in bytes; those of a larger set stay on disk. [`rtune_data::IN_MEMORY_BYTES`] where
    /// nothing is said.
    pub examples_bytes: Option<usize>,
    /// Where linears are kept that were quantised, where `model.cache-quantized` says so.
    pub quantized: Option<QuantizedCache>,
    /// Who is told how far it is.
    pub watch: Option<Watch>,
}

/// An opened base and prepared rows.
pub struct Inputs {
    /// The base; its weights are not read yet.
    pub base: BaseModel,
    /// Where it was opened.
    pub base_path: PathBuf,
    /// The template the rows were rendered with.
    pub template: ChatTemplate,
    /// The rows.
    pub prepared: Prepared,
    /// What the preparation cache had to do with them; `None` where none was asked for.
    pub preparation: Option<CacheUse>,
}

impl Inputs {
    /// Opens the base at `base_path` and prepares the rows of `config.data`, telling `accounts` of every row.
    ///
    /// # Errors
    /// Those of the base, the template and the rows; [`TrainerError::NoTemplate`] where neither the base nor the
    /// configuration has a template, [`TrainerError::NoSuchToken`] for a tokenizer that is larger than the model.
    pub fn prepare(
        config: &Config,
        base_path: &Path,
        preparation: &Preparation,
        accounts: Option<&mut dyn Accounts>,
    ) -> Result<Self, TrainerError> {
        let mut base = base(config, base_path)?;
        base.quantized = preparation.quantized.clone().filter(|_| config.model.cache_quantized);
        Self::prepare_for(base, config, base_path, preparation, accounts)
    }

    /// [`Self::prepare`] for a base of which no weight need be there.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn of_headers(
        config: &Config,
        base_path: &Path,
        preparation: &Preparation,
    ) -> Result<Self, TrainerError> {
        licence(config, base_path)?;
        let base = with_tokens(rtune_models::open_headers(base_path)?, config)?;
        Self::prepare_for(base, config, base_path, preparation, None)
    }

    fn prepare_for(
        base: BaseModel,
        config: &Config,
        base_path: &Path,
        preparation: &Preparation,
        accounts: Option<&mut dyn Accounts>,
    ) -> Result<Self, TrainerError> {
        let template = template(&config.data, &base, base_path)?;
        let (prepared, used) =
            with_tools(config, &base, &template, preparation, |options, tools| match &preparation.cache {
                Some(cache) => cache.prepare(options, tools, accounts).map(|(rows, used)| (rows, Some(used))),
                None => Ok((prepare_with_accounts(options, tools, accounts)?, None)),
            })?;
        refuse_unknown(prepared.largest_token, &base, base_path)?;
        Ok(Self { base_path: base_path.to_owned(), template, prepared, preparation: used, base })
    }

    /// The bytes of data-report.json.
    ///
    /// # Errors
    /// [`TrainerError::Unreadable`], never in fact: a report is names and numbers.
    pub(crate) fn report(&self) -> Result<Vec<u8>, TrainerError> {
        checkpoint::to_json(Path::new(REPORT_FILE), &self.prepared.report)
    }
}

/// Prepares the rows of `config.data` as [`Inputs::prepare`] does, for their account alone: the examples stay on disk.
///
/// # Errors
/// Those of [`Inputs::prepare`].
pub fn outline(
    config: &Config,
    base_path: &Path,
    preparation: &Preparation,
    accounts: Option<&mut dyn Accounts>,
) -> Result<(DataReport, Option<CacheUse>), TrainerError> {
    let base = base(config, base_path)?;
    let template = template(&config.data, &base, base_path)?;
    let (outline, used) =
        with_tools(config, &base, &template, preparation, |options, tools| match &preparation.cache {
            Some(cache) => cache.outline(options, tools, accounts).map(|(rows, used)| (rows, Some(used))),
            None => Ok((rtune_data::outline(options, tools, accounts)?, None)),
        })?;
    refuse_unknown(outline.largest_token, &base, base_path)?;
    Ok((outline.report, used))
}

fn base(config: &Config, base_path: &Path) -> Result<BaseModel, TrainerError> {
    // Before the base is opened: what must not be taken need not be whole.
    licence(config, base_path)?;
    with_tokens(rtune_models::open(base_path)?, config)
}

fn with_tokens(mut base: BaseModel, config: &Config) -> Result<BaseModel, TrainerError> {
    base.add_tokens(&config.tokens.new)?;
    adapter::token_ids(&base, config)?;
    Ok(base)
}

/// The licence of the base at `base_path`, which may be the folder of [`rtune_models::hub::headers`].
///
/// # Errors
/// [`TrainerError::Licence`] for one that `model.licences` does not accept.
pub fn licence(config: &Config, base_path: &Path) -> Result<Licence, TrainerError> {
    let accepted = &config.model.licences;
    let licence = Licence::of_base(&config.model.base, base_path);
    let refused = if accepted.is_empty() { None } else { licence.refused_by(accepted) };
    match refused {
        None => Ok(licence),
        Some(found) => {
            Err(TrainerError::Licence { base: config.model.base.clone(), found, accepted: accepted.clone() })
        }
    }
}

/// Calls `prepare` with what the rows of `config` are prepared by.
fn with_tools<T>(
    config: &Config,
    base: &BaseModel,
    template: &ChatTemplate,
    preparation: &Preparation,
    prepare: impl FnOnce(&PrepareOptions, &Tools<'_>) -> Result<T, DataError>,
) -> Result<T, TrainerError> {
    let options = options(&config.data);
    let perplexity = match options.filters.max_perplexity {
        Some(_) => Some(BasePerplexity::open(config, base, template)?),
        None => None,
    };
    let tools = Tools {
        names: preparation.names.as_ref(),
        perplexity: perplexity.as_ref().map(|perplexity| perplexity as &dyn Perplexity),
        in_memory_bytes: preparation.examples_bytes.unwrap_or(IN_MEMORY_BYTES),
        watch: preparation.watch.as_ref(),
        ..Tools::new(template, &base.tokenizer)
    };
    Ok(prepare(&options, &tools)?)
}

/// A token beyond the model's vocabulary has no embedding.
fn refuse_unknown(largest: Option<u32>, base: &BaseModel, base_path: &Path) -> Result<(), TrainerError> {
    match largest {
        Some(token) if token as usize >= base.config.vocab_size => Err(TrainerError::NoSuchToken {
            base: base_path.to_owned(),
            token,
            vocabulary: base.config.vocab_size,
        }),
        _ => Ok(()),
    }
}

/// The chat template that `data` names, or the base's own, as [`settled`] makes it.
pub(crate) fn template(
    data: &DataSection,
    base: &BaseModel,
    base_path: &Path,
) -> Result<ChatTemplate, TrainerError> {
    let source = match (&data.template, &base.chat_template) {
        (Some(path), _) => std::fs::read_to_string(path).at("read", path)?,
        (None, Some(source)) => source.clone(),
        (None, None) => return Err(TrainerError::NoTemplate { base: base_path.to_owned() }),
    };
    let special = SpecialTokens {
        bos: base.special.bos.clone(),
        eos: base.special.eos.clone(),
        pad: base.special.pad.clone(),
        unk: base.special.unk.clone(),
    };
    // The configuration was checked: a date that stands in it is one.
    let date = data.template_date.as_ref().and_then(|date| date.parse().ok());
    // What is trained is what is saved: neither the day nor another program's tokenizing may change a token of it.
    let leading = leading_bos(&base.tokenizer, &special)?;
    let source = settled(&source, date, special.bos.as_deref().filter(|_| leading.is_some()));
    ChatTemplate::new(&source, special, date).map_err(|error| TrainerError::Data(error.into()))
}

fn options(data: &DataSection) -> PrepareOptions {
    PrepareOptions {
        train: data.train.clone(),
        validation: data.validation.clone(),
        golden: data.golden.clone(),
        bad_rows: data.bad_rows,
        normalise: data.normalise.clone(),
        privacy: data.privacy.clone(),
        filters: data.filters.clone(),
        clean: data.clean.clone(),
        labels: data.labels.clone(),
        leaks: data.leaks.clone(),
        max_tokens: data.max_tokens,
        over_long: data.over_long,
        train_on: data.train_on,
    }
}
