//! `rtune merge`: the adapter in its base, as transformers loads it, and what that changed.

mod combine;
pub(super) mod measure;

use clap::CommandFactory;
use clap::error::ErrorKind;
use rtune_models::Quantization;
use rtune_release::{
    Agreement, CalibrationMethod, Divergence, Dtype, LinearFigures, Measured, MergeReport, NewFolder, Spread,
    Written,
};

use crate::args::Args;
use crate::args::release::MergeArgs;
use crate::commands::calibrate;
use crate::commands::released::{layout, onto, onto_words};
use crate::failure::{BadInput, DONE};
use crate::reporter::say;
use combine::Part;

/// How many linears are named of those that were changed.
const MOST_CHANGES: usize = 3;

pub(crate) fn run(args: &MergeArgs) -> anyhow::Result<u8> {
    rtune_release::refuse_existing(&args.out)?;
    let combination = combine::combination(&args.combine);
    if let Some(method) = args.format.method() {
        return calibrated(args, method);
    }
    refuse_calibration(args);
    let first = Part::open(&args.run, args.combine.weight, &args.overrides)?;
    let (trained_on, base) = (first.released.trained_on(), &first.released.base);
    let (onto, layout) = (onto(&args.model, &first.released)?, layout(&args.model, base, Dtype::Bfloat16));
    let others = args.combine.with.iter();
    let others: Vec<Part> = others
        .map(|(run, weight)| Part::open_beside(&first, run, *weight, args))
        .collect::<anyhow::Result<_>>()?;
    let is_plain = others.is_empty() && args.combine.weight == 1.0;
    let parts: Vec<&Part> = std::iter::once(&first).chain(&others).collect();
    if !is_plain {
        parts.iter().try_for_each(|part| part.refuse_uncombinable(onto))?;
    }
    let rows: Vec<measure::Rows> = parts
        .iter()
        .map(|part| measure::rows(&args.golden, &part.released))
        .collect::<anyhow::Result<_>>()?;
    let folder = NewFolder::begin(&args.out)?;
    let written = if is_plain {
        first.released.write_merged(&folder, &first.adapter, onto, layout)?
    } else {
        combine::write(&folder, &parts, combination, onto, layout)?
    };
    let models: Vec<_> = parts.iter().map(|part| &part.released).collect();
    let mut measured = measure::all(folder.path(), &models, rows)?;
    let head = summary(&written, layout.dtype, onto_words(onto, trained_on));
    let own = measured[0].clone();
    let mut report =
        MergeReport::new(onto, words(trained_on).to_owned(), layout.dtype, &first.adapter, written, own);
    if !is_plain {
        report.combined = Some(combine::report(combination, &parts, std::mem::take(&mut measured)));
    }
    report.write(&folder)?;
    folder.finish()?;
    say(&format!("{head} -> {}", args.out.display()));
    match &report.combined {
        None => show("adapter", &report.measured),
        Some(combined) => combined.adapters.iter().for_each(|part| {
            show(&format!("{} (factor {}, {})", part.run, part.weight, combined.method), &part.measured);
        }),
    }
    show_changes(&report.linears);
    if let Some(spread) = report.quantization_error_over_delta {
        say(&format!(
            "error of the quantisation over adapter, by linear: {:.2} to {:.2}, median {:.2}",
            spread.min, spread.max, spread.median
        ));
    }
    Ok(DONE)
}

/// One adapter in its base, and both in 4 bits.
fn calibrated(args: &MergeArgs, method: CalibrationMethod) -> anyhow::Result<u8> {
    if !args.combine.with.is_empty() || args.combine.weight != 1.0 {
        let problem = format!(
            "several adapters, or one with a factor, cannot be merged into {}'s 4 bits at once",
            method.title()
        );
        let hint = format!(
            "merge them into a folder, then quantise that: `rtune export FOLDER OUT --format {} --base-only --calibration FILE`",
            method.name()
        );
        return Err(BadInput::new(problem).with_hint(hint).into());
    }
    let first = Part::open(&args.run, args.combine.weight, &args.overrides)?;
    let (released, adapter) = (&first.released, &first.adapter);
    calibrate::merged(&args.out, &args.model, &args.calibration, &args.golden, released, adapter, method)?;
    Ok(DONE)
}

fn refuse_calibration(args: &MergeArgs) {
    if args.calibration.is_given() {
        let text = "--group, --calibration-rows and --calibration are for --format gptq and awq";
        Args::command().error(ErrorKind::ArgumentConflict, text).exit();
    }
}

pub(super) fn show(what: &str, measured: &Measured) {
    let sources: Vec<&str> = measured.on.keys().map(String::as_str).collect();
    let divergence = &measured.divergence;
    say(&format!("{what} against merged model, over {} rows of {}:", divergence.rows, sources.join(", ")));
    show_agreement(divergence);
}

/// The linears that were changed most, by the norm of the change; all stand in the report.
pub(super) fn show_changes(linears: &[LinearFigures]) {
    let Some(spread) = Spread::of(linears.iter().map(|linear| linear.delta_norm)) else { return };
    let mut largest: Vec<&LinearFigures> = linears.iter().collect();
    largest.sort_by(|a, b| b.delta_norm.total_cmp(&a.delta_norm));
    largest.truncate(MOST_CHANGES);
    let largest = largest.iter().map(|linear| format!("`{}` {:.3e}", linear.name, linear.delta_norm));
    say(&format!(
        "largest changes of {} linears, by norm: {}; median {:.3e}",
        linears.len(),
        largest.collect::<Vec<_>>().join(", "),
        spread.median
    ));
}

pub(super) fn show_agreement(divergence: &Divergence) {
    for (name, agreement) in [("answers", divergence.answers), ("prompts", divergence.prompts)] {
        say(&format!("  {name}: {}", agreement_line(&agreement)));
    }
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

pub(super) fn words(quantization: Quantization) -> &'static str {
    match quantization {
        Quantization::None => "none",
        Quantization::Int8 => "int8",
        Quantization::Nf4 { double: true } => "nf4, double",
        Quantization::Nf4 { double: false } => "nf4",
    }
}
