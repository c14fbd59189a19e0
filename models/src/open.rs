//! From a path to a base model.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rtune_adapters::AdapterError;
use tokenizers::{AddedToken, Tokenizer};

use crate::source::extended::Extended;
use crate::tokenizer::{self, SpecialTokenStrings, TokenizerParts};
use crate::{
    Decoder, DecoderSpec, GgufFile, ModelConfig, ModelError, Quantization, QuantizedCache, SafetensorsFolder,
    WeightSource, open_weights,
};

/// What the folder of a merged model says of its making.
pub const MERGE_REPORT: &str = "merge-report.json";

/// A base model, opened: everything but its weights is in memory.
pub struct BaseModel {
    /// What the decoder computes.
    pub config: ModelConfig,
    /// The model's tokenizer, with truncation and padding switched off.
    pub tokenizer: Tokenizer,
    /// The model's chat template, if it has one.
    pub chat_template: Option<String>,
    /// The special tokens that the template may name.
    pub special: SpecialTokenStrings,
    /// The weights, read one tensor at a time.
    pub weights: Arc<dyn WeightSource>,
    /// Every file that was or will be read, for a manifest's hashes.
    pub files: Vec<PathBuf>,
    /// Tokens that were added to those of the files.
    pub new_tokens: Vec<String>,
    /// Where its linears are kept once they are quantised, if they are to be.
    pub quantized: Option<QuantizedCache>,
}

impl BaseModel {
    /// Reads the weights as [`Decoder::load`] does, from the cache of quantised ones where there is one and they are in it. A
    /// note says what went wrong with the cache.
    ///
    /// # Errors
    /// Those of [`Decoder::load`].
    pub fn decoder(
        &self,
        quantization: Quantization,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(Decoder, Option<String>), ModelError> {
        match &self.quantized {
            Some(cache) => cache.load(self, quantization, progress),
            None => Ok((Decoder::load(&self.config, self.weights.as_ref(), quantization, progress)?, None)),
        }
    }

    /// Adds special tokens to the tokenizer, and rows where the embedding has none for them. Their rows are the mean of those before,
    /// also where the embedding has spare ones, which nothing was ever learnt in.
    ///
    /// Errors when one of them is a token already, or would get the number of one.
    pub fn add_tokens(&mut self, tokens: &[String]) -> Result<(), ModelError> {
        if tokens.is_empty() {
            return Ok(());
        }
        if let Some(known) = tokens.iter().find(|token| self.tokenizer.token_to_id(token).is_some()) {
            let problem =
                format!("`{known}` is a token of the base already: it is not new, but may be trained");
            return Err(AdapterError::Config(problem).into());
        }
        let path = self.weights.path().to_owned();
        let fresh =
            added(&mut self.tokenizer, tokens).map_err(|problem| ModelError::Tokenizer { path, problem })?;
        self.new_tokens.extend_from_slice(tokens);
        let rows = fresh.iter().max().map_or(0, |last| *last as usize + 1).max(self.config.vocab_size);
        let names = DecoderSpec::new(&self.config).names;
        let tensors = [names.embedding, names.head].map(|name| format!("{name}.weight")).to_vec();
        self.config.vocab_size = rows;
        self.weights = Arc::new(Extended { source: Arc::clone(&self.weights), tensors, rows, fresh });
        Ok(())
    }
}

/// Adds special tokens and gives their numbers. The library numbers them from the count of the others on: a number that is taken where
/// the others leave some out.
fn added(tokenizer: &mut Tokenizer, tokens: &[String]) -> Result<Vec<u32>, String> {
    let taken: HashSet<u32> = tokenizer.get_vocab(true).into_values().collect();
    let wanted = tokens.iter().map(|token| AddedToken::from(token.as_str(), true));
    tokenizer.add_special_tokens(wanted).map_err(|error| error.to_string())?;
    let fresh: Vec<u32> = tokens.iter().filter_map(|token| tokenizer.token_to_id(token)).collect();
    match tokens.iter().zip(&fresh).find(|(_, id)| taken.contains(id)) {
        Some((token, id)) => Err(format!(
            "`{token}` would be token {id}, which is another one: the vocabulary leaves out numbers, and none can be added"
        )),
        None => Ok(fresh),
    }
}

/// Opens a folder in the hub's layout (`config.json`, `tokenizer.json`, `model.safetensors` or its index and
/// shards, optional tokenizer settings and chat template), or a `.gguf` file. The weights of a folder may be quantised by
/// bitsandbytes, GPTQ or AWQ.
///
/// Headers are checked against the files; no weight is read. Errors when a file is missing, damaged or
/// contradicts another one, and when the model is not computed here; see [`ModelError`].
pub fn open(path: &Path) -> Result<BaseModel, ModelError> {
    if path.is_dir() {
        return open_folder(path);
    }
    let is_called_gguf = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    if path.is_file() && (is_called_gguf || has_gguf_magic(path)) {
        return open_gguf(path);
    }
    let hint =
        "give a folder with config.json, tokenizer.json and model.safetensors, or a .gguf file".to_owned();
    Err(ModelError::MissingFile { path: path.to_owned(), what: "a base model's folder or .gguf file", hint })
}

/// Whether a file begins as one of GGUF does, whatever it is called.
fn has_gguf_magic(path: &Path) -> bool {
    let mut magic = [0; 4];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && &magic == b"GGUF"
}

/// [`open`] of a base of which nothing but the headers of the weights need be there, as [`crate::hub::headers`] fetches it:
/// rows can be prepared for it, and reading a weight is an error.
///
/// Errors as [`open`], but for what only the length of a file tells.
pub fn open_headers(path: &Path) -> Result<BaseModel, ModelError> {
    if !path.is_dir() {
        return open(path);
    }
    open_parts(path, || {
        let weights = SafetensorsFolder::open_headers(path)?;
        let files = weights.files();
        Ok((Arc::new(weights), files))
    })
}

fn open_folder(folder: &Path) -> Result<BaseModel, ModelError> {
    open_parts(folder, || {
        let (weights, files) = open_weights(folder)?;
        Ok((Arc::from(weights), files))
    })
}

/// The weights come last: of a folder that is no model at all, its configuration is missed first.
fn open_parts(
    folder: &Path,
    open_weights: impl FnOnce() -> Result<(Arc<dyn WeightSource>, Vec<PathBuf>), ModelError>,
) -> Result<BaseModel, ModelError> {
    let config_file = folder.join("config.json");
    let config = ModelConfig::from_file(&config_file)?;
    let (TokenizerParts { tokenizer, special, chat_template }, mut files) = tokenizer::from_folder(folder)?;
    check_end(folder, &config, &tokenizer)?;
    let (weights, weight_files) = open_weights()?;
    files.insert(0, config_file);
    files.extend(weight_files);
    Ok(BaseModel {
        config,
        tokenizer,
        chat_template,
        special,
        weights,
        files,
        new_tokens: Vec::new(),
        quantized: None,
    })
}

/// Tokenizer and configuration are of one model, as far as that can be told: one of the tokens that end a sequence is in
/// both. A tokenizer may be smaller than the embedding, whose size is often rounded up, or larger by tokens without a row.
fn check_end(folder: &Path, config: &ModelConfig, tokenizer: &Tokenizer) -> Result<(), ModelError> {
    let ends = &config.eos_token_ids;
    if ends.is_empty() || ends.iter().any(|&id| tokenizer.id_to_token(id).is_some()) {
        return Ok(());
    }
    let problem = format!(
        "has {} tokens and not {ends:?}, `eos_token_id` of config.json: it is the tokenizer of another model",
        tokenizer.get_vocab_size(true)
    );
    Err(ModelError::Tokenizer { path: folder.join("tokenizer.json"), problem })
}

fn open_gguf(path: &Path) -> Result<BaseModel, ModelError> {
    let weights = GgufFile::open(path)?;
    let TokenizerParts { tokenizer, special, chat_template } = tokenizer::from_gguf(weights.metadata())?;
    let config = weights.config().clone();
    let files = vec![path.to_owned()];
    Ok(BaseModel {
        config,
        tokenizer,
        chat_template,
        special,
        weights: Arc::new(weights),
        files,
        new_tokens: Vec::new(),
        quantized: None,
    })
}

#[cfg(test)]
mod tests;
