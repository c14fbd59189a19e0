//! A model in GPTQ's or AWQ's 4 bits: which rows it is calibrated on, and what is measured of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::bail;
use rtune_data::{Example, Source, pack};
use rtune_models::DecoderSpec;
use rtune_release::{
    Calibrated, CalibrationMethod, CalibrationReport, CalibrationRow, Content, Dtype, Layout, Measured,
    MergeReport, Model, NewFolder, Packing, Passed, Probe, QuantizationReport, RoundingError, Side, Spread,
    VerifiedAdapter, Written, divergence,
};
use rtune_trainer::error::TrainerError;
use rtune_trainer::inputs::Inputs;

use crate::args::release::{CalibrationArgs, ModelArgs};
use crate::commands::merge::{measure, show, show_agreement, show_changes, words};
use crate::commands::opened::preparation;
use crate::commands::released::{Released, layout, onto, onto_words};
use crate::failure::BadInput;
use crate::reporter::{counted, say};

/// Rows where nothing is said, as GPTQ's and AWQ's authors took.
const ROWS: usize = 128;
/// Most tokens of them all: twenty times the inputs of the widest linear of a small model, and minutes on a processor.
const MOST_TOKENS: usize = 1 << 15;
/// Rows of a run that are read to choose from, evenly spread: more make no better choice.
const MOST_READ: usize = 100_000;
/// Rows that a base alone is measured on, as `merge` measures on.
const MOST_PROBES: usize = 64;

/// The merged model: written, measured, and beside it what rounding to the nearest would have made.
pub(super) fn merged(
    out: &Path,
    model: &ModelArgs,
    args: &CalibrationArgs,
    golden: &[PathBuf],
    released: &Released,
    adapter: &VerifiedAdapter,
    method: CalibrationMethod,
) -> anyhow::Result<()> {
    let (settings, layout) = settings(model, args, released, method)?;
    let trained_on = released.trained_on();
    let onto = onto(model, released)?;
    let measure::Rows { probes, on } = measure::rows(golden, released)?;
    let chosen = Chosen::of(args, released)?;
    let folder = NewFolder::begin(out)?;
    let content =
        Content::Merged { adapter: &adapter.adapter, initial: adapter.initial.as_ref(), trained_on, onto };
    let mut written = released.write_calibrated(&folder, content, layout, &chosen.rows)?;
    let errors = std::mem::take(&mut written.errors);
    let passed = [of_folder(&folder, &probes)?, nearest(released, content, settings, &probes)?];
    let trained = released.subject.open(&released.base_path, &mut counted("reading the base"))?;
    let first = Side::Loaded(Model { decoder: &trained.decoder, parameters: &trained.parameters });
    let [written_one, to_nearest] =
        passed.map(|passed| divergence(first, Side::Passed(&passed), &probes, &mut counted("comparing")));
    let measured = Measured { on, divergence: written_one };
    let trained_words = words(trained_on).to_owned();
    let mut report = MergeReport::new(onto, trained_words, layout.dtype, adapter, written, measured);
    report.quantized = Some(method.name());
    report.calibration = Some(chosen.report(settings, to_nearest, errors));
    report.write(&folder)?;
    folder.finish()?;
    let Some(calibration) = &report.calibration else { return Ok(()) };
    say_written(
        &format!("merged {}", onto_words(onto, trained_on)),
        settings,
        calibration,
        layout.dtype,
        out,
    );
    show("adapter", &report.measured);
    say_nearest(calibration);
    show_changes(&report.linears);
    Ok(())
}

/// The base alone.
pub(super) fn base(
    out: &Path,
    model: &ModelArgs,
    args: &CalibrationArgs,
    released: &Released,
    method: CalibrationMethod,
) -> anyhow::Result<()> {
    let (settings, layout) = settings(model, args, released, method)?;
    let chosen = Chosen::of(args, released)?;
    let measure::Rows { probes, on } = match &released.subject.run {
        Some(_) => measure::rows(&[], released)?,
        None => chosen.left_over(released)?,
    };
    let folder = NewFolder::begin(out)?;
    let mut written: Written = released.write_calibrated(&folder, Content::Base, layout, &chosen.rows)?;
    let errors = std::mem::take(&mut written.errors);
    let base = &released.base;
    let first =
        Passed::through(&base.config, base.weights.as_ref(), &probes, &mut counted("asking the base"))?;
    let passed = [of_folder(&folder, &probes)?, nearest(released, Content::Base, settings, &probes)?];
    let [written_one, to_nearest] = passed.map(|passed| {
        divergence(Side::Passed(&first), Side::Passed(&passed), &probes, &mut counted("comparing"))
    });
    let calibration = chosen.report(settings, to_nearest, errors);
    let measured = Measured { on, divergence: written_one };
    let report = QuantizationReport::new(method, layout.dtype, written, measured, calibration);
    report.write(&folder)?;
    folder.finish()?;
    let (measured, calibration) = (&report.measured, &report.calibration);
    say_written(&released.base_path.display().to_string(), settings, calibration, layout.dtype, out);
    let sources: Vec<&str> = measured.on.keys().map(String::as_str).collect();
    say(&format!("base against that, over {} rows of {}:", probes.len(), sources.join(", ")));
    show_agreement(&measured.divergence);
    say_nearest(calibration);
    Ok(())
}

fn settings(
    model: &ModelArgs,
    args: &CalibrationArgs,
    released: &Released,
    method: CalibrationMethod,
) -> anyhow::Result<(Calibrated, Layout)> {
    let spec = DecoderSpec::new(&released.base.config);
    let settings = Calibrated::of(method, args.group, &spec).map_err(|problem| {
        let problem = format!("{} cannot pack this model: {problem}", method.title());
        BadInput::new(problem).with_hint(
            "leave out --group, or write another format: `--format bnb-4bit`, or `--format gguf --quantize q4_k_m`",
        )
    })?;
    let usual = Calibrated::dtype(&spec);
    let dtype = Some(model.dtype.unwrap_or(usual));
    let model = ModelArgs { onto: model.onto, dtype, shard_size: model.shard_size };
    let layout = layout(&model, &released.base, usual);
    Ok((settings, Layout { packing: Some(Packing::Calibrated(settings)), ..layout }))
}

/// Rows that are calibrated on.
pub(super) struct Chosen {
    pub(super) rows: Vec<CalibrationRow>,
    examples: usize,
    tokens: usize,
    on: BTreeMap<String, String>,
    /// Rows of the same files that are not.
    others: Vec<Probe>,
}

impl Chosen {
    /// Rows of `--calibration`, else the run's training rows.
    pub(super) fn of(args: &CalibrationArgs, released: &Released) -> anyhow::Result<Self> {
        let config = &released.subject.config;
        let (examples, on) = if !args.calibration.is_empty() {
            let files: Vec<Source> = args.calibration.iter().map(Source::new).collect();
            measure::examples(&files, released)?
        } else if released.subject.run.is_some() {
            let inputs = Inputs::prepare(config, &released.base_path, &preparation(config)?, None)?;
            let on = BTreeMap::from([("train".to_owned(), "the run's training rows".to_owned())]);
            let rows = &inputs.prepared.train;
            let read = measure::places(rows.len(), MOST_READ).map(|place| Ok(rows.get(place)?.into_owned()));
            (read.collect::<Result<_, TrainerError>>()?, on)
        } else {
            let problem = "there are no rows to calibrate on: what was named is no run";
            let hint =
                "name a file of conversations or texts as the model will see them: `--calibration FILE`";
            bail!(BadInput::new(problem).with_hint(hint));
        };
        let most = config.data.max_tokens;
        let fitting: Vec<Example> =
            examples.into_iter().filter(|example| example.tokens.len() <= most).collect();
        if fitting.is_empty() {
            let problem = format!("there is no row of at most {most} tokens to calibrate on");
            bail!(BadInput::new(problem).with_hint("name longer files: `--calibration FILE`"));
        }
        let wanted = args.calibration_rows.map_or(ROWS, |rows| rows as usize);
        let (chosen, others) = split(fitting, wanted);
        let tokens = chosen.iter().map(|example| example.tokens.len()).sum();
        let probes: Vec<Probe> = chosen.iter().cloned().map(measure::probe).collect();
        measure::refuse_unknown_tokens(released, &probes)?;
        let packed = pack(&chosen.iter().collect::<Vec<_>>(), config.train.micro_batch_tokens);
        let rows = packed.into_iter().map(|row| CalibrationRow {
            bounds: row.bounds(),
            tokens: row.tokens,
            positions: row.positions,
        });
        let others = others.into_iter().map(measure::probe).collect();
        Ok(Self { rows: rows.collect(), examples: chosen.len(), tokens, on, others })
    }

    /// Says of blocks in a GGUF file what they were calibrated on, and what came of it.
    pub(super) fn say(&self, errors: &[RoundingError]) {
        let of = self.on.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        say(&format!("calibrated on {} rows ({} tokens) of {of}", self.examples, self.tokens));
        say_errors(errors);
    }

    /// Rows of the same files to measure on.
    fn left_over(&self, released: &Released) -> anyhow::Result<measure::Rows> {
        measure::refuse_unknown_tokens(released, &self.others)?;
        if self.others.is_empty() {
            let problem = "every row is calibrated on, and none is left to measure on";
            bail!(BadInput::new(problem).with_hint("take fewer: `--calibration-rows ROWS`"));
        }
        let probes = measure::spread(self.others.clone(), MOST_PROBES);
        Ok(measure::Rows { probes, on: self.on.clone() })
    }

    fn report(
        &self,
        settings: Calibrated,
        to_nearest: rtune_release::Divergence,
        errors: Vec<RoundingError>,
    ) -> CalibrationReport {
        CalibrationReport {
            bits: 4,
            group: settings.group,
            on: self.on.clone(),
            rows: self.examples,
            tokens: self.tokens,
            to_nearest,
            errors,
        }
    }
}

/// Some rows, evenly from the first to the last, of [`MOST_TOKENS`] at most; and the others.
fn split(rows: Vec<Example>, wanted: usize) -> (Vec<Example>, Vec<Example>) {
    let all: usize = rows.iter().map(|row| row.tokens.len()).sum();
    let fitting = (MOST_TOKENS * rows.len() / all.max(1)).max(1);
    let mut places = measure::places(rows.len(), wanted.min(fitting)).peekable();
    let (mut chosen, mut others, mut tokens) = (Vec::new(), Vec::new(), 0);
    for (place, row) in rows.into_iter().enumerate() {
        let is_chosen = places.next_if_eq(&place).is_some();
        if is_chosen && (chosen.is_empty() || tokens + row.tokens.len() <= MOST_TOKENS) {
            tokens += row.tokens.len();
            chosen.push(row);
        } else {
            others.push(row);
        }
    }
    (chosen, others)
}

/// The written folder, read as anyone would.
fn of_folder(folder: &NewFolder, probes: &[Probe]) -> anyhow::Result<Passed> {
    let written = rtune_models::open(folder.path()).map_err(TrainerError::from)?;
    let progress = &mut counted("asking what was written");
    Ok(Passed::through(&written.config, written.weights.as_ref(), probes, progress)?)
}

fn nearest(
    released: &Released,
    content: Content<'_>,
    settings: Calibrated,
    probes: &[Probe],
) -> anyhow::Result<Passed> {
    let progress = &mut counted("rounding to the nearest");
    Ok(Passed::rounded_to_nearest(&released.base, content, settings, probes, progress)?)
}

fn say_written(what: &str, settings: Calibrated, calibration: &CalibrationReport, dtype: Dtype, out: &Path) {
    let CalibrationReport { rows, tokens, on, .. } = calibration;
    let of = on.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    say(&format!(
        "{what}, by {} in 4 bits and groups of {}, calibrated on {rows} rows ({tokens} tokens) of {of}, all else {dtype} -> {}",
        settings.method.title(),
        settings.group,
        out.display()
    ));
}

fn say_nearest(calibration: &CalibrationReport) {
    say("the same, were each number rounded to the nearest:");
    show_agreement(&calibration.to_nearest);
    say_errors(&calibration.errors);
}

fn say_errors(errors: &[RoundingError]) {
    let spread = |of: fn(&RoundingError) -> f64| {
        Spread::of(errors.iter().map(of)).map_or_else(String::new, |spread| {
            let [min, median, max] = [spread.min, spread.median, spread.max].map(|part| 100.0 * part);
            format!("{min:.2}% to {max:.2}%, median {median:.2}%")
        })
    };
    say(&format!(
        "squared error of what linears give: {}; rounded to the nearest {}",
        spread(|error| error.error),
        spread(|error| error.to_nearest)
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: usize, tokens: usize) -> Example {
        let origin = rtune_data::Origin { file: PathBuf::new().into(), line: number as u64 + 1 };
        Example { id: number.to_string(), origin, tokens: vec![0; tokens], supervised: vec![false; tokens] }
    }

    #[test]
    fn rows_are_spread_over_all_and_bounded_in_tokens() {
        let ids = |rows: &[Example]| rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>();
        let rows = |count: usize, tokens: usize| (0..count).map(|n| row(n, tokens)).collect::<Vec<_>>();
        let (chosen, others) = split(rows(10, 4), 4);
        assert_eq!((ids(&chosen), others.len()), (["0", "3", "6", "9"].map(str::to_owned).to_vec(), 6));
        let (chosen, others) = split(rows(3, 4), 128);
        assert_eq!((chosen.len(), others.len()), (3, 0));
        let (chosen, others) = split(rows(100, 4096), 128);
        assert_eq!((chosen.len(), others.len()), (8, 92));
        // One that is too long by itself is better than none.
        assert_eq!(split(rows(1, MOST_TOKENS + 1), 128).0.len(), 1);
    }
}
