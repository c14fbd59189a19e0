//! Bars on a terminal: downloads, and work of a known length.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rtune_data::{Doing, Watch};
use rtune_models::hub::Progress;

use super::complain;

/// A bar that is drawn on a terminal and nowhere else.
pub(super) fn bar(template: &str, total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    // A template that does not parse leaves the plain style.
    ProgressStyle::with_template(template).map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

/// How work of a known length is drawn.
pub(super) const WORK: &str = "{msg} {bar:24} {pos}/{len}";

/// Lets a bar of work say how far it is. What follows on another work may be longer or shorter than that.
pub(super) fn set(bar: &ProgressBar, what: String, done: usize, total: usize) {
    bar.set_message(what);
    // In one go: between the two it would be drawn so far of another length.
    bar.update(|state| {
        state.set_len(total as u64);
        state.set_pos(done as u64);
    });
}

/// Shows a download: a bar for each file, or a line at its begin and its end.
pub(crate) struct Transfer {
    file: String,
    bar: Option<ProgressBar>,
}

impl Transfer {
    pub(crate) fn new() -> Self {
        Self { file: String::new(), bar: None }
    }

    pub(crate) fn show(&mut self, progress: Progress<'_>) {
        if self.file != progress.file {
            self.finish();
            self.file = progress.file.to_owned();
            let mebibytes = progress.total_bytes as f64 / f64::from(1 << 20);
            if std::io::stderr().is_terminal() {
                let template = "{msg} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
                self.bar = Some(bar(template, progress.total_bytes).with_message(self.file.clone()));
            } else {
                complain(&format!("downloading {} from {} ({mebibytes:.1} MiB)", self.file, progress.place));
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_length(progress.total_bytes);
            bar.set_position(progress.done_bytes);
        }
    }

    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish();
        }
    }
}

/// Shows work of a known length on a terminal.
pub(crate) struct Work {
    what: String,
    bar: Option<ProgressBar>,
}

impl Work {
    pub(crate) fn new(what: &str) -> Self {
        Self { what: what.to_owned(), bar: None }
    }

    pub(crate) fn rename(&mut self, what: &str) {
        what.clone_into(&mut self.what);
    }

    pub(crate) fn show(&mut self, done: usize, total: usize) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| bar(WORK, total as u64));
        set(bar, self.what.clone(), done, total);
    }

    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// [`Work`] as a library wants it: called with (done, in all).
pub(crate) fn counted(what: &str) -> impl FnMut(usize, usize) {
    let mut work = Work::new(what);
    move |done, total| {
        work.show(done, total);
        if done >= total {
            work.finish();
        }
    }
}

/// [`Work`] for a preparation of rows.
pub(crate) fn watched() -> Watch {
    const MEBIBYTE: u64 = 1 << 20;
    let work = Mutex::new(Work::new(""));
    Arc::new(move |doing, done, total| {
        // What another thread left is as good as any.
        let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
        let (what, unit) = match doing {
            Doing::Reading => ("reading, MiB", MEBIBYTE),
            Doing::Comparing => ("comparing rows", 1),
            Doing::Encoding => ("making tokens of rows", 1),
        };
        work.rename(what);
        match done < total {
            true => work.show((done / unit) as usize, total.div_ceil(unit) as usize),
            false => work.finish(),
        }
    })
}
