//! What a run measures: metrics.jsonl, one object a line, and the same figures for TensorBoard.

mod lines;
mod tensorboard;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::files::{self, At, FileError};
use tensorboard::EventFile;

pub use lines::{EvaluationLine, GeneralLine, GoldenLine, Line, OddLine, SampleLine, StepLine};

/// Their file in a run folder.
pub const METRICS_FILE: &str = "metrics.jsonl";

/// What of a run's measurements counts: up to which step, each; `None` for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Lines of steps.
    pub steps: Option<u64>,
    /// Lines of evaluations.
    pub evaluations: Option<u64>,
}

/// The open files of a run.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    file: File,
    events: EventFile,
}

impl Metrics {
    /// Opens the files in the run folder, after cutting away every line that does not count: what they tell of will be
    /// done again. TensorBoard's files are written anew from the lines that stay, each with the time that it had; those are given back too,
    /// with the numbers of those that cannot be read and are cut away as well.
    ///
    /// # Errors
    /// [`FileError`] when a file cannot be read or written.
    pub fn open(run: &Path, counts: Measured) -> Result<(Self, Lines), FileError> {
        let path = run.join(METRICS_FILE);
        let mut kept = read_lines(&path)?;
        kept.lines.retain(|line| line.is_kept(counts));
        let text: String = kept.lines.iter().flat_map(|line| [line.to_json(), "\n".to_owned()]).collect();
        files::write_whole(&path, text.as_bytes())?;
        let folder = run.join("tensorboard");
        let times = tensorboard::times_in(&folder);
        if folder.exists() {
            fs::remove_dir_all(&folder).at("replace", &folder)?;
        }
        let mut events = EventFile::create(&folder, times)?;
        for line in &kept.lines {
            line.write_into(&mut events)?;
        }
        // What is done from here on is done now, even if it comes to the same.
        events.forget_times();
        let file = OpenOptions::new().append(true).open(&path).at("write", &path)?;
        Ok((Self { path, file, events }, kept))
    }

    /// Flushes the lines to the disk, so that a checkpoint never outlives those of its steps.
    ///
    /// # Errors
    /// [`FileError`] when that fails.
    pub fn sync(&self) -> Result<(), FileError> {
        self.file.sync_all().at("write", &self.path)
    }

    /// Adds a line. It is in the file when this returns.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be written.
    pub fn add(&mut self, line: &Line) -> Result<(), FileError> {
        self.file.write_all(format!("{}\n", line.to_json()).as_bytes()).at("write", &self.path)?;
        line.write_into(&mut self.events)
    }
}

/// What a metrics.jsonl holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lines {
    /// In order, those that can be read.
    pub lines: Vec<Line>,
    /// The places of the others, from 1.
    pub unreadable: Vec<usize>,
}

impl Lines {
    /// What is to be said of lines that cannot be read, if there are any.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let first = self.unreadable.first()?;
        Some(match self.unreadable.len() {
            1 => format!("line {first} of {METRICS_FILE} cannot be read"),
            count => format!("{count} lines of {METRICS_FILE} cannot be read, line {first} first"),
        })
    }
}

/// The lines of a metrics.jsonl, none where it is not there. A last line without an end is one that a killed process had begun, and is not
/// counted; any other that cannot be read costs no other, and is named by its place.
///
/// # Errors
/// [`FileError`] when the file cannot be read.
pub fn read_lines(path: &Path) -> Result<Lines, FileError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).at("read", path),
    };
    let mut found = Lines::default();
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        match std::str::from_utf8(line).ok().and_then(Line::parse) {
            Some(line) => found.lines.push(line),
            None if line.ends_with(b"\n") => found.unreadable.push(index + 1),
            None => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn step(step: u64) -> Line {
        Line::Step(StepLine {
            step,
            epoch: 0.5,
            train_loss_nats: 1.25,
            grad_norm: 2.0,
            lr: 0.1,
            tokens: 10,
            supervised_tokens: 4,
            tokens_per_second: 5.0,
            peak_memory_bytes: None,
            seconds: 2.0,
            loss_spike: false,
        })
    }

    fn up_to(steps: u64, evaluations: u64) -> Measured {
        Measured { steps: Some(steps), evaluations: Some(evaluations) }
    }

    fn evaluation(step: u64) -> Line {
        Line::Evaluation(EvaluationLine {
            step,
            validation_loss_nats: 0.1 + 0.2,
            perplexity: 1.5,
            token_accuracy: 0.5,
        })
    }

    #[test]
    fn the_keys_are_those_of_the_design() {
        assert_eq!(
            step(3).to_json(),
            "{\"step\":3,\"epoch\":0.5,\"train_loss_nats\":1.25,\"grad_norm\":2.0,\"lr\":0.1,\"tokens\":10,\
            \"supervised_tokens\":4,\"tokens_per_second\":5.0,\"peak_memory_bytes\":null,\"seconds\":2.0}"
        );
        assert_eq!(
            evaluation(0).to_json(),
            "{\"step\":0,\"validation_loss_nats\":0.30000000000000004,\"perplexity\":1.5,\"token_accuracy\":0.5}"
        );
    }

    #[test]
    fn a_spike_is_marked() {
        let Line::Step(plain) = step(3) else { panic!("a step") };
        let line = Line::Step(StepLine { loss_spike: true, ..plain });
        assert!(line.to_json().ends_with(",\"loss_spike\":true}"), "{}", line.to_json());
        assert_eq!(Line::parse(&line.to_json()), Some(line.clone()));
        assert!(line.scalars().contains(&("train/loss_spike".into(), 1.0)));
    }

    #[test]
    fn a_line_that_cannot_be_read_costs_no_other_and_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(METRICS_FILE);
        let torn = format!("{}\n{{\"step\":2,\"ep\n{}\n{{\"st", step(1).to_json(), step(3).to_json());
        fs::write(&path, torn).expect("written");
        let (_, kept) = Metrics::open(folder.path(), up_to(3, 3)).expect("opened");
        assert_eq!(kept, Lines { lines: vec![step(1), step(3)], unreadable: vec![2] });
        assert_eq!(kept.complaint().as_deref(), Some("line 2 of metrics.jsonl cannot be read"));
        let mut bytes = [step(1), step(2)].map(|line| line.to_json() + "\n").concat().into_bytes();
        bytes[3] = 0xff;
        bytes.extend(b"{}\n");
        fs::write(&path, bytes).expect("written");
        let found = read_lines(&path).expect("readable");
        assert_eq!((found.lines.as_slice(), found.unreadable.as_slice()), (&[step(2)][..], &[1, 3][..]));
        assert_eq!(
            found.complaint().as_deref(),
            Some("2 lines of metrics.jsonl cannot be read, line 1 first")
        );
    }

    /// JSON has no infinity: a number that were one would stand there as `null`, and the line would be lost.
    #[test]
    fn a_loss_beyond_all_numbers_has_a_perplexity_that_can_be_read_again() {
        let sum = crate::loss::LossSum { nats: 8000.0, supervised_tokens: 4, correct_tokens: 0 };
        let perplexity = sum.perplexity();
        assert_eq!(perplexity, f64::MAX);
        let line = Line::Evaluation(EvaluationLine {
            step: 2,
            validation_loss_nats: sum.mean_nats(),
            perplexity,
            token_accuracy: 0.0,
        });
        assert_eq!(Line::parse(&line.to_json()), Some(line));
        assert!(crate::loss::LossSum::default().perplexity().is_nan(), "of nothing it is no number");
    }

    #[test]
    fn later_lines_and_a_torn_one_are_cut_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut metrics, _) =
            Metrics::open(folder.path(), Measured { steps: None, evaluations: None }).expect("opened");
        for line in [evaluation(0), step(1), step(2), evaluation(2), step(3)] {
            metrics.add(&line).expect("written");
        }
        let path = folder.path().join("metrics.jsonl");
        let mut file = OpenOptions::new().append(true).open(&path).expect("there");
        file.write_all(b"{\"step\":4,\"ep").expect("written");
        let (_, kept) = Metrics::open(folder.path(), up_to(2, 2)).expect("opened again");
        assert_eq!(kept.lines, [evaluation(0), step(1), step(2), evaluation(2)]);
        assert_eq!(kept.unreadable, [0; 0], "the last one was begun and not ended");
        let text = fs::read_to_string(&path).expect("there");
        let expected: Vec<String> =
            [evaluation(0), step(1), step(2), evaluation(2)].iter().map(Line::to_json).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert_eq!(fs::read_dir(folder.path().join("tensorboard")).expect("there").count(), 1);
        let (_, kept) = Metrics::open(folder.path(), up_to(2, 0)).expect("opened again");
        assert_eq!(
            kept.lines,
            [evaluation(0), step(1), step(2)],
            "an evaluation that is not in the state is done again"
        );
    }

    #[test]
    fn events_of_before_keep_their_times() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut metrics, _) =
            Metrics::open(folder.path(), Measured { steps: None, evaluations: None }).expect("opened");
        for line in [evaluation(0), step(1), step(2)] {
            metrics.add(&line).expect("written");
        }
        let times = || tensorboard::times_in(&folder.path().join("tensorboard"));
        let before = times();
        // A file that is written anew is written later.
        std::thread::sleep(std::time::Duration::from_millis(2));
        let (mut metrics, _) = Metrics::open(folder.path(), up_to(1, 0)).expect("opened again");
        let kept = times();
        assert_eq!((before.len(), kept.len()), (4, 3), "the version of the format is one");
        assert!(kept.iter().all(|(event, time)| before.get(event) == Some(time)), "{kept:?} {before:?}");
        metrics.add(&step(2)).expect("written");
        let again = times();
        let (event, time) =
            again.iter().find(|(event, _)| !kept.contains_key(*event)).expect("the second step");
        assert!(before[event] < *time, "it was done again");
    }

    #[test]
    fn every_line_is_read_as_what_it_was() {
        let golden = BTreeMap::from([("chrf".to_owned(), 41.5), ("f1-spam".to_owned(), 0.9)]);
        let general = GeneralLine { step: 4, general_rows: 50, general_loss_nats: 0.5, general_right: 0.25 };
        let lines = [Line::Golden(GoldenLine { step: 4, golden_rows: 8, golden }), Line::General(general)];
        for line in lines {
            assert_eq!(Line::parse(&line.to_json()), Some(line.clone()));
            assert_eq!(line.scalars().len(), 2);
        }
    }
}
