//! `rtune export`: a run's adapter or model for another program.

mod ollama;

use std::path::Path;

use clap::CommandFactory;
use clap::error::ErrorKind;
use rtune_models::BaseModel;
use rtune_release::{Chat, Content, Dtype, GgufType, NewFolder, Rounding, VerifiedAdapter};

use crate::args::{Args, ExportArgs, Format};
use crate::commands::released::{Fetch, Released, card_of_run, layout, onto, onto_words};
use crate::failure::{BadInput, DONE};
use crate::reporter::{complain, counted, say};

pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<u8> {
    rtune_release::refuse_existing(&args.out)?;
    let as_gguf = matches!(args.format, Some(Format::Gguf | Format::Ollama));
    if as_gguf && (args.model.dtype.is_some() || args.model.shard_size.is_some()) {
        let text = "--dtype and --shard-size are for safetensors; how a GGUF file holds numbers is said by --quantize";
        Args::command().error(ErrorKind::ArgumentConflict, text).exit();
    }
    if !as_gguf && args.quantize.is_some() {
        let text = "--quantize is for --format gguf and --format ollama";
        Args::command().error(ErrorKind::ArgumentConflict, text).exit();
    }
    if args.base_only {
        if args.format == Some(Format::Peft) {
            let text = "--base-only cannot be used with --format peft: an adapter has no base in it";
            Args::command().error(ErrorKind::ArgumentConflict, text).exit();
        }
        let released = Released::open(&args.run, &args.overrides, Fetch::IfNeeded)?;
        if as_gguf {
            write_gguf(args, &released, Content::Base, &released.base_path.display().to_string())?;
        } else {
            base_only(args, &released)?;
        }
        return Ok(DONE);
    }
    // The reader of checkpoints says what is wrong with a folder that is none.
    let checkpoint = rtune_release::find(args.run.as_ref())?;
    match args.format.unwrap_or(Format::Peft) {
        Format::Peft => peft(args, &checkpoint)?,
        Format::Safetensors => safetensors(args, &checkpoint)?,
        Format::Gguf | Format::Ollama => gguf(args, &checkpoint)?,
    }
    Ok(DONE)
}

fn gguf(args: &ExportArgs, checkpoint: &Path) -> anyhow::Result<()> {
    let released = Released::open(&args.run, &args.overrides, Fetch::IfNeeded)?;
    let VerifiedAdapter { adapter, initial, .. } = VerifiedAdapter::open(checkpoint, &released.base)?;
    let (onto, trained_on) = (onto(&args.model, released.trained_on()), released.trained_on());
    let content = Content::Merged { adapter: &adapter, initial: initial.as_ref(), trained_on, onto };
    write_gguf(
        args,
        &released,
        content,
        &format!("{} merged {}", checkpoint.display(), onto_words(onto, trained_on)),
    )
}

/// Writes the file, for Ollama in a folder with its Modelfile; `what` says in words what of.
fn write_gguf(
    args: &ExportArgs,
    released: &Released,
    content: Content<'_>,
    what: &str,
) -> anyhow::Result<()> {
    let kind = args.quantize.unwrap_or(GgufType::F16);
    let name = args.out.file_stem().unwrap_or_default().to_string_lossy();
    let write = |path: &Path| {
        let progress = &mut counted("writing");
        rtune_release::write_gguf(path, &released.base, content, kind, &name, released.chat(), progress)
    };
    let written = if args.format == Some(Format::Ollama) {
        let folder = NewFolder::begin(&args.out)?;
        // Before the large file: what Ollama cannot say is known at once.
        let turns = ollama::turns(released)?;
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
    say(&format!("sha256 {}", written.sha256));
    if args.format == Some(Format::Ollama) {
        say(&format!("next:\n  ollama create NAME -f {}", args.out.join(ollama::MODELFILE).display()));
    }
    Ok(())
}

/// The adapter, and its base's tokenizer where the base is at hand: the adapter is whole without.
fn peft(args: &ExportArgs, checkpoint: &Path) -> anyhow::Result<()> {
    let model = &args.model;
    if model.onto.is_some() || model.dtype.is_some() || model.shard_size.is_some() {
        let text = "--onto, --dtype and --shard-size are for --format safetensors and --base-only: an adapter is \
                    written as it was trained";
        Args::command().error(ErrorKind::ArgumentConflict, text).exit();
    }
    if rtune_release::is_full(checkpoint) {
        let problem = format!(
            "{}: every number of the base was trained, and there is no adapter",
            checkpoint.display()
        );
        let hint = "write the model: `rtune export RUN OUT --format safetensors`, or `rtune merge RUN OUT`, which measures it";
        return Err(BadInput::new(problem).with_hint(hint).into());
    }
    let opened = Released::open(&args.run, &args.overrides, Fetch::Never);
    let with: Option<(&BaseModel, Chat<'_>)> = match &opened {
        Ok(released) => Some((&released.base, released.chat())),
        Err(error) => {
            complain(&format!(
                "without tokenizer and chat template, since the base cannot be used: {error:#}"
            ));
            None
        }
    };
    let card = match &opened {
        Ok(released) => released.card(),
        Err(_) => card_of_run(&args.run, &args.overrides),
    };
    rtune_release::export_peft(checkpoint, &args.out, with, &card)?;
    say(&format!("{} -> {}", checkpoint.display(), args.out.display()));
    Ok(())
}

fn safetensors(args: &ExportArgs, checkpoint: &Path) -> anyhow::Result<()> {
    let released = Released::open(&args.run, &args.overrides, Fetch::IfNeeded)?;
    let adapter = VerifiedAdapter::open(checkpoint, &released.base)?;
    let layout = layout(&args.model, &released.base, Dtype::Bfloat16);
    let onto = onto(&args.model, released.trained_on());
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
