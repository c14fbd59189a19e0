//! A folder in bitsandbytes' 4 bits.

use rtune_models::Quantization;
use rtune_release::{Content, Dtype, Layout, MergeReport, NewFolder, Packing, Quantized, VerifiedAdapter};

use crate::args::release::ExportArgs;
use crate::commands::merge::{measure, show, show_changes, words};
use crate::commands::next::for_shell;
use crate::commands::released::{Released, layout, onto, onto_words};
use crate::reporter::{complain, say};

/// The base alone: of a run that was trained in NF4, what it was trained beside.
pub(super) fn base(args: &ExportArgs, released: &Released) -> anyhow::Result<()> {
    // Numbers that were no plain floats are quantised as training did, without rounding them first.
    let (layout, words) = quantized(args, released, Dtype::Float32);
    let folder = NewFolder::begin(&args.out)?;
    released.write(&folder, Content::Base, layout)?;
    folder.finish()?;
    let (place, dtype, out) = (released.base_path.display(), layout.dtype, args.out.display());
    say(&format!("{place} as bitsandbytes' {words}, all else {dtype} -> {out}"));
    Ok(())
}

/// The merged model, rounded to 4 bits again: what that took from it is measured and said.
pub(super) fn merged(
    args: &ExportArgs,
    released: &Released,
    adapter: &VerifiedAdapter,
) -> anyhow::Result<()> {
    let ((layout, kind), trained_on) = (quantized(args, released, Dtype::Bfloat16), released.trained_on());
    let onto = onto(&args.model, released)?;
    let rows = measure::rows_if_any(&args.golden, released)?;
    let folder = NewFolder::begin(&args.out)?;
    let written = released.write_merged(&folder, adapter, onto, layout)?;
    let mut report = None;
    if let Some(rows) = rows {
        let measured = measure::all(folder.path(), &[released], vec![rows])?.remove(0);
        let words = words(trained_on).to_owned();
        let report = report.insert(MergeReport::new(onto, words, layout.dtype, adapter, written, measured));
        report.quantized = Some(kind);
        report.write(&folder)?;
    }
    folder.finish()?;
    say(&format!(
        "merged {}, then rounded to bitsandbytes' {kind}, all else {} -> {}",
        onto_words(onto, trained_on),
        layout.dtype,
        args.out.display()
    ));
    match &report {
        Some(report) => {
            show("adapter", &report.measured);
            show_changes(&report.linears);
        }
        None => complain(
            "note: what rounding it took was not measured, for the run has neither golden nor held-out rows: name some by `--golden FILE`",
        ),
    }
    // What PiSSA left of a base is another base, which is written nowhere.
    if matches!(trained_on, Quantization::Nf4 { .. }) && !adapter.adapter.config.start.changes_base() {
        say(&format!(
            "the adapter beside its base in 4 bits is what was trained: `rtune export {0} BASE --format bnb-4bit --base-only` and `rtune export {0} ADAPTER`",
            for_shell(&args.run)
        ));
    }
    Ok(())
}

/// As the run held its base, where that was in NF4, else with quantised magnitudes.
fn quantized(args: &ExportArgs, released: &Released, packed: Dtype) -> (Layout, &'static str) {
    let kind = match released.trained_on() {
        Quantization::Nf4 { double } => Quantization::Nf4 { double },
        _ => Quantization::Nf4 { double: true },
    };
    let quantized = Quantized { double: kind == Quantization::Nf4 { double: true } };
    let packing = Some(Packing::Bitsandbytes(quantized));
    (Layout { packing, ..layout(&args.model, &released.base, packed) }, words(kind))
}
