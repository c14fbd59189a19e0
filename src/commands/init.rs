//! `rtune init`: from data of one's own to a configuration that trains.

mod ask;
mod look;
mod suggest;
mod text;

use std::path::{Path, PathBuf};

use rtune_models::hub::ALIASES;
use rtune_trainer::config::Config;
use rtune_trainer::error::TrainerError;
use rtune_trainer::files::write_whole;
use rtune_trainer::machine::available_memory_bytes;

use crate::args::tools::InitArgs;
use crate::commands::next::for_shell;
use crate::failure::{BadInput, DONE};
use crate::reporter::say;
use look::Look;
use suggest::Suggestion;

/// What the user wants, complete.
struct Wishes {
    /// What the model will do, in the user's words.
    name: String,
    language: String,
    base: String,
    memory_gib: Option<f64>,
    device: String,
    out: PathBuf,
}

pub(crate) fn run(args: &InitArgs) -> anyhow::Result<u8> {
    let asking = !args.yes && ask::is_possible();
    if args.data.is_empty() && !asking {
        let hint = "for example `rtune init --data my-rows.jsonl`; on a terminal and without --yes it asks";
        return Err(BadInput::new("missing: --data FILE, the rows to train on").with_hint(hint).into());
    }
    let data = if args.data.is_empty() { vec![ask::data()?] } else { args.data.clone() };
    let look = Look::at(&data)?;
    for line in look.lines() {
        say(&line);
    }
    let wishes = wishes(args, &data[0], asking)?;
    let files = Files::in_folder(&wishes.out)?;
    let lengths = look::token_lengths(&data, &wishes.base)?;
    say(&look.longest(lengths.as_ref()));
    let parts = look.parts();
    let suggestion = Suggestion::from(&look, &parts, lengths.as_ref(), &wishes);
    let config = text::config(&wishes, &data, &look, &parts, &suggestion, &files);
    // What is written here must be read by `rtune train`: a name that TOML cannot hold ends here.
    Config::parse(&files.config.display().to_string(), &config, &[])?;
    std::fs::create_dir_all(&wishes.out).map_err(|error| {
        BadInput::new(format!("cannot make the folder {}: {error}", wishes.out.display()))
    })?;
    let write = |path: &Path, text: &str| write_whole(path, text.as_bytes()).map_err(TrainerError::from);
    write(&files.train, &look.text(&parts.train))?;
    if !parts.golden.is_empty() {
        write(&files.golden, &look.text(&parts.golden))?;
    }
    // Last: a configuration without its rows would be of no use.
    write(&files.config, &config)?;
    for line in report(&wishes, &files, &parts, &suggestion) {
        say(&line);
    }
    Ok(DONE)
}

/// What is written.
struct Files {
    config: PathBuf,
    train: PathBuf,
    golden: PathBuf,
}

impl Files {
    fn in_folder(folder: &Path) -> Result<Self, BadInput> {
        let [config, train, golden] =
            ["config.toml", "train.jsonl", "golden.jsonl"].map(|name| folder.join(name));
        for path in [&config, &train, &golden] {
            if path.symlink_metadata().is_ok() {
                let message = format!("{} is there already, and nothing is overwritten", path.display());
                return Err(BadInput::new(message).with_hint("choose another folder with --out"));
            }
        }
        Ok(Self { config, train, golden })
    }
}

fn wishes(args: &InitArgs, data: &Path, asking: bool) -> anyhow::Result<Wishes> {
    let stem = data.file_stem().map_or_else(|| "data".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let given = |value: &Option<String>, question: &str, default: &str| match (value, asking) {
        (Some(value), _) => Ok(value.clone()),
        (None, true) => ask::text(question, default),
        (None, false) => Ok(default.to_owned()),
    };
    let name = given(&args.name, "What will the model do, in a word or two", &stem)?;
    let folder = folder_name(&name).ok_or_else(|| {
        BadInput::new(format!("the name {name:?} has no letter or digit"))
            .with_hint("for example --name support-bot")
    })?;
    let language = given(&args.language, "Language of the data", "en")?;
    let base = match (&args.base, asking) {
        (Some(base), _) => base.clone(),
        (None, true) => ask::base()?,
        (None, false) => ALIASES[0].name.to_owned(),
    };
    let free_gib = available_memory_bytes().map(|bytes| bytes as f64 / f64::from(1 << 30));
    let memory_gib = match (args.memory, asking) {
        (None, true) => Some(ask::memory(free_gib)?),
        (given, _) => given.or(free_gib),
    };
    if memory_gib.is_some_and(|gib| !(gib > 0.0 && gib.is_finite())) {
        return Err(BadInput::new("--memory: expected a number of GiB above 0")
            .with_hint("for example --memory 8")
            .into());
    }
    let device = args.device.clone().unwrap_or_else(|| "auto".to_owned());
    let default_out = folder.clone();
    let out = match (&args.out, asking) {
        (Some(out), _) => out.clone(),
        (None, true) => ask::text("Folder to write into", &default_out)?.into(),
        (None, false) => default_out.into(),
    };
    Ok(Wishes { name, language, base, memory_gib, device, out })
}

/// A name as a folder has it: small letters and digits, dashes between.
fn folder_name(name: &str) -> Option<String> {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-").to_lowercase();
    Some(name).filter(|name| !name.is_empty())
}

fn report(wishes: &Wishes, files: &Files, parts: &look::Parts, suggestion: &Suggestion) -> Vec<String> {
    let shown = |path: &Path| path.display().to_string();
    let mut lines = vec![format!("{}: {} rows to learn from", shown(&files.train), parts.train.len())];
    if parts.golden.is_empty() {
        lines.push(format!("no golden rows: {} rows are too few to hold some back", parts.train.len()));
    } else {
        let note = "held out of training, to judge the model by: read and extend them";
        lines.push(format!("{}: {} rows, {note}", shown(&files.golden), parts.golden.len()));
    }
    if parts.beside_golden > 0 {
        lines.push(format!(
            "{} rows that ask what a golden row asks are in neither file",
            parts.beside_golden
        ));
    }
    lines.push(shown(&files.config));
    for choice in &suggestion.choices {
        lines.push(format!("  {} = {}: {}", choice.key, choice.value, choice.why));
    }
    let is_english = wishes.language.to_lowercase().starts_with("en");
    if wishes.base == ALIASES[0].name && !is_english {
        lines.push(format!(
            "{} has read English only; for `{}` another base will do better (--base)",
            wishes.base, wishes.language
        ));
    }
    let (config, run) = (for_shell(&shown(&files.config)), for_shell(&shown(&wishes.out.join("run"))));
    lines.push("next:".to_owned());
    lines.push(format!("  rtune check {config}"));
    lines.push(format!("  rtune train {config}"));
    lines.push(format!("  rtune chat {run}"));
    lines
}

#[cfg(test)]
mod tests {
    use super::folder_name;

    #[test]
    fn a_name_becomes_a_folder() {
        assert_eq!(folder_name("Support Bot (v2)!").as_deref(), Some("support-bot-v2"));
        assert_eq!(folder_name("../..").as_deref(), None);
        assert_eq!(folder_name("Größe").as_deref(), Some("größe"));
    }
}
