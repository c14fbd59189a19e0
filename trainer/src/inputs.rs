//! What a run or a check reads before it computes anything: the base without its weights, the template, the rows.

use std::path::{Path, PathBuf};

use rtune_data::{
    CacheUse, ChatTemplate, DataError, PreparationCache, PrepareOptions, Prepared, SpecialTokens, prepare,
};
use rtune_models::BaseModel;
use tokenizers::Tokenizer;

use crate::checkpoint;
use crate::config::{Config, DataSection};
use crate::error::TrainerError;
use crate::files::At;

/// What became of the rows, in the run folder.
pub(crate) const REPORT_FILE: &str = "data-report.json";

/// From options, a template and a tokenizer to rows.
type Way<'a> =
    &'a dyn Fn(&PrepareOptions, &ChatTemplate, &Tokenizer) -> Result<(Prepared, Option<CacheUse>), DataError>;

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
    /// Opens the base at `base_path` and prepares the rows of `config.data`.
    ///
    /// # Errors
    /// Those of the base, the template and the rows; [`TrainerError::NoTemplate`] where neither the base nor the
    /// configuration has a template, [`TrainerError::NoSuchToken`] for a tokenizer that is larger than the model.
    pub fn prepare(config: &Config, base_path: &Path) -> Result<Self, TrainerError> {
        Self::prepare_by(config, base_path, &|options, template, tokenizer| {
            Ok((prepare(options, template, tokenizer)?, None))
        })
    }

    /// [`Inputs::prepare`] with rows from `cache`, where they are there.
    ///
    /// # Errors
    /// As [`Inputs::prepare`].
    pub fn prepare_with(
        config: &Config,
        base_path: &Path,
        cache: &PreparationCache,
    ) -> Result<Self, TrainerError> {
        Self::prepare_by(config, base_path, &|options, template, tokenizer| {
            let (prepared, used) = cache.prepare(options, template, tokenizer)?;
            Ok((prepared, Some(used)))
        })
    }

    fn prepare_by(config: &Config, base_path: &Path, way: Way<'_>) -> Result<Self, TrainerError> {
        let base = rtune_models::open(base_path)?;
        let template = template(&config.data, &base, base_path)?;
        let (prepared, preparation) = way(&options(&config.data), &template, &base.tokenizer)?;
        let largest = prepared.train.iter().chain(&prepared.validation).flat_map(|row| &row.tokens).max();
        match largest {
            Some(token) if *token as usize >= base.config.vocab_size => Err(TrainerError::NoSuchToken {
                base: base_path.to_owned(),
                token: *token,
                vocabulary: base.config.vocab_size,
            }),
            _ => Ok(Self { base, base_path: base_path.to_owned(), template, prepared, preparation }),
        }
    }

    /// The bytes of data-report.json.
    ///
    /// # Errors
    /// [`TrainerError::Unreadable`], never in fact: a report is names and numbers.
    pub(crate) fn report(&self) -> Result<Vec<u8>, TrainerError> {
        checkpoint::to_json(Path::new(REPORT_FILE), &self.prepared.report)
    }

    /// Tokens of the longest row.
    pub fn longest_tokens(&self) -> usize {
        let rows = self.prepared.train.iter().chain(&self.prepared.validation);
        rows.map(|row| row.tokens.len()).max().unwrap_or(0)
    }
}

/// The chat template that `data` names, or the base's own.
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
    ChatTemplate::new(&source, special, date).map_err(|error| TrainerError::Data(error.into()))
}

fn options(data: &DataSection) -> PrepareOptions {
    PrepareOptions {
        train: data.train.clone(),
        validation: data.validation.clone(),
        golden: data.golden.clone(),
        max_tokens: data.max_tokens,
        over_long: data.over_long,
        train_on: data.train_on,
        duplicates: data.duplicates,
    }
}
