//! `rtune merge`: the adapter in its base, as transformers loads it, and what that changed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::bail;
use rtune_data::{Encoder, Source, TrainOn, read_sources};
use rtune_models::{Decoder, Quantization};
use rtune_release::{
    Agreement, Dtype, Measured, MergeReport, Model, NewFolder, Probe, VerifiedAdapter, Written, divergence,
};
use rtune_trainer::error::TrainerError;
use rtune_trainer::inputs::Inputs;

use crate::args::MergeArgs;
use crate::commands::opened::preparation;
use crate::commands::released::{Fetch, Released, layout, onto, onto_words};
use crate::failure::{BadInput, DONE};
use crate::reporter::{counted, say};

/// Most rows to measure on, spread over all: a mean over the tokens of so many answers moves by a few per cent between
/// draws, and two models read them in a minute.
const MAX_PROBES: usize = 64;

pub(crate) fn run(args: &MergeArgs) -> anyhow::Result<u8> {
    rtune_release::refuse_existing(&args.out)?;
    let checkpoint = rtune_release::find(args.run.as_ref())?;
    let released = Released::open(&args.run, &args.overrides, Fetch::IfNeeded)?;
    let adapter = VerifiedAdapter::open(&checkpoint, &released.base)?;
    let (probes, on) = probes(args, &released)?;
    let trained_on = released.trained_on();
    let (onto, layout) =
        (onto(&args.model, trained_on), layout(&args.model, &released.base, Dtype::Bfloat16));
    let folder = NewFolder::begin(&args.out)?;
    let written = released.write_merged(&folder, &adapter, onto, layout)?;
    let sources: Vec<&str> = on.keys().map(String::as_str).collect();
    let measured_on = sources.join(", ");
    let divergence = measure(&released, folder.path(), &probes)?;
    let head = summary(&written, layout.dtype, onto_words(onto, trained_on));
    let measured = Measured { on, divergence };
    let report =
        MergeReport::new(onto, words(trained_on).to_owned(), layout.dtype, &adapter, written, measured);
    report.write(&folder)?;
    folder.finish()?;
    say(&format!("{head} -> {}", args.out.display()));
    say(&format!("adapter against merged model, over {} rows of {measured_on}:", divergence.rows));
    for (name, agreement) in [("answers", divergence.answers), ("prompts", divergence.prompts)] {
        say(&format!("  {name}: {}", agreement_line(&agreement)));
    }
    if let Some(spread) = report.quantization_error_over_delta {
        say(&format!(
            "error of the quantisation over adapter, by linear: {:.2} to {:.2}, median {:.2}",
            spread.min, spread.max, spread.median
        ));
    }
    Ok(DONE)
}

fn summary(written: &Written, dtype: Dtype, onto: &str) -> String {
    let mebibytes = written.size_bytes as f64 / f64::from(1 << 20);
    format!("{} tensors, {mebibytes:.0} MiB of {dtype}, {onto}", written.tensors)
}

fn agreement_line(agreement: &Agreement) -> String {
    let Agreement { tokens, kl_mean_nats, kl_max_nats, top1_agreement } = agreement;
    format!(
        "KL {kl_mean_nats:.2e} nats a token, {kl_max_nats:.2e} at most; the same likeliest token for {:.2}% of {tokens}",
        100.0 * top1_agreement
    )
}

fn words(quantization: Quantization) -> &'static str {
    match quantization {
        Quantization::None => "none",
        Quantization::Int8 => "int8",
        Quantization::Nf4 { double: true } => "nf4, double",
        Quantization::Nf4 { double: false } => "nf4",
    }
}

/// The model as it was trained against the one in `folder`, read as anyone would.
fn measure(
    released: &Released,
    folder: &Path,
    probes: &[Probe],
) -> anyhow::Result<rtune_release::Divergence> {
    let trained = released.subject.open(&released.base_path, &mut counted("reading the base"))?;
    let written = rtune_models::open(folder).map_err(TrainerError::from)?;
    let merged = Decoder::load(
        &written.config,
        written.weights.as_ref(),
        Quantization::None,
        &mut counted("reading the merged model"),
    )
    .map_err(TrainerError::from)?;
    let first = Model { decoder: &trained.decoder, parameters: &trained.parameters };
    let second = Model { decoder: &merged, parameters: &[] };
    Ok(divergence(first, second, probes, &mut counted("comparing")))
}

/// Rows to measure on, and where they come from: `--golden`, else the run's golden rows, else its held-out ones.
fn probes(args: &MergeArgs, released: &Released) -> anyhow::Result<(Vec<Probe>, BTreeMap<String, String>)> {
    let data = &released.subject.config.data;
    let named: Vec<Source> = args.golden.iter().map(Source::new).collect();
    let golden = if named.is_empty() { &data.golden } else { &named };
    let mut sources = BTreeMap::new();
    let all = if golden.is_empty() {
        sources.insert("validation".to_owned(), "the run's held-out rows".to_owned());
        held_out(released)?
    } else {
        let Some(template) = &released.template else {
            return Err(TrainerError::NoTemplate { base: released.base_path.clone() }.into());
        };
        let encoder = Encoder::new(template, &released.base.tokenizer).map_err(TrainerError::from)?;
        let mut all = Vec::new();
        for file in read_sources(golden).map_err(TrainerError::from)? {
            for record in &file.rows {
                let encoded = match encoder.encode_record(record, TrainOn::All, data.max_tokens) {
                    Ok(encoded) => encoded,
                    Err(problem) => bail!(BadInput::new(format!("{}: {problem}", record.origin))),
                };
                all.extend(
                    encoded.into_iter().map(|row| Probe { tokens: row.tokens, answers: row.supervised }),
                );
            }
            sources.insert(file.path.display().to_string(), file.hash);
        }
        all
    };
    let fitting: Vec<Probe> = all.into_iter().filter(|probe| probe.tokens.len() <= data.max_tokens).collect();
    refuse_unknown_tokens(released, &fitting)?;
    if fitting.is_empty() {
        let problem =
            format!("there is no row of at most {} tokens to measure the merged model on", data.max_tokens);
        let hint = "name some by `--golden FILE`, or write the model unmeasured: `rtune export RUN OUT --format \
                    safetensors`";
        bail!(BadInput::new(problem).with_hint(hint));
    }
    Ok((spread(fitting), sources))
}

fn held_out(released: &Released) -> anyhow::Result<Vec<Probe>> {
    let config = &released.subject.config;
    if config.data.validation == rtune_data::Validation::None {
        return Ok(Vec::new());
    }
    let inputs = Inputs::prepare(config, &released.base_path, &preparation(config)?, None)?;
    let rows = inputs.prepared.validation;
    Ok(rows.into_iter().map(|row| Probe { tokens: row.tokens, answers: row.supervised }).collect())
}

fn refuse_unknown_tokens(released: &Released, probes: &[Probe]) -> Result<(), TrainerError> {
    let vocabulary = released.base.config.vocab_size;
    match probes.iter().flat_map(|probe| &probe.tokens).find(|token| **token as usize >= vocabulary) {
        None => Ok(()),
        Some(&token) => {
            Err(TrainerError::NoSuchToken { base: released.base_path.clone(), token, vocabulary })
        }
    }
}

/// At most [`MAX_PROBES`], evenly from the first to the last.
fn spread(probes: Vec<Probe>) -> Vec<Probe> {
    let count = probes.len();
    if count <= MAX_PROBES {
        return probes;
    }
    let wanted = (0..MAX_PROBES).map(|index| index * (count - 1) / (MAX_PROBES - 1));
    wanted.map(|index| probes[index].clone()).collect()
}
