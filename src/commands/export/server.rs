//! What is written for a server: looked at before, and how it is served then.

use std::path::Path;

use rtune_release::{Form, Place, Server, VerifiedAdapter, command, misfits};

use crate::args::release::{ExportArgs, Format};
use crate::commands::next::for_shell;
use crate::commands::released::{Fetch, Released};
use crate::reporter::{complain, say};

/// What `--for` asks for.
pub(super) struct For {
    server: Server,
    form: Form,
    released: Released,
    adapter: Option<VerifiedAdapter>,
}

impl For {
    pub(super) fn open(args: &ExportArgs, server: Server, format: Format) -> anyhow::Result<Self> {
        let released = Released::open(&args.run, &args.overrides, Fetch::IfNeeded)?;
        let adapter = match args.base_only {
            true => None,
            false => {
                let checkpoint = rtune_release::find(args.run.as_ref())?;
                let adapter = released.adapter(&checkpoint)?;
                // A server reads the base as it is.
                if form(format) == Form::Adapter {
                    adapter.refuse_lost_beginning()?;
                }
                Some(adapter)
            }
        };
        Ok(Self { server, form: form(format), released, adapter })
    }

    /// Says what the server would not take; whether there is anything.
    pub(super) fn complains(&self) -> bool {
        let misfits = misfits(self.server, self.form, &self.released.base.config, self.adapter.as_ref());
        let name = self.server.name();
        if !misfits.is_empty() {
            complain(&format!("error: nothing is written, for {name} would not serve it"));
        }
        for misfit in &misfits {
            complain(&format!("  {}\n    hint: {}", misfit.problem, misfit.change));
        }
        !misfits.is_empty()
    }

    /// Says how it is served.
    pub(super) fn say_command(&self, out: &Path) {
        let base = self.released.base.weights.path();
        let is_file = base.is_file();
        let card = self.released.card();
        // What is behind a point in a folder's name is part of it.
        let name = if out.is_dir() { out.file_name() } else { out.file_stem() };
        let name = name.unwrap_or_default().to_string_lossy().into_owned();
        let (out, folder) = (out.display().to_string(), base.display().to_string());
        let needs_base = self.form == Form::Adapter;
        let (base, base_is_folder) = match &card.repository {
            // The very weights that it was trained on, not others of the same name.
            _ if is_file && needs_base => ("BASE", true),
            Some(repository) => (repository.as_str(), false),
            None => (folder.as_str(), true),
        };
        let revision = card.revision.as_deref().filter(|_| !base_is_folder);
        let place = Place { out: &out, base, base_is_folder, revision, name: &name };
        let mut lines = command(self.server, self.form, place, self.adapter.as_ref());
        if is_file && needs_base {
            let run = for_shell(&self.released.subject.name());
            lines.insert(0, format!("rtune export {run} BASE --base-only"));
        }
        say(&format!("serve it with:\n  {}", lines.join("\n  ")));
    }
}

fn form(format: Format) -> Form {
    match format {
        Format::Peft => Form::Adapter,
        Format::Safetensors => Form::Model,
        Format::Bnb4bit => Form::FourBits,
        Format::Gptq | Format::Awq => Form::Packed,
        Format::Gguf | Format::Ollama => Form::Gguf,
        Format::GgufAdapter => Form::GgufAdapter,
    }
}

/// The format that a server is given where none is named.
pub(super) fn usual(server: Server, is_whole: bool) -> Format {
    match server.usual() {
        Form::Gguf | Form::GgufAdapter => Format::Gguf,
        Form::Adapter if !is_whole => Format::Peft,
        Form::Adapter | Form::Model | Form::FourBits | Form::Packed => Format::Safetensors,
    }
}
