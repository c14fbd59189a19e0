//! `rtune report`.

use std::path::PathBuf;

use clap::ValueEnum;

#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// A run folder
    pub(crate) run: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = ReportFormat::Html)]
    pub(crate) format: ReportFormat,
    /// Where to; `-` is standard output; by default report.html or report.md in the run folder
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// One HTML page that opens offline and prints
    Html,
    /// Markdown, for a pull request
    Markdown,
}
