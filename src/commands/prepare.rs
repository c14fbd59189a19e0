//! `rtune prepare`: raw files to rows ready for training, and what became of each of them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rtune_data::{Account, Accounts, Side};
use rtune_release::NewFolder;
use rtune_trainer::config::Config;
use rtune_trainer::files::FileError;
use rtune_trainer::inputs::Inputs;
use serde_json::Value;

use super::opened::preparation;
use super::{data_summary, next, resolve_base};
use crate::args::tools::PrepareArgs;
use crate::failure::{BadInput, DONE};
use crate::reporter::{complain, say};

/// The folder that holds a folder for each configuration.
const PREPARED: &str = "prepared";

/// What tells a folder of ours, which a second preparation may replace.
const REPORT: &str = "data-report.json";
const PAGE: &str = "data-report.html";

pub(crate) fn run(args: &PrepareArgs) -> anyhow::Result<u8> {
    let config = Config::load(&args.config, &args.overrides)?;
    let out = args.out.clone().unwrap_or_else(|| usual_folder(&config));
    if !args.dry_run {
        refuse_foreign(&out)?;
    }
    let preparation = preparation(&config)?;
    let base = resolve_base(&config)?;
    if args.dry_run {
        let inputs = Inputs::prepare(&config, &base, &preparation, None)?;
        show(args, &inputs)?;
        return Ok(DONE);
    }
    let fresh = beside(&out);
    if fresh.exists() {
        fs::remove_dir_all(&fresh).with_context(|| format!("cannot replace `{}`", fresh.display()))?;
    }
    let folder = NewFolder::begin(&fresh)?;
    let mut files = Files::create(folder.path())?;
    let inputs = Inputs::prepare(&config, &base, &preparation, Some(&mut files))?;
    for note in inputs.preparation.iter().flat_map(|used| &used.notes) {
        complain(&format!("note: {note}"));
    }
    files.finish()?;
    let report = &inputs.prepared.report;
    folder.write(REPORT, &serde_json::to_vec_pretty(report)?)?;
    folder.write(PAGE, report.page().as_bytes())?;
    folder.finish()?;
    put_in_place(&fresh, &out)?;
    show(args, &inputs)?;
    if !args.json {
        say(&format!("report: {}", out.join(PAGE).display()));
        say(&next::after_check(&args.config, &args.overrides));
    }
    Ok(DONE)
}

fn show(args: &PrepareArgs, inputs: &Inputs) -> anyhow::Result<()> {
    if args.json {
        say(&serde_json::to_string_pretty(&inputs.prepared.report)?);
        return Ok(());
    }
    for line in data_summary::lines(&inputs.prepared.report) {
        say(&line);
    }
    Ok(())
}

/// `prepared/NAME`, by the name of the run folder.
fn usual_folder(config: &Config) -> PathBuf {
    Path::new(PREPARED).join(config.output.dir.file_name().unwrap_or("data".as_ref()))
}

fn beside(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    out.with_file_name(name)
}

/// Only a folder that an earlier preparation wrote is replaced.
fn refuse_foreign(out: &Path) -> anyhow::Result<()> {
    if out.symlink_metadata().is_ok() && !out.join(REPORT).is_file() {
        let problem = format!("`{}` is there already, and no earlier preparation wrote it", out.display());
        return Err(BadInput::new(problem).with_hint("name another folder by `--out`").into());
    }
    Ok(())
}

fn put_in_place(fresh: &Path, out: &Path) -> anyhow::Result<()> {
    if out.exists() {
        fs::remove_dir_all(out).with_context(|| format!("cannot replace `{}`", out.display()))?;
    }
    fs::rename(fresh, out).with_context(|| format!("cannot write `{}`", out.display()))
}

/// The rows as texts, and what became of each row that was read.
struct Files {
    rows: Lines,
    train: Lines,
    validation: Lines,
}

/// A file of JSON lines.
struct Lines {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Lines {
    fn create(path: PathBuf) -> Result<Self, FileError> {
        match File::create(&path) {
            Ok(file) => Ok(Self { file: BufWriter::new(file), path }),
            Err(source) => Err(FileError { action: "write", path, source }),
        }
    }

    fn add(&mut self, line: &Value) -> io::Result<()> {
        serde_json::to_writer(&mut self.file, line)?;
        self.file.write_all(b"\n")
    }

    fn finish(mut self) -> Result<(), FileError> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(|source| FileError { action: "write", path: self.path, source })
    }
}

impl Files {
    fn create(folder: &Path) -> Result<Self, FileError> {
        Ok(Self {
            rows: Lines::create(folder.join("rows.jsonl"))?,
            train: Lines::create(folder.join("train.jsonl"))?,
            validation: Lines::create(folder.join("validation.jsonl"))?,
        })
    }

    fn finish(self) -> Result<(), FileError> {
        [self.rows, self.train, self.validation].into_iter().try_for_each(Lines::finish)
    }
}

impl Accounts for Files {
    fn row(&mut self, account: &Account<'_>) -> io::Result<()> {
        self.rows.add(&serde_json::to_value(account)?)?;
        match (account.side, account.row()) {
            (Some(Side::Train), Some(row)) => self.train.add(&row),
            (Some(Side::Validation), Some(row)) => self.validation.add(&row),
            _ => Ok(()),
        }
    }
}
