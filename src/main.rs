//! The program `rtune`: parses the command line, runs one verb, and says what went wrong.

mod args;
mod commands;
mod failure;
mod reporter;
mod table;
mod web;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Verb};

/// What the main thread has on Linux, too.
const STACK_BYTES: usize = 8 << 20;

fn main() -> ExitCode {
    // A command line that cannot be parsed ends here, with exit code 2 and clap's own words.
    let args = Args::parse();
    match in_pool(&args.verb) {
        Ok(code) => match reporter::unsaid() {
            Some(error) if code == failure::DONE => {
                reporter::complain(&format!("error: cannot write to standard output\n  cause: {error}"));
                ExitCode::from(failure::FAILED)
            }
            _ => ExitCode::from(code),
        },
        Err(error) => {
            let failure = failure::Failure::of(&error);
            reporter::complain(&failure.to_string());
            ExitCode::from(failure.exit_code)
        }
    }
}

/// Runs the verb on a thread of the pool: on any other, each of the thousands of short parallel loops of a step is handed over, and
/// the thread that waits for it woken again.
fn in_pool(verb: &Verb) -> anyhow::Result<u8> {
    if matches!(verb, Verb::Confined(_)) {
        // It becomes another program, which has no threads of ours.
        return run(verb);
    }
    match rayon::ThreadPoolBuilder::new().stack_size(STACK_BYTES).build_global() {
        Ok(()) => rayon::scope(|_| run(verb)),
        Err(error) => {
            Err(anyhow::Error::new(error)
                .context("cannot start threads; RAYON_NUM_THREADS=1 asks for one alone"))
        }
    }
}

fn run(verb: &Verb) -> anyhow::Result<u8> {
    match verb {
        Verb::Train(args) => commands::train::run(args),
        Verb::Verify(args) => commands::verify::run(args),
        Verb::Prepare(args) => commands::prepare::run(args),
        Verb::Check(args) => commands::check::run(args),
        Verb::Choose(args) => commands::choose::run(args),
        Verb::Plan(args) => commands::plan::run(args),
        Verb::Bench(args) => commands::bench::run(args),
        Verb::Pull(args) => commands::pull::run(args),
        Verb::Merge(args) => commands::merge::run(args),
        Verb::Export(args) => commands::export::run(args),
        Verb::Push(args) => commands::push::run(args),
        Verb::Generate(args) => commands::generate::run(args),
        Verb::Chat(args) => commands::chat::run(args),
        Verb::Eval(args) => commands::eval::run(args),
        Verb::Compare(args) => commands::compare::run(args),
        Verb::Review(args) => commands::review::run(args),
        Verb::Redteam(args) => commands::redteam::run(args),
        Verb::Promote(args) => commands::promote::run(args),
        Verb::Rollback(args) => commands::registry::roll_back(args),
        Verb::History(args) => commands::registry::history(args),
        Verb::Diff(args) => commands::registry::diff(args),
        Verb::Rebuild(args) => commands::rebuild::run(args),
        Verb::Why(args) => commands::why::run(args),
        Verb::Feedback(args) => commands::feedback::run(args),
        Verb::Report(args) => commands::report::run(args),
        Verb::Score(args) => commands::score::run(args),
        Verb::Scan(args) => commands::scan::run(args),
        Verb::Init(args) => commands::init::run(args),
        Verb::Keys(args) => commands::keys::run(args),
        Verb::Doctor(args) => commands::doctor::run(args),
        Verb::Completions(args) => commands::completions::run(args),
        Verb::Confined(args) => commands::confined::run(args),
    }
}
