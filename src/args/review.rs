//! `rtune review`.

use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct ReviewArgs {
    /// A report of `rtune eval` with base and tuned model, or a run with one
    #[arg(value_name = "REPORT", required_unless_present = "summary")]
    pub(crate) report: Option<PathBuf>,
    /// The report of another model: its answers stand beside the best of REPORT, in place of those of the base
    #[arg(long, value_name = "REPORT", requires = "report")]
    pub(crate) against: Option<PathBuf>,
    /// Where reviews are written, one JSON object a line; what is there already is gone on from
    #[arg(long, value_name = "FILE", required_unless_present = "summary")]
    pub(crate) out: Option<PathBuf>,
    /// Who reviews; without it the page asks
    #[arg(long, value_name = "NAME")]
    pub(crate) reviewer: Option<String>,
    /// What answers are scored by, from 1 to 5
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) dimensions: Vec<String>,
    /// The port of the page; 0 takes a free one
    #[arg(long, default_value_t = 0, conflicts_with = "listen")]
    pub(crate) port: u16,
    /// Address and port for reviewers on other machines, such as 0.0.0.0:8080; without it only this machine reaches the page.
    /// Nothing is encrypted: where the way is not safe, leave it off and use `ssh -L`
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// What every request must know, 16 characters or more; by default drawn at random and printed with the address
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// Show what the reviews of a file come to: preference, scores, agreement; opens no page
    #[arg(long, value_name = "FILE", conflicts_with_all = ["report", "against", "out", "reviewer", "listen", "token"])]
    pub(crate) summary: Option<PathBuf>,
    /// With --summary: write it as JSON, and nothing else
    #[arg(long, requires = "summary")]
    pub(crate) json: bool,
}
