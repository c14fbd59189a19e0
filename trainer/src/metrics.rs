//! What a run measures: metrics.jsonl, one object a line, and the same figures for TensorBoard.

mod tensorboard;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{self, At, FileError};
use tensorboard::EventFile;

/// One line for every step, in the order in which the keys are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepLine {
    /// Steps done, this one included.
    pub step: u64,
    /// Epochs done, as a fraction.
    pub epoch: f64,
    /// Nats a supervised token, over the whole step.
    pub train_loss_nats: f64,
    /// Length of the gradient before clipping.
    pub grad_norm: f64,
    /// Learning rate of the step.
    pub lr: f64,
    /// Tokens of the step.
    pub tokens: u64,
    /// Those with loss.
    pub supervised_tokens: u64,
    /// Tokens of the step over its seconds.
    pub tokens_per_second: f64,
    /// Most memory the process has held, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// Time of the step.
    pub seconds: f64,
    /// Whether the loss jumped; see [`crate::spikes`]. The key is there only if it did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub loss_spike: bool,
}

/// One line for every evaluation; the base's is the first, with step 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationLine {
    /// Steps done.
    pub step: u64,
    /// Nats a supervised token.
    pub validation_loss_nats: f64,
    /// Its exponential.
    pub perplexity: f64,
    /// Part of the supervised tokens that are the likeliest.
    pub token_accuracy: f64,
}

/// One line for every sample answer, behind the line of its evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleLine {
    /// Steps done.
    pub step: u64,
    /// The id of the held-out row.
    pub sample_id: String,
    /// What was asked, as the template writes it, without special tokens.
    pub prompt: String,
    /// The row's own answer.
    pub expected: String,
    /// The greedy answer of this moment.
    pub answer: String,
}

/// A line of metrics.jsonl.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Line {
    /// Of a step.
    Step(StepLine),
    /// Of an evaluation.
    Evaluation(EvaluationLine),
    /// Of a sample answer.
    Sample(SampleLine),
}

impl Line {
    fn step(&self) -> u64 {
        match self {
            Line::Step(line) => line.step,
            Line::Evaluation(line) => line.step,
            Line::Sample(line) => line.step,
        }
    }

    /// The loss of a step.
    pub(crate) fn train_loss_nats(&self) -> Option<f64> {
        match self {
            Line::Step(line) => Some(line.train_loss_nats),
            Line::Evaluation(_) | Line::Sample(_) => None,
        }
    }

    /// The loss of an evaluation.
    pub(crate) fn validation_loss_nats(&self) -> Option<f64> {
        match self {
            Line::Step(_) | Line::Sample(_) => None,
            Line::Evaluation(line) => Some(line.validation_loss_nats),
        }
    }

    /// The line as JSON, without its end.
    pub fn to_json(&self) -> String {
        // Numbers and names only: there is nothing here that JSON cannot say.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        let step = serde_json::from_str(text).map(Line::Step).ok();
        step.or_else(|| serde_json::from_str(text).map(Line::Evaluation).ok())
            .or_else(|| serde_json::from_str(text).map(Line::Sample).ok())
    }

    fn write_into(&self, events: &mut EventFile) -> Result<(), FileError> {
        match self {
            Line::Sample(line) => {
                events.add_text(line.step, &format!("sample/{}", line.sample_id), &line.text())
            }
            Line::Step(_) | Line::Evaluation(_) => events.add(self.step(), &self.scalars()),
        }
    }

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        match self {
            Line::Step(line) => vec![
                ("train/loss_nats", line.train_loss_nats),
                ("train/grad_norm", line.grad_norm),
                ("train/lr", line.lr),
                ("train/epoch", line.epoch),
                ("train/tokens_per_second", line.tokens_per_second),
                ("train/loss_spike", f64::from(u8::from(line.loss_spike))),
            ],
            Line::Evaluation(line) => vec![
                ("validation/loss_nats", line.validation_loss_nats),
                ("validation/perplexity", line.perplexity),
                ("validation/token_accuracy", line.token_accuracy),
            ],
            Line::Sample(_) => Vec::new(),
        }
    }
}

impl SampleLine {
    /// For TensorBoard, which reads Markdown: four spaces before a line keep it as it stands.
    fn text(&self) -> String {
        let block = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
        let Self { prompt, expected, answer, .. } = self;
        format!(
            "**prompt**\n\n{}\n**expected**\n\n{}\n**answer**\n\n{}",
            block(prompt),
            block(expected),
            block(answer)
        )
    }
}

/// The open files of a run.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    file: File,
    events: EventFile,
}

impl Metrics {
    /// Opens the files in the run folder, after cutting away every line of a later step than `step`, or every line for
    /// `None`: what they tell of will be done again. TensorBoard's files are written anew from the lines that stay,
    /// which are given back too.
    ///
    /// # Errors
    /// [`FileError`] when a file cannot be read or written.
    pub fn open(run: &Path, step: Option<u64>) -> Result<(Self, Vec<Line>), FileError> {
        let path = run.join("metrics.jsonl");
        let kept = match step {
            Some(step) => kept_lines(&path, step)?,
            None => Vec::new(),
        };
        let text: String = kept.iter().flat_map(|line| [line.to_json(), "\n".to_owned()]).collect();
        files::write_whole(&path, text.as_bytes())?;
        let folder = run.join("tensorboard");
        if folder.exists() {
            fs::remove_dir_all(&folder).at("replace", &folder)?;
        }
        let mut events = EventFile::create(&folder)?;
        for line in &kept {
            line.write_into(&mut events)?;
        }
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

/// Lines up to `step`. A line that cannot be read is one that a killed process had begun, and costs no other.
fn kept_lines(path: &Path, step: u64) -> Result<Vec<Line>, FileError> {
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).at("read", path),
    };
    Ok(text.lines().filter_map(Line::parse).filter(|line| line.step() <= step).collect())
}

/// Most memory the process has held, where the system tells (Linux: `VmHWM`).
pub fn peak_memory_bytes() -> Option<u64> {
    memory_line("/proc/self/status", "VmHWM:")
}

/// Memory that a new process could have without swapping, where the system tells.
pub fn available_memory_bytes() -> Option<u64> {
    memory_line("/proc/meminfo", "MemAvailable:")
}

/// Memory of the machine, where the system tells.
pub fn total_memory_bytes() -> Option<u64> {
    memory_line("/proc/meminfo", "MemTotal:")
}

fn memory_line(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
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
        assert!(line.scalars().contains(&("train/loss_spike", 1.0)));
    }

    #[test]
    fn a_line_that_cannot_be_read_costs_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!("{}\n{{\"step\":2,\"ep\n{}\n", step(1).to_json(), step(3).to_json());
        fs::write(folder.path().join("metrics.jsonl"), text).expect("written");
        let (_, kept) = Metrics::open(folder.path(), Some(3)).expect("opened");
        assert_eq!(kept, [step(1), step(3)]);
    }

    #[test]
    fn later_lines_and_a_torn_one_are_cut_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut metrics, _) = Metrics::open(folder.path(), None).expect("opened");
        for line in [evaluation(0), step(1), step(2), evaluation(2), step(3)] {
            metrics.add(&line).expect("written");
        }
        let path = folder.path().join("metrics.jsonl");
        let mut file = OpenOptions::new().append(true).open(&path).expect("there");
        file.write_all(b"{\"step\":4,\"ep").expect("written");
        let (_, kept) = Metrics::open(folder.path(), Some(2)).expect("opened again");
        assert_eq!(kept, [evaluation(0), step(1), step(2), evaluation(2)]);
        let text = fs::read_to_string(&path).expect("there");
        let expected: Vec<String> =
            [evaluation(0), step(1), step(2), evaluation(2)].iter().map(Line::to_json).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert_eq!(fs::read_dir(folder.path().join("tensorboard")).expect("there").count(), 1);
    }
}
