//! `rtune export`: a run's adapter or model for another program.

mod four_bits;
mod ollama;
mod server;

use std::path::Path;

use clap::CommandFactory;
use clap::error::ErrorKind;
use rtune_models::BaseModel;
use rtune_models::hub::HubError;
use rtune_release::{
    About, CalibrationMethod, Chat, Content, Dtype, GgufType, NewFolder, Rounding, Server, VerifiedAdapter,
};
use rtune_trainer::error::TrainerError;
use rtune_trainer::subject::Subject;

use crate::args::Args;
use crate::args::release::{ExportArgs, Format};
use crate::commands::calibrate;
use crate::commands::next::for_shell;
use crate::commands::released::{
    Fetch, Released, card_of_run, layout, makes_up, note_idle, onto, onto_words,
};
use crate::failure::{BadInput, DONE, FAILED};
use crate::reporter::{complain, counted, say};
use server::For;

pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<u8> {
    rtune_release::refuse_existing(&args.out)?;
    // Where every number was trained there is no adapter.
    let is_whole = args.base_only
        || rtune_release::find(args.run.as_ref()).is_ok_and(|checkpoint| rtune_release::is_full(&checkpoint));
    let usual = match args.server {
        Some(server) => server::usual(server, is_whole),
        None if args.base_only => Format::Safetensors,
        None => Format::Peft,
    };
    let format = args.format.unwrap_or(usual);
    refuse_conflicts(args, format);
    let wanted = args.server.map(|server| For::open(args, server, format)).transpose()?;
    if wanted.as_ref().is_some_and(For::complains) {
        return Ok(FAILED);
    }
    write(args, format)?;
    if let Some(wanted) = wanted {
        wanted.say_command(&args.out);
    }
    Ok(DONE)
}

/// Whether the linears become blocks of whole numbers in a GGUF file.
fn in_blocks(args: &ExportArgs, format: Format) -> bool {
    let is_model = matches!(format, Format::Gguf | Format::Ollama);
    is_model
        && args.quantize.is_some_and(|kind| !matches!(kind, GgufType::F32 | GgufType::F16 | GgufType::Bf16))
}

/// Whether its steps are so coarse that it matters which code a number has.
fn is_coarse(kind: GgufType) -> bool {
    matches!(kind, GgufType::Q4_0 | GgufType::Q4KM | GgufType::Q5KM)
}

/// Ends the program where flags and format do not go together.
fn refuse_conflicts(args: &ExportArgs, format: Format) {
    let measures = format == Format::Bnb4bit && !args.base_only;
    let as_gguf = matches!(format, Format::Gguf | Format::GgufAdapter | Format::Ollama);
    let model = &args.model;
    let is_laid_out = model.dtype.is_some() || model.shard_size.is_some();
    let conflicts = [
        (
            as_gguf && is_laid_out,
            "--dtype and --shard-size are for safetensors; how a GGUF file holds numbers is said by --quantize",
        ),
        (
            format.method().is_none() && args.calibration.group.is_some(),
            "--group is for --format gptq and awq",
        ),
        (
            format.method().is_none() && args.calibration.is_given() && !in_blocks(args, format),
            "--calibration-rows and --calibration are for --format gptq and awq, and for gguf and ollama with --quantize in whole numbers",
        ),
        (!as_gguf && args.quantize.is_some(), "--quantize is for --format gguf, gguf-adapter and ollama"),
        (
            args.base_only && matches!(format, Format::Peft | Format::GgufAdapter),
            "--base-only cannot be used with --format peft or gguf-adapter: an adapter has no base in it",
        ),
        (
            format == Format::Ollama && args.server.is_some(),
            "--for cannot be used with --format ollama, which is for Ollama alone",
        ),
        (
            format == Format::GgufAdapter && model.onto.is_some(),
            "--onto is for what is merged: an adapter is added to the GGUF file that llama.cpp is given",
        ),
        (
            !measures && !args.golden.is_empty(),
            "--golden is for what is measured: --format bnb-4bit without --base-only, and `rtune merge`",
        ),
        (
            format == Format::Peft && (model.onto.is_some() || is_laid_out),
            "--onto, --dtype and --shard-size are for --format safetensors and --base-only: an adapter is written as it \
             was trained",
        ),
    ];
    if let Some((_, text)) = conflicts.into_iter().find(|(is_there, _)| *is_there) {
        Args::command().error(ErrorKind::ArgumentConflict, text).exit();
    }
}

fn write(args: &ExportArgs, format: Format) -> anyhow::Result<()> {
    if args.base_only {
        let released = Released::open(&args.run, &args.overrides, Fetch::IfNeeded)?;
        let calibrated_base =
            |method| calibrate::base(&args.out, &args.model, &args.calibration, &released, method);
        return match format {
            Format::Gguf | Format::Ollama => {
                let what = released.base_path.display().to_string();
                write_gguf(args, format, &released, Content::Base, &what)
            }
            Format::Bnb4bit => four_bits::base(args, &released),
            Format::Gptq => calibrated_base(CalibrationMethod::Gptq),
            Format::Awq => calibrated_base(CalibrationMethod::Awq),
            _ => base_only(args, &released),
        };
    }
    // The reader of checkpoints says what is wrong with a folder that is none.
    let checkpoint = rtune_release::find(args.run.as_ref())?;
    match format {
        Format::Peft => peft(args, &checkpoint),
        Format::Safetensors => safetensors(args, &checkpoint),
        Format::Bnb4bit => {
            let released = Released::open(&args.run, &args.overrides, Fetch::IfNeeded)?;
            let adapter = released.adapter(&checkpoint)?;
            four_bits::merged(args, &released, &adapter)
        }
        Format::Gptq => calibrated(args, &checkpoint, CalibrationMethod::Gptq),
        Format::Awq => calibrated(args, &checkpoint, CalibrationMethod::Awq),
        Format::Gguf | Format::Ollama => gguf(args, format, &checkpoint),
        Format::GgufAdapter => gguf_adapter(args, &checkpoint),
    }
}

fn calibrated(args: &ExportArgs, checkpoint: &Path, method: CalibrationMethod) -> anyhow::Result<()> {
    let released = Released::open(&args.run, &args.overrides, Fetch::IfNeeded)?;
    let adapter = released.adapter(checkpoint)?;
    calibrate::merged(&args.out, &args.model, &args.calibration, &[], &released, &adapter, method)
}

fn gguf(args: &ExportArgs, format: Format, checkpoint: &Path) -> anyhow::Result<()> {
    let released = Released::open(&args.run, &args.overrides, Fetch::IfNeeded)?;
    let VerifiedAdapter { adapter, initial, .. } = released.adapter(checkpoint)?;
    let (onto, trained_on) = (onto(&args.model, &released)?, released.trained_on());
    let content = Content::Merged { adapter: &adapter, initial: initial.as_ref(), trained_on, onto };
    write_gguf(
        args,
        format,
        &released,
        content,
        &format!("{} merged {}", checkpoint.display(), onto_words(onto, trained_on)),
    )
}

/// The adapter alone, for a GGUF file of its base.
fn gguf_adapter(args: &ExportArgs, checkpoint: &Path) -> anyhow::Result<()> {
    let released = Released::open(&args.run, &args.overrides, Fetch::IfNeeded)?;
    let adapter = released.adapter(checkpoint)?;
    let kind = args.quantize.unwrap_or(GgufType::F32);
    let name = args.out.file_stem().unwrap_or_default().to_string_lossy();
    let licence = released.card().licence;
    let about = About { name: &name, licence: Some(&licence) };
    let written =
        rtune_release::write_gguf_adapter(&args.out, &released.base, &adapter, checkpoint, kind, about)?;
    let (what, out) = (checkpoint.display(), args.out.display());
    let megabytes = written.size_bytes as f64 / 1e6;
    say(&format!("{what}, {}, {} tensors, {megabytes:.1} MB -> {out}", kind.name(), written.tensors));
    say(&format!("sha256 {}", written.sha256));
    let [run, out] = [args.run.clone(), out.to_string()].map(|text| for_shell(&text));
    say(&format!(
        "next, with a GGUF file of the base (`rtune export {run} BASE.gguf --format gguf --base-only`):\n  llama-server -m BASE.gguf --lora {out} --jinja"
    ));
    Ok(())
}

/// Writes the file, for Ollama in a folder with its Modelfile; `what` says in words what of.
fn write_gguf(
    args: &ExportArgs,
    format: Format,
    released: &Released,
    content: Content<'_>,
    what: &str,
) -> anyhow::Result<()> {
    let kind = args.quantize.unwrap_or(GgufType::F16);
    let name = args.out.file_stem().unwrap_or_default().to_string_lossy();
    let card = released.card();
    let about = About { name: &name, licence: Some(&card.licence) };
    let chosen = match args.calibration.is_given() {
        true => Some(calibrate::Chosen::of(&args.calibration, released)?),
        false => None,
    };
    let rows = chosen.as_ref().map_or(&[][..], |chosen| &chosen.rows);
    let write = |path: &Path| {
        let progress = &mut counted("writing");
        let (base, chat) = (&released.base, released.chat());
        rtune_release::write_gguf_calibrated(path, base, content, kind, about, chat, rows, progress)
    };
    let written = if format == Format::Ollama {
        let folder = NewFolder::begin(&args.out)?;
        // Before the large file: what Ollama cannot say is known at once.
        let turns = ollama::turns(released)?;
        ollama::write_card(&folder, card.clone(), released, content, kind)?;
        let written = write(&folder.path().join(ollama::MODEL))?;
        folder.write(ollama::MODELFILE, ollama::modelfile(released, &turns, written.begins)?.as_bytes())?;
        folder.finish()?;
        written
    } else {
        write(&args.out)?
    };
    say(&format!(
        "{what}, {}, {} tensors, {:.1} MB -> {}",
        kind.name(),
        written.tensors,
        written.size_bytes as f64 / 1e6,
        args.out.display()
    ));
    if let Some(chosen) = &chosen {
        chosen.say(&written.errors);
    }
    say(&format!("sha256 {}", written.sha256));
    if chosen.is_none() && is_coarse(kind) && released.base.config.differences.experts.is_none() {
        let rows =
            if released.subject.run.is_some() { "--calibration-rows 128" } else { "--calibration FILE" };
        complain(&format!(
            "note: every number has its nearest code; `{rows}` chooses codes by what the linears read, in a file of the same size: of \
             SmolLM2-135M in q4_k_m perplexity rose by 1.7% so, and by 5.5% without"
        ));
    }
    if format == Format::Ollama {
        let modelfile = args.out.join(ollama::MODELFILE).display().to_string();
        say(&format!("next:\n  ollama create NAME -f {}", for_shell(&modelfile)));
    }
    Ok(())
}

/// The adapter, and its base's tokenizer where the base is at hand: the adapter is whole without.
fn peft(args: &ExportArgs, checkpoint: &Path) -> anyhow::Result<()> {
    adapter(&args.run, &args.overrides, &args.out, args.server)?;
    say(&format!("{} -> {}", checkpoint.display(), args.out.display()));
    Ok(())
}

/// Writes the folder of a run's adapter, as every server reads it where it is to be `served`.
pub(super) fn adapter(
    run: &str,
    overrides: &[String],
    out: &Path,
    served: Option<Server>,
) -> anyhow::Result<()> {
    let checkpoint = rtune_release::find(run.as_ref())?;
    if rtune_release::is_full(&checkpoint) {
        let problem = format!(
            "{}: every number of the base was trained, and there is no adapter",
            checkpoint.display()
        );
        let hint = "write the model: `rtune export RUN OUT --format safetensors`, or `rtune merge RUN OUT`, which measures it";
        return Err(BadInput::new(problem).with_hint(hint).into());
    }
    let opened = match Released::open(run, overrides, Fetch::Never) {
        Ok(released) => Some(released),
        Err(error) if is_without_base(&error, overrides) => {
            complain(&format!(
                "without tokenizer and chat template, since the base cannot be used: {error:#}"
            ));
            None
        }
        Err(error) => return Err(error),
    };
    let with: Option<(&BaseModel, Chat<'_>)> =
        opened.as_ref().map(|released| (&released.base, released.chat()));
    let card = match &opened {
        Some(released) => released.card(),
        None => card_of_run(run, overrides)?,
    };
    if served.is_none() && makes_up(&Subject::find(run, overrides)?.config) {
        complain(&format!(
            "note: the adapter makes up for what quantising took from its base (LoftQ), and is for that base: \
             `rtune export {} BASE --format bnb-4bit --base-only`; for the base as it is write it with `--for SERVER`, or merge it",
            for_shell(run)
        ));
    }
    let idle = rtune_release::export_peft(&checkpoint, out, with, &card, served)?;
    for note in rtune_release::notes(&card, with.map(|(base, _)| base), served)? {
        complain(&format!("note: {note}"));
    }
    // Whoever looked whether a server takes it has said so.
    if served.is_none() {
        note_idle(&idle);
    }
    Ok(())
}

/// Whether all that is wrong is that the base of the run is not on this machine, or is another one by now: an adapter is whole
/// without it. A base that was named for this is to be there.
fn is_without_base(error: &anyhow::Error, overrides: &[String]) -> bool {
    let is_named = overrides.iter().any(|argument| argument.trim_start().starts_with("model."));
    let is_absent = error.chain().any(|cause| {
        let hub = cause.downcast_ref::<HubError>();
        let trainer = cause.downcast_ref::<TrainerError>();
        matches!(
            hub,
            Some(HubError::UnknownBase { .. } | HubError::NoSuchPath { .. } | HubError::Offline { .. })
        ) || matches!(trainer, Some(TrainerError::OtherInput { what, .. }) if what.starts_with("base: "))
    });
    is_absent && !is_named
}

fn safetensors(args: &ExportArgs, checkpoint: &Path) -> anyhow::Result<()> {
    let released = Released::open(&args.run, &args.overrides, Fetch::IfNeeded)?;
    let adapter = released.adapter(checkpoint)?;
    let layout = layout(&args.model, &released.base, Dtype::Bfloat16);
    let onto = onto(&args.model, &released)?;
    let folder = NewFolder::begin(&args.out)?;
    released.write_merged(&folder, &adapter, onto, layout)?;
    folder.finish()?;
    say(&format!(
        "{} merged {}, {}, not measured -> {}",
        checkpoint.display(),
        onto_words(onto, released.trained_on()),
        layout.dtype,
        args.out.display()
    ));
    Ok(())
}

/// The base alone: by default in an element type that holds every number of it.
fn base_only(args: &ExportArgs, released: &Released) -> anyhow::Result<()> {
    let layout = layout(&args.model, &released.base, Dtype::Float32);
    let folder = NewFolder::begin(&args.out)?;
    let written = released.write(&folder, Content::Base, layout)?;
    folder.finish()?;
    let place = released.base_path.display();
    say(&format!("{place} as {}{} -> {}", layout.dtype, loss(&written.rounding), args.out.display()));
    Ok(())
}

/// What the element type cost.
fn loss(rounding: &Rounding) -> String {
    match rounding {
        Rounding { changed: 0, .. } => ", every number as it was".to_owned(),
        Rounding { numbers, changed, largest_relative } => format!(
            ", {changed} of {numbers} numbers rounded, by {:.2}% at most (--dtype float32 keeps all)",
            100.0 * largest_relative
        ),
    }
}
