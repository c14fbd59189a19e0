//! `rtune prepare`: raw files to rows ready for training, and what became of each of them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rtune_data::{Account, Accounts, DataReport, Side};
use rtune_release::NewFolder;
use rtune_trainer::config::Config;
use rtune_trainer::files::FileError;
use rtune_trainer::inputs::outline;
use serde_json::Value;

use super::opened::preparation;
use super::{data_summary, next, resolve_base};
use crate::args::tools::PrepareArgs;
use crate::failure::{BadInput, DONE};
use crate::reporter::{complain, say};

/// The folder that holds a folder for each configuration.
const PREPARED: &str = "prepared";

/// What run folders are called that stand in a folder of their own.
const RUN: &str = "run";

/// What a preparation writes, and nothing else: a folder of these files alone is one that a second preparation may replace.
const ROWS: &str = "rows.jsonl";
const TRAIN: &str = "train.jsonl";
const VALIDATION: &str = "validation.jsonl";
const REPORT: &str = "data-report.json";
const PAGE: &str = "data-report.html";
/// Of what else stands in a folder so much is named.
const SHOWN: usize = 3;
const OURS: [&str; 5] = [ROWS, TRAIN, VALIDATION, REPORT, PAGE];

pub(crate) fn run(args: &PrepareArgs) -> anyhow::Result<u8> {
    let config = Config::load(&args.config, &args.overrides)?;
    let out = args.out.clone().unwrap_or_else(|| usual_folder(&config));
    if !args.dry_run {
        refuse_foreign(&out)?;
    }
    let preparation = preparation(&config)?;
    let base = resolve_base(&config)?;
    if args.dry_run {
        let (report, _) = outline(&config, &base, &preparation, None)?;
        show(args, &report)?;
        return Ok(DONE);
    }
    let folder = NewFolder::replacing(&out)?;
    let mut files = Files::create(folder.path())?;
    let (report, used) = outline(&config, &base, &preparation, Some(&mut files))?;
    for note in used.iter().flat_map(|used| &used.notes) {
        complain(&format!("note: {note}"));
    }
    files.finish()?;
    folder.write(REPORT, &serde_json::to_vec_pretty(&report)?)?;
    folder.write(PAGE, report.page().as_bytes())?;
    // Somebody else may have written there meanwhile.
    refuse_foreign(&out)?;
    folder.finish()?;
    show(args, &report)?;
    if !args.json {
        say(&format!("report: {}", out.join(PAGE).display()));
        say(&next::after_check(&args.config, &args.overrides));
    }
    Ok(DONE)
}

fn show(args: &PrepareArgs, report: &DataReport) -> anyhow::Result<()> {
    if args.json {
        say(&serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    for line in data_summary::lines(report) {
        say(&line);
    }
    Ok(())
}

/// `prepared/NAME`, by the name of the run folder, or of the one above where that is `run`, as it is in every configuration of `init`.
fn usual_folder(config: &Config) -> PathBuf {
    let run = &config.output.dir;
    let above = run.parent().and_then(Path::file_name).filter(|_| run.ends_with(RUN));
    Path::new(PREPARED).join(above.or(run.file_name()).unwrap_or("data".as_ref()))
}

/// Only what an earlier preparation wrote is replaced: a run, which has a report of its rows by the same name, is not.
fn refuse_foreign(out: &Path) -> anyhow::Result<()> {
    let Ok(found) = out.symlink_metadata() else { return Ok(()) };
    let refused =
        |problem: String| Err(BadInput::new(problem).with_hint("name another folder by `--out`").into());
    if !found.is_dir() || !out.join(REPORT).is_file() {
        return refused(format!("`{}` is there already, and no earlier preparation wrote it", out.display()));
    }
    let mut foreign = Vec::new();
    for entry in fs::read_dir(out).with_context(|| format!("cannot read `{}`", out.display()))? {
        let entry = entry.with_context(|| format!("cannot read `{}`", out.display()))?;
        let is_ours = OURS.iter().any(|name| entry.file_name() == *name);
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            foreign.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    foreign.sort();
    if !foreign.is_empty() {
        let more = foreign.len().saturating_sub(SHOWN);
        foreign.truncate(SHOWN);
        let names =
            foreign.join("`, `") + "`" + &if more > 0 { format!(" and {more} more") } else { String::new() };
        return refused(format!(
            "`{}` is not replaced: it holds what no preparation writes: `{names}",
            out.display()
        ));
    }
    Ok(())
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
            rows: Lines::create(folder.join(ROWS))?,
            train: Lines::create(folder.join(TRAIN))?,
            validation: Lines::create(folder.join(VALIDATION))?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_preparation_wrote_is_replaced() {
        let home = tempfile::tempdir().expect("a folder");
        let out = home.path().join("out");
        let said = || {
            format!("{:#}", refuse_foreign(&out).expect_err("refused"))
                .replace(&*home.path().to_string_lossy(), "")
        };
        refuse_foreign(&out).expect("nothing is there");
        fs::write(&out, "").expect("written");
        assert_eq!(said(), "`/out` is there already, and no earlier preparation wrote it");
        fs::remove_file(&out).expect("removed");
        fs::create_dir(&out).expect("made");
        assert_eq!(said(), "`/out` is there already, and no earlier preparation wrote it");
        OURS.iter().for_each(|name| fs::write(out.join(name), "").expect("written"));
        refuse_foreign(&out).expect("of a preparation");
        fs::write(out.join("config.toml"), "").expect("written");
        assert_eq!(said(), "`/out` is not replaced: it holds what no preparation writes: `config.toml`");
        ["checkpoints", "best", ".lock"]
            .iter()
            .for_each(|name| fs::create_dir(out.join(name)).expect("made"));
        assert_eq!(
            said(),
            "`/out` is not replaced: it holds what no preparation writes: `.lock`, `best`, `checkpoints` and 1 more"
        );
        ["checkpoints", "best", ".lock"]
            .iter()
            .for_each(|name| fs::remove_dir(out.join(name)).expect("removed"));
        fs::remove_file(out.join("config.toml")).expect("removed");
        fs::remove_file(out.join(ROWS)).expect("removed");
        fs::create_dir(out.join(ROWS)).expect("made");
        assert_eq!(said(), "`/out` is not replaced: it holds what no preparation writes: `rows.jsonl`");
    }
}
