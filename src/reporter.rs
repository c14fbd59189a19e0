//! What a person or a program reads while a verb runs: bars on a terminal, plain lines in a log, JSON lines on wish.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use indicatif::ProgressBar;
use rtune_metrics::likelihood::shown;
use rtune_trainer::metrics::{Line, SampleLine, StepLine};
use rtune_trainer::run::{Event, Observer, Ready};

use crate::failure::BY_SIGNAL;
use bars::{WORK, bar, set};

pub(crate) use bars::{Transfer, Work, counted, watched};

mod bars;

/// Lines of steps that a log gets at most; a long run is read, not watched.
const LOG_LINES: u64 = 100;

/// Characters at the end of a prompt that the log shows: what was asked stands there.
const SHOWN_CHARACTERS: usize = 160;

/// The first failure to write to standard output.
static UNSAID: OnceLock<io::Error> = OnceLock::new();

/// Why what was said did not arrive, if it did not: a verb that could not say what it found did not do what it was asked for. A reader
/// that has gone away is no failure.
pub(crate) fn unsaid() -> Option<&'static io::Error> {
    UNSAID.get()
}

/// Writes a line to standard output; see [`unsaid`].
pub(crate) fn say(text: &str) {
    said(writeln!(io::stdout(), "{text}"));
}

fn said(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        // A later one says no more.
        let _ = UNSAID.set(error);
    }
}

/// Writes a line to standard error.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes a piece of a line to standard output at once.
pub(crate) fn say_piece(text: &str) {
    let mut out = io::stdout();
    said(write!(out, "{text}").and_then(|()| out.flush()));
}

/// What of a run goes to standard output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    /// Lines for people.
    People,
    /// Those of metrics.jsonl.
    Json,
    /// Nothing; warnings go to standard error all the same.
    None,
}

/// What the bar of a run counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    /// Steps of the run.
    Steps,
    /// Tensors, or rows of an evaluation.
    Work,
}

/// Shows a run.
pub(crate) struct Reporter {
    lines: Lines,
    terminal: bool,
    signal: Arc<AtomicUsize>,
    bar: Option<ProgressBar>,
    counted: Counted,
    /// Steps that were done before the run began or went on.
    done_before: u64,
    last_loss_nats: Option<f64>,
    useless: Option<String>,
    stops_after: Option<u64>,
}

impl Reporter {
    pub(crate) fn new(lines: Lines, signal: Arc<AtomicUsize>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            lines,
            terminal,
            signal,
            bar: None,
            counted: Counted::Work,
            done_before: 0,
            last_loss_nats: None,
            useless: None,
            stops_after: None,
        }
    }

    /// A run that ends after this step as if it was asked to stop.
    pub(crate) fn until(self, step: Option<u64>) -> Self {
        Self { stops_after: step, ..self }
    }

    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Why the adapter is of no use, if the run said so.
    pub(crate) fn useless(&self) -> Option<&str> {
        self.useless.as_deref()
    }

    /// A line beside the results, on standard error, above the bar if there is one.
    fn aside(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| complain(text)),
            None => complain(text),
        }
    }

    /// A line for people, above the bar if there is one.
    fn line(&self, text: &str) {
        match &self.bar {
            _ if self.lines != Lines::People => {}
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }

    fn json_line(&self, line: &Line) {
        if self.lines == Lines::Json {
            say(&line.to_json());
        }
    }

    /// The bar that counts this, on a terminal: one that counts something else is at its end.
    fn bar_of(&mut self, counted: Counted, new: impl FnOnce() -> ProgressBar) -> Option<&ProgressBar> {
        if self.counted != counted {
            self.finish();
            self.counted = counted;
        }
        self.terminal.then(|| &*self.bar.get_or_insert_with(new))
    }

    /// Shows work other than steps on the terminal.
    fn work(&mut self, what: &str, done: usize, total: usize) {
        if let Some(bar) = self.bar_of(Counted::Work, || bar(WORK, total as u64)) {
            set(bar, what.to_owned(), done, total);
        }
    }

    /// The evaluation before the first step, or before the first of those that are left, is done.
    fn evaluated(&mut self) {
        if self.last_loss_nats.is_none() {
            self.finish();
        }
    }

    /// While the base is being read nothing is computed and nothing is half written: a signal that comes then ends the
    /// process as if nobody listened for it.
    fn leave_if_asked(&mut self) {
        let signal = self.signal.load(Ordering::SeqCst);
        if signal != 0 {
            self.finish();
            complain("stopped while the base was being read; nothing was computed");
            std::process::exit(i32::from(BY_SIGNAL) + signal as i32);
        }
    }

    fn ready(&mut self, ready: &Ready) {
        self.finish();
        self.done_before = ready.step;
        let share = 100.0 * ready.trainable as f64 / ready.parameters as f64;
        let (trainable, parameters) = (grouped(ready.trainable), grouped(ready.parameters));
        self.line(&format!("trainable: {trainable} of {parameters} ({share:.1}%)"));
        let mebibytes = ready.base_bytes as f64 / f64::from(1 << 20);
        let (train, validation) = (grouped(ready.train_rows), grouped(ready.validation_rows));
        self.line(&format!(
            "base in memory: {mebibytes:.0} MiB; rows: {train} train, {validation} validation"
        ));
        match ready.step {
            0 => self.line(&format!("{} steps", ready.steps)),
            step => self.line(&format!("going on after step {step} of {}", ready.steps)),
        }
    }

    fn step(&mut self, line: &StepLine, steps: u64) {
        self.last_loss_nats = Some(line.train_loss_nats);
        self.json_line(&Line::Step(line.clone()));
        let begun = || {
            let bar = bar("step {pos}/{len} {bar:24} {msg} {eta} left", steps);
            bar.set_position(line.step - 1);
            bar.reset_eta();
            bar
        };
        if let Some(bar) = self.bar_of(Counted::Steps, begun) {
            bar.set_message(format!(
                "loss {:.4} {:.0} tokens/s",
                line.train_loss_nats, line.tokens_per_second
            ));
            bar.set_position(line.step);
        } else if line.step == 1 || line.step == steps || line.step.is_multiple_of(steps.div_ceil(LOG_LINES))
        {
            self.line(&format!(
                "step {}/{steps} loss {:.4} lr {:.3e} grad {:.3} {:.0} tokens/s",
                line.step, line.train_loss_nats, line.lr, line.grad_norm, line.tokens_per_second
            ));
        }
    }
}

impl Reporter {
    /// What the adapter says now: the end of the prompt, and the answer.
    fn sample(&mut self, line: &SampleLine) {
        self.json_line(&Line::Sample(line.clone()));
        let SampleLine { prompt, answer, .. } = line;
        let skipped = prompt.chars().count().saturating_sub(SHOWN_CHARACTERS);
        let shown: String = prompt.chars().skip(skipped).collect();
        let dots = if skipped > 0 { "…" } else { "" };
        self.line(&format!("  {dots}{}\n  -> {}", indented(shown.trim()), indented(answer.trim())));
    }
}

impl Observer for Reporter {
    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::Loading { done, total } => {
                self.leave_if_asked();
                self.work("loading the base", done, total);
            }
            Event::Ready(ready) => self.ready(ready),
            Event::Evaluating { done, total } if self.last_loss_nats.is_none() => match self.done_before {
                0 => self.work("evaluating the base", done, total),
                step => self.work(&format!("evaluating after step {step}"), done, total),
            },
            Event::Evaluating { .. } | Event::Saved { .. } => {}
            Event::Evaluation(line) => {
                self.json_line(&Line::Evaluation(line.clone()));
                self.evaluated();
                self.line(&format!(
                    "step {} validation loss {:.4} perplexity {} token accuracy {:.1}%",
                    line.step,
                    line.validation_loss_nats,
                    shown(line.perplexity, 3),
                    100.0 * line.token_accuracy
                ));
            }
            Event::Golden(line) => {
                self.json_line(&Line::Golden(line.clone()));
                self.evaluated();
                let figures: Vec<String> =
                    line.golden.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
                let (step, rows) = (line.step, line.golden_rows);
                self.line(&format!("step {step} {rows} golden rows: {}", figures.join(", ")));
            }
            Event::General(line) => {
                self.json_line(&Line::General(line.clone()));
                self.evaluated();
                let (step, rows, right) = (line.step, line.general_rows, 100.0 * line.general_right);
                let loss = line.general_loss_nats;
                self.line(&format!(
                    "step {step} general skills: loss {loss:.4}, {right:.0}% of {rows} right"
                ));
            }
            Event::Sample(line) => self.sample(line),
            Event::Step { line, steps } => self.step(line, steps),
            Event::Note(text) => self.aside(&format!("note: {text}")),
            Event::Warning(text) => self.aside(&format!("warning: {text}")),
            Event::Useless(reason) => self.useless = Some(reason.to_owned()),
        }
    }

    fn stop_requested(&self) -> bool {
        self.signal.load(Ordering::SeqCst) != 0
    }

    fn stops_after(&self) -> Option<u64> {
        self.stops_after
    }
}

/// Lines behind the first one under it.
fn indented(text: &str) -> String {
    text.replace('\n', "\n     ")
}

/// `4884480` as `4,884,480`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
