//! `rtune report`: a run as one page.

use std::path::Path;

use rtune_trainer::error::TrainerError;
use rtune_trainer::files::write_named;
use rtune_trainer::report::{Format, report};

use super::out::refuse_precious;
use crate::args::report::{ReportArgs, ReportFormat};
use crate::failure::DONE;
use crate::reporter::say;

pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<u8> {
    let (format, name) = match args.format {
        ReportFormat::Html => (Format::Html, "report.html"),
        ReportFormat::Markdown => (Format::Markdown, "report.md"),
    };
    let page = report(&args.run, format)?;
    let out = args.out.clone().unwrap_or_else(|| args.run.join(name));
    if out == Path::new("-") {
        say(page.trim_end());
        return Ok(DONE);
    }
    refuse_precious(&out, &[])?;
    write_named(&out, page.as_bytes()).map_err(TrainerError::from)?;
    say(&format!("report: {}", out.display()));
    Ok(DONE)
}
