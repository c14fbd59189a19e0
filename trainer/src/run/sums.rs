//! The hashes of a run's evaluations, `eval/SHA256SUMS`: a line an evaluation, in the form that `sha256sum --check` reads.
//!
//! A line is added and none is held, so that a run may evaluate for as long as it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::TrainerError;
use crate::evaluate::perplexity::{EVALUATIONS, file_of};
use crate::files::{self, At};

/// Its name in the folder of evaluations.
pub(crate) const FILE: &str = "SHA256SUMS";

/// One evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    /// Steps that were done.
    pub(crate) step: u64,
    /// SHA-256 of its file as it was written, in hexadecimal.
    pub(crate) sha256: String,
}

/// The file of a run that is under way.
#[derive(Debug)]
pub(crate) struct Sums {
    path: PathBuf,
    newest: Option<u64>,
}

impl Sums {
    /// That of `run`, with what was evaluated up to `step` and nothing later; `None` for nothing at all. `earlier` has name and hash of
    /// evaluations that an earlier version wrote into the manifest.
    ///
    /// # Errors
    /// As [`read`], and [`TrainerError::File`] when it cannot be written.
    pub(super) fn up_to(
        step: Option<u64>,
        run: &Path,
        earlier: BTreeMap<String, String>,
    ) -> Result<Self, TrainerError> {
        let path = run.join(EVALUATIONS).join(FILE);
        let mut sums: BTreeMap<u64, Sum> = BTreeMap::new();
        // What does not count need not be readable.
        if step.is_some() {
            let earlier =
                earlier.into_iter().filter_map(|(name, sha256)| Some(Sum { step: step_of(&name)?, sha256 }));
            sums.extend(earlier.chain(read(run)?).map(|sum| (sum.step, sum)));
        }
        sums.retain(|of, _| Some(*of) <= step);
        if sums.is_empty() {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.at("remove", &path)?,
            }
        } else {
            let text: String = sums.values().map(line_of).collect();
            files::write_whole(&path, text.as_bytes())?;
        }
        Ok(Self { path, newest: sums.keys().next_back().copied() })
    }

    /// Adds an evaluation, later than those that are there; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`TrainerError::File`], after which there may be a part of a line, as after a kill: [`read`] passes over it, and [`Self::up_to`]
    /// takes it off.
    pub(super) fn add(&mut self, sum: &Sum) -> Result<(), TrainerError> {
        let path = &self.path;
        let mut file = File::options().create(true).append(true).open(path).at("write", path)?;
        file.write_all(line_of(sum).as_bytes()).and_then(|()| file.sync_data()).at("write", path)?;
        if self.newest.is_none() {
            files::sync_folder_of(path)?;
        }
        self.newest = Some(sum.step);
        Ok(())
    }

    /// Whether the evaluation after `step` is there; none is later.
    pub(super) fn is_done(&self, step: u64) -> bool {
        self.newest == Some(step)
    }
}

/// The evaluations of a run in the order that they were made in, none where there is no file. A last line without its end is one that a
/// process was killed over.
///
/// # Errors
/// [`TrainerError::File`], and [`TrainerError::Unreadable`] with the first line that is none.
pub(crate) fn read(run: &Path) -> Result<Vec<Sum>, TrainerError> {
    let path = run.join(EVALUATIONS).join(FILE);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        bytes => bytes.at("read", &path)?,
    };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines = bytes[..whole].split_inclusive(|byte| *byte == b'\n');
    let parsed = lines.zip(1..).map(|(line, number)| {
        let line = String::from_utf8_lossy(line.trim_ascii_end());
        parse(&line).ok_or_else(|| {
            let expected = format!("a SHA-256, two spaces and a name such as `{}`", file_of(0));
            let problem = format!("line {number}: expected {expected}, found `{line}`");
            TrainerError::Unreadable { file: path.clone(), problem }
        })
    });
    parsed.collect()
}

/// The names that evaluations up to `step` have, of files that are there and of the last one; none for `None`.
///
/// # Errors
/// [`TrainerError::File`] when the folder cannot be read.
pub(crate) fn files_up_to(step: Option<u64>, run: &Path) -> Result<BTreeSet<String>, TrainerError> {
    let Some(last) = step else { return Ok(BTreeSet::new()) };
    let mut names = BTreeSet::from([file_of(last)]);
    let folder = run.join(EVALUATIONS);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        entries => entries.at("read", &folder)?,
    };
    for entry in entries {
        let name = entry.at("read", &folder)?.file_name().to_string_lossy().into_owned();
        if step_of(&name).is_some_and(|of| of <= last) {
            names.insert(name);
        }
    }
    Ok(names)
}

fn line_of(sum: &Sum) -> String {
    format!("{}  {}\n", sum.sha256, file_of(sum.step))
}

fn parse(line: &str) -> Option<Sum> {
    let (sha256, name) = line.split_once("  ")?;
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let step = step_of(name).filter(|step| file_of(*step) == name)?;
    (sha256.len() == 64 && sha256.bytes().all(is_digit)).then(|| Sum { step, sha256: sha256.to_owned() })
}

/// The step of a file such as `step-000200.json`.
pub(super) fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix("step-")?.strip_suffix(".json")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(step: u64) -> Sum {
        Sum { step, sha256: files::sha256_of(&step.to_le_bytes()) }
    }

    fn run_with(text: &str) -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir(home.path().join(EVALUATIONS)).expect("made");
        let path = home.path().join(EVALUATIONS).join(FILE);
        fs::write(&path, text).expect("written");
        (home, path)
    }

    #[test]
    fn lines_are_added_and_later_ones_go() {
        let (home, path) = run_with("anything: it does not count");
        let mut sums = Sums::up_to(None, home.path(), BTreeMap::new()).expect("nothing");
        assert!(!path.exists() && !sums.is_done(0));
        for step in [0, 5, 999_999, 1_000_000] {
            sums.add(&sum(step)).expect("added");
            assert!(sums.is_done(step));
        }
        assert_eq!(read(home.path()).expect("readable"), [0, 5, 999_999, 1_000_000].map(sum));
        let text = fs::read_to_string(&path).expect("there");
        assert!(text.starts_with(&format!("{}  step-000000.json\n", sum(0).sha256)), "{text}");
        // A process was killed over the last line.
        for cut in 1..90 {
            fs::write(&path, &text[..text.len() - cut]).expect("written");
            let mut sums = Sums::up_to(Some(999_999), home.path(), BTreeMap::new()).expect("readable");
            assert!(sums.is_done(999_999) && !sums.is_done(1_000_000));
            sums.add(&sum(1_000_000)).expect("added");
            assert_eq!(fs::read_to_string(&path).expect("there"), text);
            if cut >= 2 + 64 + "step-1000000.json".len() {
                break;
            }
        }
        let sums = Sums::up_to(Some(7), home.path(), BTreeMap::new()).expect("readable");
        assert!(sums.is_done(5) && !sums.is_done(0));
        assert_eq!(read(home.path()).expect("readable"), [0, 5].map(sum));
    }

    #[test]
    fn what_an_earlier_version_wrote_into_the_manifest_is_taken_over() {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir(home.path().join(EVALUATIONS)).expect("made");
        let earlier: BTreeMap<String, String> =
            [0, 2, 1_000_000, 4].map(sum).map(|sum| (file_of(sum.step), sum.sha256)).into();
        let sums = Sums::up_to(Some(4), home.path(), earlier.clone()).expect("written");
        assert!(sums.is_done(4));
        assert_eq!(read(home.path()).expect("readable"), [0, 2, 4].map(sum));
        // Killed before the manifest was without them.
        Sums::up_to(Some(4), home.path(), earlier).expect("written");
        assert_eq!(read(home.path()).expect("readable"), [0, 2, 4].map(sum));
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let hash = sum(0).sha256;
        let [upper, short] = [hash.to_uppercase(), hash[1..].to_owned()];
        for line in [
            String::new(),
            format!("{hash} step-000002.json"),
            format!("{hash}  ../../secret"),
            format!("{hash}  step-2.json"),
            format!("{hash}  step-../000002.json"),
            format!("{upper}  step-000002.json"),
            format!("{short}  step-000002.json"),
        ] {
            let (home, path) = run_with(&format!("{hash}  step-000000.json\n{line}\n"));
            let said = read(home.path()).expect_err(&line).to_string();
            let expected =
                "line 2: expected a SHA-256, two spaces and a name such as `step-000000.json`, found";
            assert!(said.contains(expected) && said.contains(&path.display().to_string()), "{said}");
            assert!(Sums::up_to(Some(9), home.path(), BTreeMap::new()).is_err(), "{line}");
        }
    }
}
