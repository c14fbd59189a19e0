//! `rtune completions`: what a shell needs to complete the command line.

use clap::CommandFactory;

use crate::args::Args;
use crate::args::tools::CompletionsArgs;
use crate::failure::DONE;
use crate::reporter::say;

pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "rtune", &mut script);
    say(String::from_utf8_lossy(&script).trim_end());
    Ok(DONE)
}
