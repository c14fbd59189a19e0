//! What a verb is pointed at: a run, one of its checkpoints, an adapter as PEFT writes it, or a base alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rtune_adapters::{AdapterError, ParameterEntry, Start, peft};
use rtune_data::ChatTemplate;
use rtune_models::{BaseModel, Decoder, MERGE_REPORT, Quantization, QuantizedCache, hub};

use crate::adapter::{self, Attached, NewTokens};
use crate::checkpoint::{Checkpoint, read_json};
use crate::config::{Config, QuantizationSection};
use crate::error::TrainerError;
use crate::full;
use crate::gpu::GpuOpened;
use crate::inputs;
use crate::manifest::{self, Manifest};
use crate::verify::{locate_base, locate_data};

/// What `--set` may change where nothing is trained: the base and how it is held, and the template.
const READ_KEYS: [&str; 4] = ["model.", "quantization.", "data.template=", "data.template-date="];

/// What is to be opened, found but not read.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// The run's configuration, or for anything else one that names the base.
    pub config: Config,
    /// The run that the checkpoint belongs to.
    pub run: Option<PathBuf>,
    /// The adapter's folder; `None` for the base alone.
    pub adapter: Option<PathBuf>,
    /// Where linears are kept that were quantised, where `model.cache-quantized` says so; `None` until somebody names a place.
    pub quantized: Option<QuantizedCache>,
}

/// A model in memory, ready to answer.
pub struct Opened {
    /// The base, its files and its tokenizer.
    pub base: BaseModel,
    /// The template of the run, or the base's; `None` where the base has none.
    pub template: Option<ChatTemplate>,
    /// The decoder, with the adapter's linears attached.
    pub decoder: Decoder,
    /// The adapter's numbers, laid out as [`Decoder::attach_lora`] does; empty for the base alone.
    pub parameters: Vec<f32>,
    /// Those with which the model is its base: empty, but where numbers of the base were trained or taken off it.
    pub untrained: Vec<f32>,
    /// Whether there is something trained beside the base.
    pub tuned: bool,
    /// What went wrong with the cache of quantised linears; they are the same all the same.
    pub note: Option<String>,
    /// Names, shapes and places of the adapter's tensors.
    pub(crate) entries: Vec<ParameterEntry>,
    /// The same in a GPU's memory, where answers are made there.
    pub(crate) gpu: Option<GpuOpened>,
}

/// Whether a base is what is served, and not what is trained beside: a folder that was merged, or one file with all of a model. In NF4
/// it would be another model, and what few steps changed would be lost.
fn is_made(path: &Path) -> bool {
    path.join(MERGE_REPORT).is_file() || path.is_file() || has_own_card(path)
}

/// Whether the model card has the tag that rtune's cards have.
fn has_own_card(folder: &Path) -> bool {
    /// Its tags stand at the beginning.
    const HEAD_BYTES: u64 = 4096;
    let mut head = Vec::new();
    let read =
        File::open(folder.join("README.md")).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
    read.is_ok() && head.split(|byte| *byte == b'\n').any(|line| line == b"- rtune")
}

impl Subject {
    /// Finds what `name` means: a run folder (its best checkpoint, or its last where nothing was validated), a
    /// checkpoint's folder, an adapter's folder, else a base as in `model.base`. `overrides` are `--set` arguments. A merged folder and a
    /// GGUF file are held as they are, unless `overrides` say otherwise.
    ///
    /// # Errors
    /// [`TrainerError::Config`] for a configuration or an override that cannot be read,
    /// [`TrainerError::NotACheckpoint`] for a run without one, [`TrainerError::UnreadKey`] for an override that
    /// changes nothing here.
    pub fn find(name: &str, overrides: &[String]) -> Result<Self, TrainerError> {
        for argument in overrides {
            let is_read = READ_KEYS.iter().any(|key| argument.replace(' ', "").starts_with(key));
            if !is_read {
                return Err(TrainerError::UnreadKey { argument: argument.clone() });
            }
        }
        let path = Path::new(name);
        if path.join("config.toml").is_file() {
            return Self::of_run(path, None, overrides);
        }
        if path.join(peft::CONFIG_FILE).is_file() || full::is_checkpoint(path) {
            // `best` and `last` are links: the run is above what they point at.
            let folder = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            let run = folder.parent().and_then(Path::parent).filter(|run| run.join("config.toml").is_file());
            return match run {
                Some(run) => Self::of_run(run, Some(pointed_at(path)), overrides),
                None => Self::of_adapter(path, overrides),
            };
        }
        let mut overrides = overrides.to_vec();
        if is_made(path) && !overrides.iter().any(|argument| argument.starts_with("quantization")) {
            overrides.push("quantization.kind=none".to_owned());
        }
        Ok(Self { config: Config::of_base(name, &overrides)?, run: None, adapter: None, quantized: None })
    }

    fn of_run(run: &Path, checkpoint: Option<PathBuf>, overrides: &[String]) -> Result<Self, TrainerError> {
        let mut config = Config::load(&run.join("config.toml"), overrides)?;
        if !overrides.iter().any(|argument| argument.starts_with("model.base")) {
            locate_base(&mut config, run);
        }
        locate_data(&mut config, run);
        let links = ["best", "last"].map(|link| run.join(link));
        let newest = || links.iter().find(|link| link.is_dir()).map(|link| pointed_at(link));
        let Some(adapter) = checkpoint.or_else(newest) else {
            let problem = "neither `best` nor `last` is there".to_owned();
            return Err(TrainerError::NotACheckpoint { folder: run.to_owned(), problem });
        };
        Ok(Self { config, run: Some(run.to_owned()), adapter: Some(adapter), quantized: None })
    }

    fn of_adapter(folder: &Path, overrides: &[String]) -> Result<Self, TrainerError> {
        let unreadable = |problem: &str| TrainerError::Unreadable {
            file: folder.join(peft::CONFIG_FILE),
            problem: problem.to_owned(),
        };
        let adapter = peft::read(folder)?;
        let base = adapter.base_model.ok_or_else(|| {
            unreadable("expected the base's name in `base_model_name_or_path`, found none; name it by `--set model.base=NAME`")
        });
        let named = overrides.iter().any(|argument| argument.starts_with("model.base="));
        // What leaves names the repository of an alias, which others know.
        let known = base.as_deref().map_or("", |base| hub::alias_of(base).unwrap_or(base));
        let config = Config::of_base(if named { "" } else { known }, overrides)?;
        if !named {
            base?;
        }
        Ok(Self { config, run: None, adapter: Some(folder.to_owned()), quantized: None })
    }

    /// What stands for it in a table or a file: the run or adapter folder, or the base.
    pub fn name(&self) -> String {
        match (&self.run, &self.adapter) {
            (Some(run), _) => run.display().to_string(),
            (None, Some(adapter)) => adapter.display().to_string(),
            (None, None) => self.config.model.base.clone(),
        }
    }

    /// Opens the base at `base_path`, without its weights, and the template; `None` where there is none.
    ///
    /// # Errors
    /// As [`Self::open`], but for what only the weights can be wrong in.
    pub fn read(&self, base_path: &Path) -> Result<(BaseModel, Option<ChatTemplate>), TrainerError> {
        let mut base = rtune_models::open(base_path)?;
        if let Some(run) = &self.run {
            refuse_other_base(run, &manifest::hashes_by_name(base.files.iter())?)?;
        }
        if let (Some(_), Some(checkpoint)) = (&self.run, &self.adapter) {
            Checkpoint::open(checkpoint)?;
        }
        base.add_tokens(&self.new_tokens()?)?;
        let template = match inputs::template(&self.config.data, &base, base_path) {
            Err(TrainerError::NoTemplate { .. }) => None,
            template => Some(template?),
        };
        Ok((base, template))
    }

    /// What an adapter makes up for is what quantising took as the run held its base: beside one that is held otherwise it is added to what
    /// needs another correction. A folder without a run does not say how that was.
    fn refuse_other_quantization(&self, folder: &Path) -> Result<(), TrainerError> {
        let Some(run) = &self.run else { return Ok(()) };
        if Config::load(&run.join("config.toml"), &[])?.quantization == self.config.quantization {
            return Ok(());
        }
        let folder = folder.display();
        let problem =
            format!("`{folder}` makes up for quantisation (LoftQ), and its run quantised the base otherwise");
        Err(AdapterError::Config(problem).into())
    }

    /// The tokens that were added to those of the base: by the run, or as the adapter's folder says.
    fn new_tokens(&self) -> Result<Vec<String>, TrainerError> {
        match (&self.run, &self.adapter) {
            (None, Some(folder)) if folder.join(adapter::NEW_TOKENS_FILE).is_file() => {
                let NewTokens { tokens, .. } = read_json(&folder.join(adapter::NEW_TOKENS_FILE))?;
                Ok(tokens)
            }
            _ => Ok(self.config.tokens.new.clone()),
        }
    }

    /// Reads the base at `base_path` and puts the adapter beside it. `progress` is called with (tensors read, tensors
    /// in all).
    ///
    /// # Errors
    /// Those of the base and the adapter; [`TrainerError::OtherInput`] where the run was trained on another base,
    /// [`TrainerError::Altered`] for a damaged checkpoint.
    pub fn open(
        &self,
        base_path: &Path,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Opened, TrainerError> {
        let (mut base, template) = self.read(base_path)?;
        base.quantized = self.quantized.clone().filter(|_| self.config.model.cache_quantized);
        let (mut decoder, note) = base.decoder(quantization(&self.config), progress)?;
        let Some(folder) = &self.adapter else {
            let (parameters, untrained, entries) = (Vec::new(), Vec::new(), Vec::new());
            let (tuned, gpu) = (false, None);
            return Ok(Opened { base, template, decoder, parameters, untrained, tuned, note, entries, gpu });
        };
        let Attached { shape, parameters, untrained, .. } =
            adapter::attach(&mut decoder, &base, &self.config, Some(folder))?;
        if shape.is_some_and(|shape| shape.start == Start::Loftq) {
            self.refuse_other_quantization(folder)?;
        }
        let (entries, parameters) = (parameters.entries().to_vec(), parameters.flat().to_vec());
        let untrained = untrained.map_or_else(Vec::new, |untrained| untrained.flat().to_vec());
        let (tuned, gpu) = (true, None);
        Ok(Opened { base, template, decoder, parameters, untrained, tuned, note, entries, gpu })
    }
}

/// What `path` points at, if it is a link: `best` and `last` move while a run trains, and what is read file by file must be of one
/// checkpoint.
fn pointed_at(path: &Path) -> PathBuf {
    // With a slash behind it a link is what it points at.
    let plain: PathBuf = path.components().collect();
    match std::fs::read_link(&plain) {
        Ok(target) => plain.parent().unwrap_or(Path::new("")).join(target),
        Err(_) => path.to_owned(),
    }
}

/// How the configuration wants the base held.
pub fn quantization(config: &Config) -> Quantization {
    match config.quantization {
        QuantizationSection::None => Quantization::None,
        QuantizationSection::Int8 => Quantization::Int8,
        QuantizationSection::Nf4 { double } => Quantization::Nf4 { double },
    }
}

/// An adapter answers for the base it was trained beside: on another it says something else without an error.
fn refuse_other_base(run: &Path, found: &BTreeMap<String, String>) -> Result<(), TrainerError> {
    let began: Manifest = read_json(&run.join("manifest.json"))?;
    let said = |hashes: &BTreeMap<String, String>, name: &str| {
        hashes.get(name).cloned().unwrap_or_else(|| "no such file".to_owned())
    };
    let names = began.base.keys().chain(found.keys());
    match names.into_iter().find(|name| began.base.get(*name) != found.get(*name)) {
        None => Ok(()),
        Some(name) => Err(TrainerError::OtherInput {
            folder: run.to_owned(),
            what: format!("base: `{name}`"),
            expected: said(&began.base, name),
            found: said(found, name),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// `best` moves while a run trains: what was found stays what it was.
    #[test]
    fn a_checkpoint_that_was_found_is_no_link() {
        let home = tempfile::tempdir().expect("a folder");
        let text = "[model]\nbase='m'\n[data]\ntrain='t'\nvalidation=0.1\n[output]\ndir='r'\n";
        fs::write(home.path().join("config.toml"), text).expect("written");
        let folder = home.path().join("checkpoints/step-000002");
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join(peft::CONFIG_FILE), "{}").expect("written");
        std::os::unix::fs::symlink("checkpoints/step-000002", home.path().join("best")).expect("linked");
        for named in [home.path().to_owned(), home.path().join("best"), home.path().join("best/")] {
            let subject = Subject::find(&named.display().to_string(), &[]).expect("a run");
            assert_eq!(subject.adapter, Some(folder.clone()), "{}", named.display());
        }
    }
}
