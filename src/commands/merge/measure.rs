//! How far a merged model is from those it was made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::bail;
use rtune_data::{Encoder, Example, GoldenRow, Half, Record, Source, TrainOn, read_golden, read_sources};
use rtune_models::{Decoder, Quantization};
use rtune_release::{Measured, Model, Probe, Side, divergence};
use rtune_trainer::error::TrainerError;
use rtune_trainer::inputs::Inputs;

use crate::commands::opened::preparation;
use crate::commands::released::Released;
use crate::failure::BadInput;
use crate::reporter::counted;

/// Most rows to measure on, spread over all: a mean over the tokens of so many answers moves by a few per cent between
/// draws, and two models read them in a minute.
const MAX_PROBES: usize = 64;

/// Rows to measure on, and where they come from: a file to its hash.
pub(crate) struct Rows {
    pub(crate) probes: Vec<Probe>,
    pub(crate) on: BTreeMap<String, String>,
}

/// Each model as it was trained against the one in `folder`, read as anyone would.
pub(crate) fn all(folder: &Path, models: &[&Released], rows: Vec<Rows>) -> anyhow::Result<Vec<Measured>> {
    let written = rtune_models::open(folder).map_err(TrainerError::from)?;
    let merged = Decoder::load(
        &written.config,
        written.weights.as_ref(),
        Quantization::None,
        &mut counted("reading the merged model"),
    )
    .map_err(TrainerError::from)?;
    let second = Side::Loaded(Model { decoder: &merged, parameters: &[] });
    let measured = models.iter().zip(rows).map(|(released, Rows { probes, on })| {
        let trained = released.subject.open(&released.base_path, &mut counted("reading the base"))?;
        let first = Side::Loaded(Model { decoder: &trained.decoder, parameters: &trained.parameters });
        Ok(Measured { on, divergence: divergence(first, second, &probes, &mut counted("comparing")) })
    });
    measured.collect()
}

/// Rows to measure on, and where they come from: `--golden`, else the run's golden rows, else its held-out ones. Sealed rows are none.
///
/// # Errors
/// [`BadInput`] where there are none.
pub(crate) fn rows(golden: &[PathBuf], released: &Released) -> anyhow::Result<Rows> {
    rows_if_any(golden, released)?.ok_or_else(|| {
        let longest = released.subject.config.data.max_tokens;
        let problem = format!("there is no row of at most {longest} tokens to measure the merged model on");
        let hint = "name some by `--golden FILE`, or write the model unmeasured: `rtune export RUN OUT --format \
                    safetensors`";
        BadInput::new(problem).with_hint(hint).into()
    })
}

/// The same; `None` where there are none, and none were named.
pub(crate) fn rows_if_any(golden: &[PathBuf], released: &Released) -> anyhow::Result<Option<Rows>> {
    let data = &released.subject.config.data;
    let named: Vec<Source> = golden.iter().map(Source::new).collect();
    let golden = if named.is_empty() { &data.golden } else { &named };
    let mut sources = BTreeMap::new();
    let all = if golden.is_empty() {
        sources.insert("validation".to_owned(), "the run's held-out rows".to_owned());
        held_out(released)?
    } else {
        let mut all = Vec::new();
        let sealed = released.subject.config.gate.sealed;
        for file in read_golden(golden, sealed).map_err(TrainerError::from)? {
            let open = file.rows.iter().filter(|row| Half::Open.has(row));
            all.extend(
                encoded(open.map(|GoldenRow { record, .. }| record), released)?.into_iter().map(probe),
            );
            sources.insert(called(&file.path, &sources), file.hash);
        }
        all
    };
    let fitting: Vec<Probe> = all.into_iter().filter(|probe| probe.tokens.len() <= data.max_tokens).collect();
    refuse_unknown_tokens(released, &fitting)?;
    if fitting.is_empty() && !named.is_empty() {
        let problem =
            format!("`--golden`: no row has at most {} tokens (`data.max-tokens`)", data.max_tokens);
        bail!(BadInput::new(problem).with_hint("name a file with shorter rows"));
    }
    Ok((!fitting.is_empty()).then(|| Rows { probes: spread(fitting, MAX_PROBES), on: sources }))
}

/// The name of a file without its place, which says nothing elsewhere; with a number where another has that name.
fn called(file: &Path, others: &BTreeMap<String, String>) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let numbered = (2..).map(|number| format!("{name} ({number})"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !others.contains_key(name)).unwrap_or(name)
}

/// The rows of some files as training would have them, however long, and the files to their BLAKE3.
pub(crate) fn examples(
    files: &[Source],
    released: &Released,
) -> anyhow::Result<(Vec<Example>, BTreeMap<String, String>)> {
    let (mut examples, mut sources) = (Vec::new(), BTreeMap::new());
    for file in read_sources(files).map_err(TrainerError::from)? {
        examples.extend(encoded(file.rows.iter(), released)?);
        sources.insert(called(&file.path, &sources), file.hash);
    }
    Ok((examples, sources))
}

/// Rows as training would have them.
fn encoded<'a>(
    records: impl Iterator<Item = &'a Record>,
    released: &Released,
) -> anyhow::Result<Vec<Example>> {
    let Some(template) = &released.template else {
        return Err(TrainerError::NoTemplate { base: released.base_path.clone() }.into());
    };
    let most = released.subject.config.data.max_tokens;
    let encoder = Encoder::new(template, &released.base.tokenizer).map_err(TrainerError::from)?;
    let mut examples = Vec::new();
    for record in records {
        let encoded = match encoder.encode_record(record, TrainOn::All, most) {
            Ok(encoded) => encoded,
            Err(problem) => bail!(BadInput::new(format!("{}: {problem}", record.origin))),
        };
        examples.extend(encoded.into_iter().map(|row| Example {
            id: record.id.clone(),
            origin: record.origin.clone(),
            tokens: row.tokens,
            supervised: row.supervised,
        }));
    }
    Ok(examples)
}

pub(crate) fn probe(example: Example) -> Probe {
    Probe { tokens: example.tokens, answers: example.supervised }
}

fn held_out(released: &Released) -> anyhow::Result<Vec<Probe>> {
    let config = &released.subject.config;
    if config.data.validation == rtune_data::Validation::None {
        return Ok(Vec::new());
    }
    let inputs = Inputs::prepare(config, &released.base_path, &preparation(config)?, None)?;
    let rows = inputs.prepared.validation;
    Ok(rows.into_iter().map(probe).collect())
}

pub(crate) fn refuse_unknown_tokens(released: &Released, probes: &[Probe]) -> Result<(), TrainerError> {
    let vocabulary = released.base.config.vocab_size;
    match probes.iter().flat_map(|probe| &probe.tokens).find(|token| **token as usize >= vocabulary) {
        None => Ok(()),
        Some(&token) => {
            Err(TrainerError::NoSuchToken { base: released.base_path.clone(), token, vocabulary })
        }
    }
}

/// At most `most`, evenly from the first to the last.
pub(crate) fn spread<T: Clone>(rows: Vec<T>, most: usize) -> Vec<T> {
    places(rows.len(), most).map(|index| rows[index].clone()).collect()
}

/// The places of at most `most` of so many rows, evenly from the first to the last.
pub(crate) fn places(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let most = most.min(count);
    (0..most).map(move |index| if most == count { index } else { index * (count - 1) / (most - 1).max(1) })
}
